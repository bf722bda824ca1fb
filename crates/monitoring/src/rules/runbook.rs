//! `docs/RUNBOOK.md`: one section for each alert.

use domain::signals::keys;

use super::causes::{explaining, not_held_back, with_explained};
use super::rule_file::{GRAFANA, push};
use super::{Alert, Group, Look, Severity, groups, watchers};
use crate::grafana::Explore;
use crate::query::{Field, Lines, Scale, duration_text};

const INTRODUCTION: &str = "\
# Runbook

<!-- Rendered by `cargo run -p monitoring -- write` from crates/monitoring/src/rules. -->

What to do about each alert. Each query is a link that opens it in Grafana's Explore, for the last hour. In a log line `trace_id` leads to the
trace, and it is the `request_id` that users see in an error.

Commands of `docker compose` are run in `deploy/` with both files: `docker compose -f compose.yaml -f compose.observability.yaml …`. Commands of
`socialize` are run in a container: `docker compose exec worker socialize doctor`.

First of all, when several alerts fire: TelemetryMissing and CollectorDown before all others, for they say whether the rest can be believed; then
PostgresUnreachable and DiskAlmostFull, which cause most others. Alertmanager tells nobody of an alert while one fires that explains it.

Charts show three kinds of marks: a release (a version or build that did not run before), the start of a process, and each alert while it fires.

";

/// Questions that do not start from an alert.
const QUESTIONS: &str = "
## Who is affected?

The dashboard `Socialize: API`, row \"Who is affected\", counts the organizations and users whose requests failed because of us in the
dashboard's range, and lists those with most; a click on one shows its lines. Each section below that has lines of requests has
the same as a link. Ids are all that telemetry knows; names and addresses are in the database:
`select id, name from organizations where id = …`, `select id, email from users where id = …`.

## What happened to a request?

Users see a `request_id` in each error answer; so does whoever reads `X-Request-Id`. Put it into the box of the dashboard
[Socialize: Request](GRAFANA/d/socialize-request), and choose a range that holds the time of the request. It shows the lines of the request with its
error code, cause and ids, the runs of the jobs that it caused, and its trace. Lines are kept for two weeks, traces for one.

";

/// Renders the document.
pub fn render() -> String {
    let groups = groups(Scale::REAL);
    let alerts = || groups.iter().flat_map(|group| &group.alerts);
    let mut out = INTRODUCTION.to_owned();
    push_numbers(&mut out, &groups);
    out.push_str("| alert | severity | says |\n|---|---|---|\n");
    for alert in alerts() {
        let (name, severity) = (alert.name, alert.severity.as_str());
        let says = without_templates(&alert.summary);
        push(&mut out, format_args!("| [{name}](#{}) | {severity} | {says} |\n", name.to_lowercase()));
    }
    out.push_str(&watchers::table(alerts()));
    out.push_str(&QUESTIONS.replace("GRAFANA", GRAFANA));
    for alert in alerts() {
        push(&mut out, format_args!("## {}\n\n{}\n", alert.name, section(alert, GRAFANA)));
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// Writes the number of alerts, and the number of notifications if as many as possible fire at once.
fn push_numbers(out: &mut String, groups: &[Group]) {
    const CAUSE: &str = "PostgresUnreachable";
    let all: Vec<Severity> =
        groups.iter().flat_map(|group| &group.alerts).map(|alert| alert.severity).collect();
    let severities = |alerts: &[Alert]| alerts.iter().map(|alert| alert.severity).collect::<Vec<_>>();
    let outage = severities(&with_explained(CAUSE));
    let told = severities(&not_held_back(with_explained(CAUSE)));
    push(
        out,
        format_args!(
            "| | alerts | notifications |\n|---|---|---|\n| all that there are | {} | |\n",
            counted(&all)
        ),
    );
    push(
        out,
        format_args!("| may fire in an outage of Postgres | {} | {} |\n\n", counted(&outage), counted(&told)),
    );
}

/// The number of alerts, in total and by severity, the most urgent first.
fn counted(severities: &[Severity]) -> String {
    let of_one = |wanted: Severity| {
        let number = severities.iter().filter(|severity| **severity == wanted).count();
        (number > 0).then(|| format!("{number} {}", wanted.as_str()))
    };
    let all = [Severity::Critical, Severity::Warning, Severity::Info, Severity::None];
    let parts: Vec<String> = all.into_iter().filter_map(of_one).collect();
    format!("{}: {}", severities.len(), parts.join(", "))
}

/// The text below an alert's heading. Queries become links to the Grafana at `grafana`; an empty string links
/// to the Grafana that shows the section.
pub fn section(alert: &Alert, grafana: &str) -> String {
    let mut out = String::new();
    let when = match alert.severity {
        Severity::Critical => "critical: look now",
        Severity::Warning => "warning: look within the working day",
        Severity::Info => "info: look when there is time",
        Severity::None => "none: it always fires",
    };
    push(&mut out, format_args!("{when}. {}\n\n", without_templates(&alert.summary)));
    push(&mut out, format_args!("**Meaning.** {}\n\n", alert.runbook.meaning));
    push(&mut out, format_args!("**Impact.** {}\n\n", alert.runbook.impact));
    let explaining = explaining(alert.name);
    if !explaining.is_empty() {
        push(
            &mut out,
            format_args!(
                "**Explained by** {}, if it fires as well: mend that first.\n\n",
                explaining.join(", ")
            ),
        );
    }
    push(
        &mut out,
        format_args!("**Condition**{}\n\n```promql\n{}\n```\n\n", durations(alert), alert.condition),
    );
    out.push_str("**Confirm**\n\n");
    for look in &alert.runbook.confirm {
        push_look(&mut out, look, grafana);
    }
    if let Some(lines) = alert.runbook.confirm.iter().find_map(customers) {
        out.push_str("**Who is affected**\n\n");
        for (says, field) in [("Organizations", &keys::ORGANIZATION_ID), ("Users", &keys::USER_ID)] {
            let query = lines.most_affected(Field::key(field), MOST_AFFECTED);
            push_query(&mut out, says, "logql", &query, &Explore::Logs(query.clone()), grafana);
        }
    }
    out.push_str("**Do**\n\n");
    for (number, step) in alert.runbook.remedy.iter().enumerate() {
        push(&mut out, format_args!("{}. {step}\n", number + 1));
    }
    push(&mut out, format_args!("\n**Escalate.** {}\n", alert.runbook.escalate));
    out
}

/// Maximum number of customers in the list.
const MOST_AFFECTED: u8 = 20;

/// The lines of a query that name the affected customer.
fn customers(look: &Look) -> Option<&Lines> {
    match look {
        Look::Logs(_, lines) if lines.name_customers() => Some(lines),
        Look::Logs(..) | Look::Metrics(..) | Look::Traces(..) => None,
    }
}

fn push_look(out: &mut String, look: &Look, grafana: &str) {
    let (says, language, query, explore) = match look {
        Look::Metrics(says, query) => (says, "promql", query.clone(), Explore::Metrics(query.clone())),
        Look::Logs(says, lines) => {
            let query = lines.text().to_owned();
            (says, "logql", query.clone(), Explore::Logs(query))
        }
        Look::Traces(says, spans) => (says, "traceql", spans.text(), Explore::Traces(spans.text())),
    };
    push_query(out, says, language, &query, &explore, grafana);
}

fn push_query(out: &mut String, says: &str, language: &str, query: &str, explore: &Explore, grafana: &str) {
    let path = explore.path("now-1h", "now");
    push(out, format_args!("[{says}]({grafana}{path}):\n\n```{language}\n{query}\n```\n\n"));
}

fn durations(alert: &Alert) -> String {
    let mut out = String::new();
    if !alert.pending.is_zero() {
        push(&mut out, format_args!(", for {}", duration_text(alert.pending)));
    }
    if !alert.keep_firing.is_zero() {
        push(
            &mut out,
            format_args!(", and until {} after it was last true", duration_text(alert.keep_firing)),
        );
    }
    out
}

/// A summary for all series of an alert at once: each label's name replaces its value.
fn without_templates(summary: &str) -> String {
    summary.replace("{{ $labels.", "`").replace(" }}", "`")
}
