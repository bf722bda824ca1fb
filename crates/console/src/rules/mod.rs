//! Evaluation of recordings and alerts at their intervals.

mod alertmanager;
mod database;
#[cfg(test)]
mod delivery_tests;
mod engine;
mod group;
mod history;
mod machine;
mod metrics;
mod outbox;
#[cfg(test)]
mod promtool;
mod snapshot;
mod template;
#[cfg(test)]
mod tests;
mod watched;

pub use alertmanager::Alertmanager;
pub use database::{Database, RuleSample};
pub use engine::{AlertState, RuleEngine};
pub use group::{AlertRule, RecordingRule, RuleGroup};
pub use history::{Event, History, KEPT, MOST_EVENTS};
pub use machine::{Active, Change, Durations, MOST_SERIES, Machine, Phase, RESOLVED_RETENTION};
pub use outbox::{Delivery, Notification};
pub use template::Template;
pub use watched::reason_unwatched;
