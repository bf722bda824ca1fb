//! The queries of a panel, and their stores.

use serde::Serialize;

use super::Choice;
use super::choice::{narrow_lines, narrow_series, narrow_spans};
use crate::query::{Distribution, Grouping, Lines, Spans, Vector};

/// The stores, by their names in `deploy/grafana/provisioning`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataSource {
    /// The store of metrics.
    Prometheus,
    /// The store of log lines.
    Loki,
    /// The store of traces.
    Tempo,
}

impl DataSource {
    /// Returns the fixed identifier, which is also the name of the store's type.
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

    /// Queries one series per group, named after the values of its labels.
    pub fn series<G: Grouping>(query: &Vector<G>) -> Self {
        let labels: Vec<String> = G::keys().iter().map(|key| format!("{{{{{key}}}}}")).collect();
        Self::prometheus(query.text(), labels.join(" "), false, "time_series")
    }

    /// Queries series named by a legend, which may contain `{{label}}`.
    pub fn named<G: Grouping>(legend: &str, query: &Vector<G>) -> Self {
        Self::prometheus(query.text(), legend.to_owned(), false, "time_series")
    }

    /// Adds exemplars: dots for single durations, which lead to their traces.
    #[must_use]
    pub fn with_exemplars(self) -> Self {
        Self { exemplars: true, ..self }
    }

    /// Queries the value at the end of the range, for each group.
    pub fn instant<G: Grouping>(query: &Vector<G>) -> Self {
        let mut target = Self::series(query);
        if let Query::Prometheus { instant, .. } = &mut target.query {
            *instant = true;
        }
        target
    }

    /// Queries the value at the end of the range, under a name.
    pub fn instant_named<G: Grouping>(legend: &str, query: &Vector<G>) -> Self {
        Self::prometheus(query.text(), legend.to_owned(), true, "time_series")
    }

    /// Queries one table row per group, at the end of the range.
    pub fn table<G: Grouping>(query: &Vector<G>) -> Self {
        Self::prometheus(query.text(), String::new(), true, "table")
    }

    /// Queries a histogram, of which Grafana draws every bucket.
    pub fn heatmap(query: &Distribution) -> Self {
        Self::prometheus(query.text(), "__auto".to_owned(), false, "heatmap")
    }

    /// Queries the newest of these lines.
    pub fn lines(lines: &Lines) -> Self {
        Self {
            source: DataSource::Loki,
            query: Query::Lines { expr: lines.text().to_owned(), most: 200 },
            exemplars: false,
        }
    }

    /// Queries a LogQL metric at the end of the range.
    pub fn line_counts(expr: String, legend: &str) -> Self {
        let query = Query::LineCount { expr, legend: legend.to_owned(), instant: true };
        Self { source: DataSource::Loki, query, exemplars: false }
    }

    /// Queries a LogQL metric over time.
    pub fn line_rates(expr: String, legend: &str) -> Self {
        let query = Query::LineCount { expr, legend: legend.to_owned(), instant: false };
        Self { source: DataSource::Loki, query, exemplars: false }
    }

    /// Queries the newest traces that contain such a span.
    pub fn traces(spans: &Spans) -> Self {
        Self {
            source: DataSource::Tempo,
            query: Query::Traces { query: spans.text(), limit: 20 },
            exemplars: false,
        }
    }

    /// Returns the query, before it is narrowed to the chosen environment and processes.
    pub fn expression(&self) -> &str {
        match &self.query {
            Query::Prometheus { expr, .. } | Query::Lines { expr, .. } | Query::LineCount { expr, .. } => {
                expr
            }
            Query::Traces { query, .. } => query,
        }
    }

    /// Returns Grafana's JSON. `ref_id` is the letter that identifies the query within its panel.
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
