//! Alerts about what users meet: requests that fail or take long, and Postgres behind them.

use std::time::Duration;

use domain::catalogue::{
    DB_CLIENT_CONNECTION_PENDING, DB_CLIENT_CONNECTION_TIMEOUTS, DB_CLIENT_OPERATION_DURATION, DEPENDENCY_UP,
};
use domain::database_operation::DatabaseOperation;
use domain::events;
use domain::labels::Dependency;
use telemetry::DatabaseOutcome;
use telemetry::builtin::{HTTP_SERVER_REQUEST_DURATION, PANICS, PROCESS_CPU_TIME};
use telemetry::events::{DEPENDENCY_DOWN, PANIC, SERVER_REQUEST};
use telemetry::log::Level;

use super::cases::{case, fires, fires_for, silent};
use super::rule_file::interval;
use super::thresholds::{
    AVAILABILITY_OBJECTIVE, BETWEEN_EVENTS, DATABASE_P95_SECONDS, ERROR_SHARE, FEWEST_ERRORS,
    FEWEST_OPERATIONS, FEWEST_REQUESTS, LATENCY_OBJECTIVE, LONG, LOW_TRAFFIC_ERRORS, LOW_TRAFFIC_REQUESTS,
    LOW_TRAFFIC_WINDOW, POOL_TIMEOUTS, SHORT, SLOW_REQUEST,
};
use super::{
    Alert, DashboardUid, FAILED_REQUESTS, Look, REQUESTS, Runbook, SLOW_REQUESTS, Series, Severity, metrics,
    shown,
};
use crate::query::{
    Bucket, Instance, Recording, RequestFailure, Route, Scale, Total, Vector, lines, requests, select, spans,
};

pub(super) fn alerts(scale: Scale) -> Vec<Alert> {
    vec![
        high_error_rate(scale),
        errors_at_low_traffic(scale),
        high_latency(scale),
        burning(scale, &AVAILABILITY, &FAST),
        burning(scale, &AVAILABILITY, &SLOW),
        burning(scale, &LATENCY, &FAST),
        burning(scale, &LATENCY, &SLOW),
        postgres_unreachable(scale),
        dependency_unreachable(scale),
        database_slow(scale),
        connection_pool_starved(scale),
        panicked(scale),
    ]
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

fn failing_lines() -> Look {
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

/// A promise about requests, of which a budget may be broken.
struct Objective {
    /// Its word in names of alerts.
    name: &'static str,
    what_failed: &'static str,
    promise: f64,
    bad: &'static Recording<Total>,
}

const AVAILABILITY: Objective = Objective {
    name: "Availability",
    what_failed: "fail",
    promise: AVAILABILITY_OBJECTIVE,
    bad: &FAILED_REQUESTS,
};

const LATENCY: Objective = Objective {
    name: "Latency",
    what_failed: "take longer than a second",
    promise: LATENCY_OBJECTIVE,
    bad: &SLOW_REQUESTS,
};

/// How fast a budget of 28 days may be used up, by the multi-window method of the SRE workbook: the long window says that it matters, the
/// short one that it has not stopped.
struct Burn {
    name: &'static str,
    severity: Severity,
    pairs: [(f64, Duration, Duration); 2],
    says: &'static str,
    escalate: &'static str,
}

const FAST: Burn = Burn {
    name: "Fast",
    severity: Severity::Critical,
    pairs: [
        (14.4, Duration::from_hours(1), Duration::from_mins(5)),
        (6.0, Duration::from_hours(6), Duration::from_mins(30)),
    ],
    says: "within days",
    escalate: "When the cause is not found within half an hour.",
};

const SLOW: Burn = Burn {
    name: "Slow",
    severity: Severity::Warning,
    pairs: [
        (3.0, Duration::from_hours(24), Duration::from_hours(2)),
        (1.0, Duration::from_hours(72), Duration::from_hours(6)),
    ],
    says: "before its four weeks are over",
    escalate: "Within the week: something is worse than it was and stays so.",
};

fn burning(scale: Scale, objective: &Objective, burn: &Burn) -> Alert {
    let bad = objective.bad;
    let share = |window: Duration| bad.average(window).share_of(REQUESTS.average(window));
    let budget = 1.0 - objective.promise;
    let condition = burn.pairs.iter().map(|(factor, long, short)| {
        let (long, short) = (scale.of(*long), scale.of(*short));
        // A share of fewer events than this says nothing.
        let enough = bad.total(long).times(interval(scale).as_secs_f64()).at_least(FEWEST_ERRORS);
        let limit = rounded(factor * budget);
        share(long).above(limit).and(share(short).above(limit)).and(enough)
    });
    let condition = condition.reduce(|one, other| one.or(other)).unwrap_or_else(Vector::always);
    let (name, summary) = match (objective.name, burn.name) {
        ("Availability", "Fast") => {
            ("AvailabilityBudgetBurningFast", "Failing requests use up the error budget within days.")
        }
        ("Availability", _) => ("AvailabilityBudgetBurningSlow", "Failing requests use up the error budget."),
        (_, "Fast") => ("LatencyBudgetBurningFast", "Slow requests use up the latency budget within days."),
        _ => ("LatencyBudgetBurningSlow", "Slow requests use up the latency budget."),
    };
    let is_latency = objective.name == "Latency";
    let traffic = |bad: u64, all: u64, minutes: u64| {
        let good = all - bad;
        if is_latency {
            vec![
                Series::requests(None, &format!("0+{all}x{minutes}")),
                Series::requests_within(Some(SLOW_REQUEST), &format!("0+{good}x{minutes}")),
            ]
        } else {
            vec![
                Series::requests(None, &format!("0+{good}x{minutes}")),
                Series::requests(Some(RequestFailure::Timeout), &format!("0+{bad}x{minutes}")),
                Series::requests_within(Some(SLOW_REQUEST), &format!("0+{all}x{minutes}")),
            ]
        }
    };
    let share_shown = if burn.name == "Fast" { "20%" } else { "4%" };
    let (burning_bad, steady_minutes) = if burn.name == "Fast" { (20, 90) } else { (4, 3 * 60) };
    Alert {
        name,
        severity: burn.severity,
        condition: condition.text().to_owned(),
        pending: scale.of(Duration::from_mins(2)),
        keep_firing: scale.of(LONG),
        summary: summary.to_owned(),
        description: format!(
            "{{{{ $value | humanizePercentage }}}} of requests {}. Going on like this breaks the objective of {}% {}.",
            objective.what_failed,
            rounded(objective.promise * 100.0),
            burn.says
        ),
        dashboard: DashboardUid::Overview,
        runbook: Runbook {
            meaning: if is_latency {
                "Ninety-nine of a hundred requests of four weeks should be answered within a second. The share that is not has been so high, for so long, that the promise will be broken; the short window shows that it goes on."
            } else {
                "Of a thousand requests of four weeks 995 should succeed. The share that fails has been so high, for so long, that the promise will be broken; the short window shows that it goes on."
            },
            impact: if is_latency {
                "Many users wait."
            } else {
                "Users see errors more often than was promised."
            },
            confirm: vec![
                metrics(
                    "The share within the last hour",
                    &bad.average(Duration::from_hours(1)).share_of(REQUESTS.average(Duration::from_hours(1))),
                ),
                metrics(
                    "The share within the last three days",
                    &bad.average(Duration::from_hours(72))
                        .share_of(REQUESTS.average(Duration::from_hours(72))),
                ),
                if is_latency {
                    metrics(
                        "Which routes are slow",
                        &requests()
                            .quantile_by::<Route, _>(0.99, Duration::from_hours(1))
                            .above(SLOW_REQUEST.seconds()),
                    )
                } else {
                    metrics(
                        "Which routes fail",
                        &requests()
                            .is_one_of(RequestFailure::OURS)
                            .count()
                            .increase(Duration::from_hours(1))
                            .sum_by::<Route, _>()
                            .above(0.0),
                    )
                },
                if is_latency {
                    Look::Traces("Where their time goes", spans().of_requests().longer_than(1000))
                } else {
                    failing_lines()
                },
            ],
            remedy: if is_latency {
                &[
                    "See HighLatency for how to find the cause.",
                    "Postpone releases that are not about this until the share is below one in a hundred.",
                ]
            } else {
                &[
                    "See HighErrorRate for how to find the cause.",
                    "Postpone releases that are not about this until the share is below one in two hundred.",
                ]
            },
            escalate: burn.escalate,
        },
        fires_without_data: false,
        cases: vec![
            case("the budget is kept", steady_minutes, traffic(0, 100, steady_minutes), silent()),
            case(
                "the budget burns",
                steady_minutes,
                traffic(burning_bad, 100, steady_minutes),
                fires(share_shown),
            ),
            case(
                "a first failure among few requests",
                60,
                {
                    let mut series = traffic(0, 1, 60);
                    series.push(Series::requests(Some(RequestFailure::Panic), "0x50 1x10"));
                    series
                },
                silent(),
            ),
            case(
                "a restart resets the counts",
                60,
                vec![
                    Series::requests(None, "0+100x30 0+100x30"),
                    Series::requests_within(Some(SLOW_REQUEST), "0+100x30 0+100x30"),
                    Series::requests(Some(RequestFailure::Timeout), "500x30 0x30"),
                ],
                silent(),
            ),
        ],
    }
}

/// Without the noise that binary fractions leave in the text of a rule.
fn rounded(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

fn postgres_unreachable(scale: Scale) -> Alert {
    let up = || select(&DEPENDENCY_UP).is(Dependency::Postgres).now().max();
    Alert {
        name: "PostgresUnreachable",
        severity: Severity::Critical,
        condition: up().below(1.0).text().to_owned(),
        pending: scale.of(Duration::from_mins(1)),
        keep_firing: Duration::ZERO,
        summary: "Postgres does not answer.".to_owned(),
        description: "No process has been able to ask Postgres anything for a minute.".to_owned(),
        dashboard: DashboardUid::Background,
        runbook: Runbook {
            meaning: "The health check of every process fails: connecting to Postgres, or `select 1`, takes too long or is refused.",
            impact: "Nobody can do anything: every request that needs the database answers 503. Processes stay up and go on by themselves when it is back.",
            confirm: vec![
                metrics(
                    "What each process says",
                    &select(&DEPENDENCY_UP).is(Dependency::Postgres).now().max_by::<Instance, _>(),
                ),
                Look::Logs("Since when, and how it fails", lines(DEPENDENCY_DOWN).is(Dependency::Postgres)),
            ],
            remedy: &[
                "`docker compose ps postgres` and `docker compose logs postgres`; start it when it has ended.",
                "The disk is full: see DiskAlmostFull. Postgres starts again when there is room.",
                "It runs and refuses: `too many clients` in its log means that `max_connections` is smaller than the pools of all processes; `password authentication failed` that the secret was changed on one side only.",
                "`socialize doctor` in the container of the API tries the connection and says what is wrong.",
            ],
            escalate: "At once when Postgres does not start: restoring is in deploy/README.md.",
        },
        fires_without_data: false,
        cases: vec![
            case("it answers", 10, vec![Series::of(&DEPENDENCY_UP, Dependency::Postgres, "1x10")], silent()),
            case(
                "it does not",
                10,
                vec![Series::of(&DEPENDENCY_UP, Dependency::Postgres, "1x5 0x5")],
                fires(""),
            ),
            case(
                "another dependency does not",
                10,
                vec![
                    Series::of(&DEPENDENCY_UP, Dependency::Postgres, "1x10"),
                    Series::of(&DEPENDENCY_UP, Dependency::Email, "0x10"),
                ],
                silent(),
            ),
        ],
    }
}

fn dependency_unreachable(scale: Scale) -> Alert {
    let up = || select(&DEPENDENCY_UP).is_not(Dependency::Postgres).now().min_by::<Dependency, _>();
    Alert {
        name: "DependencyUnreachable",
        severity: Severity::Warning,
        condition: up().below(1.0).text().to_owned(),
        pending: scale.of(SHORT),
        keep_firing: Duration::ZERO,
        summary: format!("{} does not answer.", shown::<Dependency>()),
        description: format!(
            "A process has not been able to reach {} for five minutes.",
            shown::<Dependency>()
        ),
        dashboard: DashboardUid::Background,
        runbook: Runbook {
            meaning: "The mail server or the blob store does not answer the health check of at least one process.",
            impact: "`email`: e-mails wait in the outbox and are sent later. `blob_store`: uploads and downloads answer 503; all else works.",
            confirm: vec![
                metrics("Which", &up()),
                Look::Logs("Since when, and how it fails", lines(DEPENDENCY_DOWN)),
            ],
            remedy: &[
                "`socialize doctor` in the container tries each dependency and says what is wrong: name, port, certificate, credentials.",
                "Look at the status page of the provider.",
                "Credentials that ended: put new ones into the secret's file and restart.",
            ],
            escalate: "To whoever runs the mail server or the bucket.",
        },
        fires_without_data: false,
        cases: vec![
            case("all answer", 15, vec![Series::of(&DEPENDENCY_UP, Dependency::Email, "1x15")], silent()),
            case(
                "one does not",
                15,
                vec![
                    Series::of(&DEPENDENCY_UP, Dependency::Email, "1x5 0x10"),
                    Series::of(&DEPENDENCY_UP, Dependency::BlobStore, "1x15"),
                ],
                fires_for(Dependency::Email, ""),
            ),
            case(
                "for two minutes",
                15,
                vec![Series::of(&DEPENDENCY_UP, Dependency::Email, "1x5 0x1 1x8")],
                silent(),
            ),
        ],
    }
}

fn database_slow(scale: Scale) -> Alert {
    let window = scale.of(SHORT);
    let operations = || select(&DB_CLIENT_OPERATION_DURATION).is_not(DatabaseOperation::AcquireConnection);
    let condition = operations()
        .quantile(0.95, window)
        .above(DATABASE_P95_SECONDS)
        .and(operations().count().increase(window).sum().at_least(FEWEST_OPERATIONS));
    let labels = (DatabaseOperation::InsertUser, DatabaseOutcome::Ok);
    let traffic = |fast: &str, all: &str| {
        vec![
            Series::count(&DB_CLIENT_OPERATION_DURATION, labels, all),
            Series::bucket(&DB_CLIENT_OPERATION_DURATION, labels, 0.5, fast),
            Series::bucket(&DB_CLIENT_OPERATION_DURATION, labels, 1.0, all),
            Series::bucket(&DB_CLIENT_OPERATION_DURATION, labels, f64::INFINITY, all),
        ]
    };
    Alert {
        name: "DatabaseSlow",
        severity: Severity::Warning,
        condition: condition.text().to_owned(),
        pending: scale.of(SHORT),
        keep_firing: scale.of(SHORT),
        summary: "Database operations are slow.".to_owned(),
        description: "One database operation in twenty takes longer than {{ $value | humanizeDuration }}."
            .to_owned(),
        dashboard: DashboardUid::Background,
        runbook: Runbook {
            meaning: "The 95th percentile of all database operations has been above half a second for five minutes. It is usually below five milliseconds.",
            impact: "Every request takes longer; soon the pool is starved and requests fail.",
            confirm: vec![
                metrics(
                    "Which operations",
                    &operations().quantile_by::<DatabaseOperation, _>(0.95, SHORT).above(0.1),
                ),
                metrics(
                    "Which fail",
                    &operations()
                        .is_none_of(&[DatabaseOutcome::Ok])
                        .count()
                        .increase(SHORT)
                        .sum_by::<DatabaseOperation, _>()
                        .above(0.0),
                ),
                Look::Traces("In which requests", spans().longer_than(500)),
            ],
            remedy: &[
                "All operations are slow: the disk or the processor of Postgres is busy. Look for backups, a vacuum, or a query by hand: `select pid, now() - query_start, state, wait_event_type, left(query, 60) from pg_stat_activity order by 2 desc`.",
                "They wait for a lock (`wait_event_type` is `Lock`): find who holds it with `pg_blocking_pids(pid)` and end that with `pg_terminate_backend`.",
                "One operation only: statistics are old (`analyze`), or an index is missing; tell the developers its name.",
            ],
            escalate: "When the machine is not busy and nothing holds a lock.",
        },
        fires_without_data: false,
        cases: vec![
            case("fast operations", 20, traffic("0+100x20", "0+100x20"), silent()),
            case("half of them slow", 20, traffic("0+50x20", "0+100x20"), fires("950ms")),
            case("few operations", 20, traffic("0+1x20", "0+5x20"), silent()),
            case(
                "a restart resets the counts",
                20,
                traffic("0+100x10 0+100x10", "0+100x10 0+100x10"),
                silent(),
            ),
        ],
    }
}

fn connection_pool_starved(scale: Scale) -> Alert {
    let timeouts = |window| select(&DB_CLIENT_CONNECTION_TIMEOUTS).increase(window).sum();
    let series = |values| vec![Series::of(&DB_CLIENT_CONNECTION_TIMEOUTS, (), values)];
    Alert {
        name: "ConnectionPoolStarved",
        severity: Severity::Warning,
        condition: timeouts(scale.of(SHORT)).at_least(POOL_TIMEOUTS).text().to_owned(),
        pending: Duration::ZERO,
        keep_firing: scale.of(BETWEEN_EVENTS),
        summary: "Operations get no connection to Postgres in time.".to_owned(),
        description: "About {{ $value | printf \"%.0f\" }} operations within five minutes waited in vain for a connection of the pool.".to_owned(),
        dashboard: DashboardUid::Background,
        runbook: Runbook {
            meaning: "All connections of the pool were in use for longer than SOCIALIZE_DATABASE_ACQUIRE_TIMEOUT.",
            impact: "The requests concerned answer 503.",
            confirm: vec![
                metrics("Who waits", &select(&DB_CLIENT_CONNECTION_PENDING).now().max()),
                metrics("What connections are doing", &select(&DB_CLIENT_OPERATION_DURATION).quantile_by::<DatabaseOperation, _>(0.95, SHORT).above(0.1)),
                Look::Logs("Operations that failed", lines(events::DATABASE_OPERATION).is(DatabaseOperation::AcquireConnection).at_least(Level::Warn)),
            ],
            remedy: &[
                "PostgresUnreachable or DatabaseSlow fire as well: mend that first.",
                "Traffic has grown: raise SOCIALIZE_DATABASE_CONNECTIONS, and `max_connections` of Postgres above the sum of all processes.",
            ],
            escalate: "When the database is fast and traffic is usual: a transaction may be kept open; a developer needs a trace.",
        },
        fires_without_data: false,
        cases: vec![
            case("none", 15, series("0x20"), silent()),
            case("a single one", 12, series("0x10 1x10"), silent()),
            case("many", 12, series("0x10 20x10"), fires("20")),
            case("a restart resets the count", 12, series("20x10 0x10"), silent()),
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
