//! The part of Grafana's dashboard JSON that the dashboards here need, typed.
//!
//! The fields are those of `@grafana/schema`; `tools/dashboards` lets the TypeScript compiler check
//! each rendered panel against the type of its kind. Everything serialized is a struct, so the
//! order of fields is fixed and the files are reproducible.

mod annotation;
mod chart_options;
mod color;
mod dashboard;
mod data_source;
mod field;
mod heatmap;
mod kind;
mod link;
mod mapping;
mod narrow;
mod options;
mod panel;
mod panel_json;
mod period;
mod target;
mod transformation;
mod unit;
mod values;
mod variable;

pub use crate::query::Choice;
pub use annotation::{MARK_STEP, Mark, marks};
pub use color::{Color, ColorMode, Threshold, Thresholds};
pub use dashboard::{Band, Dashboard};
pub use data_source::DataSource;
pub use field::{Axis, Cell, DrawStyle, Override, Property, Stacked};
pub use kind::{AlertFilter, Chart, ChartStyle, Legend, LegendNumber, Markdown, PanelKind, Stat, Table};
pub use link::{Destination, Explore, Link, explore_logs, explore_trace, explore_traces, value_of_series};
pub use mapping::{Mapping, MappingResult};
pub use panel::Panel;
pub use period::Period;
pub use target::{Format, Query, Target};
pub use transformation::Transformation;
pub use unit::Unit;
pub use values::ValueDisplay;
