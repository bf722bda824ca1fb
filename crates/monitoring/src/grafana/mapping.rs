//! Texts instead of values.

use std::collections::BTreeMap;

use serde::Serialize;

use super::color::Color;

/// Text that is shown instead of a value.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", content = "options", rename_all = "lowercase")]
pub enum Mapping {
    /// Replaces specific values.
    Value(BTreeMap<String, MappingResult>),
    /// Replaces a missing value, or NaN.
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

impl MappingResult {
    /// Returns the text that is shown.
    pub fn text(&self) -> &'static str {
        self.text
    }

    /// Returns the color of the replacement.
    pub fn color(&self) -> Color {
        self.color
    }
}

impl Mapping {
    /// Replaces specific values by texts.
    pub fn values(texts: &[(&str, &'static str, Color)]) -> Self {
        let result = |(index, (value, text, color)): (u8, &(&str, &'static str, Color))| {
            ((*value).to_owned(), MappingResult { text, color: *color, index })
        };
        Self::Value((0..).zip(texts).map(result).collect())
    }

    /// Replaces a missing value, or NaN, such as a quantile without observations.
    pub fn nothing(text: &'static str) -> Self {
        let result = MappingResult { text, color: Color::Neutral, index: 0 };
        Self::Special { r#match: "null+nan", result }
    }
    /// Returns the replacement of a value. `None` means a missing value.
    pub fn replacement(&self, value: Option<f64>) -> Option<&MappingResult> {
        let value = value.filter(|value| !value.is_nan());
        match self {
            Self::Value(results) => results.get(&value?.to_string()),
            Self::Special { result, .. } => value.is_none().then_some(result),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_missing_values_are_replaced() {
        let text = |mapping: &Mapping, value| mapping.replacement(value).map(MappingResult::text);
        let up = Mapping::values(&[("0", "down", Color::Red), ("1", "up", Color::Green)]);
        assert_eq!(text(&up, Some(0.0)), Some("down"));
        assert_eq!(text(&up, Some(1.0)), Some("up"));
        assert_eq!([text(&up, Some(0.5)), text(&up, None)], [None; 2]);
        let nothing = Mapping::nothing("no mail");
        assert_eq!([text(&nothing, None), text(&nothing, Some(f64::NAN))], [Some("no mail"); 2]);
        assert_eq!(text(&nothing, Some(0.0)), None);
    }
}
