//! Organizations with much work, or with slow servers, do not delay others.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use catalogue::labels::JobKind;
use chrono::TimeDelta;
use domain::ids::{JobId, OrganizationId, UserId, WorkspaceId};
use domain::vocabulary::WorkspaceRole;
use http::Method;
use serde_json::json;
use socialize::app::App;
use socialize::platform::outbound::{OutboundSettings, OutboundTimeouts};
use socialize::queue::{JobOwner, JobPolicy, NewJob, Worker, WorkerHandle, run_due_jobs_with};
use socialize::run::workers::WorkerSettings;
use telemetry::JobOutcome;
use test_support::{TestApp, TestDatabase};
use tokio::time::Instant;

use crate::publishing_support::{PATIENT, attempts, loopback, real_work};
use crate::receiver::{Reaction, Receiver};
use crate::support::{Gate, an_email, commit, eventually, job, migrate_to, runs, settings};

/// An organization whose workspaces publish to one server.
struct Customer {
    organization: OrganizationId,
    owner: UserId,
    url: String,
}

impl Customer {
    async fn of(test: &TestApp, receiver: &Receiver) -> Self {
        let (organization, owner) = test.organization().await;
        Self { organization, owner, url: receiver.url() }
    }

    async fn workspace(&self, test: &TestApp) -> WorkspaceId {
        let workspace = test.workspace(self.organization, 1).await;
        test.publish_to(workspace, &self.url).await;
        workspace
    }

    /// Makes items due for delivery.
    async fn publishes(&self, test: &TestApp, workspace: WorkspaceId, items: i32) {
        test.scheduled_items(workspace, self.owner, items, test.app.clock.now()).await;
    }

    /// Creates this many workspaces, each with three items due for delivery.
    async fn publishes_from(&self, test: &TestApp, workspaces: usize) {
        for _ in 0..workspaces {
            let workspace = self.workspace(test).await;
            self.publishes(test, workspace, 3).await;
        }
    }
}

/// A worker with two concurrent jobs of a kind, and thus eight deliveries.
fn worker(test: &TestApp) -> WorkerHandle<App> {
    Worker::start(test.app.clone(), WorkerSettings { concurrency: 2, ..real_work() })
}

fn far_future() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

#[tokio::test]
async fn many_endpoints_of_one_organization_that_never_answer_delay_no_other() {
    let test = TestApp::start_with_outbound(loopback(), None).await;
    let gate = Gate::closed();
    let door = gate.clone();
    let tarpit = Receiver::start(move |_, _| Reaction::WaitsFor(door.clone())).await;
    let quick = Receiver::start(|_, _| Reaction::status("200 OK")).await;
    Customer::of(&test, &tarpit).await.publishes_from(&test, 40).await;
    test.app.clock.advance(TimeDelta::seconds(1));
    // Neither has been called before.
    Customer::of(&test, &quick).await.publishes_from(&test, 1).await;
    let worker = worker(&test);
    eventually("the others are published", async || attempts(&test, "delivered") == 3).await;
    assert_eq!((quick.count(), tarpit.most_at_once()), (3, 1));
    gate.open();
    eventually("all are published", async || attempts(&test, "delivered") == 123).await;
    worker.stop(far_future()).await;
}

#[tokio::test]
async fn slots_are_kept_for_endpoints_that_answer() {
    let test = TestApp::start_with_outbound(loopback(), None).await;
    let gate = Gate::closed();
    let door = gate.clone();
    let tarpit = Receiver::start(move |_, _| Reaction::WaitsFor(door.clone())).await;
    let quick = Receiver::start(|_, _| Reaction::status("200 OK")).await;
    let honest = Customer::of(&test, &quick).await;
    let workspace = honest.workspace(&test).await;
    honest.publishes(&test, workspace, 1).await;
    assert_eq!(test.run_due_jobs().await.of(JobOutcome::Ok), 1);
    // More organizations than slots for deliveries.
    for _ in 0..12 {
        Customer::of(&test, &tarpit).await.publishes_from(&test, 1).await;
    }
    let worker = worker(&test);
    eventually("the tarpits have their slots", async || tarpit.count() == 4).await;
    test.app.clock.advance(TimeDelta::seconds(1));
    honest.publishes(&test, workspace, 5).await;
    eventually("the others are published", async || attempts(&test, "delivered") == 6).await;
    assert_eq!((quick.count(), tarpit.count()), (6, 4));
    gate.open();
    eventually("all are published", async || attempts(&test, "delivered") == 42).await;
    worker.stop(far_future()).await;
}

#[tokio::test]
async fn deliveries_that_an_older_version_enqueued_do_not_wait_for_each_other() {
    let test = TestApp::start_with_outbound(loopback(), None).await;
    let gate = Gate::closed();
    let door = gate.clone();
    let receiver = Receiver::start(move |_, _| Reaction::WaitsFor(door.clone())).await;
    for _ in 0..4 {
        Customer::of(&test, &receiver).await.publishes_from(&test, 1).await;
    }
    sqlx::query("update jobs set organization_id = null").execute(test.pool()).await.expect("older jobs");
    let worker = worker(&test);
    eventually("each organization has a slot", async || receiver.count() == 4).await;
    gate.open();
    eventually("all are published", async || attempts(&test, "delivered") == 12).await;
    worker.stop(far_future()).await;
}

/// Two workspaces with endpoints, of which only the first has published something.
const ENDPOINTS: &str = "
    insert into users (id, email, display_name, password_hash, created_at)
    values ('00000000-0000-0000-0000-000000000001', 'author@example.com', 'Author', '$argon2id$example', now());
    insert into organizations (id, name, created_by, created_at)
    values ('00000000-0000-0000-0000-00000000000a', 'Example', '00000000-0000-0000-0000-000000000001', now());
    insert into workspaces (id, organization_id, name, required_approvals, last_active_at, created_at)
    select id::uuid, '00000000-0000-0000-0000-00000000000a', 'Brand', 1, now(), now()
    from (values ('00000000-0000-0000-0000-0000000000b1'), ('00000000-0000-0000-0000-0000000000b2')) as new (id);
    insert into publishing_endpoints (workspace_id, url, secret_id, created_at, updated_at)
    select id, 'https://example.com', gen_random_uuid(), now(), now() from workspaces;
    begin;
    insert into content_items
        (id, workspace_id, channel, status, current_revision, published_at, status_entered_at, created_by, created_at,
         updated_at)
    values ('00000000-0000-0000-0000-0000000000c1', '00000000-0000-0000-0000-0000000000b1', 'x', 'published', 1,
            now(), now(), '00000000-0000-0000-0000-000000000001', now(), now());
    insert into content_revisions (content_item_id, number, title, body, author_id, created_at)
    values ('00000000-0000-0000-0000-0000000000c1', 1, 'Title', '', '00000000-0000-0000-0000-000000000001', now());
    commit;
";

#[tokio::test]
async fn endpoints_that_have_published_are_no_new_ones_after_an_upgrade() {
    let database = TestDatabase::create_empty().await;
    migrate_to(&database, 19).await;
    sqlx::raw_sql(ENDPOINTS).execute(database.pool()).await.expect("an older database");
    migrate_to(&database, i64::MAX).await;
    let known: Vec<bool> =
        sqlx::query_scalar("select has_answered from publishing_endpoints order by workspace_id")
            .fetch_all(database.pool())
            .await
            .expect("endpoints");
    assert_eq!(known, [true, false]);
}

#[tokio::test]
async fn endpoints_that_time_out_are_slow_until_they_have_answered_as_often() {
    let timeout = Duration::from_millis(300);
    let outbound =
        OutboundSettings { timeouts: OutboundTimeouts { response: timeout, ..PATIENT }, ..loopback() };
    let test = TestApp::start_with_outbound(outbound, None).await;
    let receiver = Receiver::start(|number, _| match number {
        2 | 3 => Reaction::Stalls,
        _ => Reaction::status("200 OK"),
    })
    .await;
    let customer = Customer::of(&test, &receiver).await;
    let workspace = customer.workspace(&test).await;
    let behaviour = async || -> (i16, bool) {
        sqlx::query_as("select slowness, has_answered from publishing_endpoints where workspace_id = $1")
            .bind(workspace)
            .fetch_one(test.pool())
            .await
            .expect("an endpoint")
    };
    assert_eq!(behaviour().await, (0, false));
    for expected in [0, 2, 4, 3, 2, 1, 0, 0] {
        customer.publishes(&test, workspace, 1).await;
        test.run_due_jobs().await;
        // Deletes retries of timed-out deliveries, which this test does not cover.
        sqlx::query("delete from jobs").execute(test.pool()).await.expect("deleted");
        assert_eq!(behaviour().await, (expected, true));
    }
    // A new URL is a new endpoint.
    sqlx::query("update publishing_endpoints set slowness = 7").execute(test.pool()).await.expect("slow");
    let manager = test.workspace_member(customer.organization, workspace, WorkspaceRole::Manager).await;
    let path = format!("/v1/workspaces/{workspace}/publishing-endpoint");
    let another = receiver.url_of("http", "127.0.0.1");
    for (url, expected) in [(customer.url.clone(), (7, true)), (another, (0, false))] {
        test.call(Some(manager), Method::PUT, &path, json!({"url": url})).await.expect(200);
        assert_eq!(behaviour().await, expected);
    }
}

#[tokio::test]
async fn an_organization_with_many_e_mails_does_not_delay_those_of_others() {
    let test = TestApp::start().await;
    let ((many, _), (few, _)) = (test.organization().await, test.organization().await);
    let (many, few) = (test.workspace(many, 1).await, test.workspace(few, 1).await);
    // The claim considers the first hundred jobs, or the first of each organization if there are more.
    for flood in [10, 150] {
        let email = an_email();
        let of = |workspace| NewJob { owner: JobOwner::Workspace(workspace), ..job(&email) };
        for _ in 0..flood {
            commit(&test, of(many)).await;
        }
        test.app.clock.advance(TimeDelta::seconds(1));
        let others = [commit(&test, of(few)).await, commit(&test, job(&email)).await];
        let order: Arc<Mutex<Vec<JobId>>> = Arc::default();
        let seen = order.clone();
        // Jobs claimed together are from different organizations.
        let three_at_once = WorkerSettings {
            policy: |_| JobPolicy {
                concurrency: 3,
                is_shared: false,
                timeout: Duration::from_secs(3600),
                every: None,
            },
            ..settings(move |_, job| {
                seen.lock().expect("a lock").push(job.id);
                async { Ok(()) }
            })
        };
        let before = runs(&test.app, JobKind::SendEmail, JobOutcome::Ok);
        run_due_jobs_with(&test.app, &three_at_once).await.expect("the queue answers");
        assert_eq!(runs(&test.app, JobKind::SendEmail, JobOutcome::Ok) - before, flood + 2);
        let order = order.lock().expect("a lock");
        for id in others {
            assert!(order[..3].contains(&id), "{id} is not among the first of {}", order.len());
        }
    }
}
