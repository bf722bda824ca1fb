//! Database operations, whose failures begin series of their own, and records with too many
//! attributes.

use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::Value;
use signal::metric::{HistogramMetric, LONG_DURATION_BOUNDS, Label};
use telemetry::record::SpanKind;
use telemetry::{
    ClosedSet, DatabaseCause, DatabaseOutcome, ErrorType, FamilyDescription, InstrumentationScope, Key,
    Operations, SqlState, Telemetry,
};

use crate::support::{
    Line, all_signals, assert_exemplar_names, assert_line_equals_point, assert_line_equals_span, take_lines,
    take_spans, used_points, values,
};

const DURATION: &str = "db.client.operation.duration";
const QUERY_DURATION: HistogramMetric<Query> =
    HistogramMetric::histogram(DURATION, "Help.", "Question?", LONG_DURATION_BOUNDS)
        .with_failures(&[Query::KEY, "error.type", "db.response.status_code"])
        .of_operations();
const SCOPE: InstrumentationScope = InstrumentationScope::new(4, "records.database");

#[derive(Clone, Copy, PartialEq, Eq, ClosedSet)]
#[label("db.query.summary")]
enum Query {
    ReadRow,
    InsertRow,
}

fn queries(telemetry: &Telemetry) -> Operations<Query, DatabaseOutcome> {
    let family = FamilyDescription {
        event: "db.client.operation",
        span_kind: SpanKind::Client,
        scope: SCOPE,
        attributes: Vec::new(),
    };
    let failure_keys = &["error.type", "db.response.status_code"];
    Operations::timed_by_cause(telemetry, family, &QUERY_DURATION, |query| query, failure_keys)
}

fn only_record(telemetry: &Telemetry) -> (Line, Span) {
    let (mut lines, mut spans) = (take_lines(telemetry), take_spans(telemetry));
    assert_eq!((lines.len(), spans.len()), (1, 1), "{lines:?}");
    assert_line_equals_span(&lines[0], &spans[0]);
    (lines.remove(0), spans.remove(0))
}

fn series(telemetry: &Telemetry) -> usize {
    let families = telemetry.meter().snapshot().families;
    families.iter().filter(|family| family.description.name == DURATION).map(|f| f.points.len()).sum()
}

#[tokio::test]
async fn a_failure_says_its_kind_and_the_code_of_the_response() {
    for (code, error_type, expected) in [
        (Some("23505"), ErrorType::UniqueViolation, Some("23505")),
        (Some("42P01"), ErrorType::DatabaseOther, Some("42P01")),
        (Some("42P20"), ErrorType::DatabaseOther, Some("42000")),
        (Some("ZZ123"), ErrorType::DatabaseOther, None),
        (None, ErrorType::PoolTimeout, None),
    ] {
        let telemetry = Telemetry::new(all_signals());
        let queries = queries(&telemetry);
        assert_eq!(series(&telemetry), 2, "those of successes exist from the start");
        let cause = DatabaseCause { error_type, sql_state: code.and_then(SqlState::from_code) };
        for _ in 0..2 {
            let failed = async { ((), DatabaseOutcome::from(error_type), Some(cause)) };
            queries.observe_causes(Query::InsertRow, failed).await;
        }
        assert_eq!(series(&telemetry), 3, "a failure has one, however often it occurs");
        let lines = take_lines(&telemetry);
        take_spans(&telemetry);
        for line in &lines {
            assert_eq!(line.text("error.type"), error_type.as_str());
            let code = line.fields.get("db.response.status_code").and_then(Value::as_str);
            assert_eq!(code, expected, "{}", line.text);
            assert_eq!(line.fields.get("error.cause"), None);
        }
        let [point] = &used_points(&telemetry, DURATION)[..] else { panic!("one series") };
        assert_eq!(point.count, 2);
        for (name, label) in values(&point.attributes) {
            assert_eq!(lines[0].fields.get(&name), Some(&label), "{name}");
        }
        assert_eq!(point.attributes.len(), 2 + usize::from(expected.is_some()));
    }
}

#[tokio::test]
async fn a_success_and_an_abandoned_operation_have_the_labels_of_their_records() {
    for is_abandoned in [false, true] {
        let telemetry = Telemetry::new(all_signals());
        let queries = queries(&telemetry);
        let succeeds = async { ((), DatabaseOutcome::Ok, None::<DatabaseCause>) };
        if is_abandoned {
            let waits = std::future::pending::<((), DatabaseOutcome, Option<DatabaseCause>)>();
            let mut waits = Box::pin(queries.observe_causes(Query::ReadRow, waits));
            assert!(futures_util::poll!(&mut waits).is_pending());
        } else {
            queries.observe_causes(Query::ReadRow, succeeds).await;
        }
        let (line, span) = only_record(&telemetry);
        let [point] = &used_points(&telemetry, DURATION)[..] else { panic!("one series") };
        assert_line_equals_point(&line, point);
        assert_exemplar_names(point, &span);
        let error_type = line.fields.get("error.type").and_then(Value::as_str);
        assert_eq!(error_type, is_abandoned.then_some("cancelled"));
        assert_eq!(point.attributes.len(), 1 + usize::from(is_abandoned));
    }
}

/// More keys than a record has room for.
static KEYS: [Key; 15] = [
    Key("k.1"),
    Key("k.2"),
    Key("k.3"),
    Key("k.4"),
    Key("k.5"),
    Key("k.6"),
    Key("k.7"),
    Key("k.8"),
    Key("k.9"),
    Key("k.10"),
    Key("k.11"),
    Key("k.12"),
    Key("k.13"),
    Key("k.14"),
    Key("k.15"),
];

#[tokio::test]
async fn attributes_for_which_there_is_no_room_are_counted() {
    for (set, dropped) in [(12, 0), (13, 1), (15, 3)] {
        let telemetry = Telemetry::new(all_signals());
        let queries = queries(&telemetry);
        let describe = |attributes: &mut telemetry::Attributes| {
            // Setting one of them again takes no more room.
            for key in KEYS[..set].iter().chain(&KEYS[..1]) {
                attributes.number(key, 1);
            }
        };
        let succeeds = async { ((), DatabaseOutcome::Ok, None) };
        queries.observe_with(Query::ReadRow, describe, succeeds).await;
        let (lines, spans) = (take_lines(&telemetry), take_spans(&telemetry));
        let removed = lines[0].fields.get("fields.removed").and_then(Value::as_u64);
        assert_eq!(removed, (dropped > 0).then_some(dropped), "{}", lines[0].text);
        assert_eq!(u64::from(spans[0].dropped_attributes_count), dropped);
        let kept = spans[0].attributes.iter().filter(|attribute| attribute.key.starts_with("k.")).count();
        assert_eq!(kept, 12);

        // The scope is reused, and its count starts at zero.
        let succeeds = async { ((), DatabaseOutcome::Ok, None) };
        queries.observe(Query::ReadRow, succeeds).await;
        assert_eq!(only_record(&telemetry).1.dropped_attributes_count, 0);
    }
}
