//! The environment that a page is about.
//!
//! Lines and spans name their process only. The metrics of a process tell its environment, so the processes of
//! other environments are left out. Lines of a process that never reported stay: they may say why it does not.

use std::collections::BTreeSet;

use catalogue::metrics::BUILD_INFO;
use monitoring::query::{Choice, Environment, Instance, LabelName};
use signal::metric::prometheus_label;
use signal::names::SERVICE_INSTANCE_ID;

use super::view::View;
use crate::state::{Console, read};
use crate::store::ValueTest;
use crate::store::lines::LineCondition;
use crate::store::metrics::{MetricSource, MetricStore};
use crate::store::spans::SpanCondition;

/// Value that stands for all environments, if the console shows one first.
const ALL: &str = "*";

/// Returns the environments that the address chooses, or the one to show first. None stands for all.
pub(super) fn chosen(console: &Console, view: &View) -> Vec<String> {
    let values: Vec<String> = view.parameters_named(Choice::Environment.name()).map(str::to_owned).collect();
    match values.as_slice() {
        [] => console.facts().environment.iter().cloned().collect(),
        values if values.iter().any(|value| value == ALL) => Vec::new(),
        _ => values,
    }
}

/// Returns the value of an address that stands for all environments.
pub(super) fn all_value(console: &Console) -> &'static str {
    if console.facts().environment.is_some() { ALL } else { "" }
}

/// Returns the processes that reported, none of them from an environment that is chosen.
pub(super) fn elsewhere(metrics: &MetricStore, chosen: &[String]) -> Vec<String> {
    if chosen.is_empty() {
        return Vec::new();
    }
    let (environment, instance) = (prometheus_label(Environment::KEY), prometheus_label(Instance::KEY));
    let (mut here, mut others) = (BTreeSet::new(), BTreeSet::new());
    for id in metrics.series(&BUILD_INFO.description().prometheus_name()) {
        let labels = metrics.labels(id);
        let is_chosen = chosen.iter().any(|name| name == labels.get(&environment));
        if is_chosen { &mut here } else { &mut others }.insert(labels.get(&instance));
    }
    others.difference(&here).filter(|name| !name.is_empty()).map(|name| (*name).to_owned()).collect()
}

/// Returns the condition that leaves out the lines of these processes.
pub(super) fn line_condition(elsewhere: &[String]) -> Option<LineCondition> {
    let test = || ValueTest::NoneOf(elsewhere.to_vec());
    (!elsewhere.is_empty()).then(|| LineCondition::Field(SERVICE_INSTANCE_ID.to_owned(), test()))
}

/// Returns the condition that leaves out the spans of these processes.
pub(super) fn span_condition(elsewhere: &[String]) -> Option<SpanCondition> {
    (!elsewhere.is_empty()).then(|| SpanCondition::Instance(ValueTest::NoneOf(elsewhere.to_vec())))
}

/// Returns the condition that narrows the lines of a page.
pub(super) fn of_lines(console: &Console, view: &View) -> Option<LineCondition> {
    line_condition(&elsewhere(&read(console.metrics()), &chosen(console, view)))
}

/// Returns the condition that narrows the spans of a page.
pub(super) fn of_spans(console: &Console, view: &View) -> Option<SpanCondition> {
    span_condition(&elsewhere(&read(console.metrics()), &chosen(console, view)))
}

/// Returns the address of the same search in all environments, unless it is one already.
pub(super) fn suggestion(console: &Console, view: &View) -> Option<(String, String)> {
    let is_narrowed = of_lines(console, view).is_some();
    let all = view.with(&[(Choice::Environment.name(), all_value(console)), ("before", "")]);
    is_narrowed.then(|| ("Search all environments".to_owned(), all))
}
