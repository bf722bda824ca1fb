//! Runs the cases of all alerts with the console's engine.

use std::collections::{BTreeMap, HashMap};

use monitoring::query::Scale;
use monitoring::rules::{Alert, annotations, groups, recordings, render_tests};

use super::super::database::{Database, RuleSample};
use super::super::group::{AlertRule, RecordingRule, RuleGroup};
use super::super::machine::Phase;
use super::file::{Case, Firing, Moment, read};
use super::notation::{points, series};
use crate::evaluate::evaluate_at;
use crate::store::metrics::{Labels, MetricSource, Points, SeriesId};

/// Series in memory.
#[derive(Default)]
struct Samples {
    names: HashMap<String, Vec<SeriesId>>,
    series: Vec<(Labels, Points)>,
}

impl Samples {
    fn of(case: &Case) -> Self {
        let mut samples = Self::default();
        for (text, values) in &case.series {
            let (name, labels) = series(text);
            samples.add(&name, labels, points(values, case.interval));
        }
        samples
    }

    fn add(&mut self, name: &str, labels: Labels, points: Points) {
        let id = SeriesId(self.series.len() as u32);
        self.names.entry(name.to_owned()).or_default().push(id);
        self.series.push((labels, points));
    }
}

impl MetricSource for Samples {
    fn series(&self, name: &str) -> Vec<SeriesId> {
        self.names.get(name).cloned().unwrap_or_default()
    }

    fn labels(&self, series: SeriesId) -> &Labels {
        &self.series[series.0 as usize].0
    }

    fn read(&self, series: SeriesId, after: i64, until: i64) -> Points {
        fn within<T: Clone>(points: &[(i64, T)], after: i64, until: i64) -> Vec<(i64, T)> {
            let from = points.partition_point(|(at, _)| *at <= after);
            let to = points.partition_point(|(at, _)| *at <= until);
            points[from..to.max(from)].to_vec()
        }
        match &self.series[series.0 as usize].1 {
            Points::Numbers(points) => Points::Numbers(within(points, after, until)),
            Points::Histograms(points) => Points::Histograms(within(points, after, until)),
        }
    }

    fn complete_since(&self, _: SeriesId) -> i64 {
        i64::MIN
    }
}

impl Database for Samples {
    fn evaluate(
        &self,
        expression: &monitoring::query::Expression,
        at: i64,
    ) -> Result<Vec<(Labels, f64)>, String> {
        evaluate_at(self, expression, at).map_err(|refusal| refusal.to_string())
    }

    fn append(&mut self, _: &str, at: i64, samples: Vec<RuleSample>) {
        for sample in samples {
            let known = self.names.get(&*sample.name).into_iter().flatten();
            let known = known.copied().find(|id| self.series[id.0 as usize].0 == sample.labels);
            match known.map(|id| &mut self.series[id.0 as usize].1) {
                Some(Points::Numbers(points)) => points.push((at, sample.value)),
                Some(Points::Histograms(_)) => panic!("{} is a histogram", sample.name),
                None => self.add(&sample.name, sample.labels, Points::Numbers(vec![(at, sample.value)])),
            }
        }
    }
}

/// Runs a case: evaluates the alert at each interval, and compares the firing alerts at each given time. Like
/// promtool, it compares the state after the last evaluation at or before that time.
fn play(alert: &Alert, every: i64, case: &Case) -> Vec<String> {
    let mut samples = Samples::of(case);
    let rule = AlertRule::new(alert, None).expect("texts that can be expanded");
    let mut group = RuleGroup::new("of the case", "", std::time::Duration::from_secs(1));
    group.alerts.push(rule);
    let mut errors = Vec::new();
    let mut moments = case.moments.iter().collect::<Vec<_>>();
    moments.sort_by_key(|moment| moment.at);
    let end = moments.last().map_or(0, |moment| moment.at);
    for at in (0..=end).step_by(every as usize) {
        group.evaluate(at, &mut samples);
        let rule = &group.alerts[0];
        if let Some(error) = &rule.error {
            errors.push(format!("{}: {} s: {error}", case.name, at / 1000));
            break;
        }
        for moment in moments.iter().filter(|moment| (at..at + every).contains(&moment.at)) {
            errors.extend(differs(case, alert, rule, moment));
        }
    }
    errors
}

fn differs(case: &Case, alert: &Alert, rule: &AlertRule, moment: &Moment) -> Option<String> {
    let firing = rule.states().filter(|state| state.phase == Phase::Firing);
    let mut firing: Vec<Firing> = firing
        .map(|state| {
            let mut labels: BTreeMap<String, String> =
                state.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            labels.insert("severity".to_owned(), state.severity.as_str().to_owned());
            let mut texts: BTreeMap<String, String> =
                annotations(alert).into_iter().map(|(key, text)| (key.to_owned(), text)).collect();
            texts.insert("summary".to_owned(), state.summary);
            texts.insert("description".to_owned(), state.description);
            Firing { labels, annotations: texts }
        })
        .collect();
    let mut expected = moment.expected.clone();
    firing.sort();
    expected.sort();
    (firing != expected).then(|| {
        format!("{}: {} s:\n  expected {expected:?}\n  but      {firing:?}", case.name, moment.at / 1000)
    })
}

fn play_all(scale: Scale) {
    let all = groups(scale);
    let (mut played, mut errors) = (0, Vec::new());
    for rendered in render_tests(scale) {
        let file = read(&rendered.content);
        let Some(group) = all.iter().find(|group| group.name == file.group) else { continue };
        for case in &file.cases {
            let name = &case.moments.first().expect("a moment").alert;
            let alert = group.alerts.iter().find(|alert| alert.name == *name).expect("an alert of the group");
            errors.extend(play(alert, file.every, case));
            played += 1;
        }
    }
    assert!(played > 500, "{played} cases");
    assert!(errors.is_empty(), "{} errors in {played} cases:\n{}", errors.len(), errors.join("\n"));
}

#[test]
fn cases_of_all_alerts_have_the_outcomes_of_promtool() {
    play_all(Scale::REAL);
}

#[test]
fn recordings_have_the_values_of_promtool() {
    let rendered =
        render_tests(Scale::REAL).into_iter().find(|file| file.name == "recordings").expect("a file");
    let file = read(&rendered.content);
    assert!(!file.cases.is_empty());
    for case in &file.cases {
        let mut samples = Samples::of(case);
        let mut group = RuleGroup::new("recordings", "", std::time::Duration::from_mins(1));
        let rules = recordings(Scale::REAL).rules.into_iter();
        group.recordings = rules.map(|rule| RecordingRule::new(rule.name, rule.expression)).collect();
        let end = case.queries.iter().map(|query| query.at).max().unwrap_or_default();
        for at in (0..=end).step_by(file.every as usize) {
            group.evaluate(at, &mut samples);
            for query in case.queries.iter().filter(|query| query.at == at) {
                let name =
                    query.expression.trim_start_matches("round(").split(' ').next().unwrap_or_default();
                let value =
                    samples.series(name).first().and_then(|id| match samples.read(*id, at - 300_000, at) {
                        Points::Numbers(points) => points.last().map(|(_, value)| *value),
                        Points::Histograms(_) => None,
                    });
                let value = value.map(|value| (value * 60.0 * 1000.0).round() / 1000.0);
                assert_eq!(value, query.value, "{}: {} at {at}", case.name, query.expression);
            }
        }
        let errors: Vec<_> = group.recordings.iter().filter_map(|rule| rule.error.as_ref()).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", case.name);
    }
}
