//! Durations of a dashboard and of all rules.

use std::time::{Duration, Instant};

use console::evaluate::{Context, Range, SharedResults, evaluate, evaluate_at};
use prost::Message;

use crate::data::{DAY, HOUR, SECOND, START, process};
use crate::queries::{charts, rules};
use crate::store::Receiver;

/// Most series per metric. Two processes have about 750 in all.
const SERIES: usize = 26;

/// Points of a chart.
const POINTS: i64 = 360;

#[test]
#[ignore = "measures; only meaningful in a release build"]
fn a_dashboard_of_a_day_and_all_rules_are_fast() {
    let receiver = Receiver::new();
    let mut processes = [process("api-1", "api", SERIES), process("api-2", "api", SERIES)];
    let count: usize = processes.iter().map(|process| process.series.len()).sum();
    let end = START + DAY + HOUR;
    let mut at = START;
    while at <= end {
        for process in &mut processes {
            if let Some(request) = process.collect(at, at) {
                receiver.receive(request.encode_to_vec());
            }
        }
        at += 15 * SECOND;
    }
    let range = Range { start: end - DAY, end, step: DAY / POINTS };
    let variables = |_: &str| None;
    eprintln!("{count} series, a day every 15 s, {POINTS} points");
    receiver.with(|store| {
        for charts in charts() {
            let started = Instant::now();
            let mut slowest = (Duration::ZERO, String::new());
            let shared = SharedResults::default();
            let context = Context {
                shared: Some(&shared),
                ..Context::panel(range, Duration::from_secs(15), &variables)
            };
            for expression in &charts.expressions {
                let started = Instant::now();
                let _ = evaluate(store, expression, &context);
                slowest = slowest.max((started.elapsed(), expression.to_string()));
            }
            let (all, number) = (started.elapsed(), charts.expressions.len());
            eprintln!("{:9.1?} {number:3} queries of {}, slowest {:.1?}", all, charts.name, slowest.0);
            eprintln!("          {}", slowest.1);
        }
        let rules = rules();
        let started = Instant::now();
        for rule in &rules {
            let _ = evaluate_at(store, rule, end);
        }
        eprintln!("{:9.1?} {:3} rules once", started.elapsed(), rules.len());
    });
}
