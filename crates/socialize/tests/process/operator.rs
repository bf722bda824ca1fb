//! `socialize operator add`

use test_support::TestDatabase;

use crate::harness::{Launch, User, program};

fn add(database_url: &str, email: &str) -> Launch {
    Launch::of(program(&["operator", "add", email])).variable("SOCIALIZE_DATABASE_URL", database_url)
}

#[tokio::test]
async fn a_confirmed_user_becomes_an_operator() {
    let database = TestDatabase::create().await;
    User::insert(database.pool()).await;
    let email: String =
        sqlx::query_scalar("select email from users").fetch_one(database.pool()).await.expect("a user");
    for _ in 0..2 {
        let ended = add(database.url(), &email).run().await;
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        assert!(ended.stdout.contains("is a platform operator"), "{}", ended.stdout);
    }
    let is_operator: bool =
        sqlx::query_scalar("select is_operator from users").fetch_one(database.pool()).await.expect("a user");
    assert!(is_operator);
}

#[tokio::test]
async fn nobody_else_does() {
    let database = TestDatabase::create().await;
    for (email, expected) in [("ada@example.com", "no user has this e-mail address"), ("ada", "the operator")]
    {
        let ended = add(database.url(), email).run().await;
        assert_eq!(ended.status.code(), Some(1), "{}", ended.stdout);
        assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    }
    let ended = Launch::of(program(&["operator", "add", "ada@example.com"])).run().await;
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stdout);
    assert!(ended.stderr.contains("SOCIALIZE_DATABASE_URL"), "{}", ended.stderr);
}
