//! The store of series.

use std::collections::HashMap;

use super::changes::{self, Part};
use super::clock::Clock;
use super::column::Kind;
use super::exemplars::ExemplarStore;
use super::files::Files;
use super::registry::{Entry, Key, Place, Registry};
use super::retention;
use super::{
    Appended, CounterPoints, DropReason, Dropped, Exemplar, Exemplars, FindWindows, Labels, Limits,
    MetricSource, Origin, Points, Sample, SeriesId, Usage, Value,
};

/// Maximum number of origins.
const MOST_CLOCKS: usize = 256;

/// Time without reports after which a process may be evicted, in milliseconds.
const ENDED_MS: i64 = 60 * 60 * 1000;

/// Samples of all series, within [`Limits`].
///
/// Each origin has one clock, which its series share. Samples are stored in blocks of encoded columns. Blocks
/// of processes older than [`Limits::full`] are rolled up to the last sample per five minutes, for counters,
/// gauges and histograms alike.
#[derive(Debug)]
pub struct MetricStore {
    pub(super) limits: Limits,
    pub(super) clocks: Vec<Option<Clock>>,
    by_origin: HashMap<Origin, u32>,
    pub(super) registry: Registry,
    exemplars: ExemplarStore,
    dropped: Dropped,
    pub(super) files: Option<Files>,
    /// Time of the last maintenance, in Unix milliseconds.
    now: i64,
}

impl MetricStore {
    /// Creates an empty store that keeps nothing on disk.
    pub fn in_memory(limits: Limits) -> Self {
        Self {
            limits,
            clocks: Vec::new(),
            by_origin: HashMap::new(),
            registry: Registry::default(),
            exemplars: ExemplarStore::default(),
            dropped: Dropped::default(),
            files: None,
            now: 0,
        }
    }

    /// Appends the samples that an origin collected at one time, in Unix milliseconds.
    ///
    /// The parts of one collection can be appended separately, with times up to a second apart. They get the
    /// time of the first part.
    pub fn append(
        &mut self,
        origin: &Origin,
        at: i64,
        samples: impl IntoIterator<Item = Sample>,
    ) -> Appended {
        let mut appended = Appended::default();
        let mut placed = Vec::new();
        let clock = self.clock_of(origin, at);
        for sample in samples {
            let kind = Kind::of(&sample.value);
            let placing = self.check(&sample).and_then(|()| {
                let key = Key { name: sample.name, labels: sample.labels, kind };
                self.place(clock.ok_or(DropReason::TooManySeries)?, &key, at)
            });
            match placing {
                Ok((series, slot)) => placed.push((series, slot, kind, sample.value)),
                Err(reason) => appended.refused.add(reason, 1),
            }
        }
        if let Some(clock) = clock {
            self.push(clock, at, &placed, &mut appended);
        }
        self.dropped.add_all(&appended.refused);
        appended
    }

    fn push(
        &mut self,
        index: u32,
        at: i64,
        placed: &[(SeriesId, u32, Kind, Value)],
        appended: &mut Appended,
    ) {
        let Some(Some(clock)) = self.clocks.get_mut(index as usize) else { return };
        let slots: Vec<u32> = placed.iter().map(|(_, slot, ..)| *slot).collect();
        if slots.is_empty() {
            return;
        }
        let is_set_back = clock.is_set_back(at);
        let reason = if is_set_back { DropReason::SetBack } else { DropReason::OutOfOrder };
        let mut refused = 0;
        let mut accepted = Vec::with_capacity(placed.len());
        let tick = clock.tick(at, &slots);
        for (series, slot, kind, value) in placed {
            match tick.map(|tick| clock.push(*slot, *kind, tick, value)) {
                Some(Ok(())) => accepted.push((*series, *slot, value)),
                Some(Err(other)) if other != DropReason::OutOfOrder => appended.refused.add(other, 1),
                Some(Err(_)) | None => refused += 1,
            }
        }
        appended.refused.add(reason, refused);
        match is_set_back {
            true if accepted.is_empty() => clock.refuse_set_back(at, refused),
            // A series that begins may have a zero at the time of an earlier collection.
            true => {}
            false => clock.went_on(),
        }
        let Some(tick) = tick else { return };
        appended.accepted += accepted.len() as u64;
        for (series, ..) in &accepted {
            self.registry.touch(*series, index, tick.at);
        }
        if let Some(files) = &mut self.files {
            files.add_collection(clock, &self.registry, tick.at, &mut accepted, self.now);
        }
    }

    fn check(&self, sample: &Sample) -> Result<(), DropReason> {
        let limits = &self.limits;
        if sample.labels.iter().count() > limits.labels {
            return Err(DropReason::TooManyLabels);
        }
        let is_long = |text: &str| text.len() > limits.text;
        if is_long(&sample.name) || sample.labels.iter().any(|(name, value)| is_long(name) || is_long(value))
        {
            return Err(DropReason::TooLong);
        }
        match &sample.value {
            Value::Histogram(histogram) if histogram.buckets.len() > limits.buckets => {
                Err(DropReason::TooManyBuckets)
            }
            _ => Ok(()),
        }
    }

    /// Returns the clock of an origin, or `None` if there are too many.
    pub(super) fn clock_of(&mut self, origin: &Origin, at: i64) -> Option<u32> {
        if let Some(clock) = self.by_origin.get(origin) {
            return Some(*clock);
        }
        if self.by_origin.len() >= MOST_CLOCKS && !self.remove_ended(at, None) {
            return None;
        }
        let clock = Clock::new(origin.clone(), self.registry.next_serial());
        let index = match self.clocks.iter().position(Option::is_none) {
            Some(free) => free,
            None => {
                self.clocks.push(None);
                self.clocks.len() - 1
            }
        };
        self.clocks[index] = Some(clock);
        self.by_origin.insert(origin.clone(), index as u32);
        Some(index as u32)
    }

    /// Returns a series, created if necessary, and its slot in a clock.
    pub(super) fn place(&mut self, clock: u32, key: &Key, at: i64) -> Result<(SeriesId, u32), DropReason> {
        let id = match self.registry.find(key) {
            Some(id) => id,
            None => {
                if self.registry.len() >= self.limits.series && !self.remove_ended(at, Some(clock)) {
                    return Err(DropReason::TooManySeries);
                }
                self.registry.create(key)
            }
        };
        let Some(entry) = self.registry.get_mut(id) else { return Err(DropReason::TooManySeries) };
        if let Some(place) = entry.place_in(clock) {
            return Ok((id, place.slot));
        }
        if !entry.has_room() || entry.newest() >= at {
            return Err(DropReason::OutOfOrder);
        }
        let Some(Some(of)) = self.clocks.get_mut(clock as usize) else {
            return Err(DropReason::TooManySeries);
        };
        let slot = of.add_slot(id);
        entry.places.push(Place { clock, slot, newest: i64::MIN });
        Ok((id, slot))
    }

    /// Evicts the process that ended first, and returns whether there is one.
    fn remove_ended(&mut self, now: i64, except: Option<u32>) -> bool {
        let ended = |clock: &Clock| {
            let newest = clock.newest().filter(|newest| now.saturating_sub(*newest) >= ENDED_MS);
            newest.filter(|_| !clock.is_of_rules())
        };
        let clocks = self
            .clocks
            .iter()
            .enumerate()
            .filter_map(|(index, clock)| Some((ended(clock.as_ref()?)?, index)));
        let Some((_, index)) = clocks.filter(|(_, index)| Some(*index as u32) != except).min() else {
            return false;
        };
        self.remove_clock(index);
        true
    }

    fn remove_clock(&mut self, index: usize) {
        let Some(clock) = self.clocks[index].take() else { return };
        self.by_origin.remove(&clock.origin);
        for series in clock.slots.into_iter().flatten() {
            self.leave(series, index as u32);
        }
        self.registry.forget_texts();
    }

    /// Removes a series from one clock, and entirely if that was its last.
    fn leave(&mut self, series: SeriesId, clock: u32) {
        let Some(entry) = self.registry.get_mut(series) else { return };
        entry.places.retain(|place| place.clock != clock);
        if entry.places.is_empty() {
            self.registry.remove(series);
            self.exemplars.remove(series);
        }
    }

    /// Stores exemplars of series that have samples.
    pub fn append_exemplars(&mut self, exemplars: Vec<Exemplars>) {
        for Exemplars { name, labels, exemplars } in exemplars {
            let key = |kind| Key { name: name.clone(), labels: labels.clone(), kind };
            let find = |kind| self.registry.find(&key(kind));
            if let Some(id) = find(Kind::Histograms).or_else(|| find(Kind::Numbers)) {
                self.exemplars.add(id, exemplars);
            }
        }
    }

    /// Returns the newest exemplars of a series, oldest first. They are lost with a restart.
    pub fn exemplars(&self, series: SeriesId) -> impl Iterator<Item = &Exemplar> {
        self.exemplars.get(series)
    }

    /// Rolls up or evicts data that is too old or exceeds the limits. Call it about once a minute.
    pub fn maintain(&mut self, now: i64) {
        self.now = now;
        for clock in self.clocks.iter_mut().flatten() {
            retention::keep_within_time(clock, &self.limits, now);
        }
        let memory = self.memory();
        if memory > self.limits.memory {
            retention::keep_within_memory(&mut self.clocks, self.limits.memory, memory - self.limits.memory);
        }
        for index in 0..self.clocks.len() {
            self.free_slots(index);
        }
        self.registry.forget_texts();
    }

    fn free_slots(&mut self, index: usize) {
        let Some(clock) = &mut self.clocks[index] else { return };
        let registry = &self.registry;
        let newest = |series| {
            let entry = registry.get(series);
            let place = entry.and_then(|entry| entry.places.iter().find(|place| place.clock == index as u32));
            place.map_or(i64::MIN, |place| place.newest)
        };
        let freed = retention::free_slots(clock, newest);
        let is_empty = clock.oldest().is_none();
        for series in freed {
            self.leave(series, index as u32);
        }
        if is_empty {
            self.remove_clock(index);
        }
    }

    /// Writes the samples since the last call to disk. Call it at least every 15 seconds, after
    /// [`maintain`](Self::maintain). [`usage`](Self::usage) reports failures; the store continues in memory.
    pub fn flush(&mut self) {
        if let Some(files) = &mut self.files {
            files.flush(&mut self.clocks, &self.registry, &self.limits, self.now);
        }
    }

    /// Returns the blocks with samples in a range of time that excludes its start, oldest first.
    fn parts(&self, place: &Place, after: i64, until: i64) -> Vec<Part<'_>> {
        let clock = self.clocks.get(place.clock as usize).and_then(Option::as_ref);
        clock.map_or_else(Vec::new, |clock| clock.parts(place.slot as usize, after, until))
    }

    fn memory(&self) -> usize {
        let clocks = self.clocks.iter().flatten();
        let clocks = clocks.map(|clock| clock.rolled_memory() + clock.full_memory() + clock.growing_memory());
        let files = self.files.as_ref().map_or(0, Files::memory);
        clocks.sum::<usize>() + self.registry.memory() + self.exemplars.memory() + files
    }

    /// Returns the usage of the limits.
    pub fn usage(&self) -> Usage {
        let clocks = || self.clocks.iter().flatten();
        let problems = self.files.iter().flat_map(Files::problems).cloned().collect();
        Usage {
            limits: self.limits,
            memory: self.memory(),
            disk: self.files.as_ref().map_or(0, Files::bytes),
            series: self.registry.len(),
            samples: clocks().map(Clock::samples).sum(),
            oldest_full: clocks().filter(|clock| !clock.is_of_rules()).filter_map(Clock::oldest_full).min(),
            oldest: clocks().filter_map(Clock::oldest).min(),
            newest: clocks().filter_map(Clock::newest).max(),
            dropped: self.dropped,
            set_back: clocks().filter_map(Clock::set_back).collect(),
            problems,
        }
    }
}

impl MetricSource for MetricStore {
    fn series(&self, name: &str) -> Vec<SeriesId> {
        self.registry.named(name).to_vec()
    }

    fn labels(&self, series: SeriesId) -> &Labels {
        static NONE: std::sync::LazyLock<Labels> = std::sync::LazyLock::new(Labels::default);
        self.registry.get(series).map_or(&NONE, |entry| &entry.key.labels)
    }

    fn read(&self, series: SeriesId, after: i64, until: i64) -> Points {
        let Some(entry) = self.registry.get(series) else { return Points::Numbers(Vec::new()) };
        let mut points = entry.key.kind.no_points();
        for place in &entry.places {
            for part in self.parts(place, after, until) {
                part.block.read(part.slot, after, until, &mut points);
            }
        }
        if entry.places.len() > 1 {
            match &mut points {
                Points::Numbers(points) => points.sort_by_key(|(at, _)| *at),
                Points::Histograms(points) => points.sort_by_key(|(at, _)| *at),
            }
        }
        points
    }

    fn read_counter(
        &self,
        series: SeriesId,
        after: i64,
        until: i64,
        detailed: bool,
        windows: &FindWindows<'_>,
    ) -> CounterPoints {
        match self.registry.get(series) {
            Some(Entry { key: Key { kind: Kind::Histograms, .. }, places, .. }) if places.len() == 1 => {
                let parts = self.parts(&places[0], after, until);
                CounterPoints::Histograms(changes::read(&parts, after, until, detailed, windows))
            }
            _ => CounterPoints::of(self.read(series, after, until), windows),
        }
    }

    fn complete_since(&self, series: SeriesId) -> i64 {
        let places = self.registry.get(series).map_or(&[][..], |entry| &entry.places);
        let clocks = places.iter().filter_map(|place| self.clocks.get(place.clock as usize)?.as_ref());
        clocks.filter_map(|clock| clock.complete_since).max().unwrap_or(i64::MIN)
    }
}
