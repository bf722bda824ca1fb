//! Intermediate results that several expressions share.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use super::range::Range;
use super::row::{Row, Values};
use super::windows::Windows;
use crate::store::metrics::SeriesId;

/// Maximum size of the results, in numbers of eight bytes.
const LARGEST: usize = 2 << 20;

/// Increases of series, and sums of histograms, that were already computed. The panels of a page show the same
/// series as rates, shares and several quantiles.
///
/// They are valid for the same store while it is borrowed and for the same values of variables, so create them
/// anew for each page.
#[derive(Default)]
pub struct SharedResults {
    increases: RefCell<HashMap<IncreaseKey, Values>>,
    sums: RefCell<HashMap<SumKey, Vec<Row>>>,
    size: Cell<usize>,
}

/// Identity of the increases of a series.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct IncreaseKey {
    pub(super) series: SeriesId,
    pub(super) windows: Windows,
    pub(super) per_second: bool,
    /// Clear if histograms have no buckets.
    pub(super) detailed: bool,
}

/// Identity of a sum: its text and the inputs on which it depends.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct SumKey {
    pub(super) text: String,
    pub(super) range: Range,
    /// Lookback, interval, window of rates and whole range.
    pub(super) lengths: [Duration; 4],
}

impl SharedResults {
    /// Returns increases if they are known, possibly with buckets that are not needed.
    pub(super) fn increases(&self, key: IncreaseKey) -> Option<Values> {
        let known = self.increases.borrow();
        let found = known.get(&key).or_else(|| known.get(&IncreaseKey { detailed: true, ..key }));
        found.cloned()
    }

    pub(super) fn add_increases(&self, key: IncreaseKey, values: &Values) {
        self.add(&self.increases, key, values.size(), || values.clone());
    }

    /// Returns the rows of a sum of histograms with buckets, if it is known.
    pub(super) fn sum(&self, key: &SumKey) -> Option<Vec<Row>> {
        self.sums.borrow().get(key).cloned()
    }

    pub(super) fn add_sum(&self, key: SumKey, rows: &[Row]) {
        let size = rows.iter().map(|row| row.values.size()).sum();
        self.add(&self.sums, key, size, || rows.to_vec());
    }

    /// Adds a result, unless the limit is reached.
    fn add<K: Eq + Hash, V>(
        &self,
        known: &RefCell<HashMap<K, V>>,
        key: K,
        size: usize,
        value: impl FnOnce() -> V,
    ) {
        let size = self.size.get() + size;
        if size <= LARGEST {
            self.size.set(size);
            known.borrow_mut().insert(key, value());
        }
    }
}
