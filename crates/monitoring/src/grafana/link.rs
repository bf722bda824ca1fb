//! Links from a panel, an alert or the runbook to dashboards and to Explore.

use std::fmt::Write;

use serde::Serialize;
use signal::metric::prometheus_label;

use super::data_source::{DataSource, DataSourceRef};
use super::narrow::{narrow_lines, narrow_spans};
use crate::dashboard_uid::DashboardUid;
use crate::query::{Choice, LabelName, Lines, Spans};

/// A link of a panel or of its values.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    title: String,
    url: String,
    target_blank: bool,
    #[serde(skip)]
    destination: Destination,
}

/// Target of a link. Values may be variables of Grafana: [`value_of_series`], or `${__data.fields.Name}` for
/// the value of a column in the same row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A dashboard, with the same time range.
    Dashboard(DashboardUid),
    /// Log lines.
    Lines(Lines),
    /// A search for traces in Explore.
    Traces(Spans),
    /// The trace with this id.
    Trace(String),
}

impl Link {
    /// Links to a dashboard, with the same time range.
    pub fn dashboard(title: &str, uid: DashboardUid) -> Self {
        let url = format!("/d/{}?${{__url_time_range}}", uid.as_str());
        Self { title: title.to_owned(), url, target_blank: false, destination: Destination::Dashboard(uid) }
    }

    /// Returns the text of the link.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Returns the target of the link.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// Returns the address in Grafana.
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// Returns the variable that Grafana replaces by the clicked series' value of a label.
pub fn value_of_series<A: LabelName>() -> String {
    format!("${{__field.labels.{}}}", prometheus_label(A::KEY))
}

/// The chosen environments in a form that is safe in links. Grafana's form for regular expressions
/// contains backslashes, which would break the JSON string.
const ENVIRONMENT: &str = "${environment:pipe}";

/// Links to these traces in Explore.
pub fn explore_traces(title: &str, spans: &Spans) -> Link {
    let query = narrow_spans(spans, Choice::PROCESSES, ENVIRONMENT);
    of_panel(title, &Explore::Traces(query.text()), Destination::Traces(spans.clone()))
}

/// Links to these lines in Explore.
pub fn explore_logs(title: &str, lines: &Lines) -> Link {
    let query = narrow_lines(lines, Choice::PROCESSES, ENVIRONMENT);
    of_panel(title, &Explore::Logs(query.text()), Destination::Lines(lines.clone()))
}

/// Links to Explore, with the trace open.
pub fn explore_trace(title: &str, id: &str) -> Link {
    of_panel(title, &Explore::Traces(id.to_owned()), Destination::Trace(id.to_owned()))
}

fn of_panel(title: &str, query: &Explore, destination: Destination) -> Link {
    let url = query.path("${__from}", "${__to}");
    Link { title: title.to_owned(), url, target_blank: true, destination }
}

/// A query to be opened in Explore.
pub enum Explore {
    /// PromQL.
    Metrics(String),
    /// LogQL.
    Logs(String),
    /// TraceQL, or the id of a trace.
    Traces(String),
}

impl Explore {
    /// Returns the path of Explore with this query, for a time range in Grafana's syntax.
    pub fn path(&self, from: &str, to: &str) -> String {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Traces<'a> {
            ref_id: &'static str,
            datasource: DataSourceRef,
            query_type: &'static str,
            query: &'a str,
            limit: u16,
            table_type: &'static str,
            filters: [(); 0],
        }
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Logs<'a> {
            ref_id: &'static str,
            datasource: DataSourceRef,
            query_type: &'static str,
            expr: &'a str,
        }
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Metrics<'a> {
            ref_id: &'static str,
            datasource: DataSourceRef,
            expr: &'a str,
            range: bool,
            instant: bool,
        }
        let ref_id = "A";
        match self {
            Self::Metrics(expr) => {
                let datasource = DataSource::Prometheus.reference();
                let query = Metrics { ref_id, datasource, expr, range: true, instant: true };
                path(DataSource::Prometheus, query, from, to)
            }
            Self::Logs(expr) => {
                let datasource = DataSource::Loki.reference();
                path(DataSource::Loki, Logs { ref_id, datasource, query_type: "range", expr }, from, to)
            }
            Self::Traces(query) => {
                let datasource = DataSource::Tempo.reference();
                let query = Traces {
                    ref_id,
                    datasource,
                    query_type: "traceql",
                    query,
                    limit: 50,
                    table_type: "traces",
                    filters: [],
                };
                path(DataSource::Tempo, query, from, to)
            }
        }
    }
}

fn path(source: DataSource, query: impl Serialize, from: &str, to: &str) -> String {
    #[derive(Serialize)]
    struct Panes<'a, Q> {
        explore: Pane<'a, Q>,
    }
    #[derive(Serialize)]
    struct Pane<'a, Q> {
        datasource: &'static str,
        queries: [Q; 1],
        range: Range<'a>,
    }
    #[derive(Serialize)]
    struct Range<'a> {
        from: &'a str,
        to: &'a str,
    }
    let pane = Pane { datasource: source.uid(), queries: [query], range: Range { from, to } };
    // Structs of texts and numbers always have a JSON form.
    let panes = serde_json::to_string(&Panes { explore: pane }).unwrap_or_default();
    format!("/explore?schemaVersion=1&orgId=1&panes={}", encode_except_variables(&panes))
}

/// Percent-encodes a text except for `${…}`, which Grafana replaces before the browser reads the
/// link.
fn encode_except_variables(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let end = rest[start..].find('}').map_or(rest.len(), |length| start + length + 1);
        percent_encode(&mut out, &rest[..start]);
        out.push_str(&rest[start..end]);
        rest = &rest[end..];
    }
    percent_encode(&mut out, rest);
    out
}

/// Appends a text with every byte escaped that RFC 3986 does not call unreserved.
fn percent_encode(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing into a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_stay_in_an_encoded_link() {
        assert_eq!(encode_except_variables(r#"{"a":"${__from}"}"#), "%7B%22a%22%3A%22${__from}%22%7D");
        assert_eq!(encode_except_variables("no variable"), "no%20variable");
    }

    #[test]
    fn a_link_of_the_runbook_has_no_variable() {
        let path = Explore::Logs("{a=\"b\"} [$__range]".to_owned()).path("now-1h", "now");
        assert!(!path.contains('$') && path.contains("%24__range"), "{path}");
    }
}
