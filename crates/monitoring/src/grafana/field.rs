//! How the values of a panel are shown: units, thresholds, colors, texts.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::Link;
use super::options::{CellOptions, Stacking};

/// What a number is, in the names that Grafana has for units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Unit {
    /// A number of things, shortened to thousands and millions.
    #[serde(rename = "short")]
    Count,
    /// A number that is shown as it is.
    #[serde(rename = "none")]
    Plain,
    /// Seconds.
    #[serde(rename = "s")]
    Seconds,
    /// Seconds, in words: how long ago.
    #[serde(rename = "dtdurations")]
    Age,
    /// A share, of which 1 is all.
    #[serde(rename = "percentunit")]
    Share,
    /// Bytes.
    #[serde(rename = "bytes")]
    Bytes,
    /// Bytes per second.
    #[serde(rename = "binBps")]
    BytesPerSecond,
    /// Requests per second.
    #[serde(rename = "reqps")]
    RequestsPerSecond,
    /// Events per second.
    #[serde(rename = "ops")]
    PerSecond,
    /// CPUs that are busy.
    #[serde(rename = "suffix: CPU")]
    Cpus,
}

/// A color by its name in Grafana's palette.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Color {
    /// As it should be.
    Green,
    /// Worth a look.
    Yellow,
    /// Somebody should look.
    Orange,
    /// Somebody must look.
    Red,
    /// Says nothing about good or bad.
    Blue,
    /// Another one that says nothing about good or bad.
    Purple,
    /// Not known, or not used.
    #[serde(rename = "text")]
    Neutral,
}

/// From a value on, another color.
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
    /// The color below all steps, and those from each value on.
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

/// What is shown in place of values.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", content = "options", rename_all = "lowercase")]
pub enum Mapping {
    /// In place of these values.
    Value(BTreeMap<String, MappingResult>),
    /// In place of what is not there or not a number.
    Special {
        /// Which ones.
        r#match: &'static str,
        /// What is shown.
        result: MappingResult,
    },
}

/// What is shown.
#[derive(Clone, Debug, Serialize)]
pub struct MappingResult {
    text: &'static str,
    color: Color,
    index: u8,
}

impl Mapping {
    /// Texts for values.
    pub fn values(texts: &[(&str, &'static str, Color)]) -> Self {
        let result = |(index, (value, text, color)): (u8, &(&str, &'static str, Color))| {
            ((*value).to_owned(), MappingResult { text, color: *color, index })
        };
        Self::Value((0..).zip(texts).map(result).collect())
    }

    /// A text for what is not there or not a number, such as the quantile of nothing.
    pub fn nothing(text: &'static str) -> Self {
        let result = MappingResult { text, color: Color::Neutral, index: 0 };
        Self::Special { r#match: "null+nan", result }
    }
}

/// How one field differs from the others.
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
    /// The field of this name.
    pub fn field(name: &str, properties: Vec<Property>) -> Self {
        Self { matcher: Matcher { id: "byName", options: name.to_owned() }, properties }
    }

    /// The series of this name is a line with an axis of its own, in a chart of bars.
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

    /// The series of this name is a limit that the others should not reach.
    pub fn limit(name: &str) -> Self {
        Self::field(name, vec![Property::Color(Color::Red), Property::FillOpacity(0)])
    }

    /// The value of this name is shown in the color of its threshold, of which the first is green.
    pub fn thresholds(name: &str, steps: &[(f64, Color)]) -> Self {
        Self::field(name, vec![Property::ColorOfThreshold, Property::Thresholds(steps.to_vec())])
    }

    /// The series of statuses of a class, whose names begin with its digit, have shades of one color.
    pub fn class_of_status(digit: &str, color: Color) -> Self {
        let matcher = Matcher { id: "byRegexp", options: format!("/^{digit}/") };
        Self { matcher, properties: vec![Property::Shades(color)] }
    }

    /// The series of this name has always the same color.
    pub fn color(name: &str, color: Color) -> Self {
        Self::field(name, vec![Property::Color(color)])
    }
}

/// One thing in which a field differs.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "id", content = "value", rename_all = "camelCase")]
pub enum Property {
    /// Another unit.
    Unit(Unit),
    /// So many decimals.
    Decimals(u8),
    /// One color.
    #[serde(serialize_with = "fixed_color")]
    Color(Color),
    /// Shades of one color, so that several series can be told apart and still look alike.
    #[serde(rename = "color", serialize_with = "shades_of_color")]
    Shades(Color),
    /// The color of the threshold that the value has reached.
    #[serde(rename = "color", serialize_with = "threshold_color")]
    ColorOfThreshold,
    /// Other thresholds.
    #[serde(serialize_with = "thresholds")]
    Thresholds(Vec<(f64, Color)>),
    /// Texts for values.
    Mappings(Vec<Mapping>),
    /// Links of the values.
    Links(Vec<Link>),
    /// The width of a column, in pixels.
    #[serde(rename = "custom.width")]
    Width(u16),
    /// Another kind of cell.
    #[serde(rename = "custom.cellOptions")]
    Cell(Cell),
    /// Bars or lines.
    #[serde(rename = "custom.drawStyle")]
    DrawStyle(&'static str),
    /// How much of the area below a line is painted.
    #[serde(rename = "custom.fillOpacity")]
    FillOpacity(u8),
    /// Which axis it belongs to.
    #[serde(rename = "custom.axisPlacement")]
    AxisPlacement(&'static str),
    /// Whether it stands on others.
    #[serde(rename = "custom.stacking", serialize_with = "stacking")]
    Stacking(&'static str),
    /// The largest value that is expected, where a bar is full.
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

/// What a cell of a table looks like.
#[derive(Clone, Copy, Debug)]
pub enum Cell {
    /// A bar.
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
