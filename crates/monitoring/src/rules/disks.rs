//! Alerts about disks that fill up. Shares are per process and disk, because hosts have disks of different
//! sizes.

use std::time::Duration;

use catalogue::labels::Disk;
use catalogue::metrics::{DISK_AVAILABLE, DISK_SIZE};
use signal::Level;

use super::cases::{case, fires_for, silent};
use super::thresholds::{
    DISK_CRITICAL_SHARE, DISK_FULL_WITHIN, DISK_LOW_SHARE, DISK_TREND, DISK_TREND_KNOWN, DISK_TREND_SHARE,
    LONG, SHORT,
};
use super::{Alert, DashboardUid, Runbook, Series, Severity, metrics, shown};
use crate::foreign::PROMETHEUS_BLOCKS_SIZE;
use crate::query::{Instance, Samples, Scale, Vector, lines, select};
use crate::rules::Look;

pub(super) fn alerts(scale: Scale) -> Vec<Alert> {
    vec![disk_filling(scale), disk_almost_full(scale), disk_full_soon(scale)]
}

fn disk_share(share: f64) -> Vector<Disk> {
    shares().min_by::<Disk, _>().below(share)
}

/// Free share of each disk as each process sees it.
fn shares() -> Samples<Disk> {
    select(&DISK_AVAILABLE).now().over(&select(&DISK_SIZE).now())
}

/// A small, mostly free disk on one host and a large one on another.
fn disks_of_two_hosts() -> Vec<Series> {
    let series = |instance, available, size| {
        [
            Series::of(&DISK_AVAILABLE, Disk::Logs, available).of_instance(instance),
            Series::of(&DISK_SIZE, Disk::Logs, size).of_instance(instance),
        ]
    };
    [series("a", "6x30", "10x30"), series("b", "900x30", "1000x30")].concat()
}

fn disk_series(available: &str) -> Vec<Series> {
    vec![Series::of(&DISK_AVAILABLE, Disk::Logs, available), Series::of(&DISK_SIZE, Disk::Logs, "100x30")]
}

const DISK_REMEDY: &[&str] = &[
    "Find what is large: `df -h`, and `docker system df -v` for volumes.",
    "If Prometheus, Loki or Tempo is largest, shorten its retention in `deploy/prometheus/prometheus.yml`, \
     `deploy/loki/loki.yaml` or `deploy/tempo/tempo.yaml`.",
    "Delete old images and build caches: `docker image prune`, `docker builder prune`.",
    "Log files of the application are limited by `SOCIALIZE_LOG_FILE_MAX_BYTES` and `SOCIALIZE_LOG_FILE_KEEP`.",
    "Uploaded files grow with use: provide a larger disk or an S3 bucket.",
];

fn disk_filling(scale: Scale) -> Alert {
    Alert {
        name: "DiskFilling",
        severity: Severity::Warning,
        condition: disk_share(DISK_LOW_SHARE).into_expression(),
        pending: scale.of(LONG),
        keep_firing: Duration::ZERO,
        summary: format!("The disk of {} is filling up.", shown::<Disk>()),
        description: format!(
            "{{{{ $value | humanizePercentage }}}} of the disk of {} is free. With the files of deploy/ Postgres and \
             the stores of telemetry are on the same one.",
            shown::<Disk>()
        ),
        dashboard: DashboardUid::Telemetry,
        runbook: Runbook {
            meaning: "Less than 15 % of a disk that the application writes to is free.",
            impact: "None yet. A full disk stops uploads and, if Postgres is on it, everything.",
            confirm: vec![
                metrics("Free share of the disk, by process", &shares().min_by::<Instance, _>()),
                metrics("Bytes left", &select(&DISK_AVAILABLE).now().min_by::<Disk, _>()),
                metrics("Size of the data of Prometheus", &select(&PROMETHEUS_BLOCKS_SIZE).now().max()),
            ],
            remedy: DISK_REMEDY,
            escalate: "To those who can enlarge the disk, before DiskAlmostFull fires.",
        },
        fires_without_data: false,
        cases: vec![
            case("room enough", 25, disk_series("50x30"), silent()),
            case("little room", 25, disk_series("50x5 14x25"), fires_for(Disk::Logs, "14%"))
                .then(20.5, silent())
                .then(21.0, fires_for(Disk::Logs, "14%")),
            case("just room enough", 25, disk_series("16x30"), silent()),
            case("two hosts, a small and a large disk", 25, disks_of_two_hosts(), silent()),
            case("a peak that passes", 15, disk_series("50x5 14x5 50x20"), silent()),
        ],
    }
}

fn disk_almost_full(scale: Scale) -> Alert {
    Alert {
        name: "DiskAlmostFull",
        severity: Severity::Critical,
        condition: disk_share(DISK_CRITICAL_SHARE).into_expression(),
        pending: scale.of(SHORT),
        keep_firing: Duration::ZERO,
        summary: format!("The disk of {} is almost full.", shown::<Disk>()),
        description: format!(
            "Only {{{{ $value | humanizePercentage }}}} of the disk of {} is free.",
            shown::<Disk>()
        ),
        dashboard: DashboardUid::Telemetry,
        runbook: Runbook {
            meaning: "Less than 5 % of a disk that the application writes to is free.",
            impact: "Soon uploads fail, and if Postgres is on it, all writes.",
            confirm: vec![
                metrics("Bytes left", &select(&DISK_AVAILABLE).now().min_by::<Disk, _>()),
                Look::Logs(
                    "Database operations that already fail",
                    lines(catalogue::events::DATABASE_OPERATION).at_least(Level::Warn),
                ),
            ],
            remedy: DISK_REMEDY,
            escalate: "At once to those who can enlarge the disk, if nothing can be deleted.",
        },
        fires_without_data: false,
        cases: vec![
            case("little room is not this alert", 25, disk_series("14x30"), silent()),
            case("two hosts, a small and a large disk", 25, disks_of_two_hosts(), silent()),
            case("hardly any room", 15, disk_series("14x5 4x25"), fires_for(Disk::Logs, "4%"))
                .then(10.5, silent())
                .then(11.0, fires_for(Disk::Logs, "4%")),
            case("a little more", 25, disk_series("6x30"), silent()),
        ],
    }
}

fn disk_full_soon(scale: Scale) -> Alert {
    let available = || select(&DISK_AVAILABLE);
    let condition = available()
        .predicted(scale.of(DISK_TREND), scale.of(DISK_FULL_WITHIN))
        .below(0.0)
        .and(&available().offset(scale.of(DISK_TREND_KNOWN)).now())
        .and(&shares().below(DISK_TREND_SHARE))
        .min_by::<Disk, _>();
    let disk = |available| {
        vec![
            Series::of(&DISK_AVAILABLE, Disk::Logs, available),
            Series::of(&DISK_SIZE, Disk::Logs, "10000x1000"),
        ]
    };
    Alert {
        name: "DiskFullSoon",
        severity: Severity::Warning,
        condition: condition.into_expression(),
        pending: scale.of(Duration::from_mins(30)),
        keep_firing: Duration::ZERO,
        summary: format!("The disk of {} will be full within a day.", shown::<Disk>()),
        description: format!(
            "More than half of the disk of {} is used. At the rate of the last six hours it is full within a day.",
            shown::<Disk>()
        ),
        dashboard: DashboardUid::Telemetry,
        runbook: Runbook {
            meaning: "At the present rate the disk is full within 24 hours.",
            impact: "None yet. A full disk stops uploads and, if Postgres is on it, everything.",
            confirm: vec![
                metrics(
                    "Free bytes in a day, predicted",
                    &available().predicted(DISK_TREND, DISK_FULL_WITHIN).min_by::<Disk, _>(),
                ),
                metrics("Free share of the disk, by process", &shares().min_by::<Instance, _>()),
                metrics("Size of the data of Prometheus", &select(&PROMETHEUS_BLOCKS_SIZE).now().max()),
            ],
            remedy: DISK_REMEDY,
            escalate: "To those who can enlarge the disk, if the growth is wanted.",
        },
        fires_without_data: false,
        cases: vec![
            case("full in a day", 210, disk("1500-1x500"), fires_for(Disk::Logs, "")).then(209.5, silent()),
            case("full in a day, with a third left", 300, disk("4000-3x500"), fires_for(Disk::Logs, ""))
                .long(),
            case("full in a day and a half", 400, disk("3000-1x500"), silent()).long(),
            case("much room", 400, disk("9000-6x500"), silent()).long(),
            case("a backup that comes and goes", 400, disk("4000x300 3000x20 4000x180"), silent()).long(),
            case(
                "it begins to shrink, and six hours do not show it yet",
                940,
                disk("4000x720 3996-4x300"),
                silent(),
            )
            .long()
            .then(960.0, fires_for(Disk::Logs, "")),
        ],
    }
}
