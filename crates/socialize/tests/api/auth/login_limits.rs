//! How often one may fail to log in.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::ConnectInfo;
use chrono::TimeDelta;
use futures_util::future::join_all;
use http::Request;
use serde_json::json;
use test_support::TestApp;

use super::*;

/// A request to log in that comes from `peer`, who says that it comes from `forwarded_for`.
fn login_from(
    test: &TestApp,
    email: &str,
    password: &str,
    peer: &str,
    forwarded_for: Option<&str>,
) -> Request<Body> {
    let body = json!({"email": email, "password": password});
    let headers: Vec<_> = forwarded_for.map(|value| ("x-forwarded-for", value)).into_iter().collect();
    let mut request = test.request(None, Method::POST, "/v1/auth/login", &body, &headers);
    let peer: SocketAddr = peer.parse().expect("an address with a port");
    request.extensions_mut().insert(ConnectInfo(peer));
    request
}

#[tokio::test]
async fn after_ten_failures_an_account_is_closed_for_the_rest_of_the_minute() {
    let test = TestApp::start().await;
    verified(&test, "ada@example.com").await;
    // Each from an address of its own, so that only the account reaches its limit.
    let attempt = async |number: u32, password: &str| {
        let peer = format!("192.0.2.{number}:40000");
        test.send(login_from(&test, "ada@example.com", password, &peer, None)).await
    };
    for number in 1..=10 {
        attempt(number, PASSWORD).await.expect(200);
        attempt(number, WRONG).await.expect_error(401, "invalid_credentials");
    }
    test.app.clock.advance(TimeDelta::seconds(20));
    let hashes = test.app.passwords.computed();
    let refused = attempt(11, PASSWORD).await.expect_error(429, "rate_limited");
    assert_eq!(refused.header("retry-after"), Some("40"));
    assert_eq!(test.app.passwords.computed(), hashes, "nothing was hashed");
    assert_eq!((failures(&test, "invalid_credentials"), failures(&test, "rate_limited")), (10, 1));
    assert_eq!((test.count(ATTEMPTS), test.count(SUCCESSES), test.count(FAILURES)), (21, 10, 11));

    test.app.clock.advance(TimeDelta::seconds(40));
    attempt(11, PASSWORD).await.expect(200);
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

#[tokio::test]
async fn after_ten_failures_a_client_is_refused_whatever_the_account() {
    let test = TestApp::start().await;
    verified(&test, "ada@example.com").await;
    for number in 0..10 {
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
    for number in 0..10 {
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
    for number in 0..10 {
        assert_eq!(attempt(number, "192.0.2.1:40000", &format!("198.51.100.{number}")).await, 401);
    }
    assert_eq!(
        attempt(10, "192.0.2.1:40000", "198.51.100.10").await,
        429,
        "a stranger's word counts nothing"
    );
    for number in 11..21 {
        let forged = format!("203.0.113.{number}, 198.51.100.1, 10.0.0.2");
        assert_eq!(attempt(number, "10.0.0.1:40000", &forged).await, 401);
    }
    assert_eq!(attempt(21, "10.0.0.1:40000", "203.0.113.99, 198.51.100.1").await, 429);
    assert_eq!(attempt(22, "10.0.0.1:40000", "198.51.100.2").await, 401);
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
    let test = TestApp::start().await;
    verified(&test, "ada@example.com").await;
    let logins = (0..30).map(|_| log_in(&test, "ada@example.com", PASSWORD));
    for answer in join_all(logins).await {
        answer.expect(200);
    }
    assert_eq!((test.count(ATTEMPTS), test.count(SUCCESSES)), (30, 30));
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
