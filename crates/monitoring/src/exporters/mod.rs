//! Metrics of Postgres and the host, from two exporters that Alloy contains. Prometheus scrapes
//! them from Alloy.
//!
//! They are typed like those of Socialize. `tests/exporters.rs` compares each name and label with the
//! exporters' real output.

use std::marker::PhantomData;

use signal::metric::{Carrier, IsCounter, IsGauge, MetricDescription, MetricKind, Unit};

mod labels;

use crate::query::{Queried, Source};

pub use labels::{
    BackendState, Database, Device, LockMode, Maintenance, OfBackends, OfDatabase, OfDevice, OfLocks,
    OfProcessor, OfTable, ProcessorMode, Table, Unused, Waiting, Whole,
};

/// A metric of an exporter. Only the database or the machine knows the values of its labels.
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
    /// Returns the declaration without its types.
    pub fn description(&self) -> MetricDescription {
        MetricDescription {
            name: self.name,
            // Not the metric's kind: exporters' names are already Prometheus's, and many of their
            // counters lack `_total`.
            kind: MetricKind::Gauge,
            unit: Unit::Count("{value}"),
            help: self.help,
            question: "Is Postgres or the host the cause?",
            label_keys: &[],
            all_series: None,
            carrier: Carrier::Points,
            bounds: &[],
        }
    }
}

impl<L, K> Queried for ExporterMetric<L, K> {
    type Labels = L;
    type Kind = K;
    const SOURCE: Source = Source::Other;

    fn description(&self) -> MetricDescription {
        self.description()
    }
}

type Gauge<L> = ExporterMetric<L, IsGauge>;
type Counter<L> = ExporterMetric<L, IsCounter>;

/// 1 while the exporter can query Postgres.
pub const PG_UP: Gauge<Whole> = Gauge::new("pg_up", "1 while the exporter can ask Postgres.");
/// Connections by database, state and the event that they wait for.
pub const PG_BACKENDS: Gauge<OfBackends> =
    Gauge::new("pg_stat_activity_count", "Connections by database, state and what they wait for.");
/// Maximum number of connections that Postgres accepts.
pub const PG_MAX_CONNECTIONS: Gauge<Whole> =
    Gauge::new("pg_settings_max_connections", "Connections that Postgres takes at most.");
/// Age of the oldest transaction in seconds.
pub const PG_OLDEST_TRANSACTION: Gauge<Whole> = Gauge::new(
    "pg_long_running_transactions_oldest_timestamp_seconds",
    "Age in seconds of the oldest transaction, despite its name.",
);
/// Granted locks by mode.
pub const PG_LOCKS: Gauge<OfLocks> = Gauge::new("pg_locks_count", "Locks by mode.");
/// Deadlocks that Postgres resolved.
pub const PG_DEADLOCKS: Counter<OfDatabase> = Counter::new(
    "pg_stat_database_deadlocks",
    "Transactions that Postgres ended because they waited for each other.",
);
/// Committed transactions.
pub const PG_COMMITS: Counter<OfDatabase> =
    Counter::new("pg_stat_database_xact_commit", "Transactions that were committed.");
/// Rolled-back transactions.
pub const PG_ROLLBACKS: Counter<OfDatabase> =
    Counter::new("pg_stat_database_xact_rollback", "Transactions that were rolled back.");
/// Blocks that were found in Postgres's cache.
pub const PG_BLOCKS_HIT: Counter<OfDatabase> =
    Counter::new("pg_stat_database_blks_hit", "Blocks that were found in Postgres' own memory.");
/// Blocks that had to be read from outside the cache.
pub const PG_BLOCKS_READ: Counter<OfDatabase> =
    Counter::new("pg_stat_database_blks_read", "Blocks that were read from the system.");
/// Bytes written to temporary files.
pub const PG_TEMPORARY_BYTES: Counter<OfDatabase> =
    Counter::new("pg_stat_database_temp_bytes", "Bytes of sorts and joins that did not fit into memory.");
/// Size of a database in bytes.
pub const PG_DATABASE_SIZE: Gauge<OfDatabase> =
    Gauge::new("pg_database_size_bytes", "Size of a database on disk.");
/// Age of the oldest transaction id, which must not wrap around.
pub const PG_TRANSACTION_ID_AGE: Gauge<OfDatabase> = Gauge::new(
    "pg_database_wraparound_age_datfrozenxid_seconds",
    "Transactions since the oldest one that is not frozen; no seconds, despite its name.",
);
/// Size of the write-ahead log in bytes.
pub const PG_WAL_SIZE: Gauge<Whole> = Gauge::new("pg_wal_size_bytes", "Size of the write-ahead log on disk.");
/// Rows that no transaction can see any more, until they are vacuumed.
pub const PG_DEAD_ROWS: Gauge<OfTable> =
    Gauge::new("pg_stat_user_tables_n_dead_tup", "Rows of a table that nobody can see any more.");
/// Rows that are visible to transactions.
pub const PG_LIVE_ROWS: Gauge<OfTable> =
    Gauge::new("pg_stat_user_tables_n_live_tup", "Rows of a table that somebody can see.");
/// Size of a table in bytes, without its indexes.
pub const PG_TABLE_SIZE: Gauge<OfTable> =
    Gauge::new("pg_stat_user_tables_table_size_bytes", "Size of a table on disk, without its indexes.");

/// Processor time in seconds, by mode.
pub const NODE_CPU: Counter<OfProcessor> =
    Counter::new("node_cpu_seconds_total", "Seconds of each processor by what it did.");
/// Memory in bytes that programs can still allocate.
pub const NODE_MEMORY_AVAILABLE: Gauge<Whole> =
    Gauge::new("node_memory_MemAvailable_bytes", "Memory that programs could have without swapping.");
/// Memory of the machine in bytes.
pub const NODE_MEMORY_TOTAL: Gauge<Whole> = Gauge::new("node_memory_MemTotal_bytes", "Memory of the host.");
/// Processes that the kernel killed for lack of memory.
pub const NODE_OUT_OF_MEMORY_KILLS: Counter<Whole> = Counter::new(
    "node_vmstat_oom_kill",
    "Processes that the kernel ended for want of memory, of the host or of a container.",
);
/// Pages written to swap.
pub const NODE_SWAPPED_OUT: Counter<Whole> = Counter::new("node_vmstat_pswpout", "Pages written to swap.");
/// Pages read from swap.
pub const NODE_SWAPPED_IN: Counter<Whole> = Counter::new("node_vmstat_pswpin", "Pages read from swap.");
/// Seconds in which work waited for a processor.
pub const NODE_CPU_PRESSURE: Counter<Whole> = Counter::new(
    "node_pressure_cpu_waiting_seconds_total",
    "Seconds in which something waited for a processor.",
);
/// Seconds in which work waited for memory.
pub const NODE_MEMORY_PRESSURE: Counter<Whole> = Counter::new(
    "node_pressure_memory_waiting_seconds_total",
    "Seconds in which something waited for memory.",
);
/// Seconds in which work waited for a disk.
pub const NODE_DISK_PRESSURE: Counter<Whole> =
    Counter::new("node_pressure_io_waiting_seconds_total", "Seconds in which something waited for a disk.");
/// Load average of five minutes.
pub const NODE_LOAD: Gauge<Whole> = Gauge::new("node_load5", "Load of the last five minutes.");
/// Seconds in which a disk was busy.
pub const NODE_DISK_BUSY: Counter<OfDevice> =
    Counter::new("node_disk_io_time_seconds_total", "Seconds in which a disk was at work.");

/// Collectors of the Postgres exporter that produce the metrics above, by their names in Alloy.
pub const POSTGRES_COLLECTORS: &[&str] = &[
    "database",
    "database_wraparound",
    "locks",
    "long_running_transactions",
    "stat_database",
    "stat_user_tables",
    "wal",
];

/// Collectors of the host exporter. They need only `/proc`, which every container has.
pub const HOST_COLLECTORS: &[&str] = &["cpu", "diskstats", "loadavg", "meminfo", "pressure", "vmstat"];

/// Returns the metrics of the Postgres exporter that queries use.
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

/// Returns the metrics of the host exporter that queries use.
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
