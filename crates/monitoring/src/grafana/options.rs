//! Options specific to each kind of panel: `options` and `fieldConfig.defaults.custom`.

use serde::Serialize;

use super::heatmap::HeatmapOptions;

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

#[derive(Clone, Debug, Serialize)]
pub(super) struct TimeSeriesOptions {
    pub(super) legend: Legend,
    pub(super) tooltip: Tooltip,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Legend {
    pub(super) calcs: Vec<&'static str>,
    pub(super) display_mode: &'static str,
    pub(super) placement: &'static str,
    pub(super) show_legend: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sort_by: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sort_desc: Option<bool>,
}

impl Legend {
    pub(super) const BELOW: Self = Self::below(true);
    pub(super) const NONE: Self = Self::below(false);

    const fn below(show_legend: bool) -> Self {
        let (display_mode, placement) = ("list", "bottom");
        Self { calcs: Vec::new(), display_mode, placement, show_legend, sort_by: None, sort_desc: None }
    }

    /// A legend table at the side, sorted by one of Grafana's calculations, whose column title is
    /// also given.
    pub(super) fn table(calculation: &'static str, title: &'static str) -> Self {
        Self {
            calcs: vec![calculation],
            display_mode: "table",
            placement: "right",
            show_legend: true,
            sort_by: Some(title),
            sort_desc: Some(true),
        }
    }
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Tooltip {
    mode: &'static str,
    sort: &'static str,
}

impl Tooltip {
    pub(super) const ALL_SERIES: Self = Self { mode: "multi", sort: "desc" };
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TimeSeriesCustom {
    pub(super) draw_style: &'static str,
    pub(super) line_width: u8,
    pub(super) fill_opacity: u8,
    pub(super) show_points: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bar_alignment: Option<i8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bar_width_factor: Option<f64>,
    pub(super) axis_soft_min: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) axis_soft_max: Option<f64>,
    pub(super) stacking: Stacking,
    pub(super) thresholds_style: ThresholdsStyle,
}

impl TimeSeriesCustom {
    pub(super) const LINES: Self = Self {
        draw_style: "line",
        line_width: 1,
        fill_opacity: 8,
        show_points: "auto",
        bar_alignment: None,
        bar_width_factor: None,
        axis_soft_min: 0.0,
        axis_soft_max: None,
        stacking: Stacking { mode: "none", group: "A" },
        thresholds_style: ThresholdsStyle { mode: "off" },
    };
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Stacking {
    pub(super) mode: &'static str,
    pub(super) group: &'static str,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct ThresholdsStyle {
    pub(super) mode: &'static str,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StateTimelineOptions {
    align_value: &'static str,
    merge_values: bool,
    row_height: f64,
    show_value: &'static str,
    legend: Legend,
    tooltip: Tooltip,
}

impl StateTimelineOptions {
    pub(super) const DEFAULT: Self = Self {
        align_value: "left",
        merge_values: true,
        row_height: 0.8,
        show_value: "auto",
        legend: Legend::NONE,
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
    pub(super) color_mode: &'static str,
    pub(super) graph_mode: &'static str,
    justify_mode: &'static str,
    orientation: &'static str,
    percent_change_color_mode: &'static str,
    reduce_options: ReduceOptions,
    show_percent_change: bool,
    pub(super) text_mode: &'static str,
    wide_layout: bool,
}

impl StatOptions {
    pub(super) const DEFAULT: Self = Self {
        color_mode: "value",
        graph_mode: "none",
        justify_mode: "auto",
        orientation: "auto",
        percent_change_color_mode: "standard",
        reduce_options: ReduceOptions::LAST,
        show_percent_change: false,
        text_mode: "auto",
        wide_layout: true,
    };
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BarGaugeOptions {
    display_mode: &'static str,
    legend: Legend,
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
        legend: Legend::NONE,
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
    pub(super) sort_by: Vec<SortBy>,
}

impl TableOptions {
    pub(super) const DEFAULT: Self =
        Self { cell_height: "sm", frame_index: 0, show_header: true, sort_by: Vec::new() };
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SortBy {
    pub(super) display_name: String,
    pub(super) desc: bool,
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
