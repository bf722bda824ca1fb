//! Counts of lines over time as bars, stacked by level.

use signal::{ClosedSet, Level};

use crate::calendar;
use crate::pages::view::View;
use crate::pages::words;
use crate::store::lines::{Counts, LEVELS};

/// Height of the highest bar in pixels.
const HEIGHT: f64 = 72.0;
/// Share of a step that its bar fills.
const FILL: f64 = 0.82;
/// Lengths of a step in seconds.
const STEPS: [i64; 15] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1_800, 3_600, 10_800, 21_600, 43_200];
/// Intervals between time labels in seconds.
const TICKS: [i64; 14] =
    [10, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 28_800, 86_400, 172_800];
/// Maximum number of bars.
const BARS: i64 = 72;

/// The bars of a range.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    /// One for each step that has lines.
    pub bars: Vec<Bar>,
    /// Time labels: distance from the left in percent, and text.
    pub ticks: Vec<(String, String)>,
    /// Largest number of lines in a step.
    pub largest: String,
    /// Levels that occur, the most severe first, with their numbers of lines and the address of the search for
    /// lines of at least that level.
    pub levels: Vec<(&'static str, String, String)>,
    /// Number of lines.
    pub total: u64,
    /// Length of a step in words.
    pub step: String,
    /// Text summary of the chart.
    pub summary: String,
}

/// The bar of one step.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    /// Distance from the left in percent.
    pub left: String,
    /// Width in percent.
    pub width: String,
    /// Segments from the bottom: class, distance from the top and height in pixels.
    pub segments: Vec<(&'static str, String, String)>,
    /// Text with the time and the numbers.
    pub title: String,
    /// Address of the lines of this step.
    pub address: String,
}

/// Returns the length of a step in microseconds for a range in microseconds.
pub(crate) fn step_of(length: i64) -> i64 {
    let seconds = STEPS.into_iter().find(|step| length <= step * BARS * 1_000_000);
    seconds.unwrap_or(86_400) * 1_000_000
}

impl Histogram {
    /// Prepares the bars of counts.
    pub(crate) fn new(counts: &Counts, view: &View) -> Self {
        let totals = counts.steps.iter().map(|step| step.iter().sum::<u64>());
        let largest = totals.clone().max().unwrap_or(0);
        let total = totals.sum();
        let mut by_level = [0; LEVELS];
        for step in &counts.steps {
            by_level.iter_mut().zip(step).for_each(|(sum, count)| *sum += count);
        }
        let filled = counts.steps.iter().enumerate().filter(|(_, step)| step.iter().any(|count| *count > 0));
        let at_least = |level: &str| view.with(&[("level", level), ("before", "")]);
        let levels = named(&by_level).map(|(level, count)| (level, words::count(count), at_least(level)));
        Self {
            bars: filled.map(|(index, step)| bar(index, step, counts, largest, view)).collect(),
            ticks: ticks(counts),
            largest: words::count(largest),
            levels: levels.collect(),
            total,
            step: words::long_duration(counts.step.unsigned_abs() / 1_000_000),
            summary: summary(total, &by_level, counts),
        }
    }
}

/// Returns levels that occur, the most severe first.
fn named(counts: &[u64; LEVELS]) -> impl Iterator<Item = (&'static str, u64)> {
    let levels = Level::ALL.iter().rev();
    levels.map(|level| (level.as_str(), counts[level.index()])).filter(|(_, count)| *count > 0)
}

fn bar(index: usize, step: &[u64; LEVELS], counts: &Counts, largest: u64, view: &View) -> Bar {
    let width = 100.0 / counts.steps.len() as f64;
    let from = counts.from + counts.step * i64::try_from(index).unwrap_or(0);
    let mut top = HEIGHT;
    let mut segments = Vec::new();
    for (level, count) in named(step) {
        // A single error among thousands of lines must be visible.
        let height = (count as f64 / largest as f64 * HEIGHT).max(2.0);
        top = (top - height).max(0.0);
        segments.push((level, format!("{top:.1}"), format!("{height:.1}")));
    }
    let numbers: Vec<String> =
        named(step).map(|(level, count)| format!("{} {level}", words::count(count))).collect();
    let (from, until) = (from / 1000, (from + counts.step) / 1000);
    Bar {
        left: format!("{:.3}%", index as f64 * width + width * (1.0 - FILL) / 2.0),
        width: format!("{:.3}%", width * FILL),
        segments,
        title: format!("{}: {}", calendar::date_and_time(from), words::list(&numbers)),
        address: view.link_at("/logs", from, until.max(from + 60_000), &kept(view)),
    }
}

/// Returns the parameters of the search that links to parts of the range keep.
fn kept(view: &View) -> Vec<(&str, &str)> {
    const FILTERS: [&str; 6] = ["text", "level", "event", "outcome", "id", "where"];
    let parameters = view.parameters().iter().map(|(name, value)| (name.as_str(), value.as_str()));
    parameters.filter(|(name, _)| FILTERS.contains(name)).collect()
}

/// Returns at most six round times, not too close to the edges.
fn ticks(counts: &Counts) -> Vec<(String, String)> {
    let length = counts.step * i64::try_from(counts.steps.len()).unwrap_or(0);
    let step = TICKS.into_iter().find(|step| length <= step * 6_000_000).unwrap_or(5 * 86_400) * 1_000_000;
    let first = counts.from.div_euclid(step) + 1;
    let label = |at: i64| match step {
        86_400_000_000.. => calendar::day(at),
        ..60_000_000 => calendar::clock_with_seconds(at),
        _ => calendar::clock(at),
    };
    (first..first + 7)
        .map(|number| number * step)
        .map(|at| ((at - counts.from) as f64 / length.max(1) as f64 * 100.0, label(at / 1000)))
        .filter(|(left, _)| (2.0..98.0).contains(left))
        .map(|(left, text)| (format!("{left:.2}%"), text))
        .collect()
}

fn summary(total: u64, by_level: &[u64; LEVELS], counts: &Counts) -> String {
    let numbers: Vec<String> =
        named(by_level).map(|(level, count)| format!("{} at level {level}", words::count(count))).collect();
    let most = counts.steps.iter().enumerate().max_by_key(|(_, step)| step.iter().sum::<u64>());
    let Some((index, step)) = most.filter(|_| total > 0) else { return "No lines.".to_owned() };
    let at = (counts.from + counts.step * i64::try_from(index).unwrap_or(0)) / 1000;
    format!(
        "{}: {}. Most, {}, within {} from {}.",
        words::counted(total, "line"),
        words::list(&numbers),
        words::count(step.iter().sum()),
        words::long_duration(counts.step.unsigned_abs() / 1_000_000),
        calendar::date_and_time(at),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> View {
        let parameters = vec![("range".to_owned(), "1h".to_owned()), ("level".to_owned(), "info".to_owned())];
        View::read("/logs", parameters, 1_796_047_509_000).unwrap()
    }

    #[test]
    fn steps_are_round_and_few() {
        let minute = 60_000_000;
        let cases = [(minute, 1), (15 * minute, 15), (60 * minute, 60), (24 * 60 * minute, 1_800)];
        for (length, seconds) in cases {
            assert_eq!(step_of(length), seconds * 1_000_000, "{length}");
            assert!(length / step_of(length) <= BARS);
        }
        assert_eq!(step_of(31 * 24 * 60 * minute), 43_200_000_000);
    }

    #[test]
    fn bars_are_stacked_from_the_most_severe() {
        let mut steps = vec![[0; LEVELS]; 4];
        steps[1][Level::Info.index()] = 30;
        steps[1][Level::Error.index()] = 10;
        steps[3][Level::Info.index()] = 20;
        let from = 1_796_047_200_000_000;
        let counts = Counts { from, step: 60_000_000, steps };
        let histogram = Histogram::new(&counts, &view());
        assert_eq!(histogram.bars.len(), 2);
        let segments: Vec<_> = histogram.bars[0].segments.iter().map(|(level, ..)| *level).collect();
        assert_eq!(segments, ["error", "info"]);
        assert_eq!(histogram.bars[0].segments[1].1, "0.0");
        assert_eq!(histogram.total, 60);
        let levels: Vec<_> =
            histogram.levels.iter().map(|(level, count, _)| (*level, count.as_str())).collect();
        assert_eq!(levels, [("error", "10"), ("info", "50")]);
        assert!(
            histogram.bars[0].address.contains("from=1796047260000&until=1796047320000&level=info"),
            "{}",
            histogram.bars[0].address
        );
        assert_eq!(
            histogram.summary,
            "60 lines: 10 at level error and 50 at level info. Most, 40, within 1 min from 2026-11-30 14:01:00."
        );
    }

    #[test]
    fn labels_of_times_are_round() {
        let from = 1_796_047_509_000_000 - 3_600_000_000;
        let counts = Counts { from, step: 60_000_000, steps: vec![[0; LEVELS]; 60] };
        let texts: Vec<String> = ticks(&counts).into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, ["13:10", "13:20", "13:30", "13:40", "13:50", "14:00"]);
    }

    #[test]
    fn nothing_is_said_about_no_lines() {
        let counts = Counts { from: 0, step: 1_000_000, steps: vec![[0; LEVELS]; 60] };
        let histogram = Histogram::new(&counts, &view());
        assert!(histogram.bars.is_empty() && histogram.levels.is_empty());
        assert_eq!(histogram.summary, "No lines.");
    }
}
