//! Limits on e-mails that users cause: per recipient, per acting user and per organization.
//!
//! The worker checks them just before delivery, so no code path can bypass them. Invites are also limited on
//! creation (`features/workspaces/invites.rs`), where the user can be told. An e-mail over a limit is not sent:
//! its content is in the application as well.

use catalogue::database_operation::DatabaseOperation;
use catalogue::labels::{EmailLimit, EmailTemplate};
use chrono::{DateTime, TimeDelta, Utc};
use domain::ids::{ContentItemId, JobId, OrganizationId, UserId};
use telemetry::ClosedSet;

use crate::app::App;
use crate::platform::database;

/// Minimum time between two e-mails about the same content item to the same recipient. Shorter than a review
/// takes, and a loop of edits and submissions causes only six e-mails an hour.
pub const ABOUT_THE_SAME_ITEM: TimeDelta = TimeDelta::minutes(10);

/// Retention of the ledger: the longest period of a limit.
pub const LEDGER_KEPT: TimeDelta = TimeDelta::days(1);

/// Maximum number of invites to one mailbox in a day, from all organizations together: recipients may not
/// know Socialize at all.
pub const INVITES_TO_RECIPIENT: i64 = 10;
/// Maximum number of invites that one user creates in a day. Each workspace has a limit of its own; this one
/// covers all of them.
pub const INVITES_OF_ACTOR: i64 = 200;
/// Maximum number of invites into the workspaces of one organization in a day.
pub const INVITES_OF_ORGANIZATION: i64 = 500;
/// Period of the limits on invites.
pub const INVITES_PERIOD: TimeDelta = TimeDelta::days(1);

/// A group of e-mail kinds with shared limits. Kinds that strangers can trigger are separate from those an
/// owner needs to log in again.
struct Budget {
    templates: &'static [EmailTemplate],
    /// Per recipient, in an hour and in a day.
    recipient: (i64, i64),
    /// Per acting user and per organization, in an hour.
    on_behalf: Option<(i64, i64)>,
}

/// Caused by anybody who registers the address, or one with the same folded form.
const REGISTRATION: Budget = Budget {
    templates: &[EmailTemplate::VerifyEmail, EmailTemplate::AlreadyRegistered],
    recipient: (10, 30),
    on_behalf: None,
};

/// Caused by anybody who requests a new password.
const RESET: Budget =
    Budget { templates: &[EmailTemplate::ResetPassword], recipient: (10, 30), on_behalf: None };

/// Caused by members who invite.
const INVITES: Budget = Budget {
    templates: &[EmailTemplate::WorkspaceInvite],
    recipient: (INVITES_TO_RECIPIENT, INVITES_TO_RECIPIENT),
    on_behalf: Some((INVITES_OF_ACTOR, INVITES_OF_ORGANIZATION)),
};

/// Caused by authors and reviewers in the recipient's own workspaces. Sized for an hour of a large team: a
/// submission notifies up to fifty reviewers.
const APPROVAL: Budget = Budget {
    templates: &[
        EmailTemplate::ApprovalRequested,
        EmailTemplate::ApprovalReminder,
        EmailTemplate::ApprovalDecided,
    ],
    recipient: (30, 120),
    on_behalf: Some((500, 2_000)),
};

impl Budget {
    fn of(template: EmailTemplate) -> Option<Self> {
        match template {
            EmailTemplate::VerifyEmail | EmailTemplate::AlreadyRegistered => Some(REGISTRATION),
            EmailTemplate::ResetPassword => Some(RESET),
            EmailTemplate::WorkspaceInvite => Some(INVITES),
            EmailTemplate::ApprovalRequested
            | EmailTemplate::ApprovalReminder
            | EmailTemplate::ApprovalDecided => Some(APPROVAL),
            // An operator sent it on the command line.
            EmailTemplate::Test => None,
        }
    }
}

/// The known origin and subject of an e-mail.
#[derive(Clone, Copy, Default)]
pub struct Cause {
    /// The user who caused it.
    pub actor: Option<UserId>,
    /// The organization on whose behalf it is sent.
    pub organization: Option<OrganizationId>,
    /// The content item that it is about.
    pub content_item: Option<ContentItemId>,
}

/// Enters an e-mail that is about to be sent into the ledger, unless a limit is reached. A retry of the same
/// job passes.
///
/// E-mails to one mailbox are serialized here, so the limit holds across all workers.
pub async fn admit(
    app: &App,
    job: JobId,
    template: EmailTemplate,
    recipient: &str,
    cause: Cause,
) -> database::Result<Result<(), EmailLimit>> {
    let Some(budget) = Budget::of(template) else { return Ok(Ok(())) };
    let now = app.clock.now();
    let templates: Vec<&str> = budget.templates.iter().map(|template| template.as_str()).collect();
    let (in_hour, in_day) = budget.recipient;
    let on_behalf = budget.on_behalf.unzip();

    let mut transaction = app.database.begin().await?;
    app.database
        .run(
            DatabaseOperation::LockEmailRecipient,
            sqlx::query(
                "select pg_advisory_xact_lock(hashtextextended(encode(email_recipient_key($1), 'hex'), 0))",
            )
            .bind(recipient)
            .execute(&mut *transaction),
        )
        .await?;
    // Reads at most as many rows as the limit allows.
    let (is_known, to_recipient, of_actor, of_organization): (bool, bool, bool, bool) = app
        .database
        .run(
            DatabaseOperation::FindEmailLimits,
            sqlx::query_as(
                "select
                     exists (select from email_ledger where job_id = $1),
                     exists (
                         select from email_ledger where recipient_key = email_recipient_key($2) and template = any($3)
                             and created_at > $4 - interval '1 hour' offset $5 - 1
                     ) or exists (
                         select from email_ledger where recipient_key = email_recipient_key($2) and template = any($3)
                             and created_at > $4 - interval '1 day' offset $6 - 1
                     ),
                     exists (
                         select from email_ledger where actor_id = $7 and template = any($3)
                             and created_at > $4 - interval '1 hour' offset $8 - 1
                     ),
                     exists (
                         select from email_ledger where organization_id = $9 and template = any($3)
                             and created_at > $4 - interval '1 hour' offset $10 - 1
                     )",
            )
            .bind(job)
            .bind(recipient)
            .bind(&templates)
            .bind(now)
            .bind(in_hour)
            .bind(in_day)
            .bind(cause.actor)
            .bind(on_behalf.0.unwrap_or(i64::MAX))
            .bind(cause.organization)
            .bind(on_behalf.1.unwrap_or(i64::MAX))
            .fetch_one(&mut *transaction),
        )
        .await?;
    if is_known {
        return Ok(Ok(()));
    }
    let reached = [
        (to_recipient, EmailLimit::Recipient),
        (of_actor, EmailLimit::Actor),
        (of_organization, EmailLimit::Organization),
    ];
    if let Some((_, limit)) = reached.into_iter().find(|(is_reached, _)| *is_reached) {
        return Ok(Err(limit));
    }
    app.database
        .run(
            DatabaseOperation::InsertEmailLedger,
            sqlx::query(
                "insert into email_ledger
                     (job_id, template, recipient_key, actor_id, organization_id, content_item_id, created_at)
                 values ($1, $2, email_recipient_key($3), $4, $5, $6, $7)",
            )
            .bind(job)
            .bind(template.as_str())
            .bind(recipient)
            .bind(cause.actor)
            .bind(cause.organization)
            .bind(cause.content_item)
            .bind(now)
            .execute(&mut *transaction),
        )
        .await?;
    app.database.commit(transaction).await?;
    Ok(Ok(()))
}

/// Returns the time at which each of `recipients` may get the next e-mail of this template about a content
/// item.
pub async fn next_about_item(
    app: &App,
    transaction: &mut database::Transaction,
    template: EmailTemplate,
    content_item: ContentItemId,
    recipients: &[UserId],
) -> database::Result<Vec<(UserId, Option<DateTime<Utc>>)>> {
    let now = app.clock.now();
    let last: Vec<(UserId, Option<DateTime<Utc>>)> = app
        .database
        .run(
            DatabaseOperation::FindEmailLimits,
            sqlx::query_as(
                "select u.id, max(l.created_at) from unnest($1::uuid[]) with ordinality as recipient (id, place)
                 join users u on u.id = recipient.id
                 left join email_ledger l on l.content_item_id = $2 and l.template = $3
                     and l.recipient_key = email_recipient_key(u.email)
                 group by u.id, recipient.place order by recipient.place",
            )
            .bind(recipients)
            .bind(content_item)
            .bind(template.as_str())
            .fetch_all(&mut **transaction),
        )
        .await?;
    let next =
        |last: Option<DateTime<Utc>>| last.map(|last| last + ABOUT_THE_SAME_ITEM).filter(|next| *next > now);
    Ok(last.into_iter().map(|(user, last)| (user, next(last))).collect())
}
