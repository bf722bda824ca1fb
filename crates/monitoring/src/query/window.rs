//! Windows of queries.

use std::time::Duration;

use super::duration_text;

/// A window: fixed for rules, or chosen by Grafana for the range of a panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// Always this long.
    Fixed(Duration),
    /// Grafana's window for rates: the interval between two points of the panel, but at least four scrapes.
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
    /// Returns the window in PromQL's syntax, or the variable that Grafana replaces.
    pub fn text(self) -> String {
        match self {
            Self::Fixed(duration) => duration_text(duration),
            Self::RateInterval => "$__rate_interval".to_owned(),
            Self::Range => "$__range".to_owned(),
        }
    }
}
