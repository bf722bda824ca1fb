//! The database's constraints agree with the vocabulary and the limits in the code.
//!
//! Long because it is a table with a row for each constraint.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

use domain::approval::{RequiredApprovals, RevisionNumber};
use domain::audit::AuditAction;
use domain::ids::UserId;
use domain::limits;
use domain::vocabulary::{
    Channel, ContentItemStatus, Decision, EmailTokenPurpose, FeedbackKind, FeedbackStatus, InviteStatus,
    JobStatus, MediaType, OrganizationRole, PublishFailure, SessionEndReason, WorkspaceRole,
};
use sqlx::postgres::{PgHasArrayType, Postgres};
use sqlx::{Decode, Encode, Type};
use telemetry::ClosedSet;
use test_support::TestDatabase;
use uuid::Uuid;

/// Condition of every named check in the migrations, without line breaks.
fn checks() -> BTreeMap<String, String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut entries: Vec<fs::DirEntry> =
        fs::read_dir(directory).and_then(Iterator::collect).expect("migrations");
    entries.sort_by_key(fs::DirEntry::path);
    let mut checks = BTreeMap::new();
    for entry in entries {
        let sql = fs::read_to_string(entry.path()).expect("a readable migration");
        let sql: Vec<&str> =
            sql.lines().map(|line| line.split("--").next().unwrap_or_default().trim()).collect();
        for statement in sql.join(" ").split("constraint ").skip(1) {
            let Some((name, condition)) = statement.split_once(" check (") else { continue };
            // A constraint of another kind, followed by a check of the next statement.
            if name.contains(' ') {
                continue;
            }
            // A later migration that changes a check replaces it.
            checks.insert(name.to_owned(), up_to_closing_parenthesis(condition).trim().to_owned());
        }
    }
    checks
}

fn up_to_closing_parenthesis(text: &str) -> &str {
    let mut depth = 1;
    for (position, character) in text.char_indices() {
        depth += match character {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        if depth == 0 {
            return &text[..position];
        }
    }
    panic!("unbalanced parentheses in a check: {text}")
}

/// The values of `column in ('a', 'b')`.
fn listed(condition: &str) -> Vec<String> {
    let (_, list) = condition.split_once(" in (").expect("a closed set is checked by a list");
    list.trim_end_matches(')').split(',').map(|value| value.trim().trim_matches('\'').to_owned()).collect()
}

/// The bounds of `char_length(column) between 1 and 2`.
fn bounds(condition: &str) -> RangeInclusive<usize> {
    let (column, bounds) = condition.split_once(" between ").expect("a length is checked between two bounds");
    assert!(column.starts_with("char_length("), "lengths are counted in characters: {condition}");
    let (low, high) = bounds.split_once(" and ").expect("two bounds");
    low.parse().expect("a number")..=high.parse().expect("a number")
}

fn names<T: ClosedSet>() -> Vec<String> {
    T::ALL.iter().map(|value| value.as_str().to_owned()).collect()
}

#[test]
fn closed_sets_in_the_database_equal_the_vocabulary() {
    let expected: BTreeMap<&str, Vec<String>> = [
        ("approval_decisions_decision_known", names::<Decision>()),
        ("attachments_media_type_known", names::<MediaType>()),
        ("audit_events_action_known", names::<AuditAction>()),
        ("content_items_channel_known", names::<Channel>()),
        ("content_items_publish_failure_known", names::<PublishFailure>()),
        ("content_items_status_known", names::<ContentItemStatus>()),
        ("email_tokens_purpose_known", names::<EmailTokenPurpose>()),
        ("feedback_reports_kind_known", names::<FeedbackKind>()),
        ("feedback_reports_status_known", names::<FeedbackStatus>()),
        ("jobs_status_known", names::<JobStatus>()),
        ("organization_members_role_known", names::<OrganizationRole>()),
        ("sessions_ended_reason_known", names::<SessionEndReason>()),
        ("workspace_invites_role_known", names::<WorkspaceRole>()),
        ("workspace_invites_status_known", names::<InviteStatus>()),
        ("workspace_members_role_known", names::<WorkspaceRole>()),
    ]
    .into();
    let checks = checks();
    let found: BTreeMap<&str, Vec<String>> = checks
        .iter()
        .filter(|(name, _)| name.ends_with("_known"))
        .map(|(name, condition)| (name.as_str(), listed(condition)))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn lengths_in_the_database_equal_the_limits_of_the_api() {
    let expected: BTreeMap<&str, RangeInclusive<usize>> = [
        ("approval_decisions_note_length", limits::DECISION_NOTE),
        ("attachments_file_name_length", limits::FILE_NAME),
        ("comments_body_length", limits::COMMENT_BODY),
        ("content_revisions_body_length", limits::CONTENT_BODY),
        ("content_revisions_title_length", limits::CONTENT_TITLE),
        ("feedback_reports_body_length", limits::FEEDBACK_BODY),
        ("idempotency_keys_key_length", limits::IDEMPOTENCY_KEY),
        ("jobs_deduplication_key_length", limits::JOB_DEDUPLICATION_KEY),
        ("organizations_name_length", limits::ORGANIZATION_NAME),
        ("pending_registrations_display_name_length", limits::DISPLAY_NAME),
        ("pending_registrations_email_length", limits::EMAIL),
        ("publishing_endpoints_url_length", limits::PUBLISHING_ENDPOINT_URL),
        ("users_display_name_length", limits::DISPLAY_NAME),
        ("users_email_length", limits::EMAIL),
        ("workspace_invites_email_length", limits::EMAIL),
        ("workspaces_name_length", limits::WORKSPACE_NAME),
    ]
    .into();
    let checks = checks();
    let found: BTreeMap<&str, RangeInclusive<usize>> = checks
        .iter()
        .filter(|(name, _)| name.ends_with("_length"))
        .map(|(name, condition)| (name.as_str(), bounds(condition)))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn files_in_the_database_are_as_large_as_the_api_lets_them_be() {
    let checks = checks();
    let largest = |bytes: u64| format!("size between 1 and {bytes}");
    assert_eq!(checks["attachments_size_range"], largest(limits::ATTACHMENT_BYTES));
    assert_eq!(checks["feedback_screenshots_size_range"], largest(limits::SCREENSHOT_BYTES));
    let screenshots: Vec<&str> =
        MediaType::SCREENSHOTS.iter().map(|media_type| media_type.as_str()).collect();
    assert_eq!(listed(&checks["feedback_screenshots_media_type_listed"]), screenshots);
}

#[test]
fn the_range_of_required_approvals_equals_that_of_the_state_machine() {
    let expected = format!(
        "required_approvals between {} and {}",
        RequiredApprovals::MIN.get(),
        RequiredApprovals::MAX.get()
    );
    assert_eq!(checks()["workspaces_required_approvals_range"], expected);
}

/// Writes every value to a text column and reads it back, alone and in an array.
async fn survives<T>(database: &TestDatabase)
where
    T: ClosedSet + Debug + Send + Sync + Unpin + Type<Postgres> + PgHasArrayType,
    T: for<'row> Encode<'row, Postgres> + for<'row> Decode<'row, Postgres>,
{
    for value in T::ALL {
        let (text, back): (String, T) = sqlx::query_as("select $1::text, $1::text")
            .bind(value)
            .fetch_one(database.pool())
            .await
            .expect("the value survives");
        assert_eq!((text.as_str(), back), (value.as_str(), *value));
    }
    let listed: Vec<T> = sqlx::query_scalar("select unnest($1::text[])")
        .bind(T::ALL)
        .fetch_all(database.pool())
        .await
        .expect("the value survives");
    assert_eq!(listed, T::ALL);
    sqlx::query_scalar::<_, T>("select 'no such value'::text")
        .fetch_one(database.pool())
        .await
        .expect_err("an unknown value is an error");
}

#[tokio::test]
async fn closed_sets_and_ids_are_bound_and_read_as_they_are() {
    let database = TestDatabase::create().await;
    survives::<AuditAction>(&database).await;
    survives::<Channel>(&database).await;
    survives::<ContentItemStatus>(&database).await;
    survives::<Decision>(&database).await;
    survives::<EmailTokenPurpose>(&database).await;
    survives::<FeedbackKind>(&database).await;
    survives::<FeedbackStatus>(&database).await;
    survives::<InviteStatus>(&database).await;
    survives::<JobStatus>(&database).await;
    survives::<MediaType>(&database).await;
    survives::<OrganizationRole>(&database).await;
    survives::<SessionEndReason>(&database).await;
    survives::<WorkspaceRole>(&database).await;

    let id = UserId::from(Uuid::from_u128(7));
    let back: (UserId, Option<UserId>, RevisionNumber) = sqlx::query_as("select $1, null::uuid, $2")
        .bind(id)
        .bind(RevisionNumber::FIRST)
        .fetch_one(database.pool())
        .await
        .unwrap();
    assert_eq!(back, (id, None, RevisionNumber::FIRST));
    let listed: Vec<UserId> =
        sqlx::query_scalar("select unnest($1)").bind([id, id]).fetch_all(database.pool()).await.unwrap();
    assert_eq!(listed, [id, id]);
}

/// Two people in one organization with one workspace and one submitted content item.
const EXAMPLE: &str = "
    insert into users (id, email, display_name, password_hash, created_at)
    select id::uuid, email, 'Somebody', '$argon2id$example', now()
    from (values ('00000000-0000-0000-0000-000000000001', 'author@example.com'),
                 ('00000000-0000-0000-0000-000000000002', 'reviewer@example.com')) as people (id, email);
    insert into organizations (id, name, created_by, created_at)
    values ('00000000-0000-0000-0000-00000000000a', 'Example', '00000000-0000-0000-0000-000000000001', now());
    insert into organization_members (organization_id, user_id, role, created_at)
    select '00000000-0000-0000-0000-00000000000a', id, 'member', now() from users;
    insert into workspaces (id, organization_id, name, required_approvals, last_active_at, created_at)
    values ('00000000-0000-0000-0000-00000000000b', '00000000-0000-0000-0000-00000000000a', 'Brand', 1, now(), now());
    insert into workspace_members (workspace_id, organization_id, user_id, role, created_at)
    select '00000000-0000-0000-0000-00000000000b', '00000000-0000-0000-0000-00000000000a', id, 'reviewer', now()
    from users;
    begin;
    insert into content_items
        (id, workspace_id, channel, status, current_revision, status_entered_at, created_by, created_at, updated_at)
    values ('00000000-0000-0000-0000-00000000000c', '00000000-0000-0000-0000-00000000000b', 'x', 'in_approval', 1,
            now(), '00000000-0000-0000-0000-000000000001', now(), now());
    insert into content_revisions (content_item_id, number, title, body, author_id, created_at)
    values ('00000000-0000-0000-0000-00000000000c', 1, 'Title', '', '00000000-0000-0000-0000-000000000001', now());
    commit;
    insert into sessions (id, user_id, created_at, expires_at)
    values ('00000000-0000-0000-0000-00000000000d', '00000000-0000-0000-0000-000000000001', now(),
            now() + interval '1 day');
    insert into refresh_tokens (token_hash, session_id, issued_at)
    values (sha256('one'), '00000000-0000-0000-0000-00000000000d', now());
";

/// Statements that must fail, with the name of the violated constraint.
const REFUSED: &[(&str, &str)] = &[
    (
        "users_email_key",
        "insert into users (id, email, display_name, password_hash, created_at) \
      values (gen_random_uuid(), 'author@example.com', 'Twin', '$argon2id$example', now())",
    ),
    (
        "users_email_normalised",
        "update users set email = 'Author@example.com' where email = 'author@example.com'",
    ),
    (
        "users_email_normalised",
        "update users set email = ' a@example.com' where email = 'author@example.com'",
    ),
    ("users_email_normalised", "update users set email = 'nobody' where email = 'author@example.com'"),
    ("users_display_name_length", "update users set display_name = repeat('ä', 101)"),
    ("users_password_hash_argon2id", "update users set password_hash = 'secret'"),
    ("organizations_created_by_fkey", "delete from users where email = 'author@example.com'"),
    ("workspaces_required_approvals_range", "update workspaces set required_approvals = 6"),
    (
        "workspace_members_organization_member_fkey",
        "insert into workspace_members \
      (workspace_id, organization_id, user_id, role, created_at) select workspaces.id, organization_id, \
      gen_random_uuid(), 'author', now() from workspaces",
    ),
    ("content_items_status_known", "update content_items set status = 'lost'"),
    ("content_items_scheduled_at_set", "update content_items set status = 'scheduled'"),
    ("content_items_published_at_set", "update content_items set status = 'published'"),
    ("content_items_publishing_while_scheduled", "update content_items set publishing_started_at = now()"),
    (
        "content_items_publish_failure_while_failed",
        "update content_items set publish_failure = 'unreachable'",
    ),
    ("content_items_current_revision_fkey", "update content_items set current_revision = 2"),
    (
        "publishing_endpoints_pkey",
        "insert into publishing_endpoints (workspace_id, url, secret_id, created_at, updated_at) select id, \
         'https://example.com', gen_random_uuid(), now(), now() from workspaces cross join generate_series(1, 2)",
    ),
    (
        "publishing_endpoints_previous_secret_whole",
        "insert into publishing_endpoints (workspace_id, url, secret_id, created_at, updated_at, previous_secret_id) \
      select id, 'https://example.com', gen_random_uuid(), now(), now(), gen_random_uuid() from workspaces",
    ),
    (
        "approval_decisions_revision_fkey",
        "insert into approval_decisions (id, content_item_id, revision_number, \
      reviewer_id, decision, created_at) select gen_random_uuid(), content_items.id, 2, users.id, 'approve', now() \
      from content_items, users limit 1",
    ),
    (
        "approval_decisions_one_per_reviewer",
        "insert into approval_decisions (id, content_item_id, revision_number, \
      reviewer_id, decision, created_at) select gen_random_uuid(), content_items.id, 1, \
      '00000000-0000-0000-0000-000000000002', decision, now() from content_items, (values ('approve'), ('reject')) \
      as twice (decision)",
    ),
    (
        "workspace_invites_one_pending",
        "insert into workspace_invites (id, workspace_id, email, role, status, \
      invited_by, created_at, expires_at) select gen_random_uuid(), workspaces.id, 'new@example.com', 'author', \
      'pending', users.id, now(), now() + interval '7 days' from workspaces, users",
    ),
    (
        "workspace_invites_accepted_by_somebody",
        "insert into workspace_invites (id, workspace_id, email, role, status, \
      invited_by, created_at, expires_at, closed_at) select gen_random_uuid(), workspaces.id, 'new@example.com', \
      'author', 'accepted', users.id, now(), now() + interval '7 days', now() from workspaces, users limit 1",
    ),
    ("sessions_ended_with_reason", "update sessions set ended_at = now()"),
    (
        "refresh_tokens_one_unused_per_session",
        "insert into refresh_tokens (token_hash, session_id, issued_at) \
      select sha256('two'), id, now() from sessions",
    ),
    (
        "idempotency_keys_pkey",
        "insert into idempotency_keys (user_id, key, method_and_route, request_hash, created_at) \
      select '00000000-0000-0000-0000-000000000001', 'key', 'POST /v1/organizations', sha256('body'), now() \
      from generate_series(1, 2)",
    ),
    (
        "jobs_deduplication_key",
        "insert into jobs (id, kind, payload, deduplication_key, run_at, max_attempts, \
      created_at) select gen_random_uuid(), 'send_email', '{}', 'same', now(), 5, now() from generate_series(1, 2)",
    ),
    (
        "jobs_leased_while_running",
        "insert into jobs (id, kind, payload, status, run_at, max_attempts, created_at) \
      values (gen_random_uuid(), 'send_email', '{}', 'running', now(), 5, now())",
    ),
    (
        "jobs_times_are_finite",
        "insert into jobs (id, kind, payload, run_at, max_attempts, created_at) \
      values (gen_random_uuid(), 'send_email', '{}', '-infinity', 5, now())",
    ),
    (
        "jobs_times_are_finite",
        "insert into jobs (id, kind, payload, run_at, max_attempts, created_at) \
      values (gen_random_uuid(), 'send_email', '{}', now(), 5, 'infinity')",
    ),
    (
        "jobs_times_are_finite",
        "insert into jobs (id, kind, payload, status, lease_token, lease_expires_at, run_at, max_attempts, created_at) \
      values (gen_random_uuid(), 'send_email', '{}', 'running', gen_random_uuid(), 'infinity', now(), 5, now())",
    ),
    (
        "jobs_queued_with_an_attempt_left",
        "insert into jobs (id, kind, payload, attempts, run_at, max_attempts, created_at) \
      values (gen_random_uuid(), 'send_email', '{}', 5, now(), 5, now())",
    ),
    (
        "periodic_jobs_next_run_at_is_finite",
        "insert into periodic_jobs (kind, next_run_at) values ('expire_invites', 'infinity')",
    ),
    ("content_items_scheduled_at_is_finite", "update content_items set scheduled_at = '-infinity'"),
    (
        "jobs_trace_context_whole",
        "insert into jobs (id, kind, payload, run_at, max_attempts, created_at, span_id, \
      sampled) values (gen_random_uuid(), 'send_email', '{}', now(), 5, now(), '\\x0102030405060708', true)",
    ),
    (
        "jobs_trace_id_size",
        "insert into jobs (id, kind, payload, run_at, max_attempts, created_at, trace_id, span_id, \
      sampled) values (gen_random_uuid(), 'send_email', '{}', now(), 5, now(), '\\x01', '\\x0102030405060708', true)",
    ),
    (
        "jobs_last_error_type_is_a_name",
        "insert into jobs (id, kind, payload, run_at, max_attempts, created_at, \
      last_error_type) values (gen_random_uuid(), 'send_email', '{}', now(), 5, now(), 'Key (email)=(a@b) exists')",
    ),
];

#[tokio::test]
async fn constraints_keep_out_what_a_handler_could_forget() {
    let database = TestDatabase::create().await;
    sqlx::raw_sql(EXAMPLE).execute(database.pool()).await.unwrap();
    for (constraint, statement) in REFUSED {
        let error = sqlx::query(*statement).execute(database.pool()).await.expect_err(statement);
        let refused_by = error.as_database_error().and_then(|error| error.constraint());
        assert_eq!(refused_by, Some(*constraint), "{statement}: {error}");
    }
}

#[tokio::test]
async fn who_leaves_the_organization_leaves_its_workspaces() {
    let database = TestDatabase::create().await;
    sqlx::raw_sql(EXAMPLE).execute(database.pool()).await.unwrap();
    let leaves = "delete from organization_members where user_id = '00000000-0000-0000-0000-000000000002'";
    sqlx::query(leaves).execute(database.pool()).await.unwrap();
    assert_eq!(count(&database, "select count(*) from workspace_members").await, 1);
}

#[tokio::test]
async fn an_organization_is_deleted_with_all_that_belongs_to_it() {
    let database = TestDatabase::create().await;
    sqlx::raw_sql(EXAMPLE).execute(database.pool()).await.unwrap();
    sqlx::query("delete from organizations").execute(database.pool()).await.unwrap();
    let left = "select (select count(*) from workspaces) + (select count(*) from content_items) \
                + (select count(*) from content_revisions) + (select count(*) from workspace_members)";
    assert_eq!(count(&database, left).await, 0);
    assert_eq!(count(&database, "select count(*) from users").await, 2);
}

async fn count(database: &TestDatabase, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(database.pool()).await.expect("a count")
}

/// The overlay creates this role for its collector, which knows the password.
#[tokio::test]
async fn the_role_of_the_collector_reads_statistics_and_no_row() {
    use sqlx::Connection;
    use sqlx::postgres::{PgConnectOptions, PgConnection};

    let database = TestDatabase::create().await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/postgres/statistics.sql");
    let script = fs::read_to_string(script).expect("the script");
    let owner: PgConnectOptions = database.url().parse().expect("a URL");
    // A password that needs quoting, and a second run, as at each start.
    for _ in 0..2 {
        let owner = owner.clone().options([("statistics.password", "it's")]);
        let mut connection = PgConnection::connect_with(&owner).await.expect("a connection");
        sqlx::raw_sql(sqlx::AssertSqlSafe(script.clone()))
            .execute(&mut connection)
            .await
            .expect("the role is made");
    }

    let reader = owner.username("socialize_statistics").password("it's");
    let mut connection = PgConnection::connect_with(&reader).await.expect("the role can log in");
    let queries: i64 =
        sqlx::query_scalar("select count(*) from pg_stat_activity where query <> '<insufficient privilege>'")
            .fetch_one(&mut connection)
            .await
            .expect("statistics");
    assert!(queries > 0, "it sees what others do");
    sqlx::query("select pg_database_size(current_database())")
        .execute(&mut connection)
        .await
        .expect("a size");
    for forbidden in ["select 1 from users", "delete from users", "create table made (id int)"] {
        let refused = sqlx::query(forbidden).execute(&mut connection).await.expect_err(forbidden);
        let code = refused.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
        let codes = ["42501", "25006"];
        assert!(code.as_deref().is_some_and(|code| codes.contains(&code)), "{forbidden}: {refused}");
    }
}
