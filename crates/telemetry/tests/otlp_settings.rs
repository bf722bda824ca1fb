//! The `OTEL_*` variables: the effect of each, and the error for each invalid value.
//!
//! Long because it is a table with a row for each variable and error.

#![expect(clippy::unwrap_used, reason = "a helper of a test may panic like the test itself")]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use otlp_sink::OtlpSink;
use telemetry::Sampler;
use telemetry::otlp::{
    Compression, HistogramAggregation, OtlpSettings, Protocol, STANDARD_VARIABLES, SecretHeaders,
    SettingError, SignalSettings, Treatment,
};

/// Names and values of variables.
type Variables<'a> = &'a [(&'a str, &'a str)];

const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");

fn read(variables: Variables<'_>) -> Result<Option<OtlpSettings>, Vec<SettingError>> {
    OtlpSettings::from_variables(&|name| {
        let found = variables.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| (*value).to_owned())
    })
}

fn started(variables: Variables<'_>) -> OtlpSettings {
    read(variables).unwrap().unwrap()
}

/// Parses the variables with the general endpoint set as well.
fn with_endpoint(variables: Variables<'_>) -> OtlpSettings {
    started(&[&[ENDPOINT], variables].concat())
}

fn traces(variables: Variables<'_>) -> SignalSettings {
    with_endpoint(variables).traces.unwrap()
}

fn metrics(variables: Variables<'_>) -> SignalSettings {
    with_endpoint(variables).metrics.unwrap()
}

/// Returns the whole URL, which the settings themselves never show.
fn url(settings: &SignalSettings) -> String {
    settings.endpoint.url().to_string()
}

#[test]
fn histograms_are_exponential_unless_classic_buckets_are_asked_for() {
    const NAME: &str = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION";
    let table = [
        (None, HistogramAggregation::Exponential),
        (Some(""), HistogramAggregation::Exponential),
        (Some("base2_exponential_bucket_histogram"), HistogramAggregation::Exponential),
        (Some("explicit_bucket_histogram"), HistogramAggregation::Explicit),
        (Some("Explicit_Bucket_HISTOGRAM"), HistogramAggregation::Explicit),
    ];
    for (value, expected) in table {
        let variables: Vec<_> = value.map(|value| (NAME, value)).into_iter().collect();
        assert_eq!(with_endpoint(&variables).histograms, expected, "{value:?}");
    }
    for wrong in ["explicit", "drop", "last_value"] {
        let problems = read(&[ENDPOINT, (NAME, wrong)]).unwrap_err();
        let [problem] = &problems[..] else { panic!("{problems:?}") };
        assert_eq!(
            problem.to_string(),
            format!("{NAME} must be `base2_exponential_bucket_histogram` or `explicit_bucket_histogram`")
        );
    }
}

#[test]
fn nothing_is_started_without_an_endpoint_or_when_switched_off() {
    let table: [Variables<'_>; 7] = [
        &[],
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", "")],
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", "  ")],
        &[("OTEL_EXPORTER_OTLP_HEADERS", "a=b"), ("OTEL_SERVICE_NAME", "socialize")],
        &[ENDPOINT, ("OTEL_SDK_DISABLED", "true")],
        &[ENDPOINT, ("OTEL_SDK_DISABLED", "TRUE"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "nonsense")],
        &[ENDPOINT, ("OTEL_TRACES_EXPORTER", "none"), ("OTEL_METRICS_EXPORTER", "none")],
    ];
    for variables in table {
        assert!(read(variables).unwrap().is_none(), "{variables:?}");
    }
}

#[test]
fn the_standards_defaults_apply() {
    let settings = started(&[ENDPOINT, ("OTEL_SDK_DISABLED", "false")]);
    assert_eq!(settings.sampler, Sampler { ratio: 1.0, parent_based: true });
    assert_eq!(settings.resource.service_name, None);
    assert_eq!(settings.resource.attributes, []);
    for (settings, interval) in [(settings.traces.unwrap(), 5), (settings.metrics.unwrap(), 60)] {
        assert_eq!(settings.protocol, Protocol::HttpProtobuf);
        assert_eq!(settings.timeout, Duration::from_secs(10));
        assert_eq!(settings.compression, Compression::None);
        assert_eq!(settings.interval, Duration::from_secs(interval));
        assert_eq!(settings.queue_bytes, 5 * 256 * 1024);
        assert!(settings.headers.is_empty());
        assert!(settings.trusted_certificates.is_none());
    }
}

#[test]
fn the_signal_path_is_appended_to_the_general_endpoint_only() {
    let general = "OTEL_EXPORTER_OTLP_ENDPOINT";
    let own = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
    let protocol = "OTEL_EXPORTER_OTLP_PROTOCOL";
    let table: [(Variables<'_>, &str); 9] = [
        (&[(general, "http://c:4318")], "http://c:4318/v1/traces"),
        (&[(general, "http://c:4318/")], "http://c:4318/v1/traces"),
        (&[(general, "https://c/base")], "https://c/base/v1/traces"),
        (&[(general, "https://c/base/")], "https://c/base/v1/traces"),
        (&[(own, "http://c:4318")], "http://c:4318/"),
        (&[(own, "http://c:4318/mine")], "http://c:4318/mine"),
        (&[(own, "http://c/mine?tenant=7")], "http://c/mine?tenant=7"),
        (&[(own, "http://own:1/mine"), (general, "http://general:2")], "http://own:1/mine"),
        (&[(general, "http://c:4317"), (protocol, "grpc")], "http://c:4317/"),
    ];
    for (variables, expected) in table {
        assert_eq!(url(&started(variables).traces.unwrap()), expected, "{variables:?}");
    }
}

#[test]
fn one_signal_may_go_elsewhere_or_nowhere() {
    let settings = started(&[("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://m:1/x")]);
    assert!(settings.traces.is_none());
    assert_eq!(url(&settings.metrics.unwrap()), "http://m:1/x");

    let settings = with_endpoint(&[("OTEL_METRICS_EXPORTER", "none"), ("OTEL_TRACES_EXPORTER", "otlp")]);
    assert!(settings.metrics.is_none());
    assert_eq!(url(&settings.traces.unwrap()), "http://collector:4318/v1/traces");

    let settings = with_endpoint(&[
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1000"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "2500"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "none"),
    ]);
    let (traces, metrics) = (settings.traces.unwrap(), settings.metrics.unwrap());
    assert_eq!((traces.protocol, metrics.protocol), (Protocol::Grpc, Protocol::HttpProtobuf));
    assert_eq!((traces.timeout, metrics.timeout), (Duration::from_millis(2500), Duration::from_secs(1)));
    assert_eq!((traces.compression, metrics.compression), (Compression::None, Compression::Gzip));
    assert_eq!(url(&metrics), "http://collector:4318/v1/metrics");
}

#[test]
fn intervals_are_read() {
    let variables: Variables<'_> =
        &[("OTEL_BSP_SCHEDULE_DELAY", "200"), ("OTEL_METRIC_EXPORT_INTERVAL", " 15000 ")];
    assert_eq!(traces(variables).interval, Duration::from_millis(200));
    assert_eq!(metrics(variables).interval, Duration::from_secs(15));
}

#[test]
fn headers_are_decoded_and_the_signals_own_replace_the_general_ones() {
    let general = ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Basic%20YTpi=, x-tenant = seven ,,");
    let own = ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "x-key=1");
    let listed = |settings: SignalSettings| {
        let headers = settings.headers.to_map();
        let mut listed: Vec<String> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        assert!(headers.values().all(http::HeaderValue::is_sensitive));
        listed.sort();
        listed
    };
    assert_eq!(listed(traces(&[general, own])), ["authorization: Basic YTpi=", "x-tenant: seven"]);
    assert_eq!(listed(metrics(&[general, own])), ["x-key: 1"]);
}

#[test]
fn samplers_are_read() {
    let table: [(Variables<'_>, f64, bool); 9] = [
        (&[("OTEL_TRACES_SAMPLER", "always_on")], 1.0, false),
        (&[("OTEL_TRACES_SAMPLER", "always_off")], 0.0, false),
        (&[("OTEL_TRACES_SAMPLER", "traceidratio")], 1.0, false),
        (&[("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0.25")], 0.25, false),
        (&[("OTEL_TRACES_SAMPLER", "parentbased_always_on")], 1.0, true),
        (&[("OTEL_TRACES_SAMPLER", "parentbased_always_off")], 0.0, true),
        (&[("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0")], 0.0, true),
        (&[("OTEL_TRACES_SAMPLER", "always_on"), ("OTEL_TRACES_SAMPLER_ARG", "unused")], 1.0, false),
        (&[("OTEL_TRACES_SAMPLER_ARG", "0.5")], 1.0, true),
    ];
    for (variables, ratio, parent_based) in table {
        assert_eq!(with_endpoint(variables).sampler, Sampler { ratio, parent_based }, "{variables:?}");
    }
}

#[test]
fn the_resource_is_read() {
    let list = "OTEL_RESOURCE_ATTRIBUTES";
    let table: [(Variables<'_>, Option<&str>, Variables<'_>); 6] = [
        (&[], None, &[]),
        (
            &[(list, "a=1, b = two%20words ,c=x%2Cy=z,")],
            None,
            &[("a", "1"), ("b", "two words"), ("c", "x,y=z")],
        ),
        (&[(list, "a=1,b=2,a=3")], None, &[("b", "2"), ("a", "3")]),
        (&[(list, "service.name=listed,a=1")], Some("listed"), &[("a", "1")]),
        (&[(list, "service.name=listed,a="), ("OTEL_SERVICE_NAME", "named")], Some("named"), &[("a", "")]),
        (&[("OTEL_SERVICE_NAME", "named")], Some("named"), &[]),
    ];
    for (variables, name, attributes) in table {
        let resource = with_endpoint(variables).resource;
        assert_eq!(resource.service_name.as_deref(), name, "{variables:?}");
        let read: Vec<(&str, &str)> =
            resource.attributes.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(read, attributes, "{variables:?}");
    }
}

const PROPAGATORS: &str = "must be `tracecontext` or `tracecontext,baggage`: other formats are not read";
const LOGS_EXPORTER: &str = "must be `none` or `console`: log lines go to standard output and a file, from which a \
                             collector reads them";
const TEMPORALITY: &str = "must be `cumulative`: a collector can convert to delta";
const EXEMPLAR_FILTER: &str =
    "must be `trace_based` or `always_off`: a request outside the sample has no span";

#[test]
fn each_mistake_is_explained_without_its_value() {
    // Every invalid value contains this word, and no message may repeat it.
    const SECRET: &str = "hunter2";
    let table = [
        ("OTEL_SDK_DISABLED", "hunter2", "must be `true` or `false`"),
        ("OTEL_TRACES_EXPORTER", "hunter2", "must be `otlp` or `none`"),
        ("OTEL_METRICS_EXPORTER", "otlp,hunter2", "must be `otlp` or `none`"),
        (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "hunter2:4317",
            "must be a URL that starts with http:// or https://",
        ),
        (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "http://",
            "must be a URL that starts with http:// or https://",
        ),
        (
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
            "grpc://hunter2",
            "must be a URL that starts with http:// or https://",
        ),
        (
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
            "http://me:hunter2@collector",
            "must not contain a user or a password; put credentials into the headers variable",
        ),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "hunter2", "must be `grpc` or `http/protobuf`"),
        (
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
            "http/json",
            "asks for `http/json`, which is not supported; use `http/protobuf`, on the same port",
        ),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "fine=1,hunter2",
            "must be a list name=value,name=value; entry 2 has no `=`",
        ),
        (
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
            "hunter2 x=1",
            "has a name in entry 1 that is no valid header name",
        ),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "x=hunter2%0A",
            "has a value in entry 1 that is no valid header value",
        ),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "a=1,Content-Type=hunter2",
            "sets, in entry 2, a header that belongs to the transport; remove it",
        ),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "grpc-timeout=hunter2",
            "sets, in entry 1, a header that belongs to the transport; remove it",
        ),
        (
            "OTEL_EXPORTER_OTLP_TIMEOUT",
            "hunter2",
            "must be a whole number of milliseconds from 1 to 86400000",
        ),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0", "must be a whole number of milliseconds from 1 to 86400000"),
        ("OTEL_BSP_SCHEDULE_DELAY", "-5", "must be a whole number of milliseconds from 1 to 86400000"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "1.5", "must be a whole number of milliseconds from 1 to 86400000"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "hunter2", "must be `gzip` or `none`"),
        (
            "OTEL_EXPORTER_OTLP_CERTIFICATE",
            "/hunter2/absent.pem",
            "names a file that cannot be read (entity not found)",
        ),
        (
            "OTEL_TRACES_SAMPLER",
            "parentbased_hunter2",
            "must be `always_on`, `always_off`, `traceidratio`, or one of these after `parentbased_`",
        ),
        ("OTEL_PROPAGATORS", "tracecontext,hunter2", PROPAGATORS),
        ("OTEL_PROPAGATORS", "baggage", PROPAGATORS),
        ("OTEL_PROPAGATORS", "none", PROPAGATORS),
        ("OTEL_LOGS_EXPORTER", "otlp", LOGS_EXPORTER),
        ("OTEL_LOGS_EXPORTER", "hunter2", LOGS_EXPORTER),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "Delta", TEMPORALITY),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "lowmemory", TEMPORALITY),
        ("OTEL_METRICS_EXEMPLAR_FILTER", "always_on", EXEMPLAR_FILTER),
        ("OTEL_METRICS_EXEMPLAR_FILTER", "hunter2", EXEMPLAR_FILTER),
        (
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
            "/hunter2/client.pem",
            "needs its private key: name the file in OTEL_EXPORTER_OTLP_CLIENT_KEY",
        ),
        (
            "OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY",
            "/hunter2/client.key",
            "needs its certificate: name the file in OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
        ),
        ("OTEL_RESOURCE_ATTRIBUTES", "hunter2", "must be a list key=value,key=value"),
        ("OTEL_RESOURCE_ATTRIBUTES", "=hunter2", "must be a list key=value,key=value"),
        ("OTEL_RESOURCE_ATTRIBUTES", "hunter2=%ff", "must be UTF-8 once its percent-encoding is undone"),
    ];
    for (variable, value, problem) in table {
        let mistakes = read(&[ENDPOINT, (variable, value)]).err().unwrap();
        let messages: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        assert_eq!(messages, [format!("{variable} {problem}")]);
        assert!(!format!("{mistakes:?}").contains(SECRET));
    }
    for argument in ["2", "-0.1", "NaN", "hunter2"] {
        let mistakes =
            read(&[ENDPOINT, ("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", argument)]);
        assert_eq!(
            mistakes.err().unwrap()[0].to_string(),
            "OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1",
            "{argument}"
        );
    }
}

#[test]
fn a_grpc_endpoint_has_no_path() {
    for endpoint in ["http://c:4317/v1/traces", "http://c:4317/?a=b"] {
        let mistakes =
            read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]);
        assert_eq!(
            mistakes.err().unwrap()[0].to_string(),
            "OTEL_EXPORTER_OTLP_ENDPOINT must not have a path or a query when the protocol is `grpc`"
        );
    }
}

#[test]
fn a_certificate_file_must_hold_certificates() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("authority.pem");
    let path = file.to_str().unwrap();
    let table = [
        ("", "names a file without a certificate; it must hold PEM certificates"),
        ("not PEM", "names a file without a certificate; it must hold PEM certificates"),
        (
            "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n",
            "names a file with a malformed certificate; it must hold PEM certificates",
        ),
    ];
    for (content, problem) in table {
        std::fs::write(&file, content).unwrap();
        let mistakes = read(&[ENDPOINT, ("OTEL_EXPORTER_OTLP_CERTIFICATE", path)]).err().unwrap();
        assert_eq!(mistakes[0].problem, problem);
    }
}

#[test]
fn client_certificate_and_key_must_belong_together() {
    const CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE";
    const KEY: &str = "OTEL_EXPORTER_OTLP_CLIENT_KEY";
    const NO_KEY: &str = "names a file without a private key; it must hold an unencrypted key in PEM";
    let (one, other) = (OtlpSink::start_mutual(), OtlpSink::start_mutual());
    let ((certificate, key), (_, other_key)) =
        (one.client_identity().unwrap(), other.client_identity().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let table = [
        (certificate, key, None),
        ("", key, Some((CERTIFICATE, "names a file without a certificate; it must hold PEM certificates"))),
        (key, key, Some((CERTIFICATE, "names a file without a certificate; it must hold PEM certificates"))),
        (certificate, "", Some((KEY, NO_KEY))),
        (certificate, certificate, Some((KEY, NO_KEY))),
        (certificate, &encrypted, Some((KEY, NO_KEY))),
        (
            certificate,
            "-----BEGIN PRIVATE KEY-----\naGVsbG8=\n-----END PRIVATE KEY-----\n",
            Some((KEY, "names a file with a private key of an unknown kind")),
        ),
        (
            certificate,
            other_key,
            Some((KEY, "names a private key that does not belong to the client certificate")),
        ),
    ];
    for (certificate, key, expected) in table {
        std::fs::write(path("client.pem"), certificate).unwrap();
        std::fs::write(path("client.key"), key).unwrap();
        let read = read(&[ENDPOINT, (CERTIFICATE, &path("client.pem")), (KEY, &path("client.key"))]);
        let mistakes = read.err().unwrap_or_default();
        let mistakes: Vec<(&str, &str)> = mistakes.iter().map(|m| (m.variable, &*m.problem)).collect();
        assert_eq!(mistakes, expected.into_iter().collect::<Vec<_>>());
    }
    let absent = read(&[ENDPOINT, (CERTIFICATE, &path("client.pem")), (KEY, &path("absent.key"))]);
    assert_eq!(
        absent.err().unwrap()[0].to_string(),
        format!("{KEY} names a file that cannot be read (entity not found)")
    );
}

#[test]
fn closed_sets_are_read_in_any_case() {
    let settings = with_endpoint(&[
        ("OTEL_TRACES_EXPORTER", "OTLP"),
        ("OTEL_METRICS_EXPORTER", "None"),
        ("OTEL_LOGS_EXPORTER", "Console"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "GRPC"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "GZIP"),
        ("OTEL_TRACES_SAMPLER", "ParentBased_Always_Off"),
        ("OTEL_PROPAGATORS", "Baggage, TraceContext"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "Cumulative"),
        ("OTEL_METRICS_EXEMPLAR_FILTER", "Trace_Based"),
    ]);
    let traces = settings.traces.unwrap();
    assert!(settings.metrics.is_none());
    assert_eq!((traces.protocol, traces.compression), (Protocol::Grpc, Compression::Gzip));
    assert_eq!(settings.sampler, Sampler { ratio: 0.0, parent_based: true });
    assert!(settings.exemplars);
    assert!(!with_endpoint(&[("OTEL_METRICS_EXEMPLAR_FILTER", "always_off")]).exemplars);
}

/// Returns the names of the variables that are treated in one of these ways.
fn standard_names(treatments: &[Treatment]) -> BTreeSet<String> {
    let rows = STANDARD_VARIABLES.iter().filter(|row| treatments.contains(&row.treatment));
    rows.flat_map(|row| row.names).map(|name| (*name).to_owned()).collect()
}

#[test]
fn every_variable_of_the_specification_has_a_treatment() {
    let listed = include_str!("fixtures/specification_variables.txt");
    let specified: BTreeSet<String> =
        listed.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    assert_eq!(
        standard_names(&[Treatment::Honoured, Treatment::Refused, Treatment::WithoutEffect]),
        specified
    );
    let rows = STANDARD_VARIABLES.iter().map(|row| row.names.len()).sum::<usize>();
    assert_eq!(rows, specified.len(), "a variable stands in two rows");
}

#[test]
fn exactly_the_variables_that_have_an_effect_are_read() {
    let names = RefCell::new(BTreeSet::new());
    let set = [ENDPOINT, ("OTEL_TRACES_SAMPLER", "traceidratio")];
    OtlpSettings::from_variables(&|name| {
        names.borrow_mut().insert(name.to_owned());
        set.iter().find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned())
    })
    .unwrap();
    assert_eq!(names.into_inner(), standard_names(&[Treatment::Honoured, Treatment::Refused]));
}

#[test]
fn refused_variables_are_errors_even_without_an_endpoint() {
    for row in STANDARD_VARIABLES.iter().filter(|row| row.treatment == Treatment::Refused) {
        for name in row.names {
            let mistakes = read(&[(name, "hunter2")]).err().unwrap();
            let messages: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
            assert_eq!(messages, [format!("{name} {}", row.text)]);
            assert!(read(&[(name, " ")]).unwrap().is_none(), "{name} is empty, which means unset");
            assert!(read(&[(name, "x"), ("OTEL_SDK_DISABLED", "true")]).unwrap().is_none(), "{name}");
        }
    }
}

#[test]
fn what_a_fleet_sets_for_all_its_programs_ends_no_start_where_nothing_is_sent() {
    for variable in [
        ("OTEL_LOGS_EXPORTER", "otlp"),
        ("OTEL_PROPAGATORS", "none"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta"),
    ] {
        assert!(read(&[variable]).unwrap().is_none(), "{variable:?}");
        assert!(read(&[variable, ENDPOINT]).is_err(), "{variable:?}");
    }
}

#[test]
fn the_document_shows_the_table() {
    const BEGIN: &str = "<!-- Rendered from crates/telemetry/src/otlp/standard.rs -->\n";
    const END: &str = "<!-- End -->\n";
    let mut table = String::from("\n| variables | treatment | values, or why not |\n|---|---|---|\n");
    for row in STANDARD_VARIABLES {
        let names = row.names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let treatment = match row.treatment {
            Treatment::Honoured => "honoured",
            Treatment::Refused => "**refused**",
            Treatment::WithoutEffect => "without effect, because",
        };
        // Writing to a `String` cannot fail.
        let _ = writeln!(table, "| {names} | {treatment} | {} |", row.text);
    }
    table.push('\n');
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/OTLP.md");
    let document = std::fs::read_to_string(path).unwrap();
    let (head, rest) = document.split_once(BEGIN).unwrap();
    let (shown, tail) = rest.split_once(END).unwrap();
    if shown != table {
        let rendered = Path::new(env!("CARGO_TARGET_TMPDIR")).join("OTLP.md");
        std::fs::write(&rendered, [head, BEGIN, &table, END, tail].concat()).unwrap();
        panic!("docs/OTLP.md is not what the table says: copy {} there", rendered.display());
    }
}

#[test]
fn all_mistakes_are_reported_together_and_each_once() {
    let mistakes = read(&[
        ENDPOINT,
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "zip"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "often"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_RESOURCE_ATTRIBUTES", "none"),
    ]);
    let names: Vec<&str> = mistakes.err().unwrap().iter().map(|mistake| mistake.variable).collect();
    assert_eq!(
        names,
        [
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "OTEL_EXPORTER_OTLP_TIMEOUT",
            "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
            "OTEL_METRIC_EXPORT_INTERVAL",
            "OTEL_TRACES_SAMPLER",
            "OTEL_RESOURCE_ATTRIBUTES",
        ]
    );
}

#[test]
fn settings_show_neither_headers_nor_the_rest_of_an_endpoint() {
    let settings = started(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector.example:4318/hunter2?key=hunter2"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=hunter2"),
    ]);
    let shown = format!("{settings:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("https://collector.example:4318"), "{shown}");
}

#[test]
fn headers_may_be_made_without_variables() {
    assert!(SecretHeaders::parse("").unwrap().is_empty());
    assert!(!SecretHeaders::parse("a=b").unwrap().is_empty());
    assert!(SecretHeaders::parse("a").is_err());
}
