//! The log lines that an alert is about: those of its section of the runbook.

use monitoring::query::Lines;
use monitoring::rules::{Alert, Look};
use signal::metric::prometheus_label;

use super::definitions::{definition, definitions};
use super::links::fixed;
use crate::pages::{Problem, View, logs};
use crate::store::metrics::Labels;

/// Labels of alerts that lines have as fields, by the names of the fields.
const FIELDS: [&str; 3] = ["http.route", "job.kind", "error.type"];

/// Returns the lines that tell most about who is affected: those that name customers, or else the first ones that
/// are not all lines.
fn lines(alert: &Alert) -> Option<&Lines> {
    let looks = || {
        alert.runbook.confirm.iter().filter_map(|look| match look {
            Look::Logs(_, lines) => Some(lines),
            Look::Metrics(..) | Look::Traces(..) => None,
        })
    };
    let found = looks().find(|lines| lines.name_customers());
    found.or_else(|| looks().find(|lines| !logs::parameters(lines, &fixed).is_empty()))
}

/// Returns the parameters of the search for the lines of an alert.
///
/// # Errors
/// A page that names the alerts that have lines.
pub(in crate::pages) fn parameters_of(name: &str) -> Result<Vec<(&'static str, String)>, Problem> {
    let Some((_, alert)) = definition(name) else {
        return Err(Problem::bad_request(format!("alert={name} is no alert.")).hint(possible()));
    };
    let found = lines(alert).map(|lines| logs::parameters(lines, &fixed)).unwrap_or_default();
    if found.is_empty() {
        let text = format!("No log line belongs to the alert {name}, so lines cannot tell who is affected.");
        return Err(Problem::bad_request(text).hint(possible()));
    }
    Ok(found)
}

fn possible() -> String {
    let all = definitions().iter().flat_map(|group| &group.alerts);
    let names: Vec<&str> = all.filter(|alert| lines(alert).is_some()).map(|alert| alert.name).collect();
    format!("Lines can tell about {}.", names.join(", "))
}

/// Returns the address of the page about who is affected by an alert; empty if lines cannot tell.
pub(super) fn affected(alert: &Alert, view: &View) -> String {
    match lines(alert) {
        Some(_) => view.link("/affected", &[("alert", alert.name), ("route", "")]),
        None => String::new(),
    }
}

/// Returns the address of the page about who is affected by one series of an alert; empty if its labels say no more
/// than the alert.
pub(super) fn affected_by_series(alert: &Alert, labels: &Labels, view: &View) -> String {
    let condition = |field: &&str| {
        let value = labels.get(&prometheus_label(field));
        (!value.is_empty()).then(|| ("where", format!("{field}:{value}")))
    };
    let conditions: Vec<(&str, String)> = FIELDS.iter().filter_map(condition).collect();
    if conditions.is_empty() || lines(alert).is_none() {
        return String::new();
    }
    let own = [("alert", alert.name.to_owned()), ("route", String::new())];
    view.link_to_query("/affected", &own.into_iter().chain(conditions).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_lead_to_the_lines_that_name_customers() {
        let found = parameters_of("HighErrorRate").map_err(|_| "problem").unwrap();
        assert!(
            found.iter().any(|(name, value)| *name == "event" && value == "http.server.request"),
            "{found:?}"
        );
        let many = definitions().iter().flat_map(|group| &group.alerts);
        assert!(many.filter(|alert| lines(alert).is_some()).count() > 20);
    }
}
