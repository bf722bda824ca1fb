//! What a panel asks, and of which store.

use serde::Serialize;

use super::Choice;
use super::choice::{narrow_lines, narrow_series, narrow_spans};
use crate::query::{BucketBound, Grouping, Lines, Spans, Vector};

/// The stores, as `deploy/grafana/provisioning` names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataSource {
    /// Metrics.
    Prometheus,
    /// Log lines.
    Loki,
    /// Traces.
    Tempo,
}

impl DataSource {
    /// Its fixed identifier, which is also the name of its type.
    pub const fn uid(self) -> &'static str {
        match self {
            Self::Prometheus => "prometheus",
            Self::Loki => "loki",
            Self::Tempo => "tempo",
        }
    }

    pub(super) const fn reference(self) -> DataSourceRef {
        DataSourceRef { r#type: self.uid(), uid: self.uid() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct DataSourceRef {
    r#type: &'static str,
    uid: &'static str,
}

/// One query of a panel.
#[derive(Clone, Debug)]
pub struct Target {
    pub(super) source: DataSource,
    query: Query,
    exemplars: bool,
}

#[derive(Clone, Debug)]
enum Query {
    Prometheus { expr: String, legend: String, instant: bool, format: &'static str },
    Lines { expr: String, most: u16 },
    LineCount { expr: String, legend: String, instant: bool },
    Traces { query: String, limit: u8 },
}

impl Target {
    fn prometheus(expr: &str, legend: String, instant: bool, format: &'static str) -> Self {
        let query = Query::Prometheus { expr: expr.to_owned(), legend, instant, format };
        Self { source: DataSource::Prometheus, query, exemplars: false }
    }

    /// One series for each group, named after the values of its labels.
    pub fn series<G: Grouping>(query: &Vector<G>) -> Self {
        let labels: Vec<String> = G::keys().iter().map(|key| format!("{{{{{key}}}}}")).collect();
        Self::prometheus(query.text(), labels.join(" "), false, "time_series")
    }

    /// Series with a name of their own, in which `{{label}}` may stand.
    pub fn named<G: Grouping>(legend: &str, query: &Vector<G>) -> Self {
        Self::prometheus(query.text(), legend.to_owned(), false, "time_series")
    }

    /// With a dot for single durations, which leads to the trace of what took so long.
    #[must_use]
    pub fn with_exemplars(self) -> Self {
        Self { exemplars: true, ..self }
    }

    /// The value at the end of the range, for each group.
    pub fn instant<G: Grouping>(query: &Vector<G>) -> Self {
        let mut target = Self::series(query);
        if let Query::Prometheus { instant, .. } = &mut target.query {
            *instant = true;
        }
        target
    }

    /// The value at the end of the range, under a name.
    pub fn instant_named<G: Grouping>(legend: &str, query: &Vector<G>) -> Self {
        Self::prometheus(query.text(), legend.to_owned(), true, "time_series")
    }

    /// One row for each group, at the end of the range.
    pub fn table<G: Grouping>(query: &Vector<G>) -> Self {
        Self::prometheus(query.text(), String::new(), true, "table")
    }

    /// The buckets of a histogram.
    pub fn heatmap(query: &Vector<BucketBound>) -> Self {
        Self::prometheus(query.text(), "{{le}}".to_owned(), false, "heatmap")
    }

    /// The newest of these lines.
    pub fn lines(lines: &Lines) -> Self {
        Self {
            source: DataSource::Loki,
            query: Query::Lines { expr: lines.text().to_owned(), most: 200 },
            exemplars: false,
        }
    }

    /// A LogQL metric at the end of the range.
    pub fn line_counts(expr: String, legend: &str) -> Self {
        let query = Query::LineCount { expr, legend: legend.to_owned(), instant: true };
        Self { source: DataSource::Loki, query, exemplars: false }
    }

    /// A LogQL metric over time.
    pub fn line_rates(expr: String, legend: &str) -> Self {
        let query = Query::LineCount { expr, legend: legend.to_owned(), instant: false };
        Self { source: DataSource::Loki, query, exemplars: false }
    }

    /// The newest of the traces that have such a span.
    pub fn traces(spans: &Spans) -> Self {
        Self {
            source: DataSource::Tempo,
            query: Query::Traces { query: spans.text(), limit: 20 },
            exemplars: false,
        }
    }

    /// What it asks, before it is narrowed to what is chosen.
    pub fn expression(&self) -> &str {
        match &self.query {
            Query::Prometheus { expr, .. } | Query::Lines { expr, .. } | Query::LineCount { expr, .. } => {
                expr
            }
            Query::Traces { query, .. } => query,
        }
    }

    /// As Grafana keeps it, under one of the letters that tell the queries of a panel apart.
    pub(super) fn render(&self, ref_id: char, choices: &[Choice]) -> TargetJson {
        let datasource = self.source.reference();
        let environment = Choice::Environment.variable();
        match self.query.clone() {
            Query::Prometheus { expr, legend, instant, format } => TargetJson::Prometheus(PrometheusTarget {
                ref_id,
                datasource,
                editor_mode: "code",
                expr: narrow_series(&expr, choices),
                legend_format: legend,
                format,
                instant,
                range: !instant,
                exemplar: self.exemplars,
            }),
            Query::Lines { expr, most } => TargetJson::Loki(LokiTarget {
                ref_id,
                datasource,
                editor_mode: "code",
                expr: narrow_lines(&expr, choices, environment),
                query_type: "range",
                legend_format: None,
                max_lines: Some(most),
            }),
            Query::LineCount { expr, legend, instant } => TargetJson::Loki(LokiTarget {
                ref_id,
                datasource,
                editor_mode: "code",
                expr: narrow_lines(&expr, choices, environment),
                query_type: if instant { "instant" } else { "range" },
                legend_format: Some(legend),
                max_lines: None,
            }),
            Query::Traces { query, limit } => TargetJson::Tempo(TempoTarget {
                ref_id,
                datasource,
                query_type: "traceql",
                query: narrow_spans(&query, choices, environment),
                limit,
                table_type: "traces",
                filters: [],
            }),
        }
    }
}

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum TargetJson {
    Prometheus(PrometheusTarget),
    Loki(LokiTarget),
    Tempo(TempoTarget),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PrometheusTarget {
    ref_id: char,
    datasource: DataSourceRef,
    editor_mode: &'static str,
    expr: String,
    legend_format: String,
    format: &'static str,
    instant: bool,
    range: bool,
    exemplar: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LokiTarget {
    ref_id: char,
    datasource: DataSourceRef,
    editor_mode: &'static str,
    expr: String,
    query_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    legend_format: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_lines: Option<u16>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TempoTarget {
    ref_id: char,
    datasource: DataSourceRef,
    query_type: &'static str,
    query: String,
    limit: u8,
    table_type: &'static str,
    filters: [(); 0],
}
