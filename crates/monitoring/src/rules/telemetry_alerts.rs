//! Alerts about what operators see: without these, silence of the others says nothing.

use domain::catalogue::{DISK_AVAILABLE, DISK_SIZE, HEARTBEAT};
use domain::labels::{Disk, Role};
use telemetry::builtin::{DROPPED, DropReason, Signal};
use telemetry::{events, log::Level};

use super::cases::{case, fires, fires_for, silent};
use super::thresholds::{
    BETWEEN_EVENTS, COLLECTOR_QUEUE_SHARE, DISK_CRITICAL_SHARE, DISK_LOW_SHARE, LONG, SHORT, TARGET_DOWN_FOR,
    TELEMETRY_MISSING_AFTER, WORKER_FORGOTTEN_AFTER,
};
use super::{Alert, DashboardUid, Runbook, Series, Severity, metrics, shown};
use crate::peers::{
    CONFIG_RELOAD_SUCCESSFUL, EXPORTER_QUEUE_CAPACITY, EXPORTER_QUEUE_SIZE, EXPORTER_SEND_FAILED_LOG_RECORDS,
    EXPORTER_SEND_FAILED_METRIC_POINTS, EXPORTER_SEND_FAILED_SPANS, Exporter, PROMETHEUS_BLOCKS_SIZE,
    RULE_EVALUATION_FAILURES, ScrapeJob, UP,
};
use crate::query::{Scale, Total, Vector, lines, select};
use crate::rules::Look;
use std::time::Duration;

pub(super) fn alerts(scale: Scale) -> Vec<Alert> {
    vec![
        watchdog(),
        telemetry_missing(scale),
        worker_telemetry_missing(scale),
        telemetry_dropped(scale),
        collector_down(scale),
        collector_queue_filling(scale),
        collector_gave_up(scale),
        stack_target_down(scale),
        rules_failing(scale),
        disk_filling(scale),
        disk_almost_full(scale),
    ]
}

fn watchdog() -> Alert {
    Alert {
        name: "Watchdog",
        severity: Severity::None,
        condition: Vector::<Total>::always().text().to_owned(),
        pending: Duration::ZERO,
        keep_firing: Duration::ZERO,
        summary: "Alerts are evaluated and delivered.".to_owned(),
        description: "This always fires. Give it a receiver that complains when it stops arriving."
            .to_owned(),
        dashboard: DashboardUid::Telemetry,
        runbook: Runbook {
            meaning: "Nothing is wrong: this alert fires all the time, so that its absence can be noticed.",
            impact: "None while it fires. When it stops arriving, no other alert would arrive either.",
            confirm: vec![metrics(
                "Whether Prometheus evaluates its rules without errors",
                &select(&RULE_EVALUATION_FAILURES).increase(SHORT).sum(),
            )],
            remedy: &[
                "When the receiver reports that it stopped: look whether Prometheus and Alertmanager run and reach the receiver.",
                "Prometheus notifies nobody until an Alertmanager is configured: see deploy/README.md.",
            ],
            escalate: "Nobody; the receiver that misses it decides.",
        },
        fires_without_data: true,
        cases: vec![case("always", 1, vec![], fires(""))],
    }
}

fn telemetry_missing(scale: Scale) -> Alert {
    let heartbeat = || select(&HEARTBEAT).is(Role::Serve);
    let condition = heartbeat().absent_over(scale.of(TELEMETRY_MISSING_AFTER));
    Alert {
        name: "TelemetryMissing",
        severity: Severity::Critical,
        condition: condition.text().to_owned(),
        pending: Duration::ZERO,
        keep_firing: Duration::ZERO,
        summary: "No API process reports metrics.".to_owned(),
        description: "No heartbeat of a process that serves requests has arrived for three minutes: either no process runs, or its metrics do not reach Prometheus. No other alert can be trusted meanwhile.".to_owned(),
        dashboard: DashboardUid::Telemetry,
        runbook: Runbook {
            meaning: "Every API process reports a heartbeat with its metrics. None has arrived for three minutes.",
            impact: "Either users get no answers at all, or they do and nobody would notice if they did not.",
            confirm: vec![
                metrics("Processes that reported, and when they stopped", &heartbeat().now().count()),
                metrics("Whether the collector answers Prometheus", &select(&UP).is(ScrapeJob::Collector).now().max()),
                Look::Logs("The last lines that arrived, and whether sending failed", lines(events::EXPORT_FAILED)),
            ],
            remedy: &[
                "Ask the service itself: `curl http://127.0.0.1:8080/health/ready`. If it does not answer, look at `docker compose ps` and `docker compose logs api`, and start it.",
                "If it answers, telemetry is lost on the way: check that the collector runs (`docker compose ps alloy`), then `socialize doctor` in the container of the API, which tries the way to the collector and says what is wrong with it.",
                "If CollectorDown fires as well, mend that first.",
                "If Prometheus refuses points, its log says why: `docker compose logs prometheus`.",
            ],
            escalate: "At once when the service itself does not answer and a restart does not help.",
        },
        fires_without_data: true,
        cases: vec![
            case("a process that reports", 10, vec![Series::of(&HEARTBEAT, Role::Serve, "0+60x10")], silent()),
            case("a process that ended five minutes ago", 10, vec![Series::of(&HEARTBEAT, Role::Serve, "0+60x5 _x5")], fires_for(Role::Serve, "")),
            case("a restart that took two minutes", 7, vec![Series::of(&HEARTBEAT, Role::Serve, "0+60x5 _ _ 480")], silent()),
            case("only a worker reports", 10, vec![Series::of(&HEARTBEAT, Role::Work, "0+60x10")], fires_for(Role::Serve, "")),
        ],
    }
}

fn worker_telemetry_missing(scale: Scale) -> Alert {
    let heartbeat = || select(&HEARTBEAT).is(Role::Work);
    let known = heartbeat().samples_in(scale.of(WORKER_FORGOTTEN_AFTER)).count();
    let condition = known.unless(heartbeat().samples_in(scale.of(TELEMETRY_MISSING_AFTER)).count());
    Alert {
        name: "WorkerTelemetryMissing",
        severity: Severity::Critical,
        condition: condition.text().to_owned(),
        pending: Duration::ZERO,
        keep_firing: Duration::ZERO,
        summary: "No worker reports metrics any more.".to_owned(),
        description: "A worker reported within the last day, and none has for three minutes.".to_owned(),
        dashboard: DashboardUid::Background,
        runbook: Runbook {
            meaning: "There were workers that only work on jobs, and now none reports.",
            impact: "E-mails, publishing and clean-ups wait, unless API processes work on jobs as well (they do by default; in deploy/compose.yaml the worker does).",
            confirm: vec![
                metrics(
                    "Workers that reported within the hour",
                    &heartbeat().samples_in(Duration::from_hours(1)).count(),
                ),
                metrics(
                    "Whether jobs pile up",
                    &select(&domain::catalogue::JOB_QUEUE_OLDEST_AGE)
                        .now()
                        .max_by::<domain::labels::JobKind, _>(),
                ),
            ],
            remedy: &[
                "`docker compose ps worker` and `docker compose logs worker`; start it when it has ended. Jobs that it had claimed are taken over when their lease ends.",
                "If it runs, its telemetry is lost on the way: see TelemetryMissing.",
                "If workers were removed on purpose, silence this alert for a day; then it forgets them.",
            ],
            escalate: "When the queue grows and no worker can be started.",
        },
        fires_without_data: false,
        cases: vec![
            case("a worker that reports", 10, vec![Series::of(&HEARTBEAT, Role::Work, "0+60x10")], silent()),
            case(
                "a worker that ended",
                10,
                vec![Series::of(&HEARTBEAT, Role::Work, "0+60x5 _x5")],
                fires(""),
            ),
            case(
                "an installation without workers",
                10,
                vec![Series::of(&HEARTBEAT, Role::Serve, "0+60x10")],
                silent(),
            ),
            case(
                "workers that were removed yesterday",
                1450,
                vec![Series::of(&HEARTBEAT, Role::Work, "0+60x5")],
                silent(),
            ),
        ],
    }
}

fn telemetry_dropped(scale: Scale) -> Alert {
    // A point that a newer one replaced is no loss but a coarser curve: counters go on from where they are.
    let dropped = |window| select(&DROPPED).is_not(DropReason::Superseded).increase(window);
    let condition = dropped(scale.of(LONG)).sum_by::<Signal, _>().above(0.0);
    let dropped_logs = |values| Series::of(&DROPPED, (Signal::Logs, DropReason::WriteFailed), values);
    Alert {
        name: "TelemetryDropped",
        severity: Severity::Warning,
        condition: condition.text().to_owned(),
        pending: Duration::ZERO,
        keep_firing: scale.of(BETWEEN_EVENTS),
        summary: format!("The application drops {}.", shown::<Signal>()),
        description: format!(
            "About {{{{ $value | printf \"%.0f\" }}}} items of {} were lost in 15 minutes. What dashboards and searches show of that time is not complete.",
            shown::<Signal>()
        ),
        dashboard: DashboardUid::Telemetry,
        runbook: Runbook {
            meaning: "The application recorded something that will never arrive: a queue was full, the collector refused it, or a disk was full. It counts each item.",
            impact: "Users notice nothing. Searches and traces of that time have holes.",
            confirm: vec![
                metrics("What was dropped, and why", &dropped(LONG).sum_by::<DropReason, _>()),
                metrics(
                    "Attempts to send that failed",
                    &select(&telemetry::builtin::EXPORT_FAILURES).increase(LONG).sum_by::<Signal, _>(),
                ),
                Look::Logs("Why sending failed", lines(events::EXPORT_FAILED)),
            ],
            remedy: &[
                "`write_failed` for logs: the disk of the log file is full, or standard output is closed; see DiskFilling.",
                "`queue_full` and `retries_exhausted`: the collector is down or too slow; see CollectorDown and CollectorQueueFilling.",
                "`rejected`: the collector answered that it will not take the data. Its log says why; most often an older version, or another program on its port.",
                "`buffer_full`: more was recorded in a moment than buffers hold. A level of `debug` does that; see docs/LOGGING.md to change it while running.",
            ],
            escalate: "When it goes on for a day: bring the numbers by reason to a developer.",
        },
        fires_without_data: false,
        cases: vec![
            case("nothing was dropped", 20, vec![dropped_logs("0x20")], silent()),
            case(
                "the first item that is ever dropped",
                12,
                vec![dropped_logs("0x10 1x10")],
                fires_for(Signal::Logs, "1"),
            ),
            case(
                "points replaced by newer ones",
                20,
                vec![Series::of(&DROPPED, (Signal::Metrics, DropReason::Superseded), "0+9x20")],
                silent(),
            ),
            case("a restart resets the count", 20, vec![dropped_logs("7x10 0x10")], silent()),
        ],
    }
}

fn collector_down(scale: Scale) -> Alert {
    let up = || select(&UP).is(ScrapeJob::Collector);
    let condition = up().now().max().below(1.0).or(up().absent_over(scale.of(SHORT)));
    Alert {
        name: "CollectorDown",
        severity: Severity::Critical,
        condition: condition.text().to_owned(),
        pending: scale.of(TARGET_DOWN_FOR),
        keep_firing: Duration::ZERO,
        summary: "The collector does not answer.".to_owned(),
        description: "Prometheus cannot reach the collector. Logs wait in their files, traces and metrics in the memory of the application until that is full.".to_owned(),
        dashboard: DashboardUid::Telemetry,
        runbook: Runbook {
            meaning: "Prometheus could not scrape the collector for two minutes. Everything that the application sends goes through it.",
            impact: "Users notice nothing. No log line is lost: files are read from where reading stopped. Traces and metrics are lost once the queues of the application are full.",
            confirm: vec![
                metrics("What answers Prometheus", &select(&UP).now().max_by::<ScrapeJob, _>()),
                metrics("What waits in the application", &select(&telemetry::builtin::QUEUE_SIZE).now().max_by::<Signal, _>()),
            ],
            remedy: &[
                "`docker compose ps alloy` and `docker compose logs alloy`: a configuration that it cannot read is named there with its line.",
                "Restart it: `docker compose restart alloy`. Its queues and positions are on disk.",
                "Killed again and again: it may use more memory than its limit. `docker inspect` says `OOMKilled`; raise the limit in the overlay together with the memory limiter.",
            ],
            escalate: "When it does not stay up for a quarter of an hour.",
        },
        fires_without_data: true,
        cases: vec![
            case("it answers", 10, vec![Series::of(&UP, ScrapeJob::Collector, "1x10")], silent()),
            case("it does not answer", 10, vec![Series::of(&UP, ScrapeJob::Collector, "1x5 0x5")], fires("")),
            case("it restarts", 7, vec![Series::of(&UP, ScrapeJob::Collector, "1x5 0 1 1")], silent()),
        ],
    }
}

fn collector_queue_filling(scale: Scale) -> Alert {
    let size = || select(&EXPORTER_QUEUE_SIZE).now().max_by::<Exporter, _>();
    let condition = size()
        .share_of(select(&EXPORTER_QUEUE_CAPACITY).now().max_by::<Exporter, _>())
        .above(COLLECTOR_QUEUE_SHARE);
    let queue = |values| {
        vec![
            Series::of(&EXPORTER_QUEUE_SIZE, Exporter::Loki, values),
            Series::of(&EXPORTER_QUEUE_CAPACITY, Exporter::Loki, "100x20"),
        ]
    };
    Alert {
        name: "CollectorQueueFilling",
        severity: Severity::Warning,
        condition: condition.text().to_owned(),
        pending: scale.of(SHORT),
        keep_firing: Duration::ZERO,
        summary: format!("What waits for {} fills its queue.", shown::<Exporter>()),
        description: format!(
            "The queue of {} is {{{{ $value | humanizePercentage }}}} full. When it is full, the collector stops reading log files and refuses what the application sends.",
            shown::<Exporter>()
        ),
        dashboard: DashboardUid::Telemetry,
        runbook: Runbook {
            meaning: "A store takes telemetry more slowly than it is produced, or not at all; it waits on the collector's disk.",
            impact: "What operators see is late. Nothing is lost before the queue is full.",
            confirm: vec![
                metrics("Which store", &size()),
                metrics("Whether the store answers", &select(&UP).now().max_by::<ScrapeJob, _>()),
            ],
            remedy: &[
                "The store that its exporter names is down: start it; the queue drains by itself.",
                "The store is up: `docker compose logs alloy` shows what it answers. `429` means a limit of its configuration, `503` that it is starting.",
                "The disk of the store is full: see DiskFilling.",
            ],
            escalate: "When the store is up and the queue still grows after an hour.",
        },
        fires_without_data: false,
        cases: vec![
            case("an empty queue", 15, queue("0x20"), silent()),
            case(
                "a queue that stays more than half full",
                15,
                queue("10x3 60x17"),
                fires_for(Exporter::Loki, "60%"),
            ),
            case("a peak of three minutes", 10, queue("10x5 90x3 10x12"), silent()),
        ],
    }
}

fn collector_gave_up(scale: Scale) -> Alert {
    let window = scale.of(LONG);
    let lost = |window| {
        let spans = select(&EXPORTER_SEND_FAILED_SPANS);
        let points = select(&EXPORTER_SEND_FAILED_METRIC_POINTS);
        let records = select(&EXPORTER_SEND_FAILED_LOG_RECORDS);
        (
            spans
                .increase(window)
                .sum_by::<Exporter, _>()
                .above(0.0)
                .or(points.increase(window).sum_by::<Exporter, _>().above(0.0))
                .or(records.increase(window).sum_by::<Exporter, _>().above(0.0)),
            spans
                .began_within(window)
                .sum_by::<Exporter, _>()
                .above(0.0)
                .or(points.began_within(window).sum_by::<Exporter, _>().above(0.0))
                .or(records.began_within(window).sum_by::<Exporter, _>().above(0.0)),
        )
    };
    let (rose, began) = lost(window);
    let lines_lost = |values| Series::of(&EXPORTER_SEND_FAILED_LOG_RECORDS, Exporter::Loki, values);
    Alert {
        name: "CollectorGaveUp",
        severity: Severity::Warning,
        condition: rose.or(began).text().to_owned(),
        pending: Duration::ZERO,
        keep_firing: scale.of(BETWEEN_EVENTS),
        summary: format!("The collector gives up what {} does not take.", shown::<Exporter>()),
        description: format!(
            "About {{{{ $value | printf \"%.0f\" }}}} items for {} were refused for good within 15 minutes.",
            shown::<Exporter>()
        ),
        dashboard: DashboardUid::Telemetry,
        runbook: Runbook {
            meaning: "A store answered that it will never take something, and the collector dropped it. It retries everything else for ever.",
            impact: "Users notice nothing. What was dropped cannot be searched.",
            confirm: vec![metrics("How much, by store", &lost(LONG).0)],
            remedy: &[
                "`docker compose logs alloy | grep -i dropping` shows the answer of the store.",
                "Loki, `timestamp too old`: lines waited longer than Loki accepts, after an outage of days. Nothing can be done for these.",
                "Prometheus, `out of order` or `too old`: the same for points older than the out-of-order window.",
                "Anything else: the versions of collector and store do not fit each other. Go back to the pinned ones.",
            ],
            escalate: "When it goes on after the outage that caused it is over.",
        },
        fires_without_data: false,
        cases: vec![
            case("nothing was ever given up", 20, vec![lines_lost("_x20")], silent()),
            case(
                "the first time, with which the series begins",
                12,
                vec![lines_lost("_x10 50x10")],
                fires_for(Exporter::Loki, "50"),
            ),
            case("long ago", 40, vec![lines_lost("50x40")], silent()),
            case("a restart of the collector", 40, vec![lines_lost("50x30 _x2 0x10")], silent()),
        ],
    }
}

fn stack_target_down(scale: Scale) -> Alert {
    let up = || select(&UP).is_not(ScrapeJob::Collector).now().max_by::<ScrapeJob, _>();
    Alert {
        name: "StackTargetDown",
        severity: Severity::Warning,
        condition: up().below(1.0).text().to_owned(),
        pending: scale.of(TARGET_DOWN_FOR),
        keep_firing: Duration::ZERO,
        summary: format!("{} does not answer Prometheus.", shown::<ScrapeJob>()),
        description: format!(
            "Prometheus could not reach {} for two minutes. What is sent to it waits in the collector.",
            shown::<ScrapeJob>()
        ),
        dashboard: DashboardUid::Telemetry,
        runbook: Runbook {
            meaning: "A program of the monitoring stack is down or does not answer in time.",
            impact: "Users notice nothing. Its part of what operators see is missing until it is back; the collector keeps what is sent to it.",
            confirm: vec![metrics("What answers Prometheus", &up())],
            remedy: &[
                "`docker compose ps` and `docker compose logs` of that service; restart it.",
                "A store that does not start after a full disk or a power cut says in its log which file it cannot read.",
            ],
            escalate: "When a store does not start: restoring it from nothing costs its history only.",
        },
        fires_without_data: false,
        cases: vec![
            case("all answer", 10, vec![Series::of(&UP, ScrapeJob::Loki, "1x10")], silent()),
            case(
                "one does not",
                10,
                vec![Series::of(&UP, ScrapeJob::Loki, "1x5 0x5"), Series::of(&UP, ScrapeJob::Tempo, "1x10")],
                fires_for(ScrapeJob::Loki, ""),
            ),
            case(
                "the collector has an alert of its own",
                10,
                vec![Series::of(&UP, ScrapeJob::Collector, "0x10")],
                silent(),
            ),
        ],
    }
}

fn rules_failing(scale: Scale) -> Alert {
    let failures = |window| select(&RULE_EVALUATION_FAILURES).increase(window).sum();
    let reloaded = || select(&CONFIG_RELOAD_SUCCESSFUL).now().min();
    Alert {
        name: "RulesFailing",
        severity: Severity::Warning,
        condition: failures(scale.of(LONG)).above(0.0).or(reloaded().below(1.0)).text().to_owned(),
        pending: Duration::ZERO,
        keep_firing: scale.of(BETWEEN_EVENTS),
        summary: "Prometheus cannot evaluate its rules or read its configuration.".to_owned(),
        description: "A rule failed within 15 minutes, or the configuration on disk is not the one in use. Alerts may be silent without reason.".to_owned(),
        dashboard: DashboardUid::Telemetry,
        runbook: Runbook {
            meaning: "Some alert was not evaluated, or a changed configuration was refused.",
            impact: "An alert that should fire may not.",
            confirm: vec![metrics("Evaluations that failed", &failures(LONG)), metrics("Whether the last reload succeeded", &reloaded())],
            remedy: &[
                "`docker compose logs prometheus` names the rule or the line of the configuration.",
                "Check files before they are used: `docker compose exec prometheus promtool check config /etc/prometheus/prometheus.yml`.",
                "Rules that were edited by hand: restore the files of this release.",
            ],
            escalate: "When the files are those of the release.",
        },
        fires_without_data: false,
        cases: vec![
            case("rules are evaluated", 20, vec![Series::of(&RULE_EVALUATION_FAILURES, ScrapeJob::Prometheus, "0x20"), Series::of(&CONFIG_RELOAD_SUCCESSFUL, ScrapeJob::Prometheus, "1x20")], silent()),
            case("the first failure", 12, vec![Series::of(&RULE_EVALUATION_FAILURES, ScrapeJob::Prometheus, "0x10 1x10")], fires("")),
            case("a configuration that was refused", 12, vec![Series::of(&CONFIG_RELOAD_SUCCESSFUL, ScrapeJob::Prometheus, "1x10 0x10")], fires("")),
            case("Prometheus restarts", 12, vec![Series::of(&RULE_EVALUATION_FAILURES, ScrapeJob::Prometheus, "4x10 0x10")], silent()),
        ],
    }
}

fn disk_share(share: f64) -> Vector<Disk> {
    let available = select(&DISK_AVAILABLE).now().min_by::<Disk, _>();
    available.share_of(select(&DISK_SIZE).now().max_by::<Disk, _>()).below(share)
}

fn disk_series(available: &str) -> Vec<Series> {
    vec![Series::of(&DISK_AVAILABLE, Disk::Logs, available), Series::of(&DISK_SIZE, Disk::Logs, "100x30")]
}

const DISK_REMEDY: &[&str] = &[
    "See what is large: `docker system df -v` lists volumes; `df -h` on the host.",
    "Prometheus, Loki and Tempo delete the oldest by themselves; shorten their retention when they are the largest (deploy/README.md, Size).",
    "Old images and build caches: `docker image prune`, `docker builder prune`.",
    "Log files of the application are bounded by SOCIALIZE_LOG_FILE_MAX_BYTES and SOCIALIZE_LOG_FILE_KEEP.",
    "Uploaded files are customers' and grow with them: give them a larger disk, or an S3 bucket.",
];

fn disk_filling(scale: Scale) -> Alert {
    Alert {
        name: "DiskFilling",
        severity: Severity::Warning,
        condition: disk_share(DISK_LOW_SHARE).text().to_owned(),
        pending: scale.of(LONG),
        keep_firing: Duration::ZERO,
        summary: format!("The disk of {} is filling up.", shown::<Disk>()),
        description: format!(
            "{{{{ $value | humanizePercentage }}}} of the disk of {} can still be written. With the files of deploy/ Postgres and the stores of telemetry are on the same one.",
            shown::<Disk>()
        ),
        dashboard: DashboardUid::Telemetry,
        runbook: Runbook {
            meaning: "Less than 15 % of a disk is left to which the application writes.",
            impact: "None yet. A full disk stops uploads, e-mails and, when Postgres is on it, everything.",
            confirm: vec![
                metrics("Bytes left", &select(&DISK_AVAILABLE).now().min_by::<Disk, _>()),
                metrics("What Prometheus takes", &select(&PROMETHEUS_BLOCKS_SIZE).now().max()),
            ],
            remedy: DISK_REMEDY,
            escalate: "Whoever can enlarge the disk, before DiskAlmostFull fires.",
        },
        fires_without_data: false,
        cases: vec![
            case("room enough", 25, disk_series("50x30"), silent()),
            case("little room", 25, disk_series("50x5 14x25"), fires_for(Disk::Logs, "14%")),
            case("a peak that passes", 15, disk_series("50x5 14x5 50x20"), silent()),
        ],
    }
}

fn disk_almost_full(scale: Scale) -> Alert {
    Alert {
        name: "DiskAlmostFull",
        severity: Severity::Critical,
        condition: disk_share(DISK_CRITICAL_SHARE).text().to_owned(),
        pending: scale.of(SHORT),
        keep_firing: Duration::ZERO,
        summary: format!("The disk of {} is almost full.", shown::<Disk>()),
        description: format!(
            "Only {{{{ $value | humanizePercentage }}}} of the disk of {} can still be written.",
            shown::<Disk>()
        ),
        dashboard: DashboardUid::Telemetry,
        runbook: Runbook {
            meaning: "Less than 5 % of a disk is left to which the application writes.",
            impact: "Soon uploads fail, and when Postgres is on it, everything that writes.",
            confirm: vec![
                metrics("Bytes left", &select(&DISK_AVAILABLE).now().min_by::<Disk, _>()),
                Look::Logs(
                    "What fails of it already",
                    lines(domain::events::DATABASE_OPERATION).at_least(Level::Warn),
                ),
            ],
            remedy: DISK_REMEDY,
            escalate: "At once whoever can enlarge the disk, when nothing can be deleted.",
        },
        fires_without_data: false,
        cases: vec![
            case("little room is not this alert", 25, disk_series("14x30"), silent()),
            case("hardly any room", 15, disk_series("14x5 4x25"), fires_for(Disk::Logs, "4%")),
        ],
    }
}
