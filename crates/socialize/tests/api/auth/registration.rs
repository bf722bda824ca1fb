//! Registration and confirmation of the address.

use chrono::TimeDelta;
use serde_json::{Value, json};
use socialize::platform::token::LinkPurpose;
use test_support::TestApp;

use super::*;

#[tokio::test]
async fn a_registered_user_confirms_the_address_and_logs_in() {
    let test = TestApp::start().await;
    register(&test, " Ada@Example.com ").await.expect(202);
    let email = "ada@example.com";
    let enqueued = emails(&test).await;
    assert_eq!(enqueued.len(), 1);
    assert_eq!(enqueued[0]["template"], "verify_email");

    log_in(&test, email, PASSWORD).await.expect_error(401, "invalid_credentials");
    assert_eq!(count(&test, "select count(*) from users").await, 0, "no account before the link is used");
    let token = link(&test, email, LinkPurpose::VerifyEmail).await;
    post(&test, "verify-email", json!({"token": token})).await.expect(204);
    log_in(&test, "ADA@example.com", PASSWORD).await.expect(200);
    assert_eq!(test.count(FAILURES), failures(&test, "invalid_credentials"));
    assert_eq!((test.count(ATTEMPTS), test.count(SUCCESSES), test.count(FAILURES)), (2, 1, 1));
}

/// Number of registrations and of confirmations, by the metrics.
fn arrived(test: &TestApp) -> (i64, i64) {
    (test.count("socialize.users.registered"), test.count("socialize.users.verified"))
}

#[tokio::test]
async fn registrations_and_accounts_are_counted() {
    let test = TestApp::start().await;
    let email = "ada@example.com";
    assert_eq!(arrived(&test), (0, 0));
    for registrations in [1, 2] {
        register(&test, email).await.expect(202);
        assert_eq!(arrived(&test), (registrations, 0));
    }
    let lines = test.log_lines();
    assert_eq!(lines.iter().filter(|line| line["event"] == "socialize.users.registered").count(), 2);

    post(&test, "verify-email", json!({"token": "wrong"})).await.expect_error(410, "link_expired");
    assert_eq!(arrived(&test), (2, 0));
    let token = link(&test, email, LinkPurpose::VerifyEmail).await;
    post(&test, "verify-email", json!({"token": token})).await.expect(204);
    post(&test, "verify-email", json!({"token": token})).await.expect_error(410, "link_expired");
    assert_eq!(arrived(&test), (2, 1));
    register(&test, email).await.expect(202);
    assert_eq!(arrived(&test), (2, 1), "the address has an account");
    let users: Vec<uuid::Uuid> =
        sqlx::query_scalar("select id from users").fetch_all(test.pool()).await.expect("users");
    let lines = test.log_lines();
    let fact = lines.iter().find(|line| line["event"] == "socialize.users.verified").expect("a line");
    assert_eq!(fact["user.id"], users[0].to_string());
}

#[tokio::test]
async fn that_an_address_is_taken_is_told_to_its_owner_only() {
    let test = TestApp::start().await;
    let owner = verified(&test, "ada@example.com").await;
    let stored = "select password_hash from users where email = 'ada@example.com'";
    let before: String = sqlx::query_scalar(stored).fetch_one(test.pool()).await.expect("a hash");

    let (hashes, _) = (test.app.passwords.computed(), test.log_lines());
    let new = register(&test, "new@example.com").await.expect(202);
    let hashes_of_new = test.app.passwords.computed() - hashes;
    let taken = register(&test, "ada@example.com").await.expect(202);
    let hashes_of_taken = test.app.passwords.computed() - hashes - hashes_of_new;
    assert_eq!(new.bytes, taken.bytes);
    assert_eq!((hashes_of_new, hashes_of_taken), (1, 1));
    let operations = database_operations(&test, "/v1/auth/register");
    assert_eq!(operations.len(), 2);
    assert_eq!(operations[0], operations[1], "both sent as many statements");

    let enqueued = emails(&test).await;
    assert_eq!(enqueued.last().expect("a job")["template"], "already_registered");
    assert_eq!(enqueued.last().expect("a job")["user"], owner.uuid().to_string());
    let after: String = sqlx::query_scalar(stored).fetch_one(test.pool()).await.expect("a hash");
    assert_eq!(before, after, "a stranger cannot change the password");
}

#[tokio::test]
async fn an_idempotency_key_changes_nothing() {
    let test = TestApp::start().await;
    let body = json!({"email": "ada@example.com", "display_name": "Ada", "password": PASSWORD});
    let send = || {
        let headers = [("idempotency-key", "k1")];
        test.send(test.request(None, Method::POST, "/v1/auth/register", &body, &headers))
    };
    let first = send().await.expect(202);
    let second = send().await.expect(202);
    assert_eq!(first.bytes, second.bytes);
    assert_eq!(count(&test, "select count(*) from pending_registrations").await, 2);
    assert_eq!(count(&test, "select count(*) from idempotency_keys").await, 0);
}

#[tokio::test]
async fn what_cannot_be_registered_is_refused_with_the_reason() {
    let test = TestApp::start().await;
    let good = json!({"email": "ada@example.com", "display_name": "Ada", "password": PASSWORD});
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body
    };
    let table = [
        (with("email", json!("no address")), "email: must be an e-mail address"),
        (with("email", json!("ada@example.com\u{0}")), "email: must be an e-mail address"),
        (
            with("email", json!(format!("{}@example.com", "a".repeat(250)))),
            "email: must be an e-mail address",
        ),
        (with("display_name", json!(" ")), "display_name: must have at least 1"),
        (with("display_name", json!("a".repeat(101))), "display_name: must have at most 100"),
        (with("display_name", json!("A\u{0}")), "display_name: must not contain control characters"),
        (with("password", json!("too short")), "password: must have 10 to 128 characters, not 9"),
        (with("password", json!("ab".repeat(65))), "password: must have 10 to 128 characters, not 130"),
        (with("password", json!("aaaaaaaaaaaa")), "password: must not be one character repeated"),
        (with("password", json!("Password123")), "password: is one of the most common passwords"),
        (with("password", json!("Ada@example.com")), "password: must not be the e-mail address"),
        (with("password", json!(1_234_567_890)), "password: invalid type"),
        (with("is_operator", json!(true)), "is_operator: unknown field"),
    ];
    for (body, reason) in table {
        let refused = post(&test, "register", body).await.expect_error(422, "invalid_field");
        assert!(refused.text("message").starts_with(reason), "{} but not {reason}", refused.body);
    }
    assert_eq!(count(&test, "select count(*) from pending_registrations").await, 0);
    assert_eq!(test.app.passwords.computed(), 0, "nothing was hashed");
}

#[tokio::test]
async fn a_failed_registration_leaves_nothing_behind() {
    let test = TestApp::start().await;
    test.break_table("jobs").await;
    register(&test, "ada@example.com").await.expect_error(500, "internal");
    assert_eq!(count(&test, "select count(*) from pending_registrations").await, 0);
    assert_eq!(count(&test, "select count(*) from jobs").await, 0);
}

#[tokio::test]
async fn a_link_works_once_for_its_purpose_and_its_time() {
    let test = TestApp::start().await;
    let email = "ada@example.com";
    register(&test, email).await.expect(202);
    let token = link(&test, email, LinkPurpose::VerifyEmail).await;

    for wrong in ["", "nonsense", "\0", &token[1..]] {
        post(&test, "verify-email", json!({"token": wrong})).await.expect_error(410, "link_expired");
    }
    let reset = json!({"token": token, "password": PASSWORD});
    post(&test, "reset-password", reset).await.expect_error(410, "link_expired");
    let unknown = test.app.tokens.link(LinkPurpose::VerifyEmail, Uuid::now_v7());
    post(&test, "verify-email", json!({"token": unknown.expose()})).await.expect_error(410, "link_expired");
    assert_eq!(failures(&test, "invalid_email_token"), 6);

    test.app.clock.advance(TimeDelta::hours(24));
    post(&test, "verify-email", json!({"token": token})).await.expect_error(410, "link_expired");
    register(&test, email).await.expect(202);
    let token = link(&test, email, LinkPurpose::VerifyEmail).await;
    test.app.clock.advance(TimeDelta::hours(24) - TimeDelta::seconds(1));
    post(&test, "verify-email", json!({"token": token})).await.expect(204);
    post(&test, "verify-email", json!({"token": token})).await.expect_error(410, "link_expired");
    assert_eq!((failures(&test, "invalid_email_token"), test.count(FAILURES)), (8, 8));
}

#[tokio::test]
async fn a_failed_confirmation_leaves_the_link_usable() {
    let test = TestApp::start().await;
    let email = "ada@example.com";
    register(&test, email).await.expect(202);
    let token = link(&test, email, LinkPurpose::VerifyEmail).await;
    test.break_table("users").await;
    post(&test, "verify-email", json!({"token": token})).await.expect_error(500, "internal");
    assert_eq!(count(&test, "select count(*) from pending_registrations").await, 1);
    assert_eq!(test.count(FAILURES), 0);
}

#[tokio::test]
async fn another_e_mail_is_sent_only_where_the_address_waits_for_one_and_nobody_can_tell() {
    let test = TestApp::start().await;
    register(&test, "waiting@example.com").await.expect(202);
    verified(&test, "verified@example.com").await;

    let mut answers = Vec::new();
    for email in ["waiting@example.com", "verified@example.com", "unknown@example.com"] {
        answers.push(post(&test, "resend-verification", json!({"email": email})).await.expect(202).bytes);
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    let operations = database_operations(&test, "/v1/auth/resend-verification");
    assert_eq!(operations, [operations[0]; 3], "all sent as many statements");

    test.run_due_jobs().await;
    let sent = test.emails();
    // One to each address on registration (one was confirmed before the job ran), and another to the one that
    // is still pending.
    assert_eq!(sent.len(), 2, "{sent:?}");
    assert!(sent.iter().all(|email| email.contains("To: waiting@example.com")), "{sent:?}");
    let token = link(&test, "waiting@example.com", LinkPurpose::VerifyEmail).await;
    post(&test, "verify-email", json!({"token": token})).await.expect(204);
}

/// Requests over the limit get the same response. So nobody can use up an owner's e-mails, or learn that
/// somebody else does.
#[tokio::test]
async fn nobody_can_be_bombed_with_e_mails() {
    let test = TestApp::start().await;
    let email = "ada@example.com";
    verified(&test, email).await;
    test.run_due_jobs().await;
    let before = test.emails().len();
    let ask = async |host: u32, path: &str| {
        let mut body = json!({"email": email});
        if path == "register" {
            body = json!({"email": email, "display_name": "Ada", "password": PASSWORD});
        }
        let mut request = test.request(None, Method::POST, &format!("/v1/auth/{path}"), &body, &[]);
        let peer = std::net::SocketAddr::from(([192, 0, 2, host as u8], 40_000));
        request.extensions_mut().insert(axum::extract::ConnectInfo(peer));
        test.send(request).await.expect(202)
    };
    let sent = async || {
        test.run_due_jobs().await;
        test.emails().len() - before
    };
    test.log_lines();
    let mut answers = Vec::new();
    for _ in 0..3 {
        for path in ["register", "request-password-reset"] {
            let hashes = test.app.passwords.computed();
            let answer = ask(1, path).await;
            answers.push((path, answer.bytes, test.app.passwords.computed() - hashes));
        }
    }
    let lines = test.log_lines();
    for route in ["/v1/auth/register", "/v1/auth/request-password-reset"] {
        let requests = lines.iter().filter(|line| line["http.route"] == route);
        let operations: Vec<&Value> = requests.map(|line| &line["db.operations"]).collect();
        assert_eq!(operations, [operations[0]; 3], "{route}");
    }
    assert!(answers.chunks(2).all(|pair| pair == &answers[..2]));
    assert_eq!(sent().await, 5, "from one network");

    for _ in 0..2 {
        ask(1, "request-password-reset").await;
    }
    ask(2, "request-password-reset").await;
    assert_eq!(sent().await, 6, "the owner, who is elsewhere, is not held off");
    for host in 3..10 {
        for _ in 0..5 {
            ask(host, "request-password-reset").await;
        }
    }
    // Three about registrations, and the hourly maximum of reset links per mailbox.
    assert_eq!(sent().await, 3 + 10, "from all networks together");
    test.app.clock.advance(TimeDelta::hours(1));
    ask(1, "request-password-reset").await;
    assert_eq!(sent().await, 3 + 11);
}

#[tokio::test]
async fn nobody_can_have_everybody_bombed_with_e_mails() {
    let test = TestApp::start().await;
    let request = |number: usize| json!({"email": format!("user{number}@example.com")});
    for number in 0..100 {
        post(&test, "request-password-reset", request(number)).await.expect(202);
    }
    let refused = post(&test, "request-password-reset", request(100)).await.expect_error(429, "rate_limited");
    assert_eq!(refused.header("retry-after"), Some("3600"));
}
