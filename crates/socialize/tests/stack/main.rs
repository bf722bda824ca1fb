//! Socialize in the stack of deploy/: the real Prometheus, Alertmanager, Loki, Tempo and collector with the
//! overlay's files. Every metric, panel, rule, trace and log line is checked where operators see it.
//!
//! `./test stack` runs this in its own network and file system, with the names and paths of the containers.

mod application;
mod collector_disk;
mod compose;
mod dashboards;
mod drills;
mod metrics;
mod notifications;
mod outages;
mod privacy;
mod programs;
mod prometheus;
mod replicas;
mod report;
mod signals;
mod strangers;
mod traffic;
mod user;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::Client;

use application::Application;
use compose::Compose;
use dashboards::{Outcome, PanelQuery};
use programs::{Program, eventually};
use prometheus::Prometheus;
use report::Report;
use traffic::People;

/// Path of the rendered Compose file.
const COMPOSE_FILE: &str = "SOCIALIZE_STACK_COMPOSE_FILE";

/// Path of the build that leaks and panics on request.
const LEAKING_PROGRAM: &str = "SOCIALIZE_LEAKING_PROGRAM";

/// Directory for screenshots of all dashboards. Without it none are taken.
const SCREENSHOTS: &str = "SOCIALIZE_SCREENSHOTS";

/// Gives time series a visible length.
const BEFORE_SCREENSHOTS: Duration = Duration::from_mins(6);

/// Directory of Grafana's dashboards.
const DASHBOARDS: &str = "/etc/grafana/dashboards";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes real programs and a network of its own: `./test stack` runs it"]
async fn everything_that_is_promised_is_seen() {
    let (compose, client) = (compose_file(), http_client());
    let logs = tempfile::tempdir().expect("a directory");
    let prometheus = Prometheus { client: client.clone() };
    let started = Instant::now();
    let tell = |what: &str| println!("{:>6.1} s  {what}", started.elapsed().as_secs_f64());

    tell("starting Prometheus, Loki, Tempo and the collector");
    let mut stores = start_stores(&compose, logs.path());
    strangers::let_loose(&client).await;
    tell("starting Postgres, the API and the worker");
    let application = Application::start(&compose, &client, logs.path()).await;
    tell("letting people loose");
    let people = People::let_loose(logs.path()).await;
    eventually("that people got through the workflows", async || {
        let published = prometheus.number("sum(socialize_content_items{status=\"published\"})").await?;
        if published > 0.0 { Ok(()) } else { Err("nothing is published".to_owned()) }
    })
    .await;
    tell("causing trouble");
    traffic::cause_trouble(&application, &client).await;

    // Until now the collector has queued what the stores could not accept yet. Concurrently, because some
    // stores only finish starting after the first request.
    let (client_of_all, tell_of_all) = (&client, &tell);
    let ready = stores.iter_mut().map(async |(program, url)| {
        program.ready(client_of_all, url).await;
        tell_of_all(&format!("{} is ready", program.name));
    });
    futures_util::future::join_all(ready).await;
    tell("looking for each metric");
    let ours = metrics::check_ours(&prometheus).await;
    let foreign = metrics::check_foreign(&prometheus).await;
    let series = metrics::check_series(&prometheus).await;
    metrics::check_page(&client).await;
    tell("looking at what is not ours");
    let strangers = strangers::check(&client, &prometheus, &metrics::documented()).await;
    tell("counting the failures of the outage");
    metrics::check_failures(&prometheus).await;
    tell("looking at rules");
    let rules = metrics::check_rules(&prometheus).await;
    tell("looking at panels");
    let panels = check_panels(&prometheus).await;
    tell("following a request through the stores");
    let seen = signals::check(&client, &prometheus).await;

    #[expect(clippy::disallowed_methods, reason = "this is where the test's configuration is read")]
    if let Some(directory) = std::env::var_os(SCREENSHOTS) {
        tell("letting people work for a while, for the screenshots");
        tokio::time::sleep(BEFORE_SCREENSHOTS).await;
        take_screenshots(Path::new(&directory), &signals::request_with_job(&client).await);
    }
    for (program, _) in &mut stores {
        program.assert_running();
    }
    println!("\n{}", people.simulation.log().lines().last().unwrap_or_default());
    let report = Report { ours, foreign, strangers, series, rules, panels, seen, took: started.elapsed() };
    let programs: Vec<&Program> =
        stores.iter().map(|(program, _)| program).chain([&application.api, &application.worker]).collect();
    println!("{}", report.text(&programs));

    tell("starting Prometheus again, such that it shows types and units");
    drop(stores.pop_if(|(program, _)| program.name == "prometheus").expect("Prometheus is the last store"));
    let mut typed = compose.command("prometheus", "prometheus");
    typed.arg("--enable-feature=type-and-unit-labels");
    let _typed = Program::start("prometheus", typed, logs.path());
    metrics::check_types(&prometheus).await;
    tell("every metric has its type and unit");
}

/// Draws all dashboards with the data of this run; the one about a single request shows `request`.
fn take_screenshots(directory: &Path, request: &str) {
    let sketch = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/dashboards/sketch.py");
    let mut command = Command::new(sketch);
    command.arg("--out").arg(directory).args(["--range", "10m"]);
    command.args(["--prometheus", "http://prometheus:9090", "--loki", "http://loki:3100"]);
    command.args(["--tempo", "http://tempo:3200", "--set", &format!("request_id={request}")]);
    assert!(command.status().expect("sketch.py").success(), "a dashboard could not be drawn");
}

/// The files of deploy/, rendered by the caller of the test.
fn compose_file() -> Compose {
    Compose::read(&configured(COMPOSE_FILE))
}

fn leaking_program() -> PathBuf {
    configured(LEAKING_PROGRAM)
}

fn configured(variable: &str) -> PathBuf {
    #[expect(clippy::disallowed_methods, reason = "this is where the test's configuration is read")]
    let value = std::env::var_os(variable).unwrap_or_else(|| panic!("./test sets {variable}"));
    PathBuf::from(value)
}

fn http_client() -> Client {
    // Another test may have installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().expect("an HTTP client")
}

/// A program of the stack, with the URL that responds when it is ready.
type Store = (Program, &'static str);

fn start_stores(compose: &Compose, logs: &Path) -> Vec<Store> {
    let programs = [
        ("otelcol", collector(compose), "http://alloy:13133/"),
        ("loki", compose.command("loki", "loki"), "http://loki:3100/ready"),
        ("tempo", compose.command("tempo", "tempo"), "http://tempo:3200/ready"),
        ("alertmanager", compose.command("alertmanager", "alertmanager"), "http://alertmanager:9093/-/ready"),
        // The last one, because it is restarted later.
        ("prometheus", compose.command("prometheus", "prometheus"), "http://prometheus:9090/-/ready"),
    ];
    let start = |(name, command, url)| (Program::start(name, command, logs), url);
    programs.into_iter().map(start).collect()
}

/// The OpenTelemetry Collector in place of Alloy.
fn collector(compose: &Compose) -> Command {
    let mut command = Command::new("otelcol");
    command.arg("--config=/etc/otelcol/config.yaml").envs(compose.environment("alloy"));
    command
}

/// Asserts that every query of every panel returns data, once everything has had time to arrive.
async fn check_panels(prometheus: &Prometheus) -> Vec<Outcome> {
    let mut missing: Vec<PanelQuery> = PanelQuery::all(Path::new(DASHBOARDS));
    assert!(!missing.is_empty(), "there are no panels in {DASHBOARDS}");
    let mut outcomes = Vec::new();
    eventually("that every panel shows data", async || {
        let mut still_missing = Vec::new();
        let mut reasons = Vec::new();
        for query in std::mem::take(&mut missing) {
            match query.ask(prometheus).await {
                Ok(outcome) => outcomes.push(outcome),
                Err(reason) => {
                    reasons.push(format!("{}\n    {reason}", query.describe()));
                    still_missing.push(query);
                }
            }
        }
        missing = still_missing;
        if missing.is_empty() {
            Ok(())
        } else {
            Err(format!("{} queries:\n{}", missing.len(), reasons.join("\n")))
        }
    })
    .await;
    outcomes
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
