//! The samples of one origin. All its series share the timestamps of its collections.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::block::Block;
use super::changes::Part;
use super::column::Kind;
use super::growing::Growing;
use super::{DropReason, Origin, SeriesId, SetBack, Value};

/// Number of ticks after which a block is complete.
const BLOCK_TICKS: usize = 240;

/// Maximum duration of a block, in milliseconds. It bounds the size of the journal.
const BLOCK_MS: i64 = 60 * 60 * 1000;

/// Number of rolled-up ticks after which their block is complete: a day.
const ROLLED_TICKS: usize = 288;

/// Maximum duration of a rolled-up block, in milliseconds.
const ROLLED_MS: i64 = 24 * 60 * 60 * 1000;

/// Resolution of rolled-up data in milliseconds: the last sample of each period stays.
const PERIOD_MS: i64 = 5 * 60 * 1000;

/// Maximum time between the parts of one collection, in milliseconds. They get the time of the first.
const COLLECTION_MS: i64 = 1000;

/// A block, and whether it is on disk.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) block: Block,
    pub(super) is_saved: bool,
}

/// The tick that a collection's samples belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tick {
    pub(super) at: i64,
    position: u32,
    is_in_closing: bool,
}

/// The samples of one origin, in rolled-up, complete and growing blocks.
#[derive(Debug)]
pub(super) struct Clock {
    pub(super) origin: Origin,
    /// Serial number, unique among clocks and series.
    pub(super) serial: u64,
    /// The series of each slot; `None` if the slot is free.
    pub(super) slots: Vec<Option<SeriesId>>,
    pub(super) rolled: VecDeque<Kept>,
    rolling: Growing,
    pub(super) full: VecDeque<Kept>,
    /// The block before `growing`, until that has two ticks, because the first sample of a series may be a
    /// zero at the time of the previous collection.
    closing: Growing,
    growing: Growing,
    /// Time up to which samples were rolled up or removed.
    pub(super) complete_since: Option<i64>,
    /// Time and number of the samples that were refused since the clock was set back; `None` if it goes on.
    set_back: Option<(i64, u64)>,
}

impl Clock {
    pub(super) fn new(origin: Origin, serial: u64) -> Self {
        Self {
            origin,
            serial,
            slots: Vec::new(),
            rolled: VecDeque::new(),
            rolling: Growing::default(),
            full: VecDeque::new(),
            closing: Growing::default(),
            growing: Growing::default(),
            complete_since: None,
            set_back: None,
        }
    }

    pub(super) fn is_of_rules(&self) -> bool {
        matches!(self.origin, Origin::Rules { .. })
    }

    pub(super) fn add_slot(&mut self, series: SeriesId) -> u32 {
        let free = self.slots.iter().position(Option::is_none);
        let slot = free.unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[slot] = Some(series);
        slot as u32
    }

    /// Returns the tick for samples of these slots that were collected at one time.
    ///
    /// A sender stamps each part of a collection separately. A part joins the newest tick if that is at most
    /// a second older and has no sample of most of the part's series.
    pub(super) fn tick(&mut self, at: i64, slots: &[u32]) -> Option<Tick> {
        let newest = match self.growing.times().last() {
            Some(newest) => *newest,
            None if self.newest().is_some_and(|newest| newest >= at) => return None,
            None => return Some(self.add_tick(at)),
        };
        if at < newest {
            return self.earlier_tick(at);
        }
        let repeated = slots.iter().filter(|slot| self.growing.has_newest(**slot as usize)).count();
        let joins = at == newest || (at - newest <= COLLECTION_MS && repeated * 2 <= slots.len());
        if joins {
            let position = self.growing.times().len() as u32 - 1;
            return Some(Tick { at: newest, position, is_in_closing: false });
        }
        Some(self.add_tick(at))
    }

    /// Returns whether a collection is older than the newest one, and no part of it that comes late.
    pub(super) fn is_set_back(&self, at: i64) -> bool {
        self.newest().is_some_and(|newest| newest.saturating_sub(at) > COLLECTION_MS)
    }

    /// Takes note of a collection that was refused because the clock was set back.
    pub(super) fn refuse_set_back(&mut self, at: i64, samples: u64) {
        let (_, before) = self.set_back.unwrap_or_default();
        self.set_back = Some((at, before + samples));
    }

    /// Takes note of a collection in the right order.
    pub(super) fn went_on(&mut self) {
        self.set_back = None;
    }

    /// Returns whether collections are refused at present, because the clock was set back.
    pub(super) fn set_back(&self) -> Option<SetBack> {
        let (at, refused) = self.set_back?;
        Some(SetBack { origin: self.origin.clone(), newest: self.newest()?, at, refused })
    }

    /// Adds a tick that is later than all others.
    pub(super) fn add_tick(&mut self, at: i64) -> Tick {
        let times = self.growing.times();
        if times.len() >= BLOCK_TICKS || times.first().is_some_and(|first| at - first >= BLOCK_MS) {
            self.close();
            self.closing = std::mem::take(&mut self.growing);
        }
        let position = self.growing.add_tick(at);
        if position > 0 {
            self.close();
        }
        Tick { at, position, is_in_closing: false }
    }

    /// Returns the tick of an earlier collection, the nearest within a second.
    fn earlier_tick(&self, at: i64) -> Option<Tick> {
        let near = |growing: &Growing, is_in_closing| {
            let ticks =
                growing.times().iter().enumerate().rev().take_while(|(_, tick)| at - **tick <= COLLECTION_MS);
            let nearest = ticks.min_by_key(|(_, tick)| (at - **tick).abs())?;
            let (position, tick) = (nearest.0 as u32, *nearest.1);
            ((at - tick).abs() <= COLLECTION_MS).then_some(Tick { at: tick, position, is_in_closing })
        };
        near(&self.growing, false).or_else(|| near(&self.closing, true))
    }

    /// Returns the tick of a collection from the journal.
    pub(super) fn tick_again(&mut self, at: i64) -> Option<Tick> {
        let is_complete = self.completed_until().is_some_and(|until| at <= until)
            || self.complete_since.is_some_and(|since| at <= since);
        if is_complete {
            return None;
        }
        match self.growing.times().last() {
            Some(newest) if *newest >= at => self.earlier_tick(at).filter(|tick| tick.at == at),
            _ => Some(self.add_tick(at)),
        }
    }

    pub(super) fn push(
        &mut self,
        slot: u32,
        kind: Kind,
        tick: Tick,
        value: &Value,
    ) -> Result<(), DropReason> {
        let growing = if tick.is_in_closing { &mut self.closing } else { &mut self.growing };
        growing.push(slot as usize, kind, tick.position, value)
    }

    /// Completes the block before the growing one.
    fn close(&mut self) {
        if !self.closing.is_empty() {
            let block = std::mem::take(&mut self.closing).seal();
            self.full.push_back(Kept { block, is_saved: false });
        }
    }

    /// Completes all blocks of an origin that stopped reporting.
    pub(super) fn close_if_idle(&mut self, now: i64) {
        if self.growing.times().last().is_some_and(|newest| now - newest >= BLOCK_MS) {
            self.close();
            self.closing = std::mem::take(&mut self.growing);
            self.close();
        }
        let has_ended = self.full.is_empty() && self.growing.is_empty() && self.closing.is_empty();
        if has_ended {
            self.finish_rolling();
        }
    }

    /// Rolls up the oldest complete block to the last sample of each period.
    pub(super) fn roll_up_oldest(&mut self) {
        let Some(Kept { block, .. }) = self.full.pop_front() else { return };
        self.complete_since = Some(block.last());
        let begun = self.rolling.times().first();
        if begun.is_some_and(|begun| block.last() - begun >= 2 * ROLLED_MS) {
            self.finish_rolling();
        }
        let mut period_of = Vec::with_capacity(block.len());
        let first = self.rolling.times().len() as u32;
        for tick in 0..block.len() {
            let period = block.time(tick).div_euclid(PERIOD_MS);
            let is_last = tick + 1 == block.len() || block.time(tick + 1).div_euclid(PERIOD_MS) != period;
            period_of.push(self.rolling.times().len() as u32 - first);
            if is_last {
                self.rolling.add_tick(block.time(tick));
            }
        }
        for slot in 0..block.slots() {
            let rolling = &mut self.rolling;
            block.last_of_periods(slot, &period_of, |period, value| {
                // If another series has taken over the slot, the kinds can differ; then it has no samples
                // here.
                let _ = rolling.push(slot, Kind::of(&value), first + period, &value);
            });
        }
        let times = self.rolling.times();
        let covered = times.first().zip(times.last()).map_or(0, |(first, last)| last - first);
        if times.len() >= ROLLED_TICKS || covered >= ROLLED_MS {
            self.finish_rolling();
        }
    }

    fn finish_rolling(&mut self) {
        if !self.rolling.is_empty() {
            let block = std::mem::take(&mut self.rolling).seal();
            self.rolled.push_back(Kept { block, is_saved: false });
        }
    }

    /// Removes the oldest complete block without rolling it up.
    pub(super) fn remove_oldest_full(&mut self) {
        if let Some(Kept { block, .. }) = self.full.pop_front() {
            self.complete_since = Some(block.last());
        }
    }

    /// Time of the oldest sample.
    pub(super) fn oldest(&self) -> Option<i64> {
        let rolled = self.rolled.front().map(|kept| kept.block.first());
        rolled.or_else(|| self.rolling.times().first().copied()).or_else(|| self.oldest_full())
    }

    /// Time of the oldest sample that is not rolled up.
    pub(super) fn oldest_full(&self) -> Option<i64> {
        let full = self.full.front().map(|kept| kept.block.first());
        full.or_else(|| self.closing.times().first().copied())
            .or_else(|| self.growing.times().first().copied())
    }

    /// Time of the newest sample.
    pub(super) fn newest(&self) -> Option<i64> {
        let newest = self.growing.times().last().or_else(|| self.closing.times().last()).copied();
        let newest = newest.or_else(|| self.completed_until());
        newest.or_else(|| self.rolling.times().last().copied()).or_else(|| self.rolled_until())
    }

    /// Time of the newest sample in a complete block.
    pub(super) fn completed_until(&self) -> Option<i64> {
        self.full.back().map(|kept| kept.block.last())
    }

    /// Time of the newest sample that needs no journal.
    pub(super) fn saved_until(&self) -> Option<i64> {
        let saved = self.full.iter().rev().find(|kept| kept.is_saved).map(|kept| kept.block.last());
        saved.max(self.complete_since)
    }

    /// Time of the newest sample in a rolled-up block.
    pub(super) fn rolled_until(&self) -> Option<i64> {
        self.rolled.back().map(|kept| kept.block.last())
    }

    /// Memory of rolled-up blocks.
    pub(super) fn rolled_memory(&self) -> usize {
        self.rolled.iter().map(|kept| kept.block.memory()).sum()
    }

    /// Memory of complete blocks.
    pub(super) fn full_memory(&self) -> usize {
        self.full.iter().map(|kept| kept.block.memory()).sum()
    }

    /// Memory of everything else.
    pub(super) fn growing_memory(&self) -> usize {
        self.rolling.memory() + self.closing.memory() + self.growing.memory() + self.slots.len() * 8
    }

    /// Number of samples.
    pub(super) fn samples(&self) -> u64 {
        let blocks: u64 = self.rolled.iter().chain(&self.full).map(|kept| kept.block.samples()).sum();
        blocks + self.rolling.samples() + self.closing.samples() + self.growing.samples()
    }

    /// Returns the blocks with samples of a slot in a range of time that excludes its start, oldest first.
    pub(super) fn parts(&self, slot: usize, after: i64, until: i64) -> Vec<Part<'_>> {
        let mut parts = Vec::new();
        let growing = |growing: &Growing| {
            growing.sealed(slot, after, until).map(|block| Part { block: Cow::Owned(block), slot: 0 })
        };
        parts.extend(parts_of(&self.rolled, slot, after, until));
        parts.extend(growing(&self.rolling));
        parts.extend(parts_of(&self.full, slot, after, until));
        parts.extend(growing(&self.closing));
        parts.extend(growing(&self.growing));
        parts
    }
}

fn parts_of(blocks: &VecDeque<Kept>, slot: usize, after: i64, until: i64) -> impl Iterator<Item = Part<'_>> {
    let first = blocks.partition_point(|kept| kept.block.last() <= after);
    let within = blocks.range(first..).take_while(move |kept| kept.block.first() <= until);
    within.map(move |kept| Part { block: Cow::Borrowed(&kept.block), slot })
}
