//! As much of Grafana's dashboard JSON as our dashboards need, typed.
//!
//! The fields are those of `@grafana/schema`; `tools/dashboards` has the TypeScript compiler check each rendered panel against the type of
//! its kind. Everything that is serialized is a struct, so the order of the fields is fixed and the files are the same wherever
//! they are rendered.

mod annotation;
mod choice;
mod dashboard;
mod field;
mod heatmap;
mod link;
mod options;
mod panel;
mod panel_json;
mod target;
mod transformation;

pub use choice::Choice;
pub use dashboard::{Band, Dashboard};
pub use field::{Cell, Color, Mapping, Override, Property, Threshold, Unit};
pub use link::{Explore, Link, explore_logs, explore_trace, explore_traces, value_of_series};
pub use panel::Panel;
pub use target::{DataSource, Target};
pub use transformation::Transformation;
