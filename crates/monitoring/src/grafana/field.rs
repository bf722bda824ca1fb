//! Display of a panel's values: units, thresholds, colors, texts.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::Link;
use super::options::{CellOptions, Stacking};

/// Unit of a value; serialized as Grafana's name for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Unit {
    /// A count, abbreviated to thousands and millions.
    #[serde(rename = "short")]
    Count,
    /// A number without abbreviation.
    #[serde(rename = "none")]
    Plain,
    /// A duration in seconds.
    #[serde(rename = "s")]
    Seconds,
    /// An age in seconds, shown in words.
    #[serde(rename = "dtdurations")]
    Age,
    /// A fraction between 0 and 1, shown in percent.
    #[serde(rename = "percentunit")]
    Share,
    /// A size in bytes.
    #[serde(rename = "bytes")]
    Bytes,
    /// Throughput in bytes per second.
    #[serde(rename = "binBps")]
    BytesPerSecond,
    /// Throughput in requests per second.
    #[serde(rename = "reqps")]
    RequestsPerSecond,
    /// A rate in events per second.
    #[serde(rename = "ops")]
    PerSecond,
    /// Number of busy CPUs.
    #[serde(rename = "suffix: CPU")]
    Cpus,
}

/// A color of Grafana's palette, named there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Color {
    /// As it should be.
    Green,
    /// Deserves a look.
    Yellow,
    /// Needs attention soon.
    Orange,
    /// Needs attention now.
    Red,
    /// Neither good nor bad.
    Blue,
    /// Neither good nor bad, to contrast with blue.
    Purple,
    /// Unknown or unused.
    #[serde(rename = "text")]
    Neutral,
}

/// A step of a color scale: values from here on have this color.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Threshold {
    value: Option<f64>,
    color: Color,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Thresholds {
    mode: &'static str,
    steps: Vec<Threshold>,
}

impl Thresholds {
    /// Returns the base color below all steps, followed by the steps.
    pub(super) fn new(base: Color, steps: &[(f64, Color)]) -> Self {
        let base = Threshold { value: None, color: base };
        let steps = steps.iter().map(|(value, color)| Threshold { value: Some(*value), color: *color });
        Self { mode: "absolute", steps: std::iter::once(base).chain(steps).collect() }
    }
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ColorMode {
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    fixed_color: Option<Color>,
}

impl ColorMode {
    pub(super) const PALETTE: Self = Self { mode: "palette-classic-by-name", fixed_color: None };
    pub(super) const THRESHOLDS: Self = Self { mode: "thresholds", fixed_color: None };

    pub(super) fn shades(color: Color) -> Self {
        Self { mode: "shades", fixed_color: Some(color) }
    }

    pub(super) fn fixed(color: Color) -> Self {
        Self { mode: "fixed", fixed_color: Some(color) }
    }
}

/// Text that is shown instead of a value.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", content = "options", rename_all = "lowercase")]
pub enum Mapping {
    /// Replaces specific values.
    Value(BTreeMap<String, MappingResult>),
    /// Replaces a missing value, or one that is not a number.
    Special {
        /// Name of the special values in Grafana.
        r#match: &'static str,
        /// Text and color.
        result: MappingResult,
    },
}

/// Text and color of a replacement.
#[derive(Clone, Debug, Serialize)]
pub struct MappingResult {
    text: &'static str,
    color: Color,
    index: u8,
}

impl Mapping {
    /// Replaces specific values by texts.
    pub fn values(texts: &[(&str, &'static str, Color)]) -> Self {
        let result = |(index, (value, text, color)): (u8, &(&str, &'static str, Color))| {
            ((*value).to_owned(), MappingResult { text, color: *color, index })
        };
        Self::Value((0..).zip(texts).map(result).collect())
    }

    /// Replaces a missing value, or one that is not a number, such as a quantile of nothing.
    pub fn nothing(text: &'static str) -> Self {
        let result = MappingResult { text, color: Color::Neutral, index: 0 };
        Self::Special { r#match: "null+nan", result }
    }
}

/// Deviations of one field from the others.
#[derive(Clone, Debug, Serialize)]
pub struct Override {
    matcher: Matcher,
    properties: Vec<Property>,
}

#[derive(Clone, Debug, Serialize)]
struct Matcher {
    id: &'static str,
    options: String,
}

impl Override {
    /// Overrides properties of the field with this name.
    pub fn field(name: &str, properties: Vec<Property>) -> Self {
        Self { matcher: Matcher { id: "byName", options: name.to_owned() }, properties }
    }

    /// Draws the series with this name as a line with its own axis, in a chart of bars.
    pub fn line_on_the_right(name: &str, unit: Unit) -> Self {
        let properties = vec![
            Property::Unit(unit),
            Property::DrawStyle("line"),
            Property::FillOpacity(0),
            Property::AxisPlacement("right"),
            Property::Stacking("none"),
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
        let matcher = Matcher { id: "byRegexp", options: format!("/^{digit}/") };
        Self { matcher, properties: vec![Property::Shades(color)] }
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
    /// Sets one color.
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
    DrawStyle(&'static str),
    /// Sets the opacity of the area below a line, in percent.
    #[serde(rename = "custom.fillOpacity")]
    FillOpacity(u8),
    /// Chooses the axis.
    #[serde(rename = "custom.axisPlacement")]
    AxisPlacement(&'static str),
    /// Chooses whether series are stacked.
    #[serde(rename = "custom.stacking", serialize_with = "stacking")]
    Stacking(&'static str),
    /// Sets the largest expected value, at which a bar is full.
    Max(f64),
}

fn fixed_color<S: Serializer>(color: &Color, serializer: S) -> Result<S::Ok, S::Error> {
    ColorMode::fixed(*color).serialize(serializer)
}

fn shades_of_color<S: Serializer>(color: &Color, serializer: S) -> Result<S::Ok, S::Error> {
    ColorMode::shades(*color).serialize(serializer)
}

fn threshold_color<S: Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
    ColorMode::THRESHOLDS.serialize(serializer)
}

fn thresholds<S: Serializer>(steps: &[(f64, Color)], serializer: S) -> Result<S::Ok, S::Error> {
    Thresholds::new(Color::Green, steps).serialize(serializer)
}

fn stacking<S: Serializer>(mode: &&'static str, serializer: S) -> Result<S::Ok, S::Error> {
    Stacking { mode, group: "A" }.serialize(serializer)
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
