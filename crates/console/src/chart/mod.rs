//! Charts, drawn on the server as SVG. Each has a title, a summary in words and its data as a table, and
//! works without script.

mod color;
mod columns;
mod number;
mod scale;
mod svg;
mod time_axis;

pub use color::{ColorClass, Palette};
pub use number::{UNKNOWN, digits, optional_text, value_text};
pub use scale::{Limits, Scale};
pub use svg::escape;
pub use time_axis::{Tick, point_distance, ticks};
