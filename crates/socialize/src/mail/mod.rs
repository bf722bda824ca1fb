//! Delivery of e-mails to a mail server, or to a directory that replaces one.
//!
//! This module decides whether a failure is temporary. The server's replies go no further, because
//! they quote addresses.

mod content;
mod directory;
mod letter;
mod reply;
mod smtp;
mod undelivered;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use catalogue::events;
use catalogue::labels::{EmailOutcome, EmailResult, EmailTemplate};
use catalogue::metrics;
use lettre::message::Mailbox;
use telemetry::meter::Counter;
use telemetry::record::SpanKind;
use telemetry::{ErrorType, FamilyDescription, Operations, Telemetry};

pub use content::Content;
pub use directory::forget_in;
pub use letter::Letter;
pub use undelivered::{Fault, Prospect, Undelivered};

use self::directory::Directory;
use self::smtp::Smtp;
use crate::secret::Secret;

/// Sender and transport of e-mails.
#[derive(Clone)]
pub struct MailSettings {
    /// Value of the `From` header.
    pub from: Mailbox,
    /// Destination of e-mails: a mail server or a directory.
    pub transport: MailTransport,
}

/// A mail server, or a directory in its place.
#[derive(Clone)]
pub enum MailTransport {
    Smtp(SmtpSettings),
    /// A directory with one `.eml` file per e-mail; created if necessary.
    Directory(PathBuf),
}

/// Connection settings of the mail server.
#[derive(Clone)]
pub struct SmtpSettings {
    /// Host name, for which the server's certificate must be valid.
    pub host: String,
    /// Usually 587 for STARTTLS and 465 for TLS from the start.
    pub port: u16,
    /// Encryption of the connection.
    pub encryption: SmtpEncryption,
    /// User name and password, if the server requires them.
    pub credentials: Option<(String, Secret)>,
    /// Additional trusted certificates in PEM, for a server whose certificate the platform does not
    /// trust.
    pub extra_root_certificates: Option<Vec<u8>>,
    /// Time limits of the stages.
    pub timeouts: SmtpTimeouts,
}

/// Encryption of the connection to the mail server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpEncryption {
    /// STARTTLS, which is required: a server that does not offer it gets no e-mail.
    StartTls,
    /// TLS from the first byte.
    Tls,
    /// No encryption: for a server on the same machine or a trusted network, and only if configured
    /// explicitly.
    None,
}

/// Maximum duration of each stage.
#[derive(Clone, Copy, Debug)]
pub struct SmtpTimeouts {
    /// Name resolution, connection, TLS and log-in.
    pub connect: Duration,
    /// Each SMTP command.
    pub command: Duration,
    /// Sending the message and waiting for its acceptance.
    pub message: Duration,
}

impl Default for SmtpTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            command: Duration::from_secs(30),
            message: Duration::from_secs(60),
        }
    }
}

/// Reasons why mail cannot be set up, for the operator at startup.
#[derive(Debug, thiserror::Error)]
pub enum MailSetupError {
    /// The mail directory is unusable.
    #[error("the e-mail directory {path} cannot be used: {error}", path = path.display())]
    Directory {
        /// Path of the directory.
        path: PathBuf,
        /// Error of the operating system.
        error: std::io::Error,
    },
    /// The additional certificates are unusable.
    #[error("the certificates for the mail server cannot be used: they must be a PEM file")]
    RootCertificates,
    /// The platform's certificates are unusable.
    #[error("no encrypted connection to the mail server can be prepared: {0}")]
    Tls(String),
}

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
    /// Returns whose fault the failure is, and what further attempts can achieve.
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
