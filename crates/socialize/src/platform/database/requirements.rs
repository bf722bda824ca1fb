//! Requirements on the database, checked by `serve` and `work` until they are met.
//!
//! A process on an unsuitable database does not become ready, and prints the same as `socialize doctor`. A
//! process that was ready stays ready, because later failures have their own signals.

use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};

use super::facts;
use crate::platform::finding::Finding;

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

    /// Returns the missing requirements, in the words of `doctor`.
    pub(crate) fn missing(&self) -> Vec<Finding> {
        self.lock().findings.clone()
    }

    /// Opens a session for a health check. Returns `None` if the database is not suitable.
    ///
    /// # Errors
    /// Returns an error if the database does not respond.
    pub(crate) async fn session(&self, options: &PgConnectOptions) -> sqlx::Result<Option<PgConnection>> {
        if !self.are_met() {
            let looked = facts::look(options).await?;
            let (session, missing) = match looked {
                Ok((session, facts)) => (Some(session), facts.missing()),
                Err(pooler) => (None, vec![pooler]),
            };
            self.keep(missing);
            return Ok(session.filter(|_| self.are_met()));
        }
        let mut session = PgConnection::connect_with(options).await?;
        if !self.missing().is_empty() {
            // It is ready without this, so a failure here must not count against the database.
            if let Ok(facts) = facts::ask(&mut session).await {
                self.keep(facts.missing());
            }
        }
        Ok(Some(session))
    }

    /// Announces changes.
    fn keep(&self, missing: Vec<Finding>) {
        let mut known = self.lock();
        let news: Vec<Finding> =
            missing.iter().filter(|finding| !known.findings.contains(finding)).cloned().collect();
        known.are_met |= !missing.iter().any(Finding::is_failure);
        known.findings = missing;
        drop(known);
        for finding in news {
            tracing::event!(name: "database.requirement_missing", tracing::Level::WARN, requirement = finding.check());
            announce(finding);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Prints cause and remedy for the operator who starts the process. Log lines contain no prose, so they cannot
/// say it.
pub(crate) fn announce(finding: Finding) {
    // On a separate thread, because a write to standard error may block.
    tokio::task::spawn_blocking(move || {
        let _ = writeln!(std::io::stderr(), "{}: {}", finding.check(), finding.sentence());
    });
}
