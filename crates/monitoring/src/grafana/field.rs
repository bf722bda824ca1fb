//! Deviations of single series or columns from the rest of a panel.

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::chart_options::Stacking;
use super::color::{Color, ColorMode, Thresholds};
use super::link::Link;
use super::mapping::Mapping;
use super::options::CellOptions;
use super::unit::Unit;

/// Deviations of one field from the others.
#[derive(Clone, Debug, Serialize)]
pub struct Override {
    matcher: Matcher,
    properties: Vec<Property>,
}

#[derive(Clone, Debug)]
enum Matcher {
    Name(String),
    /// Names that begin like this.
    Beginning(String),
}

impl Serialize for Matcher {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (id, options) = match self {
            Self::Name(name) => ("byName", name.clone()),
            Self::Beginning(beginning) => ("byRegexp", format!("/^{beginning}/")),
        };
        let mut json = serializer.serialize_struct("Matcher", 2)?;
        json.serialize_field("id", id)?;
        json.serialize_field("options", &options)?;
        json.end()
    }
}

impl Override {
    /// Returns whether the series or column with this name deviates.
    pub fn applies_to(&self, name: &str) -> bool {
        match &self.matcher {
            Matcher::Name(only) => only == name,
            Matcher::Beginning(beginning) => name.starts_with(beginning.as_str()),
        }
    }

    /// Returns what deviates.
    pub fn properties(&self) -> &[Property] {
        &self.properties
    }

    /// Overrides properties of the field with this name.
    pub fn field(name: &str, properties: Vec<Property>) -> Self {
        Self { matcher: Matcher::Name(name.to_owned()), properties }
    }

    /// Draws the series with this name as a line with its own axis, in a chart of bars.
    pub fn line_on_the_right(name: &str, unit: Unit) -> Self {
        let properties = vec![
            Property::Unit(unit),
            Property::DrawStyle(DrawStyle::Line),
            Property::FillOpacity(0),
            Property::AxisPlacement(Axis::Right),
            Property::Stacking(Stacked::Never),
            Property::Color(Color::Blue),
        ];
        Self::field(name, properties)
    }

    /// Draws the series with this name as a limit that the others should not reach.
    pub fn limit(name: &str) -> Self {
        Self::field(name, vec![Property::Color(Color::Red), Property::FillOpacity(0)])
    }

    /// Shows the value with this name in the color of its threshold, of which the first is green.
    pub fn thresholds(name: &str, steps: &[(f64, Color)]) -> Self {
        Self::field(name, vec![Property::ColorOfThreshold, Property::Thresholds(steps.to_vec())])
    }

    /// Draws series of one class of statuses, whose names begin with its digit, in shades of one
    /// color.
    pub fn class_of_status(digit: &str, color: Color) -> Self {
        Self { matcher: Matcher::Beginning(digit.to_owned()), properties: vec![Property::Shades(color)] }
    }

    /// Draws the series with this name always in the same color.
    pub fn color(name: &str, color: Color) -> Self {
        Self::field(name, vec![Property::Color(color)])
    }
}

/// A property that an override changes.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "id", content = "value", rename_all = "camelCase")]
pub enum Property {
    /// Changes the unit.
    Unit(Unit),
    /// Changes the number of decimals.
    Decimals(u8),
    /// The same color for all values.
    #[serde(serialize_with = "fixed_color")]
    Color(Color),
    /// Sets shades of one color, which distinguish similar series.
    #[serde(rename = "color", serialize_with = "shades_of_color")]
    Shades(Color),
    /// Uses the color of the threshold that the value has reached.
    #[serde(rename = "color", serialize_with = "threshold_color")]
    ColorOfThreshold,
    /// Changes the thresholds.
    #[serde(serialize_with = "thresholds")]
    Thresholds(Vec<(f64, Color)>),
    /// Replaces values by texts.
    Mappings(Vec<Mapping>),
    /// Adds links to the values.
    Links(Vec<Link>),
    /// Sets the width of a column, in pixels.
    #[serde(rename = "custom.width")]
    Width(u16),
    /// Changes the kind of table cell.
    #[serde(rename = "custom.cellOptions")]
    Cell(Cell),
    /// Chooses bars or lines.
    #[serde(rename = "custom.drawStyle")]
    DrawStyle(DrawStyle),
    /// Sets the opacity of the area below a line, in percent.
    #[serde(rename = "custom.fillOpacity")]
    FillOpacity(u8),
    /// Chooses the axis.
    #[serde(rename = "custom.axisPlacement")]
    AxisPlacement(Axis),
    /// Chooses whether series are stacked.
    #[serde(rename = "custom.stacking", serialize_with = "stacking")]
    Stacking(Stacked),
    /// Sets the maximum of a bar.
    Max(f64),
}

fn fixed_color<S: Serializer>(color: &Color, serializer: S) -> Result<S::Ok, S::Error> {
    ColorMode::Fixed(*color).serialize(serializer)
}

fn shades_of_color<S: Serializer>(color: &Color, serializer: S) -> Result<S::Ok, S::Error> {
    ColorMode::Shades(*color).serialize(serializer)
}

fn threshold_color<S: Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
    ColorMode::Thresholds.serialize(serializer)
}

fn thresholds<S: Serializer>(steps: &[(f64, Color)], serializer: S) -> Result<S::Ok, S::Error> {
    Thresholds::new(Color::Green, steps).serialize(serializer)
}

fn stacking<S: Serializer>(stacked: &Stacked, serializer: S) -> Result<S::Ok, S::Error> {
    match stacked {
        Stacked::Never => Stacking::NONE.serialize(serializer),
    }
}

/// Style of one series of a chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DrawStyle {
    /// A line, in a chart of bars.
    Line,
}

/// The axis of one series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Axis {
    /// An axis of its own, on the right.
    Right,
}

/// Stacking of one series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stacked {
    /// It is not.
    Never,
}

/// Kinds of table cells.
#[derive(Clone, Copy, Debug)]
pub enum Cell {
    /// A gauge bar.
    Bar,
    /// Text in the color of its threshold.
    Colored,
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bar => CellOptions::BAR.serialize(serializer),
            Self::Colored => CellOptions::COLORED.serialize(serializer),
        }
    }
}
