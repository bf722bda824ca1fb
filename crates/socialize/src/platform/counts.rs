//! Counters by key that forget keys whose count is zero.

use std::collections::HashMap;
use std::hash::Hash;

/// Amounts by key. A key is removed when its amount reaches zero, so memory is bounded by the current counts.
pub(crate) struct Counts<K>(HashMap<K, u64>);

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> Counts<K> {
    pub(crate) fn of(&self, key: &K) -> u64 {
        self.0.get(key).copied().unwrap_or(0)
    }

    pub(crate) fn add(&mut self, key: K, amount: u64) {
        *self.0.entry(key).or_default() += amount;
    }

    /// Subtracts an amount that was added.
    pub(crate) fn subtract(&mut self, key: &K, amount: u64) {
        let Some(count) = self.0.get_mut(key) else { return };
        *count -= amount;
        if *count == 0 {
            self.0.remove(key);
        }
    }
}

#[cfg(test)]
impl<K> Counts<K> {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_back_whole_is_forgotten() {
        let mut counts = Counts::default();
        counts.add("a", 2);
        counts.add("a", 3);
        counts.subtract(&"a", 4);
        counts.subtract(&"b", 1);
        assert_eq!((counts.of(&"a"), counts.of(&"b")), (1, 0));
        counts.subtract(&"a", 1);
        assert_eq!(counts.len(), 0);
    }
}
