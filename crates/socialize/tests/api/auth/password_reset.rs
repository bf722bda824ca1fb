//! Password reset by e-mail.

use chrono::TimeDelta;
use serde_json::json;
use socialize::platform::token::LinkPurpose;
use test_support::TestApp;

use super::*;

const NEW_PASSWORD: &str = "another good password";

async fn request_reset(test: &TestApp, email: &str) -> Answer {
    post(test, "request-password-reset", json!({"email": email})).await
}

async fn reset(test: &TestApp, token: &str) -> Answer {
    post(test, "reset-password", json!({"token": token, "password": NEW_PASSWORD})).await
}

#[tokio::test]
async fn a_new_password_replaces_the_old_one_and_ends_all_sessions() {
    let test = TestApp::start().await;
    let email = "ada@example.com";
    verified(&test, email).await;
    let first = log_in(&test, email, PASSWORD).await.expect(200).text("refresh_token");
    let second = log_in(&test, email, PASSWORD).await.expect(200).text("refresh_token");
    verified(&test, "grace@example.com").await;
    let other = log_in(&test, "grace@example.com", PASSWORD).await.expect(200).text("refresh_token");

    request_reset(&test, email).await.expect(202);
    assert_eq!(emails(&test).await.last().expect("a job")["template"], "reset_password");
    let token = link(&test, email, LinkPurpose::ResetPassword).await;
    reset(&test, &token).await.expect(204);

    for token in [first, second] {
        refresh(&test, &token).await.expect_error(401, "unauthenticated");
    }
    refresh(&test, &other).await.expect(200);
    assert_eq!(count(&test, "select count(*) from sessions where ended_reason = 'password_reset'").await, 2);
    log_in(&test, email, PASSWORD).await.expect_error(401, "invalid_credentials");
    log_in(&test, email, NEW_PASSWORD).await.expect(200);
}

#[tokio::test]
async fn nobody_can_tell_whether_there_is_an_account() {
    let test = TestApp::start().await;
    verified(&test, "ada@example.com").await;
    let known = request_reset(&test, "ada@example.com").await.expect(202);
    let unknown = request_reset(&test, "unknown@example.com").await.expect(202);
    assert_eq!(known.bytes, unknown.bytes);
    let operations = database_operations(&test, "/v1/auth/request-password-reset");
    assert_eq!(operations, [operations[0]; 2], "both sent as many statements");
    let reset_tokens = "select count(*) from email_tokens where purpose = 'reset_password'";
    assert_eq!(count(&test, reset_tokens).await, 1);
}

#[tokio::test]
async fn only_those_who_wait_for_an_e_mail_get_one() {
    let test = TestApp::start().await;
    verified(&test, "ada@example.com").await;
    register(&test, "waiting@example.com").await.expect(202);
    let verification = link(&test, "waiting@example.com", LinkPurpose::VerifyEmail).await;
    for email in ["ada@example.com", "unknown@example.com"] {
        request_reset(&test, email).await.expect(202);
        post(&test, "resend-verification", json!({"email": email})).await.expect(202);
    }
    test.run_due_jobs().await;
    assert_eq!(count(&test, "select count(*) from jobs").await, 0, "no job is left, and none was given up");

    let reset = link(&test, "ada@example.com", LinkPurpose::ResetPassword).await;
    let sent = test.emails();
    // Ada confirmed her address before the job ran, so that e-mail is obsolete as well.
    assert_eq!(sent.len(), 2, "{sent:?}");
    assert!(
        sent[0].contains("To: waiting@example.com") && sent[1].contains("To: ada@example.com"),
        "{sent:?}"
    );
    for (email, token) in sent.iter().zip([verification, reset]) {
        let text = email.replace("=\r\n", "").replace("=3D", "=");
        assert!(text.contains(&format!("#token={token}")), "{text}");
        assert!(!text.contains("Ada"), "the name may be that of a stranger: {text}");
    }
}

#[tokio::test]
async fn a_link_works_once_and_for_an_hour() {
    let test = TestApp::start().await;
    let email = "ada@example.com";
    verified(&test, email).await;
    request_reset(&test, email).await.expect(202);
    let expired = link(&test, email, LinkPurpose::ResetPassword).await;
    test.app.clock.advance(TimeDelta::hours(1));
    let hashes = test.app.passwords.computed();
    reset(&test, &expired).await.expect_error(410, "link_expired");
    reset(&test, "nonsense").await.expect_error(410, "link_expired");
    assert_eq!(test.app.passwords.computed(), hashes, "nothing was hashed");

    request_reset(&test, email).await.expect(202);
    request_reset(&test, email).await.expect(202);
    let fresh = links(&test, email, LinkPurpose::ResetPassword).await;
    test.app.clock.advance(TimeDelta::hours(1) - TimeDelta::seconds(1));
    let weak = json!({"token": fresh[1], "password": "short"});
    post(&test, "reset-password", weak).await.expect_error(422, "invalid_field");
    reset(&test, &fresh[1]).await.expect(204);
    reset(&test, &fresh[1]).await.expect_error(410, "link_expired");
    reset(&test, &fresh[0]).await.expect_error(410, "link_expired");
    assert_eq!((failures(&test, "invalid_email_token"), test.count(FAILURES)), (4, 4));
}

#[tokio::test]
async fn of_two_links_used_at_once_one_works() {
    let test = TestApp::start().await;
    let email = "ada@example.com";
    verified(&test, email).await;
    for _ in 0..2 {
        request_reset(&test, email).await.expect(202);
    }
    let tokens = links(&test, email, LinkPurpose::ResetPassword).await;
    let (one, other) = tokio::join!(reset(&test, &tokens[0]), reset(&test, &tokens[1]));
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 410]);
}

#[tokio::test]
async fn a_failed_reset_changes_nothing() {
    let test = TestApp::start().await;
    let email = "ada@example.com";
    verified(&test, email).await;
    log_in(&test, email, PASSWORD).await.expect(200);
    request_reset(&test, email).await.expect(202);
    let token = link(&test, email, LinkPurpose::ResetPassword).await;
    test.break_table("sessions").await;
    reset(&test, &token).await.expect_error(500, "internal");
    let usable = "select count(*) from email_tokens where purpose = 'reset_password' and used_at is null";
    assert_eq!(count(&test, usable).await, 1);
    assert_eq!(count(&test, "select count(*) from sessions where ended_at is null").await, 1);
    assert_eq!(count(&test, "select count(*) from users where password_reset_at is null").await, 1);
    assert_eq!(test.count(FAILURES), 0);
}

#[tokio::test]
async fn a_failed_request_enqueues_nothing() {
    let test = TestApp::start().await;
    verified(&test, "ada@example.com").await;
    test.break_table("jobs").await;
    request_reset(&test, "ada@example.com").await.expect_error(500, "internal");
    let tokens = "select count(*) from email_tokens where purpose = 'reset_password'";
    assert_eq!(count(&test, tokens).await, 0);
}
