//! `socialize operator add`, `remove` and `list`

use test_support::TestDatabase;
use test_support::process::{Launch, User, program};

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

    let run = async |arguments: &[&str]| {
        let command = Launch::of(program(&[&["operator"], arguments].concat()));
        command.variable("SOCIALIZE_DATABASE_URL", database.url()).run().await
    };
    let listed = run(&["list"]).await;
    assert_eq!((listed.status.code(), listed.stdout.lines().count()), (Some(0), 1), "{}", listed.stderr);
    assert!(listed.stdout.contains(&email), "{}", listed.stdout);
    let removed = run(&["remove", &email]).await;
    assert_eq!(removed.status.code(), Some(0), "{}", removed.stderr);
    assert!(removed.stdout.contains("no platform operator any more"), "{}", removed.stdout);
    let again = run(&["remove", &email]).await;
    assert_eq!(again.status.code(), Some(1), "{}", again.stdout);
    assert!(again.stderr.contains("no operator has this e-mail address"), "{}", again.stderr);
    let listed = run(&["list"]).await;
    assert!(listed.stdout.contains("There are no platform operators"), "{}", listed.stdout);
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
