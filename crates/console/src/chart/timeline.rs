//! States over time: one row for each series, one stripe for each period of the same state.

use std::fmt::Write;

use super::color::ColorClass;
use super::frame::{Times, close_plot, open, open_times};
use super::svg::{escape, percent};
use super::time_axis::ticks;

/// Height of a row in pixels.
const ROW: f64 = 30.0;
/// Smallest share of the width at which a stripe has text.
const TEXT_FROM: f64 = 0.08;

/// A state of a series: its text and its color.
pub type State = Option<(String, ColorClass)>;

/// States over time.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// Text alternative for screen readers.
    pub label: String,
    pub times: Times,
    /// Name and states of each row.
    pub rows: Vec<(String, Vec<State>)>,
    /// Maximum number of times below it.
    pub ticks: u32,
}

impl Timeline {
    /// Draws the rows.
    pub fn svg(&self) -> String {
        let inner = ROW * self.rows.len() as f64;
        let mut out = String::with_capacity(4 << 10);
        open(&mut out, &self.label, "timeline");
        // Writing into a string cannot fail.
        let _ = write!(out, "<svg class=\"names\" width=\"100%\" height=\"{inner}\" aria-hidden=\"true\">");
        for (index, (name, _)) in self.rows.iter().enumerate() {
            let y = ROW * index as f64 + 19.0;
            let _ = write!(out, "<text class=\"name\" y=\"{y}\">{}</text>", escape(name));
        }
        out.push_str("</svg>");
        let ticks = ticks(self.times.start, self.times.end, self.ticks);
        open_times(&mut out, self.times, &ticks, 0.0, inner);
        for (index, (name, states)) in self.rows.iter().enumerate() {
            for (from, until, text, color) in stripes(states) {
                let (left, right) = (self.left(from), self.left(until));
                let y = ROW * index as f64 + 3.0;
                let full = escape(&format!("{name}: {text}"));
                let _ = write!(
                    out,
                    "<g class=\"{}\"><rect class=\"stripe\" x=\"{}\" y=\"{y}\" width=\"{}\" height=\"{}\"/>\
                     <title>{full}</title>",
                    color.0,
                    percent(left),
                    percent(right - left),
                    ROW - 6.0
                );
                if right - left >= TEXT_FROM {
                    let (x, y) = (percent(left + 0.008), y + 16.0);
                    let _ = write!(out, "<text class=\"in\" x=\"{x}\" y=\"{y}\">{}</text>", escape(text));
                }
                out.push_str("</g>");
            }
        }
        close_plot(&mut out);
        out.push_str("</div>");
        out
    }

    /// Returns the left edge of a point, half a step before it.
    fn left(&self, index: usize) -> f64 {
        ((index as f64 - 0.5) / (self.times.count().max(2) - 1) as f64).clamp(0.0, 1.0)
    }
}

/// Returns the periods of the same state: first point, point after the last one, text and color.
fn stripes(states: &[State]) -> Vec<(usize, usize, &str, ColorClass)> {
    let mut stripes: Vec<(usize, usize, &str, ColorClass)> = Vec::new();
    for (index, state) in states.iter().enumerate() {
        let Some((text, color)) = state else { continue };
        match stripes.last_mut() {
            Some((_, until, last, _)) if *until == index && *last == text.as_str() => *until = index + 1,
            _ => stripes.push((index, index + 1, text, *color)),
        }
    }
    stripes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_states_are_one_stripe() {
        let state = |text: &str| Some((text.to_owned(), ColorClass("k-green")));
        let states = [state("up"), state("up"), None, state("up"), state("down")];
        let found: Vec<_> =
            stripes(&states).into_iter().map(|(from, until, text, _)| (from, until, text)).collect();
        assert_eq!(found, [(0, 2, "up"), (3, 4, "up"), (4, 5, "down")]);
        let times = Times { start: 0, end: 240_000, step: 60_000 };
        let rows = vec![("<db>".to_owned(), states.to_vec())];
        let svg = Timeline { label: "states".to_owned(), times, rows, ticks: 4 }.svg();
        assert!(svg.contains("&lt;db&gt;: down") && !svg.contains("<db>"), "{svg}");
    }
}
