//! The engine as a whole: intervals, series, restarts, notifications.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::RwLock;

use monitoring::query::{Expression, Scale, Source};
use monitoring::rules::recordings;

use super::database::{Database, RuleSample};
use super::engine::RuleEngine;
use super::machine::Phase;
use crate::store::metrics::{Labels, Limits, MetricSource, MetricStore, is_stale};

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;

/// An alert with a pending period of five minutes, evaluated every 30 seconds.
const PATIENT: &str = "DependencyUnreachable";
const PATIENT_GROUP: &str = "dependencies";

/// Results by the text of the expression, and the samples that rules wrote.
#[derive(Default)]
struct FakeDatabase {
    results: BTreeMap<String, Vec<(Labels, f64)>>,
    asked: RwLock<Vec<(i64, String)>>,
    written: Vec<(i64, String, RuleSample)>,
}

impl Database for FakeDatabase {
    fn evaluate(&self, expression: &Expression, at: i64) -> Result<Vec<(Labels, f64)>, String> {
        let text = expression.to_string();
        self.asked.write().expect("a lock").push((at, text.clone()));
        Ok(self.results.get(&text).cloned().unwrap_or_default())
    }

    fn append(&mut self, group: &str, at: i64, samples: Vec<RuleSample>) {
        self.written.extend(samples.into_iter().map(|sample| (at, group.to_owned(), sample)));
    }
}

impl FakeDatabase {
    /// Makes the condition of an alert hold for a role.
    fn hold(&mut self, engine: &RuleEngine, alert: &str, role: &str, value: f64) {
        let labels = Labels::new([("role".into(), role.into())]);
        self.results.insert(condition(engine, alert), vec![(labels, value)]);
    }
}

fn condition(engine: &RuleEngine, alert: &str) -> String {
    engine.alerts().find(|rule| rule.name == alert).expect("an alert").condition.to_string()
}

fn phase(engine: &RuleEngine, alert: &str) -> Option<Phase> {
    engine.alerts().find(|rule| rule.name == alert).expect("an alert").phase()
}

/// Runs the engine each second.
fn run(engine: &mut RuleEngine, database: &mut FakeDatabase, from: i64, until: i64) {
    for now in (from..=until).step_by(SECOND as usize) {
        engine.tick(now, database);
    }
}

#[test]
fn groups_are_evaluated_at_their_intervals_with_stable_offsets() {
    let mut engine = RuleEngine::in_memory(Scale::REAL);
    let mut database = FakeDatabase::default();
    run(&mut engine, &mut database, 0, 10 * MINUTE);
    let asked = database.asked.into_inner().expect("a lock");
    let mut again = RuleEngine::in_memory(Scale::REAL);
    let mut others = FakeDatabase::default();
    // Another start, at a different second.
    run(&mut again, &mut others, 7 * SECOND + 300, 10 * MINUTE);
    let others = others.asked.into_inner().expect("a lock");
    for (group, every) in [("TelemetryMissing", 30), ("CoreUsageQuiet", 300)] {
        let text = condition(&engine, group);
        let times = |asked: &[(i64, String)]| -> Vec<i64> {
            asked.iter().filter(|(_, of)| *of == text).map(|(at, _)| *at).collect()
        };
        let at = times(&asked);
        assert!(at.len() as i64 >= 600 / every - 1, "{group}: {at:?}");
        assert!(at.windows(2).all(|pair| pair[1] - pair[0] == every * SECOND), "{group}: {at:?}");
        assert!(times(&others).iter().all(|time| at.contains(time)), "{group}");
    }
    let offsets: BTreeSet<i64> = asked.iter().map(|(at, _)| at % (30 * SECOND)).collect();
    assert!(offsets.len() > 8, "groups take turns: {offsets:?}");
}

#[test]
fn missed_intervals_are_skipped_and_clocks_may_be_set_back() {
    let mut engine = RuleEngine::in_memory(Scale::REAL);
    let mut database = FakeDatabase::default();
    let evaluations = |database: &FakeDatabase, engine: &RuleEngine| {
        let text = condition(engine, "TelemetryMissing");
        database.asked.read().expect("a lock").iter().filter(|(_, of)| *of == text).count()
    };
    engine.tick(100 * MINUTE, &mut database);
    assert_eq!(evaluations(&database, &engine), 0);
    engine.tick(160 * MINUTE, &mut database);
    assert_eq!(evaluations(&database, &engine), 1);
    engine.tick(20 * MINUTE, &mut database);
    assert_eq!(evaluations(&database, &engine), 2);
    engine.tick(21 * MINUTE, &mut database);
    assert_eq!(evaluations(&database, &engine), 3);
}

#[test]
fn states_are_written_as_series_and_end_with_a_mark() {
    let mut engine = RuleEngine::in_memory(Scale::REAL);
    let mut database = FakeDatabase::default();
    database.hold(&engine, PATIENT, "serve", 1.0);
    run(&mut engine, &mut database, 0, 10 * MINUTE);
    assert_eq!(phase(&engine, PATIENT), Some(Phase::Firing));
    database.results.clear();
    run(&mut engine, &mut database, 10 * MINUTE + SECOND, 12 * MINUTE);
    assert_eq!(phase(&engine, PATIENT), None);
    let series = |state: &str| -> Vec<f64> {
        let of_state = |sample: &RuleSample| {
            &*sample.name == "ALERTS"
                && sample.labels.get("alertname") == PATIENT
                && sample.labels.get("alertstate") == state
                && !sample.labels.get("severity").is_empty()
                && sample.labels.get("role") == "serve"
        };
        let written =
            database.written.iter().filter(|(_, group, sample)| group == PATIENT_GROUP && of_state(sample));
        written.map(|(_, _, sample)| sample.value).collect()
    };
    for state in ["pending", "firing"] {
        let values = series(state);
        let (last, others) = values.split_last().expect("samples");
        assert!(
            is_stale(*last) && others.iter().all(|value| *value == 1.0) && others.len() > 1,
            "{state}: {values:?}"
        );
    }
    let history: Vec<_> = engine.history().of(PATIENT).map(|event| event.phase).collect();
    assert_eq!(history, [Phase::Pending, Phase::Firing, Phase::Resolved]);
}

#[test]
fn recordings_come_before_alerts_and_no_recording_reads_another() {
    let rules = recordings(Scale::REAL).rules;
    for rule in &rules {
        rule.expression.for_each_selection(&mut |selection| {
            assert_eq!(selection.source, Source::Application, "{} reads {}", rule.name, selection.name);
        });
    }
    let mut engine = RuleEngine::in_memory(Scale::REAL);
    let mut database = FakeDatabase::default();
    let first = rules[0].expression.to_string();
    database.results.insert(first, vec![(Labels::default(), 2.0)]);
    engine.evaluate_all(0, &mut database);
    database.results.clear();
    engine.evaluate_all(MINUTE, &mut database);
    let values: Vec<f64> = database
        .written
        .iter()
        .filter(|(_, _, sample)| *sample.name == *rules[0].name)
        .map(|(_, _, sample)| sample.value)
        .collect();
    assert!(values.len() == 2 && values[0] == 2.0 && is_stale(values[1]), "{values:?}");
}

#[test]
fn states_survive_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut database = FakeDatabase::default();
    let mut engine = RuleEngine::open(directory.path(), Scale::REAL, 0);
    database.hold(&engine, "TelemetryMissing", "serve", 1.0);
    run(&mut engine, &mut database, 0, 10 * MINUTE);
    database.hold(&engine, PATIENT, "x", 2.0);
    run(&mut engine, &mut database, 10 * MINUTE, 11 * MINUTE);
    let before = engine.states();
    assert!(before.iter().any(|state| state.alert == PATIENT && state.phase == Phase::Pending), "{before:?}");
    drop(engine);

    // 15 minutes later: a firing alert still fires for a while, even without data, and a pending alert waits
    // for the rest of its period.
    let away = 15 * MINUTE;
    let mut engine = RuleEngine::open(directory.path(), Scale::REAL, 11 * MINUTE + away);
    let after = engine.states();
    assert_eq!(after.len(), before.len());
    for (before, after) in before.iter().zip(&after) {
        let shift = if before.phase == Phase::Pending { away } else { 0 };
        // The states are 15 seconds old.
        assert!((after.since - before.since - shift).abs() <= 15 * SECOND, "{before:?} {after:?}");
        assert_eq!((after.alert, after.phase, &after.summary), (before.alert, before.phase, &before.summary));
    }
    database.results.clear();
    run(&mut engine, &mut database, 11 * MINUTE + away, 20 * MINUTE + away);
    assert_eq!(phase(&engine, "TelemetryMissing"), Some(Phase::Firing));
    assert_eq!(phase(&engine, PATIENT), None);
    run(&mut engine, &mut database, 20 * MINUTE + away, 22 * MINUTE + away);
    assert_eq!(phase(&engine, "TelemetryMissing"), None);
    engine.save(22 * MINUTE + away);
    drop(engine);

    // After hours all alerts start anew, and the history ends their states.
    let mut engine = RuleEngine::open(directory.path(), Scale::REAL, 30 * MINUTE);
    database.hold(&engine, "TelemetryMissing", "serve", 1.0);
    run(&mut engine, &mut database, 38 * MINUTE, 50 * MINUTE);
    assert_eq!(phase(&engine, "TelemetryMissing"), Some(Phase::Firing));
    drop(engine);
    let engine = RuleEngine::open(directory.path(), Scale::REAL, 300 * MINUTE);
    assert_eq!(phase(&engine, "TelemetryMissing"), None);
    let last = engine.history().of("TelemetryMissing").next_back().expect("an event");
    assert!(last.phase == Phase::Resolved && (49 * MINUTE..=50 * MINUTE).contains(&last.at), "{last:?}");
}

#[test]
fn damaged_states_are_set_aside() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("alerts-state.json"), "{\"at\": 5, \"ser").expect("written");
    let mut engine = RuleEngine::open(directory.path(), Scale::REAL, 7);
    let messages: Vec<&str> = engine.messages().collect();
    assert!(
        matches!(messages.as_slice(), [message] if message.contains("alerts-state.damaged-7")),
        "{messages:?}"
    );
    run(&mut engine, &mut FakeDatabase::default(), 7, MINUTE);
    assert_eq!(engine.messages().count(), 0);
}

/// Lists the alerts that the console does not watch. A new alert must be decided on.
#[test]
fn alerts_about_other_programs_are_not_watched() {
    let engine = RuleEngine::in_memory(Scale::REAL);
    let unwatched: BTreeMap<&str, &str> =
        engine.alerts().filter_map(|rule| Some((rule.name, rule.unwatched?))).collect();
    let named = |beginning: &str| -> Vec<&str> {
        unwatched.iter().filter(|(_, reason)| reason.starts_with(beginning)).map(|(name, _)| *name).collect()
    };
    let about_others = [
        "ApiNotReady",
        "ApiUnreachable",
        "CertificateEnding",
        "CollectorDown",
        "CollectorGaveUp",
        "CollectorQueueFilling",
        "CollectorRefusing",
        "HostMemoryLow",
        "OutOfMemoryKill",
        "PostgresConnectionsNearLimit",
        "PostgresDeadRows",
        "PostgresTransactionIdsRunOut",
        "PostgresTransactionOld",
        "ProbeSlow",
        "ProbesMissing",
        "PublicUrlUnreachable",
        "RulesFailing",
        "StackTargetDown",
        "StoreDiscarding",
    ];
    assert_eq!(named("It is about"), about_others);
    assert_eq!(named("It compares"), ["LogsNotArriving", "PostgresUnwatched", "TracesNotArriving"]);
    assert_eq!(named("").len(), about_others.len() + 3);
}

/// On an empty store, only alerts about missing data fire, and the alert that always fires.
#[test]
fn nothing_fires_falsely_without_data() {
    let mut engine = RuleEngine::in_memory(Scale::REAL);
    let store = RwLock::new(MetricStore::in_memory(Limits::default()));
    for minute in 0..30 {
        engine.evaluate_all(minute * MINUTE, &mut &store);
    }
    let errors: Vec<_> = engine.alerts().filter_map(|rule| rule.error.as_ref()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    let active: BTreeSet<&str> = engine.states().iter().map(|state| state.alert).collect();
    assert_eq!(active.into_iter().collect::<Vec<_>>(), ["TelemetryMissing", "Watchdog"]);
    // The series of rules are in the store, and end when the rule has no result.
    let store = store.read().expect("a lock");
    assert!(!store.series("ALERTS").is_empty());
}
