//! The part of Grafana's dashboard JSON that our dashboards need, typed.
//!
//! The fields are those of `@grafana/schema`; `tools/dashboards` lets the TypeScript compiler check
//! each rendered panel against the type of its kind. Everything serialized is a struct, so the
//! order of fields is fixed and the files are reproducible.

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
pub use target::{DataSource, Format, Query, Target};
pub use transformation::Transformation;
