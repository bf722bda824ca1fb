//! Series that are created by the attributes of records.

use std::sync::Mutex;

use signal::metric::{MetricDescription, SeriesLabels};

use super::instruments::BoundHistogram;
use super::registry::Meter;
use crate::attribute::Attributes;

/// Values of attributes, in the order of their keys; `None` where the record has none.
type Values = Vec<Option<&'static str>>;

/// Series of a histogram that are told apart by attributes of the record. They are members of closed
/// sets, so their number is bounded. Each begins with its first recording: most kinds of failure
/// never occur.
pub struct SeriesByAttributes {
    meter: Meter,
    description: MetricDescription,
    labels: SeriesLabels,
    keys: &'static [&'static str],
    known: Mutex<Vec<(Values, BoundHistogram)>>,
}

impl SeriesByAttributes {
    /// Creates none yet. Series have `labels` and the attributes of these names.
    pub(crate) fn new(
        meter: &Meter,
        description: MetricDescription,
        labels: SeriesLabels,
        keys: &'static [&'static str],
    ) -> Self {
        Self { meter: meter.clone(), description, labels, keys, known: Mutex::default() }
    }

    /// Returns the series of a record, creating it if necessary.
    pub(crate) fn of(&self, attributes: &Attributes) -> BoundHistogram {
        let values: Values = self.keys.iter().map(|key| attributes.name_of(key)).collect();
        let mut known = self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some((_, series)) = known.iter().find(|(found, _)| *found == values) {
            return series.clone();
        }
        let added =
            self.keys.iter().zip(&values).filter_map(|(key, value)| Some((*key, (*value)?.to_owned())));
        let labels = self.labels.iter().cloned().chain(added).collect();
        let series = self.meter.histogram_of(self.description, labels);
        known.push((values, series.clone()));
        series
    }
}
