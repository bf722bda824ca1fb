//! The caller's own account.

use domain::ids::UserId;
use http::Method;
use serde_json::{Value, json};
use test_support::TestApp;
use uuid::Uuid;

const FAILURES: &str = "socialize.auth.failures";

#[tokio::test]
async fn one_reads_and_changes_ones_own_account() {
    let test = TestApp::start().await;
    let user = test.user("ada").await;
    let me = test.get(user, "/v1/me").await.expect(200);
    assert_eq!(me.text("id"), user.uuid().to_string());
    assert_eq!(me.text("display_name"), "ada");
    assert_eq!(me.body["is_operator"], false);
    assert!(me.text("email").ends_with("@example.com"));
    assert_eq!(me.text("created_at"), "2026-11-23T09:00:00Z");
    assert_eq!(me.body.as_object().expect("an object").len(), 5);

    let change = json!({"display_name": "Ada Lovelace"});
    let changed = test.call(Some(user), Method::PATCH, "/v1/me", change).await.expect(200);
    assert_eq!(changed.text("display_name"), "Ada Lovelace");
    assert_eq!(test.get(user, "/v1/me").await.expect(200).body, changed.body);

    let operator = test.operator().await;
    assert_eq!(test.get(operator, "/v1/me").await.expect(200).body["is_operator"], true);
}

#[tokio::test]
async fn what_cannot_be_changed_is_refused() {
    let test = TestApp::start().await;
    let user = test.user("ada").await;
    for body in
        [json!({}), json!({"display_name": ""}), json!({"display_name": null}), json!({"is_operator": true})]
    {
        test.call(Some(user), Method::PATCH, "/v1/me", body).await.expect_error(422, "invalid_field");
    }
    test.break_table("users").await;
    let change = json!({"display_name": "Ada Lovelace"});
    test.call(Some(user), Method::PATCH, "/v1/me", change).await.expect_error(500, "internal");
    assert_eq!(test.get(user, "/v1/me").await.expect(200).text("display_name"), "ada");
}

#[tokio::test]
async fn nobody_is_nobody() {
    let test = TestApp::start().await;
    for (method, body) in [(Method::GET, Value::Null), (Method::PATCH, json!({"display_name": "A"}))] {
        test.call(None, method.clone(), "/v1/me", body.clone()).await.expect_error(401, "unauthenticated");
        let gone = UserId::from(Uuid::now_v7());
        test.call(Some(gone), method, "/v1/me", body).await.expect_error(401, "unauthenticated");
    }
    assert_eq!(test.count(FAILURES), 4);
}
