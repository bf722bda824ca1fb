//! Load measurements: starvation, waiting times, memory held by clients. Run by `./test load`.
//!
//! A measurement is one line of [`MEASUREMENTS`] and one function. Its figure is comparable even on a busy
//! machine, or is shown beside a reference value of the same run.

mod claims;
mod connections;
mod emails;
mod publications;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::future::LocalBoxFuture;

/// All measurements, in the order of execution.
const MEASUREMENTS: &[Measurement] = &[
    Measurement {
        key: "emails_per_second",
        what: "e-mails a second, 50 ms each, concurrency 8",
        goal: Goal::AtLeast(140.0),
        measure: || Box::pin(emails::per_second()),
    },
    Measurement {
        key: "claim_ms_at_1m",
        what: "claim of 8 jobs, 1,000,000 due, ms",
        goal: Goal::AtMost(5.0),
        measure: || Box::pin(claims::milliseconds_at_a_million()),
    },
    Measurement {
        key: "honest_publication_p95",
        what: "honest publication beside 200 tarpits, 95 %, seconds",
        goal: Goal::AtMost(2.0),
        measure: || Box::pin(publications::honest_delay()),
    },
    Measurement {
        key: "unread_clients_mib",
        what: "MiB with 200 clients of HTTP/1 and 25 of HTTP/2 that do not read",
        goal: Goal::AtMost(256.0),
        measure: || Box::pin(connections::unread_mib()),
    },
    Measurement {
        key: "broken_followups",
        what: "requests broken after a refused POST",
        goal: Goal::AtMost(0.0),
        measure: || Box::pin(connections::broken_followups()),
    },
    Measurement {
        key: "lost_requests",
        what: "requests lost in six rolling restarts at 200 a second",
        goal: Goal::AtMost(0.0),
        measure: || Box::pin(connections::lost_requests()),
    },
];

struct Measurement {
    /// Its name in the JSON and in `SOCIALIZE_LOAD_ONLY`.
    key: &'static str,
    /// Description with the unit.
    what: &'static str,
    goal: Goal,
    measure: fn() -> LocalBoxFuture<'static, Figure>,
}

/// Acceptable values.
#[derive(Clone, Copy)]
enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    fn is_met_by(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(least) => format!("≥ {least}"),
            Self::AtMost(most) => format!("≤ {most}"),
        }
    }
}

/// Result of a measurement.
struct Figure {
    value: f64,
    /// Reference value measured in the same run.
    beside: String,
}

/// A completed measurement.
struct Row {
    measurement: &'static Measurement,
    figure: Figure,
    took: Duration,
}

#[expect(clippy::disallowed_methods, reason = "the settings of this test")]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The measurements listed in `SOCIALIZE_LOAD_ONLY`, or all.
fn selected() -> Vec<&'static Measurement> {
    let Some(only) = setting("SOCIALIZE_LOAD_ONLY") else { return MEASUREMENTS.iter().collect() };
    let find = |key: &str| MEASUREMENTS.iter().find(|measurement| measurement.key == key);
    only.split(',')
        .map(|key| find(key).unwrap_or_else(|| panic!("there is no measurement '{key}'")))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: ./test load"]
async fn nobody_is_starved() {
    let mut rows = Vec::new();
    for measurement in selected() {
        let since = Instant::now();
        let figure = (measurement.measure)().await;
        rows.push(Row { measurement, figure, took: since.elapsed() });
    }
    show(&rows);
    if let Some(file) = setting("SOCIALIZE_LOAD_JSON") {
        write(Path::new(&file), &rows);
    }
    let is_missed = |row: &&Row| !row.measurement.goal.is_met_by(row.figure.value);
    let missed: Vec<&str> = rows.iter().filter(is_missed).map(|row| row.measurement.key).collect();
    assert!(missed.is_empty(), "goals that are missed: {missed:?}");
}

#[expect(clippy::print_stdout, reason = "the output is quoted where the result is claimed")]
fn show(rows: &[Row]) {
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    println!("measured with the {profile} profile\n");
    println!("| | key | measured | goal | beside | took |\n|---|---|---|---|---|---|");
    for Row { measurement, figure, took } in rows {
        let Measurement { key, what, goal, .. } = measurement;
        let Figure { value, beside } = figure;
        println!(
            "| {what} | `{key}` | {value:.3} | {} | {beside} | {:.0} s |",
            goal.text(),
            took.as_secs_f64()
        );
    }
}

/// Writes the figures by key. Figures of earlier runs stay in the file unless they were measured again.
fn write(file: &Path, rows: &[Row]) {
    let mut figures: BTreeMap<String, f64> = match fs::read(file) {
        Ok(json) => serde_json::from_slice(&json).expect("an object of figures"),
        Err(_) => BTreeMap::new(),
    };
    figures.extend(rows.iter().map(|row| (row.measurement.key.to_owned(), row.figure.value)));
    let json = serde_json::to_string_pretty(&figures).expect("JSON");
    fs::write(file, json + "\n").expect("the file can be written");
}
