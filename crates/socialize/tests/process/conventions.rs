//! Everything that a process sends, compared with OpenTelemetry's semantic conventions.

use std::collections::BTreeSet;

use http::Method;
use otlp_sink::OtlpSink;
use otlp_sink::conventions::{GROUPS, Group, Kind, Sent};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use test_support::process::{Launch, Process, User};
use test_support::{Answer, TestDatabase};

const LIST: &str = "/v1/organizations";

/// The most series of one API process.
const MOST_SERIES: usize = 3_000;

async fn list(process: &Process, user: &User) -> Answer {
    process.call(Method::GET, LIST, &[user.header()], &json!(null)).await
}

/// Calls to other services need a publishing endpoint. The tests of `telemetry` compare their spans.
fn is_sent_here(group: &&Group) -> bool {
    group.name != "HTTP client spans"
}

#[tokio::test]
async fn a_process_sends_the_attributes_of_the_conventions() {
    let database = TestDatabase::create().await;
    let user = User::insert(database.pool()).await;
    let sink = OtlpSink::start();
    let mut process = Launch::serve(database.url())
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", sink.endpoint())
        .start_ready()
        .await;
    list(&process, &user).await.expect(200);
    process.get("/wp-login.php").await.expect(404);
    let rename = async |from: &str, to: &str| {
        let statement = AssertSqlSafe(format!("alter table {from} rename to {to}"));
        sqlx::raw_sql(statement).execute(database.pool()).await.expect("renamed");
    };
    rename("organizations", "elsewhere").await;
    list(&process, &user).await.expect(500);
    rename("elsewhere", "organizations").await;
    process.stop().await;

    let mut sent = Sent::default();
    sink.traces().into_iter().for_each(|request| sent.add_traces(request));
    let metrics = sink.metrics();
    let instance = instance_of(&metrics[0]);
    metrics.into_iter().for_each(|request| sent.add_metrics(request));
    let groups: Vec<&Group> = GROUPS.iter().filter(is_sent_here).collect();
    assert_eq!(sent.differences(groups), [] as [String; 0]);
    assert!(sent.series() <= MOST_SERIES, "{} series", sent.series());

    let of_process: BTreeSet<&str> = GROUPS
        .iter()
        .filter(|group| matches!(group.kind, Kind::Metric(..)))
        .map(|group| group.name)
        .collect();
    let declared = catalogue::metrics::all();
    let conventional = ["http.", "db.", "process."];
    for metric in declared.iter().filter(|metric| conventional.iter().any(|b| metric.name.starts_with(b))) {
        let is_ours = metric.name == "process.unix.file_descriptor.limit";
        assert!(is_ours || of_process.contains(metric.name), "{} is not in the table", metric.name);
    }

    let lines = process.lines();
    assert!(lines.len() > 3);
    for line in lines {
        assert_eq!(line["service.instance.id"], instance[..], "{line}");
    }
}

fn instance_of(
    request: &opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest,
) -> String {
    let resource = request.resource_metrics[0].resource.as_ref().expect("a resource");
    let values = crate::telemetry_over_otlp::values(&resource.attributes);
    values["service.instance.id"].as_str().expect("a text").to_owned()
}

#[tokio::test]
async fn requests_through_a_trusted_proxy_have_the_scheme_of_the_client() {
    let database = TestDatabase::create().await;
    for (trusted, header, expected) in [
        ("127.0.0.0/8", Some("https"), "https"),
        ("127.0.0.0/8", Some("http"), "http"),
        ("127.0.0.0/8", None, "https"),
        ("10.0.0.0/8", Some("https"), "http"),
    ] {
        let mut process = Launch::serve(database.url())
            .without_worker()
            .variable("SOCIALIZE_PUBLIC_URL", "https://socialize.example.com")
            .variable("SOCIALIZE_TRUSTED_PEERS", trusted)
            .start_ready()
            .await;
        let headers: Vec<(&str, &str)> =
            header.map(|value| ("x-forwarded-proto", value)).into_iter().collect();
        process.call(Method::GET, LIST, &headers, &json!(null)).await.expect(401);
        let counted = process.metrics().await.sum(
            "http_server_request_duration_seconds_count",
            &[("url_scheme", expected), ("http_route", LIST)],
        );
        assert_eq!(counted, 1.0, "{trusted} {header:?}");
        process.stop().await;
        let lines = process.events("http.server.request");
        let schemes: Vec<&Value> = lines.iter().map(|line| &line["url.scheme"]).collect();
        assert_eq!(schemes, [expected], "{trusted} {header:?}");
    }
}
