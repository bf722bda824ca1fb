//! Binary operations.

use std::collections::HashMap;
use std::sync::Arc;

use monitoring::query::Operator;

use super::Refusal;
use super::histogram::Histogram;
use super::row::{Row, Value, Values};
use crate::store::metrics::{Labels, STALE, is_stale};

/// A value at one step.
#[derive(Clone)]
enum Sample {
    Number(f64),
    Histogram(Arc<Histogram>),
}

impl Values {
    fn sample(&self, step: usize) -> Option<Sample> {
        match self {
            Self::Numbers(numbers) => (!is_stale(numbers[step])).then(|| Sample::Number(numbers[step])),
            Self::Histograms(histograms) => histograms[step].clone().map(Sample::Histogram),
        }
    }
}

/// Applies an operator to two results.
pub(super) fn combine(
    left: Value,
    operator: Operator,
    on: Option<&[String]>,
    right: Value,
    steps: usize,
) -> Result<Value, Refusal> {
    match (left, right) {
        (Value::Scalar(left), Value::Scalar(right)) => {
            if operator.compares() || is_of_sets(operator) {
                return Err(Refusal::NotComparable);
            }
            let numbers = left.iter().zip(right).map(|(left, right)| calculate(*left, operator, right));
            Ok(Value::Scalar(numbers.map(|number| number.unwrap_or(f64::NAN)).collect()))
        }
        (Value::Rows(_), Value::Scalar(_)) | (Value::Scalar(_), Value::Rows(_)) if is_of_sets(operator) => {
            Err(Refusal::NotSeries)
        }
        (Value::Rows(rows), Value::Scalar(numbers)) => {
            Ok(Value::Rows(with_scalar(rows, &numbers, |sample, number| {
                apply(sample, operator, Sample::Number(number))
            })))
        }
        (Value::Scalar(numbers), Value::Rows(rows)) => {
            Ok(Value::Rows(with_scalar(rows, &numbers, |sample, number| {
                let result = apply(Sample::Number(number), operator, sample.clone())?;
                // A comparison returns the series unchanged, also if it is the right operand.
                Some(if operator.compares() { sample } else { result })
            })))
        }
        (Value::Rows(left), Value::Rows(right)) => {
            let rows = match operator {
                Operator::And | Operator::Unless => Matches::new(&right, on).restrict(left, operator, on),
                Operator::Or => {
                    let right = Matches::new(&left, on).restrict(right, Operator::Unless, on);
                    left.into_iter().chain(right).collect()
                }
                _ => pairs(&left, operator, on, &right, steps)?,
            };
            Ok(Value::Rows(rows))
        }
    }
}

fn is_of_sets(operator: Operator) -> bool {
    matches!(operator, Operator::And | Operator::Or | Operator::Unless)
}

fn with_scalar(rows: Vec<Row>, numbers: &[f64], result: impl Fn(Sample, f64) -> Option<Sample>) -> Vec<Row> {
    let mut results = Vec::with_capacity(rows.len());
    for Row { labels, values } in rows {
        let mut builder = Builder::default();
        for (step, number) in numbers.iter().enumerate() {
            if let Some(sample) = values.sample(step).and_then(|sample| result(sample, *number)) {
                builder.set(step, numbers.len(), sample);
            }
        }
        builder.rows(labels, &mut results);
    }
    results
}

/// Returns the result for a number; nothing if a comparison does not hold.
fn calculate(left: f64, operator: Operator, right: f64) -> Option<f64> {
    let kept = |holds: bool| holds.then_some(left);
    match operator {
        Operator::Plus => Some(left + right),
        Operator::Minus => Some(left - right),
        Operator::Times => Some(left * right),
        Operator::DividedBy => Some(left / right),
        Operator::Above => kept(left > right),
        Operator::AtLeast => kept(left >= right),
        Operator::Below => kept(left < right),
        Operator::Equals => kept(left == right),
        Operator::And | Operator::Or | Operator::Unless => None,
    }
}

/// Returns the result for two samples; nothing where the operation is not defined.
fn apply(left: Sample, operator: Operator, right: Sample) -> Option<Sample> {
    let changed = |histogram: &Histogram, change: &dyn Fn(&mut Histogram)| {
        let mut changed = histogram.clone();
        change(&mut changed);
        Some(Sample::Histogram(Arc::new(changed)))
    };
    match (left, operator, right) {
        (Sample::Number(left), _, Sample::Number(right)) => {
            calculate(left, operator, right).map(Sample::Number)
        }
        (Sample::Number(factor), Operator::Times, Sample::Histogram(histogram))
        | (Sample::Histogram(histogram), Operator::Times, Sample::Number(factor)) => {
            changed(&histogram, &|histogram| histogram.scale(factor))
        }
        (Sample::Histogram(left), Operator::DividedBy, Sample::Number(divisor)) => {
            changed(&left, &|left| left.divide(divisor))
        }
        (Sample::Histogram(left), Operator::Plus, Sample::Histogram(right)) => {
            changed(&left, &|left| left.add(&right, 1.0, true))
        }
        (Sample::Histogram(left), Operator::Minus, Sample::Histogram(right)) => {
            changed(&left, &|left| left.add(&right, -1.0, true))
        }
        (Sample::Histogram(left), Operator::Equals, Sample::Histogram(right)) => {
            left.equals(&right).then_some(Sample::Histogram(left))
        }
        _ => None,
    }
}

/// The labels by which series of both sides match.
fn key(labels: &Labels, on: Option<&[String]>) -> Labels {
    on.map_or_else(|| labels.clone(), |on| labels.only(on))
}

/// Rows by their matching labels.
struct Matches<'a>(HashMap<Labels, Vec<&'a Row>>);

impl<'a> Matches<'a> {
    fn new(rows: &'a [Row], on: Option<&[String]>) -> Self {
        let mut matches: HashMap<_, Vec<_>> = HashMap::new();
        for row in rows {
            matches.entry(key(&row.labels, on)).or_default().push(row);
        }
        Self(matches)
    }

    fn of(&self, key: &Labels) -> &[&'a Row] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }

    /// Keeps the series with a match (`and`) or without one (`unless`).
    fn restrict(&self, rows: Vec<Row>, operator: Operator, on: Option<&[String]>) -> Vec<Row> {
        let expected = operator == Operator::And;
        let restricted = rows.into_iter().filter_map(|mut row| {
            let matches = self.of(&key(&row.labels, on));
            if matches.is_empty() {
                return (!expected).then_some(row);
            }
            row.values.retain(|step| matches.iter().any(|other| other.values.is_at(step)) == expected);
            (!row.values.is_empty()).then_some(row)
        });
        restricted.collect()
    }
}

/// Applies an operator to each pair of matching samples.
fn pairs(
    left: &[Row],
    operator: Operator,
    on: Option<&[String]>,
    right: &[Row],
    steps: usize,
) -> Result<Vec<Row>, Refusal> {
    let left_matches = Matches::new(left, on);
    let right_matches = Matches::new(right, on);
    let mut results = Vec::new();
    for (labels, right_rows) in &right_matches.0 {
        let left_rows = left_matches.of(labels);
        if left_rows.is_empty() && right_rows.len() < 2 {
            continue;
        }
        let mut builder = Builder::default();
        for step in 0..steps {
            let Some(right_sample) =
                only(right_rows, step, labels, || left.iter().any(|row| row.values.is_at(step)))?
            else {
                continue;
            };
            let Some(left_sample) = only(left_rows, step, labels, || true)? else { continue };
            if let Some(sample) = apply(left_sample, operator, right_sample) {
                builder.set(step, steps, sample);
            }
        }
        builder.rows(labels.clone(), &mut results);
    }
    results.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(results)
}

/// Returns the only sample of some rows at a step.
///
/// # Errors
/// Fails if there are several samples and the operator needs one.
fn only(
    rows: &[&Row],
    step: usize,
    labels: &Labels,
    matters: impl Fn() -> bool,
) -> Result<Option<Sample>, Refusal> {
    let mut samples = rows.iter().filter_map(|row| row.values.sample(step));
    let Some(first) = samples.next() else { return Ok(None) };
    if samples.next().is_some() && matters() {
        return Err(Refusal::many_matches(labels));
    }
    Ok(Some(first))
}

/// Collects the samples of one series, which may be numbers at some steps and histograms at others.
#[derive(Default)]
struct Builder {
    numbers: Vec<f64>,
    histograms: Vec<Option<Arc<Histogram>>>,
}

impl Builder {
    fn set(&mut self, step: usize, steps: usize, sample: Sample) {
        match sample {
            Sample::Number(number) => {
                self.numbers.resize(steps, STALE);
                self.numbers[step] = number;
            }
            Sample::Histogram(histogram) => {
                self.histograms.resize(steps, None);
                self.histograms[step] = Some(histogram);
            }
        }
    }

    fn rows(self, labels: Labels, rows: &mut Vec<Row>) {
        if !self.numbers.is_empty() {
            rows.push(Row { labels: labels.clone(), values: Values::Numbers(self.numbers) });
        }
        if !self.histograms.is_empty() {
            rows.push(Row { labels, values: Values::Histograms(self.histograms) });
        }
    }
}
