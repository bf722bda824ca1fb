//! Clocks of the processes that report, compared with the console's.

use std::collections::HashMap;
use std::sync::Arc;

/// Maximum number of processes. Others are not compared.
const MOST: usize = 256;

/// Clock differences in milliseconds, by the process's instance.
#[derive(Debug, Default)]
pub(crate) struct Clocks(HashMap<Arc<str>, i64>);

impl Clocks {
    /// Compares the time of a collection with that of its arrival, both in Unix milliseconds. A process sends
    /// as soon as it has collected, so a difference larger than the time of the transport means that the
    /// clocks differ.
    pub(crate) fn compare(&mut self, instance: &Arc<str>, at: i64, arrived: i64) {
        if self.0.len() < MOST || self.0.contains_key(instance) {
            self.0.insert(Arc::clone(instance), at.saturating_sub(arrived));
        }
    }

    /// Returns by how many milliseconds the clock of a process is ahead; negative if it is behind.
    pub(crate) fn ahead(&self, instance: &str) -> Option<i64> {
        self.0.get(instance).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_difference_counts_and_processes_are_limited() {
        let mut clocks = Clocks::default();
        let name = |number: usize| -> Arc<str> { format!("process {number}").into() };
        for number in 0..MOST + 1 {
            clocks.compare(&name(number), 5_000, 1_000);
        }
        clocks.compare(&name(0), 1_000, 3_500);
        assert_eq!(clocks.ahead("process 0"), Some(-2_500));
        assert_eq!(clocks.ahead("process 1"), Some(4_000));
        assert_eq!(clocks.ahead(&name(MOST)), None);
    }
}
