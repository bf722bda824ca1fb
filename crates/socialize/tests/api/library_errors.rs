//! Library errors that quote a customer's input: the text is dropped where the error occurs, and a name of a
//! closed set remains.
//!
//! Tests of other peers are listed in docs/PRIVACY.md.

use catalogue::database_operation::DatabaseOperation;
use serde_json::{Value, json};
use socialize::http::error::Error;
use telemetry::ClosedSet;
use test_support::{TestApp, assert_known_fields};

/// A customer's input.
const WRITTEN: &str = "writtenbyacustomer";

/// Statements whose errors quote the text, and the remaining error type.
const REFUSED: &[(&str, &str)] = &[
    (
        "insert into users (id, email, display_name, password_hash, created_at)
          select gen_random_uuid(), $1 || '@example.com', 'Ada', '$argon2id$', now()
          from generate_series(1, 2)",
        "unique_violation",
    ),
    (
        "insert into jobs (id, kind, payload, run_at, max_attempts, created_at)
          values (gen_random_uuid(), upper($1), '{}', now(), 1, now())",
        "check_violation",
    ),
    ("select $1::text::uuid", "invalid_data"),
    ("select $1::text::jsonb", "invalid_data"),
    ("select ($1::text)::integer", "invalid_data"),
];

#[tokio::test]
async fn what_postgres_quotes_is_recorded_nowhere() {
    let test = TestApp::start().await;
    for (statement, expected) in REFUSED {
        let error = sqlx::query(sqlx::AssertSqlSafe(*statement)).bind(WRITTEN).execute(test.pool()).await;
        let said = format!("{:?}", error.expect_err("Postgres refuses")).to_lowercase();
        assert!(said.contains(WRITTEN), "the error quotes nothing, so nothing is shown: {said}");

        test.log_lines();
        let query = sqlx::query(sqlx::AssertSqlSafe(*statement)).bind(WRITTEN).execute(test.pool());
        let error = test.app.database.run(DatabaseOperation::InsertSession, query).await;
        let error = Error::from(error.expect_err("Postgres refuses"));
        assert!(!format!("{error:?}").to_lowercase().contains(WRITTEN), "{error:?}");
        let Error::Failed { error_type, .. } = error else { panic!("{error:?} blames the caller") };
        assert_eq!(error_type.as_str(), *expected, "{statement}");
        assert_silent(&test.log_lines());
        let spans = test.app.telemetry.take_spans(usize::MAX, Vec::new()).request;
        let spans = String::from_utf8_lossy(&spans).to_lowercase();
        assert!(spans.contains(expected) && !spans.contains(WRITTEN), "{spans}");
    }
}

#[tokio::test]
async fn what_a_parser_quotes_is_recorded_nowhere() {
    let payload = json!({"template": WRITTEN});
    let said = serde_json::from_value::<socialize::features::email::Email>(payload.clone())
        .expect_err("no e-mail")
        .to_string();
    assert!(said.contains(WRITTEN), "the error quotes nothing, so nothing is shown: {said}");

    let test = TestApp::start().await;
    sqlx::query(
        "insert into jobs (id, kind, payload, run_at, max_attempts, created_at)
                 values (gen_random_uuid(), 'send_email', $1, to_timestamp(0), 1, to_timestamp(0))",
    )
    .bind(payload)
    .execute(test.pool())
    .await
    .expect("a job that nobody understands");
    test.log_lines();
    test.run_due_jobs().await;
    let left: Option<String> = sqlx::query_scalar("select last_error_type from jobs")
        .fetch_one(test.pool())
        .await
        .expect("a dead letter");
    assert_eq!(left.as_deref(), Some("invalid_data"));
    let lines = test.log_lines();
    assert!(lines.iter().any(|line| line["error.cause"] == "invalid_data"), "{lines:?}");
    assert_silent(&lines);
    sqlx::query("delete from jobs").execute(test.pool()).await.expect("an empty queue");
}

fn assert_silent(lines: &[Value]) {
    for line in lines {
        assert_known_fields(line);
        assert!(!line.to_string().to_lowercase().contains(WRITTEN), "{line}");
    }
}
