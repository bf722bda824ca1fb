//! The console's store, filled through its receiver.

use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use console::receive::{Collection, RefusedSpans, Sink, router};
use console::store::metrics::{Appended, Exemplars, Limits, MetricStore};
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use tower::ServiceExt;

/// Sink for the receiver's data.
struct Stored(Mutex<MetricStore>);

impl Stored {
    fn lock(&self) -> MutexGuard<'_, MetricStore> {
        self.0.lock().expect("no other test has failed with the store")
    }
}

impl Sink for Stored {
    fn append_metrics(&self, collection: Collection) -> Appended {
        let Collection { origin, at, samples } = collection;
        let appended = self.lock().append(&origin, at, samples);
        assert!(appended.refused == Appended::default().refused, "{:?}", appended.refused);
        appended
    }

    fn append_exemplars(&self, _: Vec<Exemplars>) {}

    fn append_spans(&self, _: ResourceSpans) -> RefusedSpans {
        RefusedSpans::default()
    }
}

/// A store behind the receiver.
pub(crate) struct Receiver {
    stored: Arc<Stored>,
    router: axum::Router,
    runtime: tokio::runtime::Runtime,
}

impl Receiver {
    pub(crate) fn new() -> Self {
        let limits = Limits { memory: 1 << 32, series: 1 << 20, ..Limits::default() };
        let stored = Arc::new(Stored(Mutex::new(MetricStore::in_memory(limits))));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        // All data is in the past.
        let router = router(Arc::clone(&stored) as Arc<dyn Sink>, Arc::new(|| i64::MAX / 2));
        Self { stored, router, runtime }
    }

    /// Receives an export request.
    pub(crate) fn receive(&self, body: Vec<u8>) {
        let request = Request::post("/v1/metrics").header(header::CONTENT_TYPE, "application/x-protobuf");
        let request = request.body(Body::from(body)).expect("a request");
        let response = self.runtime.block_on(self.router.clone().oneshot(request)).expect("a response");
        assert_eq!(response.status(), StatusCode::OK);
    }

    /// Calls `read` with the store.
    pub(crate) fn with<T>(&self, read: impl FnOnce(&MetricStore) -> T) -> T {
        read(&self.stored.lock())
    }
}
