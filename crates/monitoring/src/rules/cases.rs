//! What promtool is given and what it has to find: see `promtool test rules`.

use std::time::Duration;

use telemetry::ClosedSet;
use telemetry::builtin::HTTP_SERVER_REQUEST_DURATION;
use telemetry::catalogue::{
    IsGauge, IsHistogram, Label, LabelSet, Metric, MetricDescription, prometheus_label,
};

use crate::query::{Bucket, RequestFailure};

/// One situation, and which of the alert's series fire in it.
pub struct Case {
    /// What the situation is.
    pub name: &'static str,
    /// Everything that Prometheus knows in it.
    pub series: Vec<Series>,
    /// When promtool looks at the alert, and what fires then.
    pub moments: Vec<Moment>,
    /// Whether it happens in real time only. Where rules run faster, thresholds that follow the pace of the application do not.
    pub real_time_only: bool,
}

/// A moment, and what fires in it.
pub struct Moment {
    /// Counted from the first sample, at real scale.
    pub at: Duration,
    /// What fires; nothing when empty.
    pub fires: Vec<Expected>,
}

impl Case {
    /// The same, which is left out where rules run faster.
    pub(super) fn in_real_time(self) -> Self {
        Self { real_time_only: true, ..self }
    }
}

/// A situation after so many minutes.
pub(super) fn case(name: &'static str, minutes: u64, series: Vec<Series>, fires: Vec<Expected>) -> Case {
    Case {
        name,
        series,
        moments: vec![Moment { at: Duration::from_mins(minutes), fires }],
        real_time_only: false,
    }
}

impl Case {
    /// The same situation at another moment. Rules are evaluated every half minute, so 12.5 is the last moment before 13.
    pub(super) fn then(mut self, minutes: f64, fires: Vec<Expected>) -> Self {
        self.moments.push(Moment { at: Duration::from_secs_f64(minutes * 60.0), fires });
        self
    }
}

/// A series with one sample a minute.
#[derive(Clone)]
pub struct Series {
    /// Name and labels.
    pub name: String,
    /// Samples in promtool's notation: `0+1x10` rises by one ten times, `_x5` is missing five times.
    pub values: String,
    /// Whether the samples are seconds, which pass faster where rules run faster.
    pub is_time: bool,
}

impl Series {
    /// A series of a metric.
    pub fn of<L: LabelSet, K>(metric: &Metric<L, K>, labels: L, values: &str) -> Self {
        Self::named(&metric.description(), "", labels.pairs(), values)
    }

    /// A series whose values are Unix times at real scale.
    pub fn time<L: LabelSet>(metric: &Metric<L, IsGauge>, labels: L, values: &str) -> Self {
        Self { is_time: true, ..Self::of(metric, labels, values) }
    }

    /// The same series of another process.
    #[must_use]
    pub fn of_instance(self, instance: &str) -> Self {
        let name = self.name.replace("instance=\"a\"", &format!("instance=\"{instance}\""));
        Self { name, ..self }
    }

    /// How many a histogram has seen.
    pub fn count<L: LabelSet>(metric: &Metric<L, IsHistogram>, labels: L, values: &str) -> Self {
        Self::named(&metric.description(), "_count", labels.pairs(), values)
    }

    /// How many a histogram has seen that took no longer than a bound; infinity is the bound of all.
    pub fn bucket<L: LabelSet>(metric: &Metric<L, IsHistogram>, labels: L, bound: f64, values: &str) -> Self {
        let bound = if bound.is_finite() { bound.to_string() } else { "+Inf".to_owned() };
        let mut labels: Vec<(&str, &str)> = labels.pairs().collect();
        labels.push(("le", &bound));
        Self::named(&metric.description(), "_bucket", labels.into_iter(), values)
    }

    /// How many requests there were, by how they failed.
    pub fn requests(failure: Option<RequestFailure>, values: &str) -> Self {
        let error_type = failure.map(|failure| (RequestFailure::KEY, failure.as_str()));
        let labels = [("http.route", "/v1/organizations")].into_iter().chain(error_type);
        Self::named(&HTTP_SERVER_REQUEST_DURATION.description(), "_count", labels, values)
    }

    /// How many requests took no longer than a bound.
    pub fn requests_within(bucket: Option<Bucket>, values: &str) -> Self {
        let bound = bucket.map_or("+Inf".to_owned(), |bucket| bucket.seconds().to_string());
        let labels = [("http.route", "/v1/organizations"), ("le", bound.as_str())];
        Self::named(&HTTP_SERVER_REQUEST_DURATION.description(), "_bucket", labels.into_iter(), values)
    }

    fn named<'a>(
        metric: &MetricDescription,
        suffix: &str,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
        values: &str,
    ) -> Self {
        let labels: Vec<_> = [("instance", "a")]
            .into_iter()
            .filter(|(key, _)| !metric.label_keys.contains(key))
            .chain(labels.filter(|(_, value)| !value.is_empty()))
            .map(|(key, value)| format!("{}=\"{value}\"", prometheus_label(key)))
            .collect();
        let name = format!("{}{suffix}{{{}}}", metric.prometheus_name(), labels.join(", "));
        Self { name, values: values.to_owned(), is_time: false }
    }
}

/// One alert that fires, with its labels beside name and severity, and its value as the text shows it.
pub struct Expected {
    /// Label names, as Prometheus spells them, with their values.
    pub labels: Vec<(String, String)>,
    /// What stands in the text for the value, if the text shows it.
    pub value: Shown,
}

/// A value as the text of an alert shows it.
pub enum Shown {
    /// At every scale.
    Text(&'static str),
    /// How long something has been so, at real scale.
    Time(Duration),
}

/// The alert fires, without labels of its own.
pub(super) fn fires(value: &'static str) -> Vec<Expected> {
    vec![Expected { labels: Vec::new(), value: Shown::Text(value) }]
}

/// The alert fires for one value of a label.
pub(super) fn fires_for<A: Label>(label: A, value: &'static str) -> Vec<Expected> {
    vec![Expected {
        labels: vec![(prometheus_label(A::KEY), label.as_str().to_owned())],
        value: Shown::Text(value),
    }]
}

/// The alert fires for one value of a label, and shows for how long something has been so.
pub(super) fn fires_for_time<A: Label>(label: A, time: Duration) -> Vec<Expected> {
    let labels = vec![(prometheus_label(A::KEY), label.as_str().to_owned())];
    vec![Expected { labels, value: Shown::Time(time) }]
}

/// The alert does not fire.
pub(super) fn silent() -> Vec<Expected> {
    Vec::new()
}
