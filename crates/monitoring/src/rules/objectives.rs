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

/// A promise about requests, of which a budget may be broken.
struct Objective {
    /// Its word in names of alerts.
    name: &'static str,
    what_failed: &'static str,
    promise: f64,
    bad: &'static Recording<Total>,
}

const AVAILABILITY: Objective = Objective {
    name: "Availability",
    what_failed: "fail",
    promise: AVAILABILITY_OBJECTIVE,
    bad: &FAILED_REQUESTS,
};

const LATENCY: Objective = Objective {
    name: "Latency",
    what_failed: "take longer than a second",
    promise: LATENCY_OBJECTIVE,
    bad: &SLOW_REQUESTS,
};

/// How fast a budget of 28 days may be used up, by the multi-window method of the SRE workbook: the long window says that it matters, the
/// short one that it has not stopped.
struct Burn {
    name: &'static str,
    severity: Severity,
    pairs: [(f64, Duration, Duration); 2],
    says: &'static str,
    escalate: &'static str,
}

const FAST: Burn = Burn {
    name: "Fast",
    severity: Severity::Critical,
    pairs: [
        (14.4, Duration::from_hours(1), Duration::from_mins(5)),
        (6.0, Duration::from_hours(6), Duration::from_mins(30)),
    ],
    says: "within days",
    escalate: "When the cause is not found within half an hour.",
};

const SLOW: Burn = Burn {
    name: "Slow",
    severity: Severity::Warning,
    pairs: [
        (3.0, Duration::from_hours(24), Duration::from_hours(2)),
        (1.0, Duration::from_hours(72), Duration::from_hours(6)),
    ],
    says: "before its four weeks are over",
    escalate: "Within the week: something is worse than it was and stays so.",
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
    let (name, summary) = match (objective.name, burn.name) {
        ("Availability", "Fast") => {
            ("AvailabilityBudgetBurningFast", "Failing requests use up the error budget within days.")
        }
        ("Availability", _) => ("AvailabilityBudgetBurningSlow", "Failing requests use up the error budget."),
        (_, "Fast") => ("LatencyBudgetBurningFast", "Slow requests use up the latency budget within days."),
        _ => ("LatencyBudgetBurningSlow", "Slow requests use up the latency budget."),
    };
    let is_latency = objective.name == "Latency";
    let traffic = |bad: u64, all: u64, minutes: u64| {
        let good = all - bad;
        if is_latency {
            vec![
                Series::requests(None, &format!("0+{all}x{minutes}")),
                Series::requests_within(Some(SLOW_REQUEST), &format!("0+{good}x{minutes}")),
            ]
        } else {
            vec![
                Series::requests(None, &format!("0+{good}x{minutes}")),
                Series::requests(Some(RequestFailure::Timeout), &format!("0+{bad}x{minutes}")),
                Series::requests_within(Some(SLOW_REQUEST), &format!("0+{all}x{minutes}")),
            ]
        }
    };
    let share_shown = if burn.name == "Fast" { "20%" } else { "4%" };
    let (burning_bad, steady_minutes) = if burn.name == "Fast" { (20, 90) } else { (4, 3 * 60) };
    Alert {
        name,
        severity: burn.severity,
        condition: condition.text().to_owned(),
        pending: scale.of(Duration::from_mins(2)),
        keep_firing: scale.of(LONG),
        summary: summary.to_owned(),
        description: format!(
            "{{{{ $value | humanizePercentage }}}} of requests {}. Going on like this breaks the objective of {}% {}.",
            objective.what_failed,
            rounded(objective.promise * 100.0),
            burn.says
        ),
        dashboard: DashboardUid::Overview,
        runbook: Runbook {
            meaning: if is_latency {
                "Ninety-nine of a hundred requests of four weeks should be answered within a second. The share that is not has been so high, for so long, that the promise will be broken; the short window shows that it goes on."
            } else {
                "Of a thousand requests of four weeks 995 should succeed. The share that fails has been so high, for so long, that the promise will be broken; the short window shows that it goes on."
            },
            impact: if is_latency {
                "Many users wait."
            } else {
                "Users see errors more often than was promised."
            },
            confirm: vec![
                metrics(
                    "The share within the last hour",
                    &bad.average(Duration::from_hours(1)).share_of(REQUESTS.average(Duration::from_hours(1))),
                ),
                metrics(
                    "The share within the last three days",
                    &bad.average(Duration::from_hours(72))
                        .share_of(REQUESTS.average(Duration::from_hours(72))),
                ),
                if is_latency {
                    metrics(
                        "Which routes are slow",
                        &requests()
                            .quantile_by::<Route, _>(0.99, Duration::from_hours(1))
                            .above(SLOW_REQUEST.seconds()),
                    )
                } else {
                    metrics(
                        "Which routes fail",
                        &requests()
                            .is_one_of(RequestFailure::OURS)
                            .count()
                            .increase(Duration::from_hours(1))
                            .sum_by::<Route, _>()
                            .above(0.0),
                    )
                },
                if is_latency {
                    Look::Traces("Where their time goes", spans().of_requests().longer_than(1000))
                } else {
                    failing_lines()
                },
            ],
            remedy: if is_latency {
                &[
                    "See HighLatency for how to find the cause.",
                    "Postpone releases that are not about this until the share is below one in a hundred.",
                ]
            } else {
                &[
                    "See HighErrorRate for how to find the cause.",
                    "Postpone releases that are not about this until the share is below one in two hundred.",
                ]
            },
            escalate: burn.escalate,
        },
        fires_without_data: false,
        cases: vec![
            case("the budget is kept", steady_minutes, traffic(0, 100, steady_minutes), silent()),
            case(
                "the budget burns",
                steady_minutes,
                traffic(burning_bad, 100, steady_minutes),
                fires(share_shown),
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
