//! Is Postgres or the host the cause? Metrics of both, from exporters in the collector.
//!
//! Long because a dashboard is a list of panels.

use signal::ClosedSet;

use super::parts::{RANGE, RATE};
use crate::exporters::{
    BackendState, Database, Device, LockMode, Maintenance, NODE_CPU, NODE_CPU_PRESSURE, NODE_DISK_BUSY,
    NODE_DISK_PRESSURE, NODE_LOAD, NODE_MEMORY_AVAILABLE, NODE_MEMORY_PRESSURE, NODE_MEMORY_TOTAL,
    NODE_OUT_OF_MEMORY_KILLS, NODE_SWAPPED_IN, NODE_SWAPPED_OUT, OfProcessor, PG_BACKENDS, PG_BLOCKS_HIT,
    PG_BLOCKS_READ, PG_COMMITS, PG_DATABASE_SIZE, PG_DEAD_ROWS, PG_DEADLOCKS, PG_LIVE_ROWS, PG_LOCKS,
    PG_MAX_CONNECTIONS, PG_OLDEST_TRANSACTION, PG_ROLLBACKS, PG_TABLE_SIZE, PG_TEMPORARY_BYTES,
    PG_TRANSACTION_ID_AGE, PG_UP, PG_WAL_SIZE, ProcessorMode, Table, Unused, Waiting,
};
use crate::grafana::{Band, Color, Dashboard, Link, Mapping, Override, Panel, Period, Target, Unit};
use crate::query::{Samples, Total, Vector, select};
use crate::rules::DashboardUid;
use crate::rules::thresholds::{
    DEAD_ROW_SHARE, FEWEST_DEAD_ROWS, HOST_MEMORY_SHARE, OLD_TRANSACTION, POSTGRES_CONNECTION_SHARE,
    TRANSACTION_ID_AGE,
};

/// Shown if the exporters do not run, for instance with a Collector instead of Alloy.
const NOT_WATCHED: &str = "Not watched";

/// Maximum number of tables in one chart.
const TABLES_DRAWN: u8 = 8;

/// A lower hit ratio deserves a look. Small databases fit into the cache completely.
const CACHE_HIT_SHARE: f64 = 0.95;

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: DashboardUid::Infrastructure,
        title: "Socialize: Postgres and host",
        description: "Is Postgres or the host the cause?",
        range: Period::Hours(6),
        refresh: Some(Period::Minutes(1)),
        choices: &[],
        bands: vec![
            Band::Panels(
                4,
                vec![
                    watched(),
                    connections_now(),
                    oldest_now(),
                    cache_now(),
                    memory_now(),
                    idle_now(),
                    kills_now(),
                ],
            ),
            Band::Title(10, "Postgres"),
            Band::Panels(8, vec![connections(), waiting(), oldest()]),
            Band::Panels(8, vec![transactions(), cache(), temporary()]),
            Band::Panels(8, vec![dead_rows(), table_sizes(), sizes()]),
            Band::Panels(7, vec![locks(), ids()]),
            Band::Title(30, "Host"),
            Band::Panels(8, vec![processors(), memory(), pressure()]),
            Band::Panels(8, vec![load(), disks(), swap()]),
        ],
    }
}

fn background() -> Link {
    Link::dashboard("What the application says", DashboardUid::Background)
}

fn watched() -> Panel {
    Panel::stat(
        1,
        "Postgres",
        "Whether the collector can ask it. Down while the application works: the role of the collector is missing, see \
         PostgresUnwatched.",
    )
    .width(3)
    .mapping(Mapping::values(&[("0", "down", Color::Red), ("1", "up", Color::Green)]))
    .thresholds(Color::Red, &[(1.0, Color::Green)])
    .when_nothing(NOT_WATCHED)
    .link(background())
    .ask(Target::instant_named("Postgres", &select(&PG_UP).now().max()))
}

fn connections_now() -> Panel {
    let used = select(&PG_BACKENDS).now().sum();
    Panel::stat(
        2,
        "Connections used",
        "Of those that Postgres allows. Near the limit, processes that start are refused: lower the pools or raise \
         `max_connections`.",
    )
    .width(3)
    .unit(Unit::Share)
    .decimals(0)
    .thresholds(
        Color::Green,
        &[(POSTGRES_CONNECTION_SHARE / 2.0, Color::Orange), (POSTGRES_CONNECTION_SHARE, Color::Red)],
    )
    .when_nothing(NOT_WATCHED)
    .ask(Target::instant_named("used", &used.share_of(select(&PG_MAX_CONNECTIONS).now().max())))
}

fn oldest_now() -> Panel {
    Panel::stat(
        3,
        "Oldest transaction",
        "How long it has been open. Minutes are a backup or a tool; hours keep dead rows and grow every table that \
         changes.",
    )
    .width(4)
    .unit(Unit::Seconds)
    .thresholds(Color::Green, &[(600.0, Color::Orange), (OLD_TRANSACTION.as_secs_f64(), Color::Red)])
    .when_nothing(NOT_WATCHED)
    .ask(Target::instant_named("age", &select(&PG_OLDEST_TRANSACTION).now().max()))
}

fn cache_now() -> Panel {
    let hit = select(&PG_BLOCKS_HIT).increase(RANGE).sum();
    let read = select(&PG_BLOCKS_READ).increase(RANGE).sum();
    Panel::stat(
        4,
        "Found in memory",
        "Share of blocks that Postgres had in its own cache, over the dashboard's range. Low and slow: give it more \
         memory.",
    )
    .width(4)
    .unit(Unit::Share)
    .decimals(1)
    .thresholds(Color::Orange, &[(CACHE_HIT_SHARE, Color::Green)])
    .when_nothing(NOT_WATCHED)
    .ask(Target::instant_named("found", &hit.share_of(hit.plus(read))))
}

fn memory_now() -> Panel {
    Panel::stat(
        5,
        "Host's memory left",
        "What programs could have without swapping. Below 8 %: `docker stats` says who has it.",
    )
    .width(4)
    .unit(Unit::Share)
    .decimals(0)
    .thresholds(Color::Red, &[(HOST_MEMORY_SHARE, Color::Orange), (2.5 * HOST_MEMORY_SHARE, Color::Green)])
    .when_nothing(NOT_WATCHED)
    .ask(Target::instant_named("left", &memory_left()))
}

fn memory_left() -> Vector<Total> {
    select(&NODE_MEMORY_AVAILABLE).now().min().share_of(select(&NODE_MEMORY_TOTAL).now().min())
}

/// Returns the number of processors. Each has one series of idle seconds.
fn processors_there() -> Vector<Total> {
    select(&NODE_CPU).is(Unused::Idle).rate(RATE).count()
}

/// Returns the number of busy processors, by mode.
fn busy() -> Samples<OfProcessor> {
    select(&NODE_CPU).is_none_of(Unused::ALL).rate(RATE)
}

fn idle_now() -> Panel {
    Panel::stat(
        6,
        "Host's processors busy",
        "Near 100 % everything becomes slow at once: see who, with `docker stats`.",
    )
    .width(3)
    .unit(Unit::Share)
    .decimals(0)
    .thresholds(Color::Green, &[(0.7, Color::Orange), (0.9, Color::Red)])
    .when_nothing(NOT_WATCHED)
    .ask(Target::named("busy", &busy().sum().share_of(processors_there())))
}

fn kills_now() -> Panel {
    Panel::stat(
        7,
        "Ended for want of memory",
        "Processes of the host that the kernel ended in the dashboard's range, of any container. The runbook's \
         OutOfMemoryKill says how to find which.",
    )
    .width(3)
    .unit(Unit::Plain)
    .decimals(0)
    .thresholds(Color::Green, &[(0.5, Color::Red)])
    .when_nothing(NOT_WATCHED)
    .ask(Target::instant_named("ended", &select(&NODE_OUT_OF_MEMORY_KILLS).increase(RANGE).max()))
}

fn connections() -> Panel {
    Panel::time_series(
        11,
        "Connections by state",
        "`idle` ones are the pools'. `idle in transaction` for longer than a moment: a program forgot to end one. The \
         line is the limit.",
    )
    .width(8)
    .unit(Unit::Plain)
    .decimals(0)
    .when_nothing(NOT_WATCHED)
    .except(Override::limit("limit"))
    .ask(Target::series(&select(&PG_BACKENDS).now().sum_by::<BackendState, _>().above(0.0)))
    .ask(Target::named("limit", &select(&PG_MAX_CONNECTIONS).now().max()))
}

fn waiting() -> Panel {
    let deadlocks = select(&PG_DEADLOCKS).per_bar().sum();
    Panel::time_series(
        12,
        "Waiting for locks",
        "Connections that wait for a lock that another one holds, and deadlocks. `pg_blocking_pids(pid)` names who \
         holds it.",
    )
    .width(8)
    .unit(Unit::Plain)
    .decimals(0)
    .interval(Period::Minutes(1))
    .when_nothing(NOT_WATCHED)
    .except(Override::color("waiting", Color::Orange))
    .except(Override::color("deadlocks", Color::Red))
    .ask(Target::named("waiting", &select(&PG_BACKENDS).is(Waiting::Lock).now().sum().or_zero()))
    .ask(Target::named("deadlocks", &deadlocks))
}

fn oldest() -> Panel {
    Panel::time_series(
        13,
        "Oldest transaction",
        "A slope is one transaction that stays open: find it with the query in the runbook under \
         PostgresTransactionOld.",
    )
    .width(8)
    .unit(Unit::Seconds)
    .when_nothing(NOT_WATCHED)
    .thresholds(Color::Green, &[(OLD_TRANSACTION.as_secs_f64(), Color::Red)])
    .ask(Target::named("age", &select(&PG_OLDEST_TRANSACTION).now().max()))
}

fn transactions() -> Panel {
    Panel::time_series(
        14,
        "Transactions",
        "How many are committed and rolled back. Many rollbacks beside few commits: requests that fail, or a tool that \
         retries.",
    )
    .width(8)
    .unit(Unit::PerSecond)
    .when_nothing(NOT_WATCHED)
    .except(Override::color("committed", Color::Green))
    .except(Override::color("rolled back", Color::Orange))
    .ask(Target::named("committed", &select(&PG_COMMITS).rate(RATE).sum()))
    .ask(Target::named("rolled back", &select(&PG_ROLLBACKS).rate(RATE).sum()))
}

fn cache() -> Panel {
    let hit = || select(&PG_BLOCKS_HIT).rate(RATE).sum();
    let all = hit().plus(select(&PG_BLOCKS_READ).rate(RATE).sum());
    Panel::time_series(
        15,
        "Found in memory",
        "Falls at a start, and when a query reads a large table. One that stays low: the database has outgrown the \
         memory it has.",
    )
    .width(8)
    .unit(Unit::Share)
    .up_to(1.0)
    .when_nothing(NOT_WATCHED)
    .ask(Target::named("found", &hit().share_of(all)))
}

fn temporary() -> Panel {
    Panel::time_series(
        16,
        "Temporary files",
        "What sorts and joins write because `work_mem` is too small for them. Socialize's own queries need none.",
    )
    .width(8)
    .unit(Unit::BytesPerSecond)
    .when_nothing(NOT_WATCHED)
    .ask(Target::named("written", &select(&PG_TEMPORARY_BYTES).rate(RATE).sum()))
}

fn dead_rows() -> Panel {
    let dead = || select(&PG_DEAD_ROWS).now().max_by::<Table, _>();
    let live = select(&PG_LIVE_ROWS).now().max_by::<Table, _>();
    Panel::time_series(
        17,
        "Dead rows, share of their table",
        "Of the tables with ten thousand and more. They fall when autovacuum comes round; above the line it cannot: \
         see PostgresDeadRows.",
    )
    .width(8)
    .unit(Unit::Share)
    .when_nothing("No table has ten thousand dead rows")
    .thresholds(Color::Green, &[(DEAD_ROW_SHARE, Color::Red)])
    .ask(Target::series(&dead().share_of(dead().plus(live)).and(dead().at_least(FEWEST_DEAD_ROWS))))
}

fn table_sizes() -> Panel {
    Panel::bars(
        18,
        "Largest tables",
        "Without their indexes. A table that grows while its rows do not holds dead ones.",
    )
    .width(8)
    .unit(Unit::Bytes)
    .color(Color::Blue)
    .when_nothing(NOT_WATCHED)
    .ask(Target::instant(&select(&PG_TABLE_SIZE).now().max_by::<Table, _>().largest(TABLES_DRAWN)))
}

fn sizes() -> Panel {
    let databases = select(&PG_DATABASE_SIZE).is_none_of(Maintenance::ALL).now().max_by::<Database, _>();
    Panel::time_series(
        19,
        "Size on disk",
        "Databases and the write-ahead log. A log that only grows is kept by a replication slot that nobody reads.",
    )
    .width(8)
    .unit(Unit::Bytes)
    .when_nothing(NOT_WATCHED)
    .ask(Target::series(&databases))
    .ask(Target::named("write-ahead log", &select(&PG_WAL_SIZE).now().max()))
}

fn locks() -> Panel {
    Panel::time_series(
        20,
        "Locks held",
        "By their strength. `accessexclusivelock` keeps everybody out of a table: a migration, or a vacuum by hand.",
    )
    .width(14)
    .unit(Unit::Plain)
    .decimals(0)
    .stacked()
    .when_nothing(NOT_WATCHED)
    .except(Override::color("accessexclusivelock", Color::Red))
    .ask(Target::series(&select(&PG_LOCKS).now().sum_by::<LockMode, _>().above(0.0)))
}

fn ids() -> Panel {
    Panel::bars(
        21,
        "Age of transaction ids",
        "Transactions since the oldest that is not frozen. Autovacuum begins at 200 million; at two billion nothing \
         can be written.",
    )
    .width(10)
    .unit(Unit::Count)
    .up_to(2.0 * TRANSACTION_ID_AGE)
    .thresholds(Color::Green, &[(TRANSACTION_ID_AGE, Color::Red)])
    .when_nothing(NOT_WATCHED)
    .ask(Target::instant(&select(&PG_TRANSACTION_ID_AGE).now().max_by::<Database, _>()))
}

fn processors() -> Panel {
    Panel::time_series(
        31,
        "Processors by what they do",
        "Of all processors together. `steal` is what other machines of the same hypervisor take; `system` without \
         `user` is the kernel's own work, such as for packets and files.",
    )
    .width(8)
    .unit(Unit::Cpus)
    .stacked()
    .when_nothing(NOT_WATCHED)
    .ask(Target::series(&busy().sum_by::<ProcessorMode, _>().above(0.0)))
}

fn memory() -> Panel {
    Panel::time_series(
        32,
        "Memory",
        "What programs could still have, and all there is. A slope over days is a leak: compare with Memory on the \
         Telemetry dashboard.",
    )
    .width(8)
    .unit(Unit::Bytes)
    .when_nothing(NOT_WATCHED)
    .except(Override::limit("all"))
    .link(Link::dashboard("Memory of the stack", DashboardUid::Telemetry))
    .ask(Target::named("available", &select(&NODE_MEMORY_AVAILABLE).now().min()))
    .ask(Target::named("all", &select(&NODE_MEMORY_TOTAL).now().min()))
}

fn pressure() -> Panel {
    Panel::time_series(
        33,
        "Work that waits",
        "Share of the time in which something could not go on for want of a processor, memory or a disk. The one that \
         is high is what the host has too little of.",
    )
    .width(8)
    .unit(Unit::Share)
    .when_nothing(NOT_WATCHED)
    .ask(Target::named("for a processor", &select(&NODE_CPU_PRESSURE).rate(RATE).max()))
    .ask(Target::named("for memory", &select(&NODE_MEMORY_PRESSURE).rate(RATE).max()))
    .ask(Target::named("for a disk", &select(&NODE_DISK_PRESSURE).rate(RATE).max()))
}

fn load() -> Panel {
    Panel::time_series(
        34,
        "Load",
        "How much runs or wants to run, beside how many processors there are. Above for long: the host is too small, \
         or something spins.",
    )
    .width(8)
    .unit(Unit::Plain)
    .decimals(1)
    .when_nothing(NOT_WATCHED)
    .except(Override::limit("processors"))
    .ask(Target::named("load", &select(&NODE_LOAD).now().max()))
    .ask(Target::named("processors", &processors_there()))
}

fn disks() -> Panel {
    Panel::time_series(
        35,
        "Disks at work",
        "Share of the time in which each disk was busy. At 100 % a spinning disk is at its end; others may do several \
         things at once. How full they are is on the Telemetry dashboard.",
    )
    .width(8)
    .unit(Unit::Share)
    .when_nothing(NOT_WATCHED)
    .link(Link::dashboard("Room left on disks", DashboardUid::Telemetry))
    .ask(Target::series(&select(&NODE_DISK_BUSY).rate(RATE).sum_by::<Device, _>()))
}

fn swap() -> Panel {
    Panel::time_series(
        36,
        "Swapping",
        "Pages written to swap and read from it. More than a few while memory is low: everything waits for the disk.",
    )
    .width(8)
    .unit(Unit::PerSecond)
    .when_nothing(NOT_WATCHED)
    .ask(Target::named("out", &select(&NODE_SWAPPED_OUT).rate(RATE).max()))
    .ask(Target::named("in", &select(&NODE_SWAPPED_IN).rate(RATE).max()))
}
