//! Permanent deletion of items, workspaces, organizations and accounts.

use axum::extract::State;
use catalogue::database_operation::DatabaseOperation;
use catalogue::keys;
use catalogue::labels::ErrorCode;
use domain::audit::AuditAction;
use domain::ids::{ContentItemId, OrganizationId, WorkspaceId};
use domain::vocabulary::WorkspaceRole;
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{ErasureError, Succession};
use crate::app::App;
use crate::features::audit::{self, Author};
use crate::features::content::LockedContentItem;
use crate::features::erasure;
use crate::features::workspaces::activity::touch_workspace;
use crate::http::error::{Error, responses};
use crate::http::extract::{
    Author as AuthorRole, Body, CurrentUser, Manager, OrganizationMember, Owner, Parameters, WorkspaceMember,
};
use crate::platform::text::EmailAddress;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(delete_content_item))
        .routes(routes!(delete_workspace))
        .routes(routes!(delete_organization))
        .routes(routes!(delete_me))
}

#[derive(Deserialize)]
struct ContentItemPath {
    content_item_id: ContentItemId,
}

/// Delete a content item permanently
///
/// Managers can delete every item, authors those that they created. Deletes its revisions, decisions,
/// comments and attachments as well. Posts that were already published stay at the endpoint. An item cannot
/// be deleted while a delivery is in progress.
#[utoipa::path(
    delete, path = "/v1/workspaces/{workspace_id}/content-items/{content_item_id}", tag = "content items",
    params(("workspace_id" = WorkspaceId, Path), ("content_item_id" = ContentItemId, Path)),
    responses(
        (status = 204, description = "The content item is deleted."),
        responses::Authenticated, responses::Forbidden, responses::NotFound, responses::Conflict,
    ),
    security(("access_token" = []))
)]
async fn delete_content_item(
    State(app): State<App>,
    member: WorkspaceMember<AuthorRole>,
    Parameters(ContentItemPath { content_item_id }): Parameters<ContentItemPath>,
) -> Result<StatusCode, Error> {
    let mut transaction = app.database.begin().await?;
    let locked =
        LockedContentItem::find(&app, &mut transaction, member.workspace_id, content_item_id).await?;
    let locked = locked.ok_or_else(|| Error::not_found("content item"))?;
    if member.role != WorkspaceRole::Manager && locked.item.summary.author_id != member.user_id {
        let message = "Only managers of the workspace may delete what somebody else created.";
        return Err(Error::forbidden(message));
    }
    if locked.state.publishing {
        let message = "The content item is being delivered right now: try again when that is over.";
        return Err(Error::refused(ErrorCode::Conflict, message));
    }
    app.database
        .run(
            DatabaseOperation::DeleteContentItem,
            sqlx::query("delete from content_items where id = $1")
                .bind(content_item_id)
                .execute(&mut *transaction),
        )
        .await?;
    touch_workspace(&app, &mut transaction, member.workspace_id).await?;
    app.database.commit(transaction).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Delete a workspace permanently
///
/// Owners and admins of the organization may do this. Deletes its content items with files and comments, its
/// invites and its publishing endpoint as well.
#[utoipa::path(
    delete, path = "/v1/workspaces/{workspace_id}", tag = "workspaces",
    params(("workspace_id" = WorkspaceId, Path)),
    responses(
        (status = 204, description = "The workspace is deleted."),
        responses::Authenticated, responses::Forbidden, responses::NotFound,
    ),
    security(("access_token" = []))
)]
async fn delete_workspace(
    State(app): State<App>,
    member: WorkspaceMember<Manager>,
) -> Result<StatusCode, Error> {
    if !member.administers {
        return Err(Error::forbidden("Only owners and admins of the organization may do this."));
    }
    let mut transaction = app.database.begin().await?;
    let author = Author {
        actor: Some(member.user_id),
        organization: Some(member.organization_id),
        now: app.clock.now(),
    };
    let deleted = audit::Change {
        workspace: Some(member.workspace_id),
        ..audit::Change::of(AuditAction::WorkspaceDeleted)
    };
    let audited = audit::write(&app.database, &mut transaction, author, [deleted]).await?;
    app.database
        .run(
            DatabaseOperation::DeleteWorkspace,
            sqlx::query("delete from workspaces where id = $1")
                .bind(member.workspace_id)
                .execute(&mut *transaction),
        )
        .await?;
    app.database.commit(transaction).await?;

    audited.signal(&app.signals);
    Ok(StatusCode::NO_CONTENT)
}

/// Delete an organization permanently
///
/// Owners may do this. Deletes all its workspaces and memberships as well; accounts stay.
#[utoipa::path(
    delete, path = "/v1/organizations/{organization_id}", tag = "organizations",
    params(("organization_id" = OrganizationId, Path)),
    responses(
        (status = 204, description = "The organization is deleted."),
        responses::Authenticated, responses::Forbidden, responses::NotFound,
    ),
    security(("access_token" = []))
)]
async fn delete_organization(
    State(app): State<App>,
    owner: OrganizationMember<Owner>,
) -> Result<StatusCode, Error> {
    let mut transaction = app.database.begin().await?;
    let (actor, organization) = (Some(owner.user_id), Some(owner.organization_id));
    let author = Author { actor, organization, now: app.clock.now() };
    let audited =
        erasure::delete_organization(&app.database, &mut transaction, owner.organization_id, author).await?;
    app.database.commit(transaction).await?;

    audited.signal(&app.signals);
    Ok(StatusCode::NO_CONTENT)
}

/// Confirmation of a deletion.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AccountDeletion {
    /// E-mail address of the account, to prevent accidental deletion.
    email: EmailAddress,
}

/// Delete one's own account permanently
///
/// Deletes everything that names the caller: address, name, password, sessions, and invites to the address.
/// Their posts and comments stay with the organizations, without a name. Organizations without any other
/// member are deleted. The only owner of an organization with other members must first make one of them an
/// owner, or delete the organization.
#[utoipa::path(
    delete, path = "/v1/me", tag = "me",
    request_body = AccountDeletion,
    responses(
        (status = 204, description = "The account is deleted."),
        responses::Authenticated, responses::Conflict, responses::PublicWrite,
    ),
    security(("access_token" = []))
)]
async fn delete_me(
    State(app): State<App>,
    user: CurrentUser,
    Body(confirmation): Body<AccountDeletion>,
) -> Result<StatusCode, Error> {
    telemetry::current::set(|attributes| attributes.id(&keys::USER_ID, user.user_id));
    let mut transaction = app.database.begin().await?;
    user.require_session(&app, &mut transaction).await?;
    let now = app.clock.now();
    let actor = Some(user.user_id);
    let erased =
        erasure::erase_user(&app.database, &mut transaction, user.user_id, actor, Succession::Refuse, now)
            .await;
    let erased = erased.map_err(|error| match error {
        ErasureError::UnknownUser => user.session_ended(&app),
        ErasureError::OnlyOwner => Error::refused(
            ErrorCode::Conflict,
            "You are the only owner of an organization with other members: make one of them an owner first, or delete \
             it.",
        ),
        ErasureError::Database(error) => error.into(),
    })?;
    let Some(address) = erased.address.as_deref() else { return Err(user.session_ended(&app)) };
    if address != confirmation.email.as_str() {
        return Err(Error::invalid_field("email", "must be the e-mail address of your account"));
    }
    app.database.commit(transaction).await?;

    erased.audited.iter().for_each(|written| written.signal(&app.signals));
    // E-mails in a mail directory are deleted too. Those sent by a mail server are out of reach.
    app.mail.forget(address, erased.name.as_deref().unwrap_or_default()).await;
    Ok(StatusCode::NO_CONTENT)
}
