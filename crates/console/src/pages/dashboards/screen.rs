//! State shared by all panels of a page: the time range, the chosen values and the stores.

use std::sync::RwLockReadGuard;
use std::time::Duration;

use monitoring::grafana::{MARK_STEP, Panel, marks};
use monitoring::query::{Choice, Expression, Selection};

use crate::chart::{ColorClass, TimeMark, Times, point_distance};
use crate::evaluate::{
    Context, Range, Refusal, ResultSeries, ResultValues, SharedResults, evaluate, evaluate_instant,
    selected_series,
};
use crate::pages::range::TimeRange;
use crate::pages::view::View;
use crate::rules::AlertState;
use crate::state::{Console, read};
use crate::store::metrics::{Exemplar, Labels, MetricStore, Usage};

/// Interval at which processes export their metrics.
const RESOLUTION: Duration = Duration::from_secs(15);
/// Charts up to half of the page's width have as many points as one of half the width, so that they share
/// intermediate results. In columns, of which a page has 24.
const HALF: u8 = 12;
const WHOLE: u8 = 24;
/// Maximum number of marks in a chart. More of them would hide the data.
const MARKS: usize = 24;
/// Shortest range of a chart in milliseconds.
const SHORTEST: i64 = 5 * 60_000;
/// Maximum number of points of the queries for marks.
const MARK_POINTS: i64 = 5000;

/// How close in time the values of a chart are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Density {
    /// Points of a line, states of a timeline, or columns of a heat map.
    Points,
    /// Bars.
    Bars,
}

impl Density {
    /// Returns the number of values for each of the page's 24 columns.
    fn of_column(self) -> i64 {
        match self {
            Self::Points => 12,
            Self::Bars => 6,
        }
    }
}

/// A page with panels.
pub(crate) struct Screen<'a> {
    /// State of the console.
    pub console: &'a Console,
    /// Address of the page.
    pub view: &'a View,
    /// Time range of the page.
    pub range: TimeRange,
    /// Variables of the dashboard.
    pub choices: &'static [Choice],
    /// Chosen values of each variable; none means all.
    pub chosen: Vec<(Choice, Vec<String>)>,
    /// Metrics. Locked once, so that all panels of a page agree.
    pub metrics: RwLockReadGuard<'a, MetricStore>,
    /// Results that panels have computed.
    shared: SharedResults,
    /// Alerts that fire or are pending.
    pub alerts: Vec<AlertState>,
    /// Time of the newest sample of any series.
    pub newest: Option<i64>,
    /// Time of the oldest sample of any series.
    oldest: Option<i64>,
    /// Path of the dashboard.
    pub path: String,
    /// Marks of all charts.
    pub marks: Vec<TimeMark>,
}

impl<'a> Screen<'a> {
    /// Creates a page for a time range.
    pub(crate) fn new(
        console: &'a Console,
        view: &'a View,
        range: TimeRange,
        choices: &'static [Choice],
        chosen: Vec<(Choice, Vec<String>)>,
        path: String,
    ) -> Self {
        // Locked before the metrics, the order in which the loop that evaluates rules locks them.
        let alerts = read(console.rules()).states();
        let metrics = read(console.metrics());
        let Usage { newest, oldest, .. } = metrics.usage();
        let (shared, marks) = (SharedResults::default(), Vec::new());
        let mut screen = Self {
            console,
            view,
            range,
            choices,
            chosen,
            metrics,
            shared,
            alerts,
            newest,
            oldest,
            path,
            marks,
        };
        screen.marks = screen.find_marks();
        screen
    }

    /// Returns the range of a panel, which may have one of its own.
    pub(crate) fn range_of(&self, panel: &Panel) -> TimeRange {
        let Some(period) = panel.fixed_range() else { return self.range };
        let length = i64::try_from(period.duration().as_millis()).unwrap_or(i64::MAX);
        TimeRange { from: self.range.until - length, until: self.range.until, name: None }
    }

    /// Returns the times of the values of a panel with this width.
    pub(crate) fn times(&self, panel: &Panel, density: Density, columns: u8) -> Times {
        let mut range = self.range_of(panel);
        if let Some(oldest) = self.oldest {
            // Charts start with the first data: an earlier start would be empty and leave too few points for
            // the rest.
            range.from = range.from.max(oldest.min(range.until - SHORTEST));
        }
        let columns = if columns <= HALF { HALF } else { WHOLE };
        let least = panel.least_interval().map_or(0, |period| period.duration().as_millis());
        let least = i64::try_from(least).unwrap_or(0);
        let step =
            point_distance(range.length(), i64::from(columns) * density.of_column()).max(least).max(1000);
        // Round times, so that points stay the same when the page refreshes.
        let start = range.from.div_euclid(step) * step + step;
        let end = (range.until.div_euclid(step) * step).max(start + step);
        Times { start, end, step }
    }

    /// Evaluates a query of a panel at each time.
    pub(crate) fn over_time(
        &self,
        panel: &Panel,
        expression: &Expression,
        times: Times,
    ) -> Result<Vec<ResultSeries>, Refusal> {
        self.evaluate(expression, times, self.range_of(panel))
    }

    fn evaluate(
        &self,
        expression: &Expression,
        times: Times,
        whole: TimeRange,
    ) -> Result<Vec<ResultSeries>, Refusal> {
        let variables = |name: &str| self.variable(name);
        // Its end is that of queries at one time, which share the results.
        let range = Range { start: times.start, end: times.end.max(whole.until), step: times.step };
        let context = Context {
            whole_range: duration(whole),
            shared: Some(&self.shared),
            ..Context::panel(range, RESOLUTION, &variables)
        };
        evaluate(&*self.metrics, expression, &context)
    }

    /// Returns single observations of the selected series.
    pub(crate) fn exemplars(&self, selection: &Selection, times: Times) -> Vec<Exemplar> {
        let variables = |name: &str| self.variable(name);
        let range = Range { start: times.start, end: times.end, step: times.step };
        let context = Context::panel(range, RESOLUTION, &variables);
        let series = selected_series(&*self.metrics, selection, &context).unwrap_or_default();
        series.into_iter().flat_map(|id| self.metrics.exemplars(id).copied()).collect()
    }

    /// Evaluates a query at the end of the panel's range.
    pub(crate) fn at_end(
        &self,
        panel: &Panel,
        expression: &Expression,
    ) -> Result<Vec<(Labels, f64)>, Refusal> {
        let range = self.range_of(panel);
        let variables = |name: &str| self.variable(name);
        let whole = duration(range);
        let context = Context {
            range: Range::instant(range.until),
            whole_range: whole,
            interval: whole,
            rate_interval: (RESOLUTION * 4).max(whole / 100),
            variables: &variables,
            shared: Some(&self.shared),
            ..Context::rule(range.until)
        };
        evaluate_instant(&*self.metrics, expression, &context)
    }

    /// Returns the regular expression for a variable. `None` matches everything.
    fn variable(&self, name: &str) -> Option<String> {
        let (_, values) = self.chosen.iter().find(|(choice, _)| choice.name() == name)?;
        let values: Vec<String> = values.iter().map(|value| literal(value)).collect();
        (!values.is_empty()).then(|| values.join("|"))
    }

    /// Returns the values that are chosen for a variable.
    pub(crate) fn chosen(&self, choice: Choice) -> &[String] {
        self.chosen.iter().find(|(known, _)| *known == choice).map_or(&[], |(_, values)| values)
    }

    fn find_marks(&self) -> Vec<TimeMark> {
        let least = i64::try_from(MARK_STEP.duration().as_millis()).unwrap_or(60_000);
        let step = least.max(self.range.length() / MARK_POINTS);
        let from = self.range.from.max(self.oldest.unwrap_or(i64::MIN));
        let start = from.min(self.range.until - step).div_euclid(step) * step;
        let times = Times { start, end: self.range.until, step };
        let mut found = Vec::new();
        // Marks of alerts would hide the data here; the page Alerts has them.
        for mark in marks(self.choices).into_iter().filter(|mark| mark.name != "Alerts") {
            let results = self.evaluate(&mark.expression, times, self.range).unwrap_or_default();
            for series in results {
                let ResultValues::Numbers(values) = &series.values else { continue };
                let begins =
                    values.windows(2).enumerate().filter(|(_, pair)| pair[0].is_none() && pair[1].is_some());
                let text = with_labels(mark.title, &series.labels);
                found.extend(begins.map(|(index, _)| TimeMark {
                    at: times.at(index + 1),
                    text: text.clone(),
                    color: ColorClass::from(mark.color),
                }));
            }
        }
        found.sort_by_key(|mark| mark.at);
        let surplus = found.len().saturating_sub(MARKS);
        found.split_off(surplus)
    }
}

fn duration(range: TimeRange) -> Duration {
    Duration::from_millis(u64::try_from(range.length()).unwrap_or(0))
}

/// Escapes special characters of regular expressions.
fn literal(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for letter in value.chars() {
        if r"\.+*?()|[]{}^$".contains(letter) {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}

/// Replaces `{{label}}` by the values of labels.
pub(crate) fn with_labels(text: &str, labels: &Labels) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, after)) = after.split_once("}}") else { break };
        out.push_str(before);
        let name = signal::metric::prometheus_label(name.trim());
        out.push_str(labels.get(&name));
        rest = after;
    }
    out.push_str(rest);
    out.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_series_come_from_their_labels() {
        let labels = Labels::new([("http_route".into(), "/a".into()), ("q".into(), "p95".into())]);
        assert_eq!(with_labels("{{http.route}} {{ q }}!", &labels), "/a p95!");
        assert_eq!(with_labels("{{missing}} of {{", &labels), "of {{");
    }

    #[test]
    fn chosen_values_are_no_patterns() {
        assert_eq!(literal("/items/{id}.*"), r"/items/\{id\}\.\*");
    }
}
