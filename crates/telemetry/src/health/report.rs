//! Values of health reports.

use serde::Serialize;
use signal::ClosedSet;

/// Readiness of the process to serve requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet)]
pub enum Readiness {
    /// Requests are served.
    Ready,
    /// Start-up is not finished.
    Starting,
    /// The process finishes requests in progress and accepts no new ones.
    Draining,
    /// A required dependency does not respond.
    Unavailable,
}

impl Readiness {
    /// Returns whether requests may be sent to this process.
    pub fn is_ready(self) -> bool {
        self == Self::Ready
    }
}

/// The state of a dependency, from its latest check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet)]
pub enum DependencyState {
    /// A check succeeded, and no two in a row have failed since.
    Up,
    /// Two checks in a row failed or timed out, and none has succeeded since.
    Down,
    /// The first check is still running, or the last result is stale.
    Unknown,
}

/// The health report of the private listener. It contains closed values and numbers only.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HealthDetail {
    /// True if the event loop makes progress.
    pub live: bool,
    /// The name of a [`Readiness`].
    pub readiness: &'static str,
    /// One entry per dependency that is checked.
    pub dependencies: Vec<DependencyDetail>,
}

/// The state of one dependency in the health report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DependencyDetail {
    /// Name of the dependency.
    pub name: &'static str,
    /// If true, requests cannot be served without it.
    pub required_for_readiness: bool,
    /// The name of a [`DependencyState`].
    pub state: &'static str,
    /// Seconds since it entered this state.
    pub state_age_seconds: f64,
    /// Age of the latest result in seconds.
    pub result_age_seconds: Option<f64>,
    /// Seconds since a check last succeeded.
    pub last_success_age_seconds: Option<f64>,
    /// Duration of the latest check in milliseconds.
    pub check_duration_ms: Option<f64>,
    /// Reason why the dependency is unusable.
    #[serde(rename = "error.type", skip_serializing_if = "Option::is_none")]
    pub error_type: Option<&'static str>,
}
