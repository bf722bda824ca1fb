//! The conventions' attributes of requests and calls, and the comparison itself. The application's
//! tests compare all groups with a whole process.

use std::path::Path;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use otlp_sink::conventions::{GROUPS, Group, Level, Sent, Use};
use prost::Message;
use telemetry::http_client::HttpClient;
use telemetry::otlp::HistogramAggregation;
use telemetry::{ErrorType, Telemetry, metrics_request};
use tower::ServiceExt;

use crate::http_client::Weather;
use crate::requests::{get_request, router};
use crate::support::all_signals;

/// Records a request and a call for each condition of the table.
async fn record() -> Telemetry {
    let telemetry = Telemetry::new(all_signals());
    let router = router(&telemetry);
    for path in ["/items/7", "/items/missing", "/wp-login.php", "/panics", "/failures/503/timeout"] {
        router.clone().oneshot(get_request(path)).await.expect("a response");
    }
    drop(tokio::time::timeout(std::time::Duration::ZERO, router.oneshot(get_request("/waits"))).await);
    let client: HttpClient<Weather> = HttpClient::new(&telemetry, "POST");
    for status in [200, 404, 599] {
        client.begin(Weather).responded(status);
    }
    client.begin(Weather).failed(ErrorType::Timeout);
    telemetry
}

fn sent(telemetry: &Telemetry, change: impl Fn(&mut ExportTraceServiceRequest)) -> Sent {
    let mut sent = Sent::default();
    let taken = telemetry.take_spans(usize::MAX, Vec::new());
    let mut spans = ExportTraceServiceRequest::decode(&taken.request[..]).expect("a decodable request");
    change(&mut spans);
    sent.add_traces(spans);
    let (snapshot, mut points) = (telemetry.meter().snapshot(), Vec::new());
    let now = snapshot.started_unix_nanoseconds + 1;
    metrics_request(telemetry.resource(), &snapshot, HistogramAggregation::default(), now, &mut points);
    sent.add_metrics(ExportMetricsServiceRequest::decode(&points[..]).expect("a decodable request"));
    sent
}

fn groups() -> impl Iterator<Item = &'static Group> {
    GROUPS.iter().filter(|group| group.name.to_lowercase().starts_with("http"))
}

#[tokio::test]
async fn requests_and_calls_have_the_attributes_of_the_conventions() {
    let sent = sent(&record().await, |_| ());
    assert_eq!(groups().count(), 5);
    assert_eq!(sent.differences(groups()), [] as [String; 0]);
}

#[tokio::test]
async fn what_differs_from_the_table_is_found() {
    type Change = fn(&mut ExportTraceServiceRequest);
    let changes: [(&str, Change); 4] = [
        ("Required url.scheme, Always, is in", |request| {
            let scopes = &mut request.resource_spans[0].scope_spans;
            let spans = scopes.iter_mut().flat_map(|scope| &mut scope.spans);
            spans.for_each(|span| span.attributes.retain(|attribute| attribute.key != "url.scheme"));
        }),
        ("http.request.method is Some(IntValue(1))", |request| {
            let scopes = &mut request.resource_spans[0].scope_spans;
            let attributes =
                scopes.iter_mut().flat_map(|scope| &mut scope.spans).flat_map(|s| &mut s.attributes);
            let method = attributes.into_iter().find(|attribute| attribute.key == "http.request.method");
            method.expect("a method").value.as_mut().expect("a value").value =
                Some(opentelemetry_proto::tonic::common::v1::any_value::Value::IntValue(1));
        }),
        ("the declared schemas are", |request| {
            request.resource_spans[0].schema_url = "https://opentelemetry.io/schemas/1.37.0".to_owned();
        }),
        ("HTTP server spans: nothing was sent", |request| request.resource_spans.clear()),
    ];
    for (expected, change) in changes {
        let differences = sent(&record().await, change).differences(groups());
        assert!(differences.iter().any(|found| found.contains(expected)), "{expected}: {differences:?}");
    }
}

/// The table says why each required attribute is missing that is.
#[test]
fn every_absence_has_a_reason() {
    for group in GROUPS {
        for (name, _, level, use_of_it) in group.rows {
            match use_of_it {
                Use::Always => {}
                Use::Where(condition) => {
                    assert_ne!(
                        *level,
                        Level::Required,
                        "{}: {name} must not depend on {condition}",
                        group.name
                    );
                }
                Use::Never(reason) => assert!(reason.len() > 8, "{}: {name}", group.name),
            }
        }
    }
}

#[test]
fn the_document_is_the_table() {
    let text = otlp_sink::conventions::render();
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/proof/conventions.md");
    if std::fs::read_to_string(committed).unwrap_or_default() != text {
        let rendered = Path::new(env!("CARGO_TARGET_TMPDIR")).join("conventions.md");
        std::fs::write(&rendered, text).expect("a file");
        panic!("docs/proof/conventions.md is not what the table says: copy {} there", rendered.display());
    }
}
