//! Credentials and addresses are never recorded.

use serde_json::json;
use socialize::platform::token::LinkPurpose;
use test_support::TestApp;

use super::*;

#[tokio::test]
async fn no_password_token_or_address_is_in_any_line_span_or_job() {
    let test = TestApp::start().await;
    let email = "ada@example.com";
    let mut secrets = vec![email.to_owned(), "Ada".to_owned(), PASSWORD.to_owned(), WRONG.to_owned()];

    register(&test, email).await.expect(202);
    register(&test, email).await.expect(202);
    let verification = link(&test, email, LinkPurpose::VerifyEmail).await;
    log_in(&test, email, PASSWORD).await.expect(401);
    post(&test, "resend-verification", json!({"email": email})).await.expect(202);
    post(&test, "verify-email", json!({"token": verification})).await.expect(204);
    post(&test, "verify-email", json!({"token": verification})).await.expect(410);
    register(&test, email).await.expect(202);
    log_in(&test, email, WRONG).await.expect(401);
    let tokens = log_in(&test, email, PASSWORD).await.expect(200);
    let next = refresh(&test, &tokens.text("refresh_token")).await.expect(200);
    test.app.clock.advance(chrono::TimeDelta::seconds(30));
    refresh(&test, &tokens.text("refresh_token")).await.expect(401);
    post(&test, "logout", json!({"refresh_token": next.text("refresh_token")})).await.expect(204);
    post(&test, "request-password-reset", json!({"email": email})).await.expect(202);
    let reset = link(&test, email, LinkPurpose::ResetPassword).await;
    post(&test, "reset-password", json!({"token": reset, "password": "another good password"}))
        .await
        .expect(204);
    // A unique violation is an error in which Postgres quotes the value.
    let token = json!({"token": verification, "password": PASSWORD, "email": email});
    post(&test, "reset-password", token).await.expect(422);
    test.break_table("pending_registrations").await;
    register(&test, "other@example.com").await.expect(500);

    secrets.extend(["another good password".to_owned(), "other@example.com".to_owned()]);
    for answer in [&tokens, &next] {
        secrets.extend([answer.text("access_token"), answer.text("refresh_token")]);
    }
    secrets.extend([verification, reset]);
    let hashes: Vec<String> =
        sqlx::query_scalar("select password_hash from users").fetch_all(test.pool()).await.expect("hashes");
    secrets.extend(hashes);
    let mut recorded = Vec::new();
    test.app.telemetry.take_lines(&mut Vec::new(), |piece| recorded.append(piece));
    recorded.extend(test.app.telemetry.take_spans(usize::MAX, Vec::new()).request);
    recorded.extend(emails(&test).await.iter().flat_map(|payload| payload.to_string().into_bytes()));
    let recorded = String::from_utf8_lossy(&recorded).into_owned();
    assert!(recorded.contains("/v1/auth/login") && recorded.contains("reused_refresh_token"));
    for secret in secrets {
        assert!(!recorded.contains(&secret), "{secret} was recorded");
    }
}
