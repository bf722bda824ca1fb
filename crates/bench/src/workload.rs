//! The measured program: one route, served with or without telemetry, a number of times.
//!
//! Counted in every variant: creating the request, the router with its one route, the handler, and
//! reading the body. With telemetry also: the layer with everything that it records, the thread
//! that writes log lines (its output is discarded), and the sending thread's work up to a complete
//! export request of spans.
//!
//! Not counted: sockets to clients, the log file, sending export requests over the network and
//! compressing them, and encoding metrics, which happens once a minute whatever the number of
//! requests.
//!
//! `usual.rs` does the same with the usual crates, and `children.rs` with operations within a
//! request.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use catalogue::database_operation::DatabaseOperation;
use catalogue::labels::JobKind;
use catalogue::metrics;
use clap::{Args, ValueEnum};
use http::{Method, Request, StatusCode};
use serde::Serialize;
use socialize::http::error::{Error, panic_response};
use socialize::platform::database::Database;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use telemetry::http_server::{
    HttpServer, HttpServerService, HttpServerSettings, RouteDescription, UrlScheme,
};
use telemetry::log::{Level, LevelFilter, LogFormat, LogSettings, LogSource, LogWriter};
use telemetry::otlp::HistogramAggregation;
use telemetry::record::SpanKind;
use telemetry::{
    Attributes, ErrorType, FamilyDescription, Identifier, JobOutcome, Key, Operations, Resource, Sampler,
    SpanContext, SpanId, Telemetry, TelemetrySettings, TraceId,
};
use tower::{Service, ServiceExt};
use uuid::Uuid;

use crate::children;
use crate::usual::{self, UsualLayer};

/// The work that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Route {
    /// A handler that returns a constant as JSON.
    NoOpJson,
    /// A handler that reads one row by its primary key.
    Select,
    /// A handler that returns 404.
    Error,
    /// A job run without work.
    Job,
    /// The record of a database operation within a job.
    DatabaseOperation,
    /// The record of an outgoing call within a job.
    OutboundCall,
}

/// The telemetry that is enabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Variant {
    /// No telemetry at all: the bare router.
    None,
    /// Lines from level info, a span for every request, and points.
    AllSignals,
    /// The same with lines from level warn, so that a successful request has only its span and its
    /// points.
    LinesFromWarn,
    /// All signals, but no request is sampled.
    Unsampled,
    /// No endpoint for spans, and lines from level warn.
    NoEndpointWarn,
    /// All signals by axum-tracing-opentelemetry, tracing-subscriber and the OpenTelemetry SDK.
    AxumTracingOpentelemetry,
    /// All signals by the layer of tower-http.
    TowerHttp,
}

impl Route {
    pub(crate) const ALL: &'static [Self] =
        &[Self::NoOpJson, Self::Select, Self::Error, Self::Job, Self::DatabaseOperation, Self::OutboundCall];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NoOpJson => "no_op_json",
            Self::Select => "select",
            Self::Error => "error",
            Self::Job => "job",
            Self::DatabaseOperation => "database_operation",
            Self::OutboundCall => "outbound_call",
        }
    }

    /// Returns the variants with which the route is measured.
    pub(crate) fn variants(self) -> &'static [Variant] {
        match self {
            Self::NoOpJson => Variant::ALL,
            // A line for each closed span would include one for the statement.
            Self::Select => Variant::WITH_CHILDREN,
            Self::Error => Variant::OWN,
            Self::Job | Self::DatabaseOperation | Self::OutboundCall => Variant::OF_CHILDREN,
        }
    }

    /// Returns whether the route uses the database. Its instructions then depend on how the
    /// server's responses are split into packets.
    pub(crate) fn needs_database(self) -> bool {
        self == Self::Select
    }
}

impl Variant {
    const ALL: &'static [Self] = &[
        Self::None,
        Self::AllSignals,
        Self::Unsampled,
        Self::NoEndpointWarn,
        Self::AxumTracingOpentelemetry,
        Self::TowerHttp,
    ];

    /// The variants that produce the same signals for a request with children.
    const WITH_CHILDREN: &'static [Self] =
        &[Self::None, Self::AllSignals, Self::Unsampled, Self::NoEndpointWarn, Self::TowerHttp];

    /// The variants that consist of our own code only.
    const OWN: &'static [Self] = &[Self::None, Self::AllSignals, Self::Unsampled, Self::NoEndpointWarn];

    /// `OWN`, and the variant that shows the cost of a span without its line.
    const OF_CHILDREN: &'static [Self] =
        &[Self::None, Self::AllSignals, Self::LinesFromWarn, Self::Unsampled, Self::NoEndpointWarn];

    /// The variants of the usual crates, which serve as a reference only.
    pub(crate) const USUAL: &'static [Self] = &[Self::AxumTracingOpentelemetry, Self::TowerHttp];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::AllSignals => "all_signals",
            Self::LinesFromWarn => "lines_from_warn",
            Self::Unsampled => "unsampled",
            Self::NoEndpointWarn => "no_endpoint_warn",
            Self::AxumTracingOpentelemetry => "axum_tracing_opentelemetry",
            Self::TowerHttp => "tower_http",
        }
    }

    /// Returns whether the variant uses the usual crates.
    pub(crate) fn is_usual(self) -> bool {
        self.usual_layer().is_some()
    }

    /// Returns the layer of the usual set-up that the variant stands for.
    fn usual_layer(self) -> Option<UsualLayer> {
        match self {
            Self::AxumTracingOpentelemetry => Some(UsualLayer::AxumTracingOpentelemetry),
            Self::TowerHttp => Some(UsualLayer::TowerHttp),
            Self::None | Self::AllSignals | Self::LinesFromWarn | Self::Unsampled | Self::NoEndpointWarn => {
                None
            }
        }
    }

    pub(crate) fn settings(self) -> Option<TelemetrySettings> {
        let has_few_lines = matches!(self, Self::LinesFromWarn | Self::NoEndpointWarn);
        let level = if has_few_lines { Level::Warn } else { Level::Info };
        let attribute = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let settings = TelemetrySettings {
            sampler: Sampler { ratio: if self == Self::Unsampled { 0.0 } else { 1.0 }, parent_based: true },
            traces: self != Self::NoEndpointWarn,
            exemplars: true,
            levels: LevelFilter::new(level.into()),
            histograms: HistogramAggregation::Exponential,
            resource: Resource {
                attributes: vec![
                    attribute("service.name", "socialize-api"),
                    attribute("service.namespace", "socialize"),
                    attribute("service.version", env!("CARGO_PKG_VERSION")),
                    attribute("service.instance.id", "0190a5a0-0000-7000-8000-000000000000"),
                ],
                scopes: catalogue::scopes::OF_METRICS,
            },
        };
        (self != Self::None).then_some(settings)
    }
}

/// Number of requests after which the buffers are emptied. With spans and lines of some 300 bytes,
/// the sending threads are woken at about this amount.
pub(crate) const TAKEN_AFTER: u64 = 256;

/// The variable that passes the database's address to the measured program.
pub(crate) const DATABASE_URL: &str = "DATABASE_URL";

/// Arguments of the measured program.
#[derive(Args)]
pub(crate) struct Workload {
    #[arg(long, value_enum)]
    pub(crate) route: Route,
    #[arg(long, value_enum)]
    pub(crate) variant: Variant,
    #[arg(long)]
    pub(crate) requests: u64,
    #[arg(long, env = DATABASE_URL, hide_env_values = true)]
    pub(crate) database_url: Option<String>,
}

impl Workload {
    /// Processes the requests on one thread, so that nothing depends on how threads are scheduled.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        if let Some(layer) = self.variant.usual_layer() {
            let database_url = self.database_url.as_deref();
            return runtime.block_on(usual::run(layer, self.route, self.requests, database_url));
        }
        let recording = self.variant.settings().map(Recording::start).transpose()?;
        let telemetry = recording.as_ref().map(|recording| &recording.telemetry);
        runtime.block_on(async {
            match self.route {
                Route::Job => run_jobs(self.requests, telemetry, recording.as_ref()).await,
                Route::DatabaseOperation => {
                    children::run_database_operations(self.requests, recording.as_ref()).await;
                    Ok(())
                }
                Route::OutboundCall => {
                    children::run_outbound_calls(self.requests, recording.as_ref()).await;
                    Ok(())
                }
                route => {
                    let router = self.router(route, telemetry)?;
                    match telemetry {
                        None => self.make_requests(router, None).await,
                        Some(telemetry) => {
                            self.make_requests(observed(router, route, telemetry), recording.as_ref()).await
                        }
                    }
                }
            }
        })
    }

    async fn make_requests<S>(&self, service: S, recording: Option<&Recording>) -> anyhow::Result<()>
    where
        S: Service<Request<Body>, Response = Response, Error = Infallible> + Clone,
    {
        for number in 1..=self.requests {
            request(&service, self.route.as_str()).await?;
            take(recording, number);
        }
        Ok(())
    }

    pub(crate) fn router(&self, route: Route, telemetry: Option<&Telemetry>) -> anyhow::Result<Router> {
        let path = format!("/{}", route.as_str());
        if route != Route::Select {
            let handler = match route {
                Route::Error => get(async || Error::not_found("thing")),
                _ => get(async || Json(Thing { name: "a thing" })),
            };
            // Without its state, the router would rebuild the handler for every request.
            return Ok(Router::new().route(&path, handler).with_state(()));
        }
        let url = self.database_url.as_deref().unwrap_or_default();
        let pool = PgPoolOptions::new().max_connections(1).connect_lazy(url)?;
        Ok(match telemetry {
            None => Router::new().route(&path, get(select_bare)).with_state(pool),
            Some(telemetry) => {
                let database = Database::new(pool, STATEMENT_LIMIT, telemetry, || false);
                Router::new().route(&path, get(select_observed)).with_state(database)
            }
        })
    }
}

/// Wraps the router as the application wraps its own, with as many routes to search.
pub(crate) fn observed(router: Router, route: Route, telemetry: &Telemetry) -> HttpServerService<Router> {
    let settings = HttpServerSettings {
        trusted_peers: Vec::new(),
        proxies: Vec::new(),
        scheme_of_proxies: UrlScheme::Http,
        unmatched_statuses: vec![404],
        panic_response,
    };
    let mut described = socialize::run::router::described();
    let path = format!("/{}", route.as_str());
    described.push(RouteDescription { method: Method::GET, route: path, statuses: vec![200, 404] });
    HttpServer::new(telemetry, settings).observe(router, &described, &[])
}

pub(crate) async fn request<S>(service: &S, path: &str) -> anyhow::Result<()>
where
    S: Service<Request<Body>, Response = Response, Error = Infallible> + Clone,
{
    let request = Request::builder().uri(format!("/{path}")).body(Body::empty())?;
    let response = service.clone().oneshot(request).await?;
    let expected = if path == "error" { StatusCode::NOT_FOUND } else { StatusCode::OK };
    anyhow::ensure!(response.status() == expected, "/{path} answered {}", response.status());
    axum::body::to_bytes(response.into_body(), usize::MAX).await?;
    Ok(())
}

#[derive(Serialize)]
pub(crate) struct Thing {
    pub(crate) name: &'static str,
}

#[derive(Serialize, sqlx::FromRow)]
pub(crate) struct StoredThing {
    name: String,
}

const SELECT: &str = "select name from things where id = $1";
pub(crate) const STORED: Uuid = Uuid::from_u128(0x0193_5d2e_7a00_7000_8000_0000_0000_0001);

/// Creates the table that the `select` route reads, with one row.
pub(crate) async fn create_table(pool: &PgPool) -> sqlx::Result<()> {
    sqlx::raw_sql("create table things (id uuid primary key, name text not null)").execute(pool).await?;
    sqlx::query("insert into things (id, name) values ($1, 'a thing')").bind(STORED).execute(pool).await?;
    Ok(())
}

/// Statement timeout. Every variant has it, because time limits are not telemetry.
const STATEMENT_LIMIT: Duration = Duration::from_secs(5);

pub(crate) async fn select_bare(State(pool): State<PgPool>) -> Result<Json<StoredThing>, StatusCode> {
    async fn within<T>(limited: impl Future<Output = sqlx::Result<T>>) -> Result<T, StatusCode> {
        let answered = tokio::time::timeout(STATEMENT_LIMIT, limited).await;
        answered.ok().and_then(Result::ok).ok_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
    let mut connection = within(Box::pin(pool.acquire())).await?;
    let statement = sqlx::query_as(SELECT).bind(STORED).fetch_one(&mut *connection);
    Ok(Json(within(statement).await?))
}

async fn select_observed(State(database): State<Database>) -> Result<Json<StoredThing>, Error> {
    let mut connection = database.acquire().await?;
    let statement = sqlx::query_as(SELECT).bind(STORED).fetch_one(&mut *connection);
    Ok(Json(database.run(DatabaseOperation::FindOrganization, statement).await?))
}

static JOB_ID: Key = Key("job.id");
static ATTEMPT: Key = Key("job.attempt");

#[derive(Clone, Copy)]
pub(crate) struct ThingId(pub(crate) Uuid);

impl Identifier for ThingId {
    fn uuid(self) -> Uuid {
        self.0
    }
}

/// Runs jobs as the worker does: with their ids, linked to the request that enqueued them.
async fn run_jobs(
    count: u64,
    telemetry: Option<&Telemetry>,
    recording: Option<&Recording>,
) -> anyhow::Result<()> {
    let jobs = telemetry.map(operations_of_jobs);
    let enqueued_by = SpanContext { trace_id: TraceId::random(), span_id: SpanId::random(), sampled: true };
    let describe = |attributes: &mut Attributes| {
        attributes.id(&JOB_ID, ThingId(STORED));
        attributes.number(&ATTEMPT, 1);
    };
    for number in 1..=count {
        match &jobs {
            None => work().await.0,
            Some(jobs) => jobs.run(JobKind::SendEmail, Some(enqueued_by), describe, work()).await,
        }
        take(recording, number);
    }
    Ok(())
}

pub(crate) fn operations_of_jobs(telemetry: &Telemetry) -> Operations<JobKind, JobOutcome> {
    let family = FamilyDescription {
        event: "socialize.job.run",
        span_kind: SpanKind::Consumer,
        scope: catalogue::scopes::QUEUE,
        attributes: Vec::new(),
    };
    Operations::timed(telemetry, family, &metrics::JOB_RUN_DURATION)
}

async fn work() -> ((), JobOutcome, Option<ErrorType>) {
    ((), JobOutcome::Ok, None)
}

/// The telemetry of one run, including the work of its threads.
pub(crate) struct Recording {
    pub(crate) telemetry: Telemetry,
    writer: LogWriter,
}

struct Lines(Telemetry);

impl LogSource for Lines {
    fn take(&self, spare: &mut Vec<u8>, write: &mut dyn FnMut(&mut Vec<u8>)) {
        self.0.take_lines(spare, write);
    }
}

impl Recording {
    fn start(settings: TelemetrySettings) -> anyhow::Result<Self> {
        let telemetry = Telemetry::new(settings);
        // The writer writes only on request, so that nothing depends on time.
        let settings =
            LogSettings { stdout: Some(LogFormat::Json), file: None, interval: Duration::from_secs(3600) };
        let source = Arc::new(Lines(telemetry.clone()));
        let nowhere = || Box::new(std::io::sink());
        let writer = LogWriter::start_with_outputs(settings, source, Some(nowhere()), nowhere())?;
        let recording = Self { telemetry, writer };
        // The first call grows the buffers to their final size. The thread may or may not have called
        // it already.
        recording.take();
        Ok(recording)
    }

    fn take(&self) {
        self.writer.flush(Instant::now() + Duration::from_secs(60));
        // As in the sender, whose queue holds it without spare capacity.
        let spans = self.telemetry.take_spans(2 << 20, Vec::new());
        std::hint::black_box(spans.request.into_boxed_slice());
    }
}

pub(crate) fn take(recording: Option<&Recording>, number: u64) {
    if let Some(recording) = recording
        && number.is_multiple_of(TAKEN_AFTER)
    {
        recording.take();
    }
}
