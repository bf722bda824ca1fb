//! Tests for `promtool test rules`: every case of every alert, at the same scale as the rules.

use super::rule_file::{annotations, block, interval, push};
use super::{Alert, Case, Expected, Group, RuleFile, Shown, groups};
use crate::query::{Scale, duration_text};

use std::time::Duration;

/// One sample a minute.
const STEP: Duration = Duration::from_mins(1);

/// How long an empty Prometheus waits in the case without data.
const NO_DATA_AFTER: Duration = Duration::from_mins(30);

/// A file for each group of alerts, which names the rule files beside it. Each loads no other group: promtool evaluates all that it
/// has loaded every half minute, and some cases last a week.
pub fn render(scale: Scale) -> Vec<RuleFile> {
    groups(scale)
        .iter()
        .map(|group| RuleFile { name: group.name, content: render_group(group, scale) })
        .collect()
}

fn render_group(group: &Group, scale: Scale) -> String {
    let mut out = format!(
        "# Rendered by `cargo run -p monitoring -- write` from crates/monitoring/src/rules.\n\
         rule_files:\n  - ../rules/recordings.yml\n  - ../rules/{}.yml\nevaluation_interval: {}\ntests:\n",
        group.name,
        duration_text(interval(scale))
    );
    for alert in &group.alerts {
        for case in &alert.cases {
            render_case(&mut out, alert, case, scale);
        }
        if !alert.fires_without_data {
            let nothing = Case { name: "no data at all", series: vec![], at: NO_DATA_AFTER, fires: vec![] };
            render_case(&mut out, alert, &nothing, scale);
        }
    }
    out
}

fn render_case(out: &mut String, alert: &Alert, case: &Case, scale: Scale) {
    push(out, format_args!("  - name: \"{}: {}\"\n", alert.name, case.name));
    push(out, format_args!("    interval: {}\n", duration_text(scale.of(STEP))));
    if case.series.is_empty() {
        out.push_str("    input_series: []\n");
    } else {
        out.push_str("    input_series:\n");
    }
    for series in &case.series {
        let values = if series.is_time { faster(&series.values, scale) } else { series.values.clone() };
        push(out, format_args!("      - values: {values}\n"));
        block(out, "        ", "series", &series.name);
    }
    push(
        out,
        format_args!(
            "    alert_rule_test:\n      - eval_time: {}\n        alertname: {}\n",
            duration_text(scale.of(case.at)),
            alert.name
        ),
    );
    if case.fires.is_empty() {
        out.push_str("        exp_alerts: []\n");
    } else {
        out.push_str("        exp_alerts:\n");
    }
    for expected in &case.fires {
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
