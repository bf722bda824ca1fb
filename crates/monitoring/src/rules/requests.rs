//! Alerts about failing and slow requests.

use std::time::Duration;

use catalogue::database_operation::DatabaseOperation;
use catalogue::metrics::DB_CLIENT_OPERATION_DURATION;
use signal::Level;
use signal::builtin::{PANICS, PROCESS_CPU_TIME};
use signal::events::{PANIC, SERVER_REQUEST};

use super::cases::{MUCH, Request, beside, case, fires, silent};
use super::thresholds::{
    BETWEEN_EVENTS, ERROR_SHARE, FEWEST_ERRORS, FEWEST_REQUESTS, LONG, LOW_TRAFFIC_ERRORS,
    LOW_TRAFFIC_REQUESTS, LOW_TRAFFIC_WINDOW, SHORT, SLOW_REQUEST,
};
use super::{Alert, DashboardUid, Look, Runbook, Series, Severity, metrics};
use crate::query::{Instance, RequestFailure, Route, Scale, Total, Vector, lines, requests, select, spans};

/// A route that transfers files.
pub(super) const ATTACHMENTS: &str =
    "/v1/workspaces/{workspace_id}/content-items/{content_item_id}/attachments";

pub(super) fn alerts(scale: Scale) -> Vec<Alert> {
    vec![high_error_rate(scale), errors_at_low_traffic(scale), high_latency(scale), panicked(scale)]
}

fn failed(window: Duration) -> Vector<Total> {
    requests().is_one_of(RequestFailure::OURS).count().increase(window).sum()
}

fn served(window: Duration) -> Vector<Total> {
    requests().served().count().increase(window).sum()
}

fn failing_routes() -> Look {
    metrics(
        "Which routes fail",
        &requests().is_one_of(RequestFailure::OURS).count().increase(SHORT).sum_by::<Route, _>().above(0.0),
    )
}

fn failing_reasons() -> Look {
    metrics(
        "Failures by `error_type`",
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
        "Each failure, with `error_cause` and the line of code",
        lines(SERVER_REQUEST).at_least(Level::Error),
    )
}

fn failing_traces() -> Look {
    Look::Traces("Traces of these requests", spans().of_requests().failed())
}

/// Remedies for failing requests, in the order to try them.
const ERROR_REMEDY: &[&str] = &[
    "PostgresUnreachable, ConnectionPoolStarved or BlobStorageFailing also fire: fix that first.",
    "`error_type` gives the class: `unavailable` and `timeout` are dependencies, `internal` and `panic` are defects. \
     `error_cause` in the log line is precise.",
    "It began with a release (`socialize_build_info`): go back to the previous one, deploy/README.md#upgrade. It works \
     with the new schema.",
    "Only one route fails: give its `code_location` from a log line and a trace to the developers. The rest of the \
     service works.",
];

/// Requests that do not count for availability: they ask for paths that do not exist, even if that fails, are
/// refused, or their client disconnects.
pub(super) fn of_strangers() -> Vec<Series> {
    let scanner = Request::SCANNER;
    [
        scanner,
        Request { failure: Some(RequestFailure::Internal), ..scanner },
        Request { status: "401", ..Request::WELL },
        Request { failure: Some(RequestFailure::Cancelled), ..Request::WELL },
    ]
    .map(|request| Series::requests_like(&request, MUCH))
    .into()
}

/// Slow requests that do not count for latency, and fast ones of a scanner and of a refused client.
pub(super) fn slow_strangers() -> Vec<Series> {
    let slow = |request: Request| slow_traffic(&request, "0x3000", MUCH);
    let on = |route| Request { route, ..Request::WELL };
    [
        slow_traffic(&Request { failure: Some(RequestFailure::Timeout), ..Request::SCANNER }, MUCH, MUCH),
        slow_traffic(&Request { status: "401", ..Request::WELL }, MUCH, MUCH),
        slow(Request { status: "408", ..Request::WELL }),
        slow(on(ATTACHMENTS)),
        slow(on("/v1/workspaces/{workspace_id}/content-items/{content_item_id}/attachments/{attachment_id}")),
        slow(on("/v1/feedback-reports/{feedback_report_id}/screenshot")),
        slow(on("/v1/feedback-reports/{feedback_report_id}/screenshot/thumbnail")),
    ]
    .into()
}

/// Requests that fail in each of the ways that are the service's fault, equally often.
pub(super) fn failed_in_each_way(request: Request, values: [&str; 4]) -> Vec<Series> {
    let ways = RequestFailure::OURS.iter().zip(values);
    ways.map(|(way, values)| Series::requests_like(&Request { failure: Some(*way), ..request }, values))
        .collect()
}

fn high_error_rate(scale: Scale) -> Alert {
    let window = scale.of(SHORT);
    let enough = failed(window).at_least(FEWEST_ERRORS);
    let condition = failed(window).over(served(window)).above(ERROR_SHARE).and(enough);
    let traffic = |ok: &str, errors: &str| {
        vec![Series::requests(None, ok), Series::requests(Some(RequestFailure::Internal), errors)]
    };
    Alert {
        name: "HighErrorRate",
        severity: Severity::Critical,
        condition: condition.into_expression(),
        pending: scale.of(Duration::from_mins(2)),
        keep_firing: scale.of(SHORT),
        summary: "Many requests fail.".to_owned(),
        description:
            "{{ $value | humanizePercentage }} of requests within five minutes failed because of the service."
                .to_owned(),
        dashboard: DashboardUid::Api,
        runbook: Runbook {
            meaning: "More than one request in twenty, and at least ten, failed because of the service. Requests \
                      without a route, refused with 4xx, or cancelled by the client do not count.",
            impact: "Users see errors.",
            confirm: vec![failing_routes(), failing_reasons(), failing_lines(), failing_traces()],
            remedy: ERROR_REMEDY,
            escalate: "If the cause is not found within 15 minutes, or at once if all requests fail.",
        },
        fires_without_data: false,
        cases: beside(
            of_strangers(),
            vec![
                case("one request in twenty fails", 15, traffic("0+95x20", "0+5x20"), silent()),
                case("a little more than one in twenty fails", 15, traffic("0+94x20", "0+6x20"), fires("6%")),
                case("it begins to fail", 13, traffic("0+90x30", "0x10 20+20x20"), silent())
                    .then(13.5, silent())
                    .then(14.0, fires("15.09%")),
                case("nine failures within five minutes", 15, traffic("0x20", "0+1.8x20"), silent()),
                case(
                    "ten failures within five minutes, each fourth of another kind",
                    15,
                    failed_in_each_way(Request::WELL, ["0+0.505x20"; 4]),
                    fires("100%"),
                ),
                case(
                    "a user who tries six times in vain",
                    15,
                    traffic("0+0.25x20", "0x9 0+2x3 6x8"),
                    silent(),
                ),
                case("no requests at all", 15, traffic("5x20", "0x20"), silent()),
                case(
                    "a restart resets the counts",
                    13,
                    traffic("0+100x10 0+100x10", "400x10 0x10"),
                    silent(),
                ),
                case("it ends", 22, traffic("0+90x30", "0+10x15 150x15"), fires("5.263%"))
                    .then(22.5, fires("5.263%"))
                    .then(23.0, silent()),
            ],
        ),
    }
}

fn errors_at_low_traffic(scale: Scale) -> Alert {
    let window = scale.of(LOW_TRAFFIC_WINDOW);
    let condition =
        failed(window).at_least(LOW_TRAFFIC_ERRORS).and(served(window).below(LOW_TRAFFIC_REQUESTS));
    let few = |ok: &str, errors: &str| {
        vec![Series::requests(None, ok), Series::requests(Some(RequestFailure::Panic), errors)]
    };
    Alert {
        name: "ErrorsAtLowTraffic",
        severity: Severity::Warning,
        condition: condition.into_expression(),
        pending: Duration::ZERO,
        keep_firing: scale.of(BETWEEN_EVENTS),
        summary: "Requests fail at low traffic.".to_owned(),
        description:
            "About {{ $value | printf \"%.0f\" }} requests failed because of the service within half an hour of low \
             traffic."
                .to_owned(),
        dashboard: DashboardUid::Api,
        runbook: Runbook {
            meaning: "At least three of fewer than a thousand requests within half an hour failed. At low traffic a \
                      share of failures means little, so they are counted.",
            impact: "Some users see errors.",
            confirm: vec![failing_routes(), failing_lines(), failing_traces()],
            remedy: ERROR_REMEDY,
            escalate: "Within the working day, with a trace.",
        },
        fires_without_data: false,
        cases: beside(
            of_strangers(),
            vec![
                case("two failures", 40, few("0+5x40", "0x20 2x20"), silent()),
                case("three failures of few requests", 40, few("0+5x70", "0x20 3x60"), fires("3"))
                    .then(59.5, fires("3"))
                    .then(60.0, silent()),
                case(
                    "four failures, each of another kind",
                    40,
                    failed_in_each_way(Request::WELL, ["0x20 1x20"; 4]),
                    fires("4"),
                ),
                case(
                    "three failures of nearly a thousand requests",
                    45,
                    few("0+33x60", "0x20 3x40"),
                    fires("3"),
                ),
                case("three failures of a thousand requests", 40, few("0+33.5x40", "0x20 3x20"), silent()),
                case("a restart resets the counts", 40, few("0+5x40", "9x20 0x20"), silent()),
            ],
        ),
    }
}

/// Requests, some of which take exactly the allowed time. All others take twice as long.
pub(super) fn slow_traffic(request: &Request, fast: &str, all: &str) -> Series {
    const LIMIT: f64 = SLOW_REQUEST.seconds();
    Series::requests_like_within(request, &[(LIMIT, fast), (2.0 * LIMIT, all)])
}

fn high_latency(scale: Scale) -> Alert {
    let window = scale.of(SHORT);
    let condition = requests()
        .timed()
        .quantile(0.95, window)
        .above(SLOW_REQUEST.seconds())
        .and(requests().timed().count().increase(window).sum().at_least(FEWEST_REQUESTS));
    let traffic = |fast: &str, all: &str| vec![slow_traffic(&Request::WELL, fast, all)];
    Alert {
        name: "HighLatency",
        severity: Severity::Warning,
        condition: condition.into_expression(),
        pending: scale.of(SHORT),
        keep_firing: scale.of(SHORT),
        summary: "Requests are slow.".to_owned(),
        description: "One request in twenty takes longer than {{ $value | humanizeDuration }}.".to_owned(),
        dashboard: DashboardUid::Api,
        runbook: Runbook {
            meaning: "The 95th percentile of requests has been above a second for five minutes, with at least twenty \
                      requests. File transfers do not count, because they depend on the client.",
            impact: "Users wait.",
            confirm: vec![
                metrics(
                    "Which routes are slow",
                    &requests().timed().quantile_by::<Route, _>(0.95, SHORT).above(SLOW_REQUEST.seconds()),
                ),
                metrics(
                    "Whether the database is slow",
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
                "DatabaseSlow or ConnectionPoolStarved also fire: fix that first.",
                "All routes are slow: the machine is busy. `docker stats --no-stream` shows which container. Add \
                 processors or start another API process: deploy/README.md#beyond-one-machine.",
                "Only logging in is slow: many users log in at once, and few passwords are hashed at a time. It passes \
                 by itself.",
            ],
            escalate: "Within the working day; at once if AvailabilityBudgetBurningFast also fires.",
        },
        fires_without_data: false,
        cases: beside(
            slow_strangers(),
            vec![
                case("one in twenty just below a second", 20, traffic("0+95x20", "0+100x20"), silent()),
                case(
                    "one in twenty just above a second",
                    20,
                    traffic("0+94x20", "0+100x20"),
                    fires("1.861s"),
                ),
                case(
                    "half of them slow, and then all",
                    17,
                    traffic("0+50x15 750x15", "0+100x30"),
                    fires("1.988s"),
                ),
                case("nineteen requests, all slow", 20, traffic("0x20", "0+3.8x20"), silent()),
                case("twenty requests, all slow", 20, traffic("0x20", "0+4.02x20"), fires("1.991s")),
                case("they become slow", 16, traffic("0+100x10 1000x10", "0+100x20"), fires("1.991s"))
                    .then(15.5, silent()),
                case("they become fast again", 24, traffic("0x15 0+100x20", "0+100x35"), fires("1.966s"))
                    .then(24.5, fires("1.966s"))
                    .then(25.0, silent()),
                case(
                    "a restart resets the counts",
                    20,
                    traffic("0+100x10 0+100x10", "0+100x10 0+100x10"),
                    silent(),
                ),
            ],
        ),
    }
}

fn panicked(scale: Scale) -> Alert {
    let panics = |window| select(&PANICS).increase(window).sum();
    Alert {
        name: "Panicked",
        severity: Severity::Warning,
        condition: panics(scale.of(LONG)).above(0.0).into_expression(),
        pending: Duration::ZERO,
        keep_firing: scale.of(BETWEEN_EVENTS),
        summary: "The program panicked.".to_owned(),
        description: "{{ $value | printf \"%.0f\" }} panics within 15 minutes. Each is a defect.".to_owned(),
        dashboard: DashboardUid::Api,
        runbook: Runbook {
            meaning: "The code reached an impossible state. The request, job or loop ended; the process continued.",
            impact: "The request returned 500, or the job is retried.",
            confirm: vec![
                Look::Logs("Where in the code: `code_file` and `code_line`", lines(PANIC)),
                failing_traces(),
            ],
            remedy: &[
                "Nothing to do at night unless HighErrorRate also fires.",
                "Give `code_file`, `code_line`, the version and a trace to the developers.",
            ],
            escalate: "Within the working day, because every panic is a defect.",
        },
        fires_without_data: false,
        cases: vec![
            case("none", 20, vec![Series::of(&PANICS, (), "0x20")], silent()),
            case("the first", 12, vec![Series::of(&PANICS, (), "0x10 1x40")], fires("1"))
                .then(34.5, fires("1"))
                .then(35.0, silent()),
            case("a restart resets the count", 20, vec![Series::of(&PANICS, (), "3x15 0x10")], silent()),
        ],
    }
}
