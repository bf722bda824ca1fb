//! The stack and the application under test, with accelerated rules.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use cluster::DatabaseUrl;
use monitoring::files::write_rules;
use monitoring::query::{Recording, Scale, Total};
use reqwest::Client;

use super::alerts::{Alerts, TOLERANCE};
use super::console::{Console, RECEIVER};
use super::mail_server::MailServer;
use super::public_proxy::{PUBLIC_URL, PublicProxy};
use crate::application::{Application, Build, DATABASE, MAIL_DIRECTORY, SECOND_API};
use crate::compose::Compose;
use crate::notifications::{Notifications, start_alertmanager};
use crate::programs::Program;
use crate::prometheus::{Prometheus, now};
use crate::user::{AtWork, User};

/// Factor by which the windows and pending periods of all rules, and the values in [`FASTER`], are shorter
/// than in production.
pub(super) const FACTOR: u32 = 30;

/// Replacements in deploy/prometheus/prometheus.yml: windows of a few seconds need samples every second.
const FASTER: &[(&str, &str)] = &[
    ("scrape_interval: 15s", "scrape_interval: 1s"),
    ("scrape_timeout: 10s", "scrape_timeout: 1s"),
    ("evaluation_interval: 15s", "evaluation_interval: 1s"),
];

/// Beginning of the scrape jobs that only Alloy provides. The drills run an OpenTelemetry Collector, with
/// which operators remove them.
const EXPORTERS_OF_ALLOY: &str = "  # What Postgres says about itself, by the exporter in Alloy.";

/// The same in the collector's configuration. A probe of a hung process must end within the interval, because a
/// probe without a result is another fault.
const FASTER_COLLECTOR: &[(&str, &str)] =
    &[("collection_interval: 15s", "collection_interval: 1s"), ("timeout: 5s", "timeout: 1s")];

/// Exporters of the collector's metrics, and those in the drills, which add the console.
const SENDS_METRICS: &str = "exporters: [otlp_http/prometheus]";
const SENDS_METRICS_TO_BOTH: &str = "exporters: [otlp_http/prometheus, otlp_http/console]";

/// Factor of Alertmanager's delays, smaller than that of rules: the application detects faults at its own
/// pace, and a cause must be detected before its effects are notified.
const NOTIFIED_FASTER: u32 = 4;

/// Time for which an ended series is still visible: five minutes, scaled like all windows.
pub(super) const LOOKBACK: Duration = Duration::from_secs(10);

/// Seconds before and after a moment for which Prometheus gets generated history: a window of two hours with
/// an hour before it, and an hour after the longest drill.
const REMEMBERED_BEFORE: u64 = 360;
const REMEMBERED_AFTER: u64 = 420;

/// Settings in which a second replica must differ.
const SECOND: &[(&str, &str)] = &[
    ("SOCIALIZE_LISTEN", "0.0.0.0:8081"),
    ("SOCIALIZE_OPERATIONS_LISTEN", "127.0.0.1:9474"),
    ("SOCIALIZE_LOG_FILE", "/var/log/socialize/api-2.jsonl"),
    ("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=api-2"),
];

const MAIL_SERVER: &str = "127.0.0.1:2525";

/// Settings that differ from other tests with the stack. An empty value removes a setting.
const OTHERWISE: &[(&str, &str)] = &[
    ("OTEL_METRIC_EXPORT_INTERVAL", "1000"),
    ("SOCIALIZE_GAUGE_INTERVAL", "1s"),
    ("SOCIALIZE_GAUGE_CHECK_INTERVAL", "2s"),
    ("SOCIALIZE_MAIL_DIRECTORY", ""),
    ("SOCIALIZE_SMTP_URL", "smtp://127.0.0.1:2525?tls=none"),
    // One user does the work of hundreds.
    ("SOCIALIZE_EMAILS_TO_ONE_ADDRESS", "100000"),
];

pub(super) struct World {
    pub(super) client: Client,
    pub(super) alerts: Alerts,
    pub(super) console: Console,
    pub(super) notifications: Notifications,
    pub(super) mail: MailServer,
    pub(super) proxy: PublicProxy,
    pub(super) application: Application,
    pub(super) user: Option<(User, AtWork)>,
    pub(super) collector: Program,
    pub(super) loki: Program,
    pub(super) tempo: Program,
    pub(super) prometheus_program: Program,
    alertmanager: Program,
    pub(super) logs: PathBuf,
    compose: Compose,
}

impl World {
    pub(super) async fn start(compose: Compose, client: Client, logs: &Path) -> Self {
        write_configuration(logs);
        crate::strangers::let_loose(&client).await;
        let proxy = PublicProxy::start(logs).await;
        let console = Console::start().await;
        write_collector_configuration(logs);
        let collector = Program::start("otelcol", collector(&compose, &proxy, logs), logs);
        let loki = Program::start("loki", compose.command("loki", "loki"), logs);
        let tempo = Program::start("tempo", compose.command("tempo", "tempo"), logs);
        let (notifications, receivers) = Notifications::listen(logs, Scale::faster(NOTIFIED_FASTER)).await;
        let alertmanager = start_alertmanager(&compose, &receivers, logs);
        let prometheus_program = start_prometheus(&compose, logs);
        let mail = MailServer::start(MAIL_SERVER, MAIL_DIRECTORY).await;
        let application = Application::start_build(&compose, &client, logs, &build()).await;
        let mut world = Self {
            alerts: Alerts::watch(Prometheus { client: client.clone() }),
            console,
            client,
            mail,
            proxy,
            application,
            user: None,
            collector,
            loki,
            tempo,
            prometheus_program,
            alertmanager,
            notifications,
            logs: logs.to_owned(),
            compose,
        };
        world.ready().await;
        world
    }

    /// Waits for all programs of the stack.
    async fn ready(&mut self) {
        self.collector.ready(&self.client, "http://alloy:13133/").await;
        self.loki.ready(&self.client, "http://loki:3100/ready").await;
        self.tempo.ready(&self.client, "http://tempo:3200/ready").await;
        self.alertmanager.ready(&self.client, "http://alertmanager:9093/-/ready").await;
        self.prometheus_program.ready(&self.client, "http://prometheus:9090/-/ready").await;
    }

    pub(super) async fn start_collector(&mut self) {
        let command = collector(&self.compose, &self.proxy, &self.logs);
        self.collector = Program::start("otelcol", command, &self.logs);
        self.ready().await;
    }

    pub(super) async fn start_loki(&mut self) {
        self.loki = Program::start("loki", self.compose.command("loki", "loki"), &self.logs);
        self.ready().await;
    }

    pub(super) async fn start_tempo(&mut self) {
        self.tempo = Program::start("tempo", self.compose.command("tempo", "tempo"), &self.logs);
        self.ready().await;
    }

    pub(super) async fn start_api(&mut self) {
        self.application.start_api(&self.compose, &self.client, &self.logs, &build()).await;
    }

    pub(super) async fn start_second_api(&self) -> Program {
        self.start_second_api_with(&[]).await
    }

    /// Like [`Self::start_second_api`], with additional settings.
    pub(super) async fn start_second_api_with(&self, settings: &[(&'static str, &str)]) -> Program {
        let mut build = build();
        let all = SECOND.iter().chain(settings);
        build.otherwise.extend(all.map(|(name, value)| (*name, (*value).to_owned())));
        let command = Application::command(&self.application.postgres, &self.compose, "api", &build);
        let mut api = Program::start("api-2", command, &self.logs);
        api.ready(&self.client, &format!("{SECOND_API}/health/ready")).await;
        api
    }

    pub(super) async fn start_api_that_misbehaves(&mut self) {
        let program = crate::leaking_program();
        let build = Build { program: &program, ..build() };
        self.application.start_api(&self.compose, &self.client, &self.logs, &build).await;
    }

    pub(super) async fn start_worker(&mut self) {
        self.application.start_worker(&self.compose, &self.client, &self.logs, &build()).await;
    }

    /// Runs an operator's command, such as `dead-letters`.
    pub(super) fn operate(&self, arguments: &[&str]) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_socialize"));
        // The test's own variables would be configuration errors.
        command.args(arguments).env_clear().env("SOCIALIZE_DATABASE_URL", self.database().expose());
        Program::start("operator", command, &self.logs).finish();
    }

    /// URL of the database, for sessions of the test.
    pub(super) fn database(&self) -> DatabaseUrl {
        self.application.postgres.url(DATABASE)
    }

    /// Starts the user's requests.
    pub(super) async fn let_user_work(&mut self) {
        let mut user = User::register(&self.client).await;
        user.log_in().await;
        let at_work = user.work();
        self.user = Some((user, at_work));
    }

    pub(super) fn user(&self) -> &User {
        &self.user.as_ref().expect("a user").0
    }

    /// Stops the user and starts another session, because the current one expires soon.
    pub(super) async fn renew_session(&mut self) {
        if let Some((mut user, at_work)) = self.user.take() {
            let only_reads = at_work.only_reads.clone();
            drop(at_work);
            user.log_in().await;
            let at_work = user.work();
            at_work.only_reads.store(only_reads.load(Ordering::Relaxed), Ordering::Relaxed);
            self.user = Some((user, at_work));
        }
    }

    /// Generates the history that Prometheus would have recorded that long ago, including the longest window
    /// that looks back that far, and restarts Prometheus to load it.
    pub(super) async fn remember(&mut self, recording: &Recording<Total>, ago: Duration, value: f64) {
        self.prometheus_program.stop();
        let then = now() - faster(ago).as_secs();
        let mut samples = format!("# TYPE {} gauge\n", recording.name);
        for time in then - REMEMBERED_BEFORE..then + REMEMBERED_AFTER {
            let _ = writeln!(samples, "{} {value} {time}", recording.name);
        }
        samples.push_str("# EOF\n");
        let file = self.logs.join("remembered.txt");
        std::fs::write(&file, samples).expect("a file");
        let mut promtool = Command::new("promtool");
        promtool.args(["tsdb", "create-blocks-from", "openmetrics"]).arg(file).arg("/prometheus");
        Program::start("promtool", promtool, &self.logs).finish();
        self.prometheus_program = start_prometheus(&self.compose, &self.logs);
        self.ready().await;
    }

    /// Forgets alerts that do not fire now, those of the console as well.
    pub(super) fn forget_alerts(&self) {
        self.alerts.forget();
        self.console.changes.lock().unwrap_or_else(PoisonError::into_inner).forget();
    }

    /// Waits until the console fires the same alerts as Prometheus, as long as it may lag behind.
    pub(super) async fn let_console_catch_up(&self) {
        let deadline = Instant::now() + TOLERANCE;
        let agree = || {
            let changes = self.console.changes.lock().unwrap_or_else(PoisonError::into_inner);
            self.alerts.agree(&changes, |alert| self.console.watches(alert))
        };
        while !agree() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Returns a sentence for each alert that changed otherwise in the console than in Prometheus.
    pub(super) fn differences_of_console(&self, expected: &[&str]) -> Vec<String> {
        let changes = self.console.changes.lock().unwrap_or_else(PoisonError::into_inner);
        self.alerts.differences(&changes, |alert| self.console.watches(alert), expected)
    }

    pub(super) fn rules_directory(&self) -> PathBuf {
        self.logs.join("prometheus/rules")
    }
}

fn build() -> Build<'static> {
    let otherwise = OTHERWISE.iter().map(|(name, value)| (*name, (*value).to_owned()));
    Build { otherwise: otherwise.collect(), ..Build::of_this_test() }
}

/// Writes the files of deploy/ with accelerated rules.
fn write_configuration(logs: &Path) {
    let directory = logs.join("prometheus");
    write_rules(Scale::faster(FACTOR), &directory).expect("the rules");
    let mut configuration =
        std::fs::read_to_string("/etc/prometheus/prometheus.yml").expect("the configuration");
    for (real, faster) in FASTER {
        assert!(configuration.contains(real), "prometheus.yml has no {real}");
        configuration = configuration.replace(real, faster);
    }
    let (configuration, _) =
        configuration.split_once(EXPORTERS_OF_ALLOY).expect("the exporters of Alloy come last");
    std::fs::write(directory.join("prometheus.yml"), configuration).expect("the configuration");
}

fn write_collector_configuration(logs: &Path) {
    let mut configuration =
        std::fs::read_to_string("/etc/otelcol/config.yaml").expect("the collector's configuration");
    for (real, faster) in FASTER_COLLECTOR {
        assert!(configuration.contains(real), "the collector's configuration has no {real}");
        configuration = configuration.replace(real, faster);
    }
    assert!(configuration.contains(SENDS_METRICS), "the collector sends metrics elsewhere");
    let console = format!("exporters:\n  otlp_http/console:\n    endpoint: http://{RECEIVER}\n");
    let configuration =
        configuration.replace(SENDS_METRICS, SENDS_METRICS_TO_BOTH).replacen("exporters:\n", &console, 1);
    std::fs::write(collector_configuration(logs), configuration).expect("a file");
}

fn collector_configuration(logs: &Path) -> PathBuf {
    logs.join("otelcol.yaml")
}

/// The collector, which also probes the API through the proxy.
fn collector(compose: &Compose, proxy: &PublicProxy, logs: &Path) -> Command {
    let mut command = Command::new("otelcol");
    command.arg(format!("--config={}", collector_configuration(logs).display()));
    command.envs(compose.environment("alloy"));
    command.env("SOCIALIZE_PUBLIC_URL", PUBLIC_URL).env("SSL_CERT_FILE", &proxy.trusted);
    command
}

fn start_prometheus(compose: &Compose, logs: &Path) -> Program {
    let real = compose.command("prometheus", "prometheus");
    let mut faster = Command::new("prometheus");
    let configuration = logs.join("prometheus/prometheus.yml");
    for argument in real.get_args() {
        match argument.to_str() {
            Some(text) if text.starts_with("--config.file=") => {
                faster.arg(format!("--config.file={}", configuration.display()))
            }
            _ => faster.arg(argument),
        };
    }
    faster
        .arg(format!("--query.lookback-delta={}s", LOOKBACK.as_secs()))
        .envs(compose.environment("prometheus"));
    Program::start("prometheus", faster, logs)
}

/// Converts a real duration to the drill's scale.
pub(super) fn faster(real: Duration) -> Duration {
    Scale::faster(FACTOR).of(real)
}
