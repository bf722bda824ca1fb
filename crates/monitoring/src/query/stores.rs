//! Queries for log lines in Loki and for spans in Tempo, from the names of events, fields and values.

use telemetry::catalogue::{Label, prometheus_label};
use telemetry::log::Level;

/// The label that every line and span of Socialize has, as the collector sends it.
const NAMESPACE: &str = "socialize";

/// A query in LogQL.
#[derive(Clone, Debug)]
pub struct Lines(String);

/// The log lines of one event. The stored line is the event's name; all else is structured metadata.
pub fn lines(event: &'static str) -> Lines {
    Lines(format!("{{service_namespace=\"{NAMESPACE}\"}} |= `{event}`"))
}

/// The log lines of all events.
pub fn all_lines() -> Lines {
    Lines(format!("{{service_namespace=\"{NAMESPACE}\"}}"))
}

impl Lines {
    /// Only lines with this value.
    #[must_use]
    pub fn is<A: Label>(self, value: A) -> Self {
        self.matching(A::KEY, "=", value.as_str())
    }

    /// Only lines without this value.
    #[must_use]
    pub fn is_not<A: Label>(self, value: A) -> Self {
        self.matching(A::KEY, "!=", value.as_str())
    }

    /// Only lines that are at least so serious.
    #[must_use]
    pub fn at_least(self, level: Level) -> Self {
        Self(format!("{} | severity_number >= {}", self.0, level.severity_number()))
    }

    fn matching(self, key: &str, operator: &str, value: &str) -> Self {
        Self(format!("{} | {}{operator}`{value}`", self.0, prometheus_label(key)))
    }

    /// The expression.
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// A query in TraceQL.
#[derive(Clone, Debug)]
pub struct Spans(Vec<String>);

/// The spans of Socialize.
pub fn spans() -> Spans {
    Spans(vec![format!("resource.service.namespace=\"{NAMESPACE}\"")])
}

impl Spans {
    /// Only those that answer requests.
    #[must_use]
    pub fn of_requests(self) -> Self {
        self.with("kind=server".to_owned())
    }

    /// Only those that failed.
    #[must_use]
    pub fn failed(self) -> Self {
        self.with("status=error".to_owned())
    }

    /// Only those that took longer than so many milliseconds.
    #[must_use]
    pub fn longer_than(self, milliseconds: u64) -> Self {
        self.with(format!("duration>{milliseconds}ms"))
    }

    /// Only spans with this value.
    #[must_use]
    pub fn is<A: Label>(self, value: A) -> Self {
        self.with(format!("span.{}=\"{}\"", A::KEY, value.as_str()))
    }

    fn with(mut self, condition: String) -> Self {
        self.0.push(condition);
        self
    }

    /// The expression.
    pub fn text(&self) -> String {
        format!("{{{}}}", self.0.join(" && "))
    }
}

#[cfg(test)]
mod tests {
    use domain::events;
    use domain::labels::JobKind;
    use telemetry::JobOutcome;

    use super::*;

    #[test]
    fn lines_are_chosen_by_event_field_and_severity() {
        let dead =
            lines(events::JOB_RUN).is(JobOutcome::Dead).is_not(JobKind::SendEmail).at_least(Level::Warn);
        assert_eq!(
            dead.text(),
            r#"{service_namespace="socialize"} |= `job.run` | outcome=`dead` | job_kind!=`send_email` | severity_number >= 13"#
        );
    }

    #[test]
    fn spans_are_chosen_by_attribute_and_duration() {
        assert_eq!(
            spans().of_requests().failed().longer_than(1000).text(),
            r#"{resource.service.namespace="socialize" && kind=server && status=error && duration>1000ms}"#
        );
        assert_eq!(
            spans().is(JobKind::SendEmail).text(),
            r#"{resource.service.namespace="socialize" && span.job.kind="send_email"}"#
        );
    }
}
