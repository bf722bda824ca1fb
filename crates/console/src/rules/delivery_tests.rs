//! Notifications to a local stub of an Alertmanager.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, RwLock};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use monitoring::query::{Expression, Scale};
use serde_json::Value;

use super::alertmanager::Alertmanager;
use super::database::{Database, RuleSample};
use super::engine::RuleEngine;
use crate::store::metrics::Labels;

const MINUTE: i64 = 60_000;
/// 2026-11-30 14:00:00 UTC.
const START: i64 = 1_796_047_200_000;

/// A condition that always holds.
#[derive(Default)]
struct Holding(BTreeMap<String, f64>);

impl Database for Holding {
    fn evaluate(&self, expression: &Expression, _: i64) -> Result<Vec<(Labels, f64)>, String> {
        let value = self.0.get(&expression.to_string());
        Ok(value.map(|value| (Labels::new([("role".into(), "serve".into())]), *value)).into_iter().collect())
    }

    fn append(&mut self, _: &str, _: i64, _: Vec<RuleSample>) {}
}

/// Received requests, and the status of the responses.
#[derive(Clone)]
struct Server {
    bodies: Arc<Mutex<Vec<Value>>>,
    status: Arc<Mutex<StatusCode>>,
}

impl Server {
    async fn start() -> (Self, String) {
        let server = Self { bodies: Arc::default(), status: Arc::new(Mutex::new(StatusCode::OK)) };
        let shared = server.clone();
        let take = move |headers: HeaderMap, body: Bytes| async move {
            assert_eq!(headers["content-type"], "application/json");
            shared.bodies.lock().expect("a lock").push(serde_json::from_slice(&body).expect("JSON"));
            *shared.status.lock().expect("a lock")
        };
        let router = Router::new().route("/am/api/v2/alerts", post(take));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}/am/", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        (server, address)
    }

    fn taken(&self) -> Vec<Value> {
        std::mem::take(&mut *self.bodies.lock().expect("a lock"))
    }

    fn respond(&self, status: StatusCode) {
        *self.status.lock().expect("a lock") = status;
    }
}

fn alerts_named<'a>(bodies: &'a [Value], name: &str) -> Vec<&'a Value> {
    let alerts = bodies.iter().flat_map(|body| body.as_array().expect("an array"));
    alerts.filter(|alert| alert["labels"]["alertname"] == name).collect()
}

#[tokio::test]
async fn alerts_are_sent_again_each_minute_and_once_they_are_resolved() {
    let (server, address) = Server::start().await;
    let alertmanager = Alertmanager::new(&address.parse().expect("an address")).expect("a plain address");
    let mut engine = RuleEngine::in_memory(Scale::REAL);
    engine.notify(address.clone(), "http://127.0.0.1:3001".to_owned(), Some("demo".to_owned()));
    let condition =
        engine.alerts().find(|rule| rule.name == "TelemetryMissing").expect("an alert").condition.to_string();
    let mut holding = Holding([(condition, 1.0)].into());
    let engine = RwLock::new(engine);
    let evaluate = |at: i64, holding: &mut Holding| engine.write().expect("a lock").evaluate_all(at, holding);

    evaluate(START, &mut holding);
    alertmanager.deliver(&engine, START).await;
    let bodies = server.taken();
    let [alert] = alerts_named(&bodies, "TelemetryMissing")[..] else { panic!("one alert: {bodies:?}") };
    assert_eq!(alert["labels"]["severity"], "critical");
    assert_eq!(alert["labels"]["role"], "serve");
    assert_eq!(alert["labels"]["environment"], "demo");
    assert_eq!(alert["annotations"]["summary"], "No API process reports metrics.");
    assert_eq!(alert["annotations"]["runbook_url"], "http://127.0.0.1:3001/alerts/TelemetryMissing");
    assert_eq!(alert["generatorURL"], "http://127.0.0.1:3001/alerts/TelemetryMissing");
    assert_eq!(alert["startsAt"], "2026-11-30T14:00:00Z");
    // As in Prometheus: four times the longer of a minute and the group's interval.
    assert_eq!(alert["endsAt"], "2026-11-30T14:04:00Z");
    let delivery = engine.read().expect("a lock").delivery().expect("a delivery");
    assert_eq!((delivery.succeeded_at, delivery.waiting, delivery.failed), (Some(START), 0, None));

    // Not sent again before a minute has passed.
    evaluate(START + 30_000, &mut holding);
    alertmanager.deliver(&engine, START + 30_000).await;
    assert_eq!(server.taken().len(), 0);
    evaluate(START + MINUTE, &mut holding);
    alertmanager.deliver(&engine, START + MINUTE).await;
    assert_eq!(alerts_named(&server.taken(), "TelemetryMissing")[0]["endsAt"], "2026-11-30T14:05:00Z");

    holding.0.clear();
    evaluate(START + MINUTE + 30_000, &mut holding);
    alertmanager.deliver(&engine, START + MINUTE + 30_000).await;
    let bodies = server.taken();
    let [alert] = alerts_named(&bodies, "TelemetryMissing")[..] else { panic!("one alert: {bodies:?}") };
    assert_eq!(alert["endsAt"], "2026-11-30T14:01:30Z");
    assert_eq!(alert["startsAt"], "2026-11-30T14:00:00Z");
}

#[tokio::test]
async fn failures_are_retried_with_growing_pauses_and_shown() {
    let (server, address) = Server::start().await;
    let alertmanager = Alertmanager::new(&address.parse().expect("an address")).expect("a plain address");
    let mut engine = RuleEngine::in_memory(Scale::REAL);
    engine.notify(address, "http://127.0.0.1:3001".to_owned(), None);
    let condition =
        engine.alerts().find(|rule| rule.name == "TelemetryMissing").expect("an alert").condition.to_string();
    engine.evaluate_all(START, &mut Holding([(condition, 1.0)].into()));
    let engine = RwLock::new(engine);
    server.respond(StatusCode::SERVICE_UNAVAILABLE);
    // Attempts at 0, 1, 3, 7 and 15 seconds: pauses of 1, 2, 4 and 8 seconds.
    let mut attempts = Vec::new();
    for second in 0..20 {
        alertmanager.deliver(&engine, START + second * 1000).await;
        attempts.extend(server.taken().iter().map(|_| second));
    }
    assert_eq!(attempts, [0, 1, 3, 7, 15]);
    let delivery = engine.read().expect("a lock").delivery().expect("a delivery");
    assert_eq!(delivery.failed, Some((START + 15_000, "it responded with 503".to_owned())));
    assert!(delivery.waiting > 0 && delivery.succeeded_at.is_none());
    server.respond(StatusCode::OK);
    alertmanager.deliver(&engine, START + 31_000).await;
    assert_eq!(server.taken().len(), 1);
    let delivery = engine.read().expect("a lock").delivery().expect("a delivery");
    assert_eq!((delivery.failed, delivery.waiting), (None, 0));
}

#[tokio::test]
async fn an_alertmanager_that_is_away_is_reported() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let alertmanager = Alertmanager::new(&address.parse().expect("an address")).expect("a plain address");
    let mut engine = RuleEngine::in_memory(Scale::REAL);
    engine.notify(address, String::new(), None);
    let condition =
        engine.alerts().find(|rule| rule.name == "TelemetryMissing").expect("an alert").condition.to_string();
    engine.evaluate_all(START, &mut Holding([(condition, 1.0)].into()));
    let engine = RwLock::new(engine);
    alertmanager.deliver(&engine, START).await;
    let (_, reason) =
        engine.read().expect("a lock").delivery().expect("a delivery").failed.expect("a failure");
    assert!(reason.contains("cannot be reached"), "{reason}");
}
