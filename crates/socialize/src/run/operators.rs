//! Platform operators, who triage feedback reports. They are managed on the server's command line, never by a
//! request.

use catalogue::database_operation::DatabaseOperation;
use chrono::{DateTime, Utc};
use domain::audit::AuditAction;
use domain::ids::UserId;
use sqlx::PgConnection;

use crate::features::audit;
use crate::platform::database::{self, Database, DatabaseError};
use crate::platform::text::EmailAddress;

/// Reasons why an operator was not added or removed.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    #[error("the operator {0}")]
    InvalidAddress(String),
    /// No account has this address.
    #[error("no user has this e-mail address: register with it first")]
    UnknownUser,
    /// The address is unverified and might belong to somebody else.
    #[error("this user has not confirmed the e-mail address: open the link in the e-mail first")]
    NotVerified,
    /// The user is not an operator.
    #[error("no operator has this e-mail address: `socialize operator list` shows all of them")]
    NoOperator,
    #[error(transparent)]
    Database(DatabaseError),
}

impl From<DatabaseError> for OperatorError {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

#[derive(sqlx::FromRow)]
pub struct Operator {
    pub id: UserId,
    pub email: String,
    /// Time of the appointment, if known.
    pub since: Option<DateTime<Utc>>,
}

/// Makes an existing user with a verified address a platform operator. Idempotent.
///
/// # Errors
/// Returns an error if the address is invalid, unknown or unverified, or the database fails.
pub async fn add(database: &Database, email: &str, now: DateTime<Utc>) -> Result<UserId, OperatorError> {
    let email = EmailAddress::parse(email).map_err(OperatorError::InvalidAddress)?;
    let mut transaction = database.begin().await?;
    let found: Option<(UserId, bool, bool)> = database
        .run(
            DatabaseOperation::FindUser,
            sqlx::query_as(
                "select id, is_operator, email_verified_at is not null from users where email = $1 for no key update",
            )
            .bind(email.as_str())
            .fetch_optional(&mut *transaction),
        )
        .await?;
    match found {
        None => {
            let waits: bool = database
                .run(
                    DatabaseOperation::FindPendingRegistration,
                    sqlx::query_scalar("select exists (select from pending_registrations where email = $1)")
                        .bind(email.as_str())
                        .fetch_one(&mut *transaction),
                )
                .await?;
            Err(if waits { OperatorError::NotVerified } else { OperatorError::UnknownUser })
        }
        Some((_, _, false)) => Err(OperatorError::NotVerified),
        Some((user, true, true)) => Ok(user),
        Some((user, false, true)) => {
            change(database, transaction, user, true, now).await?;
            Ok(user)
        }
    }
}

/// Revokes the role of a platform operator. The account stays.
///
/// # Errors
/// Returns an error if there is no such operator, or the database fails.
pub async fn remove(database: &Database, email: &str, now: DateTime<Utc>) -> Result<UserId, OperatorError> {
    let email = EmailAddress::parse(email).map_err(OperatorError::InvalidAddress)?;
    let mut transaction = database.begin().await?;
    let found: Option<UserId> = database
        .run(
            DatabaseOperation::FindUser,
            sqlx::query_scalar("select id from users where email = $1 and is_operator for no key update")
                .bind(email.as_str())
                .fetch_optional(&mut *transaction),
        )
        .await?;
    let user = found.ok_or(OperatorError::NoOperator)?;
    change(database, transaction, user, false, now).await?;
    Ok(user)
}

/// Lists all platform operators, the oldest account first.
pub async fn list(database: &Database) -> database::Result<Vec<Operator>> {
    let mut connection = database.acquire().await?;
    database
        .run(
            DatabaseOperation::ListOperators,
            sqlx::query_as(
                "select u.id, u.email, max(a.created_at) as since
                 from users u left join audit_events a on a.target_id = u.id and a.action = 'operator_added'
                 where u.is_operator group by u.id order by u.created_at, u.id",
            )
            .fetch_all(&mut *connection),
        )
        .await
}

/// Finds the account with an address.
pub async fn find_user(
    database: &Database,
    connection: &mut PgConnection,
    email: &EmailAddress,
) -> database::Result<Option<UserId>> {
    database
        .run(
            DatabaseOperation::FindUser,
            sqlx::query_scalar("select id from users where email = $1")
                .bind(email.as_str())
                .fetch_optional(connection),
        )
        .await
}

async fn change(
    database: &Database,
    mut transaction: database::Transaction,
    user: UserId,
    is_operator: bool,
    now: DateTime<Utc>,
) -> database::Result<()> {
    database
        .run(
            DatabaseOperation::UpdateUserOperator,
            sqlx::query("update users set is_operator = $2 where id = $1")
                .bind(user)
                .bind(is_operator)
                .execute(&mut *transaction),
        )
        .await?;
    let action = if is_operator { AuditAction::OperatorAdded } else { AuditAction::OperatorRemoved };
    let author = audit::Author { actor: None, organization: None, now };
    let flag = |flag| Some(audit::Value::Flag(flag));
    let (before, after) = (flag(!is_operator), flag(is_operator));
    let change = audit::Change { target: Some(user), before, after, ..audit::Change::of(action) };
    // No log line is written: the command prints the result, and its process has no log.
    let _ = audit::write(database, &mut transaction, author, [change]).await?;
    database.commit(transaction).await
}
