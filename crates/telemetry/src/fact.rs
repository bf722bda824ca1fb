//! Business facts: user actions, counted and logged by one call.

use signal::metric::{Carrier, CounterMetric, LabelSet, MetricDescription};
use signal::{ClosedSet, Level};

use crate::attribute::Attributes;
use crate::meter::Counter;
use crate::{Telemetry, current, json};

/// One kind of fact: a counter and a log event of the same name.
pub struct Fact<L = ()> {
    telemetry: Telemetry,
    event: &'static str,
    counter: Counter<L>,
}

impl<L: LabelSet> Fact<L> {
    /// Creates the counter. The event has the counter's name.
    ///
    /// # Panics
    /// Panics if the metric was not declared as that of a fact: the allow-list would lack its labels.
    pub fn new(telemetry: &Telemetry, metric: &CounterMetric<L>) -> Self {
        let MetricDescription { name, carrier, .. } = metric.description();
        assert_eq!(carrier, Carrier::Lines, "{name} is not declared by CounterMetric::fact");
        let counter = telemetry.meter().counter(metric);
        Self { telemetry: telemetry.clone(), event: name, counter }
    }

    /// Increments the counter and writes one line, with the ids from `describe` and those of the
    /// current operation.
    ///
    /// It neither fails nor waits, so it can be called between a commit and the response.
    pub fn happened(&self, labels: L, describe: impl FnOnce(&mut Attributes)) {
        self.happened_at(Level::Info, labels, describe);
    }

    /// Like [`happened`](Self::happened), at another level, for facts that may need somebody's
    /// attention.
    pub fn happened_at(&self, level: Level, labels: L, describe: impl FnOnce(&mut Attributes)) {
        self.counter.add(labels, 1);
        let mut attributes = Attributes::default();
        describe(&mut attributes);
        self.telemetry.write_line(level, |out| {
            out.extend_from_slice(b"Z\",\"level\":\"");
            out.extend_from_slice(level.as_str().as_bytes());
            out.push(b'"');
            json::key(out, "event");
            json::string(out, self.event);
            write_current_context(out);
            for (key, value) in labels.pairs() {
                json::key(out, key);
                json::string(out, value);
            }
            attributes.write_json(out);
        });
    }

    /// Returns the counter's value for these labels.
    pub fn count(&self, labels: L) -> u64 {
        self.counter.value(labels)
    }
}

/// Appends the trace and span id of the current operation.
pub(crate) fn write_current_context(out: &mut Vec<u8>) {
    if let Some(context) = current::context() {
        out.extend_from_slice(b",\"trace_id\":\"");
        json::hex(out, &context.trace_id.0);
        out.extend_from_slice(b"\",\"span_id\":\"");
        json::hex(out, &context.span_id.0);
        out.push(b'"');
    }
}
