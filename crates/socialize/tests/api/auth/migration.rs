//! Accounts of earlier versions after an upgrade.

use std::borrow::Cow;
use std::path::Path;

use sqlx::PgPool;
use sqlx::migrate::Migrator;
use test_support::TestDatabase;
use uuid::Uuid;

/// Applies all migrations up to this one.
async fn migrate_to(database: &TestDatabase, version: i64) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut migrator = Migrator::new(directory).await.expect("readable migrations");
    let migrations = migrator.iter().filter(|migration| migration.version <= version).cloned().collect();
    migrator.migrations = Cow::Owned(migrations);
    migrator.run(database.pool()).await.expect("migrated");
}

/// One confirmed user, one erased, and three unconfirmed ones: with one link, with two, and with only an
/// expired one.
const BEFORE: &str = "
    insert into users (id, email, display_name, password_hash, email_verified_at, created_at)
    select id::uuid, email, 'Somebody', '$argon2id$' || email, verified_at, now() - interval '2 days'
    from (values ('00000000-0000-0000-0000-000000000001', 'confirmed@example.com', now()),
                 ('00000000-0000-0000-0000-000000000002', 'erased-2@erased.invalid', null),
                 ('00000000-0000-0000-0000-000000000003', 'one@example.com', null),
                 ('00000000-0000-0000-0000-000000000004', 'two@example.com', null),
                 ('00000000-0000-0000-0000-000000000005', 'late@example.com', null)) as people (id, email, verified_at);
    insert into email_tokens (id, user_id, purpose, created_at, expires_at, used_at)
    select id::uuid, user_id::uuid, purpose, now() - age::interval, now() - age::interval + interval '1 day', used_at
    from (values
             ('00000000-0000-0000-0000-0000000000a1', '00000000-0000-0000-0000-000000000001',
              'verify_email', '2 days', now()),
             ('00000000-0000-0000-0000-0000000000a2', '00000000-0000-0000-0000-000000000001',
              'reset_password', '1 hour', null),
             ('00000000-0000-0000-0000-0000000000a3', '00000000-0000-0000-0000-000000000003',
              'verify_email', '3 hours', null),
             ('00000000-0000-0000-0000-0000000000a4', '00000000-0000-0000-0000-000000000004',
              'verify_email', '3 hours', null),
             ('00000000-0000-0000-0000-0000000000a5', '00000000-0000-0000-0000-000000000004',
              'verify_email', '2 hours', null),
             ('00000000-0000-0000-0000-0000000000a6', '00000000-0000-0000-0000-000000000005',
              'verify_email', '3 days', null)
         ) as links (id, user_id, purpose, age, used_at);
    insert into organizations (id, name, created_by, created_at)
    values ('00000000-0000-0000-0000-00000000000a', 'Example', '00000000-0000-0000-0000-000000000002', now());
";

async fn texts(pool: &PgPool, query: &'static str) -> Vec<String> {
    sqlx::query_scalar(query).fetch_all(pool).await.expect("rows")
}

#[tokio::test]
async fn users_who_have_not_confirmed_become_registrations_and_the_newest_link_works() {
    let database = TestDatabase::create_empty().await;
    migrate_to(&database, 10).await;
    sqlx::raw_sql(BEFORE).execute(database.pool()).await.expect("an older database");
    migrate_to(&database, i64::MAX).await;

    let users = texts(database.pool(), "select email from users order by email").await;
    assert_eq!(users, ["confirmed@example.com", "erased-2@erased.invalid"]);
    let links = texts(database.pool(), "select purpose from email_tokens").await;
    assert_eq!(links, ["reset_password"]);
    let waiting: Vec<(Uuid, String, String, bool)> = sqlx::query_as(
        "select id, email, password_hash, expires_at > now() from pending_registrations order by email",
    )
    .fetch_all(database.pool())
    .await
    .expect("registrations");
    let row = |id: u128, email: &str, is_valid| {
        (Uuid::from_u128(id), email.to_owned(), format!("$argon2id${email}"), is_valid)
    };
    // The next clean-up deletes the expired one.
    assert_eq!(
        waiting,
        [
            row(0xa6, "late@example.com", false),
            row(0xa3, "one@example.com", true),
            row(0xa5, "two@example.com", true)
        ]
    );
}
