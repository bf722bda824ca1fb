//! Queries for log lines in Loki and for spans in Tempo, from the names of events, fields and values.

use telemetry::Key;
use telemetry::catalogue::{Label, prometheus_label};
use telemetry::log::Level;

use super::{LabelName, Route};
use crate::grafana::Choice;

/// The label that every line and span of Socialize has, as the collector sends it.
pub(super) const NAMESPACE: &str = "socialize";

/// How PromQL chooses the series of the application, whose `job` is made of `service.namespace` and `service.name`.
pub const APPLICATION_SERIES: &str = "job=~\"socialize/.+\"";
/// How LogQL chooses the lines of the application.
pub const APPLICATION_LINES: &str = "service_namespace=\"socialize\"";
/// How TraceQL chooses the spans of the application.
pub const APPLICATION_SPANS: &str = "resource.service.namespace=\"socialize\"";

/// Where Loki keeps a line's level as the application writes it.
const LEVEL: &str = "severity_text";

/// A field of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field(&'static str);

impl Field {
    /// The status of an answer.
    pub const STATUS: Self = Self("http.response.status_code");
    /// The precise failure behind an outcome.
    pub const ERROR_CAUSE: Self = Self("error.cause");
    /// The line of the source where a failure arrived.
    pub const CODE_LOCATION: Self = Self("code.location");
    /// How long an operation took.
    pub const DURATION: Self = Self("duration_ms");
    /// Why telemetry could not be sent.
    pub const FAILURE: Self = Self("failure");
    /// How much telemetry will never arrive.
    pub const DROPPED_ITEMS: Self = Self("dropped_items");
    /// The version of a process that starts.
    pub const VERSION: Self = Self("service.version");
    /// The file of the source in which a panic began.
    pub const CODE_FILE: Self = Self("code.file");
    /// And the line of it.
    pub const CODE_LINE: Self = Self("code.line");
    /// Those that are neither the name of a label nor that of an id.
    pub const OTHERS: &'static [Self] = &[
        Self::STATUS,
        Self::ERROR_CAUSE,
        Self::CODE_LOCATION,
        Self::DURATION,
        Self::FAILURE,
        Self::DROPPED_ITEMS,
        Self::VERSION,
        Self::CODE_FILE,
        Self::CODE_LINE,
    ];

    /// The one with the same name as a metric label.
    pub const fn label<A: LabelName>() -> Self {
        Self(A::KEY)
    }

    /// The one that holds an id or a closed value.
    pub const fn key(key: &'static Key) -> Self {
        Self(key.0)
    }

    /// As Loki keeps it.
    pub fn metadata(self) -> String {
        prometheus_label(self.0)
    }
}

/// A query in LogQL.
#[derive(Clone, Debug)]
pub struct Lines(String);

/// The log lines of one event. The stored line is the event's name; all else is structured metadata.
pub fn lines(event: &'static str) -> Lines {
    Lines(format!("{{{APPLICATION_LINES}}} |= `{event}`"))
}

/// The log lines of all events.
pub fn all_lines() -> Lines {
    Lines(format!("{{{APPLICATION_LINES}}}"))
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

    /// Only the lines of other events.
    #[must_use]
    pub fn not(self, event: &'static str) -> Self {
        Self(format!("{} != `{event}`", self.0))
    }

    /// Only the facts that users caused: named after the counters beside them, which all begin like this.
    #[must_use]
    pub fn of_users(self) -> Self {
        Self(format!("{} |= `{NAMESPACE}.`", self.0))
    }

    /// Only what processes say about themselves: that they start and stop, panic, or lose telemetry.
    #[must_use]
    pub fn about_processes(self) -> Self {
        Self(format!("{} |~ `^(server|telemetry|log|panic)`", self.0))
    }

    /// Only lines whose field is what a variable of Grafana says, such as the value that was clicked on.
    #[must_use]
    pub fn is_variable(self, field: Field, variable: &str) -> Self {
        self.matching(field.0, "=", variable)
    }

    /// Only the lines of the trace that a variable of Grafana names. Nothing while the variable is empty.
    #[must_use]
    pub fn of_trace(self, variable: &str) -> Self {
        Self(format!("{} | trace_id=`{variable}` | trace_id!=``", self.0))
    }

    /// Only the lines of what the trace caused later, such as jobs. Nothing while the variable is empty.
    #[must_use]
    pub fn caused_by_trace(self, variable: &str) -> Self {
        Self(format!("{} | link_trace_id=`{variable}` | link_trace_id!=``", self.0))
    }

    /// Whether the lines say which customer they are about, as those of requests and of publishing do.
    pub fn name_customers(&self) -> bool {
        let events =
            [telemetry::events::SERVER_REQUEST, domain::catalogue::PUBLISHING_DELIVERIES.description().name];
        events.iter().any(|event| self.0.contains(&format!("|= `{event}`")))
    }

    /// Only the lines of requests for the routes that are chosen at the top of the dashboard.
    #[must_use]
    pub fn of_chosen_routes(self) -> Self {
        let route = prometheus_label(Route::KEY);
        Self(format!("{} | {route}=~\"{}\"", self.0, Choice::Route.variable()))
    }

    /// Only lines that have a field.
    #[must_use]
    pub fn with(self, field: Field) -> Self {
        self.matching(field.0, "!=", "")
    }

    /// Shows fields after the event, so that a line can be read without opening it.
    #[must_use]
    pub fn showing(self, fields: &[Field]) -> Self {
        let fields: Vec<String> =
            fields.iter().map(|field| format!("{{{{.{}}}}}", field.metadata())).collect();
        Self(format!("{} | line_format `{{{{__line__}}}} {}`", self.0, fields.join(" ")))
    }

    /// How many there are over the range of a dashboard, by a field.
    pub fn count_by(&self, field: Field) -> String {
        format!("sum by ({}) (count_over_time({} [$__range]))", field.metadata(), self.0)
    }

    /// Which values of a field occur in most lines over the range of a dashboard, such as the customers that a failure concerns.
    pub fn most_affected(&self, field: Field, most: u8) -> String {
        let (key, lines) = (field.metadata(), self.clone().with(field));
        format!("topk({most}, sum by ({key}) (count_over_time({} [$__range])))", lines.0)
    }

    /// How many different values of a field occur over the range of a dashboard.
    pub fn number_affected(&self, field: Field) -> String {
        let (key, lines) = (field.metadata(), self.clone().with(field));
        format!("count(sum by ({key}) (count_over_time({} [$__range])))", lines.0)
    }

    /// How many there are at each point of a panel, by level.
    pub fn count_by_level(&self) -> String {
        format!("sum by ({LEVEL}) (count_over_time({} [$__auto]))", self.0)
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
    Spans(vec![APPLICATION_SPANS.to_owned()])
}

impl Spans {
    /// Only those that answer requests.
    #[must_use]
    pub fn of_requests(self) -> Self {
        self.with("kind=server".to_owned())
    }

    /// Only those that run jobs.
    #[must_use]
    pub fn of_jobs(self) -> Self {
        self.with("kind=consumer".to_owned())
    }

    /// Only those of the trace that a variable of Grafana names.
    #[must_use]
    pub fn of_trace(self, variable: &str) -> Self {
        self.with(format!("trace:id=\"{variable}\""))
    }

    /// Only those for the routes that are chosen at the top of the dashboard.
    #[must_use]
    pub fn of_chosen_routes(self) -> Self {
        self.with(format!("span.{}=~\"{}\"", Route::KEY, Choice::Route.variable()))
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

    /// Only spans whose attribute is what a variable of Grafana says, such as the value that was clicked on.
    #[must_use]
    pub fn is_variable<A: LabelName>(self, variable: &str) -> Self {
        self.with(format!("span.{}=\"{variable}\"", A::KEY))
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
    use domain::signals::keys;
    use telemetry::JobOutcome;

    use super::*;
    use crate::query::RequestMethod;

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
    fn lines_can_be_shown_and_counted_by_field() {
        let fields = [Field::label::<RequestMethod>(), Field::label::<Route>(), Field::key(&keys::USER_ID)];
        assert_eq!(
            all_lines().showing(&fields).text(),
            r#"{service_namespace="socialize"} | line_format `{{__line__}} {{.http_request_method}} {{.http_route}} {{.user_id}}`"#
        );
        assert_eq!(
            lines(events::JOB_RUN).count_by(Field::ERROR_CAUSE),
            r#"sum by (error_cause) (count_over_time({service_namespace="socialize"} |= `job.run` [$__range]))"#
        );
        let variable = "${__data.fields.Route}";
        assert_eq!(
            all_lines().not(events::JOB_RUN).is_variable(Field::label::<Route>(), variable).text(),
            r#"{service_namespace="socialize"} != `job.run` | http_route=`${__data.fields.Route}`"#
        );
        assert_eq!(
            spans().of_jobs().is_variable::<Route>(variable).text(),
            r#"{resource.service.namespace="socialize" && kind=consumer && span.http.route="${__data.fields.Route}"}"#
        );
    }

    #[test]
    fn the_application_is_chosen_by_its_namespace_in_every_store() {
        for chosen in [APPLICATION_LINES, APPLICATION_SPANS] {
            assert!(chosen.ends_with(&format!("=\"{NAMESPACE}\"")), "{chosen}");
        }
        assert_eq!(APPLICATION_SERIES, format!("job=~\"{NAMESPACE}/.+\""));
        assert_eq!(NAMESPACE, domain::recorded::SERVICE_NAMESPACE);
    }

    #[test]
    fn customers_are_counted_in_the_lines_that_name_them() {
        let failed = lines(telemetry::events::SERVER_REQUEST).at_least(Level::Error);
        assert!(failed.name_customers() && !lines(events::JOB_RUN).name_customers());
        assert_eq!(
            failed.most_affected(Field::key(&keys::ORGANIZATION_ID), 10),
            r#"topk(10, sum by (organization_id) (count_over_time({service_namespace="socialize"} |= `http.server.request` | severity_number >= 17 | organization_id!=`` [$__range])))"#
        );
        assert_eq!(
            failed.number_affected(Field::key(&keys::USER_ID)),
            r#"count(sum by (user_id) (count_over_time({service_namespace="socialize"} |= `http.server.request` | severity_number >= 17 | user_id!=`` [$__range])))"#
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
    fn fields_without_a_constant_of_the_application_are_documented() {
        let document = std::fs::read_to_string(crate::files::repository().join("docs/LOGGING.md"))
            .expect("the document can be read");
        for field in Field::OTHERS {
            assert!(document.contains(&format!("`{}`", field.0)), "{field:?}");
        }
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
