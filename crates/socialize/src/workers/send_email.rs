//! Sends one e-mail. Whom it goes to and what it says is looked up now: the job holds ids only. An e-mail that has become
//! pointless meanwhile (its user is gone, its link was used, its invite revoked, its revision replaced) is not sent.

use chrono::{DateTime, Utc};
use domain::database_operation::DatabaseOperation;
use domain::ids::{ContentItemId, EmailTokenId, InviteId, RegistrationId, UserId};
use domain::labels::EmailResult;
use domain::vocabulary::{Decision, EmailTokenPurpose, WorkspaceRole};
use sqlx::FromRow;

use crate::app::App;
use crate::database;
use crate::email::Email;
use crate::mail::{Content, Letter};
use crate::queue::{Job, JobError};
use crate::token::LinkPurpose;

/// Sends the e-mail of this job.
///
/// # Errors
/// When it cannot be composed or handed over.
pub async fn run(app: &App, job: &Job) -> Result<(), JobError> {
    let email: Email = job.payload()?;
    let Some((recipient, content)) = compose(app, email).await? else { return Ok(()) };
    let letter = Letter {
        job: job.id,
        template: email.template(),
        date: app.clock.now(),
        recipient,
        subject: content.subject,
        text: content.text()?,
        html: content.html()?,
    };
    let (attempt, max_attempts) = (job.attempt, job.max_attempts);
    let delivered = app.mail.deliver(&letter).await;
    let result = match &delivered {
        Ok(()) => Some(EmailResult::Delivered),
        Err(failure) => failure.result(attempt, max_attempts),
    };
    if let Some(result) = result {
        app.mail.came_to(result);
    }
    delivered.map_err(|failure| failure.job_error(attempt, max_attempts))
}

/// The recipient's address and what to say, or nothing where there is nobody to say it to.
async fn compose(app: &App, email: Email) -> database::Result<Option<(String, Content)>> {
    match email {
        Email::VerifyEmail { token } => {
            let email = find_registration(app, token).await?;
            let link = token_link(app, "verify-email", LinkPurpose::VerifyEmail, token.uuid());
            Ok(email.map(|email| (email, Content::verify_email(link))))
        }
        Email::AlreadyRegistered { user } => {
            let user = find_user(app, user).await?;
            let link = link(app, "login");
            Ok(user.map(|user| (user.email, Content::already_registered(&user.display_name, link))))
        }
        Email::ResetPassword { token } => {
            let user = find_token_owner(app, token, EmailTokenPurpose::ResetPassword).await?;
            let link = token_link(app, "reset-password", LinkPurpose::ResetPassword, token.uuid());
            Ok(user.map(|user| (user.email, Content::reset_password(link))))
        }
        Email::WorkspaceInvite { invite } => {
            let found = find_invite(app, invite).await?;
            let link = token_link(app, "accept-invite", LinkPurpose::WorkspaceInvite, invite.uuid());
            Ok(found.map(|invite| {
                let InviteRow { email, role, expires_at, workspace, organization, inviter } = invite;
                let content =
                    Content::workspace_invite(&inviter, role, &workspace, &organization, expires_at, link);
                (email, content)
            }))
        }
        Email::ApprovalRequested { content_item, revision, reviewer } => {
            let found = find_reviewer(app, content_item, revision, reviewer).await?;
            let link = content_item_link(app, content_item);
            Ok(found.map(|item| {
                let ItemRow { email, display_name, workspace, title } = item;
                (email, Content::approval_requested(&display_name, &workspace, &title, link))
            }))
        }
        Email::ApprovalReminder { content_item, revision, reviewer } => {
            let found = find_undecided_reviewer(app, content_item, revision, reviewer).await?;
            let link = content_item_link(app, content_item);
            Ok(found.map(|item| {
                let ItemRow { email, display_name, workspace, title } = item;
                (email, Content::approval_reminder(&display_name, &workspace, &title, link))
            }))
        }
        Email::ApprovalDecided { content_item, author, decision } => {
            let found = find_author(app, content_item, author).await?;
            let link = content_item_link(app, content_item);
            Ok(found.map(|item| decided(item, decision, link)))
        }
    }
}

fn decided(item: ItemRow, decision: Decision, link: String) -> (String, Content) {
    let ItemRow { email, display_name, workspace, title } = item;
    (email, Content::approval_decided(&display_name, &workspace, &title, decision, link))
}

#[derive(FromRow)]
struct UserRow {
    email: String,
    display_name: String,
}

#[derive(FromRow)]
struct InviteRow {
    email: String,
    role: WorkspaceRole,
    expires_at: DateTime<Utc>,
    workspace: String,
    organization: String,
    inviter: String,
}

#[derive(FromRow)]
struct ItemRow {
    email: String,
    display_name: String,
    workspace: String,
    title: String,
}

async fn find_user(app: &App, user: UserId) -> database::Result<Option<UserRow>> {
    let mut connection = app.database.acquire().await?;
    app.database
        .run(
            DatabaseOperation::FindEmailRecipient,
            sqlx::query_as("select email, display_name from users where id = $1")
                .bind(user)
                .fetch_optional(&mut *connection),
        )
        .await
}

/// The address of a registration, while it waits for confirmation.
async fn find_registration(app: &App, registration: RegistrationId) -> database::Result<Option<String>> {
    let mut connection = app.database.acquire().await?;
    app.database
        .run(
            DatabaseOperation::FindEmailRecipient,
            sqlx::query_scalar("select email from pending_registrations where id = $1 and expires_at > $2")
                .bind(registration)
                .bind(app.clock.now())
                .fetch_optional(&mut *connection),
        )
        .await
}

/// Whoever the link is for, while it can still be used.
async fn find_token_owner(
    app: &App,
    token: EmailTokenId,
    purpose: EmailTokenPurpose,
) -> database::Result<Option<UserRow>> {
    let mut connection = app.database.acquire().await?;
    app.database
        .run(
            DatabaseOperation::FindEmailRecipient,
            sqlx::query_as(
                "select u.email, u.display_name from email_tokens t join users u on u.id = t.user_id
                 where t.id = $1 and t.purpose = $2 and t.used_at is null and t.expires_at > $3",
            )
            .bind(token)
            .bind(purpose)
            .bind(app.clock.now())
            .fetch_optional(&mut *connection),
        )
        .await
}

/// The invite, while it can still be accepted.
async fn find_invite(app: &App, invite: InviteId) -> database::Result<Option<InviteRow>> {
    let mut connection = app.database.acquire().await?;
    app.database
        .run(
            DatabaseOperation::FindEmailRecipient,
            sqlx::query_as(
                "select i.email, i.role, i.expires_at, w.name as workspace, o.name as organization,
                        u.display_name as inviter
                 from workspace_invites i
                 join workspaces w on w.id = i.workspace_id
                 join organizations o on o.id = w.organization_id
                 join users u on u.id = i.invited_by
                 where i.id = $1 and i.status = 'pending' and i.expires_at > $2",
            )
            .bind(invite)
            .bind(app.clock.now())
            .fetch_optional(&mut *connection),
        )
        .await
}

/// The reviewer, while this revision waits for decisions and they may decide.
async fn find_reviewer(
    app: &App,
    content_item: ContentItemId,
    revision: i32,
    reviewer: UserId,
) -> database::Result<Option<ItemRow>> {
    let mut connection = app.database.acquire().await?;
    app.database
        .run(
            DatabaseOperation::FindEmailRecipient,
            sqlx::query_as(
                "select u.email, u.display_name, w.name as workspace, r.title
                 from content_items i
                 join content_revisions r on r.content_item_id = i.id and r.number = i.current_revision
                 join workspaces w on w.id = i.workspace_id
                 join workspace_members m on m.workspace_id = w.id and m.role in ('manager', 'reviewer')
                 join users u on u.id = m.user_id
                 where i.id = $1 and i.status = 'in_approval' and i.current_revision = $2 and u.id = $3",
            )
            .bind(content_item)
            .bind(revision)
            .bind(reviewer)
            .fetch_optional(&mut *connection),
        )
        .await
}

/// The same, while they have not decided.
async fn find_undecided_reviewer(
    app: &App,
    content_item: ContentItemId,
    revision: i32,
    reviewer: UserId,
) -> database::Result<Option<ItemRow>> {
    let mut connection = app.database.acquire().await?;
    let has_decided: bool = app
        .database
        .run(
            DatabaseOperation::FindEmailRecipient,
            sqlx::query_scalar(
                "select exists (
                     select from approval_decisions where content_item_id = $1 and revision_number = $2 and reviewer_id = $3
                 )",
            )
            .bind(content_item)
            .bind(revision)
            .bind(reviewer)
            .fetch_one(&mut *connection),
        )
        .await?;
    drop(connection);
    if has_decided { Ok(None) } else { find_reviewer(app, content_item, revision, reviewer).await }
}

/// The author, while they are a member of the workspace.
async fn find_author(
    app: &App,
    content_item: ContentItemId,
    author: UserId,
) -> database::Result<Option<ItemRow>> {
    let mut connection = app.database.acquire().await?;
    app.database
        .run(
            DatabaseOperation::FindEmailRecipient,
            sqlx::query_as(
                "select u.email, u.display_name, w.name as workspace, r.title
                 from content_items i
                 join content_revisions r on r.content_item_id = i.id and r.number = i.current_revision
                 join workspaces w on w.id = i.workspace_id
                 join workspace_members m on m.workspace_id = w.id
                 join users u on u.id = m.user_id
                 where i.id = $1 and u.id = $2",
            )
            .bind(content_item)
            .bind(author)
            .fetch_optional(&mut *connection),
        )
        .await
}

/// An address below the one where users reach Socialize.
fn link(app: &App, path: &str) -> String {
    format!("{}/{path}", app.settings.public_url.as_str().trim_end_matches('/'))
}

/// A link that carries a token, behind `#`: what comes there is not sent to servers, so it is in none of their logs.
fn token_link(app: &App, path: &str, purpose: LinkPurpose, id: uuid::Uuid) -> String {
    format!("{}#token={}", link(app, path), app.tokens.link(purpose, id).expose())
}

fn content_item_link(app: &App, content_item: ContentItemId) -> String {
    link(app, &format!("content-items/{content_item}"))
}
