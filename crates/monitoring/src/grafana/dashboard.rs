//! A dashboard: where its panels are, and what surrounds them.

use serde::Serialize;

use super::panel_json::{GridPosition, PanelJson};
use super::target::DataSourceRef;
use super::{DataSource, Panel};
use crate::query::{BuildCommit, BuildVersion, Instance, LabelName, builds};
use crate::rules::DashboardUid;

/// The version of Grafana's dashboard JSON, as `@grafana/schema` says.
const SCHEMA_VERSION: u8 = 42;
/// How wide Grafana's grid is.
const COLUMNS: u8 = 24;
/// The tag by which the dashboards find each other.
const TAG: &str = "socialize";

/// A dashboard.
pub struct Dashboard {
    /// Its fixed identifier, of which links are made.
    pub uid: DashboardUid,
    /// Its title.
    pub title: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// How far back it looks at first, in Grafana's spelling: `now-6h`.
    pub from: &'static str,
    /// Whether one can choose processes.
    pub choose_instances: bool,
    /// Its panels, from top to bottom.
    pub bands: Vec<Band>,
}

/// Panels side by side.
pub enum Band {
    /// A line with a title, and an id of its own as panels have.
    Title(u16, &'static str),
    /// Panels of the same height, which are 24 columns wide together.
    Panels(u8, Vec<Panel>),
}

impl Dashboard {
    /// Its panels.
    pub fn panels(&self) -> impl Iterator<Item = &Panel> {
        self.bands.iter().flat_map(|band| match band {
            Band::Title(..) => &[][..],
            Band::Panels(_, panels) => panels,
        })
    }

    /// Everything that has an id.
    pub fn ids(&self) -> Vec<u16> {
        let ids = |band: &Band| match band {
            Band::Title(id, _) => vec![*id],
            Band::Panels(_, panels) => panels.iter().map(|panel| panel.id).collect(),
        };
        self.bands.iter().flat_map(ids).collect()
    }

    /// The file.
    ///
    /// # Panics
    /// When the panels of a band do not fill it: a mistake in the code, which a test finds.
    pub fn render(&self) -> String {
        let json = DashboardJson {
            uid: self.uid.as_str(),
            title: self.title,
            description: self.description,
            tags: [TAG],
            schema_version: SCHEMA_VERSION,
            editable: false,
            graph_tooltip: 1,
            refresh: "30s",
            time: TimeRange { from: self.from, to: "now" },
            timezone: "browser",
            links: [DashboardLinks::ALL],
            annotations: Annotations { list: [Annotation::releases()] },
            templating: Templating {
                list: if self.choose_instances { vec![Variable::instance()] } else { Vec::new() },
            },
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
                        placed.push(Placed::Panel(Box::new(panel.render(x, y, *height))));
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
    refresh: &'static str,
    time: TimeRange,
    timezone: &'static str,
    links: [DashboardLinks; 1],
    annotations: Annotations,
    templating: Templating,
    panels: Vec<Placed<'a>>,
}

#[derive(Serialize)]
struct TimeRange {
    from: &'static str,
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

/// Links to all dashboards with our tag, with the same time range.
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
        include_vars: false,
        keep_time: true,
        target_blank: false,
        tooltip: "The other dashboards of Socialize, with the same time range",
    };
}

#[derive(Serialize)]
struct Annotations {
    list: [Annotation; 1],
}

/// Marks in all charts.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Annotation {
    name: &'static str,
    datasource: DataSourceRef,
    enable: bool,
    hide: bool,
    icon_color: &'static str,
    target: AnnotationTarget,
    expr: String,
    step: &'static str,
    title_format: &'static str,
    text_format: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AnnotationTarget {
    ref_id: &'static str,
    expr: String,
    interval: &'static str,
    legend_format: &'static str,
}

impl Annotation {
    /// Where a version begins to run that did not run shortly before.
    fn releases() -> Self {
        let shortly_before = std::time::Duration::from_mins(5);
        let now = builds().now().count_by_both::<BuildVersion, BuildCommit, _, _>();
        let before = builds().offset(shortly_before).now().count_by_both::<BuildVersion, BuildCommit, _, _>();
        let expr = now.unless(before).text().to_owned();
        Self {
            name: "Releases",
            datasource: DataSource::Prometheus.reference(),
            enable: true,
            hide: false,
            icon_color: "blue",
            target: AnnotationTarget {
                ref_id: "Releases",
                expr: expr.clone(),
                interval: "60s",
                legend_format: "{{version}}",
            },
            expr,
            step: "60s",
            title_format: "Release {{version}}",
            text_format: "{{commit}}",
        }
    }
}

#[derive(Serialize)]
struct Templating {
    list: Vec<Variable>,
}

/// A choice at the top of the dashboard.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Variable {
    r#type: &'static str,
    name: &'static str,
    label: &'static str,
    description: &'static str,
    datasource: DataSourceRef,
    query: VariableQuery,
    refresh: u8,
    include_all: bool,
    all_value: &'static str,
    multi: bool,
    sort: u8,
    current: VariableValue,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VariableQuery {
    ref_id: &'static str,
    qry_type: u8,
    query: String,
}

#[derive(Serialize)]
struct VariableValue {
    selected: bool,
    text: [&'static str; 1],
    value: [&'static str; 1],
}

impl Variable {
    /// Processes of Socialize.
    fn instance() -> Self {
        let metric = domain::catalogue::BUILD_INFO.description().prometheus_name();
        Self {
            r#type: "query",
            name: Instance::KEY,
            label: "Process",
            description: "Which processes the panels below \"Processes\" show",
            datasource: DataSource::Prometheus.reference(),
            // Grafana's PrometheusVariableQueryType.LabelValues is 1.
            query: VariableQuery {
                ref_id: "PrometheusVariableQueryEditor-VariableQuery",
                qry_type: 1,
                query: format!("label_values({metric},{})", Instance::KEY),
            },
            refresh: 2,
            include_all: true,
            all_value: ".*",
            multi: true,
            sort: 1,
            current: VariableValue { selected: true, text: ["All"], value: ["$__all"] },
        }
    }
}
