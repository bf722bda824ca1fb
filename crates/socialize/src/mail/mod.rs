//! Handing e-mails over: to a mail server, or to a directory that stands for one.
//!
//! Whether a failure may pass is decided here, where it is met. Nothing that the server says goes further than this: its
//! answers quote addresses.

mod content;
mod directory;
mod letter;
mod reply;
mod smtp;
mod undelivered;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::catalogue;
use domain::events;
use domain::labels::{EmailOutcome, EmailResult, EmailTemplate};
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

/// How e-mails leave.
#[derive(Clone)]
pub struct MailSettings {
    /// Who they are from.
    pub from: Mailbox,
    /// Where they go.
    pub transport: MailTransport,
}

/// Where e-mails go.
#[derive(Clone)]
pub enum MailTransport {
    /// To a mail server.
    Smtp(SmtpSettings),
    /// Into a directory, one `.eml` file each; created if it does not exist.
    Directory(PathBuf),
}

/// How the mail server is reached.
#[derive(Clone)]
pub struct SmtpSettings {
    /// Its name, which its certificate must be for.
    pub host: String,
    /// Usually 587 for STARTTLS and 465 for TLS from the start.
    pub port: u16,
    /// Whether others can read along.
    pub encryption: SmtpEncryption,
    /// User name and password, where it wants them.
    pub credentials: Option<(String, Secret)>,
    /// Certificates in PEM that are trusted besides the platform's, for a server with a certificate of one's own.
    pub extra_root_certificates: Option<Vec<u8>>,
    /// How patient we are.
    pub timeouts: SmtpTimeouts,
}

/// Whether others can read along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpEncryption {
    /// Encryption is agreed on first; a server that does not offer it gets no e-mail.
    StartTls,
    /// Encrypted from the first byte.
    Tls,
    /// Not at all: for a server on the same machine or a trusted network, and only where that is said explicitly.
    None,
}

/// How long each stage may take.
#[derive(Clone, Copy, Debug)]
pub struct SmtpTimeouts {
    /// Looking the name up, connecting, agreeing on encryption and logging in.
    pub connect: Duration,
    /// Each command.
    pub command: Duration,
    /// Sending the message and waiting for it to be accepted.
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

/// Why mail cannot be set up. The text is for the operator, at start.
#[derive(Debug, thiserror::Error)]
pub enum MailSetupError {
    /// The directory cannot be used.
    #[error("the e-mail directory {path} cannot be used: {error}", path = path.display())]
    Directory {
        /// Which one.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The certificates cannot be used.
    #[error("the certificates for the mail server cannot be used: they must be a PEM file")]
    RootCertificates,
    /// The platform's certificates cannot be used.
    #[error("no encrypted connection to the mail server can be prepared: {0}")]
    Tls(String),
}

/// Hands e-mails over and counts how that went.
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
    /// Prepares the transport; connects nowhere yet.
    ///
    /// # Errors
    /// When the directory cannot be created or the certificates cannot be read.
    pub fn new(settings: MailSettings, telemetry: &Telemetry) -> Result<Self, MailSetupError> {
        let family = FamilyDescription {
            event: events::EMAIL_DELIVERY,
            span_kind: SpanKind::Client,
            attributes: Vec::new(),
        };
        let transport = match settings.transport {
            MailTransport::Smtp(smtp) => {
                Transport::Smtp(Arc::new(Smtp::new(smtp, settings.from.email.domain())?))
            }
            MailTransport::Directory(path) => Transport::Directory(Directory::create(path)?),
        };
        let deliveries = Operations::counted(telemetry, family, &catalogue::EMAIL_DELIVERIES);
        let messages = telemetry.meter().counter(&catalogue::EMAIL_MESSAGES);
        Ok(Self { inner: Arc::new(Inner { from: settings.from, transport, deliveries, messages }) })
    }

    /// Makes one attempt to hand an e-mail over.
    ///
    /// # Errors
    /// Says whose fault it is and what can be expected of further attempts.
    pub async fn deliver(&self, letter: &Letter) -> Result<(), Undelivered> {
        let delivery = async {
            match self.hand_over(letter).await {
                Ok(()) => (Ok(()), EmailOutcome::Delivered, None),
                Err(failure) => (Err(failure), failure.outcome(), Some(failure)),
            }
        };
        self.inner.deliveries.observe_causes(letter.template, delivery).await
    }

    /// Counts what an e-mail has come to.
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

    /// Deletes e-mails that name a person, where they are files. Those that a server took are not ours any more.
    pub async fn forget(&self, address: &str, name: &str) {
        if let Transport::Directory(directory) = &self.inner.transport {
            directory.forget(address, name).await;
        }
    }

    /// Whether e-mails can be handed over now, for the health check.
    ///
    /// # Errors
    /// Says what kind of trouble there is.
    pub async fn check(&self) -> Result<(), ErrorType> {
        match &self.inner.transport {
            Transport::Smtp(smtp) => smtp.check().await,
            Transport::Directory(directory) => directory.check().await,
        }
    }
}
