//! Scripts: `load`, `clear` and `eval`.

use std::collections::BTreeMap;
use std::time::Duration;

use console::evaluate::{Context, Range, Refusal, ResultSeries, ResultValues, evaluate};
use console::store::metrics::{Histogram, Labels};
use monitoring::query::{Expression, Selection};

use super::lexer::duration;
use super::parser::{parse, parse_series};
use super::source::Loaded;
use super::values::{Given, parse as parse_values};

/// Result of a case.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    Passed,
    Failed(String),
    /// The tree or the store does not support the subject of the case.
    Unsupported(String),
}

/// Values at each step by labels.
type Values = BTreeMap<Labels, Vec<Option<Given>>>;

/// Runs a script and returns each case with the number of its line and its query.
pub(crate) fn run(script: &str) -> Vec<(usize, String, Outcome)> {
    let mut lines = script.lines().enumerate().map(|(number, line)| (number + 1, line)).peekable();
    let mut loaded = Loaded::default();
    let mut outcomes = Vec::new();
    while let Some((number, line)) = lines.next() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut block = Vec::new();
        while let Some((_, next)) = lines.peek() {
            let content = next.trim();
            if content.is_empty() || (!next.starts_with([' ', '\t']) && !content.starts_with('#')) {
                break;
            }
            if !content.starts_with('#') {
                block.push(content);
            }
            lines.next();
        }
        let (command, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match command {
            "clear" => loaded = Loaded::default(),
            "load" => load(&mut loaded, rest, &block),
            "load_with_nhcb" => {
                load(&mut loaded, rest, &block);
                loaded.has_custom_buckets();
            }
            _ => {
                let case = Case::parse(command, rest, &block);
                let query = case.as_ref().map_or(rest.to_owned(), |case| case.query.clone());
                let outcome = case.map_or_else(Outcome::Unsupported, |case| case.check(&loaded));
                outcomes.push((number, query, outcome));
            }
        }
    }
    outcomes
}

fn load(loaded: &mut Loaded, interval: &str, block: &[&str]) {
    let Ok(interval) = duration(interval.trim()) else { return };
    for line in block {
        let (series, values) = split_series(line);
        let Ok(selection) = parse_series(series) else { continue };
        let is_reserved = |label: &str| label.starts_with("__") && label != "__name__";
        if selection.matchers.iter().any(|matcher| is_reserved(&matcher.label)) {
            loaded.unsupported.insert(selection.name);
            continue;
        }
        match parse_values(values) {
            Ok(values) => {
                let labels = labels(&selection);
                let times = (0_u64..).map(|position| (position * interval).cast_signed());
                let samples = times.zip(values).filter_map(|(at, value)| Some((at, value?)));
                loaded.add(selection.name, labels, samples);
            }
            Err(_) => {
                loaded.unsupported.insert(selection.name);
            }
        }
    }
    loaded.finish();
}

/// Splits a line into the series and its samples.
fn split_series(line: &str) -> (&str, &str) {
    let end = match line.find('{') {
        Some(open) if !line[..open].contains(char::is_whitespace) && !line.starts_with("{{") => {
            let mut quoted = false;
            let close = line.char_indices().find(|(_, character)| {
                quoted ^= *character == '"';
                *character == '}' && !quoted
            });
            close.map_or(line.len(), |(close, _)| close + 1)
        }
        _ if line.starts_with(|character: char| character.is_ascii_alphabetic()) => {
            line.find(char::is_whitespace).unwrap_or(0)
        }
        _ => 0,
    };
    line.split_at(end)
}

fn labels(selection: &Selection) -> Labels {
    let matchers = selection.matchers.iter().filter(|matcher| matcher.label != "__name__");
    Labels::new(matchers.map(|matcher| (matcher.label.as_str().into(), matcher.value.as_str().into())))
}

struct Case {
    query: String,
    range: Range,
    fails: bool,
    expected: Result<Values, String>,
}

impl Case {
    fn parse(command: &str, rest: &str, block: &[&str]) -> Result<Self, String> {
        let time = |text: &str| duration(text).map(u64::cast_signed);
        let words: Vec<&str> = rest.split_whitespace().collect();
        let (range, used) = match words.as_slice() {
            ["instant", "at", at, ..] => (Range::instant(time(at)?), 3),
            ["range", "from", start, "to", end, "step", step, ..] => {
                (Range { start: time(start)?, end: time(end)?, step: time(step)? }, 7)
            }
            _ => return Err("a time of another kind is not supported".to_owned()),
        };
        let mut query = rest;
        for _ in 0..used {
            query = query.trim_start().split_once(char::is_whitespace).map_or("", |(_, rest)| rest);
        }
        let fails = command == "eval_fail" || block.iter().any(|line| line.starts_with("expect fail"));
        let steps = range.steps().map_err(|refusal| refusal.to_string())?;
        let lines = block.iter().filter(|line| !line.starts_with("expect"));
        let expected = lines.map(|line| expected(line, steps)).collect();
        Ok(Self { query: query.trim().to_owned(), range, fails, expected })
    }

    fn check(&self, loaded: &Loaded) -> Outcome {
        let expression = match parse(&self.query) {
            Ok(expression) => expression,
            Err(reason) => return Outcome::Unsupported(reason),
        };
        if self.query.contains("__") {
            return Outcome::Unsupported("names and types as labels".to_owned());
        }
        if self.is_about_unsupported(&expression, loaded) {
            return Outcome::Unsupported("samples that the store cannot have".to_owned());
        }
        let context = Context { range: self.range, ..Context::panel(self.range, Duration::ZERO, &|_| None) };
        let found = evaluate(loaded, &expression, &context);
        match (found, &self.expected) {
            (Err(_), _) if self.fails => Outcome::Passed,
            (Err(Refusal::ClassicHistogram), _) => Outcome::Unsupported("classic histograms".to_owned()),
            (Err(refusal), _) => Outcome::Failed(refusal.to_string()),
            (Ok(_), _) if self.fails => Outcome::Failed("it did not fail".to_owned()),
            (Ok(_), Err(reason)) => Outcome::Unsupported(reason.clone()),
            (Ok(found), Ok(expected)) => compare(&by_labels(found), expected),
        }
    }

    fn is_about_unsupported(&self, expression: &Expression, loaded: &Loaded) -> bool {
        let mut found = false;
        expression.for_each_selection(&mut |selection| found |= loaded.unsupported.contains(&selection.name));
        found
    }
}

/// Parses an expected series; a number alone has no labels.
fn expected(line: &str, steps: usize) -> Result<(Labels, Vec<Option<Given>>), String> {
    let (series, values) = split_series(line);
    let labels = match series.trim() {
        "" => Labels::default(),
        series if series.starts_with('{') => labels(&parse_series(&format!("x{series}"))?),
        series => labels(&parse_series(series)?),
    };
    let mut values = parse_values(values)?;
    values.resize(steps, None);
    Ok((labels, values))
}

fn by_labels(series: Vec<ResultSeries>) -> Values {
    let mut values = Values::new();
    for series in series {
        let found: Vec<Option<Given>> = match series.values {
            ResultValues::Numbers(numbers) => {
                numbers.into_iter().map(|number| number.map(Given::Number)).collect()
            }
            ResultValues::Histograms(histograms) => {
                let given = |histogram: std::sync::Arc<Histogram>| Given::Histogram((*histogram).clone());
                histograms.into_iter().map(|histogram| histogram.map(given)).collect()
            }
        };
        let steps = found.len();
        let merged = values.entry(series.labels).or_insert_with(|| vec![None; steps]);
        for (merged, found) in merged.iter_mut().zip(found) {
            *merged = merged.take().or(found);
        }
    }
    values
}

fn compare(found: &Values, expected: &Values) -> Outcome {
    let same = found.len() == expected.len()
        && found.iter().zip(expected).all(|(found, expected)| {
            found.0 == expected.0
                && found.1.iter().zip(expected.1).all(|(found, expected)| is_close(found, expected))
        });
    if same {
        Outcome::Passed
    } else {
        Outcome::Failed(format!("found {found:?}\n    expected {expected:?}"))
    }
}

fn is_close(found: &Option<Given>, expected: &Option<Given>) -> bool {
    // The precision of the expected values.
    let close =
        |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-6 * a.abs().max(b.abs());
    match (found, expected) {
        (None, None) => true,
        (Some(Given::Number(found)), Some(Given::Number(expected))) => close(*found, *expected),
        (Some(Given::Histogram(found)), Some(Given::Histogram(expected))) => {
            close(found.count, expected.count)
                && close(found.sum, expected.sum)
                && close(found.zero_count, expected.zero_count)
                && found.buckets.len() == expected.buckets.len()
                && found.buckets.iter().zip(&expected.buckets).all(|(a, b)| a.0 == b.0 && close(a.1, b.1))
        }
        _ => false,
    }
}
