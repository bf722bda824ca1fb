//! Failing and slow requests: rate, errors and durations by route, with links to traces and lines.
//!
//! Long because a dashboard is a list of panels.

use std::time::Duration;

use catalogue::keys;
use catalogue::labels::{AuthFailureReason, ErrorCode};
use catalogue::metrics::{API_ERRORS, AUTH_FAILURES, DB_CLIENT_OPERATION_DURATION};
use signal::builtin::HTTP_SERVER_ACTIVE_REQUESTS;
use signal::metric::IsHistogram;
use signal::{Level, events};

use super::parts::{PERCENTILES, RANGE, RATE, percentiles_of};
use crate::grafana::{
    Band, Cell, Choice, Color, Dashboard, Override, Panel, Period, Property, Target, Transformation, Unit,
    explore_logs, explore_traces, value_of_series,
};
use crate::query::{
    Both, Field, Lines, Recording, RequestFailure, RequestMethod, ResponseStatus, Route, Selector,
    ServerRequest, Spans, Total, Vector, lines, select, spans, unmatched_requests,
};
use crate::rules::thresholds::{AVAILABILITY_OBJECTIVE, ERROR_SHARE, LATENCY_OBJECTIVE, SLOW_REQUEST};
use crate::rules::{DashboardUid, FAILED_REQUESTS, REQUESTS, SLOW_REQUESTS, TIMED_REQUESTS};

/// Duration above which a request is listed as slow.
const SLOW_MILLISECONDS: u64 = 500;
/// Maximum number of routes in one chart.
const ROUTES_DRAWN: u8 = 6;

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: DashboardUid::Api,
        title: "Socialize: API",
        description: "Which requests fail or are slow, where, and why?",
        range: Period::Hours(3),
        refresh: Some(Period::Seconds(30)),
        choices: &[Choice::Environment, Choice::Instance, Choice::Route],
        bands: vec![
            Band::Panels(4, vec![rate_now(), availability(), percentiles_now(), active_now()]),
            Band::Panels(8, vec![by_status(), failing(), latency(), database()]),
            Band::Title(50, "Objectives"),
            Band::Panels(7, vec![budget_left(), burn_rate(), slow_burn_rate()]),
            Band::Title(20, "By endpoint"),
            Band::Panels(11, vec![endpoints()]),
            Band::Panels(8, vec![busiest(), slowest()]),
            Band::Title(30, "Errors"),
            Band::Panels(8, vec![by_code(), server_errors(), authentication()]),
            Band::Panels(8, vec![failing_routes(), distribution()]),
            Band::Title(60, "Who is affected"),
            Band::Panels(7, vec![affected(), organizations(), users()]),
            Band::Title(40, "Single requests"),
            Band::Panels(9, vec![failed_traces(), slow_traces()]),
            Band::Panels(9, vec![causes(), failed_lines()]),
        ],
    }
}

/// Selects requests of the chosen routes.
fn requests() -> Selector<ServerRequest, IsHistogram> {
    crate::query::requests().of_chosen_routes()
}

/// Selects log lines of requests that failed because of the service.
fn failed_requests() -> Lines {
    lines(events::SERVER_REQUEST).at_least(Level::Error).of_chosen_routes()
}

/// Selects spans of requests of the chosen routes.
fn request_spans() -> Spans {
    spans().of_requests().of_chosen_routes()
}

fn rate_now() -> Panel {
    Panel::stat(1, "Requests", "How many came in on average over the dashboard's range.")
        .width(6)
        .unit(Unit::RequestsPerSecond)
        .color(Color::Blue)
        .with_graph()
        .when_nothing("0")
        .ask(Target::named("requests", &requests().count().rate(RATE).sum()))
}

fn availability() -> Panel {
    let failed = requests().is_one_of(RequestFailure::OURS).count().increase(RANGE).sum();
    Panel::stat(
        2,
        "Answered without a fault of ours",
        "The share of requests in the dashboard's range that did not fail because of us. \"Errors\" below says why the \
         others did.",
    )
    .width(6)
    .unit(Unit::Share)
    .decimals(3)
    .thresholds(Color::Red, &[(AVAILABILITY_OBJECTIVE, Color::Green)])
    .when_nothing("No requests")
    .ask(Target::instant_named("answered", &failed.share_of(requests().served().count().increase(RANGE).sum()).rest()))
}

fn percentiles_now() -> Panel {
    let panel = Panel::stat(3, "Latency", "Over the dashboard's range. Until the response headers are sent.")
        .width(8)
        .unit(Unit::Seconds)
        .thresholds(
            Color::Green,
            &[(SLOW_REQUEST.seconds() / 2.0, Color::Orange), (SLOW_REQUEST.seconds(), Color::Red)],
        )
        .when_nothing("No requests");
    PERCENTILES.iter().fold(panel, |panel, (q, name)| {
        panel.ask(Target::instant_named(name, &requests().timed().quantile(*q, RANGE)))
    })
}

fn active_now() -> Panel {
    Panel::stat(
        4,
        "Being answered",
        "Requests in flight now. A number that only rises: something that they wait for does not answer; see the pool \
         on Background and dependencies.",
    )
    .width(4)
    .unit(Unit::Count)
    .thresholds(Color::Blue, &[(100.0, Color::Orange)])
    .with_graph()
    .when_nothing("0")
    .ask(Target::named("in flight", &select(&HTTP_SERVER_ACTIVE_REQUESTS).now().sum()))
}

fn by_status() -> Panel {
    Panel::time_series(
        5,
        "Requests by status",
        "4xx are the callers' mistakes: many at once usually come from one broken client. The line without a status \
         are clients that went away before the answer.",
    )
    .width(6)
    .unit(Unit::RequestsPerSecond)
    .stacked()
    .except(Override::class_of_status("2", Color::Green))
    .except(Override::class_of_status("3", Color::Blue))
    .except(Override::class_of_status("4", Color::Yellow))
    .except(Override::class_of_status("5", Color::Red))
    .ask(Target::series(&requests().count().rate(RATE).sum_by::<ResponseStatus, _>().above(0.0).or_none()))
    .ask(Target::named("no such route", &unmatched_requests().count().rate(RATE).sum()))
}

fn failing() -> Panel {
    let failed = requests().is_one_of(RequestFailure::OURS).count().rate(RATE).sum();
    Panel::time_series(
        6,
        "Share of requests that fail because of us",
        "Above the line: look which error type it is under \"Errors\", and open a trace of it at the bottom.",
    )
    .width(6)
    .unit(Unit::Share)
    .thresholds(Color::Green, &[(ERROR_SHARE, Color::Red)])
    .at_least_to(2.0 * ERROR_SHARE)
    .color(Color::Red)
    .ask(Target::named("failed", &failed.share_of(requests().served().count().rate(RATE).sum()).or_zero()))
}

fn latency() -> Panel {
    let panel = Panel::time_series(
        7,
        "Latency",
        "When only p99 rises, single routes or single requests are slow: see the table and the traces. When all rise \
         together, look at Postgres and at the CPU of the processes.",
    )
    .width(6)
    .unit(Unit::Seconds)
    .thresholds(Color::Green, &[(SLOW_REQUEST.seconds(), Color::Red)]);
    percentiles_of(requests, panel)
}

type Endpoint = Both<Route, RequestMethod>;

fn endpoints() -> Panel {
    let used = || -> Vector<Endpoint> { requests().count().increase(RANGE).sum_by_both().above(0.0) };
    let failed: Vector<Endpoint> =
        requests().is_one_of(RequestFailure::OURS).count().increase(RANGE).sum_by_both();
    let seconds: Vector<Endpoint> = requests().seconds().increase(RANGE).sum_by_both();
    let percentile = |q: f64| -> Vector<Endpoint> { requests().quantile_by_both(q, RANGE).and(used()) };
    let route = "${__data.fields.Route}";
    Panel::table(
        21,
        "Endpoints",
        "All endpoints that were used in the dashboard's range. Click a route for its slow traces, its failed traces, \
         or its failed lines. \"Time spent\" is how many seconds all its requests took together: what pays to make \
         faster.",
    )
    .width(24)
    .ask(Target::table(&used()))
    .ask(Target::table(&failed.share_of(used())))
    .ask(Target::table(&percentile(0.5)))
    .ask(Target::table(&percentile(0.95)))
    .ask(Target::table(&percentile(0.99)))
    .ask(Target::table(&seconds.and(used())))
    .transform(Transformation::Merge {})
    .transform(Transformation::columns(&[
        ("http_request_method", "Method"),
        ("http_route", "Route"),
        ("Value #A", "Requests"),
        ("Value #B", "Failed"),
        ("Value #C", "p50"),
        ("Value #D", "p95"),
        ("Value #E", "p99"),
        ("Value #F", "Time spent"),
    ]))
    .sorted_by("p95")
    .except(Override::field("Method", vec![Property::Width(90)]))
    .except(Override::field(
        "Route",
        vec![Property::Links(vec![
            explore_traces(
                "Slow traces",
                &spans().of_requests().is_variable::<Route>(route).longer_than(SLOW_MILLISECONDS),
            ),
            explore_traces("Failed traces", &spans().of_requests().is_variable::<Route>(route).failed()),
            explore_traces("All traces", &spans().of_requests().is_variable::<Route>(route)),
            explore_logs(
                "Lines of failures",
                &lines(events::SERVER_REQUEST).at_least(Level::Error).is_variable(Field::label::<Route>(), route),
            ),
        ])],
    ))
    .except(Override::field(
        "Requests",
        vec![Property::Unit(Unit::Plain), Property::Decimals(0), Property::Width(130)],
    ))
    .except(Override::field(
        "Failed",
        vec![
            Property::Unit(Unit::Share),
            Property::Decimals(2),
            Property::Width(130),
            Property::Cell(Cell::Colored),
            Property::Thresholds(vec![(0.0001, Color::Orange), (0.01, Color::Red)]),
        ],
    ))
    .except(duration_column("p50"))
    .except(duration_column("p95"))
    .except(duration_column("p99"))
    .except(Override::field(
        "Time spent",
        vec![
            Property::Unit(Unit::Seconds),
            Property::Width(240),
            Property::Cell(Cell::Bar),
            Property::Color(Color::Blue),
        ],
    ))
}

fn duration_column(name: &str) -> Override {
    Override::field(
        name,
        vec![
            Property::Unit(Unit::Seconds),
            Property::Width(130),
            Property::Cell(Cell::Colored),
            Property::Thresholds(vec![
                (SLOW_REQUEST.seconds() / 2.0, Color::Orange),
                (SLOW_REQUEST.seconds(), Color::Red),
            ]),
        ],
    )
}

fn busiest() -> Panel {
    let rate = || requests().count().rate(RATE).sum_by::<Route, _>();
    let busiest = requests().count().at_end().increase(RANGE).sum_by::<Route, _>().largest(ROUTES_DRAWN);
    Panel::time_series(22, "Busiest routes", "The routes with the most requests in the dashboard's range.")
        .width(12)
        .unit(Unit::RequestsPerSecond)
        .ask(Target::series(&rate().and(busiest)))
}

fn slowest() -> Panel {
    let percentile = || requests().quantile_by::<Route, _>(0.95, RATE);
    let slowest = requests()
        .at_end()
        .quantile_by::<Route, _>(0.95, RANGE)
        .and(requests().at_end().count().increase(RANGE).sum_by::<Route, _>().above(0.0))
        .largest(ROUTES_DRAWN);
    Panel::time_series(
        23,
        "Slowest routes, p95",
        "The routes that were slowest in the dashboard's range. Routes that hash passwords or send files are slow by \
         nature: compare with yesterday.",
    )
    .width(12)
    .unit(Unit::Seconds)
    .ask(Target::series(&percentile().and(slowest)))
}

fn failing_routes() -> Panel {
    let failures = || requests().is_one_of(RequestFailure::OURS).count();
    let most = failures().at_end().increase(RANGE).sum_by::<Route, _>().above(0.0).largest(ROUTES_DRAWN);
    Panel::time_series(
        24,
        "Failing routes",
        "Requests that failed because of us, of the routes with the most of them.",
    )
    .width(12)
    .unit(Unit::Plain)
    .decimals(0)
    .stacked_bars()
    .ask(Target::series(&failures().per_bar().sum_by::<Route, _>().above(0.0).and(most).or_none()))
}

fn by_code() -> Panel {
    Panel::bars(
        31,
        "Error answers by code",
        "Answers in the dashboard's range, by the stable code that clients see. `internal`, `unavailable` and \
         `timeout` are ours; `rate_limited` and `invalid_credentials` in numbers may be an attack.",
    )
    .width(8)
    .unit(Unit::Plain)
    .decimals(0)
    .color(Color::Orange)
    .when_nothing("0")
    .value_link(explore_logs(
        "Lines",
        &lines(events::SERVER_REQUEST)
            .is_variable(Field::key(&keys::ERROR_CODE), &value_of_series::<ErrorCode>()),
    ))
    .ask(Target::instant(&select(&API_ERRORS).increase(RANGE).sum_by::<ErrorCode, _>().largest(10)))
}

fn server_errors() -> Panel {
    Panel::time_series(
        32,
        "Failures by error type",
        "`unavailable`: a dependency is down. `timeout`: something is slow. `internal` and `panic`: a defect; take a \
         line from the bottom and report it. `cancelled`: clients that went away, often because it took too long.",
    )
    .value_link(explore_traces(
        "Traces",
        &spans().of_requests().is_variable::<RequestFailure>(&value_of_series::<RequestFailure>()),
    ))
    .width(8)
    .unit(Unit::Plain)
    .decimals(0)
    .stacked_bars()
    .ask(Target::series(
        &requests()
            .is_one_of(<RequestFailure as signal::ClosedSet>::ALL)
            .count()
            .per_bar()
            .sum_by::<RequestFailure, _>(),
    ))
}

fn authentication() -> Panel {
    Panel::time_series(
        33,
        "Authentication failures by reason",
        "`invalid_credentials` and `rate_limited` together: somebody guesses passwords. `invalid_token` after a \
         restart: the server secret has changed. `reused_refresh_token`: a session may have been stolen; it was ended.",
    )
    .width(8)
    .unit(Unit::Plain)
    .decimals(0)
    .stacked_bars()
    .ask(Target::series(&select(&AUTH_FAILURES).per_bar().sum_by::<AuthFailureReason, _>().above(0.0).or_none()))
}

fn distribution() -> Panel {
    Panel::heatmap(
        34,
        "How durations are distributed",
        "Two separate bands mean two kinds of requests; one that moves up means that everything became slower.",
    )
    .width(12)
    .ask(Target::heatmap(&requests().timed().distribution(RATE)))
}

fn database() -> Panel {
    let failed = select(&DB_CLIENT_OPERATION_DURATION).failed_unexpectedly().count().rate(RATE).sum();
    let panel = Panel::time_series(
        35,
        "Database operations",
        "How long statements take, and how many fail. When requests are slow and these are not, the time goes \
         elsewhere: open a trace.",
    )
    .width(6)
    .unit(Unit::Seconds)
    .except(Override::line_on_the_right("failures", Unit::PerSecond));
    let panel = PERCENTILES.iter().fold(panel, |panel, (q, name)| {
        panel.ask(Target::named(name, &select(&DB_CLIENT_OPERATION_DURATION).quantile(*q, RATE)))
    });
    panel.ask(Target::named("failures", &failed.or_zero()))
}

/// Returns the burn rate: the share of `bad` requests in a window, divided by the share that the
/// objective allows.
fn burn(bad: &Recording<Total>, all: &Recording<Total>, objective: f64, window: Duration) -> Vector<Total> {
    // Rounded, because of binary fractions.
    let times = (1.0 / (1.0 - objective)).round();
    bad.average(window).share_of(all.average(window)).times(times)
}

fn budget_left() -> Panel {
    const FOUR_WEEKS: Duration = Duration::from_hours(28 * 24);
    Panel::stat(
        51,
        "Budget left, 28 days",
        "How much of what the objectives allow in 28 days is left: 0.5 % of requests may fail, 1 % may take longer \
         than a second. Below zero the objective is broken: postpone what is risky. Of all routes, environments and \
         processes.",
    )
    .width(6)
    .unit(Unit::Share)
    .decimals(0)
    .thresholds(Color::Red, &[(0.0, Color::Orange), (0.25, Color::Green)])
    .when_nothing("No requests")
    .ask(Target::instant_named(
        "availability",
        &burn(&FAILED_REQUESTS, &REQUESTS, AVAILABILITY_OBJECTIVE, FOUR_WEEKS).rest(),
    ))
    .ask(Target::instant_named(
        "latency",
        &burn(&SLOW_REQUESTS, &TIMED_REQUESTS, LATENCY_OBJECTIVE, FOUR_WEEKS).rest(),
    ))
}

/// Windows of the alerts on objectives, with their names.
const BURN_WINDOWS: [(Duration, &str); 4] = [
    (Duration::from_hours(1), "1 h"),
    (Duration::from_hours(6), "6 h"),
    (Duration::from_hours(24), "1 d"),
    (Duration::from_hours(72), "3 d"),
];

fn burn_rates(id: u16, title: &'static str, description: &'static str) -> Panel {
    // At a burn rate of 1 the budget lasts exactly 28 days.
    Panel::time_series(id, title, description)
        .width(9)
        .unit(Unit::Plain)
        .decimals(1)
        .thresholds(Color::Green, &[(1.0, Color::Orange), (14.4, Color::Red)])
        .at_least_to(2.0)
        .interval(Period::Minutes(1))
        .when_nothing("No requests")
}

fn burn_rate() -> Panel {
    let panel = burn_rates(
        52,
        "How fast the budget for failures burns",
        "At 1 it lasts for exactly 28 days; at 14.4 for two, which wakes somebody. A short window that is high while \
         the long one is not: it has just begun.",
    );
    BURN_WINDOWS.iter().fold(panel, |panel, (window, name)| {
        panel.ask(Target::named(name, &burn(&FAILED_REQUESTS, &REQUESTS, AVAILABILITY_OBJECTIVE, *window)))
    })
}

fn slow_burn_rate() -> Panel {
    let panel = burn_rates(
        53,
        "How fast the budget for slow requests burns",
        "The same for requests that take longer than a second. Slow ones never wake anybody: look which routes are \
         slow, below.",
    );
    BURN_WINDOWS.iter().fold(panel, |panel, (window, name)| {
        panel.ask(Target::named(name, &burn(&SLOW_REQUESTS, &TIMED_REQUESTS, LATENCY_OBJECTIVE, *window)))
    })
}

/// Maximum number of customers in the table.
const CUSTOMERS_LISTED: u8 = 10;

fn affected() -> Panel {
    let number = |field| failed_requests().number_affected(field);
    Panel::stat(
        61,
        "Affected",
        "How many organizations and users had a request that failed because of us, in the dashboard's range. One: look \
         at what they have; many: it is ours.",
    )
    .width(6)
    .unit(Unit::Plain)
    .decimals(0)
    .thresholds(Color::Green, &[(1.0, Color::Orange)])
    .when_nothing("0")
    .ask(Target::line_counts(number(Field::key(&keys::ORGANIZATION_ID)), "organizations"))
    .ask(Target::line_counts(number(Field::key(&keys::USER_ID)), "users"))
}

fn customers(id: u16, title: &'static str, description: &'static str, field: Field) -> Panel {
    let legend = format!("{{{{{}}}}}", field.metadata());
    let lines_of_one =
        failed_requests().is_variable(field, &format!("${{__field.labels.{}}}", field.metadata()));
    Panel::bars(id, title, description)
        .width(9)
        .unit(Unit::Plain)
        .decimals(0)
        .color(Color::Red)
        .when_nothing("Nobody")
        .value_link(explore_logs("Its lines", &lines_of_one))
        .ask(Target::line_counts(failed_requests().most_affected(field, CUSTOMERS_LISTED), &legend))
}

fn organizations() -> Panel {
    customers(
        62,
        "Organizations with most failed requests",
        "By id, counted in the log lines of the dashboard's range. Requests that failed before the organization was \
         known are not in it.",
        Field::key(&keys::ORGANIZATION_ID),
    )
}

fn users() -> Panel {
    customers(
        63,
        "Users with most failed requests",
        "By id, counted in the log lines of the dashboard's range. `select email from users where id = …` says whom to \
         write to.",
        Field::key(&keys::USER_ID),
    )
}

fn failed_traces() -> Panel {
    Panel::table(
        41,
        "Traces of failed requests",
        "The newest ones in the dashboard's range; a trace appears half a minute after its request. Open one to see \
         which operation failed.",
    )
    .width(12)
    .when_nothing("No request failed")
    .ask(Target::traces(&request_spans().failed()))
}

fn slow_traces() -> Panel {
    Panel::table(
        42,
        "Traces of slow requests",
        "Requests that took more than half a second. Open one to see where the time went.",
    )
    .width(12)
    .when_nothing("No request was slow")
    .ask(Target::traces(&request_spans().longer_than(SLOW_MILLISECONDS)))
}

fn causes() -> Panel {
    Panel::bars(
        43,
        "Causes of failed requests",
        "The precise failure behind an error type, counted in the log lines of the dashboard's range.",
    )
    .width(6)
    .unit(Unit::Plain)
    .decimals(0)
    .color(Color::Red)
    .when_nothing("No request failed")
    .ask(Target::line_counts(failed_requests().count_by(Field::ERROR_CAUSE), "{{error_cause}}"))
}

fn failed_lines() -> Panel {
    let fields = [
        Field::label::<RequestMethod>(),
        Field::label::<Route>(),
        Field::STATUS,
        Field::key(&keys::ERROR_CODE),
        Field::ERROR_CAUSE,
        Field::CODE_LOCATION,
        Field::DURATION,
    ];
    Panel::logs(
        44,
        "Lines of failed requests",
        "Method, route, status, code, cause, place in the source, milliseconds. Open a line for its ids and for the \
         link to its trace.",
    )
    .width(18)
    .when_nothing("No request failed")
    .ask(Target::lines(&failed_requests().showing(&fields)))
}
