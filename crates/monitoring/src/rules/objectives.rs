//! Alerts about what was promised: budgets of failing and of slow requests that are used up too fast.

use std::time::Duration;

use super::cases::{case, fires, silent};
use super::requests::failing_lines;
use super::rule_file::interval;
use super::thresholds::{AVAILABILITY_OBJECTIVE, FEWEST_ERRORS, LATENCY_OBJECTIVE, LONG, SLOW_REQUEST};
use super::{
    Alert, DashboardUid, FAILED_REQUESTS, Look, REQUESTS, Runbook, SLOW_REQUESTS, Series, Severity, metrics,
};
use crate::query::{Recording, RequestFailure, Route, Scale, Total, Vector, requests, spans};

pub(super) fn alerts(scale: Scale) -> Vec<Alert> {
    vec![
        burning(scale, &AVAILABILITY, &FAST),
        burning(scale, &AVAILABILITY, &SLOW),
        burning(scale, &LATENCY, &FAST),
        burning(scale, &LATENCY, &SLOW),
    ]
}

const HOUR: Duration = Duration::from_hours(1);

/// A promise about requests, of which a budget may be broken.
struct Objective {
    fast: Title,
    slow: Title,
    what_failed: &'static str,
    promise: f64,
    bad: &'static Recording<Total>,
    meaning: &'static str,
    impact: &'static str,
    confirm: fn() -> [Look; 2],
    remedy: &'static [&'static str],
    /// So many bad requests of so many a minute, for so many minutes.
    traffic: fn(u64, u64, u64) -> Vec<Series>,
}

/// What an alert is called, and what it says in one line.
struct Title {
    name: &'static str,
    summary: &'static str,
}

const AVAILABILITY: Objective = Objective {
    fast: Title {
        name: "AvailabilityBudgetBurningFast",
        summary: "Failing requests use up the error budget within days.",
    },
    slow: Title {
        name: "AvailabilityBudgetBurningSlow",
        summary: "Failing requests use up the error budget.",
    },
    what_failed: "fail",
    promise: AVAILABILITY_OBJECTIVE,
    bad: &FAILED_REQUESTS,
    meaning: "Of a thousand requests of four weeks 995 should succeed. The share that fails has been so high, for so long, that the promise will be broken; the short window shows that it goes on.",
    impact: "Users see errors more often than was promised.",
    confirm: || {
        let failed = requests().is_one_of(RequestFailure::OURS).count().increase(HOUR);
        [metrics("Which routes fail", &failed.sum_by::<Route, _>().above(0.0)), failing_lines()]
    },
    remedy: &[
        "See HighErrorRate for how to find the cause.",
        "Postpone releases that are not about this until the share is below one in two hundred.",
    ],
    traffic: |bad, all, minutes| {
        vec![
            Series::requests(None, &format!("0+{}x{minutes}", all - bad)),
            Series::requests(Some(RequestFailure::Timeout), &format!("0+{bad}x{minutes}")),
            Series::requests_within(Some(SLOW_REQUEST), &format!("0+{all}x{minutes}")),
        ]
    },
};

const LATENCY: Objective = Objective {
    fast: Title {
        name: "LatencyBudgetBurningFast",
        summary: "Slow requests use up the latency budget within days.",
    },
    slow: Title { name: "LatencyBudgetBurningSlow", summary: "Slow requests use up the latency budget." },
    what_failed: "take longer than a second",
    promise: LATENCY_OBJECTIVE,
    bad: &SLOW_REQUESTS,
    meaning: "Ninety-nine of a hundred requests of four weeks should be answered within a second. The share that is not has been so high, for so long, that the promise will be broken; the short window shows that it goes on.",
    impact: "Many users wait.",
    confirm: || {
        let slow = requests().quantile_by::<Route, _>(0.99, HOUR).above(SLOW_REQUEST.seconds());
        [
            metrics("Which routes are slow", &slow),
            Look::Traces("Where their time goes", spans().of_requests().longer_than(1000)),
        ]
    },
    remedy: &[
        "See HighLatency for how to find the cause.",
        "Postpone releases that are not about this until the share is below one in a hundred.",
    ],
    traffic: |bad, all, minutes| {
        vec![
            Series::requests(None, &format!("0+{all}x{minutes}")),
            Series::requests_within(Some(SLOW_REQUEST), &format!("0+{}x{minutes}", all - bad)),
        ]
    },
};

/// How fast a budget of 28 days may be used up, by the multi-window method of the SRE workbook: the long window says that it matters, the
/// short one that it has not stopped.
struct Burn {
    title: fn(&Objective) -> &Title,
    severity: Severity,
    pairs: [(f64, Duration, Duration); 2],
    says: &'static str,
    escalate: &'static str,
    /// What its test shows firing: so many bad requests of a hundred, for so many minutes.
    bad_of_a_hundred: u64,
    /// The same, as the text shows it.
    shown: &'static str,
    minutes: u64,
}

const FAST: Burn = Burn {
    title: |objective| &objective.fast,
    severity: Severity::Critical,
    pairs: [
        (14.4, Duration::from_hours(1), Duration::from_mins(5)),
        (6.0, Duration::from_hours(6), Duration::from_mins(30)),
    ],
    says: "within days",
    escalate: "When the cause is not found within half an hour.",
    bad_of_a_hundred: 20,
    shown: "20%",
    minutes: 90,
};

const SLOW: Burn = Burn {
    title: |objective| &objective.slow,
    severity: Severity::Warning,
    pairs: [
        (3.0, Duration::from_hours(24), Duration::from_hours(2)),
        (1.0, Duration::from_hours(72), Duration::from_hours(6)),
    ],
    says: "before its four weeks are over",
    escalate: "Within the week: something is worse than it was and stays so.",
    bad_of_a_hundred: 4,
    shown: "4%",
    minutes: 3 * 60,
};

fn burning(scale: Scale, objective: &Objective, burn: &Burn) -> Alert {
    let bad = objective.bad;
    let share = |window: Duration| bad.average(window).share_of(REQUESTS.average(window));
    let budget = 1.0 - objective.promise;
    let condition = burn.pairs.iter().map(|(factor, long, short)| {
        let (long, short) = (scale.of(*long), scale.of(*short));
        // A share of fewer events than this says nothing.
        let enough = bad.total(long).times(interval(scale).as_secs_f64()).at_least(FEWEST_ERRORS);
        let limit = rounded(factor * budget);
        share(long).above(limit).and(share(short).above(limit)).and(enough)
    });
    let condition = condition.reduce(|one, other| one.or(other)).unwrap_or_else(Vector::always);
    let title = (burn.title)(objective);
    let traffic = objective.traffic;
    Alert {
        name: title.name,
        severity: burn.severity,
        condition: condition.text().to_owned(),
        pending: scale.of(Duration::from_mins(2)),
        keep_firing: scale.of(LONG),
        summary: title.summary.to_owned(),
        description: format!(
            "{{{{ $value | humanizePercentage }}}} of requests {}. Going on like this breaks the objective of {}% {}.",
            objective.what_failed,
            rounded(objective.promise * 100.0),
            burn.says
        ),
        dashboard: DashboardUid::Overview,
        runbook: Runbook {
            meaning: objective.meaning,
            impact: objective.impact,
            confirm: [
                metrics("The share within the last hour", &share(HOUR)),
                metrics("The share within the last three days", &share(72 * HOUR)),
            ]
            .into_iter()
            .chain((objective.confirm)())
            .collect(),
            remedy: objective.remedy,
            escalate: burn.escalate,
        },
        fires_without_data: false,
        cases: vec![
            case("the budget is kept", burn.minutes, traffic(0, 100, burn.minutes), silent()),
            case(
                "the budget burns",
                burn.minutes,
                traffic(burn.bad_of_a_hundred, 100, burn.minutes),
                fires(burn.shown),
            ),
            case(
                "a first failure among few requests",
                60,
                {
                    let mut series = traffic(0, 1, 60);
                    series.push(Series::requests(Some(RequestFailure::Panic), "0x50 1x10"));
                    series
                },
                silent(),
            ),
            case(
                "a restart resets the counts",
                60,
                vec![
                    Series::requests(None, "0+100x30 0+100x30"),
                    Series::requests_within(Some(SLOW_REQUEST), "0+100x30 0+100x30"),
                    Series::requests(Some(RequestFailure::Timeout), "500x30 0x30"),
                ],
                silent(),
            ),
        ],
    }
}

/// Without the noise that binary fractions leave in the text of a rule.
fn rounded(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}
