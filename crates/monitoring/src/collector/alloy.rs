//! The pipeline for Grafana Alloy, laid out like its formatter's output.
//!
//! Components and arguments: reference of the `otelcol.*` components, Alloy v1.18.
//!
//! Long because a pipeline is a list of components.

use std::fmt::Write;

use catalogue::recorded::{SERVICE_NAMESPACE, resource};
use signal::ClosedSet;
use signal::metric::Label;

use super::allow_list::{self, Conditions, Statements};
use super::probes;
use super::{
    BATCH_MAXIMUM_BYTES, BATCH_MINIMUM_BYTES, DEFAULT_ENVIRONMENT, ENVIRONMENT_VARIABLE, HEADING, LOG_STORE,
    LONGEST_LINE, MEMORY_LIMIT_MIB, MEMORY_SPIKE_MIB, METRIC_STORE, OTLP_GRPC, OTLP_HTTP, QUEUE_BYTES,
    STORES, Setting, Store, TRACE_STORE, line_operators, log_file_patterns,
};
use crate::exporters::{HOST_COLLECTORS, POSTGRES_COLLECTORS};
use crate::foreign::Probe;

/// File with the URL through which the collector reads Postgres's statistics.
const STATISTICS_DATABASE_URL: &str = "/run/secrets/statistics_database_url";

/// State directory, below `--storage.path`, the only directory that Alloy's image can write to.
const STATE_DIRECTORY: &str = "/var/lib/alloy/data";

/// Renders `deploy/alloy/config.alloy`.
pub fn render() -> String {
    let mut blocks = vec![block("logging", [set("level", quoted("info")), set("format", quoted("json"))])];
    blocks.extend(storages());
    blocks.push(otlp_receiver());
    blocks.push(file_receiver());
    blocks.push(memory_limiter());
    blocks.push(filter());
    blocks.push(transform());
    blocks.extend(probe_blocks());
    blocks.extend(STORES.map(exporter));
    blocks.extend(exporters_of_statistics());

    let mut out = String::new();
    for line in HEADING {
        // Writing to a `String` cannot fail.
        let _ = writeln!(out, "// {line}");
    }
    for block in blocks {
        out.push('\n');
        block.write(&mut out, 0);
    }
    out
}

fn storages() -> [Item; 2] {
    let directory = |name: &str| set("directory", quoted(format!("{STATE_DIRECTORY}/{name}")));
    let fsync = || set("fsync", "true");
    [
        comment(
            "Positions must not share the fate of queues: who deletes a queue that is broken reads no line twice.",
            component("otelcol.storage.file", "offsets", [directory("offsets"), fsync()]),
        ),
        component(
            "otelcol.storage.file",
            "queues",
            [
                directory("queues"),
                fsync(),
                // The files shrink again after an outage of a store. Clean-up at start is off,
                // because it fails if the directory is shared.
                block(
                    "compaction",
                    [directory("queues"), set("on_start", "true"), set("on_rebound", "true")],
                ),
            ],
        ),
    ]
}

fn otlp_receiver() -> Item {
    let to = || references(&["otelcol.processor.memory_limiter.default.input"]);
    component(
        "otelcol.receiver.otlp",
        "default",
        [
            block("grpc", [set("endpoint", quoted(OTLP_GRPC))]),
            block("http", [set("endpoint", quoted(OTLP_HTTP))]),
            comment(
                "Log lines come from files only.",
                block("output", [set("metrics", to()), set("traces", to())]),
            ),
        ],
    )
}

fn file_receiver() -> Item {
    let environment = format!("coalesce(sys.env(\"{ENVIRONMENT_VARIABLE}\"), \"{DEFAULT_ENVIRONMENT}\")");
    let resource = Expression::Object(vec![
        (quoted(resource::SERVICE_NAMESPACE), Expression::Inline(quoted(SERVICE_NAMESPACE))),
        (quoted(resource::DEPLOYMENT_ENVIRONMENT_NAME), Expression::Inline(environment)),
    ]);
    let patterns: Vec<String> = log_file_patterns().into_iter().map(quoted).collect();
    component(
        "otelcol.receiver.filelog",
        "application",
        [
            set("include", format!("[{}]", patterns.join(", "))),
            set("start_at", quoted("beginning")),
            set("include_file_name", "true"),
            set("max_log_size", quoted(LONGEST_LINE)),
            set("storage", "otelcol.storage.file.offsets.handler"),
            Item::Attribute("resource", resource),
            Item::Attribute("operators", Expression::List(line_operators().iter().map(expression).collect())),
            // Lines that the pipeline rejects stay in their file.
            block("retry_on_failure", [set("enabled", "true"), set("max_elapsed_time", quoted("0s"))]),
            block("output", [set("logs", references(&["otelcol.processor.memory_limiter.default.input"]))]),
        ],
    )
}

fn memory_limiter() -> Item {
    component(
        "otelcol.processor.memory_limiter",
        "default",
        [
            set("check_interval", quoted("1s")),
            set("limit", quoted(format!("{MEMORY_LIMIT_MIB}MiB"))),
            set("spike_limit", quoted(format!("{MEMORY_SPIKE_MIB}MiB"))),
            block(
                "output",
                [
                    set("metrics", references(&["otelcol.processor.filter.allow.input"])),
                    set("logs", references(&["otelcol.processor.transform.allow.input"])),
                    set("traces", references(&["otelcol.processor.filter.allow.input"])),
                ],
            ),
        ],
    )
}

fn conditions(name: &'static str, group: Conditions) -> Item {
    block(
        name,
        [set("context", quoted(group.context)), Item::Attribute("conditions", raw_strings(group.conditions))],
    )
}

fn statements(name: &'static str, groups: Vec<Statements>) -> impl Iterator<Item = Item> {
    groups.into_iter().map(move |group| {
        block(
            name,
            [
                set("context", quoted(group.context)),
                Item::Attribute("statements", raw_strings(group.statements)),
            ],
        )
    })
}

/// Probes: Alloy scrapes its blackbox exporter, and the results become OTLP and enter the pipeline.
fn probe_blocks() -> [Item; 6] {
    let module = "http";
    let target = |probe: Probe, address: String| {
        block(
            "target",
            [
                set("name", quoted(probe.as_str())),
                set("address", address),
                set("module", quoted(module)),
                set("labels", format!("{{{} = {}}}", Probe::KEY, quoted(probe.as_str()))),
            ],
        )
    };
    let public = format!(
        "string.format(\"%s{}\", coalesce(sys.env(\"{}\"), \"{}\"))",
        probes::PUBLIC_PATH,
        probes::PUBLIC_URL_VARIABLE,
        probes::NO_PUBLIC_URL
    );
    let configuration = format!(
        "{{modules: {{{module}: {{prober: http, timeout: {}, http: {{preferred_ip_protocol: ip4}}}}}}}}",
        probes::TIMEOUT
    );
    let to = |component: &str| references(&[component]);
    [
        component(
            "prometheus.exporter.blackbox",
            "probes",
            [
                set("config", quoted(configuration)),
                target(Probe::Ready, quoted(probes::ready_url())),
                target(Probe::Public, public),
            ],
        ),
        component(
            "discovery.relabel",
            "probes",
            [
                set("targets", "prometheus.exporter.blackbox.probes.targets"),
                comment(
                    "There is no public URL.",
                    block(
                        "rule",
                        [
                            set("source_labels", format!("[{}]", quoted("__param_target"))),
                            set("regex", quoted(probes::discarded_url())),
                            set("action", quoted("drop")),
                        ],
                    ),
                ),
            ],
        ),
        component(
            "prometheus.scrape",
            "probes",
            [
                set("targets", "discovery.relabel.probes.output"),
                set("scrape_interval", quoted(probes::INTERVAL)),
                set("forward_to", to("otelcol.receiver.prometheus.probes.receiver")),
            ],
        ),
        component(
            "otelcol.receiver.prometheus",
            "probes",
            [block("output", [set("metrics", to("otelcol.processor.filter.probes.input"))])],
        ),
        component(
            "otelcol.processor.filter",
            "probes",
            [
                set("error_mode", quoted("propagate")),
                conditions("metric_conditions", probes::other_metrics()),
                block("output", [set("metrics", to("otelcol.processor.transform.probes.input"))]),
            ],
        ),
        component("otelcol.processor.transform", "probes", {
            let mut items = vec![set("error_mode", quoted("propagate"))];
            items.extend(statements("metric_statements", probes::kept()));
            let store = format!("otelcol.exporter.otlphttp.{}.input", METRIC_STORE.name);
            items.push(block("output", [set("metrics", to(&store))]));
            items
        }),
    ]
}

fn filter() -> Item {
    let to = || references(&["otelcol.processor.transform.allow.input"]);
    component(
        "otelcol.processor.filter",
        "allow",
        [
            comment("What cannot be judged is not let through.", set("error_mode", quoted("propagate"))),
            conditions("metric_conditions", allow_list::dropped_metrics()),
            conditions("trace_conditions", allow_list::dropped_span_events()),
            block("output", [set("metrics", to()), set("traces", to())]),
        ],
    )
}

fn transform() -> Item {
    let to =
        |store: &Store| references(&[format!("otelcol.exporter.otlphttp.{}.input", store.name).as_str()]);
    let mut items = vec![set("error_mode", quoted("propagate"))];
    items.extend(statements("metric_statements", allow_list::metric_statements()));
    items.extend(statements("trace_statements", allow_list::trace_statements()));
    items.extend(statements("log_statements", allow_list::log_statements()));
    items.push(block(
        "output",
        [set("metrics", to(&METRIC_STORE)), set("logs", to(&LOG_STORE)), set("traces", to(&TRACE_STORE))],
    ));
    component("otelcol.processor.transform", "allow", items)
}

fn exporter(store: &Store) -> Item {
    component(
        "otelcol.exporter.otlphttp",
        store.name,
        [
            block("client", [set("endpoint", quoted(store.endpoint))]),
            block(
                "sending_queue",
                [
                    set("storage", "otelcol.storage.file.queues.handler"),
                    set("sizer", quoted("bytes")),
                    set("queue_size", QUEUE_BYTES.to_string()),
                    set("num_consumers", "1"),
                    set("block_on_overflow", "true"),
                    block(
                        "batch",
                        [
                            set("flush_timeout", quoted("1s")),
                            set("sizer", quoted("bytes")),
                            set("min_size", BATCH_MINIMUM_BYTES.to_string()),
                            set("max_size", BATCH_MAXIMUM_BYTES.to_string()),
                        ],
                    ),
                ],
            ),
            block(
                "retry_on_failure",
                [
                    set("initial_interval", quoted("1s")),
                    set("max_interval", quoted("5s")),
                    set("max_elapsed_time", quoted("0s")),
                ],
            ),
        ],
    )
}

/// Exporters of Postgres's and the host's statistics. Prometheus scrapes them on Alloy's own port,
/// where each component has its own path; they do not pass through the pipeline.
fn exporters_of_statistics() -> [Item; 3] {
    let list = |names: &[&str]| {
        Expression::List(names.iter().map(|name| Expression::Inline(quoted(name))).collect())
    };
    let url = "string.trim_space(convert.nonsensitive(local.file.statistics.content))";
    [
        component(
            "local.file",
            "statistics",
            [set("filename", quoted(STATISTICS_DATABASE_URL)), set("is_secret", "true")],
        ),
        component(
            "prometheus.exporter.postgres",
            "application",
            [
                set("data_source_names", format!("[{url}]")),
                Item::Attribute("enabled_collectors", list(POSTGRES_COLLECTORS)),
            ],
        ),
        comment(
            "Nothing of the host is mounted for it: /proc of a container shows the host's processors, memory and \
             disks.",
            component(
                "prometheus.exporter.unix",
                "host",
                [Item::Attribute("set_collectors", list(HOST_COLLECTORS))],
            ),
        ),
    ]
}

/// The content of a block.
enum Item {
    Attribute(&'static str, Expression),
    Block { head: String, items: Vec<Item> },
    Comment(&'static str, Box<Item>),
}

/// The value of an attribute.
enum Expression {
    Inline(String),
    List(Vec<Expression>),
    Object(Vec<(String, Expression)>),
}

fn set(name: &'static str, value: impl Into<String>) -> Item {
    Item::Attribute(name, Expression::Inline(value.into()))
}

fn block(name: &str, items: impl IntoIterator<Item = Item>) -> Item {
    Item::Block { head: name.to_owned(), items: items.into_iter().collect() }
}

fn component(name: &str, label: &str, items: impl IntoIterator<Item = Item>) -> Item {
    Item::Block { head: format!("{name} {}", quoted(label)), items: items.into_iter().collect() }
}

fn comment(text: &'static str, item: Item) -> Item {
    Item::Comment(text, Box::new(item))
}

fn quoted(text: impl AsRef<str>) -> String {
    let escaped = text.as_ref().replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}

fn references(names: &[&str]) -> String {
    format!("[{}]", names.join(", "))
}

/// Writes statements between backticks, in which nothing is escaped.
fn raw_strings(texts: Vec<String>) -> Expression {
    Expression::List(texts.into_iter().map(|text| Expression::Inline(format!("`{text}`"))).collect())
}

fn expression(setting: &Setting) -> Expression {
    match setting {
        Setting::Text(text) if text.contains('"') => Expression::Inline(format!("`{text}`")),
        Setting::Text(text) => Expression::Inline(quoted(text)),
        Setting::Map(entries) => Expression::Object(
            entries.iter().map(|(key, value)| ((*key).to_owned(), expression(value))).collect(),
        ),
    }
}

impl Item {
    fn write(&self, out: &mut String, depth: usize) {
        match self {
            // A single attribute needs no alignment.
            Item::Attribute(name, value) => write_attributes(out, depth, &[(name, value)], ""),
            Item::Comment(text, item) => {
                let _ = writeln!(out, "{}// {text}", indent(depth));
                item.write(out, depth);
            }
            Item::Block { head, items } => {
                let _ = writeln!(out, "{}{head} {{", indent(depth));
                write_items(out, depth + 1, items);
                let _ = writeln!(out, "{}}}", indent(depth));
            }
        }
    }
}

/// Writes consecutive attributes together, and blank lines around blocks.
fn write_items(out: &mut String, depth: usize, items: &[Item]) {
    let mut rest = items;
    while let Some(first) = rest.first() {
        if rest.len() < items.len() {
            out.push('\n');
        }
        let attributes: Vec<(&str, &Expression)> = rest
            .iter()
            .map_while(|item| match item {
                Item::Attribute(name, value) => Some((*name, value)),
                Item::Block { .. } | Item::Comment(..) => None,
            })
            .collect();
        if attributes.is_empty() {
            first.write(out, depth);
            rest = &rest[1..];
        } else {
            write_attributes(out, depth, &attributes, "");
            rest = &rest[attributes.len()..];
        }
    }
}

/// Writes attributes with aligned equals signs. Like the formatter, it restarts the alignment after
/// a multi-line value.
fn write_attributes<N: AsRef<str>>(
    out: &mut String,
    depth: usize,
    attributes: &[(N, &Expression)],
    line_end: &str,
) {
    for section in attributes.split_inclusive(|(_, value)| !value.is_inline()) {
        let width = section.iter().map(|(name, _)| name.as_ref().len()).max().unwrap_or_default();
        for (name, value) in section {
            let _ = write!(out, "{}{:width$} = ", indent(depth), name.as_ref());
            value.write(out, depth);
            out.push_str(line_end);
            out.push('\n');
        }
    }
}

impl Expression {
    /// Returns whether an object stays on one line: it has one entry with a plain value.
    fn is_inline(&self) -> bool {
        match self {
            Expression::Inline(_) => true,
            Expression::List(_) => false,
            Expression::Object(entries) => {
                matches!(&entries[..], [(_, Expression::Inline(_))])
            }
        }
    }

    fn write(&self, out: &mut String, depth: usize) {
        match self {
            Expression::Inline(text) => out.push_str(text),
            Expression::List(elements) => {
                out.push_str("[\n");
                for element in elements {
                    out.push_str(&indent(depth + 1));
                    element.write(out, depth + 1);
                    out.push_str(",\n");
                }
                let _ = write!(out, "{}]", indent(depth));
            }
            Expression::Object(entries) if self.is_inline() => {
                for (name, value) in entries {
                    let _ = write!(out, "{{{name} = ");
                    value.write(out, depth);
                    out.push('}');
                }
            }
            Expression::Object(entries) => {
                out.push_str("{\n");
                let entries: Vec<(&String, &Expression)> =
                    entries.iter().map(|(name, value)| (name, value)).collect();
                write_attributes(out, depth + 1, &entries, ",");
                let _ = write!(out, "{}}}", indent(depth));
            }
        }
    }
}

fn indent(depth: usize) -> String {
    "\t".repeat(depth)
}
