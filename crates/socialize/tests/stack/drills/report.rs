//! The report: faults, expected alerts, and other alerts.

use std::fmt::Write;
use std::time::Duration;

use super::alerts::is;
use super::lasts;

/// Time until an alert fired and until it resolved, if it did.
type Times = (Option<Duration>, Option<Duration>);

pub(super) struct Row {
    pub(super) cause: &'static str,
    pub(super) alerts: Vec<(&'static str, Times)>,
    /// Other alerts that fired.
    pub(super) others: Vec<String>,
    pub(super) explained: &'static [(&'static str, &'static str)],
}

impl Row {
    /// Lines of a Markdown table: one for each alert, or one for none.
    pub(super) fn text(&self) -> String {
        let mut others: Vec<String> = Vec::new();
        for other in &self.others {
            let reason = self.explained.iter().find(|(alert, _)| is(other, alert));
            others.push(format!("{other} ({})", reason.map_or("NOT EXPLAINED", |(_, reason)| reason)));
        }
        let others = if others.is_empty() { "–".to_owned() } else { others.join("; ") };
        if self.alerts.is_empty() {
            return format!("| – | {} | – | – | {others} |", self.cause);
        }
        let mut lines = Vec::new();
        for (position, (alert, (fired, resolved))) in self.alerts.iter().enumerate() {
            let others = if position == 0 { others.as_str() } else { "as above" };
            let resolved = if lasts(alert) { "not awaited".to_owned() } else { seconds(*resolved) };
            let fired = seconds(*fired);
            lines.push(format!("| {alert} | {} | {fired} | {resolved} | {others} |", self.cause));
        }
        lines.join("\n")
    }
}

fn seconds(duration: Option<Duration>) -> String {
    duration.map_or("NEVER".to_owned(), |duration| format!("{:.0} s", duration.as_secs_f64()))
}

pub(super) fn text(rows: &[Row], took: Duration) -> String {
    let mut out =
        "| alert | cause | fired after | resolved after | also fired |\n|---|---|---|---|---|\n".to_owned();
    for row in rows {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{}", row.text());
    }
    let alerts: usize = rows.iter().map(|row| row.alerts.len()).sum();
    let _ = writeln!(out, "\n{} drills of {alerts} alerts took {:.0} s.", rows.len(), took.as_secs_f64());
    out
}
