//! Organizations: create, list, read.

use domain::vocabulary::OrganizationRole;
use http::Method;
use serde_json::{Value, json};
use test_support::TestApp;

const CREATED: &str = "socialize.organizations.created";

async fn rows(test: &TestApp) -> i64 {
    sqlx::query_scalar("select count(*) from organizations").fetch_one(test.pool()).await.expect("a count")
}

#[tokio::test]
async fn creating_makes_the_caller_its_owner_and_is_counted_once() {
    let test = TestApp::start().await;
    let user = test.user("ada").await;
    let created =
        test.post(user, "/v1/organizations", json!({"name": "Analytical Engines"})).await.expect(201);
    assert_eq!(created.body["role"], "owner");
    assert_eq!(test.count(CREATED), 1);

    let read = test.get(user, &format!("/v1/organizations/{}", created.text("id"))).await.expect(200);
    assert_eq!(read.body, created.body);

    let lines = test.log_lines();
    let fact = lines.iter().find(|line| line["event"] == CREATED).expect("a line of the fact");
    assert_eq!(fact["organization.id"], created.body["id"]);
    assert_eq!(fact["user.id"], user.uuid().to_string());
    let request =
        lines.iter().find(|line| line["http.route"] == "/v1/organizations").expect("a line of the request");
    assert_eq!(request["http.response.status_code"], 201);
    assert_eq!(request["trace_id"], fact["trace_id"]);
    assert_eq!(request["trace_id"].as_str(), created.header("x-request-id"));
    assert!(!format!("{lines:?}").contains("Analytical"), "names are never recorded");
}

#[tokio::test]
async fn a_refused_or_failed_creation_is_not_counted() {
    let test = TestApp::start().await;
    let user = test.user("ada").await;
    test.call(None, Method::POST, "/v1/organizations", json!({"name": "A"}))
        .await
        .expect_error(401, "unauthenticated");
    test.post(user, "/v1/organizations", json!({"name": " "})).await.expect_error(422, "invalid_field");
    test.post(user, "/v1/organizations", json!({"name": "A", "extra": 1}))
        .await
        .expect_error(422, "invalid_field");
    test.break_table("organizations").await;
    test.post(user, "/v1/organizations", json!({"name": "A"})).await.expect_error(500, "internal");
    assert_eq!((test.count(CREATED), rows(&test).await), (0, 0));
}

/// The trigger raises the error of Postgres for a file that it cannot extend.
#[tokio::test]
async fn while_the_disk_of_postgres_is_full_writes_are_refused_for_now() {
    let test = TestApp::start().await;
    let user = test.user("ada").await;
    sqlx::raw_sql(
        "create function refuse() returns trigger language plpgsql as
           $$ begin raise exception 'could not extend file' using errcode = 'disk_full'; end $$;
         create trigger refuse before insert on organizations execute function refuse()",
    )
    .execute(test.pool())
    .await
    .expect("a trigger");
    let refused = test.post(user, "/v1/organizations", json!({"name": "A"})).await;
    let refused = refused.expect_error(503, "unavailable");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!((test.count(CREATED), rows(&test).await), (0, 0));
    let lines = test.log_lines();
    let request =
        lines.iter().find(|line| line["http.route"] == "/v1/organizations").expect("a line of the request");
    assert_eq!(request["error.cause"], "storage_full");
    test.get(user, "/v1/organizations").await.expect(200);
}

#[tokio::test]
async fn a_repeated_idempotency_key_gets_the_first_answer() {
    let test = TestApp::start().await;
    let user = test.user("ada").await;
    let send = |body: Value| {
        test.send(test.request(
            Some(user),
            Method::POST,
            "/v1/organizations",
            &body,
            &[("idempotency-key", "k1")],
        ))
    };
    let first = send(json!({"name": "A"})).await.expect(201);
    let second = send(json!({"name": "A"})).await.expect(201);
    assert_eq!(first.body, second.body);
    assert_eq!(second.header("idempotency-replayed"), Some("true"));
    send(json!({"name": "B"})).await.expect_error(422, "idempotency_key_reused");
    assert_eq!((test.count(CREATED), rows(&test).await), (1, 1));
}

#[tokio::test]
async fn strangers_cannot_tell_that_it_exists() {
    let test = TestApp::start().await;
    let (organization, _) = test.organization().await;
    let stranger = test.user("stranger").await;
    test.get(stranger, &format!("/v1/organizations/{organization}")).await.expect_error(404, "not_found");
    test.get(stranger, "/v1/organizations/not-an-id").await.expect_error(404, "not_found");
}

#[tokio::test]
async fn a_list_is_read_page_by_page() {
    let test = TestApp::start().await;
    let user = test.user("ada").await;
    for name in ["A", "B", "C"] {
        test.post(user, "/v1/organizations", json!({"name": name})).await.expect(201);
    }
    let first = test.get(user, "/v1/organizations?limit=2").await.expect(200);
    let cursor = first.text("next_cursor");
    let second = test.get(user, &format!("/v1/organizations?limit=2&cursor={cursor}")).await.expect(200);
    let names = |page: &Value| {
        page["items"].as_array().expect("items").iter().map(|item| item["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!([names(&first.body), names(&second.body)].concat(), ["C", "B", "A"]);
    assert_eq!(second.body["next_cursor"], Value::Null);
    test.get(user, "/v1/organizations?limit=0").await.expect_error(400, "malformed_request");
    test.get(user, "/v1/organizations?cursor=nonsense").await.expect_error(400, "malformed_request");
    test.get(user, "/v1/organizations?unknown=1").await.expect_error(400, "malformed_request");
}

#[tokio::test]
async fn owners_and_admins_rename_it() {
    let test = TestApp::start().await;
    let (organization, owner) = test.organization().await;
    let (admin, member) = (test.user("admin").await, test.user("member").await);
    test.join_organization(organization, admin, OrganizationRole::Admin).await;
    test.join_organization(organization, member, OrganizationRole::Member).await;
    let path = format!("/v1/organizations/{organization}");
    let rename = |user, body| test.call(Some(user), Method::PATCH, &path, body);

    let renamed = rename(admin, json!({"name": "New name"})).await.expect(200);
    assert_eq!((&renamed.body["name"], &renamed.body["role"]), (&json!("New name"), &json!("admin")));
    let unchanged = rename(owner, json!({})).await.expect(200);
    assert_eq!((&unchanged.body["name"], &unchanged.body["role"]), (&json!("New name"), &json!("owner")));

    rename(member, json!({"name": "Mine"})).await.expect_error(403, "forbidden");
    rename(test.user("stranger").await, json!({"name": "Mine"})).await.expect_error(404, "not_found");
    rename(owner, json!({"name": ""})).await.expect_error(422, "invalid_field");
    rename(owner, json!({"role": "owner"})).await.expect_error(422, "invalid_field");
    test.break_table("organizations").await;
    rename(owner, json!({"name": "Mine"})).await.expect_error(500, "internal");
    assert_eq!(test.get(owner, &path).await.text("name"), "New name");
}
