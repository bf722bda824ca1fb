//! Schemathesis reads the OpenAPI document and sends valid and invalid requests.

use std::process::{Command, Stdio};

use http::Method;
use serde_json::{Value, json};
use test_support::process::{Launch, Process, User};
use test_support::{TestDatabase, python_tool};

/// Checks of every response. Invalid input must be rejected; valid input need not be accepted, because the
/// document cannot express, for example, which content item may be submitted now.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                      response_schema_conformance,negative_data_rejection,unsupported_method,allow_header_conformance,\
                      ignored_auth";

#[tokio::test]
async fn every_answer_is_one_that_the_document_promises() {
    let database = TestDatabase::create().await;
    let server = Launch::serve(database.url())
        .variable("SOCIALIZE_PASSWORD_HASH_MEMORY", "8192")
        .variable("SOCIALIZE_PASSWORD_HASH_ITERATIONS", "1")
        .start_ready()
        .await;
    let user = User::insert(database.pool()).await;
    sqlx::query("update users set is_operator = true").execute(database.pool()).await.expect("an operator");
    let directory = tempfile::tempdir().expect("a directory");
    let configuration = directory.path().join("schemathesis.toml");
    std::fs::write(&configuration, path_parameters(&server, &user).await).expect("a file");

    let arguments = [
        format!("--config-file={}", configuration.display()),
        "run".to_owned(),
        format!("http://{}/openapi.json", server.public()),
        format!("--header=Authorization: {}", user.authorization),
        format!("--checks={CHECKS}"),
        // A fixed seed, so that failures are reproducible.
        "--seed=1".to_owned(),
        "--max-examples=12".to_owned(),
        "--phases=examples,coverage,fuzzing,stateful".to_owned(),
        "--continue-on-failure".to_owned(),
        "--request-timeout=30".to_owned(),
        // One thread: CPython 3.11 and 3.12 share one parser depth counter between all threads, and
        // Hypothesis parses the source of functions. With two threads this occasionally fails with "AST
        // constructor recursion depth mismatch".
        "--workers=1".to_owned(),
        "--no-color".to_owned(),
    ];
    let run = move || {
        let mut command = Command::new(python_tool("schemathesis"));
        command.args(arguments).current_dir(directory.path()).env("PYTHONDONTWRITEBYTECODE", "1");
        command.stdin(Stdio::null()).output().expect("schemathesis can be started")
    };
    let output = tokio::task::spawn_blocking(run).await.expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));

    // A run with only rejections would have tested little.
    let metrics = server.metrics().await;
    let count = |status: &str| {
        metrics.sum("http_server_request_duration_seconds_count", &[("http_response_status_code", status)])
    };
    assert!(count("200") > 100.0 && count("201") > 25.0, "{} and {}: {said}", count("200"), count("201"));
    assert_eq!(count("500") + count("503"), 0.0, "{said}");
    assert_eq!(metrics.value("telemetry_panics_total", &[]), 0.0);
}

/// Ids of existing objects, so that requests pass the first look-up.
async fn path_parameters(server: &Process, user: &User) -> String {
    let create = async |path: String, body: Value| {
        let answer = server.call(Method::POST, &path, &[user.header()], &body).await.expect(201);
        answer.text("id")
    };
    let organization = create("/v1/organizations".to_owned(), json!({"name": "Acme"})).await;
    let acme = json!({"name": "Acme", "required_approvals": 1});
    let workspaces = format!("/v1/organizations/{organization}/workspaces");
    let workspace = create(workspaces.clone(), acme.clone()).await;
    let draft = json!({"title": "Hello", "body": "World", "channel": "x"});
    let items = format!("/v1/workspaces/{workspace}/content-items");
    let item = create(items.clone(), draft.clone()).await;
    // Objects that may be deleted, so that the others stay.
    let other_organization = create("/v1/organizations".to_owned(), json!({"name": "Other"})).await;
    let other_workspace = create(workspaces, acme).await;
    let other_item = create(items, draft).await;
    let report = json!({"kind": "bug", "body": "It does not work at all."});
    let report = create("/v1/feedback-reports".to_owned(), report).await;
    format!(
        "[parameters]\n\
         \"path.organization_id\" = \"{organization}\"\n\
         \"path.workspace_id\" = \"{workspace}\"\n\
         \"path.content_item_id\" = \"{item}\"\n\
         \"path.feedback_report_id\" = \"{report}\"\n\
         [[operations]]\n\
         include-name = \"DELETE /v1/organizations/{{organization_id}}\"\n\
         parameters = {{ \"path.organization_id\" = \"{other_organization}\" }}\n\
         [[operations]]\n\
         include-name = \"DELETE /v1/workspaces/{{workspace_id}}\"\n\
         parameters = {{ \"path.workspace_id\" = \"{other_workspace}\" }}\n\
         [[operations]]\n\
         include-name = \"DELETE /v1/workspaces/{{workspace_id}}/content-items/{{content_item_id}}\"\n\
         parameters = {{ \"path.workspace_id\" = \"{workspace}\", \"path.content_item_id\" = \"{other_item}\" }}\n"
    )
}
