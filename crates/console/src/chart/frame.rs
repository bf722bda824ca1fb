//! Range, axes and geometry of charts over time.
//!
//! The SVGs have no view box, so texts keep their size at any width. Vertical positions are pixels, horizontal
//! ones shares of the width. Lines are drawn in an inner SVG of [`WIDTH`] units that is stretched.

use std::fmt::Write;

use monitoring::grafana::Unit;

use super::color::ColorClass;
use super::number::value_text;
use super::scale::Scale;
use super::svg::{escape, percent};
use super::time_axis::Tick;
use crate::calendar;

/// Units of the stretched part.
pub(super) const WIDTH: f64 = 1000.0;
/// Space above the plot in pixels.
pub(super) const TOP: f64 = 8.0;
/// Space below the plot, for the times.
pub(super) const BOTTOM: f64 = 20.0;

/// The times of a chart in Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// The first point.
    pub start: i64,
    /// The last point.
    pub end: i64,
    /// Interval between two points.
    pub step: i64,
}

impl Times {
    /// Returns the number of points.
    pub fn count(self) -> usize {
        usize::try_from((self.end - self.start) / self.step.max(1) + 1).unwrap_or(0)
    }

    /// Returns the time of a point.
    pub fn at(self, index: usize) -> i64 {
        self.start + self.step * i64::try_from(index).unwrap_or(0)
    }

    /// Returns the horizontal position of a time as a share of the width.
    pub fn share(self, at: i64) -> f64 {
        (at - self.start) as f64 / (self.end - self.start).max(1) as f64
    }
}

/// A vertical line that marks an event, such as a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeMark {
    /// Its time in Unix milliseconds.
    pub at: i64,
    /// Its description.
    pub text: String,
    pub color: ColorClass,
}

/// Appends the beginning of a chart: an element with up to three columns, which are the axes and the plot.
pub(super) fn open(out: &mut String, label: &str, class: &str) {
    // Writing into a string cannot fail.
    let _ = write!(out, "<div class=\"chart {class}\" role=\"img\" aria-label=\"{}\">", escape(label));
}

/// Appends the left axis.
pub(super) fn left_axis(out: &mut String, scale: &Scale, unit: Unit, decimals: Option<u8>, inner: f64) {
    let texts = scale.ticks.iter().map(|tick| (scale.position(*tick), axis_text(*tick, unit, decimals)));
    axis(out, "46", texts, inner);
}

/// Appends the right axis.
pub(super) fn right_axis(out: &mut String, scale: &Scale, unit: Unit, inner: f64) {
    let texts = scale.ticks.iter().map(|tick| (scale.position(*tick), axis_text(*tick, unit, None)));
    axis(out, "50", texts, inner);
}

/// Appends the labels of an axis, right-aligned at `x`, each with its height as a share.
pub(super) fn axis(out: &mut String, x: &str, texts: impl Iterator<Item = (f64, String)>, inner: f64) {
    let _ = write!(
        out,
        "<svg class=\"axis\" width=\"52\" height=\"{}\" aria-hidden=\"true\">",
        TOP + inner + BOTTOM
    );
    for (height, text) in texts {
        let y = TOP + inner * (1.0 - height) + 4.0;
        let _ = write!(out, "<text class=\"y\" x=\"{x}\" y=\"{y:.0}\">{text}</text>");
    }
    out.push_str("</svg>");
}

/// Returns the text of a tick. Ticks are round, so decimals would be zeros; only a panel without decimals is
/// obeyed.
fn axis_text(value: f64, unit: Unit, decimals: Option<u8>) -> String {
    let unit = if unit == Unit::Age { Unit::Seconds } else { unit };
    let text = value_text(value, unit, decimals.filter(|decimals| *decimals == 0 && value >= 1.0));
    let text = text.replace(" req/s", "").replace("/s", "").replace(" CPU", "");
    escape(&text)
}

/// Appends the beginning of the plot, with its times.
pub(super) fn open_times(out: &mut String, times: Times, ticks: &[Tick], top: f64, inner: f64) {
    let height = inner + BOTTOM;
    let _ = write!(
        out,
        "<svg class=\"plot\" width=\"100%\" height=\"{}\"><svg y=\"{top}\" width=\"100%\" height=\"{height}\" \
         overflow=\"visible\">",
        top + height
    );
    for (index, tick) in ticks.iter().enumerate() {
        let x = percent(times.share(tick.at));
        let odd = if index % 2 == 1 { " odd" } else { "" };
        let _ = write!(out, "<text class=\"x{odd}\" x=\"{x}\" y=\"{}\">{}</text>", inner + 16.0, tick.label);
    }
}

/// Appends the beginning of the plot: times, grid and marks.
pub(super) fn open_plot(
    out: &mut String,
    times: Times,
    ticks: &[Tick],
    scale: &Scale,
    marks: &[TimeMark],
    inner: f64,
) {
    open_times(out, times, ticks, TOP, inner);
    for tick in &scale.ticks {
        let y = inner * (1.0 - scale.position(*tick));
        let _ = write!(out, "<line class=\"grid\" x2=\"100%\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>");
    }
    for mark in marks {
        let x = percent(times.share(mark.at));
        let text = escape(&format!("{} at {}", mark.text, calendar::clock(mark.at)));
        let _ = write!(
            out,
            "<g class=\"moment {}\"><line x1=\"{x}\" x2=\"{x}\" y2=\"{inner:.0}\"/><title>{text}</title></g>",
            mark.color.0
        );
    }
}

/// Appends the end of the plot.
pub(super) fn close_plot(out: &mut String) {
    out.push_str("</svg></svg>");
}

/// Appends the beginning of the stretched part.
pub(super) fn open_stretched(out: &mut String, inner: f64) {
    let _ = write!(
        out,
        "<svg class=\"stretch\" width=\"100%\" height=\"{inner}\" viewBox=\"0 0 {WIDTH} {inner}\" \
         preserveAspectRatio=\"none\">"
    );
}
