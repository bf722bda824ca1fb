//! Making somebody a platform operator.

use socialize::operators::{self, AddOperatorError};
use test_support::TestApp;

use crate::auth;

#[tokio::test]
async fn a_user_with_a_confirmed_address_becomes_an_operator() {
    let test = TestApp::start().await;
    let user = auth::verified(&test, "ada@example.com").await;
    test.begin_session(user).await;
    assert_eq!(test.get(user, "/v1/me").await.expect(200).body["is_operator"], false);
    for _ in 0..2 {
        let added = operators::add(&test.app.database, " Ada@example.com").await.expect("added");
        assert_eq!(added, user);
        assert_eq!(test.get(user, "/v1/me").await.expect(200).body["is_operator"], true);
    }
}

#[tokio::test]
async fn whoever_cannot_become_one_is_told_what_is_missing() {
    let test = TestApp::start().await;
    auth::register(&test, "waiting@example.com").await.expect(202);
    let refusal = async |email| operators::add(&test.app.database, email).await.expect_err("refused");
    assert!(matches!(refusal("waiting@example.com").await, AddOperatorError::NotVerified));
    assert!(matches!(refusal("unknown@example.com").await, AddOperatorError::UnknownUser));
    assert!(matches!(refusal("no address").await, AddOperatorError::InvalidAddress(_)));
    assert_eq!(auth::count(&test, "select count(*) from users where is_operator").await, 0);
    test.pool().close().await;
    let failed = refusal("waiting@example.com").await;
    assert_eq!(failed.to_string(), "the database failed: pool_closed");
}
