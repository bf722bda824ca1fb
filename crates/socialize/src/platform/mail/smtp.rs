//! The SMTP client: reused connections, a time limit for every stage, and classified replies.
//!
//! lettre implements the protocol, but connections are kept here. A connection whose session was
//! interrupted must never be reused: the next e-mail would read the late reply to the previous one,
//! and count as delivered without being sent.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use catalogue::keys;
use catalogue::labels::SmtpStage;
use lettre::address::Envelope;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use telemetry::ErrorType;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::reply::{EnhancedCode, Reply, judge};
use super::settings::{MailSetupError, SmtpEncryption, SmtpSettings, SmtpTimeouts};
use super::undelivered::{Fault, Prospect, Undelivered};
use crate::platform::causes::cause;

/// Maximum idle time of a connection; most servers close it themselves after some minutes.
const LONGEST_IDLE: Duration = Duration::from_secs(30);
/// Maximum number of idle connections.
const MOST_IDLE: usize = 8;
/// Time for which a successful response is used by health checks. They run every few seconds, and
/// servers reject a client that only ever sends NOOP.
const NOT_ASKED_AGAIN: Duration = Duration::from_secs(30);
/// Time for which the server counts as healthy. In between it is checked in the background and may
/// be slow: some servers delay every client.
const BELIEVED_WELL: Duration = Duration::from_secs(60);
/// Maximum duration of `QUIT`.
const FAREWELL: Duration = Duration::from_secs(1);

pub(super) struct Smtp {
    host: String,
    port: u16,
    encryption: SmtpEncryption,
    tls: Option<TlsParameters>,
    credentials: Option<Credentials>,
    timeouts: SmtpTimeouts,
    /// The client name for `EHLO`.
    hello: ClientId,
    idle: Mutex<Vec<Idle>>,
    condition: watch::Sender<Condition>,
    /// Held during a background check.
    asking: Arc<Semaphore>,
}

/// State of the server at its last use.
#[derive(Clone, Copy)]
enum Condition {
    /// Not used yet.
    Unknown,
    /// It responded at this time.
    Well(Instant),
    /// The last use failed.
    Trouble(ErrorType),
}

struct Idle {
    connection: AsyncSmtpConnection,
    since: Instant,
}

impl Smtp {
    pub(super) fn new(settings: SmtpSettings, hello: &str) -> Result<Self, MailSetupError> {
        let mut tls = None;
        if settings.encryption != SmtpEncryption::None {
            let mut builder = TlsParameters::builder(settings.host.clone());
            if let Some(pem) = &settings.extra_root_certificates {
                if CertificateDer::pem_slice_iter(pem).next().is_none() {
                    return Err(MailSetupError::RootCertificates);
                }
                let certificate = Certificate::from_pem(pem).map_err(|_| MailSetupError::RootCertificates)?;
                builder = builder.add_root_certificate(certificate);
            }
            tls = Some(builder.build().map_err(|error| MailSetupError::Tls(error.to_string()))?);
        }
        let credentials =
            settings.credentials.map(|(name, password)| Credentials::new(name, password.expose().to_owned()));
        Ok(Self {
            host: settings.host,
            port: settings.port,
            encryption: settings.encryption,
            tls,
            credentials,
            timeouts: settings.timeouts,
            hello: ClientId::Domain(hello.to_owned()),
            idle: Mutex::default(),
            condition: watch::Sender::new(Condition::Unknown),
            asking: Arc::new(Semaphore::new(1)),
        })
    }

    pub(super) async fn send(&self, envelope: &Envelope, message: &[u8]) -> Result<(), Undelivered> {
        let mut connection = self.connection().await?;
        let sent = transmit(&mut connection, &self.timeouts, envelope, message).await;
        match sent {
            Ok(()) => {
                self.responded();
                self.keep(connection);
                Ok(())
            }
            Err(failure) => {
                // A failure without a stage does not concern the session.
                if failure.code.is_some() || failure.stage.is_none() {
                    self.responded();
                    let _ = timeout(FAREWELL, connection.quit()).await;
                } else {
                    self.troubled(failure.error_type);
                }
                Err(failure)
            }
        }
    }

    /// Returns the server's state, as far as it is known. The check runs in the background, because
    /// health checks have a shorter time limit than a healthy server may need.
    pub(super) async fn check(self: &Arc<Self>) -> Result<(), ErrorType> {
        let mut changes = self.condition.subscribe();
        let condition = *changes.borrow_and_update();
        if let Condition::Well(at) = condition
            && at.elapsed() < NOT_ASKED_AGAIN
        {
            return Ok(());
        }
        if let Ok(asking) = self.asking.clone().try_acquire_owned() {
            let smtp = self.clone();
            tokio::spawn(async move {
                if let Ok(connection) = smtp.connection().await {
                    smtp.responded();
                    smtp.keep(connection);
                }
                drop(asking);
            });
        }
        match condition {
            Condition::Well(at) if at.elapsed() < BELIEVED_WELL => Ok(()),
            Condition::Trouble(error_type) => Err(error_type),
            Condition::Well(_) | Condition::Unknown => {
                // The sender is `self`, so a change will follow.
                let _ = changes.changed().await;
                match *changes.borrow() {
                    Condition::Well(_) => Ok(()),
                    Condition::Trouble(error_type) => Err(error_type),
                    Condition::Unknown => Err(ErrorType::Unavailable),
                }
            }
        }
    }

    /// Returns a connection that has just responded: an idle one, or a new one.
    async fn connection(&self) -> Result<AsyncSmtpConnection, Undelivered> {
        if let Some(mut connection) = self.take_idle() {
            if matches!(timeout(self.timeouts.command, connection.test_connected()).await, Ok(true)) {
                return Ok(connection);
            }
            // The other idle connections are as old and probably dead too.
            lock(&self.idle).clear();
        }
        let opened = match timeout(self.timeouts.connect, self.open()).await {
            Ok(opened) => opened,
            Err(_elapsed) => Err(Undelivered::trouble(ErrorType::Timeout, SmtpStage::Connect)),
        };
        opened.inspect_err(|failure| self.troubled(failure.error_type))
    }

    fn take_idle(&self) -> Option<AsyncSmtpConnection> {
        let mut idle = lock(&self.idle);
        idle.retain(|idle| idle.since.elapsed() < LONGEST_IDLE);
        idle.pop().map(|idle| idle.connection)
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        let mut idle = lock(&self.idle);
        if idle.len() < MOST_IDLE {
            idle.push(Idle { connection, since: Instant::now() });
        }
    }

    fn responded(&self) {
        self.condition.send_replace(Condition::Well(Instant::now()));
    }

    fn troubled(&self, error_type: ErrorType) {
        self.condition.send_replace(Condition::Trouble(error_type));
    }

    /// Opens a connection. Every failure here concerns the server or the settings and not an e-mail, even if
    /// the server calls it permanent.
    async fn open(&self) -> Result<AsyncSmtpConnection, Undelivered> {
        let trouble_at_start = |error_type| Undelivered::trouble(error_type, SmtpStage::Connect);
        let addresses: Vec<_> = tokio::net::lookup_host((self.host.as_str(), self.port))
            .await
            .map_err(|_| trouble_at_start(ErrorType::DnsFailure))?
            .collect();
        // The name may have a second address that responds.
        let patience = self.timeouts.connect / 2;
        let wrapper = if self.encryption == SmtpEncryption::Tls { self.tls.clone() } else { None };
        let connecting =
            AsyncSmtpConnection::connect_tokio1(&addresses[..], Some(patience), &self.hello, wrapper, None);
        let mut connection = connecting.await.map_err(|error| failure(SmtpStage::Connect, &error))?;
        if self.encryption == SmtpEncryption::StartTls {
            let tls = self.tls.clone().ok_or(trouble_at_start(ErrorType::TlsFailure))?;
            connection.starttls(tls, &self.hello).await.map_err(|error| match trouble(&error) {
                // The server does not offer STARTTLS, or refuses it.
                ErrorType::Internal | ErrorType::Unavailable | ErrorType::Rejected => {
                    trouble_at_start(ErrorType::TlsFailure)
                }
                other => trouble_at_start(other),
            })?;
        }
        if let Some(credentials) = &self.credentials {
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            connection.auth(&mechanisms, credentials).await.map_err(|error| {
                match failure(SmtpStage::Authenticate, &error) {
                    // The server offers no supported authentication mechanism.
                    failure @ Undelivered { error_type: ErrorType::Internal, .. } => Undelivered {
                        prospect: Prospect::NeedsChange,
                        error_type: ErrorType::AuthenticationFailed,
                        ..failure
                    },
                    failure => failure,
                }
            })?;
        }
        Ok(connection)
    }
}

async fn transmit(
    connection: &mut AsyncSmtpConnection,
    timeouts: &SmtpTimeouts,
    envelope: &Envelope,
    message: &[u8],
) -> Result<(), Undelivered> {
    use SmtpStage::{Message, Recipient, Sender};
    let is_ascii = |address: &lettre::Address| AsRef::<str>::as_ref(address).is_ascii();
    let mut parameters = Vec::new();
    if !envelope.to().iter().chain(envelope.from()).all(is_ascii) {
        if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            // The recipient's address is not ASCII and this server does not support that. If the sender's
            // address is not valid, the setting is wrong.
            let fault = if envelope.from().is_none_or(is_ascii) { Fault::Recipient } else { Fault::Ours };
            return Err(Undelivered::new(fault, Prospect::Never, ErrorType::Rejected));
        }
        parameters.push(MailParameter::SmtpUtfEight);
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    let sender = Mail::new(envelope.from().cloned(), parameters);
    within(Sender, timeouts.command, connection.command(sender)).await?;
    for recipient in envelope.to() {
        let recipient = Rcpt::new(recipient.clone(), Vec::new());
        within(Recipient, timeouts.command, connection.command(recipient)).await?;
    }
    within(Message, timeouts.command, connection.command(Data)).await?;
    within(Message, timeouts.message, connection.message(message)).await?;
    Ok(())
}

async fn within<T>(
    stage: SmtpStage,
    limit: Duration,
    work: impl Future<Output = Result<T, lettre::transport::smtp::Error>>,
) -> Result<T, Undelivered> {
    match timeout(limit, work).await {
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(error)) => Err(failure(stage, &error)),
        Err(_elapsed) => Err(Undelivered::trouble(ErrorType::Timeout, stage)),
    }
}

/// Judges a failure by the server's reply, or by the connection's error if there is no reply.
fn failure(stage: SmtpStage, error: &lettre::transport::smtp::Error) -> Undelivered {
    let Some(code) = error.status().map(u16::from) else {
        return Undelivered::trouble(trouble(error), stage);
    };
    // The job's own record gets the code too.
    telemetry::current::set(|attributes| attributes.number(&keys::SMTP_STATUS_CODE, code.into()));
    let text = std::error::Error::source(error).map(ToString::to_string);
    judge(stage, Reply { code, enhanced: text.as_deref().and_then(EnhancedCode::read) })
}

/// Returns the kind of a connection failure.
fn trouble(error: &lettre::transport::smtp::Error) -> ErrorType {
    if error.is_tls() || cause::<rustls::Error>(error).is_some() {
        return ErrorType::TlsFailure;
    }
    if error.is_permanent() {
        return ErrorType::Rejected;
    }
    if error.is_transient() {
        return ErrorType::Unavailable;
    }
    if let Some(error) = cause::<io::Error>(error) {
        return match error.kind() {
            io::ErrorKind::InvalidData => ErrorType::Protocol,
            _ => ErrorType::from_io(error),
        };
    }
    if error.is_response() {
        // lettre has one kind for an invalid reply and for a missing one.
        let is_end = std::error::Error::source(error)
            .is_some_and(|source| source.to_string() == "incomplete response");
        return if is_end { ErrorType::ConnectionReset } else { ErrorType::Protocol };
    }
    ErrorType::Internal
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
