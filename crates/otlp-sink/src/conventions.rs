//! The part of OpenTelemetry's semantic conventions 1.44 that concerns Socialize, compared with the sent
//! telemetry.
//!
//! The names, types, levels, units and kinds are those of the conventions' own model. Attributes of level
//! *opt-in* are left out. `docs/proof/conventions.md` shows this table, and tests compare it with sent
//! telemetry.
//!
//! Long because it is a table.

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{Metric, NumberDataPoint, metric};
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind};

/// The version of the conventions that the table describes.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

/// The level of an attribute in the conventions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Always.
    Required,
    /// Under a condition that the conventions name.
    Conditional,
    /// By default.
    Recommended,
}

/// The type of an attribute in the conventions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// A UTF-8 string.
    Text,
    /// A whole number.
    Integer,
    /// Several strings.
    Texts,
}

/// The use of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Every record has it.
    Always,
    /// Records have it where the condition holds.
    Where(&'static str),
    /// No record has it, for this reason.
    Never(&'static str),
}

/// An attribute in the conventions, and its use.
pub type Row = (&'static str, Type, Level, Use);

/// Kinds of items with attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Spans of a kind that have an attribute.
    Spans(SpanKind, &'static str),
    /// A metric: its kind of instrument and its unit.
    Metric(Instrument, &'static str),
    /// Attributes of the process that sends.
    Resource,
}

/// Kinds of instruments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instrument {
    /// A sum that only increases.
    Counter,
    /// A sum that increases and decreases.
    UpDownCounter,
    /// A current value.
    Gauge,
    /// A distribution over buckets.
    Histogram,
}

/// A group of attributes in the conventions.
pub struct Group {
    /// Name of the metric, or a name for the spans or entity.
    pub name: &'static str,
    /// Items with these attributes.
    pub kind: Kind,
    /// Its attributes.
    pub rows: &'static [Row],
    /// Attributes outside the conventions, with the reason. Only for metrics, whose attributes are series.
    pub others: &'static [(&'static str, &'static str)],
}

use Instrument::{Counter, Gauge, Histogram, UpDownCounter};
use Level::{Conditional, Recommended, Required};
use Type::{Integer, Text, Texts};
use Use::{Always, Never, Where};

const PERSONAL: &str = "personal data of the client";
const CLIENT_WRITES_IT: &str =
    "written by the client in a header; the deployment is in `deployment.environment.name`";
const VERSION_OF_SERIES: &str = "spans have it; as a label it would multiply all series of requests";
const CUSTOMERS_ADDRESS: &str =
    "the address of a customer's endpoint is the customer's; `service.peer.name` is the kind of endpoint";
const ONE_DATABASE: &str = "a deployment has one database, which its operator names in `DATABASE_URL`";
const ONE_VERSION_OF_CALLS: &str = "no question needs it; as a label it would multiply series";
const NOT_SQL: &str =
    "statements are named by what they do (`db.query.summary`); many do several things at once";
const IF_FAILED: &str = "the operation failed";
const POOL: Row = ("db.client.connection.pool.name", Text, Required, Always);
const METHOD_OVERRIDE: &str =
    "text of the client's choice; methods that nobody knows are `_OTHER` and always refused";

/// The groups in the order of the document.
pub const GROUPS: &[Group] = &[
    Group {
        name: "HTTP server spans",
        kind: Kind::Spans(SpanKind::Server, "http.request.method"),
        rows: &[
            ("http.request.method", Text, Required, Always),
            ("url.scheme", Text, Required, Always),
            (
                "url.path",
                Text,
                Required,
                Never("paths contain ids and whatever a client invents; `http.route` is the template"),
            ),
            ("url.query", Text, Conditional, Never("queries contain what a client writes")),
            ("http.route", Text, Conditional, Where("a route matches path and method")),
            ("http.request.method_original", Text, Conditional, Never(METHOD_OVERRIDE)),
            ("http.response.status_code", Integer, Conditional, Where("a response was sent")),
            ("error.type", Text, Conditional, Where("the status is 5xx, or the client went away")),
            ("server.port", Integer, Conditional, Never("`server.address` is not set")),
            ("network.protocol.name", Text, Conditional, Never("it is `http`")),
            ("network.protocol.version", Text, Recommended, Where("a request was read")),
            ("server.address", Text, Recommended, Never(CLIENT_WRITES_IT)),
            ("client.address", Text, Recommended, Never(PERSONAL)),
            ("network.peer.address", Text, Recommended, Never(PERSONAL)),
            ("network.peer.port", Integer, Recommended, Never(PERSONAL)),
            ("user_agent.original", Text, Recommended, Never(PERSONAL)),
        ],
        others: &[],
    },
    Group {
        name: "http.server.request.duration",
        kind: Kind::Metric(Histogram, "s"),
        rows: &[
            ("http.request.method", Text, Required, Always),
            ("url.scheme", Text, Required, Always),
            ("http.route", Text, Conditional, Where("a route matches path and method")),
            ("http.response.status_code", Integer, Conditional, Where("a documented response was sent")),
            ("error.type", Text, Conditional, Where("the status is 5xx, or the client went away")),
            ("network.protocol.name", Text, Conditional, Never("it is `http`")),
            ("network.protocol.version", Text, Recommended, Never(VERSION_OF_SERIES)),
        ],
        others: &[],
    },
    Group {
        name: "http.server.active_requests",
        kind: Kind::Metric(UpDownCounter, "{request}"),
        rows: &[("http.request.method", Text, Required, Always), ("url.scheme", Text, Required, Always)],
        others: &[],
    },
    Group {
        name: "HTTP client spans",
        kind: Kind::Spans(SpanKind::Client, "http.request.method"),
        rows: &[
            ("http.request.method", Text, Required, Always),
            ("server.address", Text, Required, Never(CUSTOMERS_ADDRESS)),
            ("server.port", Integer, Required, Never(CUSTOMERS_ADDRESS)),
            ("url.full", Text, Required, Never(CUSTOMERS_ADDRESS)),
            ("http.response.status_code", Integer, Conditional, Where("a response was received")),
            ("error.type", Text, Conditional, Where("there was no response, or its status is not 2xx")),
            ("http.request.method_original", Text, Conditional, Never("the methods of calls are known ones")),
            ("network.protocol.name", Text, Conditional, Never("it is `http`")),
            ("network.protocol.version", Text, Recommended, Never("no question needs it")),
            (
                "http.request.resend_count",
                Integer,
                Recommended,
                Never("nothing is sent again within a call; a new attempt is a new job run"),
            ),
            ("network.peer.address", Text, Recommended, Never(CUSTOMERS_ADDRESS)),
            ("network.peer.port", Integer, Recommended, Never(CUSTOMERS_ADDRESS)),
        ],
        others: &[],
    },
    Group {
        name: "http.client.request.duration",
        kind: Kind::Metric(Histogram, "s"),
        rows: &[
            ("http.request.method", Text, Required, Always),
            ("server.address", Text, Required, Never(CUSTOMERS_ADDRESS)),
            ("server.port", Integer, Required, Never(CUSTOMERS_ADDRESS)),
            (
                "http.response.status_code",
                Integer,
                Conditional,
                Where("a response was received with a registered status"),
            ),
            ("error.type", Text, Conditional, Where("there was no response, or its status is not 2xx")),
            ("network.protocol.name", Text, Conditional, Never("it is `http`")),
            ("network.protocol.version", Text, Recommended, Never(ONE_VERSION_OF_CALLS)),
        ],
        others: &[("service.peer.name", "the kind of endpoint, in place of its address")],
    },
    Group {
        name: "Database client spans",
        kind: Kind::Spans(SpanKind::Client, "db.system.name"),
        rows: &[
            ("db.system.name", Text, Required, Always),
            ("db.namespace", Text, Conditional, Never(ONE_DATABASE)),
            ("db.operation.name", Text, Conditional, Never(NOT_SQL)),
            ("db.collection.name", Text, Conditional, Never(NOT_SQL)),
            ("db.response.status_code", Text, Conditional, Where("the database responded with an error")),
            ("error.type", Text, Conditional, Where(IF_FAILED)),
            ("server.port", Integer, Conditional, Never(ONE_DATABASE)),
            ("db.query.summary", Text, Recommended, Always),
            ("db.query.text", Text, Recommended, Never("the summary leads to the statement in the source")),
            ("db.operation.batch.size", Integer, Recommended, Never("nothing is sent in batches")),
            ("db.stored_procedure.name", Text, Recommended, Never("there are none")),
            ("server.address", Text, Recommended, Never(ONE_DATABASE)),
            ("network.peer.address", Text, Recommended, Never(ONE_DATABASE)),
            ("network.peer.port", Integer, Recommended, Never(ONE_DATABASE)),
        ],
        others: &[],
    },
    Group {
        name: "db.client.operation.duration",
        kind: Kind::Metric(Histogram, "s"),
        rows: &[
            ("db.system.name", Text, Required, Always),
            ("db.namespace", Text, Conditional, Never(ONE_DATABASE)),
            ("db.operation.name", Text, Conditional, Never(NOT_SQL)),
            ("db.collection.name", Text, Conditional, Never(NOT_SQL)),
            ("db.response.status_code", Text, Conditional, Where("the database responded with an error")),
            ("error.type", Text, Conditional, Where(IF_FAILED)),
            ("server.port", Integer, Conditional, Never(ONE_DATABASE)),
            ("db.query.summary", Text, Recommended, Always),
            ("db.stored_procedure.name", Text, Recommended, Never("there are none")),
            ("server.address", Text, Recommended, Never(ONE_DATABASE)),
            ("network.peer.address", Text, Recommended, Never(ONE_DATABASE)),
            ("network.peer.port", Integer, Recommended, Never(ONE_DATABASE)),
        ],
        others: &[],
    },
    Group {
        name: "db.client.connection.count",
        kind: Kind::Metric(UpDownCounter, "{connection}"),
        rows: &[POOL, ("db.client.connection.state", Text, Required, Always)],
        others: &[],
    },
    Group {
        name: "db.client.connection.max",
        kind: Kind::Metric(UpDownCounter, "{connection}"),
        rows: &[POOL],
        others: &[],
    },
    Group {
        name: "db.client.connection.pending_requests",
        kind: Kind::Metric(UpDownCounter, "{request}"),
        rows: &[POOL],
        others: &[],
    },
    Group {
        name: "db.client.connection.timeouts",
        kind: Kind::Metric(Counter, "{timeout}"),
        rows: &[POOL],
        others: &[],
    },
    Group {
        name: "db.client.connection.wait_time",
        kind: Kind::Metric(Histogram, "s"),
        rows: &[POOL],
        others: &[],
    },
    Group {
        name: "process.cpu.time",
        kind: Kind::Metric(Counter, "s"),
        rows: &[("cpu.mode", Text, Required, Always)],
        others: &[],
    },
    Group { name: "process.memory.usage", kind: Kind::Metric(UpDownCounter, "By"), rows: &[], others: &[] },
    Group { name: "process.memory.virtual", kind: Kind::Metric(UpDownCounter, "By"), rows: &[], others: &[] },
    Group {
        name: "process.thread.count",
        kind: Kind::Metric(UpDownCounter, "{thread}"),
        rows: &[],
        others: &[],
    },
    Group {
        name: "process.unix.file_descriptor.count",
        kind: Kind::Metric(UpDownCounter, "{file_descriptor}"),
        rows: &[],
        others: &[],
    },
    Group { name: "process.uptime", kind: Kind::Metric(Gauge, "s"), rows: &[], others: &[] },
    Group {
        name: "Resource",
        kind: Kind::Resource,
        rows: &[
            ("service.name", Text, Required, Always),
            ("service.namespace", Text, Required, Always),
            ("service.instance.id", Text, Required, Always),
            ("telemetry.sdk.name", Text, Required, Always),
            ("telemetry.sdk.language", Text, Required, Always),
            ("telemetry.sdk.version", Text, Required, Always),
            ("process.pid", Integer, Required, Always),
            ("process.creation.time", Text, Required, Always),
            ("service.version", Text, Recommended, Always),
            ("deployment.environment.name", Text, Recommended, Always),
            ("host.name", Text, Recommended, Where("the operating system tells it")),
            (
                "service.criticality",
                Text,
                Recommended,
                Never("for operators, who set it by `OTEL_RESOURCE_ATTRIBUTES`"),
            ),
            ("telemetry.distro.name", Text, Recommended, Never("this is no distribution of an SDK")),
            ("telemetry.distro.version", Text, Recommended, Never("this is no distribution of an SDK")),
            ("process.command", Text, Recommended, Never("`service.name` says the same")),
            (
                "process.owner",
                Text,
                Recommended,
                Never("image and unit files choose it; no question needs it"),
            ),
            (
                "host.id",
                Text,
                Recommended,
                Never("the number of a machine outlives its installation; `host.name` serves"),
            ),
            (
                "host.type",
                Text,
                Recommended,
                Never("known to clouds only; operators set it by `OTEL_RESOURCE_ATTRIBUTES`"),
            ),
            ("host.arch", Text, Recommended, Never("no question needs it")),
            ("host.image.name", Text, Recommended, Never("as `host.type`")),
            ("host.image.id", Text, Recommended, Never("as `host.type`")),
            ("host.image.version", Text, Recommended, Never("as `host.type`")),
            ("container.id", Text, Recommended, Never("in a container `host.name` begins with it")),
            ("container.name", Text, Recommended, Never("a container does not know its own name")),
            ("container.label", Text, Recommended, Never("a container does not know its own labels")),
            ("container.image.name", Text, Recommended, Never("`service.version` names the build")),
            ("container.image.tags", Texts, Recommended, Never("`service.version` names the build")),
        ],
        others: &[],
    },
];

/// Parts of the conventions that are not followed, with the reason.
pub const NOT_FOLLOWED: &[(&str, &str)] = &[
    (
        "`messaging.*` for jobs",
        "in development, and a job is no message: it is a row in the own database that waits for its time, is tried \
         again and has an outcome. Runs are `CONSUMER` spans that link to the span that enqueued them; their metrics \
         are `socialize.job.*`",
    ),
    (
        "names of HTTP client spans",
        "`POST publishing_endpoint` instead of `POST`: the kind of peer is a closed set",
    ),
    (
        "`OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS`",
        "no route has another method than the ten that the conventions know, so others are only ever refused",
    ),
    (
        "span events for exceptions",
        "a record has no text; `error.type`, `error.cause` and `code.location` say what happened and where",
    ),
    (
        "`process.unix.file_descriptor.limit`",
        "not of the conventions: the number without which the count says little",
    ),
    (
        "bucket boundaries",
        "advised for explicit buckets: up to 10 s for requests and database operations. Exponential buckets of scale 3 \
         have no limit that a duration here reaches",
    ),
    (
        "series from the start",
        "series of HEAD requests and of a second scheme begin with their first request, those of failed database \
         operations with the first failure",
    ),
];

/// Everything that one process sent.
#[derive(Default)]
pub struct Sent {
    resources: Vec<Vec<KeyValue>>,
    spans: Vec<Span>,
    metrics: Vec<Metric>,
    schemas: BTreeSet<String>,
}

impl Sent {
    /// Adds a request with spans.
    pub fn add_traces(&mut self, request: ExportTraceServiceRequest) {
        for resource_spans in request.resource_spans {
            self.schemas.insert(resource_spans.schema_url);
            self.resources.extend(resource_spans.resource.map(|resource| resource.attributes));
            for scope in resource_spans.scope_spans {
                self.schemas.insert(scope.schema_url);
                self.spans.extend(scope.spans);
            }
        }
    }

    /// Adds the scopes and points of an export request.
    pub fn add_metrics(&mut self, request: ExportMetricsServiceRequest) {
        for resource_metrics in request.resource_metrics {
            self.schemas.insert(resource_metrics.schema_url);
            self.resources.extend(resource_metrics.resource.map(|resource| resource.attributes));
            for scope in resource_metrics.scope_metrics {
                self.schemas.insert(scope.schema_url);
                self.metrics.extend(scope.metrics);
            }
        }
    }

    /// Returns the number of series: points that differ in metric or attributes.
    pub fn series(&self) -> usize {
        let mut series = BTreeSet::new();
        for metric in &self.metrics {
            for attributes in points(metric).1 {
                series.insert((metric.name.as_str(), format!("{attributes:?}")));
            }
        }
        series.len()
    }

    /// Returns the differences between sent telemetry and the groups of the table.
    pub fn differences<'a>(&self, groups: impl IntoIterator<Item = &'a Group>) -> Vec<String> {
        let mut differences = Vec::new();
        if !self.schemas.iter().eq([SCHEMA_URL]) {
            differences.push(format!("the declared schemas are {:?}", self.schemas));
        }
        for group in groups {
            let all = match group.kind {
                Kind::Resource => self.resources.iter().map(Vec::as_slice).collect(),
                Kind::Spans(kind, attribute) => self.spans_of(kind, attribute),
                Kind::Metric(instrument, unit) => {
                    self.points_of(group.name, instrument, unit, &mut differences)
                }
            };
            if all.is_empty() {
                differences.push(format!("{}: nothing was sent", group.name));
                continue;
            }
            compare(group, &all, &mut differences);
        }
        differences
    }

    fn spans_of(&self, kind: SpanKind, attribute: &str) -> Vec<&[KeyValue]> {
        let has = |span: &&Span| span.attributes.iter().any(|found| found.key == attribute);
        let spans = self.spans.iter().filter(|span| span.kind == kind as i32).filter(has);
        spans.map(|span| span.attributes.as_slice()).collect()
    }

    fn points_of(
        &self,
        name: &str,
        instrument: Instrument,
        unit: &str,
        differences: &mut Vec<String>,
    ) -> Vec<&[KeyValue]> {
        let mut all: Vec<&[KeyValue]> = Vec::new();
        for metric in self.metrics.iter().filter(|metric| metric.name == name) {
            let (sent, points) = points(metric);
            all.extend(points);
            if (sent, metric.unit.as_str()) != (Some(instrument), unit) {
                differences.push(format!("{name} is a {sent:?} in {}", metric.unit));
            }
        }
        all
    }
}

/// Returns the kind of a metric and the attributes of its points.
fn points(metric: &Metric) -> (Option<Instrument>, Vec<&[KeyValue]>) {
    match &metric.data {
        Some(metric::Data::Sum(sum)) => {
            let instrument = if sum.is_monotonic { Counter } else { UpDownCounter };
            (Some(instrument), attributes_of(&sum.data_points))
        }
        Some(metric::Data::Gauge(gauge)) => (Some(Gauge), attributes_of(&gauge.data_points)),
        Some(metric::Data::Histogram(histogram)) => {
            let points = histogram.data_points.iter().map(|point| point.attributes.as_slice());
            (Some(Histogram), points.collect())
        }
        Some(metric::Data::ExponentialHistogram(histogram)) => {
            let points = histogram.data_points.iter().map(|point| point.attributes.as_slice());
            (Some(Histogram), points.collect())
        }
        Some(metric::Data::Summary(_)) | None => (None, Vec::new()),
    }
}

fn attributes_of(points: &[NumberDataPoint]) -> Vec<&[KeyValue]> {
    points.iter().map(|point| point.attributes.as_slice()).collect()
}

/// Compares the attributes of all spans, points or resources of a group with its rows.
fn compare(group: &Group, all: &[&[KeyValue]], differences: &mut Vec<String>) {
    let mut found: BTreeMap<&str, usize> = BTreeMap::new();
    for attributes in all {
        for attribute in *attributes {
            *found.entry(&attribute.key).or_default() += 1;
            let value = attribute.value.as_ref().and_then(|value| value.value.as_ref());
            let sent = match value {
                Some(any_value::Value::StringValue(_)) => Some(Text),
                Some(any_value::Value::IntValue(_)) => Some(Integer),
                Some(any_value::Value::ArrayValue(_)) => Some(Texts),
                _ => None,
            };
            let row = group.rows.iter().find(|(name, ..)| *name == attribute.key);
            if let Some((name, expected, ..)) = row
                && sent != Some(*expected)
            {
                differences.push(format!("{}: {name} is {value:?}", group.name));
            }
            let is_other = group.others.iter().any(|(name, _)| *name == attribute.key);
            if matches!(group.kind, Kind::Metric(..)) && row.is_none() && !is_other {
                differences.push(format!("{}: {} is not in the table", group.name, attribute.key));
            }
        }
    }
    for (name, _, level, use_of_it) in group.rows {
        let count = found.get(name).copied().unwrap_or_default();
        let is_as_said = match use_of_it {
            Always => count == all.len(),
            Where(_) => count > 0,
            Never(_) => count == 0,
        };
        if !is_as_said {
            let of = all.len();
            differences
                .push(format!("{}: {level:?} {name}, {use_of_it:?}, is in {count} of {of}", group.name));
        }
    }
    for (name, _) in group.others {
        if !found.contains_key(name) {
            differences.push(format!("{}: {name} is not sent", group.name));
        }
    }
}

/// Renders the table as a part of the document.
pub fn render() -> String {
    let mut text = String::from(
        "# Semantic conventions\n\
         \n\
         Which attributes of OpenTelemetry's semantic conventions 1.44 does Socialize send, and why not the others?\n\
         \n\
         The tables have every required, conditionally required and recommended attribute of the groups that\n\
         concern Socialize. Those of level opt-in are not listed. Tests compare the tables with what a process\n\
         sends (`crates/otlp-sink/src/conventions.rs`).\n",
    );
    for group in GROUPS {
        let name = if matches!(group.kind, Kind::Metric(..)) {
            format!("`{}`", group.name)
        } else {
            group.name.to_owned()
        };
        text.push_str(&format!("\n## {name}\n\n"));
        if let Kind::Metric(instrument, unit) = group.kind {
            text.push_str(&format!("{}, in `{unit}`.\n", instrument_text(instrument)));
            if group.rows.is_empty() {
                continue;
            }
            text.push('\n');
        }
        text.push_str("| attribute | type | level | sent, or why not |\n|---|---|---|---|\n");
        for (name, of_type, level, use_of_it) in group.rows {
            let of_type = match of_type {
                Text => "string",
                Integer => "int",
                Texts => "string[]",
            };
            let level = format!("{level:?}").to_lowercase();
            let sent = match use_of_it {
                Always => "always".to_owned(),
                Where(condition) => format!("where {condition}"),
                Never(reason) => format!("never: {reason}"),
            };
            text.push_str(&format!("| `{name}` | {of_type} | {level} | {sent} |\n"));
        }
        for (name, reason) in group.others {
            text.push_str(&format!("| `{name}` | string | ours | always: {reason} |\n"));
        }
    }
    text.push_str("\n## Not followed\n\n| part | why |\n|---|---|\n");
    for (part, reason) in NOT_FOLLOWED {
        text.push_str(&format!("| {part} | {reason} |\n"));
    }
    text
}

fn instrument_text(instrument: Instrument) -> &'static str {
    match instrument {
        Counter => "Counter",
        UpDownCounter => "Up-down counter",
        Gauge => "Gauge",
        Histogram => "Histogram",
    }
}
