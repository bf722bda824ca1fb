//! Management of platform operators.

use domain::ids::UserId;
use socialize::run::operators::{self, OperatorError};
use test_support::TestApp;

use crate::auth;

#[tokio::test]
async fn a_user_with_a_confirmed_address_becomes_an_operator() {
    let test = TestApp::start().await;
    let user = auth::verified(&test, "ada@example.com").await;
    test.begin_session(user).await;
    assert_eq!(test.get(user, "/v1/me").await.expect(200).body["is_operator"], false);
    for _ in 0..2 {
        let added = operators::add(&test.app.database, " Ada@example.com", test.app.clock.now())
            .await
            .expect("added");
        assert_eq!(added, user);
        assert_eq!(test.get(user, "/v1/me").await.expect(200).body["is_operator"], true);
    }
}

#[tokio::test]
async fn whoever_cannot_become_one_is_told_what_is_missing() {
    let test = TestApp::start().await;
    auth::register(&test, "waiting@example.com").await.expect(202);
    let refusal = async |email| {
        operators::add(&test.app.database, email, test.app.clock.now()).await.expect_err("refused")
    };
    assert!(matches!(refusal("waiting@example.com").await, OperatorError::NotVerified));
    assert!(matches!(refusal("unknown@example.com").await, OperatorError::UnknownUser));
    assert!(matches!(refusal("no address").await, OperatorError::InvalidAddress(_)));
    assert_eq!(auth::count(&test, "select count(*) from users where is_operator").await, 0);
    test.pool().close().await;
    let failed = refusal("waiting@example.com").await;
    assert_eq!(failed.to_string(), "the database failed: pool_closed");
}

#[tokio::test]
async fn what_makes_an_operator_can_be_taken_away_and_both_are_audited() {
    let test = TestApp::start().await;
    let (database, now) = (&test.app.database, test.app.clock.now());
    let ada = auth::verified(&test, "ada@example.com").await;
    let bob = auth::verified(&test, "bob@example.com").await;
    test.begin_session(ada).await;
    test.begin_session(bob).await;
    assert_eq!(operators::list(database).await.expect("a list").len(), 0);
    for user in ["ada@example.com", "bob@example.com", "ada@example.com"] {
        operators::add(database, user, now).await.expect("added");
    }
    let listed = operators::list(database).await.expect("a list");
    let listed: Vec<_> = listed.iter().map(|operator| (operator.id, operator.since)).collect();
    assert_eq!(listed, [(ada, Some(now)), (bob, Some(now))]);

    assert_eq!(operators::remove(database, " ADA@example.com", now).await.expect("removed"), ada);
    test.get(ada, "/v1/feedback-reports").await.expect_error(403, "forbidden");
    test.get(bob, "/v1/feedback-reports").await.expect(200);
    for (email, is_address) in [("ada@example.com", true), ("nobody@example.com", true), ("ada", false)] {
        let refusal = operators::remove(database, email, now).await.expect_err("refused");
        assert_eq!(matches!(refusal, OperatorError::NoOperator), is_address, "{email}: {refusal}");
    }
    let rows: Vec<(String, UserId, Option<String>, Option<String>)> =
        sqlx::query_as("select action, target_id, before, after from audit_events order by id")
            .fetch_all(test.pool())
            .await
            .expect("rows");
    let row = |action: &str, user, before: &str, after: &str| {
        (action.to_owned(), user, Some(before.to_owned()), Some(after.to_owned()))
    };
    assert_eq!(
        rows,
        [
            row("operator_added", ada, "false", "true"),
            row("operator_added", bob, "false", "true"),
            row("operator_removed", ada, "true", "false"),
        ]
    );
}
