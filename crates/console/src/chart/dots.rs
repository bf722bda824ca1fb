//! Single observations in a chart, which lead to their traces.

use std::fmt::Write;

use super::frame::{BOTTOM, TOP, Times};
use super::svg::{escape, percent};

/// Radius of a dot in pixels, and of the area around it that can be clicked.
const RADIUS: f64 = 3.5;
const TARGET: f64 = 10.0;

/// An observation at its place in a chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Dot {
    /// Its time in Unix milliseconds.
    pub at: i64,
    /// The observed value.
    pub value: f64,
    /// Accessible name and tooltip.
    pub text: String,
    /// Address of its trace.
    pub address: String,
}

/// Appends dots over a plot. They stand after the chart and not in it, because an image has no links. `position`
/// returns the height of a value as a share; one outside of the plot is drawn at its edge.
pub(super) fn push_dots(
    out: &mut String,
    dots: &[Dot],
    times: Times,
    has_right_axis: bool,
    inner: f64,
    position: impl Fn(f64) -> f64,
) {
    if dots.is_empty() {
        return;
    }
    let class = if has_right_axis { " two-axes" } else { "" };
    // Writing into a string cannot fail.
    let _ = write!(
        out,
        "<svg class=\"dots{class}\" height=\"{}\" role=\"group\" aria-label=\"Single observations, with their \
         traces\">",
        TOP + inner + BOTTOM
    );
    for dot in dots {
        let x = percent(times.share(dot.at).clamp(0.0, 1.0));
        let y = TOP + inner * (1.0 - position(dot.value).clamp(0.0, 1.0));
        let (text, address) = (escape(&dot.text), escape(&dot.address));
        let _ = write!(
            out,
            "<a href=\"{address}\" aria-label=\"{text}\"><title>{text}</title><circle class=\"target\" cx=\"{x}\" \
             cy=\"{y:.1}\" r=\"{TARGET}\"/><circle class=\"dot\" cx=\"{x}\" cy=\"{y:.1}\" r=\"{RADIUS}\"/></a>"
        );
    }
    out.push_str("</svg>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_links_at_their_time_and_value() {
        let times = Times { start: 1000, end: 5000, step: 1000 };
        let dot =
            |at, value| Dot { at, value, text: "2 s <b>".to_owned(), address: "/traces/1?a=1&b".to_owned() };
        let mut out = String::new();
        push_dots(&mut out, &[dot(2000, 5.0), dot(9000, 50.0)], times, false, 100.0, |value| value / 10.0);
        assert!(out.contains("<a href=\"/traces/1?a=1&amp;b\" aria-label=\"2 s &lt;b&gt;\">"), "{out}");
        assert!(out.contains("cx=\"25%\" cy=\"58.0\"") && out.contains("cx=\"100%\" cy=\"8.0\""), "{out}");
        let mut none = String::new();
        push_dots(&mut none, &[], times, false, 100.0, |value| value);
        assert_eq!(none, "");
    }
}
