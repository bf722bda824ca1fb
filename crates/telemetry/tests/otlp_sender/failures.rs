//! Failures that an operator repairs in different places are told apart.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use otlp_sink::{OtlpSink, Reaction};
use signal::builtin::{DropReason, Signal};
use telemetry::otlp::{ExportFailure, ProbeResult, Protocol, probe};

use crate::harness::{PROTOCOLS, Rig, settings};

/// Sends a span, and expects this failure in counts, warning and probe.
#[track_caller]
fn expect_failure(
    protocol: Protocol,
    endpoint: &str,
    variables: &[(&str, &str)],
    failure: ExportFailure,
    status: Option<u16>,
) {
    let settings = settings(Signal::Traces, protocol, endpoint, variables);
    let rig = Rig::start(Signal::Traces, &settings);
    rig.produce_spans("lost", 1);
    // The exporter counts a failure first, then opens its circuit and warns.
    let counts = rig.wait_for_counts(&format!("{failure:?} over {protocol:?}"), |counts| {
        counts.failed_requests_by(failure) > 0
            && counts.circuit_open == status.is_none()
            && !rig.warnings.lock().unwrap().is_empty()
    });
    assert_eq!(counts.failed_requests(), counts.failed_requests_by(failure), "{protocol:?} {counts:?}");
    {
        let warnings = rig.warnings.lock().unwrap();
        assert_eq!((warnings[0].failure, warnings[0].status), (failure, status), "{protocol:?}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let result = runtime.block_on(probe(Signal::Traces, telemetry::Resource::default(), &settings)).unwrap();
    assert_eq!(result, ProbeResult::Failed { failure, status }, "{protocol:?}");
}

#[test]
fn a_closed_port_refuses_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    for protocol in PROTOCOLS {
        for host in ["127.0.0.1", "localhost"] {
            let endpoint = format!("http://{host}:{port}");
            expect_failure(protocol, &endpoint, &[], ExportFailure::ConnectionRefused, None);
        }
    }
}

#[test]
fn a_name_that_does_not_exist_is_named_as_such() {
    for protocol in PROTOCOLS {
        for endpoint in ["http://collector.invalid:4318", "https://collector.invalid"] {
            // An authority is named because this machine may have none.
            let sink = OtlpSink::start_encrypted();
            let directory = tempfile::tempdir().unwrap();
            let file = directory.path().join("authority.pem");
            std::fs::write(&file, sink.certificate().unwrap()).unwrap();
            let authority = [("OTEL_EXPORTER_OTLP_CERTIFICATE", file.to_str().unwrap())];
            expect_failure(protocol, endpoint, &authority, ExportFailure::NameResolution, None);
        }
    }
}

#[test]
fn connections_that_are_not_trusted_are_failures_of_tls() {
    let (known, unknown) = (OtlpSink::start_encrypted(), OtlpSink::start_encrypted());
    let plain = OtlpSink::start();
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, sink: &OtlpSink| {
        let file = directory.path().join(name);
        std::fs::write(&file, sink.certificate().unwrap()).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let authority = write("known.pem", &known);
    let by_address = known.endpoint().replace("localhost", "127.0.0.1");
    let without_tls = plain.endpoint().replace("http:", "https:");
    let table = [
        ("an unknown authority", unknown.endpoint()),
        ("a certificate for another name", &by_address),
        ("a server without TLS", &without_tls),
    ];
    for protocol in PROTOCOLS {
        for (_, endpoint) in table {
            let authority = [("OTEL_EXPORTER_OTLP_CERTIFICATE", authority.as_str())];
            expect_failure(protocol, endpoint, &authority, ExportFailure::Tls, None);
        }
    }
    for sink in [known, unknown, plain] {
        assert_eq!(sink.requests().len(), 0);
    }
}

#[test]
fn a_login_page_is_no_success() {
    let page = Reaction::LoginPage;
    let body = |content_type, body| Reaction::Body { content_type, body };
    let reactions = [
        page.clone(),
        body("text/plain", "OK"),
        body("application/x-protobuf", "<html>Please log in</html>"),
        body("application/json", r#"{"error":"log in"}"#),
        body("application/json", "<html>"),
    ];
    for protocol in PROTOCOLS {
        for reaction in &reactions {
            let sink = OtlpSink::start();
            sink.react_always(reaction.clone());
            expect_failure(protocol, sink.endpoint(), &[], ExportFailure::NotOtlp, Some(200));
        }
        // Once somebody has logged in, nothing was lost.
        let sink = OtlpSink::start();
        sink.react_to_next([page.clone(), page.clone()]);
        let rig = Rig::traces(protocol, sink.endpoint());
        rig.produce_spans("patient", 3);
        let counts = rig.wait_for_counts("delivery", |counts| counts.sent_items == 3);
        assert_eq!((counts.dropped_items(), counts.failed_requests_by(ExportFailure::NotOtlp)), (0, 2));
    }
}

#[test]
fn responses_of_lenient_backends_are_successes() {
    let body = |content_type, body| Reaction::Body { content_type, body };
    let sink = OtlpSink::start();
    let reactions = [
        body("text/plain; charset=utf-8", ""),
        body("application/json", "{}"),
        body("application/json; charset=utf-8", r#"{"partialSuccess":{}}"#),
        Reaction::Status(202),
        Reaction::Status(204),
    ];
    let expected = reactions.len() as u64;
    sink.react_to_next(reactions);
    let rig = Rig::traces(Protocol::HttpProtobuf, sink.endpoint());
    for number in 1..=expected {
        rig.produce_spans("fine", 1);
        rig.wait_for_counts("delivery", |counts| counts.sent_items == number);
    }
    assert_eq!(rig.counts().failed_requests(), 0);
}

#[test]
fn redirects_are_not_followed_and_are_named() {
    for protocol in PROTOCOLS {
        let sink = OtlpSink::start();
        sink.react_always(Reaction::Redirect);
        expect_failure(protocol, sink.endpoint(), &[], ExportFailure::Redirected, Some(307));
        assert_eq!(sink.requests().len(), 2, "one of the sender, one of the probe");

        let rig = Rig::traces(protocol, sink.endpoint());
        rig.produce_spans("redirected", 7);
        let counts = rig.wait_for_counts("a final response", |counts| {
            counts.pending_items == 0 && counts.taken_items == 7
        });
        assert_eq!(counts.dropped_items_by(DropReason::Rejected), 7);
    }
}

/// Serves HTTP/2 only, as gRPC servers do, on a port of its own.
fn start_http2_only() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            listener.set_nonblocking(true).unwrap();
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let serving = hyper::server::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new())
                    .serve_connection(
                        hyper_util::rt::TokioIo::new(stream),
                        hyper::service::service_fn(async |_| {
                            Ok::<_, std::convert::Infallible>(http::Response::new(String::new()))
                        }),
                    );
                // A client that does not speak HTTP/2 ends this with an error.
                let _ = serving.await;
            }
        });
    });
    endpoint
}

/// Responds as servers do that know HTTP/1 only.
fn start_http1_only() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            if stream.read(&mut request).is_ok_and(|length| length > 0) {
                let response = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                let _ = stream.write_all(response.as_bytes());
                // Closing with unread bytes would reset the connection.
                let _ = stream.shutdown(std::net::Shutdown::Write);
                while stream.read(&mut request).is_ok_and(|length| length > 0) {}
            }
        }
    });
    endpoint
}

#[test]
fn the_port_of_the_other_protocol_is_recognized() {
    expect_failure(Protocol::HttpProtobuf, &start_http2_only(), &[], ExportFailure::WrongProtocol, None);
    expect_failure(Protocol::Grpc, &start_http1_only(), &[], ExportFailure::WrongProtocol, None);
}

#[test]
fn a_probe_recognizes_a_server_that_closes_before_it_has_read_the_request() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            if stream.read(&mut [0; 1]).is_ok() {
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n");
            }
        }
    });
    let settings = settings(Signal::Traces, Protocol::Grpc, &endpoint, &[]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for _ in 0..50 {
        let probe = probe(Signal::Traces, telemetry::Resource::default(), &settings);
        let expected = ProbeResult::Failed { failure: ExportFailure::WrongProtocol, status: None };
        assert_eq!(runtime.block_on(probe).unwrap(), expected);
    }
}
