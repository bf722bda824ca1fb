//! Templates of parts of panels.

use askama::Template;

use crate::pages::line_view::LineView;

/// Log lines in a panel.
#[derive(Template)]
#[template(path = "panel_lines.html")]
pub(crate) struct LinesView<'a> {
    /// Title of the panel.
    pub label: &'a str,
    /// The lines, newest first.
    pub rows: Vec<PanelLine>,
}

/// A log line in a panel.
pub(crate) struct PanelLine {
    pub line: LineView,
}

/// Traces in a panel.
#[derive(Template)]
#[template(path = "panel_traces.html")]
pub(crate) struct TracesView<'a> {
    /// Title of the panel.
    pub label: &'a str,
    /// The traces, newest first.
    pub rows: Vec<PanelTrace>,
}

pub(crate) struct PanelTrace {
    /// Start time for people.
    pub time: String,
    /// Start time for machines.
    pub machine_time: String,
    /// Address of its page.
    pub address: String,
    /// Name of its first span.
    pub name: String,
    /// Name of the span that the search found, if it is not the first.
    pub found: String,
    /// True if a span failed.
    pub failed: bool,
    /// Number of spans.
    pub spans: usize,
    pub duration: String,
}
