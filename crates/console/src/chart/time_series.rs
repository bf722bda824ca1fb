//! Lines, stacked areas and stacked bars over time.

use std::fmt::Write;

use monitoring::grafana::{ChartStyle, Unit};
use serde::Serialize;

use super::color::ColorClass;
use super::columns::reduce;
use super::dots::{Dot, push_dots};
use super::frame::{
    BOTTOM, TOP, TimeMark, Times, WIDTH, close_plot, left_axis, open, open_plot, open_stretched, right_axis,
};
use super::scale::{Limits, Scale};
use super::series::Series;
use super::stack::{Ends, tops};
use super::svg::{json_for_script, percent, push_point, push_rectangle};
use super::time_axis::ticks;

/// Maximum number of columns of a line, each with its smallest and largest value.
const COLUMNS: usize = 360;
/// Maximum number of lines with a filled area below.
const AREAS: usize = 4;

/// A chart over time.
#[derive(Clone, Debug)]
pub struct TimeChart {
    /// Text alternative for screen readers.
    pub label: String,
    pub times: Times,
    pub series: Vec<Series>,
    /// Style in which the series are drawn.
    pub style: ChartStyle,
    /// Unit of the left axis.
    pub unit: Unit,
    /// Decimals of values.
    pub decimals: Option<u8>,
    /// Limits of the left axis.
    pub limits: Limits,
    /// Dashed lines at these values.
    pub thresholds: Vec<(f64, ColorClass)>,
    /// Vertical lines.
    pub marks: Vec<TimeMark>,
    /// Single observations.
    pub dots: Vec<Dot>,
    /// Height in pixels.
    pub height: u32,
    /// Maximum number of times below it.
    pub ticks: u32,
}

/// Data with which the script shows values at the pointer.
#[derive(Serialize)]
struct Data<'a> {
    start: i64,
    step: i64,
    count: usize,
    unit: Unit,
    decimals: Option<u8>,
    series: Vec<SeriesData<'a>>,
}

#[derive(Serialize)]
struct SeriesData<'a> {
    name: &'a str,
    color: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<Unit>,
    values: Vec<Option<f64>>,
    /// Distance of each point from the top, in pixels.
    y: Vec<Option<u16>>,
}

impl TimeChart {
    /// Draws the chart.
    pub fn svg(&self) -> String {
        let inner = (f64::from(self.height) - TOP - BOTTOM).max(20.0);
        let tops = tops(&self.series, self.style);
        let (left, right) = self.scales(&tops, inner);
        let mut out = String::with_capacity(8 << 10);
        let class = if right.is_some() { "two-axes" } else { "" };
        open(&mut out, &self.label, class);
        left_axis(&mut out, &left, self.unit, self.decimals, inner);
        let ticks = ticks(self.times.start, self.times.end, self.ticks);
        open_plot(&mut out, self.times, &ticks, &left, &self.marks, inner);
        open_stretched(&mut out, inner);
        for (index, (series, tops)) in self.series.iter().zip(&tops).enumerate().rev() {
            let scale = match (&right, series.right) {
                (Some((scale, _)), Some(_)) => scale,
                _ => &left,
            };
            let _ = write!(out, "<g class=\"series s{index} {}\">", series.color.0);
            self.series_paths(&mut out, series, tops, scale, inner);
            out.push_str("</g>");
        }
        out.push_str("</svg>");
        for (value, color) in &self.thresholds {
            if (left.min..=left.max).contains(value) {
                let y = inner * (1.0 - left.position(*value));
                let _ = write!(
                    out,
                    "<line class=\"threshold {}\" x2=\"100%\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>",
                    color.0
                );
            }
        }
        close_plot(&mut out);
        if let Some((scale, unit)) = &right {
            right_axis(&mut out, scale, *unit, inner);
        }
        out.push_str("</div>");
        push_dots(&mut out, &self.dots, self.times, right.is_some(), inner, |value| left.position(value));
        self.push_data(&mut out, &tops, &left, right.as_ref().map(|(scale, _)| scale), inner);
        out
    }

    fn scales(&self, tops: &[Ends], inner: f64) -> (Scale, Option<(Scale, Unit)>) {
        let count = (inner / 42.0).clamp(2.0, 6.0) as u32;
        let values = |is_right: bool| {
            let chosen =
                self.series.iter().zip(tops).filter(move |(series, _)| series.right.is_some() == is_right);
            chosen.flat_map(|(_, tops)| tops.iter().flatten().map(|(_, top)| *top))
        };
        // The axis includes a threshold just above the data.
        let highest = values(false).fold(0.0_f64, f64::max);
        let near = self.thresholds.iter().map(|(value, _)| *value).filter(|value| *value <= highest * 2.5);
        let left_values = values(false).chain(near);
        let whole = self.decimals == Some(0) && matches!(self.unit, Unit::Plain | Unit::Count);
        let left = Scale::fit(left_values, self.limits, self.unit, whole, count);
        let unit = self.series.iter().find_map(|series| series.right);
        let right = unit.map(|unit| (Scale::fit(values(true), Limits::default(), unit, false, count), unit));
        (left, right)
    }

    fn series_paths(
        &self,
        out: &mut String,
        series: &Series,
        tops: &[Option<(f64, f64)>],
        scale: &Scale,
        inner: f64,
    ) {
        let y = |value: f64| inner * (1.0 - scale.position(value));
        let x = |index: usize| self.times.share(self.times.at(index)) * WIDTH;
        match self.style {
            ChartStyle::StackedBars if !series.is_line => {
                let width = WIDTH / (tops.len().max(2) - 1) as f64;
                out.push_str("<path class=\"bar\" d=\"");
                for (index, bottom, top) in known(tops).filter(|(_, bottom, top)| top > bottom) {
                    // A bar ends at its point, because it counts the events before it.
                    let left = (x(index) - width * 0.93).max(0.0);
                    push_rectangle(out, left, y(top), (x(index) - left).max(0.1), y(bottom) - y(top));
                }
                out.push_str("\"/>");
            }
            ChartStyle::StackedAreas if !series.is_line => {
                out.push_str("<path class=\"stacked\" d=\"");
                for run in runs(tops) {
                    for (position, (index, _, top)) in run.iter().enumerate() {
                        push_point(out, if position == 0 { 'M' } else { 'L' }, x(*index), y(*top));
                    }
                    for (index, bottom, _) in run.iter().rev() {
                        push_point(out, 'L', x(*index), y(*bottom));
                    }
                    out.push('z');
                }
                out.push_str("\"/>");
            }
            _ => {
                let values: Vec<Option<f64>> = tops.iter().map(|top| top.map(|(_, top)| top)).collect();
                let line = line_path(&reduce(&values, COLUMNS), x, y);
                if self.series.len() <= AREAS && series.right.is_none() && !line.is_empty() {
                    let _ = write!(out, "<path class=\"area\" d=\"{}\"/>", line.area(y(scale.min.max(0.0))));
                }
                let _ = write!(out, "<path class=\"line\" d=\"{}\"/>", line.line());
            }
        }
    }

    fn push_data(&self, out: &mut String, tops: &[Ends], left: &Scale, right: Option<&Scale>, inner: f64) {
        let series = self.series.iter().zip(tops).map(|(series, tops)| {
            let scale = if series.right.is_some() { right.unwrap_or(left) } else { left };
            let y = |top: f64| (TOP + inner * (1.0 - scale.position(top))).round() as u16;
            SeriesData {
                name: &series.name,
                color: series.color.0,
                unit: series.right,
                values: series.values.iter().map(|value| value.map(shortened)).collect(),
                y: tops.iter().map(|top| top.map(|(_, top)| y(top))).collect(),
            }
        });
        let data = Data {
            start: self.times.start,
            step: self.times.step,
            count: self.times.count(),
            unit: self.unit,
            decimals: self.decimals,
            series: series.collect(),
        };
        let json = json_for_script(&data);
        let _ = write!(out, "<script type=\"application/json\" class=\"data\">{json}</script>");
    }

    /// Returns the horizontal position of a time as a share of the width.
    pub fn position(&self, at: i64) -> String {
        percent(self.times.share(at))
    }
}

/// Returns a number with four significant digits, which is more than is shown.
fn shortened(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    let factor = 10_f64.powi(3 - value.abs().log10().floor() as i32);
    if factor.is_finite() && factor > 0.0 { (value * factor).round() / factor } else { value }
}

fn known(tops: &[Option<(f64, f64)>]) -> impl Iterator<Item = (usize, f64, f64)> {
    tops.iter().enumerate().filter_map(|(index, top)| top.map(|(bottom, top)| (index, bottom, top)))
}

/// Returns the longest runs of known points.
fn runs(tops: &[Option<(f64, f64)>]) -> Vec<Vec<(usize, f64, f64)>> {
    let mut runs: Vec<Vec<(usize, f64, f64)>> = Vec::new();
    for (index, bottom, top) in known(tops) {
        match runs.last_mut().filter(|run| run.last().is_some_and(|(last, ..)| last + 1 == index)) {
            Some(run) => run.push((index, bottom, top)),
            None => runs.push(vec![(index, bottom, top)]),
        }
    }
    runs
}

/// Runs of points of a line in the units of the plot.
struct Line(Vec<Vec<(f64, f64)>>);

fn line_path(points: &[(usize, Option<f64>)], x: impl Fn(usize) -> f64, y: impl Fn(f64) -> f64) -> Line {
    let mut runs = vec![Vec::new()];
    for (index, value) in points {
        match (value, runs.last_mut()) {
            (Some(value), Some(run)) => run.push((x(*index), y(*value))),
            (None, Some(run)) if !run.is_empty() => runs.push(Vec::new()),
            _ => {}
        }
    }
    runs.retain(|run| !run.is_empty());
    Line(runs)
}

impl Line {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn line(&self) -> String {
        let mut out = String::new();
        for run in &self.0 {
            for (position, (x, y)) in run.iter().enumerate() {
                push_point(&mut out, if position == 0 { 'M' } else { 'L' }, *x, *y);
            }
            if run.len() == 1 {
                // Round line caps turn this into a dot.
                out.push_str("h0");
            }
        }
        out
    }

    fn area(&self, base: f64) -> String {
        let mut out = String::new();
        for run in self.0.iter().filter(|run| run.len() > 1) {
            push_point(&mut out, 'M', run[0].0, base);
            run.iter().for_each(|(x, y)| push_point(&mut out, 'L', *x, *y));
            push_point(&mut out, 'L', run[run.len() - 1].0, base);
            out.push('z');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(style: ChartStyle, values: &[&[Option<f64>]]) -> TimeChart {
        let series = values.iter().enumerate().map(|(index, values)| Series {
            name: format!("<{index}>"),
            color: ColorClass("k-0"),
            values: values.to_vec(),
            is_line: false,
            right: None,
        });
        TimeChart {
            label: "a \"chart\"".to_owned(),
            times: Times { start: 0, end: 3 * 60_000, step: 60_000 },
            series: series.collect(),
            style,
            unit: Unit::Plain,
            decimals: None,
            limits: Limits::default(),
            thresholds: vec![(4.0, ColorClass("k-red")), (1e9, ColorClass("k-red"))],
            dots: Vec::new(),
            marks: vec![TimeMark { at: 60_000, text: "Release <1>".to_owned(), color: ColorClass("k-blue") }],
            height: 128,
            ticks: 3,
        }
    }

    #[test]
    fn a_gap_interrupts_a_line_and_a_lone_point_is_a_dot() {
        let svg = chart(ChartStyle::Lines, &[&[Some(0.0), Some(4.0), None, Some(2.0)]]).svg();
        assert!(svg.contains("class=\"line\" d=\"M0 100L333.3 0M1000 50h0\""), "{svg}");
        assert_eq!(svg.matches("class=\"threshold").count(), 1, "{svg}");
        assert!(!svg.contains("<0>") && !svg.contains("<1>") && svg.contains("Release &lt;1&gt;"), "{svg}");
    }

    #[test]
    fn areas_and_bars_stand_on_each_other() {
        let values: [&[Option<f64>]; 2] =
            [&[Some(1.0), Some(1.0), None, Some(1.0)], &[Some(3.0), Some(3.0), Some(4.0), Some(3.0)]];
        let svg = chart(ChartStyle::StackedAreas, &values).svg();
        assert!(svg.contains("M0 0L333.3 0L666.7 0L1000 0L1000 75L666.7 100L333.3 75L0 75z"), "{svg}");
        let svg = chart(ChartStyle::StackedBars, &values).svg();
        assert!(svg.contains("M23.3 75h310v25h-310z"), "{svg}");
    }

    #[test]
    fn a_chart_without_data_is_still_a_chart() {
        for style in [ChartStyle::Lines, ChartStyle::StackedAreas, ChartStyle::StackedBars] {
            assert!(chart(style, &[&[None, None, None, None]]).svg().contains("<svg"));
            assert!(chart(style, &[]).svg().contains("<svg"));
        }
    }

    #[test]
    fn numbers_for_the_script_are_short() {
        assert_eq!([shortened(1.234_567), shortened(-98_765.4), shortened(0.0)], [1.235, -98_770.0, 0.0]);
    }
}
