//! A panel, from its queries to the display of their results.

use super::color::{Color, ColorMode, Thresholds};
use super::kind::{AlertFilter, Chart, ChartStyle, Legend, LegendNumber, Markdown, PanelKind, Stat, Table};
use super::options::{Custom, Options};
use super::panel_json::{Defaults, FieldConfig, GridPosition, PanelJson, PanelLink};
use super::values::ValueDisplay;
use super::{Choice, Link, Mapping, Override, Period, Target, Transformation, Unit};

/// One panel of a dashboard.
#[derive(Clone, Debug)]
pub struct Panel {
    pub(super) id: u16,
    pub(super) title: &'static str,
    kind: PanelKind,
    description: &'static str,
    pub(super) width: u8,
    targets: Vec<Target>,
    values: ValueDisplay,
    overrides: Vec<Override>,
    transformations: Vec<Transformation>,
    interval: Option<Period>,
    looking_back: Option<Period>,
    links: Vec<Link>,
}

impl Panel {
    fn new(kind: PanelKind, id: u16, title: &'static str, description: &'static str) -> Self {
        let color =
            if matches!(kind, PanelKind::TimeSeries(_)) { ColorMode::Palette } else { ColorMode::Thresholds };
        Self {
            id,
            title,
            kind,
            description,
            width: 6,
            targets: Vec::new(),
            values: ValueDisplay::new(color),
            overrides: Vec::new(),
            transformations: Vec::new(),
            interval: None,
            looking_back: None,
            links: Vec::new(),
        }
    }

    /// Creates a panel of lines over time. The id must never change, because links refer to it; the
    /// description says what to do.
    pub fn time_series(id: u16, title: &'static str, description: &'static str) -> Self {
        Self::new(PanelKind::TimeSeries(Chart::LINES), id, title, description)
    }

    /// Creates a panel of states over time.
    pub fn state_timeline(id: u16, title: &'static str, description: &'static str) -> Self {
        Self::new(PanelKind::StateTimeline, id, title, description)
    }

    /// Creates a panel of large numbers.
    pub fn stat(id: u16, title: &'static str, description: &'static str) -> Self {
        Self::new(PanelKind::Stat(Stat::DEFAULT), id, title, description)
    }

    /// Creates a panel of horizontal bars.
    pub fn bars(id: u16, title: &'static str, description: &'static str) -> Self {
        let mut panel = Self::new(PanelKind::Bars, id, title, description);
        panel.values.min = Some(0.0);
        panel
    }

    /// Creates a panel with a table.
    pub fn table(id: u16, title: &'static str, description: &'static str) -> Self {
        Self::new(PanelKind::Table(Table { sorted_by: None }), id, title, description)
    }

    /// Creates a heat map of the distribution of durations over time.
    pub fn heatmap(id: u16, title: &'static str, description: &'static str) -> Self {
        Self::new(PanelKind::Heatmap, id, title, description)
    }

    /// Creates a panel of log lines.
    pub fn logs(id: u16, title: &'static str, description: &'static str) -> Self {
        Self::new(PanelKind::Logs, id, title, description)
    }

    /// Creates a list of the firing and pending alerts whose labels match.
    pub fn alerts(id: u16, title: &'static str, description: &'static str, label_filter: String) -> Self {
        let kind = PanelKind::Alerts(AlertFilter { labels: label_filter });
        Self::new(kind, id, title, description)
    }

    /// Creates a panel with Markdown text.
    pub fn text(id: u16, title: &'static str, description: &'static str, markdown: String) -> Self {
        Self::new(PanelKind::Text(Markdown { content: markdown }), id, title, description)
    }

    /// Returns the id that links refer to.
    pub fn id(&self) -> u16 {
        self.id
    }

    /// Returns the kind, with the settings that only it has.
    pub fn kind(&self) -> &PanelKind {
        &self.kind
    }

    /// Returns whether the panel shows values over time.
    pub fn is_chart(&self) -> bool {
        matches!(self.kind, PanelKind::TimeSeries(_))
    }

    /// Returns the heading above the panel.
    pub fn title(&self) -> &'static str {
        self.title
    }

    /// Returns the description, which says what to do.
    pub fn description(&self) -> &'static str {
        self.description
    }

    /// Returns the width, of 24 columns.
    pub fn columns(&self) -> u8 {
        self.width
    }

    /// Returns how values are shown.
    pub fn values(&self) -> &ValueDisplay {
        &self.values
    }

    /// Returns the overrides for single series or columns. Later ones win.
    pub fn overrides(&self) -> &[Override] {
        &self.overrides
    }

    /// Returns the transformations of the results, in order.
    pub fn transformations(&self) -> &[Transformation] {
        &self.transformations
    }

    /// Returns the minimum distance of two points.
    pub fn least_interval(&self) -> Option<Period> {
        self.interval
    }

    /// Returns the fixed time range before now, if the panel does not follow the dashboard's range.
    pub fn fixed_range(&self) -> Option<Period> {
        self.looking_back
    }

    /// Returns the links of the panel itself.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// Returns the queries.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Sets the width, of 24 columns.
    #[must_use]
    pub fn width(self, width: u8) -> Self {
        Self { width, ..self }
    }

    /// Adds a query.
    #[must_use]
    pub fn ask(mut self, target: Target) -> Self {
        self.targets.push(target);
        self
    }

    /// Sets the unit of the values.
    #[must_use]
    pub fn unit(mut self, unit: Unit) -> Self {
        self.values.unit = Some(unit);
        self
    }

    /// Sets the number of decimals.
    #[must_use]
    pub fn decimals(mut self, decimals: u8) -> Self {
        self.values.decimals = Some(decimals);
        self
    }

    /// Sets the scale of the values from zero to `max`.
    #[must_use]
    pub fn up_to(mut self, max: f64) -> Self {
        (self.values.min, self.values.max) = (Some(0.0), Some(max));
        self
    }

    /// Extends the axis to this value even if no data reaches it, so that small changes look small.
    #[must_use]
    pub fn at_least_to(mut self, value: f64) -> Self {
        if let PanelKind::TimeSeries(chart) = &mut self.kind {
            chart.soft_max = Some(value);
        }
        self
    }

    /// Sets the text that replaces missing data.
    #[must_use]
    pub fn when_nothing(mut self, text: &'static str) -> Self {
        self.values.nothing = Some(text);
        self.values.mappings.push(Mapping::nothing(text));
        self
    }

    /// Sets the base color and the color from each threshold on. In a chart, thresholds are dashed
    /// lines.
    #[must_use]
    pub fn thresholds(mut self, base: Color, steps: &[(f64, Color)]) -> Self {
        self.values.thresholds = Thresholds::new(base, steps);
        if let PanelKind::TimeSeries(chart) = &mut self.kind {
            chart.shows_thresholds = true;
        }
        self
    }

    /// Sets one color for all values.
    #[must_use]
    pub fn color(mut self, color: Color) -> Self {
        self.values.color = ColorMode::Fixed(color);
        self
    }

    /// Adds texts that replace values.
    #[must_use]
    pub fn mapping(mut self, mapping: Mapping) -> Self {
        self.values.mappings.push(mapping);
        self
    }

    /// Adds a link to the values.
    #[must_use]
    pub fn value_link(mut self, link: Link) -> Self {
        self.values.links.push(link);
        self
    }

    /// Adds a link to the panel.
    #[must_use]
    pub fn link(mut self, link: Link) -> Self {
        self.links.push(link);
        self
    }

    /// Adds deviations for one field.
    #[must_use]
    pub fn except(mut self, field: Override) -> Self {
        self.overrides.push(field);
        self
    }

    /// Adds a transformation of the results.
    #[must_use]
    pub fn transform(mut self, transformation: Transformation) -> Self {
        self.transformations.push(transformation);
        self
    }

    /// Sets the minimum distance of two points.
    #[must_use]
    pub fn interval(self, interval: Period) -> Self {
        Self { interval: Some(interval), ..self }
    }

    /// Sets a fixed time range, whatever the dashboard's range.
    #[must_use]
    pub fn looking_back(self, period: Period) -> Self {
        Self { looking_back: Some(period), ..self }
    }

    /// Draws stacked bars instead of lines. A bar is at least four samples of a metric wide, because a
    /// narrower one could count nothing.
    #[must_use]
    pub fn stacked_bars(mut self) -> Self {
        self.interval = self.interval.or(Some(Period::Minutes(1)));
        self.style(ChartStyle::StackedBars)
    }

    /// Draws stacked areas instead of lines.
    #[must_use]
    pub fn stacked(self) -> Self {
        self.style(ChartStyle::StackedAreas)
    }

    fn style(mut self, style: ChartStyle) -> Self {
        if let PanelKind::TimeSeries(chart) = &mut self.kind {
            chart.style = style;
        }
        self
    }

    /// Adds a legend table with the total of each series.
    #[must_use]
    pub fn legend_totals(self) -> Self {
        self.legend(LegendNumber::Total)
    }

    /// Adds a legend table with the maximum of each series.
    #[must_use]
    pub fn legend_maxima(self) -> Self {
        self.legend(LegendNumber::Max)
    }

    /// Adds a legend table with the last value of each series.
    #[must_use]
    pub fn legend_last(self) -> Self {
        self.legend(LegendNumber::Last)
    }

    fn legend(mut self, number: LegendNumber) -> Self {
        if let PanelKind::TimeSeries(chart) = &mut self.kind {
            chart.legend = Legend::Table(number);
        }
        self
    }

    /// Paints the whole panel in the color of its value.
    #[must_use]
    pub fn background(mut self) -> Self {
        if let PanelKind::Stat(stat) = &mut self.kind {
            stat.paints_background = true;
        }
        self
    }

    /// Draws the history of the number behind it.
    #[must_use]
    pub fn with_graph(mut self) -> Self {
        if let PanelKind::Stat(stat) = &mut self.kind {
            stat.has_graph = true;
        }
        self
    }

    /// Shows the names of the series instead of their values.
    #[must_use]
    pub fn names_only(mut self) -> Self {
        if let PanelKind::Stat(stat) = &mut self.kind {
            stat.names_only = true;
        }
        self
    }

    /// Sorts the rows of a table by this column, in descending order.
    #[must_use]
    pub fn sorted_by(mut self, column: &str) -> Self {
        if let PanelKind::Table(table) = &mut self.kind {
            table.sorted_by = Some(column.to_owned());
        }
        self
    }

    pub(super) fn render(&self, x: u8, y: u16, height: u8, choices: &[Choice]) -> PanelJson<'_> {
        let values = &self.values;
        PanelJson {
            id: self.id,
            r#type: self.kind.name(),
            title: self.title,
            description: self.description,
            grid_pos: GridPosition { h: height, w: self.width, x, y },
            datasource: self.targets.first().map(|target| target.source().reference()),
            targets: ('A'..='Z').zip(&self.targets).map(|(id, target)| target.render(id, choices)).collect(),
            field_config: FieldConfig {
                defaults: Defaults {
                    unit: values.unit,
                    decimals: values.decimals,
                    min: values.min,
                    max: values.max,
                    no_value: values.nothing,
                    color: &values.color,
                    thresholds: &values.thresholds,
                    mappings: &values.mappings,
                    links: &values.links,
                    custom: Custom::of(&self.kind),
                },
                overrides: &self.overrides,
            },
            options: Options::of(&self.kind),
            transformations: &self.transformations,
            interval: self.interval,
            time_from: self.looking_back,
            links: self.links.iter().map(PanelLink::new).collect(),
        }
    }
}
