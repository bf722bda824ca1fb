//! Which alerts cause others to fire. Alertmanager's inhibition rules and the matching lines of the runbook
//! are rendered from this table: while a cause fires, notifications about its effects are held back.
//!
//! An effect may have another reason as well. The dashboards show it meanwhile, and a notification is sent if
//! it still fires when the cause has resolved.

use catalogue::labels::{Dependency, Disk, JobKind, Role};
use signal::metric::{Label, prometheus_label};

use super::{Alert, groups};
use crate::foreign::{Exporter, ScrapeJob};
use crate::query::Scale;

/// An alert, and the alerts that fire as a consequence.
pub struct Cause {
    /// The alert, or those of its series that have a label's value.
    pub alert: Series,
    /// The alerts that it explains, each with the reason.
    pub explains: Vec<(Series, &'static str)>,
}

/// Series of an alert: all of them, or those with one value of a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// The name of the alert.
    pub alert: &'static str,
    /// The label as Prometheus spells it, with its value.
    pub only: Option<(String, &'static str)>,
}

fn every(alert: &'static str) -> Series {
    Series { alert, only: None }
}

fn only<A: Label>(alert: &'static str, value: A) -> Series {
    Series { alert, only: Some((prometheus_label(A::KEY), value.as_str())) }
}

fn cause<const N: usize>(alert: Series, explains: [(Series, &'static str); N]) -> Cause {
    Cause { alert, explains: explains.into() }
}

/// Returns which alerts explain which others.
pub fn causes() -> Vec<Cause> {
    const FAIL: &str = "requests fail";
    const WAIT: &str = "requests wait";
    let mut causes = vec![
        cause(
            every("PostgresUnreachable"),
            [
                (every("HighErrorRate"), FAIL),
                (every("ErrorsAtLowTraffic"), FAIL),
                (every("AvailabilityBudgetBurningFast"), FAIL),
                (every("AvailabilityBudgetBurningSlow"), FAIL),
                (every("HighLatency"), WAIT),
                (every("LatencyBudgetBurning"), WAIT),
                (every("RouteFailing"), FAIL),
                (every("RouteSlow"), WAIT),
                (every("WorkflowFailing"), FAIL),
                (every("WorkflowQuiet"), "nothing can be done"),
                (every("DatabaseSlow"), "operations wait for a connection"),
                (every("ConnectionPoolStarved"), "operations wait for a connection in vain"),
                (every("WorkerStalled"), "no loop can turn without the database"),
                (every("LoopStalled"), "no loop can turn without the database"),
                (every("PeriodicJobStalled"), "no job can be claimed"),
                (every("LoopFailing"), "no loop can turn without the database"),
                (every("JobQueueLagging"), "no job can be claimed"),
                (every("SamplerStale"), "there is nothing to sample"),
                (every("CoreUsageQuiet"), "nothing can be done"),
                (every("LoginsFailing"), "nobody can log in"),
                (every("ApiNotReady"), "the API is not ready without the database"),
                (every("PostgresUnwatched"), "the collector cannot ask it either"),
                (every("DependencyCheckStuck"), "its check waits for an answer"),
                (every("ConnectionPoolFull"), "operations keep connections that are dead"),
            ],
        ),
        cause(
            every("ApiUnreachable"),
            [
                (every("TelemetryMissing"), "no process sends metrics"),
                (every("ApiNotReady"), "it does not say that it is"),
                (every("CoreUsageQuiet"), "nothing can be done"),
            ],
        ),
        cause(
            only("ProcessHung", Role::Serve),
            [
                (every("ApiUnreachable"), "it does not answer the probe"),
                (every("ApiNotReady"), "it does not answer the probe"),
                (every("CoreUsageQuiet"), "nothing can be done"),
            ],
        ),
        cause(
            only("ProcessHung", Role::Work),
            [
                (every("LoopStalled"), "its loops stand still as well"),
                (every("JobQueueLagging"), "nobody works on jobs"),
                (every("SamplerStale"), "workers sample"),
            ],
        ),
        cause(
            only("ProcessCrashLooping", Role::Serve),
            [
                (every("ApiUnreachable"), "it is away between two starts"),
                (every("ApiNotReady"), "it is away between two starts"),
            ],
        ),
        cause(
            every("CollectorDown"),
            [
                (every("TelemetryMissing"), "metrics go through the collector"),
                (every("WorkerTelemetryMissing"), "metrics go through the collector"),
                (every("TelemetryDropped"), "queues of the application fill"),
                (every("SamplerStale"), "metrics go through the collector"),
                (every("ProbesMissing"), "the collector makes them"),
                (every("LogsNotArriving"), "the collector reads log files"),
                (every("TracesNotArriving"), "traces go through the collector"),
            ],
        ),
        cause(
            every("TelemetryMissing"),
            [
                (
                    every("WorkerTelemetryMissing"),
                    "what keeps the metrics of one away keeps those of the other away",
                ),
                (every("SamplerStale"), "samples are metrics as well"),
            ],
        ),
        cause(
            every("WorkerTelemetryMissing"),
            [(every("JobQueueLagging"), "nobody works on jobs"), (every("SamplerStale"), "workers sample")],
        ),
        cause(
            every("HighErrorRate"),
            [
                (every("ErrorsAtLowTraffic"), FAIL),
                (every("RouteFailing"), FAIL),
                (every("WorkflowFailing"), FAIL),
                (every("AvailabilityBudgetBurningFast"), FAIL),
                (every("AvailabilityBudgetBurningSlow"), FAIL),
            ],
        ),
        cause(every("AvailabilityBudgetBurningFast"), [(every("AvailabilityBudgetBurningSlow"), FAIL)]),
        cause(
            every("RouteFailing"),
            [
                (every("ErrorsAtLowTraffic"), FAIL),
                (every("WorkflowFailing"), "nothing succeeds on that route"),
            ],
        ),
        cause(every("HighLatency"), [(every("LatencyBudgetBurning"), WAIT), (every("RouteSlow"), WAIT)]),
        cause(every("CoreUsageQuiet"), [(every("WorkflowQuiet"), "it is one of those that are added up")]),
        cause(
            every("DatabaseSlow"),
            [
                (every("HighLatency"), WAIT),
                (every("LatencyBudgetBurning"), WAIT),
                (every("RouteSlow"), WAIT),
                (every("ConnectionPoolStarved"), "operations keep their connections"),
            ],
        ),
        cause(every("CollectorQueueFilling"), [(every("CollectorRefusing"), "there is no room in a queue")]),
        cause(every("WorkerStalled"), [(every("JobQueueLagging"), "nobody claims jobs")]),
        cause(
            every("EmailDeliveryFailing"),
            [
                (only("DependencyUnreachable", Dependency::Email), "it is the same server"),
                (only("JobsFailing", JobKind::SendEmail), "e-mails are given up"),
                (only("JobQueueLagging", JobKind::SendEmail), "e-mails wait"),
            ],
        ),
        cause(
            every("BlobStorageFailing"),
            [
                (only("DependencyUnreachable", Dependency::BlobStore), "it is the same store"),
                (only("PeriodicJobStalled", JobKind::CleanUpBlobs), "files cannot be deleted"),
                (every("HighErrorRate"), "uploads and downloads fail"),
                (every("RouteFailing"), "uploads and downloads fail"),
                (every("ErrorsAtLowTraffic"), "uploads and downloads fail"),
                (every("AvailabilityBudgetBurningFast"), "uploads and downloads fail"),
                (every("AvailabilityBudgetBurningSlow"), "uploads and downloads fail"),
            ],
        ),
        cause(
            every("PublishingFailing"),
            [
                (only("JobsFailing", JobKind::PublishContentItem), "deliveries are given up"),
                (every("ItemsNotPublished"), "deliveries are given up"),
                (only("JobQueueLagging", JobKind::PublishContentItem), "deliveries are slow to fail"),
            ],
        ),
        cause(
            only("DiskAlmostFull", Disk::Blobs),
            [
                (only("DiskFilling", Disk::Blobs), "it is the same disk"),
                (only("DiskFullSoon", Disk::Blobs), "it is the same disk"),
            ],
        ),
        cause(
            only("DiskAlmostFull", Disk::Logs),
            [
                (only("DiskFilling", Disk::Logs), "it is the same disk"),
                (only("DiskFullSoon", Disk::Logs), "it is the same disk"),
                (only("TelemetryDropped", signal::builtin::Signal::Logs), "log lines cannot be written"),
            ],
        ),
    ];
    let stores = [
        (ScrapeJob::Prometheus, Exporter::Prometheus),
        (ScrapeJob::Loki, Exporter::Loki),
        (ScrapeJob::Tempo, Exporter::Tempo),
    ];
    causes.extend(stores.map(|(job, exporter)| {
        cause(
            only("StackTargetDown", job),
            [(only("CollectorQueueFilling", exporter), "what is for it waits in the collector")],
        )
    }));
    causes
}

/// Alerts that an alert explains, except those about other values of its labels.
pub fn explained_by(alert: &str) -> Vec<(Series, &'static str)> {
    let causes = causes().into_iter().filter(|cause| cause.alert.alert == alert);
    causes.flat_map(|cause| cause.explains).collect()
}

/// Names of the alerts that explain this one.
pub fn explaining(alert: &str) -> Vec<&'static str> {
    let explains = |cause: &Cause| cause.explains.iter().any(|(series, _)| series.alert == alert);
    let mut names: Vec<&str> = causes().into_iter().filter(explains).map(|cause| cause.alert.alert).collect();
    names.dedup();
    names
}

/// The alert itself and the alerts that it explains.
pub fn with_explained(alert: &str) -> Vec<Alert> {
    let explained = explained_by(alert);
    let fires = |name: &str| name == alert || explained.iter().any(|(series, _)| series.alert == name);
    let all = groups(Scale::REAL).into_iter().flat_map(|group| group.alerts);
    all.filter(|other| fires(other.name)).collect()
}

/// Alerts that are notified if all of these fire: the rest is inhibited.
pub fn not_held_back(firing: Vec<Alert>) -> Vec<Alert> {
    let names: Vec<&str> = firing.iter().map(|alert| alert.name).collect();
    let is_explained = |alert: &Alert| {
        let explains = |name: &&str| explained_by(name).iter().any(|(series, _)| series.alert == alert.name);
        names.iter().any(explains)
    };
    firing.into_iter().filter(|alert| !is_explained(alert)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::rules::Severity;

    fn severities() -> BTreeMap<&'static str, Severity> {
        let alerts = groups(Scale::REAL).into_iter().flat_map(|group| group.alerts);
        alerts.map(|alert| (alert.name, alert.severity)).collect()
    }

    fn urgency(severity: Severity) -> u8 {
        match severity {
            Severity::Critical => 3,
            Severity::Warning => 2,
            Severity::Info => 1,
            Severity::None => 0,
        }
    }

    #[test]
    fn every_alert_that_is_named_exists() {
        let severities = severities();
        for cause in causes() {
            for series in cause.explains.iter().map(|(series, _)| series).chain([&cause.alert]) {
                assert!(severities.contains_key(series.alert), "there is no alert {}", series.alert);
            }
        }
    }

    /// An alert that does not page must not inhibit a paging one.
    #[test]
    fn nothing_holds_back_what_is_more_urgent() {
        let severities = severities();
        for cause in causes() {
            for (series, _) in &cause.explains {
                let (cause, explained) = (severities[cause.alert.alert], severities[series.alert]);
                assert!(
                    urgency(cause) >= urgency(explained),
                    "{}: {} is more urgent",
                    series.alert,
                    explained.as_str()
                );
            }
        }
    }

    /// Two alerts that explain each other would inhibit each other, and nobody would be notified.
    #[test]
    fn no_alert_explains_itself() {
        fn reached(alert: &str, path: &mut Vec<String>) {
            assert!(!path.iter().any(|other| other == alert), "{path:?} leads back to {alert}");
            path.push(alert.to_owned());
            let next: BTreeSet<&str> =
                explained_by(alert).into_iter().map(|(series, _)| series.alert).collect();
            for other in next {
                reached(other, path);
            }
            path.pop();
        }
        for cause in causes() {
            reached(cause.alert.alert, &mut Vec::new());
        }
    }
}
