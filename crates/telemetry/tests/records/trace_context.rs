//! Trace membership and sampling of requests.

use axum::body::Body;
use http::Request;
use telemetry::current::{self, TraceContext};
use telemetry::http_client::HttpClient;
use telemetry::{Sampler, SpanContext, Telemetry, TelemetrySettings, TraceState};
use tower::ServiceExt;

use crate::http_client::Weather;
use crate::requests::{DURATION, Recorded, TRUSTED, from_peer, get_request, router};
use crate::support::{
    FLAG_IS_REMOTE, FLAG_REMOTE_IS_KNOWN, FLAG_SAMPLED, all_signals, assert_line_equals_point, count, hex,
    take_lines, take_spans, used_points,
};

const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN_ID: &str = "b7ad6b7169203331";
const MALFORMED: &str = "telemetry.traceparent.malformed";

fn with_traceparent(value: &str, peer: &str) -> Request<Body> {
    let mut request = get_request("/items/7");
    request.headers_mut().insert("traceparent", value.parse().expect("a header value"));
    from_peer(request, peer)
}

fn well_formed(flags: &str) -> String {
    format!("00-{TRACE_ID}-{SPAN_ID}-{flags}")
}

async fn send(telemetry: &Telemetry, request: Request<Body>) {
    router(telemetry).oneshot(request).await.expect("an answer");
}

/// Sends a request that must have no span, and returns its line and point.
async fn line_and_point_without_span(settings: TelemetrySettings, request: Request<Body>) -> String {
    let telemetry = Telemetry::new(settings);
    send(&telemetry, request).await;
    let lines = take_lines(&telemetry);
    let points = used_points(&telemetry, DURATION);
    assert_eq!((lines.len(), points.len()), (1, 1));
    assert_line_equals_point(&lines[0], &points[0]);
    assert!(points[0].exemplars.is_empty(), "an exemplar would name a span that nobody can look up");
    let taken = telemetry.take_spans(usize::MAX, Vec::new());
    assert_eq!((taken.count, taken.request.len()), (0, 0));
    lines[0].text("trace_id").to_owned()
}

#[tokio::test]
async fn a_trusted_caller_is_continued() {
    for peer in [TRUSTED, "[::ffff:10.1.2.3]:4567"] {
        let telemetry = Telemetry::new(all_signals());
        send(&telemetry, with_traceparent(&well_formed("01"), peer)).await;
        let recorded = Recorded::take(&telemetry);
        assert_eq!(hex(&recorded.span.trace_id), TRACE_ID);
        assert_eq!(hex(&recorded.span.parent_span_id), SPAN_ID);
        assert_ne!(hex(&recorded.span.span_id), SPAN_ID);
        assert_eq!(recorded.span.flags, FLAG_REMOTE_IS_KNOWN | FLAG_IS_REMOTE | FLAG_SAMPLED);
        assert!(recorded.span.links.is_empty());
        assert_eq!(count(&telemetry, MALFORMED), 0);
    }
}

#[tokio::test]
async fn a_trusted_caller_decides_that_nothing_is_recorded() {
    let request = with_traceparent(&well_formed("00"), TRUSTED);
    assert_eq!(line_and_point_without_span(all_signals(), request).await, TRACE_ID);
}

#[tokio::test]
async fn an_untrusted_caller_is_linked_and_chooses_nothing() {
    let address = "192.0.2.7:4567";
    let nobody = "the caller's address is not known";
    for (flags, peer) in [("01", address), ("00", address), ("01", nobody)] {
        let telemetry = Telemetry::new(all_signals());
        let mut request = with_traceparent(&well_formed(flags), address);
        if peer == nobody {
            request.extensions_mut().clear();
        }
        send(&telemetry, request).await;
        let recorded = Recorded::take(&telemetry);
        assert_ne!(hex(&recorded.span.trace_id), TRACE_ID);
        assert!(recorded.span.parent_span_id.is_empty());
        let [link] = &recorded.span.links[..] else { panic!("one link: {:?}", recorded.span) };
        assert_eq!((hex(&link.trace_id), hex(&link.span_id)), (TRACE_ID.to_owned(), SPAN_ID.to_owned()));
        let sampled = if flags == "01" { FLAG_SAMPLED } else { 0 };
        assert_eq!(link.flags, FLAG_REMOTE_IS_KNOWN | FLAG_IS_REMOTE | sampled);
        assert_eq!(recorded.line.text("link.trace_id"), TRACE_ID);
        assert_eq!(count(&telemetry, MALFORMED), 0);
    }
}

#[tokio::test]
async fn a_malformed_header_is_ignored_and_counted() {
    let upper_case = well_formed("01").to_uppercase();
    for value in ["", "nonsense", &upper_case, &well_formed("0")] {
        let telemetry = Telemetry::new(all_signals());
        send(&telemetry, with_traceparent(value, TRUSTED)).await;
        let recorded = Recorded::take(&telemetry);
        assert!(recorded.span.parent_span_id.is_empty(), "{value}");
        assert!(recorded.span.links.is_empty(), "{value}");
        assert_eq!(count(&telemetry, MALFORMED), 1, "{value}");
        assert_eq!(recorded.line.fields.get("link.trace_id"), None, "{value}");
    }
}

#[tokio::test]
async fn of_several_headers_none_is_believed() {
    let telemetry = Telemetry::new(all_signals());
    let mut request = with_traceparent(&well_formed("01"), TRUSTED);
    request.headers_mut().append("traceparent", well_formed("01").parse().expect("a header value"));
    send(&telemetry, request).await;
    let recorded = Recorded::take(&telemetry);
    assert_ne!(hex(&recorded.span.trace_id), TRACE_ID);
    assert!(recorded.span.parent_span_id.is_empty() && recorded.span.links.is_empty());
    assert_eq!(count(&telemetry, MALFORMED), 1);
}

fn with_states(states: &[&str], peer: &str) -> Request<Body> {
    let mut request = with_traceparent(&well_formed("01"), peer);
    for state in states {
        request.headers_mut().append("tracestate", state.parse().expect("a header value"));
    }
    request
}

#[tokio::test]
async fn the_state_of_a_trusted_caller_is_recorded_if_it_is_well_formed() {
    let thirty_three: Vec<String> = (0..33).map(|number| format!("k{number}=1")).collect();
    let table: [(&[&str], &str); 6] = [
        (&[], ""),
        (&["rojo=1, congo=2"], "rojo=1,congo=2"),
        (&["rojo=1", "congo=2"], "rojo=1,congo=2"),
        (&["rojo"], ""),
        (&["rojo=1", "congo"], ""),
        (&[&thirty_three.join(",")], ""),
    ];
    for (states, expected) in table {
        let telemetry = Telemetry::new(all_signals());
        send(&telemetry, with_states(states, TRUSTED)).await;
        let recorded = Recorded::take(&telemetry);
        assert_eq!(hex(&recorded.span.trace_id), TRACE_ID, "the trace is continued all the same");
        assert_eq!(recorded.span.trace_state, expected, "{states:?}");
        assert!(!recorded.line.text.contains("rojo"), "{}", recorded.line.text);
        assert_eq!(count(&telemetry, MALFORMED), 0);
    }
}

#[tokio::test]
async fn the_state_of_anybody_else_is_dropped() {
    let telemetry = Telemetry::new(all_signals());
    send(&telemetry, with_states(&["rojo=1"], "192.0.2.7:4567")).await;
    let recorded = Recorded::take(&telemetry);
    assert_eq!((&*recorded.span.trace_state, &*recorded.span.links[0].trace_state), ("", ""));
    // Without a trace, `tracestate` is ignored.
    let telemetry = Telemetry::new(all_signals());
    let mut request = from_peer(get_request("/items/7"), TRUSTED);
    request.headers_mut().insert("tracestate", "rojo=1".parse().expect("a header value"));
    send(&telemetry, request).await;
    assert_eq!(Recorded::take(&telemetry).span.trace_state, "");
}

#[tokio::test]
async fn children_share_the_state_and_pass_it_on() {
    let telemetry = Telemetry::new(all_signals());
    let state = TraceState::parse([&b"rojo=1"[..]]).expect("a list");
    let span = SpanContext::from_traceparent(well_formed("01").as_bytes()).expect("a context");
    let context = TraceContext { span, state: state.clone() };
    let client = HttpClient::new(&telemetry, "POST");
    let (call_id, joined) = current::within_context(&context, || {
        let call = client.begin(Weather);
        let call_id = call.context().span_id;
        assert_eq!(call.trace_state(), state.as_ref());
        call.responded(200);
        (call_id, current::trace_context())
    });
    assert_eq!(joined, Some(context.clone()));
    assert_eq!(current::trace_context(), None, "nothing is left behind");
    let [child] = &take_spans(&telemetry)[..] else { panic!("one span") };
    assert_eq!((hex(&child.trace_id), hex(&child.parent_span_id)), (TRACE_ID.to_owned(), SPAN_ID.to_owned()));
    assert_eq!((hex(&child.span_id), &*child.trace_state), (call_id.to_string(), "rojo=1"));

    // A future has the context in every poll, and only then.
    let work = async {
        tokio::task::yield_now().await;
        current::trace_context()
    };
    let both = futures_util::future::join(current::within_context_async(context.clone(), work), async {
        tokio::task::yield_now().await;
        current::trace_context()
    });
    assert_eq!(both.await, (Some(context), None));
}

#[tokio::test]
async fn a_request_outside_the_sample_has_a_line_and_a_point() {
    let sampler = Sampler { ratio: 0.0, ..Sampler::default() };
    let settings = TelemetrySettings { sampler, ..all_signals() };
    line_and_point_without_span(settings.clone(), get_request("/items/7")).await;
    // An outsider cannot add itself to the sample; a trusted caller can.
    let outsider = with_traceparent(&well_formed("01"), "192.0.2.7:4567");
    line_and_point_without_span(settings.clone(), outsider).await;
    let telemetry = Telemetry::new(settings);
    send(&telemetry, with_traceparent(&well_formed("01"), TRUSTED)).await;
    assert_eq!(hex(&Recorded::take(&telemetry).span.trace_id), TRACE_ID);
}

#[tokio::test]
async fn no_spans_are_made_where_they_go_nowhere() {
    let settings = TelemetrySettings { traces: false, ..all_signals() };
    line_and_point_without_span(settings.clone(), get_request("/items/7")).await;
    let request = with_traceparent(&well_formed("01"), TRUSTED);
    assert_eq!(line_and_point_without_span(settings, request).await, TRACE_ID);
}

#[tokio::test]
async fn ids_differ_from_request_to_request() {
    let telemetry = Telemetry::new(all_signals());
    let router = router(&telemetry);
    for _ in 0..100 {
        router.clone().oneshot(get_request("/items/7")).await.expect("an answer");
    }
    let spans = take_spans(&telemetry);
    let traces: std::collections::HashSet<_> = spans.iter().map(|span| &span.trace_id).collect();
    let ids: std::collections::HashSet<_> = spans.iter().map(|span| &span.span_id).collect();
    assert_eq!((spans.len(), traces.len(), ids.len()), (100, 100, 100));
}
