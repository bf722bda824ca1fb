//! Mutation testing of the rules: changes each number, one at a time, and expects that the rule's tests fail.
//!
//! If no test fails, the mutant survives. Then either a case is missing beside the alert, or the mutant is
//! equivalent and `rules/equivalent_mutants.rs` lists it with the reason. promtool must be in the `PATH`.

mod expression;
mod mutant;
mod promtool;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use mutant::{Mutant, Tests};

use crate::prometheus::{render_few, test_file};
use crate::query::{Scale, duration_text};
use crate::rules::equivalent_mutants::{self, Equivalent};
use crate::rules::{Alert, Case, Length, RECORDED, groups, recording_cases, recordings};

/// Options of `./test mutants`.
#[derive(Debug, Default)]
pub struct Options {
    /// Parts of rule names; all rules if empty.
    pub names: Vec<String>,
    /// Tests only one mutant in this many, and skips tests that last days; zero tests all.
    pub one_in: usize,
    /// File for the results as JSON.
    pub json: Option<PathBuf>,
}

/// Minimum share of mutants that are caught or known to be equivalent. The goal is 0.95: raise it with each
/// added case.
const LEAST_SHARE: f64 = 0.4;

/// Tests each mutant.
///
/// # Errors
/// Returns an error if too many mutants survive, if an equivalent mutant is caught or does not exist, or if
/// promtool fails.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let is_wanted = |rule: &str| {
        options.names.is_empty()
            || options.names.iter().any(|name| rule.to_lowercase().contains(&name.to_lowercase()))
    };
    let mut mutants: Vec<Mutant> = all().into_iter().filter(|mutant| is_wanted(mutant.rule)).collect();
    let mut problems: Vec<String> = unknown_equivalents(&all());
    if options.one_in > 0 {
        // Tests that cover weeks run for seconds each, which is too slow here.
        mutants.retain(|mutant| !mutant.takes_days);
        mutants = mutants.into_iter().step_by(options.one_in).collect();
    }
    anyhow::ensure!(!mutants.is_empty(), "no rule is called like that");

    let caught = promtool::caught(&mutants)?;
    let (mut caught_count, mut equivalent_count) = (0_u32, 0_u32);
    for (mutant, caught) in mutants.iter().zip(&caught) {
        match (caught, mutant.equivalent()) {
            (true, None) => caught_count += 1,
            (false, Some(known)) => {
                equivalent_count += 1;
                writeln!(out, "{}: {} is equivalent: {}", mutant.rule, mutant.change, known.reason)?;
            }
            (true, Some(_)) => {
                problems.push(format!(
                    "{}: {} is listed as equivalent and was caught",
                    mutant.rule, mutant.change
                ));
            }
            (false, None) => writeln!(out, "{}: {} is noticed by no test", mutant.rule, mutant.change)?,
        }
    }
    for problem in &problems {
        writeln!(out, "{problem}")?;
    }
    let total = mutants.len();
    writeln!(
        out,
        "{total} mutants: {caught_count} caught, {equivalent_count} equivalent, the others noticed by no test"
    )?;
    if let Some(path) = &options.json {
        let numbers =
            serde_json::json!({"mutants": total, "caught": caught_count, "equivalent": equivalent_count});
        std::fs::write(path, format!("{numbers}\n"))?;
    }
    anyhow::ensure!(problems.is_empty(), "what is listed as equivalent is not right");
    let noticed = f64::from(caught_count + equivalent_count) / total as f64;
    anyhow::ensure!(
        !options.names.is_empty() || noticed >= LEAST_SHARE,
        "only {noticed:.2} of the mutants are caught or equivalent, and {LEAST_SHARE} have to be"
    );
    Ok(())
}

/// Entries of the list of equivalent mutants that match no mutant.
fn unknown_equivalents(mutants: &[Mutant]) -> Vec<String> {
    let is_unknown = |known: &&Equivalent| {
        !mutants.iter().any(|mutant| mutant.rule == known.rule && mutant.change == known.change)
    };
    let unknown = equivalent_mutants::ALL.iter().filter(is_unknown);
    unknown
        .map(|known| format!("{}: {} is listed as equivalent and does not exist", known.rule, known.change))
        .collect()
}

fn all() -> Vec<Mutant> {
    let recorded: Vec<(&'static str, String)> = recordings(Scale::REAL)
        .rules
        .into_iter()
        .map(|rule| (rule.name, rule.expression.to_string()))
        .collect();
    let mut mutants: Vec<Mutant> =
        recorded.iter().flat_map(|(name, expression)| of_recording(name, expression, &recorded)).collect();
    for group in groups(Scale::REAL) {
        for alert in group.alerts {
            mutants.extend(of_alert(alert, group.every));
        }
    }
    mutants
}

type Recorded = [(&'static str, String)];

fn of_alert(mut alert: Alert, every: Duration) -> Vec<Mutant> {
    let (tests, takes_days) = (tests(&alert, every), takes_days(&alert));
    let condition = alert.condition.to_string();
    let mutant = |alert: &Alert, condition: &str, change: String| Mutant {
        rule: alert.name,
        change,
        rules: render_few(&[], &[(alert, condition)], every),
        tests: tests.clone(),
        takes_days,
    };
    let mut mutants = vec![];
    for changed in expression::changes(&condition) {
        mutants.push(mutant(&alert, &changed.text, changed.change));
    }
    let pending = alert.pending;
    for other in other_durations(pending) {
        alert.pending = other;
        mutants.push(mutant(
            &alert,
            &condition,
            format!("for {} becomes {}", spelled(pending), spelled(other)),
        ));
    }
    alert.pending = pending;
    let keep_firing = alert.keep_firing;
    for other in other_durations(keep_firing) {
        alert.keep_firing = other;
        let change = format!("keep_firing_for {} becomes {}", spelled(keep_firing), spelled(other));
        mutants.push(mutant(&alert, &condition, change));
    }
    mutants
}

fn of_recording(name: &'static str, expression: &str, recorded: &Recorded) -> Vec<Mutant> {
    let mut text = String::new();
    for case in recording_cases::all().iter().filter(|case| case.recording == name) {
        test_file::render_recording_case(&mut text, case, Scale::REAL);
    }
    let tests = vec![Tests { every: RECORDED, text }];
    let changed = expression::changes(expression).into_iter();
    changed
        .map(|changed| {
            let recorded: Vec<(&str, &str)> = recorded
                .iter()
                .map(|(other, expression)| {
                    (*other, if *other == name { &changed.text } else { expression.as_str() })
                })
                .collect();
            Mutant {
                rule: name,
                change: changed.change,
                rules: render_few(&recorded, &[], RECORDED),
                tests: tests.clone(),
                takes_days: false,
            }
        })
        .collect()
}

/// Number of cases per run: the first few catch most mutants.
const CASES: usize = 5;

/// Tests of an alert; tests that last for hours come last.
fn tests(alert: &Alert, every: Duration) -> Vec<Tests> {
    let parts = |length| {
        let every = test_file::evaluated(every, length);
        let text = move |cases: &[&Case]| {
            let mut text = String::new();
            test_file::render_cases(&mut text, alert, Scale::REAL, cases.to_vec());
            Tests { every, text }
        };
        test_file::cases(alert, Scale::REAL, length).chunks(CASES).map(text).collect::<Vec<_>>()
    };
    Length::ALL.map(parts).concat()
}

fn takes_days(alert: &Alert) -> bool {
    alert.cases.iter().any(|case| case.length == Length::Days)
}

/// Twice the duration, half of it, and zero.
fn other_durations(duration: Duration) -> Vec<Duration> {
    if duration.is_zero() { vec![] } else { vec![duration * 2, duration / 2, Duration::ZERO] }
}

fn spelled(duration: Duration) -> String {
    if duration.is_zero() { "0".to_owned() } else { duration_text(duration) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_listed_as_equivalent_exists() {
        assert_eq!(unknown_equivalents(&all()), Vec::<String>::new());
    }

    #[test]
    fn every_mutant_has_a_name_of_its_own() {
        let mut names = std::collections::HashSet::new();
        for mutant in all() {
            assert!(names.insert((mutant.rule, mutant.change.clone())), "{}: {}", mutant.rule, mutant.change);
        }
    }
}
