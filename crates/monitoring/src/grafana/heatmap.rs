//! Options of heat maps, which have more options than all other panels.

use serde::Serialize;

use super::unit::Unit;

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HeatmapOptions {
    calculate: bool,
    cell_gap: u8,
    color: HeatmapColor,
    exemplars: Exemplars,
    filter_values: FilterValues,
    legend: HeatmapLegend,
    rows_frame: RowsFrame,
    show_value: &'static str,
    tooltip: HeatmapTooltip,
    y_axis: HeatmapAxis,
}

#[derive(Clone, Debug, Serialize)]
struct HeatmapColor {
    exponent: f64,
    fill: &'static str,
    mode: &'static str,
    reverse: bool,
    scale: &'static str,
    scheme: &'static str,
    steps: u8,
}

#[derive(Clone, Debug, Serialize)]
struct Exemplars {
    color: &'static str,
}

/// Leaves cells below a value empty, so that zero counts are not painted.
#[derive(Clone, Debug, Serialize)]
struct FilterValues {
    le: f64,
}

#[derive(Clone, Debug, Serialize)]
struct HeatmapLegend {
    show: bool,
}

#[derive(Clone, Debug, Serialize)]
struct RowsFrame {
    layout: &'static str,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct HeatmapTooltip {
    mode: &'static str,
    y_histogram: bool,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct HeatmapAxis {
    axis_placement: &'static str,
    unit: Unit,
}

impl HeatmapOptions {
    pub(super) const DURATIONS: Self = Self {
        calculate: false,
        cell_gap: 1,
        color: HeatmapColor {
            exponent: 0.5,
            fill: "dark-orange",
            mode: "scheme",
            reverse: false,
            scale: "exponential",
            scheme: "Oranges",
            steps: 64,
        },
        exemplars: Exemplars { color: "rgba(255,0,255,0.7)" },
        filter_values: FilterValues { le: 1e-9 },
        legend: HeatmapLegend { show: true },
        rows_frame: RowsFrame { layout: "auto" },
        show_value: "never",
        tooltip: HeatmapTooltip { mode: "single", y_histogram: true },
        y_axis: HeatmapAxis { axis_placement: "left", unit: Unit::Seconds },
    };
}
