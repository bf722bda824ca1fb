//! Reads how the histograms of a series change within windows, without decoding them all.
//!
//! A histogram has over a hundred buckets, each with a column of its own. Each column is walked once: it yields its
//! numbers at the edges of windows, and the ticks at which its count fell.

use std::borrow::Cow;
use std::ops::Range;

use super::block::Block;
use super::histograms::{Columns, total_count};
use super::numbers::{Runs, read_at};
use super::{FindWindows, Histogram, WindowChange, WindowChanges, is_stale};

/// Number of buckets for which a change has room at first.
const USUAL_BUCKETS: usize = 32;

/// The samples of a series in one block.
pub(super) struct Part<'a> {
    pub(super) block: Cow<'a, Block>,
    pub(super) slot: usize,
}

/// The samples of a part within the range.
struct Stretch<'a> {
    columns: Columns<'a>,
    /// Position of the first sample among those of all parts.
    start: usize,
    /// Tick of each sample.
    ticks: Vec<u32>,
}

/// The samples of all parts.
#[derive(Default)]
struct Timeline<'a> {
    times: Vec<i64>,
    stretches: Vec<Stretch<'a>>,
    /// Positions whose histograms must be compared with those before them to find resets: those before them
    /// are in another block, or a mark is between them.
    compared: Vec<usize>,
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
    let mut timeline = Timeline::default();
    for part in parts {
        timeline.add(part, after, until);
    }
    let Timeline { times, stretches, compared } = timeline;
    let windows = windows(&times);
    let mut reader = Reader::new(&windows, detailed);
    reader.wanted = compared.iter().flat_map(|position| [position - 1, *position]).collect();
    reader.wanted.dedup();
    for stretch in &stretches {
        reader.add(stretch);
    }
    let Reader { changes, mut fell, found, .. } = reader;

    fell.sort_unstable();
    fell.dedup();
    fell.retain(|position| *position > 0 && compared.binary_search(position).is_err());
    let of = |position| Some(&found[found.binary_search_by_key(&position, |(known, _)| *known).ok()?].1);
    let is_reset = |position: &usize| {
        of(*position).zip(of(position - 1)).is_some_and(|(now, before)| now.is_reset(before))
    };
    let between = compared.into_iter().filter(is_reset);
    let mut resets: Vec<usize> = fell.into_iter().chain(between).collect();
    resets.sort_unstable();
    WindowChanges { times, changes, resets: before_resets(&stretches, &resets) }
}

/// Returns positions with the histogram before each.
fn before_resets(stretches: &[Stretch<'_>], resets: &[usize]) -> Vec<(usize, Histogram)> {
    if resets.is_empty() {
        return Vec::new();
    }
    let mut reader = Reader::new(&[], false);
    reader.wanted = resets.iter().map(|position| position - 1).collect();
    for stretch in stretches {
        reader.add(stretch);
    }
    reader.found.into_iter().map(|(position, histogram)| (position + 1, histogram)).collect()
}

impl<'a> Timeline<'a> {
    fn add(&mut self, part: &'a Part<'_>, after: i64, until: i64) {
        let Some(columns) = part.block.histograms(part.slot) else { return };
        let within = part.block.within(after, until);
        let start = self.times.len();
        self.times.reserve(within.len());
        let compares_all = columns.has_explicit_counts();
        let (mut tick, mut follows, mut ticks) = (0_usize, false, Vec::with_capacity(within.len()));
        for run in Runs::new(columns.sum) {
            let end = tick.saturating_add(run.ticks as usize);
            let covered = tick.max(within.start)..end.min(within.end);
            tick = end;
            let Some(sum) = run.number else { continue };
            if is_stale(sum) {
                follows = false;
                continue;
            }
            for tick in covered {
                if (!follows || compares_all) && !self.times.is_empty() {
                    self.compared.push(self.times.len());
                }
                follows = true;
                self.times.push(part.block.time(tick));
                ticks.push(tick as u32);
            }
        }
        self.stretches.push(Stretch { columns, start, ticks });
    }
}

/// Reads the stretches of a series, oldest first.
struct Reader<'w> {
    /// Positions of the first and the last sample of each window. Both rise.
    windows: &'w [(usize, usize)],
    detailed: bool,
    /// Positions of samples to decode as a whole, in ascending order.
    wanted: Vec<usize>,
    /// The decoded samples.
    found: Vec<(usize, Histogram)>,
    /// The samples at the start of windows.
    firsts: Vec<Totals>,
    /// Counts at the start of windows that began in an earlier stretch and have not ended, by bucket and window.
    /// Those that are missing are zero.
    carried: Vec<Carried>,
    changes: Vec<WindowChange>,
    /// Positions of samples of which a count is smaller than before, in any order.
    fell: Vec<usize>,
}

/// A sample without its buckets.
#[derive(Clone, Copy, Default)]
struct Totals {
    count: f64,
    sum: f64,
    zero_count: f64,
}

/// Count of a bucket at the start of a window.
#[derive(Clone, Copy)]
struct Carried {
    bucket: i32,
    window: usize,
    count: f64,
}

/// The windows that begin or end within a stretch.
struct Here {
    begin: Range<usize>,
    end: Range<usize>,
    /// For each window that begins or ends, the place of its sample among those that are read.
    first_places: Vec<usize>,
    last_places: Vec<usize>,
}

impl<'w> Reader<'w> {
    fn new(windows: &'w [(usize, usize)], detailed: bool) -> Self {
        Self {
            windows,
            detailed,
            wanted: Vec::new(),
            found: Vec::new(),
            firsts: vec![Totals::default(); windows.len()],
            carried: Vec::new(),
            changes: vec![WindowChange::default(); windows.len()],
            fell: Vec::new(),
        }
    }

    fn add(&mut self, stretch: &Stretch<'_>) {
        let Stretch { columns, start, ticks } = stretch;
        let positions = *start..start + ticks.len();
        let begin = within(self.windows, |window| window.0, &positions);
        let end = within(self.windows, |window| window.1, &positions);
        let wanted = within(&self.wanted, |position| *position, &positions);
        let mut read: Vec<usize> = self.windows[begin.clone()].iter().map(|window| window.0).collect();
        read.extend(self.windows[end.clone()].iter().map(|window| window.1));
        read.extend(&self.wanted[wanted.clone()]);
        read.sort_unstable();
        read.dedup();
        let place = |position: usize| read.partition_point(|known| *known < position);
        let first_places = self.windows[begin.clone()].iter().map(|window| place(window.0)).collect();
        let last_places = self.windows[end.clone()].iter().map(|window| place(window.1)).collect();
        let here = Here { begin, end, first_places, last_places };
        let wanted_places: Vec<usize> = self.wanted[wanted.clone()].iter().map(|at| place(*at)).collect();

        let read_ticks: Vec<u32> = read.iter().map(|position| ticks[position - start]).collect();
        let fell = |fell: &mut Vec<usize>, tick| fell.extend(ticks.binary_search(&tick).map(|at| start + at));
        let numbers = || vec![0.0; read.len()];
        let (mut sums, mut zero_counts, mut explicit, mut values) =
            (numbers(), numbers(), numbers(), numbers());
        read_at(columns.sum, &read_ticks, &mut sums, |_| {});
        read_at(columns.zero_count, &read_ticks, &mut zero_counts, |tick| fell(&mut self.fell, tick));
        read_at(columns.count, &read_ticks, &mut explicit, |_| {});
        let mut counts = numbers();
        let mut whole = vec![Vec::with_capacity(columns.buckets.len()); wanted_places.len()];
        let mut carried = std::mem::take(&mut self.carried).into_iter().peekable();
        for (bucket, column) in &columns.buckets {
            let varies = read_at(column, &read_ticks, &mut values, |tick| fell(&mut self.fell, tick));
            counts.iter_mut().zip(&values).for_each(|(total, count)| *total += count);
            for (buckets, place) in whole.iter_mut().zip(&wanted_places) {
                if values[*place] != 0.0 {
                    buckets.push((*bucket, values[*place]));
                }
            }
            if self.detailed {
                while let Some(without_column) = carried.next_if(|earlier| earlier.bucket < *bucket) {
                    self.pass(without_column, &here);
                }
                let of_bucket = || carried.next_if(|earlier| earlier.bucket == *bucket);
                self.add_bucket(*bucket, &values, varies, &here, of_bucket);
            }
        }
        carried.for_each(|without_column| self.pass(without_column, &here));

        let totals = |place: usize| Totals {
            count: total_count(explicit[place], zero_counts[place] + counts[place]),
            sum: sums[place],
            zero_count: zero_counts[place],
        };
        for ((position, place), buckets) in self.wanted[wanted].iter().zip(wanted_places).zip(whole) {
            let Totals { count, sum, zero_count } = totals(place);
            self.found.push((*position, Histogram { count, sum, zero_count, buckets }));
        }
        for (window, place) in here.begin.clone().zip(&here.first_places) {
            self.firsts[window] = totals(*place);
        }
        for (window, place) in here.end.clone().zip(&here.last_places) {
            let (first, last) = (self.firsts[window], totals(*place));
            let WindowChange { first_count, change } = &mut self.changes[window];
            *first_count = first.count;
            change.count = last.count - first.count;
            change.sum = last.sum - first.sum;
            change.zero_count = last.zero_count - first.zero_count;
        }
    }

    /// Adds the changes of a bucket. `values` are its counts at the places of `here`; they are equal unless
    /// `varies` is set. `carried` returns its counts at the start of earlier windows, one after the other.
    fn add_bucket(
        &mut self,
        bucket: i32,
        values: &[f64],
        varies: bool,
        here: &Here,
        mut carried: impl FnMut() -> Option<Carried>,
    ) {
        let first = |window: usize| values[here.first_places[window - here.begin.start]];
        let last = |window: usize| values[here.last_places[window - here.end.start]];
        let mut next = carried();
        for window in here.ending() {
            let before = next.filter(|earlier| earlier.window == window);
            if before.is_some() {
                next = carried();
            }
            push(
                &mut self.changes,
                window,
                bucket,
                last(window) - before.map_or(0.0, |earlier| earlier.count),
            );
        }
        while let Some(lasting) = next {
            self.carried.push(lasting);
            next = carried();
        }
        if varies {
            for window in here.begin.start.max(here.end.start)..here.begin.end.min(here.end.end) {
                push(&mut self.changes, window, bucket, last(window) - first(window));
            }
        }
        for window in here.beginning().filter(|window| first(*window) != 0.0) {
            self.carried.push(Carried { bucket, window, count: first(window) });
        }
    }

    /// Ends or keeps the window of a bucket that has no column here: it is zero now.
    fn pass(&mut self, carried: Carried, here: &Here) {
        if here.ending().contains(&carried.window) {
            push(&mut self.changes, carried.window, carried.bucket, -carried.count);
        } else {
            self.carried.push(carried);
        }
    }
}

impl Here {
    /// Returns the windows that began in an earlier stretch and end in this one.
    fn ending(&self) -> Range<usize> {
        self.end.start..self.end.end.min(self.begin.start)
    }

    /// Returns the windows that begin in this stretch and end in a later one.
    fn beginning(&self) -> Range<usize> {
        self.begin.start.max(self.end.end)..self.begin.end
    }
}

fn push(changes: &mut [WindowChange], window: usize, bucket: i32, change: f64) {
    if change != 0.0 {
        let buckets = &mut changes[window].change.buckets;
        if buckets.capacity() == 0 {
            buckets.reserve(USUAL_BUCKETS);
        }
        buckets.push((bucket, change));
    }
}

/// Returns the range of the items whose keys, which rise, are within a range.
fn within<T>(items: &[T], key: impl Fn(&T) -> usize, range: &Range<usize>) -> Range<usize> {
    let before = |bound: usize| items.partition_point(|item| key(item) < bound);
    before(range.start)..before(range.end)
}
