//! A database with reduced service: it accepts no writes, or no more connections.

use http::Method;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use test_support::process::{Launch, Process, User, eventually};
use test_support::{Answer, TestDatabase};
use url::Url;

async fn execute(database: &TestDatabase, statement: String) {
    sqlx::query(AssertSqlSafe(statement)).execute(database.pool()).await.expect("a statement");
}

fn name(database: &TestDatabase) -> String {
    Url::parse(database.url()).expect("a URL").path().trim_start_matches('/').to_owned()
}

/// Ends every session except the current one.
async fn end_sessions(database: &TestDatabase, which: &str) {
    let statement = format!(
        "select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid() and {which}"
    );
    execute(database, statement).await;
}

async fn write(process: &Process, user: &User) -> Answer {
    process.call(Method::POST, "/v1/organizations", &[user.header()], &json!({"name": "A"})).await
}

async fn read(process: &Process, user: &User) -> Answer {
    process.call(Method::GET, "/v1/organizations", &[user.header()], &json!(null)).await
}

#[tokio::test]
async fn while_nothing_can_be_written_people_read_on() {
    let database = TestDatabase::create().await;
    let process = Launch::serve(database.url()).without_worker().start_ready().await;
    let user = User::insert(database.pool()).await;
    write(&process, &user).await.expect(201);

    execute(&database, format!("alter database {} set default_transaction_read_only = on", name(&database)))
        .await;
    end_sessions(&database, "application_name = 'socialize'").await;
    eventually("a refused write", async || (write(&process, &user).await.status == 503).then_some(())).await;
    write(&process, &user).await.expect_error(503, "unavailable");
    let page = read(&process, &user).await.expect(200);
    assert_eq!(page.body["items"].as_array().map(Vec::len), Some(1), "{}", page.body);
    assert_eq!(process.ready().await, 200, "who reads is served");
    let is_told = |line: &serde_json::Value| {
        line["event"] == "http.server.request"
            && line["error.cause"] == "read_only"
            && line["level"] == "error"
    };
    process.line("the cause in the line of the request", is_told).await;
    let failures = process.metrics().await.sum(
        "db_client_operation_duration_seconds_count",
        &[
            ("db_query_summary", "insert_organization"),
            ("error_type", "read_only"),
            ("db_response_status_code", "25006"),
        ],
    );
    assert!(failures >= 1.0, "{failures}");

    // No restart and no closed sessions, which would reject writes for their whole lifetime.
    let statement = format!("alter database {} reset default_transaction_read_only", name(&database));
    let mut transaction = database.pool().begin().await.expect("a transaction");
    sqlx::query("set transaction read write").execute(&mut *transaction).await.expect("a writing one");
    sqlx::query(AssertSqlSafe(statement)).execute(&mut *transaction).await.expect("a statement");
    transaction.commit().await.expect("a commit");
    eventually("an accepted write", async || (write(&process, &user).await.status == 201).then_some(()))
        .await;
}

#[tokio::test]
async fn without_connections_requests_fail_fast_until_there_are_some() {
    let database = TestDatabase::create().await;
    let user = User::insert(database.pool()).await;
    // Limits do not apply to a superuser.
    let role = format!("limited_{}", name(&database));
    for statement in [
        format!("create role {role} login password 'limited'"),
        format!("grant select, insert, update, delete on all tables in schema public to {role}"),
    ] {
        execute(&database, statement).await;
    }
    let mut url = Url::parse(database.url()).expect("a URL");
    url.set_username(&role).and_then(|()| url.set_password(Some("limited"))).expect("a URL with a host");
    let process = Launch::serve(url.as_str())
        .without_worker()
        .variable("SOCIALIZE_DATABASE_ACQUIRE_TIMEOUT", "500ms")
        .start_ready()
        .await;
    write(&process, &user).await.expect(201);

    execute(&database, format!("alter role {role} connection limit 1")).await;
    end_sessions(&database, &format!("usename = '{role}'")).await;
    let hog =
        eventually("the only connection", async || PgConnection::connect(url.as_str()).await.ok()).await;
    eventually("readiness to fail", async || (process.ready().await == 503).then_some(())).await;
    write(&process, &user).await.expect_error(503, "unavailable");
    let is_told = |line: &serde_json::Value| {
        line["event"] == "dependency.down" && line["error.type"] == "too_many_connections"
    };
    process.line("what is wrong with the database", is_told).await;
    let up = process.metrics().await.value("socialize_dependency_up", &[("dependency", "postgres")]);
    assert_eq!(up, 0.0);

    hog.close().await.expect("a connection that is closed");
    execute(&database, format!("alter role {role} connection limit -1")).await;
    eventually("readiness", async || (process.ready().await == 200).then_some(())).await;
    write(&process, &user).await.expect(201);
    drop(process);
    execute(&database, format!("drop owned by {role}")).await;
    execute(&database, format!("drop role {role}")).await;
}
