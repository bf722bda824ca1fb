//! Reads [`OtlpSettings`] from the standard `OTEL_*` variables.
//!
//! Rules that are stricter than the standard: without an endpoint nothing is sent, where the standard
//! would try a collector on this host. An invalid value is an error, where the standard would ignore
//! it with a warning. A timeout of 0, which means unlimited, is invalid: a collector that hangs would
//! stop the export.
//!
//! [`STANDARD_VARIABLES`] says which variables are read.

mod parse;

use std::borrow::Cow;
use std::path::Path;

use signal::builtin::Signal;

use self::parse::Parsed;
use super::certificates::IdentityError;
use super::settings::{
    Compression, Endpoint, OtlpSettings, Protocol, ResourceSettings, SettingError, SignalSettings,
};
use super::standard::{STANDARD_VARIABLES, Treatment};
use super::{ClientIdentity, SecretHeaders, TrustedCertificates};
use crate::Sampler;
use crate::histogram_aggregation::HistogramAggregation;

const DISABLED: &str = "OTEL_SDK_DISABLED";
const RESOURCE_ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";
const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
const PROPAGATORS: &str = "OTEL_PROPAGATORS";
const LOGS_EXPORTER: &str = "OTEL_LOGS_EXPORTER";
const TEMPORALITY: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
const EXEMPLAR_FILTER: &str = "OTEL_METRICS_EXEMPLAR_FILTER";
const HISTOGRAMS: &str = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION";

/// Variables that exist in a general form and once for each signal.
struct ExporterVariables {
    endpoint: &'static str,
    headers: &'static str,
    protocol: &'static str,
    timeout: &'static str,
    compression: &'static str,
    certificate: &'static str,
    client_certificate: &'static str,
    client_key: &'static str,
}

const GENERAL: ExporterVariables = ExporterVariables {
    endpoint: "OTEL_EXPORTER_OTLP_ENDPOINT",
    headers: "OTEL_EXPORTER_OTLP_HEADERS",
    protocol: "OTEL_EXPORTER_OTLP_PROTOCOL",
    timeout: "OTEL_EXPORTER_OTLP_TIMEOUT",
    compression: "OTEL_EXPORTER_OTLP_COMPRESSION",
    certificate: "OTEL_EXPORTER_OTLP_CERTIFICATE",
    client_certificate: "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
    client_key: "OTEL_EXPORTER_OTLP_CLIENT_KEY",
};

/// The names that differ between the signals.
struct SignalVariables {
    signal: Signal,
    exporter: &'static str,
    interval: &'static str,
    http_path: &'static str,
    own: ExporterVariables,
}

const TRACES: SignalVariables = SignalVariables {
    signal: Signal::Traces,
    exporter: "OTEL_TRACES_EXPORTER",
    interval: "OTEL_BSP_SCHEDULE_DELAY",
    http_path: "/v1/traces",
    own: ExporterVariables {
        endpoint: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        headers: "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
        protocol: "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        timeout: "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
        compression: "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
        certificate: "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
        client_certificate: "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
        client_key: "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY",
    },
};

const METRICS: SignalVariables = SignalVariables {
    signal: Signal::Metrics,
    exporter: "OTEL_METRICS_EXPORTER",
    interval: "OTEL_METRIC_EXPORT_INTERVAL",
    http_path: "/v1/metrics",
    own: ExporterVariables {
        endpoint: "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
        headers: "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
        protocol: "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
        timeout: "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
        compression: "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION",
        certificate: "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE",
        client_certificate: "OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE",
        client_key: "OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY",
    },
};

impl OtlpSettings {
    /// Reads the variables and reports all errors together.
    ///
    /// Returns `None` if nothing is to be started: no endpoint is configured, every exporter is
    /// `none`, or `OTEL_SDK_DISABLED` is `true`, in which case no other variable is read.
    pub fn from_variables(
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, Vec<SettingError>> {
        let mut reader = Reader { variable, mistakes: Vec::new() };
        if reader.disabled() {
            return Ok(None);
        }
        reader.refuse();
        let traces = reader.signal(&TRACES);
        let metrics = reader.signal(&METRICS);
        let nothing_wanted = traces.is_none() && metrics.is_none();
        // A fleet may set the others for all its programs, and nothing depends on them here.
        if nothing_wanted && reader.mistakes.is_empty() {
            return Ok(None);
        }
        reader.check_fixed();
        let exemplar_filter = reader.get(EXEMPLAR_FILTER);
        let exemplars = reader.word(exemplar_filter, true, parse::exemplar_filter);
        let histograms = reader.histograms();
        let sampler = reader.sampler();
        let resource = reader.resource();
        if reader.mistakes.is_empty() {
            Ok(Some(Self { traces, metrics, histograms, sampler, exemplars, resource }))
        } else {
            Err(reader.mistakes)
        }
    }
}

/// A variable with a non-empty value.
struct Setting {
    name: &'static str,
    value: String,
}

struct Reader<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
    mistakes: Vec<SettingError>,
}

impl Reader<'_> {
    /// Reads a variable. An empty value means the same as none, as the standard demands.
    fn get(&self, name: &'static str) -> Option<Setting> {
        let value = (self.variable)(name)?.trim().to_owned();
        (!value.is_empty()).then_some(Setting { name, value })
    }

    /// Returns the signal's own variable, or else the general one.
    fn either(&self, own: &'static str, general: &'static str) -> Option<Setting> {
        self.get(own).or_else(|| self.get(general))
    }

    fn mistake(&mut self, variable: &'static str, problem: impl Into<Cow<'static, str>>) {
        let mistake = SettingError { variable, problem: problem.into() };
        // Both signals read the general variables, but each error is reported once.
        if !self.mistakes.contains(&mistake) {
            self.mistakes.push(mistake);
        }
    }

    /// Parses a setting with a closed set of values, in any case. Returns the default if it is absent
    /// or invalid.
    fn word<T>(&mut self, setting: Option<Setting>, default: T, parse: impl FnOnce(&str) -> Parsed<T>) -> T {
        let setting =
            setting.map(|Setting { name, value }| Setting { name, value: value.to_ascii_lowercase() });
        self.parsed(setting, default, parse)
    }

    /// Parses the setting. Returns the default if it is absent or invalid.
    fn parsed<T>(
        &mut self,
        setting: Option<Setting>,
        default: T,
        parse: impl FnOnce(&str) -> Parsed<T>,
    ) -> T {
        let Some(Setting { name, value }) = setting else { return default };
        parse(&value).unwrap_or_else(|problem| {
            self.mistake(name, problem);
            default
        })
    }

    fn disabled(&mut self) -> bool {
        let setting = self.get(DISABLED);
        self.word(setting, false, |value| match value {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err("must be `true` or `false`".into()),
        })
    }

    /// Reports variables that are not supported at all.
    fn refuse(&mut self) {
        for row in STANDARD_VARIABLES.iter().filter(|row| row.treatment == Treatment::Refused) {
            for name in row.names {
                if self.get(name).is_some() {
                    self.mistake(name, row.text);
                }
            }
        }
    }

    /// Checks variables that can only ask for the present behavior.
    fn check_fixed(&mut self) {
        for (name, parse) in [
            (LOGS_EXPORTER, parse::logs_exporter as fn(&str) -> Parsed<()>),
            (PROPAGATORS, parse::propagators),
            (TEMPORALITY, parse::temporality),
        ] {
            let setting = self.get(name);
            self.word(setting, (), parse);
        }
    }

    /// Reads certificate and key that a collector may ask for. One is useless without the other.
    fn identity(&mut self, own: &ExporterVariables) -> Option<ClientIdentity> {
        let certificate = self.either(own.client_certificate, GENERAL.client_certificate);
        let key = self.either(own.client_key, GENERAL.client_key);
        let (certificate, key) = match (certificate, key) {
            (Some(certificate), Some(key)) => (certificate, key),
            (None, None) => return None,
            (Some(certificate), None) => {
                let problem = "needs its private key: name the file in OTEL_EXPORTER_OTLP_CLIENT_KEY";
                self.mistake(certificate.name, problem);
                return None;
            }
            (None, Some(key)) => {
                let problem = "needs its certificate: name the file in OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE";
                self.mistake(key.name, problem);
                return None;
            }
        };
        match ClientIdentity::read(Path::new(&certificate.value), Path::new(&key.value)) {
            Ok(identity) => return Some(identity),
            Err(IdentityError::Certificate(problem)) => self.mistake(certificate.name, problem),
            Err(IdentityError::Key(problem)) => self.mistake(key.name, problem),
        }
        None
    }

    fn signal(&mut self, names: &SignalVariables) -> Option<SignalSettings> {
        let exporter = self.get(names.exporter);
        let exported = self.word(exporter, true, |value| match value {
            "otlp" => Ok(true),
            "none" => Ok(false),
            _ => Err("must be `otlp` or `none`".into()),
        });
        if !exported {
            return None;
        }
        let own_endpoint = self.get(names.own.endpoint);
        let is_general = own_endpoint.is_none();
        let Setting { name: endpoint_name, value: endpoint } =
            own_endpoint.or_else(|| self.get(GENERAL.endpoint))?;

        let protocol = self.either(names.own.protocol, GENERAL.protocol);
        let protocol = self.word(protocol, Protocol::HttpProtobuf, parse::protocol);
        let headers = self.either(names.own.headers, GENERAL.headers);
        let headers =
            self.parsed(headers, SecretHeaders::default(), |value| Ok(SecretHeaders::parse(value)?));
        let timeout = self.either(names.own.timeout, GENERAL.timeout);
        let timeout = self.parsed(timeout, None, parse::milliseconds);
        let compression = self.either(names.own.compression, GENERAL.compression);
        let compression = self.word(compression, Compression::None, parse::compression);
        let certificate = self.either(names.own.certificate, GENERAL.certificate);
        let trusted_certificates =
            self.parsed(certificate, None, |value| Ok(Some(TrustedCertificates::read(Path::new(value))?)));
        let client_identity = self.identity(&names.own);
        let interval = self.get(names.interval);
        let interval = self.parsed(interval, None, parse::milliseconds);

        let endpoint = match Endpoint::parse(&endpoint) {
            Ok(endpoint) if protocol == Protocol::Grpc && endpoint.has_path() => {
                self.mistake(endpoint_name, "must not have a path or a query when the protocol is `grpc`");
                return None;
            }
            Ok(endpoint) if protocol == Protocol::HttpProtobuf && is_general => {
                endpoint.below(names.http_path)
            }
            Ok(endpoint) => endpoint,
            Err(problem) => {
                self.mistake(endpoint_name, problem);
                return None;
            }
        };
        let defaults = SignalSettings::new(names.signal, endpoint, protocol);
        Some(SignalSettings {
            headers,
            timeout: timeout.unwrap_or(defaults.timeout),
            compression,
            trusted_certificates,
            client_identity,
            interval: interval.unwrap_or(defaults.interval),
            ..defaults
        })
    }

    fn histograms(&mut self) -> HistogramAggregation {
        let setting = self.get(HISTOGRAMS);
        self.word(setting, HistogramAggregation::default(), |value| match value {
            "base2_exponential_bucket_histogram" => Ok(HistogramAggregation::Exponential),
            "explicit_bucket_histogram" => Ok(HistogramAggregation::Explicit),
            _ => Err("must be `base2_exponential_bucket_histogram` or `explicit_bucket_histogram`".into()),
        })
    }

    fn sampler(&mut self) -> Sampler {
        let Some(setting) = self.get(SAMPLER) else { return Sampler::default() };
        let name = setting.value.to_ascii_lowercase();
        let (parent_based, kind) = match name.strip_prefix("parentbased_") {
            Some(kind) => (true, kind),
            None => (false, name.as_str()),
        };
        let ratio = match kind {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => {
                let argument = self.get(SAMPLER_ARGUMENT);
                self.parsed(argument, 1.0, parse::ratio)
            }
            _ => {
                self.mistake(
                    SAMPLER,
                    "must be `always_on`, `always_off`, `traceidratio`, or one of these after `parentbased_`",
                );
                1.0
            }
        };
        Sampler { ratio, parent_based }
    }

    fn resource(&mut self) -> ResourceSettings {
        let list = self.get(RESOURCE_ATTRIBUTES);
        let mut attributes = self.parsed(list, Vec::new(), parse::attributes);
        let listed_name = attributes
            .iter()
            .position(|(key, _)| key == "service.name")
            .map(|position| attributes.remove(position).1);
        let service_name = self.get(SERVICE_NAME).map(|setting| setting.value).or(listed_name);
        ResourceSettings { service_name, attributes }
    }
}
