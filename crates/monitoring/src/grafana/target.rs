//! The queries of a panel, and their stores.

use serde::Serialize;

use super::data_source::{DataSource, DataSourceRef};
use super::narrow::{narrow_lines, narrow_series, narrow_spans};
use crate::query::{Choice, Distribution, Expression, Grouping, LineQuery, Lines, Spans, Vector};

/// One query of a panel.
#[derive(Clone, Debug)]
pub struct Target {
    pub(super) source: DataSource,
    query: Query,
    exemplars: bool,
}

/// A query as data.
#[derive(Clone, Debug)]
pub enum Query {
    /// Series of metrics.
    Series {
        /// The counted lines and their grouping.
        expression: Expression,
        /// Name of each series, which may contain `{{label}}`.
        legend: String,
        /// True for one value at the end of the range, false for a value at each point of the panel.
        instant: bool,
        /// Use of the series.
        format: Format,
    },
    /// The newest log lines.
    Lines {
        /// The counted lines and their grouping.
        lines: Lines,
        /// Maximum number of lines.
        most: u16,
    },
    /// Numbers of log lines.
    LineCount {
        /// The counted lines and their grouping.
        query: LineQuery,
        /// Name of each series, which may contain `{{label}}`.
        legend: String,
        /// True for one value at the end of the range, false for a value at each point of the panel.
        instant: bool,
    },
    /// The newest traces.
    Traces {
        /// The counted lines and their grouping.
        spans: Spans,
        /// Maximum number of traces.
        limit: u8,
    },
}

/// Use of the series of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// One line, bar or number each.
    TimeSeries,
    /// One table row each.
    Table,
    /// A histogram; each bucket is drawn.
    Heatmap,
}

impl Target {
    fn prometheus(expression: &Expression, legend: String, instant: bool, format: Format) -> Self {
        let query = Query::Series { expression: expression.clone(), legend, instant, format };
        Self { source: DataSource::Prometheus, query, exemplars: false }
    }

    /// Queries one series per group, named after the values of its labels.
    pub fn series<G: Grouping>(query: &Vector<G>) -> Self {
        let labels: Vec<String> = G::keys().iter().map(|key| format!("{{{{{key}}}}}")).collect();
        Self::prometheus(query.expression(), labels.join(" "), false, Format::TimeSeries)
    }

    /// Queries series named by a legend, which may contain `{{label}}`.
    pub fn named<G: Grouping>(legend: &str, query: &Vector<G>) -> Self {
        Self::prometheus(query.expression(), legend.to_owned(), false, Format::TimeSeries)
    }

    /// Adds exemplars: dots for single durations, which lead to their traces.
    #[must_use]
    pub fn with_exemplars(self) -> Self {
        Self { exemplars: true, ..self }
    }

    /// Queries the value at the end of the range, for each group.
    pub fn instant<G: Grouping>(query: &Vector<G>) -> Self {
        let mut target = Self::series(query);
        if let Query::Series { instant, .. } = &mut target.query {
            *instant = true;
        }
        target
    }

    /// Queries the value at the end of the range, under a name.
    pub fn instant_named<G: Grouping>(legend: &str, query: &Vector<G>) -> Self {
        Self::prometheus(query.expression(), legend.to_owned(), true, Format::TimeSeries)
    }

    /// Queries one table row per group, at the end of the range.
    pub fn table<G: Grouping>(query: &Vector<G>) -> Self {
        Self::prometheus(query.expression(), String::new(), true, Format::Table)
    }

    /// Queries a histogram; Grafana draws every bucket.
    pub fn heatmap(query: &Distribution) -> Self {
        Self::prometheus(query.expression(), "__auto".to_owned(), false, Format::Heatmap)
    }

    /// Queries the newest of these lines.
    pub fn lines(lines: &Lines) -> Self {
        Self {
            source: DataSource::Loki,
            query: Query::Lines { lines: lines.clone(), most: 200 },
            exemplars: false,
        }
    }

    /// Queries a LogQL metric at the end of the range.
    pub fn line_counts(query: LineQuery, legend: &str) -> Self {
        let query = Query::LineCount { query, legend: legend.to_owned(), instant: true };
        Self { source: DataSource::Loki, query, exemplars: false }
    }

    /// Queries a LogQL metric over time.
    pub fn line_rates(query: LineQuery, legend: &str) -> Self {
        let query = Query::LineCount { query, legend: legend.to_owned(), instant: false };
        Self { source: DataSource::Loki, query, exemplars: false }
    }

    /// Queries the newest traces that contain such a span.
    pub fn traces(spans: &Spans) -> Self {
        Self {
            source: DataSource::Tempo,
            query: Query::Traces { spans: spans.clone(), limit: 20 },
            exemplars: false,
        }
    }

    /// Returns the store that it asks.
    pub fn source(&self) -> DataSource {
        self.source
    }

    /// Returns the query, before it is narrowed to the chosen environment and processes.
    pub fn query(&self) -> &Query {
        &self.query
    }

    /// Returns the query, narrowed to the environment and processes that are chosen by these variables.
    pub fn narrowed(&self, choices: &[Choice]) -> Query {
        let environment = Choice::Environment.variable();
        let mut query = self.query.clone();
        match &mut query {
            Query::Series { expression, .. } => *expression = narrow_series(expression, choices),
            Query::Lines { lines, .. } => *lines = narrow_lines(lines, choices, environment),
            Query::LineCount { query, .. } => {
                if choices.contains(&Choice::Environment) {
                    *query = query.clone().in_environment(environment);
                }
            }
            Query::Traces { spans, .. } => *spans = narrow_spans(spans, choices, environment),
        }
        query
    }

    /// Returns whether exemplars are wanted: dots for single durations, which lead to their traces.
    pub fn shows_exemplars(&self) -> bool {
        self.exemplars
    }

    /// Returns the text of the query, before it is narrowed to the chosen environment and processes.
    pub fn text(&self) -> String {
        match &self.query {
            Query::Series { expression, .. } => expression.to_string(),
            Query::Lines { lines, .. } => lines.text(),
            Query::LineCount { query, .. } => query.text(),
            Query::Traces { spans, .. } => spans.text(),
        }
    }

    /// Returns Grafana's JSON. `ref_id` is the letter that identifies the query within its panel.
    pub(super) fn render(&self, ref_id: char, choices: &[Choice]) -> TargetJson {
        let datasource = self.source.reference();
        match self.narrowed(choices) {
            Query::Series { expression, legend, instant, format } => {
                TargetJson::Prometheus(PrometheusTarget {
                    ref_id,
                    datasource,
                    editor_mode: "code",
                    expr: expression.to_string(),
                    legend_format: legend,
                    format,
                    instant,
                    range: !instant,
                    exemplar: self.exemplars,
                })
            }
            Query::Lines { lines, most } => TargetJson::Loki(LokiTarget {
                ref_id,
                datasource,
                editor_mode: "code",
                expr: lines.text(),
                query_type: "range",
                legend_format: None,
                max_lines: Some(most),
            }),
            Query::LineCount { query, legend, instant } => TargetJson::Loki(LokiTarget {
                ref_id,
                datasource,
                editor_mode: "code",
                expr: query.text(),
                query_type: if instant { "instant" } else { "range" },
                legend_format: Some(legend),
                max_lines: None,
            }),
            Query::Traces { spans, limit } => TargetJson::Tempo(TempoTarget {
                ref_id,
                datasource,
                query_type: "traceql",
                query: spans.text(),
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
    format: Format,
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
