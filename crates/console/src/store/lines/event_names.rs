//! Which events the lines of a block have, in one number.

use std::sync::Arc;

use super::search::LineCondition;

/// Bit of all events that have none of their own.
const OTHER: u64 = 1 << 63;
/// Maximum number of events with a bit of their own. The application has about sixty.
const MOST: usize = 63;

/// Names of events, each with a bit by its position.
#[derive(Debug, Default)]
pub(super) struct EventNames(Vec<Arc<str>>);

impl EventNames {
    /// Returns the bit of an event.
    pub(super) fn bit(&mut self, event: &Arc<str>) -> u64 {
        let position = match self.0.iter().position(|known| known == event) {
            Some(position) => position,
            None if self.0.len() >= MOST => return OTHER,
            None => {
                self.0.push(Arc::clone(event));
                self.0.len() - 1
            }
        };
        1 << position
    }

    /// Returns the bits of the events with which lines can fulfil the conditions.
    pub(super) fn accepted_by(&self, conditions: &[LineCondition]) -> u64 {
        let tests = || {
            conditions.iter().filter_map(|condition| match condition {
                LineCondition::Event(test) => Some(test),
                _ => None,
            })
        };
        let is_accepted = |name: &str| tests().all(|test| test.accepts_text(name));
        let accepted = self.0.iter().enumerate().filter(|(_, name)| is_accepted(name));
        accepted.fold(OTHER, |bits, (position, _)| bits | 1 << position)
    }
}
