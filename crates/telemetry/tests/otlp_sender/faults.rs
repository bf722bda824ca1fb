//! Collectors that are absent, slow, overloaded or wrong.

use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use otlp_sink::{OtlpSink, Reaction};
use prost::Message as _;
use signal::builtin::{DropReason, Signal};
use telemetry::otlp::{ExportFailure, Protocol, SignalSettings};

use crate::harness::{
    FOREVER, PATIENCE, PROTOCOLS, Rig, metrics_request, settings, span_count, trace_request,
};

/// A timeout that many tests let expire.
const SHORT: Duration = Duration::from_millis(20);

#[test]
fn a_batch_is_sent_again_when_the_collector_asks_for_it() {
    for protocol in PROTOCOLS {
        let sink = OtlpSink::start();
        sink.react_to_next([Reaction::Unavailable, Reaction::Unavailable]);
        let rig = Rig::traces(protocol, sink.endpoint());
        rig.produce_spans("insistent", 3);
        let counts = rig.wait_for_counts("delivery", |counts| counts.sent_items == 3);
        assert_eq!(counts.failed_requests_by(ExportFailure::Unavailable), 2);
        assert_eq!((counts.succeeded_requests, counts.dropped_items()), (1, 0));
        assert!(!counts.circuit_open);
        assert_eq!(sink.requests().len(), 3);
        assert_eq!(sink.traces(), [trace_request("insistent", 3)]);

        let warnings = rig.warnings.lock().unwrap();
        assert_eq!(warnings.len(), 1, "the second one came too soon: {warnings:?}");
        let code = if protocol == Protocol::Grpc { 14 } else { 503 };
        assert_eq!((warnings[0].failure, warnings[0].status), (ExportFailure::Unavailable, Some(code)));
        assert_eq!((warnings[0].signal, warnings[0].failed_requests), (Signal::Traces, 1));
    }
}

#[test]
fn the_pause_that_the_collector_asks_for_is_kept() {
    for protocol in PROTOCOLS {
        let sink = OtlpSink::start();
        let pause = Duration::from_secs(1);
        sink.react_to_next([Reaction::Throttle { pause }]);
        let rig = Rig::traces(protocol, sink.endpoint());
        rig.produce_spans("patient", 1);
        let requests = sink.wait_until("a second attempt", |requests| requests.len() == 2);
        // The sender's own pauses are a thousand times shorter.
        assert!(requests[1].received_at - requests[0].received_at >= pause, "{protocol:?}");
        rig.wait_for_counts("delivery", |counts| counts.sent_items == 1);
    }
}

#[test]
fn a_refused_batch_is_dropped_and_the_next_one_flows() {
    for protocol in PROTOCOLS {
        let sink = OtlpSink::start();
        sink.react_to_next([Reaction::Accept, Reaction::Refuse]);
        let rig = Rig::traces(protocol, sink.endpoint());
        for (name, spans) in [("good", 1), ("bad", 20), ("good again", 300)] {
            rig.produce_spans(name, spans);
        }
        let counts = rig.wait_for_counts("delivery", |counts| counts.sent_items == 301);
        assert_eq!(counts.dropped_items(), 20);
        assert_eq!(counts.dropped_items_by(DropReason::Rejected), 20);
        assert_eq!((counts.succeeded_requests, counts.failed_requests_by(ExportFailure::Rejected)), (2, 1));
        assert_eq!(sink.traces(), [trace_request("good", 1), trace_request("good again", 300)]);
    }
}

#[test]
fn each_status_is_retried_or_not_as_the_specification_says() {
    let http: [(&[u16], bool); 2] =
        [(&[429, 502, 503, 504], true), (&[301, 307, 400, 401, 403, 404, 408, 413, 415, 500, 501], false)];
    // Without `RetryInfo`, resource exhausted (8) is final.
    let grpc: [(&[u16], bool); 2] =
        [(&[1, 4, 10, 11, 14, 15], true), (&[2, 3, 5, 6, 7, 8, 9, 12, 13, 16], false)];
    for (protocol, table) in [(Protocol::HttpProtobuf, http), (Protocol::Grpc, grpc)] {
        let sink = OtlpSink::start();
        let rig = Rig::traces(protocol, sink.endpoint());
        let (mut sent, mut rejected) = (0, 0);
        for (statuses, is_retried) in table {
            for &status in statuses {
                sink.react_to_next([Reaction::Status(status)]);
                rig.produce_spans("status", 1);
                if is_retried {
                    sent += 1
                } else {
                    rejected += 1
                }
                rig.wait_for_counts(&format!("the consequence of {protocol:?} {status}"), |counts| {
                    counts.sent_items == sent && counts.dropped_items_by(DropReason::Rejected) == rejected
                });
            }
        }
        let counts = rig.counts();
        assert_eq!(counts.failed_requests_by(ExportFailure::Unavailable), sent);
        assert_eq!(counts.failed_requests(), sent + rejected, "no status opened the circuit");
    }
}

#[test]
fn a_collector_that_never_answers_opens_the_circuit_until_it_does() {
    for protocol in PROTOCOLS {
        let sink = OtlpSink::start();
        sink.react_always(Reaction::Hang);
        let settings =
            SignalSettings { timeout: SHORT, ..settings(Signal::Traces, protocol, sink.endpoint(), &[]) };
        let rig = Rig::start(Signal::Traces, &settings);
        rig.produce_spans("stuck", 2);
        rig.wait_for_counts("an open circuit", |counts| {
            counts.circuit_open && counts.failed_requests_by(ExportFailure::Timeout) >= 1
        });
        sink.react_always(Reaction::Accept);
        let counts = rig.wait_for_counts("recovery", |counts| counts.pending_items == 0);
        assert_eq!(counts.sent_items + counts.dropped_items_by(DropReason::RetriesExhausted), 2);
        rig.produce_spans("fluent", 5);
        rig.wait_for_counts("a closed circuit", |counts| counts.sent_items >= 5 && !counts.circuit_open);
    }
}

#[test]
fn a_collector_that_does_not_even_speak_opens_the_circuit() {
    // The kernel completes the connection, but nothing ever reads from it.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    for protocol in PROTOCOLS {
        let settings =
            SignalSettings { timeout: SHORT, ..settings(Signal::Traces, protocol, &endpoint, &[]) };
        let rig = Rig::start(Signal::Traces, &settings);
        rig.produce_spans("unheard", 1);
        rig.wait_for_counts("an open circuit", |counts| {
            counts.circuit_open && counts.failed_requests_by(ExportFailure::Timeout) >= 1
        });
    }
}

#[test]
fn a_batch_survives_the_restart_of_the_collector() {
    for protocol in PROTOCOLS {
        let sink = OtlpSink::start();
        let endpoint = sink.endpoint().to_owned();
        let rig = Rig::traces(protocol, &endpoint);
        rig.produce_spans("before", 1);
        rig.wait_for_counts("delivery", |counts| counts.sent_items == 1);
        drop(sink);
        rig.produce_spans("during", 1);
        let counts = rig.wait_for_counts("many failed connections", |counts| {
            counts.circuit_open && counts.failed_requests_by(ExportFailure::ConnectionRefused) > 20
        });
        assert_eq!(
            (counts.pending_items, counts.dropped_items()),
            (1, 0),
            "attempts without a collector are free"
        );
        let sink = OtlpSink::start_again(&endpoint);
        rig.produce_spans("after", 1);
        let counts = rig.wait_for_counts("delivery", |counts| counts.sent_items == 3);
        assert!(!counts.circuit_open);
        assert_eq!(sink.traces(), [trace_request("during", 1), trace_request("after", 1)]);
    }
}

#[test]
fn a_collector_that_hangs_for_traces_does_not_delay_metrics() {
    for protocol in PROTOCOLS {
        let (hanging, working) = (OtlpSink::start(), OtlpSink::start());
        hanging.react_always(Reaction::Hang);
        let traces = Rig::traces(protocol, hanging.endpoint());
        let metrics =
            Rig::start(Signal::Metrics, &settings(Signal::Metrics, protocol, working.endpoint(), &[]));
        traces.produce_spans("stuck", 1);
        hanging.wait_until("a request", |requests| requests.len() == 1);
        for number in 1..=3 {
            metrics.produce_point(1.0);
            metrics.wait_for_counts("delivery", |counts| counts.sent_items == number);
        }
        assert_eq!(traces.counts().pending_items, 1);
    }
}

#[test]
fn metrics_keep_only_the_newest_collection() {
    for protocol in PROTOCOLS {
        let sink = OtlpSink::start();
        sink.react_to_next([Reaction::Unavailable]);
        let settings = SignalSettings {
            retry: telemetry::otlp::RetryPauses { first: FOREVER, longest: FOREVER },
            ..settings(Signal::Metrics, protocol, sink.endpoint(), &[])
        };
        let rig = Rig::start(Signal::Metrics, &settings);
        for number in 1..=5 {
            rig.produce_point(f64::from(number));
            let number = u64::try_from(number).unwrap();
            rig.wait_for_counts("collection", |counts| {
                counts.taken_items == number && counts.failed_requests() == 1 && counts.pending_items == 1
            });
        }
        let counts = rig.counts();
        assert_eq!(counts.dropped_items_by(DropReason::Superseded), 4);
        assert_eq!(counts.pending_bytes, metrics_request(5.0).encoded_len() as u64);
    }
}

#[test]
fn memory_is_bounded_and_every_item_accounted_for_under_load() {
    const LIMIT: usize = 20_000;
    for protocol in PROTOCOLS {
        let sink = OtlpSink::start();
        let settings = SignalSettings {
            queue_bytes: LIMIT,
            timeout: SHORT,
            ..settings(Signal::Traces, protocol, sink.endpoint(), &[])
        };
        let rig = Rig::start(Signal::Traces, &settings);
        let finished = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let misbehaviour = [
                    Reaction::Accept,
                    Reaction::Refuse,
                    Reaction::AcceptPartly { rejected_items: 2 },
                    Reaction::Unavailable,
                    Reaction::Hang,
                ];
                for misbehaviours in 1..=10 {
                    sink.react_to_next(misbehaviour.clone());
                    while sink.requests().len() < misbehaviours * misbehaviour.len() {
                        for spans in 1..30 {
                            rig.produce_spans("load", spans);
                        }
                    }
                }
                finished.store(true, Ordering::Release);
            });
            // Each call of `counts` checks the sum.
            while !finished.load(Ordering::Acquire) {
                assert!(rig.counts().pending_bytes <= LIMIT as u64);
            }
        });
        rig.wait_for_counts("everything decided", |counts| {
            counts.pending_items == 0 && counts.taken_items == rig.source.produced_items()
        });
        let counts = rig.shutdown(PATIENCE);
        let accepted: u64 = sink.traces().iter().map(span_count).sum();
        // It is more only if the response to an accepted request came too late and the request was
        // sent again.
        assert!(accepted >= counts.sent_items, "{accepted} < {counts:?}");
        assert!(counts.dropped_items_by(DropReason::Rejected) > 0, "{counts:?}");
        assert!(counts.failed_requests_by(ExportFailure::Timeout) > 0, "{counts:?}");
    }
}

#[test]
fn a_full_queue_drops_the_oldest_and_counts_exactly() {
    for protocol in PROTOCOLS {
        let sink = OtlpSink::start();
        sink.react_to_next([Reaction::Hang]);
        let bytes = |name| trace_request(name, 10).encoded_len();
        let settings = SignalSettings {
            queue_bytes: bytes("batch 0") * 3,
            ..settings(Signal::Traces, protocol, sink.endpoint(), &[])
        };
        let rig = Rig::start(Signal::Traces, &settings);
        rig.produce_spans("batch 0", 10);
        sink.wait_until("the first batch", |requests| requests.len() == 1);
        for number in 1..=7 {
            rig.produce_spans(&format!("batch {number}"), 10);
        }
        let counts = rig.wait_for_counts("collection", |counts| counts.taken_items == 80);
        // The request in flight and the two newest batches fit.
        assert_eq!((counts.pending_items, counts.pending_bytes), (30, settings.queue_bytes as u64));
        assert_eq!(counts.dropped_items_by(DropReason::QueueFull), 50);
        assert_eq!(counts.dropped_items(), 50);
    }
}
