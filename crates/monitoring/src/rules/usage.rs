//! Alerts about what people do: they see faults that answer every request with 200.

use std::time::Duration;

use domain::catalogue::APPROVAL_DECISIONS_SUBMITTED;
use domain::catalogue::{
    AUTH_FAILURES, AUTH_LOGIN_ATTEMPTS, AUTH_LOGIN_SUCCESSES, COMMENTS_CREATED, CONTENT_ITEMS_CREATED,
    FEEDBACK_REPORTS_SUBMITTED, HEARTBEAT, ORGANIZATIONS_CREATED, WORKSPACE_INVITES_CREATED,
    WORKSPACES_CREATED,
};
use domain::labels::{AuthFailureReason, Role};
use domain::vocabulary::{Decision, FeedbackKind};
use telemetry::events::SERVER_REQUEST;

use super::cases::{case, fires, silent};
use super::thresholds::{
    BETWEEN_EVENTS, FEWEST_LOGINS, LOGIN_SUCCESS_SHARE, LONG, QUIET_FLOOR, QUIET_SHARE, QUIET_WINDOW,
    TELEMETRY_MISSING_AFTER,
};
use super::{Alert, CORE_ACTIONS, DashboardUid, Look, REQUESTS, Runbook, Series, Severity, metrics};
use crate::query::{Route, Scale, lines, requests, select};

const WEEK: Duration = Duration::from_hours(7 * 24);

pub(super) fn alerts(scale: Scale) -> Vec<Alert> {
    vec![core_usage_quiet(scale), bug_reported(scale), logins_failing(scale)]
}

/// Everything that counts as using Socialize.
fn usage(items: &str) -> Vec<Series> {
    vec![
        Series::of(&ORGANIZATIONS_CREATED, (), items),
        Series::of(&WORKSPACES_CREATED, (), items),
        Series::of(&WORKSPACE_INVITES_CREATED, (), items),
        Series::of(&CONTENT_ITEMS_CREATED, (), items),
        Series::of(&COMMENTS_CREATED, (), items),
        Series::of(&APPROVAL_DECISIONS_SUBMITTED, Decision::Approve, items),
    ]
}

fn core_usage_quiet(scale: Scale) -> Alert {
    let window = scale.of(QUIET_WINDOW);
    let week = scale.of(WEEK);
    let actions = |rate: crate::query::Vector<crate::query::Total>| rate.times(window.as_secs() as f64);
    let now = || actions(CORE_ACTIONS.average(window));
    let a_week_ago = || actions(CORE_ACTIONS.average_before(window, week));
    // Rules run every 30 seconds; half of the samples of the window have to be there, or silence may be ours.
    let evaluations = (window.as_secs() / super::rule_file::interval(scale).as_secs()) as f64;
    let condition = now()
        .below_that(a_week_ago().times(QUIET_SHARE))
        .and(a_week_ago().at_least(QUIET_FLOOR))
        .and(CORE_ACTIONS.samples_in(window).at_least(evaluations / 2.0))
        .when(select(&HEARTBEAT).is(Role::Serve).samples_in(scale.of(TELEMETRY_MISSING_AFTER)).count());
    let alive = |values: &str| Series::of(&HEARTBEAT, Role::Serve, values);
    let with = |items: &str, heartbeat: &str| {
        let mut series = usage(items);
        series.push(alive(heartbeat));
        series
    };
    Alert {
        name: "CoreUsageQuiet",
        severity: Severity::Warning,
        condition: condition.text().to_owned(),
        pending: scale.of(Duration::from_mins(10)),
        keep_firing: Duration::ZERO,
        summary: "People do much less than a week ago.".to_owned(),
        description: "About {{ $value | printf \"%.0f\" }} core actions within two hours: less than a fifth of the same hours a week ago.".to_owned(),
        dashboard: DashboardUid::Adoption,
        runbook: Runbook {
            meaning: "Organizations, workspaces, invites, content items, comments and decisions are created far more seldom than in the same hours a week ago, while telemetry arrives.",
            impact: "Perhaps none: a holiday. Perhaps nobody can work, for a reason that answers every request without an error.",
            confirm: vec![
                metrics("Actions per second over the last two hours", &CORE_ACTIONS.average(QUIET_WINDOW)),
                metrics("The same a week ago", &CORE_ACTIONS.average_before(QUIET_WINDOW, WEEK)),
                metrics("Whether requests arrive at all", &REQUESTS.now()),
                metrics("Which are made", &requests().count().increase(Duration::from_hours(1)).sum_by::<Route, _>().above(0.0)),
            ],
            remedy: &[
                "No requests arrive: users cannot reach the service. Try the public address from outside; look at DNS, certificate and proxy.",
                "Requests arrive and people cannot log in: see LoginsFailing, and whether e-mails arrive (EmailDeliveryFailing).",
                "Requests arrive and one workflow has stopped: try it yourself. A release of the frontend is the usual reason.",
                "A public holiday, or a week ago was special: silence it until tomorrow.",
            ],
            escalate: "When you cannot do the workflow yourself either.",
        },
        fires_without_data: false,
        cases: vec![
            case("as busy as a week ago", 7 * 24 * 60 + 200, with("0+1x10500", "0+60x10500"), silent()),
            case("nothing happens any more", 7 * 24 * 60 + 200, with("0+1x10080 10080x420", "0+60x10500"), fires("0")),
            case("a week ago was quiet too", 7 * 24 * 60 + 200, with("0x10500", "0+60x10500"), silent()),
            case("telemetry is missing", 7 * 24 * 60 + 200, with("0+1x10080 _x420", "0+60x10080 _x420"), silent()),
            case("an installation of yesterday", 24 * 60, with("0+1x1000 1000x440", "0+60x1440"), silent()),
        ],
    }
}

fn bug_reported(scale: Scale) -> Alert {
    let reported = |window| select(&FEEDBACK_REPORTS_SUBMITTED).is(FeedbackKind::Bug).increase(window).sum();
    let bugs = |values| vec![Series::of(&FEEDBACK_REPORTS_SUBMITTED, FeedbackKind::Bug, values)];
    Alert {
        name: "BugReported",
        severity: Severity::Info,
        condition: reported(scale.of(LONG)).above(0.0).text().to_owned(),
        pending: Duration::ZERO,
        keep_firing: scale.of(BETWEEN_EVENTS),
        summary: "A user reported a bug.".to_owned(),
        description: "{{ $value | printf \"%.0f\" }} bug reports within 15 minutes. Their text is in Socialize, never in telemetry.".to_owned(),
        dashboard: DashboardUid::Adoption,
        runbook: Runbook {
            meaning: "Somebody took the trouble to write what is wrong.",
            impact: "At least one user; several reports within minutes are an outage that no other alert saw.",
            confirm: vec![
                metrics("How many, by kind", &select(&FEEDBACK_REPORTS_SUBMITTED).increase(Duration::from_hours(24)).sum_by::<FeedbackKind, _>()),
                Look::Logs("Who and when, by ids", lines(FEEDBACK_REPORTS_SUBMITTED.description().name).is(FeedbackKind::Bug)),
            ],
            remedy: &[
                "Read it, as a platform operator: `GET /v1/feedback-reports?status=new`, and set its status to `triaged`.",
                "`user_id` of the log line leads to what that user did before: search all lines for it.",
            ],
            escalate: "To the developers, when it can be repeated.",
        },
        fires_without_data: false,
        cases: vec![
            case("none", 20, bugs("0x20"), silent()),
            case("the first", 12, bugs("0x10 1x10"), fires("1")),
            case("an idea", 12, vec![Series::of(&FEEDBACK_REPORTS_SUBMITTED, FeedbackKind::Idea, "0x10 1x10")], silent()),
            case("a restart resets the count", 12, bugs("5x10 0x10"), silent()),
        ],
    }
}

fn logins_failing(scale: Scale) -> Alert {
    let attempts = |window| select(&AUTH_LOGIN_ATTEMPTS).increase(window).sum();
    let share = |window| select(&AUTH_LOGIN_SUCCESSES).increase(window).sum().share_of(attempts(window));
    let window = scale.of(LONG);
    let condition = share(window).below(LOGIN_SUCCESS_SHARE).and(attempts(window).at_least(FEWEST_LOGINS));
    let logins = |attempts, successes| {
        vec![Series::of(&AUTH_LOGIN_ATTEMPTS, (), attempts), Series::of(&AUTH_LOGIN_SUCCESSES, (), successes)]
    };
    Alert {
        name: "LoginsFailing",
        severity: Severity::Warning,
        condition: condition.text().to_owned(),
        pending: scale.of(Duration::from_mins(5)),
        keep_firing: scale.of(BETWEEN_EVENTS),
        summary: "Hardly anybody can log in.".to_owned(),
        description:
            "Only {{ $value | humanizePercentage }} of attempts to log in within 15 minutes succeeded."
                .to_owned(),
        dashboard: DashboardUid::Adoption,
        runbook: Runbook {
            meaning: "Of at least twenty attempts within a quarter of an hour four fifths failed.",
            impact: "Either users cannot log in, or somebody tries passwords.",
            confirm: vec![
                metrics(
                    "Why they fail",
                    &select(&AUTH_FAILURES).increase(LONG).sum_by::<AuthFailureReason, _>().above(0.0),
                ),
                Look::Logs("Since when", lines(AUTH_FAILURES.description().name)),
                Look::Logs("The requests", lines(SERVER_REQUEST)),
            ],
            remedy: &[
                "`rate_limited` and `invalid_credentials` from many accounts: somebody tries passwords. Limits hold them off; block the addresses at the proxy, whose log has them.",
                "`invalid_credentials` of people who have just registered: they cannot confirm their addresses because e-mails do not arrive; see EmailDeliveryFailing.",
                "`invalid_token` or `expired_token` for everybody: the server's secret was changed, or the clock of the machine is wrong.",
            ],
            escalate: "When users cannot log in and no e-mail fails.",
        },
        fires_without_data: false,
        cases: vec![
            case("most succeed", 30, logins("0+10x30", "0+9x30"), silent()),
            case("most fail", 30, logins("0+10x30", "0+1x30"), fires("10%")),
            case("one forgetful person", 30, logins("0x25 3x5", "0x30"), silent()),
            case("a restart resets the counts", 30, logins("0+10x15 0+10x15", "0+9x15 0+9x15"), silent()),
        ],
    }
}
