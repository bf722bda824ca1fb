//! The migrations of this version.

use sqlx::migrate::Migrator;

/// The migrations of this version.
pub(crate) fn migrator() -> Migrator {
    sqlx::migrate!()
}
