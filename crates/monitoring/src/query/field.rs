//! Fields of log lines.

use signal::Key;
use signal::metric::prometheus_label;

use super::LabelName;

/// A field of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Field(&'static str);

impl Field {
    /// Response status.
    pub const STATUS: Self = Self("http.response.status_code");
    /// The precise error type behind an outcome.
    pub const ERROR_CAUSE: Self = Self("error.cause");
    /// Source location that received a failure.
    pub const CODE_LOCATION: Self = Self("code.location");
    /// Duration of an operation in milliseconds.
    pub const DURATION: Self = Self("duration_ms");
    /// Reason why telemetry could not be sent.
    pub const FAILURE: Self = Self("failure");
    /// Number of telemetry items that will never arrive.
    pub const DROPPED_ITEMS: Self = Self("dropped_items");
    /// Version of a process that starts.
    pub const VERSION: Self = Self("service.version");
    /// Source file in which a panic began.
    pub const CODE_FILE: Self = Self("code.file");
    /// Source line in which a panic began.
    pub const CODE_LINE: Self = Self("code.line");
    /// The trace that a line belongs to.
    pub const TRACE: Self = Self("trace_id");
    /// The trace that caused the operation of a line.
    pub const LINKED_TRACE: Self = Self("link_trace_id");
    /// Fields that are neither labels nor ids.
    pub const OTHERS: &'static [Self] = &[
        Self::STATUS,
        Self::ERROR_CAUSE,
        Self::CODE_LOCATION,
        Self::DURATION,
        Self::FAILURE,
        Self::DROPPED_ITEMS,
        Self::VERSION,
        Self::CODE_FILE,
        Self::CODE_LINE,
    ];

    /// Returns the field with the same name as a metric label.
    pub const fn label<A: LabelName>() -> Self {
        Self(A::KEY)
    }

    /// Returns the field that holds an id or a closed value.
    pub const fn key(key: &'static Key) -> Self {
        Self(key.0)
    }

    /// Returns the name in the application's log lines.
    pub const fn name(self) -> &'static str {
        self.0
    }

    /// Returns Loki's name for the field.
    pub fn metadata(self) -> String {
        prometheus_label(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_without_a_constant_of_the_application_are_documented() {
        let document = std::fs::read_to_string(crate::generated::repository().join("docs/LOGGING.md"))
            .expect("the document can be read");
        for field in Field::OTHERS {
            assert!(document.contains(&format!("`{}`", field.0)), "{field:?}");
        }
    }
}
