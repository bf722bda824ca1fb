//! Log-in, token refresh and log-out.
//!
//! Long because each rule about sessions is a test, and all use the helpers at the end.

use std::collections::HashSet;
use std::pin::pin;

use chrono::TimeDelta;
use futures_util::future::select;
use serde_json::json;
use socialize::platform::passwords::{PasswordHashing, Passwords};
use socialize::platform::secret::Secret;
use socialize::platform::token::LinkPurpose;
use telemetry::ClosedSet;
use test_support::TestApp;

use super::*;

/// Reason for which the only session ended.
async fn ended_reason(test: &TestApp) -> Option<String> {
    sqlx::query_scalar("select ended_reason from sessions").fetch_one(test.pool()).await.expect("one session")
}

async fn me(test: &TestApp, access_token: &str) -> Answer {
    let authorization = format!("Bearer {access_token}");
    let headers = [("authorization", authorization.as_str())];
    test.send(test.request(None, Method::GET, "/v1/me", &Value::Null, &headers)).await
}

#[tokio::test]
async fn logging_in_yields_tokens_and_is_counted_once() {
    let test = TestApp::start().await;
    let user = verified(&test, "ada@example.com").await;
    test.log_lines();
    let tokens = log_in(&test, "ada@example.com", PASSWORD).await.expect(200);
    assert_eq!(tokens.text("token_type"), "Bearer");
    assert_eq!(tokens.body["expires_in"], 900);
    assert_eq!(tokens.header("cache-control"), Some("no-store"));
    assert_eq!(tokens.text("refresh_token").len(), 43, "256 bits");
    assert_eq!((test.count(ATTEMPTS), test.count(SUCCESSES), test.count(FAILURES)), (1, 1, 0));
    let lines = test.log_lines();
    let fact = lines.iter().find(|line| line["event"] == SUCCESSES).expect("a line of the fact");
    assert_eq!(fact["user.id"], user.uuid().to_string());

    let answer = me(&test, &tokens.text("access_token")).await.expect(200);
    assert_eq!(answer.text("id"), user.uuid().to_string());
    test.app.clock.advance(TimeDelta::minutes(15));
    me(&test, &tokens.text("access_token")).await.expect_error(401, "unauthenticated");
    assert_eq!(failures(&test, "expired_token"), 1);
}

#[tokio::test]
async fn an_unknown_address_and_a_wrong_password_cannot_be_told_apart() {
    let test = TestApp::start().await;
    verified(&test, "ada@example.com").await;
    register(&test, "waiting@example.com").await.expect(202);
    test.log_lines();

    let mut answers = Vec::new();
    for email in ["ada@example.com", "unknown@example.com", "waiting@example.com"] {
        let hashes = test.app.passwords.computed();
        let refused = log_in(&test, email, WRONG).await.expect_error(401, "invalid_credentials");
        let headers: Vec<_> = refused.headers.keys().map(|name| name.as_str().to_owned()).collect();
        answers.push((without_request_id(&refused), headers, test.app.passwords.computed() - hashes));
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], answers[2]);
    assert_eq!(answers[0].2, 1, "each compared one hash");
    let operations = database_operations(&test, "/v1/auth/login");
    assert_eq!(operations, [operations[0]; 3], "all sent as many statements");
    assert_eq!((test.count(ATTEMPTS), test.count(SUCCESSES)), (3, 0));
    assert_eq!((failures(&test, "invalid_credentials"), test.count(FAILURES)), (3, 3));
}

#[tokio::test]
async fn a_failed_transaction_is_no_login_and_no_failure_to_authenticate() {
    let test = TestApp::start().await;
    verified(&test, "ada@example.com").await;
    test.break_table("refresh_tokens").await;
    log_in(&test, "ada@example.com", PASSWORD).await.expect_error(500, "internal");
    assert_eq!((test.count(ATTEMPTS), test.count(SUCCESSES), test.count(FAILURES)), (0, 0, 0));
    assert_eq!(count(&test, "select count(*) from sessions").await, 0);
}

#[test]
fn a_full_queue_of_hashes_is_answered_with_when_to_come_back() {
    // Hashes are computed on the only blocking thread, which the test keeps busy.
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().max_blocking_threads(1).build().expect("a runtime");
    runtime.block_on(async {
        let test = TestApp::start_with_settings(|settings| {
            settings.password_hashing =
                PasswordHashing { at_once: 1, waiting: 0, ..settings.password_hashing };
        })
        .await;
        let (release, released) = std::sync::mpsc::channel::<()>();
        let busy = tokio::task::spawn_blocking(move || released.recv());

        let one = pin!(log_in(&test, "ada@example.com", WRONG));
        let other = pin!(log_in(&test, "grace@example.com", WRONG));
        let (first, second) = select(one, other).await.factor_first();
        let refused = first.expect_error(503, "unavailable");
        assert_eq!(refused.header("retry-after"), Some("1"));
        assert_eq!((test.count(ATTEMPTS), test.app.passwords.computed()), (0, 0));

        release.send(()).expect("the thread listens");
        second.await.expect_error(401, "invalid_credentials");
        busy.await.expect("released").expect("released");
    });
}

#[tokio::test]
async fn a_hash_of_lower_cost_is_replaced_at_the_next_login() {
    let test = TestApp::start_with_settings(|settings| settings.password_hashing.iterations = 2).await;
    verified(&test, "ada@example.com").await;
    let cheaper = PasswordHashing { iterations: 1, ..test.app.settings.password_hashing };
    let old = Passwords::new(cheaper).expect("possible");
    let permit = old.permit(std::net::IpAddr::from([192, 0, 2, 1]).into()).await.expect("a permit");
    let old = old.hash(permit, &Secret::new(PASSWORD)).await.expect("hashed");
    sqlx::query("update users set password_hash = $1")
        .bind(old.expose())
        .execute(test.pool())
        .await
        .expect("updated");

    // Concurrently, so that one finds the hash replaced after it has verified the old one.
    let (one, other) =
        tokio::join!(log_in(&test, "ada@example.com", PASSWORD), log_in(&test, "ada@example.com", PASSWORD));
    one.expect(200);
    other.expect(200);
    let hash: String =
        sqlx::query_scalar("select password_hash from users").fetch_one(test.pool()).await.expect("a hash");
    assert!(hash.starts_with("$argon2id$v=19$m=8,t=2,p=1$"), "{hash}");
    let hashes = test.app.passwords.computed();
    log_in(&test, "ada@example.com", PASSWORD).await.expect(200);
    assert_eq!(test.app.passwords.computed(), hashes + 1, "and then no more");
}

#[tokio::test]
async fn a_refresh_token_is_rotated_until_the_session_expires() {
    let test = TestApp::start().await;
    verified(&test, "ada@example.com").await;
    let mut tokens = log_in(&test, "ada@example.com", PASSWORD).await.expect(200);
    let mut seen = HashSet::new();
    for _ in 0..29 {
        test.app.clock.advance(TimeDelta::days(1));
        assert!(seen.insert(tokens.text("refresh_token")));
        tokens = refresh(&test, &tokens.text("refresh_token")).await.expect(200);
        assert_eq!(tokens.header("cache-control"), Some("no-store"));
        me(&test, &tokens.text("access_token")).await.expect(200);
    }
    test.app.clock.advance(TimeDelta::days(1));
    refresh(&test, &tokens.text("refresh_token")).await.expect_error(401, "unauthenticated");
    assert_eq!((failures(&test, "invalid_refresh_token"), test.count(FAILURES)), (1, 1));

    let stored: Vec<Vec<u8>> = sqlx::query_scalar("select token_hash from refresh_tokens")
        .fetch_all(test.pool())
        .await
        .expect("hashes");
    assert_eq!(stored.len(), 30);
    assert!(stored.iter().all(|hash| !seen.contains(&String::from_utf8_lossy(hash).into_owned())));
}

#[tokio::test]
async fn what_is_no_refresh_token_is_refused_like_an_unknown_one() {
    let test = TestApp::start().await;
    let verified_user = verified(&test, "ada@example.com").await;
    let mut answers = Vec::new();
    let access_token = test.access_token(verified_user);
    for wrong in ["", "nonsense", "\0", &"A".repeat(43), access_token.expose()] {
        let refused = refresh(&test, wrong).await.expect_error(401, "unauthenticated");
        answers.push(without_request_id(&refused));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(failures(&test, "invalid_refresh_token"), 5);
}

#[tokio::test]
async fn a_stolen_refresh_token_ends_the_family() {
    let test = TestApp::start().await;
    let user = verified(&test, "ada@example.com").await;
    let first = log_in(&test, "ada@example.com", PASSWORD).await.expect(200).text("refresh_token");
    let second = refresh(&test, &first).await.expect(200).text("refresh_token");
    let third = refresh(&test, &second).await.expect(200).text("refresh_token");
    test.log_lines();
    // Its successor was used, so it does not count as a repetition, however early.

    refresh(&test, &first).await.expect_error(401, "unauthenticated");
    assert_eq!(ended_reason(&test).await.as_deref(), Some("refresh_token_reused"));
    let lines = test.log_lines();
    let fact = lines.iter().find(|line| line["event"] == FAILURES).expect("a line of the fact");
    assert_eq!(fact["reason"], "reused_refresh_token");
    assert_eq!(fact["user.id"], user.uuid().to_string());

    refresh(&test, &third).await.expect_error(401, "unauthenticated");
    refresh(&test, &first).await.expect_error(401, "unauthenticated");
    assert_eq!(failures(&test, "reused_refresh_token"), 1);
    assert_eq!(failures(&test, "invalid_refresh_token"), 2);
    log_in(&test, "ada@example.com", PASSWORD).await.expect(200);
}

/// A client that lost the response, and a browser with two tabs.
#[tokio::test]
async fn a_refresh_is_repeated_once_with_the_same_result() {
    let test = TestApp::start().await;
    verified(&test, "ada@example.com").await;
    let first = log_in(&test, "ada@example.com", PASSWORD).await.expect(200).text("refresh_token");
    let lost = refresh(&test, &first).await.expect(200);
    test.app.clock.advance(TimeDelta::seconds(29));
    let repeated = refresh(&test, &first).await.expect(200);
    for token in ["access_token", "refresh_token"] {
        assert_eq!(repeated.text(token), lost.text(token));
    }
    assert_eq!((&lost.body["expires_in"], &repeated.body["expires_in"]), (&json!(900), &json!(871)));
    me(&test, &repeated.text("access_token")).await.expect(200);
    refresh(&test, &repeated.text("refresh_token")).await.expect(200);
    assert_eq!((test.count(FAILURES), count(&test, "select count(*) from refresh_tokens").await), (0, 3));
}

#[tokio::test]
async fn two_refreshes_together_get_the_same_tokens() {
    let test = TestApp::start().await;
    verified(&test, "ada@example.com").await;
    for _ in 0..5 {
        let token = log_in(&test, "ada@example.com", PASSWORD).await.expect(200).text("refresh_token");
        let (one, other) = tokio::join!(refresh(&test, &token), refresh(&test, &token));
        assert_eq!(one.expect(200).body, other.expect(200).body);
    }
    assert_eq!(test.count(FAILURES), 0);
}

/// Every other reuse counts as theft.
#[tokio::test]
async fn a_second_repetition_a_late_one_and_one_after_the_next_token_was_used_end_the_session() {
    let test = TestApp::start().await;
    verified(&test, "ada@example.com").await;
    for (name, repetitions, seconds, next_is_used) in
        [("a second repetition", 1, 0, false), ("a late one", 0, 30, false), ("after the next", 0, 0, true)]
    {
        let first = log_in(&test, "ada@example.com", PASSWORD).await.expect(200).text("refresh_token");
        let second = refresh(&test, &first).await.expect(200);
        for _ in 0..repetitions {
            refresh(&test, &first).await.expect(200);
        }
        let mut newest = second;
        if next_is_used {
            newest = refresh(&test, &newest.text("refresh_token")).await.expect(200);
        }
        test.app.clock.advance(TimeDelta::seconds(seconds));
        let before = failures(&test, "reused_refresh_token");
        refresh(&test, &first).await.expect_error(401, "unauthenticated");
        assert_eq!(failures(&test, "reused_refresh_token"), before + 1, "{name}");
        refresh(&test, &newest.text("refresh_token")).await.expect_error(401, "unauthenticated");
        // The thief's access token ends with the session.
        me(&test, &newest.text("access_token")).await.expect_error(401, "unauthenticated");
    }
    assert_eq!(count(&test, "select count(*) from sessions where ended_at is null").await, 0);
}

/// A token with a random successor, as earlier versions issued them.
#[tokio::test]
async fn a_token_whose_successor_was_random_is_not_repeated() {
    let test = TestApp::start().await;
    verified(&test, "ada@example.com").await;
    let first = log_in(&test, "ada@example.com", PASSWORD).await.expect(200).text("refresh_token");
    refresh(&test, &first).await.expect(200);
    sqlx::query("update refresh_tokens set token_hash = sha256('random') where used_at is null")
        .execute(test.pool())
        .await
        .expect("updated");
    refresh(&test, &first).await.expect_error(401, "unauthenticated");
    assert_eq!(ended_reason(&test).await.as_deref(), Some("refresh_token_reused"));
}

#[tokio::test]
async fn an_old_and_the_current_token_at_once_leave_no_usable_token() {
    let test = TestApp::start().await;
    verified(&test, "ada@example.com").await;
    for _ in 0..5 {
        let old = log_in(&test, "ada@example.com", PASSWORD).await.expect(200).text("refresh_token");
        let current = refresh(&test, &old).await.expect(200).text("refresh_token");
        test.app.clock.advance(TimeDelta::seconds(30));
        let (thief, owner) = tokio::join!(refresh(&test, &old), refresh(&test, &current));
        thief.expect_error(401, "unauthenticated");
        if owner.status == 200 {
            refresh(&test, &owner.text("refresh_token")).await.expect_error(401, "unauthenticated");
        }
    }
    assert_eq!(count(&test, "select count(*) from sessions where ended_at is null").await, 0);
}

#[tokio::test]
async fn access_tokens_end_with_log_out_a_new_password_and_theft() {
    let test = TestApp::start().await;
    verified(&test, "ada@example.com").await;
    let session = async || log_in(&test, "ada@example.com", PASSWORD).await.expect(200);
    let [logged_out, stolen, reset] = [session().await, session().await, session().await];
    for session in [&logged_out, &stolen, &reset] {
        me(&test, &session.text("access_token")).await.expect(200);
    }
    post(&test, "logout", json!({"refresh_token": logged_out.text("refresh_token")})).await.expect(204);
    me(&test, &logged_out.text("access_token")).await.expect_error(401, "unauthenticated");

    let next = refresh(&test, &stolen.text("refresh_token")).await.expect(200);
    test.app.clock.advance(TimeDelta::seconds(30));
    refresh(&test, &stolen.text("refresh_token")).await.expect_error(401, "unauthenticated");
    for session in [&stolen, &next] {
        me(&test, &session.text("access_token")).await.expect_error(401, "unauthenticated");
    }

    me(&test, &reset.text("access_token")).await.expect(200);
    post(&test, "request-password-reset", json!({"email": "ada@example.com"})).await.expect(202);
    let token = link(&test, "ada@example.com", LinkPurpose::ResetPassword).await;
    let new_password = json!({"token": token, "password": "another good password"});
    post(&test, "reset-password", new_password).await.expect(204);
    me(&test, &reset.text("access_token")).await.expect_error(401, "unauthenticated");
    assert_eq!(failures(&test, "ended_session"), 4);
}

#[tokio::test]
async fn a_failed_refresh_leaves_the_token_usable() {
    let test = TestApp::start().await;
    verified(&test, "ada@example.com").await;
    let token = log_in(&test, "ada@example.com", PASSWORD).await.expect(200).text("refresh_token");
    test.break_table("refresh_tokens").await;
    refresh(&test, &token).await.expect_error(500, "internal");
    assert_eq!(count(&test, "select count(*) from refresh_tokens where used_at is null").await, 1);
    assert_eq!(test.count(FAILURES), 0);
}

#[tokio::test]
async fn a_failed_end_of_a_family_is_not_counted() {
    let test = TestApp::start().await;
    verified(&test, "ada@example.com").await;
    let token = log_in(&test, "ada@example.com", PASSWORD).await.expect(200).text("refresh_token");
    refresh(&test, &token).await.expect(200);
    test.app.clock.advance(TimeDelta::seconds(30));
    test.break_table("sessions").await;
    refresh(&test, &token).await.expect_error(500, "internal");
    assert_eq!((ended_reason(&test).await, test.count(FAILURES)), (None, 0));
}

#[tokio::test]
async fn logging_out_ends_the_session_and_may_be_repeated() {
    let test = TestApp::start().await;
    verified(&test, "ada@example.com").await;
    let token = log_in(&test, "ada@example.com", PASSWORD).await.expect(200).text("refresh_token");
    for _ in 0..2 {
        post(&test, "logout", json!({"refresh_token": token})).await.expect(204);
    }
    assert_eq!(ended_reason(&test).await.as_deref(), Some("logged_out"));
    refresh(&test, &token).await.expect_error(401, "unauthenticated");
    assert_eq!((failures(&test, "invalid_refresh_token"), test.count(FAILURES)), (1, 1));
    post(&test, "logout", json!({"refresh_token": "unknown"})).await.expect(204);
    post(&test, "logout", json!({})).await.expect_error(422, "invalid_field");
}

#[tokio::test]
async fn a_failed_logout_is_answered_as_such() {
    let test = TestApp::start().await;
    verified(&test, "ada@example.com").await;
    let token = log_in(&test, "ada@example.com", PASSWORD).await.expect(200).text("refresh_token");
    test.break_table("sessions").await;
    post(&test, "logout", json!({"refresh_token": token})).await.expect_error(500, "internal");
    assert_eq!(ended_reason(&test).await, None);
}

/// A log-in that has verified the old password must not start a session after a reset has ended all of them.
#[tokio::test]
async fn no_session_begins_with_a_password_that_was_just_replaced() {
    let test = TestApp::start().await;
    let user = verified(&test, "ada@example.com").await;
    post(&test, "request-password-reset", json!({"email": "ada@example.com"})).await.expect(202);
    let token = link(&test, "ada@example.com", LinkPurpose::ResetPassword).await;

    // Both block on the user's row: the reset before it replaces the password, the log-in after it has
    // verified it.
    let mut blocker = test.pool().begin().await.expect("a transaction");
    sqlx::query("select from users where id = $1 for update")
        .bind(user)
        .execute(&mut *blocker)
        .await
        .expect("locked");
    let reset = post(&test, "reset-password", json!({"token": token, "password": "another good password"}));
    let login = log_in(&test, "ada@example.com", PASSWORD);
    let release = async {
        test.wait_until_blocked(2).await;
        blocker.rollback().await.expect("released");
    };
    let (reset, login, ()) = tokio::join!(reset, login, release);
    reset.expect(204);
    // Whichever got the lock first, no session remains.
    assert!([200, 401].contains(&login.status.as_u16()), "{}", login.body);
    assert_eq!(count(&test, "select count(*) from sessions where ended_at is null").await, 0);
    let successes = i64::from(login.status == 200);
    assert_eq!((test.count(ATTEMPTS), test.count(SUCCESSES)), (1, successes));
    assert_eq!(failures(&test, "invalid_credentials"), 1 - successes);
}

#[tokio::test]
async fn every_reason_has_a_series_from_the_start() {
    let test = TestApp::start().await;
    for reason in catalogue::labels::AuthFailureReason::ALL {
        assert_eq!(failures(&test, reason.as_str()), 0);
    }
}
