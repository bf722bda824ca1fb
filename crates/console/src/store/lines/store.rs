//! The store of lines.

use std::collections::HashMap;

use signal::ClosedSet;
use tokio::sync::watch;

use super::line::{Line, Position};
use super::search::{Counts, Found, Groups, LEVELS, Search};
use super::usage::{LineRefusal, LineUsage};

/// Maximum number of steps of counts over time.
const MOST_STEPS: i64 = 2000;

/// Log lines in memory, within a bound. The files that they were read from are the durable copy.
#[derive(Debug)]
pub struct LineStore {
    lines: Vec<Line>,
    bound: usize,
    refused: [u64; LineRefusal::ALL.len()],
    appended: watch::Sender<u64>,
}

impl Default for LineStore {
    fn default() -> Self {
        Self::new(Self::BOUND)
    }
}

impl LineStore {
    /// Bytes of memory that lines may use.
    pub const BOUND: usize = 16 << 20;

    /// Creates an empty store that uses at most `bound` bytes of memory.
    pub fn new(bound: usize) -> Self {
        Self { lines: Vec::new(), bound, refused: Default::default(), appended: watch::Sender::new(0) }
    }

    /// Adds lines, in any order of their times.
    pub fn append(&mut self, lines: impl IntoIterator<Item = Line>) {
        self.lines.extend(lines);
        self.appended.send_replace(self.lines.len() as u64);
    }

    /// Counts lines that were not kept.
    pub fn refuse(&mut self, reason: LineRefusal, count: u64) {
        self.refused[reason as usize] += count;
    }

    /// Returns a receiver of the number of lines that were appended so far. After a change, search
    /// with [`Search::newer_than`] for the lines after the number seen before.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.appended.subscribe()
    }

    /// Returns the newest lines that fulfil a search, newest first.
    pub fn search(&self, search: &Search) -> Vec<Found> {
        let mut found: Vec<Found> =
            self.matching(search).map(|(position, line)| Found { position, line: line.clone() }).collect();
        found.sort_unstable_by_key(|found| std::cmp::Reverse(found.position));
        found.truncate(search.most);
        found
    }

    /// Counts lines over time. The step is made longer if there would be too many.
    pub fn counts(&self, search: &Search, step: i64) -> Counts {
        let length = search.until.saturating_sub(search.from).max(1);
        let step = step.max(length.div_euclid(MOST_STEPS)).max(1);
        let number = length.saturating_add(step - 1) / step;
        let mut steps = vec![[0; LEVELS]; usize::try_from(number).unwrap_or(0)];
        for (position, line) in self.matching(search) {
            let index = usize::try_from((position.at - search.from) / step).unwrap_or(usize::MAX);
            if let Some(counts) = steps.get_mut(index) {
                counts[line.level.index()] += 1;
            }
        }
        Counts { from: search.from, step, steps }
    }

    /// Counts lines by the value of a field.
    pub fn groups(&self, search: &Search, field: &str, most: usize) -> Groups {
        let mut counts: HashMap<String, u64> = HashMap::new();
        let mut groups = Groups::default();
        for (_, line) in self.matching(search) {
            groups.lines += 1;
            let value = line.text(field);
            if !value.is_empty() {
                groups.with_field += 1;
                *counts.entry(value.into_owned()).or_default() += 1;
            }
        }
        groups.distinct = counts.len();
        groups.top = counts.into_iter().collect();
        groups.top.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        groups.top.truncate(most);
        groups
    }

    fn matching<'a>(&'a self, search: &'a Search) -> impl Iterator<Item = (Position, &'a Line)> {
        self.lines.iter().zip(1..).filter_map(move |(line, number)| {
            let position = Position { at: line.at, number };
            let is_wanted = (search.from..search.until).contains(&line.at)
                && search.before.is_none_or(|before| position < before)
                && search.newer_than.is_none_or(|last| number > last)
                && search.conditions.iter().all(|condition| condition.accepts(line));
            is_wanted.then_some((position, line))
        })
    }

    /// Returns the Unix time in microseconds since which the store has lines.
    pub fn oldest(&self) -> Option<i64> {
        self.lines.iter().map(|line| line.at).min()
    }

    /// Returns what the store holds and what it refused.
    pub fn usage(&self) -> LineUsage {
        let refused = LineRefusal::ALL.iter().map(|reason| (*reason, self.refused[*reason as usize]));
        LineUsage {
            lines: self.lines.len() as u64,
            bytes: 0,
            bound: self.bound,
            oldest: self.oldest(),
            newest: self.lines.iter().map(|line| line.at).max(),
            evicted: 0,
            refused: refused.filter(|(_, count)| *count > 0).collect(),
        }
    }
}
