//! Alerts about telemetry that the application recorded but that no store holds.
//!
//! Each stage has an alert: items that the application wrote but the collector did not accept
//! ([`logs_not_arriving`], [`traces_not_arriving`]), items that the collector refused
//! ([`collector_refusing`]), a growing queue in the collector (`CollectorQueueFilling`), items that it
//! dropped (`CollectorGaveUp`), and items that a store discarded ([`store_discarding`]).

use std::time::Duration;

use signal::ClosedSet;
use signal::builtin::{EXPORTED, Signal};

use super::cases::{MUCH, beside, case, fires, fires_for, silent};
use super::collector_alerts::{counted_cases, was_scraped};
use super::thresholds::{ARRIVAL_WINDOW, BETWEEN_EVENTS, FEWEST_MISSING, LONG, MISSING_SHARE, SHORT};
use super::{Alert, Case, DashboardUid, Runbook, Series, Severity, metrics, shown};
use crate::foreign::{
    ForeignCounter, LOKI_DISCARDED, RECEIVER_ACCEPTED_LOG_RECORDS, RECEIVER_ACCEPTED_SPANS,
    RECEIVER_REFUSED_LOG_RECORDS, RECEIVER_REFUSED_METRIC_POINTS, RECEIVER_REFUSED_SPANS, ScrapeJob,
    TEMPO_DISCARDED, UP,
};
use crate::query::{Expression, Instance, Scale, Total, Vector, select};

pub(super) fn alerts(scale: Scale) -> Vec<Alert> {
    vec![
        logs_not_arriving(scale),
        traces_not_arriving(scale),
        collector_refusing(scale),
        store_discarding(scale),
    ]
}

type Taken = ForeignCounter<ScrapeJob>;

/// Number of items of a signal that the application sent within a window.
fn recorded(signal: Signal, window: Duration) -> Vector<Total> {
    select(&EXPORTED).is(signal).increase(window).sum()
}

/// Number of those items that the collector did not accept.
fn missing(signal: Signal, taken: &Taken, window: Duration) -> Vector<Total> {
    recorded(signal, window).minus(select(taken).increase(window).sum().or_zero())
}

/// The missing items, if they exceed the difference between two scrapes. The collector's count is known only
/// while Prometheus scrapes it, so a scrape must have succeeded both now and at the beginning of the window.
fn not_arriving(signal: Signal, taken: &Taken, scale: Scale) -> Expression {
    let window = scale.of(ARRIVAL_WINDOW);
    let missing = missing(signal, taken, window);
    let share = missing.over(recorded(signal, window)).above(MISSING_SHARE);
    let condition = missing
        .above(FEWEST_MISSING)
        .when(share)
        .when(select(&UP).is(ScrapeJob::Collector).now().max().equals(1.0))
        .when(was_scraped(ScrapeJob::Collector, window - scale.of(SHORT)));
    condition.into_expression()
}

fn cases(signal: Signal, taken: &'static Taken) -> Vec<Case> {
    let series = move |written: &str, read: &str, up: &str| {
        vec![
            Series::of(&EXPORTED, signal, written),
            Series::of(taken, ScrapeJob::Collector, read),
            Series::of(&UP, ScrapeJob::Collector, up),
        ]
    };
    let others = Signal::ALL.iter().filter(|other| **other != signal);
    let others = others.map(|other| Series::of(&EXPORTED, *other, MUCH));
    let others: Vec<Series> = others.chain([Series::of(&UP, ScrapeJob::Loki, "1x100")]).collect();
    let cases = vec![
        case("everything is taken", 60, series("0+60x60", "0+60x60", "1x60"), silent()),
        case("nothing is taken", 60, series("0+10x60", "600x60", "1x60"), fires("300"))
            // Prometheus has scraped the collector for 25 minutes; then the pending period begins.
            .then(29.5, silent())
            .then(30.0, fires("300")),
        case(
            "the collector has never taken anything",
            60,
            vec![Series::of(&EXPORTED, signal, "0+10x60"), Series::of(&UP, ScrapeJob::Collector, "1x60")],
            fires("300"),
        ),
        case("one in eight is missing", 60, series("0+16x60", "0+14x60", "1x60"), fires("60")),
        case("one in twelve is missing", 60, series("0+120x60", "0+110x60", "1x60"), silent()),
        case("just enough are missing", 60, series("0+1.2x60", "0x60", "1x60"), fires("36")),
        case("few are missing, because few are written", 60, series("0+0.9x60", "0x60", "1x60"), silent()),
        case(
            "another program sends through the same collector",
            60,
            series("0+10x60", "0+500x60", "1x60"),
            silent(),
        ),
        case(
            "the collector is down, which is another alert",
            45,
            series("0+10x60", "0+10x30 _x30", "1x30 0x30"),
            silent(),
        )
        .then(60.0, silent()),
        case(
            "the collector was down, and has caught up",
            50,
            series("0+10x50", "0+10x30 _x10 410+10x9", "1x30 0x10 1x10"),
            silent(),
        ),
        case(
            "scrapes failed for half an hour, and counts go on where they would be",
            67,
            series("0+10x90", "0+10x30 _x30 610+10x30", "1x30 0x30 1x30"),
            silent(),
        )
        .then(82.0, silent()),
        case(
            "Prometheus was away for half an hour, and gets later what the application sent meanwhile",
            67,
            series("0+10x70", "0+10x30 _x30 610+10x10", "1x30 _x30 1x10"),
            silent(),
        ),
    ];
    beside(others, cases)
}

fn logs_not_arriving(scale: Scale) -> Alert {
    let taken = &RECEIVER_ACCEPTED_LOG_RECORDS;
    Alert {
        name: "LogsNotArriving",
        severity: Severity::Warning,
        condition: not_arriving(Signal::Logs, taken, scale),
        pending: scale.of(SHORT),
        keep_firing: Duration::ZERO,
        summary: "The collector does not read all log lines.".to_owned(),
        description: "About {{ $value | printf \"%.0f\" }} lines that the application wrote within 30 minutes were not \
                      read by the collector. Searches do not find them.".to_owned(),
        dashboard: DashboardUid::Telemetry,
        runbook: Runbook {
            meaning: "The collector reads fewer lines than the processes write.",
            impact: "Users notice nothing. Lines are missing in searches, possibly all of a process.",
            confirm: vec![
                metrics(
                    "Lines that each process wrote",
                    &select(&EXPORTED).is(Signal::Logs).increase(ARRIVAL_WINDOW).sum_by::<Instance, _>(),
                ),
                metrics("Lines that the collector read", &select(taken).increase(ARRIVAL_WINDOW).sum()),
            ],
            remedy: &[
                "A log file has a name that the collector does not read. It reads only `api….jsonl` and \
                 `worker….jsonl` in `/var/log/socialize`. `docker compose config | grep SOCIALIZE_LOG_FILE` shows the \
                 names. Correct the wrong one: `docker compose up --detach`.",
                "A process has no log file, or not the collector's volume `logs`: compare both services in `docker \
                 compose config`.",
                "The collector lacks permission: `docker compose logs alloy | grep -i 'permission denied'`. The files \
                 belong to group 10100, which it needs.",
                "The collector stopped reading because a store accepts nothing: see CollectorQueueFilling and \
                 CollectorRefusing.",
            ],
            escalate: "If the names are correct and the collector logs no error.",
        },
        fires_without_data: false,
        cases: cases(Signal::Logs, taken),
    }
}

fn traces_not_arriving(scale: Scale) -> Alert {
    let taken = &RECEIVER_ACCEPTED_SPANS;
    Alert {
        name: "TracesNotArriving",
        severity: Severity::Warning,
        condition: not_arriving(Signal::Traces, taken, scale),
        pending: scale.of(SHORT),
        keep_firing: Duration::ZERO,
        summary: "The spans of the application do not reach the collector.".to_owned(),
        description:
            "About {{ $value | printf \"%.0f\" }} spans that the application sent within 30 minutes were accepted by \
             something other than the collector of this stack."
                .to_owned(),
        dashboard: DashboardUid::Telemetry,
        runbook: Runbook {
            meaning: "More spans of the application were accepted somewhere than by this collector.",
            impact: "Users notice nothing. Traces are missing in Tempo.",
            confirm: vec![
                metrics(
                    "Spans that each process sent",
                    &select(&EXPORTED).is(Signal::Traces).increase(ARRIVAL_WINDOW).sum_by::<Instance, _>(),
                ),
                metrics("Spans that the collector took", &select(taken).increase(ARRIVAL_WINDOW).sum()),
            ],
            remedy: &[
                "A process sends its spans elsewhere: compare `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` and \
                 `OTEL_EXPORTER_OTLP_ENDPOINT` in `docker compose config`.",
                "A proxy responds in place of the collector: `docker compose exec api socialize doctor` tests the \
                 connection.",
            ],
            escalate: "If the endpoint is the collector's: give both numbers to a developer.",
        },
        fires_without_data: false,
        cases: cases(Signal::Traces, taken),
    }
}

fn collector_refusing(scale: Scale) -> Alert {
    let refused = |window| {
        let lines = select(&RECEIVER_REFUSED_LOG_RECORDS).increase(window).sum().or_zero();
        let spans = select(&RECEIVER_REFUSED_SPANS).increase(window).sum().or_zero();
        let points = select(&RECEIVER_REFUSED_METRIC_POINTS).increase(window).sum().or_zero();
        lines.plus(spans).plus(points)
    };
    let spans = |values| vec![Series::of(&RECEIVER_REFUSED_SPANS, ScrapeJob::Collector, values)];
    let lines = |values| vec![Series::of(&RECEIVER_REFUSED_LOG_RECORDS, ScrapeJob::Collector, values)];
    let points = |values| vec![Series::of(&RECEIVER_REFUSED_METRIC_POINTS, ScrapeJob::Collector, values)];
    Alert {
        name: "CollectorRefusing",
        severity: Severity::Warning,
        condition: refused(scale.of(SHORT)).above(0.0).into_expression(),
        pending: scale.of(SHORT),
        keep_firing: scale.of(BETWEEN_EVENTS),
        summary: "The collector refuses telemetry.".to_owned(),
        description:
            "The collector refused about {{ $value | printf \"%.0f\" }} items within 5 minutes. Lines are read again. \
             Spans and points are sent again until the application's queue is full."
                .to_owned(),
        dashboard: DashboardUid::Telemetry,
        runbook: Runbook {
            meaning: "For five minutes the collector has lacked memory or space in a queue.",
            impact: "Users notice nothing. Dashboards lag behind, and spans and points may be lost: TelemetryDropped \
                     counts them.",
            confirm: vec![
                metrics("Refused lines", &select(&RECEIVER_REFUSED_LOG_RECORDS).increase(LONG).sum()),
                metrics("Refused spans", &select(&RECEIVER_REFUSED_SPANS).increase(LONG).sum()),
                metrics("Refused points", &select(&RECEIVER_REFUSED_METRIC_POINTS).increase(LONG).sum()),
            ],
            remedy: &[
                "A queue is full: see CollectorQueueFilling for its store, and StackTargetDown.",
                "No queue is full: the collector is at its memory limit. `docker compose logs alloy | grep -i memory` \
                 says so. Raise `limit` of its `memory_limiter` in `deploy/alloy/config.alloy` and its `mem_limit` in \
                 the overlay, or record less: deploy/README.md#size.",
                "The disk of its queues is full: `docker compose logs alloy` names the file that it cannot write.",
            ],
            escalate: "If no store is down and memory is short at usual traffic.",
        },
        fires_without_data: false,
        cases: vec![
            case("nothing is refused", 20, spans("0x20"), silent()),
            case("a batch, once", 14, spans("0x9 50x20"), silent()),
            case("spans, for ten minutes", 20, spans("0x9 50+50x10 550x40"), fires("250"))
                .then(14.5, silent())
                .then(15.0, fires("250"))
                .then(33.5, fires("62"))
                .then(34.0, silent()),
            case("lines, for ten minutes", 20, lines("0x9 50+50x20"), fires("250")),
            case("points, for ten minutes", 20, points("0x9 50+50x20"), fires("250")),
            case("one each seven minutes", 30, spans("0+0.15x30"), fires("1")),
        ],
    }
}

fn store_discarding(scale: Scale) -> Alert {
    let recently = scale.of(SHORT);
    let lost = |counter: &Taken, job| {
        let began = select(counter).began_within(recently).sum_by::<ScrapeJob, _>().above(0.0);
        let rose = select(counter).increase(scale.of(LONG)).sum_by::<ScrapeJob, _>().above(0.0);
        rose.or(began.when(was_scraped(job, recently)))
    };
    let condition = lost(&LOKI_DISCARDED, ScrapeJob::Loki).or(lost(&TEMPO_DISCARDED, ScrapeJob::Tempo));
    Alert {
        name: "StoreDiscarding",
        severity: Severity::Warning,
        condition: condition.into_expression(),
        pending: Duration::ZERO,
        keep_firing: scale.of(BETWEEN_EVENTS),
        summary: format!("{} discards received data.", shown::<ScrapeJob>()),
        description: format!(
            "{} discarded about {{{{ $value | printf \"%.0f\" }}}} items within 15 minutes.",
            shown::<ScrapeJob>()
        ),
        dashboard: DashboardUid::Telemetry,
        runbook: Runbook {
            meaning: "A store received log lines or spans and discarded them. The label `reason` of its metric says \
                      why.",
            impact: "Users notice nothing. Discarded items cannot be searched, unless the reason is a rate limit: then \
                     the collector sends them again.",
            confirm: vec![
                metrics("Lines that Loki discarded", &select(&LOKI_DISCARDED).increase(LONG).sum()),
                metrics("Spans that Tempo discarded", &select(&TEMPO_DISCARDED).increase(LONG).sum()),
            ],
            remedy: &[
                "See the reason in Explore: `sum by (reason) (loki_discarded_samples_total)` or `sum by (reason) \
                 (tempo_discarded_spans_total)`.",
                "`rate_limited`, `per_stream_rate_limit`: the rate exceeds a limit in `loki/loki.yaml` or \
                 `tempo/tempo.yaml`. The collector retries. Raise the log level to `warn`, or raise the limit.",
                "`greater_than_max_sample_age`, `too_far_behind`: lines waited too long, as after an outage of days. \
                 They are lost.",
                "`trace_too_large`, `live_traces_exceeded`: a trace has too many spans, or there are too many traces \
                 at once, for the limits in `tempo/tempo.yaml`.",
            ],
            escalate: "If it continues and no limit explains it.",
        },
        fires_without_data: false,
        cases: [(&LOKI_DISCARDED, ScrapeJob::Loki), (&TEMPO_DISCARDED, ScrapeJob::Tempo)]
            .into_iter()
            .flat_map(|(counter, job)| {
                counted_cases(job, |values| Series::of(counter, job, values), |value| fires_for(job, value))
            })
            .collect(),
    }
}
