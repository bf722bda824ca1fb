//! Parsers of single values. Their errors are sentences for the operator and never quote the value.

use std::borrow::Cow;
use std::time::Duration;

use percent_encoding::percent_decode_str;

use crate::otlp::{Compression, Protocol};

const LONGEST_MILLISECONDS: u64 = 24 * 60 * 60 * 1000;

/// A value, or the problem with it.
pub(super) type Parsed<T> = Result<T, Cow<'static, str>>;

pub(super) fn protocol(value: &str) -> Parsed<Protocol> {
    match value {
        "grpc" => Ok(Protocol::Grpc),
        "http/protobuf" => Ok(Protocol::HttpProtobuf),
        "http/json" => {
            Err("asks for `http/json`, which is not supported; use `http/protobuf`, on the same port".into())
        }
        _ => Err("must be `grpc` or `http/protobuf`".into()),
    }
}

pub(super) fn compression(value: &str) -> Parsed<Compression> {
    match value {
        "gzip" => Ok(Compression::Gzip),
        "none" => Ok(Compression::None),
        _ => Err("must be `gzip` or `none`".into()),
    }
}

pub(super) fn milliseconds(value: &str) -> Parsed<Option<Duration>> {
    value
        .parse()
        .ok()
        .filter(|milliseconds| (1..=LONGEST_MILLISECONDS).contains(milliseconds))
        .map(|milliseconds| Some(Duration::from_millis(milliseconds)))
        .ok_or_else(|| {
            format!("must be a whole number of milliseconds from 1 to {LONGEST_MILLISECONDS}").into()
        })
}

/// Returns whether exemplars are kept.
pub(super) fn exemplar_filter(value: &str) -> Parsed<bool> {
    match value {
        "trace_based" => Ok(true),
        "always_off" => Ok(false),
        _ => Err("must be `trace_based` or `always_off`: a request outside the sample has no span".into()),
    }
}

pub(super) fn propagators(list: &str) -> Parsed<()> {
    let names: Vec<&str> = list.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let is_known = |name: &&str| ["tracecontext", "baggage"].contains(name);
    if names.contains(&"tracecontext") && names.iter().all(is_known) {
        Ok(())
    } else {
        Err("must be `tracecontext` or `tracecontext,baggage`: other formats are not read".into())
    }
}

pub(super) fn logs_exporter(value: &str) -> Parsed<()> {
    match value {
        "none" | "console" => Ok(()),
        _ => Err("must be `none` or `console`: log lines go to standard output and a file, from which a \
                  collector reads them"
            .into()),
    }
}

pub(super) fn temporality(value: &str) -> Parsed<()> {
    match value {
        "cumulative" => Ok(()),
        _ => Err("must be `cumulative`: a collector can convert to delta".into()),
    }
}

pub(super) fn ratio(value: &str) -> Parsed<f64> {
    value
        .parse()
        .ok()
        .filter(|ratio| (0.0..=1.0).contains(ratio))
        .ok_or_else(|| "must be a number from 0 to 1".into())
}

/// Parses `key=value` pairs. The last value of a repeated key wins.
pub(super) fn attributes(list: &str) -> Parsed<Vec<(String, String)>> {
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
