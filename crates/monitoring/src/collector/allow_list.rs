//! What the collector lets through: the names that Socialize is known to record, and nothing else.
//!
//! The application keeps to them already. This is the second lock: what a library, a patch or anybody else on the network sends does
//! not reach a store either. It is written in the language of both programs (OTTL), one list of statements for each context, because
//! statements of several contexts in one list become one context and let pass what has none of it.
//!
//! What the language cannot reach is left as it comes, and the application records none of it: attributes of span links and of
//! exemplars.

use std::collections::BTreeSet;

use domain::recorded::{LONGEST_VALUE, VALUE_PUNCTUATION};
use domain::{catalogue, recorded};

/// What stands in place of text.
const REDACTED: &str = "redacted";
/// The body of a line that is not one of ours.
const UNPARSED_LINE: &str = "unparsed log line";

/// What the names of events look like.
const EVENT: &str = "^[a-z0-9_.]+$";

/// Statements of one context.
pub struct Statements {
    /// What they are about: `resource`, `scope`, `span`, `metric`, `datapoint` or `log`.
    pub context: &'static str,
    /// In the order in which they are executed.
    pub statements: Vec<String>,
}

/// Conditions of one context; what meets one of them is dropped.
pub struct Conditions {
    /// What they are about.
    pub context: &'static str,
    /// Any of them.
    pub conditions: Vec<String>,
}

/// Metrics that are not in the catalogue.
pub fn dropped_metrics() -> Conditions {
    let names = catalogue::all().into_iter().map(|metric| metric.name);
    let condition = format!("not ContainsValue({}, metric.name)", list(names));
    Conditions { context: "metric", conditions: vec![condition] }
}

/// Events of spans: Socialize records none.
pub fn dropped_span_events() -> Conditions {
    Conditions { context: "spanevent", conditions: vec!["true".to_owned()] }
}

/// What is kept of metrics.
pub fn metric_statements() -> Vec<Statements> {
    let metrics = catalogue::all();
    let units: BTreeSet<&str> = metrics.iter().map(|metric| metric.unit.as_str()).collect();
    let helps = metrics.iter().map(|metric| metric.help);
    vec![
        resource(),
        scope(),
        Statements {
            context: "metric",
            statements: vec![
                // The unit becomes part of the name in Prometheus.
                format!(r#"set(unit, "") where not ContainsValue({}, unit)"#, list(units)),
                format!(r#"set(description, "") where not ContainsValue({}, description)"#, list(helps)),
            ],
        },
        Statements { context: "datapoint", statements: kept_attributes(&recorded::metric_labels()) },
    ]
}

/// What is kept of spans.
pub fn trace_statements() -> Vec<Statements> {
    let name = format!("^([A-Z]+ )?[A-Za-z0-9{VALUE_PUNCTUATION}]+$");
    let mut span = kept_attributes(&recorded::span_attributes());
    span.push(format!(r#"set(name, "{REDACTED}") where not IsMatch(name, "{name}")"#));
    span.push(r#"set(status.message, "")"#.to_owned());
    span.push(r#"set(trace_state, "")"#.to_owned());
    vec![resource(), scope(), Statements { context: "span", statements: span }]
}

/// What is kept of log lines, and where: the event becomes the body, fields become attributes.
///
/// A line that a queue did not take comes again as these statements left it, so they must not change it a second time.
pub fn log_statements() -> Vec<Statements> {
    let mut log = vec![r#"merge_maps(attributes, body, "upsert") where IsMap(body)"#.to_owned()];
    // The body still holds the whole line, and a line that is not JSON is nothing but body. One that comes again is told by its time,
    // and holds the event.
    log.push(format!(
        r#"set(body, "{UNPARSED_LINE}") where observed_time_unix_nano != 0 or not IsString(body) or not IsMatch(body, "{EVENT}")"#
    ));
    log.push(format!(
        r#"set(body, attributes["event"]) where IsString(attributes["event"]) and IsMatch(attributes["event"], "{EVENT}")"#
    ));
    // A level that is none is text like any other.
    log.push(r#"set(severity_text, "") where severity_number == 0"#.to_owned());
    log.extend(kept_attributes(&recorded::line_fields()));
    // A line that is read twice is the same to Loki, which then keeps it once.
    log.push("set(observed_time_unix_nano, 0)".to_owned());
    vec![resource(), scope(), Statements { context: "log", statements: log }]
}

fn resource() -> Statements {
    let names = list(recorded::resource::ALL);
    // What an operator calls a deployment may be prose.
    let statements = vec![
        "flatten(attributes)".to_owned(),
        format!("keep_keys(attributes, {names})"),
        format!("truncate_all(attributes, {LONGEST_VALUE})"),
    ];
    Statements { context: "resource", statements }
}

/// Who recorded something is said by the resource.
fn scope() -> Statements {
    let statements =
        [r#"keep_keys(attributes, [""])"#, r#"set(name, "")"#, r#"set(version, "")"#].map(str::to_owned);
    Statements { context: "scope", statements: statements.into() }
}

fn kept_attributes(names: &BTreeSet<&'static str>) -> Vec<String> {
    vec![
        // A map or list below an allowed name becomes names of its own, which are not allowed.
        "flatten(attributes)".to_owned(),
        format!("keep_keys(attributes, {})", list(names.iter().copied())),
        format!("truncate_all(attributes, {LONGEST_VALUE})"),
        format!(
            r#"replace_all_patterns(attributes, "value", "(?s)^.*[^A-Za-z0-9{VALUE_PUNCTUATION}].*$", "{REDACTED}")"#
        ),
    ]
}

fn list(texts: impl IntoIterator<Item = &'static str>) -> String {
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

    #[test]
    fn every_metric_of_the_catalogue_passes() {
        let dropped = &dropped_metrics().conditions[0];
        for metric in catalogue::all() {
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
