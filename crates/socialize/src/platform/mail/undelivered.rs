//! Failures of e-mail delivery, with the party at fault and the consequence.

use catalogue::keys;
use catalogue::labels::{EmailOutcome, EmailResult, SmtpStage};
use telemetry::{Attributes, Cause, ErrorType};

/// The attempt at which a temporary failure counts as a delay. It is about a minute after the first
/// attempt, longer than a mail server takes to restart.
const OUTAGE_AT_ATTEMPT: i32 = 4;
/// The same for servers that may be greylisting, about ten minutes after the first attempt.
/// Greylists accept the second attempt after one to five minutes.
const GREYLISTED_AT_ATTEMPT: i32 = 6;
/// The side that caused a failure to deliver an e-mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The sender: the settings, the account, the message, the mail server or the network to it.
    Ours,
    /// The recipient: the address, the mailbox or the server behind it.
    Recipient,
}

/// Expected result of further attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prospect {
    /// The failure usually ends within a minute. Otherwise it is an outage.
    Passing,
    /// Greylisting servers respond to the first attempts like this, so it usually ends within
    /// minutes.
    Greylisting,
    /// It does not end by itself: an operator or a provider has to change something.
    NeedsChange,
    /// Every further attempt will fail in the same way.
    Never,
}

/// A failure to deliver an e-mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undelivered {
    /// The side that caused it.
    pub fault: Fault,
    /// Expected result of further attempts.
    pub prospect: Prospect,
    /// The kind of failure.
    pub error_type: ErrorType,
    /// Stage of the SMTP session, if there was one.
    pub stage: Option<SmtpStage>,
    /// Reply code of the mail server, if there was one.
    pub code: Option<u16>,
}

impl Undelivered {
    /// Creates a failure without a reply of a mail server.
    pub fn new(fault: Fault, prospect: Prospect, error_type: ErrorType) -> Self {
        Self { fault, prospect, error_type, stage: None, code: None }
    }

    /// Creates a failure of the mail server or of the connection to it.
    pub(super) fn trouble(error_type: ErrorType, stage: SmtpStage) -> Self {
        Self { stage: Some(stage), ..Self::new(Fault::Ours, Prospect::Passing, error_type) }
    }

    /// Returns the outcome of the attempt.
    pub(super) fn outcome(&self) -> EmailOutcome {
        match (self.fault, self.prospect) {
            (Fault::Recipient, Prospect::Never) => EmailOutcome::Rejected,
            (Fault::Ours, Prospect::Never) => EmailOutcome::Refused,
            _ => EmailOutcome::Deferred,
        }
    }

    /// Returns the result of the e-mail after this attempt, if it has changed.
    ///
    /// Each kind of failure counts as a delay at one specific attempt, so an e-mail is counted at
    /// most once for each result. If its kind of failure changes between attempts, an e-mail may be
    /// counted only when it is given up.
    pub fn result(&self, attempt: i32, max_attempts: i32) -> Option<EmailResult> {
        let is_end = self.prospect == Prospect::Never || attempt >= max_attempts;
        let delayed_at = match self.prospect {
            Prospect::Passing => OUTAGE_AT_ATTEMPT,
            Prospect::Greylisting => GREYLISTED_AT_ATTEMPT,
            Prospect::NeedsChange | Prospect::Never => 1,
        };
        match self.fault {
            Fault::Recipient => is_end.then_some(EmailResult::Rejected),
            Fault::Ours if is_end => Some(EmailResult::GivenUp),
            Fault::Ours => (attempt == delayed_at).then_some(EmailResult::Delayed),
        }
    }
}

impl Cause for Undelivered {
    fn describe(&self, attributes: &mut Attributes) {
        self.error_type.describe(attributes);
        if let Some(stage) = self.stage {
            attributes.name(&keys::SMTP_STAGE, stage);
        }
        if let Some(code) = self.code {
            attributes.number(&keys::SMTP_STATUS_CODE, code.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ATTEMPTS: i32 = 12;

    fn results(fault: Fault, prospect: Prospect) -> Vec<(i32, EmailResult)> {
        let failure = Undelivered::new(fault, prospect, ErrorType::Unavailable);
        (1..=ATTEMPTS)
            .filter_map(|attempt| Some((attempt, failure.result(attempt, ATTEMPTS)?)))
            .take_while({
                let mut ended = false;
                // No attempts follow after the end.
                move |(_, result)| !std::mem::replace(&mut ended, *result != EmailResult::Delayed)
            })
            .collect()
    }

    #[test]
    fn an_e_mail_counts_once_as_delayed_and_once_as_ended() {
        use EmailResult::{Delayed, GivenUp, Rejected};
        assert_eq!(results(Fault::Ours, Prospect::Passing), [(4, Delayed), (12, GivenUp)]);
        assert_eq!(results(Fault::Ours, Prospect::Greylisting), [(6, Delayed), (12, GivenUp)]);
        assert_eq!(results(Fault::Ours, Prospect::NeedsChange), [(1, Delayed), (12, GivenUp)]);
        assert_eq!(results(Fault::Ours, Prospect::Never), [(1, GivenUp)]);
        for prospect in [Prospect::Passing, Prospect::Greylisting, Prospect::NeedsChange] {
            assert_eq!(results(Fault::Recipient, prospect), [(12, Rejected)], "{prospect:?}");
        }
        assert_eq!(results(Fault::Recipient, Prospect::Never), [(1, Rejected)]);
    }
}
