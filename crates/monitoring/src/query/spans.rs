//! Queries for spans, rendered to TraceQL.

use std::fmt;

use signal::metric::Label;

use super::choice::Choice;
use super::expression::MatchOperator;
use super::labels::{Environment, LabelName, Route};

/// TraceQL condition for the application's spans.
const APPLICATION_SPANS: &str = "resource.service.namespace=\"socialize\"";

/// A query for traces with a span for which all conditions hold, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spans {
    conditions: Vec<SpanCondition>,
    environment: Option<&'static str>,
}

/// A test that a span must pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpanCondition {
    /// The span is an incoming request.
    IsRequest,
    /// The span is a job run.
    IsJob,
    /// The span belongs to the trace with this id, which may be a Grafana variable.
    Trace(String),
    /// The span has the status `error`.
    Failed,
    /// The span took longer than this many milliseconds.
    LongerThan(u64),
    /// A comparison of an attribute. A span without the attribute never matches.
    Attribute {
        /// Name of the attribute.
        name: &'static str,
        /// The comparison.
        operator: MatchOperator,
        /// A value, a regular expression, or a variable of Grafana.
        value: String,
    },
}

/// Selects all spans of Socialize.
pub fn spans() -> Spans {
    Spans { conditions: Vec::new(), environment: None }
}

impl Spans {
    /// Keeps only spans of incoming requests.
    #[must_use]
    pub fn of_requests(self) -> Self {
        self.with(SpanCondition::IsRequest)
    }

    /// Keeps only spans of job runs.
    #[must_use]
    pub fn of_jobs(self) -> Self {
        self.with(SpanCondition::IsJob)
    }

    /// Keeps only spans of the trace in a Grafana variable.
    #[must_use]
    pub fn of_trace(self, variable: &str) -> Self {
        self.with(SpanCondition::Trace(variable.to_owned()))
    }

    /// Keeps only spans of requests to the routes chosen at the top of the dashboard.
    #[must_use]
    pub fn of_chosen_routes(self) -> Self {
        self.attribute(Route::KEY, MatchOperator::Matches, Choice::Route.variable())
    }

    /// Keeps only failed spans.
    #[must_use]
    pub fn failed(self) -> Self {
        self.with(SpanCondition::Failed)
    }

    /// Keeps only spans that took longer than `milliseconds`.
    #[must_use]
    pub fn longer_than(self, milliseconds: u64) -> Self {
        self.with(SpanCondition::LongerThan(milliseconds))
    }

    /// Keeps only spans with this value.
    #[must_use]
    pub fn is<A: Label>(self, value: A) -> Self {
        self.attribute(A::KEY, MatchOperator::Equal, value.as_str())
    }

    /// Keeps only spans whose attribute equals a Grafana variable, such as the clicked value.
    #[must_use]
    pub fn is_variable<A: LabelName>(self, variable: &str) -> Self {
        self.attribute(A::KEY, MatchOperator::Equal, variable)
    }

    /// Keeps only spans of the environments selected by a Grafana variable.
    #[must_use]
    pub fn in_environment(self, variable: &'static str) -> Self {
        Self { environment: Some(variable), ..self }
    }

    fn attribute(self, name: &'static str, operator: MatchOperator, value: &str) -> Self {
        self.with(SpanCondition::Attribute { name, operator, value: value.to_owned() })
    }

    fn with(mut self, condition: SpanCondition) -> Self {
        self.conditions.push(condition);
        self
    }

    /// Returns the variable of Grafana that names the environments; `None` for spans of all of them.
    pub fn environment(&self) -> Option<&'static str> {
        self.environment
    }

    /// Returns the conditions, all of which must hold for the same span.
    pub fn conditions(&self) -> &[SpanCondition] {
        &self.conditions
    }

    /// Returns the TraceQL text.
    pub fn text(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Spans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{APPLICATION_SPANS}")?;
        if let Some(variable) = self.environment {
            write!(f, " && resource.{}=~\"{variable}\"", Environment::KEY)?;
        }
        for condition in &self.conditions {
            write!(f, " && {condition}")?;
        }
        f.write_str("}")
    }
}

impl fmt::Display for SpanCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IsRequest => f.write_str("kind=server"),
            Self::IsJob => f.write_str("kind=consumer"),
            Self::Trace(id) => write!(f, "trace:id=\"{id}\""),
            Self::Failed => f.write_str("status=error"),
            Self::LongerThan(milliseconds) => write!(f, "duration>{milliseconds}ms"),
            Self::Attribute { name, operator, value } => {
                write!(f, "span.{name}{}\"{value}\"", operator.symbol())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use catalogue::labels::JobKind;

    use super::*;
    use crate::query::lines::NAMESPACE;

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

    #[test]
    fn spans_are_narrowed_to_the_environment() {
        assert_eq!(
            spans().failed().in_environment("x").text(),
            concat!(
                r#"{resource.service.namespace="socialize" "#,
                r#"&& resource.deployment.environment.name=~"x" && status=error}"#
            )
        );
        let variable = "${__data.fields.Route}";
        assert_eq!(
            spans().of_jobs().is_variable::<Route>(variable).text(),
            r#"{resource.service.namespace="socialize" && kind=consumer && span.http.route="${__data.fields.Route}"}"#
        );
    }

    #[test]
    fn the_application_is_chosen_by_its_namespace() {
        assert!(APPLICATION_SPANS.ends_with(&format!("=\"{NAMESPACE}\"")));
    }
}
