//! The triage of feedback reports: which status may follow which.
//!
//! ```text
//!   new ──► triaged ◄──► in_progress
//!    │         │              │
//!    └─────────┴──────────────┴──► resolved, dismissed ── reopen ──► triaged, in_progress
//! ```
//!
//! A report can be closed from everywhere, for most need no work. A closed one has to be reopened before it is closed in
//! another way, so that nobody reverses a colleague's verdict by a slip. Nothing becomes new again.

use crate::vocabulary::FeedbackStatus::{self, Dismissed, InProgress, New, Resolved, Triaged};

/// Why a report cannot get a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriageRefusal {
    /// Only an unread report is new.
    NotNewAgain,
    /// The report is closed.
    Closed,
}

impl TriageRefusal {
    /// What the client is told: what is in the way and what would help.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::NotNewAgain => "Somebody has looked at the report, so it cannot become new again.",
            Self::Closed => "The report is closed; reopen it as triaged or in_progress first.",
        }
    }
}

/// Whether a report of one status may get another. The status that it has already is always allowed and changes nothing.
///
/// # Errors
///
/// The [`TriageRefusal`] that says why not.
pub const fn triage(from: FeedbackStatus, to: FeedbackStatus) -> Result<(), TriageRefusal> {
    match (from, to) {
        (New, _) | (Triaged, Triaged) | (InProgress, InProgress) => Ok(()),
        (Resolved, Resolved) | (Dismissed, Dismissed) => Ok(()),
        (_, New) => Err(TriageRefusal::NotNewAgain),
        (Resolved, Dismissed) | (Dismissed, Resolved) => Err(TriageRefusal::Closed),
        (_, Triaged | InProgress) | (Triaged | InProgress, Resolved | Dismissed) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use telemetry::ClosedSet;

    use super::*;

    #[test]
    fn every_pair_is_decided_as_documented() {
        for from in FeedbackStatus::ALL.iter().copied() {
            for to in FeedbackStatus::ALL.iter().copied() {
                let is_closed = |status| matches!(status, Resolved | Dismissed);
                let expected = if from == to {
                    Ok(())
                } else if to == New {
                    Err(TriageRefusal::NotNewAgain)
                } else if is_closed(from) && is_closed(to) {
                    Err(TriageRefusal::Closed)
                } else {
                    Ok(())
                };
                assert_eq!(triage(from, to), expected, "{} to {}", from.as_str(), to.as_str());
            }
        }
    }
}
