//! Nothing that customers write reaches anything that operators read.
//!
//! Every route is called with markers in every text. Then everything recorded is searched for them. A
//! build that leaks on purpose shows that the search would find leaks. `./test privacy` runs this.

mod console_sinks;
mod markers;
mod peers;
mod sinks;
mod walk;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use reqwest::Client;
use serde_json::json;

use crate::application::{API, Application, BLOBS_DIRECTORY, Build};
use crate::compose::Compose;
use crate::programs::eventually;
use console_sinks::Console;
use markers::Markers;
use peers::{DEFERRED, Peers, REFUSED};
use sinks::{Places, Seen, Sink};
use walk::{Answers, Prepared, Route, Walk};

/// Sinks that the leak of `leak_canary.rs` cannot reach, because no request data is available there. They are
/// searched in the same way.
const BEYOND_THE_LEAK: &[&str] = &["output of the stack's programs", "health, in detail"];

/// More series of histograms than API and worker can have: routes with their statuses, statements with their
/// failures, jobs. Text of customers as a label would add more with each walk.
const MOST_DISTRIBUTIONS: usize = 1_500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes real programs and a network of its own: `./test privacy` runs it"]
async fn nothing_that_customers_write_is_recorded() {
    let (compose, client) = (crate::compose_file(), crate::http_client());
    let leaking = crate::leaking_program();
    let logs = tempfile::tempdir().expect("a directory");
    let started = Instant::now();
    let tell = |what: &str| println!("{:>6.1} s  {what}", started.elapsed().as_secs_f64());

    tell("starting Prometheus, Loki, Tempo and the collector");
    let mut stores = crate::start_stores(&compose, logs.path());
    tell("starting Postgres, the API and the worker");
    let markers = Arc::new(Markers::new());
    let peers = Peers::start(markers.clone()).await;
    let otherwise = vec![
        ("SOCIALIZE_MAIL_DIRECTORY", String::new()),
        ("SOCIALIZE_SMTP_URL", format!("smtp://127.0.0.1:{}?tls=none", peers.smtp_port)),
        // All exported telemetry passes through the test.
        ("OTEL_EXPORTER_OTLP_ENDPOINT", peers.collector.clone()),
        ("OTEL_METRIC_EXPORT_INTERVAL", "1000".to_owned()),
        // All levels, which is more than operators normally see.
        ("SOCIALIZE_LOG_LEVEL", "debug".to_owned()),
    ];
    let build = Build { program: Path::new(env!("CARGO_BIN_EXE_socialize")), otherwise: otherwise.clone() };
    let console = Console::start(&build, &client, logs.path()).await;
    let application = Application::start_build(&compose, &client, logs.path(), &build).await;

    tell("calling every route");
    let mut walk = Walk::begin(&client, &markers, &peers).await;
    let places = Places {
        client: &client,
        compose: &compose,
        postgres: &application.postgres,
        build: &build,
        logs: logs.path(),
        peers: &peers,
    };
    let series_before = places.counted_series().await;
    let operator = walk.operator.email.clone();
    places.output("api", &["operator", "add", &operator], &[]);
    let (answers, prepared) = call_everything(&walk).await;
    tell("causing retries and dead letters");
    cause_trouble(&mut walk).await;
    tell("calling every route without blob store, and without Postgres");
    let without_blobs = without_blobs(&walk, &prepared).await;
    application.postgres.interrupt();
    let without_database = walk.all_at_once(&prepared).await;
    application.postgres.resume().expect("Postgres comes back");
    check_answers(&answers, &without_blobs, &without_database);
    let series_after = places.counted_series().await;
    // The page shows a histogram's series from its first value on.
    let (distributions, others): (Vec<&String>, Vec<&String>) =
        series_after.iter().partition(|series| series.contains("_seconds_"));
    let distributions = distributions.iter().filter(|series| series.contains("_seconds_count")).count();
    assert!(distributions < MOST_DISTRIBUTIONS, "{distributions} series of histograms");
    let new: Vec<&String> = others.into_iter().filter(|series| !series_before.contains(*series)).collect();
    assert!(
        series_before.len() > 1000 && new.is_empty(),
        "{} series, and new ones: {new:?}",
        series_before.len()
    );
    tell(&format!(
        "after all of that there are the same {} series of counters, and {distributions} of histograms",
        series_after.len()
    ));
    tell("causing a start that fails");
    let secret = markers.at("password of the database");
    let url = format!("postgres://user:{secret}@127.0.0.1:1/{secret}?application_name={secret}");
    let crash =
        places.output("api", &["doctor"], &[("SOCIALIZE_DATABASE_URL", &url), ("SOCIALIZE_SECRET", &secret)]);

    for (program, url) in &mut stores {
        program.ready(&client, url).await;
    }
    tell("reading everything that was recorded");
    let last = last_request(&client).await;
    let (mut sinks, seen) = places.all(&last).await;
    sinks.push(Sink { name: "output of a start that fails", bytes: crash });
    let (of_console, in_console) = console.sinks(&last).await;
    sinks.extend(of_console);
    tell("searching it");
    let found: Vec<(Sink, Vec<String>)> = sinks
        .into_iter()
        .map(|sink| {
            let hits = markers.hits(&sink.bytes);
            (sink, hits)
        })
        .collect();

    tell("doing it once more with a build that leaks");
    let caught = run_leaking_build(&compose, &client, application, &leaking, otherwise, &peers).await;
    for (program, _) in &mut stores {
        program.assert_running();
    }
    println!("\n{}", table(&markers, &found, &caught, &seen, &answers, &without_database));
    println!(
        "{} pages of the console, with {} lines and {} traces.",
        in_console.pages, in_console.lines, in_console.traces
    );
    tell("done");
    for (sink, hits) in &found {
        assert!(
            hits.is_empty(),
            "{} in {}:\n{}",
            hits.len(),
            sink.name,
            hits[..hits.len().min(10)].join("\n")
        );
        assert!(!sink.bytes.is_empty() || sink.name == "error columns of jobs", "{} is empty", sink.name);
        let is_beyond = BEYOND_THE_LEAK.contains(&sink.name);
        assert!(is_beyond || caught[sink.name] > 0, "the leak was not found in {}", sink.name);
    }
    assert!(
        seen.lines >= seen.written_lines && seen.written_lines > 500,
        "not all lines were searched in Loki"
    );
    assert!(seen.traces == seen.named_traces && seen.traces > 200, "not all traces were searched in Tempo");
    assert!(in_console.lines >= seen.written_lines, "{in_console:?} of {} lines", seen.written_lines);
    assert!(in_console.traces >= seen.named_traces, "{in_console:?} of {} traces", seen.named_traces);
    assert!(seen.series > 500, "too little was recorded");
}

/// Calls every route correctly, and in several wrong ways.
async fn call_everything(walk: &Walk<'_>) -> (Answers, Vec<(Route, Prepared)>) {
    let mut answers = Answers::new();
    let mut all = Vec::new();
    for route in walk.routes() {
        let prepared = walk.prepare(&route).await;
        // Wrong calls first, because the right one may delete their object.
        let mut statuses = walk.wrong(&route, &prepared).await;
        let prepared = walk.prepare(&route).await;
        statuses.insert(walk.right(&route, &prepared).await);
        answers.insert(format!("{} {}", route.method, route.path), statuses);
        all.push((route, prepared));
    }
    (answers, all)
}

/// A mail server and publishing endpoints that reject permanently and temporarily.
async fn cause_trouble(walk: &mut Walk<'_>) {
    let email = |prefix: &str| format!("{prefix}{}@example.com", walk.markers.at("address of trouble"));
    let (refused, deferred) = (email(REFUSED), email(DEFERRED));
    for email in [&refused, &deferred] {
        walk.register_as(email, &walk.markers.at("password")).await;
    }
    walk.publish("gone").await;
    walk.put_endpoint("again").await;
    walk.publish("again").await;
    walk.peers.token(&deferred, 1).await;
    eventually("that an address is refused", async || {
        if walk.peers.was_refused(&refused) { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    eventually("that a post is tried again", async || {
        let most = walk.peers.most_posts();
        if most > 1 { Ok(()) } else { Err(format!("{most} posts to a path")) }
    })
    .await;
}

/// A file in place of the directory accepts no upload, not even from root.
async fn without_blobs(walk: &Walk<'_>, prepared: &[(Route, Prepared)]) -> Answers {
    let is_upload = |route: &Route| route.path.ends_with("/attachments") && route.method == "POST";
    let uploads: Vec<_> = prepared.iter().filter(|(route, _)| is_upload(route)).cloned().collect();
    let away = format!("{BLOBS_DIRECTORY}-away");
    std::fs::rename(BLOBS_DIRECTORY, &away).expect("a directory to move");
    std::fs::write(BLOBS_DIRECTORY, "in the way").expect("a file");
    let answers = walk.all_at_once(&uploads).await;
    std::fs::remove_file(BLOBS_DIRECTORY).expect("the file");
    std::fs::rename(&away, BLOBS_DIRECTORY).expect("the directory to come back");
    answers
}

/// A walk that does not reach every route proves nothing.
fn check_answers(answers: &Answers, without_blobs: &Answers, without_database: &Answers) {
    let mut mistakes = Vec::new();
    for (route, statuses) in answers {
        if !statuses.iter().any(|status| (200..300).contains(status)) {
            mistakes.push(format!("{route} never succeeded: {statuses:?}"));
        }
        if !statuses.iter().any(|status| (400..500).contains(status)) {
            mistakes.push(format!("{route} was never refused: {statuses:?}"));
        }
        if let Some(status) = statuses.iter().find(|status| **status >= 500) {
            mistakes.push(format!("{route} failed with {status}"));
        }
    }
    for (route, statuses) in without_blobs.iter().chain(without_database) {
        if !statuses.iter().all(|status| *status >= 500) {
            mistakes.push(format!("{route} did not fail in an outage: {statuses:?}"));
        }
    }
    assert!(answers.len() > 50 && !without_blobs.is_empty(), "only {} routes", answers.len());
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
}

/// The id of a request after which nothing more happens.
async fn last_request(client: &Client) -> String {
    let answer = client.get(format!("{API}/v1/me")).send().await.expect("an answer");
    answer.headers()["x-request-id"].to_str().expect("an id").to_owned()
}

/// Creates an organization with the leaking build, and returns how often each sink contains its name. Then
/// makes it panic; the panic's text must not be found.
async fn run_leaking_build(
    compose: &Compose,
    client: &Client,
    application: Application,
    program: &Path,
    otherwise: Vec<(&'static str, String)>,
    peers: &Peers,
) -> BTreeMap<&'static str, usize> {
    let logs = tempfile::tempdir().expect("a directory");
    let build = Build { program, otherwise };
    let console = Console::start(&build, client, logs.path()).await;
    let application = application.replace(compose, client, logs.path(), &build).await;
    let markers = Markers::new();
    let walk = Walk::begin(client, &markers, peers).await;
    let name = json!({"name": markers.at("the name that is leaked")});
    let organization = walk.make("POST", "/v1/organizations", name).await;
    // Panic messages are the only thing that this build does not leak.
    let words = Markers::new();
    let status = walk.cause_panic(&organization, &words.at("words of a panic")).await;
    assert_eq!(status, 500, "the panic");
    let pool =
        sqlx::PgPool::connect(application.postgres.url("socialize").expose()).await.expect("a connection");
    // No code writes text here, so the test does.
    let planted = sqlx::query("update jobs set last_error_type = $1 where status = 'dead'")
        .bind(markers.at("planted in a job"))
        .execute(&pool)
        .await
        .expect("an update");
    assert!(planted.rows_affected() > 0, "there was no dead letter");
    pool.close().await;
    let places =
        Places { client, compose, postgres: &application.postgres, build: &build, logs: logs.path(), peers };
    // A value that is quoted to the operator at startup.
    let wrong = markers.at("a setting that is wrong");
    let said = places.output("api", &["doctor"], &[("SOCIALIZE_MAIL_FROM", &wrong)]);
    let last = last_request(client).await;
    let (mut sinks, _) = places.all(&last).await;
    sinks.extend(console.sinks(&last).await.0);
    let doctor = sinks.iter_mut().find(|sink| sink.name == "doctor").expect("doctor");
    doctor.bytes.extend_from_slice(&said);
    let failed = places.output("api", &["serve"], &[("SOCIALIZE_MAIL_FROM", &wrong)]);
    sinks.push(Sink { name: "output of a start that fails", bytes: failed });
    for sink in &sinks {
        assert_eq!(words.hits(&sink.bytes), Vec::<String>::new(), "words of a panic in {}", sink.name);
    }
    let lines = sinks.iter().find(|sink| sink.name == "log files").expect("log files");
    let panicked = String::from_utf8_lossy(&lines.bytes).matches("\"event\":\"panic\"").count();
    assert_eq!(panicked, 1, "lines of a panic");
    sinks.iter().map(|sink| (sink.name, markers.hits(&sink.bytes).len())).collect()
}

fn table(
    markers: &Markers,
    found: &[(Sink, Vec<String>)],
    caught: &BTreeMap<&str, usize>,
    seen: &Seen,
    answers: &Answers,
    without_database: &Answers,
) -> String {
    let mut text = format!(
        "{} routes, {} of them also without Postgres; {} markers, searched for in 8 forms.\n\
         {} of {} lines in Loki, {} of {} traces in Tempo, {} series in Prometheus.\n\n",
        answers.len(),
        without_database.len(),
        markers.count(),
        seen.lines,
        seen.written_lines,
        seen.traces,
        seen.named_traces,
        seen.series,
    );
    text.push_str(
        "| sink | bytes searched | markers found | found in the leaking build |\n|---|---:|---:|---:|\n",
    );
    for (sink, hits) in found {
        let caught = match caught[sink.name] {
            0 if BEYOND_THE_LEAK.contains(&sink.name) => "out of its reach".to_owned(),
            count => count.to_string(),
        };
        text.push_str(&format!("| {} | {} | {} | {caught} |\n", sink.name, sink.bytes.len(), hits.len()));
    }
    text
}
