//! One alert: its state, condition, history and section of the runbook.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use monitoring::dashboards::panel_of_alert;
use monitoring::query::{Expression, Operator};
use monitoring::rules::causes::explaining;
use monitoring::rules::{Alert, Group, Look, Severity};

use super::definitions::definition;
use super::lines;
use super::links;
use super::list::phase_class;
use super::marks::{label_text, severity_class};
use super::prose::{Part, parts};
use super::timeline::{self, Row};
use crate::calendar;
use crate::evaluate::evaluate_at;
use crate::pages::dashboard_list::{name_of, named, title_of};
use crate::pages::{Layout, Problem, View, respond};
use crate::rules::{AlertRule, Event, KEPT, Phase};
use crate::state::{Console, SharedConsole, read};

/// Maximum number of changes in the table.
const MOST_CHANGES: usize = 50;

/// Maximum number of current values.
const MOST_VALUES: usize = 20;

/// Marks below the timeline.
const MARKS: i64 = 4;

#[derive(Template)]
#[template(path = "alert.html")]
struct Page {
    layout: Layout,
    class: &'static str,
    sentence: String,
    reason: String,
    severity: String,
    severity_class: &'static str,
    about: &'static str,
    active: Vec<Series>,
    condition: String,
    durations: String,
    evaluated: String,
    comparison: Option<Comparison>,
    panel: Option<(String, String)>,
    /// Address of the page about who is affected; empty if lines cannot tell.
    affected: String,
    rows: Vec<Row>,
    marks: Vec<String>,
    changes: Vec<Change>,
    more_changes: usize,
    impact: Vec<Part>,
    meaning: Vec<Part>,
    explaining: Vec<(&'static str, String)>,
    confirm: Vec<Query>,
    remedy: Vec<Vec<Part>>,
    escalate: Vec<Part>,
}

struct Series {
    phase: &'static str,
    phase_class: &'static str,
    labels: String,
    description: String,
    value: String,
    since: String,
    duration: String,
    /// Address of the page about who is affected by this series; can be empty.
    affected: String,
}

struct Change {
    at: String,
    state: &'static str,
    class: &'static str,
    labels: String,
    value: String,
}

/// The current value that the condition compares.
struct Comparison {
    text: String,
    values: Vec<(String, String)>,
    problem: String,
}

struct Query {
    says: &'static str,
    text: String,
    address: String,
    leads_to: &'static str,
    /// Address of the page about who is affected, if the lines name customers.
    affected: String,
}

pub(super) async fn detail(
    State(console): State<SharedConsole>,
    Path(name): Path<String>,
    view: View,
) -> Response {
    respond(console, view, move |console, view| render(console, view, &name)).await
}

fn render(console: &Console, view: &View, name: &str) -> Result<Page, Problem> {
    let Some((group, alert)) = definition(name) else {
        return Err(
            Problem::not_found(format!("There is no alert {name}.")).hint("The page Alerts lists all.")
        );
    };
    // The lock of the rules is released before that of the metrics is taken.
    let mut page = {
        let engine = read(console.rules());
        let rule = engine.alerts().find(|rule| rule.name == name);
        let rule = rule.ok_or_else(|| Problem::internal(format!("The alert {name} is not evaluated.")))?;
        let events: Vec<Event> = engine.history().of(name).cloned().collect();
        let evaluated = engine.groups().iter().find(|running| running.name == group.name);
        let evaluated = evaluated.and_then(|running| running.evaluated_at);
        let layout = Layout::new(name, view, console).with_refresh(view, 30);
        page(layout, view, group, alert, rule, &events, evaluated)
    };
    if read(console.rules()).alerts().any(|rule| rule.name == name && rule.unwatched.is_none()) {
        page.comparison = comparison(console, alert, view.now);
    }
    Ok(page)
}

fn page(
    layout: Layout,
    view: &View,
    group: &Group,
    alert: &'static Alert,
    rule: &AlertRule,
    events: &[Event],
    evaluated: Option<i64>,
) -> Page {
    let (class, sentence, reason) = verdict(rule, view.now);
    let from = view.now - KEPT;
    let mark = |number: i64| calendar::day(from + number * KEPT / (MARKS - 1));
    Page {
        layout: layout.described(&rule.summary.without_values()),
        class,
        sentence,
        reason,
        severity: urgency(alert.severity).to_owned(),
        severity_class: severity_class(alert.severity),
        about: group.about,
        active: active(alert, rule, view),
        condition: alert.condition.to_string(),
        durations: durations(rule),
        evaluated: match evaluated {
            Some(at) => {
                format!("Evaluated every {}, last at {}.", every(group), calendar::clock_with_seconds(at))
            }
            None => format!("Evaluated every {}; not since the start of the console.", every(group)),
        },
        comparison: None,
        panel: panel(alert, view),
        affected: lines::affected(alert, view),
        rows: timeline::rows(&timeline::periods(events.iter()), from, view.now),
        marks: (0..MARKS).map(mark).collect(),
        changes: events.iter().rev().take(MOST_CHANGES).map(|event| change(rule, event)).collect(),
        more_changes: events.len().saturating_sub(MOST_CHANGES),
        impact: parts(alert.runbook.impact),
        meaning: parts(alert.runbook.meaning),
        explaining: explaining(alert.name)
            .into_iter()
            .map(|name| (name, view.link(&format!("/alerts/{name}"), &[])))
            .collect(),
        confirm: alert.runbook.confirm.iter().map(|look| query(look, view)).collect(),
        remedy: alert.runbook.remedy.iter().map(|step| parts(step)).collect(),
        escalate: parts(alert.runbook.escalate),
    }
}

fn every(group: &Group) -> String {
    calendar::duration(group.every.as_millis() as i64)
}

fn urgency(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "critical: act now",
        Severity::Warning => "warning: act within the working day",
        Severity::Info => "info: look when convenient",
        Severity::None => "none: it always fires",
    }
}

fn verdict(rule: &AlertRule, now: i64) -> (&'static str, String, String) {
    if let Some(reason) = rule.unwatched {
        return ("unknown", "The console does not watch this alert.".to_owned(), reason.to_owned());
    }
    let error = rule.error.as_ref().map(|error| format!("The last evaluation failed: {error}."));
    let oldest =
        |phase: Phase| rule.states().filter(|state| state.phase == phase).map(|state| state.since).min();
    let since =
        |at: i64| format!("Since {} UTC, for {}.", calendar::date_and_time(at), calendar::duration(now - at));
    let (class, sentence, reason) = match (oldest(Phase::Firing), oldest(Phase::Pending)) {
        (Some(at), _) => {
            (if rule.severity == Severity::None { "good" } else { "bad" }, "It fires.", since(at))
        }
        (None, Some(at)) => {
            let left = calendar::duration(rule.durations.pending - (now - at));
            ("warning", "It is pending.", format!("{} It fires in {left} if this goes on.", since(at)))
        }
        (None, None) => ("good", "It does not fire.", String::new()),
    };
    match error {
        Some(error) => ("unknown", "It cannot be evaluated.".to_owned(), error),
        None => (class, sentence.to_owned(), reason),
    }
}

fn active(alert: &Alert, rule: &AlertRule, view: &View) -> Vec<Series> {
    let series = rule.states().map(|state| Series {
        phase: state.phase.as_str(),
        phase_class: phase_class(state.phase),
        labels: label_text(&state.labels),
        description: state.description,
        value: rule.description.value(state.value),
        since: calendar::date_and_time(state.since),
        duration: calendar::duration(view.now - state.since),
        affected: lines::affected_by_series(alert, &state.labels, view),
    });
    series.collect()
}

fn durations(rule: &AlertRule) -> String {
    let pending = match rule.durations.pending {
        0 => "Fires as soon as the condition holds".to_owned(),
        pending => format!("Fires when the condition has held for {}", calendar::duration(pending)),
    };
    match rule.durations.keep_firing {
        0 => format!("{pending}."),
        keep => format!("{pending}, and until it has not held for {}.", calendar::duration(keep)),
    }
}

fn change(rule: &AlertRule, event: &Event) -> Change {
    Change {
        at: calendar::date_and_time(event.at),
        state: event.phase.as_str(),
        class: phase_class(event.phase),
        labels: label_text(&event.labels),
        value: if event.value.is_nan() { String::new() } else { rule.description.value(event.value) },
    }
}

/// Returns the name and address of the panel that shows what the alert is about.
fn panel(alert: &Alert, view: &View) -> Option<(String, String)> {
    let (uid, id) = panel_of_alert(alert)?;
    let dashboard = named(name_of(uid))?;
    let panel = dashboard.panels().find(|panel| panel.id() == id)?;
    let address = view.link(&format!("/dashboards/{}/{id}", name_of(uid)), &[]);
    Some((format!("{}: {}", title_of(dashboard), panel.title()), address))
}

fn query(look: &Look, view: &View) -> Query {
    match look {
        Look::Metrics(says, query) => Query {
            says,
            text: query.to_string(),
            address: String::new(),
            leads_to: "",
            affected: String::new(),
        },
        Look::Logs(says, lines) => {
            let affected =
                if lines.name_customers() { links::lines(lines, "/affected", view) } else { String::new() };
            let address = links::lines(lines, "/logs", view);
            Query { says, text: lines.text(), address, leads_to: "Show the lines", affected }
        }
        Look::Traces(says, spans) => {
            let address = links::traces(spans, view);
            Query { says, text: spans.text(), address, leads_to: "Show the traces", affected: String::new() }
        }
    }
}

/// Evaluates the left side of the condition's first comparison.
fn comparison(console: &Console, alert: &Alert, now: i64) -> Option<Comparison> {
    let (left, operator, right) = compared(&alert.condition)?;
    let store = read(console.metrics());
    let (values, problem) = match evaluate_at(&*store, left, now) {
        Ok(values) if values.is_empty() => (Vec::new(), "There is no data for it now.".to_owned()),
        Ok(values) => (values, String::new()),
        Err(refusal) => (Vec::new(), refusal.to_string()),
    };
    let template = crate::rules::Template::new(&alert.description).ok();
    let shown =
        |value: f64| template.as_ref().map_or_else(|| value.to_string(), |template| template.value(value));
    let values = values.into_iter().take(MOST_VALUES);
    Some(Comparison {
        text: format!("{} {}", symbol(operator), threshold(right, &shown)),
        values: values.map(|(labels, value)| (label_text(&labels), shown(value))).collect(),
        problem,
    })
}

fn threshold(right: &Expression, shown: &impl Fn(f64) -> String) -> String {
    match right {
        Expression::Number(number) => shown(*number),
        _ => "the value of another query".to_owned(),
    }
}

/// Returns the decisive comparison: the condition itself, or the left side of `unless` and `and`. In an `or`,
/// no single comparison is decisive.
fn compared(condition: &Expression) -> Option<(&Expression, Operator, &Expression)> {
    match condition {
        Expression::Binary { left, operator, right, .. } if operator.compares() => {
            Some((left, *operator, right))
        }
        Expression::Binary { left, operator: Operator::And | Operator::Unless, .. } => compared(left),
        Expression::Parentheses(inside) => compared(inside),
        _ => None,
    }
}

fn symbol(operator: Operator) -> &'static str {
    match operator {
        Operator::Above => "above",
        Operator::AtLeast => "at least",
        Operator::Below => "below",
        _ => "exactly",
    }
}

#[cfg(test)]
mod tests {
    use super::super::definitions::definitions;
    use super::*;

    #[test]
    fn most_conditions_have_a_value_to_show() {
        let alerts: Vec<&Alert> = definitions().iter().flat_map(|group| &group.alerts).collect();
        let without: Vec<&str> = alerts
            .iter()
            .filter(|alert| compared(&alert.condition).is_none())
            .map(|alert| alert.name)
            .collect();
        assert!(without.len() * 2 < alerts.len(), "{without:?}");
    }
}
