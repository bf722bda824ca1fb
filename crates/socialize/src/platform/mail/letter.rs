//! An e-mail that is ready to be sent.

use catalogue::labels::EmailTemplate;
use chrono::{DateTime, Utc};
use domain::ids::JobId;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::{Address, Message};
use telemetry::ErrorType;

use super::undelivered::{Fault, Prospect, Undelivered};

/// A rendered e-mail with its recipient.
pub struct Letter {
    /// The job that sends it. The Message-ID is derived from it, so that a repeated delivery can be
    /// recognised.
    pub job: JobId,
    /// Label of the delivery in metrics.
    pub template: EmailTemplate,
    /// Value of the `Date` header.
    pub date: DateTime<Utc>,
    /// The plain address of the recipient, without a name.
    pub recipient: String,
    /// Never contains a customer's text.
    pub subject: &'static str,
    /// Body as plain text.
    pub text: String,
    /// Body as HTML.
    pub html: String,
}

/// The header that marks the message as automatic, so that no out-of-office reply comes back: RFC
/// 3834.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

impl Letter {
    /// Builds the final message. Customers' text is only in the body, except for the address, which
    /// is parsed. So nothing can inject a header.
    pub(super) fn message(&self, from: &Mailbox) -> Result<Message, Undelivered> {
        let failure = |fault| Undelivered::new(fault, Prospect::Never, ErrorType::InvalidData);
        let recipient: Address = self.recipient.parse().map_err(|_| failure(Fault::Recipient))?;
        let message_id = format!("<{}@{}>", self.job.uuid(), from.email.domain());
        Message::builder()
            .message_id(Some(message_id))
            .date(self.date.into())
            .from(from.clone())
            .to(Mailbox::new(None, recipient))
            .subject(self.subject)
            .header(AutoSubmitted)
            .multipart(MultiPart::alternative_plain_html(self.text.clone(), self.html.clone()))
            .map_err(|_| failure(Fault::Ours))
    }
}
