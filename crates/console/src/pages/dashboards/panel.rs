//! One panel: its frame and its content.

use monitoring::grafana::{Legend, Panel, PanelKind};

use super::body::{Body, SeriesRow};
use super::charts::{Size, heatmap, state_timeline, time_series};
use super::points::Points;
use super::screen::Screen;
use super::{logs, numbers, table, translate};
use crate::chart::markdown_html;

/// Height of a row of the grid in pixels, and the gap between two rows.
const ROW: u32 = 30;
const GAP: u32 = 8;
/// Height of a panel's title and padding.
const FRAME: u32 = 52;
/// Height of a legend of one line.
const LEGEND: u32 = 26;
/// Columns of the grid.
const COLUMNS: u8 = 24;
/// Height of a panel on a page of its own, in rows of the grid.
const ALONE: u8 = 13;
/// Minimum number of entries for which a legend has room. The panel's table has all.
const LEGEND_ENTRIES: usize = 8;

/// A panel as a page shows it.
pub(crate) struct PanelView {
    pub id: u16,
    pub title: &'static str,
    /// Its description: meaning and remedy.
    pub description: &'static str,
    /// Its width, of 24 columns.
    pub columns: u8,
    /// Class of its kind.
    pub kind: &'static str,
    /// Its content; empty if there is none.
    pub html: String,
    /// Reason why there is no content.
    pub nothing: String,
    /// The content in words.
    pub summary: String,
    /// Entries of the legend.
    pub legend: Vec<SeriesRow>,
    /// Title of the legend's number; empty if it has none.
    pub number: &'static str,
    /// Number of series omitted from the legend.
    pub surplus: usize,
    /// All series, for the table.
    pub rows: Vec<SeriesRow>,
    /// The points that are drawn; empty if they are not listed.
    pub points: Points,
    /// Address of the panel alone.
    pub address: String,
    /// Links of the panel: titles and addresses.
    pub links: Vec<(String, String)>,
    /// The fixed range in words; empty if the panel has the range of the page.
    pub fixed: String,
}

/// Shows a panel among others. `height` is in rows of the grid.
pub(crate) fn view(panel: &Panel, screen: &Screen<'_>, height: u8) -> PanelView {
    shown(panel, screen, panel.columns(), height, false)
}

/// Shows a panel alone, with the points that it draws.
pub(crate) fn view_alone(panel: &Panel, screen: &Screen<'_>) -> PanelView {
    shown(panel, screen, COLUMNS, ALONE, true)
}

fn shown(panel: &Panel, screen: &Screen<'_>, columns: u8, height: u8, lists_points: bool) -> PanelView {
    let pixels = u32::from(height) * (ROW + GAP) - GAP;
    let legend_height = if matches!(panel.kind(), PanelKind::TimeSeries(_)) { LEGEND } else { 0 };
    let size = Size { columns, height: pixels.saturating_sub(FRAME + legend_height).max(90), lists_points };
    let body = body(panel, screen, size);
    let (kind, number) = match panel.kind() {
        PanelKind::TimeSeries(chart) => match chart.legend() {
            Legend::Table(number) => ("chart", number.title().trim_end_matches(" *")),
            Legend::Names => ("chart", ""),
        },
        PanelKind::StateTimeline => ("timeline", ""),
        PanelKind::Stat(_) => ("stat", ""),
        PanelKind::Bars => ("bars", ""),
        PanelKind::Table(_) => ("table", ""),
        PanelKind::Heatmap => ("heatmap", ""),
        PanelKind::Logs => ("logs", ""),
        PanelKind::Alerts(_) => ("alerts", ""),
        PanelKind::Text(_) => ("text", ""),
    };
    let (html, nothing, summary, rows, points) = match body {
        Body::Shown { html, summary, rows, points } => (html, String::new(), summary, rows, points),
        Body::Nothing(reason) => (String::new(), reason, String::new(), Vec::new(), None),
    };
    let entries = LEGEND_ENTRIES.max(usize::from(columns));
    let links = panel.links().iter().map(|link| {
        let address = translate::address(link, screen, &|_| None);
        (link.title().to_owned(), address)
    });
    PanelView {
        id: panel.id(),
        title: panel.title(),
        description: panel.description(),
        columns,
        kind,
        html,
        nothing,
        summary,
        legend: rows.iter().take(entries).cloned().collect(),
        number,
        surplus: rows.len().saturating_sub(entries),
        rows,
        points: points.unwrap_or_default(),
        address: screen.view.link(&format!("{}/{}", screen.path, panel.id()), &[]),
        links: links.collect(),
        fixed: panel.fixed_range().map(|period| period.text()).unwrap_or_default(),
    }
}

fn body(panel: &Panel, screen: &Screen<'_>, size: Size) -> Body {
    match panel.kind() {
        PanelKind::TimeSeries(chart) => time_series(panel, chart, screen, size),
        PanelKind::StateTimeline => state_timeline(panel, screen, size),
        PanelKind::Stat(stat) => numbers::stat(panel, *stat, screen),
        PanelKind::Bars => numbers::bars(panel, screen),
        PanelKind::Table(kind) => {
            logs::body(panel, screen).unwrap_or_else(|| table::table(panel, kind, screen))
        }
        PanelKind::Heatmap => heatmap(panel, screen, size),
        PanelKind::Logs => logs::body(panel, screen)
            .unwrap_or_else(|| Body::Nothing("The panel has no query for lines.".to_owned())),
        PanelKind::Alerts(_) => super::alerts::body(screen),
        PanelKind::Text(text) => Body::plain(markdown_html(text.content())),
    }
}
