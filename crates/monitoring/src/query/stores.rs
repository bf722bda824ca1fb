//! Queries for log lines in Loki and for spans in Tempo, built from the names of events, fields and
//! values.

use signal::metric::{Label, prometheus_label};
use signal::{Key, Level};

use super::{LabelName, Route};
use crate::grafana::Choice;

/// The namespace of every line and span of Socialize, as the collector sends it.
pub(super) const NAMESPACE: &str = "socialize";

/// PromQL matcher for the application's series, whose `job` is built from `service.namespace` and
/// `service.name`.
pub const APPLICATION_SERIES: &str = "job=~\"socialize/.+\"";
/// LogQL matcher for the application's lines.
pub const APPLICATION_LINES: &str = "service_namespace=\"socialize\"";
/// TraceQL condition for the application's spans.
pub const APPLICATION_SPANS: &str = "resource.service.namespace=\"socialize\"";

/// Loki's name for a line's level as the application wrote it.
const LEVEL: &str = "severity_text";

/// A field of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field(&'static str);

impl Field {
    /// Response status.
    pub const STATUS: Self = Self("http.response.status_code");
    /// The precise error type behind an outcome.
    pub const ERROR_CAUSE: Self = Self("error.cause");
    /// Source location at which a failure was noticed.
    pub const CODE_LOCATION: Self = Self("code.location");
    /// Duration of an operation in milliseconds.
    pub const DURATION: Self = Self("duration_ms");
    /// Reason why telemetry could not be sent.
    pub const FAILURE: Self = Self("failure");
    /// Number of telemetry items that will never arrive.
    pub const DROPPED_ITEMS: Self = Self("dropped_items");
    /// Version of a process that starts.
    pub const VERSION: Self = Self("service.version");
    /// Source file in which a panic began.
    pub const CODE_FILE: Self = Self("code.file");
    /// Source line in which a panic began.
    pub const CODE_LINE: Self = Self("code.line");
    /// Fields that are neither labels nor ids.
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

    /// Returns the field with the same name as a metric label.
    pub const fn label<A: LabelName>() -> Self {
        Self(A::KEY)
    }

    /// Returns the field that holds an id or a closed value.
    pub const fn key(key: &'static Key) -> Self {
        Self(key.0)
    }

    /// Returns Loki's name for the field.
    pub fn metadata(self) -> String {
        prometheus_label(self.0)
    }
}

/// A LogQL query for lines.
#[derive(Clone, Debug)]
pub struct Lines(String);

/// Selects the log lines of one event. The stored line is the event's name; everything else is
/// structured metadata.
pub fn lines(event: &'static str) -> Lines {
    Lines(format!("{{{APPLICATION_LINES}}} |= `{event}`"))
}

/// Selects the log lines of all events.
pub fn all_lines() -> Lines {
    Lines(format!("{{{APPLICATION_LINES}}}"))
}

impl Lines {
    /// Keeps only lines with this value.
    #[must_use]
    pub fn is<A: Label>(self, value: A) -> Self {
        self.matching(A::KEY, "=", value.as_str())
    }

    /// Keeps only lines without this value.
    #[must_use]
    pub fn is_not<A: Label>(self, value: A) -> Self {
        self.matching(A::KEY, "!=", value.as_str())
    }

    /// Keeps only lines of at least this level.
    #[must_use]
    pub fn at_least(self, level: Level) -> Self {
        Self(format!("{} | severity_number >= {}", self.0, level.severity_number()))
    }

    /// Keeps only lines of other events.
    #[must_use]
    pub fn not(self, event: &'static str) -> Self {
        Self(format!("{} != `{event}`", self.0))
    }

    /// Keeps only business facts. Their names begin alike, as those of their counters do.
    #[must_use]
    pub fn of_users(self) -> Self {
        Self(format!("{} |= `{NAMESPACE}.`", self.0))
    }

    /// Keeps only lines of processes about themselves: starts, stops, panics and lost telemetry.
    #[must_use]
    pub fn about_processes(self) -> Self {
        Self(format!("{} |~ `^(server|telemetry|log|panic)`", self.0))
    }

    /// Keeps only lines whose field equals a variable of Grafana, such as the clicked value.
    #[must_use]
    pub fn is_variable(self, field: Field, variable: &str) -> Self {
        self.matching(field.0, "=", variable)
    }

    /// Keeps only lines of the trace that a variable of Grafana names. Matches nothing while the
    /// variable is empty.
    #[must_use]
    pub fn of_trace(self, variable: &str) -> Self {
        Self(format!("{} | trace_id=`{variable}` | trace_id!=``", self.0))
    }

    /// Keeps only lines of later operations that the trace caused, such as jobs. Matches nothing
    /// while the variable is empty.
    #[must_use]
    pub fn caused_by_trace(self, variable: &str) -> Self {
        Self(format!("{} | link_trace_id=`{variable}` | link_trace_id!=``", self.0))
    }

    /// Returns whether the lines name a customer, as those of requests and of publishing do.
    pub fn name_customers(&self) -> bool {
        let events =
            [signal::events::SERVER_REQUEST, catalogue::metrics::PUBLISHING_DELIVERIES.description().name];
        events.iter().any(|event| self.0.contains(&format!("|= `{event}`")))
    }

    /// Keeps only lines of requests to the routes that are chosen at the top of the dashboard.
    #[must_use]
    pub fn of_chosen_routes(self) -> Self {
        let route = prometheus_label(Route::KEY);
        Self(format!("{} | {route}=~\"{}\"", self.0, Choice::Route.variable()))
    }

    /// Keeps only lines that have a field.
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

    /// Counts the lines over the range of a dashboard, by a field.
    pub fn count_by(&self, field: Field) -> String {
        format!("sum by ({}) (count_over_time({} [$__range]))", field.metadata(), self.0)
    }

    /// Returns the values of a field that occur in most lines over the range of a dashboard, such
    /// as the customers that a failure affects.
    pub fn most_affected(&self, field: Field, most: u8) -> String {
        let (key, lines) = (field.metadata(), self.clone().with(field));
        format!("topk({most}, sum by ({key}) (count_over_time({} [$__range])))", lines.0)
    }

    /// Returns the number of distinct values of a field over the range of a dashboard.
    pub fn number_affected(&self, field: Field) -> String {
        let (key, lines) = (field.metadata(), self.clone().with(field));
        format!("count(sum by ({key}) (count_over_time({} [$__range])))", lines.0)
    }

    /// Counts the lines at each point of a panel, by level.
    pub fn count_by_level(&self) -> String {
        format!("sum by ({LEVEL}) (count_over_time({} [$__auto]))", self.0)
    }

    fn matching(self, key: &str, operator: &str, value: &str) -> Self {
        Self(format!("{} | {}{operator}`{value}`", self.0, prometheus_label(key)))
    }

    /// Returns the LogQL text.
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// A TraceQL query.
#[derive(Clone, Debug)]
pub struct Spans(Vec<String>);

/// Selects all spans of Socialize.
pub fn spans() -> Spans {
    Spans(vec![APPLICATION_SPANS.to_owned()])
}

impl Spans {
    /// Keeps only spans of incoming requests.
    #[must_use]
    pub fn of_requests(self) -> Self {
        self.with("kind=server".to_owned())
    }

    /// Keeps only spans of job runs.
    #[must_use]
    pub fn of_jobs(self) -> Self {
        self.with("kind=consumer".to_owned())
    }

    /// Keeps only spans of the trace that a variable of Grafana names.
    #[must_use]
    pub fn of_trace(self, variable: &str) -> Self {
        self.with(format!("trace:id=\"{variable}\""))
    }

    /// Keeps only spans of requests to the routes that are chosen at the top of the dashboard.
    #[must_use]
    pub fn of_chosen_routes(self) -> Self {
        self.with(format!("span.{}=~\"{}\"", Route::KEY, Choice::Route.variable()))
    }

    /// Keeps only failed spans.
    #[must_use]
    pub fn failed(self) -> Self {
        self.with("status=error".to_owned())
    }

    /// Keeps only spans that took longer than `milliseconds`.
    #[must_use]
    pub fn longer_than(self, milliseconds: u64) -> Self {
        self.with(format!("duration>{milliseconds}ms"))
    }

    /// Keeps only spans with this value.
    #[must_use]
    pub fn is<A: Label>(self, value: A) -> Self {
        self.with(format!("span.{}=\"{}\"", A::KEY, value.as_str()))
    }

    /// Keeps only spans whose attribute equals a variable of Grafana, such as the clicked value.
    #[must_use]
    pub fn is_variable<A: LabelName>(self, variable: &str) -> Self {
        self.with(format!("span.{}=\"{variable}\"", A::KEY))
    }

    fn with(mut self, condition: String) -> Self {
        self.0.push(condition);
        self
    }

    /// Returns the TraceQL text.
    pub fn text(&self) -> String {
        format!("{{{}}}", self.0.join(" && "))
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
        assert_eq!(NAMESPACE, catalogue::recorded::SERVICE_NAMESPACE);
    }

    #[test]
    fn customers_are_counted_in_the_lines_that_name_them() {
        let failed = lines(signal::events::SERVER_REQUEST).at_least(Level::Error);
        assert!(failed.name_customers() && !lines(events::JOB_RUN).name_customers());
        assert_eq!(
            failed.most_affected(Field::key(&keys::ORGANIZATION_ID), 10),
            concat!(
                "topk(10, sum by (organization_id) (count_over_time(",
                r#"{service_namespace="socialize"} |= `http.server.request` "#,
                "| severity_number >= 17 | organization_id!=`` [$__range])))"
            )
        );
        assert_eq!(
            failed.number_affected(Field::key(&keys::USER_ID)),
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
