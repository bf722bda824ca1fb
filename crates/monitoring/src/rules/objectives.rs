//! Alerts about the service level objectives: error budgets and latency budgets that burn too fast.

use std::time::Duration;

use catalogue::labels::Dependency;
use catalogue::metrics::DEPENDENCY_UP;

use super::alert::interval;
use super::cases::{Case, Length, Moment, beside, case, fires_with, silent};
use super::requests::failing_lines;
use super::thresholds::{
    AVAILABILITY_OBJECTIVE, FEWEST_BUDGET_FAILURES, LATENCY_OBJECTIVE, LONG, SLOW_REQUEST, WINDOW_COVERAGE,
};
use super::{
    Alert, DashboardUid, FAILED_REQUESTS, LATER, Look, RECORDED, REQUESTS, Runbook, SLOW_REQUESTS, Series,
    Severity, TIMED_REQUESTS, metrics,
};
use crate::query::{Recording, RequestFailure, Route, Scale, Total, Vector, requests, select, spans};

pub(super) fn alerts(scale: Scale) -> Vec<Alert> {
    vec![availability_burning_fast(scale)]
}

pub(super) fn slow_alerts(scale: Scale) -> Vec<Alert> {
    vec![availability_burning_slow(scale), latency_burning(scale)]
}

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// A service level objective for requests, with an error budget.
struct Objective {
    promise: f64,
    bad: &'static Recording<Total>,
    all: &'static Recording<Total>,
}

const AVAILABILITY: Objective =
    Objective { promise: AVAILABILITY_OBJECTIVE, bad: &FAILED_REQUESTS, all: &REQUESTS };

const LATENCY: Objective =
    Objective { promise: LATENCY_OBJECTIVE, bad: &SLOW_REQUESTS, all: &TIMED_REQUESTS };

/// A burn rate of the 28-day budget, by the multi-window method of the SRE workbook: the long window shows
/// that the loss is significant, the short one that it continues.
#[derive(Clone)]
struct Burn {
    factor: f64,
    long: Duration,
    short: Duration,
}

const FAST: [Burn; 2] = [
    Burn { factor: 14.4, long: HOUR, short: Duration::from_mins(5) },
    Burn { factor: 6.0, long: Duration::from_hours(6), short: Duration::from_mins(30) },
];

const SLOW: [Burn; 2] = [
    Burn { factor: 3.0, long: DAY, short: Duration::from_hours(2) },
    Burn { factor: 1.0, long: Duration::from_hours(72), short: Duration::from_hours(6) },
];

impl Objective {
    fn share(&self, window: Duration) -> Vector<Total> {
        self.bad.average(window).over(self.all.average(window))
    }

    /// Share of failures above which the budget burns too fast.
    fn limit(&self, burn: &Burn) -> f64 {
        rounded(burn.factor * (1.0 - self.promise))
    }

    /// True while one of these burn rates is exceeded. Windows with few recorded samples, as after
    /// installation, or with few failures do not count.
    fn burns(&self, scale: Scale, burns: &[Burn]) -> Vector<Total> {
        let conditions = burns.iter().map(|burn| {
            let (long, short) = (scale.of(burn.long), scale.of(burn.short));
            let limit = self.limit(burn);
            let failures = self.bad.total(long).times(interval(scale).as_secs_f64());
            let evaluations = (long.as_secs() / interval(scale).as_secs()) as f64;
            self.share(long)
                .above(limit)
                .and(self.share(short).above(limit))
                .and(failures.at_least(FEWEST_BUDGET_FAILURES))
                .and(self.bad.samples_in(long).at_least((evaluations * WINDOW_COVERAGE).floor()))
        });
        conditions.reduce(|one, other| one.or(other)).unwrap_or_else(Vector::nothing)
    }

    fn alert(&self, burns: &Vector<Total>, scale: Scale, about: About) -> Alert {
        Alert {
            name: about.name,
            severity: about.severity,
            condition: burns.expression().clone(),
            pending: scale.of(Duration::from_mins(2)),
            keep_firing: scale.of(LONG),
            summary: about.summary.to_owned(),
            description: format!(
                "{{{{ $value | humanizePercentage }}}} of requests {}. Going on like this breaks the objective of {}%.",
                about.what_is_bad,
                rounded(self.promise * 100.0),
            ),
            dashboard: DashboardUid::Overview,
            runbook: Runbook {
                meaning: about.meaning,
                impact: about.impact,
                confirm: [
                    metrics("The share within the last hour", &self.share(HOUR)),
                    metrics("The share within the last three days", &self.share(72 * HOUR)),
                ]
                .into_iter()
                .chain(about.confirm)
                .collect(),
                remedy: about.remedy,
                escalate: about.escalate,
            },
            fires_without_data: false,
            cases: about.cases,
        }
    }
}

/// Properties that distinguish the alerts of one objective.
struct About {
    name: &'static str,
    severity: Severity,
    summary: &'static str,
    what_is_bad: &'static str,
    meaning: &'static str,
    impact: &'static str,
    confirm: [Look; 2],
    remedy: &'static [&'static str],
    escalate: &'static str,
    cases: Vec<Case>,
}

const AVAILABILITY_MEANING: &str = "The objective is that 99.5 % of requests in four weeks succeed. The share of \
                                    failures has been so high, for so long, that it will be missed. The short window \
                                    shows that it continues. At least twenty requests failed, and most of the long \
                                    window was recorded.";

const AVAILABILITY_REMEDY: &[&str] =
    &["Find the cause as for HighErrorRate.", "Postpone other releases until the share is below one in 200."];

fn failing() -> [Look; 2] {
    let failed = requests().is_one_of(RequestFailure::OURS).count().increase(HOUR);
    [metrics("Which routes fail", &failed.sum_by::<Route, _>().above(0.0)), failing_lines()]
}

/// After an outage of Postgres, its failures stay in a short window this long.
const AFTER_OUTAGE: Duration = Duration::from_mins(35);

fn availability_burning_fast(scale: Scale) -> Alert {
    // The budget burnt by an outage of Postgres stays in the windows for half an hour. PostgresUnreachable
    // has already been notified.
    let postgres = select(&DEPENDENCY_UP).is(Dependency::Postgres);
    let outage = postgres.lowest(scale.of(AFTER_OUTAGE)).min().below(1.0);
    let postgres_answers = vec![
        Series::of(&DEPENDENCY_UP, Dependency::Postgres, "1x900"),
        Series::of(&DEPENDENCY_UP, Dependency::Email, "0x900"),
    ];
    let about = About {
        name: "AvailabilityBudgetBurningFast",
        severity: Severity::Critical,
        summary: "Failing requests use up the error budget within days.",
        what_is_bad: "fail",
        meaning: AVAILABILITY_MEANING,
        impact: "Users see errors more often than the objective allows.",
        confirm: failing(),
        remedy: AVAILABILITY_REMEDY,
        escalate: "If the cause is not found within half an hour.",
        cases: beside(postgres_answers, fast_cases()),
    };
    AVAILABILITY.alert(&AVAILABILITY.burns(scale, &FAST).unless_when(outage), scale, about)
}

fn availability_burning_slow(scale: Scale) -> Alert {
    let about = About {
        name: "AvailabilityBudgetBurningSlow",
        severity: Severity::Warning,
        summary: "Failing requests use up the error budget.",
        what_is_bad: "fail",
        meaning: AVAILABILITY_MEANING,
        impact: "Users see errors more often than the objective allows.",
        confirm: failing(),
        remedy: AVAILABILITY_REMEDY,
        escalate: "Within the week, because it does not pass by itself.",
        cases: burn_cases(&AVAILABILITY, &SLOW, LATER),
    };
    AVAILABILITY.alert(&AVAILABILITY.burns(scale, &SLOW), scale, about)
}

/// Latency does not page, so one alert covers all windows.
fn latency_burning(scale: Scale) -> Alert {
    let slow = requests().timed().quantile_by::<Route, _>(0.99, HOUR).above(SLOW_REQUEST.seconds());
    let about = About {
        name: "LatencyBudgetBurning",
        severity: Severity::Warning,
        summary: "Slow requests use up the latency budget.",
        what_is_bad: "take longer than a second",
        meaning: "The objective is that 99 % of requests in four weeks take less than a second. The share of slow \
                  requests has been so high, for so long, that it will be missed. The short window shows that it \
                  continues. File transfers do not count.",
        impact: "Many requests are slow.",
        confirm: [
            metrics("Which routes are slow", &slow),
            Look::Traces("Where their time goes", spans().of_requests().longer_than(1000)),
        ],
        remedy: &[
            "Find the cause as for HighLatency.",
            "Postpone other releases until the share is below one in 100.",
        ],
        escalate: "Within the week, because it does not pass by itself.",
        cases: burn_cases(&LATENCY, &[FAST, SLOW].concat(), LATER),
    };
    LATENCY.alert(&LATENCY.burns(scale, &[FAST, SLOW].concat()), scale, about)
}

fn fast_cases() -> Vec<Case> {
    let [hour, _] = FAST;
    let burns = Level { bad: 1.05, all: 1.0, minutes: 200 };
    let share = 1.05 * AVAILABILITY.limit(&hour);
    let mut outage = AVAILABILITY.recorded(&hour, &[burns]);
    outage.push(Series::of(&DEPENDENCY_UP, Dependency::Postgres, "1x29 0x10 1x160"));
    let after = case("after an outage of Postgres", 75, outage, silent()).then(77.0, fires_with(share));
    let begins = case("an hour after the installation", 45, AVAILABILITY.recorded(&hour, &[burns]), silent())
        .then(46.0, fires_with(share));
    let mut cases = burn_cases(&AVAILABILITY, &FAST, RECORDED);
    cases.extend([after, begins]);
    cases
}

/// A phase: its minutes, the failing share as a multiple of the limit, and the requests per second.
#[derive(Clone, Copy)]
struct Level {
    bad: f64,
    all: f64,
    minutes: u64,
}

impl Objective {
    /// The recorded series of these phases, one after the other.
    fn recorded(&self, burn: &Burn, levels: &[Level]) -> Vec<Series> {
        let limit = self.limit(burn);
        let values = |rate: &dyn Fn(&Level) -> f64| {
            let runs = levels
                .iter()
                .map(|level| format!("{}x{}", (rate(level) * 1e9).round() / 1e9, level.minutes - 1));
            runs.collect::<Vec<_>>().join(" ")
        };
        vec![
            Series::recorded(self.all, &values(&|level| level.all)),
            Series::recorded(self.bad, &values(&|level| level.bad * limit)),
        ]
    }
}

/// Cases of each burn rate. The other burn rates of the alert cannot fire in them: those with shorter windows
/// have higher limits, and those with longer windows lack samples.
fn burn_cases(objective: &Objective, burns: &[Burn], every: Duration) -> Vec<Case> {
    let mut cases: Vec<Case> = burns.iter().flat_map(|burn| cases_of(objective, burn, every)).collect();
    cases.push(it_ends(objective, &burns[0], every));
    cases
}

fn minutes(duration: Duration) -> u64 {
    duration.as_secs() / 60
}

fn cases_of(objective: &Objective, burn: &Burn, every: Duration) -> Vec<Case> {
    let (long, short) = (minutes(burn.long), minutes(burn.short));
    // Evaluates as rarely as the windows allow.
    let (length, pause) = match burn.short {
        short if short >= Duration::from_hours(2) => (Length::Days, 60),
        short if short >= Duration::from_mins(30) => (Length::Hours, 5),
        _ => (Length::Minutes, minutes(every)),
    };
    let level = |minutes, bad, all| Level { bad, all, minutes };
    let at_end = |name, levels: &[Level], fires| {
        let end = levels.iter().map(|level| level.minutes).sum::<u64>() - 1;
        Case { length, ..case(name, end, objective.recorded(burn, levels), fires) }
    };
    let limit = objective.limit(burn);
    // The condition has to hold at two evaluations before the alert fires.
    let last = short + pause.max(2);
    let few = |failures: f64| {
        let rate = failures / (60.0 * long as f64);
        at_end("", &[level(long * 2 + 1, rate / limit, rate)], silent())
    };
    let half = (short / 2).next_multiple_of(5);
    let changing = [
        level(long + 1, 1.0, 0.7),
        level(long / 2, 2.0, 1.5),
        level(long / 2 - last - short, 1.6, 1.0),
        level(short, 0.5, 2.0),
        level(last, 1.06, 1.0),
    ];
    let of_long = |rate: fn(&Level) -> f64| {
        changing[1..].iter().map(|level| rate(level) * level.minutes as f64).sum::<f64>()
    };
    let share = limit * of_long(|level| level.bad) / of_long(|level| level.all);
    let shortly = match length {
        Length::Days => Length::Hours,
        other => other,
    };
    // Double the limit for half of the short window, and the limit for all of it.
    let lately = half.min(short / 2) + if shortly == Length::Hours { 5 } else { pause.max(2) };
    let known = long / 10 * 9;
    vec![
        at_end("just above the share", &[level(known + 1, 1.05, 1.0)], fires_with(limit * 1.05)),
        at_end("it rose lately", &[level(long - last + 1, 0.7, 1.0), level(last, 1.5, 1.0)], silent()),
        // Before that, too few samples exist.
        at_end("it fell lately", &[level(long / 4 * 3 - 2, 1.3, 1.0), level(last, 0.7, 1.0)], silent()),
        at_end("shares change", &changing, fires_with(share)),
        Case {
            length: shortly,
            ..at_end(
                "it rose within the last half of the short window",
                &[
                    level(known - short * 2 + 1, 1.5, 1.0),
                    level(short * 2 - lately, 0.25, 1.1),
                    level(lately + short % 2, 1.0, 0.5),
                ],
                silent(),
            )
        },
        Case { name: "nineteen failures", ..few(19.0) },
        Case {
            name: "twenty-one failures",
            moments: vec![Moment { at: few(21.0).moments[0].at, fires: fires_with(1.0) }],
            ..few(21.0)
        },
        unknown(objective, burn, length),
    ]
}

/// Slightly too few samples in the long window.
fn unknown(objective: &Objective, burn: &Burn, length: Length) -> Case {
    let long = minutes(burn.long);
    let bad = objective.limit(burn) * 1.5;
    let (before, gap, now) = (long / 2, long / 10 * 3, long / 10 * 7);
    let values = |rate: f64| {
        let rate = (rate * 1e9).round() / 1e9;
        format!("{rate}x{before} _x{gap} {rate}x{}", now - 1)
    };
    let series =
        vec![Series::recorded(objective.all, &values(1.0)), Series::recorded(objective.bad, &values(bad))];
    Case { length, ..case("seven tenths of the window are recorded", before + gap + now, series, silent()) }
}

/// The alert keeps firing for a quarter of an hour.
fn it_ends(objective: &Objective, burn: &Burn, every: Duration) -> Case {
    let (long, short, pause) = (minutes(burn.long), minutes(burn.short), minutes(every));
    let levels =
        [Level { bad: 1.05, all: 1.0, minutes: long + 1 }, Level { bad: 0.0, all: 1.0, minutes: short * 2 }];
    // Holds while good requests fill less than a twentieth of the short window.
    let last_true = long + (short - 1) / 21 / pause * pause;
    let firing = (last_true - long) as f64;
    let share = objective.limit(burn) * 1.05 * (long as f64 - firing) / long as f64;
    let case = case("it ends", last_true + 15, objective.recorded(burn, &levels), fires_with(share));
    let case = case.then((last_true + 15 + pause) as f64, silent());
    if long > 60 { case.long() } else { case }
}

/// Removes the rounding noise of binary fractions from rule texts.
fn rounded(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}
