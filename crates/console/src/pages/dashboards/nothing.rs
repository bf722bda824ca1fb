//! Reasons why a panel has no data.

use monitoring::grafana::{Panel, Query};
use monitoring::query::{Expression, Source};

use super::screen::Screen;
use crate::calendar;
use crate::store::metrics::MetricSource;

/// Age of the newest sample, in milliseconds, above which no process is considered to report.
const SILENT: i64 = 2 * 60_000;

/// Returns the reason why a panel about metrics has no data.
pub(crate) fn reason(panel: &Panel, screen: &Screen<'_>) -> String {
    let queries: Vec<Query> = panel.targets().iter().map(|target| target.narrowed(screen.choices)).collect();
    let expressions: Vec<&Expression> = queries
        .iter()
        .filter_map(|query| match query {
            Query::Series { expression, .. } => Some(expression),
            _ => None,
        })
        .collect();
    if !expressions.is_empty() && expressions.iter().all(|expression| is_about_others(expression)) {
        return "About programs of the full overlay, which the console does not read.".to_owned();
    }
    if let Some(newest) = screen.newest {
        let silent = screen.view.now - newest;
        if silent > SILENT && screen.range.until > newest {
            return format!("No process has reported for {}.", calendar::duration(silent));
        }
    } else if !expressions.is_empty() {
        return format!("No process has reported yet. Send OTLP to {}.", screen.console.facts().otlp_address);
    }
    if let Some(text) = panel.values().nothing {
        return text.to_owned();
    }
    match expressions.iter().find_map(|expression| missing_metric(expression, screen)) {
        Some(metric) => format!("No process has reported {metric} in the stored data."),
        None => "No values in this range.".to_owned(),
    }
}

/// Returns whether an expression reads only series of other programs.
fn is_about_others(expression: &Expression) -> bool {
    let (mut others, mut own) = (false, false);
    expression.for_each_selection(&mut |selection| match selection.source {
        Source::Other => others = true,
        Source::Application | Source::Rules => own = true,
    });
    others && !own
}

fn missing_metric(expression: &Expression, screen: &Screen<'_>) -> Option<String> {
    let mut missing = None;
    expression.for_each_selection(&mut |selection| {
        if missing.is_none() && screen.metrics.series(&selection.name).is_empty() {
            missing = Some(selection.name.clone());
        }
    });
    missing
}
