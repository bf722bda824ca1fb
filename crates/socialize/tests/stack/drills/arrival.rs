//! Telemetry that leaves the application and does not arrive in its store.

use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, header};
use reqwest::Client;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::causes::LOG_DIRECTORY;
use super::world::World;
use super::{Drill, Drills};
use crate::application::SECOND_API;
use crate::collector_disk;
use crate::strangers::{self, COLLECTOR};

/// Bytes left on the collector's disk: fewer than any batch takes.
const ROOM: u64 = 4096;

/// Spans of a batch, some 100 KiB.
const SPANS: usize = 500;

pub(super) async fn line_refused(drills: &mut Drills) {
    let drill = Drill {
        cause: "a log file has lines of two years ago, which Loki does not take",
        fires: &["CollectorGaveUp{exporter=loki}", "StoreDiscarding{job=loki}"],
        explained: &[],
    };
    drills
        .drill(
            drill,
            async |_| {
                let lines = std::fs::read_to_string(format!("{LOG_DIRECTORY}/api.jsonl")).expect("log lines");
                let line = lines.lines().next().expect("a line");
                let year = line.find("\"20").expect("a line that tells its time") + 1;
                let old = format!("{}2020{}", &line[..year], &line[year + 4..]);
                std::fs::write(format!("{LOG_DIRECTORY}/api-old.jsonl"), format!("{old}\n")).expect("a file");
            },
            async |_, ()| std::fs::remove_file(format!("{LOG_DIRECTORY}/api-old.jsonl")).expect("the file"),
        )
        .await;
}

pub(super) async fn log_file_not_read(drills: &mut Drills) {
    let drill = Drill {
        cause: "a second API writes its lines into a file whose name the collector does not read",
        fires: &["LogsNotArriving"],
        explained: &[],
    };
    let unread = format!("{LOG_DIRECTORY}/second.jsonl");
    drills
        .drill(
            drill,
            async |world| {
                let api = world.start_second_api_with(&[("SOCIALIZE_LOG_FILE", unread.as_str())]).await;
                (api, ask_second_api(world))
            },
            async |_, (mut api, asking)| {
                asking.abort();
                api.stop();
                std::fs::remove_file(&unread).expect("the file");
            },
        )
        .await;
}

pub(super) async fn spans_taken_by_a_stranger(drills: &mut Drills) {
    let drill = Drill {
        cause: "a second API sends its spans to something else, which accepts them",
        fires: &["TracesNotArriving"],
        explained: &[],
    };
    drills
        .drill(
            drill,
            async |world| {
                let (url, stranger) = accept_and_forget().await;
                let settings = [("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", url.as_str())];
                let api = world.start_second_api_with(&settings).await;
                (api, ask_second_api(world), stranger)
            },
            async |_, (mut api, asking, stranger)| {
                asking.abort();
                api.stop();
                stranger.abort();
            },
        )
        .await;
}

pub(super) async fn collector_disk_full(drills: &mut Drills) {
    let drill = Drill {
        cause: "Tempo is killed, and the disk of the collector's queues is full",
        fires: &["CollectorRefusing"],
        explained: &[
            ("StackTargetDown", "Tempo is killed"),
            ("TracesNotArriving", "spans wait in the queue"),
        ],
    };
    drills
        .drill(
            drill,
            async |world| {
                world.tempo.kill();
                collector_disk::limit(Some(ROOM));
                // A queue also has free pages within its file, from batches that it has delivered.
                (send_spans(world.client.clone()),)
            },
            async |world, (sending,)| {
                sending.abort();
                collector_disk::limit(None);
                world.start_tempo().await;
            },
        )
        .await;
}

/// Sends large batches of another service's spans to the collector, which the receiver counts if it refuses them.
/// Lines would not be counted: the receiver of log files tries the same batch until it is accepted.
fn send_spans(client: Client) -> JoinHandle<()> {
    let mut batch = strangers::span(1);
    let spans = batch["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array_mut().expect("spans");
    *spans = vec![spans[0].clone(); SPANS];
    tokio::spawn(async move {
        loop {
            let _ = client.post(format!("{COLLECTOR}/v1/traces")).json(&batch).send().await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    })
}

/// Asks the second API without a session, 20 times a second.
fn ask_second_api(world: &World) -> JoinHandle<()> {
    let client = world.client.clone();
    tokio::spawn(async move {
        loop {
            let _ = client.get(format!("{SECOND_API}/v1/me")).send().await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
}

/// An OTLP receiver that discards everything. Returns where spans go to.
async fn accept_and_forget() -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let accept = async || {
        let protobuf = HeaderValue::from_static("application/x-protobuf");
        HeaderMap::from_iter([(header::CONTENT_TYPE, protobuf)])
    };
    let stranger = Router::new().fallback(accept);
    let serving = tokio::spawn(async move { axum::serve(listener, stranger).await.expect("a listener") });
    (format!("http://{address}/v1/traces"), serving)
}
