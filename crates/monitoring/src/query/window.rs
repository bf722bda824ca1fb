//! How far back a query looks.

use std::time::Duration;

use super::duration_text;

/// A window: a fixed one for rules, or one that Grafana fits to what a panel shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// Always this long.
    Fixed(Duration),
    /// As long as the distance of two points of the panel, and at least four scrapes: for rates.
    RateInterval,
    /// The whole time range of the dashboard.
    Range,
}

impl From<Duration> for Window {
    fn from(duration: Duration) -> Self {
        Self::Fixed(duration)
    }
}

impl Window {
    /// As PromQL, or as the variable that Grafana replaces.
    pub fn text(self) -> String {
        match self {
            Self::Fixed(duration) => duration_text(duration),
            Self::RateInterval => "$__rate_interval".to_owned(),
            Self::Range => "$__range".to_owned(),
        }
    }
}
