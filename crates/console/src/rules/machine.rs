//! The state machine of an alert, with the semantics of Prometheus.

use std::collections::{BTreeMap, BTreeSet};

use crate::store::metrics::Labels;

/// Time for which a resolved alert is kept and sent, so that a lost notification does no harm.
pub const RESOLVED_RETENTION: i64 = 15 * 60 * 1000;

/// Maximum number of series of one alert. More would flood the page and the receivers; their cause would be a
/// label of too many values.
pub const MOST_SERIES: usize = 1_000;

/// State of one series of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// The condition holds, but not for long enough.
    Pending,
    /// The condition has held for long enough, or stopped holding less than `keep_firing` ago.
    Firing,
    /// The condition no longer holds.
    Resolved,
}

impl Phase {
    /// Returns the value of the label `alertstate`, or the name of the state.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }

    /// Returns the state with a name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Pending, Self::Firing, Self::Resolved].into_iter().find(|phase| phase.as_str() == name)
    }
}

/// A series of an alert. Times are Unix times in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Active {
    /// Its state.
    pub phase: Phase,
    /// Start of the state pending.
    pub active_at: i64,
    /// Start of the state firing; zero if it has not fired.
    pub fired_at: i64,
    /// End of the state firing, if it has ended.
    pub resolved_at: Option<i64>,
    /// Time since which the alert fires only because of `keep_firing`.
    pub keep_firing_since: Option<i64>,
    /// Value of the condition when it last held.
    pub value: f64,
    /// Time of the last notification to the Alertmanager; zero if never.
    pub sent_at: i64,
    /// End of the grace period after a restart, in which the alert fires without its condition, because
    /// windows with a gap cannot tell whether it holds. Unset once the condition holds again.
    pub restored_until: Option<i64>,
}

/// A change of state, for the history.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Labels of the series.
    pub labels: Labels,
    /// The new state.
    pub phase: Phase,
    /// Time of the evaluation.
    pub at: i64,
    /// Value of the condition.
    pub value: f64,
}

/// All series of an alert, by their labels.
#[derive(Debug, Default)]
pub struct Machine {
    active: BTreeMap<Labels, Active>,
}

/// The durations of an alert in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Durations {
    /// Pending period.
    pub pending: i64,
    /// Time that the alert keeps firing after the condition last held.
    pub keep_firing: i64,
}

impl Machine {
    /// Applies the result of an evaluation: labels of the alert's series with their values. Returns
    /// the changes of state.
    ///
    /// # Errors
    /// Returns a sentence if two results have the same labels or if there are too many. As in Prometheus, no
    /// state changes then.
    pub fn step(
        &mut self,
        now: i64,
        durations: Durations,
        results: Vec<(Labels, f64)>,
    ) -> Result<Vec<Change>, String> {
        if results.len() > MOST_SERIES {
            return Err(format!(
                "the condition has {} results; at most {MOST_SERIES} are kept",
                results.len()
            ));
        }
        let mut found = BTreeSet::new();
        for (labels, _) in &results {
            if !found.insert(labels.clone()) {
                return Err("the condition has two results with the same labels".to_owned());
            }
        }
        let mut changes = Vec::new();
        for (labels, value) in results {
            match self.active.get_mut(&labels) {
                Some(active) if active.phase != Phase::Resolved => active.value = value,
                _ => {
                    changes.push(Change { labels: labels.clone(), phase: Phase::Pending, at: now, value });
                    self.active.insert(labels, Active::pending(now, value));
                }
            }
        }
        self.active.retain(|labels, active| {
            let (before, stays) = (active.phase, active.advance(now, durations, found.contains(labels)));
            if active.phase != before {
                let change =
                    Change { labels: labels.clone(), phase: active.phase, at: now, value: active.value };
                changes.push(change);
            } else if !stays && before == Phase::Pending {
                // The history also shows the end of the state pending.
                let change =
                    Change { labels: labels.clone(), phase: Phase::Resolved, at: now, value: active.value };
                changes.push(change);
            }
            stays
        });
        Ok(merged(changes))
    }

    /// Returns the series that are pending or firing.
    pub fn current(&self) -> impl Iterator<Item = (&Labels, &Active)> {
        self.active.iter().filter(|(_, active)| active.phase != Phase::Resolved)
    }

    /// Returns all series, including resolved ones that are still kept.
    pub fn all_mut(&mut self) -> impl Iterator<Item = (&Labels, &mut Active)> {
        self.active.iter_mut()
    }

    /// Returns all series, including resolved ones that are still kept.
    pub fn all(&self) -> impl Iterator<Item = (&Labels, &Active)> {
        self.active.iter()
    }

    /// Adds a series as it was before a restart.
    pub fn restore(&mut self, labels: Labels, active: Active) {
        if self.active.len() < MOST_SERIES {
            self.active.insert(labels, active);
        }
    }
}

/// Omits the state pending of series without a pending period, which fire in the same evaluation.
fn merged(changes: Vec<Change>) -> Vec<Change> {
    let fire: BTreeSet<Labels> = changes
        .iter()
        .filter(|change| change.phase == Phase::Firing)
        .map(|change| change.labels.clone())
        .collect();
    let is_kept = |change: &Change| change.phase != Phase::Pending || !fire.contains(&change.labels);
    changes.into_iter().filter(is_kept).collect()
}

impl Active {
    fn pending(now: i64, value: f64) -> Self {
        Self {
            phase: Phase::Pending,
            active_at: now,
            fired_at: 0,
            resolved_at: None,
            keep_firing_since: None,
            value,
            sent_at: 0,
            restored_until: None,
        }
    }

    /// Applies the result of one evaluation. Returns whether the series is kept.
    fn advance(&mut self, now: i64, durations: Durations, holds: bool) -> bool {
        if holds {
            self.keep_firing_since = None;
            self.restored_until = None;
            if self.phase == Phase::Pending && now - self.active_at >= durations.pending {
                self.phase = Phase::Firing;
                self.fired_at = now;
            }
            return true;
        }
        match self.phase {
            Phase::Pending => false,
            Phase::Firing => {
                if durations.keep_firing > 0 {
                    let since = *self.keep_firing_since.get_or_insert(now);
                    if now - since < durations.keep_firing {
                        return true;
                    }
                }
                if self.restored_until.is_some_and(|until| now < until) {
                    return true;
                }
                self.phase = Phase::Resolved;
                self.resolved_at = Some(now);
                true
            }
            Phase::Resolved => self.resolved_at.is_some_and(|at| now - at <= RESOLVED_RETENTION),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    fn labels(instance: &str) -> Labels {
        Labels::new([("instance".into(), instance.into())])
    }

    fn phase(machine: &Machine, instance: &str) -> Option<Phase> {
        machine.all().find(|(of, _)| **of == labels(instance)).map(|(_, active)| active.phase)
    }

    /// Each minute is a letter: `x` if the condition holds, `.` if it does not, and the state that
    /// follows.
    fn play(pending: i64, keep_firing: i64, holds: &str, expected: &str) {
        let durations = Durations { pending: pending * MINUTE, keep_firing: keep_firing * MINUTE };
        let mut machine = Machine::default();
        let mut states = String::new();
        for (minute, letter) in (0..).zip(holds.chars()) {
            let results = if letter == 'x' { vec![(labels("a"), minute as f64)] } else { vec![] };
            machine.step(minute * MINUTE, durations, results).expect("few results");
            states.push(match phase(&machine, "a") {
                None => '-',
                Some(Phase::Pending) => 'p',
                Some(Phase::Firing) => 'F',
                Some(Phase::Resolved) => 'r',
            });
        }
        assert_eq!(states, expected, "for {pending} minutes, keep firing {keep_firing}: {holds}");
    }

    #[test]
    fn states_follow_as_in_prometheus() {
        // (pending, keep firing, the condition, states)
        play(0, 0, "x.x", "FrF");
        play(2, 0, "xxxx.", "ppFFr");
        // The pending period starts anew after a gap, also if the alert has fired before.
        play(2, 0, "xx.xxx.xx", "pp-ppFrpp");
        // Evaluated once a minute, an alert with a period of five minutes fires at the sixth.
        play(5, 0, "xxxxxx", "pppppF");
        play(1, 2, "xx..x....", "pFFFFFFrr");
        // A resolved alert is forgotten after more than 15 minutes.
        play(0, 0, "x.................", "Frrrrrrrrrrrrrrrr-");
        // `keep_firing` does not apply to a pending alert.
        play(3, 5, "xx.x", "pp-p");
    }

    #[test]
    fn series_are_told_apart_by_their_labels() {
        let mut machine = Machine::default();
        let durations = Durations { pending: MINUTE, keep_firing: 0 };
        machine.step(0, durations, vec![(labels("a"), 1.0)]).expect("one");
        machine.step(MINUTE, durations, vec![(labels("a"), 2.0), (labels("b"), 5.0)]).expect("two");
        assert_eq!(phase(&machine, "a"), Some(Phase::Firing));
        assert_eq!(phase(&machine, "b"), Some(Phase::Pending));
        let values: Vec<f64> = machine.current().map(|(_, active)| active.value).collect();
        assert_eq!(values, [2.0, 5.0]);
    }

    #[test]
    fn changes_are_returned_once() {
        let mut machine = Machine::default();
        let mut phases = |minute: i64, pending: i64, holds: bool| -> Vec<Phase> {
            let durations = Durations { pending: pending * MINUTE, keep_firing: 0 };
            let results = if holds { vec![(labels("a"), 1.0)] } else { vec![] };
            let changes = machine.step(minute * MINUTE, durations, results).expect("few");
            changes.into_iter().map(|change| change.phase).collect()
        };
        assert_eq!(phases(0, 2, true), [Phase::Pending]);
        assert_eq!(phases(1, 2, true), []);
        assert_eq!(phases(2, 2, true), [Phase::Firing]);
        assert_eq!(phases(3, 2, false), [Phase::Resolved]);
        assert_eq!(phases(4, 2, false), []);
        assert_eq!(phases(5, 2, true), [Phase::Pending]);
        assert_eq!(phases(6, 2, false), [Phase::Resolved]);
        assert_eq!(phases(7, 0, true), [Phase::Firing]);
    }

    #[test]
    fn results_that_cannot_be_told_apart_are_refused() {
        let mut machine = Machine::default();
        let twice = vec![(labels("a"), 1.0), (labels("a"), 2.0)];
        assert!(machine.step(0, Durations::default(), twice).is_err());
        let many = (0..=MOST_SERIES).map(|number| (labels(&number.to_string()), 1.0)).collect();
        assert!(machine.step(0, Durations::default(), many).is_err());
        assert_eq!(machine.current().count(), 0);
    }
}
