//! Roll-up and eviction of old data.

use std::time::Duration;

use super::clock::Clock;
use super::{Limits, SeriesId};

/// Share of the memory above which rolled-up blocks are evicted first.
const ROLLED_SHARE: usize = 4;

/// Share of the memory above which blocks of rules are evicted first.
const RULES_SHARE: usize = 2;

pub(super) fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Rolls up and removes the blocks of a clock that are older than the limits allow.
pub(super) fn keep_within_time(clock: &mut Clock, limits: &Limits, now: i64) {
    clock.close_if_idle(now);
    let full_since = now.saturating_sub(milliseconds(limits.full));
    let rolled_since = now.saturating_sub(milliseconds(limits.rolled));
    if clock.is_of_rules() {
        while clock.full.front().is_some_and(|kept| kept.block.last() < rolled_since) {
            clock.remove_oldest_full();
        }
        return;
    }
    while clock.full.front().is_some_and(|kept| kept.block.last() < full_since) {
        clock.roll_up_oldest();
    }
    while clock.rolled.front().is_some_and(|kept| kept.block.last() < rolled_since) {
        clock.rolled.pop_front();
    }
}

/// Frees at least this many bytes: first rolled-up blocks or blocks of rules that exceed their share, then by
/// rolling up earlier, then the oldest block of any kind.
pub(super) fn keep_within_memory(clocks: &mut [Option<Clock>], memory: usize, excess: usize) {
    let mut to_free = excess.cast_signed();
    while to_free > 0 {
        let total = |of: fn(&Clock) -> usize| clocks.iter().flatten().map(of).sum::<usize>();
        let rolled = total(Clock::rolled_memory);
        let rules = total(|clock| if clock.is_of_rules() { clock.full_memory() } else { 0 });
        let before = total(all_memory);
        let rolled_first = rolled > memory / ROLLED_SHARE;
        let rules_first = rules > memory / RULES_SHARE;
        let removed = (rolled_first && remove_rolled(clocks))
            || (rules_first && remove_of_rules(clocks))
            || roll_up(clocks)
            || remove_rolled(clocks)
            || remove_of_rules(clocks);
        if !removed {
            return;
        }
        let after = clocks.iter().flatten().map(all_memory).sum::<usize>();
        to_free -= before.cast_signed() - after.cast_signed();
    }
}

fn all_memory(clock: &Clock) -> usize {
    clock.rolled_memory() + clock.full_memory() + clock.growing_memory()
}

/// Returns the clock with the oldest block of a kind.
fn oldest(clocks: &mut [Option<Clock>], first: impl Fn(&Clock) -> Option<i64>) -> Option<&mut Clock> {
    let clocks = clocks.iter_mut().flatten().filter_map(|clock| Some((first(clock)?, clock)));
    clocks.min_by_key(|(first, _)| *first).map(|(_, clock)| clock)
}

fn remove_rolled(clocks: &mut [Option<Clock>]) -> bool {
    let clock = oldest(clocks, |clock| clock.rolled.front().map(|kept| kept.block.first()));
    clock.is_some_and(|clock| clock.rolled.pop_front().is_some())
}

fn first_full(clock: &Clock, of_rules: bool) -> Option<i64> {
    let kept = clock.full.front().filter(|_| clock.is_of_rules() == of_rules);
    kept.map(|kept| kept.block.first())
}

fn remove_of_rules(clocks: &mut [Option<Clock>]) -> bool {
    let clock = oldest(clocks, |clock| first_full(clock, true));
    clock.map(Clock::remove_oldest_full).is_some()
}

fn roll_up(clocks: &mut [Option<Clock>]) -> bool {
    let clock = oldest(clocks, |clock| first_full(clock, false));
    clock.map(Clock::roll_up_oldest).is_some()
}

/// Frees the slots of series without samples, and returns these series.
pub(super) fn free_slots(clock: &mut Clock, newest: impl Fn(SeriesId) -> i64) -> Vec<SeriesId> {
    let oldest = clock.oldest().unwrap_or(i64::MAX);
    let mut freed = Vec::new();
    for slot in &mut clock.slots {
        if slot.is_some_and(|series| newest(series) < oldest) {
            freed.extend(slot.take());
        }
    }
    freed
}
