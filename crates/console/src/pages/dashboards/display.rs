//! Display settings of one series or column: the panel's settings and its overrides.

use monitoring::grafana::{
    Axis, Cell, Color, ColorMode, DrawStyle, Link, Mapping, Override, Panel, Property, Thresholds, Unit,
};

use crate::chart::{ColorClass, optional_text};

/// Display settings of one field.
#[derive(Clone, Debug)]
pub(crate) struct Display {
    pub unit: Unit,
    pub decimals: Option<u8>,
    /// Value at which a bar is full.
    pub max: Option<f64>,
    /// True if the series is a line in a bar chart.
    pub is_line: bool,
    /// True if it has its own axis on the right.
    pub is_right: bool,
    /// Kind of cell.
    pub cell: Option<Cell>,
    /// Links of each value.
    pub links: Vec<Link>,
    color: ColorMode,
    thresholds: Steps,
    mappings: Vec<Mapping>,
}

#[derive(Clone, Debug)]
enum Steps {
    OfPanel(Thresholds),
    Own(Vec<(f64, Color)>),
}

impl Display {
    /// Returns the display of the field with this name.
    pub(crate) fn of(panel: &Panel, name: &str) -> Self {
        let values = panel.values();
        let mut display = Self {
            unit: values.unit.unwrap_or(Unit::Count),
            decimals: values.decimals,
            max: values.max,
            is_line: false,
            is_right: false,
            cell: None,
            links: values.links.clone(),
            color: values.color,
            thresholds: Steps::OfPanel(values.thresholds.clone()),
            mappings: values.mappings.clone(),
        };
        let own = panel.overrides().iter().filter(|field| field.applies_to(name));
        own.flat_map(Override::properties).for_each(|property| display.change(property));
        display
    }

    fn change(&mut self, property: &Property) {
        match property {
            Property::Unit(unit) => self.unit = *unit,
            Property::Decimals(decimals) => self.decimals = Some(*decimals),
            Property::Color(color) => self.color = ColorMode::Fixed(*color),
            Property::Shades(color) => self.color = ColorMode::Shades(*color),
            Property::ColorOfThreshold => self.color = ColorMode::Thresholds,
            Property::Thresholds(steps) => self.thresholds = Steps::Own(steps.clone()),
            Property::Mappings(mappings) => self.mappings.clone_from(mappings),
            Property::Links(links) => self.links.clone_from(links),
            Property::Cell(cell) => self.cell = Some(*cell),
            Property::DrawStyle(DrawStyle::Line) => self.is_line = true,
            Property::AxisPlacement(Axis::Right) => self.is_right = true,
            Property::Max(max) => self.max = Some(*max),
            Property::Width(_) | Property::FillOpacity(_) | Property::Stacking(_) => {}
        }
    }

    pub(crate) fn text(&self, value: Option<f64>) -> String {
        let replaced = self.mappings.iter().find_map(|mapping| mapping.replacement(value));
        match replaced {
            Some(replacement) => replacement.text().to_owned(),
            None => optional_text(value, self.unit, self.decimals),
        }
    }

    pub(crate) fn color(&self, value: Option<f64>) -> ColorClass {
        let replaced = self.mappings.iter().find_map(|mapping| mapping.replacement(value));
        let color = match (replaced, value, self.color) {
            (Some(replacement), ..) => replacement.color(),
            (None, None, _) => Color::Neutral,
            (None, Some(_), ColorMode::Fixed(color) | ColorMode::Shades(color)) => color,
            (None, Some(value), ColorMode::Palette | ColorMode::Thresholds) => self.threshold(value),
        };
        color.into()
    }

    pub(crate) fn threshold(&self, value: f64) -> Color {
        match &self.thresholds {
            Steps::OfPanel(thresholds) => thresholds.color_of(value),
            Steps::Own(steps) => steps
                .iter()
                .rev()
                .find(|(limit, _)| value >= *limit)
                .map_or(Color::Green, |(_, color)| *color),
        }
    }

    /// Returns the configured color of a series; without one, the color follows from its name.
    pub(crate) fn series_color(&self) -> Option<ColorMode> {
        (self.color != ColorMode::Palette).then_some(self.color)
    }
}
