//! Bucket index of exponential histograms with a fixed scale of 3: eight buckets to a factor of
//! two.
//!
//! Bucket `i` holds values above `2^(i/8)` up to and including `2^((i+1)/8)`, as OTLP defines it.
//! Every power of two is the exact upper bound of a bucket.
//! <https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram>

/// The scale in OTLP: there are `2^SCALE` buckets to a factor of two.
pub const SCALE: i32 = 3;

/// Number of buckets to a factor of two.
pub const BUCKETS_PER_OCTAVE: i32 = 1 << SCALE;

/// Exponents of the bounds of all buckets: from a quarter of a nanosecond to a day in seconds, and
/// to a tebibyte in bytes. Smaller values are counted in the first bucket, larger ones in the last.
const EXPONENTS: std::ops::Range<i32> = -32..40;

/// Index of the first bucket.
pub const FIRST: i32 = EXPONENTS.start * BUCKETS_PER_OCTAVE;

/// Index of the last bucket.
pub const LAST: i32 = EXPONENTS.end * BUCKETS_PER_OCTAVE - 1;

/// Number of buckets.
pub const BUCKETS: usize = (LAST - FIRST + 1) as usize;

const MANTISSA_BITS: u32 = f64::MANTISSA_DIGITS - 1;
const MANTISSA: u64 = (1 << MANTISSA_BITS) - 1;
const EXPONENT_BIAS: i32 = f64::MAX_EXP - 1;

/// The lower bounds of the buckets of one octave, `2^(k/8)`, as mantissa bits. All but the first are
/// irrational, so a mantissa is above the bound exactly if it is above these bits.
const BOUNDS: [u64; BUCKETS_PER_OCTAVE as usize] = [
    0,
    0x0001_72b8_3c7d_517a,
    0x0003_06fe_0a31_b715,
    0x0004_bfda_d536_2a27,
    0x0006_a09e_667f_3bcc,
    0x0008_ace5_422a_a0db,
    0x000a_e89f_995a_d3ad,
    0x000d_5818_dcfb_a487,
];

/// The first bits of a mantissa choose a cell. No cell has more than one bound in it, so one
/// comparison finds the bucket.
const CELL_BITS: u32 = 4;
const CELLS: usize = 1 << CELL_BITS;

/// The number of bounds below a cell, and the bound in it.
#[derive(Clone, Copy)]
struct Cell {
    below: i32,
    bound: u64,
}

const CELL_OF: [Cell; CELLS] = {
    let mut cells = [Cell { below: 0, bound: u64::MAX }; CELLS];
    let mut position = 0;
    while position < CELLS {
        let start = (position as u64) << (MANTISSA_BITS - CELL_BITS);
        let end = start + (1 << (MANTISSA_BITS - CELL_BITS));
        let mut number = 0;
        while number < BOUNDS.len() {
            if BOUNDS[number] < start {
                cells[position].below += 1;
            } else if BOUNDS[number] < end {
                assert!(cells[position].bound == u64::MAX, "two bounds are in one cell");
                cells[position].bound = BOUNDS[number];
            }
            number += 1;
        }
        position += 1;
    }
    cells
};

/// Returns the index of the bucket of a value. Values that are not above zero, and `NaN`, have none.
#[inline]
pub fn index(value: f64) -> Option<i32> {
    let is_positive = value > 0.0;
    is_positive.then(|| unlimited_index(value).clamp(FIRST, LAST))
}

/// Returns the index of a value above zero, as if there were buckets for all of them.
#[inline]
fn unlimited_index(value: f64) -> i32 {
    let bits = value.to_bits();
    let exponent = (bits >> MANTISSA_BITS) as i32 - EXPONENT_BIAS;
    let mantissa = bits & MANTISSA;
    let cell = CELL_OF[(mantissa >> (MANTISSA_BITS - CELL_BITS)) as usize];
    let above = cell.below + i32::from(mantissa > cell.bound);
    // A power of two is above none of the bounds and belongs to the bucket that it ends.
    exponent * BUCKETS_PER_OCTAVE + above - 1
}

/// Returns the index of the bucket of a duration in seconds.
#[inline]
pub fn index_of_nanoseconds(nanoseconds: u64) -> Option<i32> {
    if nanoseconds == 0 {
        return None;
    }
    // The processor converts signed integers only; others take it five instructions.
    let number = i64::try_from(nanoseconds).map_or(nanoseconds as f64, |signed| signed as f64);
    // Cheaper than a division. 1e-9 is rounded up by less than half of the last digit of the product,
    // so powers of two stay exact. Other bounds are irrational. Every duration has a bucket.
    Some(unlimited_index(number * 1e-9))
}

/// Returns the upper bound of a bucket.
pub fn upper_bound(index: i32) -> f64 {
    (f64::from(index + 1) / f64::from(BUCKETS_PER_OCTAVE)).exp2()
}

/// Returns two to this power, exactly and also in constants.
pub const fn power_of_two(exponent: i32) -> f64 {
    assert!(exponent >= f64::MIN_EXP && exponent < f64::MAX_EXP, "beyond what a number can be");
    f64::from_bits(((exponent + EXPONENT_BIAS) as u64) << MANTISSA_BITS)
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use proptest::prelude::*;

    use super::*;

    /// A natural number of any size, lowest digit first.
    type Natural = Vec<u32>;

    fn product(one: &[u32], other: &[u32]) -> Natural {
        let mut product = vec![0_u32; one.len() + other.len()];
        for (position, digit) in one.iter().enumerate() {
            let mut carry = 0;
            for (offset, factor) in other.iter().chain(&vec![0; 1]).enumerate() {
                let sum =
                    u64::from(*digit) * u64::from(*factor) + u64::from(product[position + offset]) + carry;
                product[position + offset] = sum as u32;
                carry = sum >> 32;
            }
        }
        product
    }

    fn compare(one: &[u32], other: &[u32]) -> Ordering {
        let digit = |number: &[u32], position| number.get(position).copied().unwrap_or(0);
        let longest = one.len().max(other.len());
        let differs = (0..longest).rev().find(|at| digit(one, *at) != digit(other, *at));
        differs.map_or(Ordering::Equal, |at| digit(one, at).cmp(&digit(other, at)))
    }

    /// Compares a value in `[1, 2)` with `2^(eighths/8)` exactly, by their eighth powers.
    fn compare_with_bound(value: f64, eighths: u32) -> Ordering {
        let integer = (value.to_bits() & MANTISSA) | (1 << MANTISSA_BITS);
        let integer = vec![integer as u32, (integer >> 32) as u32];
        let square = product(&integer, &integer);
        let fourth = product(&square, &square);
        let eighth = product(&fourth, &fourth);
        let exponent = 8 * MANTISSA_BITS + eighths;
        let mut bound = vec![0; exponent as usize / 32 + 1];
        bound[exponent as usize / 32] = 1 << (exponent % 32);
        compare(&eighth, &bound)
    }

    /// The index by exact arithmetic, for values within the range of the buckets.
    fn exact_index(value: f64) -> i32 {
        let exponent = (value.to_bits() >> MANTISSA_BITS) as i32 - EXPONENT_BIAS;
        let mantissa =
            f64::from_bits((value.to_bits() & MANTISSA) | ((EXPONENT_BIAS as u64) << MANTISSA_BITS));
        let above =
            (0..8).filter(|eighths| compare_with_bound(mantissa, *eighths) == Ordering::Greater).count();
        exponent * 8 + above as i32 - 1
    }

    #[test]
    fn the_bounds_are_exact() {
        for (eighths, bound) in (0..).zip(BOUNDS) {
            let value = |mantissa: u64| f64::from_bits(mantissa | ((EXPONENT_BIAS as u64) << MANTISSA_BITS));
            assert_ne!(compare_with_bound(value(bound), eighths), Ordering::Greater, "{eighths}");
            assert_eq!(compare_with_bound(value(bound + 1), eighths), Ordering::Greater, "{eighths}");
        }
    }

    #[test]
    fn durations_that_are_powers_of_two_end_a_bucket() {
        for exponent in -9..24 {
            let nanoseconds = (1e9 * f64::from(exponent).exp2()) as u64;
            assert_eq!(index_of_nanoseconds(nanoseconds), Some(exponent * BUCKETS_PER_OCTAVE - 1));
            assert_eq!(index_of_nanoseconds(nanoseconds + 1), Some(exponent * BUCKETS_PER_OCTAVE));
            assert_eq!(index_of_nanoseconds(nanoseconds - 1), Some(exponent * BUCKETS_PER_OCTAVE - 1));
        }
        assert_eq!(index_of_nanoseconds(0), None);
        assert_eq!(index_of_nanoseconds(u64::MAX), index(u64::MAX as f64 / 1e9));
    }

    #[test]
    fn powers_of_two_end_a_bucket() {
        for exponent in EXPONENTS {
            let power = power_of_two(exponent);
            assert_eq!(power, f64::from(exponent).exp2());
            let ended = exponent * BUCKETS_PER_OCTAVE - 1;
            assert_eq!(index(power), Some(ended.max(FIRST)), "2^{exponent}");
            assert_eq!(index(power.next_up()), Some(ended + 1), "above 2^{exponent}");
            assert_eq!(index(power.next_down()), Some(ended.max(FIRST)), "below 2^{exponent}");
            assert_eq!(upper_bound(ended), power);
        }
    }

    #[test]
    fn values_outside_of_the_range_go_into_the_outermost_buckets() {
        let cases = [
            (f64::from_bits(1), Some(FIRST)),
            (f64::MIN_POSITIVE, Some(FIRST)),
            (f64::MIN_POSITIVE.next_down(), Some(FIRST)),
            (1e-300, Some(FIRST)),
            (power_of_two(-32).next_down(), Some(FIRST)),
            (power_of_two(40), Some(LAST)),
            (power_of_two(40).next_up(), Some(LAST)),
            (f64::MAX, Some(LAST)),
            (f64::INFINITY, Some(LAST)),
            (0.0, None),
            (-0.0, None),
            (-1.0, None),
            (-f64::MIN_POSITIVE, None),
            (f64::NEG_INFINITY, None),
            (f64::NAN, None),
            (-f64::NAN, None),
        ];
        for (value, expected) in cases {
            assert_eq!(index(value), expected, "{value:e}");
        }
    }

    proptest! {
        #[test]
        fn the_index_is_that_of_exact_arithmetic(mantissa in 0..=MANTISSA, exponent in EXPONENTS) {
            let value = f64::from_bits(mantissa | power_of_two(exponent).to_bits());
            prop_assert_eq!(index(value), Some(exact_index(value).max(FIRST)));
        }

        #[test]
        fn every_nanosecond_is_in_the_bucket_between_its_bounds(nanoseconds in 1_u64..1 << 46) {
            let seconds = nanoseconds as f64 / 1e9;
            let index = index(seconds).expect("a bucket");
            prop_assert_eq!(index, exact_index(seconds));
            prop_assert_eq!(index_of_nanoseconds(nanoseconds), Some(index));
            // The bounds are rounded, so the value may be a rounding away.
            prop_assert!(upper_bound(index - 1) * (1.0 - 1e-15) < seconds);
            prop_assert!(seconds <= upper_bound(index) * (1.0 + 1e-15));
        }
    }
}
