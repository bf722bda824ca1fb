//! Charts, drawn on the server as SVG. Each has a title, a summary in words and its data as a table, and
//! works without script.

mod color;
mod columns;
mod dots;
mod frame;
mod heatmap;
mod markdown;
mod number;
mod scale;
mod series;
mod spark;
mod stack;
mod svg;
mod time_axis;
mod time_series;
mod timeline;

pub use color::{ColorClass, Palette};
pub use dots::Dot;
pub use frame::{TimeMark, Times};
pub use heatmap::Heatmap;
pub use markdown::html as markdown_html;
pub use number::{UNKNOWN, digits, optional_text, value_text};
pub use scale::{Limits, Scale};
pub use series::Series;
pub use spark::spark_line;
pub use svg::escape;
pub use time_axis::{Tick, point_distance, ticks};
pub use time_series::TimeChart;
pub use timeline::{State, Timeline};
