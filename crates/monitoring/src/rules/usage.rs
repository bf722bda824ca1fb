//! Alerts about user activity: they detect faults behind responses with status 200.
//!
//! Long because each alert is one function with its texts and test cases.

use std::time::Duration;

use catalogue::labels::{AuthFailureReason, FeedbackKind, Role};
use catalogue::metrics::{
    AUTH_FAILURES, AUTH_LOGIN_ATTEMPTS, AUTH_LOGIN_SUCCESSES, FEEDBACK_REPORTS_SUBMITTED, HEARTBEAT,
};
use signal::events::SERVER_REQUEST;

use super::cases::{case, fires, fires_for, silent};
use super::thresholds::{
    BETWEEN_EVENTS, FEWEST_ATTEMPTS, FEWEST_LOGINS, LOGIN_SUCCESS_SHARE, LOGIN_WINDOWS, LONG, QUIET_FLOOR,
    QUIET_NEIGHBOURS, QUIET_SHARE, QUIET_WINDOW, TELEMETRY_MISSING_AFTER, WORKFLOW_QUIET_FLOOR,
    WORKFLOW_QUIET_WINDOW,
};
use super::{
    Alert, CORE_ACTIONS, DashboardUid, Look, REQUESTS, Runbook, Series, Severity, WORKFLOW_ACTIONS, Workflow,
    metrics, shown,
};
use crate::query::{Grouping, Route, Scale, Total, Vector, lines, requests, select};

const WEEK: Duration = Duration::from_hours(7 * 24);
const WEEK_MINUTES: u64 = 7 * 24 * 60;

pub(super) fn alerts(scale: Scale) -> Vec<Alert> {
    vec![bug_reported(scale), logins_failing(scale)]
}

pub(super) fn slow_alerts(scale: Scale) -> Vec<Alert> {
    vec![core_usage_quiet(scale), workflow_quiet(scale)]
}

/// Number of actions within a window, from their mean rate.
fn actions<G: Grouping>(rate: Vector<G>, window: Duration) -> Vector<G> {
    rate.times(window.as_secs() as f64)
}

/// Half of the samples of a window: with fewer, silence may be that of Prometheus.
fn most_samples(window: Duration, scale: Scale) -> f64 {
    let evaluations = (window.as_secs() / super::alert::interval(scale).as_secs()) as f64;
    evaluations / 2.0
}

/// Processes that serve requests and report it: without any, only telemetry may be silent.
fn serves(scale: Scale) -> Vector<Total> {
    select(&HEARTBEAT).is(Role::Serve).samples_in(scale.of(TELEMETRY_MISSING_AFTER)).count()
}

fn core_usage_quiet(scale: Scale) -> Alert {
    let window = scale.of(QUIET_WINDOW);
    let now = || actions(CORE_ACTIONS.average(window), window);
    let then = |ago| actions(CORE_ACTIONS.average_before(window, scale.of(ago)), window);
    // Quieter than each window of a week ago that could be the same by wall-clock time.
    let quiet = QUIET_NEIGHBOURS
        .map(|ago| now().below_that(then(ago).times(QUIET_SHARE)).and(then(ago).at_least(QUIET_FLOOR)));
    let [earlier, same, later] = quiet;
    let condition = same
        .and(earlier)
        .and(later)
        .and(CORE_ACTIONS.samples_in(window).at_least(most_samples(window, scale)))
        .when(serves(scale));
    let with = |actions: &str, heartbeat: &str| {
        vec![Series::recorded(&CORE_ACTIONS, actions), Series::of(&HEARTBEAT, Role::Serve, heartbeat)]
    };
    Alert {
        name: "CoreUsageQuiet",
        severity: Severity::Warning,
        condition: condition.into_expression(),
        pending: scale.of(Duration::from_mins(10)),
        keep_firing: Duration::ZERO,
        summary: "Users do much less than a week ago.".to_owned(),
        description:
            "About {{ $value | printf \"%.0f\" }} core actions within two hours, less than a fifth of those in the \
             same hours a week ago."
                .to_owned(),
        dashboard: DashboardUid::Adoption,
        runbook: Runbook {
            meaning: "Far fewer organizations, workspaces, invites, content items, comments and decisions are created \
                      than a week ago, while telemetry arrives. The hours before and after are compared too, because \
                      clocks change.",
            impact: "Perhaps none, as on a holiday. Perhaps nobody can work, although no request fails.",
            confirm: vec![
                metrics("Actions per second over the last two hours", &CORE_ACTIONS.average(QUIET_WINDOW)),
                metrics("The same a week ago", &CORE_ACTIONS.average_before(QUIET_WINDOW, WEEK)),
                metrics("Whether requests arrive at all", &REQUESTS.now()),
                metrics(
                    "Requests by route",
                    &requests().count().increase(Duration::from_hours(1)).sum_by::<Route, _>().above(0.0),
                ),
            ],
            remedy: &[
                "No requests arrive: users cannot reach the service. Try the public URL from outside. Check DNS, \
                 certificate and proxy.",
                "Requests arrive, but users cannot log in: see LoginsFailing and EmailDeliveryFailing.",
                "One workflow has stopped: try it yourself. Usually a release of the frontend broke it.",
                "A holiday, or an unusual week before: silence the alert until tomorrow.",
            ],
            escalate: "If the workflow fails for you too.",
        },
        fires_without_data: false,
        cases: vec![
            case("as busy as a week ago", WEEK_MINUTES + 200, with("0.1x10500", "0+60x10500"), silent()),
            case(
                "nothing happens any more",
                WEEK_MINUTES + 100,
                with("0.1x10080 0x420", "0+60x10500"),
                silent(),
            )
            .then((WEEK_MINUTES + 102) as f64, silent())
            .then((WEEK_MINUTES + 125) as f64, fires("0")),
            case(
                "a little more than a fifth",
                WEEK_MINUTES + 200,
                with("0.1x10080 0.0202x420", "0+60x10500"),
                silent(),
            ),
            case(
                "a little less than a fifth",
                WEEK_MINUTES + 200,
                with("0.1x10080 0.0198x420", "0+60x10500"),
                fires("143"),
            ),
            case(
                "nineteen actions a week ago",
                WEEK_MINUTES + 200,
                with("0.00264x10080 0x420", "0+60x10500"),
                silent(),
            ),
            case(
                "twenty-one actions a week ago",
                WEEK_MINUTES + 200,
                with("0.00292x10080 0x420", "0+60x10500"),
                fires("0"),
            ),
            // People work for eight hours from minute 600 on; in the week after the clock change, an hour
            // later or earlier.
            case(
                "the clocks were set back an hour",
                WEEK_MINUTES + 650,
                with("0x599 0.15x479 0x9659 0.15x479", "0+60x11400"),
                silent(),
            ),
            case(
                "the clocks were set forward an hour",
                WEEK_MINUTES + 1130,
                with("0x599 0.15x479 0x9539 0.15x479 0x400", "0+60x11600"),
                silent(),
            ),
            case(
                "telemetry is missing",
                WEEK_MINUTES + 200,
                with("0.1x10080 0x420", "0+60x10080 _x420"),
                silent(),
            ),
            case(
                "what was done is recorded for half an hour",
                WEEK_MINUTES + 230,
                with("0.1x10080 _x180 0x300", "0+60x10600"),
                silent(),
            ),
            case(
                "what was done is recorded for an hour and a quarter",
                WEEK_MINUTES + 275,
                with("0.1x10080 _x180 0x300", "0+60x10600"),
                fires("0"),
            ),
            case("an installation of yesterday", 24 * 60, with("0.1x1000 0x440", "0+60x1440"), silent()),
        ],
    }
}

fn workflow_quiet(scale: Scale) -> Alert {
    let window = scale.of(WORKFLOW_QUIET_WINDOW);
    let now = || WORKFLOW_ACTIONS.average(window);
    let a_week_ago = actions(WORKFLOW_ACTIONS.average_before(window, scale.of(WEEK)), window);
    let condition = now()
        .equals(0.0)
        .and(a_week_ago.at_least(WORKFLOW_QUIET_FLOOR))
        .and(WORKFLOW_ACTIONS.samples_in(window).at_least(most_samples(window, scale)))
        .when(serves(scale));
    let with = |comments: &str, heartbeat: &str| {
        vec![
            Series::recorded_for(&WORKFLOW_ACTIONS, Workflow::Comment, comments),
            Series::recorded_for(&WORKFLOW_ACTIONS, Workflow::Decide, "0.1x12000"),
            Series::of(&HEARTBEAT, Role::Serve, heartbeat),
        ]
    };
    Alert {
        name: "WorkflowQuiet",
        severity: Severity::Info,
        condition: condition.into_expression(),
        pending: scale.of(Duration::from_mins(10)),
        keep_firing: Duration::ZERO,
        summary: format!("Nobody uses the workflow {} today.", shown::<Workflow>()),
        description: format!(
            "Not one success of {} within a day, after at least ten on the same day a week ago.",
            shown::<Workflow>()
        ),
        dashboard: DashboardUid::Adoption,
        runbook: Runbook {
            meaning: "A core workflow was used a week ago and is not used today, while telemetry arrives.",
            impact: "Perhaps none. Perhaps the workflow works for nobody, although no request fails.",
            confirm: vec![
                metrics(
                    "Successes per second over the last day",
                    &WORKFLOW_ACTIONS.average(WORKFLOW_QUIET_WINDOW),
                ),
                metrics("The same a week ago", &WORKFLOW_ACTIONS.average_before(WORKFLOW_QUIET_WINDOW, WEEK)),
                metrics(
                    "Whether users try it",
                    &requests()
                        .attempts()
                        .count()
                        .increase(WORKFLOW_QUIET_WINDOW)
                        .sum_by::<Route, _>()
                        .above(0.0),
                ),
            ],
            remedy: &[
                "WorkflowFailing or RouteFailing also fire: users try and fail.",
                "Nobody tries it: try it yourself in the frontend. Usually a release of the frontend broke it.",
                "A holiday, or a team that has finished: silence the alert until tomorrow.",
            ],
            escalate: "If it fails for you too.",
        },
        fires_without_data: false,
        cases: vec![
            case("as busy as a week ago", WEEK_MINUTES + 1600, with("0.1x12000", "0+60x12000"), silent()),
            case(
                "one workflow has stopped",
                WEEK_MINUTES + 1430,
                with("0.1x10080 0x1920", "0+60x12000"),
                silent(),
            )
            .then((WEEK_MINUTES + 1445) as f64, silent())
            .then((WEEK_MINUTES + 1465) as f64, fires_for(Workflow::Comment, "")),
            case(
                "a single success",
                WEEK_MINUTES + 1600,
                with("0.1x10080 0x1000 0.003x4 0x920", "0+60x12000"),
                silent(),
            ),
            case(
                "nine a week ago",
                WEEK_MINUTES + 1600,
                with("0.000104x10080 0x1920", "0+60x12000"),
                silent(),
            ),
            case(
                "eleven a week ago",
                WEEK_MINUTES + 1600,
                with("0.000128x10080 0x1920", "0+60x12000"),
                fires_for(Workflow::Comment, ""),
            ),
            case(
                "telemetry is missing",
                WEEK_MINUTES + 1600,
                with("0.1x10080 0x1920", "0+60x10080 _x1920"),
                silent(),
            ),
            case(
                "recorded for eleven hours of the day",
                WEEK_MINUTES + 1500,
                with("0.1x10080 _x860 0x1060", "0+60x12000"),
                silent(),
            ),
            case(
                "recorded for thirteen hours of the day",
                WEEK_MINUTES + 1740,
                with("0.1x10080 _x860 0x1060", "0+60x12000"),
                fires_for(Workflow::Comment, ""),
            ),
            case("an installation of this week", 6 * 24 * 60, with("0.1x3000 0x6000", "0+60x9000"), silent()),
        ],
    }
}

fn bug_reported(scale: Scale) -> Alert {
    let reported = |window| select(&FEEDBACK_REPORTS_SUBMITTED).is(FeedbackKind::Bug).increase(window).sum();
    let bugs = |values| vec![Series::of(&FEEDBACK_REPORTS_SUBMITTED, FeedbackKind::Bug, values)];
    Alert {
        name: "BugReported",
        severity: Severity::Info,
        condition: reported(scale.of(LONG)).above(0.0).into_expression(),
        pending: Duration::ZERO,
        keep_firing: scale.of(BETWEEN_EVENTS),
        summary: "A user reported a bug.".to_owned(),
        description:
            "{{ $value | printf \"%.0f\" }} bug reports within 15 minutes. Their text is in Socialize, never in \
             telemetry."
                .to_owned(),
        dashboard: DashboardUid::Adoption,
        runbook: Runbook {
            meaning: "A user submitted feedback of kind `bug`.",
            impact: "At least one user. Several reports within minutes suggest an outage that no other alert shows.",
            confirm: vec![
                metrics(
                    "How many, by kind",
                    &select(&FEEDBACK_REPORTS_SUBMITTED)
                        .increase(Duration::from_hours(24))
                        .sum_by::<FeedbackKind, _>(),
                ),
                Look::Logs(
                    "Who and when, by ids",
                    lines(FEEDBACK_REPORTS_SUBMITTED.description().name).is(FeedbackKind::Bug),
                ),
            ],
            remedy: &[
                "Read it, as a platform operator: `GET /v1/feedback-reports?status=new`, and set its status to \
                 `triaged`.",
                "`user_id` of the log line shows what the user did before: docs/LOGGING.md#query-the-stores.",
            ],
            escalate: "To the developers, if it can be reproduced.",
        },
        fires_without_data: false,
        cases: vec![
            case("none", 20, bugs("0x20"), silent()),
            case("the first", 12, bugs("0x10 1x40"), fires("1")).then(34.5, fires("1")).then(35.0, silent()),
            case(
                "an idea",
                12,
                vec![Series::of(&FEEDBACK_REPORTS_SUBMITTED, FeedbackKind::Idea, "0x10 1x10")],
                silent(),
            ),
            case("a restart resets the count", 12, bugs("5x10 0x10"), silent()),
        ],
    }
}

fn logins_failing(scale: Scale) -> Alert {
    let attempts = |window| select(&AUTH_LOGIN_ATTEMPTS).increase(window).sum();
    let share = |window| select(&AUTH_LOGIN_SUCCESSES).increase(window).sum().over(attempts(window));
    let window = scale.of(LONG);
    let hardly_any = share(window).below(LOGIN_SUCCESS_SHARE).and(attempts(window).at_least(FEWEST_LOGINS));
    let successes = |window| select(&AUTH_LOGIN_SUCCESSES).increase(window).sum();
    let [of_an_hour, of_a_day] = LOGIN_WINDOWS.map(|window| {
        let window = scale.of(window);
        successes(window).equals(0.0).and(attempts(window).at_least(FEWEST_ATTEMPTS))
    });
    let condition = hardly_any.or(of_an_hour).or(of_a_day);
    let logins = |attempts, successes| {
        vec![Series::of(&AUTH_LOGIN_ATTEMPTS, (), attempts), Series::of(&AUTH_LOGIN_SUCCESSES, (), successes)]
    };
    Alert {
        name: "LoginsFailing",
        severity: Severity::Warning,
        condition: condition.into_expression(),
        pending: scale.of(Duration::from_mins(5)),
        keep_firing: scale.of(BETWEEN_EVENTS),
        summary: "Most attempts to log in fail.".to_owned(),
        description:
            "Only {{ $value | humanizePercentage }} of attempts to log in succeeded, within 15 minutes or, if there \
             are few, within an hour or a day."
                .to_owned(),
        dashboard: DashboardUid::Adoption,
        runbook: Runbook {
            meaning: "Four fifths of at least twenty attempts within 15 minutes failed, or all of at least five within \
                      an hour or a day.",
            impact: "Users cannot log in, or an attacker guesses passwords.",
            confirm: vec![
                metrics(
                    "Why they fail",
                    &select(&AUTH_FAILURES).increase(LONG).sum_by::<AuthFailureReason, _>().above(0.0),
                ),
                Look::Logs("Failed attempts", lines(AUTH_FAILURES.description().name)),
                Look::Logs("Requests to log in", lines(SERVER_REQUEST)),
            ],
            remedy: &[
                "`rate_limited` and `invalid_credentials` for many accounts: an attacker guesses passwords. Limits \
                 protect the accounts. Block the addresses at the proxy, whose log has them.",
                "`invalid_credentials` of new users: they cannot confirm their addresses, because e-mails do not \
                 arrive. See EmailDeliveryFailing.",
                "`invalid_token` or `expired_token` for all users: the server's secret changed, or the clock of the \
                 machine is wrong.",
            ],
            escalate: "If users cannot log in and e-mails arrive.",
        },
        fires_without_data: false,
        cases: vec![
            case("a little more than a fifth succeeds", 30, logins("0+100x30", "0+21x30"), silent()),
            case("a little less than a fifth succeeds", 30, logins("0+100x30", "0+19x30"), fires("19%")),
            case(
                "nineteen attempts, of which one succeeds, and others before",
                40,
                logins("0x10 20x19 38.5x20", "0x10 10x19 11x10"),
                silent(),
            ),
            case("twenty attempts, of which one succeeds", 36, logins("0x30 20x40", "0x30 1x40"), fires("5%"))
                .then(35.5, silent())
                .then(54.5, fires("5%"))
                .then(55.0, silent()),
            case("four attempts in vain, and others before", 180, logins("0x60 3x80 7x50", "0 1x200"), silent()),
            case("five attempts in vain, and a success before", 140, logins("0x100 5x100", "0x60 1x200"), fires("0%"))
                .then(135.0, fires("0%"))
                .then(175.0, silent()),
            case(
                "five attempts in vain, and a success within the hour",
                140,
                logins("0x120 5x100", "0x100 1x200"),
                silent(),
            ),
            case(
                "five attempts of a day in vain, and a success before",
                1900,
                logins("0x500 1x300 2x300 3x300 4x200 5x400", "0x300 1x2000"),
                fires("0%"),
            )
            .long(),
            case(
                "four attempts of a day in vain, and one before",
                1900,
                logins("0x300 1x500 2x300 3x300 4x200 5x400", "0x100 1x2000"),
                silent(),
            )
            .long(),
            case(
                "five attempts of a day, and a success fourteen hours ago",
                1600,
                logins("0x300 1x300 2x300 3x300 4x200 5x200", "0x760 1x1100"),
                silent(),
            )
            .long(),
            case("a restart resets the counts", 30, logins("0+10x15 0+10x15", "0+9x15 0+9x15"), silent()),
        ],
    }
}
