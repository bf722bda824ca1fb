//! A dashboard: the layout of its panels, and its other settings.

use serde::Serialize;

use super::annotation::Annotation;
use super::panel_json::{GridPosition, PanelJson};
use super::variable::Variable;
use super::{Choice, Panel, Period};
use crate::dashboard_uid::DashboardUid;

/// Version of Grafana's dashboard JSON, from `@grafana/schema`.
const SCHEMA_VERSION: u8 = 42;
/// Number of columns of Grafana's grid.
const COLUMNS: u8 = 24;
/// Tag by which the dashboards link to each other.
const TAG: &str = "socialize";

/// A dashboard, from which a file is rendered.
pub struct Dashboard {
    /// Fixed identifier, used in links.
    pub uid: DashboardUid,
    /// Title in Grafana's list of dashboards.
    pub title: &'static str,
    /// Purpose of the dashboard, in one sentence.
    pub description: &'static str,
    /// Initial time range, which ends now.
    pub range: Period,
    /// Refresh interval. A dashboard of days does not change within half a minute, and its queries are
    /// expensive.
    pub refresh: Option<Period>,
    /// Variables at its top.
    pub choices: &'static [Choice],
    /// Rows of panels, from top to bottom.
    pub bands: Vec<Band>,
}

/// A row of the grid.
pub enum Band {
    /// A row title, with an id of its own like panels.
    Title(u16, &'static str),
    /// Panels of the same height, with a total width of 24 columns.
    Panels(u8, Vec<Panel>),
}

impl Dashboard {
    /// Returns the panels of all rows, in their order.
    pub fn panels(&self) -> impl Iterator<Item = &Panel> {
        self.bands.iter().flat_map(|band| match band {
            Band::Title(..) => &[][..],
            Band::Panels(_, panels) => panels,
        })
    }

    /// Returns the ids of all panels and row titles.
    pub fn ids(&self) -> Vec<u16> {
        let ids = |band: &Band| match band {
            Band::Title(id, _) => vec![*id],
            Band::Panels(_, panels) => panels.iter().map(|panel| panel.id).collect(),
        };
        self.bands.iter().flat_map(ids).collect()
    }

    /// Renders the file.
    ///
    /// # Panics
    /// Panics if the panels of a band do not add up to the full width. A test finds that.
    pub fn render(&self) -> String {
        let json = DashboardJson {
            uid: self.uid.as_str(),
            title: self.title,
            description: self.description,
            tags: [TAG],
            schema_version: SCHEMA_VERSION,
            editable: false,
            graph_tooltip: 1,
            refresh: self.refresh.map(Period::text).unwrap_or_default(),
            time: TimeRange { from: format!("now-{}", self.range.text()), to: "now" },
            timezone: "browser",
            links: [DashboardLinks::ALL],
            annotations: Annotations { list: Annotation::all(self.choices) },
            templating: Templating { list: self.choices.iter().copied().map(Variable::of).collect() },
            panels: self.place(),
        };
        // Structs of texts and numbers always have a JSON form.
        let mut text = serde_json::to_string_pretty(&json).unwrap_or_default();
        text.push('\n');
        text
    }

    fn place(&self) -> Vec<Placed<'_>> {
        let mut placed = Vec::new();
        let mut y = 0;
        for band in &self.bands {
            match band {
                Band::Title(id, title) => {
                    placed.push(Placed::Title(RowJson {
                        id: *id,
                        r#type: "row",
                        title,
                        collapsed: false,
                        grid_pos: GridPosition { h: 1, w: COLUMNS, x: 0, y },
                        panels: [],
                    }));
                    y += 1;
                }
                Band::Panels(height, panels) => {
                    let mut x = 0;
                    for panel in panels {
                        placed.push(Placed::Panel(Box::new(panel.render(x, y, *height, self.choices))));
                        x += panel.width;
                    }
                    let titles: Vec<&str> = panels.iter().map(|panel| panel.title).collect();
                    assert_eq!(x, COLUMNS, "{titles:?} are not as wide as the grid");
                    y += u16::from(*height);
                }
            }
        }
        placed
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DashboardJson<'a> {
    uid: &'static str,
    title: &'static str,
    description: &'static str,
    tags: [&'static str; 1],
    schema_version: u8,
    editable: bool,
    graph_tooltip: u8,
    refresh: String,
    time: TimeRange,
    timezone: &'static str,
    links: [DashboardLinks; 1],
    annotations: Annotations,
    templating: Templating,
    panels: Vec<Placed<'a>>,
}

#[derive(Serialize)]
struct TimeRange {
    from: String,
    to: &'static str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Placed<'a> {
    Title(RowJson),
    Panel(Box<PanelJson<'a>>),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RowJson {
    id: u16,
    r#type: &'static str,
    title: &'static str,
    collapsed: bool,
    grid_pos: GridPosition,
    panels: [(); 0],
}

/// Links to all dashboards with the tag of Socialize, with the same time range.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DashboardLinks {
    r#type: &'static str,
    title: &'static str,
    tags: [&'static str; 1],
    as_dropdown: bool,
    icon: &'static str,
    include_vars: bool,
    keep_time: bool,
    target_blank: bool,
    tooltip: &'static str,
}

impl DashboardLinks {
    const ALL: Self = Self {
        r#type: "dashboards",
        title: "Socialize",
        tags: [TAG],
        as_dropdown: false,
        icon: "dashboard",
        // Keeps the chosen environment when the reader follows a link.
        include_vars: true,
        keep_time: true,
        target_blank: false,
        tooltip: "The other dashboards of Socialize, with the same time range",
    };
}

#[derive(Serialize)]
struct Annotations {
    list: Vec<Annotation>,
}

#[derive(Serialize)]
struct Templating {
    list: Vec<Variable>,
}
