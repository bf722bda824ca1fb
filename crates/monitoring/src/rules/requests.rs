//! Alerts about what users meet: requests that fail or take long.

use std::time::Duration;

use domain::catalogue::DB_CLIENT_OPERATION_DURATION;
use domain::database_operation::DatabaseOperation;
use telemetry::builtin::{HTTP_SERVER_REQUEST_DURATION, PANICS, PROCESS_CPU_TIME};
use telemetry::events::{PANIC, SERVER_REQUEST};
use telemetry::log::Level;

use super::cases::{case, fires, silent};
use super::thresholds::{
    BETWEEN_EVENTS, ERROR_SHARE, FEWEST_ERRORS, FEWEST_REQUESTS, LONG, LOW_TRAFFIC_ERRORS,
    LOW_TRAFFIC_REQUESTS, LOW_TRAFFIC_WINDOW, SHORT, SLOW_REQUEST,
};
use super::{Alert, DashboardUid, Look, Runbook, Series, Severity, metrics};
use crate::query::{
    Bucket, Instance, RequestFailure, Route, Scale, Total, Vector, lines, requests, select, spans,
};

pub(super) fn alerts(scale: Scale) -> Vec<Alert> {
    vec![high_error_rate(scale), errors_at_low_traffic(scale), high_latency(scale), panicked(scale)]
}

fn failed(window: Duration) -> Vector<Total> {
    requests().is_one_of(RequestFailure::OURS).count().increase(window).sum()
}

fn answered(window: Duration) -> Vector<Total> {
    requests().count().increase(window).sum()
}

fn failing_routes() -> Look {
    metrics(
        "Which routes fail",
        &requests().is_one_of(RequestFailure::OURS).count().increase(SHORT).sum_by::<Route, _>().above(0.0),
    )
}

fn failing_reasons() -> Look {
    metrics(
        "How they fail",
        &requests()
            .is_one_of(RequestFailure::OURS)
            .count()
            .increase(SHORT)
            .sum_by::<RequestFailure, _>()
            .above(0.0),
    )
}

pub(super) fn failing_lines() -> Look {
    Look::Logs(
        "Each of them, with `error_cause` and the line of code",
        lines(SERVER_REQUEST).at_least(Level::Error),
    )
}

fn failing_traces() -> Look {
    Look::Traces("What each of them did", spans().of_requests().failed())
}

/// In which order to look for what makes requests fail.
const ERROR_REMEDY: &[&str] = &[
    "PostgresUnreachable, ConnectionPoolStarved or BlobStorageFailing fire as well: mend that first.",
    "`error_type` says what sort: `unavailable` and `timeout` are dependencies, `internal` and `panic` are faults of ours. `error_cause` in the log line is precise.",
    "It began with a release (`socialize_build_info`): go back to the one before, see deploy/README.md. Migrations stay compatible with the release before.",
    "One route only: tell the developers its `code_location` from a log line and a trace; the rest of the service is well.",
];

fn high_error_rate(scale: Scale) -> Alert {
    let window = scale.of(SHORT);
    let enough = failed(window).at_least(FEWEST_ERRORS);
    let condition = failed(window).share_of(answered(window)).above(ERROR_SHARE).and(enough);
    let traffic = |ok: &str, errors: &str| {
        vec![Series::requests(None, ok), Series::requests(Some(RequestFailure::Internal), errors)]
    };
    Alert {
        name: "HighErrorRate",
        severity: Severity::Critical,
        condition: condition.text().to_owned(),
        pending: scale.of(Duration::from_mins(2)),
        keep_firing: scale.of(SHORT),
        summary: "Many requests fail.".to_owned(),
        description: "{{ $value | humanizePercentage }} of requests within five minutes failed by a fault of the service.".to_owned(),
        dashboard: DashboardUid::Api,
        runbook: Runbook {
            meaning: "More than one request in twenty ended with an error that is the service's fault, and at least five did.",
            impact: "Users see errors and cannot finish what they do.",
            confirm: vec![failing_routes(), failing_reasons(), failing_lines(), failing_traces()],
            remedy: ERROR_REMEDY,
            escalate: "After a quarter of an hour without a cause, or at once when nothing succeeds.",
        },
        fires_without_data: false,
        cases: vec![
            case("one request in fifty fails", 15, traffic("0+49x20", "0+1x20"), silent()),
            case("one request in ten fails", 15, traffic("0+90x20", "0+10x20"), fires("10%")),
            case("a single failure among few requests", 12, traffic("0+1x20", "0x10 1x10"), silent()),
            case("clients that go away are no fault of ours", 15, vec![Series::requests(None, "0+10x20"), Series::requests(Some(RequestFailure::Cancelled), "0+90x20")], silent()),
            case("no requests at all", 15, traffic("5x20", "0x20"), silent()),
            case("a restart resets the counts", 13, traffic("0+100x10 0+100x10", "400x10 0x10"), silent()),
        ],
    }
}

fn errors_at_low_traffic(scale: Scale) -> Alert {
    let window = scale.of(LOW_TRAFFIC_WINDOW);
    let condition =
        failed(window).at_least(LOW_TRAFFIC_ERRORS).and(answered(window).below(LOW_TRAFFIC_REQUESTS));
    Alert {
        name: "ErrorsAtLowTraffic",
        severity: Severity::Warning,
        condition: condition.text().to_owned(),
        pending: Duration::ZERO,
        keep_firing: scale.of(BETWEEN_EVENTS),
        summary: "Requests fail while there are few.".to_owned(),
        description: "About {{ $value | printf \"%.0f\" }} requests failed by a fault of the service within half an hour of low traffic, in which no share says anything.".to_owned(),
        dashboard: DashboardUid::Api,
        runbook: Runbook {
            meaning: "Three requests failed within half an hour that had fewer than a thousand. At this traffic each is somebody's work.",
            impact: "Single users see errors.",
            confirm: vec![failing_routes(), failing_lines(), failing_traces()],
            remedy: ERROR_REMEDY,
            escalate: "Within the working day, with a trace.",
        },
        fires_without_data: false,
        cases: vec![
            case("a single failure", 40, vec![Series::requests(None, "0+5x40"), Series::requests(Some(RequestFailure::Panic), "0x20 1x20")], silent()),
            case("three failures of few requests", 40, vec![Series::requests(None, "0+5x40"), Series::requests(Some(RequestFailure::Panic), "0x20 4x20")], fires("4")),
            case("three failures of many requests", 40, vec![Series::requests(None, "0+500x40"), Series::requests(Some(RequestFailure::Panic), "0x20 4x20")], silent()),
            case("a restart resets the counts", 40, vec![Series::requests(None, "0+5x40"), Series::requests(Some(RequestFailure::Panic), "9x20 0x20")], silent()),
        ],
    }
}

fn high_latency(scale: Scale) -> Alert {
    let window = scale.of(SHORT);
    let condition = requests()
        .quantile(0.95, window)
        .above(SLOW_REQUEST.seconds())
        .and(answered(window).at_least(FEWEST_REQUESTS));
    // The next bound above the threshold ends at 2.5 seconds; all that is slower lies below it here.
    let traffic = |fast: &str, all: &str| {
        vec![
            Series::requests(None, all),
            Series::requests_within(Some(SLOW_REQUEST), fast),
            Series::requests_within(Some(Bucket::of(&HTTP_SERVER_REQUEST_DURATION.description(), 2.5)), all),
            Series::requests_within(None, all),
        ]
    };
    Alert {
        name: "HighLatency",
        severity: Severity::Warning,
        condition: condition.text().to_owned(),
        pending: scale.of(SHORT),
        keep_firing: scale.of(SHORT),
        summary: "Requests are slow.".to_owned(),
        description: "One request in twenty takes longer than {{ $value | humanizeDuration }}.".to_owned(),
        dashboard: DashboardUid::Api,
        runbook: Runbook {
            meaning: "The 95th percentile of all requests has been above a second for five minutes, with at least twenty requests.",
            impact: "Users wait, and give up.",
            confirm: vec![
                metrics(
                    "Which routes are slow",
                    &requests().quantile_by::<Route, _>(0.95, SHORT).above(SLOW_REQUEST.seconds()),
                ),
                metrics(
                    "Whether the database is",
                    &select(&DB_CLIENT_OPERATION_DURATION)
                        .quantile_by::<DatabaseOperation, _>(0.95, SHORT)
                        .above(0.1),
                ),
                metrics(
                    "How busy each process is, in processors",
                    &select(&PROCESS_CPU_TIME).rate(SHORT).sum_by::<Instance, _>(),
                ),
                Look::Traces("Where their time goes", spans().of_requests().longer_than(1000)),
            ],
            remedy: &[
                "DatabaseSlow or ConnectionPoolStarved fire as well: mend that first.",
                "Routes that take uploads last as long as clients take to send; a single slow client among few requests is no fault.",
                "All routes are slow: the machine is busy. Look at the processor on the dashboard, and at what else runs there; give it more, or start another API process.",
                "Logging in is slow only: passwords are hashed a few at a time, and many people log in at once. It passes.",
            ],
            escalate: "Within the working day; at once when AvailabilityBudgetBurningFast fires as well.",
        },
        fires_without_data: false,
        cases: vec![
            case("all fast", 20, traffic("0+100x20", "0+100x20"), silent()),
            case("half of them slow", 20, traffic("0+50x20", "0+100x20"), fires("2.35s")),
            case("a slow one among few requests", 20, traffic("0+1x20", "0+2x20"), silent()),
            case("a slow minute", 14, traffic("0+100x8 880+100x11", "0+100x20"), silent()),
            case(
                "a restart resets the counts",
                20,
                traffic("0+100x10 0+100x10", "0+100x10 0+100x10"),
                silent(),
            ),
        ],
    }
}

fn panicked(scale: Scale) -> Alert {
    let panics = |window| select(&PANICS).increase(window).sum();
    Alert {
        name: "Panicked",
        severity: Severity::Warning,
        condition: panics(scale.of(LONG)).above(0.0).text().to_owned(),
        pending: Duration::ZERO,
        keep_firing: scale.of(BETWEEN_EVENTS),
        summary: "A part of the program crashed.".to_owned(),
        description: "{{ $value | printf \"%.0f\" }} panics within 15 minutes. Each is a defect.".to_owned(),
        dashboard: DashboardUid::Api,
        runbook: Runbook {
            meaning: "Code met a state that its author held impossible. The request, job or loop concerned ended; the process went on.",
            impact: "The request concerned answered 500, or the job is tried again.",
            confirm: vec![
                Look::Logs("Where in the code: `code_file` and `code_line`", lines(PANIC)),
                failing_traces(),
            ],
            remedy: &[
                "Nothing to do at night unless HighErrorRate fires as well.",
                "Tell the developers `code_file`, `code_line`, the version, and a trace.",
            ],
            escalate: "Within the working day; every panic is a defect to be mended.",
        },
        fires_without_data: false,
        cases: vec![
            case("none", 20, vec![Series::of(&PANICS, (), "0x20")], silent()),
            case("the first", 12, vec![Series::of(&PANICS, (), "0x10 1x10")], fires("1")),
            case("a restart resets the count", 20, vec![Series::of(&PANICS, (), "3x15 0x10")], silent()),
        ],
    }
}
