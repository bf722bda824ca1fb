//! Options specific to each kind of panel: `options` and `fieldConfig.defaults.custom`.

use serde::Serialize;

use super::chart_options::{LegendOptions, TimeSeriesCustom, TimeSeriesOptions, Tooltip};
use super::heatmap::HeatmapOptions;
use super::kind::{PanelKind, Stat, Table};

#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Options {
    TimeSeries(TimeSeriesOptions),
    StateTimeline(StateTimelineOptions),
    Stat(StatOptions),
    BarGauge(BarGaugeOptions),
    Table(TableOptions),
    Heatmap(HeatmapOptions),
    Logs(LogsOptions),
    AlertList(AlertListOptions),
    Text(TextOptions),
}

impl Options {
    /// Returns the options of a kind of panel.
    pub(super) fn of(kind: &PanelKind) -> Self {
        match kind {
            PanelKind::TimeSeries(chart) => Self::TimeSeries(TimeSeriesOptions::of(chart)),
            PanelKind::StateTimeline => Self::StateTimeline(StateTimelineOptions::DEFAULT),
            PanelKind::Stat(stat) => Self::Stat(StatOptions::of(stat)),
            PanelKind::Bars => Self::BarGauge(BarGaugeOptions::DEFAULT),
            PanelKind::Table(table) => Self::Table(TableOptions::of(table)),
            PanelKind::Heatmap => Self::Heatmap(HeatmapOptions::DURATIONS),
            PanelKind::Logs => Self::Logs(LogsOptions::DEFAULT),
            PanelKind::Alerts(filter) => {
                Self::AlertList(AlertListOptions::firing(filter.labels().to_owned()))
            }
            PanelKind::Text(text) => Self::Text(TextOptions::markdown(text.content().to_owned())),
        }
    }
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct TextOptions {
    mode: &'static str,
    content: String,
}

impl TextOptions {
    pub(super) fn markdown(content: String) -> Self {
        Self { mode: "markdown", content }
    }
}

#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Custom {
    TimeSeries(TimeSeriesCustom),
    StateTimeline(StateTimelineCustom),
    Table(TableCustom),
}

impl Custom {
    /// Returns the options of the values of a kind of panel.
    pub(super) fn of(kind: &PanelKind) -> Option<Self> {
        match kind {
            PanelKind::TimeSeries(chart) => Some(Self::TimeSeries(TimeSeriesCustom::of(chart))),
            PanelKind::StateTimeline => Some(Self::StateTimeline(StateTimelineCustom::DEFAULT)),
            PanelKind::Table(_) => Some(Self::Table(TableCustom::DEFAULT)),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StateTimelineOptions {
    align_value: &'static str,
    merge_values: bool,
    row_height: f64,
    show_value: &'static str,
    legend: LegendOptions,
    tooltip: Tooltip,
}

impl StateTimelineOptions {
    pub(super) const DEFAULT: Self = Self {
        align_value: "left",
        merge_values: true,
        row_height: 0.8,
        show_value: "auto",
        legend: LegendOptions::NONE,
        tooltip: Tooltip::ALL_SERIES,
    };
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StateTimelineCustom {
    fill_opacity: u8,
    line_width: u8,
}

impl StateTimelineCustom {
    pub(super) const DEFAULT: Self = Self { fill_opacity: 70, line_width: 0 };
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct ReduceOptions {
    calcs: [&'static str; 1],
    fields: &'static str,
    values: bool,
}

impl ReduceOptions {
    const LAST: Self = Self { calcs: ["lastNotNull"], fields: "", values: false };
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StatOptions {
    color_mode: &'static str,
    graph_mode: &'static str,
    justify_mode: &'static str,
    orientation: &'static str,
    percent_change_color_mode: &'static str,
    reduce_options: ReduceOptions,
    show_percent_change: bool,
    text_mode: &'static str,
    wide_layout: bool,
}

impl StatOptions {
    fn of(stat: &Stat) -> Self {
        Self {
            color_mode: if stat.paints_background() { "background" } else { "value" },
            graph_mode: if stat.has_graph() { "area" } else { "none" },
            justify_mode: "auto",
            orientation: "auto",
            percent_change_color_mode: "standard",
            reduce_options: ReduceOptions::LAST,
            show_percent_change: false,
            text_mode: if stat.names_only() { "name" } else { "auto" },
            wide_layout: true,
        }
    }
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BarGaugeOptions {
    display_mode: &'static str,
    legend: LegendOptions,
    max_viz_height: u16,
    min_viz_height: u16,
    min_viz_width: u16,
    name_placement: &'static str,
    orientation: &'static str,
    reduce_options: ReduceOptions,
    show_unfilled: bool,
    sizing: &'static str,
    value_mode: &'static str,
}

impl BarGaugeOptions {
    pub(super) const DEFAULT: Self = Self {
        display_mode: "basic",
        legend: LegendOptions::NONE,
        max_viz_height: 24,
        min_viz_height: 12,
        min_viz_width: 8,
        name_placement: "left",
        orientation: "horizontal",
        reduce_options: ReduceOptions::LAST,
        show_unfilled: true,
        sizing: "manual",
        value_mode: "text",
    };
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TableOptions {
    cell_height: &'static str,
    frame_index: u8,
    show_header: bool,
    sort_by: Vec<SortBy>,
}

impl TableOptions {
    fn of(table: &Table) -> Self {
        let sort_by = table.sorted_by().map(|column| SortBy { display_name: column.to_owned(), desc: true });
        Self { cell_height: "sm", frame_index: 0, show_header: true, sort_by: sort_by.into_iter().collect() }
    }
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SortBy {
    display_name: String,
    desc: bool,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TableCustom {
    align: &'static str,
    cell_options: CellOptions,
    inspect: bool,
}

impl TableCustom {
    pub(super) const DEFAULT: Self =
        Self { align: "auto", cell_options: CellOptions { r#type: "auto", mode: None }, inspect: false };
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct CellOptions {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<&'static str>,
}

impl CellOptions {
    pub(super) const BAR: Self = Self { r#type: "gauge", mode: Some("basic") };
    pub(super) const COLORED: Self = Self { r#type: "color-text", mode: None };
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LogsOptions {
    dedup_strategy: &'static str,
    enable_log_details: bool,
    prettify_log_message: bool,
    show_common_labels: bool,
    show_labels: bool,
    show_log_context_toggle: bool,
    show_time: bool,
    sort_order: &'static str,
    wrap_log_message: bool,
}

impl LogsOptions {
    pub(super) const DEFAULT: Self = Self {
        dedup_strategy: "none",
        enable_log_details: true,
        prettify_log_message: false,
        show_common_labels: false,
        show_labels: false,
        show_log_context_toggle: true,
        show_time: true,
        sort_order: "Descending",
        wrap_log_message: false,
    };
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AlertListOptions {
    alert_instance_label_filter: String,
    alert_name: &'static str,
    dashboard_alerts: bool,
    datasource: &'static str,
    group_by: [&'static str; 0],
    group_mode: &'static str,
    max_items: u8,
    show_inactive_alerts: bool,
    show_instances: bool,
    sort_order: u8,
    state_filter: StateFilter,
    view_mode: &'static str,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct StateFilter {
    error: bool,
    firing: bool,
    no_data: bool,
    normal: bool,
    pending: bool,
    recovering: bool,
}

impl AlertListOptions {
    /// Lists the firing and pending alerts of Prometheus, the most important ones first.
    pub(super) fn firing(instance_filter: String) -> Self {
        Self {
            alert_instance_label_filter: instance_filter,
            alert_name: "",
            dashboard_alerts: false,
            datasource: "Prometheus",
            group_by: [],
            group_mode: "default",
            max_items: 20,
            show_inactive_alerts: false,
            show_instances: false,
            // `SortOrder.Importance` in Grafana.
            sort_order: 3,
            state_filter: StateFilter {
                error: true,
                firing: true,
                no_data: false,
                normal: false,
                pending: true,
                recovering: false,
            },
            view_mode: "list",
        }
    }
}
