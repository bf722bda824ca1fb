//! Reference set-ups: the crates that most teams combine, as their documentation shows.
//!
//! Both produce what the application produces for a request: a server span, a JSON line with its
//! trace id, the duration in a histogram and the number of active requests. The count ends where it
//! ends for the application: lines are discarded, and export requests are encoded and then dropped.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::ensure;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use axum_tracing_opentelemetry::middleware::OtelAxumLayer;
use bytes::Bytes;
use http::StatusCode;
use opentelemetry::metrics::{Histogram, Meter, MeterProvider, UpDownCounter};
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry::{KeyValue, global};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{MetricExporter, Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tower_http::trace::TraceLayer;
use tracing::field::Empty;
use tracing::{Instrument, Span, info, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::recording::TAKEN_AFTER;
use crate::request::request;
use crate::route::Route;
use crate::things::{StoredThing, Thing, select_bare};
use crate::variant::UsualLayer;

/// Serves requests with such a set-up, and checks that every request produced its signals.
pub(crate) async fn run(
    layer: UsualLayer,
    route: Route,
    requests: u64,
    database_url: Option<&str>,
) -> anyhow::Result<()> {
    let set_up = SetUp::start(layer)?;
    let router = set_up.router(route, database_url)?;
    for number in 1..=requests {
        request(&router, route.as_str()).await?;
        if number.is_multiple_of(TAKEN_AFTER) {
            set_up.traces.force_flush()?;
        }
    }
    let (lines, exports) = (set_up.lines.load(Relaxed), set_up.exports.load(Relaxed));
    ensure!(lines == requests, "{requests} requests left {lines} lines");
    ensure!(exports >= requests / TAKEN_AFTER, "{requests} requests left {exports} exports");
    Ok(())
}

struct SetUp {
    layer: UsualLayer,
    traces: SdkTracerProvider,
    instruments: Instruments,
    /// Number of lines written.
    lines: Arc<AtomicU64>,
    /// Number of export requests made.
    exports: Arc<AtomicU64>,
    _metrics: SdkMeterProvider,
}

impl SetUp {
    fn start(layer: UsualLayer) -> anyhow::Result<Self> {
        let (lines, exports) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let resource = Resource::builder()
            .with_service_name("socialize-api")
            .with_attribute(KeyValue::new("service.namespace", "socialize"))
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let spans = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_http_client(Dropped(exports.clone()))
            .build()?;
        let traces =
            SdkTracerProvider::builder().with_batch_exporter(spans).with_resource(resource.clone()).build();
        let points = MetricExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_http_client(Dropped(Arc::default()))
            .build()?;
        // Encoding of metrics is not counted, as for Socialize's variants.
        let reader = PeriodicReader::builder(points).with_interval(Duration::from_secs(3600)).build();
        let metrics = SdkMeterProvider::builder().with_reader(reader).with_resource(resource).build();
        global::set_text_map_propagator(TraceContextPropagator::new());

        let counted = lines.clone();
        let json = tracing_subscriber::fmt::layer().json().with_writer(move || Nowhere(counted.clone()));
        let json = match layer {
            UsualLayer::AxumTracingOpentelemetry => json.with_span_events(FmtSpan::CLOSE).boxed(),
            UsualLayer::TowerHttp => json.boxed(),
        };
        tracing_subscriber::registry()
            // The documentation of axum-tracing-opentelemetry requires the second directive.
            .with(EnvFilter::new("info,otel::tracing=trace"))
            .with(json)
            .with(tracing_opentelemetry::layer().with_tracer(traces.tracer("bench")))
            .try_init()?;
        let instruments = Instruments::new(&metrics.meter("bench"));
        Ok(Self { layer, traces, instruments, lines, exports, _metrics: metrics })
    }

    fn router(&self, route: Route, database_url: Option<&str>) -> anyhow::Result<Router> {
        let path = format!("/{}", route.as_str());
        let router = match route {
            Route::Select => {
                let pool =
                    PgPoolOptions::new().max_connections(1).connect_lazy(database_url.unwrap_or_default())?;
                Router::new().route(&path, get(select)).with_state((pool, self.instruments.clone()))
            }
            _ => Router::new().route(&path, get(async || Json(Thing { name: "a thing" }))),
        };
        let router = router.layer(from_fn_with_state(self.instruments.clone(), measure));
        Ok(match self.layer {
            UsualLayer::AxumTracingOpentelemetry => router.layer(OtelAxumLayer::default()),
            UsualLayer::TowerHttp => router.layer(
                TraceLayer::new_for_http()
                    .make_span_with(make_span)
                    .on_request(())
                    .on_response(write_line)
                    .on_body_chunk(())
                    .on_eos(())
                    .on_failure(()),
            ),
        })
    }
}

fn route_of(request: &Request) -> &str {
    request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str)
}

fn make_span(request: &Request) -> Span {
    let (method, route) = (request.method(), route_of(request));
    let span = info_span!(
        "http.server.request",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        http.request.method = %method,
        url.scheme = "http",
        http.route = route,
        http.response.status_code = Empty,
        trace_id = Empty,
    );
    let parent = global::get_text_map_propagator(|propagator| {
        propagator.extract(&opentelemetry_http::HeaderExtractor(request.headers()))
    });
    // It fails if the span is filtered out, and then it needs no parent.
    let _ = span.set_parent(parent);
    let trace_id = span.context().span().span_context().trace_id();
    span.record("trace_id", tracing::field::display(trace_id));
    span
}

fn write_line<B>(response: &http::Response<B>, latency: Duration, span: &Span) {
    span.record("http.response.status_code", response.status().as_u16());
    info!(duration_ms = latency.as_secs_f64() * 1e3, "http.server.request");
}

/// The metrics of the semantic conventions for HTTP servers and database operations.
#[derive(Clone)]
struct Instruments {
    duration: Histogram<f64>,
    active: UpDownCounter<i64>,
    operation_duration: Histogram<f64>,
}

impl Instruments {
    fn new(meter: &Meter) -> Self {
        Self {
            duration: meter.f64_histogram("http.server.request.duration").with_unit("s").build(),
            active: meter.i64_up_down_counter("http.server.active_requests").with_unit("{request}").build(),
            operation_duration: meter.f64_histogram("db.client.operation.duration").with_unit("s").build(),
        }
    }
}

async fn measure(State(instruments): State<Instruments>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = KeyValue::new("http.request.method", request.method().as_str().to_owned());
    let route = KeyValue::new("http.route", route_of(&request).to_owned());
    let of_route = [method.clone(), route.clone()];
    instruments.active.add(1, &of_route);
    let response = next.run(request).await;
    instruments.active.add(-1, &of_route);
    let status = KeyValue::new("http.response.status_code", i64::from(response.status().as_u16()));
    instruments.duration.record(started.elapsed().as_secs_f64(), &[method, route, status]);
    response
}

async fn select(
    State((pool, instruments)): State<(PgPool, Instruments)>,
) -> Result<Json<StoredThing>, StatusCode> {
    let started = Instant::now();
    let span = info_span!(
        "find_organization",
        otel.kind = "client",
        db.system.name = "postgresql",
        db.query.summary = "find_organization",
    );
    let found = select_bare(State(pool)).instrument(span).await;
    let operation = KeyValue::new("db.query.summary", "find_organization");
    instruments.operation_duration.record(started.elapsed().as_secs_f64(), &[operation]);
    found
}

/// An exporter that counts requests and drops them.
#[derive(Debug)]
struct Dropped(Arc<AtomicU64>);

#[async_trait::async_trait]
impl HttpClient for Dropped {
    async fn send_bytes(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, HttpError> {
        ensure_not_empty(request.body())?;
        self.0.fetch_add(1, Relaxed);
        Ok(http::Response::new(Bytes::new()))
    }
}

fn ensure_not_empty(body: &Bytes) -> Result<(), HttpError> {
    if body.is_empty() { Err("an export request without content".into()) } else { Ok(()) }
}

/// A writer that counts lines and drops them.
struct Nowhere(Arc<AtomicU64>);

impl Write for Nowhere {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.fetch_add(1, Relaxed);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
