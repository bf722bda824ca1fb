//! Traces as points, by start time and duration.

use crate::pages::words;
use crate::store::spans::TraceSummary;

/// Height of the plot in pixels.
const HEIGHT: f64 = 120.0;
/// Distance of the points from the edges in pixels.
const MARGIN: f64 = 8.0;

/// A plot of traces.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scatter {
    /// One point for each trace.
    pub points: Vec<Point>,
    /// Lines at round durations: distance from the top in pixels, and label.
    pub lines: Vec<(String, String)>,
}

/// A trace in the plot.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    /// Distance from the left in percent.
    pub left: String,
    /// Distance from the top in pixels.
    pub top: String,
    /// `failed` or `fine`.
    pub class: &'static str,
    /// Name and duration.
    pub title: String,
    /// Address of the trace.
    pub address: String,
}

impl Scatter {
    /// Places traces in a range of Unix nanoseconds. Durations have a logarithmic scale.
    pub(crate) fn new(
        traces: &[TraceSummary],
        from: u64,
        until: u64,
        address: impl Fn(&TraceSummary) -> String,
    ) -> Self {
        let durations = || traces.iter().map(|trace| duration(trace) as f64);
        let (least, most) = (durations().fold(f64::INFINITY, f64::min), durations().fold(1.0, f64::max));
        if traces.is_empty() {
            return Self::default();
        }
        let (low, high) = (least.max(1.0).log10().floor(), most.log10().ceil());
        let top = |nanoseconds: f64| {
            let share = (nanoseconds.max(1.0).log10() - low) / (high - low).max(1.0);
            format!("{:.1}", HEIGHT - MARGIN - share.clamp(0.0, 1.0) * (HEIGHT - 2.0 * MARGIN))
        };
        let length = until.saturating_sub(from).max(1) as f64;
        let points = traces.iter().map(|trace| Point {
            left: format!("{:.2}%", (trace.start_ns.saturating_sub(from) as f64 / length * 100.0).min(100.0)),
            top: top(duration(trace) as f64),
            class: if trace.failed_spans > 0 { "failed" } else { "fine" },
            title: format!("{}, {}", trace.root.name, words::duration(duration(trace))),
            address: address(trace),
        });
        let exponents = low as i32..=high as i32;
        let lines =
            exponents.map(|exponent| 10_f64.powi(exponent)).map(|at| (top(at), words::duration(at as u64)));
        Self { points: points.collect(), lines: lines.collect() }
    }
}

/// Returns the time from the first start to the last end.
pub(crate) fn duration(trace: &TraceSummary) -> u64 {
    trace.end_ns.saturating_sub(trace.start_ns)
}
