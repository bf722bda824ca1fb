//! Summary of a trace in sentences.

use super::rows::error;
use crate::pages::words;
use crate::store::spans::{Span, SpanKind};

/// Effects of a trace, such as jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Effects {
    /// Number of runs that link to the trace.
    pub runs: usize,
    /// Number of failed runs.
    pub failed: usize,
}

/// Returns the most important fact of a trace, and the others. `root` is the first span without a known parent.
pub(crate) fn sentences(spans: &[Span], root: &Span, effects: Effects) -> (String, String) {
    let others = [deepest_failure(spans, root), database(spans, root), caused(effects)];
    (operation(root), others.into_iter().flatten().collect::<Vec<_>>().join(" "))
}

fn operation(root: &Span) -> String {
    let duration = words::duration(root.duration_ns());
    let reason = match root.failed {
        true => format!(" and failed: {}", error(root)),
        false => String::new(),
    };
    match root.kind {
        SpanKind::Server => match &*root.text("http.response.status_code") {
            "" if root.text("error.type") == "cancelled" => {
                format!("{} was cancelled by its client after {duration}.", root.name)
            }
            "" => format!("{} took {duration}{reason}.", root.name),
            status => format!("{} took {duration} and answered {status}{}.", root.name, because(root)),
        },
        SpanKind::Consumer => {
            let outcome = root.text("outcome");
            let attempt = match &*root.text("job.attempt") {
                "" | "1" => String::new(),
                attempt => format!(" at attempt {attempt}"),
            };
            let kind = root.text("job.kind");
            let name = if kind.is_empty() { root.name.to_string() } else { format!("The job {kind}") };
            match outcome.is_empty() {
                true => format!("{name} took {duration}{reason}."),
                false => {
                    format!("{name} took {duration} and ended with {outcome}{attempt}{}.", because(root))
                }
            }
        }
        _ => format!("{} took {duration}{reason}.", root.name),
    }
}

fn because(root: &Span) -> String {
    let reason = error(root);
    if reason.is_empty() || reason == "failed" { String::new() } else { format!(", because of {reason}") }
}

/// Returns the failed span that started last, which is usually the cause.
fn deepest_failure(spans: &[Span], root: &Span) -> Option<String> {
    let failed = spans.iter().filter(|span| span.failed && span.span_id != root.span_id);
    let last = failed.max_by_key(|span| span.start_ns)?;
    let duration = words::duration(last.duration_ns());
    Some(format!("{} failed within it after {duration}: {}.", last.name, error(last)))
}

fn database(spans: &[Span], root: &Span) -> Option<String> {
    let calls = || spans.iter().filter(|span| span.attribute("db.query.summary").is_some());
    let count = calls().count() as u64;
    if count == 0 {
        return None;
    }
    let total: u64 = calls().map(Span::duration_ns).sum();
    let share = words::percent(total as f64, root.duration_ns() as f64);
    let slowest = calls().max_by_key(|span| span.duration_ns())?;
    let most = match count {
        1 => format!(", {}", slowest.name),
        _ => format!("; the slowest was {} with {}", slowest.name, words::duration(slowest.duration_ns())),
    };
    Some(format!(
        "{} took {} of it ({share}){most}.",
        words::counted(count, "database operation"),
        words::duration(total)
    ))
}

fn caused(effects: Effects) -> Option<String> {
    let runs = words::counted(effects.runs as u64, "job run");
    match (effects.runs, effects.failed) {
        (0, _) => None,
        (_, 0) => Some(format!("It caused {runs}.")),
        (_, failed) => Some(format!("It caused {runs}, of which {} failed.", words::count(failed as u64))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::FieldValue;
    use crate::store::spans::{SpanId, TraceId};

    fn span(id: u8, name: &str, kind: SpanKind, ms: u64, attributes: &[(&str, FieldValue)]) -> Span {
        Span {
            trace_id: TraceId([7; 16]),
            span_id: SpanId([id; 8]),
            parent: None,
            name: name.into(),
            kind,
            start_ns: u64::from(id),
            end_ns: u64::from(id) + ms * 1_000_000,
            failed: attributes.iter().any(|(name, _)| *name == "error.type"),
            attributes: attributes.iter().map(|(name, value)| ((*name).into(), value.clone())).collect(),
            links: Vec::new(),
            events: Vec::new(),
            service: "api".into(),
            instance: "one".into(),
        }
    }

    #[test]
    fn a_failed_request_names_its_cause() {
        let root = span(
            1,
            "POST /v1/content-items",
            SpanKind::Server,
            38,
            &[("http.response.status_code", 503.into()), ("error.type", "unavailable".into())],
        );
        let query = span(
            2,
            "insert_content_item",
            SpanKind::Client,
            31,
            &[("db.query.summary", "insert_content_item".into()), ("error.type", "timeout".into())],
        );
        let spans = [root.clone(), query];
        let (first, others) = sentences(&spans, &root, Effects { runs: 2, failed: 1 });
        assert_eq!(first, "POST /v1/content-items took 38 ms and answered 503, because of unavailable.");
        assert_eq!(
            others,
            "insert_content_item failed within it after 31 ms: timeout. 1 database operation took 31 ms of it (82 %), \
             insert_content_item. It caused 2 job runs, of which 1 failed."
        );
    }

    #[test]
    fn each_kind_of_operation_has_its_sentence() {
        let cases = [
            (
                span(1, "GET /a", SpanKind::Server, 2, &[("http.response.status_code", 200.into())]),
                "GET /a took 2 ms and answered 200.",
            ),
            (
                span(1, "GET /a", SpanKind::Server, 2, &[("error.type", "cancelled".into())]),
                "GET /a was cancelled by its client after 2 ms.",
            ),
            (
                span(
                    1,
                    "send_email",
                    SpanKind::Consumer,
                    5,
                    &[
                        ("job.kind", "send_email".into()),
                        ("outcome", "retry".into()),
                        ("job.attempt", 3.into()),
                    ],
                ),
                "The job send_email took 5 ms and ended with retry at attempt 3.",
            ),
            (span(1, "sample", SpanKind::Internal, 1, &[]), "sample took 1 ms."),
        ];
        for (root, expected) in cases {
            assert_eq!(sentences(std::slice::from_ref(&root), &root, Effects::default()).0, expected);
        }
    }
}
