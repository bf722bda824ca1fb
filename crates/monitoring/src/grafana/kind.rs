//! Kinds of panels, each with the settings that only it has.

/// A visualization of Grafana, with its options.
#[derive(Clone, Debug, PartialEq)]
pub enum PanelKind {
    /// Lines, areas or bars over time.
    TimeSeries(Chart),
    /// States over time, one row for each series.
    StateTimeline,
    /// Large numbers.
    Stat(Stat),
    /// Horizontal bars, one for each series.
    Bars,
    /// One row per group of labels, one column per query.
    Table(Table),
    /// The distribution of durations over time.
    Heatmap,
    /// Log lines, or traces.
    Logs,
    /// A list of the alerts that fire or are pending.
    Alerts(AlertFilter),
    /// Text in Markdown, without queries.
    Text(Markdown),
}

/// Settings of a chart over time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chart {
    pub(super) style: ChartStyle,
    pub(super) legend: Legend,
    pub(super) soft_max: Option<f64>,
    pub(super) shows_thresholds: bool,
}

/// Style of a chart's series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChartStyle {
    /// A line for each series.
    Lines,
    /// Areas on top of each other.
    StackedAreas,
    /// Bars on top of each other. A bar ends at its point, because it counts the events before it.
    StackedBars,
}

/// The legend of a chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Legend {
    /// Names only, below the chart.
    Names,
    /// A table beside the chart, with a number for each series. The largest number is first.
    Table(LegendNumber),
}

/// The number beside a series in a legend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegendNumber {
    /// Sum of all points.
    Total,
    /// Largest value.
    Max,
    /// Last value.
    Last,
}

/// Settings of large numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    pub(super) paints_background: bool,
    pub(super) has_graph: bool,
    pub(super) names_only: bool,
}

/// Settings of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub(super) sorted_by: Option<String>,
}

/// Settings of a list of alerts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertFilter {
    pub(super) labels: String,
}

/// A text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Markdown {
    pub(super) content: String,
}

impl Chart {
    pub(super) const LINES: Self =
        Self { style: ChartStyle::Lines, legend: Legend::Names, soft_max: None, shows_thresholds: false };

    /// Returns how the series are drawn, unless an override says otherwise.
    pub fn style(&self) -> ChartStyle {
        self.style
    }

    /// Returns the content and position of the legend.
    pub fn legend(&self) -> Legend {
        self.legend
    }

    /// Returns the value that the axis always includes. It always extends to zero.
    pub fn soft_max(&self) -> Option<f64> {
        self.soft_max
    }

    /// Returns whether thresholds are dashed lines.
    pub fn shows_thresholds(&self) -> bool {
        self.shows_thresholds
    }
}

impl LegendNumber {
    /// Returns the title of the number's column.
    pub fn title(self) -> &'static str {
        match self {
            Self::Total => "Total",
            Self::Max => "Max",
            Self::Last => "Last *",
        }
    }
}

impl Stat {
    pub(super) const DEFAULT: Self = Self { paints_background: false, has_graph: false, names_only: false };

    /// Returns whether the whole panel has the color of its value.
    pub fn paints_background(&self) -> bool {
        self.paints_background
    }

    /// Returns whether the history of the number is drawn behind it.
    pub fn has_graph(&self) -> bool {
        self.has_graph
    }

    /// Returns whether the names of the series are shown instead of their values.
    pub fn names_only(&self) -> bool {
        self.names_only
    }
}

impl Table {
    /// Returns the column by which rows are sorted in descending order.
    pub fn sorted_by(&self) -> Option<&str> {
        self.sorted_by.as_deref()
    }
}

impl AlertFilter {
    /// Returns the condition on the labels of the listed alerts, in PromQL's syntax.
    pub fn labels(&self) -> &str {
        &self.labels
    }
}

impl Markdown {
    /// Returns the text.
    pub fn content(&self) -> &str {
        &self.content
    }
}

impl PanelKind {
    /// Returns Grafana's name for the kind.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::TimeSeries(_) => "timeseries",
            Self::StateTimeline => "state-timeline",
            Self::Stat(_) => "stat",
            Self::Bars => "bargauge",
            Self::Table(_) => "table",
            Self::Heatmap => "heatmap",
            Self::Logs => "logs",
            Self::Alerts(_) => "alertlist",
            Self::Text(_) => "text",
        }
    }
}
