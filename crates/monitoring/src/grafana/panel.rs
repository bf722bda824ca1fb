//! A panel, from its queries to the display of their results.

use super::field::{ColorMode, Thresholds};
use super::heatmap::HeatmapOptions;
use super::options::{
    AlertListOptions, BarGaugeOptions, Custom, Legend, LogsOptions, Options, SortBy, StatOptions,
    StateTimelineCustom, StateTimelineOptions, TableCustom, TableOptions, TextOptions, TimeSeriesCustom,
    TimeSeriesOptions, Tooltip,
};
use super::panel_json::{Defaults, FieldConfig, GridPosition, PanelJson, PanelLink};
use super::{Choice, Color, Link, Mapping, Override, Target, Transformation, Unit};

/// One panel of a dashboard.
#[derive(Clone, Debug)]
pub struct Panel {
    pub(super) id: u16,
    pub(super) title: &'static str,
    kind: &'static str,
    description: &'static str,
    pub(super) width: u8,
    targets: Vec<Target>,
    unit: Option<Unit>,
    decimals: Option<u8>,
    min: Option<f64>,
    max: Option<f64>,
    no_value: Option<&'static str>,
    thresholds: Thresholds,
    color: ColorMode,
    mappings: Vec<Mapping>,
    field_links: Vec<Link>,
    overrides: Vec<Override>,
    custom: Option<Custom>,
    options: Options,
    transformations: Vec<Transformation>,
    interval: Option<&'static str>,
    time_from: Option<&'static str>,
    links: Vec<Link>,
}

impl Panel {
    fn new(
        kind: &'static str,
        id: u16,
        title: &'static str,
        description: &'static str,
        options: Options,
        custom: Option<Custom>,
    ) -> Self {
        Self {
            id,
            title,
            kind,
            description,
            width: 6,
            targets: Vec::new(),
            unit: None,
            decimals: None,
            min: None,
            max: None,
            no_value: None,
            thresholds: Thresholds::new(Color::Green, &[]),
            color: ColorMode::THRESHOLDS,
            mappings: Vec::new(),
            field_links: Vec::new(),
            overrides: Vec::new(),
            custom,
            options,
            transformations: Vec::new(),
            interval: None,
            time_from: None,
            links: Vec::new(),
        }
    }

    /// Creates a panel of lines over time. The id must never change, because links refer to it; the
    /// description says what to do.
    pub fn time_series(id: u16, title: &'static str, description: &'static str) -> Self {
        let options = TimeSeriesOptions { legend: Legend::BELOW, tooltip: Tooltip::ALL_SERIES };
        let custom = Custom::TimeSeries(TimeSeriesCustom::LINES);
        let panel =
            Self::new("timeseries", id, title, description, Options::TimeSeries(options), Some(custom));
        Self { color: ColorMode::PALETTE, ..panel }
    }

    /// Creates a panel of states over time.
    pub fn state_timeline(id: u16, title: &'static str, description: &'static str) -> Self {
        let options = Options::StateTimeline(StateTimelineOptions::DEFAULT);
        let custom = Custom::StateTimeline(StateTimelineCustom::DEFAULT);
        Self::new("state-timeline", id, title, description, options, Some(custom))
    }

    /// Creates a panel of large numbers.
    pub fn stat(id: u16, title: &'static str, description: &'static str) -> Self {
        Self::new("stat", id, title, description, Options::Stat(StatOptions::DEFAULT), None)
    }

    /// Creates a panel of horizontal bars.
    pub fn bars(id: u16, title: &'static str, description: &'static str) -> Self {
        let options = Options::BarGauge(BarGaugeOptions::DEFAULT);
        let panel = Self::new("bargauge", id, title, description, options, None);
        Self { min: Some(0.0), ..panel }
    }

    /// Creates a panel with a table.
    pub fn table(id: u16, title: &'static str, description: &'static str) -> Self {
        let options = Options::Table(TableOptions::DEFAULT);
        Self::new("table", id, title, description, options, Some(Custom::Table(TableCustom::DEFAULT)))
    }

    /// Creates a heat map of the distribution of durations over time.
    pub fn heatmap(id: u16, title: &'static str, description: &'static str) -> Self {
        Self::new("heatmap", id, title, description, Options::Heatmap(HeatmapOptions::DURATIONS), None)
    }

    /// Creates a panel of log lines.
    pub fn logs(id: u16, title: &'static str, description: &'static str) -> Self {
        Self::new("logs", id, title, description, Options::Logs(LogsOptions::DEFAULT), None)
    }

    /// Creates a list of the firing and pending alerts whose labels match.
    pub fn alerts(id: u16, title: &'static str, description: &'static str, label_filter: String) -> Self {
        let options = Options::AlertList(AlertListOptions::firing(label_filter));
        Self::new("alertlist", id, title, description, options, None)
    }

    /// Creates a panel with Markdown text.
    pub fn text(id: u16, title: &'static str, description: &'static str, markdown: String) -> Self {
        Self::new("text", id, title, description, Options::Text(TextOptions::markdown(markdown)), None)
    }

    /// Returns the id that links refer to.
    pub fn id(&self) -> u16 {
        self.id
    }

    /// Returns whether the panel shows values over time.
    pub fn is_chart(&self) -> bool {
        self.kind == "timeseries"
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
    pub fn unit(self, unit: Unit) -> Self {
        Self { unit: Some(unit), ..self }
    }

    /// Sets the number of decimals.
    #[must_use]
    pub fn decimals(self, decimals: u8) -> Self {
        Self { decimals: Some(decimals), ..self }
    }

    /// Sets the scale of the values from zero to `max`.
    #[must_use]
    pub fn up_to(self, max: f64) -> Self {
        Self { min: Some(0.0), max: Some(max), ..self }
    }

    /// Extends the axis to this value even if no data reaches it, so that small changes look small.
    #[must_use]
    pub fn at_least_to(mut self, value: f64) -> Self {
        if let Some(Custom::TimeSeries(custom)) = &mut self.custom {
            custom.axis_soft_max = Some(value);
        }
        self
    }

    /// Sets the text that replaces missing data.
    #[must_use]
    pub fn when_nothing(mut self, text: &'static str) -> Self {
        self.no_value = Some(text);
        self.mappings.push(Mapping::nothing(text));
        self
    }

    /// Sets the base color and the color from each threshold on. In a chart, thresholds are dashed
    /// lines.
    #[must_use]
    pub fn thresholds(mut self, base: Color, steps: &[(f64, Color)]) -> Self {
        self.thresholds = Thresholds::new(base, steps);
        if let Some(Custom::TimeSeries(custom)) = &mut self.custom {
            custom.thresholds_style.mode = "dashed";
        }
        self
    }

    /// Sets one color for all values.
    #[must_use]
    pub fn color(self, color: Color) -> Self {
        Self { color: ColorMode::fixed(color), ..self }
    }

    /// Adds texts that replace values.
    #[must_use]
    pub fn mapping(mut self, mapping: Mapping) -> Self {
        self.mappings.push(mapping);
        self
    }

    /// Adds a link to the values.
    #[must_use]
    pub fn value_link(mut self, link: Link) -> Self {
        self.field_links.push(link);
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
    pub fn interval(self, interval: &'static str) -> Self {
        Self { interval: Some(interval), ..self }
    }

    /// Sets a fixed time range, whatever the dashboard's range.
    #[must_use]
    pub fn looking_back(self, time: &'static str) -> Self {
        Self { time_from: Some(time), ..self }
    }

    /// Draws stacked bars instead of lines. A bar is at least four points of a metric wide, because
    /// a narrower one would count nothing.
    #[must_use]
    pub fn stacked_bars(mut self) -> Self {
        self.interval = self.interval.or(Some("1m"));
        if let Some(Custom::TimeSeries(custom)) = &mut self.custom {
            custom.draw_style = "bars";
            // A bar ends at its point, because it counts what happened before.
            custom.bar_alignment = Some(-1);
            custom.bar_width_factor = Some(0.95);
            custom.fill_opacity = 80;
            custom.show_points = "never";
            custom.stacking.mode = "normal";
        }
        self
    }

    /// Draws stacked areas instead of lines.
    #[must_use]
    pub fn stacked(mut self) -> Self {
        if let Some(Custom::TimeSeries(custom)) = &mut self.custom {
            // With lines, a part of zero would be drawn as a line on top of the others.
            custom.line_width = 0;
            custom.fill_opacity = 60;
            custom.show_points = "never";
            custom.stacking.mode = "normal";
        }
        self
    }

    /// Adds a legend table with the total of each series.
    #[must_use]
    pub fn legend_totals(self) -> Self {
        self.legend(Legend::table("sum", "Total"))
    }

    /// Adds a legend table with the maximum of each series.
    #[must_use]
    pub fn legend_maxima(self) -> Self {
        self.legend(Legend::table("max", "Max"))
    }

    /// Adds a legend table with the last value of each series.
    #[must_use]
    pub fn legend_last(self) -> Self {
        self.legend(Legend::table("lastNotNull", "Last *"))
    }

    fn legend(mut self, legend: Legend) -> Self {
        if let Options::TimeSeries(options) = &mut self.options {
            options.legend = legend;
        }
        self
    }

    /// Paints the whole panel in the color of its value.
    #[must_use]
    pub fn background(mut self) -> Self {
        if let Options::Stat(options) = &mut self.options {
            options.color_mode = "background";
        }
        self
    }

    /// Draws the history of the number behind it.
    #[must_use]
    pub fn with_graph(mut self) -> Self {
        if let Options::Stat(options) = &mut self.options {
            options.graph_mode = "area";
        }
        self
    }

    /// Shows the names of the series instead of their values.
    #[must_use]
    pub fn names_only(mut self) -> Self {
        if let Options::Stat(options) = &mut self.options {
            options.text_mode = "name";
        }
        self
    }

    /// Sorts the rows of a table by this column, in descending order.
    #[must_use]
    pub fn sorted_by(mut self, column: &str) -> Self {
        if let Options::Table(options) = &mut self.options {
            options.sort_by = vec![SortBy { display_name: column.to_owned(), desc: true }];
        }
        self
    }

    pub(super) fn render(&self, x: u8, y: u16, height: u8, choices: &[Choice]) -> PanelJson<'_> {
        PanelJson {
            id: self.id,
            r#type: self.kind,
            title: self.title,
            description: self.description,
            grid_pos: GridPosition { h: height, w: self.width, x, y },
            datasource: self.targets.first().map(|target| target.source.reference()),
            targets: ('A'..='Z').zip(&self.targets).map(|(id, target)| target.render(id, choices)).collect(),
            field_config: FieldConfig {
                defaults: Defaults {
                    unit: self.unit,
                    decimals: self.decimals,
                    min: self.min,
                    max: self.max,
                    no_value: self.no_value,
                    color: &self.color,
                    thresholds: &self.thresholds,
                    mappings: &self.mappings,
                    links: &self.field_links,
                    custom: self.custom.as_ref(),
                },
                overrides: &self.overrides,
            },
            options: &self.options,
            transformations: &self.transformations,
            interval: self.interval,
            time_from: self.time_from,
            links: self.links.iter().map(PanelLink::new).collect(),
        }
    }
}
