//! Appending, reading, roll-up and limits.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[test]
fn samples_are_read_after_one_time_until_and_including_another() {
    let mut store = MetricStore::in_memory(Limits::default());
    fill(&mut store, NOW, NOW + 3 * HOUR);
    let series = only(&store, "counter");
    assert_eq!(store.labels(series), &labels(&[("label", "a")]));
    for (after, until) in [(NOW, NOW + HOUR), (NOW - 1, NOW + 15 * SECOND), (NOW + 2 * HOUR, NOW + 9 * HOUR)]
    {
        let Points::Numbers(points) = store.read(series, after, until) else { panic!("numbers") };
        let expected: Vec<_> =
            numbers(&store, "counter").into_iter().filter(|(at, _)| *at > after && *at <= until).collect();
        assert_eq!(points, expected);
    }
    assert_eq!(numbers(&store, "counter").len(), 720);
    assert_eq!(histograms(&store, "histogram")[719], (NOW + 3 * HOUR - 15 * SECOND, histogram(10785.0)));
    assert_eq!(store.usage().samples, 2 * 720);
    assert_eq!(store.complete_since(series), i64::MIN);
}

#[test]
fn the_parts_of_a_collection_share_a_time() {
    let mut store = MetricStore::in_memory(Limits::default());
    let info = || sample("target_info", "x", 1.0);
    for round in 0..600 {
        let at = NOW + round * 15 * SECOND;
        for (part, name) in ["a", "b", "c"].into_iter().enumerate() {
            let at = at + part as i64 * 40;
            let samples = [sample(name, "x", round as f64), sample(name, "y", 0.0), info()];
            let appended = store.append(&process(), at, samples);
            assert_eq!((appended.accepted, appended.refused.total()), (3, 0), "{round} {name}");
        }
    }
    let times: Vec<_> = numbers(&store, "target_info").into_iter().map(|(at, _)| at).collect();
    let expected: Vec<_> = (0..600).map(|round| NOW + round * 15 * SECOND).collect();
    assert_eq!(times, expected);
    assert_eq!(store.usage().samples, 600 * 7);
}

#[test]
fn collections_within_a_second_stay_apart() {
    let mut store = MetricStore::in_memory(Limits::default());
    for round in 0..5 {
        store.append(&process(), NOW + round * 500, [sample("a", "x", round as f64)]);
    }
    let expected: Vec<_> = (0..5).map(|round| (NOW + round * 500, round as f64)).collect();
    assert_eq!(numbers(&store, "a"), expected);
}

#[test]
fn a_series_begins_with_a_zero_at_the_time_of_the_collection_before() {
    // Also at the 240th tick, after which a block is complete.
    for rounds in [2, 10, 240, 241, 242, 300] {
        let mut store = MetricStore::in_memory(Limits::default());
        for round in 0..rounds {
            store.append(&process(), NOW + round * 15 * SECOND + 3, [sample("a", "x", 1.0)]);
        }
        let previous = NOW + (rounds - 2) * 15 * SECOND;
        assert_eq!(store.append(&process(), previous, [sample("new", "x", 0.0)]).accepted, 1, "{rounds}");
        let last = NOW + (rounds - 1) * 15 * SECOND + 20;
        assert_eq!(store.append(&process(), last, [sample("new", "x", 7.0)]).accepted, 1, "{rounds}");
        assert_eq!(numbers(&store, "new"), [(previous + 3, 0.0), (last - 17, 7.0)], "{rounds}");
    }
}

#[test]
fn older_samples_are_refused() {
    let mut store = MetricStore::in_memory(Limits::default());
    let mut append = |at, number| store.append(&process(), at, [sample("a", "x", number)]).refused;
    assert_eq!(append(NOW, 1.0).total(), 0);
    assert_eq!(append(NOW, 1.0).total(), 0, "the same sample again");
    assert_eq!(append(NOW, 2.0).get(DropReason::OutOfOrder), 1);
    assert_eq!(append(NOW - 10, 2.0).get(DropReason::OutOfOrder), 1);
    assert_eq!(append(NOW - HOUR, 2.0).get(DropReason::SetBack), 1);
    assert_eq!(store.usage().dropped.get(DropReason::OutOfOrder), 2);
    assert_eq!(numbers(&store, "a"), [(NOW, 1.0)]);
}

#[test]
fn a_clock_that_is_set_back_is_reported_until_it_has_caught_up() {
    // Back to a time before all samples, and to one between them, at which other samples stand.
    for back in [HOUR, 10 * 15 * SECOND, 20 * 15 * SECOND - 5 * SECOND] {
        let mut store = MetricStore::in_memory(Limits::default());
        let mut total = 0.0;
        let mut collect = |store: &mut MetricStore, at: i64| {
            total += 1.0;
            store.append(&process(), at, [sample("a", "x", total), sample("b", "x", total)])
        };
        for round in 0..=20 {
            assert_eq!(collect(&mut store, NOW + round * 15 * SECOND).accepted, 2);
        }
        assert_eq!(store.usage().set_back, []);
        let newest = NOW + 20 * 15 * SECOND;
        let mut at = newest - back;
        let mut refused = 0;
        while at < newest - SECOND {
            refused += collect(&mut store, at).refused.get(DropReason::SetBack);
            let expected = SetBack { origin: process(), newest, at, refused };
            assert_eq!(store.usage().set_back, [expected], "{back}");
            at += 15 * SECOND;
        }
        assert_eq!(store.usage().dropped.get(DropReason::SetBack), refused, "{back}");
        assert_eq!(collect(&mut store, newest + 15 * SECOND).accepted, 2, "{back}");
        assert_eq!(store.usage().set_back, [], "{back}");
        assert_eq!(store.usage().dropped.total(), refused, "what was refused stays counted");
        let times: Vec<i64> = numbers(&store, "a").into_iter().map(|(at, _)| at).collect();
        let kept = (0..=21).map(|round| NOW + round * 15 * SECOND);
        assert_eq!(times, kept.collect::<Vec<_>>(), "{back}");
    }
}

#[test]
fn old_samples_are_rolled_up_and_then_removed() {
    let limits = Limits {
        full: std::time::Duration::from_secs(6 * 3600),
        rolled: std::time::Duration::from_secs(3 * 86_400),
        ..Limits::default()
    };
    let mut store = MetricStore::in_memory(limits);
    for hour in 0..120 {
        let from = NOW + hour * HOUR;
        for at in (from..from + HOUR).step_by(15 * SECOND as usize) {
            let count = ((at - NOW) / SECOND) as f64;
            let samples = [sample("counter", "a", count), histogram_sample("histogram", histogram(count))];
            store.append(&process(), at, samples);
            if (at - NOW) % MINUTE == 0 {
                store.append(&Origin::rules("group"), at, [sample("recording", "", count)]);
            }
        }
        store.append(&Origin::process("other", "two"), from, (hour < 5).then(|| sample("gone", "", 1.0)));
        store.maintain(from + HOUR);
    }
    let end = NOW + 120 * HOUR;
    let since = store.complete_since(only(&store, "counter"));
    assert!((end - 8 * HOUR..=end - 6 * HOUR).contains(&since), "{}", (end - since) / HOUR);
    let points = numbers(&store, "counter");
    let oldest = points[0].0;
    assert!((end - 4 * DAY..=end - 3 * DAY + HOUR).contains(&oldest), "{}", (end - oldest) / HOUR);
    for pair in points.windows(2) {
        let expected = if pair[0].0 < since { 5 * MINUTE } else { 15 * SECOND };
        assert!(pair[1].0 - pair[0].0 <= expected, "{pair:?}");
        assert_eq!(pair[1].1, ((pair[1].0 - NOW) / SECOND) as f64, "the value belongs to its time");
    }
    assert!(points.windows(2).filter(|pair| pair[1].0 - pair[0].0 < 5 * MINUTE).count() < 8 * 240 + 72);
    let expected: Vec<_> = points.iter().map(|(at, number)| (*at, histogram(*number))).collect();
    assert_eq!(histograms(&store, "histogram"), expected);
    let recorded = numbers(&store, "recording");
    assert!(recorded.windows(2).all(|pair| pair[1].0 - pair[0].0 == MINUTE), "recordings are not rolled up");
    assert!(recorded.len() >= 3 * 24 * 60);
    assert!(store.series("gone").is_empty(), "the series went with its samples");
    assert_eq!(store.usage().series, 3);
}

#[test]
fn samples_beyond_the_limits_are_refused() {
    let limits = Limits { series: 3, labels: 2, text: 10, buckets: 1, ..Limits::default() };
    let mut store = MetricStore::in_memory(limits);
    let three = labels(&[("a", "1"), ("b", "2"), ("c", "3")]);
    let number = |name: &str, labels| Sample { name: name.into(), labels, value: Value::Number(1.0) };
    let buckets = Histogram { buckets: vec![(1, 1.0), (2, 1.0)], ..histogram(2.0) };
    let cases = [
        (number("a", three), DropReason::TooManyLabels),
        (number("a123456789x", labels(&[])), DropReason::TooLong),
        (number("a", labels(&[("a123456789x", "v")])), DropReason::TooLong),
        (number("a", labels(&[("n", "a123456789x")])), DropReason::TooLong),
        (histogram_sample("a", buckets), DropReason::TooManyBuckets),
    ];
    for (sample, reason) in cases {
        let appended = store.append(&process(), NOW, [sample]);
        assert_eq!((appended.refused.get(reason), appended.accepted), (1, 0), "{reason:?}");
    }
    let four = ["a", "b", "c", "d"].map(|name| sample(name, "x", 1.0));
    let appended = store.append(&process(), NOW, four.clone());
    assert_eq!((appended.accepted, appended.refused.get(DropReason::TooManySeries)), (3, 1));
    // Another process is refused unless the first has ended.
    let two = Origin::process("shop/socialize", "two");
    assert_eq!(store.append(&two, NOW + MINUTE, [sample("e", "x", 1.0)]).refused.total(), 1);
    assert_eq!(store.append(&two, NOW + 2 * HOUR, [sample("e", "x", 1.0)]).accepted, 1);
    assert!(store.series("a").is_empty());
}

#[test]
fn memory_stays_within_its_limit() {
    let limits = Limits { memory: 600_000, ..Limits::default() };
    let mut store = MetricStore::in_memory(limits);
    for hour in 0..40 {
        for at in (NOW + hour * HOUR..NOW + (hour + 1) * HOUR).step_by(15 * SECOND as usize) {
            let noise = |series: usize| ((at / 1000) as f64 * (series + 1) as f64).sin();
            let samples = (0..20).map(|series| sample("noise", &series.to_string(), noise(series)));
            assert_eq!(store.append(&process(), at, samples).accepted, 20);
        }
        store.maintain(NOW + (hour + 1) * HOUR);
        assert!(store.usage().memory <= limits.memory, "{hour}: {:?}", store.usage());
    }
    let since = store.complete_since(store.series("noise")[0]);
    assert!(since > NOW, "it was rolled up earlier");
    assert!(store.usage().oldest.unwrap() < since);
}

#[test]
fn a_metric_that_changes_its_kind_becomes_another_series() {
    let mut store = MetricStore::in_memory(Limits::default());
    let number = Sample { name: "a".into(), labels: labels(&[]), value: Value::Number(1.0) };
    store.append(&process(), NOW, [number]);
    store.append(&process(), NOW + MINUTE, [histogram_sample("a", histogram(1.0))]);
    assert_eq!(store.series("a").len(), 2);
}

#[test]
fn a_recording_can_move_to_another_group() {
    let mut store = MetricStore::in_memory(Limits::default());
    for (minute, group) in ["one", "two", "one"].into_iter().enumerate() {
        let at = NOW + minute as i64 * MINUTE;
        let appended = store.append(&Origin::rules(group), at, [sample("r", "", minute as f64)]);
        assert_eq!(appended.accepted, 1, "{group}");
    }
    assert_eq!(numbers(&store, "r"), [(NOW, 0.0), (NOW + MINUTE, 1.0), (NOW + 2 * MINUTE, 2.0)]);
}

#[test]
fn the_newest_exemplars_of_a_series_are_kept() {
    let mut store = MetricStore::in_memory(Limits::default());
    store.append(&process(), NOW, [histogram_sample("h", histogram(1.0))]);
    let exemplar = |at| Exemplar { at, value: 1.0, trace_id: [1; 16], span_id: [2; 8] };
    for at in [1, 1, 2, 3, 4, 5, 6, 7, 8, 9] {
        let exemplars = vec![exemplar(at)];
        store.append_exemplars(vec![Exemplars { name: "h".into(), labels: labels(&[]), exemplars }]);
    }
    let kept: Vec<_> = store.exemplars(only(&store, "h")).map(|exemplar| exemplar.at).collect();
    assert_eq!(kept, [2, 3, 4, 5, 6, 7, 8, 9]);
}

proptest! {
    #[test]
    fn the_store_returns_what_was_appended(
        collections in prop::collection::vec(
            (1..200_i64, prop::collection::btree_map(0..4_usize, 0..3_i32, 1..4)),
            1..400,
        ),
        after in 0..200_i64,
        until in 0..200_i64,
    ) {
        let mut store = MetricStore::in_memory(Limits::default());
        let mut expected: BTreeMap<String, Vec<(i64, f64)>> = BTreeMap::new();
        let mut at = NOW;
        for (minutes, numbers) in &collections {
            at += minutes * 10 * SECOND;
            let samples: Vec<_> = numbers
                .iter()
                .map(|(series, number)| sample(&format!("m{series}"), "", f64::from(*number)))
                .collect();
            for sample in &samples {
                let Value::Number(number) = sample.value else { unreachable!() };
                expected.entry(sample.name.to_string()).or_default().push((at, number));
            }
            prop_assert_eq!(store.append(&process(), at, samples).refused.total(), 0);
        }
        let (after, until) = (NOW + after * MINUTE, NOW + until * MINUTE);
        for (name, points) in expected {
            prop_assert_eq!(&numbers(&store, &name), &points);
            let Points::Numbers(read) = store.read(only(&store, &name), after, until) else { panic!() };
            let within: Vec<_> = points.into_iter().filter(|(at, _)| *at > after && *at <= until).collect();
            prop_assert_eq!(read, within);
        }
    }
}
