//! The store of lines.

use std::cmp::Reverse;
use std::collections::HashMap;

use signal::Level;
use tokio::sync::watch;

use super::block::{Block, OpenBlock, Row, Summary, View};
use super::event_names::EventNames;
use super::line::Line;
use super::scan::Scan;
use super::search::{Counts, Found, Groups, LEVELS, Search};
use super::usage::{LineRefusal, LineUsage};
use crate::store::packed::Shared;

/// Level from which on lines have blocks of their own.
const SEVERE: Level = Level::Warn;
/// Maximum number of steps of counts over time.
const MOST_STEPS: i64 = 2000;
/// Maximum number of counted distinct values.
const MOST_GROUPS: usize = 50_000;

/// Log lines in packed blocks, within bounded memory. The files that they were read from are the durable
/// copy.
#[derive(Debug)]
pub struct LineStore {
    blocks: Vec<Block>,
    /// One block of lines from [`SEVERE`] on, and one of all others: most searches for faults need not unpack the
    /// rest, which is a hundred times as much.
    open: [OpenBlock; 2],
    names: EventNames,
    /// Number of the newest line.
    last: u64,
    bytes: usize,
    bound: usize,
    evicted: u64,
    /// Time of the newest evicted line: older lines may be missing.
    evicted_until: Option<i64>,
    refused: [u64; LineRefusal::ALL.len()],
    appended: watch::Sender<u64>,
}

impl Default for LineStore {
    fn default() -> Self {
        Self::new(Self::BOUND)
    }
}

impl LineStore {
    /// Maximum memory in bytes.
    pub const BOUND: usize = 16 << 20;

    /// Creates an empty store that uses at most `bound` bytes of memory.
    pub fn new(bound: usize) -> Self {
        Self {
            blocks: Vec::new(),
            open: Default::default(),
            names: EventNames::default(),
            last: 0,
            bytes: 0,
            bound,
            evicted: 0,
            evicted_until: None,
            refused: Default::default(),
            appended: watch::Sender::new(0),
        }
    }

    /// Adds lines, in any order of their times.
    pub fn append(&mut self, lines: impl IntoIterator<Item = Line>) {
        for line in lines {
            self.last += 1;
            let class = usize::from(line.level >= SEVERE);
            self.open[class].append(self.last, &line, &mut self.names);
            if self.open[class].is_full() {
                self.pack(class);
            }
        }
        self.appended.send_replace(self.last);
    }

    fn pack(&mut self, class: usize) {
        let block = std::mem::take(&mut self.open[class]).pack();
        self.bytes += block.bytes();
        self.blocks.push(block);
        while self.bytes + self.open_bytes() > self.bound {
            let oldest = self.blocks.iter().enumerate().min_by_key(|(_, block)| block.summary.newest);
            let Some((place, _)) = oldest else { break };
            let block = self.blocks.remove(place);
            self.bytes -= block.bytes();
            self.evicted += u64::from(block.summary.lines);
            self.evicted_until = self.evicted_until.max(Some(block.summary.newest));
        }
    }

    fn open_bytes(&self) -> usize {
        self.open.iter().map(OpenBlock::bytes).sum()
    }

    #[cfg(test)]
    pub(super) fn pack_now(&mut self) {
        for class in 0..self.open.len() {
            if !self.open[class].is_empty() {
                self.pack(class);
            }
        }
    }

    pub fn refuse(&mut self, reason: LineRefusal, count: u64) {
        self.refused[reason as usize] += count;
    }

    /// Returns a receiver of the number of lines appended so far. After a change, search with
    /// [`Search::newer_than`] and the previous number.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.appended.subscribe()
    }

    /// Returns the newest lines that fulfil a search, newest first.
    pub fn search(&self, search: &Search) -> Vec<Found> {
        let scan = Scan::new(search, &self.names);
        let mut found: Vec<Found> = Vec::new();
        for block in self.newest_first() {
            let limit = found.last().filter(|_| found.len() >= search.most).map(|found| found.position);
            if search.most == 0 || limit.is_some_and(|limit| limit.at > block.summary().newest) {
                break;
            }
            if !scan.may_have(block.summary()) {
                continue;
            }
            block.read(|view| {
                let mut rows = Vec::new();
                scan.rows(view, |row| {
                    if limit.is_none_or(|limit| row.position > limit) {
                        rows.push(row);
                    }
                });
                rows.sort_unstable_by_key(|row: &Row<'_>| Reverse(row.position));
                rows.truncate(search.most);
                let mut shared = Shared::default();
                let line =
                    |row: Row<'_>| Some(Found { position: row.position, line: view.line(row, &mut shared)? });
                found.extend(rows.into_iter().filter_map(line));
            });
            found.sort_unstable_by_key(|found| Reverse(found.position));
            found.truncate(search.most);
        }
        found
    }

    /// Counts lines over time. A step that would give too many counts is made longer.
    pub fn counts(&self, search: &Search, step: i64) -> Counts {
        let length = search.until.saturating_sub(search.from).max(1);
        let step = step.max(length.div_euclid(MOST_STEPS)).max(1);
        let number = length.saturating_add(step - 1) / step;
        let mut steps = vec![[0; LEVELS]; usize::try_from(number).unwrap_or(0)];
        let index = |at: i64| usize::try_from(at.saturating_sub(search.from) / step).unwrap_or(usize::MAX);
        let scan = Scan::new(search, &self.names);
        for block in self.newest_first().into_iter().filter(|block| scan.may_have(block.summary())) {
            let summary = block.summary();
            if scan.has_all(summary) && index(summary.oldest) == index(summary.newest) {
                if let Some(counts) = steps.get_mut(index(summary.oldest)) {
                    for (level, count) in summary.levels.iter().enumerate() {
                        counts[level] += if scan.accepts_level(level) { u64::from(*count) } else { 0 };
                    }
                }
                continue;
            }
            block.read(|view| {
                scan.rows(view, |row| {
                    if let Some(counts) = steps.get_mut(index(row.position.at)) {
                        counts[view.shapes[row.shape].level as usize] += 1;
                    }
                });
            });
        }
        Counts { from: search.from, step, steps }
    }

    /// Counts lines by the value of a field.
    pub fn groups(&self, search: &Search, field: &str, most: usize) -> Groups {
        let mut counts: HashMap<String, u64> = HashMap::new();
        let mut groups = Groups::default();
        let scan = Scan::new(search, &self.names);
        for block in self.newest_first().into_iter().filter(|block| scan.may_have(block.summary())) {
            block.read(|view| {
                let place = |fields: &[(u32, _)]| {
                    fields.iter().position(|(name, _)| view.texts.get(*name as usize) == Some(&field))
                };
                let places: Vec<_> = view.shapes.iter().map(|shape| place(&shape.fields)).collect();
                scan.rows(view, |row| {
                    groups.lines += 1;
                    let value = places[row.shape].and_then(|place| view.text_of(row, place));
                    let Some(value) = value.filter(|value| !value.is_empty()) else { return };
                    groups.with_field += 1;
                    if let Some(count) = counts.get_mut(&value) {
                        *count += 1;
                    } else if counts.len() < MOST_GROUPS {
                        counts.insert(value, 1);
                    } else {
                        groups.is_capped = true;
                    }
                });
            });
        }
        groups.distinct = counts.len();
        groups.top = counts.into_iter().collect();
        groups.top.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        groups.top.truncate(most);
        groups
    }

    fn newest_first(&self) -> Vec<AnyBlock<'_>> {
        let mut blocks: Vec<_> = self.blocks.iter().map(AnyBlock::Packed).collect();
        blocks.extend(self.open.iter().filter(|block| !block.is_empty()).map(AnyBlock::Open));
        blocks.sort_by_key(|block| Reverse(block.summary().newest));
        blocks
    }

    fn summaries(&self) -> impl Iterator<Item = &Summary> {
        let open = self.open.iter().map(|block| &block.summary).filter(|summary| summary.lines > 0);
        self.blocks.iter().map(|block| &block.summary).chain(open)
    }

    /// Returns the Unix time in microseconds from which on the store has all lines that were read.
    pub fn oldest(&self) -> Option<i64> {
        let oldest = self.summaries().map(|summary| summary.oldest).min()?;
        Some(self.evicted_until.map_or(oldest, |until| until.max(oldest)))
    }

    /// Returns contents and refusals of the store.
    pub fn usage(&self) -> LineUsage {
        let refused = LineRefusal::ALL.iter().map(|reason| (*reason, self.refused[*reason as usize]));
        LineUsage {
            lines: self.summaries().map(|summary| u64::from(summary.lines)).sum(),
            bytes: self.bytes + self.open_bytes(),
            bound: self.bound,
            oldest: self.oldest(),
            newest: self.summaries().map(|summary| summary.newest).max(),
            evicted: self.evicted,
            refused: refused.filter(|(_, count)| *count > 0).collect(),
        }
    }
}

/// A block, packed or not.
enum AnyBlock<'a> {
    Packed(&'a Block),
    Open(&'a OpenBlock),
}

impl AnyBlock<'_> {
    fn summary(&self) -> &Summary {
        match self {
            Self::Packed(block) => &block.summary,
            Self::Open(block) => &block.summary,
        }
    }

    fn read(&self, read: impl FnOnce(&View<'_>)) {
        match self {
            Self::Open(block) => read(&block.view()),
            Self::Packed(block) => {
                let bytes = block.inflate().unwrap_or_default();
                if let Some(view) = View::read(&bytes) {
                    read(&view);
                }
            }
        }
    }
}
