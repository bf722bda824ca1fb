//! Platform operators, who triage feedback reports. They are made on the machine that Socialize runs on, never by a request.

use domain::database_operation::DatabaseOperation;
use domain::ids::UserId;

use crate::database::{Database, DatabaseError};
use crate::text::EmailAddress;

/// Why somebody was not made an operator.
#[derive(Debug, thiserror::Error)]
pub enum AddOperatorError {
    /// It is no e-mail address.
    #[error("the operator {0}")]
    InvalidAddress(String),
    /// Nobody has registered it.
    #[error("no user has this e-mail address: register with it first")]
    UnknownUser,
    /// The address might belong to somebody else.
    #[error("this user has not confirmed the e-mail address: open the link in the e-mail first")]
    NotVerified,
    /// The database failed.
    #[error(transparent)]
    Database(DatabaseError),
}

impl From<DatabaseError> for AddOperatorError {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

/// Makes an existing user, whose address is confirmed, a platform operator. For somebody who is one already, nothing changes.
///
/// # Errors
/// Says what must be done first.
pub async fn add(database: &Database, email: &str) -> Result<UserId, AddOperatorError> {
    let email = EmailAddress::parse(email).map_err(AddOperatorError::InvalidAddress)?;
    let mut connection = database.acquire().await?;
    let added: Option<UserId> = database
        .run(
            DatabaseOperation::UpdateUserOperator,
            sqlx::query_scalar(
                "update users set is_operator = true where email = $1 and email_verified_at is not null returning id",
            )
            .bind(email.as_str())
            .fetch_optional(&mut *connection),
        )
        .await?;
    if let Some(user_id) = added {
        return Ok(user_id);
    }
    let waits: bool = database
        .run(
            DatabaseOperation::FindPendingRegistration,
            sqlx::query_scalar("select exists (select from pending_registrations where email = $1)")
                .bind(email.as_str())
                .fetch_one(&mut *connection),
        )
        .await?;
    Err(if waits { AddOperatorError::NotVerified } else { AddOperatorError::UnknownUser })
}
