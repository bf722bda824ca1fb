//! Instrumentation scopes: the subsystem that records a span or a metric. Those of requests, calls,
//! the process and the pipeline belong to `telemetry` itself.

use signal::InstrumentationScope;
use signal::instrumentation_scope::{HTTP_CLIENT, HTTP_SERVER, PIPELINE, PROCESS, ScopesOfMetrics};

const FIRST: u8 = InstrumentationScope::FIRST_OF_PROGRAM;

/// Statements, transactions and the pool of connections.
pub const DATABASE: InstrumentationScope = InstrumentationScope::new(FIRST, "socialize.database");
/// Background jobs and the loops that run them.
pub const QUEUE: InstrumentationScope = InstrumentationScope::new(FIRST + 1, "socialize.queue");
/// Deliveries to the mail server.
pub const EMAIL: InstrumentationScope = InstrumentationScope::new(FIRST + 2, "socialize.email");
/// The store of uploaded files.
pub const BLOBS: InstrumentationScope = InstrumentationScope::new(FIRST + 3, "socialize.blobs");
/// The state of the process and its dependencies.
pub const RUNTIME: InstrumentationScope = InstrumentationScope::new(FIRST + 4, "socialize.runtime");
/// Business facts, and the gauges that are sampled from the database.
pub const USAGE: InstrumentationScope = InstrumentationScope::new(FIRST + 5, "socialize.usage");

/// Every scope under which spans and metrics are sent.
pub const ALL: [InstrumentationScope; 10] =
    [PIPELINE, HTTP_SERVER, HTTP_CLIENT, PROCESS, DATABASE, QUEUE, EMAIL, BLOBS, RUNTIME, USAGE];

/// Scopes of metrics by the beginnings of their names.
pub const OF_METRICS: ScopesOfMetrics = &[
    ("db.", DATABASE),
    ("socialize.job.", QUEUE),
    ("socialize.loop.", QUEUE),
    ("socialize.email", EMAIL),
    ("socialize.blob.", BLOBS),
    ("socialize.build.", RUNTIME),
    ("socialize.dependency.", RUNTIME),
    ("socialize.disk.", RUNTIME),
    ("socialize.heartbeat.", RUNTIME),
    ("socialize.runtime.", RUNTIME),
    ("socialize.start.", RUNTIME),
    ("socialize.", USAGE),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use signal::instrumentation_scope::of_metric;

    use super::*;

    #[test]
    fn every_metric_has_a_scope_and_every_scope_a_metric() {
        let metrics = crate::metrics::all();
        let names: HashSet<&str> = ALL.map(InstrumentationScope::name).into();
        assert_eq!(names.len(), ALL.len());
        let used: HashSet<&str> =
            metrics.iter().map(|metric| of_metric(metric.name, OF_METRICS).name()).collect();
        for scope in ALL {
            assert!(used.contains(scope.name()), "{}", scope.name());
        }
        for (beginning, _) in OF_METRICS {
            assert!(metrics.iter().any(|metric| metric.name.starts_with(beginning)), "{beginning}");
        }
    }
}
