//! Variables at the top of a dashboard, and their effect on its queries.
//!
//! Panels do not name environment and process: every query about the application is narrowed when
//! its dashboard is rendered. So no query can forget to.

use serde::Serialize;
use signal::metric::prometheus_label;

use super::DataSource;
use super::target::DataSourceRef;
use crate::query::{
    APPLICATION_SERIES, Choice, Environment, Expression, Instance, LabelName, Lines, MatchOperator, Matcher,
    Source, Spans,
};

/// Narrows a PromQL expression to the chosen environment and processes. Only series of the application have
/// these labels.
pub(super) fn narrow_series(expression: &Expression, choices: &[Choice]) -> Expression {
    let matchers: Vec<Matcher> = choices
        .iter()
        .filter_map(|choice| {
            let label = match choice {
                Choice::Environment => Environment::KEY,
                Choice::Instance => Instance::KEY,
                Choice::Route | Choice::RequestId => return None,
            };
            Some(Matcher::new(&prometheus_label(label), MatchOperator::Matches, choice.variable()))
        })
        .collect();
    let mut narrowed = expression.clone();
    narrowed.change_selections(&mut |selection| {
        if selection.source == Source::Application {
            // After `job`, which is the first.
            selection.matchers.splice(1..1, matchers.iter().cloned());
        }
    });
    narrowed
}

/// Narrows a query to the chosen environment, which `variable` refers to. Processes are chosen in charts only.
pub(super) fn narrow_lines(lines: &Lines, choices: &[Choice], variable: &'static str) -> Lines {
    let lines = lines.clone();
    if choices.contains(&Choice::Environment) { lines.in_environment(variable) } else { lines }
}

/// Narrows a query to the chosen environment, which `variable` refers to.
pub(super) fn narrow_spans(spans: &Spans, choices: &[Choice], variable: &'static str) -> Spans {
    let spans = spans.clone();
    if choices.contains(&Choice::Environment) { spans.in_environment(variable) } else { spans }
}

/// A variable in Grafana's JSON.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Variable {
    Values(ValuesVariable),
    Text(TextVariable),
}

/// A variable with the values of a label, of which several can be chosen.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ValuesVariable {
    r#type: &'static str,
    name: &'static str,
    label: &'static str,
    description: &'static str,
    datasource: DataSourceRef,
    query: VariableQuery,
    refresh: u8,
    include_all: bool,
    all_value: &'static str,
    multi: bool,
    sort: u8,
    current: ChosenValues,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VariableQuery {
    ref_id: &'static str,
    qry_type: u8,
    query: String,
}

#[derive(Serialize)]
struct ChosenValues {
    selected: bool,
    text: [&'static str; 1],
    value: [&'static str; 1],
}

/// A variable with a text box.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TextVariable {
    r#type: &'static str,
    name: &'static str,
    label: &'static str,
    description: &'static str,
    query: &'static str,
    current: ChosenText,
}

#[derive(Serialize)]
struct ChosenText {
    text: &'static str,
    value: &'static str,
}

impl Variable {
    pub(super) fn of(choice: Choice) -> Self {
        let build = catalogue::metrics::BUILD_INFO.description().prometheus_name();
        let requests = signal::builtin::HTTP_SERVER_REQUEST_DURATION.description().prometheus_name();
        match choice {
            Choice::Environment => Self::values(
                choice,
                "Environment",
                "Which deployments the panels show: SOCIALIZE_ENVIRONMENT",
                &format!("{build}{{{APPLICATION_SERIES}}}"),
                &prometheus_label(Environment::KEY),
            ),
            Choice::Instance => Self::values(
                choice,
                "Process",
                "Which processes the charts show",
                &format!("{build}{{{APPLICATION_SERIES}}}"),
                Instance::KEY,
            ),
            Choice::Route => Self::values(
                choice,
                "Route",
                "Which routes the charts of requests show",
                &format!("{requests}{{{APPLICATION_SERIES}}}"),
                &prometheus_label(crate::query::Route::KEY),
            ),
            Choice::RequestId => Self::Text(TextVariable {
                r#type: "textbox",
                name: choice.name(),
                label: "Request id",
                description: "The request_id of an error answer: 32 hexadecimal digits. It is the trace id, too",
                query: "",
                current: ChosenText { text: "", value: "" },
            }),
        }
    }

    fn values(
        choice: Choice,
        label: &'static str,
        description: &'static str,
        series: &str,
        of_label: &str,
    ) -> Self {
        Self::Values(ValuesVariable {
            r#type: "query",
            name: choice.name(),
            label,
            description,
            datasource: DataSource::Prometheus.reference(),
            // `PrometheusVariableQueryType.LabelValues` in Grafana.
            query: VariableQuery {
                ref_id: "PrometheusVariableQueryEditor-VariableQuery",
                qry_type: 1,
                query: format!("label_values({series},{of_label})"),
            },
            refresh: 2,
            include_all: true,
            all_value: ".*",
            multi: true,
            sort: 1,
            current: ChosenValues { selected: true, text: ["All"], value: ["$__all"] },
        })
    }
}

#[cfg(test)]
mod tests {
    use catalogue::labels::Loop;
    use catalogue::metrics::{JOB_QUEUE_DEPTH, LOOP_FAILURES};

    use super::*;
    use crate::peers::{ScrapeJob, UP};
    use crate::query::{Window, all_lines, select, spans};

    #[test]
    fn queries_about_the_application_are_narrowed_to_what_is_chosen() {
        let requests = select(&LOOP_FAILURES).is(Loop::Worker).rate(Window::RateInterval).sum();
        let ours = requests.over(select(&JOB_QUEUE_DEPTH).now().sum());
        let narrow = format!(
            r#"{APPLICATION_SERIES},deployment_environment_name=~"$environment",instance=~"$instance""#
        );
        let narrowed = narrow_series(ours.expression(), Choice::PROCESSES).to_string();
        let expected = format!(
            "sum(rate(socialize_loop_failures_total{{{narrow},loop=\"worker\"}}[$__rate_interval])) / \
             sum(socialize_job_queue_depth{{{narrow}}})"
        );
        assert_eq!(narrowed, expected);
        assert_eq!(&narrow_series(ours.expression(), &[Choice::RequestId]), ours.expression());
        let peers = select(&UP).is(ScrapeJob::Loki).now().max();
        assert_eq!(&narrow_series(peers.expression(), Choice::PROCESSES), peers.expression());
    }

    #[test]
    fn lines_and_traces_are_narrowed_to_the_environment() {
        let narrowed = narrow_lines(&all_lines(), Choice::PROCESSES, "$environment");
        assert_eq!(narrowed, all_lines().in_environment("$environment"));
        assert_eq!(narrow_lines(&all_lines(), &[], "$environment"), all_lines());
        assert_eq!(narrow_spans(&spans(), Choice::PROCESSES, "x"), spans().in_environment("x"));
        assert_eq!(narrow_spans(&spans(), &[Choice::RequestId], "x"), spans());
    }
}
