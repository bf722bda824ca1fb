//! Requirements on the database, checked by `serve` and `work` until they are met.
//!
//! A process on a database that is not suitable does not become ready, and tells its operator on standard error what `socialize doctor`
//! would. Once the requirements were met they are not checked again: what fails later has signals of its own.

use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlx::postgres::PgConnectOptions;
use telemetry::ErrorType;

use crate::database::DatabaseError;
use crate::doctor::{Finding, requirements};

/// Latest knowledge about the requirements. Clones share it.
#[derive(Clone)]
pub struct Requirements {
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    findings: Vec<Finding>,
    are_met: bool,
}

impl Requirements {
    /// Requirements that were not checked yet.
    pub(crate) fn unknown() -> Self {
        Self { known: Arc::default() }
    }

    /// Requirements that are met without a check, for tests that make their database by themselves.
    pub fn met() -> Self {
        Self { known: Arc::new(Mutex::new(Known { findings: Vec::new(), are_met: true })) }
    }

    /// Returns whether requests can be served.
    pub fn are_met(&self) -> bool {
        self.lock().are_met
    }

    /// Returns what is missing, as `doctor` reports it.
    pub(crate) fn missing(&self) -> Vec<Finding> {
        self.lock().findings.clone()
    }

    /// Checks what was missing last time, and announces what is news.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn refresh(&self, options: &PgConnectOptions) -> Result<(), ErrorType> {
        if self.are_met() && self.missing().is_empty() {
            return Ok(());
        }
        let found = requirements::check(options).await;
        let found = found.map_err(|error| DatabaseError::from(error).error_type)?;
        let missing: Vec<Finding> = found.into_iter().filter(|finding| !finding.is_ok()).collect();
        let mut known = self.lock();
        for finding in missing.iter().filter(|finding| !known.findings.contains(finding)) {
            tracing::event!(name: "database.requirement_missing", tracing::Level::WARN, requirement = finding.check());
            announce(finding);
        }
        known.are_met |= !missing.iter().any(Finding::is_failure);
        known.findings = missing;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Prints cause and remedy for the operator who starts the process. Log lines contain no prose, so they cannot say it.
pub(crate) fn announce(finding: &Finding) {
    // Where standard error is closed nobody is left to be told.
    let _ = writeln!(std::io::stderr(), "{}: {}", finding.check(), finding.sentence());
}
