//! Opens a store and reads its files.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;

use super::block::Block;
use super::clock::Kept;
use super::column::Kind;
use super::files::directory::{self, FileKind, Found, name_of};
use super::files::frame::{Condition, Frames};
use super::files::records::{Record, Records, Resolution};
use super::files::{Files, Loaded};
use super::registry::Key;
use super::{Limits, MetricStore, Origin, SeriesId, Value};

impl MetricStore {
    /// Opens the store in a directory; creates it if it is missing. Files that cannot be read are set aside,
    /// so it fails only if the directory cannot be used. `now` is a Unix time in milliseconds.
    ///
    /// # Errors
    /// Returns an error if the directory cannot be created or read.
    pub fn open(directory: &Path, limits: Limits, now: i64) -> io::Result<Self> {
        let mut store = Self::in_memory(limits);
        store.files = Some(Files::open(directory, |file| load(file, &mut store, now))?);
        store.maintain(now);
        Ok(store)
    }
}

/// Reads a file. A damaged file is set aside and replaced by one with its valid part.
fn load(found: &Found, store: &mut MetricStore, now: i64) -> io::Result<Loaded> {
    let path = &found.path;
    let bytes = fs::read(path)?;
    let mut frames = Frames::new(&bytes);
    let mut records = Records::default();
    let mut file =
        Loading { store, now, clocks: HashMap::new(), series: HashMap::new(), newest: HashMap::new() };
    let mut valid = Vec::new();
    let mut is_valid = true;
    while let Some((frame, payload)) = frames.next() {
        // Frames of a journal refer to values of earlier frames.
        let follows_damage = !is_valid || frames.condition == Condition::Damaged;
        if follows_damage && found.kind == FileKind::Journal {
            break;
        }
        match records.read(&payload, |record| file.add(record)) {
            Some(()) => valid.push(frame),
            None => is_valid = false,
        }
    }
    let newest = file.newest;
    if is_valid && frames.condition != Condition::Damaged {
        return Ok(Loaded { bytes: bytes.len() as u64, newest, problem: None });
    }
    let aside = directory::set_aside(path, &valid)?;
    let problem = format!(
        "{} is damaged. What could be read of it is used; the file is kept as {}.",
        name_of(path),
        name_of(&aside)
    );
    let bytes = valid.iter().map(|frame| frame.len() as u64).sum();
    Ok(Loaded { bytes, newest, problem: Some(problem) })
}

struct Loading<'a> {
    store: &'a mut MetricStore,
    now: i64,
    clocks: HashMap<u64, Origin>,
    series: HashMap<(u64, u32), Definition>,
    newest: HashMap<Origin, i64>,
}

struct Definition {
    key: Key,
    /// Series, clock and slot in the store, once known.
    place: Option<(SeriesId, u32, u32)>,
}

impl Loading<'_> {
    fn add(&mut self, record: Record) {
        match record {
            Record::Clock(clock, origin) => {
                self.clocks.insert(clock, origin);
            }
            Record::Series(clock, slot, key) => {
                self.series.insert((clock, slot), Definition { key, place: None });
            }
            Record::Block(clock, resolution, block) => self.block(clock, resolution, block),
            Record::Collection(clock, at, samples) => self.collection(clock, at, samples),
        }
    }

    /// Returns the clock in the store, and records the time of samples.
    fn clock(&mut self, clock: u64, at: i64) -> Option<u32> {
        let origin = self.clocks.get(&clock)?;
        let newest = self.newest.entry(origin.clone()).or_insert(at);
        *newest = at.max(*newest);
        self.store.clock_of(origin, self.now)
    }

    /// Returns the series in the store, and its slot.
    fn place(&mut self, clock: u64, slot: u32, in_store: u32, at: i64) -> Option<(SeriesId, u32)> {
        let definition = self.series.get_mut(&(clock, slot))?;
        if let Some((series, of, slot)) = definition.place
            && of == in_store
        {
            return Some((series, slot));
        }
        let (series, slot) = self.store.place(in_store, &definition.key, at).ok()?;
        definition.place = Some((series, in_store, slot));
        Some((series, slot))
    }

    fn block(&mut self, clock: u64, resolution: Resolution, block: Block) {
        let last = block.last();
        let Some(index) = self.clock(clock, last) else { return };
        let Some(Some(of)) = self.store.clocks.get(index as usize) else { return };
        let known = match resolution {
            Resolution::Full => of.completed_until().max(of.rolled_until()),
            Resolution::Rolled => of.rolled_until(),
        };
        if known.is_some_and(|known| block.first() <= known) {
            return;
        }
        let mut slots = Vec::with_capacity(block.slots());
        let mut is_moved = false;
        for slot in 0..block.slots() {
            let place = match block.column(slot).is_empty() {
                true => None,
                false => self.place(clock, slot as u32, index, block.first()),
            };
            is_moved |= !block.column(slot).is_empty() && place.is_none_or(|(_, new)| new as usize != slot);
            slots.push(place.map(|(_, slot)| slot));
            if let Some((series, _)) = place {
                self.store.registry.touch(series, index, last);
            }
        }
        let block = if is_moved { block.with_slots(&slots) } else { block };
        let Some(Some(of)) = self.store.clocks.get_mut(index as usize) else { return };
        let kept = Kept { block, is_saved: true };
        match resolution {
            Resolution::Full => of.full.push_back(kept),
            Resolution::Rolled => {
                of.complete_since = Some(last);
                of.rolled.push_back(kept);
            }
        }
    }

    fn collection(&mut self, clock: u64, at: i64, samples: Vec<(u32, Value)>) {
        let Some(index) = self.clock(clock, at) else { return };
        let Some(Some(of)) = self.store.clocks.get_mut(index as usize) else { return };
        let Some(tick) = of.tick_again(at) else { return };
        for (slot, value) in samples {
            let Some((series, slot)) = self.place(clock, slot, index, at) else { continue };
            let kind = Kind::of(&value);
            let Some(Some(of)) = self.store.clocks.get_mut(index as usize) else { return };
            if of.push(slot, kind, tick, &value).is_ok() {
                self.store.registry.touch(series, index, at);
            }
        }
    }
}
