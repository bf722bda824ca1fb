//! A block: the encoded columns of one clock over a number of ticks. It is immutable.

use std::ops::Range;
use std::sync::Arc;

use super::column::{Unpacked, histograms, unpack};
use super::continuity::Continuity;
use super::histograms::Columns;
use super::varint::{Reader, put, put_bytes};
use super::{Points, Value};

/// Maximum number of ticks accepted in a block from disk.
const MOST_TICKS: usize = 1 << 16;

/// Encoded columns. The columns of slots that have no samples are empty.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Block {
    /// Time of the first tick, in Unix milliseconds.
    first: i64,
    /// Offsets of all ticks from the first, in milliseconds.
    ticks: Box<[u32]>,
    /// End of each slot's column.
    ends: Box<[u32]>,
    columns: Box<[u8]>,
    samples: u64,
    continuity: Continuity,
}

impl Block {
    /// Creates a block from at least one tick in ascending order, the column of each slot, and the number of
    /// samples in all columns.
    pub(super) fn new<'a>(times: &[i64], columns: impl Iterator<Item = &'a [u8]>, samples: u64) -> Self {
        let first = times.first().copied().unwrap_or_default();
        let (mut ends, mut bytes) = (Vec::new(), Vec::new());
        for column in columns {
            bytes.extend_from_slice(column);
            ends.push(bytes.len() as u32);
        }
        let ticks = times.iter().map(|at| (at - first).clamp(0, i64::from(u32::MAX)) as u32).collect();
        Self {
            first,
            ticks,
            ends: ends.into(),
            columns: bytes.into(),
            samples,
            continuity: Continuity::default(),
        }
    }

    /// Returns the block with its columns assigned to new slots.
    pub(super) fn with_slots(&self, slot_of: &[Option<u32>]) -> Self {
        let slots = slot_of.iter().flatten().max().map_or(0, |slot| *slot as usize + 1);
        let mut columns: Vec<&[u8]> = vec![&[]; slots];
        for (old, new) in slot_of.iter().enumerate() {
            if let Some(new) = new {
                columns[*new as usize] = self.column(old);
            }
        }
        let times: Vec<i64> = (0..self.len()).map(|tick| self.time(tick)).collect();
        Self::new(&times, columns.into_iter(), self.samples)
    }

    /// Returns the number of samples.
    pub(super) fn samples(&self) -> u64 {
        self.samples
    }

    pub(super) fn memory(&self) -> usize {
        let numbers = (self.ticks.len() + self.ends.len()) * size_of::<u32>();
        size_of::<Self>() + numbers + self.columns.len() + self.continuity.memory()
    }

    /// Returns the number of ticks.
    pub(super) fn len(&self) -> usize {
        self.ticks.len()
    }

    pub(super) fn first(&self) -> i64 {
        self.first
    }

    pub(super) fn last(&self) -> i64 {
        self.first + i64::from(self.ticks.last().copied().unwrap_or_default())
    }

    pub(super) fn time(&self, tick: usize) -> i64 {
        self.first + i64::from(self.ticks[tick])
    }

    /// Returns the times of some ticks.
    pub(super) fn times(&self, ticks: Range<usize>) -> impl Iterator<Item = i64> {
        self.ticks[ticks].iter().map(|tick| self.first + i64::from(*tick))
    }

    /// Returns the number of slots.
    pub(super) fn slots(&self) -> usize {
        self.ends.len()
    }

    /// Returns the encoded column of a slot; empty if it has none.
    pub(super) fn column(&self, slot: usize) -> &[u8] {
        let Some(end) = self.ends.get(slot) else { return &[] };
        let start = slot.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.columns[start as usize..*end as usize]
    }

    /// Returns the columns of a slot's histograms; `None` if it has none.
    pub(super) fn histograms(&self, slot: usize) -> Option<Columns<'_>> {
        histograms(self.column(slot))
    }

    /// Returns whether the counter in a slot is known to go on without a reset since the sample of this time
    /// before the block.
    pub(super) fn continues(&self, slot: usize, before: i64) -> bool {
        self.continuity.is_since(slot, before)
    }

    /// Remembers that the counter in a slot goes on without a reset since the sample of this time.
    pub(super) fn set_continues(&self, slot: usize, before: i64) {
        self.continuity.set(self.slots(), slot, before);
    }

    /// Returns the ticks in a range of time that excludes its start.
    pub(super) fn within(&self, after: i64, until: i64) -> Range<usize> {
        let ticks_until = |time| self.ticks.partition_point(|tick| self.first + i64::from(*tick) <= time);
        ticks_until(after)..ticks_until(until)
    }

    /// Adds the samples of a slot in a range of time that excludes its start.
    pub(super) fn read(&self, slot: usize, after: i64, until: i64, into: &mut Points) {
        let within = self.within(after, until);
        unpack(self.column(slot), |from, to, sample| {
            let (from, to) = ((from as usize).max(within.start), (to as usize).min(within.end));
            let times = (from..to).map(|tick| self.time(tick));
            match (&mut *into, sample) {
                (Points::Numbers(points), Unpacked::Number(number)) => {
                    points.extend(times.map(|at| (at, number)));
                }
                (Points::Histograms(points), Unpacked::Histogram(histogram)) => {
                    points.extend(times.map(|at| (at, Arc::clone(histogram))));
                }
                _ => {}
            }
        });
    }

    /// Returns the last sample of each period of a slot, with the position of the period.
    /// `period_of` has the position of the period of each tick.
    pub(super) fn last_of_periods(&self, slot: usize, period_of: &[u32], mut visit: impl FnMut(u32, Value)) {
        let mut newest: Option<(u32, Value)> = None;
        unpack(self.column(slot), |from, to, sample| {
            let (from, to) = (from as usize, (to as usize).min(period_of.len()));
            if from >= to {
                return;
            }
            let value = match sample {
                Unpacked::Number(number) => Value::Number(number),
                Unpacked::Histogram(histogram) => Value::Histogram(Arc::clone(histogram)),
            };
            for period in period_of[from]..=period_of[to - 1] {
                if let Some((period, value)) = newest.take_if(|(before, _)| *before != period) {
                    visit(period, value);
                }
                newest = Some((period, value.clone()));
            }
        });
        if let Some((period, value)) = newest {
            visit(period, value);
        }
    }

    /// Appends the serialized block.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        put(out, self.first.cast_unsigned());
        put(out, self.ticks.len() as u64);
        let mut previous = 0;
        for tick in &self.ticks {
            put(out, u64::from(tick - previous));
            previous = *tick;
        }
        put(out, self.ends.len() as u64);
        let mut previous = 0;
        for end in &self.ends {
            put(out, u64::from(end - previous));
            previous = *end;
        }
        put_bytes(out, &self.columns);
        put(out, self.samples);
    }

    /// Reads a block; `None` if it is damaged.
    pub(super) fn parse(reader: &mut Reader<'_>) -> Option<Self> {
        let first = reader.get()?.cast_signed();
        let ticks = rising(reader)?;
        let ends = rising(reader)?;
        let columns = reader.bytes()?;
        let samples = reader.get()?;
        let is_valid = !ticks.is_empty()
            && ticks.len() <= MOST_TICKS
            && first.checked_add(i64::from(u32::MAX)).is_some()
            && ends.last().copied().unwrap_or_default() as usize == columns.len();
        is_valid.then(|| Self {
            first,
            ticks: ticks.into(),
            ends: ends.into(),
            columns: columns.into(),
            samples,
            continuity: Continuity::default(),
        })
    }
}

fn rising(reader: &mut Reader<'_>) -> Option<Vec<u32>> {
    let count = reader.get()?;
    let (mut numbers, mut last) = (Vec::new(), 0_u32);
    for _ in 0..count {
        last = last.checked_add(reader.u32()?)?;
        numbers.push(last);
    }
    Some(numbers)
}
