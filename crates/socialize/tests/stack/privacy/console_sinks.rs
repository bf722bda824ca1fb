//! The console as another receiver of all telemetry: its pages and its files.

use std::path::Path;
use std::process::Command;

use console::store::metrics::{Limits, MetricSource, MetricStore};
use console::store::spans::{SpanSearch, SpanStore};
use futures_util::{StreamExt, stream};
use reqwest::Client;
use tempfile::TempDir;

use super::sinks::{LOG_FILES, Sink, files, values_of};
use crate::application::Build;
use crate::programs::{Program, eventually};

/// Receiver of the console. The copies of the traffic to the collector go there.
pub(super) const RECEIVER: &str = "127.0.0.1:4319";

const PAGES: &str = "127.0.0.1:3001";
const TOKEN: &str = "a-token-of-tests-0123456789";

/// Maximum number of pages of one list. More would not be plausible.
const MOST_PAGES: usize = 500;

/// A running console, with a data directory of its own.
pub(super) struct Console<'a> {
    program: Program,
    data: TempDir,
    client: &'a Client,
}

/// Maximum number of requests, and of traces, whose own pages are read. The lists and the files have all.
const SAMPLED: usize = 150;

/// Numbers of searched items.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Searched {
    /// Lines on the pages about lines.
    pub(super) lines: usize,
    /// Traces in the files.
    pub(super) traces: usize,
    /// Number of pages.
    pub(super) pages: usize,
}

impl<'a> Console<'a> {
    pub(super) async fn start(build: &Build<'_>, client: &'a Client, logs: &Path) -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let token = data.path().join("token");
        std::fs::write(&token, TOKEN).expect("a file");
        let mut command = Command::new(build.program);
        command.args(["console", "--address", PAGES, "--otlp-address", RECEIVER]);
        command.arg("--data").arg(data.path().join("data")).arg("--token-file").arg(&token);
        command.arg("--logs").arg(format!("{LOG_FILES}/*"));
        let mut program = Program::start("console", command, logs);
        program.ready(client, &format!("http://{PAGES}/health/live")).await;
        Self { program, data, client }
    }

    /// Reads all pages, then ends the console and reads its files.
    pub(super) async fn sinks(mut self, last_request: &str) -> (Vec<Sink>, Searched) {
        self.arrived(last_request).await;
        let (pages, mut searched) = self.pages().await;
        self.program.stop();
        let output = self.program.log().into_bytes();
        let files = self.files(&mut searched);
        let sinks = vec![
            Sink { name: "console: pages", bytes: pages },
            Sink { name: "console: files and output", bytes: [files, output].concat() },
        ];
        (sinks, searched)
    }

    /// Waits for the line and the span of the last request.
    async fn arrived(&self, last_request: &str) {
        for (path, missing) in [("requests", "No line of the request"), ("traces", "No span of the trace")] {
            eventually(&format!("that the console has the last request in its {path}"), async || {
                let page = self.page(&format!("/{path}/{last_request}")).await;
                if page.contains(missing) { Err(missing.to_owned()) } else { Ok(()) }
            })
            .await;
        }
    }

    /// Every page: dashboards and alerts, all lines and lists of traces, and some requests and traces that lines
    /// name.
    async fn pages(&self) -> (Vec<u8>, Searched) {
        let mut paths: Vec<String> =
            ["/", "/dashboards", "/alerts", "/affected?level=trace", "/affected", "/about", "/missing"]
                .map(str::to_owned)
                .into();
        for (_, dashboard) in monitoring::dashboards::all() {
            let name = dashboard.uid.as_str().trim_start_matches("socialize-");
            paths.push(format!("/dashboards/{name}?range=1h"));
        }
        let alerts = monitoring::rules::groups(monitoring::query::Scale::REAL);
        paths.extend(
            alerts.iter().flat_map(|group| &group.alerts).map(|alert| format!("/alerts/{}", alert.name)),
        );
        let traces = values_of(&files(Path::new(LOG_FILES), |_| true), "\"trace_id\":\"");
        let traces: Vec<String> = traces.iter().step_by(traces.len() / SAMPLED + 1).cloned().collect();
        paths.extend(traces.iter().map(|trace| format!("/requests/{trace}")));
        let others = self.all(paths).await;
        let of_traces = self.all(traces.iter().map(|trace| format!("/traces/{trace}")).collect()).await;
        let lines = self.list("/logs?range=24h").await;
        let listed = self.list("/traces?range=24h").await;
        let searched = Searched {
            lines: lines.iter().map(|page| page.matches("<details class=\"line ").count()).sum(),
            traces: 0,
            pages: others.len() + of_traces.len() + lines.len() + listed.len(),
        };
        let all = [others, of_traces, lines, listed].concat();
        (all.concat().into_bytes(), searched)
    }

    async fn all(&self, paths: Vec<String>) -> Vec<String> {
        stream::iter(paths).map(async |path| self.page(&path).await).buffer_unordered(4).collect().await
    }

    /// A list with its continuations.
    async fn list(&self, path: &str) -> Vec<String> {
        let mut pages = vec![self.page(path).await];
        while let Some(next) = pages.last().and_then(|page| older(page)) {
            assert!(pages.len() < MOST_PAGES, "{path} has no end");
            pages.push(self.page(&next).await);
        }
        pages
    }

    async fn page(&self, path: &str) -> String {
        eventually(&format!("that the console answers {path}"), async || {
            let request = self.client.get(format!("http://{PAGES}{path}"));
            let port = PAGES.rsplit(':').next().unwrap_or_default();
            let request = request.header("cookie", format!("socialize_console_{port}={TOKEN}"));
            let answer = request.send().await.map_err(|error| format!("{error:?}"))?;
            let status = answer.status();
            let text = answer.text().await.map_err(|error| format!("{error:?}"))?;
            match status.as_u16() {
                200 | 404 => Ok(text),
                _ => Err(format!("{status}: {text}")),
            }
        })
        .await
    }

    /// The files as they are, and what the console itself reads in them, because they are compressed.
    fn files(&self, searched: &mut Searched) -> Vec<u8> {
        let data = self.data.path().join("data");
        let mut all = files(&data, |_| true);
        let spans = SpanStore::open(&data.join("spans")).expect("the console's spans");
        let every = SpanSearch { most: 1_000_000, ..SpanSearch::new(0, u64::MAX) };
        for trace in spans.search(&every) {
            searched.traces += 1;
            all.extend(format!("{:?}\n", spans.trace(trace.trace_id)).into_bytes());
        }
        let metrics = MetricStore::open(
            &data.join("metrics"),
            Limits::default(),
            crate::prometheus::now().cast_signed() * 1000,
        )
        .expect("the console's metrics");
        for metric in catalogue::metrics::all() {
            for series in metrics.series(&metric.prometheus_name()) {
                all.extend(format!("{:?}\n", metrics.labels(series)).into_bytes());
            }
        }
        all
    }
}

/// Returns the address of older entries, to which the link at the end of a list leads.
fn older(page: &str) -> Option<String> {
    let (before, _) = page.split_once("\" rel=\"next\"")?;
    let (_, address) = before.rsplit_once("href=\"")?;
    Some(address.replace("&#38;", "&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_has_a_link() {
        let page =
            "<a href=\"/\">O</a><a href=\"/logs?a=1&#38;before=5-7\" rel=\"next\">Older</a><a href=\"/\">";
        assert_eq!(older(page), Some("/logs?a=1&before=5-7".to_owned()));
        assert_eq!(older("<a href=\"/logs?a=1\">"), None);
    }
}
