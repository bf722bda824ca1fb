//! Queries for log lines, rendered to LogQL.

use std::fmt::{self, Write};

use signal::Level;
use signal::metric::{Label, prometheus_label};

use super::choice::Choice;
use super::expression::MatchOperator;
use super::field::Field;
use super::labels::{Environment, LabelName, Route};

/// The namespace of every line and span of Socialize, as the collector sends it.
pub(super) const NAMESPACE: &str = "socialize";

/// LogQL matcher for the application's lines.
const APPLICATION_LINES: &str = "service_namespace=\"socialize\"";

/// Prefixes of events about the process itself.
const ABOUT_PROCESSES: &[&str] = &["server", "telemetry", "log", "panic"];

/// A query for log lines, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines {
    conditions: Vec<LineCondition>,
    environment: Option<&'static str>,
    shown: Vec<Field>,
}

/// A condition on a log line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineCondition {
    /// The event has this name.
    Event(&'static str),
    /// The event has a different name.
    NotEvent(&'static str),
    /// The event is a business fact.
    BusinessFact,
    /// The event's name has one of these prefixes.
    EventBegins(&'static [&'static str]),
    /// The level is at least this severe.
    AtLeast(Level),
    /// A comparison of a field. A missing field counts as empty.
    Field {
        /// The compared field.
        field: Field,
        /// The comparison.
        operator: MatchOperator,
        /// A value, a regular expression, or a variable of Grafana.
        value: String,
    },
}

/// Selects the log lines of one event. The stored line is the event's name; everything else is
/// structured metadata.
pub fn lines(event: &'static str) -> Lines {
    all_lines().when(LineCondition::Event(event))
}

/// Selects the log lines of all events.
pub fn all_lines() -> Lines {
    Lines { conditions: Vec::new(), environment: None, shown: Vec::new() }
}

impl Lines {
    /// Keeps only lines with this value.
    #[must_use]
    pub fn is<A: Label>(self, value: A) -> Self {
        self.matching(Field::label::<A>(), MatchOperator::Equal, value.as_str())
    }

    /// Keeps only lines without this value.
    #[must_use]
    pub fn is_not<A: Label>(self, value: A) -> Self {
        self.matching(Field::label::<A>(), MatchOperator::NotEqual, value.as_str())
    }

    /// Keeps only lines of at least this level.
    #[must_use]
    pub fn at_least(self, level: Level) -> Self {
        self.when(LineCondition::AtLeast(level))
    }

    /// Keeps only lines of other events.
    #[must_use]
    pub fn not(self, event: &'static str) -> Self {
        self.when(LineCondition::NotEvent(event))
    }

    /// Keeps only business facts. Their names share a prefix with their counters.
    #[must_use]
    pub fn of_users(self) -> Self {
        self.when(LineCondition::BusinessFact)
    }

    /// Keeps only lines about the process itself: starts, stops, panics and lost telemetry.
    #[must_use]
    pub fn about_processes(self) -> Self {
        self.when(LineCondition::EventBegins(ABOUT_PROCESSES))
    }

    /// Keeps only lines whose field equals a Grafana variable, such as the clicked value.
    #[must_use]
    pub fn is_variable(self, field: Field, variable: &str) -> Self {
        self.matching(field, MatchOperator::Equal, variable)
    }

    /// Keeps only lines of the trace in a Grafana variable. Matches nothing while the variable is empty.
    #[must_use]
    pub fn of_trace(self, variable: &str) -> Self {
        self.is_variable(Field::TRACE, variable).with(Field::TRACE)
    }

    /// Keeps only lines of later operations that the trace caused, such as jobs. Matches nothing
    /// while the variable is empty.
    #[must_use]
    pub fn caused_by_trace(self, variable: &str) -> Self {
        self.is_variable(Field::LINKED_TRACE, variable).with(Field::LINKED_TRACE)
    }

    /// Returns whether the lines identify a customer, like those of requests and of publishing.
    pub fn name_customers(&self) -> bool {
        let events =
            [signal::events::SERVER_REQUEST, catalogue::metrics::PUBLISHING_DELIVERIES.description().name];
        events.iter().any(|event| self.conditions.contains(&LineCondition::Event(event)))
    }

    /// Keeps only lines of requests to the routes chosen at the top of the dashboard.
    #[must_use]
    pub fn of_chosen_routes(self) -> Self {
        self.matching(Field::label::<Route>(), MatchOperator::Matches, Choice::Route.variable())
    }

    /// Keeps only lines that have a field.
    #[must_use]
    pub fn with(self, field: Field) -> Self {
        self.matching(field, MatchOperator::NotEqual, "")
    }

    /// Keeps only lines of the environments selected by a Grafana variable.
    #[must_use]
    pub fn in_environment(self, variable: &'static str) -> Self {
        Self { environment: Some(variable), ..self }
    }

    /// Shows fields after the event, so that a line can be read without opening it.
    #[must_use]
    pub fn showing(mut self, fields: &[Field]) -> Self {
        self.shown.extend(fields);
        self
    }

    fn matching(self, field: Field, operator: MatchOperator, value: &str) -> Self {
        self.when(LineCondition::Field { field, operator, value: value.to_owned() })
    }

    fn when(mut self, condition: LineCondition) -> Self {
        self.conditions.push(condition);
        self
    }

    /// Returns the conditions, all of which must hold.
    pub fn conditions(&self) -> &[LineCondition] {
        &self.conditions
    }

    /// Returns the variable of Grafana that names the environments; `None` for lines of all of them.
    pub fn environment(&self) -> Option<&'static str> {
        self.environment
    }

    /// Returns the fields shown after the event.
    pub fn shown(&self) -> &[Field] {
        &self.shown
    }

    /// Returns the LogQL text.
    pub fn text(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{APPLICATION_LINES}")?;
        if let Some(variable) = self.environment {
            write!(f, ", {}=~\"{variable}\"", prometheus_label(Environment::KEY))?;
        }
        f.write_char('}')?;
        for condition in &self.conditions {
            write!(f, " {condition}")?;
        }
        if !self.shown.is_empty() {
            f.write_str(" | line_format `{{__line__}}")?;
            for field in &self.shown {
                write!(f, " {{{{.{}}}}}", field.metadata())?;
            }
            f.write_char('`')?;
        }
        Ok(())
    }
}

impl fmt::Display for LineCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(name) => write!(f, "|= `{name}`"),
            Self::NotEvent(name) => write!(f, "!= `{name}`"),
            Self::BusinessFact => write!(f, "|= `{NAMESPACE}.`"),
            Self::EventBegins(beginnings) => write!(f, "|~ `^({})`", beginnings.join("|")),
            Self::AtLeast(level) => write!(f, "| severity_number >= {}", level.severity_number()),
            Self::Field { field, operator, value } => {
                // A variable with several values contains backslashes, which raw quotes would double.
                let quote = match operator {
                    MatchOperator::Equal | MatchOperator::NotEqual => '`',
                    MatchOperator::Matches | MatchOperator::MatchesNot => '"',
                };
                write!(f, "| {}{}{quote}{value}{quote}", field.metadata(), operator.symbol())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use catalogue::events;
    use catalogue::keys;
    use catalogue::labels::JobKind;
    use signal::JobOutcome;

    use super::*;
    use crate::query::RequestMethod;

    #[test]
    fn lines_are_chosen_by_event_field_and_severity() {
        let dead =
            lines(events::JOB_RUN).is(JobOutcome::Dead).is_not(JobKind::SendEmail).at_least(Level::Warn);
        assert_eq!(
            dead.text(),
            concat!(
                r#"{service_namespace="socialize"} |= `job.run` | outcome=`dead` "#,
                "| job_kind!=`send_email` | severity_number >= 13"
            )
        );
    }

    #[test]
    fn lines_can_be_shown_and_counted_by_field() {
        let fields = [Field::label::<RequestMethod>(), Field::label::<Route>(), Field::key(&keys::USER_ID)];
        assert_eq!(
            all_lines().showing(&fields).text(),
            concat!(
                r#"{service_namespace="socialize"} "#,
                "| line_format `{{__line__}} {{.http_request_method}} {{.http_route}} {{.user_id}}`"
            )
        );
        assert_eq!(
            lines(events::JOB_RUN).count_by(Field::ERROR_CAUSE).text(),
            r#"sum by (error_cause) (count_over_time({service_namespace="socialize"} |= `job.run` [$__range]))"#
        );
        let variable = "${__data.fields.Route}";
        assert_eq!(
            all_lines().not(events::JOB_RUN).is_variable(Field::label::<Route>(), variable).text(),
            r#"{service_namespace="socialize"} != `job.run` | http_route=`${__data.fields.Route}`"#
        );
    }

    #[test]
    fn customers_are_counted_in_the_lines_that_name_them() {
        let failed = lines(signal::events::SERVER_REQUEST).at_least(Level::Error);
        assert!(failed.name_customers() && !lines(events::JOB_RUN).name_customers());
        assert_eq!(
            failed.most_affected(Field::key(&keys::ORGANIZATION_ID), 10).text(),
            concat!(
                "topk(10, sum by (organization_id) (count_over_time(",
                r#"{service_namespace="socialize"} |= `http.server.request` "#,
                "| severity_number >= 17 | organization_id!=`` [$__range])))"
            )
        );
        assert_eq!(
            failed.number_affected(Field::key(&keys::USER_ID)).text(),
            concat!(
                "count(sum by (user_id) (count_over_time(",
                r#"{service_namespace="socialize"} |= `http.server.request` "#,
                "| severity_number >= 17 | user_id!=`` [$__range])))"
            )
        );
    }

    #[test]
    fn an_empty_box_chooses_nothing() {
        assert_eq!(
            all_lines().of_trace("${request_id}").text(),
            r#"{service_namespace="socialize"} | trace_id=`${request_id}` | trace_id!=``"#
        );
        assert_eq!(
            all_lines().caused_by_trace("${request_id}").text(),
            r#"{service_namespace="socialize"} | link_trace_id=`${request_id}` | link_trace_id!=``"#
        );
    }

    #[test]
    fn lines_are_narrowed_to_the_environment() {
        let failed = all_lines().at_least(Level::Error).in_environment("$environment");
        let narrowed = r#"{service_namespace="socialize", deployment_environment_name=~"$environment"}"#;
        assert_eq!(failed.text(), format!("{narrowed} | severity_number >= 17"));
        assert_eq!(
            all_lines().count_by_level().in_environment("$environment").text(),
            format!("sum by (severity_text) (count_over_time({narrowed} [$__auto]))")
        );
    }

    #[test]
    fn the_application_is_chosen_by_its_namespace() {
        assert!(APPLICATION_LINES.ends_with(&format!("=\"{NAMESPACE}\"")));
        assert_eq!(NAMESPACE, catalogue::recorded::SERVICE_NAMESPACE);
    }
}
