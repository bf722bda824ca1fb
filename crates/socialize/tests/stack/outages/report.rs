//! The report: the outages, their durations, their effects on users, and the accounting of lines, spans and
//! points.

use std::time::Duration;

use super::books::{Fate, Seen};

/// Head of the table.
pub(super) const HEAD: &str = "\
| what was done | for | requests | failed | 95 % within | lines | spans | points |
|---|---:|---:|---:|---:|---|---|---|";

/// Formats an outage as a row of a Markdown table.
pub(super) fn row(what: &str, lasted: Duration, seen: &Seen) -> String {
    let Seen { requests, errors, slow, rotations, lines, spans, points } = seen;
    let files = match rotations {
        0 => String::new(),
        1 => "; 1 file set aside".to_owned(),
        number => format!("; {number} files set aside"),
    };
    format!(
        "| {what} | {:.0} s | {requests} | {errors} | {:.0} ms | {}{files} | {} | {} |",
        lasted.as_secs_f64(),
        slow.as_secs_f64() * 1000.0,
        fate(lines),
        fate(spans),
        fate(points),
    )
}

fn fate(fate: &Fate) -> String {
    let mut text = format!("{} of {}", fate.arrived, fate.recorded);
    if fate.dropped > 0 {
        text.push_str(&format!(", {} dropped and counted", fate.dropped));
    }
    if fate.refused > 0 {
        text.push_str(&format!(", {} refused and counted", fate.refused));
    }
    if fate.lost() > 0 {
        text.push_str(&format!(", {} LOST", fate.lost()));
    }
    if fate.again > 0 {
        text.push_str(&format!("; {} sent twice", fate.again));
    }
    text
}
