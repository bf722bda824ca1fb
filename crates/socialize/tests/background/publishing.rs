//! Deliveries to publishing endpoints: time, content and result.
//!
//! Long because each result of a delivery is a test.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use catalogue::labels::JobKind;
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use domain::ids::ContentItemId;
use hmac::{Hmac, KeyInit, Mac};
use http::Method;
use serde_json::{Value, json};
use sha2::Sha256;
use socialize::features::publishing::give_up_publishing::GiveUpPublishing;
use socialize::platform::clock::Clock;
use socialize::platform::outbound::OutboundSettings;
use socialize::queue::{NewJob, Worker};
use socialize::run::workers::run_due_jobs;
use telemetry::{JobOutcome, SpanContext};
use test_support::TestApp;
use tokio::time::Instant;

use crate::publishing_support::{Team, attempts, calls, id_of, loopback, real_work};
use crate::receiver::{Reaction, Received, Receiver};
use crate::support::{Gate, commit, eventually, job, nothing_reveals, run_after_crash, runs};

fn events<'a>(lines: &'a [Value], event: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["event"] == event).collect()
}

async fn run(test: &TestApp) -> usize {
    test.run_due_jobs().await.total()
}

fn ok(_: usize, _: &Received) -> Reaction {
    Reaction::status("200 OK")
}

/// The signature, computed independently, like a receiver would.
fn signature(secret: &str, received: &Received) -> String {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").expect("the prefix")).expect("base64");
    assert!((24..=64).contains(&key.len()));
    let signed = format!(
        "{}.{}.{}",
        received.header("webhook-id"),
        received.header("webhook-timestamp"),
        received.body
    );
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("a key");
    mac.update(signed.as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[tokio::test]
async fn a_scheduled_item_is_delivered_at_its_time() {
    let test = TestApp::start_with_outbound(loopback(), None).await;
    let receiver = Receiver::start(ok).await;
    let team = Team::of(&test).await;
    team.call_endpoint(&test, Method::DELETE, "").await;
    let secret = team.set_endpoint(&test, &receiver.url()).await.expect("a secret");
    let item = team.approved(&test).await;
    let at = test.app.clock.now() + TimeDelta::hours(1);
    // Clients may send more digits than the database stores.
    team.schedule(&test, &item, TimeDelta::hours(1) + TimeDelta::nanoseconds(999)).await;
    test.app.clock.advance(TimeDelta::minutes(59));
    assert_eq!((run(&test).await, receiver.count()), (0, 0));

    test.app.clock.advance(TimeDelta::minutes(1));
    test.log_lines();
    assert_eq!(test.run_due_jobs().await.of(JobOutcome::Ok), 1);
    let received = receiver.received();
    assert_eq!(received.len(), 1);
    let received = &received[0];
    assert_eq!(received.request_line, "POST /posts?token=a-secret-of-the-customer HTTP/1.1");
    assert_eq!(received.header("content-type"), "application/json");
    assert!(received.header("user-agent").starts_with("Socialize/"));
    assert_eq!(received.header("webhook-timestamp"), at.timestamp().to_string());
    assert_eq!(received.header("webhook-signature"), signature(&secret, received));
    assert!(!received.header("webhook-id").contains('.'));
    let body = received.json();
    assert_eq!(body["type"], "content_item.publish");
    assert_eq!(body["timestamp"].as_str().map(str::parse::<DateTime<Utc>>), Some(Ok(at)));
    let expected = json!({
        "workspace_id": team.workspace, "content_item_id": id_of(&item), "revision": 1, "channel": "linkedin",
        "title": "A private title", "body": "A private body", "scheduled_at": body["timestamp"],
    });
    assert_eq!(body["data"], expected);

    let published = team.read(&test, &item).await;
    assert_eq!((&published["status"], &published["publish_failure"]), (&json!("published"), &Value::Null));
    assert_eq!(published["published_at"].as_str().map(str::parse::<DateTime<Utc>>), Some(Ok(at)));
    assert_eq!(
        (attempts(&test, "delivered"), attempts(&test, "deferred"), attempts(&test, "failed")),
        (1, 0, 0)
    );
    assert_eq!((calls(&test, Some("200"), None), test.count("socialize.job.queue.dead")), (1, 0));

    // No signal contains the customer's data, and the customer does not get the trace context.
    let private = ["127.0.0.1", "a-secret-of-the-customer", "A private", &secret];
    let lines = nothing_reveals(&test, &private).await;
    assert!(!received.headers.contains_key("traceparent") && !received.headers.contains_key("tracestate"));
    let call = events(&lines, "http.client.request")[0];
    for event in ["http.client.request", "job.run", "socialize.publishing.deliveries"] {
        assert_eq!(events(&lines, event)[0]["trace_id"], call["trace_id"], "{event}");
    }
    assert_eq!((&call["level"], &call["service.peer.name"]), (&json!("info"), &json!("publishing_endpoint")));
    assert_eq!(
        (&call["http.response.status_code"], &call["content_item.id"]),
        (&json!(200), &json!(id_of(&item)))
    );
    let fact = events(&lines, "socialize.publishing.deliveries")[0];
    assert_eq!((&fact["outcome"], &fact["workspace.id"]), (&json!("delivered"), &json!(team.workspace)));
}

#[tokio::test]
async fn the_trace_goes_on_at_the_receiver_if_the_operator_wants_it() {
    let settings = OutboundSettings { sends_trace_context: true, ..loopback() };
    let test = TestApp::start_with_outbound(settings, None).await;
    let receiver = Receiver::start(ok).await;
    let team = Team::of(&test).await;
    test.publish_to(team.workspace, &receiver.url()).await;
    team.publishing(&test).await;
    test.log_lines();
    assert_eq!(test.run_due_jobs().await.of(JobOutcome::Ok), 1);
    let received = receiver.received();
    let context =
        SpanContext::from_traceparent(received[0].header("traceparent").as_bytes()).expect("a context");
    let lines = test.log_lines();
    let call = events(&lines, "http.client.request")[0];
    assert_eq!(call["trace_id"], context.trace_id.to_string());
    assert_eq!(call["span_id"], context.span_id.to_string(), "the receiver's parent is the span of the call");
    // A job begins a trace of its own, which has no state.
    assert!(!received[0].headers.contains_key("tracestate"));
}

#[tokio::test]
async fn an_item_whose_time_is_a_leap_second_is_published() {
    let test = TestApp::start_with_outbound(loopback(), None).await;
    let receiver = Receiver::start(ok).await;
    let team = Team::of(&test).await;
    test.publish_to(team.workspace, &receiver.url()).await;
    let item = team.approved(&test).await;
    let now = test.app.clock.now();
    let at = json!({"scheduled_at": now.format("%Y-%m-%dT23:59:60.0000009Z").to_string()});
    test.post(team.manager, &format!("{item}/schedule"), at).await.expect(200);
    let midnight = (now + TimeDelta::days(1)).duration_trunc(TimeDelta::days(1)).expect("a day");
    test.app.clock.advance(midnight - now - TimeDelta::seconds(1));
    run(&test).await;
    assert_eq!(receiver.count(), 0);
    test.app.clock.advance(TimeDelta::seconds(1));
    assert_eq!(test.run_due_jobs().await.of(JobOutcome::Ok), 1);
    assert_eq!((receiver.count(), team.status(&test, &item).await.as_str()), (1, "published"));
}

#[tokio::test]
async fn an_item_that_was_moved_goes_once_and_one_that_was_withdrawn_never() {
    let test = TestApp::start_with_outbound(loopback(), None).await;
    let receiver = Receiver::start(ok).await;
    let team = Team::of(&test).await;
    test.publish_to(team.workspace, &receiver.url()).await;
    let mut items = Vec::new();
    for _ in 0..5 {
        let item = team.approved(&test).await;
        team.schedule(&test, &item, TimeDelta::hours(1)).await;
        items.push(item);
    }
    let [earlier, later, unscheduled, archived, edited] = &items[..] else { unreachable!("there are five") };
    team.schedule(&test, earlier, TimeDelta::minutes(30)).await;
    team.schedule(&test, later, TimeDelta::hours(2)).await;
    // There and back again: both jobs have the same time, and one of them delivers.
    team.schedule(&test, later, TimeDelta::hours(1)).await;
    team.schedule(&test, later, TimeDelta::hours(2)).await;
    team.act(&test, unscheduled, "unschedule").await;
    team.act(&test, archived, "archive").await;
    let edit = json!({"title": "Another title"});
    let edit = test.request(Some(team.manager), Method::PATCH, edited, &edit, &[("if-match", "*")]);
    test.send(edit).await.expect(200);

    let delivered = async |minutes: i64| {
        test.app.clock.advance(TimeDelta::minutes(minutes));
        run(&test).await;
        let received = receiver.received();
        received.iter().map(|received| received.json()["data"]["content_item_id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(delivered(29).await, Vec::<Value>::new());
    assert_eq!(delivered(1).await, [id_of(earlier)]);
    assert_eq!(delivered(30).await, [id_of(earlier)]);
    assert_eq!(delivered(60).await, [id_of(earlier), id_of(later)]);
    let mut statuses = Vec::new();
    for item in &items {
        statuses.push(team.status(&test, item).await);
    }
    assert_eq!(statuses, ["published", "published", "approved", "archived", "draft"]);
    assert_eq!(attempts(&test, "delivered"), 2);
    assert_eq!(test.count("socialize.workspaces.first_published"), 1, "the first of the two");
    let left: i64 =
        sqlx::query_scalar("select count(*) from jobs").fetch_one(test.pool()).await.expect("a count");
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_new_secret_signs_beside_the_old_one_for_a_day() {
    let test = TestApp::start_with_outbound(loopback(), None).await;
    let receiver = Receiver::start(ok).await;
    let team = Team::of(&test).await;
    team.call_endpoint(&test, Method::DELETE, "").await;
    let old = team.set_endpoint(&test, &receiver.url()).await.expect("a secret");
    let rotated = team.call_endpoint(&test, Method::POST, "/rotate-secret").await;
    let new = rotated["secret"].as_str().expect("a secret");
    assert_ne!(new, old);
    test.app.clock.advance(TimeDelta::hours(24) - TimeDelta::microseconds(1));
    team.publishing(&test).await;
    run(&test).await;
    test.app.clock.advance(TimeDelta::microseconds(1));
    team.publishing(&test).await;
    run(&test).await;
    let received = receiver.received();
    let both = format!("{} {}", signature(new, &received[0]), signature(&old, &received[0]));
    assert_eq!(received[0].header("webhook-signature"), both);
    assert_eq!(received[1].header("webhook-signature"), signature(new, &received[1]));
}

#[tokio::test]
async fn a_library_for_receivers_accepts_what_they_get() {
    let test = TestApp::start_with_outbound(loopback(), None).await;
    // It rejects signatures that are five minutes old by the machine's clock.
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let machine = DateTime::from_timestamp(since_epoch.as_secs() as i64, 0).expect("a time");
    test.app.clock.advance(machine - test.app.clock.now());
    let receiver = Receiver::start(ok).await;
    let team = Team::of(&test).await;
    team.call_endpoint(&test, Method::DELETE, "").await;
    let secret = team.set_endpoint(&test, &receiver.url()).await.expect("a secret");
    team.publishing(&test).await;
    run(&test).await;

    let received = &receiver.received()[0];
    let verify = |body: &str| {
        let input = json!({"secret": secret, "headers": received.headers, "body": body}).to_string();
        let program = "import json, sys\nfrom standardwebhooks import Webhook\n\
                       given = json.load(sys.stdin)\nWebhook(given['secret']).verify(given['body'], given['headers'])";
        let mut command = std::process::Command::new(test_support::python_tool("python"));
        command
            .args(["-c", program])
            .stdin(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        let mut process = command.spawn().expect("Python");
        std::io::Write::write_all(&mut process.stdin.take().expect("its input"), input.as_bytes())
            .expect("written");
        process.wait_with_output().expect("its output")
    };
    let accepted = verify(&received.body);
    assert!(accepted.status.success(), "{}", String::from_utf8_lossy(&accepted.stderr));
    let refused = verify(&received.body.replace("A private title", "Another title"));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("WebhookVerificationError"));
}

#[tokio::test]
async fn an_item_without_an_endpoint_fails_at_its_time_and_can_be_tried_again() {
    let test = TestApp::start_with_outbound(loopback(), None).await;
    let receiver = Receiver::start(ok).await;
    let team = Team::of(&test).await;
    let item = team.publishing(&test).await;
    team.call_endpoint(&test, Method::DELETE, "").await;
    assert_eq!(test.run_due_jobs().await.of(JobOutcome::Ok), 1);
    let failed = team.read(&test, &item).await;
    assert_eq!(
        (&failed["status"], &failed["publish_failure"]),
        (&json!("publish_failed"), &json!("no_endpoint"))
    );
    assert_eq!((attempts(&test, "failed"), attempts(&test, "deferred")), (1, 0));

    team.set_endpoint(&test, &receiver.url()).await;
    test.app.clock.advance(TimeDelta::minutes(1));
    let again = team.act(&test, &item, "publish").await;
    assert_eq!((&again["status"], &again["publish_failure"]), (&json!("scheduled"), &Value::Null));
    run(&test).await;
    assert_eq!((team.status(&test, &item).await.as_str(), receiver.count()), ("published", 1));
}

#[tokio::test]
async fn an_endpoint_that_is_gone_gets_nothing_more_until_it_is_set_again() {
    let test = TestApp::start_with_outbound(loopback(), None).await;
    let receiver = Receiver::start(|number, _| {
        Reaction::status(if number == 1 { "410 Gone" } else { "204 No Content" })
    })
    .await;
    let team = Team::of(&test).await;
    test.publish_to(team.workspace, &receiver.url()).await;
    let (first, second) = (team.publishing(&test).await, team.approved(&test).await);
    team.schedule(&test, &second, TimeDelta::hours(1)).await;
    run(&test).await;
    test.app.clock.advance(TimeDelta::hours(1));
    run(&test).await;
    for item in [&first, &second] {
        let failed = team.read(&test, item).await;
        assert_eq!(
            (&failed["status"], &failed["publish_failure"]),
            (&json!("publish_failed"), &json!("endpoint_gone"))
        );
    }
    assert_eq!(
        (receiver.count(), attempts(&test, "failed"), calls(&test, Some("410"), Some("rejected"))),
        (1, 2, 1)
    );
    let endpoint = team.call_endpoint(&test, Method::GET, "").await;
    assert!(endpoint["disabled_at"].is_string(), "{endpoint}");
    let path = format!("{first}/publish");
    test.post(team.manager, &path, Value::Null).await.expect_error(409, "publishing_endpoint_missing");

    team.set_endpoint(&test, &receiver.url()).await;
    team.act(&test, &first, "publish").await;
    run(&test).await;
    assert_eq!(team.status(&test, &first).await, "published");
    let received = receiver.received();
    assert_eq!(received[0].header("webhook-id"), received[1].header("webhook-id"), "it is the same post");
}

#[tokio::test]
async fn a_worker_that_dies_after_sending_sends_again_under_the_same_id() {
    let test = TestApp::start_with_outbound(loopback(), None).await;
    let receiver =
        Receiver::start(|number, _| if number == 1 { Reaction::Stalls } else { Reaction::status("200 OK") })
            .await;
    let team = Team::of(&test).await;
    test.publish_to(team.workspace, &receiver.url()).await;
    let item = team.publishing(&test).await;
    let worker = Worker::start(test.app.clone(), real_work());
    eventually("the first delivery", async || receiver.count() == 1).await;
    // Changes have to wait meanwhile.
    let refused = test.post(team.manager, &format!("{item}/archive"), Value::Null).await;
    refused.expect_error(409, "transition_refused");
    drop(worker);

    let (lost, ok) = run_after_crash(&test).await;
    assert!((1..=2).contains(&lost) && ok == 1, "{lost} {ok}");
    let received = receiver.received();
    assert_eq!(received.len(), 2);
    assert_eq!(received[0].header("webhook-id"), received[1].header("webhook-id"));
    assert_eq!(received[0].body, received[1].body);
    assert_ne!(received[0].header("webhook-timestamp"), received[1].header("webhook-timestamp"));
    assert_eq!((team.status(&test, &item).await.as_str(), attempts(&test, "delivered")), ("published", 1));
}

/// A worker with the production handler that polls often.
#[tokio::test]
async fn a_slow_endpoint_delays_no_other_workspace() {
    let test = TestApp::start_with_outbound(loopback(), None).await;
    let gate = Gate::closed();
    let door = gate.clone();
    let slow = Receiver::start(move |_, _| Reaction::WaitsFor(door.clone())).await;
    let quick = Receiver::start(ok).await;
    let (patient, busy) = (Team::of(&test).await, Team::of(&test).await);
    test.publish_to(patient.workspace, &slow.url()).await;
    test.publish_to(busy.workspace, &quick.url()).await;
    // Far more than there are slots, and due before the others.
    for _ in 0..12 {
        patient.publishing(&test).await;
    }
    test.app.clock.advance(TimeDelta::seconds(1));
    for _ in 0..6 {
        busy.publishing(&test).await;
    }
    let worker = Worker::start(test.app.clone(), real_work());
    eventually("the others are published", async || attempts(&test, "delivered") == 6).await;
    assert_eq!((quick.count(), slow.count()), (6, 1));
    gate.open();
    eventually("the slow one is done, too", async || attempts(&test, "delivered") == 18).await;
    assert_eq!((slow.count(), slow.most_at_once(), quick.most_at_once()), (12, 1, 1));
    worker.stop(Instant::now() + Duration::from_secs(3600)).await;
}

#[tokio::test]
async fn a_worker_whose_clock_is_behind_delivers_what_is_due() {
    let test = TestApp::start_with_outbound(loopback(), None).await;
    let receiver = Receiver::start(ok).await;
    let team = Team::of(&test).await;
    test.publish_to(team.workspace, &receiver.url()).await;
    let now = sqlx::query_scalar("select now()").fetch_one(test.pool()).await.expect("a time");
    let items = test.scheduled_items(team.workspace, team.author, 1, now).await;
    let behind = test.another_process_by(Clock::wrong_by(TimeDelta::seconds(-70)));
    assert_eq!(run_due_jobs(&behind).await.expect("the queue answers").of(JobOutcome::Ok), 1);
    let item = format!("{}/content-items/{}", team.path(), items[0]);
    assert_eq!((team.status(&test, &item).await.as_str(), receiver.count()), ("published", 1));
}

#[tokio::test]
async fn deliveries_that_nobody_works_on_any_more_are_given_up() {
    let test = TestApp::start_with_outbound(loopback(), None).await;
    let team = Team::of(&test).await;
    let (abandoned, waiting, future) =
        (team.publishing(&test).await, team.publishing(&test).await, team.approved(&test).await);
    team.schedule(&test, &future, TimeDelta::hours(1)).await;
    // Its last attempt killed its worker.
    let id: ContentItemId = id_of(&abandoned).parse().expect("an id");
    sqlx::query(
        "update jobs set status = 'dead', finished_at = run_at where payload ->> 'content_item' = $1::text",
    )
    .bind(id.to_string())
    .execute(test.pool())
    .await
    .expect("dead");
    sqlx::query("update content_items set publishing_started_at = scheduled_at where id = $1")
        .bind(id)
        .execute(test.pool())
        .await
        .expect("being published");
    sqlx::query("update jobs set run_at = run_at + interval '1 day' where status = 'queued'")
        .execute(test.pool())
        .await
        .expect("waiting");
    let look = async |minutes| {
        test.app.clock.advance(TimeDelta::minutes(minutes));
        commit(&test, NewJob { max_attempts: 1, ..job(&GiveUpPublishing) }).await;
        assert_eq!(test.run_due_jobs().await.of(JobOutcome::Ok), 1);
        team.read(&test, &abandoned).await
    };
    assert_eq!(look(4).await["status"], "scheduled", "it has only just become due");
    let failed = look(1).await;
    assert_eq!(
        (&failed["status"], &failed["publish_failure"]),
        (&json!("publish_failed"), &json!("interrupted"))
    );
    assert_eq!(team.status(&test, &waiting).await, "scheduled");
    assert_eq!(team.status(&test, &future).await, "scheduled");
    assert_eq!(
        (attempts(&test, "failed"), runs(&test.app, JobKind::GiveUpPublishing, JobOutcome::Ok)),
        (1, 2)
    );
    assert_eq!(look(1).await["status"], "publish_failed");
    assert_eq!(attempts(&test, "failed"), 1);
}
