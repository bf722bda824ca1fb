//! A mutated rule.

use std::time::Duration;

use crate::rules::equivalent_mutants::{self, Equivalent};

/// A mutated rule with its tests.
pub(super) struct Mutant {
    pub(super) rule: &'static str,
    pub(super) change: String,
    /// The rule file with the mutation.
    pub(super) rules: String,
    /// Its tests, the cheapest first.
    pub(super) tests: Vec<Tests>,
    /// True if some of them last days.
    pub(super) takes_days: bool,
}

/// Some tests of a rule.
#[derive(Clone)]
pub(super) struct Tests {
    /// Evaluation interval of the rule.
    pub(super) every: Duration,
    /// The test file without its beginning.
    pub(super) text: String,
}

impl Mutant {
    pub(super) fn equivalent(&self) -> Option<&'static Equivalent> {
        equivalent_mutants::ALL.iter().find(|known| known.rule == self.rule && known.change == self.change)
    }
}
