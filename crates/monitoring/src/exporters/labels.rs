//! The labels of the exporters' metrics. Their values are the database's and the machine's; those that queries choose by are closed sets.

use strum::{IntoStaticStr, VariantArray};
use telemetry::ClosedSet;
use telemetry::catalogue::Label;

use crate::query::{HasLabel, LabelName, Only};

/// No labels that a query asks for.
pub enum Whole {}
/// The labels of what there is for each database.
pub enum OfDatabase {}
/// The labels of connections.
pub enum OfBackends {}
/// The labels of locks.
pub enum OfLocks {}
/// The labels of what there is for each table.
pub enum OfTable {}
/// The labels of processors.
pub enum OfProcessor {}
/// The labels of disks.
pub enum OfDevice {}

/// A database.
pub enum Database {}

impl LabelName for Database {
    const KEY: &'static str = "datname";
}

impl HasLabel<Database, Only> for OfDatabase {}
impl HasLabel<Database, Only> for OfBackends {}
impl HasLabel<Database, Only> for OfLocks {}

/// What a connection is doing.
pub enum BackendState {}

impl LabelName for BackendState {
    const KEY: &'static str = "state";
}

impl HasLabel<BackendState, Only> for OfBackends {}

/// How strong a lock is.
pub enum LockMode {}

impl LabelName for LockMode {
    const KEY: &'static str = "mode";
}

impl HasLabel<LockMode, Only> for OfLocks {}

/// A table.
pub enum Table {}

impl LabelName for Table {
    const KEY: &'static str = "relname";
}

impl HasLabel<Table, Only> for OfTable {}

/// What a processor is doing.
pub enum ProcessorMode {}

impl LabelName for ProcessorMode {
    const KEY: &'static str = "mode";
}

impl HasLabel<ProcessorMode, Only> for OfProcessor {}

/// A disk.
pub enum Device {}

impl LabelName for Device {
    const KEY: &'static str = "device";
}

impl HasLabel<Device, Only> for OfDevice {}

/// Databases that every server has and nobody uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
pub enum Maintenance {
    /// The pristine template.
    #[strum(serialize = "template0")]
    Template0,
    /// The template of new databases.
    #[strum(serialize = "template1")]
    Template1,
    /// Where tools connect to first.
    #[strum(serialize = "postgres")]
    Postgres,
}

impl ClosedSet for Maintenance {
    const ALL: &'static [Self] = Self::VARIANTS;
    fn as_str(self) -> &'static str {
        self.into()
    }
    fn index(self) -> usize {
        self as usize
    }
}

impl Label for Maintenance {
    const KEY: &'static str = "datname";
}

impl HasLabel<Maintenance, Only> for OfDatabase {}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
pub enum Waiting {
    /// A lock that another connection holds.
    #[strum(serialize = "Lock")]
    Lock,
}

impl ClosedSet for Waiting {
    const ALL: &'static [Self] = Self::VARIANTS;
    fn as_str(self) -> &'static str {
        self.into()
    }
    fn index(self) -> usize {
        self as usize
    }
}

impl Label for Waiting {
    const KEY: &'static str = "wait_event_type";
}

impl HasLabel<Waiting, Only> for OfBackends {}

/// A processor without work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
pub enum Unused {
    /// Nothing to do.
    #[strum(serialize = "idle")]
    Idle,
    /// Nothing to do but wait for a disk.
    #[strum(serialize = "iowait")]
    WaitingForDisk,
}

impl ClosedSet for Unused {
    const ALL: &'static [Self] = Self::VARIANTS;
    fn as_str(self) -> &'static str {
        self.into()
    }
    fn index(self) -> usize {
        self as usize
    }
}

impl Label for Unused {
    const KEY: &'static str = "mode";
}

impl HasLabel<Unused, Only> for OfProcessor {}
