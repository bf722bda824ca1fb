//! Audit: each change of rights or of the protection of approval writes a row in its own transaction, and a
//! log line after the commit.

pub mod audit_events;

use catalogue::database_operation::DatabaseOperation;
use catalogue::keys;
use chrono::{DateTime, Utc};
use domain::audit::AuditAction;
use domain::ids::{AuditEventId, OrganizationId, UserId, WorkspaceId};
use domain::vocabulary::{OrganizationRole, WorkspaceRole};
use sqlx::PgConnection;
use telemetry::{Attributes, ClosedSet, Key};
use uuid::Uuid;

use crate::platform::database::{self, Database};
use crate::platform::signals::Signals;

/// Value of an audited property before or after a change.
#[derive(Clone)]
pub enum Value {
    OrganizationRole(OrganizationRole),
    WorkspaceRole(WorkspaceRole),
    /// Number of approvals that a workspace requires.
    Number(i32),
    /// True if something is allowed.
    Flag(bool),
    /// URL of a publishing endpoint. Stored in the row, but not logged.
    Url(String),
}

#[derive(Clone)]
pub struct Change {
    pub action: AuditAction,
    /// The affected workspace, if any.
    pub workspace: Option<WorkspaceId>,
    /// The affected user, if any.
    pub target: Option<UserId>,
    /// Value before the change.
    pub before: Option<Value>,
    /// Value after the change.
    pub after: Option<Value>,
}

/// The author, organization and time of changes.
#[derive(Clone, Copy)]
pub struct Author {
    /// `None` if an operator made the change on the server, or Socialize itself.
    pub actor: Option<UserId>,
    /// The affected organization, if any.
    pub organization: Option<OrganizationId>,
    pub now: DateTime<Utc>,
}

/// Changes whose rows have been written. After the commit, [`Written::signal`] logs them.
#[must_use = "call `signal` after the commit"]
pub struct Written {
    author: Author,
    changes: Vec<(AuditEventId, Change)>,
}

impl Value {
    fn text(&self) -> String {
        match self {
            Self::OrganizationRole(role) => role.as_str().to_owned(),
            Self::WorkspaceRole(role) => role.as_str().to_owned(),
            Self::Number(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
            Self::Url(url) => url.clone(),
        }
    }

    fn describe(&self, attributes: &mut Attributes, key: &'static Key) {
        match self {
            Self::OrganizationRole(role) => attributes.name(key, *role),
            Self::WorkspaceRole(role) => attributes.name(key, *role),
            Self::Number(number) => attributes.number(key, number.unsigned_abs().into()),
            Self::Flag(flag) => attributes.number(key, (*flag).into()),
            Self::Url(_) => {}
        }
    }
}

impl Change {
    pub fn of(action: AuditAction) -> Self {
        Self { action, workspace: None, target: None, before: None, after: None }
    }

    /// A change of a membership in an organization; `None` if nothing changes.
    pub fn organization_membership(
        member: UserId,
        before: Option<OrganizationRole>,
        after: Option<OrganizationRole>,
    ) -> Option<Self> {
        let action = match (before, after) {
            (before, after) if before == after => return None,
            (None, _) => AuditAction::OrganizationMemberAdded,
            (_, None) => AuditAction::OrganizationMemberRemoved,
            _ => AuditAction::OrganizationRoleChanged,
        };
        let (before, after) = (before.map(Value::OrganizationRole), after.map(Value::OrganizationRole));
        Some(Self { target: Some(member), before, after, ..Self::of(action) })
    }

    /// A change of a membership in a workspace; `None` if nothing changes.
    pub fn workspace_membership(
        workspace: WorkspaceId,
        member: UserId,
        before: Option<WorkspaceRole>,
        after: Option<WorkspaceRole>,
    ) -> Option<Self> {
        let action = match (before, after) {
            (before, after) if before == after => return None,
            (None, _) => AuditAction::WorkspaceMemberAdded,
            (_, None) => AuditAction::WorkspaceMemberRemoved,
            _ => AuditAction::WorkspaceRoleChanged,
        };
        let (before, after) = (before.map(Value::WorkspaceRole), after.map(Value::WorkspaceRole));
        Some(Self { workspace: Some(workspace), target: Some(member), before, after, ..Self::of(action) })
    }
}

/// Writes the rows in one statement, or none if nothing has changed.
pub async fn write(
    database: &Database,
    connection: &mut PgConnection,
    author: Author,
    changes: impl IntoIterator<Item = Change>,
) -> database::Result<Written> {
    let changes: Vec<(AuditEventId, Change)> =
        changes.into_iter().map(|change| (AuditEventId::from(Uuid::now_v7()), change)).collect();
    if changes.is_empty() {
        return Ok(Written { author, changes });
    }
    let request_id = telemetry::current::context().map(|context| context.trace_id.to_string());
    let column = |value: fn(&Change) -> &Option<Value>| -> Vec<Option<String>> {
        changes.iter().map(|(_, change)| value(change).as_ref().map(Value::text)).collect()
    };
    let of = |id: fn(&Change) -> Option<Uuid>| -> Vec<Option<Uuid>> {
        changes.iter().map(|(_, change)| id(change)).collect()
    };
    database
        .run(
            DatabaseOperation::InsertAuditEvents,
            sqlx::query(
                "insert into audit_events
                     (id, organization_id, workspace_id, actor_id, action, target_id, before, after, request_id,
                      created_at)
                 select id, $1, workspace_id, $2, action, target_id, before, after, $3, $4
                 from unnest($5::uuid[], $6::uuid[], $7::text[], $8::uuid[], $9::text[], $10::text[])
                     as change (id, workspace_id, action, target_id, before, after)",
            )
            .bind(author.organization)
            .bind(author.actor)
            .bind(request_id)
            .bind(author.now)
            .bind(changes.iter().map(|(id, _)| *id).collect::<Vec<_>>())
            .bind(of(|change| change.workspace.map(|workspace| workspace.uuid())))
            .bind(changes.iter().map(|(_, change)| change.action.as_str()).collect::<Vec<_>>())
            .bind(of(|change| change.target.map(|target| target.uuid())))
            .bind(column(|change| &change.before))
            .bind(column(|change| &change.after))
            .execute(connection),
        )
        .await?;
    Ok(Written { author, changes })
}

impl Written {
    /// Logs a line for each row. Call it after the commit.
    pub fn signal(&self, signals: &Signals) {
        for (id, change) in &self.changes {
            signals.audited(change.action, |attributes| {
                attributes.id(&keys::AUDIT_EVENT_ID, *id);
                if let Some(actor) = self.author.actor {
                    attributes.id(&keys::USER_ID, actor);
                }
                if let Some(organization) = self.author.organization {
                    attributes.id(&keys::ORGANIZATION_ID, organization);
                }
                if let Some(workspace) = change.workspace {
                    attributes.id(&keys::WORKSPACE_ID, workspace);
                }
                if let Some(target) = change.target {
                    attributes.id(&keys::AUDIT_TARGET_ID, target);
                }
                if let Some(before) = &change.before {
                    before.describe(attributes, &keys::AUDIT_BEFORE);
                }
                if let Some(after) = &change.after {
                    after.describe(attributes, &keys::AUDIT_AFTER);
                }
            });
        }
    }
}
