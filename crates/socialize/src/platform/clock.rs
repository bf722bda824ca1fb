//! The clock, injected so that tests can set it.
//!
//! Machines' clocks differ, so the database's clock is used where several machines must agree: leases, due
//! times, periodic jobs. Statements that need the time take [`Clock::for_database`].

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

#[derive(Clone, Default)]
pub struct Clock {
    source: Source,
}

#[derive(Clone, Default)]
enum Source {
    #[default]
    System,
    /// A system clock that is off by this much.
    Wrong(TimeDelta),
    /// A clock that stands still.
    Fixed(Arc<Mutex<DateTime<Utc>>>),
}

impl Clock {
    /// Creates a clock that stands still until it is advanced, for the database as well.
    pub fn fixed(now: DateTime<Utc>) -> Self {
        Self { source: Source::Fixed(Arc::new(Mutex::new(now))) }
    }

    /// Creates the clock of a machine whose system clock is off by this much. The database's clock is right.
    pub fn wrong_by(difference: TimeDelta) -> Self {
        Self { source: Source::Wrong(difference) }
    }

    /// Returns the current time in microseconds, the resolution of Postgres, so that a value read equals the
    /// value written.
    pub fn now(&self) -> DateTime<Utc> {
        let now = match &self.source {
            Source::System => system_time(),
            Source::Wrong(difference) => system_time() + *difference,
            Source::Fixed(fixed) => *fixed.lock().unwrap_or_else(PoisonError::into_inner),
        };
        DateTime::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now)
    }

    /// Returns the parameter of `coalesce($1, statement_timestamp())`. Only a fixed clock overrides the
    /// database's clock.
    pub fn for_database(&self) -> Option<DateTime<Utc>> {
        matches!(self.source, Source::Fixed(_)).then(|| self.now())
    }

    /// Advances a fixed clock; the system clock is left alone.
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
