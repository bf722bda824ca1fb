//! Why an e-mail was not handed over: whose fault that is, and what becomes of it.

use std::time::Duration;

use domain::labels::{EmailOutcome, EmailResult, SmtpStage};
use domain::signals::keys;
use telemetry::{Attributes, Cause, ErrorType};

use crate::queue::JobError;

/// The attempt at which a failure that should have passed counts as a delay: about a minute after the first one, which is longer
/// than a mail server takes to restart.
const OUTAGE_AT_ATTEMPT: i32 = 4;
/// The same where the server may be greylisting: about ten minutes after the first attempt. Greylists let the second one pass
/// after one to five minutes.
const GREYLISTED_AT_ATTEMPT: i32 = 6;
/// The shortest pause before another attempt where an operator has to do something first.
const OPERATOR_NEEDS: Duration = Duration::from_mins(5);

/// Whose fault it is that an e-mail was not handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// That of the sender: of our settings, our account, our message, the mail server or the way to it.
    Ours,
    /// That of the recipient: of the address, the mailbox or the server behind it.
    Recipient,
}

/// What further attempts can be expected to come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prospect {
    /// It usually passes within a minute. Where it does not, it is an outage.
    Passing,
    /// Servers that greylist answer the first attempts like this, so it usually passes within minutes.
    Greylisting,
    /// It does not pass by itself: an operator or a provider has to change something.
    NeedsChange,
    /// Every attempt will end like this one.
    Never,
}

/// A failure to hand over an e-mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undelivered {
    /// Whose fault it is.
    pub fault: Fault,
    /// What further attempts can be expected to come to.
    pub prospect: Prospect,
    /// The kind of failure.
    pub error_type: ErrorType,
    /// How far the conversation with a mail server had come.
    pub stage: Option<SmtpStage>,
    /// The code with which the mail server replied.
    pub code: Option<u16>,
}

impl Undelivered {
    /// A failure without a reply of a mail server.
    pub fn new(fault: Fault, prospect: Prospect, error_type: ErrorType) -> Self {
        Self { fault, prospect, error_type, stage: None, code: None }
    }

    /// Trouble with the mail server or on the way to it.
    pub(super) fn trouble(error_type: ErrorType, stage: SmtpStage) -> Self {
        Self { stage: Some(stage), ..Self::new(Fault::Ours, Prospect::Passing, error_type) }
    }

    /// How the attempt counts.
    pub(super) fn outcome(&self) -> EmailOutcome {
        match (self.fault, self.prospect) {
            (Fault::Recipient, Prospect::Never) => EmailOutcome::Rejected,
            (Fault::Ours, Prospect::Never) => EmailOutcome::Refused,
            _ => EmailOutcome::Deferred,
        }
    }

    /// What the e-mail has come to by this attempt, where it is something that it had not come to before.
    ///
    /// Each kind of failure counts as a delay at one attempt, so an e-mail counts at most once for each. An e-mail whose failures
    /// change their kind may count only when it is given up.
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

    /// What becomes of the job after this attempt.
    pub fn job_error(&self, attempt: i32, max_attempts: i32) -> JobError {
        match (self.fault, self.prospect) {
            (Fault::Recipient, Prospect::Never) => JobError::Reject(self.error_type),
            (Fault::Recipient, _) if attempt >= max_attempts => JobError::Reject(self.error_type),
            (Fault::Ours, Prospect::Never) => JobError::Fail(self.error_type),
            (Fault::Ours, Prospect::NeedsChange) => JobError::RetryAfter(self.error_type, OPERATOR_NEEDS),
            _ => JobError::Retry(self.error_type),
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
                // After the end there are no further attempts.
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

    #[test]
    fn what_is_the_recipients_fault_leaves_no_dead_letter() {
        for prospect in [Prospect::Passing, Prospect::Greylisting, Prospect::NeedsChange, Prospect::Never] {
            let failure = Undelivered::new(Fault::Recipient, prospect, ErrorType::Rejected);
            assert_eq!(failure.job_error(ATTEMPTS, ATTEMPTS), JobError::Reject(ErrorType::Rejected));
        }
        let full = Undelivered::new(Fault::Recipient, Prospect::Passing, ErrorType::StorageFull);
        assert_eq!(full.job_error(ATTEMPTS - 1, ATTEMPTS), JobError::Retry(ErrorType::StorageFull));
    }
}
