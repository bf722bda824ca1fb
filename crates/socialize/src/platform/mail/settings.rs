//! Settings of the transport.

use std::path::PathBuf;
use std::time::Duration;

use lettre::message::Mailbox;

use crate::platform::secret::Secret;

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
