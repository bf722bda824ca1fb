//! Links from a panel to other dashboards and to Explore.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use telemetry::catalogue::prometheus_label;

use super::DataSource;
use super::target::DataSourceRef;
use crate::query::{LabelName, Lines, Spans};
use crate::rules::DashboardUid;

/// What a value of a panel, or the panel itself, leads to.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    title: String,
    url: String,
    target_blank: bool,
}

impl Link {
    /// To a dashboard, with the same time range.
    pub fn dashboard(title: &str, uid: DashboardUid) -> Self {
        let uid = uid.as_str();
        let url = format!("/d/{uid}?${{__url_time_range}}");
        Self { title: title.to_owned(), url, target_blank: false }
    }

    pub(super) fn title(&self) -> &str {
        &self.title
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }
}

/// What Grafana replaces by the value that the series which was clicked on has for a label.
pub fn value_of_series<A: LabelName>() -> String {
    format!("${{__field.labels.{}}}", prometheus_label(A::KEY))
}

/// To these traces in Explore.
pub fn explore_traces(title: &str, spans: &Spans) -> Link {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Query {
        ref_id: &'static str,
        datasource: DataSourceRef,
        query_type: &'static str,
        query: String,
        limit: u16,
        table_type: &'static str,
        filters: [(); 0],
    }
    let query = Query {
        ref_id: "A",
        datasource: DataSource::Tempo.reference(),
        query_type: "traceql",
        query: spans.text(),
        limit: 50,
        table_type: "traces",
        filters: [],
    };
    explore(title, DataSource::Tempo, query)
}

/// To these lines in Explore.
pub fn explore_logs(title: &str, lines: &Lines) -> Link {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Query {
        ref_id: &'static str,
        datasource: DataSourceRef,
        query_type: &'static str,
        expr: String,
    }
    let datasource = DataSource::Loki.reference();
    explore(
        title,
        DataSource::Loki,
        Query { ref_id: "A", datasource, query_type: "range", expr: lines.text().to_owned() },
    )
}

fn explore(title: &str, source: DataSource, query: impl Serialize) -> Link {
    #[derive(Serialize)]
    struct Panes<Q> {
        explore: Pane<Q>,
    }
    #[derive(Serialize)]
    struct Pane<Q> {
        datasource: &'static str,
        queries: [Q; 1],
        range: Range,
    }
    #[derive(Serialize)]
    struct Range {
        from: &'static str,
        to: &'static str,
    }
    let range = Range { from: "${__from}", to: "${__to}" };
    let pane = Pane { datasource: source.uid(), queries: [query], range };
    // Structs of texts and numbers always have a JSON form.
    let panes = serde_json::to_string(&Panes { explore: pane }).unwrap_or_default();
    let url = format!("/explore?schemaVersion=1&orgId=1&panes={}", encode_except_variables(&panes));
    Link { title: title.to_owned(), url, target_blank: true }
}

/// Grafana replaces `${…}` in a link before the browser reads it, so those stay as they are.
fn encode_except_variables(text: &str) -> String {
    const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let end = rest[start..].find('}').map_or(rest.len(), |length| start + length + 1);
        out.extend(utf8_percent_encode(&rest[..start], RESERVED));
        out.push_str(&rest[start..end]);
        rest = &rest[end..];
    }
    out.extend(utf8_percent_encode(rest, RESERVED));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_stay_in_an_encoded_link() {
        assert_eq!(encode_except_variables(r#"{"a":"${__from}"}"#), "%7B%22a%22%3A%22${__from}%22%7D");
        assert_eq!(encode_except_variables("no variable"), "no%20variable");
    }
}
