//! Export requests and their responses.

mod http;
mod translation;

use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;

use super::sink::{Collection, RefusedSpans, Sink};
use crate::store::metrics::{Appended, Exemplars, Limits, MetricStore};

/// Time of the tests: a Unix time in milliseconds.
const NOW: i64 = 1_795_000_000_000;

/// A sink that records what it receives.
#[derive(Clone)]
struct Memory(Arc<Mutex<Received>>);

struct Received {
    store: MetricStore,
    collections: Vec<Collection>,
    spans: Vec<ResourceSpans>,
}

impl Memory {
    fn new(limits: Limits) -> Self {
        let store = MetricStore::in_memory(limits);
        Self(Arc::new(Mutex::new(Received { store, collections: Vec::new(), spans: Vec::new() })))
    }
}

impl Sink for Memory {
    fn append_metrics(&self, collection: Collection) -> Appended {
        let mut received = self.0.lock().unwrap();
        received.collections.push(collection.clone());
        received.store.append(&collection.origin, collection.at, collection.samples)
    }

    fn append_exemplars(&self, exemplars: Vec<Exemplars>) {
        self.0.lock().unwrap().store.append_exemplars(exemplars);
    }

    fn append_spans(&self, spans: ResourceSpans) -> RefusedSpans {
        self.0.lock().unwrap().spans.push(spans);
        RefusedSpans { spans: 2, reason: "Too many.".to_owned() }
    }
}

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

fn resource() -> Resource {
    let attributes = [
        ("service.namespace", "shop"),
        ("service.name", "socialize"),
        ("service.instance.id", "one"),
        ("service.version", "1.2.3"),
        ("deployment.environment.name", "test"),
    ];
    let attributes = attributes.into_iter().map(|(key, value)| attribute(key, value)).collect();
    Resource { attributes, ..Resource::default() }
}

fn export(metrics: Vec<Metric>) -> ResourceMetrics {
    let scope_metrics = vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }];
    ResourceMetrics { resource: Some(resource()), scope_metrics, ..ResourceMetrics::default() }
}

fn metric(name: &str, unit: &str, data: Data) -> Metric {
    Metric { name: name.to_owned(), unit: unit.to_owned(), data: Some(data), ..Metric::default() }
}

fn number(at: i64, value: f64) -> NumberDataPoint {
    let value = Some(number_data_point::Value::AsDouble(value));
    NumberDataPoint { time_unix_nano: at as u64 * 1_000_000, value, ..NumberDataPoint::default() }
}

fn gauge(name: &str, unit: &str, at: i64, value: f64) -> Metric {
    metric(name, unit, Data::Gauge(Gauge { data_points: vec![number(at, value)] }))
}

fn request(metrics: Vec<Metric>) -> ExportMetricsServiceRequest {
    ExportMetricsServiceRequest { resource_metrics: vec![export(metrics)] }
}
