//! Erasure of a person: deletes everything that names them. Their work for organizations stays, without a
//! name.
//!
//! `docs/PRIVACY.md` lists both. Erasure is idempotent, so it can be repeated after an interruption.

pub mod deletion;

use catalogue::database_operation::DatabaseOperation;
use chrono::{DateTime, Utc};
use domain::audit::AuditAction;
use domain::ids::{OrganizationId, UserId, WorkspaceId};
use domain::vocabulary::{OrganizationRole, WorkspaceRole};
use sqlx::PgConnection;

use crate::features::audit::{self, Author, Change, Written};
use crate::platform::database::{self, Database};

/// Policy for organizations that would lose their only owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Succession {
    /// Refuses to erase: the person can first make somebody else an owner, or delete the organization.
    Refuse,
    /// Promotes the longest-serving admin, or else the first member, because the person may be gone and
    /// unable to choose.
    Promote,
}

/// Reasons not to erase.
#[derive(Debug, thiserror::Error)]
pub enum ErasureError {
    /// No such account exists.
    #[error("there is no such account")]
    UnknownUser,
    /// An organization would be left without an owner.
    #[error("this account is the only owner of an organization with other members")]
    OnlyOwner,
    #[error(transparent)]
    Database(#[from] database::DatabaseError),
}

/// Result of erasing a person.
pub struct Erased {
    /// The former address, by which e-mails in files are found. `None` if the person was already erased.
    pub address: Option<String>,
    /// The former name.
    pub name: Option<String>,
    /// Audit rows, for their log lines.
    pub audited: Vec<Written>,
}

/// Erases an account in a transaction that the caller commits.
///
/// # Errors
/// Returns an error if the account does not exist or may not be erased, or the database fails.
pub async fn erase_user(
    database: &Database,
    connection: &mut PgConnection,
    user: UserId,
    actor: Option<UserId>,
    succession: Succession,
    now: DateTime<Utc>,
) -> Result<Erased, ErasureError> {
    let found: Option<(String, String, bool)> = database
        .run(
            DatabaseOperation::LockUser,
            sqlx::query_as(
                "select email, display_name, erased_at is not null from users where id = $1 for update",
            )
            .bind(user)
            .fetch_optional(&mut *connection),
        )
        .await?;
    let (address, name, is_erased) = found.ok_or(ErasureError::UnknownUser)?;
    if is_erased {
        return Ok(Erased { address: None, name: None, audited: Vec::new() });
    }
    let mut audited = Vec::new();
    for (organization, members) in organizations(database, connection, user).await? {
        let left = leave(database, connection, user, actor, (organization, members), succession, now).await?;
        audited.extend(left);
    }
    erase_address(database, connection, &address, now).await?;
    for statement in ERASE_USER {
        execute(database, connection, statement, user, now).await?;
    }
    let author = Author { actor, organization: None, now };
    let change = Change { target: Some(user), ..Change::of(AuditAction::UserErased) };
    audited.push(audit::write(database, connection, author, [change]).await?);
    Ok(Erased { address: Some(address), name: Some(name), audited })
}

/// Deletes or anonymizes everything that refers to an account. `$1` is the user, `$2` the time where needed.
const ERASE_USER: [&str; 8] = [
    "delete from sessions where user_id = $1",
    "delete from known_networks where user_id = $1",
    "delete from email_tokens where user_id = $1",
    // Includes responses given to other users that are about this person.
    "delete from idempotency_keys where user_id = $1 or response_body ->> 'user_id' = $1::text",
    "update workspace_invites set status = 'revoked', closed_at = $2 where invited_by = $1 and status = 'pending'",
    // Screenshots show the person's screen. The report itself stays, without a name.
    "delete from feedback_screenshots s using feedback_reports r
     where s.feedback_report_id = r.id and r.reporter_id = $1",
    "delete from approval_reminders where reviewer_id = $1",
    "update users set email = 'erased-' || id || '@erased.invalid', display_name = 'Erased',
         password_hash = '$argon2id$erased', email_verified_at = null, password_reset_at = null,
         is_operator = false, erased_at = $2
     where id = $1",
];

/// Removes an address from everything that is not an account: invites, the e-mail ledger, responses stored
/// for idempotency. Returns the number of affected rows.
pub async fn erase_address(
    database: &Database,
    connection: &mut PgConnection,
    address: &str,
    now: DateTime<Utc>,
) -> database::Result<u64> {
    let statements = [
        "update workspace_invites set
             email = 'erased-' || id || '@erased.invalid',
             status = case when status = 'pending' then 'revoked' else status end,
             closed_at = coalesce(closed_at, $2)
         where email = $1",
        "delete from pending_registrations where email = $1",
        "delete from email_ledger where recipient_key = email_recipient_key($1)",
        "delete from idempotency_keys where response_body ->> 'email' = $1",
    ];
    let mut rows = 0;
    for statement in statements {
        let query = sqlx::query(statement).bind(address);
        let query = if statement.contains("$2") { query.bind(now) } else { query };
        let done = database.run(DatabaseOperation::EraseUser, query.execute(&mut *connection)).await?;
        rows += done.rows_affected();
    }
    Ok(rows)
}

async fn execute(
    database: &Database,
    connection: &mut PgConnection,
    statement: &'static str,
    user: UserId,
    now: DateTime<Utc>,
) -> database::Result<()> {
    let query = sqlx::query(statement).bind(user);
    let query = if statement.contains("$2") { query.bind(now) } else { query };
    database.run(DatabaseOperation::EraseUser, query.execute(connection)).await?;
    Ok(())
}

type Members = Vec<(UserId, OrganizationRole)>;

/// Locks the organizations of a user with all their members, so that nobody joins, leaves or changes roles
/// meanwhile.
async fn organizations(
    database: &Database,
    connection: &mut PgConnection,
    user: UserId,
) -> database::Result<Vec<(OrganizationId, Members)>> {
    let rows: Vec<(OrganizationId, UserId, OrganizationRole)> = database
        .run(
            DatabaseOperation::LockOrganizationMembers,
            sqlx::query_as(
                "select m.organization_id, m.user_id, m.role from organization_members m
                 where m.organization_id in (select organization_id from organization_members where user_id = $1)
                 order by m.organization_id, m.created_at, m.user_id for update",
            )
            .bind(user)
            .fetch_all(connection),
        )
        .await?;
    let mut organizations: Vec<(OrganizationId, Members)> = Vec::new();
    for (organization, member, role) in rows {
        match organizations.last_mut().filter(|(last, _)| *last == organization) {
            Some((_, members)) => members.push((member, role)),
            None => organizations.push((organization, vec![(member, role)])),
        }
    }
    Ok(organizations)
}

/// Ends a membership. Deletes the organization if it has no other member.
async fn leave(
    database: &Database,
    connection: &mut PgConnection,
    user: UserId,
    actor: Option<UserId>,
    (organization, members): (OrganizationId, Members),
    succession: Succession,
    now: DateTime<Utc>,
) -> Result<Vec<Written>, ErasureError> {
    let others = || members.iter().filter(|(member, _)| *member != user);
    let of_role = |role| move |(_, has): &&(UserId, OrganizationRole)| *has == role;
    let author = Author { actor, organization: Some(organization), now };
    let own = members.iter().find(|(member, _)| *member == user).map(|(_, role)| *role);
    if others().next().is_none() {
        return Ok(vec![delete_organization(database, connection, organization, author).await?]);
    }
    let mut changes = Vec::new();
    if own == Some(OrganizationRole::Owner) && !others().any(|(_, role)| *role == OrganizationRole::Owner) {
        if succession == Succession::Refuse {
            return Err(ErasureError::OnlyOwner);
        }
        let successor = others().find(of_role(OrganizationRole::Admin)).or_else(|| others().next());
        if let Some((successor, before)) = successor {
            database
                .run(
                    DatabaseOperation::UpdateOrganizationMember,
                    sqlx::query(
                        "update organization_members set role = 'owner' where organization_id = $1 and user_id = $2",
                    )
                    .bind(organization)
                    .bind(successor)
                    .execute(&mut *connection),
                )
                .await?;
            changes.extend(Change::organization_membership(
                *successor,
                Some(*before),
                Some(OrganizationRole::Owner),
            ));
        }
    }
    let workspaces: Vec<(WorkspaceId, WorkspaceRole)> = database
        .run(
            DatabaseOperation::DeleteOrganizationMember,
            sqlx::query_as(
                "with gone as (delete from organization_members where organization_id = $1 and user_id = $2)
                 select workspace_id, role from workspace_members where organization_id = $1 and user_id = $2",
            )
            .bind(organization)
            .bind(user)
            .fetch_all(&mut *connection),
        )
        .await?;
    changes.extend(Change::organization_membership(user, own, None));
    let left = |(workspace, role)| Change::workspace_membership(workspace, user, Some(role), None);
    changes.extend(workspaces.into_iter().filter_map(left));
    Ok(vec![audit::write(database, connection, author, changes).await?])
}

/// Deletes an organization with everything in it. The clean-up of blobs deletes its files later.
pub async fn delete_organization(
    database: &Database,
    connection: &mut PgConnection,
    organization: OrganizationId,
    author: Author,
) -> database::Result<Written> {
    // The audit row is deleted with the organization; the log line stays.
    let change = Change::of(AuditAction::OrganizationDeleted);
    let written = audit::write(database, connection, author, [change]).await?;
    database
        .run(
            DatabaseOperation::DeleteOrganization,
            sqlx::query("delete from organizations where id = $1").bind(organization).execute(connection),
        )
        .await?;
    Ok(written)
}
