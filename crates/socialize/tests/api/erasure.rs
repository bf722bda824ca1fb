//! Erasure of a person: no trace of them remains in any table, file or e-mail, and their work stays.

use axum::body::Body;
use chrono::TimeDelta;
use domain::ids::UserId;
use domain::vocabulary::{OrganizationRole, WorkspaceRole};
use http::Method;
use mail_parser::MessageParser;
use serde_json::{Value, json};
use socialize::features::auth::clean_up_tokens;
use socialize::features::erasure::{self, Erased, ErasureError, Succession};
use socialize::features::files::clean_up_blobs;
use socialize::platform::token::LinkPurpose;
use test_support::TestApp;

use crate::auth::{self, PASSWORD};
use crate::world::PNG;

/// Part of the person's name and address, and of a screenshot.
const MARKER: &str = "gracemarker";
const NAME: &str = "Gracemarker Hopper";
const EMAIL: &str = "gracemarker@example.com";

/// Every row, file and e-mail that contains the marker, over all tables.
async fn found(test: &TestApp) -> Vec<String> {
    let tables: Vec<String> = sqlx::query_scalar(
        "select table_name::text from information_schema.tables where table_schema = 'public' and table_type = 'BASE \
         TABLE'",
    )
    .fetch_all(test.pool())
    .await
    .expect("tables");
    assert!(tables.len() > 20, "{tables:?}");
    let mut found = Vec::new();
    for table in tables {
        let rows = format!("select t::text from {table} t where t::text ilike '%{MARKER}%'");
        let rows: Vec<String> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(rows)).fetch_all(test.pool()).await.expect("rows");
        found.extend(rows.into_iter().map(|row| format!("{table}: {row}")));
    }
    for email in test.emails() {
        let message = MessageParser::default().parse(&email).expect("a message");
        let text = format!(
            "{email} {} {}",
            message.body_text(0).expect("a text"),
            message.body_html(0).expect("HTML")
        );
        if text.to_lowercase().contains(MARKER) {
            found.push(format!("e-mail: {text}"));
        }
    }
    for path in test.stored_files() {
        let bytes = std::fs::read(&path).expect("a file");
        if String::from_utf8_lossy(&bytes).to_lowercase().contains(MARKER) {
            found.push(format!("file: {}", path.display()));
        }
    }
    found
}

struct World {
    test: TestApp,
    person: UserId,
    owner: UserId,
    /// An item that the person wrote for somebody else's organization.
    item: String,
}

impl World {
    /// A person who has used every feature.
    async fn new() -> Self {
        let test = TestApp::start_with_settings(crate::world::without_rate_limits).await;
        let person = auth::verified(&test, EMAIL).await;
        test.begin_session(person).await;
        let call = async |caller, method, path: &str, body: Value, status| {
            let key = uuid::Uuid::new_v4().to_string();
            let request = test.request(Some(caller), method, path, &body, &[("idempotency-key", &key)]);
            test.send(request).await.expect(status)
        };
        call(person, Method::PATCH, "/v1/me", json!({"display_name": NAME}), 200).await;
        auth::log_in(&test, EMAIL, PASSWORD).await.expect(200);

        // An organization of their own without other members.
        let own =
            call(person, Method::POST, "/v1/organizations", json!({"name": "Own"}), 201).await.text("id");
        let workspace = json!({"name": "Own", "required_approvals": 1});
        call(person, Method::POST, &format!("/v1/organizations/{own}/workspaces"), workspace, 201).await;

        // Invited into another organization, and added to a second workspace of it.
        let (organization, owner) = test.organization().await;
        let workspace = test.workspace(organization, 1).await;
        let second = test.workspace(organization, 1).await;
        let invite = json!({"email": EMAIL, "role": "manager"});
        let invite =
            call(owner, Method::POST, &format!("/v1/workspaces/{workspace}/invites"), invite, 201).await;
        let token =
            test.app.tokens.link(LinkPurpose::WorkspaceInvite, invite.text("id").parse().expect("a UUID"));
        call(person, Method::POST, "/v1/invites/accept", json!({"token": token.expose()}), 201).await;
        let added = json!({"user_id": person, "role": "author"});
        call(owner, Method::POST, &format!("/v1/workspaces/{second}/members"), added, 201).await;
        test.workspace_member(organization, workspace, WorkspaceRole::Reviewer).await;

        // They wrote, commented, submitted, invited and reported.
        let items = format!("/v1/workspaces/{workspace}/content-items");
        let draft = json!({"channel": "x", "title": "A title", "body": "A body"});
        let item = format!("{items}/{}", call(person, Method::POST, &items, draft, 201).await.text("id"));
        call(person, Method::POST, &format!("{item}/comments"), json!({"body": "A comment"}), 201).await;
        call(person, Method::POST, &format!("{item}/submit"), Value::Null, 200).await;
        let invite = json!({"email": "somebody@example.com", "role": "author"});
        call(person, Method::POST, &format!("/v1/workspaces/{workspace}/invites"), invite, 201).await;
        let report = json!({"kind": "bug", "body": "It broke."});
        let report = call(person, Method::POST, "/v1/feedback-reports", report, 201).await.text("id");
        let path = format!("/v1/feedback-reports/{report}/screenshot");
        let mut upload = test.request(Some(person), Method::PUT, &path, &Value::Null, &[]);
        *upload.body_mut() = Body::from([PNG, MARKER.as_bytes()].concat());
        test.send(upload).await.expect(200);

        // They have an invite from strangers, and pending e-mails.
        let (elsewhere, stranger) = test.organization().await;
        let foreign = test.workspace(elsewhere, 1).await;
        let invite = json!({"email": EMAIL, "role": "author"});
        call(stranger, Method::POST, &format!("/v1/workspaces/{foreign}/invites"), invite, 201).await;
        test.run_due_jobs().await;
        auth::post(&test, "request-password-reset", json!({"email": EMAIL})).await.expect(202);
        auth::register(&test, EMAIL).await.expect(202);
        Self { test, person, owner, item }
    }

    /// Finishes pending clean-ups and jobs.
    async fn settle(&self) {
        self.test.run_due_jobs().await;
        clean_up_blobs::run(&self.test.app).await.expect("cleaned up");
    }

    async fn erase(&self, user: UserId, succession: Succession) -> Result<Erased, ErasureError> {
        let (database, now) = (&self.test.app.database, self.test.app.clock.now());
        let mut transaction = database.begin().await.expect("a transaction");
        let erased = erasure::erase_user(database, &mut transaction, user, None, succession, now).await?;
        database.commit(transaction).await.expect("committed");
        Ok(erased)
    }
}

#[tokio::test]
async fn whoever_deletes_their_account_is_nowhere_any_more() {
    let world = World::new().await;
    let (test, person) = (&world.test, world.person);
    let before = found(test).await;
    for place in ["users: ", "workspace_invites: ", "idempotency_keys: ", "e-mail: ", "file: "] {
        assert!(before.iter().any(|found| found.starts_with(place)), "{place} is not among {before:#?}");
    }
    let me = |body| test.call(Some(person), Method::DELETE, "/v1/me", body);
    me(json!({"email": "somebody@example.com"})).await.expect_error(422, "invalid_field");
    me(json!({})).await.expect_error(422, "invalid_field");
    me(json!({"email": EMAIL})).await.expect(204);
    world.settle().await;
    assert_eq!(found(test).await, Vec::<String>::new());

    // Sessions and links have ended, and nobody can log in.
    let left = |query| auth::count(test, query);
    assert_eq!(
        left(
            "select count(*) from sessions s join users u on u.id = s.user_id where u.erased_at is not null"
        )
        .await,
        0
    );
    assert_eq!(left("select count(*) from email_tokens").await, 0);
    assert_eq!(left("select count(*) from workspace_invites where status = 'pending'").await, 0);
    auth::log_in(test, EMAIL, PASSWORD).await.expect_error(401, "invalid_credentials");
    test.get(person, "/v1/me").await.expect_error(401, "unauthenticated");
    me(json!({"email": EMAIL})).await.expect_error(401, "unauthenticated");
    // Their work for others stays, and so does the report.
    let item = test.get(world.owner, &world.item).await.expect(200);
    assert_eq!((item.text("title"), item.text("author_id")), ("A title".to_owned(), person.to_string()));
    let comments = test.get(world.owner, &format!("{}/comments", world.item)).await.expect(200);
    assert_eq!(comments.body["items"][0]["body"], "A comment");
    assert_eq!(left("select count(*) from feedback_reports where body = 'It broke.'").await, 1);
    // Their own organization has no other member, so it is deleted.
    assert_eq!(left("select count(*) from organizations where name = 'Own'").await, 0);
    // Others can see that a member was removed.
    let events =
        auth::count(test, "select count(*) from audit_events where action like '%member_removed'").await;
    assert_eq!(events, 3, "of an organization and two workspaces");
}

#[tokio::test]
async fn erasing_again_finds_nothing_to_do() {
    let world = World::new().await;
    let erased = world.erase(world.person, Succession::Promote).await.expect("erased");
    assert_eq!(erased.address.as_deref(), Some(EMAIL));
    world.test.app.mail.forget(EMAIL, NAME).await;
    world.settle().await;
    assert_eq!(found(&world.test).await, Vec::<String>::new());
    let rows = "select json_agg(u order by id)::text from users u";
    let rows =
        async || -> String { sqlx::query_scalar(rows).fetch_one(world.test.pool()).await.expect("rows") };
    let before = rows().await;
    world.test.app.clock.advance(TimeDelta::hours(1));
    let again = world.erase(world.person, Succession::Promote).await.expect("erased before");
    assert_eq!((again.address, again.audited.len()), (None, 0));
    assert_eq!(rows().await, before);
    let unknown = world.erase(uuid::Uuid::now_v7().into(), Succession::Promote).await;
    assert!(matches!(unknown, Err(ErasureError::UnknownUser)));
    // The address can be registered again, as another account.
    let person = auth::verified(&world.test, EMAIL).await;
    assert_ne!(person, world.person);
    // The clean-up keeps the row that content refers to.
    world.test.app.clock.advance(TimeDelta::days(40));
    clean_up_tokens::run(&world.test.app).await.expect("cleaned up");
    world.test.get(world.owner, &world.item).await.expect(200);
}

#[tokio::test]
async fn an_organization_with_members_keeps_an_owner() {
    let world = World::new().await;
    let test = &world.test;
    let (organization, owner) = test.organization().await;
    let [member, admin, late] =
        [test.user("member").await, test.user("admin").await, test.user("late").await];
    test.join_organization(organization, member, OrganizationRole::Member).await;
    test.app.clock.advance(TimeDelta::hours(1));
    test.join_organization(organization, admin, OrganizationRole::Admin).await;
    test.join_organization(organization, late, OrganizationRole::Admin).await;
    let body = json!({"email": test.email_of(owner).await});
    let refused = test.call(Some(owner), Method::DELETE, "/v1/me", body.clone()).await;
    assert!(
        refused.expect_error(409, "conflict").text("message").contains("make one of them an owner first")
    );
    assert!(test.email_of(owner).await.starts_with("owner"), "nothing was erased");

    // An operator can erase them anyway.
    world.erase(owner, Succession::Promote).await.expect("erased");
    let owners: Vec<UserId> = sqlx::query_scalar(
        "select user_id from organization_members where organization_id = $1 and role = 'owner'",
    )
    .bind(organization)
    .fetch_all(test.pool())
    .await
    .expect("owners");
    assert!(owners == [admin] || owners == [late], "{owners:?}");
    let rows =
        test.get(owners[0], &format!("/v1/organizations/{organization}/audit-events")).await.expect(200);
    let actions: Vec<_> =
        rows.body["items"].as_array().expect("items").iter().map(|row| row["action"].clone()).collect();
    assert!(actions.contains(&json!("organization_role_changed")), "{actions:?}");
    assert!(actions.contains(&json!("organization_member_removed")), "{actions:?}");
}

#[tokio::test]
async fn what_is_deleted_is_gone_with_its_files() {
    let test = TestApp::start().await;
    let (organization, owner) = test.organization().await;
    let workspace = test.workspace(organization, 1).await;
    let author = test.workspace_member(organization, workspace, WorkspaceRole::Author).await;
    let other = test.workspace_member(organization, workspace, WorkspaceRole::Author).await;
    let items = format!("/v1/workspaces/{workspace}/content-items");
    let item = async || {
        let draft = json!({"channel": "x", "title": "A title", "body": "A body"});
        let item = format!("{items}/{}", test.post(author, &items, draft).await.expect(201).text("id"));
        let path = format!("{item}/attachments");
        let mut upload = test.request(Some(author), Method::POST, &path, &Value::Null, &[("if-match", "*")]);
        *upload.body_mut() = Body::from(PNG);
        test.send(upload).await.expect(201);
        item
    };
    let delete = async |caller, path: &str| test.call(Some(caller), Method::DELETE, path, Value::Null).await;
    let files = async || {
        clean_up_blobs::run(&test.app).await.expect("cleaned up");
        test.stored_files().len()
    };
    let (first, second) = (item().await, item().await);
    delete(other, &first).await.expect_error(403, "forbidden");
    delete(author, &first).await.expect(204);
    delete(author, &first).await.expect_error(404, "not_found");
    assert_eq!(files().await, 1);
    // Queued e-mails stay until they are sent.
    sqlx::query(
        "update content_items set status = 'scheduled', scheduled_at = now(), publishing_started_at = now()",
    )
    .execute(test.pool())
    .await
    .expect("being delivered");
    delete(owner, &second).await.expect_error(409, "conflict");

    let path = format!("/v1/workspaces/{workspace}");
    delete(owner, &path).await.expect(204);
    test.get(owner, &path).await.expect_error(404, "not_found");
    assert_eq!(files().await, 0);
    let events = test.get(owner, &format!("/v1/organizations/{organization}/audit-events")).await.expect(200);
    assert_eq!(events.body["items"][0]["action"], "workspace_deleted");
    assert_eq!(events.body["items"][0]["workspace_id"], workspace.to_string());

    test.workspace(organization, 1).await;
    let path = format!("/v1/organizations/{organization}");
    test.log_lines();
    delete(owner, &path).await.expect(204);
    for user in [owner, author] {
        test.get(user, &path).await.expect_error(404, "not_found");
        test.get(user, "/v1/me").await.expect(200);
    }
    let lines = test.log_lines();
    let line = lines.iter().find(|line| line["audit.action"] == "organization_deleted").expect("a line");
    assert_eq!((&line["user.id"], &line["organization.id"]), (&json!(owner), &json!(organization)));
    for table in ["organizations", "workspaces", "content_items", "organization_members", "audit_events"] {
        let query = format!("select count(*) from {table}");
        let left: i64 =
            sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(test.pool()).await.expect("a count");
        assert_eq!(left, 0, "{table}");
    }
}

#[tokio::test]
async fn a_failed_deletion_leaves_everything() {
    let world = World::new().await;
    let before = found(&world.test).await.len();
    world.test.break_table("users").await;
    let body = json!({"email": EMAIL});
    world.test.call(Some(world.person), Method::DELETE, "/v1/me", body).await.expect_error(500, "internal");
    assert_eq!(found(&world.test).await.len(), before);
}

#[tokio::test]
async fn what_nobody_confirms_accepts_or_belongs_to_is_cleaned_up() {
    let test = TestApp::start().await;
    auth::register(&test, "never-confirmed@example.com").await.expect(202);
    let (organization, owner) = test.organization().await;
    let workspace = test.workspace(organization, 1).await;
    let path = format!("/v1/workspaces/{workspace}/invites");
    let invite = json!({"email": "never-accepted@example.com", "role": "author"});
    let invite = test.post(owner, &path, invite).await.expect(201).text("id");
    test.call(Some(owner), Method::DELETE, &format!("{path}/{invite}"), Value::Null).await.expect(204);
    let (empty, last) = test.organization().await;
    sqlx::query("delete from organization_members where user_id = $1")
        .bind(last)
        .execute(test.pool())
        .await
        .expect("left");
    let there = async || -> (bool, bool, bool) {
        sqlx::query_as(
            "select exists (select from pending_registrations where email = 'never-confirmed@example.com'),
                 exists (select from workspace_invites), exists (select from organizations where id = $1)",
        )
        .bind(empty)
        .fetch_one(test.pool())
        .await
        .expect("a result")
    };
    for (after, expected) in [
        (TimeDelta::zero(), (true, true, true)),
        (TimeDelta::days(1), (false, true, false)),
        (TimeDelta::days(28), (false, true, false)),
        (TimeDelta::days(1), (false, false, false)),
    ] {
        test.app.clock.advance(after);
        clean_up_tokens::run(&test.app).await.expect("cleaned up");
        assert_eq!(there().await, expected, "after another {after}");
    }
    test.get(owner, &format!("/v1/organizations/{organization}")).await.expect(200);
}
