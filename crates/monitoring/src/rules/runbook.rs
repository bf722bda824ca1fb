//! `docs/RUNBOOK.md`: one section for each alert.

use super::causes::{explaining, not_held_back, with_explained};
use super::rule_file::push;
use super::{Alert, Group, Look, Severity, groups};
use crate::query::{Scale, duration_text};

const INTRODUCTION: &str = "\
# Runbook

<!-- Rendered by `cargo run -p monitoring -- write` from crates/monitoring/src/rules. -->

What to do about each alert. Queries are to be pasted into Grafana's Explore: metrics into Prometheus, log lines into Loki, traces into
Tempo. In a log line `trace_id` leads to the trace, and it is the `request_id` that users see in an error.

Commands of `docker compose` are run in `deploy/` with both files: `docker compose -f compose.yaml -f compose.observability.yaml …`. Commands of
`socialize` are run in a container: `docker compose exec worker socialize doctor`.

First of all, when several alerts fire: TelemetryMissing and CollectorDown before all others, for they say whether the rest can be believed; then
PostgresUnreachable and DiskAlmostFull, which cause most others. Alertmanager tells nobody of an alert while one fires that explains it.

";

/// The document.
pub fn render() -> String {
    let groups = groups(Scale::REAL);
    let mut out = INTRODUCTION.to_owned();
    push_numbers(&mut out, &groups);
    out.push_str("| alert | severity | says |\n|---|---|---|\n");
    for alert in groups.iter().flat_map(|group| &group.alerts) {
        let (name, severity) = (alert.name, alert.severity.as_str());
        let says = without_templates(&alert.summary);
        push(&mut out, format_args!("| [{name}](#{}) | {severity} | {says} |\n", name.to_lowercase()));
    }
    for alert in groups.iter().flat_map(|group| &group.alerts) {
        push(&mut out, format_args!("\n## {}\n\n{}", alert.name, section(alert)));
    }
    out
}

/// How many alerts there are, and how many somebody is told of when the most of them fire at once.
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

/// How many there are, altogether and of each severity, the most urgent first.
fn counted(severities: &[Severity]) -> String {
    let of_one = |wanted: Severity| {
        let number = severities.iter().filter(|severity| **severity == wanted).count();
        (number > 0).then(|| format!("{number} {}", wanted.as_str()))
    };
    let all = [Severity::Critical, Severity::Warning, Severity::Info, Severity::None];
    let parts: Vec<String> = all.into_iter().filter_map(of_one).collect();
    format!("{}: {}", severities.len(), parts.join(", "))
}

/// What stands below the heading of an alert.
pub fn section(alert: &Alert) -> String {
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
        let (says, language, query) = match look {
            Look::Metrics(says, query) => (says, "promql", query.clone()),
            Look::Logs(says, lines) => (says, "logql", lines.text().to_owned()),
            Look::Traces(says, spans) => (says, "traceql", spans.text()),
        };
        push(&mut out, format_args!("{says}:\n\n```{language}\n{query}\n```\n\n"));
    }
    out.push_str("**Do**\n\n");
    for (number, step) in alert.runbook.remedy.iter().enumerate() {
        push(&mut out, format_args!("{}. {step}\n", number + 1));
    }
    push(&mut out, format_args!("\n**Escalate.** {}\n", alert.runbook.escalate));
    out
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

/// A summary of all its alerts at once: the label's name in place of a value.
fn without_templates(summary: &str) -> String {
    summary.replace("{{ $labels.", "`").replace(" }}", "`")
}
