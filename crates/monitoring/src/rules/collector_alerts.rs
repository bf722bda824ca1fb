//! Alerts about the collector and the stores of telemetry.

use std::time::Duration;

use signal::builtin::Signal;

use super::cases::{Case, case, fires, fires_for, silent};
use super::thresholds::{BETWEEN_EVENTS, COLLECTOR_QUEUE_SHARE, LONG, SHORT, TARGET_DOWN_FOR};
use super::{Alert, DashboardUid, Expected, Runbook, Series, Severity, metrics, shown};
use crate::foreign::{
    EXPORTER_QUEUE_CAPACITY, EXPORTER_QUEUE_SIZE, EXPORTER_SEND_FAILED_LOG_RECORDS,
    EXPORTER_SEND_FAILED_METRIC_POINTS, EXPORTER_SEND_FAILED_SPANS, Exporter, ScrapeJob, UP,
};
use crate::query::{Scale, Total, Vector, select};

pub(super) fn alerts(scale: Scale) -> Vec<Alert> {
    vec![
        collector_down(scale),
        collector_queue_filling(scale),
        collector_gave_up(scale),
        stack_target_down(scale),
    ]
}

fn collector_down(scale: Scale) -> Alert {
    let up = || select(&UP).is(ScrapeJob::Collector);
    let condition = up().now().max().below(1.0).or(up().absent_over(scale.of(SHORT)));
    Alert {
        name: "CollectorDown",
        severity: Severity::Critical,
        condition: condition.into_expression(),
        pending: scale.of(TARGET_DOWN_FOR),
        keep_firing: Duration::ZERO,
        summary: "The collector does not respond.".to_owned(),
        description:
            "Prometheus cannot reach the collector. Log lines wait in their files. The application keeps the newest \
             spans and points in memory."
                .to_owned(),
        dashboard: DashboardUid::Telemetry,
        runbook: Runbook {
            meaning: "Prometheus could not scrape the collector for two minutes. All log lines, spans and metrics of \
                      the application go through it.",
            impact: "Users notice nothing. Dashboards show nothing new. Log lines wait in their files, and the \
                     collector continues where it stopped reading. The application keeps the newest spans, about \
                     35,000, and drops older ones. Counts stay complete, because metrics are cumulative; only their \
                     curves have a gap. deploy/README.md#size says what a killed collector loses.",
            confirm: vec![
                metrics("Which programs respond to Prometheus", &select(&UP).now().max_by::<ScrapeJob, _>()),
                metrics(
                    "How much waits in the application",
                    &select(&signal::builtin::QUEUE_SIZE).now().max_by::<Signal, _>(),
                ),
            ],
            remedy: &[
                "`docker compose ps alloy` shows whether it runs, `docker compose logs --tail 50 alloy` why not. For \
                 an invalid configuration the log names the line.",
                "Restart it: `docker compose restart alloy`. Its queues and file positions are on disk.",
                "If it is killed repeatedly, check its memory: `docker inspect socialize-alloy-1 | grep OOMKilled`. If \
                 `true`, raise `mem_limit` and `GOMEMLIMIT` of `alloy` in `deploy/compose.observability.yaml`.",
            ],
            escalate: "When it does not stay up for 15 minutes.",
        },
        fires_without_data: true,
        cases: vec![
            case("it answers", 10, vec![Series::of(&UP, ScrapeJob::Collector, "1x10")], silent()),
            case("it does not answer", 10, vec![Series::of(&UP, ScrapeJob::Collector, "1x5 0x5")], fires(""))
                .then(7.5, silent())
                .then(8.0, fires("")),
            case("it restarts", 7, vec![Series::of(&UP, ScrapeJob::Collector, "1x5 0 1 1")], silent()),
            case(
                "others answer",
                10,
                vec![
                    Series::of(&UP, ScrapeJob::Collector, "1x5 0x5"),
                    Series::of(&UP, ScrapeJob::Loki, "1x10"),
                ],
                fires(""),
            ),
            case(
                "it is not scraped any more, and others are",
                12,
                vec![
                    Series::of(&UP, ScrapeJob::Collector, "1x5 _x15"),
                    Series::of(&UP, ScrapeJob::Loki, "1x20"),
                ],
                fires_for(ScrapeJob::Collector, ""),
            )
            .then(11.5, silent()),
        ],
    }
}

fn collector_queue_filling(scale: Scale) -> Alert {
    let size = || select(&EXPORTER_QUEUE_SIZE).now().max_by::<Exporter, _>();
    let condition = size()
        .over(select(&EXPORTER_QUEUE_CAPACITY).now().max_by::<Exporter, _>())
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
        condition: condition.into_expression(),
        pending: scale.of(SHORT),
        keep_firing: Duration::ZERO,
        summary: format!("The collector's queue for {} is filling up.", shown::<Exporter>()),
        description: format!(
            "The queue of {} is {{{{ $value | humanizePercentage }}}} full. When it is full, the collector stops \
             reading log files and refuses what the application sends.",
            shown::<Exporter>()
        ),
        dashboard: DashboardUid::Telemetry,
        runbook: Runbook {
            meaning: "A store accepts telemetry too slowly or not at all. The collector queues it on disk.",
            impact: "Dashboards and searches lag behind. Nothing is lost before the queue is full.",
            confirm: vec![
                metrics("Which store", &size()),
                metrics("Whether the store responds", &select(&UP).now().max_by::<ScrapeJob, _>()),
            ],
            remedy: &[
                "The store is down (the exporter has its name): `docker compose up --detach STORE`. The queue then \
                 drains by itself.",
                "The store is up: `docker compose logs --tail 50 alloy` shows its responses. `429` means a limit in \
                 its configuration, `503` that it is starting.",
                "The disk of the store is full: see DiskFilling.",
            ],
            escalate: "If the store is up and the queue still grows after an hour.",
        },
        fires_without_data: false,
        cases: vec![
            case("an empty queue", 15, queue("0x20"), silent()),
            case(
                "a queue that stays more than half full",
                15,
                queue("10x3 60x17"),
                fires_for(Exporter::Loki, "60%"),
            )
            .then(8.5, silent())
            .then(9.0, fires_for(Exporter::Loki, "60%")),
            case("a queue that stays just less than half full", 15, queue("49x20"), silent()),
            case("a peak of three minutes", 10, queue("10x5 90x3 10x12"), silent()),
        ],
    }
}

/// 1 if Prometheus had already scraped a target successfully that long ago. A series that began since then is
/// new, rather than scraped for the first time.
pub(super) fn was_scraped(job: ScrapeJob, ago: Duration) -> Vector<Total> {
    select(&UP).is(job).offset(ago).now().max().equals(1.0)
}

/// Cases of an alert about a counter of a scraped program that first appears with its first event.
pub(super) fn counted_cases(
    job: ScrapeJob,
    counted: impl Fn(&str) -> Series,
    fires: impl Fn(&'static str) -> Vec<Expected>,
) -> Vec<Case> {
    let another = if job == ScrapeJob::Collector { ScrapeJob::Loki } else { ScrapeJob::Collector };
    let with = |values: &str, up: &str| {
        vec![counted(values), Series::of(&UP, job, up), Series::of(&UP, another, "1x100")]
    };
    vec![
        case("nothing was ever counted", 20, with("_x20", "1x20"), silent()),
        case("the first, with which the series begins", 12, with("_x10 1x30", "_x4 1x40"), fires("1"))
            // It counts as new for five minutes; then the pending period begins.
            .then(24.5, fires("1"))
            .then(25.0, silent()),
        case("a series that begins without any", 12, with("_x10 0x10", "1x20"), silent()),
        case("more", 24, with("50x20 70x30", "1x50"), fires("21"))
            .then(44.5, fires("21"))
            .then(45.0, silent()),
        case("one more", 24, with("0x20 1x10", "1x30"), fires("1")),
        case("long ago", 40, with("50x40", "1x40"), silent()),
        case(
            "scrapes failed for half an hour, and what was counted before is seen again",
            53,
            with("50x20 _x30 50x10", "1x20 0x30 1x10"),
            silent(),
        )
        .then(55.0, silent()),
        case(
            "Prometheus was away for half an hour, and what was counted before is seen again",
            53,
            with("50x20 _x30 50x10", "1x20 _x30 1x10"),
            silent(),
        ),
    ]
}

fn collector_gave_up(scale: Scale) -> Alert {
    let failures = || {
        [
            select(&EXPORTER_SEND_FAILED_SPANS),
            select(&EXPORTER_SEND_FAILED_METRIC_POINTS),
            select(&EXPORTER_SEND_FAILED_LOG_RECORDS),
        ]
    };
    let any = |lost: [Vector<Exporter>; 3]| {
        let [spans, points, records] = lost.map(|lost| lost.above(0.0));
        spans.or(points).or(records)
    };
    let rose = |window| any(failures().map(|failed| failed.increase(window).sum_by::<Exporter, _>()));
    let recently = scale.of(SHORT);
    let began = any(failures().map(|failed| failed.began_within(recently).sum_by::<Exporter, _>()));
    let condition = rose(scale.of(LONG)).or(began.when(was_scraped(ScrapeJob::Collector, recently)));
    Alert {
        name: "CollectorGaveUp",
        severity: Severity::Warning,
        condition: condition.into_expression(),
        pending: Duration::ZERO,
        keep_firing: scale.of(BETWEEN_EVENTS),
        summary: format!("The collector dropped items that {} rejected.", shown::<Exporter>()),
        description: format!(
            "About {{{{ $value | printf \"%.0f\" }}}} items for {} were rejected permanently within 15 minutes.",
            shown::<Exporter>()
        ),
        dashboard: DashboardUid::Telemetry,
        runbook: Runbook {
            meaning: "A store rejected items permanently, and the collector dropped them. It retries all other \
                      failures indefinitely.",
            impact: "Users notice nothing. The dropped items cannot be searched.",
            confirm: vec![metrics("How much, by store", &rose(LONG))],
            remedy: &[
                "`docker compose logs alloy | grep 'Dropping data' | grep -v 'interrupted due to shutdown'` shows the \
                 response of the store. Batches interrupted by a shutdown stay in the queue.",
                "Loki, `timestamp too old`: lines waited longer than Loki accepts, after an outage of days. They are \
                 lost.",
                "Prometheus, `out of order` or `too old`: the same for points older than the out-of-order window.",
                "Anything else: the versions of collector and store are incompatible. Go back to the pinned ones.",
            ],
            escalate: "If it continues after the outage.",
        },
        fires_without_data: false,
        cases: [
            &EXPORTER_SEND_FAILED_LOG_RECORDS,
            &EXPORTER_SEND_FAILED_SPANS,
            &EXPORTER_SEND_FAILED_METRIC_POINTS,
        ]
        .into_iter()
        .flat_map(|counter| {
            let counted = |values: &str| Series::of(counter, Exporter::Loki, values);
            counted_cases(ScrapeJob::Collector, counted, |value| fires_for(Exporter::Loki, value))
        })
        .chain([case(
            "the collector starts again",
            40,
            vec![
                Series::of(&EXPORTER_SEND_FAILED_LOG_RECORDS, Exporter::Loki, "50x30 _x2 0x10"),
                Series::of(&UP, ScrapeJob::Collector, "1x30 0x2 1x10"),
            ],
            silent(),
        )])
        .collect(),
    }
}

fn stack_target_down(scale: Scale) -> Alert {
    let up = || select(&UP).is_not(ScrapeJob::Collector).now().max_by::<ScrapeJob, _>();
    Alert {
        name: "StackTargetDown",
        severity: Severity::Warning,
        condition: up().below(1.0).into_expression(),
        pending: scale.of(TARGET_DOWN_FOR),
        keep_firing: Duration::ZERO,
        summary: format!("{} does not respond to Prometheus.", shown::<ScrapeJob>()),
        description: format!(
            "Prometheus could not reach {} for two minutes. The collector queues its data.",
            shown::<ScrapeJob>()
        ),
        dashboard: DashboardUid::Telemetry,
        runbook: Runbook {
            meaning: "A program of the monitoring stack is down or too slow.",
            impact: "Users notice nothing. Its data is not visible until it is back; the collector queues new data.",
            confirm: vec![metrics("Which programs respond to Prometheus", &up())],
            remedy: &[
                "`docker compose ps` and `docker compose logs --tail 50 SERVICE`, then `docker compose restart \
                 SERVICE`.",
                "If a store does not start after a full disk or a power failure, its log names the unreadable file.",
            ],
            escalate: "If a store does not start. Starting it with an empty volume loses only its history.",
        },
        fires_without_data: false,
        cases: vec![
            case("all answer", 10, vec![Series::of(&UP, ScrapeJob::Loki, "1x10")], silent()),
            case(
                "one does not",
                10,
                vec![Series::of(&UP, ScrapeJob::Loki, "1x5 0x5"), Series::of(&UP, ScrapeJob::Tempo, "1x10")],
                fires_for(ScrapeJob::Loki, ""),
            )
            .then(7.5, silent())
            .then(8.0, fires_for(ScrapeJob::Loki, "")),
            case(
                "the collector has an alert of its own",
                10,
                vec![Series::of(&UP, ScrapeJob::Collector, "0x10")],
                silent(),
            ),
        ],
    }
}
