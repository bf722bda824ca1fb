//! Databases of the other tests.

use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use test_support::TestDatabase;

async fn databases(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar("SELECT datname FROM pg_database")
        .fetch_all(pool)
        .await
        .expect("the list of databases")
}

async fn name_of(database: &TestDatabase) -> String {
    sqlx::query_scalar("SELECT current_database()").fetch_one(database.pool()).await.expect("a name")
}

#[tokio::test]
async fn every_test_has_a_migrated_database_of_its_own() {
    let (one, other) = tokio::join!(TestDatabase::create(), TestDatabase::create());
    assert_ne!(name_of(&one).await, name_of(&other).await);
    sqlx::raw_sql("CREATE TABLE private (id int)").execute(one.pool()).await.expect("a table");
    sqlx::raw_sql("SELECT * FROM private").execute(other.pool()).await.expect_err("nobody else sees it");
    sqlx::raw_sql("SELECT * FROM _sqlx_migrations")
        .execute(other.pool())
        .await
        .expect("the migrations have run");

    let mut connection = PgConnection::connect(one.url()).await.expect("the URL works");
    sqlx::raw_sql("SELECT * FROM private").execute(&mut connection).await.expect("it is the same database");
}

#[tokio::test]
async fn a_database_goes_with_its_test_although_connections_are_open() {
    let observer = TestDatabase::create_empty().await;
    let database = TestDatabase::create().await;
    let name = name_of(&database).await;
    assert!(databases(observer.pool()).await.contains(&name));
    let still_open = database.pool().acquire().await.expect("a connection");
    drop(database);
    assert!(!databases(observer.pool()).await.contains(&name));
    drop(still_open);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_goes_with_a_test_that_panics() {
    let observer = TestDatabase::create_empty().await;
    let database = TestDatabase::create().await;
    let name = name_of(&database).await;
    let panicked = tokio::spawn(async move {
        let _database = database;
        panic!("as a failed test does");
    });
    assert!(panicked.await.expect_err("it panicked").is_panic());
    assert!(!databases(observer.pool()).await.contains(&name));
}

#[tokio::test]
async fn the_database_of_a_killed_test_is_dropped_by_the_next_one() {
    let observer = TestDatabase::create_empty().await;
    // A killed test leaves a database whose lock is free.
    let left = format!("socialize_test_{}", uuid::Uuid::new_v4().simple());
    sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {left}")))
        .execute(observer.pool())
        .await
        .expect("a database");
    let _next = TestDatabase::create_empty().await;
    let existing = databases(observer.pool()).await;
    assert!(!existing.contains(&left));
    assert!(existing.contains(&name_of(&observer).await), "the database of a living test is kept");
}
