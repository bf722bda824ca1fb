//! `docs/RUNBOOK.md`: one section for each alert.

use catalogue::keys;

use super::causes::{explaining, not_held_back, with_explained};
use super::text::{GRAFANA, push};
use super::{Alert, Group, Look, Severity, groups, watchers};
use crate::grafana::Explore;
use crate::query::{Field, Lines, Scale, duration_text};
use crate::wrap::wrapped;

const INTRODUCTION: &str = "\
# Runbook

<!-- Rendered by `cargo run -p monitoring -- write` from crates/monitoring/src/rules. -->

An alert fires. What do I do? Find its section below. Each query is a link to Grafana's Explore, for the
last hour. The console shows the same sections at `http://127.0.0.1:3001/alerts`, with links of its own.
The `trace_id` of a log line leads to its trace; users see it as `request_id` in errors.

Run `docker compose` in `deploy/`, where `.env` names the Compose files: deploy/README.md#start.
Run `socialize` in a container: `docker compose exec worker socialize doctor`.

If several alerts fire, begin with TelemetryMissing and CollectorDown, because without telemetry the
other alerts cannot be trusted. Continue with PostgresUnreachable and DiskAlmostFull, which cause most
others. While such a cause fires, Alertmanager does not notify you of the alerts that it explains.

Charts mark releases (a new version or build), starts of processes, and each alert while it fires.

";

/// Questions that do not start from an alert.
const QUESTIONS: &str = "
## Who is affected?

The row \"Who is affected\" of the dashboard `Socialize: API` counts the organizations and users with
failed requests and lists those with most; a click on one shows its lines. Sections below link to the
same lists. Telemetry contains only ids. Look up names and addresses in the database:
`select id, name from organizations where id = …`, `select id, email from users where id = …`.

## What happened to a request?

Users see a `request_id` in each error, and in the header `X-Request-Id`. You get the lines of the
request with error code, cause and ids, the job runs that it caused, and its trace:

- Console: open `http://127.0.0.1:3001/requests/ID`.
- Grafana: enter it in the dashboard [Socialize: Request](GRAFANA/d/socialize-request), and choose a
range that includes the time of the request. Lines are kept for two weeks, traces for one.
- Only log files: docs/LOGGING.md#find-a-request-without-the-stores.

";

/// Renders the document.
pub fn render() -> String {
    let groups = groups(Scale::REAL);
    let alerts = || groups.iter().flat_map(|group| &group.alerts);
    let mut out = linked(INTRODUCTION);
    push_numbers(&mut out, &groups);
    out.push_str("| alert | severity | meaning |\n|---|---|---|\n");
    for alert in alerts() {
        let (name, severity) = (alert.name, alert.severity.as_str());
        let says = without_templates(&alert.summary);
        push(&mut out, format_args!("| [{name}](#{}) | {severity} | {says} |\n", name.to_lowercase()));
    }
    out.push_str(&watchers::table(alerts()));
    out.push_str(&linked(&QUESTIONS.replace("GRAFANA", GRAFANA)));
    for alert in alerts() {
        push(&mut out, format_args!("## {}\n\n{}\n", alert.name, section(alert, GRAFANA)));
    }
    out.truncate(out.trim_end().len());
    wrapped(&out)
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
        format_args!("| | alerts | notifications |\n|---|---|---|\n| all alerts | {} | |\n", counted(&all)),
    );
    push(
        out,
        format_args!("| at most in an outage of Postgres | {} | {} |\n\n", counted(&outage), counted(&told)),
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

/// The text below an alert's heading, in the order in which an operator needs its parts: the impact, a query that
/// confirms it, the cause, the remedies. The condition comes last. Queries become links to the Grafana at
/// `grafana`; an empty string links to the Grafana that shows the section.
pub fn section(alert: &Alert, grafana: &str) -> String {
    let mut out = String::new();
    let when = match alert.severity {
        Severity::Critical => "critical: act now",
        Severity::Warning => "warning: act within the working day",
        Severity::Info => "info: look when convenient",
        Severity::None => "none: it always fires",
    };
    push(&mut out, format_args!("{when}. {}\n\n", without_templates(&alert.summary)));
    // Grafana, which has no documents, shows their paths.
    let text = |text: &str| if grafana.is_empty() { text.to_owned() } else { linked(text) };
    push(&mut out, format_args!("**Impact.** {}\n\n", text(alert.runbook.impact)));
    let explaining = explaining(alert.name);
    if !explaining.is_empty() {
        push(&mut out, format_args!("**If {} also fires**, fix that first.\n\n", either(&explaining)));
    }
    push(&mut out, format_args!("**Meaning.** {}\n\n", text(alert.runbook.meaning)));
    out.push_str("**Is it real?**\n\n");
    for (number, look) in alert.runbook.confirm.iter().enumerate() {
        if number == 1 {
            out.push_str("**Find the cause**\n\n");
        }
        push_look(&mut out, look, grafana);
    }
    push_steps(&mut out, alert, text);
    if let Some(lines) = alert.runbook.confirm.iter().find_map(customers) {
        out.push_str("**Who is affected**\n\n");
        for (says, field) in [("Organizations", &keys::ORGANIZATION_ID), ("Users", &keys::USER_ID)] {
            let query = lines.most_affected(Field::key(field), MOST_AFFECTED).text();
            push_query(&mut out, says, "logql", &query, &Explore::Logs(query.clone()), grafana);
        }
    }
    push(
        &mut out,
        format_args!("**Condition**{}\n\n```promql\n{}\n```\n", durations(alert), alert.condition),
    );
    out
}

fn push_steps(out: &mut String, alert: &Alert, text: impl Fn(&str) -> String) {
    out.push_str("**Do**\n\n");
    for (number, step) in alert.runbook.remedy.iter().enumerate() {
        push(out, format_args!("{}. {}\n", number + 1, text(step)));
    }
    push(out, format_args!("\n**Escalate.** {}\n\n", text(alert.runbook.escalate)));
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
        Look::Metrics(says, query) => {
            (says, "promql", query.to_string(), Explore::Metrics(query.to_string()))
        }
        Look::Logs(says, lines) => {
            let query = lines.text();
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
        push(&mut out, format_args!(" (keeps firing for {})", duration_text(alert.keep_firing)));
    }
    out
}

/// The names, with a comma or "or" in between.
fn either(names: &[&str]) -> String {
    match names {
        [others @ .., last] if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => names.join(""),
    }
}

/// The text with links from paths of documents, such as `docs/LOGGING.md#loss`.
fn linked(text: &str) -> String {
    let is_path = |c: char| c.is_ascii_alphanumeric() || "/._-#".contains(c);
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(is_path) {
        let (before, word) = rest.split_at(start);
        let (word, after) = word.split_at(word.find(|c| !is_path(c)).unwrap_or(word.len()));
        // The end of a sentence.
        let path = word.trim_end_matches('.');
        out.push_str(before);
        let is_document = path.contains(".md") && !before.ends_with("](");
        match path.split_once('/').filter(|_| is_document) {
            Some(("docs", name)) => push(&mut out, format_args!("[{path}]({name})")),
            Some(("crates" | "deploy", _)) => push(&mut out, format_args!("[{path}](../{path})")),
            _ => out.push_str(path),
        }
        out.push_str(&word[path.len()..]);
        rest = after;
    }
    out + rest
}

/// A summary for all series of an alert at once: each label's name replaces its value.
fn without_templates(summary: &str) -> String {
    summary.replace("{{ $labels.", "`").replace(" }}", "`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_documents_become_links() {
        for (text, expected) in [
            ("See docs/LOGGING.md.", "See [docs/LOGGING.md](LOGGING.md)."),
            ("deploy/README.md#size says it.", "[deploy/README.md#size](../deploy/README.md#size) says it."),
            ("[a](crates/b.md)", "[a](crates/b.md)"),
            ("crates/a/b.md", "[crates/a/b.md](../crates/a/b.md)"),
            (
                "`deploy/compose.yaml` and `curl http://localhost:8080/x`...",
                "`deploy/compose.yaml` and `curl http://localhost:8080/x`...",
            ),
            ("", ""),
        ] {
            assert_eq!(linked(text), expected);
        }
    }
}
