//! Alerts about Postgres's own statistics. The application reports whether Postgres is reachable: see
//! `dependencies`.

use std::time::Duration;

use catalogue::labels::Dependency;
use catalogue::metrics::DEPENDENCY_UP;

use super::cases::{Pace, case, fires, silent};
use super::thresholds::{
    DEAD_ROW_SHARE, FEWEST_DEAD_ROWS, LONG, OLD_TRANSACTION, POSTGRES_CONNECTION_SHARE, SHORT,
    TRANSACTION_ID_AGE,
};
use super::{Alert, DashboardUid, Expected, Runbook, Series, Severity, Shown, metrics, shown};
use crate::exporters::{
    BackendState, Database, PG_BACKENDS, PG_DATABASE_SIZE, PG_DEAD_ROWS, PG_LIVE_ROWS, PG_MAX_CONNECTIONS,
    PG_OLDEST_TRANSACTION, PG_TABLE_SIZE, PG_TRANSACTION_ID_AGE, PG_UP, PG_WAL_SIZE, Table,
};
use crate::query::{Scale, select};

pub(super) fn alerts(scale: Scale) -> Vec<Alert> {
    vec![
        unwatched(scale),
        connections_near_limit(scale),
        old_transaction(scale),
        dead_rows(scale),
        transaction_ids(scale),
    ]
}

/// A series of an exporter as Prometheus scrapes it from Alloy.
pub(super) fn scraped(job: &str, name: &str, labels: &str, values: &str) -> Series {
    let more = if labels.is_empty() { String::new() } else { format!(", {labels}") };
    let name = format!("{name}{{instance=\"alloy:12345\", job=\"{job}\"{more}}}");
    Series::plain(name, values.to_owned())
}

fn postgres(name: &str, labels: &str, values: &str) -> Series {
    scraped("postgres", name, labels, values)
}

fn unwatched(scale: Scale) -> Alert {
    let reached = || select(&DEPENDENCY_UP).is(Dependency::Postgres).now().max().at_least(1.0);
    let condition = select(&PG_UP).now().max().below(1.0).when(reached());
    let series = |exporter, application| {
        vec![postgres("pg_up", "", exporter), Series::of(&DEPENDENCY_UP, Dependency::Postgres, application)]
    };
    let mut nobody = series("1x5 0x35", "1x5 0x35");
    nobody.push(Series::of(&DEPENDENCY_UP, Dependency::Email, "1x40"));
    Alert {
        name: "PostgresUnwatched",
        severity: Severity::Info,
        condition: condition.into_expression(),
        pending: scale.of(LONG),
        keep_firing: Duration::ZERO,
        summary: "The collector cannot read the statistics of Postgres.".to_owned(),
        description:
            "The application reaches Postgres, but the collector does not: its role or its network is missing."
                .to_owned(),
        dashboard: DashboardUid::Infrastructure,
        runbook: Runbook {
            meaning: "The exporter in the collector logs in as `socialize_statistics`. It is refused, or does not \
                      reach Postgres.",
            impact: "None for users. The alerts about connections, old transactions, dead rows and transaction ids \
                     cannot fire.",
            confirm: vec![metrics("Whether the exporter reaches Postgres", &select(&PG_UP).now().max())],
            remedy: &[
                "`docker compose logs postgres-statistics` shows why the role could not be created. `docker compose up \
                 --detach postgres-statistics` tries again.",
                "The password in `deploy/secrets/statistics_database_url` was changed: the same command sets it.",
                "`docker compose logs alloy` has the errors of the exporter.",
            ],
            escalate: "Not needed.",
        },
        fires_without_data: false,
        cases: vec![
            case("both reach it", 30, series("1x40", "1x40"), silent()),
            case("only the application does", 21, series("1x5 0x35", "1x40"), fires("")).then(20.5, silent()),
            case("nobody does: that is another alert", 30, nobody, silent()),
        ],
    }
}

fn connections_near_limit(scale: Scale) -> Alert {
    let used = || select(&PG_BACKENDS).now().sum();
    let limit = || select(&PG_MAX_CONNECTIONS).now().max();
    let series = |used: &str| {
        vec![
            postgres("pg_stat_activity_count", "datname=\"socialize\", state=\"idle\"", used),
            postgres("pg_stat_activity_count", "datname=\"socialize\", state=\"active\"", "10x40"),
            postgres("pg_settings_max_connections", "", "100x40"),
        ]
    };
    Alert {
        name: "PostgresConnectionsNearLimit",
        severity: Severity::Warning,
        condition: used().over(limit()).above(POSTGRES_CONNECTION_SHARE).into_expression(),
        pending: scale.of(SHORT),
        keep_firing: scale.of(SHORT),
        summary: "Postgres is running out of connections.".to_owned(),
        description: "{{ $value | humanizePercentage }} of the connections that Postgres allows are in use."
            .to_owned(),
        dashboard: DashboardUid::Infrastructure,
        runbook: Runbook {
            meaning: "More than 80 % of `max_connections` have been in use for five minutes. The last three are kept \
                      for superusers.",
            impact: "None yet. At the limit, new connections are refused, and requests return 503.",
            confirm: vec![
                metrics(
                    "Connections by state",
                    &select(&PG_BACKENDS).now().sum_by::<BackendState, _>().above(0.0),
                ),
                metrics(
                    "Connections by database",
                    &select(&PG_BACKENDS).now().sum_by::<Database, _>().above(0.0),
                ),
            ],
            remedy: &[
                "Find their owners: `select application_name, usename, state, count(*) from pg_stat_activity group by \
                 1, 2, 3 order by 4 desc`.",
                "`idle in transaction` for a long time: see PostgresTransactionOld.",
                "They belong to Socialize: `max_connections` must exceed the sum in \
                 deploy/README.md#beyond-one-machine. Lower `SOCIALIZE_DATABASE_CONNECTIONS` or raise \
                 `max_connections`.",
            ],
            escalate: "If connections of an unknown program grow.",
        },
        fires_without_data: false,
        cases: vec![
            case("just at the threshold", 30, series("70x40"), silent()),
            case("just above it", 30, series("10x5 71x35"), fires("81%")),
            case("just before the pause is over", 9, series("10x5 71x35"), silent()),
            case("just after it", 11, series("10x5 71x35"), fires("81%")),
            case("goes on while it dips", 16, series("71x11 10x29"), fires("81%"))
                .then(16.5, fires("81%"))
                .then(17.0, silent()),
        ],
    }
}

fn old_transaction(scale: Scale) -> Alert {
    let oldest = || select(&PG_OLDEST_TRANSACTION).now().max();
    let series = |values: &str| {
        vec![Series {
            pace: Pace::Time,
            ..postgres("pg_long_running_transactions_oldest_timestamp_seconds", "", values)
        }]
    };
    Alert {
        name: "PostgresTransactionOld",
        severity: Severity::Warning,
        condition: oldest().above(scale.of(OLD_TRANSACTION).as_secs_f64()).into_expression(),
        pending: scale.of(SHORT),
        keep_firing: Duration::ZERO,
        summary: "A transaction has been open for more than two hours.".to_owned(),
        description: "The oldest transaction in Postgres has been open for more than two hours.".to_owned(),
        dashboard: DashboardUid::Infrastructure,
        runbook: Runbook {
            meaning: "A session began a transaction and has not ended it. Transactions of Socialize take seconds; a \
                      backup of a large database takes longer.",
            impact: "None at first. While it is open, vacuum cannot remove dead rows, so tables grow and become slow. \
                     If it holds locks, other sessions wait.",
            confirm: vec![
                metrics("Age of the oldest transaction", &oldest()),
                metrics(
                    "Rows waiting for vacuum",
                    &select(&PG_DEAD_ROWS).now().max_by::<Table, _>().largest(5),
                ),
            ],
            remedy: &[
                "Find it: `select pid, now() - xact_start, state, application_name, client_addr from pg_stat_activity \
                 where xact_start is not null order by xact_start limit 5`.",
                "`pg_dump` is a backup: let it finish, and make it faster.",
                "`idle in transaction` of a shell or a tool: `select pg_terminate_backend(pid)`.",
            ],
            escalate: "To the developers, if its `application_name` is `socialize`.",
        },
        fires_without_data: false,
        cases: vec![
            case("usual ones", 30, series("0.2x40"), silent()),
            case("just before two hours", 30, series("7200x40"), silent()),
            case("just after them", 30, series("60x5 7260x35"), fires("")),
            case("just before the pause is over", 9, series("60x5 7260x35"), silent()),
            case("just after it", 11, series("60x5 7260x35"), fires("")),
            case("it ended", 12, series("7260x10 60x30"), silent()),
        ],
    }
}

fn dead_rows(scale: Scale) -> Alert {
    let dead = || select(&PG_DEAD_ROWS).now().max_by::<Table, _>();
    let live = || select(&PG_LIVE_ROWS).now().max_by::<Table, _>();
    let condition =
        dead().over(dead().plus(live())).above(DEAD_ROW_SHARE).and(dead().at_least(FEWEST_DEAD_ROWS));
    let series = |dead: &str, live: &str| {
        let table = "relname=\"jobs\", schemaname=\"public\"";
        vec![
            postgres("pg_stat_user_tables_n_dead_tup", table, dead),
            postgres("pg_stat_user_tables_n_live_tup", table, live),
        ]
    };
    let fires_for_jobs = || {
        vec![Expected { labels: vec![("relname".to_owned(), "jobs".to_owned())], value: Shown::Text("60%") }]
    };
    Alert {
        name: "PostgresDeadRows",
        severity: Severity::Warning,
        condition: condition.into_expression(),
        pending: scale.of(Duration::from_hours(1)),
        keep_firing: Duration::ZERO,
        summary: format!("Dead rows accumulate in {}.", shown::<Table>()),
        description: format!(
            "{{{{ $value | humanizePercentage }}}} of the rows of {} are dead and were not removed within an hour.",
            shown::<Table>()
        ),
        dashboard: DashboardUid::Infrastructure,
        runbook: Runbook {
            meaning: "Autovacuum removes dead rows when they are a fifth of a table. It cannot, or is too slow.",
            impact: "Queries on the table become slower, and it takes more disk.",
            confirm: vec![
                metrics("Dead rows by table", &dead().largest(5)),
                metrics("Size by table", &select(&PG_TABLE_SIZE).now().max_by::<Table, _>().largest(5)),
                metrics("The age of the oldest transaction", &select(&PG_OLDEST_TRANSACTION).now().max()),
            ],
            remedy: &[
                "An old transaction keeps them: see PostgresTransactionOld.",
                "An unused replication slot keeps them: `select slot_name, active, xmin from pg_replication_slots`.",
                "Run `vacuum (verbose, analyze) TABLE`. It shows what it cannot remove, and why.",
            ],
            escalate: "If a manual vacuum removes nothing and no transaction is old.",
        },
        fires_without_data: false,
        cases: vec![
            case("few of many", 90, series("20000x100", "80000x100"), silent()),
            case("most of a small table", 90, series("9999x100", "100x100"), silent()),
            case("just at the threshold", 90, series("40000x100", "60000x100"), silent()),
            case("more than the living", 90, series("15000x100", "10000x100"), fires_for_jobs()),
            case("just before the hour", 64, series("100x5 60000x95", "40000x100"), silent()),
            case("just after it", 66, series("100x5 60000x95", "40000x100"), fires_for_jobs()),
            case("a vacuum came", 66, series("60000x60 100x40", "40000x100"), silent()),
        ],
    }
}

fn transaction_ids(scale: Scale) -> Alert {
    let age = || select(&PG_TRANSACTION_ID_AGE).now().max_by::<Database, _>();
    let series = |values: &str| {
        vec![postgres("pg_database_wraparound_age_datfrozenxid_seconds", "datname=\"socialize\"", values)]
    };
    let fires_for_database = || {
        vec![Expected {
            labels: vec![("datname".to_owned(), "socialize".to_owned())],
            value: Shown::Text("500M"),
        }]
    };
    Alert {
        name: "PostgresTransactionIdsRunOut",
        severity: Severity::Warning,
        condition: age().above(TRANSACTION_ID_AGE).into_expression(),
        pending: scale.of(LONG),
        keep_firing: Duration::ZERO,
        summary: format!("The transaction ids of {} are running out.", shown::<Database>()),
        description: format!(
            "The oldest transaction of {} that is not frozen is {{{{ $value | humanize }}}} transactions old. At two \
             billion Postgres stops accepting writes.",
            shown::<Database>()
        ),
        dashboard: DashboardUid::Infrastructure,
        runbook: Runbook {
            meaning: "Autovacuum freezes rows older than 200 million transactions. It has fallen far behind.",
            impact: "None yet. Postgres first warns in its log. At the limit, all writes fail until a manual vacuum.",
            confirm: vec![
                metrics("The age of each database", &age()),
                metrics(
                    "The size of each database",
                    &select(&PG_DATABASE_SIZE).now().max_by::<Database, _>(),
                ),
                metrics("The size of the write-ahead log", &select(&PG_WAL_SIZE).now().max()),
            ],
            remedy: &[
                "Find what blocks vacuum: see PostgresTransactionOld, replication slots, and `select * from \
                 pg_prepared_xacts`.",
                "Then run `docker compose exec postgres vacuumdb --username=postgres --all --freeze` at a quiet time.",
            ],
            escalate: "Within the week.",
        },
        fires_without_data: false,
        cases: vec![
            case("as autovacuum keeps it", 30, series("200000000x40"), silent()),
            case("just at the threshold", 30, series("500000000x40"), silent()),
            case("just above it", 30, series("200000000x5 500000001x35"), fires_for_database()),
            case("just before the pause is over", 19, series("200000000x5 500000001x35"), silent()),
            case("just after it", 21, series("200000000x5 500000001x35"), fires_for_database()),
        ],
    }
}
