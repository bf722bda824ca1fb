//! A real mail server: accepted, rejected and deferred e-mails, over plain and encrypted connections.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use catalogue::labels::JobKind;
use chrono::TimeDelta;
use domain::ids::JobId;
use serde::Deserialize;
use serde_json::json;
use socialize::features::email::Email;
use socialize::platform::mail::{MailTransport, SmtpEncryption, SmtpSettings, SmtpTimeouts};
use socialize::platform::secret::Secret;
use socialize::queue::Worker;
use socialize::run::workers;
use socialize::run::workers::WorkerSettings;
use telemetry::{ErrorType, JobOutcome};
use tempfile::TempDir;
use test_support::{TestApp, python_tool};

use crate::email::{deliveries, delivery_lines, enqueue_email, messages, registration};
use crate::support::{eventually, job, nothing_reveals, row, run_after_crash, runs, settings, waiting};

/// A server and the directory of its accepted messages.
struct MailServer {
    process: Child,
    port: u16,
    directory: TempDir,
}

/// A message as received by the server.
#[derive(Debug, Deserialize)]
struct Received {
    connection: u32,
    hello: String,
    encrypted: bool,
    user: Option<String>,
    from: String,
    to: Vec<String>,
    content: String,
}

impl MailServer {
    fn start(behaviour: &str) -> Self {
        Self::start_with(behaviour, "none", &[], tempfile::tempdir().expect("a directory"))
    }

    fn start_with(behaviour: &str, encryption: &str, more: &[&str], directory: TempDir) -> Self {
        let errors = fs::File::create(directory.path().join("errors")).expect("a file");
        let mut process = Command::new(python_tool("python"))
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/background/mail_server.py"))
            .arg(directory.path().join("messages"))
            .args([behaviour, encryption])
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .expect("a mail server");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("its output")).read_line(&mut line).expect("a line");
        let port = line.trim().parse().unwrap_or_else(|_| {
            panic!("{}", fs::read_to_string(directory.path().join("errors")).unwrap_or_default())
        });
        Self { process, port, directory }
    }

    fn settings(&self, encryption: SmtpEncryption) -> SmtpSettings {
        SmtpSettings {
            host: "localhost".to_owned(),
            port: self.port,
            encryption,
            credentials: None,
            extra_root_certificates: None,
            timeouts: SmtpTimeouts::default(),
        }
    }

    fn plain(&self) -> Option<MailTransport> {
        Some(MailTransport::Smtp(self.settings(SmtpEncryption::None)))
    }

    /// Messages accepted so far.
    fn received(&self) -> Vec<Received> {
        let text = fs::read_to_string(self.directory.path().join("messages")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect("a message")).collect()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn e_mails_are_delivered_and_connections_are_used_again() {
    let server = MailServer::start("accept");
    let test = TestApp::start_with_mail(server.plain()).await;
    let first = test.user("ada").await;
    let second = test.user("bob").await;
    for user in [first, second] {
        enqueue_email(&test, Email::AlreadyRegistered { user }).await;
        assert_eq!(test.run_due_jobs().await.of(JobOutcome::Ok), 1);
    }
    let received = server.received();
    let [to_ada, to_bob] = &received[..] else { panic!("two messages, not {received:?}") };
    assert_eq!(
        (&to_ada.to, &to_bob.to),
        (&vec![test.email_of(first).await], &vec![test.email_of(second).await])
    );
    assert_eq!(
        (to_ada.from.as_str(), to_ada.hello.as_str()),
        ("socialize@socialize.example", "socialize.example")
    );
    assert_eq!((to_ada.connection, to_bob.connection), (1, 1));
    assert_eq!(deliveries(&test, "already_registered", "delivered"), 2);
    let lines = delivery_lines(&test);
    assert_eq!((&lines[0]["outcome"], &lines[0]["level"]), (&json!("delivered"), &json!("info")));
    assert_eq!(test.app.mail.check().await, Ok(()));
}

#[tokio::test]
async fn a_refused_recipient_is_no_dead_letter_and_named_nowhere() {
    let server = MailServer::start("refuse");
    let test = TestApp::start_with_mail(server.plain()).await;
    let user = test.user("ada").await;
    let id = enqueue_email(&test, Email::AlreadyRegistered { user }).await;
    assert_eq!(test.run_due_jobs().await.of(JobOutcome::Rejected), 1);
    assert_eq!(row(&test, id).await, None);
    assert_eq!(deliveries(&test, "already_registered", "rejected"), 1);
    assert_eq!(messages(&test), [("rejected", 1)]);
    let address = test.email_of(user).await;
    let lines = nothing_reveals(&test, &[&address, "mailbox", "5.1.1"]).await;
    let line = |event: &str| lines.iter().find(|line| line["event"] == event).expect("a line").clone();
    let (delivery, run) = (line("email.delivery"), line("job.run"));
    assert_eq!((&delivery["outcome"], &delivery["level"]), (&json!("rejected"), &json!("info")));
    assert_eq!((&run["outcome"], &run["level"]), (&json!("rejected"), &json!("info")));
    assert_eq!((&delivery["error.cause"], &run["error.cause"]), (&json!("rejected"), &json!("rejected")));
    assert_eq!(run["smtp.response.status_code"], 550);
    assert_eq!(
        (&delivery["smtp.response.status_code"], &delivery["smtp.stage"]),
        (&json!(550), &json!("recipient"))
    );
    assert_eq!(delivery["trace_id"], run["trace_id"]);
}

#[tokio::test]
async fn a_message_that_is_refused_is_given_up() {
    let server = MailServer::start("reject");
    let test = TestApp::start_with_mail(server.plain()).await;
    let user = test.user("ada").await;
    enqueue_email(&test, Email::AlreadyRegistered { user }).await;
    assert_eq!(test.run_due_jobs().await.of(JobOutcome::Dead), 1);
    assert_eq!(deliveries(&test, "already_registered", "refused"), 1);
    assert_eq!(messages(&test), [("given_up", 1)]);
    nothing_reveals(&test, &[&test.email_of(user).await, "does not want"]).await;
}

/// Runs a job to its end and returns the number of attempts and of hours.
async fn attempts(test: &TestApp, id: JobId) -> (usize, i64) {
    let start = test.app.clock.now();
    let mut attempts = 0;
    while let Some(job) = row(test, id).await.filter(|job| job.status == "queued") {
        test.app.clock.advance(job.run_at - test.app.clock.now());
        attempts += test.run_due_jobs().await.total();
    }
    (attempts, (test.app.clock.now() - start).num_hours())
}

#[tokio::test]
async fn a_mailbox_that_is_full_for_a_day_is_no_dead_letter() {
    let server = MailServer::start("full");
    let test = TestApp::start_with_mail(server.plain()).await;
    let user = test.user("ada").await;
    let id = enqueue_email(&test, Email::AlreadyRegistered { user }).await;
    assert_eq!(attempts(&test, id).await.0, 12);
    assert_eq!(row(&test, id).await, None);
    assert_eq!(deliveries(&test, "already_registered", "deferred"), 12);
    assert_eq!(messages(&test), [("rejected", 1)]);
    assert_eq!(runs(&test.app, JobKind::SendEmail, JobOutcome::Rejected), 1);
}

#[tokio::test]
async fn what_our_account_may_not_is_tried_again_and_counts_at_once() {
    let server = MailServer::start("quota");
    let test = TestApp::start_with_mail(server.plain()).await;
    let user = test.user("ada").await;
    let id = enqueue_email(&test, Email::AlreadyRegistered { user }).await;
    assert_eq!(test.run_due_jobs().await.of(JobOutcome::Retry), 1);
    assert_eq!(messages(&test), [("delayed", 1)]);
    let job = waiting(&test, id).await;
    assert_eq!(job.last_error_type.as_deref(), Some("rate_limited"));
    assert_eq!(job.run_at - test.app.clock.now(), TimeDelta::minutes(5));
    let (attempts, hours) = attempts(&test, id).await;
    assert!(attempts == 11 && (15..=30).contains(&hours), "{attempts} attempts in {hours} hours");
    assert_eq!(messages(&test), [("delayed", 1), ("given_up", 1)]);
    nothing_reveals(&test, &[&test.email_of(user).await, "quota"]).await;
}

#[tokio::test]
async fn a_greylisted_e_mail_is_delivered_at_the_second_attempt() {
    let server = MailServer::start("greylist");
    let test = TestApp::start_with_mail(server.plain()).await;
    let user = test.user("ada").await;
    let id = enqueue_email(&test, Email::AlreadyRegistered { user }).await;
    assert_eq!(test.run_due_jobs().await.of(JobOutcome::Retry), 1);
    let job = waiting(&test, id).await;
    assert_eq!((job.status.as_str(), job.last_error_type.as_deref()), ("queued", Some("unavailable")));
    nothing_reveals(&test, &[&test.email_of(user).await, "greylisted"]).await;

    test.app.clock.advance(TimeDelta::seconds(10));
    assert_eq!(test.run_due_jobs().await.of(JobOutcome::Ok), 1);
    assert_eq!(server.received().len(), 1);
    let counted = |outcome| deliveries(&test, "already_registered", outcome);
    assert_eq!((counted("deferred"), counted("delivered"), counted("rejected")), (1, 1, 0));
    assert_eq!(messages(&test), [("delivered", 1)]);
}

#[tokio::test]
async fn a_server_that_is_never_available_is_given_up_after_a_day() {
    let server = MailServer::start("unavailable");
    let test = TestApp::start_with_mail(server.plain()).await;
    let user = test.user("ada").await;
    let id = enqueue_email(&test, Email::AlreadyRegistered { user }).await;
    let (attempts, hours) = attempts(&test, id).await;
    assert!(attempts == 12 && (15..=30).contains(&hours), "{attempts} attempts in {hours} hours");
    assert_eq!(deliveries(&test, "already_registered", "deferred"), 12);
    assert_eq!(messages(&test), [("delayed", 1), ("given_up", 1)]);
    assert_eq!(waiting(&test, id).await.last_error_type.as_deref(), Some("unavailable"));
}

#[tokio::test]
async fn a_repetition_after_a_crash_can_be_recognised() {
    let server = MailServer::start("accept");
    let test = TestApp::start_with_mail(server.plain()).await;
    let token = registration(&test).await;
    let id = enqueue_email(&test, Email::VerifyEmail { token }).await;
    // Crashes after the mail server has accepted the e-mail and before that is written to the database.
    let dies = WorkerSettings {
        handler: Arc::new(|app, job| {
            Box::pin(async move {
                workers::run(app, job).await?;
                std::future::pending().await
            })
        }),
        ..settings(async |_, _| Ok(()))
    };
    let worker = Worker::start(test.app.clone(), dies);
    eventually("it was sent", async || server.received().len() == 1).await;
    drop(worker);
    let (_, ok) = run_after_crash(&test).await;
    assert_eq!(ok, 1);

    let received = server.received();
    let message_id = |message: &Received| {
        let line = message.content.lines().find(|line| line.starts_with("Message-ID: "));
        line.expect("a Message-ID").to_owned()
    };
    assert_eq!(received.len(), 2);
    assert_eq!(message_id(&received[0]), message_id(&received[1]));
    assert_eq!(message_id(&received[0]), format!("Message-ID: <{id}@socialize.example>"));
    assert_eq!(row(&test, id).await, None);
}

/// An encrypting server with its own certificate for localhost.
fn encrypting(encryption: &str, more: &[&str]) -> (MailServer, Vec<u8>) {
    let directory = tempfile::tempdir().expect("a directory");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (certificate, key) = (directory.path().join("certificate"), directory.path().join("key"));
    fs::write(&certificate, made.cert.pem()).expect("written");
    fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    let paths = [&certificate, &key].map(|path| path.to_str().expect("a path in UTF-8").to_owned());
    let arguments = [&["--certificate", &paths[0], "--key", &paths[1]], more].concat();
    (MailServer::start_with("accept", encryption, &arguments, directory), made.cert.pem().into_bytes())
}

#[tokio::test]
async fn connections_are_encrypted_and_logged_in() {
    for (name, encryption) in [("starttls", SmtpEncryption::StartTls), ("tls", SmtpEncryption::Tls)] {
        let (server, certificate) = encrypting(name, &["--login", "socialize:correct horse"]);
        let credentials = Some(("socialize".to_owned(), Secret::new("correct horse")));
        let extra_root_certificates = Some(certificate);
        let smtp = SmtpSettings { credentials, extra_root_certificates, ..server.settings(encryption) };
        let test = TestApp::start_with_mail(Some(MailTransport::Smtp(smtp))).await;
        let user = test.user("ada").await;
        enqueue_email(&test, Email::AlreadyRegistered { user }).await;
        assert_eq!(test.run_due_jobs().await.of(JobOutcome::Ok), 1, "{name}");
        let received = server.received();
        // aiosmtpd reports encryption only if it has started TLS itself.
        assert_eq!(
            (received[0].encrypted, received[0].user.as_deref()),
            (name == "starttls", Some("socialize"))
        );
    }
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_not_believed() {
    for (name, encryption) in [("starttls", SmtpEncryption::StartTls), ("tls", SmtpEncryption::Tls)] {
        let (server, _) = encrypting(name, &[]);
        deferred_of(server.settings(encryption), ErrorType::TlsFailure).await;
        assert!(server.received().is_empty());
    }
}

#[tokio::test]
async fn without_encryption_nothing_is_sent_unless_that_was_said() {
    let server = MailServer::start("accept");
    deferred_of(server.settings(SmtpEncryption::StartTls), ErrorType::TlsFailure).await;
    deferred_of(server.settings(SmtpEncryption::Tls), ErrorType::TlsFailure).await;
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn a_wrong_or_missing_password_is_no_fault_of_the_e_mail() {
    let (server, certificate) = encrypting("starttls", &["--login", "socialize:correct horse"]);
    let right = server.settings(SmtpEncryption::StartTls);
    let right = SmtpSettings { extra_root_certificates: Some(certificate), ..right };
    let credentials = Some(("socialize".to_owned(), Secret::new("battery staple")));
    deferred_of(SmtpSettings { credentials, ..right.clone() }, ErrorType::AuthenticationFailed).await;
    deferred_of(right, ErrorType::AuthenticationFailed).await;
    // A server without authentication.
    let server = MailServer::start("accept");
    let credentials = Some(("socialize".to_owned(), Secret::new("battery staple")));
    let plain = SmtpSettings { credentials, ..server.settings(SmtpEncryption::None) };
    deferred_of(plain, ErrorType::AuthenticationFailed).await;
}

/// Sends an e-mail that is deferred for this reason.
#[track_caller]
pub(crate) fn deferred_of(smtp: SmtpSettings, expected: ErrorType) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let test = TestApp::start_with_mail(Some(MailTransport::Smtp(smtp))).await;
        let user = test.user("ada").await;
        let email = Email::AlreadyRegistered { user };
        let id = crate::support::commit(&test, job(&email)).await;
        assert_eq!(test.run_due_jobs().await.of(JobOutcome::Retry), 1, "at {caller}");
        let expected = telemetry::ClosedSet::as_str(expected);
        assert_eq!(waiting(&test, id).await.last_error_type.as_deref(), Some(expected), "at {caller}");
        assert_eq!(deliveries(&test, "already_registered", "deferred"), 1);
        let lines = nothing_reveals(&test, &[&test.email_of(user).await, "battery staple"]).await;
        let delivery = lines.iter().find(|line| line["event"] == "email.delivery").expect("a line");
        assert_eq!((&delivery["error.cause"], &delivery["level"]), (&json!(expected), &json!("warn")));
    }
}
