//! What promtool is given and what it has to find: see `promtool test rules`.

use std::time::Duration;

use telemetry::ClosedSet;
use telemetry::builtin::HTTP_SERVER_REQUEST_DURATION;
use telemetry::catalogue::{
    IsGauge, IsHistogram, Label, LabelSet, Metric, MetricDescription, prometheus_label,
};
use telemetry::http_server::UNMATCHED;

use crate::query::{
    Bucket, LabelName, Queried, Recording, RequestFailure, RequestMethod, ResponseStatus, Route, Total,
};

/// One situation, and which of the alert's series fire in it.
pub struct Case {
    /// What the situation is.
    pub name: &'static str,
    /// What Prometheus knows in it.
    pub series: Vec<Series>,
    /// What it knows in each case of the alert, and what must not matter.
    pub besides: Vec<Series>,
    /// When promtool looks at the alert, and what fires then.
    pub moments: Vec<Moment>,
    /// Whether it happens in real time only. Where rules run faster, thresholds that follow the pace of the application do not.
    pub real_time_only: bool,
    /// How long it lasts.
    pub length: Length,
}

/// How long a situation lasts: the longer, the more seldom the alert is evaluated in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// As often as in real life.
    Minutes,
    /// Every five minutes.
    Hours,
    /// Every hour.
    Days,
}

impl Length {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Minutes, Self::Hours, Self::Days];
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

    /// The same, in which the alert is evaluated every five minutes only: for situations that last for hours and do not ask how long
    /// the pause before the alert is.
    pub(super) fn long(self) -> Self {
        Self { length: Length::Hours, ..self }
    }
}

/// A situation after so many minutes.
pub(super) fn case(name: &'static str, minutes: u64, series: Vec<Series>, fires: Vec<Expected>) -> Case {
    Case {
        name,
        series,
        besides: Vec::new(),
        moments: vec![Moment { at: Duration::from_mins(minutes), fires }],
        real_time_only: false,
        length: Length::Minutes,
    }
}

impl Case {
    /// The same situation at another moment. Rules are evaluated every half minute, so 12.5 is the last moment before 13.
    pub(super) fn then(mut self, minutes: f64, fires: Vec<Expected>) -> Self {
        self.moments.push(Moment { at: Duration::from_secs_f64(minutes * 60.0), fires });
        self
    }
}

/// Cases in each of which Prometheus knows of this as well, and of which none may be decided by it.
pub(super) fn beside(series: Vec<Series>, cases: Vec<Case>) -> Vec<Case> {
    let with_series = |mut case: Case| {
        let is_new = |new: &&Series| !case.series.iter().any(|own| own.name == new.name);
        case.besides = series.iter().filter(is_new).cloned().collect();
        case
    };
    cases.into_iter().map(with_series).collect()
}

/// A counter that counts much, for longer than any case lasts whose alert looks back for hours.
pub(super) const MUCH: &str = "0+1000x3000";

/// The labels that say which process of the application sent a series.
const OURS: &[(&str, &str)] = &[("job", APPLICATION), ("instance", "a")];

/// The job of the application's own series.
pub(super) const APPLICATION: &str = "socialize/api";

/// The labels of a series that another program sent.
const THEIRS: &[(&str, &str)] = &[("instance", "a")];

/// A series with one sample a minute.
#[derive(Clone)]
pub struct Series {
    /// Name and labels.
    pub name: String,
    /// Samples in promtool's notation: `0+1x10` rises by one ten times, `_x5` is missing five times.
    pub values: String,
    /// What becomes of the samples where rules run faster.
    pub pace: Pace,
}

/// What becomes of samples where rules run faster than in real life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// They stay.
    Same,
    /// They are seconds, of which fewer pass.
    Time,
    /// They are events per second, of which there are more.
    Rate,
}

impl Series {
    /// A series of a metric.
    pub fn of<M: Queried<Labels = L>, L: LabelSet>(metric: &M, labels: L, values: &str) -> Self {
        let source = if M::OF_APPLICATION { OURS } else { THEIRS };
        Self::named(&metric.description(), source, "", labels.pairs(), values)
    }

    /// A series whose values are Unix times at real scale.
    pub fn time<M: Queried<Labels = L, Kind = IsGauge>, L: LabelSet>(
        metric: &M,
        labels: L,
        values: &str,
    ) -> Self {
        Self { pace: Pace::Time, ..Self::of(metric, labels, values) }
    }

    /// A series by its name with labels.
    pub(super) fn plain(name: String, values: String) -> Self {
        Self { name, values, pace: Pace::Same }
    }

    /// The same series of another process.
    #[must_use]
    pub fn of_instance(self, instance: &str) -> Self {
        let name = self.name.replace("instance=\"a\"", &format!("instance=\"{instance}\""));
        Self { name, ..self }
    }

    /// What a rule recorded. For alerts that are evaluated seldom, because promtool records only as often as it evaluates.
    pub fn recorded(recording: &Recording<Total>, values: &str) -> Self {
        Self { name: recording.name.to_owned(), values: values.to_owned(), pace: Pace::Rate }
    }

    /// What a rule recorded, for one value of its label.
    pub fn recorded_for<A: Label>(recording: &Recording<A>, label: A, values: &str) -> Self {
        let name = format!("{}{{{}=\"{}\"}}", recording.name, prometheus_label(A::KEY), label.as_str());
        Self { name, values: values.to_owned(), pace: Pace::Rate }
    }

    /// How many a histogram has seen.
    pub fn count<L: LabelSet>(metric: &Metric<L, IsHistogram>, labels: L, values: &str) -> Self {
        Self::named(&metric.description(), OURS, "_count", labels.pairs(), values)
    }

    /// How many a histogram has seen that took no longer than a bound; infinity is the bound of all.
    pub fn bucket<L: LabelSet>(metric: &Metric<L, IsHistogram>, labels: L, bound: f64, values: &str) -> Self {
        let bound = if bound.is_finite() { bound.to_string() } else { "+Inf".to_owned() };
        let mut labels: Vec<(&str, &str)> = labels.pairs().collect();
        labels.push(("le", &bound));
        Self::named(&metric.description(), OURS, "_bucket", labels.into_iter(), values)
    }

    /// How many requests there were, by how they failed.
    pub fn requests(failure: Option<RequestFailure>, values: &str) -> Self {
        Self::answered(&Answered { failure, ..Answered::WELL }, values)
    }

    /// How many requests there were that were answered like this.
    pub fn answered(answered: &Answered, values: &str) -> Self {
        let labels = answered.labels().into_iter();
        Self::named(&HTTP_SERVER_REQUEST_DURATION.description(), OURS, "_count", labels, values)
    }

    /// How many requests took no longer than a bound.
    pub fn requests_within(bucket: Option<Bucket>, values: &str) -> Self {
        Self::answered_within(&Answered::WELL, bucket, values)
    }

    /// How many requests that were answered like this took no longer than a bound.
    pub fn answered_within(answered: &Answered, bucket: Option<Bucket>, values: &str) -> Self {
        let bound = bucket.map_or("+Inf".to_owned(), |bucket| bucket.seconds().to_string());
        let labels = answered.labels().into_iter().chain([("le", bound.as_str())]);
        Self::named(&HTTP_SERVER_REQUEST_DURATION.description(), OURS, "_bucket", labels, values)
    }

    /// The same series, as another program sends it that has a metric of the same name.
    #[must_use]
    pub fn of_another_program(self) -> Self {
        Self { name: self.name.replace(APPLICATION, "alloy"), ..self }
    }

    fn named<'a>(
        metric: &MetricDescription,
        source: &[(&'static str, &'static str)],
        suffix: &str,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
        values: &str,
    ) -> Self {
        let labels: Vec<_> = source
            .iter()
            .copied()
            .filter(|(key, _)| !metric.label_keys.contains(key))
            .chain(labels.filter(|(_, value)| !value.is_empty()))
            .map(|(key, value)| format!("{}=\"{value}\"", prometheus_label(key)))
            .collect();
        let name = format!("{}{suffix}{{{}}}", metric.prometheus_name(), labels.join(", "));
        Self::plain(name, values.to_owned())
    }
}

/// The labels of a request.
#[derive(Clone, Copy)]
pub struct Answered {
    /// The template of its route.
    pub route: &'static str,
    /// The method.
    pub method: &'static str,
    /// The status of the response; empty when there was none.
    pub status: &'static str,
    /// How it failed.
    pub failure: Option<RequestFailure>,
}

impl Answered {
    /// An organization is created.
    pub const WELL: Self = Self { route: "/v1/organizations", method: "POST", status: "201", failure: None };

    /// Somebody asks for what Socialize does not have.
    pub const SCANNER: Self = Self { route: UNMATCHED, method: "_OTHER", status: "404", failure: None };

    /// It fails by a fault of the service.
    pub const FAILED: Self = Self { failure: Some(RequestFailure::Internal), ..Self::WELL };

    fn labels(&self) -> Vec<(&'static str, &'static str)> {
        let failure = self.failure.map_or("", ClosedSet::as_str);
        let status = match self.failure {
            Some(RequestFailure::Cancelled) => "",
            Some(RequestFailure::Unavailable | RequestFailure::Timeout) => "503",
            Some(RequestFailure::Internal | RequestFailure::Panic) => "500",
            None => self.status,
        };
        vec![
            (Route::KEY, self.route),
            (RequestMethod::KEY, self.method),
            (ResponseStatus::KEY, status),
            (<RequestFailure as Label>::KEY, failure),
        ]
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
    /// A share, at every scale.
    Share(f64),
    /// How long something has been so, at real scale.
    Time(Duration),
}

/// The alert fires, without labels of its own.
pub(super) fn fires(value: &'static str) -> Vec<Expected> {
    vec![Expected { labels: Vec::new(), value: Shown::Text(value) }]
}

/// The alert fires with a share, without labels of its own.
pub(super) fn fires_with(share: f64) -> Vec<Expected> {
    vec![Expected { labels: Vec::new(), value: Shown::Share(share) }]
}

/// The alert fires for one value of a label.
pub(super) fn fires_for<A: Label>(label: A, value: &'static str) -> Vec<Expected> {
    vec![Expected {
        labels: vec![(prometheus_label(A::KEY), label.as_str().to_owned())],
        value: Shown::Text(value),
    }]
}

/// The alert fires for one route.
pub(super) fn fires_on(answered: Answered, value: &'static str) -> Vec<Expected> {
    let labels = vec![(prometheus_label(Route::KEY), answered.route.to_owned())];
    vec![Expected { labels, value: Shown::Text(value) }]
}

/// The alert fires for one method of a route.
pub(super) fn fires_on_method(answered: Answered, value: &'static str) -> Vec<Expected> {
    let labels = vec![
        (prometheus_label(Route::KEY), answered.route.to_owned()),
        (prometheus_label(RequestMethod::KEY), answered.method.to_owned()),
    ];
    vec![Expected { labels, value: Shown::Text(value) }]
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
