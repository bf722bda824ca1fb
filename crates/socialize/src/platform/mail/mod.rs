//! Delivery of e-mails to a mail server, or to a directory that replaces one.
//!
//! This module decides whether a failure is temporary. The server's replies go no further, because
//! they quote addresses.

mod content;
mod directory;
mod letter;
mod reply;
mod settings;
mod smtp;
mod undelivered;

use std::sync::Arc;

use catalogue::labels::{EmailOutcome, EmailResult, EmailTemplate};
use catalogue::{events, metrics};
use lettre::message::Mailbox;
use telemetry::meter::Counter;
use telemetry::record::SpanKind;
use telemetry::{ErrorType, FamilyDescription, Operations, Telemetry};

pub use content::Content;
pub use directory::forget_in;
pub use letter::Letter;
pub use settings::{MailSettings, MailSetupError, MailTransport, SmtpEncryption, SmtpSettings, SmtpTimeouts};
pub use undelivered::{Fault, Prospect, Undelivered};

use self::directory::Directory;
use self::smtp::Smtp;

/// Delivers e-mails and counts the results.
#[derive(Clone)]
pub struct Mail {
    inner: Arc<Inner>,
}

struct Inner {
    from: Mailbox,
    transport: Transport,
    deliveries: Operations<EmailTemplate, EmailOutcome>,
    messages: Counter<EmailResult>,
}

enum Transport {
    Smtp(Arc<Smtp>),
    Directory(Directory),
}

impl Mail {
    /// Prepares the transport without connecting.
    ///
    /// # Errors
    /// Returns an error if the directory cannot be created or the certificates cannot be read.
    pub fn new(settings: MailSettings, telemetry: &Telemetry) -> Result<Self, MailSetupError> {
        let family = FamilyDescription {
            event: events::EMAIL_DELIVERY,
            span_kind: SpanKind::Client,
            scope: catalogue::scopes::EMAIL,
            attributes: Vec::new(),
        };
        let transport = match settings.transport {
            MailTransport::Smtp(smtp) => {
                Transport::Smtp(Arc::new(Smtp::new(smtp, settings.from.email.domain())?))
            }
            MailTransport::Directory(path) => Transport::Directory(Directory::create(path)?),
        };
        let deliveries = Operations::counted(telemetry, family, &metrics::EMAIL_DELIVERIES);
        let messages = telemetry.meter().counter(&metrics::EMAIL_MESSAGES);
        Ok(Self { inner: Arc::new(Inner { from: settings.from, transport, deliveries, messages }) })
    }

    /// Makes one attempt to deliver an e-mail.
    ///
    /// # Errors
    /// Returns the party at fault, and whether further attempts can succeed.
    pub async fn deliver(&self, letter: &Letter) -> Result<(), Undelivered> {
        let delivery = async {
            match self.hand_over(letter).await {
                Ok(()) => (Ok(()), EmailOutcome::Delivered, None),
                Err(failure) => (Err(failure), failure.outcome(), Some(failure)),
            }
        };
        self.inner.deliveries.observe_causes(letter.template, delivery).await
    }

    /// Counts the result of an e-mail over all attempts.
    pub fn came_to(&self, result: EmailResult) {
        self.inner.messages.add(result, 1);
    }

    async fn hand_over(&self, letter: &Letter) -> Result<(), Undelivered> {
        let message = letter.message(&self.inner.from)?;
        match &self.inner.transport {
            Transport::Smtp(smtp) => smtp.send(message.envelope(), &message.formatted()).await,
            Transport::Directory(directory) => directory.write(letter.job, &message.formatted()).await,
        }
    }

    /// Deletes e-mails that name a person if they are files. E-mails that a server accepted are out
    /// of reach.
    pub async fn forget(&self, address: &str, name: &str) {
        if let Transport::Directory(directory) = &self.inner.transport {
            directory.forget(address, name).await;
        }
    }

    /// Checks whether e-mails can be delivered now, for the health check.
    ///
    /// # Errors
    /// Returns the kind of failure.
    pub async fn check(&self) -> Result<(), ErrorType> {
        match &self.inner.transport {
            Transport::Smtp(smtp) => smtp.check().await,
            Transport::Directory(directory) => directory.check().await,
        }
    }
}
