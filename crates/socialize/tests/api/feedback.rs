//! Feedback reports and their triage by operators.

use domain::ids::UserId;
use http::Method;
use serde_json::{Value, json};
use test_support::{Answer, TestApp};

use crate::content::{column, series};

const SUBMITTED: &str = "socialize.feedback_reports.submitted";
const REPORTS: &str = "/v1/feedback-reports";

async fn report(test: &TestApp, user: UserId, kind: &str, body: &str) -> Answer {
    test.post(user, REPORTS, json!({"kind": kind, "body": body})).await.expect(201)
}

async fn triage(test: &TestApp, operator: UserId, id: &str, status: &str) -> Answer {
    let path = format!("{REPORTS}/{id}");
    test.call(Some(operator), Method::PATCH, &path, json!({"status": status})).await
}

async fn rows(test: &TestApp) -> i64 {
    sqlx::query_scalar("select count(*) from feedback_reports").fetch_one(test.pool()).await.expect("a count")
}

#[tokio::test]
async fn a_report_reaches_the_operators_and_is_counted_once() {
    let test = TestApp::start().await;
    let (organization, owner) = test.organization().await;
    let body = json!({"kind": "bug", "body": "The button hums", "organization_id": organization});
    let created = test.post(owner, REPORTS, body).await.expect(201);
    assert_eq!((created.text("kind").as_str(), created.text("status").as_str()), ("bug", "new"));
    assert_eq!(created.text("organization_id"), organization.to_string());
    let metrics = test.metrics();
    assert_eq!(series(&metrics, SUBMITTED, ("kind", "bug")), 1);
    assert_eq!(metrics.total(SUBMITTED), 1);

    let operator = test.operator().await;
    let read = test.get(operator, &format!("{REPORTS}/{}", created.text("id"))).await.expect(200);
    assert_eq!(read.text("body"), "The button hums");
    assert_eq!(read.text("reporter_id"), owner.to_string());
    assert_eq!(read.text("reporter_name"), "owner");
    assert!(read.text("reporter_email").ends_with("@example.com"));

    let lines = test.log_lines();
    let fact = lines.iter().find(|line| line["event"] == SUBMITTED).expect("a line of the fact");
    assert_eq!(fact["feedback_report.id"], created.body["id"]);
    assert_eq!(fact["organization.id"], organization.to_string());
    assert_eq!(fact["kind"], "bug");
    let recorded = format!("{lines:?}");
    assert!(!recorded.contains("hums") && !recorded.contains("@example.com"), "text is never recorded");
}

#[tokio::test]
async fn a_refused_or_failed_report_is_not_counted() {
    let test = TestApp::start().await;
    let (organization, _) = test.organization().await;
    let user = test.user("ada").await;
    let valid = json!({"kind": "idea", "body": "Tea"});
    test.call(None, Method::POST, REPORTS, valid.clone()).await.expect_error(401, "unauthenticated");
    let elsewhere = json!({"kind": "idea", "body": "Tea", "organization_id": organization});
    test.post(user, REPORTS, elsewhere).await.expect_error(404, "not_found");
    for invalid in [
        json!({"kind": "praise", "body": "Tea"}),
        json!({"kind": "idea", "body": " "}),
        json!({"kind": "idea", "body": "b".repeat(5_001)}),
        json!({"kind": "idea", "body": "Tea", "organization_id": "mine"}),
        json!({"kind": "idea", "body": "Tea", "status": "resolved"}),
    ] {
        test.post(user, REPORTS, invalid).await.expect_error(422, "invalid_field");
    }
    test.break_table("feedback_reports").await;
    test.post(user, REPORTS, valid).await.expect_error(500, "internal");
    assert_eq!((test.count(SUBMITTED), rows(&test).await), (0, 0));
}

#[tokio::test]
async fn a_repeated_idempotency_key_reports_once() {
    let test = TestApp::start().await;
    let user = test.user("ada").await;
    let send = |body: Value| {
        let headers = [("idempotency-key", "k1")];
        test.send(test.request(Some(user), Method::POST, REPORTS, &body, &headers))
    };
    let first = send(json!({"kind": "bug", "body": "Hums"})).await.expect(201);
    let second = send(json!({"kind": "bug", "body": "Hums"})).await.expect(201);
    assert_eq!(first.body, second.body);
    send(json!({"kind": "bug", "body": "Hisses"})).await.expect_error(422, "idempotency_key_reused");
    assert_eq!((test.count(SUBMITTED), rows(&test).await), (1, 1));
}

#[tokio::test]
async fn reporters_list_their_own_reports_only() {
    let test = TestApp::start().await;
    let (ada, bob) = (test.user("ada").await, test.user("bob").await);
    for body in ["A", "B", "C"] {
        report(&test, ada, "question", body).await;
    }
    report(&test, bob, "other", "D").await;
    let first = test.get(ada, &format!("{REPORTS}/mine?limit=2")).await.expect(200);
    let second = format!("{REPORTS}/mine?limit=2&cursor={}", first.text("next_cursor"));
    let second = test.get(ada, &second).await.expect(200);
    assert_eq!([column(&first, "body"), column(&second, "body")].concat(), ["C", "B", "A"]);
    assert_eq!(second.body["next_cursor"], Value::Null);
    test.get(ada, &format!("{REPORTS}/mine?limit=0")).await.expect_error(400, "malformed_request");
    test.call(None, Method::GET, &format!("{REPORTS}/mine"), Value::Null)
        .await
        .expect_error(401, "unauthenticated");
}

#[tokio::test]
async fn operators_list_all_reports_by_status_and_kind() {
    let test = TestApp::start().await;
    let (user, operator) = (test.user("ada").await, test.operator().await);
    for (kind, body) in [("bug", "A"), ("idea", "B"), ("bug", "C")] {
        report(&test, user, kind, body).await;
    }
    let all = test.get(operator, REPORTS).await.expect(200);
    assert_eq!(column(&all, "body"), ["C", "B", "A"]);
    let newest = column(&all, "id")[0].as_str().expect("an id").to_owned();
    triage(&test, operator, &newest, "triaged").await.expect(200);

    let bodies = async |query: &str| {
        column(&test.get(operator, &format!("{REPORTS}{query}")).await.expect(200), "body")
    };
    assert_eq!(bodies("?kind=bug").await, ["C", "A"]);
    assert_eq!(bodies("?status=new").await, ["B", "A"]);
    assert_eq!(bodies("?status=new&kind=bug").await, ["A"]);
    let first = test.get(operator, &format!("{REPORTS}?kind=bug&limit=1")).await.expect(200);
    assert_eq!(bodies(&format!("?kind=bug&limit=1&cursor={}", first.text("next_cursor"))).await, ["A"]);
    for malformed in ["?kind=praise", "?status=lost", "?limit=101", "?cursor=nonsense"] {
        let path = format!("{REPORTS}{malformed}");
        test.get(operator, &path).await.expect_error(400, "malformed_request");
    }
}

#[tokio::test]
async fn triage_is_for_operators() {
    let test = TestApp::start().await;
    let (_, owner) = test.organization().await;
    let id = report(&test, owner, "bug", "Hums").await.text("id");
    let one = format!("{REPORTS}/{id}");
    test.get(owner, REPORTS).await.expect_error(403, "forbidden");
    test.get(owner, &one).await.expect_error(403, "forbidden");
    triage(&test, owner, &id, "resolved").await.expect_error(403, "forbidden");
    test.call(None, Method::GET, &one, Value::Null).await.expect_error(401, "unauthenticated");

    let operator = test.operator().await;
    let unknown = uuid::Uuid::now_v7().to_string();
    test.get(operator, &format!("{REPORTS}/{unknown}")).await.expect_error(404, "not_found");
    test.get(operator, &format!("{REPORTS}/nonsense")).await.expect_error(404, "not_found");
    triage(&test, operator, &unknown, "triaged").await.expect_error(404, "not_found");
    triage(&test, operator, &id, "lost").await.expect_error(422, "invalid_field");
}

#[tokio::test]
async fn a_report_is_triaged_closed_and_reopened() {
    let test = TestApp::start().await;
    let (user, operator) = (test.user("ada").await, test.operator().await);
    let id = report(&test, user, "bug", "Hums").await.text("id");
    for status in ["new", "triaged", "in_progress", "resolved"] {
        let changed = triage(&test, operator, &id, status).await.expect(200);
        assert_eq!(changed.text("status"), status);
        let triaged_by = if status == "new" { Value::Null } else { json!(operator) };
        assert_eq!(changed.body["triaged_by"], triaged_by);
        assert_eq!(test.get(operator, &format!("{REPORTS}/{id}")).await.expect(200).body, changed.body);
    }
    triage(&test, operator, &id, "dismissed").await.expect_error(409, "transition_refused");
    triage(&test, operator, &id, "new").await.expect_error(409, "transition_refused");

    // Setting the current status again changes nothing, including the triaging operator.
    let another = test.operator().await;
    let repeated = triage(&test, another, &id, "resolved").await.expect(200);
    assert_eq!(repeated.text("triaged_by"), operator.to_string());
    triage(&test, another, &id, "in_progress").await.expect(200);
    let mine = test.get(user, &format!("{REPORTS}/mine")).await.expect(200);
    assert_eq!(column(&mine, "status"), ["in_progress"]);

    test.break_table("feedback_reports").await;
    triage(&test, operator, &id, "resolved").await.expect_error(500, "internal");
    let mine = test.get(user, &format!("{REPORTS}/mine")).await.expect(200);
    assert_eq!(column(&mine, "status"), ["in_progress"]);
    assert_eq!(test.count(SUBMITTED), 1);
}
