//! One cause, one notification: the real Alertmanager with deploy/'s configuration gets all alerts of a
//! cause, and notifies only the cause. A console can send it alerts as Prometheus does.
//!
//! Delays are shorter than in production, and receivers lead to this test.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use monitoring::query::Scale;
use monitoring::rules::causes::{causes, explained_by, not_held_back, with_explained};
use monitoring::rules::notifications::{receivers, render};
use monitoring::rules::{Alert, Severity, groups};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::compose::Compose;
use crate::programs::{Program, eventually};

const ALERTMANAGER: &str = "http://alertmanager:9093";

/// Notifications sent by Alertmanager.
#[derive(Clone, Default)]
pub(crate) struct Notifications(Arc<Mutex<Vec<Notification>>>);

/// A notification about firing alerts. Those about resolved ones are discarded.
#[derive(Clone, Debug)]
pub(crate) struct Notification {
    pub(crate) receiver: String,
    pub(crate) environment: String,
    /// Names of the firing alerts.
    pub(crate) alerts: Vec<String>,
}

impl Notifications {
    /// Starts to listen, and writes a configuration that leads Alertmanager here.
    pub(crate) async fn listen(directory: &Path, scale: Scale) -> (Self, PathBuf) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let notifications = Self::default();
        let router = Router::new().route("/", post(keep)).with_state(notifications.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });

        let mut configuration = render(scale);
        for receiver in receivers() {
            let nobody = format!("  - name: {receiver}\n");
            assert!(configuration.contains(&nobody), "there is no receiver {receiver}");
            let webhook = format!("{nobody}    webhook_configs: [{{url: '{url}'}}]\n");
            configuration = configuration.replace(&nobody, &webhook);
        }
        let file = directory.join("alertmanager.yml");
        std::fs::write(&file, configuration).expect("a file");
        (notifications, file)
    }

    /// Notifications since the last call.
    pub(crate) fn take(&self) -> Vec<Notification> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn seen(&self) -> Vec<Notification> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn keep(State(notifications): State<Notifications>, Json(message): Json<Value>) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let alerts = message["alerts"].as_array().into_iter().flatten();
    let firing = alerts.filter(|alert| alert["status"] == "firing");
    let alerts: Vec<String> = firing.map(|alert| text(&alert["labels"]["alertname"])).collect();
    if !alerts.is_empty() {
        let environment = text(&message["commonLabels"]["environment"]);
        let notification = Notification { receiver: text(&message["receiver"]), environment, alerts };
        notifications.0.lock().unwrap_or_else(PoisonError::into_inner).push(notification);
    }
}

/// Alertmanager as the overlay starts it, except for its file.
pub(crate) fn start_alertmanager(compose: &Compose, configuration: &Path, logs: &Path) -> Program {
    let real = compose.command("alertmanager", "alertmanager");
    let mut command = Command::new("alertmanager");
    for argument in real.get_args() {
        match argument.to_str() {
            Some(text) if text.starts_with("--config.file=") => {
                command.arg(format!("--config.file={}", configuration.display()))
            }
            _ => command.arg(argument),
        };
    }
    command.envs(compose.environment("alertmanager"));
    Program::start("alertmanager", command, logs)
}

/// Factor of Alertmanager's delays: two seconds instead of a minute.
const FACTOR: u32 = 30;

/// Longer than the longest initial delay.
const ALL_ARRIVED: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes real programs and a network of its own: `./test stack` runs it"]
async fn one_cause_is_one_notification() {
    let (compose, client) = (crate::compose_file(), crate::http_client());
    let logs = tempfile::tempdir().expect("a directory");
    let (notifications, configuration) = Notifications::listen(logs.path(), Scale::faster(FACTOR)).await;
    let mut alertmanager = start_alertmanager(&compose, &configuration, logs.path());
    alertmanager.ready(&client, &format!("{ALERTMANAGER}/-/ready")).await;

    // Each in an environment of its own, so that they do not interfere.
    let names: BTreeSet<&str> = causes().iter().map(|cause| cause.alert.alert).collect();
    let mut alerts = Vec::new();
    for cause in &names {
        alerts.extend(with_explained(cause).iter().flat_map(|alert| firing(cause, cause, alert)));
    }
    // Without the cause all effects are notified; otherwise this test would prove nothing.
    let without_cause: Vec<Alert> = with_explained("PostgresUnreachable")
        .into_iter()
        .filter(|alert| alert.name != "PostgresUnreachable")
        .collect();
    alerts.extend(without_cause.iter().flat_map(|alert| firing("no cause", "PostgresUnreachable", alert)));
    let answer =
        client.post(format!("{ALERTMANAGER}/api/v2/alerts")).json(&alerts).send().await.expect("an answer");
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap_or_default());
    // The wait itself is the test: an inhibited notification never arrives.
    tokio::time::sleep(ALL_ARRIVED).await;

    let mut told: BTreeMap<String, Vec<Notification>> = BTreeMap::new();
    for notification in notifications.take() {
        told.entry(notification.environment.clone()).or_default().push(notification);
    }
    let severities: BTreeMap<&str, Severity> = groups(Scale::REAL)
        .into_iter()
        .flat_map(|group| group.alerts)
        .map(|alert| (alert.name, alert.severity))
        .collect();
    for cause in &names {
        let told = told.remove(*cause).unwrap_or_default();
        assert_eq!(told.len(), 1, "{cause}: {told:?}");
        assert_eq!(told[0].receiver, severities[cause].as_str(), "{cause}");
        assert!(told[0].alerts.iter().all(|alert| alert == *cause), "{told:?}");
    }
    let told = told.remove("no cause").unwrap_or_default();
    let critical: Vec<&Notification> = told.iter().filter(|one| one.receiver == "critical").collect();
    let expected = not_held_back(without_cause);
    let expected = expected.iter().filter(|alert| alert.severity == Severity::Critical).count();
    assert!(expected > 0 && critical.len() == expected, "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes real programs and a network of its own: `./test stack` runs it"]
async fn a_console_hands_its_alerts_to_alertmanager() {
    let (compose, client) = (crate::compose_file(), crate::http_client());
    let logs = tempfile::tempdir().expect("a directory");
    let (notifications, configuration) = Notifications::listen(logs.path(), Scale::faster(FACTOR)).await;
    let mut alertmanager = start_alertmanager(&compose, &configuration, logs.path());
    alertmanager.ready(&client, &format!("{ALERTMANAGER}/-/ready")).await;

    // No process reports to it, so it has an alert at once.
    let mut command = Command::new(env!("CARGO_BIN_EXE_socialize"));
    command.args(["console", "--address", "127.0.0.1:0", "--otlp-address", "127.0.0.1:0"]);
    command.args(["--environment", "demo", "--alertmanager", ALERTMANAGER]);
    command.arg("--data").arg(logs.path().join("console"));
    let mut console = Program::start("console", command, logs.path());
    told(&notifications, "TelemetryMissing").await;
    let seen = notifications.seen();
    let of_it = seen.iter().find(|one| one.alerts == ["TelemetryMissing"]).expect("a notification");
    assert_eq!((&*of_it.receiver, &*of_it.environment), ("critical", "demo"));
    console.assert_running();
}

/// The alert as Prometheus sends it, once for each label value that matters to the cause's effects.
fn firing(environment: &str, cause: &str, alert: &Alert) -> Vec<Value> {
    let labels =
        json!({"alertname": alert.name, "severity": alert.severity.as_str(), "environment": environment});
    let explained = explained_by(cause);
    let own = explained.iter().map(|(series, _)| series).filter(|series| series.alert == alert.name);
    let causing = causes()
        .into_iter()
        .map(|cause| cause.alert)
        .filter(|series| alert.name == cause && series.alert == cause);
    let mut only: Vec<(String, &str)> =
        own.cloned().chain(causing).filter_map(|series| series.only).collect();
    only.dedup();
    let mut all: Vec<Value> = only
        .into_iter()
        .map(|(label, value)| {
            let mut labels = labels.clone();
            labels[label] = json!(value);
            json!({"labels": labels})
        })
        .collect();
    if all.is_empty() {
        all.push(json!({"labels": labels}));
    }
    all
}

/// Waits for a notification of an alert.
pub(crate) async fn told(notifications: &Notifications, alert: &str) {
    eventually(&format!("that somebody is told of {alert}"), async || {
        let seen = notifications.seen();
        let is_told = seen.iter().any(|notification| notification.alerts.iter().any(|name| name == alert));
        if is_told { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
}
