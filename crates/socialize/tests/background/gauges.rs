//! Reported gauges: the database's contents, from one process, and no stale values.

use std::time::Duration;

use catalogue::labels::StatusGauge;
use chrono::TimeDelta;
use domain::vocabulary::{ContentItemStatus, FeedbackStatus};
use serde_json::json;
use socialize::app::App;
use socialize::platform::gauges::repair;
use socialize::queue::Worker;
use socialize::run::workers::WorkerSettings;
use telemetry::ClosedSet;
use test_support::TestApp;
use tokio::time::Instant;

use crate::support::{collect_lines, eventually, gauge, loop_failures, operations, settings};

const CONTENT_ITEMS: &str = "socialize.content_items";
const STALE: &str = "socialize.content_items.stale_in_approval";
const FEEDBACK: &str = "socialize.feedback_reports";
const PENDING: &str = "socialize.workspace_invites.pending";
const ACTIVE: &str = "socialize.workspaces.active";
const LAST_SUCCESS: &str = "socialize.sampler.last_success.time";
const DRIFT: &str = "socialize.gauge.drift";

fn sampling() -> WorkerSettings {
    WorkerSettings {
        gauge_interval: Duration::from_millis(5),
        gauge_check_interval: Duration::from_millis(5),
        poll_interval: Duration::from_secs(3600),
        ..settings(async |_, _| Ok(()))
    }
}

async fn stop(worker: socialize::queue::WorkerHandle<socialize::app::App>) {
    worker.stop(Instant::now() + Duration::from_secs(60)).await;
}

/// Every sampled gauge with its labels and value.
fn reported(app: &App) -> Vec<(&'static str, &'static str, Option<f64>)> {
    let items = ContentItemStatus::ALL.iter().map(|status| (CONTENT_ITEMS, "status", status.as_str()));
    let reports = FeedbackStatus::ALL.iter().map(|status| (FEEDBACK, "status", status.as_str()));
    let windows = ["24h", "7d"].map(|window| (ACTIVE, "window", window));
    let labelled = items.chain(reports).chain(windows);
    let values = labelled.map(|(name, key, value)| (name, value, gauge(app, name, &[(key, value)])));
    values.chain([STALE, PENDING].map(|name| (name, "", gauge(app, name, &[])))).collect()
}

fn reports(app: &App) -> bool {
    // Either every state or none; in between, sampling has just begun or ended.
    gauge(app, LAST_SUCCESS, &[]).is_some() && reported(app).iter().all(|(_, _, value)| value.is_some())
}

/// Waits for a sample that begins after now.
async fn sampled_again(app: &App) {
    let before = operations(app, "fold_gauges");
    eventually("two more samples", async || operations(app, "fold_gauges") >= before + 2).await;
}

#[tokio::test]
async fn every_state_is_reported_also_when_nothing_is_in_it() {
    let test = TestApp::start().await;
    assert!(reported(&test.app).iter().all(|(_, _, value)| value.is_none()), "nobody has looked yet");
    let worker = Worker::start(test.app.clone(), sampling());
    eventually("a sample", async || reports(&test.app)).await;
    for (name, label, value) in reported(&test.app) {
        assert_eq!(value, Some(0.0), "{name} {label}");
    }
    assert_eq!(gauge(&test.app, LAST_SUCCESS, &[]), Some(test.app.clock.now().timestamp() as f64));
    stop(worker).await;
    assert!(reported(&test.app).iter().all(|(_, _, value)| value.is_none()), "nobody looks any more");
}

/// An item with this status and age.
async fn item(test: &TestApp, status: ContentItemStatus, entered_before: TimeDelta) {
    sqlx::query(
        "with item as (
             insert into content_items
                 (id, workspace_id, channel, status, current_revision, status_entered_at, created_by, created_at,
                  updated_at)
             select gen_random_uuid(), w.id, 'x', $1, 1, $2, o.created_by, $2, $2
             from workspaces w join organizations o on o.id = w.organization_id order by w.created_at, w.id limit 1
             returning id, created_by
         )
         insert into content_revisions (content_item_id, number, title, body, author_id, created_at)
         select id, 1, 'T', '', created_by, $2 from item",
    )
    .bind(status)
    .bind(test.app.clock.now() - entered_before)
    .execute(test.pool())
    .await
    .expect("an item");
}

async fn execute(test: &TestApp, statement: &'static str) {
    sqlx::query(statement).bind(test.app.clock.now()).execute(test.pool()).await.expect("executed");
}

#[tokio::test]
async fn samples_say_what_the_database_holds() {
    let test = TestApp::start().await;
    let (organization, _) = test.organization().await;
    for _ in 0..4 {
        test.workspace(organization, 1).await;
    }
    // Of four workspaces, one was active within a day, three within a week.
    execute(
        &test,
        "update workspaces w set last_active_at = $1 - n.hours * interval '1 hour'
         from (select id, (array[0, 25, 167, 169])[row_number() over (order by id)] as hours from workspaces) n
         where n.id = w.id",
    )
    .await;
    let hour = TimeDelta::hours(1);
    item(&test, ContentItemStatus::Draft, hour * 100).await;
    item(&test, ContentItemStatus::InApproval, hour * 72).await;
    item(&test, ContentItemStatus::InApproval, hour * 73).await;
    // Pending and valid, pending and expired, revoked.
    execute(
        &test,
        "insert into workspace_invites
             (id, workspace_id, email, role, status, invited_by, created_at, expires_at, closed_at)
         select gen_random_uuid(), w.id, email, 'author', status, o.created_by, $1 - interval '8 days',
             $1 + hours * interval '1 hour', case when status = 'revoked' then $1 end
         from (select id, organization_id from workspaces limit 1) w
         join organizations o on o.id = w.organization_id,
         (values ('a@x.example', 'pending', 1), ('b@x.example', 'pending', 0), ('c@x.example', 'revoked', 1))
             as i (email, status, hours)",
    )
    .await;
    let worker = Worker::start(test.app.clone(), sampling());
    eventually("a sample", async || reports(&test.app)).await;
    let value = |name, labels: &[(&str, &str)]| gauge(&test.app, name, labels);
    let active = |window| value(ACTIVE, &[("window", window)]);
    assert_eq!((active("24h"), active("7d")), (Some(1.0), Some(3.0)));
    let items = |status| value(CONTENT_ITEMS, &[("status", status)]);
    assert_eq!((items("draft"), items("in_approval"), items("archived")), (Some(1.0), Some(2.0), Some(0.0)));
    assert_eq!(
        (value(STALE, &[]), value(PENDING, &[])),
        (Some(1.0), Some(1.0)),
        "the other is not over 72 hours"
    );

    // Nothing is written, but time passes.
    test.app.clock.advance(hour * 2);
    sampled_again(&test.app).await;
    assert_eq!((value(STALE, &[]), value(PENDING, &[])), (Some(2.0), Some(0.0)));
    execute(&test, "update content_items set status = 'archived', updated_at = $1").await;
    sampled_again(&test.app).await;
    assert_eq!((items("draft"), items("archived"), value(STALE, &[])), (Some(0.0), Some(3.0), Some(0.0)));
    stop(worker).await;
}

#[tokio::test]
async fn one_process_samples_and_another_takes_over_from_it() {
    let test = TestApp::start().await;
    let other = test.another_process();
    let first = Worker::start(test.app.clone(), sampling());
    eventually("the first reports", async || reports(&test.app)).await;
    let second = Worker::start(other.clone(), sampling());
    // Each iteration requests three locks, so the loops have run several times.
    eventually("the second looks", async || operations(&other, "lock_sampler") >= 9).await;
    assert!(reports(&test.app) && !reports(&other));
    assert_eq!(operations(&other, "sample_gauges"), 0);
    drop(first);
    eventually("the second reports", async || reports(&other)).await;
    assert!(!reports(&test.app));
    assert_eq!(gauge(&test.app, DRIFT, &[("gauge", "content_items")]), None);
    stop(second).await;
}

#[tokio::test]
async fn a_sampler_that_lost_its_connection_stops_reporting_before_it_samples_again() {
    let test = TestApp::start().await;
    let worker = Worker::start(test.app.clone(), sampling());
    eventually("it reports", async || reports(&test.app)).await;
    let locked = operations(&test.app, "lock_sampler");
    // Like the server with a sampler that was silent for too long. Another process keeps the lock if it took
    // it meanwhile.
    let mut somebody = test.pool().acquire().await.expect("a connection");
    sqlx::raw_sql(
        "with ended as (
             select pg_terminate_backend(pid) from pg_locks join pg_database d on d.oid = database
             where locktype = 'advisory' and d.datname = current_database() and objid = x'616c697b'::int and granted
         ) select count(*) from ended;
         select pg_advisory_lock(x'736f6369616c697b'::bigint)",
    )
    .execute(&mut *somebody)
    .await
    .expect("the lock");
    eventually("it stops reporting", async || !reports(&test.app)).await;
    eventually("it asks again", async || operations(&test.app, "lock_sampler") >= locked + 2).await;
    assert!(!reports(&test.app) && loop_failures(&test.app, "gauge_sampler") > 0);
    sqlx::query("select pg_advisory_unlock_all()").execute(&mut *somebody).await.expect("unlocked");
    eventually("it reports", async || reports(&test.app)).await;
    stop(worker).await;
}

#[tokio::test]
async fn a_sample_that_fails_is_not_reported_and_disturbs_no_other() {
    let test = TestApp::start().await;
    let settings = WorkerSettings { sample_interval: Duration::from_millis(5), ..sampling() };
    let worker = Worker::start(test.app.clone(), settings);
    eventually("it reports", async || reports(&test.app)).await;
    execute_plain(&test, "alter view gauge_counts rename to gauge_counts_elsewhere").await;
    eventually("it stops", async || !reports(&test.app)).await;
    assert!(loop_failures(&test.app, "gauge_sampler") > 0);
    let depth = gauge(&test.app, "socialize.job.queue.depth", &[("job.kind", "send_email")]);
    assert_eq!((depth, loop_failures(&test.app, "queue_sampler")), (Some(0.0), 0));
    execute_plain(&test, "alter view gauge_counts_elsewhere rename to gauge_counts").await;
    eventually("it reports", async || reports(&test.app)).await;
    stop(worker).await;
}

async fn execute_plain(test: &TestApp, statement: &'static str) {
    sqlx::query(statement).execute(test.pool()).await.expect("executed");
}

#[tokio::test]
async fn drift_is_reported_until_it_is_repaired() {
    let test = TestApp::start().await;
    let (lines, _installed) = collect_lines();
    let (organization, _) = test.organization().await;
    test.workspace(organization, 1).await;
    let worker = Worker::start(test.app.clone(), sampling());
    let drift = |of: StatusGauge| gauge(&test.app, DRIFT, &[("gauge", of.as_str())]);
    for of in StatusGauge::ALL {
        eventually("a comparison", async || drift(*of) == Some(0.0)).await;
    }
    execute_plain(&test, "alter table content_items disable trigger user").await;
    item(&test, ContentItemStatus::Draft, TimeDelta::zero()).await;
    execute_plain(&test, "alter table content_items enable trigger user").await;
    eventually("drift", async || drift(StatusGauge::ContentItems) == Some(1.0)).await;
    assert_eq!(drift(StatusGauge::FeedbackReports), Some(0.0));
    let line = lines.find("gauge.drifted", "content_items").expect("a line");
    assert_eq!((&line["level"], &line["count"]), (&json!("error"), &json!(1)));

    let mut connection = test.pool().acquire().await.expect("a connection");
    let repaired = repair(&test.app.database, &mut connection).await.expect("repaired");
    assert_eq!(repaired.len(), 1);
    eventually("no drift", async || drift(StatusGauge::ContentItems) == Some(0.0)).await;
    stop(worker).await;
    assert_eq!(drift(StatusGauge::ContentItems), None);
}
