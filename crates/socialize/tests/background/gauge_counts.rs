//! Counts by status are exact at every moment, whatever happens to the rows.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use socialize::platform::gauges::{Difference, compare, fold, repair};
use sqlx::{PgConnection, PgPool};
use test_support::TestApp;

/// A user, an organization, and a function that inserts a content item with all required columns.
const EXAMPLE: &str = "
    insert into users (id, email, display_name, password_hash, created_at)
    values ('00000000-0000-0000-0000-000000000001', 'a@example.com', 'A', '$argon2id$example', now());
    insert into organizations (id, name, created_by, created_at)
    values ('00000000-0000-0000-0000-00000000000a', 'A', '00000000-0000-0000-0000-000000000001', now());
    create function add_workspace(id uuid) returns void language sql as $$
        insert into workspaces (id, organization_id, name, required_approvals, last_active_at, created_at)
        values (id, '00000000-0000-0000-0000-00000000000a', 'W', 1, now(), now())
        on conflict do nothing
    $$;
    create function add_item(item uuid, workspace uuid, initial text) returns void language sql as $$
        insert into content_items
            (id, workspace_id, channel, status, current_revision, scheduled_at, published_at, status_entered_at,
             created_by, created_at, updated_at)
        values (item, workspace, 'x', initial, 1, now(), now(), now(), '00000000-0000-0000-0000-000000000001',
                now(), now())
        on conflict (id) do update set status = excluded.status;
        insert into content_revisions (content_item_id, number, title, body, author_id, created_at)
        values (item, 1, 'T', '', '00000000-0000-0000-0000-000000000001', now())
        on conflict do nothing
    $$;
    create function any_status() returns text language sql as $$
        select (array['draft', 'in_approval', 'approved', 'scheduled', 'published'])[1 + floor(random() * 5)]
    $$;
    create function add_report(report uuid, status text) returns void language sql as $$
        insert into feedback_reports (id, reporter_id, kind, status, body, created_at, updated_at)
        values (report, '00000000-0000-0000-0000-000000000001', 'bug', status, 'B', now(), now())
    $$;
    select add_workspace('00000000-0000-0000-0000-0000000000b0');
";

const ADD: &str = "select add_item(gen_random_uuid(), (select id from workspaces limit 1), any_status()) from \
                   generate_series(1, 3)";
/// One of few ids, so that half of them exist.
const UPSERT: &str = "select add_item(lpad(to_hex((random() * 20)::int), 32, '0')::uuid, (select id from workspaces \
                      limit 1), any_status())";
const MOVE: &str = "update content_items set status = any_status() where id in (select id from content_items order by \
                    random() limit 3)";
const EDIT: &str = "update content_items set version = version + 1 where id in (select id from content_items order by \
                    random() limit 3)";
const MERGE: &str = "merge into content_items as t
     using (select id from content_items order by random() limit 2) as s on t.id = s.id
     when matched and t.status = 'draft' then delete when matched then update set status = any_status()";
const DELETE: &str =
    "delete from content_items where id in (select id from content_items order by random() limit 2)";
const CASCADE: &str =
    "with gone as (delete from workspaces where id = (select id from workspaces order by random() limit 1))
     select add_workspace(gen_random_uuid())";
/// Postgres cannot truncate a table with deferred constraint checks.
const TRUNCATE: &str = "set constraints all immediate; truncate content_items cascade";
const REPORT: &str = "select add_report(gen_random_uuid(), 'new')";
const TRIAGE: &str =
    "update feedback_reports set status = case status when 'new' then 'triaged' else 'resolved' end";

const STATEMENTS: [&str; 14] =
    [ADD, ADD, ADD, UPSERT, UPSERT, MOVE, MOVE, EDIT, MERGE, DELETE, CASCADE, TRUNCATE, REPORT, TRIAGE];

/// Number of transactions per writer.
const TRANSACTIONS: usize = 120;
const WRITERS: usize = 6;

/// Runs up to five statements in one transaction, some in savepoints that are rolled back, and usually
/// commits.
async fn transaction(pool: &PgPool, random: &mut StdRng) -> sqlx::Result<bool> {
    let mut transaction = pool.begin().await?;
    // The default deadlock check would take a second.
    sqlx::query("set local lock_timeout = '20ms'").execute(&mut *transaction).await?;
    for _ in 0..random.random_range(1..=5) {
        let statement = STATEMENTS[random.random_range(0..STATEMENTS.len())];
        // Truncation excludes all other writers, so it is rare.
        if statement == TRUNCATE && random.random_range(0..5) > 0 {
            continue;
        }
        let is_undone = random.random_range(0..4) == 0;
        if is_undone {
            sqlx::query("savepoint here").execute(&mut *transaction).await?;
        }
        sqlx::raw_sql(statement).execute(&mut *transaction).await?;
        if is_undone {
            sqlx::query("rollback to savepoint here").execute(&mut *transaction).await?;
        }
    }
    let commits = random.random_range(0..4) > 0;
    if commits {
        transaction.commit().await?;
    } else {
        transaction.rollback().await?;
    }
    Ok(commits)
}

/// Runs transactions and returns the number of commits. Deadlocked ones, and those whose workspace has just
/// been deleted, are rolled back, which the counts must survive as well.
async fn write(pool: PgPool, seed: u64) -> usize {
    let mut random = StdRng::seed_from_u64(seed);
    let mut committed = 0;
    for _ in 0..TRANSACTIONS {
        match transaction(&pool, &mut random).await {
            Ok(commits) => committed += usize::from(commits),
            Err(error) => {
                let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default();
                let is_expected =
                    ["40P01", "55P03", "23503", "23502", "23505", "21000"].contains(&code.as_ref());
                assert!(is_expected, "seed {seed}: {error}");
            }
        }
    }
    committed
}

async fn differences(test: &TestApp, connection: &mut PgConnection) -> Vec<Difference> {
    compare(&test.app.database, connection).await.expect("a comparison")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn counts_are_exact_at_every_moment_while_many_write_and_others_fold() {
    let test = TestApp::start().await;
    sqlx::raw_sql(EXAMPLE).execute(test.pool()).await.expect("an example");
    let writers: Vec<_> =
        (0..WRITERS).map(|seed| tokio::spawn(write(test.pool().clone(), seed as u64))).collect();
    let (is_over, compared, folded) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    // The comparison is a single statement with one snapshot, so both sides must always be equal.
    let comparing = async {
        let mut connection = test.pool().acquire().await.expect("a connection");
        while !is_over.load(Relaxed) {
            assert_eq!(differences(&test, &mut connection).await, []);
            compared.fetch_add(1, Relaxed);
        }
    };
    let folding = async || {
        let mut connection = test.pool().acquire().await.expect("a connection");
        while !is_over.load(Relaxed) {
            // Two fold concurrently, as after a frozen process wakes.
            if let Ok(count) = fold(&test.app.database, &mut connection).await {
                folded.fetch_add(count as usize, Relaxed);
            }
        }
    };
    let writing = async {
        let mut committed = 0;
        for writer in writers {
            committed += writer.await.expect("a writer");
        }
        is_over.store(true, Relaxed);
        committed
    };
    let (committed, (), (), ()) = tokio::join!(writing, comparing, folding(), folding());
    let mut connection = test.pool().acquire().await.expect("a connection");
    assert_eq!(differences(&test, &mut connection).await, []);
    let sizes = (committed, compared.into_inner(), folded.into_inner());
    assert!(sizes.0 > WRITERS * TRANSACTIONS / 4 && sizes.1 > 20 && sizes.2 > 200, "{sizes:?}");
}

#[tokio::test]
async fn folding_changes_no_count_and_leaves_nothing_behind() {
    let test = TestApp::start().await;
    sqlx::raw_sql(EXAMPLE).execute(test.pool()).await.expect("an example");
    let mut connection = test.pool().acquire().await.expect("a connection");
    let counts = async || -> Vec<(String, String, i64)> {
        sqlx::query_as("select gauge, status, count from gauge_counts where count <> 0 order by 1, 2")
            .fetch_all(test.pool())
            .await
            .expect("counts")
    };
    for statement in [ADD, ADD, MOVE, REPORT, TRIAGE] {
        sqlx::query(statement).execute(&mut *connection).await.expect("done");
    }
    let before = counts().await;
    assert_eq!(before.iter().map(|(_, _, count)| count).sum::<i64>(), 7);
    assert!(fold(&test.app.database, &mut connection).await.expect("folded") > 0);
    assert_eq!(counts().await, before);
    assert_eq!(fold(&test.app.database, &mut connection).await.expect("folded"), 0);
    assert_eq!(differences(&test, &mut connection).await, []);
}

#[tokio::test]
async fn a_status_that_another_trigger_changes_is_counted() {
    let test = TestApp::start().await;
    sqlx::raw_sql(EXAMPLE).execute(test.pool()).await.expect("an example");
    sqlx::raw_sql(
        "create function archive() returns trigger language plpgsql as
             $$ begin new.status := 'archived'; return new; end $$;
         create trigger archive before update on content_items for each row execute function archive();",
    )
    .execute(test.pool())
    .await
    .expect("a trigger");
    let mut connection = test.pool().acquire().await.expect("a connection");
    for statement in [ADD, EDIT] {
        sqlx::query(statement).execute(&mut *connection).await.expect("done");
    }
    let archived: i64 = sqlx::query_scalar("select count from gauge_counts where status = 'archived'")
        .fetch_one(test.pool())
        .await
        .expect("a count");
    assert_eq!(archived, 3);
    assert_eq!(differences(&test, &mut connection).await, []);
}

#[tokio::test]
async fn truncating_where_it_could_not_be_counted_is_refused() {
    let test = TestApp::start().await;
    let mut transaction = test.pool().begin().await.expect("a transaction");
    sqlx::query("set transaction isolation level repeatable read")
        .execute(&mut *transaction)
        .await
        .expect("set");
    let error = sqlx::raw_sql(TRUNCATE).execute(&mut *transaction).await.expect_err("refused").to_string();
    assert!(error.contains("READ COMMITTED"), "{error}");
}

#[tokio::test]
async fn what_bypassed_the_triggers_is_found_and_repaired_while_others_write() {
    let test = TestApp::start().await;
    sqlx::raw_sql(EXAMPLE).execute(test.pool()).await.expect("an example");
    let mut connection = test.pool().acquire().await.expect("a connection");
    for statement in [
        "alter table content_items disable trigger user",
        "select add_item(gen_random_uuid(), (select id from workspaces), 'draft') from generate_series(1, 3)",
        "alter table content_items enable trigger user",
        "insert into gauge_transitions (gauge, to_status, count) values ('feedback_reports', 'new', 2)",
    ] {
        sqlx::query(statement).execute(&mut *connection).await.expect("bypassed");
    }
    let difference = |gauge: &str, status: &str, actual, counted| Difference {
        gauge: gauge.to_owned(),
        status: status.to_owned(),
        actual,
        counted,
    };
    let expected = [difference("content_items", "draft", 3, 0), difference("feedback_reports", "new", 0, 2)];
    assert_eq!(differences(&test, &mut connection).await, expected);

    // Two repairs run concurrently with a writer.
    let mut writing = test.pool().begin().await.expect("a transaction");
    sqlx::query(ADD).execute(&mut *writing).await.expect("added");
    let mut other = test.pool().acquire().await.expect("a connection");
    let (one, two) =
        tokio::join!(repair(&test.app.database, &mut connection), repair(&test.app.database, &mut other));
    let mut repaired = [one.expect("repaired"), two.expect("repaired")];
    repaired.sort_by_key(Vec::len);
    assert_eq!(repaired, [vec![], expected.to_vec()], "one of them finds nothing left to do");
    writing.commit().await.expect("committed");
    assert_eq!(differences(&test, &mut connection).await, []);
}
