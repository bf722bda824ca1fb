//! Text that must never be printed. Without `Debug`, `Display` and `Serialize` it cannot be logged by
//! accident.

use serde::{Deserialize, Deserializer};

/// A password, key or token.
///
/// It cannot be printed,
///
/// ```compile_fail,E0277
/// println!("{}", socialize::platform::secret::Secret::new("token"));
/// ```
///
/// nor with `Debug`,
///
/// ```compile_fail,E0277
/// println!("{:?}", socialize::platform::secret::Secret::new("token"));
/// ```
///
/// nor serialized,
///
/// ```compile_fail,E0277
/// serde_json::to_string(&socialize::platform::secret::Secret::new("token"));
/// ```
///
/// nor be a field of a log event,
///
/// ```compile_fail,E0277
/// let value = socialize::platform::secret::Secret::new("token");
/// tracing::info!(note = %value);
/// ```
///
/// nor an attribute of a span or a line,
///
/// ```compile_fail,E0277
/// telemetry::Attributes::default().name(&catalogue::keys::CHANNEL, socialize::platform::secret::Secret::new("token"));
/// ```
///
/// nor a label of a metric.
///
/// ```compile_fail,E0308
/// fn count(counter: &telemetry::meter::Counter<catalogue::labels::JobKind>) {
///     counter.add(socialize::platform::secret::Secret::new("token"), 1);
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}
