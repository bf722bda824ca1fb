//! Display of values in a panel.

use super::color::{Color, ColorMode, Thresholds};
use super::link::Link;
use super::mapping::Mapping;
use super::unit::Unit;

/// Display of values in a panel.
#[derive(Clone, Debug)]
pub struct ValueDisplay {
    /// The unit, if it is not a plain number.
    pub unit: Option<Unit>,
    /// Number of decimals, if it does not follow from the value.
    pub decimals: Option<u8>,
    /// Smallest value of the scale, if it does not follow from the values.
    pub min: Option<f64>,
    /// Maximum of the scale; `None` derives it from the values.
    pub max: Option<f64>,
    /// Text that replaces missing data.
    pub nothing: Option<&'static str>,
    /// The scale of colors.
    pub thresholds: Thresholds,
    /// Colors of values.
    pub color: ColorMode,
    /// Texts that replace values. The first that fits wins.
    pub mappings: Vec<Mapping>,
    /// Links of each value.
    pub links: Vec<Link>,
}

impl ValueDisplay {
    pub(super) fn new(color: ColorMode) -> Self {
        Self {
            unit: None,
            decimals: None,
            min: None,
            max: None,
            nothing: None,
            thresholds: Thresholds::new(Color::Green, &[]),
            color,
            mappings: Vec::new(),
            links: Vec::new(),
        }
    }
}
