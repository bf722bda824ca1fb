//! Labels of the exporters' metrics. Most values come from the database or the machine; those that
//! queries select by are closed sets.

use signal::ClosedSet;

use crate::query::{HasLabel, LabelName, Only};

/// No labels that a query uses.
pub enum Whole {}
/// Labels of metrics per database.
pub enum OfDatabase {}
/// Labels of metrics per connection state.
pub enum OfBackends {}
/// Labels of metrics per lock mode.
pub enum OfLocks {}
/// Labels of metrics per table.
pub enum OfTable {}
/// Labels of metrics per processor.
pub enum OfProcessor {}
/// Labels of metrics per disk.
pub enum OfDevice {}

/// Name of a database.
pub enum Database {}

impl LabelName for Database {
    const KEY: &'static str = "datname";
}

impl HasLabel<Database, Only> for OfDatabase {}
impl HasLabel<Database, Only> for OfBackends {}
impl HasLabel<Database, Only> for OfLocks {}

/// Activity of a connection.
pub enum BackendState {}

impl LabelName for BackendState {
    const KEY: &'static str = "state";
}

impl HasLabel<BackendState, Only> for OfBackends {}

/// Strength of a lock.
pub enum LockMode {}

impl LabelName for LockMode {
    const KEY: &'static str = "mode";
}

impl HasLabel<LockMode, Only> for OfLocks {}

/// Name of a table.
pub enum Table {}

impl LabelName for Table {
    const KEY: &'static str = "relname";
}

impl HasLabel<Table, Only> for OfTable {}

/// Activity of a processor.
pub enum ProcessorMode {}

impl LabelName for ProcessorMode {
    const KEY: &'static str = "mode";
}

impl HasLabel<ProcessorMode, Only> for OfProcessor {}

/// Name of a disk.
pub enum Device {}

impl LabelName for Device {
    const KEY: &'static str = "device";
}

impl HasLabel<Device, Only> for OfDevice {}

/// Databases that every server has and the application does not use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet)]
#[label("datname")]
pub enum Maintenance {
    /// The unmodified template.
    Template0,
    /// The template of new databases.
    Template1,
    /// The default database of tools.
    Postgres,
}

impl HasLabel<Maintenance, Only> for OfDatabase {}

/// Event that a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet)]
#[label("wait_event_type")]
pub enum Waiting {
    /// A lock held by another connection.
    #[spelling("Lock")]
    Lock,
}

impl HasLabel<Waiting, Only> for OfBackends {}

/// Modes of a processor without work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet)]
#[label("mode")]
pub enum Unused {
    /// The processor is idle.
    Idle,
    /// The processor is idle until a disk responds.
    #[spelling("iowait")]
    WaitingForDisk,
}

impl HasLabel<Unused, Only> for OfProcessor {}
