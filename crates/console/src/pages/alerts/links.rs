//! Queries of the runbook as addresses of the console's pages.

use monitoring::query::{LineCondition, Lines, MatchOperator, SpanCondition, Spans};
use signal::ClosedSet;

use crate::pages::View;

/// Returns the address of the page that shows the lines of a query. Conditions that an address cannot
/// have are left out, so the page can show more.
pub(super) fn lines(query: &Lines, path: &str, view: &View) -> String {
    let mut parameters: Vec<(&str, String)> = Vec::new();
    for condition in query.conditions() {
        match condition {
            LineCondition::Event(event) => parameters.push(("event", (*event).to_owned())),
            LineCondition::AtLeast(level) => parameters.push(("level", level.as_str().to_owned())),
            LineCondition::Field { field, operator: MatchOperator::Equal, value } if is_fixed(value) => {
                parameters.push(("where", format!("{}:{value}", field.name())));
            }
            _ => {}
        }
    }
    address(path, &parameters, view)
}

/// Returns the address of the page that shows the traces of a query, as [`lines`] does.
pub(super) fn traces(query: &Spans, view: &View) -> String {
    let mut parameters: Vec<(&str, String)> = Vec::new();
    for condition in query.conditions() {
        match condition {
            SpanCondition::IsRequest => parameters.push(("kind", "request".to_owned())),
            SpanCondition::IsJob => parameters.push(("kind", "job".to_owned())),
            SpanCondition::Failed => parameters.push(("failed", "1".to_owned())),
            SpanCondition::LongerThan(milliseconds) => {
                parameters.push(("least", format!("{milliseconds}ms")))
            }
            SpanCondition::Attribute { name, operator: MatchOperator::Equal, value } if is_fixed(value) => {
                match *name {
                    "http.route" => parameters.push(("route", value.clone())),
                    "job.kind" => parameters.push(("job", value.clone())),
                    _ => {}
                }
            }
            _ => {}
        }
    }
    address("/traces", &parameters, view)
}

/// Returns whether a value is no variable of a dashboard.
fn is_fixed(value: &str) -> bool {
    !value.contains('$')
}

fn address(path: &str, parameters: &[(&str, String)], view: &View) -> String {
    let parameters: Vec<(&str, &str)> =
        parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
    view.link(path, &parameters)
}
