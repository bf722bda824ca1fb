//! Alerts about Postgres and the other dependencies of requests.
//!
//! Long because each alert is one function with its texts and test cases.

use std::time::Duration;

use catalogue::database_operation::DatabaseOperation;
use catalogue::events;
use catalogue::labels::{ConnectionPool, ConnectionState, DatabaseSystem, Dependency, Role};
use catalogue::metrics::{
    DB_CLIENT_CONNECTION_COUNT, DB_CLIENT_CONNECTION_MAX, DB_CLIENT_CONNECTION_PENDING,
    DB_CLIENT_CONNECTION_TIMEOUTS, DB_CLIENT_OPERATION_DURATION, DEPENDENCY_UP, HEARTBEAT,
};
use signal::events::DEPENDENCY_DOWN;
use signal::{ClosedSet, Level};

use super::cases::{case, fires, fires_for, silent};
use super::thresholds::{
    BETWEEN_EVENTS, DATABASE_P95_SECONDS, FEWEST_OPERATIONS, HUNG_AFTER, LONG, POOL_FULL_FOR,
    POOL_FULL_SHARE, POOL_TIMEOUTS, SHORT, SHORTEST_HUNG_AFTER, TELEMETRY_MISSING_AFTER,
};
use super::{Alert, DashboardUid, Look, Runbook, Series, Severity, metrics, shown};
use crate::query::{Instance, Scale, lines, select, spans};

pub(super) fn alerts(scale: Scale) -> Vec<Alert> {
    vec![
        postgres_unreachable(scale),
        dependency_unreachable(scale),
        dependency_check_stuck(scale),
        database_slow(scale),
        connection_pool_starved(scale),
        connection_pool_full(scale),
    ]
}

fn postgres_unreachable(scale: Scale) -> Alert {
    let up = || select(&DEPENDENCY_UP).is(Dependency::Postgres).now();
    let processes = |a, b| {
        let up = |values| Series::of(&DEPENDENCY_UP, Dependency::Postgres, values);
        vec![up(a), up(b).of_instance("b")]
    };
    Alert {
        name: "PostgresUnreachable",
        severity: Severity::Critical,
        condition: up().min().below(1.0).into_expression(),
        pending: scale.of(Duration::from_mins(1)),
        keep_firing: scale.of(LONG),
        summary: "Postgres does not respond.".to_owned(),
        description: "The health check of Postgres has failed in at least one process for a minute."
            .to_owned(),
        dashboard: DashboardUid::Background,
        runbook: Runbook {
            meaning: "In at least one process the health check fails: connecting to Postgres, or a query, is refused \
                      or times out.",
            impact: "Requests that need the database return 503. Processes keep running and recover by themselves.",
            confirm: vec![
                metrics("Health check of each process: 0 has failed", &up().max_by::<Instance, _>()),
                Look::Logs(
                    "Start of the failure, with its error",
                    lines(DEPENDENCY_DOWN).is(Dependency::Postgres),
                ),
            ],
            remedy: &[
                "`docker compose ps postgres` and `docker compose logs --tail 50 postgres` show why it stopped. Start \
                 it: `docker compose up --detach postgres`.",
                "If only one of several processes reports it, check the network of its host, then restart the process.",
                "The disk is full: see DiskAlmostFull. Postgres starts again when there is space.",
                "It runs but refuses connections. `too many clients` in its log: `max_connections` is smaller than the \
                 pools of all processes. `password authentication failed`: the password changed on one side only.",
                "`docker compose exec api socialize doctor` tests the connection and names the remedy.",
            ],
            escalate: "At once if Postgres does not start. To restore: deploy/README.md#back-up-and-restore.",
        },
        fires_without_data: false,
        cases: vec![
            case("it answers", 10, vec![Series::of(&DEPENDENCY_UP, Dependency::Postgres, "1x10")], silent()),
            case(
                "it does not",
                10,
                vec![Series::of(&DEPENDENCY_UP, Dependency::Postgres, "1x5 0x5 1x40")],
                fires(""),
            )
            .then(6.5, silent())
            .then(7.0, fires(""))
            // Keeps firing while HighErrorRate still counts the requests that failed, so that nobody is
            // notified of those afterwards.
            .then(26.5, fires(""))
            .then(27.0, silent()),
            case("one of two idle processes lost it", 10, processes("1x10", "1x5 0x5"), fires("")),
            case("both have it", 10, processes("1x10", "1x10"), silent()),
            case("a process that starts does not know yet", 10, processes("1x10", "_x3 1x7"), silent()),
            case("for half a minute", 10, processes("1x10", "1x5 0 1x4"), silent()),
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
        condition: up().below(1.0).into_expression(),
        pending: scale.of(SHORT),
        keep_firing: Duration::ZERO,
        summary: format!("{} does not respond.", shown::<Dependency>()),
        description: format!(
            "A process has not been able to reach {} for five minutes.",
            shown::<Dependency>()
        ),
        dashboard: DashboardUid::Background,
        runbook: Runbook {
            meaning: "The health check of the mail server or the blob store fails in at least one process.",
            impact: "`email`: e-mails wait and are sent later. `blob_store`: uploads and downloads return 503; \
                     everything else works.",
            confirm: vec![
                metrics("Health checks: 0 has failed", &up()),
                Look::Logs("Start of the failure, with its error", lines(DEPENDENCY_DOWN)),
            ],
            remedy: &[
                "`docker compose exec api socialize doctor` tests each dependency and names the fault: host name, \
                 port, certificate or credentials.",
                "Check the status page of the provider.",
                "Credentials expired: write new ones into `deploy/secrets/smtp_password` or \
                 `deploy/secrets/s3_secret_access_key`, then `docker compose up --detach --force-recreate api worker`.",
            ],
            escalate: "To the operator of the mail server or the bucket.",
        },
        fires_without_data: false,
        cases: vec![
            case("all answer", 15, vec![Series::of(&DEPENDENCY_UP, Dependency::Email, "1x15")], silent()),
            case(
                "Postgres has an alert of its own",
                15,
                vec![Series::of(&DEPENDENCY_UP, Dependency::Postgres, "0x15")],
                silent(),
            ),
            case(
                "one does not",
                15,
                vec![
                    Series::of(&DEPENDENCY_UP, Dependency::Email, "1x5 0x10"),
                    Series::of(&DEPENDENCY_UP, Dependency::BlobStore, "1x15"),
                ],
                fires_for(Dependency::Email, ""),
            )
            .then(10.5, silent())
            .then(11.0, fires_for(Dependency::Email, "")),
            case(
                "one of two processes does not reach it",
                15,
                vec![
                    Series::of(&DEPENDENCY_UP, Dependency::Email, "1x15"),
                    Series::of(&DEPENDENCY_UP, Dependency::Email, "1x5 0x10").of_instance("b"),
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

fn dependency_check_stuck(scale: Scale) -> Alert {
    let results = |window| select(&DEPENDENCY_UP).samples_in(window).count_by::<Instance, _>();
    let alive = select(&HEARTBEAT)
        .lag()
        .max_by::<Instance, _>()
        .below(scale.of(HUNG_AFTER).max(SHORTEST_HUNG_AFTER).as_secs_f64())
        // Prometheus returns the last heartbeat of a process that ended for longer than results are counted.
        .and(select(&HEARTBEAT).samples_in(scale.of(TELEMETRY_MISSING_AFTER)).count_by::<Instance, _>());
    let all = Dependency::ALL.len() as f64;
    let condition = alive.unless(results(scale.of(TELEMETRY_MISSING_AFTER)).at_least(all)).groups();
    let process = |heartbeat, postgres, others: &str| {
        vec![
            Series::time(&HEARTBEAT, Role::Serve, heartbeat),
            Series::of(&DEPENDENCY_UP, Dependency::Postgres, postgres),
            Series::of(&DEPENDENCY_UP, Dependency::Email, others),
            Series::of(&DEPENDENCY_UP, Dependency::BlobStore, others),
        ]
    };
    Alert {
        name: "DependencyCheckStuck",
        severity: Severity::Warning,
        condition: condition.into_expression(),
        pending: scale.of(SHORT),
        keep_firing: Duration::ZERO,
        summary: "A health check of a process does not return.".to_owned(),
        description:
            "{{ $value | printf \"%.0f\" }} processes have had no result of a health check for minutes."
                .to_owned(),
        dashboard: DashboardUid::Background,
        runbook: Runbook {
            meaning: "A health check neither succeeds nor fails; it blocks its thread. The process itself runs.",
            impact: "If it is the check of Postgres, the process is not ready. PostgresUnreachable and \
                     DependencyUnreachable cannot fire for this process.",
            confirm: vec![
                metrics("Results by process; each should have three", &results(TELEMETRY_MISSING_AFTER)),
                metrics(
                    "Results by dependency",
                    &select(&DEPENDENCY_UP).samples_in(TELEMETRY_MISSING_AFTER).count_by::<Dependency, _>(),
                ),
            ],
            remedy: &[
                "`curl http://127.0.0.1:9464/health` (9465 for the worker) shows which check has no result, and for \
                 how long.",
                "Restart the process.",
            ],
            escalate: "It is a defect. Before the restart, note version and uptime for the developers.",
        },
        fires_without_data: false,
        cases: vec![
            case("all checks have results", 20, process("0+60x20", "1x20", "1x20"), silent()),
            case("one that fails has a result", 20, process("0+60x20", "0x20", "1x20"), silent()),
            case("one has none", 13, process("0+60x20", "1x5 _x15", "1x20"), fires("1")).then(12.5, silent()),
            case(
                "one has none, and the process is 20 seconds late",
                20,
                process("-20+60x20", "1x5 _x15", "1x20"),
                fires("1"),
            )
            .in_real_time(),
            case(
                "one has none, and the process is 45 seconds late",
                20,
                process("-45+60x20", "1x5 _x15", "1x20"),
                silent(),
            )
            .in_real_time(),
            case(
                "the process hangs: ProcessHung says so",
                20,
                process("0+60x5 300x15", "1x5 _x15", "1x5 _x15"),
                silent(),
            ),
            case("the process ended", 20, process("0+60x5 _x15", "1x5 _x15", "1x5 _x15"), silent()),
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
    let operation = |operation, fast: &str, all: &str| {
        let within = [(DATABASE_P95_SECONDS, fast), (2.0 * DATABASE_P95_SECONDS, all)];
        vec![Series::durations(
            &DB_CLIENT_OPERATION_DURATION,
            (operation, DatabaseSystem::Postgresql),
            &within,
        )]
    };
    let traffic = |fast: &str, all: &str| operation(DatabaseOperation::InsertSession, fast, all);
    let waiting = |fast: &str, all: &str| operation(DatabaseOperation::AcquireConnection, fast, all);
    Alert {
        name: "DatabaseSlow",
        severity: Severity::Warning,
        condition: condition.into_expression(),
        pending: scale.of(SHORT),
        keep_firing: scale.of(SHORT),
        summary: "Database operations are slow.".to_owned(),
        description: "One database operation in twenty takes longer than {{ $value | humanizeDuration }}."
            .to_owned(),
        dashboard: DashboardUid::Background,
        runbook: Runbook {
            meaning: "The 95th percentile of all database operations has been above half a second for five minutes. \
                      Usually it is below five milliseconds.",
            impact: "Requests are slow. Soon connections run out and requests fail.",
            confirm: vec![
                metrics(
                    "95th percentile by operation",
                    &operations().quantile_by::<DatabaseOperation, _>(0.95, SHORT).above(0.1),
                ),
                Look::Traces("Requests with slow operations", spans().longer_than(500)),
            ],
            remedy: &[
                "All operations are slow: the disk or the processor of Postgres is busy. Look for backups, a vacuum, \
                 or manual queries: `select pid, now() - query_start, state, wait_event_type, left(query, 60) from \
                 pg_stat_activity order by 2 desc`.",
                "They wait for a lock (`wait_event_type` is `Lock`): find its holder with `select \
                 pg_blocking_pids(PID)`, and end that session with `select pg_terminate_backend(PID)`.",
                "Only one operation is slow: statistics are stale (run `analyze`), or an index is missing. Tell the \
                 developers its name.",
            ],
            escalate: "If the machine is idle and nothing holds a lock.",
        },
        fires_without_data: false,
        cases: vec![
            case("fast operations", 20, traffic("0+100x20", "0+100x20"), silent()),
            case("half of them slow", 20, traffic("0+50x20", "0+100x20"), fires("991.4ms"))
                .then(5.5, silent())
                .then(6.0, fires("991.4ms")),
            case("slow for ten minutes", 13, traffic("0+50x10 600+100x20", "0+100x31"), fires("965.9ms"))
                .then(18.5, fires("965.9ms"))
                .then(19.0, silent()),
            case("just too few", 20, traffic("0+4x20", "0+9x20"), silent()),
            case("just enough", 20, traffic("0+5x20", "0+11x20"), fires("992.1ms")),
            case("few operations", 20, traffic("0+1x20", "0+5x20"), silent()),
            case(
                "waiting for a connection is not the database's time",
                20,
                [traffic("0+100x20", "0+100x20"), waiting("0+50x20", "0+100x20")].concat(),
                silent(),
            ),
            case(
                "few operations, and many connections taken",
                20,
                [traffic("0+1x20", "0+5x20"), waiting("0+100x20", "0+100x20")].concat(),
                silent(),
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

fn connection_pool_starved(scale: Scale) -> Alert {
    let timeouts = |window| select(&DB_CLIENT_CONNECTION_TIMEOUTS).increase(window).sum();
    let series = |values| vec![Series::of(&DB_CLIENT_CONNECTION_TIMEOUTS, ConnectionPool::Socialize, values)];
    Alert {
        name: "ConnectionPoolStarved",
        severity: Severity::Warning,
        condition: timeouts(scale.of(SHORT)).at_least(POOL_TIMEOUTS).into_expression(),
        pending: Duration::ZERO,
        keep_firing: scale.of(BETWEEN_EVENTS),
        summary: "Operations get no connection to Postgres in time.".to_owned(),
        description:
            "About {{ $value | printf \"%.0f\" }} operations within five minutes timed out waiting for a connection of \
             the pool."
                .to_owned(),
        dashboard: DashboardUid::Background,
        runbook: Runbook {
            meaning: "All connections of the pool were in use for longer than `SOCIALIZE_DATABASE_ACQUIRE_TIMEOUT`.",
            impact: "The affected requests return 503.",
            confirm: vec![
                metrics("Operations that wait for a connection", &select(&DB_CLIENT_CONNECTION_PENDING).now().max()),
                metrics(
                    "State of the connections",
                    &select(&DB_CLIENT_OPERATION_DURATION)
                        .quantile_by::<DatabaseOperation, _>(0.95, SHORT)
                        .above(0.1),
                ),
                Look::Logs(
                    "Operations that failed",
                    lines(events::DATABASE_OPERATION)
                        .is(DatabaseOperation::AcquireConnection)
                        .at_least(Level::Warn),
                ),
            ],
            remedy: &[
                "A session that is `idle in transaction` occupies a connection: find and end it as for \
                 ConnectionPoolFull.",
                "Traffic has grown: raise `SOCIALIZE_DATABASE_CONNECTIONS` in `deploy/settings.env`, and \
                 `max_connections` of Postgres: deploy/README.md#beyond-one-machine.",
            ],
            escalate: "If the database is fast and traffic is usual: a transaction may stay open. Give a trace to a \
                       developer.",
        },
        fires_without_data: false,
        cases: vec![
            case("none", 15, series("0x20"), silent()),
            case("a single one", 12, series("0x10 1x10"), silent()),
            case("many", 12, series("0x10 20x40"), fires("20"))
                // The window, followed by the pending period.
                .then(14.5, fires("22"))
                .then(24.5, fires("22"))
                .then(25.0, silent()),
            case("just too few", 12, series("0x10 4x10"), silent()),
            case("just enough", 12, series("0x10 5x10"), fires("5")),
            case("a restart resets the count", 12, series("20x10 0x10"), silent()),
        ],
    }
}

fn connection_pool_full(scale: Scale) -> Alert {
    let used = |window| select(&DB_CLIENT_CONNECTION_COUNT).is(ConnectionState::Used).average(window);
    let share = |window| {
        used(window)
            .max_by::<Instance, _>()
            .over(select(&DB_CLIENT_CONNECTION_MAX).now().max_by::<Instance, _>())
    };
    let pool = |used| {
        vec![
            Series::of(&DB_CLIENT_CONNECTION_COUNT, (ConnectionState::Used, ConnectionPool::Socialize), used),
            Series::of(
                &DB_CLIENT_CONNECTION_COUNT,
                (ConnectionState::Idle, ConnectionPool::Socialize),
                "10x90",
            ),
            Series::of(&DB_CLIENT_CONNECTION_MAX, ConnectionPool::Socialize, "10x90"),
        ]
    };
    Alert {
        name: "ConnectionPoolFull",
        severity: Severity::Warning,
        condition: share(scale.of(LONG)).largest_of_all().at_least(POOL_FULL_SHARE).into_expression(),
        pending: scale.of(POOL_FULL_FOR),
        keep_firing: Duration::ZERO,
        summary: "A process has used all its connections to Postgres for an hour.".to_owned(),
        description:
            "On average {{ $value | humanizePercentage }} of the pool of a process were in use for an hour."
                .to_owned(),
        dashboard: DashboardUid::Background,
        runbook: Runbook {
            meaning: "Almost no connection of the pool of a process has been idle for an hour.",
            impact: "Requests wait for connections. With more traffic they fail: see ConnectionPoolStarved.",
            confirm: vec![
                metrics("Share in use, by process", &share(LONG)),
                metrics(
                    "Operations that wait",
                    &select(&DB_CLIENT_CONNECTION_PENDING).now().max_by::<Instance, _>(),
                ),
                metrics(
                    "Slow operations",
                    &select(&DB_CLIENT_OPERATION_DURATION)
                        .quantile_by::<DatabaseOperation, _>(0.95, LONG)
                        .above(0.1),
                ),
                Look::Traces("What keeps connections", spans().longer_than(500)),
            ],
            remedy: &[
                "Operations are slow: see DatabaseSlow.",
                "`select pid, state, now() - xact_start, left(query, 60) from pg_stat_activity order by 3 desc nulls \
                 last`: a session that is `idle in transaction` occupies a connection. End it with `select \
                 pg_terminate_backend(PID)`.",
                "Traffic has grown: raise `SOCIALIZE_DATABASE_CONNECTIONS` in `deploy/settings.env`, and \
                 `max_connections` of Postgres: deploy/README.md#beyond-one-machine.",
            ],
            escalate: "If the database is fast and traffic is usual: connections are not returned. Give a trace to a \
                       developer.",
        },
        fires_without_data: false,
        cases: vec![
            case("half in use", 80, pool("5x90"), silent()),
            case("just below", 80, pool("8x90"), silent()),
            case("all in use", 68, pool("5x10 10x80"), fires("100%")).then(66.0, silent()),
            case("a peak that passes", 80, pool("5x10 10x40 5x40"), silent()),
        ],
    }
}
