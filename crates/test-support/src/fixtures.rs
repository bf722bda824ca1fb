//! Rows that tests begin with, inserted without the API's checks.

use chrono::{DateTime, Utc};
use domain::ids::{OrganizationId, UserId, WorkspaceId};
use domain::vocabulary::{OrganizationRole, WorkspaceRole};
use uuid::Uuid;

use crate::app::TestApp;

impl TestApp {
    /// Creates the session to which this user's requests belong.
    pub async fn begin_session(&self, user: UserId) {
        sqlx::query(
            "insert into sessions (id, user_id, created_at, expires_at) values ($1, $1, $2, $2 + interval '10 years')",
        )
        .bind(user)
        .bind(self.app.clock.now())
        .execute(self.pool())
        .await
        .expect("a session");
    }

    /// Creates a verified user with a session, without the cost of hashing a password.
    pub async fn user(&self, name: &str) -> UserId {
        let id = UserId::from(Uuid::now_v7());
        sqlx::query(
            "insert into users (id, email, display_name, password_hash, email_verified_at, created_at)
             values ($1, $2, $3, '$argon2id$not-a-hash', $4, $4)",
        )
        .bind(id)
        .bind(format!("{name}-{}@example.com", id.uuid().simple()))
        .bind(name)
        .bind(self.app.clock.now())
        .execute(self.pool())
        .await
        .expect("a user");
        self.begin_session(id).await;
        id
    }

    /// Creates a platform operator.
    pub async fn operator(&self) -> UserId {
        let id = self.user("operator").await;
        sqlx::query("update users set is_operator = true where id = $1")
            .bind(id)
            .execute(self.pool())
            .await
            .expect("an operator");
        id
    }

    /// Creates an organization and its owner.
    pub async fn organization(&self) -> (OrganizationId, UserId) {
        let owner = self.user("owner").await;
        let id = OrganizationId::from(Uuid::now_v7());
        sqlx::query("insert into organizations (id, name, created_by, created_at) values ($1, 'Organization', $2, $3)")
            .bind(id)
            .bind(owner)
            .bind(self.app.clock.now())
            .execute(self.pool())
            .await
            .expect("an organization");
        self.join_organization(id, owner, OrganizationRole::Owner).await;
        (id, owner)
    }

    /// Makes a user a member of an organization.
    pub async fn join_organization(
        &self,
        organization: OrganizationId,
        user: UserId,
        role: OrganizationRole,
    ) {
        sqlx::query("insert into organization_members (organization_id, user_id, role, created_at) values ($1, $2, $3, \
                     $4)")
            .bind(organization)
            .bind(user)
            .bind(role)
            .bind(self.app.clock.now())
            .execute(self.pool())
            .await
            .expect("a member");
    }

    /// Creates a workspace that needs `required_approvals`. It publishes to an address that cannot
    /// be resolved.
    pub async fn workspace(&self, organization: OrganizationId, required_approvals: i32) -> WorkspaceId {
        let id = WorkspaceId::from(Uuid::now_v7());
        sqlx::query(
            "insert into workspaces (id, organization_id, name, required_approvals, last_active_at, created_at)
             values ($1, $2, 'Workspace', $3, $4, $4)",
        )
        .bind(id)
        .bind(organization)
        .bind(required_approvals)
        .bind(self.app.clock.now())
        .execute(self.pool())
        .await
        .expect("a workspace");
        self.publish_to(id, "https://receiver.example/posts").await;
        id
    }

    /// Sets the URL of a workspace's publishing endpoint, without the API's checks.
    pub async fn publish_to(&self, workspace: WorkspaceId, url: &str) {
        sqlx::query(
            "insert into publishing_endpoints (workspace_id, url, secret_id, created_at, updated_at)
             values ($1, $2, $3, $4, $4)
             on conflict (workspace_id) do update set url = $2, disabled_at = null",
        )
        .bind(workspace)
        .bind(url)
        .bind(Uuid::new_v4())
        .bind(self.app.clock.now())
        .execute(self.pool())
        .await
        .expect("a publishing endpoint");
    }

    /// Inserts approved content items that are scheduled for `at`, with their jobs, as the API
    /// leaves them.
    pub async fn scheduled_items(
        &self,
        workspace: WorkspaceId,
        author: UserId,
        count: i32,
        at: DateTime<Utc>,
    ) -> Vec<Uuid> {
        sqlx::query_scalar(
            "with items as (
                 insert into content_items
                     (id, workspace_id, channel, status, current_revision, scheduled_at, status_entered_at, created_by,
                      created_at, updated_at)
                 select gen_random_uuid(), $1, 'linkedin', 'scheduled', 1, $4, $4, $2, $4, $4
                 from generate_series(1, $3)
                 returning id
             ), revisions as (
                 insert into content_revisions (content_item_id, number, title, body, author_id, created_at)
                 select id, 1, 'Title', 'Body', $2, $4 from items
             ), jobs as (
                 insert into jobs
                     (id, kind, payload, deduplication_key, run_at, max_attempts, created_at, lane, organization_id)
                 select gen_random_uuid(), 'publish_content_item',
                     jsonb_build_object('workspace', $1::uuid, 'content_item', id, 'revision', 1, 'scheduled_at', $4),
                     id || ':' || (extract(epoch from $4) * 1000000)::bigint, $4, 12, $4, $1,
                     (select organization_id from workspaces where id = $1)
                 from items
             )
             select id from items",
        )
        .bind(workspace)
        .bind(author)
        .bind(count)
        .bind(at)
        .fetch_all(self.pool())
        .await
        .expect("scheduled items")
    }

    /// Creates a user with a role in a workspace.
    pub async fn workspace_member(
        &self,
        organization: OrganizationId,
        workspace: WorkspaceId,
        role: WorkspaceRole,
    ) -> UserId {
        let user = self.user(telemetry::ClosedSet::as_str(role)).await;
        self.join_organization(organization, user, OrganizationRole::Member).await;
        sqlx::query(
            "insert into workspace_members (workspace_id, organization_id, user_id, role, created_at)
             values ($1, $2, $3, $4, $5)",
        )
        .bind(workspace)
        .bind(organization)
        .bind(user)
        .bind(role)
        .bind(self.app.clock.now())
        .execute(self.pool())
        .await
        .expect("a workspace member");
        user
    }
}
