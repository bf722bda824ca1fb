//! Telemetry that leaves the application and does not arrive in its store.

use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, header};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::causes::LOG_DIRECTORY;
use super::world::World;
use super::{Drill, Drills};
use crate::application::SECOND_API;
use crate::collector_disk;

/// Bytes left on the collector's disk: fewer than any batch takes.
const ROOM: u64 = 4096;

/// Bytes of lines that exceed the size of the queues' files.
const MORE_THAN_PAGES: u64 = 1 << 20;

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
        cause: "Loki is stopped, and the disk of the collector's queues is full",
        fires: &["CollectorRefusing"],
        explained: &[
            ("StackTargetDown", "Loki is stopped"),
            ("LogsNotArriving", "lines wait in their files"),
        ],
    };
    let more_lines = format!("{LOG_DIRECTORY}/api-more.jsonl");
    drills
        .drill(
            drill,
            async |world| {
                world.loki.stop();
                collector_disk::limit(Some(ROOM));
                // A queue also has free pages within its file, from batches that it has delivered.
                write_lines(&more_lines, collector_disk::size_of_queues() + MORE_THAN_PAGES);
            },
            async |world, ()| {
                collector_disk::limit(None);
                world.start_loki().await;
                std::fs::remove_file(&more_lines).expect("the file");
            },
        )
        .await;
}

/// Writes a recent line of the API into a file again and again, until the file has this many bytes.
fn write_lines(path: &str, bytes: u64) {
    let lines = std::fs::read_to_string(format!("{LOG_DIRECTORY}/api.jsonl")).expect("log lines");
    let last = lines.trim_end().lines().last().expect("a line");
    let times = bytes / (last.len() as u64 + 1) + 1;
    let repeated = format!("{last}\n").repeat(usize::try_from(times).expect("a number of lines"));
    std::fs::write(path, repeated).expect("a file");
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
