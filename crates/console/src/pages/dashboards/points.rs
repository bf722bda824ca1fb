//! The table of the points that a chart draws.

use crate::calendar;
use crate::chart::Times;

/// Most cells of a table. A page with more of them would be slow to open.
const CELLS: usize = 12_000;

/// Points of a chart, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Points {
    /// Names of the columns after the time.
    pub columns: Vec<String>,
    /// Time and values of each point.
    pub rows: Vec<(String, Vec<String>)>,
    /// Sentence about older points that are left out; empty if all are there.
    pub left_out: String,
}

impl Points {
    /// Creates the table. `text` returns the value of a column at a point; `None` if nothing is drawn there.
    pub(crate) fn new(
        times: Times,
        columns: Vec<String>,
        unknown: &str,
        text: impl Fn(usize, usize) -> Option<String>,
    ) -> Self {
        let mut table = Self { columns, ..Self::default() };
        let width = table.columns.len();
        let most = CELLS / width.max(1);
        let is_drawn = |point: &usize| (0..width).any(|column| text(column, *point).is_some());
        let drawn: Vec<usize> = (0..times.count()).rev().filter(is_drawn).collect();
        for point in drawn.iter().take(most) {
            let value = |column| text(column, *point).unwrap_or_else(|| unknown.to_owned());
            table.rows.push((calendar::date_and_time(times.at(*point)), (0..width).map(value).collect()));
        }
        if drawn.len() > most {
            table.left_out = format!(
                "These are the newest {most} of {} points: the table ends at {CELLS} values. Choose a shorter or an \
                 earlier range above to see the others.",
                drawn.len()
            );
        }
        table
    }

    /// Returns the title of the table.
    pub(crate) fn title(&self) -> String {
        match (self.rows.len(), self.left_out.is_empty()) {
            (1, true) => "The point of the chart".to_owned(),
            (count, true) => format!("All {count} points of the chart"),
            (count, false) => format!("The newest {count} points of the chart"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(points: i64, columns: usize, known: impl Fn(usize) -> bool) -> Points {
        let times = Times { start: 0, end: (points - 1) * 15_000, step: 15_000 };
        let names = (0..columns).map(|column| format!("s{column}")).collect();
        Points::new(times, names, "–", |column, point| {
            (column != 1 && known(point)).then(|| format!("{column}@{point}"))
        })
    }

    #[test]
    fn every_point_that_is_drawn_has_a_row() {
        let table = table(4, 2, |point| point != 2);
        let row = |time: &str, point: usize| {
            (format!("1970-01-01 00:00:{time}"), vec![format!("0@{point}"), "–".to_owned()])
        };
        assert_eq!(table.rows, [row("45", 3), row("15", 1), row("00", 0)]);
        assert_eq!((table.title().as_str(), table.left_out.as_str()), ("All 3 points of the chart", ""));
    }

    #[test]
    fn the_oldest_points_of_a_large_chart_are_left_out() {
        let table = table(576, 40, |_| true);
        assert_eq!((table.rows.len(), table.rows[0].1[0].as_str()), (300, "0@575"));
        assert!(table.left_out.starts_with("These are the newest 300 of 576 points"), "{}", table.left_out);
    }
}
