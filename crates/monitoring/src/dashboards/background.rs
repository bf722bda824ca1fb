//! Progress of background work, and availability of dependencies.
//!
//! Long because a dashboard is a list of panels.

use catalogue::database_operation::DatabaseOperation;
use catalogue::events::{EMAIL_DELIVERY, JOB_RUN};
use catalogue::keys;
use catalogue::labels::{
    BlobOperation, BlobOutcome, ConnectionState, Dependency, EmailOutcome, EmailTemplate, JobKind, Loop,
    Peer, PublishingOutcome,
};
use catalogue::metrics::{
    BLOB_OPERATION_DURATION, DB_CLIENT_CONNECTION_COUNT, DB_CLIENT_CONNECTION_MAX,
    DB_CLIENT_CONNECTION_PENDING, DB_CLIENT_CONNECTION_TIMEOUTS, DB_CLIENT_CONNECTION_WAIT_TIME,
    DB_CLIENT_OPERATION_DURATION, DEPENDENCY_UP, EMAIL_DELIVERIES, EMAILS_WITHHELD, JOB_LAST_SUCCESS,
    JOB_QUEUE_DEAD, JOB_QUEUE_DEPTH, JOB_QUEUE_OLDEST_AGE, JOB_RUN_DURATION, LOOP_FAILURES,
    LOOP_LAST_SUCCESS, PUBLISHING_DELIVERIES,
};
use signal::{ErrorType, JobOutcome, Level, events};

use super::parts::{PERCENTILES, RANGE, RATE};
use crate::grafana::{
    Band, Choice, Color, Dashboard, Mapping, Override, Panel, Period, Target, Unit, explore_logs,
    explore_traces, value_of_series,
};
use crate::query::{CallFailure, Field, ResponseStatus, all_lines, calls, lines, select, spans};
use crate::rules::DashboardUid;
use crate::rules::thresholds::{DATABASE_P95_SECONDS, LOOP_AGE, QUEUE_AGE};

/// Maximum number of database operations in one chart.
const OPERATIONS_DRAWN: u8 = 8;

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: DashboardUid::Background,
        title: "Socialize: Background and dependencies",
        description: "Does background work get done, and do the others answer that we depend on?",
        range: Period::Hours(3),
        refresh: Some(Period::Seconds(30)),
        choices: Choice::PROCESSES,
        bands: vec![
            Band::Panels(5, vec![dependencies(), late(), dead(), loops_now()]),
            Band::Title(10, "Jobs"),
            Band::Panels(8, vec![runs(), failures(), durations()]),
            Band::Panels(8, vec![depth(), age(), last_success()]),
            Band::Title(20, "Loops"),
            Band::Panels(7, vec![loop_age(), loop_failures()]),
            Band::Title(30, "Others"),
            Band::Panels(8, vec![emails(), emails_refused(), publishing()]),
            Band::Panels(8, vec![calls_by_class(), blobs(), blob_latency()]),
            Band::Title(40, "Postgres, as the application sees it"),
            Band::Panels(8, vec![pool(), waiting(), operation_latency()]),
            Band::Panels(9, vec![busiest_operations(), slowest_operations(), operation_failures()]),
            Band::Title(50, "Single runs"),
            Band::Panels(9, vec![traces(), lines_of_trouble()]),
        ],
    }
}

fn dependencies() -> Panel {
    Panel::state_timeline(
        1,
        "Dependencies",
        "When each answered its check. What was asked of it in a red stretch failed or waits; e-mails and jobs go on \
         by themselves.",
    )
    .width(10)
    .mapping(Mapping::values(&[("0", "down", Color::Red), ("1", "up", Color::Green)]))
    .thresholds(Color::Red, &[(1.0, Color::Green)])
    .ask(Target::series(&select(&DEPENDENCY_UP).now().min_by::<Dependency, _>()))
}

fn late() -> Panel {
    Panel::stat(
        2,
        "Oldest job is late",
        "How long the job that is longest due has been waiting. Above a minute: workers are too few, blocked or gone; \
         see \"How late\" for the kind of job.",
    )
    .width(4)
    .unit(Unit::Seconds)
    .decimals(0)
    .thresholds(Color::Green, &[(60.0, Color::Orange), (QUEUE_AGE.as_secs_f64(), Color::Red)])
    .with_graph()
    .when_nothing("Not sampled")
    .ask(Target::named("late", &select(&JOB_QUEUE_OLDEST_AGE).now().max()))
}

fn dead() -> Panel {
    Panel::stat(
        3,
        "Dead jobs",
        "Jobs that were given up and wait for you: `socialize dead-letters list`, repair the cause, then retry or \
         discard them.",
    )
    .width(4)
    .unit(Unit::Count)
    .thresholds(Color::Green, &[(1.0, Color::Red)])
    .with_graph()
    .when_nothing("Not sampled")
    .ask(Target::named("dead", &select(&JOB_QUEUE_DEAD).now().max_by::<JobKind, _>().total()))
}

fn loops_now() -> Panel {
    Panel::bars(
        4,
        "Since the last turn of each loop",
        "A loop that stands still does none of its work. Above a minute: restart the worker, and report the lines \
         below.",
    )
    .width(6)
    .unit(Unit::Seconds)
    .decimals(0)
    .up_to(LOOP_AGE.as_secs_f64())
    .thresholds(Color::Green, &[(60.0, Color::Orange), (LOOP_AGE.as_secs_f64(), Color::Red)])
    .when_nothing("No worker")
    .ask(Target::instant(&select(&LOOP_LAST_SUCCESS).now().max_by::<Loop, _>().age()))
}

fn runs() -> Panel {
    Panel::time_series(
        11,
        "Runs by kind",
        "How many jobs run. Periodic ones run at their times even when nobody uses the service; none at all means that \
         no worker works.",
    )
    .width(8)
    .unit(Unit::Plain)
    .decimals(0)
    .stacked_bars()
    .interval(Period::Minutes(1))
    .ask(Target::series(&select(&JOB_RUN_DURATION).count().per_bar().sum_by::<JobKind, _>()))
}

fn failures() -> Panel {
    let failed = [JobOutcome::Retry, JobOutcome::Dead, JobOutcome::LostLease];
    Panel::time_series(
        12,
        "Runs that failed, by kind and outcome",
        "`retry` is tried again later; `dead` waits for you; `lost_lease` took longer than it may or its process \
         froze. The lines at the bottom have the cause.",
    )
    .value_link(explore_logs(
        "Lines",
        &lines(JOB_RUN).is_variable(Field::label::<JobKind>(), &value_of_series::<JobKind>()),
    ))
    .value_link(explore_traces(
        "Traces",
        &spans().of_jobs().failed().is_variable::<JobKind>(&value_of_series::<JobKind>()),
    ))
    .width(8)
    .unit(Unit::Plain)
    .decimals(0)
    .stacked_bars()
    .interval(Period::Minutes(1))
    .ask(Target::series(
        &select(&JOB_RUN_DURATION)
            .is_one_of(&failed)
            .count()
            .per_bar()
            .sum_by_both::<JobKind, JobOutcome, _, _>()
            .above(0.0)
            .or_none(),
    ))
}

fn durations() -> Panel {
    Panel::time_series(
        13,
        "How long runs take, p95",
        "A kind that grows towards its time limit will soon fail: look at what it talks to.",
    )
    .width(8)
    .unit(Unit::Seconds)
    .ask(Target::series(&select(&JOB_RUN_DURATION).quantile_by::<JobKind, _>(0.95, RATE)))
}

fn depth() -> Panel {
    Panel::time_series(
        14,
        "Queue",
        "Jobs that wait for their time or for a worker. Jobs whose time has not come are in it, so a high number alone \
         is no trouble.",
    )
    .width(8)
    .unit(Unit::Plain)
    .decimals(0)
    .stacked()
    .ask(Target::series(&select(&JOB_QUEUE_DEPTH).now().max_by::<JobKind, _>()))
}

fn age() -> Panel {
    Panel::time_series(
        15,
        "How late",
        "How long the oldest due job of each kind has been waiting. One kind: what it talks to is slow. All: too few \
         workers, or none.",
    )
    .width(8)
    .unit(Unit::Seconds)
    .thresholds(Color::Green, &[(QUEUE_AGE.as_secs_f64(), Color::Red)])
    .ask(Target::series(&select(&JOB_QUEUE_OLDEST_AGE).now().max_by::<JobKind, _>()))
}

fn last_success() -> Panel {
    Panel::bars(
        16,
        "Since the last success of each kind",
        "Periodic kinds succeed at least every hour. The others only when there is something to do.",
    )
    .width(8)
    .unit(Unit::Age)
    .decimals(0)
    .color(Color::Blue)
    .when_nothing("No run yet")
    .ask(Target::instant(&select(&JOB_LAST_SUCCESS).now().max_by::<JobKind, _>().age()))
}

fn loop_age() -> Panel {
    Panel::time_series(
        21,
        "Since the last turn of each loop",
        "What each loop does and how often it turns: docs/ARCHITECTURE.md, \"Loops and background services\".",
    )
    .width(14)
    .unit(Unit::Seconds)
    .thresholds(Color::Green, &[(LOOP_AGE.as_secs_f64(), Color::Red)])
    .ask(Target::series(&select(&LOOP_LAST_SUCCESS).now().max_by::<Loop, _>().age()))
}

fn loop_failures() -> Panel {
    Panel::time_series(
        22,
        "Turns that failed",
        "The loop goes on after a pause. Failures of all loops at once: Postgres was away.",
    )
    .width(10)
    .unit(Unit::Plain)
    .decimals(0)
    .stacked_bars()
    .interval(Period::Minutes(1))
    .ask(Target::series(&select(&LOOP_FAILURES).per_bar().sum_by::<Loop, _>()))
}

fn emails() -> Panel {
    Panel::time_series(
        31,
        "E-mails",
        "Attempts to hand e-mails to the mail server. `deferred`: tried again. `rejected`: the recipient does not \
         exist or takes nothing, which is not ours to mend. `refused`: given up because of what we sent. `withheld`: \
         somebody caused more than the limits allow; the log says who.",
    )
    .width(8)
    .unit(Unit::Plain)
    .decimals(0)
    .stacked_bars()
    .interval(Period::Minutes(1))
    .except(Override::color("delivered", Color::Green))
    .except(Override::color("deferred", Color::Orange))
    .except(Override::color("rejected", Color::Blue))
    .except(Override::color("refused", Color::Red))
    .except(Override::color("withheld", Color::Purple))
    .ask(Target::series(&select(&EMAIL_DELIVERIES).per_bar().sum_by::<EmailOutcome, _>()))
    .ask(Target::named("withheld", &select(&EMAILS_WITHHELD).per_bar().sum()))
}

fn emails_refused() -> Panel {
    let failed = [EmailOutcome::Deferred, EmailOutcome::Refused];
    Panel::bars(
        32,
        "E-mails that failed, by template",
        "In the dashboard's range. All templates: it is the mail server. One: look at its text.",
    )
    .value_link(explore_logs(
        "Lines",
        &lines(EMAIL_DELIVERY)
            .is_variable(Field::label::<EmailTemplate>(), &value_of_series::<EmailTemplate>()),
    ))
    .width(8)
    .unit(Unit::Plain)
    .decimals(0)
    .thresholds(Color::Green, &[(0.5, Color::Orange)])
    .when_nothing("0")
    .ask(Target::instant(
        &select(&EMAIL_DELIVERIES).is_one_of(&failed).increase(RANGE).sum_by::<EmailTemplate, _>(),
    ))
}

fn publishing() -> Panel {
    Panel::time_series(
        33,
        "Publishing",
        "Attempts to deliver items to customers' endpoints, by what came of them.",
    )
    .width(8)
    .unit(Unit::Plain)
    .decimals(0)
    .stacked_bars()
    .interval(Period::Minutes(1))
    .except(Override::color("delivered", Color::Green))
    .except(Override::color("deferred", Color::Orange))
    .except(Override::color("failed", Color::Red))
    .ask(Target::series(&select(&PUBLISHING_DELIVERIES).per_bar().sum_by::<PublishingOutcome, _>()))
}

fn calls_by_class() -> Panel {
    Panel::time_series(
        34,
        "Calls to publishing endpoints",
        "By status and error type, with the p95 of their duration. `dns_failure` and `connection_refused` of all at \
         once: the way out of our network is closed.",
    )
    .width(8)
    .unit(Unit::Plain)
    .decimals(0)
    .stacked_bars()
    .interval(Period::Minutes(1))
    .except(Override::class_of_status("2", Color::Green))
    .except(Override::class_of_status("3", Color::Blue))
    .except(Override::class_of_status("4", Color::Yellow))
    .except(Override::class_of_status("5", Color::Red))
    .except(Override::line_on_the_right("p95 publishing_endpoint", Unit::Seconds))
    .ask(Target::series(
        &calls().count().per_bar().sum_by_both::<ResponseStatus, CallFailure, _, _>().above(0.0).or_none(),
    ))
    .ask(Target::named("p95 {{service_peer_name}}", &calls().quantile_by::<Peer, _>(0.95, RATE)))
}

fn blobs() -> Panel {
    Panel::time_series(
        35,
        "Blob store operations",
        "`denied`: the credentials are wrong. `not_found` and `corrupt`: a file is lost; restore it. `unavailable` and \
         `timeout`: the store or the way to it.",
    )
    .width(8)
    .unit(Unit::Plain)
    .decimals(0)
    .stacked_bars()
    .interval(Period::Minutes(1))
    .except(Override::color("ok", Color::Green))
    .ask(Target::series(
        &select(&BLOB_OPERATION_DURATION)
            .count()
            .per_bar()
            .sum_by::<BlobOutcome, _>()
            .above(0.0)
            .or_none(),
    ))
}

fn blob_latency() -> Panel {
    Panel::time_series(
        36,
        "Blob store, p95",
        "How long each operation takes. Reading lasts as long as its client takes, so that one says nothing about the \
         store.",
    )
    .width(8)
    .unit(Unit::Seconds)
    .ask(Target::series(
        &select(&BLOB_OPERATION_DURATION)
            .is_not(BlobOperation::Read)
            .quantile_by::<BlobOperation, _>(0.95, RATE),
    ))
}

fn pool() -> Panel {
    let connections = |state| select(&DB_CLIENT_CONNECTION_COUNT).is(state).now().sum();
    Panel::time_series(
        41,
        "Connections of the pools",
        "All processes together. When `used` reaches the limit, operations wait: find the slow ones, or raise the \
         limit and that of Postgres.",
    )
    .width(8)
    .unit(Unit::Plain)
    .decimals(0)
    .except(Override::limit("limit"))
    .ask(Target::named("used", &connections(ConnectionState::Used)))
    .ask(Target::named("idle", &connections(ConnectionState::Idle)))
    .ask(Target::named("limit", &select(&DB_CLIENT_CONNECTION_MAX).now().sum()))
}

fn waiting() -> Panel {
    let wait = select(&DB_CLIENT_CONNECTION_WAIT_TIME).quantile(0.95, RATE);
    Panel::time_series(
        42,
        "Waiting for a connection",
        "Operations that wait now and that got none in time. Any of them are felt by users.",
    )
    .width(8)
    .unit(Unit::Plain)
    .decimals(0)
    .interval(Period::Minutes(1))
    .except(Override::color("got none in time", Color::Red))
    .except(Override::line_on_the_right("wait, p95", Unit::Seconds))
    .ask(Target::named("waiting", &select(&DB_CLIENT_CONNECTION_PENDING).now().sum()))
    .ask(Target::named("got none in time", &select(&DB_CLIENT_CONNECTION_TIMEOUTS).per_bar().sum()))
    .ask(Target::named("wait, p95", &wait))
}

fn operation_latency() -> Panel {
    let panel = Panel::time_series(
        43,
        "Operations",
        "How long database operations take. All slow: Postgres, its disk or its CPU. Only p99: single statements, see \
         below.",
    )
    .width(8)
    .unit(Unit::Seconds);
    PERCENTILES.iter().fold(panel, |panel, (q, name)| {
        panel.ask(Target::named(name, &select(&DB_CLIENT_OPERATION_DURATION).quantile(*q, RATE)))
    })
}

fn busiest_operations() -> Panel {
    let seconds = || select(&DB_CLIENT_OPERATION_DURATION).seconds();
    let busiest =
        seconds().at_end().increase(RANGE).sum_by::<DatabaseOperation, _>().largest(OPERATIONS_DRAWN);
    Panel::time_series(
        44,
        "Time spent, by operation",
        "Seconds of database time per second, of the operations that took most in the dashboard's range: what pays to \
         make faster.",
    )
    .width(8)
    .unit(Unit::Seconds)
    .stacked()
    .ask(Target::series(&seconds().rate(RATE).sum_by::<DatabaseOperation, _>().and(busiest)))
}

fn slowest_operations() -> Panel {
    let operations = || select(&DB_CLIENT_OPERATION_DURATION);
    let used = operations().count().increase(RANGE).sum_by::<DatabaseOperation, _>().above(0.0);
    Panel::bars(
        45,
        "Slowest operations, p95",
        "Of those that ran in the dashboard's range. The name is found in the source; look at its plan with EXPLAIN \
         ANALYZE.",
    )
    .value_link(explore_traces(
        "Traces",
        &spans().is_variable::<DatabaseOperation>(&value_of_series::<DatabaseOperation>()),
    ))
    .width(8)
    .unit(Unit::Seconds)
    .thresholds(Color::Green, &[(0.1, Color::Orange), (DATABASE_P95_SECONDS, Color::Red)])
    .when_nothing("None ran")
    .ask(Target::instant(
        &operations().quantile_by::<DatabaseOperation, _>(0.95, RANGE).and(used).largest(OPERATIONS_DRAWN),
    ))
}

fn operation_failures() -> Panel {
    Panel::time_series(
        46,
        "Operations that failed",
        "By kind of error. `unique_violation`, `foreign_key_violation`, `serialization_failure` and `deadlock` are \
         normal: two users did the same. `cancelled`: the client went away. Everything else is a fault of ours or of \
         Postgres.",
    )
    .width(8)
    .unit(Unit::Plain)
    .decimals(0)
    .stacked_bars()
    .interval(Period::Minutes(1))
    .ask(Target::series(
        &select(&DB_CLIENT_OPERATION_DURATION)
            .failed()
            .count()
            .per_bar()
            .sum_by::<ErrorType, _>()
            .above(0.0)
            .or_none(),
    ))
}

fn traces() -> Panel {
    Panel::table(
        51,
        "Traces of failed runs",
        "Open one to see which call failed; its link leads to the request that asked for the job.",
    )
    .width(10)
    .when_nothing("No run failed")
    .ask(Target::traces(&spans().of_jobs().failed()))
}

fn lines_of_trouble() -> Panel {
    let fields = [
        Field::label::<JobKind>(),
        Field::label::<EmailTemplate>(),
        Field::label::<Loop>(),
        Field::label::<DatabaseOperation>(),
        Field::label::<JobOutcome>(),
        Field::label::<CallFailure>(),
        Field::ERROR_CAUSE,
        Field::key(&keys::JOB_ID),
        Field::DURATION,
    ];
    Panel::logs(
        52,
        "Warnings and errors outside requests",
        "Jobs, e-mails, loops, calls, database operations: outcome, cause, milliseconds. Open a line for its trace.",
    )
    .width(14)
    .when_nothing("No warnings")
    .ask(Target::lines(&all_lines().not(events::SERVER_REQUEST).at_least(Level::Warn).showing(&fields)))
}
