//! The tables of the README, rendered from the baseline so that nobody copies numbers by hand.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::report::{Report, thousands};
use crate::route::Route;
use crate::variant::Variant;

/// Marker before each table; `END` follows it.
const BEGIN: &str = "<!-- Written by ./test bench --accept -->\n";
const END: &str = "<!-- Until here -->\n";

const ROUTES: &[(Route, &str)] = &[
    (Route::NoOpJson, "JSON without work"),
    (Route::Select, "one `select`"),
    (Route::Error, "an error"),
    (Route::Job, "a job run"),
    (Route::DatabaseOperation, "the record of a database operation"),
    (Route::OutboundCall, "the record of an outbound call"),
];

const SET_UPS: &[(Variant, &str)] = &[
    (Variant::AllSignals, "all signals of Socialize"),
    (Variant::NoEndpointWarn, "no OTLP endpoint, and only lines of `warn` and above"),
    (
        Variant::TowerHttp,
        "`tower-http`, `tracing-subscriber` with JSON lines, `tracing-opentelemetry`, the SDK, batched OTLP",
    ),
    (Variant::AxumTracingOpentelemetry, "the same with `axum-tracing-opentelemetry`"),
];

/// Writes the tables of these costs into the README.
pub(crate) fn write(report: &Report) -> anyhow::Result<()> {
    let text = read()?;
    let (before, _, after) = parts(&text)?;
    let text = format!("{before}{BEGIN}{}{END}{after}", tables(report));
    std::fs::write(file(), text).context("the README cannot be written")
}

/// Returns whether the README's tables match the baseline.
pub(crate) fn is_current(baseline: &Report) -> anyhow::Result<bool> {
    let text = read()?;
    let (_, tables_found, _) = parts(&text)?;
    Ok(tables_found == tables(baseline))
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md")
}

fn read() -> anyhow::Result<String> {
    std::fs::read_to_string(file()).context("the README cannot be read")
}

/// Splits the README into the parts before, between and after the markers.
fn parts(text: &str) -> anyhow::Result<(&str, &str, &str)> {
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| {
        let (between, after) = rest.split_once(END)?;
        Some((before, between, after))
    });
    parts.with_context(|| format!("the README has no tables between {} and {}", BEGIN.trim(), END.trim()))
}

fn tables(report: &Report) -> String {
    let mut text = String::from(
        "| | instructions, bare | instructions, all signals | added instructions | added without the log line | \
         added allocations |\n\
         |---|---|---|---|---|---|\n",
    );
    for (route, title) in ROUTES {
        let (Some(bare), Some(with)) =
            (report.cost(*route, Variant::None), report.cost(*route, Variant::AllSignals))
        else {
            continue;
        };
        // Without any work, only the difference to the bare variant has a meaning.
        let has_work = matches!(route, Route::NoOpJson | Route::Select | Route::Error);
        let total = |instructions: u64| {
            if has_work { thousands(instructions.cast_signed()) } else { "–".to_owned() }
        };
        let (bare, with) = (total(bare.instructions), total(with.instructions));
        let (instructions, allocations) = added(report, *route, Variant::AllSignals);
        let without_line = match report.cost(*route, Variant::LinesFromWarn) {
            Some(_) => added(report, *route, Variant::LinesFromWarn).0,
            None => "–".to_owned(),
        };
        // Writing to a `String` cannot fail.
        let _ =
            writeln!(text, "| {title} | {bare} | {with} | {instructions} | {without_line} | {allocations} |");
    }
    text.push_str("\n\
                   | JSON without work, with | added instructions | times those of Socialize | added allocations |\n\
                   |---|---|---|---|\n");
    for (variant, title) in SET_UPS {
        let (instructions, allocations) = added(report, Route::NoOpJson, *variant);
        let times = report.factor(Route::NoOpJson, *variant);
        let times = times.map_or_else(|| "–".to_owned(), |times| format!("{times:.0}"));
        let _ = writeln!(text, "| {title} | {instructions} | {times} | {allocations} |");
    }
    text
}

fn added(report: &Report, route: Route, variant: Variant) -> (String, String) {
    report.added(route, variant).map_or_else(Default::default, |added| {
        (thousands(added.instructions), format!("{:.0}", added.allocations.abs()))
    })
}
