//! The values of all metrics at one moment.

use signal::metric::{MetricDescription, SeriesLabels};

use super::distribution::Distribution;

/// The values of all metrics at one moment, or of a part of them.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// One entry per metric, in order of registration.
    pub families: Vec<FamilySnapshot>,
    /// The start time of every cumulative point.
    pub started_unix_nanoseconds: u64,
    /// Start time of the same reader's previous snapshot, if there is one.
    pub previous_unix_nanoseconds: Option<u64>,
}

/// The values of one metric at one moment.
#[derive(Clone, Debug)]
pub struct FamilySnapshot {
    /// The declaration of the metric.
    pub description: MetricDescription,
    /// Every series with its value.
    pub points: Vec<(SeriesLabels, Value)>,
    /// Number of points, at the end, of series that did not exist when the snapshot before began.
    pub new_points: usize,
}

/// The value of one series.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A counter's or up-down counter's value.
    Integer(i64),
    /// A gauge's value.
    Number(f64),
    /// A histogram's value.
    Distribution(Distribution),
}

impl Snapshot {
    /// Returns the value of the series that has exactly these labels, for tests and the demo's
    /// view.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<&Value> {
        let family = self.families.iter().find(|family| family.description.name == name)?;
        let matches = |series: &SeriesLabels| {
            series.len() == labels.len()
                && labels.iter().all(|(k, v)| series.iter().any(|(sk, sv)| sk == k && sv == v))
        };
        family.points.iter().find(|(series, _)| matches(series)).map(|(_, value)| value)
    }

    /// Returns the sum of all series of an integer metric, or 0 if the metric does not exist.
    pub fn total(&self, name: &str) -> i64 {
        let points =
            self.families.iter().filter(|family| family.description.name == name).flat_map(|f| &f.points);
        points.map(|(_, value)| if let Value::Integer(count) = value { *count } else { 0 }).sum()
    }
}
