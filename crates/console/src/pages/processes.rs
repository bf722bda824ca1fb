//! The processes that report metrics: their versions, and when they last did.

use std::collections::BTreeMap;

use super::line_view::precise;
use super::words;
use crate::store::metrics::{MetricSource, Points};

/// The metric whose labels are the version and the commit of a process.
const BUILD_INFO: &str = "socialize_build_info";
/// Time within which a process must have reported, in milliseconds.
const DAY: i64 = 86_400_000;
/// Age of the newest sample from which a process is silent, in milliseconds. It is four times the default
/// interval of the export.
const SILENT: i64 = 60_000;
/// Difference of clocks that is worth a warning, in milliseconds.
const AHEAD: i64 = 2_000;

/// A process that reported within a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    /// Its part of Socialize.
    pub job: String,
    /// Its id.
    pub instance: String,
    /// Version and commit of its build.
    pub version: String,
    /// Time of its newest sample.
    pub newest: String,
    /// Class of the state.
    pub class: &'static str,
    /// Whether it reports, and whether its clock agrees.
    pub state: String,
}

/// Returns the processes, those that reported last first.
pub(crate) fn processes(metrics: &impl MetricSource, now: i64) -> Vec<Process> {
    let mut found: BTreeMap<(String, String), (i64, String)> = BTreeMap::new();
    for series in metrics.series(BUILD_INFO) {
        let Some(newest) = newest(&metrics.read(series, now - DAY, i64::MAX)) else { continue };
        let labels = metrics.labels(series);
        let version = [labels.get("version"), labels.get("commit")].join(" ");
        let key = (labels.get("job").to_owned(), labels.get("instance").to_owned());
        let known = found.entry(key).or_insert((newest, version.clone()));
        if newest >= known.0 {
            *known = (newest, version);
        }
    }
    let mut processes: Vec<((String, String), (i64, String))> = found.into_iter().collect();
    processes.sort_by_key(|(_, (newest, _))| std::cmp::Reverse(*newest));
    processes
        .into_iter()
        .map(|((job, instance), (newest, version))| {
            let (class, state) = state(now - newest);
            Process { job, instance, version, newest: precise(newest.saturating_mul(1000)), class, state }
        })
        .collect()
}

fn newest(points: &Points) -> Option<i64> {
    match points {
        Points::Numbers(points) => points.last().map(|(at, _)| *at),
        Points::Histograms(points) => points.last().map(|(at, _)| *at),
    }
}

/// Judges the age of the newest sample. A sample from the future tells that a clock is wrong.
fn state(age: i64) -> (&'static str, String) {
    let text = words::duration(age.unsigned_abs().saturating_mul(1_000_000));
    match age {
        age if age < -AHEAD => ("warn", format!("its clock is {text} ahead of the console's")),
        age if age > SILENT => ("warn", format!("silent for {text}, or its clock is behind")),
        _ => ("good", "reports".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::metrics::{Labels, Limits, MetricStore, Origin, Sample, Value};

    const NOW: i64 = 1_796_047_509_000;

    fn report(store: &mut MetricStore, instance: &str, version: &str, at: i64) {
        let label = |name: &str, value: &str| (name.into(), value.into());
        let labels = [
            label("job", "socialize/socialize-api"),
            label("instance", instance),
            label("version", version),
            label("commit", "abc1234"),
        ];
        let sample =
            Sample { name: BUILD_INFO.into(), labels: Labels::new(labels), value: Value::Number(1.0) };
        store.append(&Origin::process("socialize/socialize-api", instance), at, [sample]);
    }

    #[test]
    fn the_newest_version_of_each_process_is_shown() {
        let mut store = MetricStore::in_memory(Limits::default());
        report(&mut store, "old", "0.9.0", NOW - 2 * DAY);
        report(&mut store, "a", "1.0.0", NOW - 90_000);
        report(&mut store, "b", "1.0.0", NOW - 20_000);
        report(&mut store, "b", "1.1.0", NOW - 5_000);
        report(&mut store, "c", "1.1.0", NOW + 9_000);
        let found = processes(&store, NOW);
        let shown: Vec<_> = found
            .iter()
            .map(|process| (process.instance.as_str(), process.version.as_str(), process.class))
            .collect();
        assert_eq!(
            shown,
            [("c", "1.1.0 abc1234", "warn"), ("b", "1.1.0 abc1234", "good"), ("a", "1.0.0 abc1234", "warn")]
        );
        assert_eq!(found[0].state, "its clock is 9 s ahead of the console's");
        assert_eq!(found[2].state, "silent for 1 min 30 s, or its clock is behind");
    }
}
