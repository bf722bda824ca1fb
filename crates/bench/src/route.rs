//! The measured routes and kinds of work.

use clap::ValueEnum;

use crate::variant::Variant;

/// The work that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Route {
    /// A handler that returns a constant as JSON.
    NoOpJson,
    /// A handler that reads one row by its primary key.
    Select,
    /// A handler that returns 404.
    Error,
    /// A job run without work.
    Job,
    /// The record of a database operation within a job.
    DatabaseOperation,
    /// The record of an outgoing call within a job.
    OutboundCall,
}

impl Route {
    pub(crate) const ALL: &'static [Self] =
        &[Self::NoOpJson, Self::Select, Self::Error, Self::Job, Self::DatabaseOperation, Self::OutboundCall];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NoOpJson => "no_op_json",
            Self::Select => "select",
            Self::Error => "error",
            Self::Job => "job",
            Self::DatabaseOperation => "database_operation",
            Self::OutboundCall => "outbound_call",
        }
    }

    /// Returns the variants with which the route is measured.
    pub(crate) fn variants(self) -> &'static [Variant] {
        match self {
            Self::NoOpJson => Variant::ALL,
            // A line for each closed span would include one for the statement.
            Self::Select => Variant::WITH_CHILDREN,
            Self::Error => Variant::OWN,
            Self::Job | Self::DatabaseOperation | Self::OutboundCall => Variant::OF_CHILDREN,
        }
    }

    /// Returns whether the route uses the database. Its instructions then depend on how the
    /// server's responses are split into packets.
    pub(crate) fn needs_database(self) -> bool {
        self == Self::Select
    }
}
