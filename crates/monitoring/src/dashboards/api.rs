//! Which requests fail or are slow, and why: rate, errors and durations by route, and the way to traces and lines.

use domain::catalogue::{API_ERRORS, AUTH_FAILURES, DB_CLIENT_OPERATION_DURATION};
use domain::labels::{AuthFailureReason, ErrorCode};
use domain::signals::keys;
use telemetry::builtin::HTTP_SERVER_ACTIVE_REQUESTS;
use telemetry::log::Level;
use telemetry::{DatabaseOutcome, events};

use super::{PERCENTILES, RANGE, RATE, percentiles_of_requests};
use crate::grafana::{
    Band, Cell, Color, Dashboard, Override, Panel, Property, Target, Transformation, Unit, explore_logs,
    explore_traces, value_of_series,
};
use crate::query::{
    Both, Field, RequestFailure, RequestMethod, ResponseStatus, Route, Vector, lines, requests, select, spans,
};
use crate::rules::DashboardUid;
use crate::rules::thresholds::{AVAILABILITY_OBJECTIVE, ERROR_SHARE, SLOW_REQUEST};

/// A request that takes longer is worth a look.
const SLOW_MILLISECONDS: u64 = 500;
/// How many routes are drawn beside one another.
const ROUTES_DRAWN: u8 = 6;

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: DashboardUid::Api,
        title: "Socialize: API",
        description: "Which requests fail or are slow, where, and why?",
        from: "now-3h",
        choose_instances: false,
        bands: vec![
            Band::Panels(4, vec![rate_now(), availability(), percentiles_now(), active_now()]),
            Band::Panels(8, vec![by_status(), failing(), latency(), database()]),
            Band::Title(20, "By endpoint"),
            Band::Panels(11, vec![endpoints()]),
            Band::Panels(8, vec![busiest(), slowest()]),
            Band::Title(30, "Errors"),
            Band::Panels(8, vec![by_code(), server_errors(), authentication()]),
            Band::Panels(8, vec![failing_routes(), distribution()]),
            Band::Title(40, "Single requests"),
            Band::Panels(9, vec![failed_traces(), slow_traces()]),
            Band::Panels(9, vec![causes(), failed_lines()]),
        ],
    }
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
        "The share of requests in the dashboard's range that did not fail because of us. \"Errors\" below says why the others did.",
    )
    .width(6)
    .unit(Unit::Share)
    .decimals(3)
    .thresholds(Color::Red, &[(AVAILABILITY_OBJECTIVE, Color::Green)])
    .when_nothing("No requests")
    .ask(Target::instant_named("answered", &failed.share_of(requests().count().increase(RANGE).sum()).rest()))
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
        panel.ask(Target::instant_named(name, &requests().quantile(*q, RANGE)))
    })
}

fn active_now() -> Panel {
    Panel::stat(
        4,
        "Being answered",
        "Requests in flight now. A number that only rises: something that they wait for does not answer; see the pool on Background and \
         dependencies.",
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
        "4xx are the callers' mistakes: many at once usually come from one broken client. The line without a status are clients that \
         went away before the answer.",
    )
    .width(6)
    .unit(Unit::RequestsPerSecond)
    .stacked()
    .ask(Target::series(&requests().count().rate(RATE).sum_by::<ResponseStatus, _>().above(0.0).or_none()))
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
    .ask(Target::named("failed", &failed.share_of(requests().count().rate(RATE).sum()).or_zero()))
}

fn latency() -> Panel {
    let panel = Panel::time_series(
        7,
        "Latency",
        "When only p99 rises, single routes or single requests are slow: see the table and the traces. When all rise together, look at \
         Postgres and at the CPU of the processes.",
    )
    .width(6)
    .unit(Unit::Seconds)
    .thresholds(Color::Green, &[(SLOW_REQUEST.seconds(), Color::Red)]);
    percentiles_of_requests(panel)
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
        "All endpoints that were used in the dashboard's range. Click a route for its slow traces, its failed traces, or its failed lines. \
         \"Time spent\" is how many seconds all its requests took together: what pays to make faster.",
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
            explore_traces("Slow traces", &spans().of_requests().is_variable::<Route>(route).longer_than(SLOW_MILLISECONDS)),
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
        "The routes that were slowest in the dashboard's range. Routes that hash passwords or send files are slow by nature: compare with \
         yesterday.",
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
        "Answers in the dashboard's range, by the stable code that clients see. `internal`, `unavailable` and `timeout` are ours; \
         `rate_limited` and `invalid_credentials` in numbers may be an attack.",
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
        "`unavailable`: a dependency is down. `timeout`: something is slow. `internal` and `panic`: a defect; take a line from the bottom \
         and report it. `cancelled`: clients that went away, often because it took too long.",
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
            .is_one_of(<RequestFailure as telemetry::ClosedSet>::ALL)
            .count()
            .per_bar()
            .sum_by::<RequestFailure, _>(),
    ))
}

fn authentication() -> Panel {
    Panel::time_series(
        33,
        "Authentication failures by reason",
        "`invalid_credentials` and `rate_limited` together: somebody guesses passwords. `invalid_token` after a restart: the server secret \
         has changed. `reused_refresh_token`: a session may have been stolen; it was ended.",
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
    .ask(Target::heatmap(&requests().buckets(RATE)))
}

fn database() -> Panel {
    let failures = [DatabaseOutcome::Unavailable, DatabaseOutcome::Timeout, DatabaseOutcome::Other];
    let failed = select(&DB_CLIENT_OPERATION_DURATION).is_one_of(&failures).count().rate(RATE).sum();
    let panel = Panel::time_series(
        35,
        "Database operations",
        "How long statements take, and how many fail. When requests are slow and these are not, the time goes elsewhere: open a trace.",
    )
    .width(6)
    .unit(Unit::Seconds)
    .except(Override::line_on_the_right("failures", Unit::PerSecond));
    let panel = PERCENTILES.iter().fold(panel, |panel, (q, name)| {
        panel.ask(Target::named(name, &select(&DB_CLIENT_OPERATION_DURATION).quantile(*q, RATE)))
    });
    panel.ask(Target::named("failures", &failed))
}

fn failed_traces() -> Panel {
    Panel::table(
        41,
        "Traces of failed requests",
        "The newest ones in the dashboard's range; a trace appears half a minute after its request. Open one to see which operation failed.",
    )
    .width(12)
    .when_nothing("No request failed")
    .ask(Target::traces(&spans().of_requests().failed()))
}

fn slow_traces() -> Panel {
    Panel::table(
        42,
        "Traces of slow requests",
        "Requests that took more than half a second. Open one to see where the time went.",
    )
    .width(12)
    .when_nothing("No request was slow")
    .ask(Target::traces(&spans().of_requests().longer_than(SLOW_MILLISECONDS)))
}

fn causes() -> Panel {
    let failed = lines(events::SERVER_REQUEST).at_least(Level::Error);
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
    .ask(Target::line_counts(failed.count_by(Field::ERROR_CAUSE), "{{error_cause}}"))
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
        "Method, route, status, code, cause, place in the source, milliseconds. Open a line for its ids and for the link to its trace.",
    )
    .width(18)
    .when_nothing("No request failed")
    .ask(Target::lines(&lines(events::SERVER_REQUEST).at_least(Level::Error).showing(&fields)))
}
