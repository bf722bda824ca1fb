//! Records of outgoing HTTP calls.

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::Value;
use signal::metric::Label;
use telemetry::http_client::HttpClient;
use telemetry::{ClosedSet, ErrorType, Telemetry};

use crate::support::{
    all_signals, assert_exemplar_names, assert_line_equals_point, assert_line_equals_span, hex, metrics,
    take_lines, take_spans, used_points, values,
};

const DURATION: &str = "http.client.request.duration";

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Weather;

impl ClosedSet for Weather {
    const ALL: &'static [Self] = &[Weather];

    fn as_str(self) -> &'static str {
        "weather_service"
    }

    fn index(self) -> usize {
        0
    }
}

impl Label for Weather {
    const KEY: &'static str = "service.peer.name";
}

/// The end of a call in the table.
#[derive(Clone, Copy, Debug)]
enum End {
    Responded(u16),
    Failed(ErrorType),
    Dropped,
}

#[test]
fn a_call_is_one_record_however_it_ends() {
    let none = Value::Null;
    for (end, status, error_type, cause) in [
        (End::Responded(204), Value::from(204), none.clone(), none.clone()),
        (End::Responded(302), Value::from(302), Value::from("protocol"), none.clone()),
        (End::Responded(404), Value::from(404), Value::from("rejected"), none.clone()),
        (End::Responded(429), Value::from(429), Value::from("rate_limited"), none.clone()),
        (End::Responded(503), Value::from(503), Value::from("unavailable"), none.clone()),
        // Statuses that nobody has registered create no series.
        (End::Responded(299), Value::from(299), none.clone(), none.clone()),
        (End::Responded(399), Value::from(399), Value::from("protocol"), none.clone()),
        (End::Responded(499), Value::from(499), Value::from("rejected"), none.clone()),
        (End::Responded(599), Value::from(599), Value::from("unavailable"), none.clone()),
        (End::Responded(101), none.clone(), Value::from("protocol"), none.clone()),
        (End::Responded(999), none.clone(), Value::from("protocol"), none.clone()),
        (End::Failed(ErrorType::Timeout), none.clone(), Value::from("timeout"), none.clone()),
        (
            End::Failed(ErrorType::ForbiddenAddress),
            none.clone(),
            Value::from("forbidden_address"),
            none.clone(),
        ),
        // Failures without their own series are recorded in line and span.
        (
            End::Failed(ErrorType::StorageFull),
            none.clone(),
            Value::from("internal"),
            Value::from("storage_full"),
        ),
        (End::Dropped, none.clone(), Value::from("cancelled"), none.clone()),
    ] {
        let telemetry = Telemetry::new(all_signals());
        let client: HttpClient<Weather> = HttpClient::new(&telemetry, "POST");
        let series = |telemetry: &Telemetry| {
            let families = telemetry.meter().snapshot().families;
            families.iter().map(|family| family.points.len()).sum::<usize>()
        };
        let before = series(&telemetry);
        let call = client.begin(Weather);
        let told = call.context();
        match end {
            End::Responded(status) => _ = call.responded(status),
            End::Failed(error_type) => call.failed(error_type),
            End::Dropped => drop(call),
        }
        let (lines, spans, points) =
            (take_lines(&telemetry), take_spans(&telemetry), used_points(&telemetry, DURATION));
        let ([line], [span], [point]) = (&lines[..], &spans[..], &points[..]) else {
            panic!("one of each for {end:?}: {lines:?} {spans:?} {points:?}")
        };
        assert_line_equals_span(line, span);
        assert_line_equals_point(line, point);
        assert_exemplar_names(point, span);
        assert_eq!(line.text("event"), "http.client.request");
        assert_eq!(line.text("service.peer.name"), "weather_service");
        assert_eq!(values(&point.attributes)["http.request.method"], "POST");
        assert_eq!(series(&telemetry), before, "{end:?}");
        let field = |name: &str| line.fields.get(name).cloned().unwrap_or_default();
        assert_eq!(field("http.response.status_code"), status, "{end:?}");
        assert_eq!(field("error.type"), error_type, "{end:?}");
        assert_eq!(field("error.cause"), cause, "{end:?}");
        assert_eq!(line.text("level"), if error_type.is_null() { "info" } else { "warn" });
        assert_eq!((span.name.as_str(), span.kind), ("POST weather_service", SpanKind::Client as i32));
        let is_error = span.status.as_ref().is_some_and(|status| status.code == 2);
        assert_eq!(is_error, !error_type.is_null(), "{end:?}");
        assert_eq!(
            (hex(&span.trace_id), hex(&span.span_id)),
            (told.trace_id.to_string(), told.span_id.to_string())
        );
    }
}

#[test]
fn every_series_exists_from_the_start() {
    let telemetry = Telemetry::new(all_signals());
    let _client: HttpClient<Weather> = HttpClient::new(&telemetry, "POST");
    assert!(used_points(&telemetry, DURATION).is_empty());
    let series = metrics(&telemetry).iter().filter(|metric| metric.name == DURATION).count();
    assert_eq!(series, 1);
    let snapshot = telemetry.meter().snapshot();
    let labels = [
        ("http.request.method", "POST"),
        ("service.peer.name", "weather_service"),
        ("http.response.status_code", "429"),
        ("error.type", "rate_limited"),
    ];
    assert!(snapshot.value(DURATION, &labels).is_some());
}
