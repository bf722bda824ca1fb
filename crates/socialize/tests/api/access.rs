//! Permissions: every route of the API with every role, and with outsiders.

use std::collections::BTreeSet;

use axum::body::Body;
use http::{HeaderMap, Method};
use serde_json::{Value, json};
use test_support::{Answer, TestApp};
use uuid::Uuid;

use crate::world::{self, Role, World};

/// Placeholder for a picture in the table.
pub(crate) const PICTURE: &str = "<png>";

/// One line per route: the statuses of a well-formed request of each role, the route, and the body.
/// World::value defines the names in braces. A status after `#` is the content item's status that the request
/// requires; otherwise the item is a draft of the author. The body `<png>` is a picture instead of JSON.
///
/// Columns: no access token; the owner of another organization; a member of the organization without a role
/// in the workspace; reviewer, author and manager of the workspace; admin and owner of the organization; an
/// operator.
const TABLE: &str = r##"
no_ oth mem rev aut man adm own ope
202 202 202 202 202 202 202 202 202 POST   /v1/auth/register {"email": "{new_email}", "display_name": "Ada", "password": "{password}"}
204 204 204 204 204 204 204 204 204 POST   /v1/auth/verify-email {"token": "{verification_token}"}
202 202 202 202 202 202 202 202 202 POST   /v1/auth/resend-verification {"email": "{new_email}"}
200 200 200 200 200 200 200 200 200 POST   /v1/auth/login {"email": "{email}", "password": "{password}"}
200 200 200 200 200 200 200 200 200 POST   /v1/auth/refresh {"refresh_token": "{refresh_token}"}
204 204 204 204 204 204 204 204 204 POST   /v1/auth/logout {"refresh_token": "{refresh_token}"}
202 202 202 202 202 202 202 202 202 POST   /v1/auth/request-password-reset {"email": "{new_email}"}
204 204 204 204 204 204 204 204 204 POST   /v1/auth/reset-password {"token": "{reset_token}", "password": "{password}"}

401 200 200 200 200 200 200 200 200 GET    /v1/me
401 200 200 200 200 200 200 200 200 PATCH  /v1/me {"display_name": "Ada"}
401 204 204 204 204 204 204 409 204 DELETE /v1/me {"email": "{own_email}"}

401 200 200 200 200 200 200 200 200 GET    /v1/organizations
401 201 201 201 201 201 201 201 201 POST   /v1/organizations {"name": "Another"}
401 404 200 200 200 200 200 200 404 GET    /v1/organizations/{organization_id}
401 404 403 403 403 403 200 200 404 PATCH  /v1/organizations/{organization_id} {"name": "Renamed"}
401 404 403 403 403 403 403 204 404 DELETE /v1/organizations/{organization_id}
401 404 200 200 200 200 200 200 404 GET    /v1/organizations/{organization_id}/members
401 404 403 403 403 403 200 200 404 PATCH  /v1/organizations/{organization_id}/members/{user_id} {"role": "admin"}
401 404 403 403 403 403 204 204 404 DELETE /v1/organizations/{organization_id}/members/{user_id}

401 404 403 403 403 403 403 200 404 GET    /v1/organizations/{organization_id}/audit-events

401 404 200 200 200 200 200 200 404 GET    /v1/organizations/{organization_id}/workspaces
401 404 403 403 403 403 201 201 404 POST   /v1/organizations/{organization_id}/workspaces {"name": "Another", "required_approvals": 1}
401 404 404 200 200 200 200 200 404 GET    /v1/workspaces/{workspace_id}
401 404 404 403 403 200 200 200 404 PATCH  /v1/workspaces/{workspace_id} {"name": "Renamed"}
401 404 404 403 403 403 204 204 404 DELETE /v1/workspaces/{workspace_id}
401 404 404 200 200 200 200 200 404 GET    /v1/workspaces/{workspace_id}/members
401 404 404 403 403 201 201 201 404 POST   /v1/workspaces/{workspace_id}/members {"user_id": "{newcomer_id}", "role": "author"}
401 404 404 403 403 200 200 200 404 PATCH  /v1/workspaces/{workspace_id}/members/{user_id} {"role": "manager"}
401 404 404 403 403 204 204 204 404 DELETE /v1/workspaces/{workspace_id}/members/{user_id}

401 404 404 403 403 200 200 200 404 GET    /v1/workspaces/{workspace_id}/invites
401 404 404 403 403 201 201 201 404 POST   /v1/workspaces/{workspace_id}/invites {"email": "{new_email}", "role": "author"}
401 404 404 403 403 204 204 204 404 DELETE /v1/workspaces/{workspace_id}/invites/{invite_id}
401 201 201 201 201 201 201 201 201 POST   /v1/invites/accept {"token": "{invite_token}"}

401 404 404 403 403 200 200 200 404 GET    /v1/workspaces/{workspace_id}/publishing-endpoint
401 404 404 403 403 200 200 200 404 PUT    /v1/workspaces/{workspace_id}/publishing-endpoint {"url": "https://example.com/posts"}
401 404 404 403 403 200 200 200 404 POST   /v1/workspaces/{workspace_id}/publishing-endpoint/rotate-secret
401 404 404 403 403 204 204 204 404 DELETE /v1/workspaces/{workspace_id}/publishing-endpoint

401 404 404 200 200 200 200 200 404 GET    /v1/workspaces/{workspace_id}/content-items
401 404 404 403 201 201 201 201 404 POST   /v1/workspaces/{workspace_id}/content-items {"channel": "x", "title": "A", "body": ""}
401 404 404 200 200 200 200 200 404 GET    /v1/workspaces/{workspace_id}/content-items/{content_item_id}
401 404 404 403 200 200 200 200 404 PATCH  /v1/workspaces/{workspace_id}/content-items/{content_item_id} {"title": "B"}
401 404 404 403 204 204 204 204 404 DELETE /v1/workspaces/{workspace_id}/content-items/{content_item_id}
401 404 404 200 200 200 200 200 404 GET    /v1/workspaces/{workspace_id}/content-items/{content_item_id}/revisions
401 404 404 403 200 200 200 200 404 POST   /v1/workspaces/{workspace_id}/content-items/{content_item_id}/submit
401 404 404 200 200 200 200 200 404 GET    /v1/workspaces/{workspace_id}/content-items/{content_item_id}/decisions
401 404 404 201 403 201 201 201 404 POST   /v1/workspaces/{workspace_id}/content-items/{content_item_id}/decisions {"decision": "approve", "revision": 1} # in_approval
401 404 404 403 403 200 200 200 404 POST   /v1/workspaces/{workspace_id}/content-items/{content_item_id}/schedule {"scheduled_at": "{soon}"} # approved
401 404 404 403 403 200 200 200 404 POST   /v1/workspaces/{workspace_id}/content-items/{content_item_id}/unschedule # scheduled
401 404 404 403 403 200 200 200 404 POST   /v1/workspaces/{workspace_id}/content-items/{content_item_id}/publish # approved
401 404 404 403 403 200 200 200 404 POST   /v1/workspaces/{workspace_id}/content-items/{content_item_id}/mark-published # approved
401 404 404 403 200 200 200 200 404 POST   /v1/workspaces/{workspace_id}/content-items/{content_item_id}/archive
401 404 404 200 200 200 200 200 404 GET    /v1/workspaces/{workspace_id}/content-items/{content_item_id}/attachments
401 404 404 403 201 201 201 201 404 POST   /v1/workspaces/{workspace_id}/content-items/{content_item_id}/attachments <png>
401 404 404 200 200 200 200 200 404 GET    /v1/workspaces/{workspace_id}/content-items/{content_item_id}/attachments/{attachment_id}
401 404 404 403 204 204 204 204 404 DELETE /v1/workspaces/{workspace_id}/content-items/{content_item_id}/attachments/{attachment_id}
401 404 404 200 200 200 200 200 404 GET    /v1/workspaces/{workspace_id}/content-items/{content_item_id}/comments
401 404 404 201 201 201 201 201 404 POST   /v1/workspaces/{workspace_id}/content-items/{content_item_id}/comments {"body": "A comment"}
401 404 404 403 204 204 204 204 404 DELETE /v1/workspaces/{workspace_id}/content-items/{content_item_id}/comments/{comment_id}

401 201 201 201 201 201 201 201 201 POST   /v1/feedback-reports {"kind": "idea", "body": "More tables"}
401 200 200 200 200 200 200 200 200 GET    /v1/feedback-reports/mine
401 403 403 403 403 403 403 403 200 GET    /v1/feedback-reports
401 403 403 403 403 403 403 403 200 GET    /v1/feedback-reports/{feedback_report_id}
401 403 403 403 403 403 403 403 200 PATCH  /v1/feedback-reports/{feedback_report_id} {"status": "triaged"}
401 404 404 404 200 404 404 404 404 PUT    /v1/feedback-reports/{feedback_report_id}/screenshot <png>
401 404 404 404 200 404 404 404 200 GET    /v1/feedback-reports/{feedback_report_id}/screenshot
"##;

pub(crate) struct Row {
    expected: Vec<u16>,
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    /// Empty if the route takes no body, and [`PICTURE`] if it takes a file.
    pub(crate) body: &'static str,
    pub(crate) item_status: &'static str,
}

pub(crate) fn rows() -> Vec<Row> {
    let lines = TABLE.lines().filter(|line| !line.is_empty()).skip(1);
    lines.map(Row::parse).collect()
}

impl Row {
    fn parse(line: &'static str) -> Self {
        let (request, item_status) = line.split_once(" # ").unwrap_or((line, "draft"));
        let (expected, request) = request.split_at(4 * Role::ALL.len());
        let expected: Vec<u16> =
            expected.split_whitespace().map(|status| status.parse().expect("a status")).collect();
        assert_eq!(expected.len(), Role::ALL.len(), "{line}");
        let (method, request) = request.split_once(' ').expect("a method");
        let request = request.trim();
        let (path, body) = request.split_once(' ').unwrap_or((request, ""));
        Self { expected, method: method.parse().expect("a method"), path, body, item_status }
    }

    /// Returns a role with permission.
    pub(crate) fn allowed_role(&self) -> Role {
        let mut roles = Role::ALL.into_iter().zip(&self.expected).rev();
        roles.find(|(_, status)| **status < 300).map(|(role, _)| role).expect("somebody may do it")
    }

    fn route(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// The routes of the OpenAPI document, and whether they require an access token.
fn documented() -> Vec<(String, bool)> {
    let document = serde_json::to_value(socialize::run::router::document()).expect("a document");
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, route) in item.as_object().expect("routes") {
            let is_protected = route["security"].as_array().is_some_and(|needed| !needed.is_empty());
            routes.push((format!("{} {path}", method.to_ascii_uppercase()), is_protected));
        }
    }
    routes
}

#[test]
fn every_route_has_its_line() {
    let rows = rows();
    let listed: BTreeSet<String> = rows.iter().map(Row::route).collect();
    let documented: BTreeSet<String> = documented().into_iter().map(|(route, _)| route).collect();
    assert_eq!(listed.len(), rows.len(), "a route has two lines");
    assert_eq!(listed.difference(&documented).collect::<Vec<_>>(), Vec::<&String>::new(), "no such routes");
    assert_eq!(documented.difference(&listed).collect::<Vec<_>>(), Vec::<&String>::new(), "without a line");
}

#[test]
fn the_document_says_which_routes_need_an_access_token() {
    let documented = documented();
    for row in rows() {
        let is_protected = row.expected[Role::Anonymous as usize] == 401;
        assert!(documented.contains(&(row.route(), is_protected)), "{}", row.route());
    }
}

#[tokio::test]
async fn everybody_may_do_what_the_table_says() {
    let test = TestApp::start_with_settings(world::without_rate_limits).await;
    let mut mistakes = Vec::new();
    for row in rows() {
        let mut world = World::new(&test, row.item_status).await;
        for (role, expected) in Role::ALL.into_iter().zip(&row.expected) {
            let answer = send(&world, role, &row, &world.fill(row.path, role).await).await;
            if answer.status.as_u16() != *expected {
                let body = &answer.body;
                mistakes.push(format!(
                    "{} as {role:?}: {} and not {expected}: {body}",
                    row.route(),
                    answer.status
                ));
            }
            if answer.status.is_success() && row.method != Method::GET {
                world = World::new(&test, row.item_status).await;
            }
        }
    }
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
}

/// Log-out, a new password, token theft and erasure take effect at once, although the access token is still
/// valid.
#[tokio::test]
async fn an_access_token_ends_with_its_session_on_every_route() {
    let endings = [
        "update sessions set ended_at = created_at, ended_reason = 'logged_out' where id = $1",
        "update sessions set expires_at = created_at + interval '1 microsecond' where id = $1",
        "delete from sessions where id = $1",
        // The session is active but belongs to another user.
        "update sessions set user_id = (select id from users where id <> $1 limit 1) where id = $1",
    ];
    let test = TestApp::start_with_settings(world::without_rate_limits).await;
    let protected: BTreeSet<String> =
        documented().into_iter().filter(|(_, is_protected)| *is_protected).map(|(route, _)| route).collect();
    let mut refused = 0;
    for row in rows().iter().filter(|row| protected.contains(&row.route())) {
        for ending in endings {
            let (role, world) = (row.allowed_role(), World::new(&test, row.item_status).await);
            // Prepares the request while the session is active.
            let path = world.fill(row.path, role).await;
            let body = world.fill(row.body, role).await;
            let caller = world.caller(role).expect("a user");
            test.app.clock.advance(chrono::TimeDelta::seconds(1));
            sqlx::query(ending).bind(caller).execute(test.pool()).await.expect("ended");
            let answer = send_filled(&world, role, row, &path, &body).await;
            assert_eq!(answer.status, 401, "{} after {ending}: {}", row.route(), answer.body);
            refused += 1;
        }
    }
    assert_eq!(crate::auth::failures(&test, "ended_session"), refused);
}

/// A refusal must not reveal whether the resource exists.
#[tokio::test]
async fn outsiders_cannot_tell_what_exists() {
    let test = TestApp::start().await;
    let mut compared = 0;
    for row in rows().iter().filter(|row| row.path.contains('{')) {
        let world = World::new(&test, row.item_status).await;
        for (role, expected) in Role::ALL.into_iter().zip(&row.expected) {
            let is_outsider = matches!(role, Role::Anonymous | Role::Stranger | Role::Operator);
            if *expected == 404 || (is_outsider && *expected >= 400) {
                let real = send(&world, role, row, &world.fill(row.path, role).await).await;
                let unknown = send(&world, role, row, &with_random_ids(row.path)).await;
                assert_eq!(visible(&real), visible(&unknown), "{} as {role:?}", row.route());
                compared += 1;
            }
        }
    }
    assert!(compared > 100, "only {compared} answers were compared");
}

/// A caller with permissions in one organization cannot reach into another one by an id further down the
/// path.
#[tokio::test]
async fn what_is_under_a_path_belongs_to_it() {
    let test = TestApp::start().await;
    let mut compared = 0;
    for row in rows().iter().filter(|row| row.path.matches('{').count() > 1) {
        let (home, elsewhere) =
            (World::new(&test, row.item_status).await, World::new(&test, row.item_status).await);
        let at_home = home.fill(row.path, Role::Owner).await;
        let elsewhere = elsewhere.fill(row.path, Role::Owner).await;
        let (at_home, elsewhere) = (ids(row.path, &at_home), ids(row.path, &elsewhere));
        let random: Vec<String> = at_home.iter().map(|_| Uuid::new_v4().to_string()).collect();
        // The first `own` ids are the caller's, the others are not.
        for own in 1..at_home.len() {
            let own_ids = || at_home[..own].iter().copied();
            let foreign = own_ids().chain(elsewhere[own..].iter().copied());
            let unknown = own_ids().chain(random[own..].iter().map(String::as_str));
            let foreign = send(&home, Role::Owner, row, &with_ids(row.path, foreign)).await;
            let unknown = send(&home, Role::Owner, row, &with_ids(row.path, unknown)).await;
            assert_eq!(foreign.status, 404, "{}", row.route());
            assert_eq!(visible(&foreign), visible(&unknown), "{}", row.route());
            compared += 1;
        }
    }
    assert!(compared > 15, "only {compared} answers were compared");
}

/// The same for ids in a body.
#[tokio::test]
async fn what_a_body_refers_to_is_not_given_away() {
    let test = TestApp::start().await;
    let (home, elsewhere) = (World::new(&test, "draft").await, World::new(&test, "draft").await);
    let (workspace, owner) = (home.fill("{workspace_id}", Role::Owner).await, home.caller(Role::Owner));
    let foreign_user = elsewhere.fill("{user_id}", Role::Owner).await;
    let foreign_organization = elsewhere.fill("{organization_id}", Role::Owner).await;
    let random = Uuid::new_v4().to_string();

    let members = format!("/v1/workspaces/{workspace}/members");
    let add =
        |user: &str| test.call(owner, Method::POST, &members, json!({"user_id": user, "role": "author"}));
    let foreign = add(&foreign_user).await.expect_error(422, "invalid_field");
    assert_eq!(visible(&foreign), visible(&add(&random).await));

    let report = |organization: &str| {
        let report = json!({"kind": "bug", "body": "It broke.", "organization_id": organization});
        test.call(owner, Method::POST, "/v1/feedback-reports", report)
    };
    let foreign = report(&foreign_organization).await.expect_error(404, "not_found");
    assert_eq!(visible(&foreign), visible(&report(&random).await));
}

async fn send(world: &World<'_>, role: Role, row: &Row, path: &str) -> Answer {
    send_filled(world, role, row, path, &world.fill(row.body, role).await).await
}

async fn send_filled(world: &World<'_>, role: Role, row: &Row, path: &str, body: &str) -> Answer {
    let body = match body {
        "" | PICTURE => Value::Null,
        body => serde_json::from_str(body).expect("a JSON body"),
    };
    // Edits of content items require it; other routes ignore it.
    let headers = [("if-match", "*")];
    let mut request = world.test.request(world.caller(role), row.method.clone(), path, &body, &headers);
    if row.body == PICTURE {
        *request.body_mut() = Body::from(world::PNG);
    }
    world.test.send(request).await
}

/// Everything that the caller sees, except values that differ in every response.
fn visible(answer: &Answer) -> (u16, HeaderMap, Value) {
    let mut headers = answer.headers.clone();
    headers.remove("x-request-id");
    let mut body = answer.body.clone();
    if let Some(fields) = body.as_object_mut() {
        fields.remove("request_id");
    }
    (answer.status.as_u16(), headers, body)
}

fn with_random_ids(template: &str) -> String {
    let ids: Vec<String> = template.matches('{').map(|_| Uuid::new_v4().to_string()).collect();
    with_ids(template, ids.iter().map(String::as_str))
}

fn with_ids<'a>(template: &'a str, mut ids: impl Iterator<Item = &'a str>) -> String {
    let segments = template.split('/').map(|segment| {
        if segment.starts_with('{') { ids.next().expect("an id for every parameter") } else { segment }
    });
    segments.collect::<Vec<_>>().join("/")
}

/// The ids in `path` at the positions of the template's parameters.
fn ids<'a>(template: &str, path: &'a str) -> Vec<&'a str> {
    let segments = template.split('/').zip(path.split('/'));
    segments.filter(|(name, _)| name.starts_with('{')).map(|(_, id)| id).collect()
}
