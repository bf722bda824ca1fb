//! Variables at the top of a dashboard, as Grafana's JSON.

use serde::Serialize;
use signal::metric::prometheus_label;

use super::data_source::{DataSource, DataSourceRef};
use crate::query::{APPLICATION_SERIES, Choice, Environment, Instance, LabelName, Route};

/// A variable in Grafana's JSON.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Variable {
    Values(ValuesVariable),
    Text(TextVariable),
}

/// A variable with the values of a label; several can be chosen.
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
                &prometheus_label(Route::KEY),
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
