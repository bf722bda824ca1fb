//! The pipeline for the OpenTelemetry Collector.

use std::fmt::Write;

use catalogue::recorded::{SERVICE_NAMESPACE, resource};

use super::allow_list::{self, Conditions, Statements};
use super::probes;
use super::{
    BATCH_MAXIMUM_BYTES, BATCH_MINIMUM_BYTES, DEFAULT_ENVIRONMENT, ENVIRONMENT_VARIABLE, HEADING, LOG_STORE,
    LONGEST_LINE, MEMORY_LIMIT_MIB, MEMORY_SPIKE_MIB, METRIC_STORE, OTLP_GRPC, OTLP_HTTP, OWN_METRICS_PORT,
    QUEUE_BYTES, STORES, Setting, Store, TRACE_STORE, line_operators, log_file_patterns,
};

const STATE_DIRECTORY: &str = "/var/lib/otelcol";

/// Renders `deploy/otelcol/config.yaml`.
pub fn render() -> String {
    let mut out = String::new();
    for line in HEADING {
        // Writing to a `String` cannot fail.
        let _ = writeln!(out, "# {line}");
    }
    out.push('\n');
    out.push_str(&extensions());
    out.push_str(&receivers());
    out.push_str(&processors());
    out.push_str("\nexporters:\n");
    for store in STORES {
        out.push_str(&exporter(store));
    }
    out.push_str(&service());
    out
}

fn extensions() -> String {
    format!(
        "\
extensions:
  health_check:
    endpoint: 0.0.0.0:13133
  # Positions must not share the fate of queues: who deletes a queue that is broken reads no line twice.
  file_storage/offsets:
    directory: {STATE_DIRECTORY}/offsets
    create_directory: true
    fsync: true
  file_storage/queues:
    directory: {STATE_DIRECTORY}/queues
    create_directory: true
    fsync: true
    compaction:
      directory: {STATE_DIRECTORY}/queues
      on_start: true
      on_rebound: true
"
    )
}

fn receivers() -> String {
    let include: String = log_file_patterns().iter().map(|pattern| format!("      - {pattern}\n")).collect();
    let mut operators = String::new();
    for operator in line_operators() {
        write_setting(&mut operators, 6, "- ", &operator);
    }
    format!(
        "
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: {OTLP_GRPC}
      http:
        endpoint: {OTLP_HTTP}
  filelog/application:
    include:
{include}    start_at: beginning
    include_file_name: true
    max_log_size: {LONGEST_LINE}
    storage: file_storage/offsets
    resource:
      {}: {SERVICE_NAMESPACE}
      {}: ${{env:{ENVIRONMENT_VARIABLE}:-{DEFAULT_ENVIRONMENT}}}
    operators:
{operators}    retry_on_failure:
      enabled: true
      max_elapsed_time: 0s
{}",
        resource::SERVICE_NAMESPACE,
        resource::DEPLOYMENT_ENVIRONMENT_NAME,
        probe_receiver(),
    )
}

fn probe_receiver() -> String {
    format!(
        "  httpcheck/probes:
    collection_interval: {}
    targets:
      # A connection that is kept would ask neither DNS nor for a certificate.
      - endpoint: {}
        timeout: {timeout}
        disable_keep_alives: true
      # Without a public URL its result is dropped.
      - endpoint: ${{env:{}:-{}}}{}
        timeout: {timeout}
        disable_keep_alives: true
    metrics:
      httpcheck.tls.cert_remaining:
        enabled: true
      # Its text quotes the address.
      httpcheck.error:
        enabled: false
",
        probes::INTERVAL,
        probes::ready_url(),
        probes::PUBLIC_URL_VARIABLE,
        probes::NO_PUBLIC_URL,
        probes::PUBLIC_PATH,
        timeout = probes::TIMEOUT,
    )
}

fn processors() -> String {
    let mut out = format!(
        "
processors:
  memory_limiter:
    check_interval: 1s
    limit_mib: {MEMORY_LIMIT_MIB}
    spike_limit_mib: {MEMORY_SPIKE_MIB}
  filter/allow:
    # What cannot be judged is not let through.
    error_mode: propagate
"
    );
    write_conditions(&mut out, "metric_conditions", &allow_list::dropped_metrics());
    write_conditions(&mut out, "trace_conditions", &allow_list::dropped_span_events());
    out.push_str("  transform/allow:\n    error_mode: propagate\n");
    write_statements(&mut out, "metric_statements", allow_list::metric_statements());
    write_statements(&mut out, "trace_statements", allow_list::trace_statements());
    write_statements(&mut out, "log_statements", allow_list::log_statements());

    out.push_str("  transform/translate_probes:\n    error_mode: propagate\n");
    write_statements(&mut out, "metric_statements", probes::translation());
    out.push_str("  filter/probes:\n    error_mode: propagate\n");
    write_conditions(&mut out, "metric_conditions", &probes::other_metrics());
    // Conditions of another context need their own list.
    write_group(&mut out, "datapoint", "conditions", &probes::discarded().conditions);
    out.push_str("  transform/probes:\n    error_mode: propagate\n");
    write_statements(&mut out, "metric_statements", probes::kept());
    out
}

fn write_conditions(out: &mut String, name: &str, Conditions { context, conditions }: &Conditions) {
    let _ = writeln!(out, "    {name}:");
    write_group(out, context, "conditions", conditions);
}

fn write_statements(out: &mut String, name: &str, groups: Vec<Statements>) {
    let _ = writeln!(out, "    {name}:");
    for Statements { context, statements } in groups {
        write_group(out, context, "statements", &statements);
    }
}

fn write_group(out: &mut String, context: &str, name: &str, texts: &[String]) {
    let _ = writeln!(out, "      - context: {context}\n        {name}:");
    for text in texts {
        let _ = writeln!(out, "          - {}", quoted(text));
    }
}

fn exporter(Store { name, endpoint }: &Store) -> String {
    format!(
        "  otlp_http/{name}:
    endpoint: {endpoint}
    sending_queue:
      storage: file_storage/queues
      sizer: bytes
      queue_size: {QUEUE_BYTES}
      num_consumers: 1
      block_on_overflow: true
      batch:
        flush_timeout: 1s
        sizer: bytes
        min_size: {BATCH_MINIMUM_BYTES}
        max_size: {BATCH_MAXIMUM_BYTES}
    retry_on_failure:
      initial_interval: 1s
      max_interval: 5s
      max_elapsed_time: 0s
"
    )
}

fn service() -> String {
    let (metrics, logs, traces) = (METRIC_STORE.name, LOG_STORE.name, TRACE_STORE.name);
    format!(
        "
service:
  extensions: [health_check, file_storage/offsets, file_storage/queues]
  telemetry:
    logs:
      level: info
      encoding: json
    metrics:
      level: normal
      readers:
        - pull:
            exporter:
              prometheus:
                host: 0.0.0.0
                port: {OWN_METRICS_PORT}
  pipelines:
    metrics:
      receivers: [otlp]
      processors: [memory_limiter, filter/allow, transform/allow]
      exporters: [otlp_http/{metrics}]
    metrics/probes:
      receivers: [httpcheck/probes]
      processors: [memory_limiter, transform/translate_probes, filter/probes, transform/probes]
      exporters: [otlp_http/{metrics}]
    traces:
      receivers: [otlp]
      processors: [memory_limiter, filter/allow, transform/allow]
      exporters: [otlp_http/{traces}]
    # Log lines come from files only.
    logs:
      receivers: [filelog/application]
      processors: [memory_limiter, transform/allow]
      exporters: [otlp_http/{logs}]
"
    )
}

/// Quotes text. Between single quotes only single quotes are escaped; a dollar sign would begin a
/// variable.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''").replace('$', "$$"))
}

/// Writes one element of a list, or the value of a key that is already written.
fn write_setting(out: &mut String, indent: usize, prefix: &str, setting: &Setting) {
    match setting {
        Setting::Text(text) => {
            let _ = writeln!(out, " {}", quoted(text));
        }
        Setting::Map(entries) => {
            let mut prefix = prefix;
            for (key, value) in entries {
                let _ = write!(out, "{:indent$}{prefix}{key}:", "");
                if matches!(value, Setting::Map(_)) {
                    out.push('\n');
                }
                // The other keys of a list element are aligned with its first key.
                prefix = if prefix.is_empty() { "" } else { "  " };
                write_setting(out, indent + prefix.len() + 2, "", value);
            }
        }
    }
}
