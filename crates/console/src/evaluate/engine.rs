//! Evaluation of expressions.

use monitoring::query::{Expression, HistogramFunction, RangeFunction, Selection, Window as Length};

use super::aggregate::Groups;
use super::combine::combine;
use super::row::{Row, Value, Values, merged};
use super::samples;
use super::selection::{labels_of_absent, select};
use super::shared_results::{IncreaseKey, SumKey};
use super::windows::{Windows, seconds};
use super::{Context, Refusal, ResultSeries, quantile};
use crate::store::metrics::{Histogram, Labels, MetricSource, Points, STALE, SeriesId};

/// Maximum size of intermediate results, in numbers of eight bytes each.
const LARGEST: usize = 4 << 20;

/// Evaluates an expression at each step of the context's range.
///
/// The results are sorted by their labels. A scalar is one result without labels.
///
/// # Errors
/// Fails if the expression cannot be answered exactly, or not in bounded memory.
pub fn evaluate<S: MetricSource>(
    source: &S,
    expression: &Expression,
    context: &Context<'_>,
) -> Result<Vec<ResultSeries>, Refusal> {
    let steps = context.range.steps()?;
    let mut engine = Engine { source, context, steps, left: LARGEST };
    let rows = match engine.value(expression, true)? {
        Value::Scalar(numbers) => {
            vec![Row { labels: Labels::default(), values: Values::Numbers(numbers) }]
        }
        Value::Rows(rows) => merged(rows)?,
    };
    Ok(rows.into_iter().map(Row::into_result).collect())
}

/// Evaluates an expression of a rule at one time.
///
/// Series of histograms are left out.
///
/// # Errors
/// Fails if the expression cannot be answered exactly.
pub fn evaluate_at<S: MetricSource>(
    source: &S,
    expression: &Expression,
    at: i64,
) -> Result<Vec<(Labels, f64)>, Refusal> {
    evaluate_instant(source, expression, &Context::rule(at))
}

/// Evaluates an expression at the first step of the context's range.
///
/// Series of histograms, and series without a value there, are left out.
///
/// # Errors
/// Fails if the expression cannot be answered exactly.
pub fn evaluate_instant<S: MetricSource>(
    source: &S,
    expression: &Expression,
    context: &Context<'_>,
) -> Result<Vec<(Labels, f64)>, Refusal> {
    let results = evaluate(source, expression, context)?;
    let value = |series: ResultSeries| {
        let number = series.numbers().first().copied().flatten()?;
        Some((series.labels, number))
    };
    Ok(results.into_iter().filter_map(value).collect())
}

/// Callback for each series.
type Visit<'v> = &'v mut dyn FnMut(Row) -> Result<(), Refusal>;

struct Engine<'a, S> {
    source: &'a S,
    context: &'a Context<'a>,
    steps: usize,
    /// Memory left for intermediate results, in numbers.
    left: usize,
}

impl<S: MetricSource> Engine<'_, S> {
    fn spend(&mut self, size: usize) -> Result<(), Refusal> {
        self.left = self.left.checked_sub(size).ok_or(Refusal::TooLarge)?;
        Ok(())
    }

    /// Evaluates an expression. Histograms have no buckets unless `detailed` is set.
    fn value(&mut self, expression: &Expression, detailed: bool) -> Result<Value, Refusal> {
        let number = |number| Ok(Value::Scalar(vec![number; self.steps]));
        match expression {
            Expression::Number(value) => number(*value),
            Expression::IntervalMilliseconds => number(self.context.interval.as_secs_f64() * 1000.0),
            Expression::Time => {
                let range = self.context.range;
                Ok(Value::Scalar((0..self.steps).map(|step| seconds(range.at(step))).collect()))
            }
            Expression::Parentheses(of) => self.value(of, detailed),
            Expression::Binary { left, operator, on, right } => {
                let detailed = detailed || operator.compares();
                let left = self.value(left, detailed)?;
                let right = self.value(right, detailed)?;
                combine(left, *operator, on.as_deref(), right, self.steps)
            }
            _ => {
                let mut rows = Vec::new();
                let mut left = self.left;
                self.each_row(expression, detailed, &mut |row| {
                    left = left.checked_sub(row.values.size()).ok_or(Refusal::TooLarge)?;
                    rows.push(row);
                    Ok(())
                })?;
                self.left = self.left.min(left);
                Ok(Value::Rows(rows))
            }
        }
    }

    /// Calls `visit` with each series of the result.
    fn each_row(&mut self, expression: &Expression, detailed: bool, visit: Visit<'_>) -> Result<(), Refusal> {
        if self.steps > 1 && is_at_end(expression) {
            return self.once(expression, detailed, visit);
        }
        match expression {
            Expression::Constant(number) => {
                visit(Row { labels: Labels::default(), values: Values::Numbers(vec![*number; self.steps]) })
            }
            Expression::Instant(selection) => self.newest(selection, visit),
            Expression::Timestamp(selection) => self.times(selection, visit),
            Expression::Range { function: RangeFunction::Absent, of, window } => {
                self.absent(of, *window, visit)
            }
            Expression::Range { function, of, window } => self.over(*function, of, *window, detailed, visit),
            Expression::Histogram { function, of } => {
                let detailed = !matches!(function, HistogramFunction::Count | HistogramFunction::Sum);
                self.each_row(of, detailed, &mut |row| taken_out(*function, row, visit))
            }
            Expression::Labelled { of, label, value } => {
                let mut rows = Vec::new();
                self.each_row(of, detailed, &mut |row| {
                    rows.push(Row { labels: row.labels.with(label, value), ..row });
                    Ok(())
                })?;
                merged(rows)?.into_iter().try_for_each(visit)
            }
            Expression::Aggregate { aggregation, by, of } => {
                let shared = self.context.shared.filter(|_| detailed);
                let shared = shared.map(|shared| (shared, sum_key(expression, self.context)));
                if let Some(rows) = shared.as_ref().and_then(|(shared, key)| shared.sum(key)) {
                    return rows.into_iter().try_for_each(visit);
                }
                let mut groups = Groups::new(*aggregation, by, self.steps);
                let most = self.left;
                self.each_row(of, detailed, &mut |row| {
                    groups.add(row);
                    if groups.size() > most { Err(Refusal::TooLarge) } else { Ok(()) }
                })?;
                self.spend(groups.size())?;
                let rows = groups.rows();
                if let Some((shared, key)) = shared {
                    shared.add_sum(key, &rows);
                }
                rows.into_iter().try_for_each(visit)
            }
            _ => match self.value(expression, detailed)? {
                Value::Rows(rows) => rows.into_iter().try_for_each(visit),
                Value::Scalar(_) => Err(Refusal::NotSeries),
            },
        }
    }

    /// Evaluates an expression that has the same value at all steps.
    fn once(&mut self, expression: &Expression, detailed: bool, visit: Visit<'_>) -> Result<(), Refusal> {
        let steps = self.steps;
        let mut engine = Engine { steps: 1, ..*self };
        engine.each_row(expression, detailed, &mut |row| {
            visit(Row { labels: row.labels, values: row.values.repeated(steps) })
        })?;
        self.left = engine.left;
        Ok(())
    }

    fn windows(&self, selection: &Selection, length: i64) -> Windows {
        let offset = selection.offset.map_or(0, |ago| i64::try_from(ago.as_millis()).unwrap_or(i64::MAX));
        Windows { range: self.context.range, steps: self.steps, length, offset, at_end: selection.at_end }
    }

    /// Returns the maximum age of the newest sample of a series, in milliseconds.
    fn lookback(&self) -> i64 {
        i64::try_from(self.context.lookback.as_millis()).unwrap_or(i64::MAX)
    }

    /// Reads the newest sample of each series at each step.
    fn newest(&self, selection: &Selection, visit: Visit<'_>) -> Result<(), Refusal> {
        let windows = self.windows(selection, self.lookback());
        self.each_series(selection, &windows, |labels, points| {
            let values = samples::newest(&points, &windows);
            if values.is_empty() { Ok(()) } else { visit(Row { labels: labels.clone(), values }) }
        })
    }

    /// Reads the time of the newest sample of each series at each step.
    fn times(&self, selection: &Selection, visit: Visit<'_>) -> Result<(), Refusal> {
        let windows = self.windows(selection, self.lookback());
        self.each_series(selection, &windows, |labels, points| {
            let values = samples::times(&points, &windows);
            if values.is_empty() { Ok(()) } else { visit(Row { labels: labels.clone(), values }) }
        })
    }

    /// Evaluates a function of the samples within a window.
    fn over(
        &self,
        function: RangeFunction,
        selection: &Selection,
        window: Length,
        detailed: bool,
        visit: Visit<'_>,
    ) -> Result<(), Refusal> {
        let series = select(self.source, selection, self.context)?;
        let mut windows = self.windows(selection, self.length(window)?);
        if function == RangeFunction::Rate && window == Length::RateInterval {
            // Grafana derives the window from the resolution, which is coarser for older samples.
            let rolled_up = windows.whole().after;
            if series.iter().any(|series| self.source.complete_since(*series) > rolled_up) {
                windows.length = windows.length.max(samples::SHORTEST_ROLLED_UP);
            }
        }
        let is_increase = matches!(function, RangeFunction::Rate | RangeFunction::Increase);
        for series in series {
            let values = if is_increase {
                self.increase(function, series, &windows, detailed)?
            } else {
                self.over_time(function, series, &windows)?
            };
            if !values.is_empty() {
                visit(Row { labels: self.source.labels(series).clone(), values })?;
            }
        }
        Ok(())
    }

    fn increase(
        &self,
        function: RangeFunction,
        series: SeriesId,
        windows: &Windows,
        detailed: bool,
    ) -> Result<Values, Refusal> {
        let per_second = function == RangeFunction::Rate;
        let windows = &windows.normalized();
        // Buckets of one window are small, and other panels may need them.
        let detailed = detailed || (windows.steps == 1 && self.context.shared.is_some());
        let key = IncreaseKey { series, windows: *windows, per_second, detailed };
        if let Some(known) = self.context.shared.and_then(|shared| shared.increases(key)) {
            return Ok(known);
        }
        let whole = windows.whole();
        let edges = |times: &[i64]| windows.edges(times);
        let points = self.source.read_counter(series, whole.after, whole.until, detailed, &edges);
        let (first, complete_since) =
            (samples::first_of_counter(&points), self.source.complete_since(series));
        samples::check_resolution(function, first, windows.length, complete_since)?;
        let values = samples::increase(points, windows, per_second, detailed);
        if let Some(shared) = self.context.shared {
            shared.add_increases(key, &values);
        }
        Ok(values)
    }

    fn over_time(
        &self,
        function: RangeFunction,
        series: SeriesId,
        windows: &Windows,
    ) -> Result<Values, Refusal> {
        let whole = windows.whole();
        let points = self.source.read(series, whole.after, whole.until).without_marks();
        let (first, complete_since) = (samples::first(&points), self.source.complete_since(series));
        samples::check_resolution(function, first, windows.length, complete_since)?;
        Ok(samples::over(function, &points, windows))
    }

    /// Returns 1 at each step at which no series has a sample within the window.
    fn absent(&self, selection: &Selection, window: Length, visit: Visit<'_>) -> Result<(), Refusal> {
        let mut absent = vec![1.0; self.steps];
        self.over(RangeFunction::Absent, selection, window, false, &mut |row| {
            for (step, absent) in absent.iter_mut().enumerate() {
                if row.values.is_at(step) {
                    *absent = STALE;
                }
            }
            Ok(())
        })?;
        let values = Values::Numbers(absent);
        if values.is_empty() {
            return Ok(());
        }
        visit(Row { labels: labels_of_absent(selection), values })
    }

    fn length(&self, window: Length) -> Result<i64, Refusal> {
        let length = match window {
            Length::Fixed(length) => length,
            Length::RateInterval => self.context.rate_interval,
            Length::Range => self.context.whole_range,
        };
        let length = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
        if length == 0 { Err(Refusal::NoWindow) } else { Ok(length) }
    }

    /// Reads each selected series once.
    fn each_series(
        &self,
        selection: &Selection,
        windows: &Windows,
        mut each: impl FnMut(&Labels, Points) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let whole = windows.whole();
        for series in select(self.source, selection, self.context)? {
            let points = self.source.read(series, whole.after, whole.until);
            each(self.source.labels(series), points)?;
        }
        Ok(())
    }
}

/// Returns whether an expression reads samples, and only those at the end of the range.
fn is_at_end(expression: &Expression) -> bool {
    let (mut reads, mut varies) = (false, false);
    expression.for_each_selection(&mut |selection| {
        reads = true;
        varies |= !selection.at_end;
    });
    expression.for_each(&mut |part| varies |= matches!(part, Expression::Time));
    reads && !varies
}

fn sum_key(expression: &Expression, context: &Context<'_>) -> SumKey {
    let Context { range, lookback, interval, rate_interval, whole_range, .. } = *context;
    SumKey { text: expression.to_string(), range, lengths: [lookback, interval, rate_interval, whole_range] }
}

/// Returns one number for each histogram.
fn taken_out(function: HistogramFunction, row: Row, visit: Visit<'_>) -> Result<(), Refusal> {
    let histograms = match row.values {
        Values::Histograms(histograms) => histograms,
        Values::Numbers(_) => {
            let of_buckets =
                matches!(function, HistogramFunction::Quantile(_) | HistogramFunction::FractionAbove(_));
            let classic = of_buckets && !row.labels.get("le").is_empty();
            return if classic { Err(Refusal::ClassicHistogram) } else { Ok(()) };
        }
    };
    let number = |histogram: &Histogram| match function {
        HistogramFunction::Count => histogram.count,
        HistogramFunction::Sum => histogram.sum,
        HistogramFunction::Quantile(share) => quantile::quantile(share, histogram),
        HistogramFunction::FractionAbove(value) => quantile::fraction_above(value, histogram),
    };
    let numbers = histograms.iter().map(|histogram| histogram.as_deref().map_or(STALE, number));
    visit(Row { labels: row.labels, values: Values::Numbers(numbers.collect()) })
}
