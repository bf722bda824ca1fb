//! A log line as every page shows it: a short form to scan, and all fields with links.

use signal::ClosedSet;

use super::identifiers::{self, Identifier};
use super::view::View;
use super::words;
use crate::calendar;
use crate::store::lines::{LINK_TRACE_ID, Line, SPAN_ID, TRACE_ID};

const METHOD: &str = "http.request.method";
const ROUTE: &str = "http.route";
const STATUS: &str = "http.response.status_code";
const DURATION: &str = "duration_ms";

/// Fields that identify the subject of an operation. The short form begins with them.
const SUBJECTS: [&str; 20] = [
    METHOD,
    ROUTE,
    "job.kind",
    "db.query.summary",
    "template",
    "operation",
    "service.peer.name",
    "loop",
    "dependency",
    "gauge",
    "signal",
    "audit.action",
    "reason",
    "change",
    "limit",
    "requirement",
    "log.level",
    "decision",
    "kind",
    "channel",
];

/// Fields with the result of an operation, shown after its subject.
const ENDINGS: [&str; 9] = [
    STATUS,
    "outcome",
    "error.code",
    "error.type",
    "error.cause",
    "publish_failure",
    "failure",
    "smtp.response.status_code",
    "code.target",
];

/// Milliseconds before and after a line that the link to its neighbours covers.
const AROUND: i64 = 30_000;

/// A log line as a page shows it.
#[derive(Clone, Debug)]
pub(crate) struct LineView {
    /// Date and time for people.
    pub time: String,
    /// Date and time for machines.
    pub machine_time: String,
    pub level: &'static str,
    /// Name of the event.
    pub event: String,
    /// The short form.
    pub parts: Vec<Part>,
    pub fields: Vec<FieldView>,
    /// Links to its trace, its neighbours and similar lines.
    pub links: Vec<(String, String)>,
}

/// A part of the short form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Class for style sheets.
    pub class: &'static str,
    /// The value.
    pub text: String,
}

/// A field of the long form.
#[derive(Clone, Debug)]
pub(crate) struct FieldView {
    /// Name of the field.
    pub name: String,
    /// The value for people.
    pub value: String,
    /// Address of the object that the value identifies, or of all lines with the value.
    pub address: String,
    /// Label of the link for screen readers.
    pub label: String,
    /// Address of the current search with this value as one more condition; empty outside of a search.
    pub narrow: String,
}

impl LineView {
    /// Prepares a line. `view` provides the time range of the links.
    pub(crate) fn new(line: &Line, view: &View) -> Self {
        let is_search = view.path.starts_with("/logs");
        let fields =
            line.fields.iter().map(|(name, value)| FieldView::new(name, &value.text(), view, is_search));
        Self {
            time: precise(line.at),
            machine_time: calendar::for_machines(line.at / 1000),
            level: line.level.as_str(),
            event: line.event.to_string(),
            parts: short_form(line),
            fields: fields.collect(),
            links: links(line, view),
        }
    }
}

impl FieldView {
    fn new(name: &str, value: &str, view: &View, is_search: bool) -> Self {
        let is_trace = [TRACE_ID, LINK_TRACE_ID].contains(&name);
        let condition = format!("{name}:{value}");
        let lines_with = |condition: &str| view.link("/logs", &[("route", ""), ("where", condition)]);
        let (address, label) = match Identifier::parse(value) {
            Ok(Identifier::Trace(trace)) if is_trace => {
                (view.link(&format!("/traces/{trace}"), &[]), "Open the trace")
            }
            Ok(Identifier::Thing(id)) => {
                (view.link("/logs", &[("route", ""), ("id", &id)]), "Search all lines with this id")
            }
            _ if name == SPAN_ID => (String::new(), ""),
            _ => (lines_with(&condition), "Search all lines with this value"),
        };
        let narrow = if is_search && name != SPAN_ID { narrowed(view, &condition) } else { String::new() };
        Self { name: name.to_owned(), value: readable(name, value), address, label: label.to_owned(), narrow }
    }
}

/// Returns the address of the current search with one more condition.
fn narrowed(view: &View, condition: &str) -> String {
    let kept = view.parameters().iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let kept = kept.filter(|(name, value)| *name != "before" && (*name, *value) != ("where", condition));
    super::view::address("/logs", kept.chain([("where", condition)]))
}

fn links(line: &Line, view: &View) -> Vec<(String, String)> {
    let mut links = Vec::new();
    if let Ok(trace) = identifiers::trace(&line.text(TRACE_ID)) {
        links.push(("Trace".to_owned(), view.link(&format!("/traces/{trace}"), &[])));
        links.push(("Request".to_owned(), view.link(&format!("/requests/{trace}"), &[])));
    }
    if let Ok(trace) = identifiers::trace(&line.text(LINK_TRACE_ID)) {
        links.push(("What caused it".to_owned(), view.link(&format!("/requests/{trace}"), &[])));
    }
    let route = line.text(ROUTE);
    if !route.is_empty() && line.level >= signal::Level::Warn {
        links.push(("Who else is affected".to_owned(), view.link("/affected", &[("route", &route)])));
    }
    let ms = line.at / 1000;
    links.push(("Lines around it".to_owned(), around(view, ms)));
    links.push(("Same event".to_owned(), view.link("/logs", &[("route", ""), ("event", &line.event)])));
    links
}

/// Returns the address of all lines within a minute.
fn around(view: &View, ms: i64) -> String {
    view.link_at("/logs", ms - AROUND, ms + AROUND, &[("route", "")])
}

/// Returns date and time to the millisecond.
pub(crate) fn precise(microseconds: i64) -> String {
    let ms = microseconds.div_euclid(1000);
    format!("{}.{:03}", calendar::date_and_time(ms), ms.rem_euclid(1000))
}

/// Returns the parts that distinguish a line from others of its event.
pub(crate) fn short_form(line: &Line) -> Vec<Part> {
    let present = |name: &&str| !line.text(name).is_empty();
    let mut parts: Vec<Part> = SUBJECTS
        .iter()
        .filter(|name| present(name))
        .map(|name| Part { class: "subject", text: line.text(name).into_owned() })
        .collect();
    if parts.is_empty() {
        let others = line.fields.iter().filter(|(name, value)| is_telling(name) && !value.text().is_empty());
        parts.extend(
            others.take(3).map(|(name, value)| Part { class: "pair", text: format!("{name} {value}") }),
        );
    }
    for name in ENDINGS.iter().filter(|name| present(name)) {
        let value = line.text(name).into_owned();
        // The outcome of a failed request is its error type, so a cause with the same value is omitted.
        if parts.iter().all(|part| part.text != value) {
            parts.push(Part { class: class_of(name, &value), text: value });
        }
    }
    if let Some(duration) = line.field(DURATION).and_then(|value| value.number()) {
        parts.push(Part { class: "duration", text: words::duration((duration.max(0.0) * 1e6) as u64) });
    }
    parts
}

/// Returns whether a field that no list names helps to distinguish lines.
fn is_telling(name: &str) -> bool {
    let is_known = ENDINGS.contains(&name) || [DURATION, TRACE_ID, SPAN_ID, LINK_TRACE_ID].contains(&name);
    let is_common = ["url.scheme", "network.protocol.version"].contains(&name) || name.starts_with("db.");
    !(is_known || is_common || name.ends_with(".id"))
}

/// Returns the class of the result of an operation.
fn class_of(name: &str, value: &str) -> &'static str {
    match (name, value) {
        (STATUS, _) => class_of_status(value),
        ("outcome", "ok" | "sent" | "delivered" | "published") => "good",
        ("outcome", "retry" | "deferred" | "cancelled") => "warn",
        ("error.code", _) => "code",
        ("code.target", _) => "pair",
        _ => "bad",
    }
}

/// Returns the class of a response status.
pub(crate) fn class_of_status(status: &str) -> &'static str {
    match status.as_bytes().first() {
        Some(b'5') => "bad",
        Some(b'4') => "warn",
        _ => "good",
    }
}

/// Returns a value as readable text: milliseconds get their unit.
pub(crate) fn readable(name: &str, value: &str) -> String {
    let milliseconds = if name.ends_with("duration_ms") { value.parse::<f64>().ok() } else { None };
    milliseconds.map_or_else(|| value.to_owned(), |ms| words::duration((ms.max(0.0) * 1e6) as u64))
}

#[cfg(test)]
mod tests {
    use signal::Level;

    use super::*;
    use crate::store::FieldValue;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const USER: &str = "0193a5b0-7c1e-7d3a-9a52-1f2e3d4c5b6a";

    fn line(event: &str, fields: &[(&str, FieldValue)]) -> Line {
        let fields = fields.iter().map(|(name, value)| ((*name).into(), value.clone())).collect();
        Line { at: 1_796_047_509_382_456, level: Level::Error, event: event.into(), fields }
    }

    fn short(event: &str, fields: &[(&str, FieldValue)]) -> String {
        let parts = short_form(&line(event, fields));
        parts.iter().map(|part| format!("{}:{}", part.class, part.text)).collect::<Vec<_>>().join(" | ")
    }

    #[test]
    fn the_short_form_says_what_and_how_it_ended() {
        let request = [
            ("http.request.method", "POST".into()),
            ("http.route", "/v1/content-items".into()),
            ("url.scheme", "http".into()),
            ("http.response.status_code", 503.into()),
            ("error.type", "unavailable".into()),
            ("error.cause", "unavailable".into()),
            ("duration_ms", 12.34.into()),
            ("user.id", USER.into()),
        ];
        assert_eq!(
            short("http.server.request", &request),
            "subject:POST | subject:/v1/content-items | bad:503 | bad:unavailable | duration:12.3 ms"
        );
        let job = [("job.kind", "send_email".into()), ("outcome", "retry".into())];
        assert_eq!(short("job.run", &job), "subject:send_email | warn:retry");
        let start = [("service.version", "1.2.0".into()), ("process.pid", 7.into())];
        assert_eq!(short("server.started", &start), "pair:service.version 1.2.0 | pair:process.pid 7");
        assert_eq!(short("panic", &[]), "");
    }

    #[test]
    fn fields_lead_to_traces_things_and_similar_lines() {
        let parameters = vec![("range".to_owned(), "6h".to_owned()), ("level".to_owned(), "warn".to_owned())];
        let view = View::read("/logs", parameters, 1_796_047_509_000).unwrap();
        let line = line(
            "http.server.request",
            &[
                ("trace_id", TRACE.into()),
                ("span_id", "00f067aa0ba902b7".into()),
                ("user.id", USER.into()),
                ("error.type", "a&b".into()),
                ("db.duration_ms", 3.5.into()),
            ],
        );
        let shown = LineView::new(&line, &view);
        let addresses: Vec<&str> = shown.fields.iter().map(|field| field.address.as_str()).collect();
        let expected = [
            format!("/traces/{TRACE}?range=6h"),
            String::new(),
            format!("/logs?range=6h&id={USER}"),
            "/logs?range=6h&where=error.type:a%26b".to_owned(),
            "/logs?range=6h&where=db.duration_ms:3.5".to_owned(),
        ];
        assert_eq!(addresses, expected);
        assert_eq!(shown.fields[3].narrow, "/logs?range=6h&level=warn&where=error.type:a%26b");
        assert_eq!(shown.fields[4].value, "3.5 ms");
        assert_eq!(shown.time, "2026-11-30 14:05:09.382");
        assert!(shown.links.iter().any(|(_, address)| address.starts_with("/requests/")));
    }
}
