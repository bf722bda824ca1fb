//! Alerts about what was promised: budgets of failing and of slow requests that are used up too fast.

use std::time::Duration;

use super::cases::{Answered, Case, case, fires, silent};
use super::requests::failing_lines;
use super::rule_file::interval;
use super::thresholds::{
    AVAILABILITY_OBJECTIVE, FEWEST_BUDGET_FAILURES, LATENCY_OBJECTIVE, LONG, SLOW_REQUEST, WINDOW_COVERAGE,
};
use super::{
    Alert, DashboardUid, FAILED_REQUESTS, Look, REQUESTS, Runbook, SLOW_REQUESTS, Series, Severity,
    TIMED_REQUESTS, metrics,
};
use crate::query::{Recording, RequestFailure, Route, Scale, Total, Vector, requests, spans};

pub(super) fn alerts(scale: Scale) -> Vec<Alert> {
    vec![availability_burning_fast(scale)]
}

pub(super) fn slow_alerts(scale: Scale) -> Vec<Alert> {
    vec![availability_burning_slow(scale), latency_burning(scale)]
}

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// A promise about requests, of which a budget may be broken.
struct Objective {
    promise: f64,
    bad: &'static Recording<Total>,
    all: &'static Recording<Total>,
}

const AVAILABILITY: Objective =
    Objective { promise: AVAILABILITY_OBJECTIVE, bad: &FAILED_REQUESTS, all: &REQUESTS };

const LATENCY: Objective =
    Objective { promise: LATENCY_OBJECTIVE, bad: &SLOW_REQUESTS, all: &TIMED_REQUESTS };

/// How fast a budget of 28 days may be used up, by the multi-window method of the SRE workbook: the long window says that it matters, the
/// short one that it has not stopped.
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
        self.bad.average(window).share_of(self.all.average(window))
    }

    /// Where one of these burns goes on. A window of which little is recorded, as after the installation, says nothing, and
    /// neither do a few failures.
    fn burns(&self, scale: Scale, burns: &[Burn]) -> Vector<Total> {
        let conditions = burns.iter().map(|burn| {
            let (long, short) = (scale.of(burn.long), scale.of(burn.short));
            let limit = rounded(burn.factor * (1.0 - self.promise));
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

    fn alert(&self, scale: Scale, burns: &[Burn], about: About) -> Alert {
        Alert {
            name: about.name,
            severity: about.severity,
            condition: self.burns(scale, burns).text().to_owned(),
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

/// What tells one alert about an objective from another.
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

const AVAILABILITY_MEANING: &str = "Of a thousand requests of four weeks 995 should succeed. The share that fails has been so high, for so long, that the promise will be broken; the short window shows that it goes on. At least twenty requests failed, and most of the long window was recorded.";

const AVAILABILITY_REMEDY: &[&str] = &[
    "See HighErrorRate for how to find the cause.",
    "Postpone releases that are not about this until the share is below one in two hundred.",
];

fn failing() -> [Look; 2] {
    let failed = requests().is_one_of(RequestFailure::OURS).count().increase(HOUR);
    [metrics("Which routes fail", &failed.sum_by::<Route, _>().above(0.0)), failing_lines()]
}

/// Requests of which some fail.
fn traffic(ok: &str, errors: &str) -> Vec<Series> {
    vec![Series::requests(None, ok), Series::requests(Some(RequestFailure::Timeout), errors)]
}

/// The same as it is recorded, per second.
fn recorded(all: &str, bad: &str) -> Vec<Series> {
    vec![Series::recorded(&REQUESTS, all), Series::recorded(&FAILED_REQUESTS, bad)]
}

fn availability_burning_fast(scale: Scale) -> Alert {
    let about = About {
        name: "AvailabilityBudgetBurningFast",
        severity: Severity::Critical,
        summary: "Failing requests use up the error budget within days.",
        what_is_bad: "fail",
        meaning: AVAILABILITY_MEANING,
        impact: "Users see errors more often than was promised.",
        confirm: failing(),
        remedy: AVAILABILITY_REMEDY,
        escalate: "When the cause is not found within half an hour.",
        cases: vec![
            case("just below the share of an hour", 90, traffic("0+930x90", "0+70x90"), silent()),
            case("just above the share of an hour", 90, traffic("0+925x90", "0+75x90"), fires("7.5%")),
            case("not for long enough", 62, traffic("0+100x150", "0x56 0+20x94"), silent()),
            case("it has stopped", 92, traffic("0+100x150", "0+20x80 1600x70"), fires("16.08%")),
            case("it stopped half an hour ago", 120, traffic("0+100x150", "0+20x80 1600x70"), silent()),
            case("just below the share of six hours", 400, traffic("0+971x400", "0+29x400"), silent()),
            case("just above the share of six hours", 400, traffic("0+969x400", "0+31x400"), fires("3.1%")),
            case("nineteen failures within an hour", 90, traffic("0x90", "0+0.316x90"), silent()),
            case("twenty-one failures within an hour", 90, traffic("0x90", "0+0.35x90"), fires("100%")),
            case("one user who tries six times", 90, traffic("0+0.25x90", "0x80 0+1.5x4 6x6"), silent()),
            case("half an hour after the installation", 30, traffic("0+80x30", "0+20x30"), silent()),
            case("an hour after the installation", 60, traffic("0+80x60", "0+20x60"), fires("20%")),
            case(
                "a scanner hides nothing",
                90,
                {
                    let mut series = traffic("0+80x90", "0+20x90");
                    series.push(Series::answered(&Answered::SCANNER, "0+9000x90"));
                    series
                },
                fires("20%"),
            ),
            case("a restart resets the counts", 90, traffic("0+100x60 0+100x30", "500x60 0x30"), silent()),
        ],
    };
    AVAILABILITY.alert(scale, &FAST, about)
}

fn availability_burning_slow(scale: Scale) -> Alert {
    let about = About {
        name: "AvailabilityBudgetBurningSlow",
        severity: Severity::Warning,
        summary: "Failing requests use up the error budget.",
        what_is_bad: "fail",
        meaning: AVAILABILITY_MEANING,
        impact: "Users see errors more often than was promised.",
        confirm: failing(),
        remedy: AVAILABILITY_REMEDY,
        escalate: "Within the week: something is worse than it was and stays so.",
        cases: vec![
            case("just below the share of a day", 1500, recorded("1x1500", "0.0149x1500"), silent()),
            case("just above the share of a day", 1500, recorded("1x1500", "0.0151x1500"), fires("1.51%")),
            case("just below the share of three days", 4400, recorded("1x4400", "0.00495x4400"), silent()),
            case(
                "just above the share of three days",
                4400,
                recorded("1x4400", "0.00505x4400"),
                fires("0.505%"),
            ),
            case("nineteen failures within a day", 1500, recorded("0.00022x1500", "0.00022x1500"), silent()),
            case(
                "twenty-one failures within a day",
                1500,
                recorded("0.000243x1500", "0.000243x1500"),
                fires("100%"),
            ),
            case(
                "seventeen hours after the installation",
                17 * 60,
                recorded("1x1500", "0.04x1500"),
                silent(),
            ),
            case(
                "nineteen hours after the installation",
                19 * 60,
                recorded("1x1500", "0.04x1500"),
                fires("4%"),
            ),
            case("it stopped an hour ago", 1560, recorded("1x1700", "0.04x1500 0x200"), fires("3.833%")),
            case("it stopped three hours ago", 1680, recorded("1x1700", "0.04x1500 0x200"), silent()),
            case(
                "two days without failures, and one with many",
                4300,
                recorded("1x4400", "0x2900 0.0149x1500"),
                silent(),
            ),
        ],
    };
    AVAILABILITY.alert(scale, &SLOW, about)
}

/// Latency wakes nobody, so one alert has all windows.
fn latency_burning(scale: Scale) -> Alert {
    let slow = requests().timed().quantile_by::<Route, _>(0.99, HOUR).above(SLOW_REQUEST.seconds());
    let recorded = |all: &str, slow: &str| {
        vec![Series::recorded(&TIMED_REQUESTS, all), Series::recorded(&SLOW_REQUESTS, slow)]
    };
    let about = About {
        name: "LatencyBudgetBurning",
        severity: Severity::Warning,
        summary: "Slow requests use up the latency budget.",
        what_is_bad: "take longer than a second",
        meaning: "Ninety-nine of a hundred requests of four weeks should be answered within a second. The share that is not has been so high, for so long, that the promise will be broken; the short window shows that it goes on. Files on their way are not counted.",
        impact: "Many users wait.",
        confirm: [
            metrics("Which routes are slow", &slow),
            Look::Traces("Where their time goes", spans().of_requests().longer_than(1000)),
        ],
        remedy: &[
            "See HighLatency for how to find the cause.",
            "Postpone releases that are not about this until the share is below one in a hundred.",
        ],
        escalate: "Within the week: something is slower than it was and stays so.",
        cases: vec![
            case("just below the share of an hour", 90, recorded("1x90", "0.143x90"), silent()),
            case("just above the share of an hour", 90, recorded("1x90", "0.145x90"), fires("14.5%")),
            case("just below the share of six hours", 400, recorded("1x400", "0.059x400"), silent()),
            case("just above the share of six hours", 400, recorded("1x400", "0.061x400"), fires("6.1%")),
            case("just below the share of a day", 1500, recorded("1x1500", "0.0298x1500"), silent()),
            case("just above the share of a day", 1500, recorded("1x1500", "0.0302x1500"), fires("3.02%")),
            case("just below the share of three days", 4400, recorded("1x4400", "0.0099x4400"), silent()),
            case(
                "just above the share of three days",
                4400,
                recorded("1x4400", "0.0101x4400"),
                fires("1.01%"),
            ),
            case("forty minutes after the installation", 40, recorded("1x90", "0.5x90"), silent()),
            case("nineteen slow requests within an hour", 90, recorded("0.00525x90", "0.00525x90"), silent()),
            case(
                "twenty-one slow requests within an hour",
                90,
                recorded("0.00585x90", "0.00585x90"),
                fires("100%"),
            ),
            case("it stopped ten minutes ago", 100, recorded("1x150", "0.2x90 0x60"), fires("20%")),
            case("it stopped half an hour ago", 120, recorded("1x150", "0.2x90 0x60"), silent()),
        ],
    };
    LATENCY.alert(scale, &[FAST, SLOW].concat(), about)
}

/// Without the noise that binary fractions leave in the text of a rule.
fn rounded(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}
