//! Queries of the results of recording rules.

use std::time::Duration;

use super::{Expression, Grouping, RangeFunction, Scale, Selection, Source, Vector, Window};

/// A recording rule, which stores the result of a query under a name.
pub struct Recording<G> {
    /// Name by the convention `level:metric:operation`.
    pub name: &'static str,
    /// Query whose result is stored.
    pub query: fn(Scale) -> Vector<G>,
}

impl<G: Grouping> Recording<G> {
    fn series(&self) -> Selection {
        Selection {
            name: self.name.to_owned(),
            source: Source::Rules,
            matchers: Vec::new(),
            offset: None,
            at_end: false,
        }
    }

    fn over(&self, function: RangeFunction, window: impl Into<Window>) -> Vector<G> {
        Vector::new(Expression::Range { function, of: self.series(), window: window.into() })
    }

    /// Reads the current values.
    pub fn now(&self) -> Vector<G> {
        Vector::new(Expression::Instant(self.series()))
    }

    /// Returns the mean over a window.
    pub fn average(&self, window: impl Into<Window>) -> Vector<G> {
        self.over(RangeFunction::Average, window)
    }

    /// Returns the mean over a window, as it was this long ago.
    pub fn average_before(&self, window: Duration, ago: Duration) -> Vector<G> {
        let of = Selection { offset: Some(ago), ..self.series() };
        Vector::new(Expression::Range { function: RangeFunction::Average, of, window: window.into() })
    }

    /// Sums all samples within a window. For a rate recorded at fixed intervals, this sum times the
    /// interval is the number of events, even if the window reaches back before the first sample.
    pub fn total(&self, window: Duration) -> Vector<G> {
        self.over(RangeFunction::Sum, window)
    }

    /// Returns the number of samples within a window.
    pub fn samples_in(&self, window: impl Into<Window>) -> Vector<G> {
        self.over(RangeFunction::Count, window)
    }
}
