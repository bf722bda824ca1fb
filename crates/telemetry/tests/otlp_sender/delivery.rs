//! A working collector receives exactly the queued items.

use std::collections::HashSet;
use std::sync::Arc;

use otlp_sink::{Export, OtlpSink, Reaction, ReceivedBy};
use prost::Message as _;
use signal::builtin::{DropReason, Signal};
use telemetry::otlp::{ExportFailure, Protocol, SignalSettings};

use crate::harness::{PATIENCE, PROTOCOLS, Rig, metrics_request, settings, trace_request, wait_until};

#[test]
fn the_sink_decodes_what_was_sent() {
    for protocol in PROTOCOLS {
        for compression in ["none", "gzip"] {
            let sink = OtlpSink::start();
            let compression = [("OTEL_EXPORTER_OTLP_COMPRESSION", compression)];
            let start =
                |signal| Rig::start(signal, &settings(signal, protocol, sink.endpoint(), &compression));
            let (traces, metrics) = (start(Signal::Traces), start(Signal::Metrics));
            let large = "x".repeat(1_000_000);
            traces.produce_spans("first", 3);
            traces.produce_spans(&large, 1);
            metrics.produce_point(0.5);
            let requests = sink.wait_until("three requests", |requests| requests.len() == 3);

            for request in &requests {
                let raw = match &request.export {
                    Export::Traces(traces) => traces.encode_to_vec(),
                    Export::Metrics(metrics) => metrics.encode_to_vec(),
                    Export::Malformed => panic!("the sink could not decode {request:?}"),
                };
                assert_eq!(request.raw, raw, "{protocol:?}");
                let expected = if protocol == Protocol::Grpc { ReceivedBy::Grpc } else { ReceivedBy::Http };
                assert_eq!(request.protocol, expected);
                let encoding = match protocol {
                    Protocol::Grpc => request.headers.get("grpc-encoding"),
                    Protocol::HttpProtobuf => request.headers.get("content-encoding"),
                };
                let expected = (compression[0].1 == "gzip").then_some("gzip");
                assert_eq!(encoding.map(|encoding| encoding.to_str().unwrap()), expected, "{protocol:?}");
            }
            assert_eq!(sink.traces(), [trace_request("first", 3), trace_request(&large, 1)]);
            assert_eq!(sink.metrics(), [metrics_request(0.5)]);

            let counts = traces.shutdown(PATIENCE);
            assert_eq!((counts.sent_items, counts.succeeded_requests), (4, 2));
            let counts = metrics.shutdown(PATIENCE);
            assert_eq!((counts.sent_items, counts.succeeded_requests), (1, 1));
        }
    }
}

#[test]
fn headers_accompany_every_request() {
    for protocol in PROTOCOLS {
        let sink = OtlpSink::start();
        let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20abc,x-tenant=7");
        let settings = settings(Signal::Traces, protocol, sink.endpoint(), &[headers]);
        let rig = Rig::start(Signal::Traces, &settings);
        rig.produce_spans("with headers", 1);
        let requests = sink.wait_until("a request", |requests| !requests.is_empty());
        let header = |name: &str| requests[0].headers.get(name).unwrap().to_str().unwrap();
        assert_eq!(header("authorization"), "Bearer abc");
        assert_eq!(header("x-tenant"), "7");
        let product = format!("OTel-OTLP-Exporter-Rust/{}", env!("CARGO_PKG_VERSION"));
        assert!(header("user-agent").starts_with(&product), "{}", header("user-agent"));
    }
}

#[test]
fn one_connection_serves_all_requests() {
    for protocol in PROTOCOLS {
        let sink = OtlpSink::start();
        let rig = Rig::traces(protocol, sink.endpoint());
        for number in 1..=5 {
            rig.produce_spans("one of many", 1);
            sink.wait_until("the next request", |requests| requests.len() == number);
            rig.wait_for_counts("the next response", |counts| counts.sent_items == number as u64);
        }
        let peers: HashSet<_> = sink.requests().iter().map(|request| request.peer).collect();
        assert_eq!(peers.len(), 1, "{protocol:?}");
    }
}

#[test]
fn an_encrypted_collector_is_verified() {
    let sink = OtlpSink::start_encrypted();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("authority.pem");
    std::fs::write(&file, sink.certificate().unwrap()).unwrap();
    let certificate = ("OTEL_EXPORTER_OTLP_CERTIFICATE", file.to_str().unwrap());
    let other_sink = OtlpSink::start_encrypted();

    for protocol in PROTOCOLS {
        let trusting = settings(Signal::Traces, protocol, sink.endpoint(), &[certificate]);
        let rig = Rig::start(Signal::Traces, &trusting);
        rig.produce_spans("encrypted", 2);
        rig.wait_for_counts("delivery", |counts| counts.sent_items == 2);

        let mistrusting = settings(Signal::Traces, protocol, other_sink.endpoint(), &[certificate]);
        let rig = Rig::start(Signal::Traces, &mistrusting);
        rig.produce_spans("not for everybody", 2);
        rig.wait_for_counts("a failed connection", |counts| {
            counts.circuit_open && counts.failed_requests_by(ExportFailure::Tls) > 0
        });
    }
    assert_eq!(sink.traces().len(), 2);
    assert_eq!(other_sink.requests().len(), 0);
}

#[test]
fn a_collector_may_demand_a_client_certificate() {
    let sink = OtlpSink::start_mutual();
    let stranger = OtlpSink::start_mutual();
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = directory.path().join(name);
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let (certificate, key) = sink.client_identity().unwrap();
    let (other_certificate, other_key) = stranger.client_identity().unwrap();
    let authority = write("authority.pem", sink.certificate().unwrap());
    let authority = ("OTEL_EXPORTER_OTLP_CERTIFICATE", authority.as_str());
    let own = [write("own.pem", certificate), write("own.key", key)];
    let other = [write("other.pem", other_certificate), write("other.key", other_key)];
    let identity = |[certificate, key]: &[String; 2]| {
        [
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE".to_owned(), certificate.clone()),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY".to_owned(), key.clone()),
        ]
    };
    for protocol in PROTOCOLS {
        for (files, is_admitted) in [(Some(&own), true), (Some(&other), false), (None, false)] {
            let identity: Vec<(String, String)> = files.map(identity).into_iter().flatten().collect();
            let mut variables = vec![authority];
            variables.extend(identity.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            let settings = settings(Signal::Traces, protocol, sink.endpoint(), &variables);
            let rig = Rig::start(Signal::Traces, &settings);
            rig.produce_spans("members only", 2);
            if is_admitted {
                rig.wait_for_counts("delivery", |counts| counts.sent_items == 2);
            } else {
                rig.wait_for_counts("a failed connection", |counts| {
                    counts.circuit_open && counts.failed_requests_by(ExportFailure::Tls) > 0
                });
            }
        }
    }
    assert_eq!(sink.traces().len(), 2);
}

#[test]
fn items_that_the_collector_refuses_are_counted() {
    for protocol in PROTOCOLS {
        let sink = OtlpSink::start();
        // The last two are false: more than was sent, and a negative number.
        let reactions = [4, 0, 1_000, -5].map(|rejected_items| Reaction::AcceptPartly { rejected_items });
        sink.react_to_next(reactions);
        let rig = Rig::traces(protocol, sink.endpoint());
        for _ in 0..4 {
            rig.produce_spans("partly", 10);
        }
        let counts = rig.wait_for_counts("four responses", |counts| {
            counts.pending_items == 0 && counts.taken_items == 40
        });
        assert_eq!(counts.sent_items, 6 + 10 + 10);
        assert_eq!(counts.dropped_items_by(DropReason::Rejected), 4 + 10);
        assert_eq!(counts.failed_requests_by(ExportFailure::PartlyRejected), 2);
        assert_eq!(counts.succeeded_requests, 2);
        let warnings = rig.warnings.lock().unwrap();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert_eq!((warnings[0].failure, warnings[0].dropped_items), (ExportFailure::PartlyRejected, 4));
    }
}

#[test]
fn the_source_is_asked_at_every_interval() {
    for protocol in PROTOCOLS {
        let sink = OtlpSink::start();
        let settings = SignalSettings {
            interval: std::time::Duration::from_millis(1),
            ..settings(Signal::Metrics, protocol, sink.endpoint(), &[])
        };
        let rig = Rig::start(Signal::Metrics, &settings);
        for number in 1..=3 {
            // Nothing wakes the sender before its interval.
            rig.source.produce(metrics_request(f64::from(number)).encode_to_vec(), 1);
            rig.wait_for_counts("delivery", |counts| counts.sent_items == u64::try_from(number).unwrap());
        }
    }
}

#[test]
fn dropping_the_sender_ends_its_thread() {
    let sink = OtlpSink::start();
    for protocol in PROTOCOLS {
        let rig = Rig::traces(protocol, sink.endpoint());
        let source = Arc::clone(&rig.source);
        assert!(Arc::strong_count(&source) > 1);
        drop(rig);
        wait_until("the end of the thread", || Arc::strong_count(&source) == 1);
    }
}
