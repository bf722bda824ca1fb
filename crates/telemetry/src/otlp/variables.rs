//! Reads [`OtlpSettings`] from the standard `OTEL_*` variables.
//!
//! Two rules are stricter than the standard. Without an endpoint nothing is sent, where the
//! standard would try a collector on this host. An invalid value is an error, where the standard
//! would ignore it with a warning.
//!
//! Variables for things that do not exist here are not read: queue and batch sizes of the standard
//! SDK (ours are bounded in bytes), timeouts of its processors (a request has one timeout), client
//! certificates, and everything about logs, which are lines on standard output.

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

use percent_encoding::percent_decode_str;

use super::SecretHeaders;
use super::settings::{
    Compression, Endpoint, OtlpSettings, Protocol, ResourceSettings, SettingError, SignalSettings,
    TrustedCertificates,
};
use crate::Sampler;
use crate::builtin::Signal;

const DISABLED: &str = "OTEL_SDK_DISABLED";
const RESOURCE_ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";
const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
const LONGEST_MILLISECONDS: u64 = 24 * 60 * 60 * 1000;

/// Variables that exist in a general form and once for each signal.
struct ExporterVariables {
    endpoint: &'static str,
    headers: &'static str,
    protocol: &'static str,
    timeout: &'static str,
    compression: &'static str,
    certificate: &'static str,
}

const GENERAL: ExporterVariables = ExporterVariables {
    endpoint: "OTEL_EXPORTER_OTLP_ENDPOINT",
    headers: "OTEL_EXPORTER_OTLP_HEADERS",
    protocol: "OTEL_EXPORTER_OTLP_PROTOCOL",
    timeout: "OTEL_EXPORTER_OTLP_TIMEOUT",
    compression: "OTEL_EXPORTER_OTLP_COMPRESSION",
    certificate: "OTEL_EXPORTER_OTLP_CERTIFICATE",
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
        let traces = reader.signal(&TRACES);
        let metrics = reader.signal(&METRICS);
        let nothing_wanted = traces.is_none() && metrics.is_none();
        if nothing_wanted && reader.mistakes.is_empty() {
            return Ok(None);
        }
        let sampler = reader.sampler();
        let resource = reader.resource();
        if reader.mistakes.is_empty() {
            Ok(Some(Self { traces, metrics, sampler, resource }))
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

    /// Parses the setting. Returns the default if it is absent or invalid.
    fn parsed<T>(
        &mut self,
        setting: Option<Setting>,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, Cow<'static, str>>,
    ) -> T {
        let Some(Setting { name, value }) = setting else { return default };
        parse(&value).unwrap_or_else(|problem| {
            self.mistake(name, problem);
            default
        })
    }

    fn disabled(&mut self) -> bool {
        let setting = self.get(DISABLED);
        self.parsed(setting, false, |value| match value.to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err("must be `true` or `false`".into()),
        })
    }

    fn signal(&mut self, names: &SignalVariables) -> Option<SignalSettings> {
        let exporter = self.get(names.exporter);
        let exported = self.parsed(exporter, true, |value| match value {
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
        let protocol = self.parsed(protocol, Protocol::HttpProtobuf, parse_protocol);
        let headers = self.either(names.own.headers, GENERAL.headers);
        let headers =
            self.parsed(headers, SecretHeaders::default(), |value| Ok(SecretHeaders::parse(value)?));
        let timeout = self.either(names.own.timeout, GENERAL.timeout);
        let timeout = self.parsed(timeout, None, parse_milliseconds);
        let compression = self.either(names.own.compression, GENERAL.compression);
        let compression = self.parsed(compression, Compression::None, parse_compression);
        let certificate = self.either(names.own.certificate, GENERAL.certificate);
        let trusted_certificates =
            self.parsed(certificate, None, |value| Ok(Some(TrustedCertificates::read(Path::new(value))?)));
        let interval = self.get(names.interval);
        let interval = self.parsed(interval, None, parse_milliseconds);

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
            interval: interval.unwrap_or(defaults.interval),
            ..defaults
        })
    }

    fn sampler(&mut self) -> Sampler {
        let Some(Setting { value: name, .. }) = self.get(SAMPLER) else { return Sampler::default() };
        let (parent_based, kind) = match name.strip_prefix("parentbased_") {
            Some(kind) => (true, kind),
            None => (false, name.as_str()),
        };
        let ratio = match kind {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => {
                let argument = self.get(SAMPLER_ARGUMENT);
                self.parsed(argument, 1.0, parse_ratio)
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
        let mut attributes = self.parsed(list, Vec::new(), parse_attributes);
        let listed_name = attributes
            .iter()
            .position(|(key, _)| key == "service.name")
            .map(|position| attributes.remove(position).1);
        let service_name = self.get(SERVICE_NAME).map(|setting| setting.value).or(listed_name);
        ResourceSettings { service_name, attributes }
    }
}

fn parse_protocol(value: &str) -> Result<Protocol, Cow<'static, str>> {
    match value {
        "grpc" => Ok(Protocol::Grpc),
        "http/protobuf" => Ok(Protocol::HttpProtobuf),
        "http/json" => {
            Err("asks for `http/json`, which is not supported; use `http/protobuf`, on the same port".into())
        }
        _ => Err("must be `grpc` or `http/protobuf`".into()),
    }
}

fn parse_compression(value: &str) -> Result<Compression, Cow<'static, str>> {
    match value {
        "gzip" => Ok(Compression::Gzip),
        "none" => Ok(Compression::None),
        _ => Err("must be `gzip` or `none`".into()),
    }
}

fn parse_milliseconds(value: &str) -> Result<Option<Duration>, Cow<'static, str>> {
    value
        .parse()
        .ok()
        .filter(|milliseconds| (1..=LONGEST_MILLISECONDS).contains(milliseconds))
        .map(|milliseconds| Some(Duration::from_millis(milliseconds)))
        .ok_or_else(|| {
            format!("must be a whole number of milliseconds from 1 to {LONGEST_MILLISECONDS}").into()
        })
}

fn parse_ratio(value: &str) -> Result<f64, Cow<'static, str>> {
    value
        .parse()
        .ok()
        .filter(|ratio| (0.0..=1.0).contains(ratio))
        .ok_or_else(|| "must be a number from 0 to 1".into())
}

/// Parses `key=value` pairs. The last value of a repeated key wins.
fn parse_attributes(list: &str) -> Result<Vec<(String, String)>, Cow<'static, str>> {
    let mut attributes: Vec<(String, String)> = Vec::new();
    for entry in list.split(',').filter(|entry| !entry.trim().is_empty()) {
        let (key, value) = entry
            .split_once('=')
            .filter(|(key, _)| !key.trim().is_empty())
            .ok_or("must be a list key=value,key=value")?;
        let [key, value] = [key, value].map(|text| percent_decode_str(text.trim()).decode_utf8());
        let (Ok(key), Ok(value)) = (key, value) else {
            return Err("must be UTF-8 once its percent-encoding is undone".into());
        };
        attributes.retain(|(earlier, _)| *earlier != key);
        attributes.push((key.into_owned(), value.into_owned()));
    }
    Ok(attributes)
}
