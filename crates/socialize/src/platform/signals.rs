//! Business facts: one method per user action, called once, directly after the commit that made it
//! true.
//!
//! A call neither fails nor waits, so nothing can come between the commit and its signal. The
//! counters are for monitoring; the database is the ledger.

use catalogue::labels::{
    AuthFailureReason, EmailLimit, ErrorCode, PublishingEndpointChange, PublishingOutcome,
};
use catalogue::{keys, metrics};
use domain::audit::AuditAction;
use domain::ids::{
    CommentId, ContentItemId, FeedbackReportId, InviteId, OrganizationId, UserId, WorkspaceId,
};
use domain::vocabulary::{Channel, Decision, FeedbackKind, PublishFailure, WorkspaceRole};
use telemetry::log::Level;
use telemetry::meter::Counter;
use telemetry::{Attributes, Fact, Telemetry};

/// The ids of the acting user, as far as they are known.
#[derive(Clone, Copy, Debug)]
pub struct Actor {
    /// The user who acted.
    pub user_id: UserId,
    /// The organization of the action, if any.
    pub organization_id: Option<OrganizationId>,
    /// The workspace of the action, if any.
    pub workspace_id: Option<WorkspaceId>,
}

impl Actor {
    /// Sets the known ids on a record.
    pub fn describe(&self, attributes: &mut Attributes) {
        attributes.id(&keys::USER_ID, self.user_id);
        if let Some(organization_id) = self.organization_id {
            attributes.id(&keys::ORGANIZATION_ID, organization_id);
        }
        if let Some(workspace_id) = self.workspace_id {
            attributes.id(&keys::WORKSPACE_ID, workspace_id);
        }
    }
}

/// A content item in delivery to a publishing endpoint.
#[derive(Clone, Copy, Debug)]
pub struct PublishedItem {
    /// The workspace to which the item belongs.
    pub workspace_id: WorkspaceId,
    /// The delivered content item.
    pub content_item_id: ContentItemId,
    /// The number of the delivered revision.
    pub revision: u64,
}

impl PublishedItem {
    /// Sets the ids on a record.
    pub fn describe(&self, attributes: &mut Attributes) {
        attributes.id(&keys::WORKSPACE_ID, self.workspace_id);
        attributes.id(&keys::CONTENT_ITEM_ID, self.content_item_id);
        attributes.number(&keys::CONTENT_ITEM_REVISION, self.revision);
    }
}

/// All business facts and their counters.
pub struct Signals {
    users_registered: Fact,
    users_verified: Fact,
    workspaces_first_published: Fact,
    organizations_created: Fact,
    workspaces_created: Fact,
    workspace_invites_created: Fact,
    content_items_created: Fact,
    comments_created: Fact,
    approval_decisions_submitted: Fact<Decision>,
    feedback_reports_submitted: Fact<FeedbackKind>,
    publishing_deliveries: Fact<PublishingOutcome>,
    publishing_endpoints_changed: Fact<PublishingEndpointChange>,
    emails_withheld: Fact<EmailLimit>,
    audit_events: Fact<AuditAction>,
    auth_login_attempts: Counter,
    auth_login_successes: Fact,
    auth_failures: Fact<AuthFailureReason>,
    api_errors: Counter<ErrorCode>,
}

impl Signals {
    /// Creates every instrument; all series start at 0.
    pub fn new(telemetry: &Telemetry) -> Self {
        Self {
            users_registered: Fact::new(telemetry, &metrics::USERS_REGISTERED),
            users_verified: Fact::new(telemetry, &metrics::USERS_VERIFIED),
            workspaces_first_published: Fact::new(telemetry, &metrics::WORKSPACES_FIRST_PUBLISHED),
            organizations_created: Fact::new(telemetry, &metrics::ORGANIZATIONS_CREATED),
            workspaces_created: Fact::new(telemetry, &metrics::WORKSPACES_CREATED),
            workspace_invites_created: Fact::new(telemetry, &metrics::WORKSPACE_INVITES_CREATED),
            content_items_created: Fact::new(telemetry, &metrics::CONTENT_ITEMS_CREATED),
            comments_created: Fact::new(telemetry, &metrics::COMMENTS_CREATED),
            approval_decisions_submitted: Fact::new(telemetry, &metrics::APPROVAL_DECISIONS_SUBMITTED),
            feedback_reports_submitted: Fact::new(telemetry, &metrics::FEEDBACK_REPORTS_SUBMITTED),
            publishing_deliveries: Fact::new(telemetry, &metrics::PUBLISHING_DELIVERIES),
            publishing_endpoints_changed: Fact::new(telemetry, &metrics::PUBLISHING_ENDPOINTS_CHANGED),
            audit_events: Fact::new(telemetry, &metrics::AUDIT_EVENTS),
            emails_withheld: Fact::new(telemetry, &metrics::EMAILS_WITHHELD),
            auth_login_attempts: telemetry.meter().counter(&metrics::AUTH_LOGIN_ATTEMPTS),
            auth_login_successes: Fact::new(telemetry, &metrics::AUTH_LOGIN_SUCCESSES),
            auth_failures: Fact::new(telemetry, &metrics::AUTH_FAILURES),
            api_errors: telemetry.meter().counter(&metrics::API_ERRORS),
        }
    }

    /// Records that a user registered with an address that has no account. There is no id yet: the
    /// account begins when the address is confirmed.
    pub fn user_registered(&self) {
        self.users_registered.happened((), |_| ());
    }

    /// Records that a user confirmed an address, which began the account.
    pub fn user_verified(&self, user: UserId) {
        self.users_verified.happened((), |attributes| attributes.id(&keys::USER_ID, user));
    }

    /// Records that a workspace published its first content item.
    pub fn workspace_first_published(&self, workspace: WorkspaceId, item: ContentItemId) {
        self.workspaces_first_published.happened((), |attributes| {
            attributes.id(&keys::WORKSPACE_ID, workspace);
            attributes.id(&keys::CONTENT_ITEM_ID, item);
        });
    }

    /// Records that a user created an organization.
    pub fn organization_created(&self, actor: &Actor) {
        self.organizations_created.happened((), |attributes| actor.describe(attributes));
    }

    /// Records that a user created a workspace.
    pub fn workspace_created(&self, actor: &Actor) {
        self.workspaces_created.happened((), |attributes| actor.describe(attributes));
    }

    /// Records that a manager invited a person into a workspace.
    pub fn workspace_invite_created(&self, actor: &Actor, invite: InviteId, role: WorkspaceRole) {
        self.workspace_invites_created.happened((), |attributes| {
            actor.describe(attributes);
            attributes.id(&keys::INVITE_ID, invite);
            attributes.name(&keys::WORKSPACE_ROLE, role);
        });
    }

    /// Records that an author created a content item.
    pub fn content_item_created(&self, actor: &Actor, item: ContentItemId, channel: Channel) {
        self.content_items_created.happened((), |attributes| {
            actor.describe(attributes);
            attributes.id(&keys::CONTENT_ITEM_ID, item);
            attributes.name(&keys::CHANNEL, channel);
        });
    }

    /// Records that a member commented on a content item.
    pub fn comment_created(&self, actor: &Actor, item: ContentItemId, comment: CommentId) {
        self.comments_created.happened((), |attributes| {
            actor.describe(attributes);
            attributes.id(&keys::CONTENT_ITEM_ID, item);
            attributes.id(&keys::COMMENT_ID, comment);
        });
    }

    /// Records that a reviewer decided on a revision.
    pub fn approval_decision_submitted(
        &self,
        actor: &Actor,
        item: ContentItemId,
        revision: u64,
        decision: Decision,
    ) {
        self.approval_decisions_submitted.happened(decision, |attributes| {
            actor.describe(attributes);
            attributes.id(&keys::CONTENT_ITEM_ID, item);
            attributes.number(&keys::CONTENT_ITEM_REVISION, revision);
        });
    }

    /// Records that a user reported feedback to the operator.
    pub fn feedback_report_submitted(&self, actor: &Actor, report: FeedbackReportId, kind: FeedbackKind) {
        self.feedback_reports_submitted.happened(kind, |attributes| {
            actor.describe(attributes);
            attributes.id(&keys::FEEDBACK_REPORT_ID, report);
        });
    }

    /// Records that an attempt to deliver a content item ended, and its outcome has been stored.
    pub fn publishing_attempted(&self, item: &PublishedItem, outcome: PublishingOutcome) {
        self.publishing_deliveries.happened(outcome, |attributes| item.describe(attributes));
    }

    /// Records that the delivery of a content item was given up.
    pub fn publishing_given_up(&self, item: &PublishedItem, failure: PublishFailure) {
        self.publishing_deliveries.happened_at(Level::Warn, PublishingOutcome::Failed, |attributes| {
            item.describe(attributes);
            attributes.name(&keys::PUBLISH_FAILURE, failure);
        });
    }

    /// Records that a manager changed the publishing endpoint of a workspace.
    pub fn publishing_endpoint_changed(&self, actor: &Actor, change: PublishingEndpointChange) {
        self.publishing_endpoints_changed.happened(change, |attributes| actor.describe(attributes));
    }

    /// Records that a permission changed, or a setting that protects approval. `describe` adds the ids of the
    /// changed objects.
    pub fn audited(&self, action: AuditAction, describe: impl FnOnce(&mut Attributes)) {
        self.audit_events.happened(action, describe);
    }

    /// Records that an e-mail was not sent because it exceeded a limit: of one user, one
    /// organization or one mailbox.
    pub fn email_withheld(
        &self,
        limit: EmailLimit,
        actor: Option<UserId>,
        organization: Option<OrganizationId>,
    ) {
        self.emails_withheld.happened_at(Level::Warn, limit, |attributes| {
            if let Some(actor) = actor {
                attributes.id(&keys::USER_ID, actor);
            }
            if let Some(organization) = organization {
                attributes.id(&keys::ORGANIZATION_ID, organization);
            }
        });
    }

    /// Records that a user tried to log in. The outcome's event writes the line.
    pub fn login_attempted(&self) {
        self.auth_login_attempts.add((), 1);
    }

    /// Records that a user logged in.
    pub fn login_succeeded(&self, user: UserId) {
        self.auth_login_successes.happened((), |attributes| attributes.id(&keys::USER_ID, user));
    }

    /// Records that a caller could not be authenticated. `user` is the account that it concerned,
    /// if known.
    pub fn auth_failed(&self, reason: AuthFailureReason, user: Option<UserId>) {
        self.auth_failures.happened(reason, |attributes| {
            if let Some(user) = user {
                attributes.id(&keys::USER_ID, user);
            }
        });
    }

    /// Records that an error was returned. It is counted and set on the request's own record, which
    /// writes the line.
    pub fn api_error(&self, code: ErrorCode) {
        self.api_errors.add(code, 1);
        telemetry::current::set(|attributes| attributes.name(&keys::ERROR_CODE, code));
    }
}
