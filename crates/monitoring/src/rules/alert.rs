//! An alert, its runbook section and its group.

use std::time::Duration;

use super::cases::Case;
use crate::dashboard_uid::DashboardUid;
use crate::query::{Expression, Grouping, LabelName, Lines, Scale, Spans, Vector};
use crate::severity::Severity;

/// A query of the runbook, rendered as a link to Grafana's Explore.
pub enum Look {
    /// Queries metrics.
    Metrics(&'static str, Expression),
    /// Queries log lines.
    Logs(&'static str, Lines),
    /// Queries traces.
    Traces(&'static str, Spans),
}

/// Builds a metrics query with an explanation of its result.
pub fn metrics<G: Grouping>(says: &'static str, query: &Vector<G>) -> Look {
    Look::Metrics(says, query.expression().clone())
}

/// The runbook section for an operator who has just been paged.
pub struct Runbook {
    /// Meaning of the alert.
    pub meaning: &'static str,
    /// The effect that users notice.
    pub impact: &'static str,
    /// The query that confirms the fault, then those that show its cause.
    pub confirm: Vec<Look>,
    /// Remedies, the most likely first.
    pub remedy: &'static [&'static str],
    /// Conditions for escalation.
    pub escalate: &'static str,
}

/// An alert with its rule, its texts and its tests.
pub struct Alert {
    /// The alert's name, which is also the heading of its runbook section.
    pub name: &'static str,
    /// Its urgency.
    pub severity: Severity,
    /// The rule's expression: each series that it returns is an alert.
    pub condition: Expression,
    /// Pending period: the condition must hold this long before the alert fires.
    pub pending: Duration,
    /// Time that the alert keeps firing after the condition last held, if gaps would resolve it falsely.
    pub keep_firing: Duration,
    /// One line that says what is wrong. May show labels, with [`shown`].
    pub summary: String,
    /// The affected object, with the value.
    pub description: String,
    /// The dashboard to open first.
    pub dashboard: DashboardUid,
    /// Its section of the runbook.
    pub runbook: Runbook,
    /// Set if the alert also fires without any series, as after the first start of an empty stack.
    pub fires_without_data: bool,
    /// Cases for promtool.
    pub cases: Vec<Case>,
}

impl Alert {
    /// The id of its panel on the runbook dashboard. It depends on the name only, so links in old
    /// notifications stay valid when alerts are added or removed.
    pub fn panel_id(&self) -> u16 {
        // FNV-1a, because it is short and collisions are not adversarial; a test checks that there are none.
        let hash = self
            .name
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        1 + (hash % u32::from(u16::MAX)) as u16
    }
}

/// Template that inserts a label's value into the text of an alert.
pub fn shown<A: LabelName>() -> String {
    format!("{{{{ $labels.{} }}}}", signal::metric::prometheus_label(A::KEY))
}

/// A group of alerts with the same evaluation interval.
pub struct Group {
    /// The name of the group and of its file.
    pub name: &'static str,
    /// The subject of the group.
    pub about: &'static str,
    /// Evaluation interval at real scale.
    pub every: Duration,
    /// The group's alerts.
    pub alerts: Vec<Alert>,
}

/// Evaluation interval of alerts that can page.
pub(super) const SOON: Duration = Duration::from_secs(30);

/// Evaluation interval of recordings that alerts look back over for hours.
pub(crate) const RECORDED: Duration = Duration::from_mins(1);

/// Evaluation interval of alerts about slow developments; each evaluation reads days of samples.
pub(crate) const LATER: Duration = Duration::from_mins(5);

/// Distance between two recorded samples.
pub(crate) fn interval(scale: Scale) -> Duration {
    scale.of(RECORDED)
}
