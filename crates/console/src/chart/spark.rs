//! A small line without axes, behind a number.

use std::fmt::Write;

use super::columns::reduce;
use super::svg::push_point;

/// Maximum number of columns.
const COLUMNS: usize = 120;
const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 40.0;

/// Draws the history of a value; empty if it has fewer than two points.
pub fn spark_line(values: &[Option<f64>]) -> String {
    let points = reduce(values, COLUMNS);
    let known = || points.iter().filter_map(|(index, value)| value.map(|value| (*index, value)));
    let (low, high) = known().fold((0.0_f64, f64::MIN), |(low, high), (_, v)| (low.min(v), high.max(v)));
    if known().count() < 2 {
        return String::new();
    }
    let height = if high > low { high - low } else { 1.0 };
    let x = |index: usize| index as f64 / (values.len() - 1) as f64 * WIDTH;
    let y = |value: f64| HEIGHT - 2.0 - (value - low) / height * (HEIGHT - 4.0);
    let mut line = String::new();
    for (position, (index, value)) in known().enumerate() {
        push_point(&mut line, if position == 0 { 'M' } else { 'L' }, x(index), y(value));
    }
    let first = known().next().map_or(0.0, |(index, _)| x(index));
    let last = known().next_back().map_or(WIDTH, |(index, _)| x(index));
    let mut area = line.clone();
    push_point(&mut area, 'L', last, HEIGHT);
    push_point(&mut area, 'L', first, HEIGHT);
    let mut out = String::new();
    // Writing into a string cannot fail.
    let _ = write!(
        out,
        "<svg class=\"spark\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <path class=\"area\" d=\"{area}z\"/><path class=\"line\" d=\"{line}\"/></svg>"
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_needs_two_points() {
        assert_eq!(spark_line(&[]), "");
        assert_eq!(spark_line(&[Some(1.0), None]), "");
        assert!(spark_line(&[Some(1.0), Some(1.0)]).contains("M0 2L300 2"));
    }
}
