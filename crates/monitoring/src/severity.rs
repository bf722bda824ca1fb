//! Urgency of alerts.

/// Urgency of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Immediately, also at night: users cannot work, or monitoring is blind.
    Critical,
    /// Within the working day.
    Warning,
    /// At a convenient time: nothing is broken.
    Info,
    /// Never: it only proves that alerts arrive.
    None,
}

impl Severity {
    /// The value of the label `severity`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Info => "info",
            Self::None => "none",
        }
    }
}
