//! Colors of values and series.

use serde::{Serialize, Serializer};

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

impl Threshold {
    /// Returns the smallest value of the step. The first step has none.
    pub fn value(&self) -> Option<f64> {
        self.value
    }

    /// Returns the color of the step.
    pub fn color(&self) -> Color {
        self.color
    }
}

/// A scale of colors.
#[derive(Clone, Debug, Serialize)]
pub struct Thresholds {
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
    /// Returns the steps in ascending order. The first has no value and is the base color.
    pub fn steps(&self) -> &[Threshold] {
        &self.steps
    }

    /// Returns the color of the highest step at or below a value.
    pub fn color_of(&self, value: f64) -> Color {
        let reached = |step: &&Threshold| step.value.is_none_or(|limit| value >= limit);
        self.steps.iter().rev().find(reached).map_or(Color::Neutral, |step| step.color)
    }
}

/// Colors of values or series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColorMode {
    /// Each series has a color of its own, which follows from its name.
    Palette,
    /// The color of the threshold that the value has reached.
    Thresholds,
    /// Each series has a shade of this color.
    Shades(Color),
    /// The same color for all values.
    Fixed(Color),
}

impl Serialize for ColorMode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Json {
            mode: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            fixed_color: Option<Color>,
        }
        let (mode, fixed_color) = match self {
            Self::Palette => ("palette-classic-by-name", None),
            Self::Thresholds => ("thresholds", None),
            Self::Shades(color) => ("shades", Some(*color)),
            Self::Fixed(color) => ("fixed", Some(*color)),
        };
        Json { mode, fixed_color }.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_the_color_of_the_step_that_it_reached() {
        let scale = Thresholds::new(Color::Green, &[(1.0, Color::Orange), (2.0, Color::Red)]);
        let cases =
            [(0.9, Color::Green), (1.0, Color::Orange), (1.9, Color::Orange), (f64::INFINITY, Color::Red)];
        for (value, color) in cases {
            assert_eq!(scale.color_of(value), color, "{value}");
        }
        assert_eq!(scale.color_of(f64::NAN), Color::Green);
    }
}
