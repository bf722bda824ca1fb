//! What Postgres and the host say about themselves: the metrics of two exporters that Alloy ships, and that Prometheus scrapes from it.
//!
//! They are typed like our own. `tests/exporters.rs` compares each name and label with what the exporters really show.

use std::marker::PhantomData;

use telemetry::catalogue::{IsCounter, IsGauge, MetricDescription, MetricKind, Unit};

mod labels;

pub use labels::{
    BackendState, Database, Device, LockMode, Maintenance, OfBackends, OfDatabase, OfDevice, OfLocks,
    OfProcessor, OfTable, ProcessorMode, Table, Unused, Waiting, Whole,
};

/// A metric of an exporter, whose labels have values that only the database or the machine knows.
pub struct ExporterMetric<L, K> {
    name: &'static str,
    help: &'static str,
    types: PhantomData<fn(L, K)>,
}

impl<L, K> ExporterMetric<L, K> {
    const fn new(name: &'static str, help: &'static str) -> Self {
        Self { name, help, types: PhantomData }
    }
}

impl<L, K> ExporterMetric<L, K> {
    /// The declaration without its types.
    pub fn description(&self) -> MetricDescription {
        MetricDescription {
            name: self.name,
            // Not that of the metric: the names of exporters are Prometheus' already, and many of their counters have no `_total`.
            kind: MetricKind::Gauge,
            unit: Unit::Count("{value}"),
            help: self.help,
            question: "Is Postgres or the host the cause?",
            label_keys: &[],
            all_series: None,
            bounds: &[],
        }
    }
}

type Gauge<L> = ExporterMetric<L, IsGauge>;
type Counter<L> = ExporterMetric<L, IsCounter>;

/// 1 while the exporter can ask Postgres.
pub const PG_UP: Gauge<Whole> = Gauge::new("pg_up", "1 while the exporter can ask Postgres.");
/// Connections.
pub const PG_BACKENDS: Gauge<OfBackends> =
    Gauge::new("pg_stat_activity_count", "Connections by database, state and what they wait for.");
/// How many connections there may be.
pub const PG_MAX_CONNECTIONS: Gauge<Whole> =
    Gauge::new("pg_settings_max_connections", "Connections that Postgres takes at most.");
/// The age of the oldest transaction.
pub const PG_OLDEST_TRANSACTION: Gauge<Whole> = Gauge::new(
    "pg_long_running_transactions_oldest_timestamp_seconds",
    "Age in seconds of the oldest transaction, despite its name.",
);
/// Locks that are held.
pub const PG_LOCKS: Gauge<OfLocks> = Gauge::new("pg_locks_count", "Locks by mode.");
/// Deadlocks.
pub const PG_DEADLOCKS: Counter<OfDatabase> = Counter::new(
    "pg_stat_database_deadlocks",
    "Transactions that Postgres ended because they waited for each other.",
);
/// Transactions that were committed.
pub const PG_COMMITS: Counter<OfDatabase> =
    Counter::new("pg_stat_database_xact_commit", "Transactions that were committed.");
/// Transactions that were rolled back.
pub const PG_ROLLBACKS: Counter<OfDatabase> =
    Counter::new("pg_stat_database_xact_rollback", "Transactions that were rolled back.");
/// Blocks that were in memory.
pub const PG_BLOCKS_HIT: Counter<OfDatabase> =
    Counter::new("pg_stat_database_blks_hit", "Blocks that were found in Postgres' own memory.");
/// Blocks that were not.
pub const PG_BLOCKS_READ: Counter<OfDatabase> =
    Counter::new("pg_stat_database_blks_read", "Blocks that were read from the system.");
/// Bytes of temporary files.
pub const PG_TEMPORARY_BYTES: Counter<OfDatabase> =
    Counter::new("pg_stat_database_temp_bytes", "Bytes of sorts and joins that did not fit into memory.");
/// The size of a database.
pub const PG_DATABASE_SIZE: Gauge<OfDatabase> =
    Gauge::new("pg_database_size_bytes", "Size of a database on disk.");
/// The age of the oldest transaction id.
pub const PG_TRANSACTION_ID_AGE: Gauge<OfDatabase> = Gauge::new(
    "pg_database_wraparound_age_datfrozenxid_seconds",
    "Transactions since the oldest one that is not frozen; no seconds, despite its name.",
);
/// The size of the write-ahead log.
pub const PG_WAL_SIZE: Gauge<Whole> = Gauge::new("pg_wal_size_bytes", "Size of the write-ahead log on disk.");
/// Rows that nobody can see any more.
pub const PG_DEAD_ROWS: Gauge<OfTable> =
    Gauge::new("pg_stat_user_tables_n_dead_tup", "Rows of a table that nobody can see any more.");
/// Rows that somebody can see.
pub const PG_LIVE_ROWS: Gauge<OfTable> =
    Gauge::new("pg_stat_user_tables_n_live_tup", "Rows of a table that somebody can see.");
/// The size of a table.
pub const PG_TABLE_SIZE: Gauge<OfTable> =
    Gauge::new("pg_stat_user_tables_table_size_bytes", "Size of a table on disk, without its indexes.");

/// Time of processors.
pub const NODE_CPU: Counter<OfProcessor> =
    Counter::new("node_cpu_seconds_total", "Seconds of each processor by what it did.");
/// Memory that programs can have.
pub const NODE_MEMORY_AVAILABLE: Gauge<Whole> =
    Gauge::new("node_memory_MemAvailable_bytes", "Memory that programs could have without swapping.");
/// All memory.
pub const NODE_MEMORY_TOTAL: Gauge<Whole> = Gauge::new("node_memory_MemTotal_bytes", "Memory of the host.");
/// Processes that the kernel ended.
pub const NODE_OUT_OF_MEMORY_KILLS: Counter<Whole> = Counter::new(
    "node_vmstat_oom_kill",
    "Processes that the kernel ended for want of memory, of the host or of a container.",
);
/// Pages written to swap.
pub const NODE_SWAPPED_OUT: Counter<Whole> = Counter::new("node_vmstat_pswpout", "Pages written to swap.");
/// Pages read from swap.
pub const NODE_SWAPPED_IN: Counter<Whole> = Counter::new("node_vmstat_pswpin", "Pages read from swap.");
/// How long work waited for a processor.
pub const NODE_CPU_PRESSURE: Counter<Whole> = Counter::new(
    "node_pressure_cpu_waiting_seconds_total",
    "Seconds in which something waited for a processor.",
);
/// How long work waited for memory.
pub const NODE_MEMORY_PRESSURE: Counter<Whole> = Counter::new(
    "node_pressure_memory_waiting_seconds_total",
    "Seconds in which something waited for memory.",
);
/// How long work waited for a disk.
pub const NODE_DISK_PRESSURE: Counter<Whole> =
    Counter::new("node_pressure_io_waiting_seconds_total", "Seconds in which something waited for a disk.");
/// The load.
pub const NODE_LOAD: Gauge<Whole> = Gauge::new("node_load5", "Load of the last five minutes.");
/// How busy a disk is.
pub const NODE_DISK_BUSY: Counter<OfDevice> =
    Counter::new("node_disk_io_time_seconds_total", "Seconds in which a disk was at work.");

/// The collectors of the exporter of Postgres that make the metrics above, by the names that Alloy knows.
pub const POSTGRES_COLLECTORS: &[&str] = &[
    "database",
    "database_wraparound",
    "locks",
    "long_running_transactions",
    "stat_database",
    "stat_user_tables",
    "wal",
];

/// The collectors of the exporter of the host. None needs more than `/proc` as every container has it.
pub const HOST_COLLECTORS: &[&str] = &["cpu", "diskstats", "loadavg", "meminfo", "pressure", "vmstat"];

/// The names of all metrics of Postgres.
pub fn postgres() -> Vec<MetricDescription> {
    vec![
        PG_UP.description(),
        PG_BACKENDS.description(),
        PG_MAX_CONNECTIONS.description(),
        PG_OLDEST_TRANSACTION.description(),
        PG_LOCKS.description(),
        PG_DEADLOCKS.description(),
        PG_COMMITS.description(),
        PG_ROLLBACKS.description(),
        PG_BLOCKS_HIT.description(),
        PG_BLOCKS_READ.description(),
        PG_TEMPORARY_BYTES.description(),
        PG_DATABASE_SIZE.description(),
        PG_TRANSACTION_ID_AGE.description(),
        PG_WAL_SIZE.description(),
        PG_DEAD_ROWS.description(),
        PG_LIVE_ROWS.description(),
        PG_TABLE_SIZE.description(),
    ]
}

/// The names of all metrics of the host.
pub fn host() -> Vec<MetricDescription> {
    vec![
        NODE_CPU.description(),
        NODE_MEMORY_AVAILABLE.description(),
        NODE_MEMORY_TOTAL.description(),
        NODE_OUT_OF_MEMORY_KILLS.description(),
        NODE_SWAPPED_OUT.description(),
        NODE_SWAPPED_IN.description(),
        NODE_CPU_PRESSURE.description(),
        NODE_MEMORY_PRESSURE.description(),
        NODE_DISK_PRESSURE.description(),
        NODE_LOAD.description(),
        NODE_DISK_BUSY.description(),
    ]
}
