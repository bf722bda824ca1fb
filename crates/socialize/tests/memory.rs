//! Memory used by uploads and downloads, as counted by the allocator and therefore independent of time and
//! load. A single test, because the allocator counts for the whole process.

use std::alloc::System;

use axum::body::Body;
use bytes::Bytes;
use domain::vocabulary::WorkspaceRole;
use futures_util::stream;
use http::{Method, Request};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use test_support::TestApp;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const FILE: usize = 25 << 20;
const PIECE: usize = 64 << 10;
/// One part of the file, twice because it is copied while growing, and everything else.
const MOST: usize = 6 << 20;

fn in_use() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated.saturating_sub(stats.bytes_deallocated)
}

/// Maximum of the sampled memory use.
struct Peak {
    before: usize,
    most: usize,
}

impl Peak {
    fn new() -> Self {
        Self { before: in_use(), most: 0 }
    }

    fn look(&mut self) {
        self.most = self.most.max(in_use().saturating_sub(self.before));
    }
}

#[tokio::test]
async fn a_file_is_never_whole_in_memory() {
    let test = TestApp::start().await;
    let (organization, _) = test.organization().await;
    let workspace = test.workspace(organization, 1).await;
    let author = test.workspace_member(organization, workspace, WorkspaceRole::Author).await;
    let items = format!("/v1/workspaces/{workspace}/content-items");
    let draft = json!({"channel": "x", "title": "A", "body": ""});
    let item = test.post(author, &items, draft).await.expect(201).text("id");
    let attachments = format!("{items}/{item}/attachments");
    let request = |method, path: &str, body| {
        let mut request: Request<Body> =
            test.request(Some(author), method, path, &Value::Null, &[("if-match", "*")]);
        *request.body_mut() = body;
        request
    };

    // Static pieces take no memory, so all memory in use belongs to the tested code.
    static PICTURE: &[u8] = &[0; PIECE];
    static BEGINNING: &[u8] = b"\0\0\0\x18ftypisom\0\0\x02\0isommp42\0\0\0\0mdat";
    let (looks, mut looked) = tokio::sync::mpsc::unbounded_channel();
    let mut peak = Peak::new();
    let pieces = stream::unfold(0, move |sent: usize| {
        let _ = looks.send(in_use());
        let piece = if sent == 0 { BEGINNING } else { &PICTURE[..PIECE.min(FILE - sent)] };
        let next =
            (sent < FILE).then(|| (Ok::<_, std::io::Error>(Bytes::from_static(piece)), sent + piece.len()));
        async move { next }
    });
    let created = test.send(request(Method::POST, &attachments, Body::from_stream(pieces))).await.expect(201);
    let mut looked_at = 0;
    while let Ok(in_use) = looked.try_recv() {
        peak.most = peak.most.max(in_use.saturating_sub(peak.before));
        looked_at += 1;
    }
    assert_eq!(created.body["size"], FILE);
    assert!(looked_at > FILE / PIECE, "{looked_at}");
    assert!(peak.most < MOST, "an upload took {} bytes", peak.most);

    let path = format!("{attachments}/{}", created.text("id"));
    let mut peak = Peak::new();
    let mut body = test.send_unread(request(Method::GET, &path, Body::empty())).await.into_body();
    let mut received = 0;
    while let Some(frame) = body.frame().await {
        received += frame.expect("a piece").into_data().map_or(0, |piece| piece.len());
        peak.look();
    }
    assert_eq!(received, FILE);
    assert!(peak.most < MOST, "a download took {} bytes", peak.most);
}
