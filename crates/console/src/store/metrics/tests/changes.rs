//! Changes within windows equal those that follow from all samples.

use proptest::prelude::*;

use super::*;

/// A sample, or none.
#[derive(Clone, Debug)]
enum Step {
    Observed(Vec<i32>),
    Restarted(Vec<i32>),
    NanObserved,
    Ended,
    Missing,
    Unchanged(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let buckets = || prop::collection::vec(-3..40_i32, 1..4);
    prop_oneof![
        12 => buckets().prop_map(Step::Observed),
        1 => buckets().prop_map(Step::Restarted),
        1 => Just(Step::Ended),
        1 => Just(Step::Missing),
        4 => (1..90_usize).prop_map(Step::Unchanged),
    ]
}

/// Samples every 15 seconds, in several blocks; some of the series observe NaN.
fn samples() -> impl Strategy<Value = Vec<Option<Histogram>>> {
    let nan = prop_oneof![3 => Just(None), 1 => (0..40_usize).prop_map(Some)];
    (prop::collection::vec(step(), 1..60), nan).prop_map(|(mut steps, nan)| {
        if let Some(position) = nan {
            steps.insert(position.min(steps.len()), Step::NanObserved);
        }
        let mut total = Histogram::default();
        let mut samples = Vec::new();
        for step in steps {
            let observed = match step {
                Step::Observed(buckets) => buckets,
                Step::Restarted(buckets) => {
                    total = Histogram::default();
                    buckets
                }
                Step::NanObserved => {
                    total.count += 1.0;
                    Vec::new()
                }
                Step::Ended => {
                    samples.push(Some(Histogram { sum: STALE, ..Histogram::default() }));
                    continue;
                }
                Step::Missing => {
                    samples.push(None);
                    continue;
                }
                Step::Unchanged(times) => {
                    samples.extend(std::iter::repeat_n(Some(total.clone()), times));
                    continue;
                }
            };
            for bucket in observed {
                total.count += 1.0;
                if bucket < 0 {
                    total.zero_count += 1.0;
                    continue;
                }
                total.sum += 0.25;
                match total.buckets.binary_search_by_key(&bucket, |(index, _)| *index) {
                    Ok(place) => total.buckets[place].1 += 1.0,
                    Err(place) => total.buckets.insert(place, (bucket, 1.0)),
                }
            }
            samples.push(Some(total.clone()));
        }
        samples
    })
}

fn changes(points: CounterPoints) -> WindowChanges {
    match points {
        CounterPoints::Histograms(changes) => changes,
        CounterPoints::Numbers(_) => panic!("numbers"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn changes_are_those_of_all_samples(
        samples in samples(),
        distance in 1..120_usize,
        length in 1..900_usize,
        after in 0..600_i64,
        duration in 0..1_200_i64,
        detailed: bool,
        rolled_up: bool,
        read_before: bool,
    ) {
        let mut store = MetricStore::in_memory(Limits::default());
        for (position, sample) in (0_i64..).zip(&samples) {
            let at = NOW + position * 15 * SECOND;
            // Another series, so that the clock ticks in gaps as well.
            let mut collected = vec![sample_of_clock()];
            collected.extend(sample.clone().map(|histogram| histogram_sample("histogram", histogram)));
            store.append(&process(), at, collected);
        }
        if rolled_up {
            store.maintain(NOW + 4 * DAY);
        }
        let Some(series) = store.series("histogram").first().copied() else { return Ok(()) };
        if read_before {
            // Blocks remember that no count fell.
            store.read_counter(series, NOW - SECOND, NOW + DAY, false, &|_| Vec::new());
        }
        let (after, until) = (NOW + after * 15 * SECOND, NOW + (after + duration) * 15 * SECOND);
        let windows = |times: &[i64]| -> Vec<(usize, usize)> {
            let firsts = (0..times.len().saturating_sub(1)).step_by(distance);
            firsts.map(|first| (first, (first + length).min(times.len() - 1))).collect()
        };
        let mut expected = changes(CounterPoints::of(store.read(series, after, until), &windows));
        let found = changes(store.read_counter(series, after, until, detailed, &windows));
        if !detailed {
            expected.changes.iter_mut().for_each(|change| change.change.buckets.clear());
        }
        prop_assert_eq!(&found.times, &expected.times);
        prop_assert_eq!(&found.resets, &expected.resets);
        prop_assert_eq!(&found.changes, &expected.changes);
    }
}

fn sample_of_clock() -> Sample {
    sample("clock", "a", 1.0)
}
