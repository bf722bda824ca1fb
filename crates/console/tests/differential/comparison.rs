//! The comparison of all queries and their parts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use console::evaluate::{Context, Range, Refusal, ResultSeries, ResultValues, SharedResults, evaluate};
use console::store::metrics::{Histogram, Labels};
use monitoring::query::Expression;
use prost::Message;

use crate::data::{DAY, HOUR, MINUTE, Process, Random, SECOND, START, process, recorded};
use crate::prometheus::{Found, Prometheus, Results};
use crate::queries::{all_parts, has_ties};
use crate::store::Receiver;

/// Maximum difference, relative to the larger value.
const TOLERANCE: f64 = 1e-9;

/// Series of each metric of a process.
const SERIES: usize = 8;

/// Maximum number of listed results that only Prometheus or only the console has.
const MOST_LISTED: usize = 60;

/// Variable with a number n: compares one expression in n. All take a long time in a debug build.
const ONE_IN: &str = "SOCIALIZE_COMPARED_ONE_IN";

fn processes() -> Vec<Process> {
    let mut first = process("api-1", "api", SERIES);
    let mut second = process("api-2", "api", SERIES);
    let dense = START + 7 * DAY;
    first.restarts = vec![START + DAY, dense - 2 * HOUR, dense + 31 * MINUTE];
    second.delay = 137;
    second.gaps = vec![(START + 3 * DAY, START + 4 * DAY), (dense + 40 * MINUTE, dense + 47 * MINUTE)];
    second.restarts = vec![dense + 43 * MINUTE, dense + 70 * MINUTE];
    vec![first, second]
}

/// A week with a collection every ten minutes, then 90 minutes at the real interval.
fn times() -> Vec<i64> {
    let week = (0..7 * DAY / (10 * MINUTE)).map(|position| START + position * 10 * MINUTE);
    let dense = (0..90 * MINUTE / (15 * SECOND)).map(|position| START + 7 * DAY + position * 15 * SECOND);
    week.chain(dense).collect()
}

fn fill(prometheus: &Prometheus, receiver: &Receiver) {
    let send = |body: Vec<u8>| {
        prometheus.export(&body);
        receiver.receive(body);
    };
    let mut processes = processes();
    let mut random = Random::new("recordings");
    let mut before = START;
    let mut minute = START;
    for at in times() {
        // Rules are evaluated every minute, also while collections are rare.
        while minute <= at {
            send(recorded(minute, &mut random).encode_to_vec());
            minute += MINUTE;
        }
        for process in &mut processes {
            if let Some(request) = process.collect(at, before) {
                send(request.encode_to_vec());
            }
        }
        before = at;
    }
}

/// A mode of evaluation.
#[derive(Clone, Copy, Debug)]
struct Setting {
    range: Range,
    rate_interval: i64,
}

fn settings() -> Vec<Setting> {
    let dense = START + 7 * DAY;
    let instant = |at| Setting { range: Range::instant(at), rate_interval: 5 * MINUTE };
    let range =
        |start, end, step, rate_interval| Setting { range: Range { start, end, step }, rate_interval };
    vec![
        instant(dense + 30 * MINUTE),
        instant(dense + 44 * MINUTE + 123),
        instant(dense + 90 * MINUTE),
        range(dense, dense + 90 * MINUTE, 47 * SECOND, MINUTE),
        range(START - HOUR, dense + 2 * HOUR, 2 * HOUR, 2 * HOUR + 15 * SECOND),
    ]
}

fn variables(name: &str) -> Option<String> {
    match name {
        "instance" => Some("api-1|api-2".to_owned()),
        "route" => Some("/v1/.+".to_owned()),
        _ => None,
    }
}

/// The text for Prometheus, with Grafana's variables replaced.
fn text(expression: &str, setting: Setting) -> String {
    let length = ((setting.range.end - setting.range.start) / SECOND).max(3600);
    expression
        .replace("$__rate_interval", &format!("{}s", setting.rate_interval / SECOND))
        .replace("$__range", &format!("{length}s"))
        .replace("$__interval_ms", &setting.range.step.to_string())
        .replace("$instance", "api-1|api-2")
        .replace("$route", "/v1/.+")
        .replace("$environment", ".*")
}

fn milliseconds(length: i64) -> std::time::Duration {
    std::time::Duration::from_millis(length.cast_unsigned())
}

fn ours(
    receiver: &Receiver,
    expression: &Expression,
    setting: Setting,
    shared: &SharedResults,
) -> Result<Results, Refusal> {
    let length = ((setting.range.end - setting.range.start) / SECOND).max(3600) * SECOND;
    let context = Context {
        range: setting.range,
        interval: milliseconds(setting.range.step),
        rate_interval: milliseconds(setting.rate_interval),
        whole_range: milliseconds(length),
        variables: &variables,
        shared: Some(shared),
        ..Context::rule(setting.range.end)
    };
    let results = receiver.with(|store| evaluate(store, expression, &context))?;
    Ok(by_labels(&results, setting.range))
}

fn by_labels(series: &[ResultSeries], range: Range) -> Results {
    let mut results = Results::new();
    for series in series {
        let values = results.entry(series.labels.clone()).or_default();
        let at = |step: usize| range.start + step as i64 * range.step;
        match &series.values {
            ResultValues::Numbers(numbers) => {
                let found = numbers.iter().enumerate();
                values.extend(found.filter_map(|(step, number)| Some((at(step), Found::Number((*number)?)))));
            }
            ResultValues::Histograms(histograms) => {
                let found = histograms.iter().enumerate();
                values.extend(found.filter_map(|(step, histogram)| {
                    let histogram = Histogram::clone(histogram.as_ref()?);
                    Some((at(step), Found::Histogram(histogram)))
                }));
            }
        }
    }
    results.retain(|_, values| !values.is_empty());
    results
}

fn same_number(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= TOLERANCE * a.abs().max(b.abs())
}

fn same(a: &Found, b: &Found) -> bool {
    match (a, b) {
        (Found::Number(a), Found::Number(b)) => same_number(*a, *b),
        (Found::Histogram(a), Found::Histogram(b)) => {
            // The difference of equal counts may be a rounding error instead of zero.
            let counted = |histogram: &Histogram| -> BTreeMap<i32, f64> {
                let relevant = |count: f64| count.abs() > TOLERANCE * histogram.count.abs();
                histogram.buckets.iter().filter(|(_, count)| relevant(*count)).copied().collect()
            };
            let (a_counts, b_counts) = (counted(a), counted(b));
            same_number(a.count, b.count)
                && same_number(a.sum, b.sum)
                && same_number(a.zero_count, b.zero_count)
                && a_counts.len() == b_counts.len()
                && a_counts.iter().zip(&b_counts).all(|(a, b)| a.0 == b.0 && same_number(*a.1, *b.1))
        }
        _ => false,
    }
}

/// Returns the first difference of two results.
fn difference(theirs: &Results, ours: &Results) -> Option<String> {
    let labels: BTreeSet<&Labels> = theirs.keys().chain(ours.keys()).collect();
    for labels in labels {
        let (theirs, ours) = (theirs.get(labels), ours.get(labels));
        let times: BTreeSet<i64> =
            theirs.into_iter().chain(ours).flat_map(|values| values.keys().copied()).collect();
        for at in times {
            let of =
                |values: Option<&BTreeMap<i64, Found>>| values.and_then(|values| values.get(&at).cloned());
            let (theirs, ours) = (of(theirs), of(ours));
            let equal = match (&theirs, &ours) {
                (Some(theirs), Some(ours)) => same(theirs, ours),
                _ => false,
            };
            if !equal {
                let labels: Vec<_> = labels.iter().collect();
                return Some(format!("{labels:?} at {at}: Prometheus {theirs:?}, console {ours:?}"));
            }
        }
    }
    None
}

/// Returns the first time at which the values of any series differ.
fn difference_of_values(theirs: &Results, ours: &Results) -> Option<String> {
    let by_time = |results: &Results| {
        let mut by_time: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
        for (at, value) in results.values().flatten() {
            if let Found::Number(number) = value {
                by_time.entry(*at).or_default().push(*number);
            }
        }
        by_time.values_mut().for_each(|numbers| numbers.sort_by(f64::total_cmp));
        by_time
    };
    let (theirs, ours) = (by_time(theirs), by_time(ours));
    let times: BTreeSet<&i64> = theirs.keys().chain(ours.keys()).collect();
    times.into_iter().find_map(|at| {
        let (theirs, ours) = (theirs.get(at), ours.get(at));
        let equal = match (theirs, ours) {
            (Some(a), Some(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_number(*a, *b)),
            _ => false,
        };
        (!equal).then(|| format!("at {at}: Prometheus {theirs:?}, console {ours:?}"))
    })
}

#[test]
#[ignore = "needs the real Prometheus"]
fn every_query_and_each_of_its_parts_has_the_results_of_prometheus() {
    let directory = tempfile::tempdir().expect("a directory");
    let prometheus = Prometheus::start(directory.path());
    let receiver = Receiver::new();
    fill(&prometheus, &receiver);
    let one_in = crate::variable(ONE_IN).map_or(1, |number| number.parse().expect("a number"));
    let parts: Vec<_> = all_parts().into_iter().step_by(one_in).collect();
    let shared: Vec<SharedResults> = settings().iter().map(|_| SharedResults::default()).collect();
    let (mut compared, mut not_empty, mut values, mut failures) = (0, 0, 0, Vec::new());
    for (name, expression) in &parts {
        let mut found_any = false;
        for (setting, shared) in settings().into_iter().zip(&shared) {
            let query = text(name, setting);
            let range = setting.range;
            let theirs = if range.start == range.end {
                prometheus.at(&query, range.start)
            } else {
                prometheus.over(&query, range.start, range.end, range.step)
            };
            let ours = ours(&receiver, expression, setting, shared);
            compared += 1;
            let difference = match (&theirs, &ours) {
                (Ok(theirs), Ok(ours)) => {
                    found_any |= !theirs.is_empty();
                    values += theirs.values().map(BTreeMap::len).sum::<usize>();
                    if has_ties(expression) {
                        difference_of_values(theirs, ours)
                    } else {
                        difference(theirs, ours)
                    }
                }
                (Err(theirs), Ok(_)) => Some(format!("Prometheus: {theirs}")),
                (Ok(_), Err(refusal)) => Some(format!("refused: {refusal}")),
                (Err(_), Err(_)) => None,
            };
            if let Some(difference) = difference {
                failures.push(format!("{query}\n    {difference}"));
            }
        }
        not_empty += usize::from(found_any);
    }
    let mut report = format!(
        "{} expressions, {not_empty} with results; {compared} evaluations, {values} values; {} differ\n",
        parts.len(),
        failures.len()
    );
    for failure in failures.iter().take(MOST_LISTED) {
        let _ = writeln!(report, "{failure}");
    }
    eprintln!("{report}");
    assert!(failures.is_empty(), "results differ from those of Prometheus");
    assert!(2 * not_empty > parts.len(), "most queries have no result, so the data is not like the real");
}
