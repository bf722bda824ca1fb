//! Many threads record while another takes. Nothing is lost or duplicated, and dropped items are
//! counted exactly.

use std::collections::HashSet;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::Value;
use signal::builtin::{HTTP_SERVER_REQUEST_DURATION, Signal};
use signal::instrumentation_scope::PIPELINE;
use telemetry::log::Level;
use telemetry::record::{Operation, OperationDescription, OutcomeDescription, Record, SpanKind};
use telemetry::{Attributes, Key, SpanContext, SpanId, Telemetry, Timestamp, TraceId};

use crate::support::{all_signals, take_lines, take_spans, used_points, values};

static SEQUENCE: Key = Key("sequence");
const START: u64 = 1_795_419_660_000_000_000;
const DURATION: &str = "http.server.request.duration";

fn operation(telemetry: &Telemetry) -> Operation {
    let histogram = telemetry.meter().histogram_series(&HTTP_SERVER_REQUEST_DURATION, Vec::new());
    Operation::new(OperationDescription {
        event: "counted",
        span_name: "counted".to_owned(),
        kind: SpanKind::Internal,
        scope: PIPELINE,
        attributes: Vec::new(),
        outcomes: vec![OutcomeDescription {
            attributes: Vec::new(),
            level: Level::Info,
            is_error: false,
            histogram: Some(histogram.into()),
            counter: None,
        }],
    })
}

/// Records one operation whose sequence number is also its duration in nanoseconds.
fn record(telemetry: &Telemetry, operation: &Operation, sequence: u64) {
    let mut attributes = Attributes::default();
    attributes.number(&SEQUENCE, sequence);
    telemetry.finish(&Record {
        operation,
        outcome: 0,
        context: SpanContext { trace_id: TraceId::random(), span_id: SpanId::random(), sampled: true },
        parent: None,
        link: None,
        trace_state: None,
        start: Timestamp::from_unix_nanoseconds(START),
        nanoseconds: sequence,
        attributes: &attributes,
    });
}

/// Sequence numbers of the lines and spans that were taken, in order.
#[derive(Default)]
struct Taken {
    lines: Vec<u64>,
    spans: Vec<u64>,
}

impl Taken {
    /// Takes everything pending and parses every line and span.
    fn take(&mut self, telemetry: &Telemetry) {
        let sequence_of_span = |span: &Span| {
            let sequence = values(&span.attributes)["sequence"].as_u64().expect("a number");
            assert_eq!(span.end_time_unix_nano, START + sequence);
            sequence
        };
        self.spans.extend(take_spans(telemetry).iter().map(sequence_of_span));
        let lines = take_lines(telemetry);
        self.lines.extend(lines.iter().filter_map(|line| line.fields["sequence"].as_u64()));
    }
}

#[track_caller]
fn assert_each_once(taken: &[u64], dropped: u64, recorded: u64) {
    let distinct: HashSet<_> = taken.iter().collect();
    assert_eq!(distinct.len(), taken.len(), "nothing comes twice");
    assert_eq!(taken.len() as u64 + dropped, recorded, "what is missing was counted");
    assert!(taken.iter().all(|sequence| *sequence < recorded));
}

/// Items of one thread must be taken in the order of recording, so that the lines of one request
/// are ordered by time.
#[track_caller]
fn assert_in_order_by_thread(taken: &[u64], threads: u64) {
    for thread in 0..threads {
        let of_thread: Vec<_> = taken.iter().filter(|sequence| **sequence % threads == thread).collect();
        assert!(of_thread.is_sorted(), "thread {thread}");
    }
}

#[test]
fn nothing_is_lost_and_nothing_comes_twice_while_others_take() {
    const THREADS: u64 = 6;
    const EACH: u64 = 5_000;
    let telemetry = Telemetry::new(all_signals());
    let operation = operation(&telemetry);
    let all_at_once = Barrier::new(THREADS as usize + 1);
    let is_done = AtomicBool::new(false);
    let mut taken = Taken::default();

    std::thread::scope(|scope| {
        let recorders: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (telemetry, operation, all_at_once) = (&telemetry, &operation, &all_at_once);
                scope.spawn(move || {
                    all_at_once.wait();
                    (0..EACH).for_each(|n| record(telemetry, operation, n * THREADS + thread));
                })
            })
            .collect();
        let taker = scope.spawn(|| {
            let mut taken = Taken::default();
            let mut last_count = 0;
            all_at_once.wait();
            while !is_done.load(Ordering::Acquire) {
                taken.take(&telemetry);
                let count = used_points(&telemetry, DURATION).first().map_or(0, |point| point.count);
                assert!(count >= last_count, "a count never falls");
                last_count = count;
            }
            taken
        });
        for recorder in recorders {
            recorder.join().expect("every record is finished");
        }
        is_done.store(true, Ordering::Release);
        taken = taker.join().expect("everything taken is whole");
    });
    taken.take(&telemetry);

    let recorded = THREADS * EACH;
    assert_each_once(&taken.lines, telemetry.buffer_full(Signal::Logs), recorded);
    assert_each_once(&taken.spans, telemetry.buffer_full(Signal::Traces), recorded);
    assert_in_order_by_thread(&taken.lines, THREADS);
    assert_in_order_by_thread(&taken.spans, THREADS);
    let points = used_points(&telemetry, DURATION);
    assert_eq!(points[0].count, recorded);
    let sum = (0..recorded).sum::<u64>();
    assert_eq!((points[0].sum.expect("a sum") * 1e9).round() as u64, sum);
    let lines = telemetry.meter().snapshot().value("telemetry.log.lines", &[("level", "info")]).cloned();
    assert_eq!(lines, Some(telemetry::meter::Value::Integer(taken.lines.len() as i64)));
}

#[test]
fn a_full_buffer_drops_and_counts_until_it_is_emptied() {
    let telemetry = Telemetry::new(all_signals());
    let operation = operation(&telemetry);
    let mut recorded = 0;
    let mut taken = Taken::default();
    for _ in 0..2 {
        let dropped_before = (telemetry.buffer_full(Signal::Logs), telemetry.buffer_full(Signal::Traces));
        // Fill both buffers, then record as much again.
        let first = recorded;
        let mut full_at = None;
        while full_at.is_none_or(|full_at: u64| recorded < full_at + (full_at - first)) {
            record(&telemetry, &operation, recorded);
            recorded += 1;
            let is_full = telemetry.buffer_full(Signal::Logs) > dropped_before.0
                && telemetry.buffer_full(Signal::Traces) > dropped_before.1;
            full_at = full_at.or(is_full.then_some(recorded));
        }
        taken.take(&telemetry);
    }
    let (lines, spans) = (telemetry.buffer_full(Signal::Logs), telemetry.buffer_full(Signal::Traces));
    assert!(lines > 0 && spans > 0);
    assert_each_once(&taken.lines, lines, recorded);
    assert_each_once(&taken.spans, spans, recorded);
    assert_eq!(used_points(&telemetry, DURATION)[0].count, recorded, "points need no buffer");
}

#[test]
fn spans_are_taken_in_portions_without_tearing_one() {
    const THREADS: u64 = 4;
    const EACH: u64 = 100;
    let telemetry = Telemetry::new(all_signals());
    let operation = operation(&telemetry);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (telemetry, operation) = (&telemetry, &operation);
            scope.spawn(move || (0..EACH).for_each(|n| record(telemetry, operation, n * THREADS + thread)));
        }
    });
    let mut sequences = Vec::new();
    loop {
        // A portion is at least one buffer, so even a small limit makes progress.
        let portion = telemetry.take_spans(1, Vec::new());
        if portion.count == 0 {
            break;
        }
        let decoded = ExportTraceServiceRequest::decode(&portion.request[..]);
        let decoded = decoded.expect("a decodable request");
        let spans = &decoded.resource_spans[0].scope_spans[0].spans;
        assert_eq!(spans.len(), portion.count);
        let sequence = |span: &Span| values(&span.attributes).get("sequence").and_then(Value::as_u64);
        sequences.extend(spans.iter().filter_map(sequence));
    }
    assert_each_once(&sequences, 0, THREADS * EACH);
}
