//! The environment that is chosen narrows lines and traces, as it narrows charts.

use axum::http::StatusCode;
use catalogue::metrics::BUILD_INFO;
use console::state::{Facts, SharedConsole, write};
use console::store::metrics::{Labels, Origin, Sample, Value};
use console::store::spans::SpanKind;
use signal::Level;

use crate::support::*;

/// Fills a console with a failed request of three processes: two that reported their environment, and one that
/// never reported.
fn of_two_environments(first: Option<&str>) -> SharedConsole {
    let facts = Facts { environment: first.map(str::to_owned), ..facts() };
    let console = with_facts(facts);
    for (instance, environment, id) in [("api", "staging", REQUEST), ("worker", "production", JOB)] {
        let labels = [("instance", instance), ("deployment_environment_name", environment)];
        let labels = labels.map(|(name, value)| (name.into(), value.into()));
        let sample = Sample {
            name: BUILD_INFO.description().prometheus_name().into(),
            labels: Labels::new(labels),
            value: Value::Number(1.0),
        };
        write(console.metrics()).append(&Origin::process("socialize", instance), NOW - 1000, [sample]);
        let name = format!("GET /{environment}");
        let mut request = span(id, 1, None, &name, SpanKind::Server, (0, 2_000));
        request.instance = instance.into();
        write(console.spans()).append_spans([request]);
    }
    for (instance, organization, id) in
        [("api", "o-staging", REQUEST), ("worker", "o-production", JOB), ("silent", "o-silent", UNKNOWN)]
    {
        let mut failed = failed_request(id, organization, 60);
        failed.fields.push(("service.instance.id".into(), instance.into()));
        let mut panic = line(Level::Error, "panic", id, 50, &[]);
        panic.fields.push(("service.instance.id".into(), instance.into()));
        write(console.lines()).append([failed, panic]);
    }
    console
}

/// Counts how often pages name something of each process: staging, production, silent.
async fn named(console: &SharedConsole, path: &str, names: [&str; 3]) -> [bool; 3] {
    let (status, page) = open(console, path).await;
    assert_eq!(status, StatusCode::OK, "{path}");
    names.map(|name| page.contains(name))
}

#[tokio::test]
async fn pages_are_narrowed_to_the_environment_that_is_chosen() {
    let lines = ["o-staging", "o-production", "o-silent"];
    let traces = ["GET /staging", "GET /production", "GET /silent"];
    let console = of_two_environments(None);
    // A process that never reported belongs to any environment.
    let cases = [
        ("", [true, true, true]),
        ("&environment=staging", [true, false, true]),
        ("&environment=production", [false, true, true]),
        ("&environment=staging&environment=production", [true, true, true]),
        ("&environment=elsewhere", [false, false, true]),
    ];
    for (choice, expected) in cases {
        for page in ["/logs?range=1h", "/affected?event=http.server.request", "/dashboards/api?range=1h"] {
            assert_eq!(named(&console, &format!("{page}{choice}"), lines).await, expected, "{page}{choice}");
        }
        let [staging, production, _] = expected;
        for page in ["/traces?range=1h", "/dashboards/api?range=1h"] {
            let found = named(&console, &format!("{page}{choice}"), traces).await;
            assert_eq!(found, [staging, production, false], "{page}{choice}");
        }
    }
    let others = |count: &str| format!("{count} requests failed on this route");
    shows(&console, &format!("/requests/{REQUEST}"), &[&others("3")]).await;
    shows(&console, &format!("/requests/{REQUEST}?environment=staging"), &[&others("2")]).await;
}

#[tokio::test]
async fn the_first_environment_can_be_left() {
    let console = of_two_environments(Some("production"));
    let lines = ["o-staging", "o-production", "o-silent"];
    assert_eq!(named(&console, "/logs", lines).await, [false, true, true]);
    assert_eq!(named(&console, "/logs?environment=*", lines).await, [true; 3]);
    let page = shows(&console, "/logs?event=nothing", &["Search all environments", "environment=%2A"]).await;
    assert!(page.contains("<option value=\"*\">All</option>"), "{page}");
    assert!(page.contains("<option value=\"production\" selected>"), "{page}");
}
