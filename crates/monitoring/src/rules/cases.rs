//! Input and expected output of `promtool test rules`.

use std::time::Duration;

use signal::ClosedSet;
use signal::builtin::HTTP_SERVER_REQUEST_DURATION;
use signal::metric::{IsGauge, IsHistogram, Label, LabelSet, Metric, MetricDescription, prometheus_label};

use super::native::Within;
use crate::query::{
    LabelName, Queried, Recording, RequestFailure, RequestMethod, ResponseStatus, Route, Source, Total,
};

/// A situation, and the series of the alert that fire in it.
pub struct Case {
    /// Describes the situation.
    pub name: &'static str,
    /// Series that Prometheus knows in this situation.
    pub series: Vec<Series>,
    /// Series that Prometheus knows in every case of the alert and that must not change its outcome.
    pub besides: Vec<Series>,
    /// Times at which promtool evaluates the alert, with the series that fire.
    pub moments: Vec<Moment>,
    /// Set if the case applies at real scale only. At a faster scale, thresholds that follow the pace of the
    /// application do not hold.
    pub real_time_only: bool,
    /// Duration of the situation.
    pub length: Length,
}

/// Duration of a situation. The longer it lasts, the less often the alert is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// Evaluated as often as in production.
    Minutes,
    /// Evaluated every five minutes.
    Hours,
    /// Evaluated every hour.
    Days,
}

impl Length {
    /// Every length.
    pub const ALL: [Self; 3] = [Self::Minutes, Self::Hours, Self::Days];
}

/// A moment, with the series that fire in it.
pub struct Moment {
    /// Time since the first sample, at real scale.
    pub at: Duration,
    /// The series that fire; empty if the alert is silent.
    pub fires: Vec<Expected>,
}

impl Case {
    /// Marks the case as one for real scale only.
    pub(super) fn in_real_time(self) -> Self {
        Self { real_time_only: true, ..self }
    }

    /// Evaluates the alert every five minutes only. For situations that last for hours and do not test the
    /// exact end of the pending period.
    pub(super) fn long(self) -> Self {
        Self { length: Length::Hours, ..self }
    }
}

/// A case, evaluated after this many minutes.
pub(crate) fn case(name: &'static str, minutes: u64, series: Vec<Series>, fires: Vec<Expected>) -> Case {
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
    /// Adds a moment. Rules are evaluated every half minute, so 12.5 is the last moment before 13.
    pub(super) fn then(mut self, minutes: f64, fires: Vec<Expected>) -> Self {
        self.moments.push(Moment { at: Duration::from_secs_f64(minutes * 60.0), fires });
        self
    }
}

/// Adds the same series to each of the cases; they must not change any outcome.
pub(super) fn beside(series: Vec<Series>, cases: Vec<Case>) -> Vec<Case> {
    let with_series = |mut case: Case| {
        let is_new = |new: &&Series| !case.series.iter().any(|own| own.name == new.name);
        case.besides = series.iter().filter(is_new).cloned().collect();
        case
    };
    cases.into_iter().map(with_series).collect()
}

/// A counter that rises fast, for longer than any case of an alert that looks back for hours.
pub(super) const MUCH: &str = "0+1000x3000";

/// Labels that identify a process of the application as the source of a series.
const OURS: &[(&str, &str)] = &[("job", APPLICATION), ("instance", "a")];

/// The `job` label of the application's own series.
pub(super) const APPLICATION: &str = "socialize/api";

/// Labels of a series from another program.
const THEIRS: &[(&str, &str)] = &[("instance", "a")];

/// A series with one sample a minute.
#[derive(Clone)]
pub struct Series {
    /// Name and labels.
    pub name: String,
    /// Samples of the series.
    pub values: Values,
    /// Change of the samples at a faster scale.
    pub pace: Pace,
}

/// Samples of a series.
#[derive(Clone, Debug)]
pub enum Values {
    /// Numbers in promtool's notation: `0+1x10` rises by one ten times; `_x5` omits five samples.
    Numbers(String),
    /// A histogram, by counts within rising durations.
    Durations(Vec<Within>),
}

/// Change of samples where rules run faster than in production.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// They stay the same.
    Same,
    /// They are seconds, and get smaller.
    Time,
    /// They are events per second, and get larger.
    Rate,
}

impl Series {
    /// A series of a metric.
    pub fn of<M: Queried<Labels = L>, L: LabelSet>(metric: &M, labels: L, values: &str) -> Self {
        let source = if M::SOURCE == Source::Application { OURS } else { THEIRS };
        Self::plain(name_of(&metric.description(), source, labels.pairs()), values.to_owned())
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
        Self { name, values: Values::Numbers(values), pace: Pace::Same }
    }

    /// The same series of another instance.
    #[must_use]
    pub fn of_instance(self, instance: &str) -> Self {
        let name = self.name.replace("instance=\"a\"", &format!("instance=\"{instance}\""));
        Self { name, ..self }
    }

    /// The result of a recording rule. For alerts that are evaluated rarely, because promtool records only as
    /// often as it evaluates.
    pub fn recorded(recording: &Recording<Total>, values: &str) -> Self {
        Self { name: recording.name.to_owned(), values: Values::Numbers(values.to_owned()), pace: Pace::Rate }
    }

    /// The result of a recording rule for one value of its label.
    pub fn recorded_for<A: Label>(recording: &Recording<A>, label: A, values: &str) -> Self {
        let name = format!("{}{{{}=\"{}\"}}", recording.name, prometheus_label(A::KEY), label.as_str());
        Self { name, values: Values::Numbers(values.to_owned()), pace: Pace::Rate }
    }

    /// A histogram of durations that are all usual.
    pub fn count<L: LabelSet>(metric: &Metric<L, IsHistogram>, labels: L, values: &str) -> Self {
        Self::durations(metric, labels, &[(USUAL, values)])
    }

    /// A histogram with the counts of durations within rising numbers of seconds.
    pub fn durations<L: LabelSet>(
        metric: &Metric<L, IsHistogram>,
        labels: L,
        within: &[(f64, &str)],
    ) -> Self {
        Self::histogram(name_of(&metric.description(), OURS, labels.pairs()), within)
    }

    /// The count of requests with one kind of failure, or without any.
    pub fn requests(failure: Option<RequestFailure>, values: &str) -> Self {
        Self::requests_like(&Request { failure, ..Request::WELL }, values)
    }

    /// The count of requests with these labels, all of usual duration.
    pub fn requests_like(request: &Request, values: &str) -> Self {
        Self::requests_like_within(request, &[(USUAL, values)])
    }

    /// The counts of requests with these labels within rising numbers of seconds.
    pub fn requests_like_within(request: &Request, within: &[(f64, &str)]) -> Self {
        let labels = request.labels().into_iter();
        Self::histogram(name_of(&HTTP_SERVER_REQUEST_DURATION.description(), OURS, labels), within)
    }

    fn histogram(name: String, within: &[(f64, &str)]) -> Self {
        let within =
            within.iter().map(|(seconds, counts)| Within { seconds: *seconds, counts: (*counts).to_owned() });
        Self { name, values: Values::Durations(within.collect()), pace: Pace::Same }
    }

    /// A histogram of another program, whose durations exceed every limit.
    pub(super) fn slow_twin(name: String, counts: String) -> Self {
        Self { name, values: Values::Durations(vec![Within { seconds: SLOW, counts }]), pace: Pace::Same }
    }

    /// The same series as exported by another program with a metric of the same name.
    #[must_use]
    pub fn of_another_program(self) -> Self {
        Self { name: self.name.replace(APPLICATION, "alloy"), ..self }
    }
}

/// The name of a series with its labels.
fn name_of<'a>(
    metric: &MetricDescription,
    source: &[(&'static str, &'static str)],
    labels: impl Iterator<Item = (&'a str, &'a str)>,
) -> String {
    let labels: Vec<_> = source
        .iter()
        .copied()
        .filter(|(key, _)| !metric.label_keys.contains(key))
        .chain(labels.filter(|(_, value)| !value.is_empty()))
        .map(|(key, value)| format!("{}=\"{value}\"", prometheus_label(key)))
        .collect();
    format!("{}{{{}}}", metric.prometheus_name(), labels.join(", "))
}

/// A duration in seconds below every limit, and one above every limit.
const USUAL: f64 = 0.25;
const SLOW: f64 = 32.0;

/// Labels of a request and its response.
#[derive(Clone, Copy)]
pub struct Request {
    /// The route template.
    pub route: &'static str,
    /// The HTTP method.
    pub method: &'static str,
    /// The status code; empty if there was no response.
    pub status: &'static str,
    /// Kind of failure, if the request failed.
    pub failure: Option<RequestFailure>,
}

impl Request {
    /// An organization is created.
    pub const WELL: Self = Self { route: "/v1/organizations", method: "POST", status: "201", failure: None };

    /// A scanner requests a path that does not exist.
    pub const SCANNER: Self = Self { route: "", method: "GET", status: "404", failure: None };

    /// The service fails to handle the request.
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

/// A firing alert: its labels other than name and severity, and its value as the text shows it.
pub struct Expected {
    /// Label names, as Prometheus spells them, with their values.
    pub labels: Vec<(String, String)>,
    /// The value as it appears in the text, if the text shows it.
    pub value: Shown,
}

/// A value as an alert's text shows it.
pub enum Shown {
    /// The same text at every scale.
    Text(&'static str),
    /// A share, the same at every scale.
    Share(f64),
    /// A duration at real scale.
    Time(Duration),
}

/// The alert fires without further labels.
pub(super) fn fires(value: &'static str) -> Vec<Expected> {
    vec![Expected { labels: Vec::new(), value: Shown::Text(value) }]
}

/// The alert fires with a share and without further labels.
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
pub(super) fn fires_on(request: Request, value: &'static str) -> Vec<Expected> {
    let labels = vec![(prometheus_label(Route::KEY), request.route.to_owned())];
    vec![Expected { labels, value: Shown::Text(value) }]
}

/// The alert fires for one method of a route.
pub(super) fn fires_on_method(request: Request, value: &'static str) -> Vec<Expected> {
    let labels = vec![
        (prometheus_label(Route::KEY), request.route.to_owned()),
        (prometheus_label(RequestMethod::KEY), request.method.to_owned()),
    ];
    vec![Expected { labels, value: Shown::Text(value) }]
}

/// The alert fires for one value of a label, with a duration in its text.
pub(super) fn fires_for_time<A: Label>(label: A, time: Duration) -> Vec<Expected> {
    let labels = vec![(prometheus_label(A::KEY), label.as_str().to_owned())];
    vec![Expected { labels, value: Shown::Time(time) }]
}

/// The alert does not fire.
pub(super) fn silent() -> Vec<Expected> {
    Vec::new()
}
