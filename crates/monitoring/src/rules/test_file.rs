//! Tests for `promtool test rules`: every case of every alert, at the same scale as the rules.

use super::cases::{Moment, case};
use super::recording_cases::{self, RecordingCase};
use super::rule_file::{annotations, block, interval, push};
use super::{Alert, Case, Expected, Group, RECORDED, RuleFile, Series, Shown, groups};
use crate::query::{Scale, duration_text};

use std::time::Duration;

/// One sample a minute.
const STEP: Duration = Duration::from_mins(1);

/// After how many minutes an empty Prometheus is looked at in the case without data.
const NO_DATA_AFTER: u64 = 30;

/// A file for the recordings and one for each group of alerts, which names the rule files beside it. Each loads no other group: promtool
/// evaluates all that it has loaded each time, and some cases last a week.
pub fn render(scale: Scale) -> Vec<RuleFile> {
    let recordings = RuleFile { name: "recordings", content: render_recordings(scale) };
    let groups = groups(scale);
    let alerts =
        groups.iter().map(|group| RuleFile { name: group.name, content: render_group(group, scale) });
    std::iter::once(recordings).chain(alerts).collect()
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

/// What is recorded is a rate per second, and is looked at as one per minute.
pub(crate) fn render_recording_case(out: &mut String, case: &RecordingCase, scale: Scale) {
    push(out, format_args!("  - name: \"{}: {}\"\n", case.recording, case.name));
    push(out, format_args!("    interval: {}\n", duration_text(scale.of(STEP))));
    render_series(out, &case.series, scale);
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

fn render_group(group: &Group, scale: Scale) -> String {
    let mut out = RENDERED.to_owned();
    let own = format!("../rules/{}.yml", group.name);
    // promtool records as often as it evaluates. Where that is not as often as in real life, cases say what was recorded.
    let files: &[&str] = if group.every == RECORDED { &["../rules/recordings.yml", &own] } else { &[&own] };
    beginning(&mut out, files, scale.of(group.every));
    for alert in &group.alerts {
        render_alert(&mut out, alert, scale, |_| true);
    }
    out
}

/// Begins a file of tests.
pub(crate) fn beginning(out: &mut String, rule_files: &[&str], every: Duration) {
    out.push_str("rule_files:\n");
    for file in rule_files {
        push(out, format_args!("  - {file}\n"));
    }
    push(out, format_args!("evaluation_interval: {}\ntests:\n", duration_text(every)));
}

/// Tests of one alert.
pub(crate) fn render_alert(out: &mut String, alert: &Alert, scale: Scale, is_wanted: impl Fn(&Case) -> bool) {
    let nothing = case("no data at all", NO_DATA_AFTER, vec![], vec![]);
    let nothing = Some(&nothing).filter(|_| !alert.fires_without_data);
    let happens = |case: &&Case| !case.real_time_only || scale == Scale::REAL;
    for case in alert.cases.iter().chain(nothing).filter(happens).filter(|case| is_wanted(case)) {
        render_case(out, alert, case, scale);
    }
}

fn render_case(out: &mut String, alert: &Alert, case: &Case, scale: Scale) {
    push(out, format_args!("  - name: \"{}: {}\"\n", alert.name, case.name));
    push(out, format_args!("    interval: {}\n", duration_text(scale.of(STEP))));
    render_series(out, &case.series, scale);
    out.push_str("    alert_rule_test:\n");
    for moment in &case.moments {
        render_moment(out, alert, moment, scale);
    }
}

fn render_series(out: &mut String, series: &[Series], scale: Scale) {
    if series.is_empty() {
        out.push_str("    input_series: []\n");
        return;
    }
    out.push_str("    input_series:\n");
    for series in series {
        let values = if series.is_time { faster(&series.values, scale) } else { series.values.clone() };
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

/// What Prometheus makes of a template: labels and the value, which are all that ours contain.
fn expand(template: &str, expected: &Expected, scale: Scale) -> String {
    let mut text = template.to_owned();
    for (key, value) in &expected.labels {
        text = text.replace(&format!("{{{{ $labels.{key} }}}}"), value);
    }
    let value = match expected.value {
        Shown::Text(text) => text.to_owned(),
        Shown::Time(time) => humanized(scale.of(time)),
    };
    while let Some((before, rest)) = text.split_once("{{ $value") {
        let (_, after) = rest.split_once("}}").unwrap_or(("", ""));
        text = format!("{before}{value}{after}");
    }
    text
}

/// Times in promtool's notation, such as `0+60x4 240x16`, at a scale. How often they repeat does not change.
fn faster(values: &str, scale: Scale) -> String {
    let number = |text: &str| match text.parse() {
        Ok(seconds) => scale.of(Duration::from_secs(seconds)).as_secs().to_string(),
        Err(_) => text.to_owned(),
    };
    let run = |run: &str| {
        let (value, times) = run.split_once('x').unwrap_or((run, "0"));
        let value = value.split('+').map(number).collect::<Vec<_>>().join("+");
        format!("{value}x{times}")
    };
    values.split(' ').map(run).collect::<Vec<_>>().join(" ")
}

/// As `humanizeDuration` shows less than an hour.
fn humanized(duration: Duration) -> String {
    match (duration.as_secs() / 60, duration.as_secs() % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m {seconds}s"),
    }
}
