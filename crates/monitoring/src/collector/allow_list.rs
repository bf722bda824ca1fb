//! The collector's allow-list: only names that Socialize is known to record pass.
//!
//! The application already records nothing else. This is a second barrier: data from a library, a
//! patch or another sender on the network does not reach a store either.
//!
//! It is written in OTTL, the language of both programs, with one list of statements for each
//! context. Statements of several contexts in one list would be merged into one context, and data
//! without that context would pass unchecked. Paths are written with their context, because both
//! programs log every path that they have to complete.
//!
//! OTTL cannot reach attributes of span links and of exemplars, so these pass unchanged. The
//! application records none of them; docs/PRIVACY.md says so.

use std::collections::BTreeSet;

use catalogue::recorded::{LONGEST_VALUE, VALUE_PUNCTUATION};
use catalogue::{metrics, recorded, scopes};
use signal::InstrumentationScope;

/// Replaces text that is not allowed.
const REDACTED: &str = "redacted";
/// Replaces the body of a line that is not Socialize's.
const UNPARSED_LINE: &str = "unparsed log line";

/// Pattern of event names.
const EVENT: &str = "^[a-z0-9_.]+$";

/// Statements of one context, in order.
pub struct Statements {
    /// The OTTL context: `resource`, `scope`, `span`, `metric`, `datapoint` or `log`.
    pub context: &'static str,
    /// Statements, in order of execution.
    pub statements: Vec<String>,
}

/// Conditions of one context. Data that meets any of them is dropped.
pub struct Conditions {
    /// The OTTL context.
    pub context: &'static str,
    /// Conditions, one of which is enough.
    pub conditions: Vec<String>,
}

/// Drops metrics that are not in the catalogue.
pub fn dropped_metrics() -> Conditions {
    let names = metrics::all().into_iter().map(|metric| metric.name);
    let condition = format!("not ContainsValue({}, metric.name)", list(names));
    Conditions { context: "metric", conditions: vec![condition] }
}

/// Drops all span events, because Socialize records none.
pub fn dropped_span_events() -> Conditions {
    Conditions { context: "spanevent", conditions: vec!["true".to_owned()] }
}

/// Returns the statements that clean metrics.
pub fn metric_statements() -> Vec<Statements> {
    let metrics = metrics::all();
    let units: BTreeSet<&str> = metrics.iter().map(|metric| metric.unit.as_str()).collect();
    let helps = metrics.iter().map(|metric| metric.help);
    vec![
        resource(),
        scope(),
        Statements {
            context: "metric",
            statements: vec![
                // The unit becomes part of the name in Prometheus.
                format!(r#"set(metric.unit, "") where not ContainsValue({}, metric.unit)"#, list(units)),
                format!(
                    r#"set(metric.description, "") where not ContainsValue({}, metric.description)"#,
                    list(helps)
                ),
            ],
        },
        Statements {
            context: "datapoint",
            statements: kept_attributes_without_bytes("datapoint", &recorded::metric_labels()),
        },
    ]
}

/// Returns the statements that clean spans.
pub fn trace_statements() -> Vec<Statements> {
    let name = format!("^([A-Z]+ )?[A-Za-z0-9{VALUE_PUNCTUATION}]+$");
    let mut span = kept_attributes_without_bytes("span", &recorded::span_attributes());
    span.push(format!(r#"set(span.name, "{REDACTED}") where not IsMatch(span.name, "{name}")"#));
    span.push(r#"set(span.status.message, "")"#.to_owned());
    span.push(r#"set(span.trace_state, "")"#.to_owned());
    vec![resource(), scope(), Statements { context: "span", statements: span }]
}

/// Returns the statements that clean log lines: the event becomes the body, and fields become
/// attributes.
///
/// A line that a queue rejected arrives again in its cleaned form, so the statements must be
/// idempotent.
pub fn log_statements() -> Vec<Statements> {
    let mut log = vec![r#"merge_maps(log.attributes, log.body, "upsert") where IsMap(log.body)"#.to_owned()];
    // At first the body holds the whole line; a line that is not JSON has only a body. A line that
    // arrives again has a time, and its body is the event.
    log.push(format!(
        "set(log.body, \"{UNPARSED_LINE}\") \
         where log.observed_time_unix_nano != 0 or not IsString(log.body) or not IsMatch(log.body, \"{EVENT}\")"
    ));
    log.push(format!(
        "set(log.body, log.attributes[\"event\"]) \
         where IsString(log.attributes[\"event\"]) and IsMatch(log.attributes[\"event\"], \"{EVENT}\")"
    ));
    // An unknown level is arbitrary text.
    log.push(r#"set(log.severity_text, "") where log.severity_number == 0"#.to_owned());
    log.extend(kept_attributes("log", &recorded::line_fields()));
    // Two readings of one line must be identical, so that Loki stores them once.
    log.push("set(log.observed_time_unix_nano, 0)".to_owned());
    vec![resource(), scope(), Statements { context: "log", statements: log }]
}

fn resource() -> Statements {
    let names = list(recorded::resource::ALL);
    // An operator's name for a deployment may be prose.
    let mut statements = vec![
        "flatten(resource.attributes)".to_owned(),
        format!("keep_keys(resource.attributes, {names})"),
        format!("truncate_all(resource.attributes, {LONGEST_VALUE})"),
    ];
    statements.extend(recorded::resource::ALL.into_iter().map(|name| without_bytes("resource", name)));
    Statements { context: "resource", statements }
}

/// Keeps known names of scopes. The resource already has the version.
fn scope() -> Statements {
    let names = list(scopes::ALL.map(InstrumentationScope::name));
    let statements = vec![
        r#"keep_keys(scope.attributes, [""])"#.to_owned(),
        format!(r#"set(scope.name, "") where not ContainsValue({names}, scope.name)"#),
        r#"set(scope.version, "")"#.to_owned(),
    ];
    Statements { context: "scope", statements }
}

fn kept_attributes(context: &str, names: &BTreeSet<&'static str>) -> Vec<String> {
    vec![
        // `flatten` turns a map or list below an allowed name into names of their own, which are
        // not allowed.
        format!("flatten({context}.attributes)"),
        format!("keep_keys({context}.attributes, {})", list(names.iter().copied())),
        format!("truncate_all({context}.attributes, {LONGEST_VALUE})"),
        format!(
            "replace_all_patterns({context}.attributes, \"value\", \
             \"(?s)^.*[^A-Za-z0-9{VALUE_PUNCTUATION}].*$\", \"{REDACTED}\")"
        ),
    ]
}

fn kept_attributes_without_bytes(context: &str, names: &BTreeSet<&'static str>) -> Vec<String> {
    let mut statements = kept_attributes(context, names);
    statements.extend(names.iter().map(|name| without_bytes(context, name)));
    statements
}

/// Redacts a value of bytes, which patterns do not match. Only bytes compare with bytes, and any
/// bytes are at least a zero byte. Log lines need no such statement, because JSON has no bytes.
fn without_bytes(context: &str, name: &str) -> String {
    let path = format!(r#"{context}.attributes["{name}"]"#);
    format!(r#"set({path}, "{REDACTED}") where {path} >= 0x00"#)
}

pub(super) fn list(texts: impl IntoIterator<Item = &'static str>) -> String {
    let quoted: Vec<String> = texts.into_iter().map(|text| format!("\"{text}\"")).collect();
    format!("[{}]", quoted.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_texts() -> Vec<String> {
        let statements = [metric_statements(), trace_statements(), log_statements()].into_iter().flatten();
        let conditions = [dropped_metrics(), dropped_span_events()];
        statements
            .flat_map(|group| group.statements)
            .chain(conditions.into_iter().flat_map(|group| group.conditions))
            .collect()
    }

    #[test]
    fn a_statement_needs_no_escapes_in_either_file() {
        for text in all_texts() {
            assert!(!text.contains(['`', '\\', '\n']), "{text}");
            assert!(!text.contains("${"), "{text}: the Collector would read a variable");
        }
    }

    /// Both programs complete a path without context, and log that at every start.
    #[test]
    fn every_path_names_its_context() {
        let statements = [metric_statements(), trace_statements(), log_statements()].into_iter().flatten();
        for Statements { context, statements } in statements {
            for statement in statements {
                let mut outside_of_texts = statement.split('"').step_by(2);
                let paths = [
                    "attributes",
                    "body",
                    "severity_",
                    "observed_time",
                    "trace_state",
                    "unit",
                    "description",
                ];
                let is_bare = |text: &str| {
                    paths.iter().any(|path| {
                        text.match_indices(path).any(|(at, _)| !text[..at].ends_with(&format!("{context}.")))
                    })
                };
                assert!(!outside_of_texts.any(is_bare), "{context}: {statement}");
            }
        }
    }

    #[test]
    fn every_metric_of_the_catalogue_passes() {
        let dropped = &dropped_metrics().conditions[0];
        for metric in metrics::all() {
            assert!(dropped.contains(&format!("\"{}\"", metric.name)), "{}", metric.name);
        }
    }

    #[test]
    fn every_signal_is_cleaned_in_every_context_that_it_has() {
        let contexts = |groups: Vec<Statements>| groups.iter().map(|group| group.context).collect::<Vec<_>>();
        assert_eq!(contexts(metric_statements()), ["resource", "scope", "metric", "datapoint"]);
        assert_eq!(contexts(trace_statements()), ["resource", "scope", "span"]);
        assert_eq!(contexts(log_statements()), ["resource", "scope", "log"]);
    }
}
