//! Recording rules and alerts, each with its runbook section and its tests.
//!
//! One function defines an alert completely: condition, severity, meaning, confirmation and remedy. Rule
//! files, promtool's tests and `docs/RUNBOOK.md` are rendered from it. Thresholds are in [`thresholds`].

mod alert;
mod arrival;
mod background;
mod backlogs;
pub(crate) mod cases;
pub mod causes;
mod collector_alerts;
mod deliveries;
mod dependencies;
mod disks;
pub(crate) mod equivalent_mutants;
mod groups;
mod host;
mod loops;
pub(crate) mod native;
pub mod notifications;
mod objectives;
pub(crate) mod other_programs;
mod postgres;
mod probes;
mod process;
mod quotas;
pub(crate) mod recording_cases;
mod recordings;
mod requests;
mod routes;
mod runbook;
mod telemetry_alerts;
pub(crate) mod text;
pub mod thresholds;
mod usage;
mod watchers;

pub use alert::{Alert, Group, Look, Runbook, metrics, shown};
pub(crate) use alert::{LATER, RECORDED, interval};
pub use cases::{Case, Expected, Length, Moment, Pace, Request, Series, Shown, Values};
pub use deliveries::{EMAIL_FAILED, STORE_FAILED};
pub use groups::groups;
pub use native::Within;
pub use recordings::{
    CORE_ACTIONS, FAILED_REQUESTS, REQUESTS, RecordingGroup, RecordingRule, SLOW_REQUESTS, TIMED_REQUESTS,
    WORKFLOW_ACTIONS, Workflow, recordings,
};
pub use runbook::{render as render_runbook, section as runbook_section};

pub use crate::dashboard_uid::DashboardUid;
pub use crate::prometheus::{RuleFile, annotations, render_rules, render_tests};
pub use crate::severity::Severity;
