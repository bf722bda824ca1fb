//! Use of each field of the protocol.

/// Frequency with which a field is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Always,
    /// Set in some messages and not in others.
    Sometimes,
    Never,
}

use Sent::{Always, Never, Sometimes};

/// The name of a field, its frequency, and its contents or the reason for its absence.
pub(super) type Row = (&'static str, Sent, &'static str);

/// The reason why there are classic histograms at all.
const EXPLICIT: &str =
    "durations, with `OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION=explicit_bucket_histogram`";

/// The messages with their fields, in the order of the protocol.
pub(super) const TABLE: &[(&str, &[Row])] = &[
    (
        "ExportTraceServiceRequest",
        &[("resource_spans", Always, "one: everything in a request comes from this process")],
    ),
    (
        "ResourceSpans",
        &[
            ("resource", Always, "who is recording"),
            ("scope_spans", Always, "one for each scope that has spans"),
            ("schema_url", Always, "the version of the semantic conventions whose names are used"),
        ],
    ),
    (
        "ScopeSpans",
        &[
            ("scope", Always, "the part of the program that recorded them"),
            ("spans", Always, "at least one: an empty request is not sent"),
            ("schema_url", Always, "the same version"),
        ],
    ),
    (
        "Resource",
        &[
            ("attributes", Always, "those below, and what the operator adds by `OTEL_RESOURCE_ATTRIBUTES`"),
            ("dropped_attributes_count", Never, "none is dropped"),
            ("entity_refs", Never, "in development, and the attributes say the same"),
        ],
    ),
    (
        "InstrumentationScope",
        &[
            (
                "name",
                Always,
                "`telemetry.http_server`, `telemetry.http_client`, `telemetry.process` and `telemetry.pipeline`; \
                 `socialize.database`, `socialize.queue`, `socialize.email`, `socialize.blobs`, `socialize.runtime` \
                 and `socialize.usage`",
            ),
            ("version", Always, "the version of the crate"),
            ("attributes", Never, "there is nothing to say about it"),
            ("dropped_attributes_count", Never, "it has no attributes"),
        ],
    ),
    (
        "Span",
        &[
            ("trace_id", Always, "16 bytes, never all zeros"),
            ("span_id", Always, "8 bytes, never all zeros"),
            ("trace_state", Sometimes, "`tracestate` of a trusted caller, for all spans of its request"),
            ("parent_span_id", Sometimes, "8 bytes, where there is a parent"),
            (
                "flags",
                Always,
                "the sampled flag, and whether the parent is remote: known in every case, set for requests of trusted \
                 callers",
            ),
            ("name", Always, "method and route template, or the kind of operation; never made from data"),
            (
                "kind",
                Always,
                "`INTERNAL`, `SERVER`, `CLIENT` or `CONSUMER`; nothing produces messages for others",
            ),
            ("start_time_unix_nano", Always, "the wall clock at the start"),
            (
                "end_time_unix_nano",
                Always,
                "the start plus the duration by the monotonic clock, so never before the start",
            ),
            (
                "attributes",
                Sometimes,
                "each key once; none where an operation has nothing to tell but its name",
            ),
            (
                "dropped_attributes_count",
                Sometimes,
                "for a record with more than twelve attributes of its own, which the application's tests refuse",
            ),
            ("events", Never, "a record has no text; log lines carry its trace id instead"),
            ("dropped_events_count", Never, "there are no events"),
            (
                "links",
                Sometimes,
                "the request that enqueued a job, the context of a caller that is not trusted; at most one",
            ),
            ("dropped_links_count", Never, "none is dropped"),
            ("status", Sometimes, "for errors; left out for everything else, which means unset"),
        ],
    ),
    (
        "Status",
        &[
            (
                "message",
                Never,
                "texts of errors may quote what customers wrote; `error.type` says what kind it is",
            ),
            ("code", Always, "`ERROR`; `OK` is for operators and never set by instrumentation"),
        ],
    ),
    (
        "Link",
        &[
            ("trace_id", Always, "16 bytes"),
            ("span_id", Always, "8 bytes"),
            ("trace_state", Never, "callers that are linked to are not trusted, and their text is dropped"),
            ("attributes", Never, "there is one kind of link for each kind of span"),
            ("dropped_attributes_count", Never, "it has no attributes"),
            ("flags", Always, "the sampled flag, and that the context came from outside"),
        ],
    ),
    (
        "KeyValue",
        &[
            ("key", Always, "a name that was written in the source"),
            ("value", Always, "see below"),
            ("key_strindex", Never, "for profiles only"),
        ],
    ),
    (
        "AnyValue",
        &[
            ("string_value", Sometimes, "ids, members of closed sets, route templates"),
            ("bool_value", Never, "closed sets say what is true"),
            ("int_value", Sometimes, "numbers; `http.response.status_code` in points, too"),
            ("double_value", Sometimes, "durations in milliseconds"),
            ("array_value", Never, "no attribute has several values"),
            ("kvlist_value", Never, "no attribute is nested"),
            ("bytes_value", Never, "it would be data that nobody can read"),
            ("string_value_strindex", Never, "for profiles only"),
        ],
    ),
    (
        "ExportMetricsServiceRequest",
        &[("resource_metrics", Always, "one: everything in a request comes from this process")],
    ),
    (
        "ResourceMetrics",
        &[
            ("resource", Always, "the same as for spans"),
            ("scope_metrics", Always, "one for each scope that has points"),
            ("schema_url", Always, "the version of the semantic conventions whose names are used"),
        ],
    ),
    (
        "ScopeMetrics",
        &[
            ("scope", Always, "the part of the program that recorded them"),
            ("metrics", Always, "every metric that has a point"),
            ("schema_url", Always, "the same version"),
        ],
    ),
    (
        "Metric",
        &[
            ("name", Always, "the name in the catalogue"),
            ("description", Always, "its help text"),
            ("unit", Always, "in the notation of UCUM"),
            ("metadata", Never, "for translations from other formats"),
            ("gauge", Sometimes, "gauges"),
            ("sum", Sometimes, "counters and up-down counters"),
            ("histogram", Sometimes, EXPLICIT),
            ("exponential_histogram", Sometimes, "durations"),
            ("summary", Never, "for translations from other formats"),
        ],
    ),
    ("Gauge", &[("data_points", Always, "those that have a value now")]),
    (
        "Sum",
        &[
            (
                "data_points",
                Always,
                "one for every series, also while it is zero, and a zero before a series that begins late",
            ),
            ("aggregation_temporality", Always, "`CUMULATIVE`"),
            ("is_monotonic", Sometimes, "for counters; up-down counters are not"),
        ],
    ),
    (
        "Histogram",
        &[
            (
                "data_points",
                Always,
                "one for every series, also while it is empty, and a zero before a series that begins late",
            ),
            ("aggregation_temporality", Always, "`CUMULATIVE`"),
        ],
    ),
    (
        "ExponentialHistogram",
        &[
            (
                "data_points",
                Always,
                "one for every series, also while it is empty, and a zero before a series that begins late",
            ),
            ("aggregation_temporality", Always, "`CUMULATIVE`"),
        ],
    ),
    (
        "NumberDataPoint",
        &[
            ("attributes", Sometimes, "the labels, where there are any"),
            (
                "start_time_unix_nano",
                Sometimes,
                "when the process began to count; a gauge is a value of now and has none",
            ),
            ("time_unix_nano", Always, "when it was read"),
            ("as_double", Sometimes, "values that are read elsewhere, and gauges"),
            ("as_int", Sometimes, "what is counted here"),
            ("exemplars", Never, "a count has no value of a single request; histograms have them"),
            ("flags", Never, "there is no point without a recorded value"),
        ],
    ),
    (
        "HistogramDataPoint",
        &[
            ("attributes", Sometimes, "the labels, where there are any"),
            ("start_time_unix_nano", Always, "when the process began to count"),
            ("time_unix_nano", Always, "when it was read"),
            ("count", Sometimes, "the sum of the buckets; zero is not written, as proto3 has it"),
            ("sum", Always, "in seconds; zero, too"),
            ("bucket_counts", Always, "one more than there are bounds"),
            ("explicit_bounds", Always, "powers of two in seconds, rising"),
            ("exemplars", Sometimes, "the newest sampled request of each octave"),
            ("flags", Never, "there is no point without a recorded value"),
            ("min", Never, "of a cumulative point it is the smallest ever, which tells nothing about now"),
            ("max", Never, "as `min`"),
        ],
    ),
    (
        "ExponentialHistogramDataPoint",
        &[
            ("attributes", Sometimes, "the labels, where there are any"),
            ("start_time_unix_nano", Always, "when the process began to count"),
            ("time_unix_nano", Always, "when it was read"),
            ("count", Sometimes, "the sum of the buckets; nothing while it is zero"),
            ("sum", Sometimes, "in seconds, as soon as something was counted"),
            ("scale", Always, "3: eight buckets to a factor of two"),
            ("zero_count", Sometimes, "durations of zero, where there are any"),
            ("positive", Sometimes, "the buckets, as soon as something was counted"),
            ("negative", Never, "no duration is negative"),
            ("flags", Never, "there is no point without a recorded value"),
            ("exemplars", Sometimes, "the newest sampled request of each octave, in order of time"),
            ("min", Never, "as for explicit buckets"),
            ("max", Never, "as for explicit buckets"),
            ("zero_threshold", Never, "only zero itself is counted as zero"),
        ],
    ),
    (
        "Buckets",
        &[
            ("offset", Sometimes, "the index of the first bucket in use"),
            ("bucket_counts", Always, "from the first to the last bucket in use"),
        ],
    ),
    (
        "Exemplar",
        &[
            ("filtered_attributes", Never, "no attribute is filtered from points"),
            ("time_unix_nano", Always, "when the request ended"),
            ("as_double", Always, "its duration in seconds"),
            ("as_int", Never, "durations are no integers"),
            ("span_id", Always, "its span"),
            ("trace_id", Always, "its trace"),
        ],
    ),
];

/// Messages that are defined but never sent, so that none of their fields can be seen.
pub(super) const NOT_SENT: &[(&str, &str)] = &[
    ("Span.Event", "a record has no text; log lines carry its trace id instead"),
    ("EntityRef", "in development, and the attributes of the resource say the same"),
    ("ArrayValue", "no attribute has several values"),
    ("KeyValueList", "no attribute is nested"),
    ("Summary", "for translations from other formats"),
    ("SummaryDataPoint", "as `Summary`"),
    (
        "ExportLogsServiceRequest",
        "lines go to standard output and a file, from which a collector reads them without losing any",
    ),
];

/// Returns the fields of a message.
pub(super) fn rows(message: &str) -> &'static [Row] {
    let found = TABLE.iter().find(|(name, _)| *name == message);
    found.unwrap_or_else(|| panic!("the table has no {message}")).1
}
