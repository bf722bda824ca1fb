//! Options of charts over time.

use serde::Serialize;

use super::kind::{Chart, ChartStyle, Legend, LegendNumber};

#[derive(Clone, Debug, Serialize)]
pub(super) struct TimeSeriesOptions {
    legend: LegendOptions,
    tooltip: Tooltip,
}

impl TimeSeriesOptions {
    pub(super) fn of(chart: &Chart) -> Self {
        Self { legend: LegendOptions::of(chart.legend()), tooltip: Tooltip::ALL_SERIES }
    }
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LegendOptions {
    calcs: Vec<&'static str>,
    display_mode: &'static str,
    placement: &'static str,
    show_legend: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    sort_by: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sort_desc: Option<bool>,
}

impl LegendOptions {
    const BELOW: Self = Self::below(true);
    pub(super) const NONE: Self = Self::below(false);

    const fn below(show_legend: bool) -> Self {
        let (display_mode, placement) = ("list", "bottom");
        Self { calcs: Vec::new(), display_mode, placement, show_legend, sort_by: None, sort_desc: None }
    }

    fn of(legend: Legend) -> Self {
        let number = match legend {
            Legend::Names => return Self::BELOW,
            Legend::Table(number) => number,
        };
        let calculation = match number {
            LegendNumber::Total => "sum",
            LegendNumber::Max => "max",
            LegendNumber::Last => "lastNotNull",
        };
        Self {
            calcs: vec![calculation],
            display_mode: "table",
            placement: "right",
            show_legend: true,
            sort_by: Some(number.title()),
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
    draw_style: &'static str,
    line_width: u8,
    fill_opacity: u8,
    show_points: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    bar_alignment: Option<i8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bar_width_factor: Option<f64>,
    axis_soft_min: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    axis_soft_max: Option<f64>,
    stacking: Stacking,
    thresholds_style: ThresholdsStyle,
}

impl TimeSeriesCustom {
    const LINES: Self = Self {
        draw_style: "line",
        line_width: 1,
        fill_opacity: 8,
        show_points: "auto",
        bar_alignment: None,
        bar_width_factor: None,
        axis_soft_min: 0.0,
        axis_soft_max: None,
        stacking: Stacking::NONE,
        thresholds_style: ThresholdsStyle { mode: "off" },
    };

    pub(super) fn of(chart: &Chart) -> Self {
        let style = match chart.style() {
            ChartStyle::Lines => Self::LINES,
            ChartStyle::StackedAreas => Self {
                // With lines, a part of zero would be drawn as a line on top of the others.
                line_width: 0,
                fill_opacity: 60,
                show_points: "never",
                stacking: Stacking::NORMAL,
                ..Self::LINES
            },
            ChartStyle::StackedBars => Self {
                draw_style: "bars",
                // A bar ends at its point, because it counts the events before it.
                bar_alignment: Some(-1),
                bar_width_factor: Some(0.95),
                fill_opacity: 80,
                show_points: "never",
                stacking: Stacking::NORMAL,
                ..Self::LINES
            },
        };
        let mode = if chart.shows_thresholds() { "dashed" } else { "off" };
        Self { axis_soft_max: chart.soft_max(), thresholds_style: ThresholdsStyle { mode }, ..style }
    }
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Stacking {
    mode: &'static str,
    group: &'static str,
}

impl Stacking {
    pub(super) const NONE: Self = Self { mode: "none", group: "A" };
    const NORMAL: Self = Self { mode: "normal", group: "A" };
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct ThresholdsStyle {
    mode: &'static str,
}
