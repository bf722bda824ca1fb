//! Content of a panel below its title.

use super::points::Points;

/// Content of a panel.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    /// HTML, with a summary in words and a table of the series.
    Shown {
        html: String,
        /// The content in words.
        summary: String,
        /// Series and their numbers.
        rows: Vec<SeriesRow>,
        /// The points that are drawn, if they are wanted.
        points: Option<Points>,
    },
    /// Reason why there is no content.
    Nothing(String),
}

impl Body {
    /// Creates a body without summary and table.
    pub(crate) fn plain(html: String) -> Self {
        Self::said(html, String::new())
    }

    /// Creates a body without series.
    pub(crate) fn said(html: String, summary: String) -> Self {
        Self::Shown { html, summary, rows: Vec::new(), points: None }
    }
}

/// A series in the table below a chart.
#[derive(Clone, Debug)]
pub(crate) struct SeriesRow {
    pub name: String,
    /// Class of its color.
    pub color: &'static str,
    /// Smallest value.
    pub least: String,
    /// Mean of the known values.
    pub mean: String,
    /// Largest value.
    pub most: String,
    /// Last known value.
    pub last: String,
    /// The number of the legend, if it has one.
    pub number: String,
    /// Value by which the legend is sorted.
    pub rank: f64,
}
