//! Marks and labels of alerts, shared by both pages.

use monitoring::rules::Severity;

use crate::store::metrics::Labels;

/// Returns the class of a severity's mark.
pub(super) fn severity_class(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "bad",
        Severity::Warning => "alert",
        Severity::Info => "info",
        Severity::None => "",
    }
}

/// Returns labels as readable text.
pub(super) fn label_text(labels: &Labels) -> String {
    labels.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
}
