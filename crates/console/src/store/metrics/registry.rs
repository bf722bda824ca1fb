//! The series of the store, by name and labels.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::column::Kind;
use super::{Labels, SeriesId};

/// Maximum number of origins of a series.
const MOST_PLACES: usize = 8;

/// Memory of an entry without its labels: the entry itself and its places in the indexes.
const ENTRY_MEMORY: usize = 320;

/// Identity of a series. A metric that changes its kind becomes another series.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) name: Arc<str>,
    pub(super) labels: Labels,
    pub(super) kind: Kind,
}

/// Location of a series' samples.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) clock: u32,
    pub(super) slot: u32,
    /// Time of the newest sample.
    pub(super) newest: i64,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: Key,
    /// Serial number, unique among clocks and series.
    pub(super) serial: u64,
    /// Usually one. A recording that was moved to another group has several origins.
    pub(super) places: Vec<Place>,
}

#[derive(Debug, Default)]
pub(super) struct Registry {
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    by_key: HashMap<Key, SeriesId>,
    by_name: HashMap<Arc<str>, Vec<SeriesId>>,
    /// Interned names and values of labels, most of which are shared by many series.
    texts: HashSet<Arc<str>>,
    labels: usize,
    serial: u64,
}

impl Registry {
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(super) fn memory(&self) -> usize {
        let texts: usize = self.texts.iter().map(|text| text.len() + 48).sum();
        texts + self.len() * ENTRY_MEMORY + self.labels * size_of::<(Arc<str>, Arc<str>)>()
    }

    /// Returns a new serial number.
    pub(super) fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    pub(super) fn find(&self, key: &Key) -> Option<SeriesId> {
        self.by_key.get(key).copied()
    }

    pub(super) fn named(&self, name: &str) -> &[SeriesId] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    pub(super) fn get(&self, id: SeriesId) -> Option<&Entry> {
        self.entries.get(id.0 as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, id: SeriesId) -> Option<&mut Entry> {
        self.entries.get_mut(id.0 as usize)?.as_mut()
    }

    /// Records the time of a sample.
    pub(super) fn touch(&mut self, id: SeriesId, clock: u32, at: i64) {
        if let Some(place) = self.get_mut(id).and_then(|entry| entry.place_in(clock)) {
            place.newest = place.newest.max(at);
        }
    }

    pub(super) fn create(&mut self, key: &Key) -> SeriesId {
        let name = self.intern(&key.name);
        let labels: Vec<_> =
            key.labels.iter().map(|(name, value)| (self.intern(name), self.intern(value))).collect();
        self.labels += labels.len();
        let key = Key { name: name.clone(), labels: Labels::new(labels), kind: key.kind };
        let entry = Entry { key: key.clone(), serial: self.next_serial(), places: Vec::new() };
        let id = match self.free.pop() {
            Some(index) => SeriesId(index),
            None => {
                self.entries.push(None);
                SeriesId(self.entries.len() as u32 - 1)
            }
        };
        self.entries[id.0 as usize] = Some(entry);
        self.by_key.insert(key, id);
        self.by_name.entry(name).or_default().push(id);
        id
    }

    fn intern(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        let text: Arc<str> = text.into();
        self.texts.insert(Arc::clone(&text));
        text
    }

    pub(super) fn remove(&mut self, id: SeriesId) {
        let Some(entry) = self.entries.get_mut(id.0 as usize).and_then(Option::take) else { return };
        self.labels -= entry.key.labels.iter().count();
        self.by_key.remove(&entry.key);
        if let Some(ids) = self.by_name.get_mut(&entry.key.name) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_name.remove(&entry.key.name);
            }
        }
        self.free.push(id.0);
    }

    /// Removes texts that no series uses any more.
    pub(super) fn forget_texts(&mut self) {
        self.texts.retain(|text| Arc::strong_count(text) > 1);
    }
}

impl Entry {
    pub(super) fn place_in(&mut self, clock: u32) -> Option<&mut Place> {
        self.places.iter_mut().find(|place| place.clock == clock)
    }

    pub(super) fn newest(&self) -> i64 {
        self.places.iter().map(|place| place.newest).max().unwrap_or(i64::MIN)
    }

    pub(super) fn has_room(&self) -> bool {
        self.places.len() < MOST_PLACES
    }
}
