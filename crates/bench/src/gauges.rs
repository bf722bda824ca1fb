//! Cost of the database gauges: buffers that a sample reads, and time that incremental counting
//! adds to requests.
//!
//! Buffers do not depend on the machine, but times do. So requests alternate between two databases
//! that differ only in the counting. The comparison uses the first percentile of their times,
//! because other load makes requests slower and never faster.
//!
//! Long because both measurements use the same filled databases.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use axum::Router;
use clap::Args;
use domain::ids::UserId;
use domain::vocabulary::WorkspaceRole;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use socialize::app::App;
use socialize::platform::gauges::{COUNTS_BY_STATUS, OTHER_COUNTS, fold};
use sqlx::{AssertSqlSafe, PgPool};
use telemetry::http_server::HttpServerService;
use test_support::TestApp;
use tower::ServiceExt;
use uuid::Uuid;

/// Compare samples of a small and of a large database, and requests with and without the
/// bookkeeping
#[derive(Args)]
pub(crate) struct GaugesArguments {
    /// Number of content items in the large database
    #[arg(long, default_value_t = 10_000_000)]
    items: i64,
}

/// Number of content items in the small database.
const FEW: i64 = 10_000;
/// Number of rows that one statement inserts.
const BATCH: i64 = 500_000;
/// Rows to be counted besides the statuses, in both databases.
const LIVE: Live = Live { invites: 500, stale: 200, active_for_a_day: 300, active_for_a_week: 1_000 };
/// Factor by which these rows are increased at the end, to see the cost of that.
const MORE: i64 = 10;
/// Number of transitions when a busy Socialize is sampled: 33 changes of status a second, for 30
/// seconds.
const UNFOLDED: i64 = 1_000;
/// Number of measured requests in each database, and of requests before them that warm up plans and
/// caches.
const REQUESTS: usize = 5_000;
const WARM_UP: usize = 500;

/// Maximum ratio of buffers that a sample reads, large database to small one.
const MOST_BUFFERS: f64 = 2.0;

/// Increase in buffers that is tolerated whatever the ratio.
const FEWEST_BUFFERS: i64 = 32;
/// Maximum ratio of times, with and without counting, of a request that creates an item.
const MOST_TIME: f64 = 1.10;
/// The same for an edit, which causes no counting. Times of identical work differ by this much.
const NOISE: f64 = 1.05;

#[derive(Clone, Copy)]
struct Live {
    invites: i64,
    stale: i64,
    active_for_a_day: i64,
    active_for_a_week: i64,
}

/// Buffers that one sample reads, by gauge.
#[derive(Clone, Copy)]
struct Buffers {
    by_status: i64,
    by_status_unfolded: i64,
    pending: i64,
    stale: i64,
    active: i64,
}

/// Measures and prints everything, and returns the limits that are exceeded.
pub(crate) fn measure(arguments: &GaugesArguments) -> anyhow::Result<Vec<String>> {
    ensure!(arguments.items >= FEW, "--items: the large database has at least {FEW} content items");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let small = TestApp::start().await;
        fill(&small, FEW).await?;
        let few = buffers(&small).await?;
        let large = TestApp::start().await;
        let started = Instant::now();
        fill(&large, arguments.items).await?;
        let filled = started.elapsed();
        let many = buffers(&large).await?;
        add_live(&large).await?;
        let more_live = buffers(&large).await?;
        let mut problems = print_buffers(arguments.items, few, many, more_live, filled)?;
        drop(large);
        let without = TestApp::start().await;
        fill(&without, FEW).await?;
        execute(without.pool(), "alter table content_items disable trigger user".to_owned()).await?;
        problems.extend(compare_requests(&small, &without).await?);
        Ok(problems)
    })
}

fn print_buffers(
    items: i64,
    few: Buffers,
    many: Buffers,
    more_live: Buffers,
    filled: Duration,
) -> anyhow::Result<Vec<String>> {
    let mut out = std::io::stdout().lock();
    let mut problems = Vec::new();
    writeln!(
        out,
        "Buffers that one sample reads ({items} content items made in {:.0} s):",
        filled.as_secs_f64()
    )?;
    writeln!(
        out,
        "{:<34}{:>12}{:>12}{:>9}{:>18}",
        "",
        format!("{FEW} items"),
        items,
        "ratio",
        format!("{MORE} x what counts")
    )?;
    type Read = fn(Buffers) -> i64;
    let rows: [(&str, Read); 5] = [
        ("counts by status", |buffers| buffers.by_status),
        ("  with 1,000 transitions unfolded", |buffers| buffers.by_status_unfolded),
        ("pending invites", |buffers| buffers.pending),
        ("stale in approval", |buffers| buffers.stale),
        ("active workspaces, both windows", |buffers| buffers.active),
    ];
    for (title, read) in rows {
        let (before, after) = (read(few), read(many));
        let ratio = after as f64 / before as f64;
        writeln!(out, "{title:<34}{before:>12}{after:>12}{ratio:>9.2}{:>18}", read(more_live))?;
        // Right after a split of a root page, a few buffers become twice as many.
        if ratio > MOST_BUFFERS && after - before > FEWEST_BUFFERS {
            problems.push(format!(
                "{title} read {ratio:.2} times the buffers; at most {MOST_BUFFERS} are allowed"
            ));
        }
    }
    Ok(problems)
}

/// Inserts history and live rows. Foreign-key constraints are dropped: their checks would take most
/// of the time, and no sample uses them.
async fn fill(test: &TestApp, items: i64) -> anyhow::Result<()> {
    let pool = test.pool();
    let (organization, owner) = test.organization().await;
    let now = test.app.clock.now();
    for (table, constraint) in [
        ("content_items", "content_items_current_revision_fkey"),
        ("content_items", "content_items_workspace_id_fkey"),
        ("content_items", "content_items_created_by_fkey"),
        ("workspace_invites", "workspace_invites_workspace_id_fkey"),
        ("workspace_invites", "workspace_invites_invited_by_fkey"),
    ] {
        execute(pool, format!("alter table {table} drop constraint {constraint}")).await?;
    }
    let workspaces = (items / 100).max(2 * LIVE.active_for_a_week);
    sqlx::query(
        "insert into workspaces (id, organization_id, name, required_approvals, last_active_at, created_at)
         select lpad(to_hex(n), 32, '0')::uuid, $1, 'W', 1,
                $2 - case when n <= $3 then interval '1 hour' when n <= $4 then interval '3 days'
                          else interval '30 days' + n * interval '1 second' end,
                $2 - interval '1 year'
         from generate_series(1, $5) as n",
    )
    .bind(organization)
    .bind(now)
    .bind(LIVE.active_for_a_day)
    .bind(LIVE.active_for_a_week)
    .bind(workspaces)
    .execute(pool)
    .await?;
    for first in (1..=items).step_by(BATCH as usize) {
        sqlx::query(
            "insert into content_items (id, workspace_id, channel, status, current_revision, scheduled_at, published_at,
                 status_entered_at, created_by, created_at, updated_at)
             select lpad(to_hex(n), 32, '0')::uuid, lpad(to_hex(1 + n % $3), 32, '0')::uuid, 'x',
                    case when n <= 2 * $4 then 'in_approval' when n % 10 = 0 then 'archived'
                         when n % 10 = 1 then 'draft' else 'published' end,
                    1, $6, $6, $6 - case when n <= $4 then interval '80 hours' else interval '1 hour' end, $5,
                    $6 - n * interval '1 second', $6
             from generate_series($1, $2) as n",
        )
        .bind(first)
        .bind(items.min(first + BATCH - 1))
        .bind(workspaces)
        .bind(LIVE.stale)
        .bind(owner)
        .bind(now)
        .execute(pool)
        .await?;
    }
    sqlx::query(
        "insert into workspace_invites
             (id, workspace_id, email, role, status, invited_by, created_at, expires_at, closed_at)
         select gen_random_uuid(), lpad(to_hex(1 + n % $1), 32, '0')::uuid, n || '@x.example', 'author',
                case when n <= $2 then 'pending' else 'revoked' end, $3, $4 - interval '1 day', $4 + interval '3 days',
                case when n > $2 then $4 end
         from generate_series(1, $5) as n",
    )
    .bind(workspaces)
    .bind(LIVE.invites)
    .bind(owner)
    .bind(now)
    .bind(items / 10)
    .execute(pool)
    .await?;
    sqlx::query(
        "insert into feedback_reports (id, reporter_id, kind, status, body, created_at, updated_at)
         select gen_random_uuid(), $1, 'bug', case when n % 100 = 0 then 'new' else 'resolved' end, 'B', $2, $2
         from generate_series(1, $3) as n",
    )
    .bind(owner)
    .bind(now)
    .bind(items / 10)
    .execute(pool)
    .await?;
    settle(test).await
}

/// Inserts more live rows and no more history.
async fn add_live(test: &TestApp) -> anyhow::Result<()> {
    let (pool, now) = (test.pool(), test.app.clock.now());
    sqlx::query(
        "update content_items set status = 'in_approval', status_entered_at = $1
         where id in (select id from content_items where status = 'published' limit $2)",
    )
    .bind(now - Duration::from_secs(80 * 3600))
    .bind(LIVE.stale * (MORE - 1))
    .execute(pool)
    .await?;
    sqlx::query(
        "update workspace_invites set status = 'pending', closed_at = null
         where id in (select id from workspace_invites where status = 'revoked' limit $1)",
    )
    .bind(LIVE.invites * (MORE - 1))
    .execute(pool)
    .await?;
    sqlx::query(
        "update workspaces set last_active_at = $1
         where id in (select id from workspaces where last_active_at < $2 limit $3)",
    )
    .bind(now)
    .bind(now - Duration::from_secs(20 * 24 * 3600))
    .bind(LIVE.active_for_a_week * (MORE - 1))
    .execute(pool)
    .await?;
    settle(test).await
}

/// Folds all transitions, and vacuums as autovacuum soon would.
async fn settle(test: &TestApp) -> anyhow::Result<()> {
    let mut connection = test.pool().acquire().await?;
    while fold(&test.app.database, &mut connection).await? > 0 {}
    for table in [
        "workspaces",
        "content_items",
        "workspace_invites",
        "feedback_reports",
        "gauge_transitions",
        "gauge_totals",
    ] {
        execute(test.pool(), format!("vacuum analyze {table}")).await?;
    }
    Ok(())
}

async fn execute(pool: &PgPool, statement: String) -> anyhow::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(pool).await?;
    Ok(())
}

async fn buffers(test: &TestApp) -> anyhow::Result<Buffers> {
    let by_status = plan_of_counts(test).await?;
    let others = plan_of_others(test).await?;
    // One subselect for each gauge, in the order of the statement.
    let parts = others["Plans"].as_array().context("the plan has parts")?;
    ensure!(parts.len() == 4, "the statement has four counts, its plan {}", parts.len());
    let part = |index: usize| buffers_of(&parts[index]);
    let (pending, stale, active) = (part(0)?, part(1)?, part(2)? + part(3)?);
    // One for each item whose status changes.
    sqlx::query(
        "update content_items set status = case status when 'archived' then 'draft' else 'archived' end
         where id in (select id from content_items where status in ('archived', 'draft') limit $1)",
    )
    .bind(UNFOLDED)
    .execute(test.pool())
    .await?;
    let unfolded = plan_of_counts(test).await?;
    let found = Buffers {
        by_status: buffers_of(&by_status)?,
        by_status_unfolded: buffers_of(&unfolded)?,
        pending,
        stale,
        active,
    };
    settle(test).await?;
    Ok(found)
}

async fn plan_of_counts(test: &TestApp) -> anyhow::Result<Value> {
    let explain = format!("explain (analyze, buffers, format json) {COUNTS_BY_STATUS}");
    let plan: Value = sqlx::query_scalar(AssertSqlSafe(explain)).fetch_one(test.pool()).await?;
    Ok(plan[0]["Plan"].clone())
}

async fn plan_of_others(test: &TestApp) -> anyhow::Result<Value> {
    let explain = format!("explain (analyze, buffers, format json) {OTHER_COUNTS}");
    let (now, hour) = (test.app.clock.now(), Duration::from_secs(3600));
    let plan: Value = sqlx::query_scalar(AssertSqlSafe(explain))
        .bind(now)
        .bind(now - 72 * hour)
        .bind(now - 24 * hour)
        .bind(now - 7 * 24 * hour)
        .fetch_one(test.pool())
        .await?;
    Ok(plan[0]["Plan"].clone())
}

fn buffers_of(plan: &Value) -> anyhow::Result<i64> {
    let read = |field: &str| plan[field].as_i64().with_context(|| format!("the plan says {field}"));
    Ok(read("Shared Hit Blocks")? + read("Shared Read Blocks")?)
}

/// Times of the same work, with and without counting.
struct Times {
    with: Duration,
    without: Duration,
}

impl Times {
    fn ratio(&self) -> f64 {
        self.with.as_secs_f64() / self.without.as_secs_f64()
    }
}

async fn compare_requests(with: &TestApp, without: &TestApp) -> anyhow::Result<Vec<String>> {
    let (with, without) = (Client::new(with).await?, Client::new(without).await?);
    let creates = take_turns(async || with.create().await, async || without.create().await).await?;
    let mut connection = with.test.pool().acquire().await?;
    while fold(&with.test.app.database, &mut connection).await? > 0 {}
    drop(connection);
    let edits = take_turns(async || with.edit().await, async || without.edit().await).await?;
    let transitions: i64 =
        sqlx::query_scalar("select count(*) from gauge_transitions").fetch_one(with.test.pool()).await?;

    let mut out = std::io::stdout().lock();
    writeln!(out, "\nTimes of {REQUESTS} requests each, the fastest hundredth:")?;
    writeln!(out, "{:<34}{:>12}{:>12}{:>9}{:>18}", "", "without", "with", "ratio", "at most")?;
    let mut problems = Vec::new();
    for (title, times, most) in [
        ("request that creates an item", &creates, MOST_TIME),
        ("edit that changes no status", &edits, NOISE),
    ] {
        let ratio = times.ratio();
        let text = |duration: Duration| format!("{:.3} ms", duration.as_secs_f64() * 1000.0);
        let (without, with) = (text(times.without), text(times.with));
        writeln!(out, "{title:<34}{without:>12}{with:>12}{ratio:>9.3}{most:>18.2}")?;
        if ratio > most {
            problems.push(format!("{title} takes {ratio:.3} times as long; at most {most} is allowed"));
        }
    }
    writeln!(out, "{} edits that changed no status left {transitions} transitions.", REQUESTS + WARM_UP)?;
    if transitions > 0 {
        problems.push(format!("edits that changed no status left {transitions} transitions"));
    }
    Ok(problems)
}

/// An author who writes in a workspace.
struct Client<'a> {
    test: &'a TestApp,
    app: App,
    router: HttpServerService<Router>,
    author: UserId,
    path: String,
    edited: Uuid,
}

impl<'a> Client<'a> {
    async fn new(test: &'a TestApp) -> anyhow::Result<Self> {
        let (organization, _) = test.organization().await;
        let workspace = test.workspace(organization, 1).await;
        let author = test.workspace_member(organization, workspace, WorkspaceRole::Author).await;
        // The test's own router would validate every response against the OpenAPI document.
        let app = test.another_process();
        let router = socialize::run::router::service(app.clone());
        let path = format!("/v1/workspaces/{workspace}/content-items");
        let edited =
            sqlx::query_scalar("select id from content_items limit 1").fetch_one(test.pool()).await?;
        Ok(Self { test, app, router, author, path, edited })
    }

    async fn create(&self) -> anyhow::Result<Duration> {
        let body = json!({"channel": "x", "title": "A title", "body": "What somebody writes."});
        let request = self.test.request(Some(self.author), Method::POST, &self.path, &body, &[]);
        let started = Instant::now();
        let response = self.router.clone().oneshot(request).await?;
        ensure!(response.status() == StatusCode::CREATED, "the response is {}", response.status());
        axum::body::to_bytes(response.into_body(), usize::MAX).await?;
        let took = started.elapsed();
        self.app.telemetry.take_lines(&mut Vec::new(), |_| ());
        self.app.telemetry.take_spans(usize::MAX, Vec::new());
        Ok(took)
    }

    async fn edit(&self) -> anyhow::Result<Duration> {
        let started = Instant::now();
        sqlx::query("update content_items set version = version + 1, updated_at = now() where id = $1")
            .bind(self.edited)
            .execute(self.test.pool())
            .await?;
        Ok(started.elapsed())
    }
}

async fn take_turns(
    with: impl AsyncFn() -> anyhow::Result<Duration>,
    without: impl AsyncFn() -> anyhow::Result<Duration>,
) -> anyhow::Result<Times> {
    let mut times = (Vec::new(), Vec::new());
    for round in 0..WARM_UP + REQUESTS {
        // Alternate the order, because the first of the two may find colder caches.
        let (one, other) = if round % 2 == 0 {
            let one = with().await?;
            (one, without().await?)
        } else {
            let other = without().await?;
            (with().await?, other)
        };
        if round >= WARM_UP {
            times.0.push(one);
            times.1.push(other);
        }
    }
    Ok(Times { with: fastest_hundredth(times.0), without: fastest_hundredth(times.1) })
}

fn fastest_hundredth(mut durations: Vec<Duration>) -> Duration {
    durations.sort();
    durations[durations.len() / 100]
}
