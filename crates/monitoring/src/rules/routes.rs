//! Alerts about single routes and workflows, whose failures disappear in sums over all requests.
//!
//! Long because each alert is one function with its texts and test cases.

use std::time::Duration;

use catalogue::labels::{BlobOperation, BlobOutcome};
use catalogue::metrics::BLOB_OPERATION_DURATION;
use signal::events::SERVER_REQUEST;

use super::cases::{MUCH, Request, beside, case, fires, fires_on, fires_on_method, silent};
use super::requests::{failed_in_each_way, failing_lines, of_strangers, slow_strangers, slow_traffic};
use super::thresholds::{
    BETWEEN_EVENTS, BLOB_STORE_SLOW, FEWEST_ATTEMPTS, FEWEST_OPERATIONS, FEWEST_SLOW_REQUESTS, LONG,
    LOW_TRAFFIC_WINDOW, ROUTE_ERROR_SHARE, ROUTE_WINDOWS, SHORT, SLOW_REQUEST, WORKFLOW_WINDOWS,
};
use super::{Alert, DashboardUid, Look, Runbook, Series, Severity, metrics, shown};
use crate::query::{
    Both, RequestFailure, RequestMethod, ResponseStatus, Route, Scale, Vector, lines, requests, select, spans,
};

pub(super) fn alerts(scale: Scale) -> Vec<Alert> {
    vec![route_failing(scale), route_slow(scale), files_slow(scale)]
}

pub(super) fn slow_alerts(scale: Scale) -> Vec<Alert> {
    vec![workflow_failing(scale)]
}

fn route_failing(scale: Scale) -> Alert {
    let failed =
        |window| requests().is_one_of(RequestFailure::OURS).count().increase(window).sum_by::<Route, _>();
    let served = |window| requests().served().count().increase(window).sum_by::<Route, _>();
    let conditions = ROUTE_WINDOWS.map(|(window, fewest)| {
        let window = scale.of(window);
        let enough = failed(window).at_least(fewest);
        failed(window).over(served(window)).above(ROUTE_ERROR_SHARE).and(enough)
    });
    let [often, seldom] = conditions;
    let traffic = |ok: &str, errors: &str| {
        vec![
            Series::requests_like(&Request::WELL, ok),
            Series::requests_like(&Request::FAILED, errors),
            // All other traffic succeeds.
            Series::requests_like(&Request { route: "/v1/me", method: "GET", ..Request::WELL }, "0+60x800"),
        ]
    };
    let fails = |value| fires_on(Request::WELL, value);
    let each = |numbers: [&str; 4]| {
        let values = numbers.map(|number| format!("0x40 {number}x20"));
        failed_in_each_way(Request::WELL, values.each_ref().map(String::as_str))
    };
    Alert {
        name: "RouteFailing",
        severity: Severity::Warning,
        condition: often.or(seldom).into_expression(),
        pending: scale.of(Duration::from_mins(2)),
        keep_firing: scale.of(BETWEEN_EVENTS),
        summary: format!("Most requests for {} fail.", shown::<Route>()),
        description: format!(
            "{{{{ $value | humanizePercentage }}}} of requests for {} failed by a fault of the service. Others may \
             hide it in the share of all.",
            shown::<Route>()
        ),
        dashboard: DashboardUid::Api,
        runbook: Runbook {
            meaning: "More than half of the requests for one route failed: at least three within half an hour, or five \
                      within six hours.",
            impact: "The function of this route does not work. The rest of the service may work.",
            confirm: vec![
                metrics("Which routes fail, and how often", &failed(LOW_TRAFFIC_WINDOW).above(0.0)),
                failing_lines(),
                Look::Traces("Traces of these requests", spans().of_requests().failed()),
            ],
            remedy: &[
                "A route that transfers files: see BlobStorageFailing.",
                "It began with a release: go back to the previous one, deploy/README.md#upgrade.",
                "Otherwise give its `code_location` from a log line and a trace to the developers.",
            ],
            escalate: "Within the working day; at once if users cannot log in or decide.",
        },
        fires_without_data: false,
        cases: beside(
            of_strangers(),
            vec![
                case("half of them fail", 60, traffic("0+1x60", "0+1x60"), silent()),
                case("one request a minute fails", 60, traffic("0x60", "0+1x60"), fails("100%")),
                case("two failures", 60, traffic("0x60", "0x40 2x20"), silent()),
                case("three failures", 43, traffic("0x90", "0x40 3x50"), fails("100%"))
                    .then(42.5, silent())
                    .then(79.5, fails("100%"))
                    .then(80.0, silent()),
                case("three failures of different kinds", 60, each(["1", "1", "1", "0"]), fails("100%")),
                case("three failures of the last kind", 60, each(["0", "0", "0", "3"]), fails("100%")),
                case(
                    "three failures among two successes, and older ones",
                    60,
                    traffic("0x19 1x20 2x13 3x20", "0x19 1x20 2x13 4x20"),
                    fails("60%"),
                ),
                case(
                    "three failures among as many successes",
                    60,
                    traffic("0x40 3x20", "0x40 3x20"),
                    silent(),
                ),
                case("two failures, and an older one", 60, traffic("0x60", "0x19 1x20 2x13 3x20"), silent()),
                case(
                    "four failures of six hours",
                    380,
                    traffic("0x400", "0x30 1x60 2x60 3x60 4x200"),
                    silent(),
                )
                .long(),
                case(
                    "five failures of six hours, of each kind",
                    380,
                    failed_in_each_way(
                        Request::WELL,
                        ["0x30 1x400", "0x91 1x400", "0x152 1x400", "0x213 1x61 2x400"],
                    ),
                    fails("100%"),
                )
                .long(),
                case(
                    "five failures of six hours, and older ones",
                    740,
                    traffic("0x100 1x300 2x200 3x200", "0x100 1x300 2x70 3x70 4x70 5x70 6x200"),
                    fails("71.43%"),
                )
                .long(),
                case(
                    "four failures of six hours, and an older one",
                    740,
                    traffic("0x800", "0x100 1x300 2x70 3x70 4x70 5x300"),
                    silent(),
                )
                .long(),
                case(
                    "five failures among more successes",
                    380,
                    traffic("0+0.02x400", "0x30 1x60 2x60 3x60 4x60 5x150"),
                    silent(),
                )
                .long(),
                case("a restart resets the counts", 60, traffic("0+1x60", "9x40 0x20"), silent()),
            ],
        ),
    }
}

/// A method of a route; workflows consist of these.
type Endpoint = Both<Route, RequestMethod>;

fn workflow_failing(scale: Scale) -> Alert {
    let attempts =
        |window| -> Vector<Endpoint> { requests().attempts().count().increase(window).sum_by_both() };
    let successes =
        |window| -> Vector<Endpoint> { requests().succeeded().count().increase(window).sum_by_both() };
    let [within_hours, within_days] = WORKFLOW_WINDOWS.map(|window| {
        let window = scale.of(window);
        attempts(window).at_least(FEWEST_ATTEMPTS).unless(successes(window).above(0.0))
    });
    let refused = Request { status: "422", ..Request::WELL };
    let traffic = |ok: &str, refusals: &str| {
        vec![Series::requests_like(&Request::WELL, ok), Series::requests_like(&refused, refusals)]
    };
    Alert {
        name: "WorkflowFailing",
        severity: Severity::Warning,
        condition: within_hours.or(within_days).into_expression(),
        pending: scale.of(Duration::from_mins(5)),
        keep_firing: scale.of(BETWEEN_EVENTS),
        summary: format!("Nobody succeeds with {} {}.", shown::<RequestMethod>(), shown::<Route>()),
        description: format!(
            "All of about {{{{ $value | printf \"%.0f\" }}}} requests {} {} within hours failed or were refused, and \
             none succeeded.",
            shown::<RequestMethod>(),
            shown::<Route>()
        ),
        dashboard: DashboardUid::Api,
        runbook: Runbook {
            meaning: "At least five requests within six hours or a day, and none succeeded. Requests without \
                      permission do not count.",
            impact: "A rarely used workflow works for nobody.",
            confirm: vec![
                metrics(
                    "Outcomes of these requests",
                    &requests()
                        .attempts()
                        .count()
                        .increase(Duration::from_hours(6))
                        .sum_by_both::<Route, ResponseStatus, _, _>()
                        .above(0.0),
                ),
                Look::Logs("Each of them, with its `error_code` where it was refused", lines(SERVER_REQUEST)),
            ],
            remedy: &[
                "Status 5xx: see RouteFailing.",
                "Status 4xx from several users: frontend and API are incompatible, usually after a release of one. Go \
                 back, or update the other.",
                "Status 4xx from one user: a developer tries the API. Silence the alert until tomorrow.",
            ],
            escalate: "Within the working day, if several users are affected.",
        },
        fires_without_data: false,
        cases: vec![
            case("four refusals, and no success", 120, traffic("0x120", "0x60 4x60"), silent()),
            case(
                "five refusals, and no success",
                120,
                traffic("0x120", "0x60 5x60"),
                fires_on_method(refused, "5"),
            ),
            case("five refusals four minutes ago", 64, traffic("0x120", "0x60 5x60"), silent()),
            case("five refusals, and a success", 120, traffic("0x100 1x20", "0x60 5x60"), silent()),
            case(
                "five refusals, and a success ten hours before",
                800,
                traffic("0x100 1x700", "0x700 5x100"),
                fires_on_method(refused, "5"),
            ),
            case(
                "five refusals over twenty hours",
                1400,
                traffic("0x1400", "0x200 1x250 2x250 3x250 4x250 5x200"),
                fires_on_method(refused, "5"),
            ),
            case(
                "five refusals over twenty hours, and a success",
                1400,
                traffic("0x100 1x1300", "0x200 1x250 2x250 3x250 4x250 5x200"),
                silent(),
            ),
            case(
                "it goes on firing for ten minutes",
                1646,
                traffic("0x1700", "0x200 5x1500"),
                fires_on_method(refused, "5"),
            ),
            case("and not for longer", 1655, traffic("0x1700", "0x200 5x1500"), silent()),
            case(
                "strangers without a token",
                120,
                vec![Series::requests_like(&Request { status: "401", ..Request::WELL }, "0+9x120")],
                silent(),
            ),
            case(
                "members who may not",
                120,
                vec![Series::requests_like(&Request { status: "403", ..Request::WELL }, "0+9x120")],
                silent(),
            ),
            case(
                "scanners",
                120,
                vec![Series::requests_like(
                    &Request { route: "", status: "400", ..Request::WELL },
                    "0+9x120",
                )],
                silent(),
            ),
            case(
                "logging in has rules of its own",
                120,
                vec![Series::requests_like(
                    &Request { route: "/v1/auth/login", status: "400", ..Request::WELL },
                    "0+9x120",
                )],
                silent(),
            ),
            case(
                "clients that go away",
                120,
                vec![Series::requests(Some(RequestFailure::Cancelled), "0+9x120")],
                silent(),
            ),
        ],
    }
}

fn route_slow(scale: Scale) -> Alert {
    let window = scale.of(LOW_TRAFFIC_WINDOW);
    let slow = requests().timed().increase_above_by::<Route, _>(SLOW_REQUEST, window);
    let condition = requests()
        .timed()
        .quantile_by::<Route, _>(0.95, window)
        .above(SLOW_REQUEST.seconds())
        .and(slow.at_least(FEWEST_SLOW_REQUESTS));
    let traffic = |fast: &str, all: &str| {
        let others = Request { route: "/v1/me", method: "GET", ..Request::WELL };
        vec![slow_traffic(&Request::WELL, fast, all), slow_traffic(&others, "0+600x120", "0+600x120")]
    };
    let slow = |value| fires_on(Request::WELL, value);
    Alert {
        name: "RouteSlow",
        severity: Severity::Warning,
        condition: condition.into_expression(),
        pending: scale.of(SHORT),
        keep_firing: scale.of(LONG),
        summary: format!("Requests for {} are slow.", shown::<Route>()),
        description: format!(
            "One request in twenty for {} takes longer than {{{{ $value | humanizeDuration }}}}.",
            shown::<Route>()
        ),
        dashboard: DashboardUid::Api,
        runbook: Runbook {
            meaning: "The 95th percentile of one route has been above a second within half an hour, with at least five \
                      slow requests. File transfers do not count.",
            impact: "Users of this route wait.",
            confirm: vec![
                metrics(
                    "Which routes are slow",
                    &requests()
                        .timed()
                        .quantile_by::<Route, _>(0.95, LOW_TRAFFIC_WINDOW)
                        .above(SLOW_REQUEST.seconds()),
                ),
                Look::Traces("Where their time goes", spans().of_requests().longer_than(1000)),
            ],
            remedy: &[
                "A trace shows the slow statement. Usually a table has grown and an index is missing. Tell the \
                 developers the name of the statement.",
                "Long lists of a large customer: `organization_id` in the slow lines shows whose.",
            ],
            escalate: "Within the working day.",
        },
        fires_without_data: false,
        cases: beside(
            slow_strangers(),
            vec![
                case("one in twenty just below a second", 60, traffic("0+9.5x60", "0+10x60"), silent()),
                case("one in twenty just above a second", 60, traffic("0+9.4x60", "0+10x60"), slow("1.861s")),
                case("four slow requests, and older ones", 60, traffic("0x60", "0x10 3x29 7.8x20"), silent()),
                case(
                    "four slow requests among twenty fast ones",
                    65,
                    traffic("0x40 20x30", "0x40 24x30"),
                    silent(),
                ),
                case(
                    "five slow requests, and older fast ones",
                    46,
                    traffic("0x10 10x120", "0x10 10x29 15.1x80"),
                    slow("1.991s"),
                )
                .then(45.0, silent())
                .then(60.0, slow("1.991s"))
                .then(84.5, slow("1.991s"))
                .then(86.0, silent()),
                case(
                    "a restart resets the counts",
                    60,
                    traffic("0+10x30 0+10x30", "0+10x30 0+10x30"),
                    silent(),
                ),
            ],
        ),
    }
}

fn files_slow(scale: Scale) -> Alert {
    let stored = || select(&BLOB_OPERATION_DURATION).is_one_of(&[BlobOperation::Put, BlobOperation::PutPart]);
    let window = scale.of(LOW_TRAFFIC_WINDOW);
    let condition = stored()
        .quantile(0.95, window)
        .above(BLOB_STORE_SLOW.seconds())
        .and(stored().count().increase(window).sum().at_least(FEWEST_OPERATIONS));
    let operations = |operation, fast: &str, all: &str| {
        let within = [(BLOB_STORE_SLOW.seconds(), fast), (2.0 * BLOB_STORE_SLOW.seconds(), all)];
        vec![Series::durations(&BLOB_OPERATION_DURATION, (operation, BlobOutcome::Ok), &within)]
    };
    let traffic = |fast: &str, all: &str| operations(BlobOperation::Put, fast, all);
    Alert {
        name: "BlobStorageSlow",
        severity: Severity::Warning,
        condition: condition.into_expression(),
        pending: scale.of(SHORT),
        keep_firing: scale.of(LONG),
        summary: "Uploaded files are stored slowly.".to_owned(),
        description:
            "The blob store takes longer than {{ $value | humanizeDuration }} for one in twenty parts of files."
                .to_owned(),
        dashboard: DashboardUid::Background,
        runbook: Runbook {
            meaning: "The blob store is slow. Only its part of an upload is measured, because the rest depends on the \
                      client's network.",
            impact: "Uploads take long, and fewer users can upload at once.",
            confirm: vec![metrics(
                "How long each operation takes",
                &select(&BLOB_OPERATION_DURATION).quantile_by::<BlobOperation, _>(0.95, LOW_TRAFFIC_WINDOW),
            )],
            remedy: &[
                "A directory: the disk is busy or failing. Check `iostat -x 5` and the kernel's log, `dmesg`.",
                "A bucket: check the provider's status page and the network.",
            ],
            escalate: "Within the working day.",
        },
        fires_without_data: false,
        cases: beside(
            operations(BlobOperation::Get, "0x3000", MUCH),
            vec![
                case("one in twenty just below the limit", 60, traffic("0+9.5x60", "0+10x60"), silent()),
                case(
                    "one in twenty just above the limit",
                    60,
                    traffic("0+9.4x60", "0+10x60"),
                    fires("3.721s"),
                ),
                case("few files, and others before", 60, traffic("0x60", "0x10 20x25 68x30"), silent()),
                case(
                    "enough files, and fast ones before",
                    42,
                    traffic("0x10 20x120", "0x10 20x25 71x100"),
                    fires("3.983s"),
                )
                .then(41.5, silent())
                .then(60.0, fires("3.983s"))
                .then(80.5, fires("3.983s"))
                .then(81.0, silent()),
                case(
                    "enough files, of which half come in parts that are fast",
                    60,
                    {
                        let parts = operations(BlobOperation::PutPart, "0x35 12x30", "0x35 25x30");
                        [traffic("0x60", "0x35 25.1x30"), parts].concat()
                    },
                    fires("3.977s"),
                ),
            ],
        ),
    }
}
