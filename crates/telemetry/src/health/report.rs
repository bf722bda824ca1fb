//! The words in which health is reported.

use serde::Serialize;

use crate::ClosedSet;

/// Whether the process can serve requests now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Readiness {
    /// It can.
    Ready,
    /// Start-up is not finished.
    Starting,
    /// It finishes what it has and takes nothing new.
    Draining,
    /// A dependency that it cannot do without does not answer.
    Unavailable,
}

impl ClosedSet for Readiness {
    const ALL: &'static [Self] = &[Self::Ready, Self::Starting, Self::Draining, Self::Unavailable];

    fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Starting => "starting",
            Self::Draining => "draining",
            Self::Unavailable => "unavailable",
        }
    }

    fn index(self) -> usize {
        self as usize
    }
}

impl Readiness {
    /// Whether requests may be sent here.
    pub fn is_ready(self) -> bool {
        self == Self::Ready
    }
}

/// What is known about a dependency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DependencyState {
    /// The last check succeeded.
    Up,
    /// The last check failed or took too long.
    Down,
    /// The first check is still running, or the last result is too old to be believed.
    Unknown,
}

impl ClosedSet for DependencyState {
    const ALL: &'static [Self] = &[Self::Up, Self::Down, Self::Unknown];

    fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Unknown => "unknown",
        }
    }

    fn index(self) -> usize {
        self as usize
    }
}

/// Everything that the private listener shows about health. It contains no text of anybody.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HealthDetail {
    /// Whether the event loop turns.
    pub live: bool,
    /// See [`Readiness`].
    pub readiness: &'static str,
    /// Every dependency that is checked.
    pub dependencies: Vec<DependencyDetail>,
}

/// What the private listener shows about one dependency.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DependencyDetail {
    /// Its name.
    pub name: &'static str,
    /// Whether requests can be served without it.
    pub required_for_readiness: bool,
    /// See [`DependencyState`].
    pub state: &'static str,
    /// For how long it has been in this state.
    pub state_age_seconds: f64,
    /// How old the newest result is.
    pub result_age_seconds: Option<f64>,
    /// How long ago a check last succeeded.
    pub last_success_age_seconds: Option<f64>,
    /// How long the newest check took.
    pub check_duration_ms: Option<f64>,
    /// Why it cannot be relied on.
    #[serde(rename = "error.type", skip_serializing_if = "Option::is_none")]
    pub error_type: Option<&'static str>,
}
