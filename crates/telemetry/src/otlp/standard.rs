//! Every environment variable of the OpenTelemetry specification, with its treatment here.
//!
//! The table in `docs/OTLP.md` is rendered from [`STANDARD_VARIABLES`]. Tests compare its names with
//! the specification's and with those that [`OtlpSettings::from_variables`] reads.
//!
//! A variable is refused if ignoring it would lose telemetry or send something other than what it
//! asks for. It is without effect if it tunes something that does not exist here.
//!
//! [`OtlpSettings::from_variables`]: super::OtlpSettings::from_variables

use Treatment::{Honoured, Refused, WithoutEffect};

/// Treatment of a variable of the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// The variable has the effect that the specification gives it. Values that ask for something
    /// that is not supported are errors.
    Honoured,
    /// Any value is an error at start.
    Refused,
    /// The variable is not read.
    WithoutEffect,
}

/// Variables that are treated alike.
#[derive(Clone, Copy, Debug)]
pub struct StandardVariables {
    /// Names of variables with the same treatment.
    pub names: &'static [&'static str],
    /// Effect of setting one of them.
    pub treatment: Treatment,
    /// The accepted values, the error, or the reason why there is no effect.
    pub text: &'static str,
}

const fn row(treatment: Treatment, names: &'static [&'static str], text: &'static str) -> StandardVariables {
    StandardVariables { names, treatment, text }
}

/// The error for variables that name a configuration file.
const CONFIGURATION_FILE: &str =
    "is not supported, because such a file would replace every other variable; set the variables instead";

/// All variables of version 1.60 of the specification.
pub const STANDARD_VARIABLES: &[StandardVariables] = &[
    row(Honoured, &["OTEL_SDK_DISABLED"], "`true` sends nothing and reads no other variable"),
    row(
        Honoured,
        &["OTEL_SERVICE_NAME"],
        "`service.name` of the resource; by default `socialize-api` or `socialize-worker`",
    ),
    row(Honoured, &["OTEL_RESOURCE_ATTRIBUTES"], "`key=value,key=value`, percent-encoded"),
    row(Refused, &["OTEL_ENTITIES"], "is not supported; put the attributes into OTEL_RESOURCE_ATTRIBUTES"),
    row(
        Honoured,
        &["OTEL_PROPAGATORS"],
        "`tracecontext`; `baggage` besides it has no effect, because nothing reads it",
    ),
    row(
        Honoured,
        &["OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"],
        "`always_on`, `always_off`, `traceidratio`, or one of these after `parentbased_`; by default \
         `parentbased_always_on`. The ratio is 1 by default",
    ),
    row(Honoured, &["OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER"], "`otlp` (default) or `none`"),
    row(
        Honoured,
        &["OTEL_LOGS_EXPORTER"],
        "`none` or `console`: log lines go to standard output and a file, from which a collector reads them",
    ),
    row(
        Honoured,
        &[
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
        ],
        "`http://` or `https://` URL; nothing is sent without one. `/v1/traces` and `/v1/metrics` are appended to the \
         first",
    ),
    row(
        Honoured,
        &[
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
            "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
        ],
        "`http/protobuf` (default) or `grpc`",
    ),
    row(
        Honoured,
        &[
            "OTEL_EXPORTER_OTLP_HEADERS",
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
            "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
        ],
        "`name=value,name=value`, percent-encoded; secret, so never shown",
    ),
    row(
        Honoured,
        &[
            "OTEL_EXPORTER_OTLP_TIMEOUT",
            "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
            "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
        ],
        "milliseconds for one request, 10000 by default; never unlimited",
    ),
    row(
        Honoured,
        &[
            "OTEL_EXPORTER_OTLP_COMPRESSION",
            "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
            "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION",
        ],
        "`gzip` or `none` (default)",
    ),
    row(
        Honoured,
        &[
            "OTEL_EXPORTER_OTLP_CERTIFICATE",
            "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
            "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE",
        ],
        "PEM file with the only authorities that are trusted; by default those of the platform",
    ),
    row(
        Honoured,
        &[
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
            "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
            "OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE",
            "OTEL_EXPORTER_OTLP_CLIENT_KEY",
            "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY",
            "OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY",
        ],
        "PEM files with the certificate chain and its key, for collectors that ask for them (mTLS)",
    ),
    row(
        WithoutEffect,
        &[
            "OTEL_EXPORTER_OTLP_INSECURE",
            "OTEL_EXPORTER_OTLP_TRACES_INSECURE",
            "OTEL_EXPORTER_OTLP_METRICS_INSECURE",
            "OTEL_EXPORTER_OTLP_LOGS_INSECURE",
            "OTEL_EXPORTER_OTLP_SPAN_INSECURE",
            "OTEL_EXPORTER_OTLP_METRIC_INSECURE",
        ],
        "the endpoint has a scheme, which decides",
    ),
    row(
        Refused,
        &["OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"],
        "is not supported: log lines go to standard output and a file, from which a collector reads them",
    ),
    row(
        WithoutEffect,
        &[
            "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL",
            "OTEL_EXPORTER_OTLP_LOGS_HEADERS",
            "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT",
            "OTEL_EXPORTER_OTLP_LOGS_COMPRESSION",
            "OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE",
            "OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE",
            "OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY",
            "OTEL_BLRP_SCHEDULE_DELAY",
            "OTEL_BLRP_EXPORT_TIMEOUT",
            "OTEL_BLRP_MAX_QUEUE_SIZE",
            "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
            "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT",
            "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT",
        ],
        "log lines are not sent over OTLP",
    ),
    row(
        Honoured,
        &["OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"],
        "`cumulative`, because rules, dashboards and `/metrics` need totals",
    ),
    row(
        Honoured,
        &["OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"],
        "`base2_exponential_bucket_histogram` (default) or `explicit_bucket_histogram`, with which queries need \
         another setting of Prometheus: see METRICS.md",
    ),
    row(
        Honoured,
        &["OTEL_METRICS_EXEMPLAR_FILTER"],
        "`trace_based` (default) or `always_off`; a request outside the sample has no span to show",
    ),
    row(
        Honoured,
        &["OTEL_METRIC_EXPORT_INTERVAL", "OTEL_BSP_SCHEDULE_DELAY"],
        "milliseconds between two exports of metrics (60000 by default) and of spans (5000)",
    ),
    row(
        WithoutEffect,
        &["OTEL_METRIC_EXPORT_TIMEOUT", "OTEL_BSP_EXPORT_TIMEOUT"],
        "each request has the timeout above, and later exports do not wait for it",
    ),
    row(
        WithoutEffect,
        &["OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"],
        "queue and requests are limited in bytes instead of spans",
    ),
    row(
        WithoutEffect,
        &[
            "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
            "OTEL_ATTRIBUTE_COUNT_LIMIT",
            "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
            "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
        ],
        "attributes are few, and their values are ids, numbers and words of closed sets",
    ),
    row(
        WithoutEffect,
        &[
            "OTEL_SPAN_EVENT_COUNT_LIMIT",
            "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
            "OTEL_SPAN_LINK_COUNT_LIMIT",
            "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
        ],
        "a span has no events, at most one link, and links have no attributes",
    ),
    row(
        WithoutEffect,
        &["OTEL_LOG_LEVEL"],
        "trouble with export is an ordinary log line, filtered by the level of log lines",
    ),
    row(
        WithoutEffect,
        &["OTEL_EXPORTER_ZIPKIN_ENDPOINT", "OTEL_EXPORTER_ZIPKIN_TIMEOUT", "OTEL_EXPORTER_ZIPKIN_PROTOCOL"],
        "there is no Zipkin exporter; `OTEL_TRACES_EXPORTER=zipkin` is refused",
    ),
    row(
        WithoutEffect,
        &["OTEL_EXPORTER_PROMETHEUS_HOST", "OTEL_EXPORTER_PROMETHEUS_PORT"],
        "the operations listener serves `/metrics`; `OTEL_METRICS_EXPORTER=prometheus` is refused",
    ),
    row(Refused, &["OTEL_CONFIG_FILE", "OTEL_EXPERIMENTAL_CONFIG_FILE"], CONFIGURATION_FILE),
];
