//! Records in the payload of a frame.
//!
//! A file names a series by the serial number of its clock and by its slot. The record that defines this pair
//! precedes its use.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::super::block::Block;
use super::super::clock::Clock;
use super::super::column::Kind;
use super::super::histograms::same;
use super::super::registry::{Key, Registry};
use super::super::varint::{Reader, put, put_bytes, unzigzag, zigzag};
use super::super::{Histogram, Labels, Origin, Value};

const CLOCK: u8 = 1;
const SERIES: u8 = 2;
const FULL: u8 = 3;
const ROLLED: u8 = 4;
const COLLECTION: u8 = 5;

/// Tags of samples in a collection.
const SAME: u64 = 0;
const NUMBER: u64 = 1;
const HISTOGRAM: u64 = 2;

/// Maximum accepted slot number, larger than any that the store assigns.
const MOST_SLOTS: u32 = 1 << 20;

/// Resolution of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Resolution {
    Full,
    Rolled,
}

/// A decoded record.
#[derive(Debug)]
pub(in super::super) enum Record {
    Clock(u64, Origin),
    Series(u64, u32, Key),
    Block(u64, Resolution, Block),
    Collection(u64, i64, Vec<(u32, Value)>),
}

/// Definitions in a file, and the newest value of each series of a journal.
#[derive(Debug, Default)]
pub(in super::super) struct Written {
    clocks: HashSet<u64>,
    series: HashMap<(u64, u32), u64>,
    newest: HashMap<(u64, u32), Value>,
}

impl Written {
    pub(in super::super) fn memory(&self) -> usize {
        self.series.len() * 48 + self.newest.len() * 64
    }

    fn define_clock(&mut self, out: &mut Vec<u8>, clock: &Clock) {
        if !self.clocks.insert(clock.serial) {
            return;
        }
        out.push(CLOCK);
        put(out, clock.serial);
        let (job, instance) = match &clock.origin {
            Origin::Process { job, instance } => (job, Some(instance)),
            Origin::Rules { group } => (group, None),
        };
        put(out, u64::from(instance.is_some()));
        put_bytes(out, job.as_bytes());
        if let Some(instance) = instance {
            put_bytes(out, instance.as_bytes());
        }
    }

    fn define_series(&mut self, out: &mut Vec<u8>, slot: u32, clock: &Clock, registry: &Registry) {
        let series = clock.slots.get(slot as usize).copied().flatten();
        let Some(entry) = series.and_then(|series| registry.get(series)) else { return };
        if self.series.insert((clock.serial, slot), entry.serial) == Some(entry.serial) {
            return;
        }
        self.newest.remove(&(clock.serial, slot));
        let key = &entry.key;
        out.push(SERIES);
        put(out, clock.serial);
        put(out, u64::from(slot));
        put(out, u64::from(key.kind == Kind::Histograms));
        put_bytes(out, key.name.as_bytes());
        put(out, key.labels.iter().count() as u64);
        for (name, value) in key.labels.iter() {
            put_bytes(out, name.as_bytes());
            put_bytes(out, value.as_bytes());
        }
    }

    /// Appends a block, preceded by the definitions that it needs.
    pub(in super::super) fn block(
        &mut self,
        out: &mut Vec<u8>,
        clock: &Clock,
        registry: &Registry,
        (resolution, block): (Resolution, &Block),
    ) {
        self.define_clock(out, clock);
        for slot in (0..block.slots()).filter(|slot| !block.column(*slot).is_empty()) {
            self.define_series(out, slot as u32, clock, registry);
        }
        out.push(match resolution {
            Resolution::Full => FULL,
            Resolution::Rolled => ROLLED,
        });
        put(out, clock.serial);
        block.write(out);
    }

    /// Appends samples in ascending order of slots, preceded by the definitions that they need.
    pub(in super::super) fn collection<'a>(
        &mut self,
        out: &mut Vec<u8>,
        clock: &Clock,
        registry: &Registry,
        at: i64,
        samples: impl Iterator<Item = (u32, &'a Value)> + Clone,
    ) {
        self.define_clock(out, clock);
        for (slot, _) in samples.clone() {
            self.define_series(out, slot, clock, registry);
        }
        out.push(COLLECTION);
        put(out, clock.serial);
        put(out, at.cast_unsigned());
        put(out, samples.clone().count() as u64);
        let mut previous = 0;
        for (slot, value) in samples {
            let before = self.newest.insert((clock.serial, slot), value.clone());
            let tag = match value {
                _ if before.is_some_and(|before| is_same(&before, value)) => SAME,
                Value::Number(_) => NUMBER,
                Value::Histogram(_) => HISTOGRAM,
            };
            put(out, u64::from(slot - previous) << 2 | tag);
            previous = slot;
            match value {
                _ if tag == SAME => {}
                Value::Number(number) => put_number(out, *number),
                Value::Histogram(histogram) => put_histogram(out, histogram),
            }
        }
    }
}

fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.to_bits() == other.to_bits(),
        (Value::Histogram(one), Value::Histogram(other)) => Arc::ptr_eq(one, other) || same(one, other),
        _ => false,
    }
}

/// Appends a number: an integer as such, any other after the byte 1.
fn put_number(out: &mut Vec<u8>, number: f64) {
    let integer = number as i64;
    if integer.unsigned_abs() < 1 << 53 && (integer as f64).to_bits() == number.to_bits() {
        put(out, zigzag(integer) << 1);
    } else {
        out.push(1);
        out.extend_from_slice(&number.to_bits().to_le_bytes());
    }
}

fn get_number(reader: &mut Reader<'_>) -> Option<f64> {
    match reader.get()? {
        1 => Some(f64::from_bits(u64::from_le_bytes(reader.take(8)?.try_into().ok()?))),
        integer => Some(unzigzag(integer >> 1) as f64),
    }
}

fn put_histogram(out: &mut Vec<u8>, histogram: &Histogram) {
    put_number(out, histogram.sum);
    put_number(out, histogram.count);
    put_number(out, histogram.zero_count);
    put(out, histogram.buckets.len() as u64);
    let mut previous = 0;
    for (index, count) in &histogram.buckets {
        put(out, zigzag(i64::from(*index) - previous));
        put_number(out, *count);
        previous = i64::from(*index);
    }
}

fn get_histogram(reader: &mut Reader<'_>) -> Option<Histogram> {
    let (sum, count, zero_count) = (get_number(reader)?, get_number(reader)?, get_number(reader)?);
    let (mut buckets, mut index) = (Vec::new(), 0_i64);
    for _ in 0..reader.get()? {
        index = index.checked_add(unzigzag(reader.get()?))?;
        buckets.push((i32::try_from(index).ok()?, get_number(reader)?));
    }
    Some(Histogram { count, sum, zero_count, buckets })
}

/// Reads the records of a file, frame by frame.
#[derive(Debug, Default)]
pub(in super::super) struct Records {
    newest: HashMap<(u64, u32), Value>,
}

impl Records {
    /// Calls `visit` with each record. Returns `None` if the payload is invalid despite its valid checksum.
    pub(in super::super) fn read(&mut self, payload: &[u8], mut visit: impl FnMut(Record)) -> Option<()> {
        let mut reader = Reader::new(payload);
        while !reader.is_empty() {
            visit(self.record(&mut reader)?);
        }
        Some(())
    }

    fn record(&mut self, reader: &mut Reader<'_>) -> Option<Record> {
        let tag = reader.byte()?;
        let clock = reader.get()?;
        match tag {
            CLOCK => {
                let is_process = reader.get()? == 1;
                let first = reader.text()?;
                let origin = match is_process {
                    true => Origin::process(first, reader.text()?),
                    false => Origin::rules(first),
                };
                Some(Record::Clock(clock, origin))
            }
            SERIES => {
                let slot = reader.u32().filter(|slot| *slot < MOST_SLOTS)?;
                self.newest.remove(&(clock, slot));
                let kind = if reader.get()? == 1 { Kind::Histograms } else { Kind::Numbers };
                let name = reader.text()?.into();
                let mut labels: Vec<(Arc<str>, Arc<str>)> = Vec::new();
                for _ in 0..reader.get()? {
                    labels.push((reader.text()?.into(), reader.text()?.into()));
                }
                Some(Record::Series(clock, slot, Key { name, labels: Labels::new(labels), kind }))
            }
            FULL => Some(Record::Block(clock, Resolution::Full, Block::parse(reader)?)),
            ROLLED => Some(Record::Block(clock, Resolution::Rolled, Block::parse(reader)?)),
            COLLECTION => {
                let at = reader.get()?.cast_signed();
                let mut samples = Vec::new();
                let mut slot = 0_u32;
                for _ in 0..reader.get()? {
                    let token = reader.get()?;
                    slot = slot.checked_add(u32::try_from(token >> 2).ok()?)?;
                    let value = match token & 3 {
                        SAME => self.newest.get(&(clock, slot))?.clone(),
                        NUMBER => Value::Number(get_number(reader)?),
                        _ => Value::Histogram(Arc::new(get_histogram(reader)?)),
                    };
                    if token & 3 != SAME {
                        self.newest.insert((clock, slot), value.clone());
                    }
                    samples.push((slot, value));
                }
                Some(Record::Collection(clock, at, samples))
            }
            _ => None,
        }
    }
}
