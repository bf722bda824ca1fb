//! The measured program: one route, served with or without telemetry, a number of times.
//!
//! Counted in every variant: creating the request, the router with its one route, the handler, and reading
//! the body. With telemetry, it also includes the layer with all its records, the thread that writes log
//! lines (its output is discarded), and the sending thread's work up to a complete export request of spans.
//!
//! Not counted: sockets to clients, the log file, sending export requests over the network and
//! compressing them, and encoding metrics, which happens once a minute whatever the number of
//! requests.
//!
//! `usual.rs` does the same with the usual crates, `jobs.rs` with job runs, and `children.rs` with
//! operations within a job.

use std::convert::Infallible;

use axum::body::Body;
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use clap::Args;
use http::{Method, Request};
use socialize::http::error::{Error, panic_response};
use socialize::platform::database::Database;
use sqlx::postgres::PgPoolOptions;
use telemetry::Telemetry;
use telemetry::http_server::{
    HttpServer, HttpServerService, HttpServerSettings, RouteDescription, UrlScheme,
};
use tower::Service;

use crate::children;
use crate::jobs::run_jobs;
use crate::recording::{Recording, take};
use crate::request::request;
use crate::route::Route;
use crate::things::{STATEMENT_LIMIT, Thing, select_bare, select_observed};
use crate::usual;
use crate::variant::Variant;

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
