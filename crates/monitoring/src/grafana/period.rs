//! Lengths of time in Grafana's syntax.

use std::time::Duration;

use serde::{Serialize, Serializer};

/// A duration that keeps its unit, such as `28d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// So many seconds.
    Seconds(u16),
    /// So many minutes.
    Minutes(u16),
    /// So many hours.
    Hours(u16),
    /// So many days.
    Days(u16),
}

impl Period {
    /// Returns the period as text: `30s`, `1m`, `24h`, `7d`.
    pub fn text(self) -> String {
        match self {
            Self::Seconds(number) => format!("{number}s"),
            Self::Minutes(number) => format!("{number}m"),
            Self::Hours(number) => format!("{number}h"),
            Self::Days(number) => format!("{number}d"),
        }
    }

    /// Returns the length.
    pub const fn duration(self) -> Duration {
        let (number, unit) = match self {
            Self::Seconds(number) => (number, 1),
            Self::Minutes(number) => (number, 60),
            Self::Hours(number) => (number, 60 * 60),
            Self::Days(number) => (number, 24 * 60 * 60),
        };
        Duration::from_secs(number as u64 * unit)
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.text().serialize(serializer)
    }
}
