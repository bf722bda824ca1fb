//! Mail servers that stall, disconnect, respond late or violate the protocol, which no real server can be
//! made to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use chrono::TimeDelta;
use socialize::features::email::Email;
use socialize::platform::mail::{MailTransport, SmtpEncryption, SmtpSettings, SmtpTimeouts};
use socialize::platform::secret::Secret;
use telemetry::{ErrorType, JobOutcome};
use test_support::TestApp;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::email::{deliveries, enqueue_email};
use crate::mail_server::deferred_of;
use crate::support::eventually;

/// Timeout that a stalling peer reaches. A local peer that responds is faster, even on a busy machine.
const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(60);

const PATIENT: SmtpTimeouts = SmtpTimeouts { connect: LONG, command: LONG, message: LONG };

/// Starts a peer that runs `behave` for each connection, numbered from 1, and returns its port.
async fn peer<F>(behave: impl Fn(usize, Conversation) -> F + Send + 'static) -> u16
where
    F: Future<Output = Option<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        for number in 1.. {
            let Ok((stream, _)) = listener.accept().await else { return };
            tokio::spawn(behave(number, Conversation(BufReader::new(stream))));
        }
    });
    port
}

/// The server's side; `None` when the client has disconnected.
struct Conversation(BufReader<TcpStream>);

impl Conversation {
    async fn say(&mut self, text: &str) -> Option<()> {
        self.0.write_all(text.as_bytes()).await.ok()
    }

    async fn hear(&mut self) -> Option<String> {
        let mut line = String::new();
        let length = self.0.read_line(&mut line).await.ok()?;
        (length > 0).then_some(line)
    }

    /// Responds like a working server until a command begins with `until`, which it leaves unanswered.
    async fn converse(&mut self, until: &str) -> Option<()> {
        self.say("220 localhost\r\n").await?;
        self.respond_until(until).await
    }

    async fn respond_until(&mut self, until: &str) -> Option<()> {
        loop {
            let command = self.hear().await?;
            if command.starts_with(until) {
                return Some(());
            }
            self.say("250 OK\r\n").await?;
        }
    }

    /// Reads the message to its end.
    async fn take_message(&mut self) -> Option<()> {
        self.say("354 go on\r\n").await?;
        while self.hear().await? != ".\r\n" {}
        Some(())
    }

    /// Keeps the connection open and sends nothing.
    async fn stall(mut self) -> Option<()> {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).await.ok()?;
        Some(())
    }
}

fn plain(port: u16, timeouts: SmtpTimeouts) -> SmtpSettings {
    SmtpSettings {
        host: "127.0.0.1".to_owned(),
        port,
        encryption: SmtpEncryption::None,
        credentials: None,
        extra_root_certificates: None,
        timeouts,
    }
}

#[tokio::test]
async fn a_server_that_stalls_is_waited_for_at_every_stage_only_so_long() {
    let silent = peer(async |_, conversation| conversation.stall().await).await;
    deferred_of(plain(silent, SmtpTimeouts { connect: SHORT, ..PATIENT }), ErrorType::Timeout).await;
    for command in ["MAIL", "RCPT", "DATA"] {
        let stalls = peer(async move |_, mut conversation: Conversation| {
            conversation.converse(command).await?;
            conversation.stall().await
        })
        .await;
        deferred_of(plain(stalls, SmtpTimeouts { command: SHORT, ..PATIENT }), ErrorType::Timeout).await;
    }
    let never_accepts = peer(async |_, mut conversation: Conversation| {
        conversation.converse("DATA").await?;
        conversation.say("354 go on\r\n").await?;
        conversation.stall().await
    })
    .await;
    deferred_of(plain(never_accepts, SmtpTimeouts { message: SHORT, ..PATIENT }), ErrorType::Timeout).await;
    let never_encrypts = peer(async |_, conversation| conversation.stall().await).await;
    let encrypted = SmtpSettings {
        encryption: SmtpEncryption::Tls,
        ..plain(never_encrypts, SmtpTimeouts { connect: SHORT, ..PATIENT })
    };
    deferred_of(encrypted, ErrorType::Timeout).await;
}

#[tokio::test]
async fn a_server_that_drops_the_connection_is_tried_again() {
    let at_once = peer(async |_, _| Some(())).await;
    deferred_of(plain(at_once, PATIENT), ErrorType::ConnectionReset).await;
    for command in ["EHLO", "MAIL", "RCPT", "DATA"] {
        let drops =
            peer(async move |_, mut conversation: Conversation| conversation.converse(command).await).await;
        deferred_of(plain(drops, PATIENT), ErrorType::ConnectionReset).await;
    }
    let in_the_message = peer(async |_, mut conversation: Conversation| {
        conversation.converse("DATA").await?;
        conversation.say("354 go on\r\n").await?;
        conversation.hear().await.map(drop)
    })
    .await;
    deferred_of(plain(in_the_message, PATIENT), ErrorType::ConnectionReset).await;
    let after_the_message = peer(async |_, mut conversation: Conversation| {
        conversation.converse("DATA").await?;
        conversation.take_message().await
    })
    .await;
    deferred_of(plain(after_the_message, PATIENT), ErrorType::ConnectionReset).await;
}

#[tokio::test]
async fn a_server_that_talks_nonsense_is_tried_again() {
    for nonsense in ["HTTP/1.1 400 Bad Request\r\n\r\n", "\r\n", "2\r\n", "999 what\r\n"] {
        let talks = peer(async move |_, mut conversation: Conversation| {
            conversation.say(nonsense).await?;
            conversation.stall().await
        })
        .await;
        deferred_of(plain(talks, PATIENT), ErrorType::Protocol).await;
    }
    let binary = peer(async |_, mut conversation: Conversation| {
        conversation.0.write_all(b"220 \xff\xfe\xfd\r\n").await.ok()?;
        conversation.stall().await
    })
    .await;
    deferred_of(plain(binary, PATIENT), ErrorType::Protocol).await;
    let endless = peer(async |_, mut conversation: Conversation| {
        while conversation.say("220-and another thing\r\n").await.is_some() {}
        None
    })
    .await;
    deferred_of(plain(endless, PATIENT), ErrorType::Protocol).await;
}

#[tokio::test]
async fn a_server_that_refuses_us_altogether_may_change_its_mind() {
    let refuses = peer(async |_, mut conversation: Conversation| {
        conversation.say("554 ada@example.com cannot be served here\r\n").await?;
        conversation.stall().await
    })
    .await;
    deferred_of(plain(refuses, PATIENT), ErrorType::Rejected).await;
    let is_full = peer(async |_, mut conversation: Conversation| {
        conversation.say("421 too many connections\r\n").await?;
        conversation.stall().await
    })
    .await;
    deferred_of(plain(is_full, PATIENT), ErrorType::Unavailable).await;
}

#[tokio::test]
async fn a_reply_is_judged_by_its_stage() {
    let throttles = peer(async |_, mut conversation: Conversation| {
        conversation.converse("DATA").await?;
        conversation.take_message().await?;
        conversation.say("454 Throttling failure: maximum sending rate exceeded\r\n").await?;
        conversation.stall().await
    })
    .await;
    deferred_of(plain(throttles, PATIENT), ErrorType::RateLimited).await;
    let knows_no_log_in_now = peer(async |_, mut conversation: Conversation| {
        conversation.say("220 localhost\r\n").await?;
        conversation.hear().await?;
        conversation.say("250-localhost\r\n250 AUTH PLAIN\r\n").await?;
        conversation.hear().await?;
        conversation.say("454 4.7.0 temporary authentication failure\r\n").await?;
        conversation.stall().await
    })
    .await;
    let credentials = Some(("socialize".to_owned(), Secret::new("battery staple")));
    let logs_in = SmtpSettings { credentials, ..plain(knows_no_log_in_now, PATIENT) };
    deferred_of(logs_in, ErrorType::Unavailable).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    deferred_of(plain(port, PATIENT), ErrorType::ConnectionRefused).await;
    let nowhere = SmtpSettings { host: "mail.invalid".to_owned(), ..plain(port, PATIENT) };
    deferred_of(nowhere, ErrorType::DnsFailure).await;
}

#[tokio::test]
async fn a_reply_that_comes_too_late_is_not_taken_for_that_of_the_next_e_mail() {
    let messages = Arc::new(AtomicUsize::new(0));
    let taken = messages.clone();
    let port = peer(move |number, mut conversation: Conversation| {
        let taken = taken.clone();
        async move {
            conversation.converse("DATA").await?;
            conversation.take_message().await?;
            if number > 1 {
                taken.fetch_add(1, SeqCst);
                return conversation.say("250 taken\r\n").await;
            }
            // The client has given up, whatever it sends next. It receives this response now, and later ones
            // too late.
            conversation.hear().await?;
            conversation.say("250 taken\r\n").await?;
            conversation.respond_until("never").await
        }
    })
    .await;
    let timeouts = SmtpTimeouts { message: SHORT, ..PATIENT };
    let test = TestApp::start_with_mail(Some(MailTransport::Smtp(plain(port, timeouts)))).await;
    let user = test.user("ada").await;
    enqueue_email(&test, Email::AlreadyRegistered { user }).await;
    assert_eq!(test.run_due_jobs().await.of(JobOutcome::Retry), 1);
    test.app.clock.advance(TimeDelta::seconds(10));
    assert_eq!(test.run_due_jobs().await.of(JobOutcome::Ok), 1);
    assert_eq!(messages.load(SeqCst), 1, "it was sent over a connection of its own");
    assert_eq!(deliveries(&test, "already_registered", "delivered"), 1);
}

#[tokio::test]
async fn a_connection_that_the_server_has_closed_meanwhile_costs_no_attempt() {
    let port = peer(async |_, mut conversation: Conversation| {
        conversation.converse("DATA").await?;
        conversation.take_message().await?;
        conversation.say("250 taken\r\n").await
    })
    .await;
    let test = TestApp::start_with_mail(Some(MailTransport::Smtp(plain(port, PATIENT)))).await;
    let user = test.user("ada").await;
    for _ in 0..3 {
        enqueue_email(&test, Email::AlreadyRegistered { user }).await;
        assert_eq!(test.run_due_jobs().await.of(JobOutcome::Ok), 1);
    }
    assert_eq!(deliveries(&test, "already_registered", "deferred"), 0);
}

#[tokio::test]
async fn the_health_check_asks_a_server_that_was_well_a_moment_ago_nothing() {
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    let port = peer(move |number, mut conversation: Conversation| {
        counted.store(number, SeqCst);
        async move { if number > 1 { conversation.converse("QUIT").await } else { None } }
    })
    .await;
    let test = TestApp::start_with_mail(Some(MailTransport::Smtp(plain(port, PATIENT)))).await;
    let check = async || test.app.mail.check().await;
    assert_eq!(check().await, Err(ErrorType::ConnectionReset));
    eventually("it is well", async || check().await == Ok(())).await;
    let asked = connections.load(SeqCst);
    for _ in 0..100 {
        assert_eq!(check().await, Ok(()));
    }
    assert_eq!(connections.load(SeqCst), asked);
}
