//! The history of an alert as bars over time.

use std::collections::BTreeMap;

use super::marks::label_text;
use crate::calendar;
use crate::rules::{Event, Phase};
use crate::store::metrics::Labels;

/// Maximum number of rows. The most recently changed series are shown.
const MOST_ROWS: usize = 20;

/// Width of the drawing in its own units.
pub(super) const WIDTH: f64 = 1000.0;

/// Smallest width of a bar, so that a short one is visible.
const SMALLEST: f64 = 2.0;

/// A period in one state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Period {
    pub(super) phase: Phase,
    pub(super) from: i64,
    /// `None` if it has not ended.
    pub(super) until: Option<i64>,
}

/// The periods of one series, as bars.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) label: String,
    pub(super) summary: String,
    pub(super) bars: Vec<Bar>,
}

/// A bar of the drawing.
#[derive(Debug)]
pub(super) struct Bar {
    pub(super) class: &'static str,
    pub(super) x: String,
    pub(super) width: String,
    pub(super) title: String,
}

/// Returns the periods of each series, oldest first.
pub(super) fn periods<'a>(events: impl Iterator<Item = &'a Event>) -> BTreeMap<Labels, Vec<Period>> {
    let mut all: BTreeMap<Labels, Vec<Period>> = BTreeMap::new();
    for event in events {
        let periods = all.entry(event.labels.clone()).or_default();
        if let Some(last) = periods.last_mut().filter(|last| last.until.is_none()) {
            last.until = Some(event.at);
        }
        if event.phase != Phase::Resolved {
            periods.push(Period { phase: event.phase, from: event.at, until: None });
        }
    }
    all
}

/// Returns the rows of the drawing for a time range.
pub(super) fn rows(periods: &BTreeMap<Labels, Vec<Period>>, from: i64, until: i64) -> Vec<Row> {
    let mut newest: Vec<_> = periods.iter().filter(|(_, periods)| !periods.is_empty()).collect();
    newest.sort_by_key(|(_, periods)| std::cmp::Reverse(periods.last().map(|last| last.from)));
    newest.truncate(MOST_ROWS);
    newest.into_iter().map(|(labels, periods)| row(labels, periods, from, until)).collect()
}

fn row(labels: &Labels, periods: &[Period], from: i64, until: i64) -> Row {
    let scale = WIDTH / (until - from).max(1) as f64;
    let bar = |period: &Period| {
        let (start, end) = (period.from.max(from), period.until.unwrap_or(until).min(until));
        let x = (start - from) as f64 * scale;
        let width = ((end - start) as f64 * scale).max(SMALLEST);
        let x = x.min(WIDTH - width);
        let title = format!(
            "{} since {} for {}",
            period.phase.as_str(),
            calendar::date_and_time(period.from),
            calendar::duration(end - period.from)
        );
        Bar { class: period.phase.as_str(), x: format!("{x:.1}"), width: format!("{width:.1}"), title }
    };
    let firing = periods.iter().filter(|period| period.phase == Phase::Firing);
    let (times, length) = firing.fold((0, 0), |(times, length), period| {
        (times + 1, length + period.until.unwrap_or(until).min(until) - period.from.max(from))
    });
    let summary = match times {
        0 => "never fired".to_owned(),
        1 => format!("fired once, for {}", calendar::duration(length)),
        _ => format!("fired {times} times, for {} in total", calendar::duration(length)),
    };
    let label = label_text(labels);
    let label = if label.is_empty() { "all".to_owned() } else { label };
    Row { label, summary, bars: periods.iter().map(bar).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_become_periods_and_bars() {
        let labels = |role: &str| Labels::new([("role".into(), role.into())]);
        let event =
            |at, role, phase| Event { at, alert: "A".into(), labels: labels(role), phase, value: 1.0 };
        let events = [
            event(100, "a", Phase::Pending),
            event(200, "a", Phase::Firing),
            event(250, "b", Phase::Firing),
            event(300, "a", Phase::Resolved),
            event(500, "b", Phase::Resolved),
            event(900, "a", Phase::Pending),
        ];
        let periods = periods(events.iter());
        let of_a: Vec<_> = periods[&labels("a")].iter().map(|one| (one.phase, one.from, one.until)).collect();
        let expected =
            [(Phase::Pending, 100, Some(200)), (Phase::Firing, 200, Some(300)), (Phase::Pending, 900, None)];
        assert_eq!(of_a, expected);
        let rows = rows(&periods, 0, 1000);
        let bars = |row: &Row| -> Vec<String> {
            row.bars.iter().map(|bar| format!("{} {} {}", bar.class, bar.x, bar.width)).collect()
        };
        assert_eq!(rows[0].label, "role a");
        assert_eq!(bars(&rows[0]), ["pending 100.0 100.0", "firing 200.0 100.0", "pending 900.0 100.0"]);
        assert_eq!(bars(&rows[1]), ["firing 250.0 250.0"]);
        assert!(rows[0].summary.starts_with("fired once"), "{}", rows[0].summary);
    }
}
