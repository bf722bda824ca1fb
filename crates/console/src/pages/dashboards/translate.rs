//! Translates queries for lines and traces, and links of panels, to searches of the stores and to addresses.

use std::fmt::Display;

use monitoring::grafana::{Destination, Link};
use monitoring::query::{
    Choice, LineCondition as Wanted, Lines, MatchOperator, SpanCondition as WantedSpan, Spans,
};
use monitoring::rules::DashboardUid;

use super::screen::Screen;
use crate::pages::dashboard_list::name_of;
use crate::pages::{environment, logs, traces};
use crate::store::ValueTest;
use crate::store::lines::{LINK_TRACE_ID, LineCondition, Search};
use crate::store::spans::{SpanCondition, SpanKind, SpanSearch};

/// Beginning of the names of business facts.
const FACTS: &str = "socialize.";

pub(crate) fn search(lines: &Lines, screen: &Screen<'_>, most: usize) -> Search {
    let mut search = Search::new(screen.range.from * 1000, screen.range.until * 1000);
    search.most = most;
    search.conditions = lines.conditions().iter().filter_map(|wanted| condition(wanted, screen)).collect();
    if lines.environment().is_some() {
        search.conditions.extend(environment::line_condition(&elsewhere(screen)));
    }
    search
}

/// Returns the processes that reported from environments other than the chosen ones.
fn elsewhere(screen: &Screen<'_>) -> Vec<String> {
    environment::elsewhere(&screen.metrics, screen.chosen(Choice::Environment))
}

fn condition(wanted: &Wanted, screen: &Screen<'_>) -> Option<LineCondition> {
    Some(match wanted {
        Wanted::Event(name) => LineCondition::Event(ValueTest::Is((*name).to_owned())),
        Wanted::NotEvent(name) => LineCondition::Event(ValueTest::IsNot((*name).to_owned())),
        Wanted::BusinessFact => LineCondition::Event(ValueTest::BeginsWith(FACTS.to_owned())),
        Wanted::EventBegins(beginnings) => {
            let beginnings = beginnings.iter().map(|beginning| (*beginning).to_owned());
            LineCondition::Event(ValueTest::BeginsWithOneOf(beginnings.collect()))
        }
        Wanted::AtLeast(level) => LineCondition::AtLeast(*level),
        Wanted::Field { field, operator, value } => {
            LineCondition::Field(field_name(field.name()).to_owned(), test(*operator, value, screen)?)
        }
    })
}

/// Returns the field's name in the store.
pub(crate) fn field_name(name: &'static str) -> &'static str {
    if name == "link_trace_id" { LINK_TRACE_ID } else { name }
}

/// Returns the test of a value; `None` if everything passes.
fn test(operator: MatchOperator, value: &str, screen: &Screen<'_>) -> Option<ValueTest> {
    if let Some(choice) = [Choice::Route, Choice::Instance, Choice::Environment]
        .into_iter()
        .find(|choice| choice.variable() == value)
    {
        let chosen = screen.chosen(choice);
        return (!chosen.is_empty()).then(|| ValueTest::OneOf(chosen.to_vec()));
    }
    let value = value.to_owned();
    Some(match operator {
        MatchOperator::Equal | MatchOperator::Matches => ValueTest::Is(value),
        MatchOperator::NotEqual | MatchOperator::MatchesNot if value.is_empty() => ValueTest::Exists,
        MatchOperator::NotEqual | MatchOperator::MatchesNot => ValueTest::IsNot(value),
    })
}

/// Returns the search for traces.
pub(crate) fn span_search(spans: &Spans, screen: &Screen<'_>, most: usize) -> SpanSearch {
    let nanoseconds = |ms: i64| u64::try_from(ms).unwrap_or(0).saturating_mul(1_000_000);
    let mut search = SpanSearch::new(nanoseconds(screen.range.from), nanoseconds(screen.range.until));
    search.most = most;
    search.conditions =
        spans.conditions().iter().filter_map(|wanted| span_condition(wanted, screen)).collect();
    if spans.environment().is_some() {
        search.conditions.extend(environment::span_condition(&elsewhere(screen)));
    }
    search
}

fn span_condition(wanted: &WantedSpan, screen: &Screen<'_>) -> Option<SpanCondition> {
    Some(match wanted {
        WantedSpan::IsRequest => SpanCondition::Kind(SpanKind::Server),
        WantedSpan::IsJob => SpanCondition::Kind(SpanKind::Consumer),
        WantedSpan::Failed => SpanCondition::Failed,
        WantedSpan::LongerThan(ms) => SpanCondition::AtLeastNs(ms * 1_000_000),
        WantedSpan::Attribute { name, operator, value } => {
            SpanCondition::Attribute((*name).to_owned(), test(*operator, value, screen)?)
        }
        // Only the dashboard about one request uses it, which the console replaces with a page.
        WantedSpan::Trace(_) => return None,
    })
}

/// Returns the address of a link. `value` returns the value that replaces a Grafana variable: that of the
/// label or column with this name.
pub(crate) fn address(link: &Link, screen: &Screen<'_>, value: &dyn Fn(&str) -> Option<String>) -> String {
    let resolve = |text: &str| match variable(text) {
        Some(name) => value(name).unwrap_or_default(),
        None => text.to_owned(),
    };
    match link.destination() {
        Destination::Dashboard(DashboardUid::Runbook) => "/alerts".to_owned(),
        Destination::Dashboard(DashboardUid::Request) => "/requests".to_owned(),
        Destination::Dashboard(uid) => screen.view.link(&format!("/dashboards/{}", name_of(*uid)), &[]),
        Destination::Trace(id) => format!("/traces/{}", resolve(id)),
        Destination::Lines(lines) => {
            screen.view.link_to_query("/logs", &logs::parameters(lines, &|text| Some(resolve(text))))
        }
        Destination::Traces(spans) => {
            screen.view.link_to_query("/traces", &traces::parameters(spans, &|text| Some(resolve(text))))
        }
    }
}

/// Returns the name of the label or column that a variable of Grafana stands for.
fn variable(text: &str) -> Option<&str> {
    let inside = text.strip_prefix("${")?.strip_suffix('}')?;
    inside.strip_prefix("__field.labels.").or_else(|| inside.strip_prefix("__data.fields."))
}

/// Returns a number of items in words.
pub(crate) fn counted(number: impl Display, noun: &str) -> String {
    let number = number.to_string();
    if number == "1" { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
