//! A column of numbers, one for each tick of a clock.
//!
//! The column is a sequence of tokens, whose two lowest bits are a tag:
//!
//! | tag | token |
//! |---|---|
//! | 0 | so many ticks with the same number, or, if the next bit is set, without one |
//! | 1 | distance to an integer from an integer |
//! | 2 | distance in billionths: sums of durations are nanoseconds, written as seconds |
//! | 3 | bits that differ, with the number of zero bytes at the end and of bytes that follow |
//!
//! The number before the first is zero.

use super::varint::{Reader, put, unzigzag, zigzag};

const RUN: u64 = 0;
const INTEGER: u64 = 1;
const BILLIONTHS: u64 = 2;
const BITS: u64 = 3;

/// Integers of at least this size are not exact.
const EXACT: f64 = 9_007_199_254_740_992.0;
const BILLION: f64 = 1e9;

/// A growing column.
#[derive(Clone, Debug, Default)]
pub(super) struct NumberColumn {
    bytes: Vec<u8>,
    previous: f64,
    /// Number of ticks at the end that are not in `bytes` yet.
    pending: u32,
    pending_is_gap: bool,
    length: u32,
    gaps: u32,
}

impl NumberColumn {
    /// Returns the number of ticks.
    pub(super) fn len(&self) -> u32 {
        self.length
    }

    /// Returns the number of ticks that have a number.
    pub(super) fn samples(&self) -> u32 {
        self.length - self.gaps
    }

    /// Returns the newest number.
    pub(super) fn last(&self) -> f64 {
        self.previous
    }

    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity()
    }

    pub(super) fn push(&mut self, number: f64) {
        if number.to_bits() == self.previous.to_bits() {
            return self.extend(1, false);
        }
        self.write_pending();
        write_change(&mut self.bytes, self.previous, number);
        self.previous = number;
        self.length += 1;
    }

    /// Adds ticks without a number.
    pub(super) fn push_gap(&mut self, ticks: u32) {
        self.gaps += ticks;
        self.extend(ticks, true);
    }

    /// Repeats the newest number.
    pub(super) fn repeat(&mut self, ticks: u32) {
        self.extend(ticks, false);
    }

    fn extend(&mut self, ticks: u32, is_gap: bool) {
        if ticks == 0 {
            return;
        }
        if self.pending_is_gap != is_gap {
            self.write_pending();
            self.pending_is_gap = is_gap;
        }
        self.pending += ticks;
        self.length += ticks;
    }

    fn write_pending(&mut self) {
        write_run(&mut self.bytes, self.pending, self.pending_is_gap);
        self.pending = 0;
    }

    /// Appends the encoded column.
    pub(super) fn pack(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes);
        write_run(out, self.pending, self.pending_is_gap);
    }
}

fn write_run(out: &mut Vec<u8>, ticks: u32, is_gap: bool) {
    if ticks > 0 {
        put(out, u64::from(ticks) << 3 | u64::from(is_gap) << 2 | RUN);
    }
}

fn write_change(out: &mut Vec<u8>, previous: f64, number: f64) {
    if let (Some(from), Some(to)) = (integer(previous), integer(number)) {
        put(out, zigzag(to - from) << 2 | INTEGER);
    } else if let (Some(from), Some(to)) = (billionths(previous), billionths(number)) {
        put(out, zigzag(to - from) << 2 | BILLIONTHS);
    } else {
        let difference = previous.to_bits() ^ number.to_bits();
        let trailing = difference.trailing_zeros() / 8;
        let length = 8 - difference.leading_zeros() / 8 - trailing;
        put(out, u64::from(trailing << 4 | length) << 2 | BITS);
        out.extend_from_slice(&(difference >> (8 * trailing)).to_le_bytes()[..length as usize]);
    }
}

/// Returns a number as an integer if the conversion is exact. For negative zero it is not.
fn integer(number: f64) -> Option<i64> {
    let is_exact = number.abs() < EXACT && (number as i64 as f64).to_bits() == number.to_bits();
    is_exact.then_some(number as i64)
}

/// Returns a number in billionths, if the conversion is reversible.
fn billionths(number: f64) -> Option<i64> {
    let scaled = (number * BILLION).round();
    let is_exact = scaled.abs() < EXACT && (scaled as i64 as f64 / BILLION).to_bits() == number.to_bits();
    is_exact.then_some(scaled as i64)
}

/// A run of ticks with the same number, or without one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Run {
    pub(super) ticks: u32,
    pub(super) number: Option<f64>,
}

/// Decodes a column. It ends at damaged bytes.
#[derive(Clone, Debug)]
pub(super) struct Runs<'a> {
    bytes: Reader<'a>,
    previous: f64,
    /// The previous number in billionths, if it was decoded from them.
    billionths: Option<i64>,
}

impl<'a> Runs<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes: Reader::new(bytes), previous: 0.0, billionths: None }
    }

    fn change(&mut self, token: u64) -> Option<f64> {
        let argument = token >> 2;
        let known = self.billionths.take();
        match token & 3 {
            INTEGER => Some(integer(self.previous)?.checked_add(unzigzag(argument))? as f64),
            BILLIONTHS => {
                let previous = known.or_else(|| billionths(self.previous))?;
                let next = previous.checked_add(unzigzag(argument))?;
                self.billionths = Some(next);
                Some(next as f64 / BILLION)
            }
            _ => {
                let (trailing, length) = (argument as usize >> 4, argument as usize & 15);
                if trailing + length > 8 {
                    return None;
                }
                let mut difference = [0; 8];
                difference[trailing..trailing + length].copy_from_slice(self.bytes.take(length)?);
                Some(f64::from_bits(self.previous.to_bits() ^ u64::from_le_bytes(difference)))
            }
        }
    }
}

impl Iterator for Runs<'_> {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        let token = self.bytes.get()?;
        if token & 3 == RUN {
            let ticks = u32::try_from(token >> 3).ok()?;
            return Some(Run { ticks, number: (token & 4 == 0).then_some(self.previous) });
        }
        self.previous = self.change(token)?;
        Some(Run { ticks: 1, number: Some(self.previous) })
    }
}

/// Calls `visit` with each tick at which the number of a column may change, and with the new number, until it
/// returns false. Numbers before the first change are zero.
pub(super) fn each_change(bytes: &[u8], mut visit: impl FnMut(u32, f64) -> bool) {
    // Counts are integers, which take no floating-point arithmetic.
    let (mut tick, mut integer) = (0_u32, 0_i64);
    let mut tokens = Reader::new(bytes);
    loop {
        let here = tokens.clone();
        let Some(token) = tokens.get() else { return };
        match token & 3 {
            RUN => {
                let Ok(ticks) = u32::try_from(token >> 3) else { return };
                tick = tick.saturating_add(ticks);
            }
            INTEGER => {
                let Some(next) = integer.checked_add(unzigzag(token >> 2)) else { return };
                integer = next;
                if !visit(tick, integer as f64) {
                    return;
                }
                tick = tick.saturating_add(1);
            }
            _ => {
                let mut number = integer as f64;
                for run in (Runs { bytes: here, previous: number, billionths: None }) {
                    let next = run.number.unwrap_or(number);
                    if next.to_bits() != number.to_bits() && !visit(tick, next) {
                        return;
                    }
                    number = next;
                    tick = tick.saturating_add(run.ticks);
                }
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::metrics::STALE;

    fn column(numbers: &[Option<f64>]) -> NumberColumn {
        let mut column = NumberColumn::default();
        for number in numbers {
            match number {
                Some(number) => column.push(*number),
                None => column.push_gap(1),
            }
        }
        column
    }

    fn packed(column: &NumberColumn) -> Vec<u8> {
        let mut bytes = Vec::new();
        column.pack(&mut bytes);
        bytes
    }

    fn unpacked(bytes: &[u8]) -> Vec<Option<u64>> {
        let runs = Runs::new(bytes);
        runs.flat_map(|run| std::iter::repeat_n(run.number.map(f64::to_bits), run.ticks as usize)).collect()
    }

    fn number() -> impl Strategy<Value = Option<f64>> {
        prop_oneof![
            2 => Just(None),
            4 => (0..4_i32).prop_map(|number| Some(f64::from(number))),
            2 => any::<i64>().prop_map(|number| Some(number as f64)),
            2 => (0..1_000_000_000_000_i64).prop_map(|number| Some(number as f64 / 1e9)),
            2 => any::<f64>().prop_map(Some),
            1 => prop_oneof![Just(STALE), Just(-0.0), Just(f64::INFINITY), Just(f64::NAN)].prop_map(Some),
        ]
    }

    proptest! {
        #[test]
        fn numbers_are_read_as_they_were_written(numbers in prop::collection::vec(number(), 0..60)) {
            let column = column(&numbers);
            prop_assert_eq!(column.len() as usize, numbers.len());
            let expected: Vec<_> = numbers.iter().map(|number| number.map(f64::to_bits)).collect();
            prop_assert_eq!(unpacked(&packed(&column)), expected);
        }

        #[test]
        fn changes_are_those_of_the_numbers(numbers in prop::collection::vec(number(), 0..60)) {
            let mut expected = Vec::new();
            let mut last = 0.0_f64;
            for (tick, number) in numbers.iter().enumerate() {
                let now = number.unwrap_or(last);
                if now.to_bits() != last.to_bits() {
                    expected.push((tick as u32, now.to_bits()));
                }
                last = now;
            }
            let mut found = Vec::new();
            each_change(&packed(&column(&numbers)), |tick, number| {
                found.push((tick, number.to_bits()));
                true
            });
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn any_bytes_can_be_decoded(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = Runs::new(&bytes).take(100).count();
            each_change(&bytes, |_, _| true);
        }
    }

    #[test]
    fn what_does_not_change_takes_no_room() {
        let counter: Vec<_> = (0..240).map(|tick| Some(f64::from(tick / 80))).collect();
        assert!(packed(&column(&counter)).len() <= 8);
        let sum: Vec<_> = (0..240).map(|tick| Some(f64::from(tick * 1_234_567) / 1e9)).collect();
        assert!(packed(&column(&sum)).len() <= 4 * 240);
        assert_eq!(packed(&column(&[Some(0.0); 240])).len(), 2);
    }
}
