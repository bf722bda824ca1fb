//! The triage of feedback reports: the allowed changes of status.
//!
//! ```text
//!   new ──► triaged ◄──► in_progress
//!    │         │              │
//!    └─────────┴──────────────┴──► resolved, dismissed ── reopen ──► triaged, in_progress
//! ```
//!
//! A report can be closed from every status, because most reports need no work. A closed report has
//! to be reopened before it can be closed in another way, so that nobody reverses a colleague's
//! verdict by accident. No report becomes new again.

use crate::vocabulary::FeedbackStatus::{self, Dismissed, InProgress, New, Resolved, Triaged};

/// Reasons why a report cannot change to a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriageRefusal {
    /// Only unread reports have the status `new`.
    NotNewAgain,
    /// A closed report has to be reopened first.
    Closed,
}

impl TriageRefusal {
    /// Returns the message for the client: the obstacle and what would help.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::NotNewAgain => "Somebody has looked at the report, so it cannot become new again.",
            Self::Closed => "The report is closed; reopen it as triaged or in_progress first.",
        }
    }
}

/// Checks whether a report may change from one status to another. Setting the current status again
/// is always allowed and changes nothing.
///
/// # Errors
///
/// Returns the [`TriageRefusal`] that says why not.
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
    use signal::ClosedSet;

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
