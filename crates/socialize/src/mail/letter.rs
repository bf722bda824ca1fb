//! An e-mail, ready to be sent.

use chrono::{DateTime, Utc};
use domain::ids::JobId;
use domain::labels::EmailTemplate;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::{Address, Message};
use telemetry::ErrorType;

use super::undelivered::{Fault, Prospect, Undelivered};

/// An e-mail, ready to be sent.
pub struct Letter {
    /// The job that sends it; it makes the Message-ID, so that a repeated delivery can be recognised as one.
    pub job: JobId,
    /// What it was made from.
    pub template: EmailTemplate,
    /// When it is sent.
    pub date: DateTime<Utc>,
    /// Who gets it: an address and nothing else.
    pub recipient: String,
    /// What it is about. Never a customer's text.
    pub subject: &'static str,
    /// What it says.
    pub text: String,
    /// The same as HTML.
    pub html: String,
}

/// Says that no person wrote this, so that no out-of-office note comes back: RFC 3834.
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
    /// The message in its final form. All that comes from a customer is in the body, except the address, which is parsed:
    /// nothing can add a header.
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
