//! Renders tests for `promtool test rules`: every case of every alert, at the same scale as the rules.

use std::sync::LazyLock;
use std::time::Duration;

use super::rule_file::{RuleFile, annotations};
use crate::query::{Scale, duration_text};
use crate::rules::cases::case;
use crate::rules::recording_cases::{self, RecordingCase};
use crate::rules::text::{block, push};
use crate::rules::{
    Alert, Case, Expected, Group, LATER, Length, Moment, Pace, Series, Shown, Values, groups, interval,
    native, other_programs,
};

/// Interval between samples.
const STEP: Duration = Duration::from_mins(1);

/// promtool holds at most 10,000 samples and counts a histogram as ten. So cases that last longer have a
/// histogram every five minutes only.
const LONG_CASE: u64 = 10 * 60;
const SELDOM: u64 = 5;

/// Minutes between two samples of a case.
fn minutes_between(series: &[Series], minutes: u64) -> u64 {
    let is_histogram = |series: &Series| matches!(series.values, Values::Durations(_));
    if minutes > LONG_CASE && !series.is_empty() && series.iter().all(is_histogram) { SELDOM } else { 1 }
}

/// Minutes until the last moment of a case.
fn minutes(moments: impl Iterator<Item = Duration>) -> u64 {
    moments.max().unwrap_or_default().as_secs().div_ceil(STEP.as_secs())
}

/// Minutes after which an empty Prometheus is checked in the case without data.
const NO_DATA_AFTER: u64 = 30;

/// Renders a file for the recordings and one for each group of alerts, or several if some of its cases last
/// for hours or days.
///
/// Each names its rule files and loads no other group: promtool evaluates all loaded rules at every step, and
/// some cases last a week.
pub fn render(scale: Scale) -> Vec<RuleFile> {
    let mut files = vec![RuleFile { name: "recordings".to_owned(), content: render_recordings(scale) }];
    for group in groups(scale) {
        for length in Length::ALL {
            if group.alerts.iter().any(|alert| !cases(alert, scale, length).is_empty()) {
                let suffix = match length {
                    Length::Minutes => "",
                    Length::Hours => "_for_hours",
                    Length::Days => "_for_days",
                };
                let name = format!("{}{suffix}", group.name);
                files.push(RuleFile { name, content: render_group(&group, scale, length) });
            }
        }
    }
    files
}

const RENDERED: &str = "# Rendered by `cargo run -p monitoring -- write` from crates/monitoring/src/rules.\n";

fn render_recordings(scale: Scale) -> String {
    let mut out = RENDERED.to_owned();
    beginning(&mut out, &["../rules/recordings.yml"], interval(scale));
    for case in recording_cases::all() {
        render_recording_case(&mut out, &case, scale);
    }
    out
}

/// Recordings are rates per second; their cases check them per minute.
pub(crate) fn render_recording_case(out: &mut String, case: &RecordingCase, scale: Scale) {
    push(out, format_args!("  - name: \"{}: {}\"\n", case.recording, case.name));
    render_series(out, &case.series, &[], minutes(case.moments.iter().map(|(at, _)| *at)), scale);
    out.push_str("    promql_expr_test:\n");
    for (at, per_minute) in &case.moments {
        let minute = scale.of(STEP).as_secs();
        push(out, format_args!("      - expr: round({} * {minute}, 0.001)\n", case.recording));
        push(out, format_args!("        eval_time: {}\n", duration_text(scale.of(*at))));
        match per_minute {
            None => out.push_str("        exp_samples: []\n"),
            Some(rate) => {
                push(
                    out,
                    format_args!(
                        "        exp_samples:\n          - labels: '{{}}'\n            value: {rate}\n"
                    ),
                );
            }
        }
    }
}

fn render_group(group: &Group, scale: Scale, length: Length) -> String {
    let mut out = RENDERED.to_owned();
    let own = format!("../rules/{}.yml", group.name);
    // Cases provide the recorded series themselves.
    beginning(&mut out, &[&own], scale.of(evaluated(group.every, length)));
    for alert in &group.alerts {
        render_cases(&mut out, alert, scale, cases(alert, scale, length));
    }
    out
}

/// Writes the beginning of a test file.
pub(crate) fn beginning(out: &mut String, rule_files: &[&str], every: Duration) {
    out.push_str("rule_files:\n");
    for file in rule_files {
        push(out, format_args!("  - {file}\n"));
    }
    push(out, format_args!("evaluation_interval: {}\ntests:\n", duration_text(every)));
}

/// Evaluation interval of the cases of an alert.
pub(crate) fn evaluated(every: Duration, length: Length) -> Duration {
    match length {
        Length::Minutes => every,
        Length::Hours => every.max(LATER),
        Length::Days => Duration::from_hours(1),
    }
}

/// Cases of an alert with this length, including the one without data.
pub(crate) fn cases(alert: &Alert, scale: Scale, length: Length) -> Vec<&Case> {
    static NOTHING: LazyLock<Case> = LazyLock::new(|| case("no data at all", NO_DATA_AFTER, vec![], vec![]));
    let nothing = Some(&*NOTHING).filter(|_| !alert.fires_without_data);
    let all = alert.cases.iter().chain(nothing);
    all.filter(|case| case.length == length && happens(case, scale)).collect()
}

fn happens(case: &Case, scale: Scale) -> bool {
    !case.real_time_only || scale == Scale::REAL
}

/// Tests of one alert.
pub(crate) fn render_cases(out: &mut String, alert: &Alert, scale: Scale, cases: Vec<&Case>) {
    for case in cases {
        render_case(out, alert, case, scale);
    }
}

fn render_case(out: &mut String, alert: &Alert, case: &Case, scale: Scale) {
    push(out, format_args!("  - name: \"{}: {}\"\n", alert.name, case.name));
    let minutes = minutes(case.moments.iter().map(|moment| moment.at));
    render_series(out, &case.series, &case.besides, minutes, scale);
    out.push_str("    alert_rule_test:\n");
    for moment in &case.moments {
        render_moment(out, alert, moment, scale);
    }
}

fn render_series(out: &mut String, series: &[Series], besides: &[Series], minutes: u64, scale: Scale) {
    let between = minutes_between(series, minutes);
    push(out, format_args!("    interval: {}\n", duration_text(scale.of(STEP * between as u32))));
    if series.is_empty() {
        out.push_str("    input_series: []\n");
        return;
    }
    out.push_str("    input_series:\n");
    let of_others = other_programs::beside(series, minutes);
    for series in series.iter().chain(besides).chain(&of_others) {
        let values = match (&series.values, series.pace) {
            (Values::Durations(observed), _) => {
                format!("'{}'", native::samples(observed, minutes, between as usize))
            }
            (Values::Numbers(values), Pace::Same) => values.clone(),
            (Values::Numbers(values), Pace::Time) => fewer(values, scale),
            (Values::Numbers(values), Pace::Rate) => more(values, scale),
        };
        push(out, format_args!("      - values: {values}\n"));
        block(out, "        ", "series", &series.name);
    }
}

fn render_moment(out: &mut String, alert: &Alert, moment: &Moment, scale: Scale) {
    let at = duration_text(scale.of(moment.at));
    push(out, format_args!("      - eval_time: {at}\n        alertname: {}\n", alert.name));
    if moment.fires.is_empty() {
        out.push_str("        exp_alerts: []\n");
    } else {
        out.push_str("        exp_alerts:\n");
    }
    for expected in &moment.fires {
        render_expected(out, alert, expected, scale);
    }
}

fn render_expected(out: &mut String, alert: &Alert, expected: &Expected, scale: Scale) {
    push(out, format_args!("          - exp_labels:\n              severity: {}\n", alert.severity.as_str()));
    for (key, value) in &expected.labels {
        push(out, format_args!("              {key}: {value}\n"));
    }
    out.push_str("            exp_annotations:\n");
    for (key, text) in annotations(alert) {
        block(out, "              ", key, &expand(&text, expected, scale));
    }
}

/// Expands a template like Prometheus. Our templates contain only labels and the value.
fn expand(template: &str, expected: &Expected, scale: Scale) -> String {
    let mut text = template.to_owned();
    for (key, value) in &expected.labels {
        text = text.replace(&format!("{{{{ $labels.{key} }}}}"), value);
    }
    let value = match expected.value {
        Shown::Text(text) => text.to_owned(),
        Shown::Share(share) => percentage(share),
        Shown::Time(time) => humanized(scale.of(time)),
    };
    while let Some((before, rest)) = text.split_once("{{ $value") {
        let (_, after) = rest.split_once("}}").unwrap_or(("", ""));
        text = format!("{before}{value}{after}");
    }
    text
}

/// Scales times in promtool's notation, such as `0+60x4 240x16`.
fn fewer(values: &str, scale: Scale) -> String {
    each(values, |text| match text.parse() {
        Ok(seconds) => scale.of(Duration::from_secs(seconds)).as_secs().to_string(),
        Err(_) => text.to_owned(),
    })
}

/// Scales rates in promtool's notation.
fn more(values: &str, scale: Scale) -> String {
    each(values, |text| match text.parse::<f64>() {
        Ok(rate) => ((scale.rate(rate) * 1e9).round() / 1e9).to_string(),
        Err(_) => text.to_owned(),
    })
}

/// Replaces each sample in promtool's notation. Repetitions stay the same.
fn each(values: &str, number: impl Fn(&str) -> String) -> String {
    let run = |run: &str| {
        let (value, times) = run.split_once('x').unwrap_or((run, "0"));
        let value = value.split('+').map(&number).collect::<Vec<_>>().join("+");
        format!("{value}x{times}")
    };
    values.split(' ').map(run).collect::<Vec<_>>().join(" ")
}

/// Formats a share like `humanizePercentage`: with four significant digits.
fn percentage(share: f64) -> String {
    let percent = share * 100.0;
    let before_point = percent.abs().log10().floor() as i32 + 1;
    let shown = format!("{percent:.*}", usize::try_from(4 - before_point).unwrap_or_default());
    let shown = if shown.contains('.') { shown.trim_end_matches('0').trim_end_matches('.') } else { &shown };
    format!("{shown}%")
}

/// Formats a duration below one hour like `humanizeDuration`.
fn humanized(duration: Duration) -> String {
    match (duration.as_secs() / 60, duration.as_secs() % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m {seconds}s"),
    }
}
