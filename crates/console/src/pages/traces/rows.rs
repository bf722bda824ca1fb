//! The rows of the page of a trace: spans as a waterfall, and log lines between them.

use super::waterfall::{Interval, Waterfall};
use crate::pages::line_view::{self, LineView};
use crate::pages::view::View;
use crate::pages::words;
use crate::store::lines::{Line, SPAN_ID, TRACE_ID};
use crate::store::spans::Span;

/// Maximum depth of indentation.
const DEEPEST: usize = 12;
/// Maximum number of spans on a page.
pub(crate) const MOST_SPANS: usize = 500;

/// A row of the page.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    Span(SpanRow),
    /// A log line that is not the record of a span.
    Line(LineRow),
}

#[derive(Clone, Debug)]
pub(crate) struct SpanRow {
    /// Levels of indentation.
    pub indent: usize,
    /// Number of known ancestors.
    pub depth: usize,
    /// Start as Unix time in nanoseconds.
    pub start: u64,
    /// Id, for links within the page.
    pub id: String,
    pub name: String,
    /// Role.
    pub kind: &'static str,
    /// Duration for people.
    pub duration: String,
    /// Time since the start of the trace, for people.
    pub offset: String,
    /// Time not covered by its children, for people; empty if none.
    pub own: String,
    /// Distance of the bar from the left.
    pub left: String,
    /// Width of the bar.
    pub width: String,
    /// Distance of the duration from the left.
    pub label: String,
    /// Anchor of the duration: `start` if it is right of the bar, `end` if it is left of it.
    pub anchor: &'static str,
    /// If true, the operation failed.
    pub failed: bool,
    /// The reason of the failure.
    pub error: String,
    /// If true, the span names a parent that the store does not have.
    pub is_orphan: bool,
    /// Attributes, and fields of the line that records the span.
    pub fields: Vec<(String, String)>,
    /// Events: time since the start of the trace, name and attributes.
    pub events: Vec<(String, String, String)>,
    pub process: String,
}

/// A log line as a row.
#[derive(Clone, Debug)]
pub(crate) struct LineRow {
    /// Levels of indentation.
    pub indent: usize,
    pub line: LineView,
    /// Distance of its mark from the left.
    pub left: String,
    /// Time since the start of the trace, for people.
    pub offset: String,
    depth: usize,
    start: u64,
}

impl Entry {
    fn depth(&self) -> usize {
        match self {
            Self::Span(row) => row.depth,
            Self::Line(row) => row.depth,
        }
    }

    fn start(&self) -> u64 {
        match self {
            Self::Span(row) => row.start,
            Self::Line(row) => row.start,
        }
    }

    fn is_span(&self, id: &str) -> bool {
        matches!(self, Self::Span(row) if row.id == id)
    }
}

/// Lays out the spans of a trace.
pub(crate) fn waterfall(spans: &[Span]) -> Waterfall {
    let interval = |span: &Span| Interval {
        id: span.span_id.0,
        parent: span.parent.map(|parent| parent.0),
        start: span.start_ns,
        end: span.end_ns,
    };
    Waterfall::new(&spans.iter().map(interval).collect::<Vec<_>>())
}

/// Returns the rows of a trace. The line that records a span is merged into its row. Others stand below their
/// span, sorted by time among its children.
pub(crate) fn rows(spans: &[Span], lines: &[Line], waterfall: &Waterfall, view: &View) -> Vec<Entry> {
    let mut rows: Vec<Entry> = waterfall
        .rows
        .iter()
        .take(MOST_SPANS)
        .map(|row| {
            let span = &spans[row.span];
            let record =
                lines.iter().find(|line| is_record(line) && line.text(SPAN_ID) == *span.span_id.to_string());
            Entry::Span(span_row(span, row, waterfall, record))
        })
        .collect();
    let known = |line: &Line| rows_contain(spans, line);
    for line in lines.iter().filter(|line| !(is_record(line) && known(line))) {
        insert(&mut rows, line, waterfall, view);
    }
    rows
}

fn rows_contain(spans: &[Span], line: &Line) -> bool {
    let id = line.text(SPAN_ID);
    spans.iter().any(|span| span.span_id.to_string() == *id)
}

/// Returns whether a line records an operation, as a span does.
fn is_record(line: &Line) -> bool {
    line.field("duration_ms").is_some()
}

fn span_row(
    span: &Span,
    row: &super::waterfall::Row,
    waterfall: &Waterfall,
    record: Option<&Line>,
) -> SpanRow {
    let mut fields: Vec<(String, String)> = span
        .attributes
        .iter()
        .map(|(name, value)| (name.to_string(), line_view::readable(name, &value.text())))
        .collect();
    for (name, value) in record.into_iter().flat_map(|line| &line.fields) {
        let is_known = [TRACE_ID, SPAN_ID, "duration_ms", signal::names::SERVICE_INSTANCE_ID]
            .contains(&&**name)
            || span.attribute(name).is_some();
        if !is_known {
            fields.push((name.to_string(), line_view::readable(name, &value.text())));
        }
    }
    let right = row.left + row.width;
    let (label, anchor) = if right < 85.0 { (right, "start") } else { (row.left, "end") };
    // Next to a bar of the whole width there is no room, so its duration is inside.
    let (label, anchor) =
        if anchor == "end" && row.left < 15.0 { (right, "inside") } else { (label, anchor) };
    let offset = |at: u64| words::duration(at.saturating_sub(waterfall.start));
    SpanRow {
        indent: row.depth.min(DEEPEST),
        depth: row.depth,
        start: span.start_ns,
        id: span.span_id.to_string(),
        name: span.name.to_string(),
        kind: span.kind.as_str(),
        duration: words::duration(span.duration_ns()),
        offset: offset(span.start_ns),
        own: if row.own < span.duration_ns() { words::duration(row.own) } else { String::new() },
        left: format!("{:.3}%", row.left),
        width: format!("{:.3}%", row.width),
        label: format!("{label:.3}%"),
        anchor,
        failed: span.failed,
        error: error(span),
        is_orphan: row.is_orphan,
        fields,
        events: span
            .events
            .iter()
            .map(|event| {
                let pairs = event.attributes.iter().map(|(name, value)| format!("{name} {}", value.text()));
                (offset(event.at_ns), event.name.to_string(), pairs.collect::<Vec<_>>().join(", "))
            })
            .collect(),
        process: format!("{} {}", span.service, span.instance),
    }
}

/// Returns the most precise reason of a failure that the span has.
pub(crate) fn error(span: &Span) -> String {
    let parts =
        ["error.type", "error.cause", "db.response.status_code"].map(|name| span.text(name).into_owned());
    let mut known: Vec<String> = Vec::new();
    for part in parts {
        if !part.is_empty() && !known.contains(&part) {
            known.push(part);
        }
    }
    match known.is_empty() && span.failed {
        true => "failed".to_owned(),
        false if known.len() > 1 => format!("{} ({})", known[0], known[1..].join(", ")),
        false => known.concat(),
    }
}

/// Inserts a line below its span, before the first child that started later. A line without a known span
/// belongs to the first row.
fn insert(rows: &mut Vec<Entry>, line: &Line, waterfall: &Waterfall, view: &View) {
    let at = u64::try_from(line.at).unwrap_or(0).saturating_mul(1000);
    let id = line.text(SPAN_ID);
    let owner = rows.iter().position(|row| row.is_span(&id)).unwrap_or(0);
    let depth = rows.get(owner).map_or(0, |row| row.depth() + 1);
    let position = (owner + 1..rows.len())
        .find(|position| {
            let row = &rows[*position];
            row.depth() < depth || (row.depth() == depth && row.start() > at)
        })
        .unwrap_or(rows.len());
    let row = LineRow {
        indent: depth.min(DEEPEST),
        line: LineView::new(line, view),
        left: format!("{:.3}%", waterfall.position(at)),
        offset: words::duration(at.saturating_sub(waterfall.start)),
        depth,
        start: at,
    };
    rows.insert(position, Entry::Line(row));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use signal::Level;

    use super::*;
    use crate::store::FieldValue;
    use crate::store::spans::{SpanId, SpanKind, TraceId};

    fn span(id: u8, parent: u8, start: u64, end: u64) -> Span {
        let id_of = |id: u8| SpanId([0, 0, 0, 0, 0, 0, 0, id]);
        Span {
            trace_id: TraceId([7; 16]),
            span_id: id_of(id),
            parent: (parent > 0).then(|| id_of(parent)),
            name: format!("span {id}").into(),
            kind: SpanKind::Internal,
            start_ns: start,
            end_ns: end,
            failed: false,
            attributes: vec![("error.type".into(), "timeout".into())],
            links: Vec::new(),
            events: Vec::new(),
            service: "api".into(),
            instance: "one".into(),
        }
    }

    fn line(event: &str, span: u8, at: i64, fields: &[(&str, FieldValue)]) -> Line {
        let id: FieldValue = format!("{span:016x}").as_str().into();
        let mut all: Vec<(Arc<str>, FieldValue)> = vec![(SPAN_ID.into(), id)];
        all.extend(fields.iter().map(|(name, value)| ((*name).into(), value.clone())));
        Line { at, level: Level::Info, event: event.into(), fields: all }
    }

    fn names(rows: &[Entry]) -> Vec<String> {
        let name = |row: &Entry| match row {
            Entry::Span(row) => format!("{}{}", "-".repeat(row.indent), row.name),
            Entry::Line(row) => format!("{}{}", "-".repeat(row.indent), row.line.event),
        };
        rows.iter().map(name).collect()
    }

    #[test]
    fn lines_stand_at_their_time_below_their_span() {
        let spans = [span(1, 0, 0, 100_000), span(2, 1, 10_000, 20_000), span(3, 1, 50_000, 60_000)];
        let lines = [
            line("created", 1, 30, &[]),
            line("inner", 2, 15, &[]),
            line("stray", 9, 70, &[]),
            line("record", 2, 20, &[("duration_ms", 0.01.into()), ("user.id", "u".into())]),
        ];
        let view = View::plain("/traces/x", 0);
        let shown = rows(&spans, &lines, &waterfall(&spans), &view);
        assert_eq!(names(&shown), ["span 1", "-span 2", "--inner", "-created", "-span 3", "-stray"]);
        let Entry::Span(second) = &shown[1] else { panic!("no span") };
        let expected =
            [("error.type".to_owned(), "timeout".to_owned()), ("user.id".to_owned(), "u".to_owned())];
        assert_eq!(second.fields, expected);
    }

    #[test]
    fn lines_without_spans_are_rows() {
        let spans: [Span; 0] = [];
        let lines = [line("a", 1, 1, &[("duration_ms", 1.into())]), line("b", 1, 2, &[])];
        let shown = rows(&spans, &lines, &waterfall(&spans), &View::plain("/traces/x", 0));
        assert_eq!(shown.len(), 2);
    }

    #[test]
    fn durations_stand_where_there_is_room() {
        let spans = [span(1, 0, 0, 1_000), span(2, 1, 100, 200), span(3, 1, 900, 1_000)];
        let shown = rows(&spans, &[], &waterfall(&spans), &View::plain("/traces/x", 0));
        let anchors: Vec<_> = shown
            .iter()
            .map(|row| match row {
                Entry::Span(row) => row.anchor,
                Entry::Line(_) => "",
            })
            .collect();
        assert_eq!(anchors, ["inside", "start", "end"]);
    }
}
