//! Business facts: something that users did, counted and logged by one call.

use crate::attribute::Attributes;
use crate::catalogue::{CounterMetric, LabelSet};
use crate::log::Level;
use crate::meter::Counter;
use crate::{ClosedSet, Telemetry, current, json};

/// One kind of fact: a counter and a log event of the same name.
pub struct Fact<L = ()> {
    telemetry: Telemetry,
    event: &'static str,
    counter: Counter<L>,
}

impl<L: LabelSet> Fact<L> {
    /// Builds the counter; the event has the counter's name.
    pub fn new(telemetry: &Telemetry, metric: &CounterMetric<L>) -> Self {
        let counter = telemetry.meter().counter(metric);
        Self { telemetry: telemetry.clone(), event: metric.description().name, counter }
    }

    /// Counts one and writes one line, with the ids that describe it and those of the current operation.
    ///
    /// It neither fails nor waits, so it is called between a commit and the response.
    pub fn happened(&self, labels: L, describe: impl FnOnce(&mut Attributes)) {
        self.happened_at(Level::Info, labels, describe);
    }

    /// The same for a fact that somebody may have to look at.
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
            out.extend_from_slice(b"}\n");
        });
    }

    /// How often it happened.
    pub fn count(&self, labels: L) -> u64 {
        self.counter.value(labels)
    }
}

/// Appends the ids of the span that this thread is working on.
pub(crate) fn write_current_context(out: &mut Vec<u8>) {
    if let Some(context) = current::context() {
        out.extend_from_slice(b",\"trace_id\":\"");
        json::hex(out, &context.trace_id.0);
        out.extend_from_slice(b"\",\"span_id\":\"");
        json::hex(out, &context.span_id.0);
        out.push(b'"');
    }
}
