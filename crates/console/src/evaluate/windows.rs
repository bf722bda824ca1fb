//! Windows that advance along the samples of a series.

use super::range::Range;

/// A window of time, open at the start and closed at the end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) after: i64,
    pub(super) until: i64,
}

impl Window {
    /// Returns the length in seconds.
    pub(super) fn seconds(self) -> f64 {
        seconds(self.until - self.after)
    }
}

pub(super) fn seconds(milliseconds: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "Unix times in milliseconds have 41 bits")]
    let milliseconds = milliseconds as f64;
    milliseconds / 1000.0
}

/// The windows of all steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Windows {
    pub(super) range: Range,
    pub(super) steps: usize,
    /// Length in milliseconds.
    pub(super) length: i64,
    /// Time in milliseconds between the end of a window and its step.
    pub(super) offset: i64,
    /// Set if all windows end at the end of the range.
    pub(super) at_end: bool,
}

impl Windows {
    pub(super) fn window(&self, step: usize) -> Window {
        let at = if self.at_end { self.range.end } else { self.range.at(step) };
        let until = at.saturating_sub(self.offset);
        Window { after: until.saturating_sub(self.length), until }
    }

    /// Returns the same windows, in the same form however one at the end of a range was described.
    pub(super) fn normalized(self) -> Self {
        if self.at_end && self.steps == 1 {
            Self { range: Range::instant(self.range.end), at_end: false, ..self }
        } else {
            self
        }
    }

    /// Returns the range that covers all windows.
    pub(super) fn whole(&self) -> Window {
        Window { after: self.window(0).after, until: self.window(self.steps - 1).until }
    }

    /// Calls `each` for each step with the positions of the samples within its window.
    pub(super) fn for_each<P>(
        &self,
        points: &[(i64, P)],
        each: impl FnMut(usize, Window, std::ops::Range<usize>),
    ) {
        self.advance(points.len(), |position| points[position].0, each);
    }

    /// Calls `each` for each step with the positions of the times within its window.
    pub(super) fn for_each_of(&self, times: &[i64], each: impl FnMut(usize, Window, std::ops::Range<usize>)) {
        self.advance(times.len(), |position| times[position], each);
    }

    /// Returns the positions of the first and the last sample of each window with at least two samples.
    pub(super) fn edges(&self, times: &[i64]) -> Vec<(usize, usize)> {
        let mut edges = Vec::with_capacity(self.steps);
        self.for_each_of(times, |_, _, inside| {
            if inside.len() > 1 {
                edges.push((inside.start, inside.end - 1));
            }
        });
        edges
    }

    fn advance(
        &self,
        count: usize,
        time: impl Fn(usize) -> i64,
        mut each: impl FnMut(usize, Window, std::ops::Range<usize>),
    ) {
        let (mut from, mut to) = (0, 0);
        for step in 0..self.steps {
            let window = self.window(step);
            while to < count && time(to) <= window.until {
                to += 1;
            }
            while from < to && time(from) <= window.after {
                from += 1;
            }
            each(step, window, from..to);
        }
    }
}
