//! A series of a chart over time.

use monitoring::grafana::Unit;

use super::color::ColorClass;

/// A series of a chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    pub name: String,
    pub color: ColorClass,
    /// Its value at each point.
    pub values: Vec<Option<f64>>,
    /// Set if it is a line although the others are stacked.
    pub is_line: bool,
    /// Unit of its right axis, if it has one.
    pub right: Option<Unit>,
}
