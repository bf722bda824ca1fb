//! From a metric of the catalogue to samples.

use std::marker::PhantomData;
use std::time::Duration;

use domain::catalogue::BUILD_INFO;
use telemetry::builtin::{HTTP_CLIENT_REQUEST_DURATION, HTTP_SERVER_REQUEST_DURATION};
use telemetry::catalogue::{
    IsCounter, IsGauge, IsHistogram, IsUpDownCounter, Label, Metric, MetricDescription, prometheus_label,
};
use telemetry::http_server::UNMATCHED;

use super::labels::{
    AlertName, AlertSeverity, Both, BucketBound, Build, ClientCall, RequestFailure, ResponseStatus, Route,
};
use super::stores::APPLICATION_SERIES;
use super::{Grouping, HasLabel, LabelName, Samples, ServerRequest, Vector, Window, duration_text};
use crate::exporters::ExporterMetric;
use crate::grafana::Choice;
use crate::peers::ForeignMetric;

/// A metric that a query can name. Its type says whose it is, so a query about the application cannot count the series
/// that another program sends under the same name: Alloy has an `http_server_request_duration_seconds` of its own.
pub trait Queried {
    /// The label set.
    type Labels;
    /// One of `IsCounter`, `IsUpDownCounter`, `IsGauge` and `IsHistogram`.
    type Kind;
    /// Whether the application sends it. If not, the name alone has to say which program does.
    const OF_APPLICATION: bool;

    /// The declaration without its types.
    fn description(&self) -> MetricDescription;
}

impl<L, K> Queried for Metric<L, K> {
    type Labels = L;
    type Kind = K;
    const OF_APPLICATION: bool = true;

    fn description(&self) -> MetricDescription {
        self.description()
    }
}

impl<L, K> Queried for ForeignMetric<L, K> {
    type Labels = L;
    type Kind = K;
    const OF_APPLICATION: bool = false;

    fn description(&self) -> MetricDescription {
        self.0.description()
    }
}

impl<L, K> Queried for ExporterMetric<L, K> {
    type Labels = L;
    type Kind = K;
    const OF_APPLICATION: bool = false;

    fn description(&self) -> MetricDescription {
        self.description()
    }
}

/// Chooses series of a metric with labels `L` and kind `K`.
pub struct Selector<L, K> {
    metric: MetricDescription,
    suffix: &'static str,
    matchers: Vec<String>,
    offset: Option<Duration>,
    at_end: bool,
    types: PhantomData<fn(L, K)>,
}

/// All series of a metric, of every process of the program that it belongs to.
pub fn select<M: Queried>(metric: &M) -> Selector<M::Labels, M::Kind> {
    let matchers = if M::OF_APPLICATION { application() } else { Vec::new() };
    Selector { matchers, ..Selector::all(metric.description()) }
}

/// Matches the application's own series. Prometheus makes the label from `service.namespace` and `service.name`.
fn application() -> Vec<String> {
    vec![APPLICATION_SERIES.to_owned()]
}

/// Requests for routes of the API: what users do. Those that match no route are somebody else's, above all scanners'; they
/// count apart, in [`unmatched_requests`], so that they can neither hide failures nor make low traffic look high.
pub fn requests() -> Selector<ServerRequest, IsHistogram> {
    every_request().matching::<Route>("!=", UNMATCHED)
}

/// Requests that match no route.
pub fn unmatched_requests() -> Selector<ServerRequest, IsHistogram> {
    every_request().matching::<Route>("=", UNMATCHED)
}

/// All series of `http.server.request.duration`, whose labels the catalogue cannot type because routes are closed only at start.
fn every_request() -> Selector<ServerRequest, IsHistogram> {
    Selector { matchers: application(), ..Selector::all(HTTP_SERVER_REQUEST_DURATION.description()) }
}

/// The segments of routes on which files travel. How long such a request takes depends on the client's network.
pub const FILE_SEGMENTS: &[&str] = &["attachments", "screenshot"];

impl<K> Selector<ServerRequest, K> {
    /// Only requests that the service carried out or should have: without those that it refused with a status of 4xx and those
    /// whose client went away. Shares are taken of these, because anybody can send the others.
    #[must_use]
    pub fn served(self) -> Self {
        self.matching::<ResponseStatus>("!~", "4..").is_not(RequestFailure::Cancelled)
    }

    /// Only requests whose duration says something about the service: without refusals and without files. Requests whose client
    /// went away are among them, for clients give up on what takes too long.
    #[must_use]
    pub fn timed(self) -> Self {
        let files =
            FILE_SEGMENTS.iter().flat_map(|segment| [format!(".+/{segment}"), format!(".+/{segment}/.+")]);
        let files = files.collect::<Vec<_>>().join("|");
        self.matching::<ResponseStatus>("!~", "4..").matching::<Route>("!~", &files)
    }

    /// Only requests that succeeded.
    #[must_use]
    pub fn succeeded(self) -> Self {
        self.matching::<ResponseStatus>("=~", "[23]..")
    }

    /// Only attempts to use a workflow: without those of callers who were not allowed to, asked for what does not exist or came too
    /// often, and without authentication, which strangers attempt as well.
    #[must_use]
    pub fn attempts(self) -> Self {
        self.matching::<ResponseStatus>("!~", "401|403|404|405|429")
            .matching::<Route>("!~", "/v1/auth/.+")
            .is_not(RequestFailure::Cancelled)
    }
}

/// All series of `http.client.request.duration`: calls to others.
pub fn calls() -> Selector<ClientCall, IsHistogram> {
    Selector { matchers: application(), ..Selector::all(HTTP_CLIENT_REQUEST_DURATION.description()) }
}

/// All series of `socialize.build.info`.
pub fn builds() -> Selector<Build, IsGauge> {
    Selector { matchers: application(), ..Selector::all(BUILD_INFO.description()) }
}

/// The alerts that fire, as Prometheus records them.
pub fn firing_alerts() -> Vector<Both<AlertName, AlertSeverity>> {
    let never = crate::rules::Severity::None.as_str();
    Vector::call(format!(
        "count by ({}, {severity}) (ALERTS{{alertstate=\"firing\",{severity}!=\"{never}\"}})",
        AlertName::KEY,
        severity = AlertSeverity::KEY
    ))
}

impl<K> Selector<ServerRequest, K> {
    /// Only the routes that are chosen at the top of the dashboard.
    #[must_use]
    pub fn of_chosen_routes(self) -> Self {
        self.matching::<Route>("=~", Choice::Route.variable())
    }
}

/// A kind of metric whose value of now says something.
pub trait Level {}

impl Level for IsGauge {}
impl Level for IsUpDownCounter {}

/// The upper bound of a histogram's bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket(f64);

impl Bucket {
    /// The bucket of `metric` that ends at `seconds`. Used for a `const`, it does not compile where there is none.
    ///
    /// # Panics
    /// When there is none.
    pub const fn of(metric: &MetricDescription, seconds: f64) -> Self {
        let mut position = 0;
        while position < metric.bounds.len() {
            if metric.bounds[position] == seconds {
                return Self(seconds);
            }
            position += 1;
        }
        panic!("the histogram has no bucket that ends there");
    }

    /// The bound in seconds.
    pub const fn seconds(self) -> f64 {
        self.0
    }
}

/// By hand, because the derived one asks that the labels can be cloned.
impl<L, K> Clone for Selector<L, K> {
    fn clone(&self) -> Self {
        Self {
            metric: self.metric,
            suffix: self.suffix,
            matchers: self.matchers.clone(),
            offset: self.offset,
            at_end: self.at_end,
            types: PhantomData,
        }
    }
}

impl<L, K> Selector<L, K> {
    fn all(metric: MetricDescription) -> Self {
        Self { metric, suffix: "", matchers: Vec::new(), offset: None, at_end: false, types: PhantomData }
    }

    fn matching<A: LabelName>(mut self, operator: &str, value: &str) -> Self {
        let label = prometheus_label(A::KEY);
        self.matchers.push(format!("{label}{operator}\"{value}\""));
        self
    }

    fn part<P>(self, suffix: &'static str) -> Selector<L, P> {
        Selector {
            metric: self.metric,
            suffix,
            matchers: self.matchers,
            offset: self.offset,
            at_end: self.at_end,
            types: PhantomData,
        }
    }

    /// Only series with this value.
    #[must_use]
    pub fn is<A: Label, P>(self, value: A) -> Self
    where
        L: HasLabel<A, P>,
    {
        self.matching::<A>("=", value.as_str())
    }

    /// Only series without this value.
    #[must_use]
    pub fn is_not<A: Label, P>(self, value: A) -> Self
    where
        L: HasLabel<A, P>,
    {
        self.matching::<A>("!=", value.as_str())
    }

    /// Only series with one of these values.
    #[must_use]
    pub fn is_one_of<A: Label, P>(self, values: &[A]) -> Self
    where
        L: HasLabel<A, P>,
    {
        self.matching::<A>("=~", &alternatives(values))
    }

    /// Only series with none of these values.
    #[must_use]
    pub fn is_none_of<A: Label, P>(self, values: &[A]) -> Self
    where
        L: HasLabel<A, P>,
    {
        self.matching::<A>("!~", &alternatives(values))
    }

    /// As it was this long ago.
    #[must_use]
    pub fn offset(mut self, ago: Duration) -> Self {
        self.offset = Some(ago);
        self
    }

    /// As it is at the end of what a panel shows, at every point of it. What is chosen by it stays the same along a chart.
    #[must_use]
    pub fn at_end(mut self) -> Self {
        self.at_end = true;
        self
    }

    fn text(&self, range: Option<Window>) -> String {
        let mut text = self.metric.prometheus_name();
        text.push_str(self.suffix);
        if !self.matchers.is_empty() {
            text.push_str(&format!("{{{}}}", self.matchers.join(",")));
        }
        if let Some(range) = range {
            text.push_str(&format!("[{}]", range.text()));
        }
        if self.at_end {
            text.push_str(" @ end()");
        }
        if let Some(ago) = self.offset {
            text.push_str(&format!(" offset {}", duration_text(ago)));
        }
        text
    }

    fn over(&self, function: &str, range: impl Into<Window>) -> String {
        format!("{function}({})", self.text(Some(range.into())))
    }

    /// 1 when no such series had a sample within the window. With telemetry that is pushed, a process that is gone shows in nothing else.
    pub fn absent_over(&self, window: impl Into<Window>) -> Vector<super::Total> {
        Vector::call(self.over("absent_over_time", window))
    }
}

impl<L, K> Selector<L, K> {
    /// 1 for this value when no series with it had a sample within the window. Prometheus takes the label from the matcher.
    pub fn absent_for<A: Label, P>(self, value: A, window: impl Into<Window>) -> Vector<A>
    where
        L: HasLabel<A, P>,
    {
        Vector::call(self.is(value).over("absent_over_time", window))
    }
}

/// Values of closed sets are identifiers, media types or durations; escaping what a regular expression would read
/// otherwise keeps that from mattering.
fn alternatives<A: Label>(values: &[A]) -> String {
    let escape = |value: &A| value.as_str().replace('.', "[.]").replace('+', "[+]");
    values.iter().map(escape).collect::<Vec<_>>().join("|")
}

impl<L> Selector<L, IsCounter> {
    /// Events per second over a window.
    pub fn rate(&self, window: impl Into<Window>) -> Samples<L> {
        Samples::new(self.over("rate", window))
    }

    /// Series that exist now and did not at the beginning of a window. Counters of other programs often begin with the first
    /// event, which no increase shows; ours begin at 0. After a gap of Prometheus every series looks like that, so a rule has to
    /// ask as well whether the target was scraped at that time.
    pub fn began_within(&self, window: Duration) -> Samples<L> {
        let before = Self { offset: Some(window), ..self.clone() };
        Samples::new(format!("{} unless {}", self.text(None), before.text(None)))
    }

    /// Events between two points of a panel, each in exactly one bar.
    ///
    /// An increase within that time alone misses what happens between the last point of one bar and the first of the next: with a point
    /// every 15 seconds, a quarter of the events of a minute. The window of a rate reaches back to the point before the bar.
    pub fn per_bar(&self) -> Samples<L> {
        Samples::new(format!("{} * $__interval_ms / 1000", self.over("rate", Window::RateInterval)))
    }

    /// Events within a window.
    pub fn increase(&self, window: impl Into<Window>) -> Samples<L> {
        Samples::new(self.over("increase", window))
    }
}

impl<L, K: Level> Selector<L, K> {
    /// The value of now.
    pub fn now(&self) -> Samples<L> {
        Samples::new(self.text(None))
    }

    /// How far the value, a Unix time, lies before the time at which it was sent. A process that has ended does not seem to lag.
    pub fn lag(&self) -> Samples<L> {
        Samples::new(format!("timestamp({0}) - {0}", self.text(None)))
    }

    /// The values that are Unix times of the last seconds, as ages. Those of a process that has ended are left out.
    pub fn ages_below(&self, limit: Duration) -> Samples<L> {
        Samples::new(format!("time() - {} < {}", self.text(None), limit.as_secs()))
    }

    /// The mean of a window: of a value that is 0 or 1, the share of the time at which it was 1.
    pub fn average(&self, window: impl Into<Window>) -> Samples<L> {
        Samples::new(self.over("avg_over_time", window))
    }

    /// The smallest value in a window.
    pub fn lowest(&self, window: impl Into<Window>) -> Samples<L> {
        Samples::new(self.over("min_over_time", window))
    }

    /// The largest value in a window.
    pub fn highest(&self, window: impl Into<Window>) -> Samples<L> {
        Samples::new(self.over("max_over_time", window))
    }

    /// How often the value changed in a window.
    pub fn changes(&self, window: impl Into<Window>) -> Samples<L> {
        Samples::new(self.over("changes", window))
    }

    /// The value after `ahead`, if it goes on as it did in the window.
    pub fn predicted(&self, window: Duration, ahead: Duration) -> Samples<L> {
        let range = self.text(Some(window.into()));
        Samples::new(format!("predict_linear({range}, {})", ahead.as_secs()))
    }

    /// How many samples a window holds.
    pub fn samples_in(&self, window: impl Into<Window>) -> Samples<L> {
        Samples::new(self.over("count_over_time", window))
    }
}

impl<L> Selector<L, IsHistogram> {
    /// How many there were.
    pub fn count(self) -> Selector<L, IsCounter> {
        self.part("_count")
    }

    /// The seconds that all of them took together.
    pub fn seconds(self) -> Selector<L, IsCounter> {
        self.part("_sum")
    }

    /// How many took no longer than the bound of a bucket.
    pub fn within(self, bucket: Bucket) -> Selector<L, IsCounter> {
        let bound = bucket.seconds().to_string();
        let mut buckets = self.part("_bucket");
        // Prometheus writes whole numbers with or without a fraction, depending on how they reached it.
        buckets.matchers.push(match bucket.seconds().fract() {
            0.0 => format!("le=~\"{bound}([.]0)?\""),
            _ => format!("le=\"{bound}\""),
        });
        buckets
    }

    /// The duration that the fraction `q` of all stayed below.
    pub fn quantile(self, q: f64, window: impl Into<Window>) -> Vector<super::Total> {
        self.quantile_of(q, window)
    }

    /// The same for each value of a label.
    pub fn quantile_by<A: LabelName, P>(self, q: f64, window: impl Into<Window>) -> Vector<A>
    where
        L: HasLabel<A, P>,
    {
        self.quantile_of(q, window)
    }

    /// The same for each combination of two labels.
    pub fn quantile_by_both<A: LabelName, B: LabelName, P, Q>(
        self,
        q: f64,
        window: impl Into<Window>,
    ) -> Vector<Both<A, B>>
    where
        L: HasLabel<A, P> + HasLabel<B, Q>,
    {
        self.quantile_of(q, window)
    }

    fn quantile_of<G: Grouping>(self, q: f64, window: impl Into<Window>) -> Vector<G> {
        let rate = self.part::<IsCounter>("_bucket").over("rate", window);
        let keys = [vec![BucketBound::KEY.to_owned()], G::keys()].concat();
        Vector::call(format!("histogram_quantile({q}, sum by ({}) ({rate}))", keys.join(", ")))
    }

    /// How many ended in each bucket or below, for a heat map.
    pub fn buckets(self, window: impl Into<Window>) -> Vector<BucketBound> {
        let increase = self.part::<IsCounter>("_bucket").over("increase", window);
        Vector::call(format!("sum by ({}) ({increase})", BucketBound::KEY))
    }
}
