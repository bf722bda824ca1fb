//! Two hours of plausible data for every metric of the catalogue, with lines and traces.

use std::sync::Arc;

use catalogue::metrics;
use console::state::Stores;
use console::store::lines::LineParser;
use console::store::metrics::{Histogram, Labels, Origin, Sample, Value};
use console::store::spans::{Span, SpanId, SpanKind, TraceId};
use signal::exponential::BUCKETS_PER_OCTAVE;
use signal::metric::{MetricDescription, MetricKind, prometheus_label};

const STEP: i64 = 15_000;
/// Maximum number of series of a metric. Products of many labels would be slow to make.
const SERIES: usize = 60;

const ROUTES: [(&str, &str, f64); 6] = [
    ("GET", "/v1/workspaces/{workspace_id}/content-items", 0.03),
    ("POST", "/v1/workspaces/{workspace_id}/content-items", 0.08),
    ("POST", "/v1/content-items/{item_id}/decisions", 0.05),
    ("GET", "/v1/content-items/{item_id}", 0.015),
    ("POST", "/v1/sessions", 0.35),
    ("GET", "/v1/me", 0.006),
];

/// A pseudo-random sequence with a fixed seed.
pub(crate) struct Noise(u64);

impl Noise {
    /// Begins a sequence.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Returns the next number from 0 to 1.
    pub(crate) fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

struct Source {
    name: Arc<str>,
    labels: Labels,
    kind: MetricKind,
    rate: f64,
    typical: f64,
    total: f64,
    histogram: Histogram,
}

/// Fills stores with `hours` of data until `now`.
pub(crate) fn stores(now: i64, hours: i64) -> Stores {
    let mut stores = Stores::in_memory();
    for (instance, role) in [("api-1", "serve"), ("worker-1", "work")] {
        let mut noise = Noise::new(instance.len() as u64 * 77);
        let mut sources = sources(instance, role, &mut noise);
        let origin = Origin::process("socialize/socialize", instance);
        let start = now - hours * 3_600_000;
        for at in (start..=now).step_by(15_000) {
            let day = ((at % 86_400_000) as f64 / 86_400_000.0 * std::f64::consts::TAU).sin() * 0.3 + 1.0;
            let trouble = (now - at) / 60_000 > 35 && (now - at) / 60_000 < 50;
            let samples: Vec<Sample> =
                sources.iter_mut().map(|source| source.sample(at, start, day, trouble, &mut noise)).collect();
            stores.metrics.append(&origin, at, samples);
        }
    }
    lines_and_spans(&mut stores, now);
    stores
}

fn sources(instance: &str, role: &str, noise: &mut Noise) -> Vec<Source> {
    let mut sources = Vec::new();
    let common = [
        ("job", format!("socialize/socialize-{role}")),
        ("instance", instance.to_owned()),
        ("deployment_environment_name", "production".to_owned()),
    ];
    let mut add =
        |description: &MetricDescription, labels: Vec<(String, String)>, rate: f64, typical: f64| {
            let pairs = labels
                .into_iter()
                .chain(common.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
            sources.push(Source {
                name: description.prometheus_name().into(),
                labels: Labels::new(pairs.map(|(key, value)| (key.into(), value.into()))),
                kind: description.kind,
                rate,
                typical,
                total: 0.0,
                histogram: Histogram::default(),
            });
        };
    for description in metrics::all() {
        match description.all_series {
            Some(all) => {
                for (index, labels) in all().into_iter().take(SERIES).enumerate() {
                    let labels = labels.into_iter().map(|(key, value)| (prometheus_label(key), value));
                    let failed = labels.clone().any(|(_, value)| is_bad(&value)) || is_bad(description.name);
                    let rate = if failed { 0.0003 } else { noise.next() * 0.4 / (index + 1) as f64 };
                    add(&description, labels.collect(), rate, 0.004 + noise.next() * 0.05);
                }
            }
            None if role == "serve" => {
                for (method, route, typical) in ROUTES {
                    for (status, error, rate) in
                        [("200", "", 3.0), ("403", "", 0.05), ("500", "internal", 0.002)]
                    {
                        let pairs = [
                            ("http_request_method", method),
                            ("url_scheme", "http"),
                            ("http_route", route),
                            ("http_response_status_code", status),
                            ("error_type", error),
                        ];
                        let labels = pairs.map(|(key, value)| (key.to_owned(), value.to_owned()));
                        add(&description, labels.to_vec(), rate * (0.3 + noise.next()), typical);
                    }
                }
            }
            None => {
                let version = [("version", "1.4.0"), ("commit", "3ba376e")];
                let labels = version.map(|(key, value)| (key.to_owned(), value.to_owned()));
                add(&description, labels.to_vec(), 0.1, 0.01);
            }
        }
    }
    sources
}

fn is_bad(text: &str) -> bool {
    let bad = [
        "fail", "dead", "drop", "panic", "lost", "refus", "error", "missing", "expire", "reject", "invalid",
        "wrong",
    ];
    bad.iter().any(|word| text.contains(word))
}

impl Source {
    fn sample(&mut self, at: i64, start: i64, day: f64, trouble: bool, noise: &mut Noise) -> Sample {
        let error = self.labels.get("error_type");
        let rate = self.rate * day * if trouble && error == "internal" { 60.0 } else { 1.0 };
        let events = (rate * STEP as f64 / 1000.0 + noise.next()).floor();
        let value = match self.kind {
            MetricKind::Counter => {
                self.total += events;
                Value::Number(self.total)
            }
            MetricKind::Gauge | MetricKind::UpDownCounter => Value::Number(self.gauge(at, start, noise)),
            MetricKind::Histogram => {
                for _ in 0..events as u32 {
                    let slow = if trouble { 6.0 } else { 1.0 };
                    let value = self.typical * slow * (0.3 - noise.next().ln() * 0.7);
                    let index = (value.log2() * f64::from(BUCKETS_PER_OCTAVE)).ceil() as i32 - 1;
                    match self.histogram.buckets.binary_search_by_key(&index, |(index, _)| *index) {
                        Ok(position) => self.histogram.buckets[position].1 += 1.0,
                        Err(position) => self.histogram.buckets.insert(position, (index, 1.0)),
                    }
                    self.histogram.count += 1.0;
                    self.histogram.sum += value;
                }
                Value::Histogram(Arc::new(self.histogram.clone()))
            }
        };
        Sample { name: Arc::clone(&self.name), labels: self.labels.clone(), value }
    }

    fn gauge(&mut self, at: i64, start: i64, noise: &mut Noise) -> f64 {
        let seconds = at as f64 / 1000.0;
        match &*self.name {
            name if name.contains("heartbeat") || name.contains("last_success") => {
                seconds - noise.next() * 9.0
            }
            name if name.contains("uptime") => (at - start) as f64 / 1000.0,
            name if name.contains("build_info") || name.ends_with("_up_ratio") || name.ends_with("_up") => {
                1.0
            }
            name if name.contains("bytes") => 8e7 * (1.0 + self.rate) + noise.next() * 4e6,
            name if name.contains("dead") || name.contains("oldest") => 0.0,
            _ => (self.rate * 40.0 + noise.next() * 2.0).floor(),
        }
    }
}

fn lines_and_spans(stores: &mut Stores, now: i64) {
    let mut noise = Noise::new(5);
    let mut parser = LineParser::default();
    let mut lines = Vec::new();
    let mut spans = Vec::new();
    for index in 0..1500_i64 {
        let at = now - index * 4000 - (noise.next() * 3000.0) as i64;
        let (method, route, typical) = ROUTES[(noise.next() * 6.0) as usize % 6];
        let failed = noise.next() < 0.03;
        let trace = format!("{:032x}", 0xabcd_0000_0000_u128 + index as u128);
        let took = typical * (0.4 + noise.next());
        let time = console::calendar::for_machines(at).replace('Z', ".250000Z");
        let (level, status) = if failed { ("ERROR", 500) } else { ("INFO", 200) };
        let cause =
            if failed { r#","error.type":"internal","error.cause":"sqlx::Error::PoolTimedOut""# } else { "" };
        let text = format!(
            concat!(
                r#"{{"timestamp":"{time}","level":"{level}","event":"http.server.request","#,
                r#""http.request.method":"{method}","http.route":"{route}","#,
                r#""http.response.status_code":{status},"duration_ms":{took:.1},"trace_id":"{trace}"{cause}}}"#
            ),
            time = time,
            level = level,
            method = method,
            route = route,
            status = status,
            took = took * 1000.0,
            trace = trace,
            cause = cause,
        );
        lines.extend(parser.parse(text.as_bytes()));
        let start_ns = at as u64 * 1_000_000;
        let mut id = [0; 16];
        id[..8].copy_from_slice(&0xabcd_u64.to_be_bytes());
        id[8..].copy_from_slice(&(index as u64 + 1).to_be_bytes());
        let (Some(trace_id), Some(span_id)) =
            (TraceId::from_bytes(&id), SpanId::from_bytes(&(index as u64 + 1).to_be_bytes()))
        else {
            continue;
        };
        spans.push(Span {
            trace_id,
            span_id,
            parent: None,
            name: format!("{method} {route}").into(),
            kind: SpanKind::Server,
            start_ns,
            end_ns: start_ns + (took * 1e9) as u64,
            failed,
            attributes: vec![("http.route".into(), route.into())],
            links: Vec::new(),
            events: Vec::new(),
            service: "socialize".into(),
            instance: "api-1".into(),
        });
    }
    lines.reverse();
    stores.lines.append(lines);
    stores.spans.append_spans(spans);
}
