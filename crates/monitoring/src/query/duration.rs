//! Durations as PromQL spells them.

use std::time::Duration;

/// In the largest unit of which it is a whole number: `5m`, `90s`, `1w`.
///
/// # Panics
/// When it is not a whole number of seconds above zero, which no window or threshold of ours is.
pub fn duration_text(duration: Duration) -> String {
    let seconds = duration.as_secs();
    assert!(seconds > 0 && duration.subsec_nanos() == 0, "{duration:?} is not a whole number of seconds");
    let units = [(7 * 24 * 60 * 60, "w"), (24 * 60 * 60, "d"), (60 * 60, "h"), (60, "m")];
    match units.iter().find(|(length, _)| seconds.is_multiple_of(*length)) {
        Some((length, unit)) => format!("{}{unit}", seconds / length),
        None => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_spelled_in_the_largest_unit() {
        for (seconds, text) in
            [(1, "1s"), (90, "90s"), (300, "5m"), (10_800, "3h"), (86_400, "1d"), (604_800, "1w")]
        {
            assert_eq!(duration_text(Duration::from_secs(seconds)), text);
        }
    }
}
