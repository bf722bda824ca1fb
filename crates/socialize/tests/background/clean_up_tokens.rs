//! Clean-up of expired data, and of nothing else.

use chrono::TimeDelta;
use socialize::features::auth::clean_up_tokens;
use test_support::TestApp;

async fn count(test: &TestApp, table: &str) -> i64 {
    let statement = format!("select count(*) from {table}");
    sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_one(test.pool()).await.expect("a count")
}

async fn execute(test: &TestApp, statement: &'static str) {
    let user = test.user("ada").await;
    sqlx::query(statement)
        .bind(user)
        .bind(test.app.clock.now())
        .execute(test.pool())
        .await
        .expect("executed");
}

#[tokio::test]
async fn expired_links_go_and_others_stay() {
    let test = TestApp::start().await;
    execute(
        &test,
        "insert into email_tokens (id, user_id, purpose, created_at, expires_at)
         select gen_random_uuid(), $1, 'verify_email', $2 - interval '1 day', $2 + n * interval '1 second'
         from generate_series(-2500, 9) n",
    )
    .await;
    clean_up_tokens::run(&test.app).await.expect("cleaned up");
    assert_eq!(count(&test, "email_tokens").await, 9);
    test.app.clock.advance(TimeDelta::seconds(9));
    clean_up_tokens::run(&test.app).await.expect("cleaned up");
    assert_eq!(count(&test, "email_tokens").await, 0);
}

#[tokio::test]
async fn registrations_that_nobody_confirmed_go_and_others_stay() {
    let test = TestApp::start().await;
    sqlx::query(
        "insert into pending_registrations (id, email, display_name, password_hash, created_at, expires_at)
         select gen_random_uuid(), 'ada@example.com', 'Ada', '$argon2id$not-a-hash', $1 - interval '1 day',
             $1 + n * interval '1 second'
         from generate_series(-2500, 9) n",
    )
    .bind(test.app.clock.now())
    .execute(test.pool())
    .await
    .expect("registrations");
    clean_up_tokens::run(&test.app).await.expect("cleaned up");
    assert_eq!(count(&test, "pending_registrations").await, 9);
}

#[tokio::test]
async fn idempotency_keys_go_after_a_day() {
    let test = TestApp::start().await;
    execute(
        &test,
        "insert into idempotency_keys (user_id, key, method_and_route, request_hash, created_at)
         select $1, 'key ' || n, 'POST /v1/organizations', sha256(''), $2 - n * interval '1 hour'
         from generate_series(0, 30) n",
    )
    .await;
    clean_up_tokens::run(&test.app).await.expect("cleaned up");
    assert_eq!(count(&test, "idempotency_keys").await, 24);
}

#[tokio::test]
async fn sessions_go_when_they_expire_or_ended_a_week_ago_with_their_tokens() {
    let test = TestApp::start().await;
    execute(
        &test,
        "with made as (
             insert into sessions (id, user_id, created_at, expires_at, ended_at, ended_reason)
             values (gen_random_uuid(), $1, $2 - interval '60 days', $2, null, null),
                    (gen_random_uuid(), $1, $2 - interval '60 days', $2 + interval '1 second', null, null),
                    (gen_random_uuid(), $1, $2 - interval '60 days', $2 + interval '1 day',
                     $2 - interval '7 days', 'logged_out'),
                    (gen_random_uuid(), $1, $2 - interval '60 days', $2 + interval '1 day',
                     $2 - interval '6 days', 'refresh_token_reused')
             returning id
         )
         insert into refresh_tokens (token_hash, session_id, issued_at)
         select sha256(id::text::bytea), id, $2 from made",
    )
    .await;
    clean_up_tokens::run(&test.app).await.expect("cleaned up");
    // Including the user's session.
    assert_eq!((count(&test, "sessions").await, count(&test, "refresh_tokens").await), (3, 2));
}

#[tokio::test]
async fn rows_that_somebody_works_with_are_left_to_the_next_run() {
    let test = TestApp::start().await;
    execute(
        &test,
        "insert into email_tokens (id, user_id, purpose, created_at, expires_at)
         select gen_random_uuid(), $1, 'verify_email', $2 - interval '2 days', $2 - n * interval '1 hour'
         from generate_series(1, 3) n",
    )
    .await;
    let mut user = test.pool().begin().await.expect("a transaction");
    sqlx::query("select id from email_tokens limit 1 for update").execute(&mut *user).await.expect("locked");
    clean_up_tokens::run(&test.app).await.expect("it does not wait");
    assert_eq!(count(&test, "email_tokens").await, 1);
    user.rollback().await.expect("given up");
    clean_up_tokens::run(&test.app).await.expect("cleaned up");
    assert_eq!(count(&test, "email_tokens").await, 0);
}
