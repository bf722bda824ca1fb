//! Alerts about what users meet: requests that fail or take long.

use std::time::Duration;

use domain::catalogue::DB_CLIENT_OPERATION_DURATION;
use domain::database_operation::DatabaseOperation;
use telemetry::builtin::{HTTP_SERVER_REQUEST_DURATION, PANICS, PROCESS_CPU_TIME};
use telemetry::events::{PANIC, SERVER_REQUEST};
use telemetry::log::Level;

use super::cases::{Answered, case, fires, silent};
use super::thresholds::{
    BETWEEN_EVENTS, ERROR_SHARE, FEWEST_ERRORS, FEWEST_REQUESTS, LONG, LOW_TRAFFIC_ERRORS,
    LOW_TRAFFIC_REQUESTS, LOW_TRAFFIC_WINDOW, SHORT, SLOW_REQUEST,
};
use super::{Alert, DashboardUid, Look, Runbook, Series, Severity, metrics};
use crate::query::{
    Bucket, Instance, RequestFailure, Route, Scale, Total, Vector, lines, requests, select, spans,
};

/// A route on which files travel.
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

/// The same traffic, and somebody who asks for what does not exist.
fn scanned(mut traffic: Vec<Series>, requests: &str) -> Vec<Series> {
    traffic.push(Series::answered(&Answered::SCANNER, requests));
    traffic
}

/// The same traffic, and somebody whom the service refuses or who does not wait.
fn refused(mut traffic: Vec<Series>, requests: &str) -> Vec<Series> {
    traffic.push(Series::answered(&Answered { status: "401", ..Answered::WELL }, requests));
    traffic.push(Series::requests(Some(RequestFailure::Cancelled), requests));
    traffic
}

/// The same traffic, and another program that has a metric of the same name.
fn beside_alloy(mut traffic: Vec<Series>, requests: &str) -> Vec<Series> {
    traffic.push(Series::requests(None, requests).of_another_program());
    traffic
}

fn high_error_rate(scale: Scale) -> Alert {
    let window = scale.of(SHORT);
    let enough = failed(window).at_least(FEWEST_ERRORS);
    let condition = failed(window).share_of(served(window)).above(ERROR_SHARE).and(enough);
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
            meaning: "More than one request in twenty ended with an error that is the service's fault, and at least ten did. Requests that match no route, that were refused with 4xx or whose client went away count neither way.",
            impact: "Users see errors and cannot finish what they do.",
            confirm: vec![failing_routes(), failing_reasons(), failing_lines(), failing_traces()],
            remedy: ERROR_REMEDY,
            escalate: "After a quarter of an hour without a cause, or at once when nothing succeeds.",
        },
        fires_without_data: false,
        cases: vec![
            case("one request in twenty fails", 15, traffic("0+95x20", "0+5x20"), silent()),
            case("a little more than one in twenty fails", 15, traffic("0+94x20", "0+6x20"), fires("6%")),
            case("it has failed for a minute and a half", 11, traffic("0+90x9 900+0x11", "0x9 0+10x11"), silent()),
            case("nine failures within five minutes", 15, traffic("0x20", "0+1.8x20"), silent()),
            case("ten failures within five minutes", 15, traffic("0x20", "0+2.02x20"), fires("100%")),
            case("a user who tries six times in vain", 15, traffic("0+0.25x20", "0x9 0+2x3 6x8"), silent()),
            case("clients that go away are no fault of ours", 15, vec![Series::requests(None, "0+10x20"), Series::requests(Some(RequestFailure::Cancelled), "0+90x20")], silent()),
            case("a scanner does not hide that users meet errors", 15, scanned(traffic("0x20", "0+3x20"), "0+4000x20"), fires("100%")),
            case("nor do refusals and clients that go away", 15, refused(traffic("0x20", "0+3x20"), "0+4000x20"), fires("100%")),
            case("what the collector answers under the same name hides nothing", 15, beside_alloy(traffic("0x20", "0+3x20"), "0+4000x20"), fires("100%")),
            case("what fails in the collector is not ours", 15, vec![Series::requests(Some(RequestFailure::Internal), "0+90x20").of_another_program(), Series::requests(None, "0+10x20")], silent()),
            case("no requests at all", 15, traffic("5x20", "0x20"), silent()),
            case("a restart resets the counts", 13, traffic("0+100x10 0+100x10", "400x10 0x10"), silent()),
            case("it goes on firing for five minutes", 21, traffic("0+90x30", "0+10x15 150x15"), fires("5.263%")),
            case("and not for longer", 26, traffic("0+90x30", "0+10x15 150x15"), silent()),
        ],
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
            case("two failures", 40, few("0+5x40", "0x20 2x20"), silent()),
            case("three failures of few requests", 40, few("0+5x40", "0x20 3x20"), fires("3")),
            case("three failures of nearly a thousand requests", 40, few("0+33x40", "0x20 3x20"), fires("3")),
            case("three failures of a thousand requests", 40, few("0+33.5x40", "0x20 3x20"), silent()),
            case("three failures of few requests, and a scanner's of many", 40, scanned(few("0+5x40", "0x20 3x20"), "0+4000x40"), fires("3")),
            case("it goes on firing for ten minutes", 58, few("0+5x80", "0x20 3x60"), fires("3")),
            case("and not for longer", 62, few("0+5x80", "0x20 3x60"), silent()),
            case("a restart resets the counts", 40, few("0+5x40", "9x20 0x20"), silent()),
        ],
    }
}

/// Requests of which some are fast; all others end before the next bound above the threshold, at 2.5 seconds.
pub(super) fn slow_traffic(answered: &Answered, fast: &str, all: &str) -> Vec<Series> {
    const NEXT: Bucket = Bucket::of(&HTTP_SERVER_REQUEST_DURATION.description(), 2.5);
    vec![
        Series::answered(answered, all),
        Series::answered_within(answered, Some(SLOW_REQUEST), fast),
        Series::answered_within(answered, Some(NEXT), all),
        Series::answered_within(answered, None, all),
    ]
}

fn high_latency(scale: Scale) -> Alert {
    let window = scale.of(SHORT);
    let condition = requests()
        .timed()
        .quantile(0.95, window)
        .above(SLOW_REQUEST.seconds())
        .and(requests().timed().count().increase(window).sum().at_least(FEWEST_REQUESTS));
    let traffic = |fast: &str, all: &str| slow_traffic(&Answered::WELL, fast, all);
    let beside = |answered: &Answered, values: &str| {
        let mut series = traffic("0+100x20", "0+100x20");
        series.extend(slow_traffic(answered, "0x20", values));
        series
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
            meaning: "The 95th percentile of requests has been above a second for five minutes, with at least twenty requests. Files on their way are not counted: how long they take depends on the client.",
            impact: "Users wait, and give up.",
            confirm: vec![
                metrics(
                    "Which routes are slow",
                    &requests().timed().quantile_by::<Route, _>(0.95, SHORT).above(SLOW_REQUEST.seconds()),
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
                "All routes are slow: the machine is busy. Look at the processor on the dashboard, and at what else runs there; give it more, or start another API process.",
                "Logging in is slow only: passwords are hashed a few at a time, and many people log in at once. It passes.",
            ],
            escalate: "Within the working day; at once when AvailabilityBudgetBurningFast fires as well.",
        },
        fires_without_data: false,
        cases: vec![
            case("all fast", 20, traffic("0+100x20", "0+100x20"), silent()),
            case("one in twenty just below a second", 20, traffic("0+95x20", "0+100x20"), silent()),
            case("one in twenty just above a second", 20, traffic("0+94x20", "0+100x20"), fires("1.25s")),
            case("half of them slow", 20, traffic("0+50x20", "0+100x20"), fires("2.35s")),
            case("nineteen requests, all slow", 20, traffic("0x20", "0+3.8x20"), silent()),
            case("twenty requests, all slow", 20, traffic("0x20", "0+4.02x20"), fires("2.425s")),
            case("slow for less than five minutes", 14, traffic("0+100x10 1000x10", "0+100x20"), silent()),
            case(
                "slow for more than five minutes",
                16,
                traffic("0+100x10 1000x10", "0+100x20"),
                fires("2.425s"),
            ),
            case(
                "it goes on firing for five minutes",
                23,
                traffic("0x15 0+100x20", "0+100x35"),
                fires("1.75s"),
            ),
            case(
                "slow files among fast requests",
                20,
                beside(&Answered { route: ATTACHMENTS, ..Answered::WELL }, "0+100x20"),
                silent(),
            ),
            case(
                "slow refusals",
                20,
                beside(&Answered { status: "408", ..Answered::WELL }, "0+100x20"),
                silent(),
            ),
            case(
                "a scanner's fast requests among slow ones",
                20,
                {
                    let mut series = traffic("0+50x20", "0+100x20");
                    series.extend(slow_traffic(&Answered::SCANNER, "0+9000x20", "0+9000x20"));
                    series
                },
                fires("2.35s"),
            ),
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
            case(
                "one of a quarter of an hour ago, and ten minutes more",
                34,
                vec![Series::of(&PANICS, (), "0x10 1x40")],
                fires("1"),
            ),
            case("one of half an hour ago", 36, vec![Series::of(&PANICS, (), "0x10 1x40")], silent()),
            case("a restart resets the count", 20, vec![Series::of(&PANICS, (), "3x15 0x10")], silent()),
        ],
    }
}
