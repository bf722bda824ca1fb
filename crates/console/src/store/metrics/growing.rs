//! The growing columns of a clock's newest ticks.

use super::block::Block;
use super::column::{Column, Kind};
use super::{DropReason, Value};

#[derive(Debug, Default)]
pub(super) struct Growing {
    times: Vec<i64>,
    columns: Vec<Option<Column>>,
}

impl Growing {
    pub(super) fn times(&self) -> &[i64] {
        &self.times
    }

    pub(super) fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    pub(super) fn memory(&self) -> usize {
        let columns = self.columns.iter().flatten().map(Column::memory).sum::<usize>();
        columns
            + self.times.capacity() * size_of::<i64>()
            + self.columns.capacity() * size_of::<Option<Column>>()
    }

    /// Adds a tick, which must be later than the last, and returns its position.
    pub(super) fn add_tick(&mut self, at: i64) -> u32 {
        self.times.push(at);
        self.times.len() as u32 - 1
    }

    /// Returns whether a slot has a sample at the newest tick.
    pub(super) fn has_newest(&self, slot: usize) -> bool {
        let length = self.columns.get(slot).and_then(Option::as_ref).map_or(0, Column::len);
        length > 0 && length as usize == self.times.len()
    }

    /// Adds a sample at an existing tick.
    pub(super) fn push(
        &mut self,
        slot: usize,
        kind: Kind,
        tick: u32,
        value: &Value,
    ) -> Result<(), DropReason> {
        if self.columns.len() <= slot {
            self.columns.resize(slot + 1, None);
        }
        self.columns[slot].get_or_insert_with(|| Column::new(kind)).push(tick, value)
    }

    pub(super) fn seal(&self) -> Block {
        let columns: Vec<Vec<u8>> = self.columns.iter().map(packed).collect();
        Block::new(&self.times, columns.iter().map(Vec::as_slice), self.samples())
    }

    pub(super) fn samples(&self) -> u64 {
        self.columns.iter().flatten().map(|column| u64::from(column.samples())).sum()
    }

    /// Returns the samples of a slot as the only slot of a block, if some are in a range of time that
    /// excludes its start.
    pub(super) fn sealed(&self, slot: usize, after: i64, until: i64) -> Option<Block> {
        let newer = self.times.last().is_some_and(|last| *last > after);
        let older = self.times.first().is_some_and(|first| *first <= until);
        let column = self.columns.get(slot).filter(|column| newer && older && column.is_some())?;
        let bytes = packed(column);
        Some(Block::new(&self.times, std::iter::once(bytes.as_slice()), 0))
    }
}

fn packed(column: &Option<Column>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(column) = column {
        column.pack(&mut bytes);
    }
    bytes
}
