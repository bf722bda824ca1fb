//! The distribution of observations over time, from native histograms.

use std::fmt::Write;
use std::sync::Arc;

use monitoring::grafana::Unit;
use signal::exponential::BUCKETS_PER_OCTAVE;

use super::dots::{Dot, push_dots};
use super::frame::{BOTTOM, TOP, Times, WIDTH, axis, close_plot, open, open_times};
use super::number::value_text;
use super::svg::{escape, push_rectangle};
use super::time_axis::ticks;
use crate::store::metrics::Histogram;

/// Number of shades of a cell.
const SHADES: usize = 8;
/// Maximum number of rows. Buckets are merged until they fit.
const ROWS: i32 = 28;
/// Maximum number of columns.
const COLUMNS: usize = 160;

/// A heat map.
#[derive(Clone, Debug)]
pub struct Heatmap {
    /// Text alternative for screen readers.
    pub label: String,
    pub times: Times,
    /// Observations at each point, since the previous one. Several series are added.
    pub series: Vec<Vec<Option<Arc<Histogram>>>>,
    /// Unit of the observed values.
    pub unit: Unit,
    /// Single observations.
    pub dots: Vec<Dot>,
    /// Height in pixels.
    pub height: u32,
    /// Maximum number of times below it.
    pub ticks: u32,
}

impl Heatmap {
    /// Draws the map; `None` if there is no observation.
    pub fn svg(&self) -> Option<String> {
        let buckets = || self.series.iter().flatten().flatten().flat_map(|histogram| &histogram.buckets);
        let used = || buckets().filter(|(_, count)| *count > 1e-9).map(|(index, _)| *index);
        let (low, high) = (used().min()?, used().max()?);
        // Each row covers at least half an octave. Rows are doubled until they fit.
        let mut merged = BUCKETS_PER_OCTAVE / 2;
        while (high.div_euclid(merged) - low.div_euclid(merged)) >= ROWS {
            merged *= 2;
        }
        let (bottom, top) = (low.div_euclid(merged), high.div_euclid(merged));
        let rows = usize::try_from(top - bottom + 1).ok()?;
        let columns = self.times.count().min(COLUMNS);
        let mut cells = vec![0.0_f64; rows * columns];
        for series in &self.series {
            for (point, histogram) in series.iter().enumerate() {
                let column = (point * columns / self.times.count().max(1)).min(columns - 1);
                for (index, count) in histogram.iter().flat_map(|histogram| &histogram.buckets) {
                    let row = index.div_euclid(merged) - bottom;
                    if let Some(cell) =
                        usize::try_from(row).ok().and_then(|row| cells.get_mut(row * columns + column))
                    {
                        *cell += count.max(0.0);
                    }
                }
            }
        }
        Some(self.draw(&cells, rows, columns, bottom, merged))
    }

    fn draw(&self, cells: &[f64], rows: usize, columns: usize, bottom: i32, merged: i32) -> String {
        let inner = (f64::from(self.height) - TOP - BOTTOM).max(20.0);
        let most = cells.iter().copied().fold(0.0, f64::max);
        let (width, height) = (WIDTH / columns as f64, inner / rows as f64);
        let mut shades = vec![String::new(); SHADES];
        for (position, count) in cells.iter().enumerate().filter(|(_, count)| **count > 1e-9) {
            let (row, column) = (position / columns, position % columns);
            // The square root keeps cells with few observations visible beside cells with many.
            let shade = ((count / most).sqrt() * SHADES as f64).ceil() as usize;
            let path = &mut shades[shade.clamp(1, SHADES) - 1];
            let y = inner - (row + 1) as f64 * height;
            push_rectangle(path, column as f64 * width, y, width * 0.94, height * 0.92);
        }
        let mut out = String::with_capacity(16 << 10);
        open(&mut out, &self.label, "heat");
        let every = rows.div_ceil((inner / 26.0).max(1.0) as usize).max(1);
        let bounds = (0..=rows).step_by(every).map(|row| {
            let index = (bottom + i32::try_from(row).unwrap_or(0)) * merged;
            let bound = 2_f64.powf(f64::from(index) / f64::from(BUCKETS_PER_OCTAVE));
            (row as f64 / rows as f64, escape(&value_text(rounded(bound), self.unit, None)))
        });
        axis(&mut out, "46", bounds, inner);
        let ticks = ticks(self.times.start, self.times.end, self.ticks);
        open_times(&mut out, self.times, &ticks, TOP, inner);
        let _ = write!(
            out,
            "<svg class=\"stretch\" width=\"100%\" height=\"{inner}\" viewBox=\"0 0 {WIDTH} {inner}\" \
             preserveAspectRatio=\"none\">"
        );
        for (index, path) in shades.iter().enumerate().filter(|(_, path)| !path.is_empty()) {
            let _ = write!(out, "<path class=\"h{}\" d=\"{path}\"/>", index + 1);
        }
        out.push_str("</svg>");
        close_plot(&mut out);
        out.push_str("</div>");
        push_dots(&mut out, &self.dots, self.times, false, inner, |value| {
            (value.log2() * f64::from(BUCKETS_PER_OCTAVE) / f64::from(merged) - f64::from(bottom))
                / rows as f64
        });
        out
    }
}

/// Returns a number with two significant digits, because bounds of buckets are not round.
fn rounded(value: f64) -> f64 {
    let factor = 10_f64.powi(1 - value.log10().floor() as i32);
    if factor.is_finite() && factor > 0.0 { (value * factor).round() / factor } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(buckets: Vec<(i32, f64)>) -> Option<String> {
        let histogram = Arc::new(Histogram { buckets, ..Histogram::default() });
        let times = Times { start: 0, end: 60_000, step: 60_000 };
        let series = vec![vec![None, Some(histogram)]];
        Heatmap {
            label: String::new(),
            times,
            series,
            unit: Unit::Seconds,
            dots: Vec::new(),
            height: 128,
            ticks: 3,
        }
        .svg()
    }

    #[test]
    fn cells_have_shades_by_their_counts() {
        let svg = map(vec![(-8, 1.0), (0, 16.0)]).expect("a map");
        assert!(svg.contains("class=\"h8\"") && svg.contains("class=\"h2\""), "{svg}");
        assert!(svg.contains(">500 ms<"), "{svg}");
    }

    #[test]
    fn without_observations_there_is_none() {
        assert_eq!(map(Vec::new()), None);
        assert_eq!(map(vec![(3, 0.0)]), None);
    }

    #[test]
    fn a_wide_range_has_few_rows() {
        let svg = map(vec![(-4000, 1.0), (4000, 1.0)]).expect("a map");
        assert!(svg.matches("class=\"y\"").count() < 32, "{svg}");
    }
}
