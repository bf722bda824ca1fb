//! The processes that report metrics, with version and time of the last report.

use std::collections::BTreeMap;

use super::line_view::precise;
use super::words;
use crate::clocks::Clocks;
use crate::store::metrics::{MetricSource, Points};

/// The metric whose labels are the version and the commit of a process.
const BUILD_INFO: &str = "socialize_build_info";
/// Time in milliseconds for which a process is listed after its last report.
const DAY: i64 = 86_400_000;
/// Age of the newest sample, in milliseconds, above which a process counts as silent. It is four times the
/// default interval of the export.
const SILENT: i64 = 60_000;
/// Clock difference that causes a warning, in milliseconds. Sending takes less, even on a loaded machine.
const DIFFERENCE: i64 = 2_000;

/// A process that reported within a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    /// Its role in Socialize.
    pub job: String,
    /// Its id.
    pub instance: String,
    /// Version and commit of its build.
    pub version: String,
    /// Time of its newest sample.
    pub newest: String,
    /// Reporting state: class and text.
    pub state: (&'static str, String),
    /// Clock difference to the console: class and text.
    pub clock: (&'static str, String),
}

/// Returns the processes, those that reported last first.
pub(crate) fn processes(metrics: &impl MetricSource, clocks: &Clocks, now: i64) -> Vec<Process> {
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
        .map(|((job, instance), (newest, version))| Process {
            clock: clock(clocks.ahead(&instance), now - newest),
            state: state(now - newest),
            newest: precise(newest.saturating_mul(1000)),
            job,
            instance,
            version,
        })
        .collect()
}

fn newest(points: &Points) -> Option<i64> {
    match points {
        Points::Numbers(points) => points.last().map(|(at, _)| *at),
        Points::Histograms(points) => points.last().map(|(at, _)| *at),
    }
}

fn state(age: i64) -> (&'static str, String) {
    match age {
        age if age > SILENT => ("warn", format!("silent for {}", duration(age))),
        _ => ("good", "reports".to_owned()),
    }
}

/// Returns class and text of the clock difference. If a process has not reported since the console started, a
/// newest sample from the future shows that its clock is ahead.
fn clock(ahead: Option<i64>, age: i64) -> (&'static str, String) {
    match ahead.or((age < -DIFFERENCE).then_some(-age)) {
        None => ("", "unknown".to_owned()),
        Some(ahead) if ahead > DIFFERENCE => ("warn", format!("{} ahead", duration(ahead))),
        Some(ahead) if ahead < -DIFFERENCE => ("warn", format!("{} behind", duration(ahead))),
        Some(_) => ("good", "agrees".to_owned()),
    }
}

fn duration(ms: i64) -> String {
    words::duration(ms.unsigned_abs().saturating_mul(1_000_000))
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
        let mut clocks = Clocks::default();
        clocks.compare(&"b".into(), NOW - 5_100, NOW - 5_000);
        clocks.compare(&"a".into(), NOW - 90_000, NOW - 80_000);
        let found = processes(&store, &clocks, NOW);
        let shown: Vec<String> = found
            .iter()
            .map(|process| {
                let Process { instance, version, state, clock, .. } = process;
                format!("{instance}: {version}, {}, {}", state.1, clock.1)
            })
            .collect();
        let expected = [
            "c: 1.1.0 abc1234, reports, 9 s ahead",
            "b: 1.1.0 abc1234, reports, agrees",
            "a: 1.0.0 abc1234, silent for 1 min 30 s, 10 s behind",
        ];
        assert_eq!(shown, expected);
    }
}
