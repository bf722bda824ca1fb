//! A link keeps the meaning it had when it was sent, whatever is requested before or afterwards.

use chrono::TimeDelta;
use domain::vocabulary::WorkspaceRole;
use futures_util::future::join_all;
use serde_json::json;
use socialize::platform::token::LinkPurpose;
use telemetry::ClosedSet;
use test_support::TestApp;

use super::*;

const EMAIL: &str = "ada@example.com";

async fn register_as(test: &TestApp, display_name: &str, password: &str) -> String {
    let body = json!({"email": EMAIL, "display_name": display_name, "password": password});
    post(test, "register", body).await.expect(202);
    link(test, EMAIL, LinkPurpose::VerifyEmail).await
}

async fn verify(test: &TestApp, token: &str) -> Answer {
    post(test, "verify-email", json!({"token": token})).await
}

/// Somebody else registers the address before and after its owner: the owner's link confirms the owner's
/// password.
#[tokio::test]
async fn a_link_confirms_the_registration_that_it_was_sent_for_and_no_other() {
    for owner_comes in 0..3 {
        let test = TestApp::start().await;
        let mut tokens = Vec::new();
        for round in 0..3 {
            let is_owner = round == owner_comes;
            let (name, password) = if is_owner { ("Ada", PASSWORD) } else { ("Intruder", WRONG) };
            tokens.push(register_as(&test, name, password).await);
        }
        verify(&test, &tokens[owner_comes]).await.expect(204);
        log_in(&test, EMAIL, WRONG).await.expect_error(401, "invalid_credentials");
        let session = log_in(&test, EMAIL, PASSWORD).await.expect(200);
        let authorization = format!("Bearer {}", session.text("access_token"));
        let headers = [("authorization", authorization.as_str())];
        let me = test.send(test.request(None, Method::GET, "/v1/me", &Value::Null, &headers)).await;
        assert_eq!(me.expect(200).text("display_name"), "Ada");

        for token in tokens {
            verify(&test, &token).await.expect_error(410, "link_expired");
        }
        log_in(&test, EMAIL, PASSWORD).await.expect(200);
        assert_eq!(count(&test, "select count(*) from pending_registrations").await, 0);
        assert_eq!(count(&test, "select count(*) from users").await, 1);
    }
}

#[tokio::test]
async fn of_links_that_are_used_together_one_wins_and_its_password_is_valid() {
    for _ in 0..5 {
        let test = TestApp::start().await;
        let passwords = [PASSWORD, WRONG, "a third good password", "a fourth good password"];
        let mut tokens = Vec::new();
        for password in passwords {
            tokens.push(register_as(&test, "Ada", password).await);
        }
        let answers = join_all(tokens.iter().map(|token| verify(&test, token))).await;
        let mut confirmed = Vec::new();
        for (answer, password) in answers.into_iter().zip(passwords) {
            if answer.status == 204 {
                confirmed.push(password);
            } else {
                answer.expect_error(410, "link_expired");
            }
        }
        assert_eq!(confirmed.len(), 1);
        log_in(&test, EMAIL, confirmed[0]).await.expect(200);
        assert_eq!(count(&test, "select count(*) from users").await, 1);
    }
}

#[tokio::test]
async fn an_expired_link_ends_no_other_registration() {
    let test = TestApp::start().await;
    let early = register_as(&test, "Ada", WRONG).await;
    test.app.clock.advance(TimeDelta::hours(23));
    let late = register_as(&test, "Ada", PASSWORD).await;
    test.app.clock.advance(TimeDelta::hours(1));
    verify(&test, &early).await.expect_error(410, "link_expired");
    verify(&test, &late).await.expect(204);
    log_in(&test, EMAIL, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn a_repeated_e_mail_carries_the_link_of_the_newest_registration() {
    let test = TestApp::start().await;
    register_as(&test, "Intruder", WRONG).await;
    let newest = register_as(&test, "Ada", PASSWORD).await;
    test.run_due_jobs().await;
    post(&test, "resend-verification", json!({"email": EMAIL})).await.expect(202);
    test.run_due_jobs().await;
    let sent = test.emails();
    assert_eq!(sent.len(), 3);
    let text = sent[2].replace("=\r\n", "").replace("=3D", "=");
    assert!(text.contains(&format!("#token={newest}")), "{text}");
}

#[tokio::test]
async fn registrations_of_one_address_are_bounded_and_the_oldest_end() {
    let test = TestApp::start().await;
    let mut tokens = Vec::new();
    for _ in 0..21 {
        tokens.push(register_as(&test, "Ada", PASSWORD).await);
        test.app.clock.advance(TimeDelta::hours(1));
    }
    assert_eq!(count(&test, "select count(*) from pending_registrations").await, 20);
    verify(&test, &tokens[0]).await.expect_error(410, "link_expired");
    verify(&test, &tokens[1]).await.expect(204);
}

#[tokio::test]
async fn a_link_for_a_new_password_sets_it_once_and_ends_all_others() {
    let test = TestApp::start().await;
    verified(&test, EMAIL).await;
    let mut tokens = Vec::new();
    for _ in 0..2 {
        post(&test, "request-password-reset", json!({"email": EMAIL})).await.expect(202);
        tokens.push(link(&test, EMAIL, LinkPurpose::ResetPassword).await);
    }
    // Another person's registration does not affect a link sent earlier.
    let intruder = json!({"email": EMAIL, "display_name": "Intruder", "password": WRONG});
    post(&test, "register", intruder).await.expect(202);
    let reset = |token: &str, password: &str| json!({"token": token, "password": password});
    post(&test, "reset-password", reset(&tokens[0], "another good password")).await.expect(204);
    post(&test, "reset-password", reset(&tokens[1], WRONG)).await.expect_error(410, "link_expired");
    log_in(&test, EMAIL, WRONG).await.expect_error(401, "invalid_credentials");
    log_in(&test, EMAIL, "another good password").await.expect(200);
}

/// The link names a user, not an address: it does not work for a later owner of the address.
#[tokio::test]
async fn a_link_for_a_new_password_does_not_outlive_its_account() {
    let test = TestApp::start().await;
    let first = verified(&test, EMAIL).await;
    post(&test, "request-password-reset", json!({"email": EMAIL})).await.expect(202);
    let token = link(&test, EMAIL, LinkPurpose::ResetPassword).await;
    sqlx::query("delete from users where id = $1").bind(first).execute(test.pool()).await.expect("deleted");
    verified(&test, EMAIL).await;
    let reset = json!({"token": token, "password": WRONG});
    post(&test, "reset-password", reset).await.expect_error(410, "link_expired");
    log_in(&test, EMAIL, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn a_link_of_an_invite_gives_the_role_that_it_was_sent_for() {
    let test = TestApp::start().await;
    let (organization, owner) = test.organization().await;
    let workspace = test.workspace(organization, 1).await;
    let guest = test.user("guest").await;
    let email = test.email_of(guest).await;
    let invites = format!("/v1/workspaces/{workspace}/invites");
    let invite = async |role: &str| {
        let created = test.post(owner, &invites, json!({"email": email, "role": role})).await.expect(201);
        (created.text("id"), link(&test, &email, LinkPurpose::WorkspaceInvite).await)
    };
    let (id, as_manager) = invite("manager").await;
    test.call(Some(owner), Method::DELETE, &format!("{invites}/{id}"), Value::Null).await.expect(204);
    let (_, as_reviewer) = invite("reviewer").await;
    let accept = async |token: &str| test.post(guest, "/v1/invites/accept", json!({"token": token})).await;
    accept(&as_manager).await.expect_error(410, "link_expired");
    assert_eq!(accept(&as_reviewer).await.expect(201).text("role"), WorkspaceRole::Reviewer.as_str());
}
