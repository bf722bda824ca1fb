//! A relay between collector and store that counts requests, items, and repeated items. It can also respond
//! in place of the store.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::ops::Sub;
use std::sync::{Arc, Mutex};

use aho_corasick::AhoCorasick;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use flate2::read::GzDecoder;
use http::{HeaderMap, StatusCode, Uri, header};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::ResourceLogs;
use opentelemetry_proto::tonic::metrics::v1::ResourceMetrics;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use prost::Message;
use reqwest::Client;
use signal::builtin::Signal;
use tokio::net::TcpListener;

/// Reaction of the relay to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reaction {
    /// Passes the request on and returns the store's response.
    Own,
    /// Returns 429: retry later.
    Later,
    /// Returns 400 to the next request, and passes all others on.
    NeverToOne,
}

/// Traffic to a store.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sent {
    /// Accepted items, including repetitions.
    pub(super) taken: u64,
    /// Accepted items that had been accepted before.
    pub(super) again: u64,
    /// Items in permanently rejected requests.
    pub(super) refused: u64,
    /// Those of them that the API recorded.
    pub(super) refused_of_api: u64,
    /// Requests that were deferred.
    pub(super) put_off: u64,
}

impl Sub for Sent {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            taken: self.taken - earlier.taken,
            again: self.again - earlier.again,
            refused: self.refused - earlier.refused,
            refused_of_api: self.refused_of_api - earlier.refused_of_api,
            put_off: self.put_off - earlier.put_off,
        }
    }
}

pub(super) struct Relay {
    /// Address of the store in the collector's configuration.
    pub(super) store: &'static str,
    /// The relay's URL, which replaces it.
    pub(super) url: String,
    state: Arc<Known>,
}

/// A line, a span or a point.
struct Item {
    /// Hash of its complete content and origin.
    identity: u64,
    is_of_api: bool,
}

/// Name of the service under load.
const API: &str = "socialize-api";

struct Known {
    store: &'static str,
    signal: Signal,
    client: Client,
    reaction: Mutex<Reaction>,
    books: Mutex<(Sent, HashSet<u64>)>,
    /// Texts with the number of requests that contained them.
    watched: Mutex<Vec<(String, u64)>>,
}

impl Relay {
    pub(super) async fn start(client: &Client, signal: Signal) -> Self {
        let store = match signal {
            Signal::Metrics => "http://prometheus:9090",
            Signal::Logs => "http://loki:3100",
            Signal::Traces => "http://tempo:14318",
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let (reaction, books) = (Mutex::new(Reaction::Own), Mutex::default());
        let state = Arc::new(Known {
            store,
            signal,
            client: client.clone(),
            reaction,
            books,
            watched: Mutex::default(),
        });
        let router = Router::new().fallback(pass_on).layer(DefaultBodyLimit::disable());
        let router = router.with_state(state.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { store, url, state }
    }

    pub(super) fn react(&self, reaction: Reaction) {
        *self.state.reaction.lock().expect("nobody panics") = reaction;
    }

    /// Starts to count requests that contain these texts.
    pub(super) fn watch(&self, texts: &[&str]) {
        let texts = texts.iter().map(|text| ((*text).to_owned(), 0));
        *self.state.watched.lock().expect("nobody panics") = texts.collect();
    }

    /// Number of requests that contained a text since then.
    pub(super) fn seen(&self, text: &str) -> u64 {
        let watched = self.state.watched.lock().expect("nobody panics");
        watched.iter().find(|(watched, _)| watched == text).expect("a text that is looked for").1
    }

    pub(super) fn sent(&self) -> Sent {
        self.state.books.lock().expect("nobody panics").0
    }
}

impl Known {
    /// Counts permanently rejected items.
    fn refuse(&self, items: &[Item]) {
        let sent = &mut self.books.lock().expect("nobody panics").0;
        sent.refused += items.len() as u64;
        sent.refused_of_api += items.iter().filter(|item| item.is_of_api).count() as u64;
    }
}

async fn pass_on(State(known): State<Arc<Known>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let body_in_plain = plain(&headers, &body);
    for (text, requests) in known.watched.lock().expect("nobody panics").iter_mut() {
        *requests += u64::from(contains(&body_in_plain, text));
    }
    let items = items(known.signal, &body_in_plain);
    let reaction = {
        let mut reaction = known.reaction.lock().expect("nobody panics");
        let next = if *reaction == Reaction::NeverToOne { Reaction::Own } else { *reaction };
        std::mem::replace(&mut *reaction, next)
    };
    match reaction {
        Reaction::Own => {}
        Reaction::Later => {
            known.books.lock().expect("nobody panics").0.put_off += 1;
            return StatusCode::TOO_MANY_REQUESTS.into_response();
        }
        Reaction::NeverToOne => {
            known.refuse(&items);
            return StatusCode::BAD_REQUEST.into_response();
        }
    }
    // The collector may give up while the store still accepts the request, which must be counted anyway.
    let asked = tokio::spawn(ask_store(known, uri, headers, body, items));
    asked.await.expect("asking does not panic")
}

async fn ask_store(
    known: Arc<Known>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
    items: Vec<Item>,
) -> Response {
    let mut request = known.client.post(format!("{}{}", known.store, uri.path())).body(body);
    for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING] {
        if let Some(value) = headers.get(&name) {
            request = request.header(name, value);
        }
    }
    // The usual response of a proxy without its upstream.
    let Ok(from_store) = request.send().await else { return StatusCode::BAD_GATEWAY.into_response() };
    let status = from_store.status();
    let content_type = from_store.headers().get(header::CONTENT_TYPE).cloned();
    let Ok(body) = from_store.bytes().await else { return StatusCode::BAD_GATEWAY.into_response() };
    if status.is_success() {
        let (sent, taken) = &mut *known.books.lock().expect("nobody panics");
        sent.taken += items.len() as u64;
        sent.again += items.iter().filter(|item| !taken.insert(item.identity)).count() as u64;
    } else if !may_be_repeated(status) {
        known.refuse(&items);
    }
    let mut response = (status, body).into_response();
    if let Some(content_type) = content_type {
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    }
    response
}

/// Retryable statuses according to the OTLP specification.
fn may_be_repeated(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502 | 503 | 504)
}

fn plain(headers: &HeaderMap, body: &Bytes) -> Vec<u8> {
    if headers.get(header::CONTENT_ENCODING).is_none_or(|encoding| encoding != "gzip") {
        return body.to_vec();
    }
    let mut plain = Vec::new();
    GzDecoder::new(&body[..]).read_to_end(&mut plain).expect("what the collector compressed");
    plain
}

fn contains(body: &[u8], text: &str) -> bool {
    AhoCorasick::new([text]).expect("a text to look for").is_match(body)
}

/// Items of a request.
fn items(signal: Signal, body: &[u8]) -> Vec<Item> {
    let mut items = Vec::new();
    let mut add = |whose: &Option<Resource>, parts: &[&[u8]]| {
        let mut hasher = DefaultHasher::new();
        whose.as_ref().map(Message::encode_to_vec).hash(&mut hasher);
        parts.hash(&mut hasher);
        items.push(Item { identity: hasher.finish(), is_of_api: is_api(whose) });
    };
    match signal {
        Signal::Logs => {
            let request = ExportLogsServiceRequest::decode(body).expect("log lines");
            for ResourceLogs { resource, scope_logs, .. } in request.resource_logs {
                for line in scope_logs.into_iter().flat_map(|scope| scope.log_records) {
                    add(&resource, &[&line.encode_to_vec()]);
                }
            }
        }
        Signal::Traces => {
            let request = ExportTraceServiceRequest::decode(body).expect("spans");
            for ResourceSpans { resource, scope_spans, .. } in request.resource_spans {
                for span in scope_spans.into_iter().flat_map(|scope| scope.spans) {
                    add(&resource, &[&span.trace_id, &span.span_id]);
                }
            }
        }
        Signal::Metrics => {
            let request = ExportMetricsServiceRequest::decode(body).expect("points");
            for ResourceMetrics { resource, scope_metrics, .. } in request.resource_metrics {
                for metric in scope_metrics.into_iter().flat_map(|scope| scope.metrics) {
                    for point in points(metric.data) {
                        add(&resource, &[metric.name.as_bytes(), &point]);
                    }
                }
            }
        }
    }
    items
}

fn is_api(resource: &Option<Resource>) -> bool {
    let attributes = resource.iter().flat_map(|resource| &resource.attributes);
    let names = attributes.filter(|attribute| attribute.key == "service.name");
    names
        .filter_map(|name| name.value.as_ref()?.value.as_ref())
        .any(|name| matches!(name, Value::StringValue(name) if name == API))
}

fn points(data: Option<Data>) -> Vec<Vec<u8>> {
    match data {
        Some(Data::Gauge(gauge)) => gauge.data_points.iter().map(Message::encode_to_vec).collect(),
        Some(Data::Sum(sum)) => sum.data_points.iter().map(Message::encode_to_vec).collect(),
        Some(Data::ExponentialHistogram(histogram)) => {
            histogram.data_points.iter().map(Message::encode_to_vec).collect()
        }
        other => panic!("the application has no such metric: {other:?}"),
    }
}
