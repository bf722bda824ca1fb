//! Units of values.

use serde::Serialize;

/// Unit of a value; serialized as Grafana's name for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Unit {
    /// A count, abbreviated to thousands and millions.
    #[serde(rename = "short")]
    Count,
    /// A number without abbreviation.
    #[serde(rename = "none")]
    Plain,
    /// A duration in seconds.
    #[serde(rename = "s")]
    Seconds,
    /// An age in seconds, shown in words.
    #[serde(rename = "dtdurations")]
    Age,
    /// A fraction between 0 and 1, shown in percent.
    #[serde(rename = "percentunit")]
    Share,
    /// A size in bytes.
    #[serde(rename = "bytes")]
    Bytes,
    /// Throughput in bytes per second.
    #[serde(rename = "binBps")]
    BytesPerSecond,
    /// Throughput in requests per second.
    #[serde(rename = "reqps")]
    RequestsPerSecond,
    /// A rate in events per second.
    #[serde(rename = "ops")]
    PerSecond,
    /// Number of busy CPUs.
    #[serde(rename = "suffix: CPU")]
    Cpus,
}
