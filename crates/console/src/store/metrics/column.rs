//! Columns of numbers or histograms, and a decoder for both.

use std::sync::Arc;

use super::histograms::{self, Columns, HistogramColumn};
use super::numbers::{NumberColumn, Runs};
use super::{DropReason, Histogram, Points, Value};

const NUMBERS: u8 = 1;
const HISTOGRAMS: u8 = 2;

/// Kind of the samples of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Kind {
    Numbers,
    Histograms,
}

impl Kind {
    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Number(_) => Self::Numbers,
            Value::Histogram(_) => Self::Histograms,
        }
    }

    pub(super) fn no_points(self) -> Points {
        match self {
            Self::Numbers => Points::Numbers(Vec::new()),
            Self::Histograms => Points::Histograms(Vec::new()),
        }
    }
}

/// A growing column, with a sample or a gap for each tick of a clock.
#[derive(Clone, Debug)]
pub(super) enum Column {
    Numbers(NumberColumn),
    Histograms(Box<HistogramColumn>),
}

impl Column {
    pub(super) fn new(kind: Kind) -> Self {
        match kind {
            Kind::Numbers => Self::Numbers(NumberColumn::default()),
            Kind::Histograms => Self::Histograms(Box::default()),
        }
    }

    pub(super) fn len(&self) -> u32 {
        match self {
            Self::Numbers(column) => column.len(),
            Self::Histograms(column) => column.len(),
        }
    }

    /// Returns the number of ticks that have a sample.
    pub(super) fn samples(&self) -> u32 {
        match self {
            Self::Numbers(column) => column.samples(),
            Self::Histograms(column) => column.samples(),
        }
    }

    pub(super) fn memory(&self) -> usize {
        match self {
            Self::Numbers(column) => column.memory(),
            Self::Histograms(column) => column.memory(),
        }
    }

    /// Adds a sample at the last tick or a later one. Accepts a repetition of the newest sample, because
    /// parts of one collection may overlap.
    pub(super) fn push(&mut self, tick: u32, value: &Value) -> Result<(), DropReason> {
        let Some(gap) = tick.checked_sub(self.len()) else {
            let is_newest = tick + 1 == self.len() && self.is_last(value);
            return if is_newest { Ok(()) } else { Err(DropReason::OutOfOrder) };
        };
        match (self, value) {
            (Self::Numbers(column), Value::Number(number)) => {
                column.push_gap(gap);
                column.push(*number);
            }
            (Self::Histograms(column), Value::Histogram(histogram)) => {
                column.push_gap(gap);
                column.push(Arc::clone(histogram));
            }
            // Unreachable, because the kind is part of the identity of a series.
            _ => return Err(DropReason::OutOfOrder),
        }
        Ok(())
    }

    fn is_last(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Numbers(column), Value::Number(number)) => column.last().to_bits() == number.to_bits(),
            (Self::Histograms(column), Value::Histogram(histogram)) => {
                histograms::same(column.last(), histogram)
            }
            _ => false,
        }
    }

    /// Appends the encoded column.
    pub(super) fn pack(&self, out: &mut Vec<u8>) {
        match self {
            Self::Numbers(column) => {
                out.push(NUMBERS);
                column.pack(out);
            }
            Self::Histograms(column) => {
                out.push(HISTOGRAMS);
                column.pack(out);
            }
        }
    }
}

/// A sample of an encoded column.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unpacked<'a> {
    Number(f64),
    Histogram(&'a Arc<Histogram>),
}

/// Finds the columns of histograms; `None` if the column has other samples or is damaged.
pub(super) fn histograms(bytes: &[u8]) -> Option<Columns<'_>> {
    match bytes.split_first()? {
        (&HISTOGRAMS, bytes) => Columns::parse(bytes),
        _ => None,
    }
}

/// Decodes a column: calls `visit` with a first tick, the tick after the last, and the sample of these
/// ticks.
pub(super) fn unpack(bytes: &[u8], mut visit: impl FnMut(u32, u32, Unpacked<'_>)) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let mut tick = 0_u32;
    match *kind {
        NUMBERS => {
            for run in Runs::new(bytes) {
                let end = tick.saturating_add(run.ticks);
                if let Some(number) = run.number {
                    visit(tick, end, Unpacked::Number(number));
                }
                tick = end;
            }
        }
        HISTOGRAMS => {
            let _ = histograms::unpack(bytes, |ticks, histogram| {
                let end = tick.saturating_add(ticks);
                if let Some(histogram) = histogram {
                    visit(tick, end, Unpacked::Histogram(histogram));
                }
                tick = end;
            });
        }
        _ => {}
    }
}
