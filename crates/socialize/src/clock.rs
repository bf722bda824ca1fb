//! The time, passed in so that tests can set it.
//!
//! What several machines must agree on (leases, due times, periodic jobs) is decided by the clock of the database, because
//! the clocks of machines differ. Statements that need it are given [`Clock::for_database`].

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

/// Tells what time it is.
#[derive(Clone, Default)]
pub struct Clock {
    source: Source,
}

#[derive(Clone, Default)]
enum Source {
    /// The system's clock.
    #[default]
    System,
    /// The system's clock of a machine on which it is wrong by this much.
    Wrong(TimeDelta),
    /// A clock that stands still.
    Fixed(Arc<Mutex<DateTime<Utc>>>),
}

impl Clock {
    /// A clock that stands still until it is advanced. The database's stands still with it.
    pub fn fixed(now: DateTime<Utc>) -> Self {
        Self { source: Source::Fixed(Arc::new(Mutex::new(now))) }
    }

    /// The clock of a machine on which it is wrong by this much. The database's is right.
    pub fn wrong_by(difference: TimeDelta) -> Self {
        Self { source: Source::Wrong(difference) }
    }

    /// The present, in microseconds as Postgres keeps it, so that a value written equals the value read.
    pub fn now(&self) -> DateTime<Utc> {
        let now = match &self.source {
            Source::System => system_time(),
            Source::Wrong(difference) => system_time() + *difference,
            Source::Fixed(fixed) => *fixed.lock().unwrap_or_else(PoisonError::into_inner),
        };
        DateTime::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now)
    }

    /// What a statement uses as the present: `coalesce($1, statement_timestamp())`. Only a fixed clock overrides that of the
    /// database.
    pub fn for_database(&self) -> Option<DateTime<Utc>> {
        matches!(self.source, Source::Fixed(_)).then(|| self.now())
    }

    /// Moves a fixed clock forward; the system's clock is left alone.
    pub fn advance(&self, by: TimeDelta) {
        if let Source::Fixed(fixed) = &self.source {
            *fixed.lock().unwrap_or_else(PoisonError::into_inner) += by;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where the system's clock is read")]
fn system_time() -> DateTime<Utc> {
    Utc::now()
}
