//! Measurements, ignored by default: `cargo test --release -p console store::metrics::tests::measure --
//! --ignored --nocapture`

use std::time::Duration;

use super::*;

const SERIES: usize = 3000;

/// The series of a process.
fn series_of(instance: usize) -> Vec<(Arc<str>, Labels)> {
    let series = |series: usize| {
        let labels = labels(&[
            ("deployment_environment_name", "measurement"),
            ("instance", &format!("instance-{instance}")),
            ("job", "shop/socialize"),
            ("http_route", &format!("/route/{}", series % 97)),
            ("outcome", &format!("outcome-{}", series / 97)),
        ]);
        (format!("metric_{}", series % 150).into(), labels)
    };
    (0..SERIES).map(series).collect()
}

/// Returns a pseudo-random number.
fn random(seed: u64, below: u64) -> u64 {
    let mut bits = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (seed >> 29);
    bits = (bits ^ (bits >> 32)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (bits ^ (bits >> 31)) % below
}

/// Of 100 series, three are busy counters, two are gauges, one is a busy histogram with a third of its
/// buckets changing each time, and four are counters that change every ten minutes. The others are counters
/// and histograms that never change.
fn value(series: usize, round: u64) -> Value {
    let busy = series as u64 % 7 + 1;
    match series % 100 {
        0..3 => Value::Number((round * busy + random(round * 31 + series as u64, busy)) as f64),
        3 | 4 => Value::Number(random(round * 17 + series as u64, 100_000) as f64 / 1000.0),
        5 => {
            let bucket = |bucket: u64| (bucket as i32 - 60, (round * busy + bucket) / 3);
            let buckets: Vec<_> = (0..12).map(bucket).map(|(index, count)| (index, count as f64)).collect();
            let buckets: Vec<_> = buckets.into_iter().filter(|(_, count)| *count > 0.0).collect();
            let count = buckets.iter().map(|(_, count)| count).sum();
            let sum = (round * 12_345_678 + random(round, 1_000_000)) as f64 / 1e9;
            Value::Histogram(Arc::new(Histogram { count, sum, zero_count: 0.0, buckets }))
        }
        6..10 => Value::Number((round / 40) as f64),
        10..30 => Value::Histogram(Arc::default()),
        _ => Value::Number(0.0),
    }
}

/// Processor time of this thread. Unlike wall-clock time, it hardly depends on the load of the machine.
fn computed() -> Duration {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(statistics.split(' ').next().unwrap().parse().unwrap())
}

fn mib(usage: &Usage) -> f64 {
    usage.memory as f64 / 1_048_576.0
}

#[test]
#[ignore = "a measurement"]
fn thirty_days_of_two_processes() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = MetricStore::open(directory.path(), Limits::default(), NOW).unwrap();
    let origins: Vec<_> =
        (0..2).map(|n| Origin::process("shop/socialize", format!("instance-{n}"))).collect();
    // Older days have one sample per five minutes, as after the roll-up.
    let mut now = NOW;
    let series: Vec<_> = (0..2).map(series_of).collect();
    let append = |store: &mut MetricStore, now: i64| {
        let round = ((now - NOW) / SECOND) as u64 / 15;
        for (origin, series) in origins.iter().zip(&series) {
            let sample = |(position, (name, labels)): (usize, &(Arc<str>, Labels))| Sample {
                name: name.clone(),
                labels: labels.clone(),
                value: value(position, round),
            };
            let appended = store.append(origin, now, series.iter().enumerate().map(sample));
            assert_eq!(appended.accepted as usize, SERIES);
        }
    };
    while now < NOW + 28 * DAY {
        append(&mut store, now);
        now += 5 * MINUTE;
        store.maintain(now);
        flush(&mut store, now);
    }
    let before = store.usage();
    eprintln!("28 days at 5 minutes: {:.1} MiB, {} samples", mib(&before), before.samples);
    let started = computed();
    let mut collections = 0;
    while now < NOW + 30 * DAY {
        append(&mut store, now);
        now += 15 * SECOND;
        collections += 1;
        if collections % 4 == 0 {
            store.maintain(now);
            flush(&mut store, now);
        }
    }
    let took = (computed() - started) / collections;
    let usage = store.usage();
    eprintln!("and 2 days at 15 seconds: {:.1} MiB, {} samples", mib(&usage), usage.samples);
    eprintln!("{:.2} bytes a sample; {took:?} a collection", usage.memory as f64 / usage.samples as f64);
    let started = computed();
    let all: usize = (0..150)
        .flat_map(|metric| store.series(&format!("metric_{metric}")))
        .map(|series| match store.read(series, now - DAY, now) {
            Points::Numbers(points) => points.len(),
            Points::Histograms(points) => points.len(),
        })
        .sum();
    eprintln!("all series of 24 hours: {:?} for {all} samples", (computed() - started));
    drop(store);
    let started = computed();
    let store = MetricStore::open(directory.path(), Limits::default(), now).unwrap();
    eprintln!("start: {:?}", (computed() - started));
    let reopened = store.usage();
    assert_eq!(reopened.problems, Vec::<String>::new());
    eprintln!(
        "after the start: {:.1} MiB; on disk: {:.1} MiB",
        mib(&reopened),
        reopened.disk as f64 / 1048576.0
    );
}
