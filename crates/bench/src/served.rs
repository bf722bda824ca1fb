//! The program whose processor time is measured: one route over HTTP, with a real pipeline if
//! telemetry is on.

use std::io::Write;

use anyhow::Context;
use axum::routing::get;
use clap::Args;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use signal::builtin::Signal;
use telemetry::log::{LogFormat, LogSettings, PanicText};
use telemetry::otlp::{Endpoint, Protocol, SignalSettings};
use telemetry::{Pipeline, PipelineSettings, Telemetry};
use tokio::net::TcpListener;
use tower::make::Shared;

use crate::processors;
use crate::workload::{Workload, observed};

/// Path that returns the processor time of the process so far, in microseconds.
pub(crate) const PROCESSOR_TIME: &str = "/processor-time";

/// Arguments of the server.
#[derive(Args)]
pub(crate) struct Served {
    #[command(flatten)]
    workload: Workload,
    /// Address of the collector for spans and points
    #[arg(long)]
    collector: String,
    /// The processor on which all threads run
    #[arg(long)]
    processor: usize,
}

impl Served {
    /// Serves until the process is killed. The first line of standard output is the address; log
    /// lines follow.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        processors::keep_to(self.processor)?;
        // A real server is always multi-threaded, so start a second thread here too. Otherwise
        // telemetry would be charged for leaving the single-threaded fast path of the C library and
        // the kernel.
        std::thread::spawn(|| {
            loop {
                std::thread::park();
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let telemetry = self.workload.variant.settings().map(Telemetry::new);
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            writeln!(std::io::stdout().lock(), "{}", listener.local_addr()?)?;
            let _pipeline = telemetry.as_ref().map(|telemetry| self.start_pipeline(telemetry)).transpose()?;
            let route = self.workload.route;
            let router = self.workload.router(route, telemetry.as_ref())?;
            let router = router.route(PROCESSOR_TIME, get(async || processor_time().to_string()));
            let ended = match &telemetry {
                None => axum::serve(listener, router).await,
                Some(telemetry) => {
                    axum::serve(listener, Shared::new(observed(router, route, telemetry))).await
                }
            };
            ended.context("the server ended")
        })
    }

    fn start_pipeline(&self, telemetry: &Telemetry) -> anyhow::Result<Pipeline> {
        let signal = |signal: Signal, path: &str| {
            let endpoint =
                Endpoint::parse(&format!("{}{path}", self.collector)).map_err(anyhow::Error::msg)?;
            anyhow::Ok(SignalSettings::new(signal, endpoint, Protocol::HttpProtobuf))
        };
        let settings = PipelineSettings {
            log: LogSettings { stdout: Some(LogFormat::Json), ..LogSettings::default() },
            traces: Some(signal(Signal::Traces, "/v1/traces")?),
            metrics: Some(signal(Signal::Metrics, "/v1/metrics")?),
            allowed_fields: signal::names::PIPELINE_FIELDS,
            own_targets: &["bench", "telemetry"],
            panic_text: PanicText::Hidden,
        };
        Ok(Pipeline::start(telemetry, settings)?)
    }
}

/// Returns the processor time of all threads, user and system, in microseconds.
fn processor_time() -> i64 {
    getrusage(UsageWho::RUSAGE_SELF)
        .map(|usage| usage.user_time().num_microseconds() + usage.system_time().num_microseconds())
        .unwrap_or_default()
}
