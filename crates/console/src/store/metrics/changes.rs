//! Reads how the histograms of a series change within windows, without decoding them.
//!
//! A histogram has over a hundred buckets, each with a column of its own. Each column is walked once: it yields the
//! changes of its count, most of which belong to one window.

use std::borrow::Cow;
use std::ops::Range;

use super::block::Block;
use super::histograms::{Columns, total_count};
use super::numbers::{Runs, each_change};
use super::samples::added;
use super::{FindWindows, Histogram, Points, WindowChange, WindowChanges, is_stale};

/// Number of buckets for which a change has room at first.
const USUAL_BUCKETS: usize = 32;

/// The samples of a series in one block.
pub(super) struct Part<'a> {
    pub(super) block: Cow<'a, Block>,
    pub(super) slot: usize,
}

/// Reads the parts of a series, oldest first, in a range of time that excludes its start. See
/// [`MetricSource::read_counter`](super::MetricSource::read_counter).
pub(super) fn read(
    parts: &[Part<'_>],
    after: i64,
    until: i64,
    detailed: bool,
    windows: &FindWindows<'_>,
) -> WindowChanges {
    let (mut times, mut stretches) = (Vec::new(), Vec::new());
    for part in parts {
        stretches.extend(Stretch::new(part, after, until, &mut times));
    }
    let windows = windows(&times);
    let mut reader = Reader::new(&windows, detailed);
    for (position, stretch) in stretches.iter().enumerate() {
        let goes_on = stretches.get(position + 1).is_none_or(Stretch::continues);
        if stretch.continues() && goes_on && !reader.has_edges(stretch) {
            reader.passed = true;
        } else {
            reader.add(stretch);
        }
    }
    let Reader { mut changes, mut fell, .. } = reader;
    for window in &mut changes {
        window.change.buckets.retain(|(_, change)| *change != 0.0);
    }
    fell.sort_unstable();
    fell.dedup();
    let resets = before_resets(&stretches, &fell, after, until);
    WindowChanges { times, changes, resets }
}

/// Returns positions with the histogram before each.
fn before_resets(
    stretches: &[Stretch<'_>],
    resets: &[usize],
    after: i64,
    until: i64,
) -> Vec<(usize, Histogram)> {
    let mut found = Vec::new();
    for stretch in stretches {
        let here = within(resets, |reset| reset - 1, &stretch.range());
        if here.is_empty() {
            continue;
        }
        let mut points = Points::Histograms(Vec::new());
        stretch.part.block.read(stretch.part.slot, after, until, &mut points);
        if let Points::Histograms(points) = points.without_marks() {
            let before = |reset: &usize| Histogram::clone(&points[reset - 1 - stretch.start].1);
            found.extend(resets[here].iter().map(|reset| (*reset, before(reset))));
        }
    }
    found
}

/// The samples of a part within the range; at least one.
struct Stretch<'a> {
    part: &'a Part<'a>,
    columns: Columns<'a>,
    /// Position of the first sample among those of all parts.
    start: usize,
    /// Time of the sample before, if there is one.
    before: Option<i64>,
    /// Set if the last sample of the part is within the range.
    is_whole: bool,
    /// The sums of the samples.
    sums: Vec<f64>,
    /// For each tick until the last sample, which of the samples is at it, or the next after it.
    sample_at: Vec<usize>,
}

impl<'a> Stretch<'a> {
    /// Adds the times of the samples to `times`. Marks are no samples.
    fn new(part: &'a Part<'a>, after: i64, until: i64, times: &mut Vec<i64>) -> Option<Self> {
        let columns = part.block.histograms(part.slot)?;
        let within = part.block.within(after, until);
        let (start, before) = (times.len(), times.last().copied());
        let is_whole = within.end == part.block.len();
        let (mut sums, mut sample_at) = (Vec::with_capacity(within.len()), Vec::with_capacity(within.end));
        times.reserve(within.len());
        let mut tick = 0_usize;
        for run in Runs::new(columns.sum) {
            let end = tick.saturating_add(run.ticks as usize);
            let covered = tick.max(within.start)..end.min(within.end);
            tick = end;
            if let Some(sum) = run.number.filter(|sum| !is_stale(*sum))
                && !covered.is_empty()
            {
                let (known, all) = (sums.len(), sums.len() + covered.len());
                sums.resize(all, sum);
                sample_at.resize(covered.start, known);
                sample_at.extend(known..all);
                times.extend(part.block.times(covered));
            }
        }
        let stretch = Self { part, columns, start, before, is_whole, sums, sample_at };
        (!stretch.sums.is_empty()).then_some(stretch)
    }

    /// Returns whether it is known that no count falls here, also from the sample before.
    fn continues(&self) -> bool {
        self.before.is_some_and(|before| self.part.block.continues(self.part.slot, before))
    }

    /// Returns the positions among the samples of all parts.
    fn range(&self) -> Range<usize> {
        self.start..self.start + self.sums.len()
    }

    /// Calls `visit` for the first sample, and for each other whose number may differ from that of the sample
    /// before it, with the sample, its number and the change. Returns the last number. `before` is the number of
    /// the sample before the first one, if there is one.
    fn each_change(
        &self,
        column: &[u8],
        mut before: Option<f64>,
        mut visit: impl FnMut(usize, f64, f64),
    ) -> f64 {
        let (mut sample, mut number) = (0, 0.0);
        let mut pass = |sample: usize, number: f64| {
            visit(sample, number, number - before.unwrap_or(number));
            before = Some(number);
        };
        each_change(column, |tick, next| {
            let Some(at) = self.sample_at.get(tick as usize) else { return false };
            if *at > sample {
                pass(sample, number);
                sample = *at;
            }
            number = next;
            true
        });
        pass(sample, number);
        number
    }

    /// Returns the number of each sample.
    fn numbers(&self, column: &[u8]) -> Vec<f64> {
        let mut numbers = Vec::with_capacity(self.sums.len());
        let mut current = 0.0;
        self.each_change(column, None, |sample, number, _| {
            numbers.resize(sample, current);
            current = number;
        });
        numbers.resize(self.sums.len(), current);
        numbers
    }
}

/// A sample without its buckets.
#[derive(Clone, Copy, Default)]
struct Totals {
    count: f64,
    sum: f64,
    zero_count: f64,
}

/// The last sample of the stretches before.
struct Before {
    count: f64,
    zero_count: f64,
    buckets: Vec<(i32, f64)>,
}

/// Reads the stretches of a series, oldest first.
struct Reader<'w> {
    /// Positions of the first and the last sample of each window. Both rise.
    windows: &'w [(usize, usize)],
    detailed: bool,
    before: Option<Before>,
    /// Set if stretches were left out after `before`. No count falls in them.
    passed: bool,
    /// The samples at the start of windows.
    firsts: Vec<Totals>,
    changes: Vec<WindowChange>,
    /// For each window, the number of its buckets with changes in earlier stretches.
    joined: Vec<usize>,
    /// Positions of samples of which a count is smaller than before, in any order.
    fell: Vec<usize>,
}

impl<'w> Reader<'w> {
    fn new(windows: &'w [(usize, usize)], detailed: bool) -> Self {
        Self {
            windows,
            detailed,
            before: None,
            passed: false,
            firsts: vec![Totals::default(); windows.len()],
            changes: vec![WindowChange::default(); windows.len()],
            joined: vec![0; windows.len()],
            fell: Vec::new(),
        }
    }

    fn add(&mut self, stretch: &Stretch<'_>) {
        let (columns, start, known_falls) = (&stretch.columns, stretch.start, self.fell.len());
        let open = self.open_windows(stretch);
        let before = self.before.take();
        let count_before = before.as_ref().map(|before| before.count);
        let zero_before = before.as_ref().map(|before| before.zero_count);
        let none_before = before.is_some().then_some(0.0);

        // Changes at first; below, they are added up.
        let mut zero_counts = vec![0.0; stretch.sums.len()];
        stretch.each_change(columns.zero_count, zero_before, |sample, number, change| {
            zero_counts[sample] += if sample == 0 { number } else { change };
            if change < 0.0 {
                self.fell.push(start + sample);
            }
        });
        let mut counts = zero_counts.clone();
        let mut visit = |bucket: i32, sample: usize, number: f64, change: f64| {
            counts[sample] += if sample == 0 { number } else { change };
            if change < 0.0 {
                self.fell.push(start + sample);
            }
            if change != 0.0 && self.detailed {
                for window in &mut self.changes[open[sample].clone()] {
                    push(&mut window.change.buckets, bucket, change);
                }
            }
        };
        let mut buckets = Vec::with_capacity(columns.buckets.len());
        let mut earlier = before.into_iter().flat_map(|before| before.buckets).peekable();
        for (bucket, column) in &columns.buckets {
            while let Some((gone, count)) = earlier.next_if(|(other, _)| other < bucket) {
                visit(gone, 0, 0.0, -count);
            }
            let before = earlier.next_if(|(other, _)| other == bucket).map(|(_, count)| count);
            let last = stretch.each_change(column, before.or(none_before), |sample, number, change| {
                visit(*bucket, sample, number, change);
            });
            buckets.push((*bucket, last));
        }
        earlier.for_each(|(gone, count)| visit(gone, 0, 0.0, -count));
        buckets.retain(|(_, count)| *count != 0.0);

        add_up(&mut zero_counts);
        add_up(&mut counts);
        if columns.has_explicit_counts() {
            let explicit = stretch.numbers(columns.count);
            counts
                .iter_mut()
                .zip(explicit)
                .for_each(|(count, explicit)| *count = total_count(explicit, *count));
        }
        let counts_before = count_before.into_iter().chain(counts.iter().copied());
        let skipped = usize::from(count_before.is_none());
        for (sample, (before, now)) in counts_before.zip(&counts[skipped..]).enumerate() {
            if *now < before {
                self.fell.push(start + skipped + sample);
            }
        }
        let totals = |position: usize| {
            let sample = position - start;
            Totals { count: counts[sample], sum: stretch.sums[sample], zero_count: zero_counts[sample] }
        };
        self.begin_and_end(stretch, totals);
        self.join(&open);
        let last = totals(stretch.range().end - 1);
        self.before = Some(Before { count: last.count, zero_count: last.zero_count, buckets });
        if let Some(before) = stretch.before
            && stretch.is_whole
            && self.fell.len() == known_falls
            && !self.passed
        {
            stretch.part.block.set_continues(stretch.part.slot, before);
        }
        self.passed = false;
    }

    /// Returns whether a window begins or ends in a stretch.
    fn has_edges(&self, stretch: &Stretch<'_>) -> bool {
        let range = stretch.range();
        !within(self.windows, |(first, _)| *first, &range).is_empty()
            || !within(self.windows, |(_, last)| *last, &range).is_empty()
    }

    /// Returns for each sample the windows that contain it and the sample before it; nothing if no buckets are
    /// wanted.
    fn open_windows(&self, stretch: &Stretch<'_>) -> Vec<Range<usize>> {
        if !self.detailed {
            return Vec::new();
        }
        let windows = self.windows;
        let mut begun = windows.partition_point(|(first, _)| *first < stretch.start);
        let mut ended = windows.partition_point(|(_, last)| *last < stretch.start);
        let open = |position: usize| {
            while windows.get(begun).is_some_and(|(first, _)| *first < position) {
                begun += 1;
            }
            while windows.get(ended).is_some_and(|(_, last)| *last < position) {
                ended += 1;
            }
            ended.min(begun)..begun
        };
        stretch.range().map(open).collect()
    }

    /// Sets the totals of the windows that begin or end in a stretch.
    fn begin_and_end(&mut self, stretch: &Stretch<'_>, totals: impl Fn(usize) -> Totals) {
        for window in within(self.windows, |(first, _)| *first, &stretch.range()) {
            self.firsts[window] = totals(self.windows[window].0);
        }
        for window in within(self.windows, |(_, last)| *last, &stretch.range()) {
            let (first, last) = (self.firsts[window], totals(self.windows[window].1));
            let WindowChange { first_count, change } = &mut self.changes[window];
            *first_count = first.count;
            change.count = last.count - first.count;
            change.sum = last.sum - first.sum;
            change.zero_count = last.zero_count - first.zero_count;
        }
    }

    /// Joins the changes of a stretch with those of earlier ones.
    fn join(&mut self, open: &[Range<usize>]) {
        let (Some(first), Some(last)) = (open.first(), open.last()) else { return };
        for window in first.start..last.end {
            let buckets = &mut self.changes[window].change.buckets;
            let joined = &mut self.joined[window];
            if (1..buckets.len()).contains(joined) {
                *buckets = added(&buckets[..*joined], &buckets[*joined..], 1.0);
            }
            *joined = buckets.len();
        }
    }
}

/// Adds a change of a bucket after those of lower buckets.
fn push(buckets: &mut Vec<(i32, f64)>, bucket: i32, change: f64) {
    match buckets.last_mut() {
        Some((last, sum)) if *last == bucket => *sum += change,
        _ => {
            if buckets.capacity() == 0 {
                buckets.reserve(USUAL_BUCKETS);
            }
            buckets.push((bucket, change));
        }
    }
}

/// Replaces each number by the sum of those until it.
fn add_up(numbers: &mut [f64]) {
    let mut total = 0.0;
    for number in numbers {
        total += *number;
        *number = total;
    }
}

/// Returns the range of the items whose keys, which rise, are within a range.
fn within<T>(items: &[T], key: impl Fn(&T) -> usize, range: &Range<usize>) -> Range<usize> {
    let before = |bound: usize| items.partition_point(|item| key(item) < bound);
    before(range.start)..before(range.end)
}
