use std::sync::Arc;
use std::time::Duration;

use monitoring::query::{
    Aggregation, Expression, HistogramFunction, MatchOperator, Matcher, Operator, RangeFunction, Selection,
    Source, Window,
};

use super::fixture::{Fixture, labels};
use super::{Context, Range, Refusal, evaluate, evaluate_at};
use crate::store::metrics::{Histogram, STALE};

const MINUTE: i64 = 60_000;

fn of(name: &str) -> Selection {
    Selection {
        name: name.to_owned(),
        source: Source::Application,
        matchers: Vec::new(),
        offset: None,
        at_end: false,
    }
}

fn instant(name: &str) -> Expression {
    Expression::Instant(of(name))
}

fn over(function: RangeFunction, name: &str, minutes: u64) -> Expression {
    Expression::Range { function, of: of(name), window: Window::Fixed(Duration::from_mins(minutes)) }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The result at one time as text: `labels value`, by labels.
fn at(source: &Fixture, expression: &Expression, at: i64) -> Vec<String> {
    let results =
        evaluate_at(source, expression, at).unwrap_or_else(|refusal| panic!("{expression}: {refusal}"));
    let text = |labels: &crate::store::metrics::Labels| {
        let pairs: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join(",")
    };
    results.iter().map(|(labels, value)| format!("{} {value}", text(labels)).trim().to_owned()).collect()
}

fn routes() -> Fixture {
    let mut source = Fixture::default();
    source.every(MINUTE, "m", labels("route=a,instance=1"), &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    source.every(MINUTE, "m", labels("route=a,instance=2"), &[10.0, 20.0, 0.0, 10.0, 20.0, 30.0]);
    source.every(MINUTE, "m", labels("route=b,instance=1"), &[5.0, 5.0, 5.0, 7.0, 5.0, f64::NAN]);
    source.every(MINUTE, "errors", labels("route=a"), &[1.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
    source
}

#[test]
fn newest_samples_are_found_for_five_minutes() {
    let source = routes();
    for (time, expected) in
        [(0, "route=a 1"), (5 * MINUTE + 30_000, "route=a 1"), (10 * MINUTE - 1, "route=a 1")]
    {
        assert_eq!(at(&source, &instant("errors"), time), [expected]);
    }
    // The range is left-open.
    assert!(at(&source, &instant("errors"), 10 * MINUTE).is_empty());
    assert!(at(&source, &instant("errors"), -1).is_empty());
}

#[test]
fn a_mark_ends_a_series_at_once() {
    let mut source = Fixture::default();
    source.every(MINUTE, "m", labels("a=1"), &[1.0, 2.0, STALE, STALE, 3.0]);
    assert_eq!(at(&source, &instant("m"), MINUTE), ["a=1 2"]);
    assert!(at(&source, &instant("m"), 2 * MINUTE).is_empty());
    assert!(at(&source, &Expression::Timestamp(of("m")), 3 * MINUTE).is_empty());
    assert_eq!(at(&source, &Expression::Timestamp(of("m")), 5 * MINUTE), ["a=1 240"]);
    assert_eq!(at(&source, &over(RangeFunction::Count, "m", 5), 4 * MINUTE), ["a=1 3"]);
    assert_eq!(at(&source, &over(RangeFunction::Changes, "m", 6), 4 * MINUTE), ["a=1 2"]);
}

#[test]
fn functions_of_windows() {
    let source = routes();
    for (function, expected) in [
        (
            RangeFunction::Average,
            ["instance=1,route=a 4", "instance=1,route=b 5.666666666666667", "instance=2,route=a 10"],
        ),
        (RangeFunction::Sum, ["instance=1,route=a 12", "instance=1,route=b 17", "instance=2,route=a 30"]),
        (RangeFunction::Min, ["instance=1,route=a 3", "instance=1,route=b 5", "instance=2,route=a 0"]),
        (RangeFunction::Max, ["instance=1,route=a 5", "instance=1,route=b 7", "instance=2,route=a 20"]),
        (RangeFunction::Count, ["instance=1,route=a 3", "instance=1,route=b 3", "instance=2,route=a 3"]),
        (RangeFunction::Changes, ["instance=1,route=a 2", "instance=1,route=b 2", "instance=2,route=a 2"]),
        (
            RangeFunction::Predict(60),
            ["instance=1,route=a 6", "instance=1,route=b 5.666666666666667", "instance=2,route=a 30"],
        ),
    ] {
        assert_eq!(at(&source, &over(function, "m", 3), 4 * MINUTE), expected, "{function:?}");
    }
}

#[test]
fn increases_are_extended_to_the_window_but_not_below_zero() {
    let mut source = Fixture::default();
    source.every(15_000, "m", labels(""), &[100.0, 110.0, 120.0, 130.0, 140.0]);
    source.every(15_000, "young", labels(""), &[1.0, 11.0, 21.0, 31.0, 41.0]);
    source.every(15_000, "reset", labels(""), &[100.0, 110.0, 5.0, 15.0, 25.0]);
    source.numbers("sparse", labels(""), vec![(20_000, 10.0), (25_000, 20.0), (30_000, 30.0)]);
    source.every(15_000, "one", labels(""), &[0.0, 0.0, 0.0, 0.0, 5.0]);
    let value = |name, function| {
        let results = evaluate_at(&source, &over(function, name, 1), MINUTE).unwrap();
        results[0].1
    };
    // Samples at 15, 30, 45 and 60 s, within (0, 60]: 30 in 45 s, extended to 60 s.
    assert!((value("m", RangeFunction::Increase) - 40.0).abs() < 1e-12);
    assert!((value("m", RangeFunction::Rate) - 40.0 / 60.0).abs() < 1e-12);
    // The counter would have been zero 16.5 s before its first sample, which is before the window.
    assert!((value("young", RangeFunction::Increase) - 40.0).abs() < 1e-12);
    // 110 → 5 is an increase by 5.
    assert!((value("reset", RangeFunction::Increase) - 25.0 * 60.0 / 45.0).abs() < 1e-12);
    // Extended by half of five seconds on both sides.
    assert!((value("sparse", RangeFunction::Increase) - 30.0).abs() < 1e-12);
    // A counter that was zero is not extended to before.
    assert!((value("one", RangeFunction::Increase) - 5.0).abs() < 1e-12);
}

#[test]
fn aggregations_of_groups() {
    let source = routes();
    let by_route = names(&["route"]);
    for (aggregation, by, time, expected) in [
        (Aggregation::Sum, &[][..], 0, vec!["16"]),
        (Aggregation::Sum, &by_route[..], MINUTE, vec!["route=a 22", "route=b 5"]),
        (Aggregation::Max, &by_route[..], MINUTE, vec!["route=a 20", "route=b 5"]),
        (Aggregation::Min, &by_route[..], MINUTE, vec!["route=a 2", "route=b 5"]),
        (Aggregation::Min, &[][..], 5 * MINUTE, vec!["6"]),
        (Aggregation::Count, &by_route[..], 5 * MINUTE, vec!["route=a 2", "route=b 1"]),
        (Aggregation::Sum, &by_route[..], 5 * MINUTE, vec!["route=a 36", "route=b NaN"]),
        (Aggregation::Largest(1), &[][..], 5 * MINUTE, vec!["instance=2,route=a 30"]),
        (
            Aggregation::Largest(5),
            &[][..],
            5 * MINUTE,
            vec!["instance=1,route=a 6", "instance=1,route=b NaN", "instance=2,route=a 30"],
        ),
        (
            Aggregation::Largest(1),
            &by_route[..],
            MINUTE,
            vec!["instance=1,route=b 5", "instance=2,route=a 20"],
        ),
        (Aggregation::Sum, &[][..], 60 * MINUTE, vec![]),
    ] {
        let expression = instant("m").aggregate(aggregation, by.to_vec());
        assert_eq!(at(&source, &expression, time), expected, "{expression} at {time}");
    }
}

#[test]
fn operators_match_series() {
    let source = routes();
    let sum = || instant("m").aggregate(Aggregation::Sum, names(&["route"]));
    let number = Expression::Number;
    let on_route = || names(&["route"]);
    for (expression, expected) in [
        (sum().binary(Operator::Times, number(2.0)), vec!["route=a 44", "route=b 10"]),
        (number(1.0).binary(Operator::Minus, sum()), vec!["route=a -21", "route=b -4"]),
        (sum().binary(Operator::Above, number(5.0)), vec!["route=a 22"]),
        (number(5.0).binary(Operator::Below, sum()), vec!["route=a 22"]),
        (sum().binary(Operator::AtLeast, number(5.0)), vec!["route=a 22", "route=b 5"]),
        (sum().binary(Operator::Equals, number(5.0)), vec!["route=b 5"]),
        (instant("errors").binary(Operator::DividedBy, sum()), vec!["route=a 0.045454545454545456"]),
        (sum().binary_on(Operator::And, on_route(), instant("errors")), vec!["route=a 22"]),
        (sum().binary_on(Operator::Unless, on_route(), instant("errors")), vec!["route=b 5"]),
        (instant("errors").binary_on(Operator::Or, on_route(), sum()), vec!["route=a 1", "route=b 5"]),
        (sum().binary_on(Operator::Or, vec![], Expression::Constant(0.0)), vec!["route=a 22", "route=b 5"]),
        (instant("none").binary(Operator::Or, Expression::Constant(0.0)), vec!["0"]),
        (
            instant("none").binary_on(
                Operator::Or,
                vec![],
                Expression::Constant(0.0).labelled("route".to_owned(), "none"),
            ),
            vec!["route=none 0"],
        ),
        (Expression::Constant(0.0).binary(Operator::Above, number(0.0)), vec![]),
        (Expression::Time.binary(Operator::Minus, number(1.0)), vec!["59"]),
        (
            sum().binary(Operator::Minus, Expression::Time).in_parentheses(),
            vec!["route=a -38", "route=b -55"],
        ),
        (sum().labelled("route".to_owned(), "x").aggregate(Aggregation::Count, vec![]), vec![]),
    ] {
        if expression.to_string().contains("label_replace(sum") {
            let refused = evaluate_at(&source, &expression, MINUTE).unwrap_err();
            assert_eq!(refused, Refusal::ManyMatches { labels: "route=\"x\"".to_owned() });
            continue;
        }
        assert_eq!(at(&source, &expression, MINUTE), expected, "{expression}");
    }
}

#[test]
fn ambiguous_matches_are_refused() {
    let source = routes();
    let refused = |expression: &Expression| evaluate_at(&source, expression, MINUTE).unwrap_err();
    let ambiguous = Refusal::ManyMatches { labels: "route=\"a\"".to_owned() };
    let by_route = || names(&["route"]);
    let (many, one) = (instant("m"), instant("errors"));
    assert_eq!(refused(&many.clone().binary_on(Operator::DividedBy, by_route(), one.clone())), ambiguous);
    assert_eq!(refused(&one.clone().binary_on(Operator::DividedBy, by_route(), many.clone())), ambiguous);
    // A missing series matches nothing.
    assert!(
        at(&source, &instant("none").binary_on(Operator::Plus, by_route(), many.clone()), MINUTE).is_empty()
    );
    let numbers = Expression::Number(1.0).binary(Operator::Above, Expression::Number(0.0));
    assert_eq!(refused(&numbers), Refusal::NotComparable);
    assert_eq!(refused(&Expression::Number(1.0).aggregate(Aggregation::Sum, vec![])), Refusal::NotSeries);
}

#[test]
fn absence_has_the_labels_of_the_selection() {
    let source = routes();
    let matcher = |label: &str, operator, value: &str| Matcher {
        label: label.to_owned(),
        operator,
        value: value.to_owned(),
    };
    let mut expression = over(RangeFunction::Absent, "none", 5);
    expression.change_selections(&mut |selection| {
        selection.matchers = vec![
            matcher("job", MatchOperator::Equal, "x"),
            matcher("route", MatchOperator::NotEqual, ""),
            matcher("double", MatchOperator::Equal, "1"),
            matcher("double", MatchOperator::Equal, "2"),
        ];
    });
    assert_eq!(at(&source, &expression, 0), ["job=x 1"]);
    assert!(at(&source, &over(RangeFunction::Absent, "m", 5), 0).is_empty());
    assert_eq!(at(&source, &over(RangeFunction::Absent, "m", 5), 10 * MINUTE), ["1"]);
}

#[test]
fn offsets_and_the_end_of_the_range() {
    let source = routes();
    let mut earlier = instant("errors");
    earlier.change_selections(&mut |selection| selection.offset = Some(Duration::from_hours(1)));
    assert_eq!(at(&source, &earlier, 60 * MINUTE), ["route=a 1"]);
    let mut last = over(RangeFunction::Max, "m", 10);
    last.change_selections(&mut |selection| selection.at_end = true);
    let variables = |_: &str| None;
    let range = Range { start: 0, end: 4 * MINUTE, step: MINUTE };
    let context = Context::panel(range, Duration::from_secs(15), &variables);
    let results = evaluate(&source, &last, &context).unwrap();
    assert_eq!(results[2].numbers(), [Some(20.0); 5]);
    assert_eq!(context.rate_interval, Duration::from_secs(75));
    let interval = evaluate(&source, &Expression::IntervalMilliseconds, &context).unwrap();
    assert_eq!(interval[0].numbers(), [Some(60_000.0); 5]);
}

fn histogram(sum: f64, zero_count: f64, buckets: &[(i32, f64)]) -> Histogram {
    let count = zero_count + buckets.iter().map(|(_, count)| count).sum::<f64>();
    Histogram { count, sum, zero_count, buckets: buckets.to_vec() }
}

fn durations() -> Fixture {
    let mut source = Fixture::default();
    let points = [
        histogram(10.0, 1.0, &[(0, 4.0), (8, 5.0)]),
        histogram(20.0, 1.0, &[(0, 8.0), (8, 7.0)]),
        histogram(3.0, 0.0, &[(0, 20.0)]),
        histogram(9.0, 0.0, &[(0, 22.0), (16, 2.0)]),
    ];
    let times = (0_i64..).map(|position| position * 15_000);
    source.histograms("d", labels("route=a"), times.clone().zip(points.clone()).collect());
    source.histograms("d", labels("route=b"), times.zip(points).collect());
    source.every(15_000, "d", labels("route=c"), &[1.0, 2.0, 3.0, 4.0]);
    source
}

#[test]
fn increases_of_histograms_notice_resets_by_buckets() {
    let source = durations();
    let increase = Expression::Range {
        function: RangeFunction::Increase,
        of: of("d"),
        window: Window::Fixed(Duration::from_secs(60)),
    };
    let context = Context::rule(45_000);
    let results = evaluate(&source, &increase, &context).unwrap();
    let super::ResultValues::Histograms(histograms) = &results[0].values else { panic!("no histogram") };
    // The third sample has more observations than the second, but fewer in one bucket. From 10 to
    // 16, then 20 and 4 more. All four samples are in the window, 15 s short of it: the
    // counter would have been zero 15 s before the first sample.
    let expected = histogram(10.0 + 9.0, 0.0, &[(0, 26.0), (8, 2.0), (16, 2.0)]);
    let factor = 60.0 / 45.0;
    let found = histograms[0].as_ref().unwrap();
    assert!((found.count - 30.0 * factor).abs() < 1e-9, "{found:?}");
    assert!((found.sum - expected.sum * factor).abs() < 1e-9, "{found:?}");
    let buckets: Vec<_> =
        found.buckets.iter().map(|(index, count)| (*index, (count / factor).round())).collect();
    assert_eq!(buckets, [(0, 26.0), (8, 2.0), (16, 2.0)]);
    // Histogram functions ignore numbers, and numbers cannot be added to histograms.
    let total = increase.clone().aggregate(Aggregation::Sum, names(&["route"]));
    let counts = total.clone().histogram(HistogramFunction::Count);
    assert_eq!(at(&source, &counts, 45_000), ["route=a 40", "route=b 40"]);
    let all = increase.aggregate(Aggregation::Sum, vec![]);
    assert!(at(&source, &all.histogram(HistogramFunction::Sum), 45_000).is_empty());
}

#[test]
fn arithmetic_of_histograms() {
    let source = durations();
    let number = Expression::Number;
    let count = |expression: Expression| {
        at(&source, &expression.in_parentheses().histogram(HistogramFunction::Count), 0)
    };
    let d = || instant("d");
    assert_eq!(count(d().binary(Operator::Times, number(2.0))), ["route=a 20", "route=b 20"]);
    assert_eq!(count(number(2.0).binary(Operator::Times, d())), ["route=a 20", "route=b 20"]);
    assert_eq!(count(d().binary(Operator::DividedBy, number(2.0))), ["route=a 5", "route=b 5"]);
    assert_eq!(count(d().binary(Operator::Plus, d())), ["route=a 20", "route=b 20"]);
    assert_eq!(count(d().binary(Operator::Minus, d())), ["route=a 0", "route=b 0"]);
    assert_eq!(count(d().binary(Operator::Equals, d())), ["route=a 10", "route=b 10"]);
    assert!(count(d().binary(Operator::Above, number(2.0))).is_empty());
    assert_eq!(at(&source, &d().aggregate(Aggregation::Count, vec![]), 0), ["3"]);
    assert_eq!(at(&source, &d().aggregate(Aggregation::Max, vec![]), 0), ["1"]);
    assert_eq!(at(&source, &d().aggregate(Aggregation::Largest(3), vec![]), 0), ["route=c 1"]);
    let sum = |function| at(&source, &over(function, "d", 1).histogram(HistogramFunction::Sum), 15_000);
    assert_eq!(sum(RangeFunction::Sum), ["route=a 30", "route=b 30"]);
    assert_eq!(sum(RangeFunction::Average), ["route=a 15", "route=b 15"]);
    assert_eq!(at(&source, &over(RangeFunction::Changes, "d", 1), 15_000).len(), 3);
}

#[test]
fn rolled_up_samples_are_not_counted_and_need_long_windows() {
    let mut source = routes();
    source.complete_since = 3 * MINUTE;
    let refused = |function, minutes| evaluate_at(&source, &over(function, "m", minutes), 5 * MINUTE).err();
    let coarse = |minutes| Some(Refusal::TooCoarse { window: Duration::from_mins(minutes) });
    assert_eq!(refused(RangeFunction::Rate, 5), coarse(5));
    assert_eq!(refused(RangeFunction::Average, 9), coarse(9));
    assert_eq!(refused(RangeFunction::Rate, 10), None);
    // Only complete samples are in the window.
    assert_eq!(refused(RangeFunction::Rate, 2), None);
    assert_eq!(refused(RangeFunction::Count, 60), Some(Refusal::RolledUp));
    // The window of a panel becomes long enough.
    source.complete_since = 4 * MINUTE + 30_000;
    let rate = |window| Expression::Range { function: RangeFunction::Rate, of: of("m"), window };
    let range = Range { start: 5 * MINUTE, end: 5 * MINUTE, step: MINUTE };
    let context = Context::panel(range, Duration::from_secs(15), &|_| None);
    let fitted = evaluate(&source, &rate(Window::RateInterval), &context).unwrap();
    let fixed = evaluate(&source, &rate(Window::Fixed(Duration::from_mins(10))), &context).unwrap();
    assert_eq!(fitted[0].numbers(), fixed[0].numbers());
}

#[test]
fn ranges_and_results_are_bounded() {
    let mut source = Fixture::default();
    let variables = |_: &str| None;
    let evaluated = |source: &Fixture, range| {
        let context = Context::panel(range, Duration::from_secs(15), &variables);
        evaluate(source, &instant("m"), &context)
    };
    let range = |end, step| Range { start: 0, end, step };
    assert_eq!(evaluated(&source, range(11_000, 1)), Err(Refusal::TooManySteps { most: 11_000 }));
    assert_eq!(evaluated(&source, range(-1, 1)), Err(Refusal::EmptyRange));
    assert_eq!(evaluated(&source, range(1, 0)), Err(Refusal::EmptyRange));
    assert_eq!(evaluated(&source, range(i64::MAX, 1)), Err(Refusal::TooManySteps { most: 11_000 }));
    for series in 0..500 {
        source.every(MINUTE, "m", labels(&format!("a={series}")), &[1.0]);
    }
    assert_eq!(evaluated(&source, range(9_999, 1)), Err(Refusal::TooLarge));
    assert_eq!(evaluated(&source, range(999, 1)).unwrap().len(), 500);
}

#[test]
fn histograms_are_shared_with_the_store() {
    let source = durations();
    let results = evaluate(&source, &instant("d"), &Context::rule(0)).unwrap();
    let super::ResultValues::Histograms(histograms) = &results[0].values else { panic!("no histogram") };
    assert!(Arc::strong_count(histograms[0].as_ref().unwrap()) > 1);
}
