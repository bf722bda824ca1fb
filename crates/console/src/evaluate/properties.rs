//! Properties that hold for all data and expressions.

use std::time::Duration;

use monitoring::query::{
    Aggregation, Expression, HistogramFunction, Operator, RangeFunction, Selection, Source, Window,
};
use proptest::prelude::*;

use super::fixture::{Fixture, labels};
use super::quantile::{fraction_above, quantile};
use super::{Context, Range, Refusal, ResultSeries, ResultValues, evaluate};
use crate::store::metrics::{Histogram, Labels, STALE};

const SECOND: i64 = 1000;

/// Samples of one series: the time since the previous one, and the value.
fn numbers() -> impl Strategy<Value = Vec<(i64, f64)>> {
    let value = prop_oneof![
        20 => (0_i32..50).prop_map(f64::from),
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        2 => Just(STALE),
    ];
    let distance = prop_oneof![8 => Just(15 * SECOND), 1 => 1_i64..400 * SECOND];
    prop::collection::vec((distance, value), 0..60).prop_map(with_times)
}

fn histograms() -> impl Strategy<Value = Vec<(i64, Histogram)>> {
    let buckets = prop::collection::btree_map(-20_i32..20, (1_u32..9).prop_map(f64::from), 0..6);
    let histogram = (buckets, 0_u32..3).prop_map(|(buckets, zero)| {
        let zero_count = f64::from(zero);
        let count = zero_count + buckets.values().sum::<f64>();
        Histogram { count, sum: count * 1.5, zero_count, buckets: buckets.into_iter().collect() }
    });
    let distance = prop_oneof![8 => Just(15 * SECOND), 1 => 1_i64..400 * SECOND];
    // Observations since the previous sample; a restart resets them.
    let samples = prop::collection::vec((distance, (histogram, prop::bool::weighted(0.1))), 0..40);
    samples.prop_map(|samples| {
        let mut total = Histogram::default();
        let counted = samples.into_iter().map(|(distance, (more, restarts))| {
            if restarts {
                total = Histogram::default();
            }
            total.add(&more, 1.0, true);
            (distance, total.clone())
        });
        with_times(counted.collect())
    })
}

fn with_times<V>(samples: Vec<(i64, V)>) -> Vec<(i64, V)> {
    let mut now = 0;
    let timed = samples.into_iter().map(|(distance, value)| {
        now += distance;
        (now, value)
    });
    timed.collect()
}

fn source() -> impl Strategy<Value = Fixture> {
    let all = (prop::collection::vec(numbers(), 4), prop::collection::vec(histograms(), 3));
    all.prop_map(|(numbers, histograms)| {
        let mut source = Fixture::default();
        for (position, points) in (0..).zip(numbers) {
            let name = if position < 2 { "a" } else { "b" };
            source.numbers(name, labels(&format!("i={},j={}", position % 2, position / 2)), points);
        }
        for (position, points) in (0..).zip(histograms) {
            let name = if position < 2 { "h" } else { "a" };
            source.histograms(name, labels(&format!("i={position},k=1")), points);
        }
        source
    })
}

fn selection() -> impl Strategy<Value = Selection> {
    let name = prop::sample::select(vec!["a", "b", "h"]);
    let offset = prop::option::weighted(0.2, (1_u64..200).prop_map(Duration::from_secs));
    (name, offset).prop_map(|(name, offset)| Selection {
        name: name.to_owned(),
        source: Source::Application,
        matchers: Vec::new(),
        offset,
        at_end: false,
    })
}

fn expression() -> impl Strategy<Value = Expression> {
    let function = prop::sample::select(vec![
        RangeFunction::Rate,
        RangeFunction::Increase,
        RangeFunction::Average,
        RangeFunction::Min,
        RangeFunction::Max,
        RangeFunction::Sum,
        RangeFunction::Count,
        RangeFunction::Changes,
        RangeFunction::Absent,
        RangeFunction::Predict(60),
    ]);
    let window = (1_u64..400).prop_map(|seconds| Window::Fixed(Duration::from_secs(seconds)));
    let leaf = prop_oneof![
        2 => selection().prop_map(Expression::Instant),
        1 => selection().prop_map(Expression::Timestamp),
        6 => (function, selection(), window)
            .prop_map(|(function, of, window)| Expression::Range { function, of, window }),
        1 => Just(Expression::Constant(2.0)),
        1 => Just(Expression::Time),
        1 => (-3_i32..9).prop_map(|number| Expression::Number(number.into())),
    ];
    let by = || prop::sample::subsequence(vec!["i".to_owned(), "j".to_owned()], 0..=2);
    leaf.prop_recursive(4, 12, 2, move |inner| {
        let aggregation = prop::sample::select(vec![
            Aggregation::Sum,
            Aggregation::Min,
            Aggregation::Max,
            Aggregation::Count,
            Aggregation::Largest(2),
        ]);
        let operator = prop::sample::select(vec![
            Operator::Plus,
            Operator::Minus,
            Operator::Times,
            Operator::DividedBy,
            Operator::Above,
            Operator::AtLeast,
            Operator::Below,
            Operator::Equals,
            Operator::And,
            Operator::Or,
            Operator::Unless,
        ]);
        let function = prop::sample::select(vec![
            HistogramFunction::Count,
            HistogramFunction::Sum,
            HistogramFunction::Quantile(0.9),
            HistogramFunction::FractionAbove(1.1),
        ]);
        prop_oneof![
            (inner.clone(), aggregation, by())
                .prop_map(|(of, aggregation, by)| of.aggregate(aggregation, by)),
            (inner.clone(), function).prop_map(|(of, function)| of.histogram(function)),
            (inner.clone(), operator, prop::option::of(by()), inner.clone()).prop_map(
                |(left, operator, on, right)| match on {
                    Some(on) => left.in_parentheses().binary_on(operator, on, right.in_parentheses()),
                    None => left.in_parentheses().binary(operator, right.in_parentheses()),
                }
            ),
            inner.prop_map(|of| of.labelled("l".to_owned(), "x")),
        ]
    })
}

/// The values at a step, by labels and kind.
fn at_step(results: &[ResultSeries], step: usize) -> Vec<(Labels, String)> {
    let value = |series: &ResultSeries| {
        let value = match &series.values {
            ResultValues::Numbers(numbers) => format!("{:?}", numbers[step]?),
            ResultValues::Histograms(histograms) => format!("{:?}", histograms[step].as_ref()?),
        };
        Some((series.labels.clone(), value))
    };
    let mut values: Vec<_> = results.iter().filter_map(value).collect();
    values.sort();
    values
}

fn evaluated(source: &Fixture, expression: &Expression, range: Range) -> Result<Vec<ResultSeries>, Refusal> {
    evaluate(source, expression, &Context { range, ..Context::rule(0) })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_range_has_the_values_of_its_steps(
        source in source(),
        expression in expression(),
        start in -100_i64..700,
        step in 1_i64..400,
    ) {
        let range = Range { start: start * SECOND, end: (start + 5 * step) * SECOND, step: step * SECOND };
        let whole = evaluated(&source, &expression, range);
        for position in 0..6 {
            let at = range.start + range.step * i64::try_from(position).unwrap();
            match (&whole, evaluated(&source, &expression, Range::instant(at))) {
                (Ok(whole), Ok(instant)) => {
                    prop_assert_eq!(at_step(whole, position), at_step(&instant, 0), "{} at {}", &expression, at);
                }
                // Only some of the steps may be ambiguous.
                (Err(_), _) => {}
                (Ok(_), Err(refusal)) => prop_assert!(false, "{expression} at {at}: {refusal}"),
            }
        }
    }

    #[test]
    fn labels_of_a_result_are_unique(source in source(), expression in expression()) {
        let Ok(results) = evaluated(&source, &expression, Range::instant(300 * SECOND)) else { return Ok(()) };
        for pair in results.windows(2) {
            prop_assert!(pair[0].labels < pair[1].labels || {
                let numbers = |series: &ResultSeries| matches!(series.values, ResultValues::Numbers(_));
                pair[0].labels == pair[1].labels && numbers(&pair[0]) != numbers(&pair[1])
            }, "{}", &expression);
        }
    }

    #[test]
    fn increases_of_observations_are_not_negative(points in histograms()) {
        let mut source = Fixture::default();
        source.histograms("h", labels(""), points);
        let of = Selection {
            name: "h".to_owned(), source: Source::Application, matchers: vec![], offset: None, at_end: false,
        };
        let window = Window::Fixed(Duration::from_mins(2));
        let increase = Expression::Range { function: RangeFunction::Increase, of, window };
        let range = Range { start: 0, end: 1200 * SECOND, step: 20 * SECOND };
        for series in evaluated(&source, &increase, range).unwrap() {
            let ResultValues::Histograms(histograms) = series.values else { panic!("numbers") };
            for histogram in histograms.into_iter().flatten() {
                prop_assert!(histogram.buckets.iter().all(|(_, count)| *count > 0.0), "{:?}", histogram);
                prop_assert!(histogram.zero_count >= 0.0 && histogram.count >= 0.0);
                let counted: f64 = histogram.buckets.iter().map(|(_, count)| count).sum();
                prop_assert!((counted + histogram.zero_count - histogram.count).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn shares_below_quantiles_are_the_quantiles(points in histograms(), share in 0.0..1.0_f64) {
        for (_, histogram) in points.iter().filter(|(_, histogram)| histogram.count > histogram.zero_count) {
            let value = quantile(share, histogram);
            let larger = quantile((share + 0.1).min(1.0), histogram);
            prop_assert!(value <= larger, "{value} {larger}");
            if value > 1e-100 {
                let below = 1.0 - fraction_above(value, histogram);
                // All values between two buckets have the same share below them.
                let next = 1.0 - fraction_above(value * (1.0 + 1e-9), histogram);
                prop_assert!(below <= share + 1e-6 && share <= next + 1e-6, "{share} {below} {next}");
            }
        }
    }
}
