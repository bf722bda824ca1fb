//! Shutdown: everything that can be sent is sent, and nothing waits for the rest.

use std::net::TcpListener;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use otlp_sink::{OtlpSink, Reaction};
use signal::builtin::{DropReason, Signal};
use telemetry::otlp::{
    BatchItems, BatchSource, ExportFailure, Protocol, SenderLink, SignalSender, SignalSettings,
};

use crate::harness::{FOREVER, PATIENCE, PROTOCOLS, Rig, settings, trace_request};

#[test]
fn what_is_pending_is_sent_first() {
    for protocol in PROTOCOLS {
        let sink = OtlpSink::start();
        let rig = Rig::traces(protocol, sink.endpoint());
        // Nothing wakes the sender, so shutdown finds both requests still in the source.
        for name in ["first", "last"] {
            rig.source.produce(prost::Message::encode_to_vec(&trace_request(name, 4)), 4);
        }
        let counts = rig.shutdown(PATIENCE);
        assert_eq!((counts.sent_items, counts.dropped_items()), (8, 0));
        assert_eq!(sink.traces(), [trace_request("first", 4), trace_request("last", 4)]);
    }
}

#[test]
fn nothing_pending_ends_at_once() {
    for protocol in PROTOCOLS {
        let sink = OtlpSink::start();
        let counts = Rig::traces(protocol, sink.endpoint()).shutdown(FOREVER);
        assert_eq!(counts.taken_items, 0);
        assert_eq!(sink.requests().len(), 0);
    }
}

#[test]
fn an_unavailable_collector_is_tried_again_before_the_deadline() {
    for protocol in PROTOCOLS {
        let sink = OtlpSink::start();
        sink.react_to_next([Reaction::Unavailable, Reaction::Unavailable]);
        let rig = Rig::traces(protocol, sink.endpoint());
        rig.source.produce(prost::Message::encode_to_vec(&trace_request("late", 4)), 4);
        let counts = rig.shutdown(PATIENCE);
        assert_eq!((counts.sent_items, counts.failed_requests()), (4, 2));
    }
}

#[test]
fn a_pause_beyond_the_deadline_is_not_waited_for() {
    for protocol in PROTOCOLS {
        let sink = OtlpSink::start();
        sink.react_always(Reaction::Throttle { pause: Duration::from_secs(200) });
        let rig = Rig::traces(protocol, sink.endpoint());
        rig.produce_spans("throttled", 4);
        rig.wait_for_counts("a response", |counts| counts.failed_requests() == 1);
        let started = Instant::now();
        let counts = rig.shutdown(Duration::from_secs(150));
        assert!(started.elapsed() < PATIENCE, "it waited for nothing");
        assert_eq!(counts.dropped_items_by(DropReason::Shutdown), 4);
    }
}

/// Shuts down senders whose collector accepts requests or connections but never responds.
fn assert_deadline_is_kept(protocol: Protocol, endpoint: &str) {
    let start = |signal| {
        // A request may take an hour, so only the deadline ends it.
        let settings = SignalSettings { timeout: FOREVER, ..settings(signal, protocol, endpoint, &[]) };
        Rig::start(signal, &settings)
    };
    let (traces, metrics) = (start(Signal::Traces), start(Signal::Metrics));
    traces.produce_spans("under way", 1);
    traces.wait_for_counts("a request", |counts| counts.taken_items == 1);
    traces.produce_spans("waiting", 20);
    metrics.produce_point(1.0);
    let links = [traces.link.clone(), metrics.link.clone()];

    let started = Instant::now();
    let deadline = started + Duration::from_millis(200);
    telemetry::otlp::shutdown([traces.into_sender(), metrics.into_sender()], deadline);
    assert!(started.elapsed() < PATIENCE, "it waited for a response");

    for (link, items) in links.iter().zip([21, 1]) {
        let counts = link.statistics().counts();
        assert_eq!(counts.dropped_items_by(DropReason::Shutdown), items, "{protocol:?} {counts:?}");
        assert_eq!((counts.sent_items, counts.pending_items, counts.pending_bytes), (0, 0, 0));
    }
}

#[test]
fn the_deadline_is_kept_when_the_collector_never_answers() {
    for protocol in PROTOCOLS {
        let sink = OtlpSink::start();
        sink.react_always(Reaction::Hang);
        assert_deadline_is_kept(protocol, sink.endpoint());
    }
}

#[test]
fn the_deadline_is_kept_when_the_collector_never_reads() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    for protocol in PROTOCOLS {
        assert_deadline_is_kept(protocol, &endpoint);
    }
}

#[test]
fn an_open_circuit_ends_at_once() {
    let refusing = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", refusing.local_addr().unwrap());
    drop(refusing);
    for protocol in PROTOCOLS {
        let rig = Rig::traces(protocol, &endpoint);
        rig.produce_spans("unwanted", 7);
        rig.wait_for_counts("an open circuit", |counts| {
            counts.circuit_open && counts.failed_requests_by(ExportFailure::ConnectionRefused) > 0
        });
        let started = Instant::now();
        let counts = rig.shutdown(FOREVER);
        assert!(started.elapsed() < PATIENCE, "it waited although nobody answers");
        assert_eq!(counts.dropped_items_by(DropReason::Shutdown), 7);
    }
}

/// A source whose call does not return until it is released.
struct StuckSource(Mutex<mpsc::Receiver<()>>);

impl BatchSource for StuckSource {
    fn take(&self, _into: &mut Vec<u8>) -> BatchItems {
        // An error means that the test has ended, which also releases the source.
        let _ = self.0.lock().unwrap().recv();
        BatchItems::default()
    }
}

#[test]
fn a_source_that_is_stuck_does_not_hold_up_the_end() {
    let sink = OtlpSink::start();
    let settings = settings(Signal::Traces, Protocol::HttpProtobuf, sink.endpoint(), &[]);
    let (release, released) = mpsc::channel();
    let source = Arc::new(StuckSource(Mutex::new(released)));
    let sender =
        SignalSender::start(Signal::Traces, &settings, source, &SenderLink::default(), |_| {}).unwrap();
    let started = Instant::now();
    telemetry::otlp::shutdown([sender], started + Duration::from_millis(100));
    assert!(started.elapsed() < PATIENCE, "it waited for the source");
    drop(release);
}
