//! A library that records spans with `tracing-opentelemetry` shares the trace of a request: its span becomes
//! a child of the request's span, and a call by Socialize within it becomes a child of the library's span.

#![expect(clippy::unwrap_used, reason = "a helper of a test may panic like the test itself")]

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{Request, StatusCode};
use opentelemetry::trace::{
    SpanContext as OtherContext, TraceContextExt, TraceFlags, TraceState as OtherState, TracerProvider,
};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use prost::Message;
use signal::metric::Label;
use telemetry::current::{self, TraceContext};
use telemetry::http_client::HttpClient;
use telemetry::http_server::{HttpServer, HttpServerSettings, UrlScheme};
use telemetry::{ClosedSet, SpanContext, SpanId, Telemetry, TelemetrySettings, TraceId, TraceState};
use tower::{ServiceExt, service_fn};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::layer::SubscriberExt;

/// Converts a context of Socialize for the other library.
fn to_other(context: &TraceContext) -> opentelemetry::Context {
    let TraceContext { span, state } = context;
    let state = state.as_ref().and_then(|state| state.as_str().parse().ok());
    let context = OtherContext::new(
        opentelemetry::TraceId::from_bytes(span.trace_id.0),
        opentelemetry::SpanId::from_bytes(span.span_id.0),
        if span.sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED },
        true,
        state.unwrap_or(OtherState::NONE),
    );
    opentelemetry::Context::new().with_remote_span_context(context)
}

/// Converts a context of the other library for Socialize.
fn from_other(context: &opentelemetry::Context) -> TraceContext {
    let span = context.span();
    let span = span.span_context();
    TraceContext {
        span: SpanContext {
            trace_id: TraceId(span.trace_id().to_bytes()),
            span_id: SpanId(span.span_id().to_bytes()),
            sampled: span.is_sampled(),
        },
        state: TraceState::parse([span.trace_state().header().as_bytes()]).unwrap_or_default(),
    }
}

/// Keeps the spans of the other library.
#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Kept {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Weather;

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

/// Handles a request with a span of the other library and, within it, a call recorded by Socialize.
async fn handle(calls: &HttpClient<Weather>) -> Response {
    let request = current::trace_context().unwrap();
    let other = tracing::info_span!("other library");
    other.set_parent(to_other(&request)).unwrap();
    let below_other = from_other(&other.context());
    current::within_context_async(below_other, async {
        calls.begin(Weather).responded(200);
    })
    .await;
    assert_eq!(current::trace_context(), Some(request), "the request is the current operation again");
    StatusCode::OK.into_response()
}

#[tokio::test]
async fn spans_of_both_libraries_are_one_trace() {
    let kept = Kept::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(kept.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("other"));
    let _subscriber = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));

    let telemetry = Telemetry::new(TelemetrySettings { traces: true, ..TelemetrySettings::default() });
    let calls = HttpClient::new(&telemetry, "POST");
    let settings = HttpServerSettings {
        trusted_peers: vec!["192.0.2.0/24".parse().unwrap()],
        proxies: Vec::new(),
        scheme_of_proxies: UrlScheme::Http,
        unmatched_statuses: vec![200],
        panic_response: |_| StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    };
    let calls = Arc::new(calls);
    let handler = service_fn(move |_: Request<Body>| {
        let calls = Arc::clone(&calls);
        async move { Ok::<_, Infallible>(handle(&calls).await) }
    });
    let service = HttpServer::new(&telemetry, settings).observe(handler, &[], &[]);
    let mut request = Request::new(Body::empty());
    let headers = request.headers_mut();
    let caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    headers.insert("traceparent", caller.parse().unwrap());
    headers.insert("tracestate", "rojo=1".parse().unwrap());
    let peer: std::net::SocketAddr = "192.0.2.7:4567".parse().unwrap();
    request.extensions_mut().insert(axum::extract::ConnectInfo(peer));
    service.oneshot(request).await.unwrap();

    let taken = telemetry.take_spans(usize::MAX, Vec::new());
    let decoded = ExportTraceServiceRequest::decode(&taken.request[..]).unwrap();
    let scopes = decoded.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    let ours: Vec<_> = scopes.flat_map(|scope| &scope.spans).collect();
    let is_call =
        |span: &&&opentelemetry_proto::tonic::trace::v1::Span| span.name.contains("weather_service");
    let call = ours.iter().find(is_call).unwrap();
    let request = ours.iter().find(|span| !is_call(span)).unwrap();
    let others = kept.0.lock().unwrap();
    let [other] = &others[..] else { panic!("one span of the other library: {others:?}") };

    let trace_id = other.span_context.trace_id().to_bytes();
    assert_eq!(TraceId(trace_id).to_string(), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!((&call.trace_id[..], &request.trace_id[..]), (&trace_id[..], &trace_id[..]));
    assert_eq!(other.parent_span_id.to_bytes(), request.span_id[..], "theirs is below ours");
    assert_eq!(call.parent_span_id, other.span_context.span_id().to_bytes(), "ours is below theirs");
    assert_eq!((&*request.trace_state, &*call.trace_state), ("rojo=1", "rojo=1"));
    assert_eq!(other.span_context.trace_state().header(), "rojo=1");
}
