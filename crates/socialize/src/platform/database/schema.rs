//! Compares the database's schema with that of this version.
//!
//! An upgrade migrates the database while processes of the previous version still serve, which migrations
//! allow. So a process that has seen its own schema stays ready when the database becomes newer. A process
//! that starts on a newer database is not ready unless its operator allows it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlx::PgConnection;
use telemetry::{ClosedSet, ErrorType};

use super::DatabaseError;
use super::migrations::migrator;
use super::requirements;
use crate::platform::finding::Finding;

/// Name of the check, in reports of `doctor` and on the operations listener.
pub(crate) const CHECK: &str = "migrations";

/// Result of a comparison.
pub(crate) struct Found {
    pub(crate) finding: Finding,
    state: State,
    applied: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Right,
    /// All migrations of this version are applied, and newer ones.
    Newer,
    Wrong,
}

/// Latest knowledge about the schema. Clones share it.
#[derive(Clone)]
pub struct Schema {
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    /// `None` before the first query.
    finding: Option<Finding>,
    is_accepted: bool,
    /// This version can use a newer database.
    may_be_newer: bool,
}

impl Schema {
    /// A schema that has not been read yet. `may_be_newer` allows a newer one.
    pub(crate) fn unknown(may_be_newer: bool) -> Self {
        let known = Known { may_be_newer, ..Known::default() };
        Self { known: Arc::new(Mutex::new(known)) }
    }

    /// A schema accepted without a query, for tests that migrate themselves.
    pub fn accepted() -> Self {
        let known = Known { finding: None, is_accepted: true, may_be_newer: true };
        Self { known: Arc::new(Mutex::new(known)) }
    }

    /// Returns whether requests can be served with the last known schema.
    pub fn is_accepted(&self) -> bool {
        self.lock().is_accepted
    }

    /// Returns the last known state, as `doctor` reports it.
    pub(crate) fn finding(&self) -> Option<Finding> {
        self.lock().finding.clone()
    }

    /// Reads the schema and logs changes.
    ///
    /// # Errors
    /// Returns an error if the database does not respond.
    pub(crate) async fn refresh(&self, connection: &mut PgConnection) -> Result<(), ErrorType> {
        let read = applied(connection).await.map_err(|error| DatabaseError::from(error).error_type);
        let Found { finding, state, applied } = match read {
            Ok(applied) => compare(&applied, None),
            // `doctor` reports a role that may not read it; here the schema is assumed to be right.
            Err(error_type @ ErrorType::PermissionDenied) => {
                Found { finding: unreadable(error_type).softened(), state: State::Right, applied: 0 }
            }
            Err(error_type) => return Err(error_type),
        };
        let mut known = self.lock();
        let is_new = known.finding.is_none();
        let was_accepted = known.is_accepted;
        known.may_be_newer |= state == State::Right;
        known.is_accepted = state == State::Right || (state == State::Newer && known.may_be_newer);
        let finding = if known.is_accepted { finding.softened() } else { finding };
        let is_accepted = known.is_accepted;
        known.finding = Some(finding.clone());
        drop(known);
        match (was_accepted, is_accepted) {
            (true, false) | (false, false) if was_accepted || is_new => {
                tracing::event!(name: "database.schema_refused", tracing::Level::WARN, migrations.applied = applied);
                requirements::announce(finding);
            }
            (false, true) if !is_new => {
                tracing::event!(name: "database.schema_accepted", tracing::Level::INFO, migrations.applied = applied);
            }
            _ => {}
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An applied migration: version, success, checksum.
type Applied = (i64, bool, Vec<u8>);

/// Reads the applied migrations.
pub(crate) async fn applied(connection: &mut PgConnection) -> sqlx::Result<Vec<Applied>> {
    let has_table = sqlx::query_scalar("select to_regclass('_sqlx_migrations') is not null");
    if !has_table.fetch_one(&mut *connection).await? {
        return Ok(Vec::new());
    }
    sqlx::query_as("select version, success, checksum from _sqlx_migrations order by version")
        .fetch_all(connection)
        .await
}

/// Reports that the table of migrations cannot be read.
pub(crate) fn unreadable(error_type: ErrorType) -> Finding {
    let detail = format!("the table of migrations cannot be read: {}", error_type.as_str());
    let remedy = "run as the owner of the tables: `grant select on _sqlx_migrations to` the role of \
                  SOCIALIZE_DATABASE_URL";
    Finding::failed(CHECK, detail, remedy)
}

/// Compares the database's migrations with those of this version. `obstacle` is the reason why the role
/// cannot migrate.
pub(crate) fn compare(applied: &[Applied], obstacle: Option<&Finding>) -> Found {
    let ours = migrator();
    let find = |version: i64| applied.iter().find(|(applied, ..)| *applied == version);
    let found = |state, detail: String, remedy: &str| Found {
        finding: Finding::failed(CHECK, detail, remedy),
        state,
        applied: applied.len(),
    };
    if let Some((version, ..)) = applied.iter().find(|(_, success, _)| !success) {
        let detail = format!("migration {version} was begun and has not ended");
        return found(State::Wrong, detail, "restore the database from its backup and migrate again");
    }
    let changed = ours.iter().find(|migration| {
        find(migration.version).is_some_and(|(_, _, checksum)| *checksum != *migration.checksum)
    });
    if let Some(migration) = changed {
        let detail = format!("migration {} was another one when it was applied", migration.version);
        return found(State::Wrong, detail, "run the version of Socialize that migrated it");
    }
    let missing = ours.iter().filter(|migration| find(migration.version).is_none()).count();
    if let Some((version, ..)) = applied.iter().find(|(version, ..)| !ours.version_exists(*version)) {
        let state = if missing == 0 { State::Newer } else { State::Wrong };
        let detail = format!("the database has migration {version}, which this version does not know");
        return found(state, detail, "run the version of Socialize that migrated it, or a newer one");
    }
    if missing > 0 {
        let detail = format!("{} applied, {missing} missing", applied.len());
        let remedy = match obstacle {
            None => "run `socialize migrate`".to_owned(),
            Some(obstacle) => {
                format!("run `socialize migrate` with another role, for {}", obstacle.sentence())
            }
        };
        return found(State::Wrong, detail, &remedy);
    }
    let finding = Finding::ok(CHECK, format!("all {} applied", applied.len()));
    Found { finding, state: State::Right, applied: applied.len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(applied: &[(i64, bool, Vec<u8>)]) -> String {
        compare(applied, None).finding.text()
    }

    fn all() -> Vec<(i64, bool, Vec<u8>)> {
        migrator().iter().map(|m| (m.version, true, m.checksum.to_vec())).collect()
    }

    #[test]
    fn migrations_are_compared_by_version_and_content() {
        assert!(verdict(&all()).starts_with("ok"), "{}", verdict(&all()));
        assert!(verdict(&[]).contains("0 applied"), "{}", verdict(&[]));

        let mut unfinished = all();
        unfinished[0].1 = false;
        assert!(verdict(&unfinished).contains("has not ended"));
        let mut changed = all();
        changed[1].2 = vec![0];
        assert!(verdict(&changed).contains("another one"));
        let mut newer = all();
        newer.push((9_999, true, Vec::new()));
        assert!(verdict(&newer).contains("9999"));
        assert!(compare(&newer, None).state == State::Newer);
        newer.remove(0);
        assert!(compare(&newer, None).state == State::Wrong, "something is missing as well");
    }
}
