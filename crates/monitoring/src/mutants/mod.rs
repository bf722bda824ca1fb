//! Are the numbers in the rules tested? Changes each of them, one at a time, and expects that the tests of the rule fail.
//!
//! A change that no test notices is a mutant that survives. Either a case is missing beside the alert, or the change changes nothing,
//! which `rules/equivalent_mutants.rs` lists with the reason. promtool has to be in the `PATH`.

mod expression;
mod promtool;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use crate::query::{Scale, duration_text};
use crate::rules::equivalent_mutants::{self, Equivalent};
use crate::rules::{Alert, Case, RECORDED, groups, recorded, recording_cases, render_few, test_file};

/// What `./test mutants` is asked for.
#[derive(Debug, Default)]
pub struct Options {
    /// Parts of names of rules; all rules when empty.
    pub names: Vec<String>,
    /// Only one in so many mutants, and no tests that last days; all when zero.
    pub one_in: usize,
    /// Where the numbers are written as JSON.
    pub json: Option<PathBuf>,
}

/// The share of mutants that the tests notice, or that are known to be equivalent, may not fall below this. The goal is 0.95: raise it with
/// each case that is added.
const LEAST_SHARE: f64 = 0.4;

/// A rule with one change, and its tests.
struct Mutant {
    rule: &'static str,
    change: String,
    /// The rule file, with the change.
    rules: String,
    /// How often it is evaluated.
    every: Duration,
    /// The beginnings of test files without the name of the rule file, cheap ones first.
    tests: Vec<String>,
}

impl Mutant {
    fn equivalent(&self) -> Option<&'static Equivalent> {
        equivalent_mutants::ALL.iter().find(|known| known.rule == self.rule && known.change == self.change)
    }
}

/// Changes rules and tests each mutant.
///
/// # Errors
/// When too many mutants survive, when one that is known to be equivalent gets caught or does not exist, or when promtool fails.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let is_wanted = |rule: &str| {
        options.names.is_empty()
            || options.names.iter().any(|name| rule.to_lowercase().contains(&name.to_lowercase()))
    };
    let mut mutants: Vec<Mutant> = all().into_iter().filter(|mutant| is_wanted(mutant.rule)).collect();
    let mut problems: Vec<String> = unknown_equivalents(&all());
    if options.one_in > 0 {
        // Tests of weeks take seconds each.
        mutants.retain(|mutant| mutant.tests.len() == 1);
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

/// What is listed as equivalent and is no mutant.
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
    let recorded = recorded(Scale::REAL);
    let mut mutants: Vec<Mutant> =
        recorded.iter().flat_map(|(name, expression)| of_recording(name, expression, &recorded)).collect();
    for group in groups(Scale::REAL) {
        for alert in group.alerts {
            mutants.extend(of_alert(alert, group.every, &recorded));
        }
    }
    mutants
}

type Recorded = [(&'static str, String)];

/// What an expression needs of what is recorded.
fn needed<'a>(expression: &str, recorded: &'a Recorded) -> Vec<(&'a str, &'a str)> {
    let needed = recorded.iter().filter(|(name, _)| expression.contains(name));
    needed.map(|(name, expression)| (*name, expression.as_str())).collect()
}

fn of_alert(mut alert: Alert, every: Duration, recorded: &Recorded) -> Vec<Mutant> {
    let tests = tests(&alert);
    let needed = needed(&alert.condition.clone(), recorded);
    let mutant = |alert: &Alert, change: String| Mutant {
        rule: alert.name,
        change,
        rules: render_few(&needed, &[alert], every),
        every,
        tests: tests.clone(),
    };
    let mut mutants = vec![];
    let condition = alert.condition.clone();
    for changed in expression::changes(&condition) {
        alert.condition = changed.text;
        mutants.push(mutant(&alert, changed.change));
    }
    alert.condition = condition;
    let pending = alert.pending;
    for other in other_durations(pending) {
        alert.pending = other;
        mutants.push(mutant(&alert, format!("for {} becomes {}", spelled(pending), spelled(other))));
    }
    alert.pending = pending;
    let keep_firing = alert.keep_firing;
    for other in other_durations(keep_firing) {
        alert.keep_firing = other;
        let change = format!("keep_firing_for {} becomes {}", spelled(keep_firing), spelled(other));
        mutants.push(mutant(&alert, change));
    }
    mutants
}

fn of_recording(name: &'static str, expression: &str, recorded: &Recorded) -> Vec<Mutant> {
    // The cases of all others say themselves what was recorded.
    let groups = groups(Scale::REAL).into_iter().filter(|group| group.every == RECORDED);
    let dependents: Vec<Alert> =
        groups.flat_map(|group| group.alerts).filter(|alert| alert.condition.contains(name)).collect();
    let mut own = String::new();
    for case in recording_cases::all().iter().filter(|case| case.recording == name) {
        test_file::render_recording_case(&mut own, case, Scale::REAL);
    }
    let dependents_tests = dependents.iter().flat_map(tests);
    let tests: Vec<String> =
        std::iter::once(own).chain(dependents_tests).filter(|tests| !tests.is_empty()).collect();
    let changed = expression::changes(expression).into_iter();
    changed
        .map(|changed| {
            let recorded: Vec<(&str, &str)> = recorded
                .iter()
                .map(|(other, expression)| {
                    (*other, if *other == name { &changed.text } else { expression.as_str() })
                })
                .collect();
            let dependents: Vec<&Alert> = dependents.iter().collect();
            Mutant {
                rule: name,
                change: changed.change,
                rules: render_few(&recorded, &dependents, RECORDED),
                every: RECORDED,
                tests: tests.clone(),
            }
        })
        .collect()
}

/// The tests of an alert: those that last minutes or hours, and those that last days.
fn tests(alert: &Alert) -> Vec<String> {
    const LONG: Duration = Duration::from_hours(12);
    let lasts_long = |case: &Case| case.moments.iter().any(|moment| moment.at > LONG);
    let part = |long: bool| {
        let mut tests = String::new();
        test_file::render_alert(&mut tests, alert, Scale::REAL, |case| lasts_long(case) == long);
        tests
    };
    [part(false), part(true)].into_iter().filter(|part| !part.is_empty()).collect()
}

/// Twice as long, half as long and none.
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
