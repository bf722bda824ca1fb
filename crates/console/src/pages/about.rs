//! The page About: the kept data and its age, the use of the bounds, dropped data, and the processes that
//! report.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;

use super::layout::Layout;
use super::problem::Problem;
use super::processes::{Process, processes};
use super::respond;
use super::view::View;
use super::words;
use crate::calendar;
use crate::follow::FollowStatus;
use crate::state::{Console, SharedConsole, read};
use crate::store::lines::LineUsage;
use crate::store::metrics::{Origin, SetBack, Usage};
use crate::store::spans::SpanUsage;

#[derive(Template)]
#[template(path = "about.html")]
struct About {
    layout: Layout,
    facts: Vec<(&'static str, String)>,
    kept: Vec<Kept>,
    dropped: Vec<(&'static str, String, String)>,
    problems: Vec<(String, String)>,
    processes: Vec<Process>,
    files: Vec<File>,
    files_note: String,
    endpoint: String,
}

/// A kind of stored data.
struct Kept {
    name: &'static str,
    amount: String,
    since: Vec<(String, String)>,
    meters: Vec<Meter>,
    note: String,
}

/// Usage of one bound.
struct Meter {
    name: &'static str,
    text: String,
    /// Used part in percent, for a bar.
    used: String,
    is_full: bool,
}

/// A followed log file.
struct File {
    path: String,
    size: String,
    read: String,
}

/// Serves the page.
pub(super) fn routes() -> Router<SharedConsole> {
    Router::new().route("/about", get(about))
}

async fn about(State(console): State<SharedConsole>, view: View) -> Response {
    respond(console, view, render).await
}

fn render(console: &Console, view: &View) -> Result<About, Problem> {
    let (metrics, processes) = {
        let metrics = read(console.metrics());
        (metrics.usage(), processes(&*metrics, &read(console.clocks()), view.now))
    };
    let lines = read(console.lines()).usage();
    let spans = read(console.spans()).usage();
    let followed = console.followed();
    let facts = console.facts();
    let layout = Layout::new("Console", view, console)
        .described("What it keeps, drops and receives.")
        .with_refresh(view, 0);
    Ok(About {
        layout,
        facts: vec![
            ("Version", env!("CARGO_PKG_VERSION").to_owned()),
            ("Runs for", calendar::duration(view.now - facts.started_at)),
            ("Memory of the process", resident_memory().map_or_else(|| "unknown".to_owned(), words::bytes)),
            ("Receives at", format!("http://{}", facts.otlp_address)),
            ("Notifies", facts.alertmanager.clone().unwrap_or_else(|| "nobody".to_owned())),
        ],
        kept: vec![
            kept_metrics(&metrics, view.now),
            kept_lines(&lines, view.now),
            kept_spans(&spans, view.now),
        ],
        dropped: dropped(&metrics, &lines, &spans),
        problems: problems(&metrics, &spans, &followed),
        processes,
        files: followed.files.iter().map(file).collect(),
        files_note: files_note(&facts.logs, &followed),
        endpoint: format!("http://{}", facts.otlp_address),
    })
}

fn since(oldest: Option<i64>, now: i64) -> String {
    match oldest {
        Some(at) => format!("{} UTC ({})", calendar::date_and_time(at), words::ago(at, now)),
        None => "nothing yet".to_owned(),
    }
}

fn meter(name: &'static str, used: u64, bound: u64) -> Meter {
    let share = used as f64 / bound.max(1) as f64 * 100.0;
    Meter {
        name,
        text: format!("{} of {}", words::bytes(used), words::bytes(bound)),
        used: format!("{:.1}%", share.clamp(0.0, 100.0)),
        is_full: share > 95.0,
    }
}

fn kept_metrics(usage: &Usage, now: i64) -> Kept {
    let days = usage.limits.rolled.as_secs() / 86_400;
    let hours = usage.limits.full.as_secs() / 3_600;
    Kept {
        name: "Metrics",
        amount: format!(
            "{} of {} series, {}",
            words::count(usage.series as u64),
            words::count(usage.limits.series as u64),
            words::counted(usage.samples, "sample")
        ),
        since: vec![
            ("Every sample since".to_owned(), since(usage.oldest_full, now)),
            ("Rolled up since".to_owned(), since(usage.oldest, now)),
        ],
        meters: vec![
            meter("Memory", usage.memory as u64, usage.limits.memory as u64),
            meter("Disk", usage.disk, usage.limits.disk),
        ],
        note: format!(
            "Kept for {hours} h at full resolution and for {days} days with one sample per five minutes."
        ),
    }
}

fn kept_lines(usage: &LineUsage, now: i64) -> Kept {
    let evicted = match usage.evicted {
        0 => String::new(),
        count => format!(" {} made room for newer ones.", words::counted(count, "older line")),
    };
    Kept {
        name: "Lines",
        amount: words::counted(usage.lines, "line"),
        since: vec![("Since".to_owned(), since(usage.oldest.map(|at| at / 1000), now))],
        meters: vec![meter("Memory", usage.bytes as u64, usage.bound as u64)],
        note: format!("The newest lines are in memory; the log files have all.{evicted}"),
    }
}

fn kept_spans(usage: &SpanUsage, now: i64) -> Kept {
    let oldest = usage.oldest_ns.map(|at| i64::try_from(at / 1_000_000).unwrap_or(i64::MAX));
    let mut meters = vec![meter("Memory", usage.bytes as u64, usage.bound as u64)];
    if usage.disk_bound > 0 {
        meters.push(meter("Disk", usage.disk_bytes, usage.disk_bound));
    }
    let evicted = match usage.evicted {
        0 => String::new(),
        count => format!(" {} made room for newer ones.", words::counted(count, "older span")),
    };
    Kept {
        name: "Traces",
        amount: words::counted(usage.spans, "span"),
        since: vec![("Since".to_owned(), since(oldest, now))],
        meters,
        note: format!("The oldest spans go first.{evicted}"),
    }
}

fn dropped(metrics: &Usage, lines: &LineUsage, spans: &SpanUsage) -> Vec<(&'static str, String, String)> {
    let mut dropped = Vec::new();
    for (reason, count) in metrics.dropped.iter() {
        dropped.push(("Metrics", reason.sentence().to_owned(), words::counted(count, "sample")));
    }
    for (reason, count) in &lines.refused {
        dropped.push(("Lines", format!("The line is {}.", reason.as_str()), words::counted(*count, "line")));
    }
    let losses = spans.losses;
    let of_spans = [
        (losses.without_id, "The id of the span or of its trace is missing.", "span"),
        (losses.attributes, "The span has too many attributes, or a list as a value.", "attribute"),
        (losses.values, "The value is too long and was cut.", "value"),
        (losses.links, "The span has too many links.", "link"),
        (losses.events, "The span has too many events.", "event"),
    ];
    for (count, reason, noun) in of_spans.into_iter().filter(|(count, ..)| *count > 0) {
        dropped.push(("Traces", reason.to_owned(), words::counted(count, noun)));
    }
    dropped
}

fn problems(metrics: &Usage, spans: &SpanUsage, followed: &FollowStatus) -> Vec<(String, String)> {
    let of_metrics = metrics.problems.iter().map(|text| ("Metrics".to_owned(), text.clone()));
    let set_aside = spans.set_aside.iter().map(|(path, reason)| (path.display().to_string(), reason.clone()));
    let disk = spans.disk_error.iter().map(|text| ("Traces".to_owned(), text.clone()));
    let files = followed.problems.iter().map(|(path, reason)| (path.display().to_string(), reason.clone()));
    let set_back = metrics.set_back.iter().map(set_back);
    of_metrics.chain(set_back).chain(set_aside).chain(disk).chain(files).collect()
}

/// Says since when and until when a clock is behind its own samples.
fn set_back(back: &SetBack) -> (String, String) {
    let of = match &back.origin {
        Origin::Process { instance, .. } => format!("Clock of {instance}"),
        Origin::Rules { group } => format!("Clock of the console, recordings of {group}"),
    };
    let text = format!(
        "It was set back by {}. Since then, {} older than the newest one of {} UTC could not be kept. This ends when \
         the clock passes that time.",
        words::duration((back.newest - back.at).unsigned_abs().saturating_mul(1_000_000)),
        words::counted(back.refused, "sample"),
        calendar::date_and_time(back.newest),
    );
    (of, text)
}

fn file(file: &crate::follow::FollowedFile) -> File {
    let waiting = file.size.saturating_sub(file.read);
    File {
        path: file.path.display().to_string(),
        size: words::bytes(file.size),
        read: match waiting {
            0 => "to its end".to_owned(),
            waiting => format!("{} are not read yet", words::bytes(waiting)),
        },
    }
}

fn files_note(patterns: &[String], followed: &FollowStatus) -> String {
    match (patterns.is_empty(), followed.files.is_empty()) {
        (true, _) => {
            "No log files are followed. Name them with --logs, such as --logs '/var/log/socialize/*.jsonl'."
                .to_owned()
        }
        (false, true) => format!("No file matches {}.", patterns.join(", ")),
        (false, false) if !followed.is_caught_up => {
            format!("Follows {}. Older lines are still being read.", patterns.join(", "))
        }
        (false, false) => format!("Follows {}.", patterns.join(", ")),
    }
}

/// Returns the resident memory of this process in bytes. Only available on Linux.
fn resident_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kibibytes * 1024)
}
