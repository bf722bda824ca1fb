//! Sends an e-mail. Recipient and content are looked up now, because the job contains only ids. An e-mail
//! that has become obsolete (its user is gone, its link was used, its invite revoked, its revision replaced)
//! is not sent.

use std::time::Duration;

use catalogue::database_operation::DatabaseOperation;
use catalogue::labels::{EmailResult, JobKind};
use chrono::{DateTime, Utc};
use domain::ids::{ContentItemId, EmailTokenId, InviteId, OrganizationId, RegistrationId, UserId};
use domain::vocabulary::{EmailTokenPurpose, WorkspaceRole};
use sqlx::FromRow;

use super::Email;
use super::email_limits::{self, Cause};
use crate::app::App;
use crate::platform::database;
use crate::platform::mail::{Content, Fault, Letter, Prospect, Undelivered};
use crate::platform::token::LinkPurpose;
use crate::queue::{Job, JobError, JobPolicy, JobType};

/// Minimum pause before a retry if an operator has to act first.
const OPERATOR_NEEDS: Duration = Duration::from_mins(5);

impl JobType for Email {
    type State = App;

    const KIND: JobKind = JobKind::SendEmail;
    const POLICY: JobPolicy = JobPolicy {
        concurrency: 8,
        is_shared: false,
        // Exceeds the sum of the mail client's timeouts, so that those report the cause.
        timeout: Duration::from_secs(180),
        every: Self::KIND.period(),
    };
    // With backoff they span about a day.
    const ATTEMPTS: i32 = 12;

    async fn run(self, app: &App, job: &Job) -> Result<(), JobError> {
        send(app, job, self).await
    }
}

/// Sends the e-mail of this job. Fails if it cannot be composed or delivered.
async fn send(app: &App, job: &Job, email: Email) -> Result<(), JobError> {
    let template = email.template();
    let Some((recipient, content, cause)) = compose(app, email).await? else { return Ok(()) };
    if let Err(limit) = email_limits::admit(app, job.id, template, &recipient, cause).await? {
        app.signals.email_withheld(limit, cause.actor, cause.organization);
        return Ok(());
    }
    let letter = Letter {
        job: job.id,
        template,
        date: app.clock.now(),
        recipient,
        subject: content.subject,
        text: content.text().map_err(JobError::Fail)?,
        html: content.html().map_err(JobError::Fail)?,
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
    delivered.map_err(|failure| job_error(failure, attempt, max_attempts))
}

/// Returns the queue's next action for the job after this attempt.
fn job_error(failure: Undelivered, attempt: i32, max_attempts: i32) -> JobError {
    match (failure.fault, failure.prospect) {
        (Fault::Recipient, Prospect::Never) => JobError::Reject(failure.error_type),
        (Fault::Recipient, _) if attempt >= max_attempts => JobError::Reject(failure.error_type),
        (Fault::Ours, Prospect::Never) => JobError::Fail(failure.error_type),
        (Fault::Ours, Prospect::NeedsChange) => JobError::RetryAfter(failure.error_type, OPERATOR_NEEDS),
        _ => JobError::Retry(failure.error_type),
    }
}

/// Returns the recipient's address, the content, and the cause; `None` if the e-mail is obsolete.
async fn compose(app: &App, email: Email) -> database::Result<Option<(String, Content, Cause)>> {
    let nobody = Cause::default();
    match email {
        Email::VerifyEmail { token } => {
            let email = find_registration(app, token).await?;
            let link = token_link(app, "verify-email", LinkPurpose::VerifyEmail, token.uuid());
            Ok(email.map(|email| (email, Content::verify_email(link), nobody)))
        }
        Email::AlreadyRegistered { user } => {
            let user = find_user(app, user).await?;
            let link = link(app, "login");
            Ok(user.map(|user| (user.email, Content::already_registered(link), nobody)))
        }
        Email::ResetPassword { token } => {
            let user = find_token_owner(app, token, EmailTokenPurpose::ResetPassword).await?;
            let link = token_link(app, "reset-password", LinkPurpose::ResetPassword, token.uuid());
            Ok(user.map(|user| (user.email, Content::reset_password(link), nobody)))
        }
        Email::WorkspaceInvite { invite } => {
            let found = find_invite(app, invite).await?;
            let link = token_link(app, "accept-invite", LinkPurpose::WorkspaceInvite, invite.uuid());
            Ok(found.map(|invite| {
                let InviteRow {
                    email,
                    role,
                    expires_at,
                    workspace,
                    organization,
                    inviter,
                    actor,
                    organization_id,
                } = invite;
                let content =
                    Content::workspace_invite(&inviter, role, &workspace, &organization, expires_at, link);
                let cause =
                    Cause { actor: Some(actor), organization: Some(organization_id), content_item: None };
                (email, content, cause)
            }))
        }
        Email::ApprovalRequested { content_item, revision, reviewer } => {
            let found = find_undecided_reviewer(app, content_item, revision, reviewer).await?;
            let link = content_item_link(app, content_item);
            Ok(found.map(|item| {
                let content = Content::approval_requested(&item.workspace, &item.title, link);
                item.with(content, content_item)
            }))
        }
        Email::ApprovalReminder { content_item, revision, reviewer } => {
            let found = find_undecided_reviewer(app, content_item, revision, reviewer).await?;
            let link = content_item_link(app, content_item);
            Ok(found.map(|item| {
                let content = Content::approval_reminder(&item.workspace, &item.title, link);
                item.with(content, content_item)
            }))
        }
        Email::ApprovalDecided { content_item, author, decision } => {
            let found = find_author(app, content_item, author).await?;
            let link = content_item_link(app, content_item);
            Ok(found.map(|item| {
                let content = Content::approval_decided(&item.workspace, &item.title, decision, link);
                item.with(content, content_item)
            }))
        }
    }
}

#[derive(FromRow)]
struct UserRow {
    email: String,
}

#[derive(FromRow)]
struct InviteRow {
    email: String,
    role: WorkspaceRole,
    expires_at: DateTime<Utc>,
    workspace: String,
    organization: String,
    inviter: String,
    actor: UserId,
    organization_id: OrganizationId,
}

#[derive(FromRow)]
struct ItemRow {
    email: String,
    workspace: String,
    title: String,
    actor: Option<UserId>,
    organization_id: OrganizationId,
}

impl ItemRow {
    fn with(self, content: Content, content_item: ContentItemId) -> (String, Content, Cause) {
        let Self { email, actor, organization_id, .. } = self;
        let cause = Cause { actor, organization: Some(organization_id), content_item: Some(content_item) };
        (email, content, cause)
    }
}

async fn find_user(app: &App, user: UserId) -> database::Result<Option<UserRow>> {
    let mut connection = app.database.acquire().await?;
    app.database
        .run(
            DatabaseOperation::FindEmailRecipient,
            sqlx::query_as("select email from users where id = $1 and erased_at is null")
                .bind(user)
                .fetch_optional(&mut *connection),
        )
        .await
}

/// Finds the address of a pending registration.
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

/// Finds the owner of a link that can still be used.
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
                "select u.email from email_tokens t join users u on u.id = t.user_id
                 where t.id = $1 and t.purpose = $2 and t.used_at is null and t.expires_at > $3",
            )
            .bind(token)
            .bind(purpose)
            .bind(app.clock.now())
            .fetch_optional(&mut *connection),
        )
        .await
}

/// Finds an invite that can still be accepted.
async fn find_invite(app: &App, invite: InviteId) -> database::Result<Option<InviteRow>> {
    let mut connection = app.database.acquire().await?;
    app.database
        .run(
            DatabaseOperation::FindEmailRecipient,
            sqlx::query_as(
                "select i.email, i.role, i.expires_at, w.name as workspace, o.name as organization,
                        u.display_name as inviter, i.invited_by as actor, w.organization_id
                 from workspace_invites i
                 join workspaces w on w.id = i.workspace_id
                 join organizations o on o.id = w.organization_id
                 join users u on u.id = i.invited_by
                 where i.id = $1 and i.status = 'pending' and i.expires_at > $2
                     and may_invite(i.invited_by, i.workspace_id)",
            )
            .bind(invite)
            .bind(app.clock.now())
            .fetch_optional(&mut *connection),
        )
        .await
}

/// Finds the reviewer while this revision or a later one waits for their decision. Later revisions enqueue no
/// e-mail of their own while this one waits.
async fn find_undecided_reviewer(
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
                "select u.email, w.name as workspace, r.title, r.author_id as actor, w.organization_id
                 from content_items i
                 join content_revisions r on r.content_item_id = i.id and r.number = i.current_revision
                 join workspaces w on w.id = i.workspace_id
                 join workspace_members m on m.workspace_id = w.id and m.role in ('manager', 'reviewer')
                 join users u on u.id = m.user_id
                 where i.id = $1 and i.status = 'in_approval' and i.current_revision >= $2 and u.id = $3
                     and (w.allow_self_approval or u.id <> r.author_id)
                     and not exists (
                         select from approval_decisions d
                         where d.content_item_id = i.id and d.revision_number = i.current_revision
                             and d.reviewer_id = u.id
                     )",
            )
            .bind(content_item)
            .bind(revision)
            .bind(reviewer)
            .fetch_optional(&mut *connection),
        )
        .await
}

/// Finds the author while they are a member of the workspace.
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
                "select u.email, w.name as workspace, r.title, w.organization_id, (
                     select reviewer_id from approval_decisions d where d.content_item_id = i.id
                     order by d.created_at desc limit 1
                 ) as actor
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

/// Returns a URL below the public URL.
fn link(app: &App, path: &str) -> String {
    format!("{}/{path}", app.settings.public_url.as_str().trim_end_matches('/'))
}

/// Returns a link that carries a token after `#`, which browsers do not send to servers, so no server logs
/// it.
fn token_link(app: &App, path: &str, purpose: LinkPurpose, id: uuid::Uuid) -> String {
    format!("{}#token={}", link(app, path), app.tokens.link(purpose, id).expose())
}

fn content_item_link(app: &App, content_item: ContentItemId) -> String {
    link(app, &format!("content-items/{content_item}"))
}

#[cfg(test)]
mod tests {
    use telemetry::ErrorType;

    use super::*;

    const ATTEMPTS: i32 = 12;

    #[test]
    fn what_is_the_recipients_fault_leaves_no_dead_letter() {
        for prospect in [Prospect::Passing, Prospect::Greylisting, Prospect::NeedsChange, Prospect::Never] {
            let failure = Undelivered::new(Fault::Recipient, prospect, ErrorType::Rejected);
            assert_eq!(job_error(failure, ATTEMPTS, ATTEMPTS), JobError::Reject(ErrorType::Rejected));
        }
        let full = Undelivered::new(Fault::Recipient, Prospect::Passing, ErrorType::StorageFull);
        assert_eq!(job_error(full, ATTEMPTS - 1, ATTEMPTS), JobError::Retry(ErrorType::StorageFull));
    }
}
