//! Compares the simulated actions with the signals.

use std::time::Duration;

use serde_json::{Value, json};
use socialize::platform::gauges::Difference;
use socialize::platform::version::VERSION;

use super::traffic::Requests;
use super::usage::UsageCount;
use super::view_state::{Posts, ViewState};
use crate::settings::Behaviour;
use crate::simulate::Driven;

/// The result of a demo.
pub(super) struct Report {
    pub(super) behaviour: Behaviour,
    /// Duration of activity and drain.
    pub(super) elapsed: Duration,
    /// Built after the server has ended, so it is complete.
    pub(super) state: ViewState,
    pub(super) requests: Requests,
    /// Differences between the gauges' counts and their tables.
    pub(super) drift: Vec<Difference>,
}

/// All discrepancies, one sentence each; empty if the demo succeeded.
pub(super) fn problems(usage: &[UsageCount], driven: &Driven) -> Vec<String> {
    let mut problems = Vec::new();
    if driven.answered == 0 {
        problems.push("Not one request was answered.".to_owned());
    }
    for count in usage.iter().filter(|count| !count.is_right()) {
        let UsageCount { title, signal, facts, counted_in, .. } = count;
        let metric = series(count);
        problems.push(format!("{title}: {metric} says {signal}, but {counted_in} has {facts}."));
    }
    problems.extend(
        driven.unexpected().map(|(answer, count)| format!("Unexpected response, {count} times: {answer}.")),
    );
    problems
}

/// Name of the counter, with its label.
fn series(count: &UsageCount) -> String {
    match count.label {
        Some((key, value)) => format!("{}{{{key}={value}}}", count.metric),
        None => count.metric.to_owned(),
    }
}

impl Report {
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = problems(&self.state.usage, &self.state.driven);
        let Posts { delivered, taken, .. } = self.state.posts;
        if delivered != taken {
            problems.push(format!("{delivered} posts were delivered, but the receiver has taken {taken}."));
        }
        problems.extend(self.drift.iter().map(|Difference { gauge, status, actual, counted }| {
            format!(
                "The gauge socialize.{gauge}{{status={status}}} counts {counted}, but its table has {actual}."
            )
        }));
        problems
    }

    /// Formats the report for people.
    pub(super) fn summary(&self) -> String {
        let mut lines = vec![format!("{:<22} {:>8} {:>8}", "usage counter", "signal", "facts")];
        for count in &self.state.usage {
            let verdict = match (count.is_right(), count.at_least) {
                (true, false) => "",
                (true, true) => "  others called too",
                (false, _) => "  DIFFERENT",
            };
            let UsageCount { title, signal, facts, .. } = count;
            lines.push(format!("{title:<22} {signal:>8} {facts:>8}{verdict}"));
        }
        let problems = self.problems();
        lines.push(String::new());
        if problems.is_empty() {
            lines.push("Every usage counter equals the number of its facts.".to_owned());
            lines.push("Every count behind the gauges equals its table.".to_owned());
        } else {
            lines.push("Signals and facts do not agree, or something went wrong:".to_owned());
            lines.extend(problems.iter().map(|problem| format!("- {problem}")));
        }
        lines.join("\n")
    }

    /// Formats the report for programs.
    pub(super) fn to_json(&self) -> Value {
        let usage: Vec<Value> = self.state.usage.iter().map(usage_json).collect();
        let milliseconds =
            |quantile| self.requests.quantile(quantile).map(|duration| duration.as_micros() as f64 / 1000.0);
        let problems = self.problems();
        let ViewState { emails, files, posts, jobs, dropped, driven, .. } = &self.state;
        json!({
            "version": VERSION,
            "seconds": self.elapsed.as_secs_f64(),
            "rate": self.behaviour.rate,
            "seed": self.behaviour.seed,
            "verdict": if problems.is_empty() { "equal" } else { "different" },
            "problems": problems,
            "usage": usage,
            "gauge_drift": self.drift.iter().map(drift_json).collect::<Vec<_>>(),
            "driven": driven.to_json(),
            "signals": {
                "requests": {
                    "count": self.requests.count(),
                    "refused": self.requests.refused(),
                    "failed": self.requests.failed(),
                    "duration_ms": {"p50": milliseconds(0.5), "p95": milliseconds(0.95), "p99": milliseconds(0.99)},
                },
                "emails": {"delivered": emails.delivered, "deferred": emails.deferred, "refused": emails.refused},
                "files": {"stored": files.stored, "read": files.read, "failed": files.failed},
                "posts": {
                    "delivered": posts.delivered, "deferred": posts.deferred, "failed": posts.failed,
                    "taken": posts.taken,
                },
                "jobs": {"ok": jobs.ok, "not_ok": jobs.not_ok, "queued": jobs.depth, "dead": jobs.dead},
                "telemetry_dropped": dropped,
            },
        })
    }
}

fn drift_json(Difference { gauge, status, actual, counted }: &Difference) -> Value {
    json!({"gauge": gauge, "status": status, "actual": actual, "counted": counted})
}

fn usage_json(count: &UsageCount) -> Value {
    let labels: serde_json::Map<String, Value> =
        count.label.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    json!({
        "counter": count.metric,
        "labels": labels,
        "signal": count.signal,
        "facts": count.facts,
        "counted_in": count.counted_in,
        "agrees": count.is_right(),
    })
}

#[cfg(test)]
mod tests {
    use catalogue::metrics;
    use domain::vocabulary::Decision;
    use telemetry::{Telemetry, TelemetrySettings};

    use super::super::ledger::Facts;
    use super::super::usage::{DrivenFacts, usage};
    use super::*;
    use crate::simulate::Tally;

    /// One organization, two approvals and one rejection; five attempts to log in, two of them with a wrong
    /// password.
    fn counted() -> Telemetry {
        let telemetry = Telemetry::new(TelemetrySettings::default());
        let meter = telemetry.meter();
        meter.counter(&metrics::ORGANIZATIONS_CREATED).add((), 1);
        let decisions = meter.counter(&metrics::APPROVAL_DECISIONS_SUBMITTED);
        decisions.add(Decision::Approve, 2);
        decisions.add(Decision::Reject, 1);
        meter.counter(&metrics::AUTH_LOGIN_ATTEMPTS).add((), 5);
        let reason = catalogue::labels::AuthFailureReason::InvalidCredentials;
        meter.counter(&metrics::AUTH_FAILURES).add(reason, 2);
        telemetry
    }

    fn facts() -> Facts {
        Facts::default().with("organizations", "", 1).with("approval_decisions", "approve", 2).with(
            "approval_decisions",
            "reject",
            1,
        )
    }

    const DRIVEN: DrivenFacts = DrivenFacts { login_attempts: 5, wrong_passwords: 2, others_called: false };

    fn problems_of(facts: &Facts, driven: DrivenFacts) -> Vec<String> {
        let mut answered = Tally::default().snapshot();
        answered.answered = 8;
        problems(&usage(&counted().meter().snapshot(), facts, driven), &answered)
    }

    #[test]
    fn equal_counts_are_no_problem() {
        assert_eq!(problems_of(&facts(), DRIVEN), Vec::<String>::new());
    }

    #[test]
    fn every_table_that_differs_from_its_counter_is_a_problem() {
        let tables = [
            ("organizations", ""),
            ("workspaces", ""),
            ("workspace_invites", ""),
            ("content_items", ""),
            ("comments", ""),
            ("approval_decisions", "approve"),
            ("approval_decisions", "request_changes"),
            ("approval_decisions", "reject"),
            ("feedback_reports", "bug"),
            ("feedback_reports", "idea"),
            ("feedback_reports", "question"),
            ("feedback_reports", "other"),
            ("sessions", ""),
            ("published content_items", ""),
        ];
        for (table, label) in tables {
            let problems = problems_of(&facts().with(table, label, 7), DRIVEN);
            assert!(matches!(&problems[..], [one] if one.contains(table)), "{table}: {problems:?}");
        }
    }

    #[test]
    fn attempts_to_log_in_are_compared_with_what_was_driven() {
        let problems = problems_of(&facts(), DrivenFacts { login_attempts: 4, ..DRIVEN });
        assert!(problems[0].contains("socialize.auth.login.attempts says 5"), "{problems:?}");
        let problems = problems_of(&facts(), DrivenFacts { wrong_passwords: 3, ..DRIVEN });
        assert!(problems[0].contains("{reason=invalid_credentials} says 2"), "{problems:?}");

        // Somebody else calls the API: only the counter sees their attempts.
        let with_others = DrivenFacts { login_attempts: 4, others_called: true, ..DRIVEN };
        assert_eq!(problems_of(&facts(), with_others), Vec::<String>::new());
        let too_few = DrivenFacts { login_attempts: 6, others_called: true, ..DRIVEN };
        assert_eq!(problems_of(&facts(), too_few).len(), 1);
    }

    #[test]
    fn a_demo_that_reached_nobody_is_a_problem() {
        let usage = usage(&counted().meter().snapshot(), &facts(), DRIVEN);
        assert_eq!(problems(&usage, &Tally::default().snapshot()), ["Not one request was answered."]);
    }
}
