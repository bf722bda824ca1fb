//! Limits on failed and successful log-ins.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::ConnectInfo;
use chrono::TimeDelta;
use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt};
use http::Request;
use serde_json::json;
use socialize::platform::passwords::PasswordHashing;
use test_support::TestApp;

use super::*;

/// A request from `peer` with this `X-Forwarded-For`.
fn request_from(
    test: &TestApp,
    path: &str,
    body: &Value,
    peer: &str,
    forwarded_for: Option<&str>,
) -> Request<Body> {
    let headers: Vec<_> = forwarded_for.map(|value| ("x-forwarded-for", value)).into_iter().collect();
    let mut request = test.request(None, Method::POST, &format!("/v1/auth/{path}"), body, &headers);
    let peer: SocketAddr = peer.parse().expect("an address with a port");
    request.extensions_mut().insert(ConnectInfo(peer));
    request
}

fn login_from(
    test: &TestApp,
    email: &str,
    password: &str,
    peer: &str,
    forwarded_for: Option<&str>,
) -> Request<Body> {
    request_from(test, "login", &json!({"email": email, "password": password}), peer, forwarded_for)
}

/// Fails as many log-ins to an account as hold off unknown networks.
pub(crate) async fn attack(test: &TestApp, email: &str) {
    for number in 0..30 {
        let peer = format!("198.51.100.{}:40000", number / 3);
        test.send(login_from(test, email, WRONG, &peer, None)).await.expect_error(401, "invalid_credentials");
    }
}

#[tokio::test]
async fn after_ten_failures_an_account_is_closed_to_their_network_for_the_rest_of_the_minute() {
    let test = TestApp::start().await;
    verified(&test, "ada@example.com").await;
    let attempt = async |peer: &str, password: &str| {
        test.send(login_from(&test, "ada@example.com", password, peer, None)).await
    };
    for _ in 1..=10 {
        attempt("192.0.2.1:40000", PASSWORD).await.expect(200);
        attempt("192.0.2.1:40000", WRONG).await.expect_error(401, "invalid_credentials");
    }
    test.app.clock.advance(TimeDelta::seconds(20));
    let hashes = test.app.passwords.computed();
    let refused = attempt("192.0.2.1:40000", PASSWORD).await.expect_error(429, "rate_limited");
    assert_eq!(refused.header("retry-after"), Some("40"));
    assert_eq!(test.app.passwords.computed(), hashes, "nothing was hashed");
    assert_eq!((failures(&test, "invalid_credentials"), failures(&test, "rate_limited")), (10, 1));
    assert_eq!((test.count(ATTEMPTS), test.count(SUCCESSES), test.count(FAILURES)), (21, 10, 11));
    attempt("192.0.2.2:40000", PASSWORD).await.expect(200);

    test.app.clock.advance(TimeDelta::seconds(40));
    attempt("192.0.2.1:40000", PASSWORD).await.expect(200);
}

#[tokio::test]
async fn an_unknown_account_is_closed_just_the_same() {
    let test = TestApp::start().await;
    verified(&test, "ada@example.com").await;
    let mut answers = Vec::new();
    for (host, email) in ["ada@example.com", "unknown@example.com"].into_iter().enumerate() {
        let peer = format!("192.0.2.{host}:40000");
        for _ in 0..10 {
            test.send(login_from(&test, email, WRONG, &peer, None)).await.expect(401);
        }
        let refused = test.send(login_from(&test, email, WRONG, &peer, None)).await;
        let refused = refused.expect_error(429, "rate_limited");
        answers.push((without_request_id(&refused), refused.header("retry-after").map(str::to_owned)));
    }
    assert_eq!(answers[0], answers[1]);
}

/// Wrong passwords from many networks: the user can still log in from known networks, and from others after a
/// password reset.
#[tokio::test]
async fn strangers_cannot_lock_a_user_out() {
    let test = TestApp::start().await;
    let email = "ada@example.com";
    verified(&test, email).await;
    let attempt =
        async |peer: &str, password: &str| test.send(login_from(&test, email, password, peer, None)).await;
    let (home, hotel, office) = ("192.0.2.1:40000", "192.0.2.2:40000", "192.0.2.3:40000");
    attempt(home, PASSWORD).await.expect(200);
    attack(&test, email).await;

    attempt(home, PASSWORD).await.expect(200);
    attempt(home, WRONG).await.expect_error(401, "invalid_credentials");
    // From unknown networks nobody learns whether a password is right.
    let hashes = test.app.passwords.computed();
    let right = attempt(hotel, PASSWORD).await.expect_error(401, "invalid_credentials");
    let wrong = attempt(hotel, WRONG).await.expect_error(401, "invalid_credentials");
    assert_eq!(without_request_id(&right), without_request_id(&wrong));
    assert_eq!(test.app.passwords.computed(), hashes + 2);
    assert_eq!(failures(&test, "rate_limited"), 2);

    let path = "request-password-reset";
    test.send(request_from(&test, path, &json!({"email": email}), hotel, None)).await.expect(202);
    let token = link(&test, email, LinkPurpose::ResetPassword).await;
    let new_password = json!({"token": token, "password": "another good password"});
    test.send(request_from(&test, "reset-password", &new_password, hotel, None)).await.expect(204);
    attempt(hotel, "another good password").await.expect(200);

    attempt(office, "another good password").await.expect_error(401, "invalid_credentials");
    test.app.clock.advance(TimeDelta::minutes(15));
    attempt(office, "another good password").await.expect(200);
}

#[tokio::test]
async fn after_thirty_failures_a_client_is_refused_whatever_the_account() {
    let test = TestApp::start().await;
    verified(&test, "ada@example.com").await;
    for number in 0..30 {
        let email = format!("user{number}@example.com");
        test.send(login_from(&test, &email, WRONG, "192.0.2.1:40000", None)).await.expect(401);
    }
    let from = async |peer: &str| test.send(login_from(&test, "ada@example.com", PASSWORD, peer, None)).await;
    from("192.0.2.1:50000").await.expect_error(429, "rate_limited");
    from("[::ffff:192.0.2.1]:50000").await.expect_error(429, "rate_limited");
    from("192.0.2.2:40000").await.expect(200);
}

#[tokio::test]
async fn a_v6_client_cannot_escape_within_its_network() {
    let test = TestApp::start().await;
    for number in 0..30 {
        let (email, peer) = (format!("user{number}@example.com"), format!("[2001:db8::{number}]:40000"));
        test.send(login_from(&test, &email, WRONG, &peer, None)).await.expect(401);
    }
    let from = async |peer: &str| test.send(login_from(&test, "ada@example.com", WRONG, peer, None)).await;
    from("[2001:db8::ffff:1]:40000").await.expect_error(429, "rate_limited");
    from("[2001:db8:0:1::1]:40000").await.expect_error(401, "invalid_credentials");
}

#[tokio::test]
async fn a_forwarded_address_is_believed_from_trusted_peers_only() {
    let test = TestApp::start_with_settings(|settings| {
        settings.trusted_peers = vec!["10.0.0.0/8".parse().expect("a network")];
    })
    .await;
    let attempt = async |number: usize, peer: &str, forwarded_for: &str| {
        let email = format!("user{number}@example.com");
        test.send(login_from(&test, &email, WRONG, peer, Some(forwarded_for))).await.status.as_u16()
    };
    for number in 0..30 {
        assert_eq!(attempt(number, "192.0.2.1:40000", &format!("198.51.100.{number}")).await, 401);
    }
    assert_eq!(
        attempt(30, "192.0.2.1:40000", "198.51.100.30").await,
        429,
        "a stranger's word counts nothing"
    );
    for number in 31..61 {
        let forged = format!("203.0.113.{number}, 198.51.100.1, 10.0.0.2");
        assert_eq!(attempt(number, "10.0.0.1:40000", &forged).await, 401);
    }
    assert_eq!(attempt(61, "10.0.0.1:40000", "203.0.113.99, 198.51.100.1").await, 429);
    assert_eq!(attempt(62, "10.0.0.1:40000", "198.51.100.2").await, 401);
}

#[tokio::test]
async fn guesses_that_come_together_do_not_pass_together() {
    let test = TestApp::start().await;
    verified(&test, "ada@example.com").await;
    let guesses = (0..30).map(|_| log_in(&test, "ada@example.com", WRONG));
    let statuses: Vec<u16> = join_all(guesses).await.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 10, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 20, "{statuses:?}");
    assert_eq!((test.count(ATTEMPTS), test.count(FAILURES)), (30, 30));
}

#[tokio::test]
async fn people_who_come_together_and_know_their_passwords_all_get_in() {
    let test = TestApp::start_with_settings(|settings| settings.password_hashing.at_once = 4).await;
    for number in 0..3 {
        verified(&test, &format!("user{number}@example.com")).await;
    }
    let emails: Vec<String> = (0..30).map(|number| format!("user{}@example.com", number % 3)).collect();
    for answer in join_all(emails.iter().map(|email| log_in(&test, email, PASSWORD))).await {
        answer.expect(200);
    }
    assert_eq!((test.count(ATTEMPTS), test.count(SUCCESSES)), (30, 30));
    assert_eq!(count(&test, "select count(*) from rate_limits where cardinality(events) > 10").await, 0);
}

#[tokio::test]
async fn a_failure_of_ours_is_not_counted_against_anybody() {
    let test = TestApp::start().await;
    verified(&test, "ada@example.com").await;
    test.break_table("sessions").await;
    for _ in 0..11 {
        log_in(&test, "ada@example.com", PASSWORD).await.expect_error(500, "internal");
    }
    log_in(&test, "ada@example.com", WRONG).await.expect_error(401, "invalid_credentials");
}

#[tokio::test]
async fn log_ins_to_one_account_are_limited_and_only_who_knows_the_password_can_tell() {
    let test = TestApp::start().await;
    let email = "ada@example.com";
    verified(&test, email).await;
    for _ in 0..30 {
        log_in(&test, email, PASSWORD).await.expect(200);
    }
    test.app.clock.advance(TimeDelta::minutes(1));
    let refused = log_in(&test, email, PASSWORD).await.expect_error(429, "rate_limited");
    assert_eq!(refused.header("retry-after"), Some("540"));
    log_in(&test, email, WRONG).await.expect_error(401, "invalid_credentials");
    // Further attempts compute no more hashes than wrong passwords do.
    for _ in 0..8 {
        log_in(&test, email, PASSWORD).await.expect_error(429, "rate_limited");
    }
    let hashes = test.app.passwords.computed();
    log_in(&test, email, PASSWORD).await.expect_error(429, "rate_limited");
    assert_eq!(test.app.passwords.computed(), hashes);
    test.app.clock.advance(TimeDelta::minutes(9));
    log_in(&test, email, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn a_user_has_so_many_sessions_and_the_oldest_end() {
    let test = TestApp::start().await;
    let email = "ada@example.com";
    verified(&test, email).await;
    let mut tokens = Vec::new();
    for _ in 0..27 {
        tokens.push(log_in(&test, email, PASSWORD).await.expect(200).text("refresh_token"));
        test.app.clock.advance(TimeDelta::minutes(1));
    }
    assert_eq!(count(&test, "select count(*) from sessions where ended_at is null").await, 25);
    let ended = "select count(*) from sessions where ended_reason = 'too_many_sessions'";
    assert_eq!(count(&test, ended).await, 2);
    refresh(&test, &tokens[1]).await.expect_error(401, "unauthenticated");
    refresh(&test, &tokens[2]).await.expect(200);
    // Concurrent ones as well.
    test.app.clock.advance(TimeDelta::minutes(10));
    join_all((0..10).map(|_| log_in(&test, email, PASSWORD))).await;
    assert_eq!(count(&test, "select count(*) from sessions where ended_at is null").await, 25);
}

/// One network sends sixty requests that compute hashes. Others still get their turn, even with a full queue.
#[tokio::test]
async fn a_flood_from_one_network_delays_itself_and_nobody_else() {
    let test = TestApp::start_with_settings(|settings| {
        settings.password_hashing =
            PasswordHashing { memory_kib: 4096, at_once: 1, waiting: 20, ..settings.password_hashing };
    })
    .await;
    verified(&test, "ada@example.com").await;
    let requests: Vec<(bool, Request<Body>)> = (0..60)
        .map(|number| {
            let email = format!("user{number}@example.com");
            let body = json!({"email": email, "display_name": "A", "password": PASSWORD});
            (false, request_from(&test, "register", &body, "192.0.2.1:40000", None))
        })
        .chain([(true, login_from(&test, "ada@example.com", PASSWORD, "192.0.2.2:40000", None))])
        .collect();
    let mut answers: FuturesUnordered<_> = requests
        .into_iter()
        .map(|(is_ada, request)| {
            let test = &test;
            async move {
                if is_ada {
                    // Lets the flood arrive first.
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
                (is_ada, test.send(request).await)
            }
        })
        .collect();
    let (mut served_before, mut refused, mut ada) = (0, 0, None);
    while let Some((is_ada, answer)) = answers.next().await {
        match answer.status.as_u16() {
            200 if is_ada => ada = Some(served_before),
            202 => served_before += 1,
            503 if !is_ada => refused += 1,
            status => panic!("{status}: {}", answer.body),
        }
    }
    let before_ada = ada.expect("Ada got in");
    assert!(refused > 0, "the queue was never full");
    assert!(before_ada < served_before, "Ada came last, after {served_before}");
}
