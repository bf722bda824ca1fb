//! User activity, and the state of the approval workflow.

use std::time::Duration;

use catalogue::keys;
use catalogue::labels::{
    ActivityWindow, ContentItemStatus, Decision, FeedbackKind, FeedbackStatus, PublishingEndpointChange,
    PublishingOutcome, Quota, StatusGauge,
};
use catalogue::metrics::{
    APPROVAL_DECISIONS_SUBMITTED, AUTH_LOGIN_ATTEMPTS, AUTH_LOGIN_SUCCESSES, CONTENT_ITEMS,
    CONTENT_ITEMS_CREATED, CONTENT_ITEMS_STALE_IN_APPROVAL, FEEDBACK_REPORTS, FEEDBACK_REPORTS_SUBMITTED,
    GAUGE_DRIFT, ORGANIZATIONS_CREATED, PUBLISHING_DELIVERIES, PUBLISHING_ENDPOINTS_CHANGED,
    QUOTA_LARGEST_SHARE, SAMPLER_LAST_SUCCESS, USERS_REGISTERED, USERS_VERIFIED, WORKSPACE_INVITES_PENDING,
    WORKSPACES_ACTIVE, WORKSPACES_CREATED, WORKSPACES_FIRST_PUBLISHED,
};
use signal::ClosedSet;
use signal::metric::CounterMetric;

use super::parts::{Count, RANGE, core_actions, core_actions_over_time};
use crate::grafana::{Band, Choice, Color, Dashboard, Override, Panel, Period, Property, Target, Unit};
use crate::query::{Field, all_lines, select};
use crate::rules::DashboardUid;
use crate::rules::thresholds::{QUOTA_SHARE, SAMPLE_AGE};

/// Shown before the first full hour: queries are aligned to full hours, so that bars do not move.
const FIRST_HOUR: &str = "Bars appear when their hour is over";

const A_WEEK: Duration = Duration::from_hours(7 * 24);

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: DashboardUid::Adoption,
        title: "Socialize: Adoption",
        description: "What do people do, and does the workflow flow?",
        range: Period::Days(7),
        refresh: Some(Period::Minutes(5)),
        choices: Choice::PROCESSES,
        bands: vec![
            Band::Panels(4, vec![totals()]),
            Band::Panels(9, vec![per_hour(), active_workspaces()]),
            Band::Panels(8, vec![per_day(), week_over_week()]),
            Band::Title(6, "Arriving"),
            Band::Panels(8, vec![funnel(), funnel_before(), arrivals()]),
            Band::Title(20, "The workflow"),
            Band::Panels(8, vec![items_now(), items(), decisions()]),
            Band::Panels(7, vec![waiting(), publishing(), endpoints()]),
            Band::Title(30, "People"),
            Band::Panels(7, vec![log_ins(), feedback_submitted(), feedback_open()]),
            Band::Title(40, "Can the numbers be trusted?"),
            Band::Panels(5, vec![sample(), drift(), quotas(), latest()]),
        ],
    }
}

fn totals() -> Panel {
    let panel = Panel::stat(
        1,
        "In this time range",
        "What users did, counted after it was committed. Counters are for watching; the database is the ledger.",
    )
    .width(24)
    .unit(Unit::Plain)
    .decimals(0)
    .color(Color::Blue)
    .when_nothing("0");
    core_actions(Count::InRange)
        .into_iter()
        .fold(panel, |panel, (name, query)| panel.ask(Target::instant_named(name, &query)))
}

fn per_hour() -> Panel {
    core_actions_over_time(
        2,
        "What users do, by the hour",
        "A working day that stays empty while the service is healthy: people do not get through, or do not come. Try \
         the workflow yourself before you ask them.",
    )
    .width(16)
    .interval(Period::Hours(1))
    .when_nothing(FIRST_HOUR)
    .legend_totals()
}

fn per_day() -> Panel {
    core_actions_over_time(
        3,
        "What users do, by the day",
        "The last four weeks, whatever the dashboard's range, as far as metrics are kept.",
    )
    .width(12)
    .interval(Period::Days(1))
    .when_nothing("Bars appear when their day is over")
    .looking_back(Period::Days(28))
}

fn active_workspaces() -> Panel {
    Panel::time_series(
        4,
        "Active workspaces",
        "Workspaces in which a member changed something. When those of seven days fall while the service is healthy, \
         teams are leaving.",
    )
    .width(8)
    .unit(Unit::Plain)
    .decimals(0)
    .ask(Target::series(&select(&WORKSPACES_ACTIVE).now().max_by::<ActivityWindow, _>()))
}

fn week_over_week() -> Panel {
    let created = || select(&CONTENT_ITEMS_CREATED);
    Panel::time_series(
        5,
        "Content items created, against a week ago",
        "The same hour of last week behind this one. Much less while telemetry is complete is what the alert on quiet \
         usage looks for.",
    )
    .width(12)
    .unit(Unit::Plain)
    .decimals(0)
    .interval(Period::Hours(1))
    .when_nothing(FIRST_HOUR)
    .except(Override::field("a week ago", vec![Property::FillOpacity(25), Property::Color(Color::Neutral)]))
    .except(Override::color("now", Color::Blue))
    .ask(Target::named("now", &created().per_bar().sum()))
    .ask(Target::named("a week ago", &created().offset(A_WEEK).per_bar().sum().or_zero()))
}

/// The funnel of a new customer, in order.
const STEPS: [(&str, &CounterMetric); 5] = [
    ("registered", &USERS_REGISTERED),
    ("confirmed the address", &USERS_VERIFIED),
    ("created an organization", &ORGANIZATIONS_CREATED),
    ("created a workspace", &WORKSPACES_CREATED),
    ("published for the first time", &WORKSPACES_FIRST_PUBLISHED),
];

/// Adds the count of each step in a week, which ended `ago` before now.
fn steps(panel: Panel, ago: Option<Duration>) -> Panel {
    let panel = panel.width(7).unit(Unit::Plain).decimals(0).color(Color::Blue).when_nothing("0");
    STEPS.iter().fold(panel, |panel, (name, metric)| {
        let counter = match ago {
            Some(ago) => select(*metric).offset(ago),
            None => select(*metric),
        };
        panel.ask(Target::instant_named(name, &counter.increase(A_WEEK).sum().or_zero()))
    })
}

fn funnel() -> Panel {
    let panel = Panel::bars(
        7,
        "From registration to publication, last 7 days",
        "How many took each step, whatever the dashboard's range. A step that falls behind the week before: try it \
         yourself. Few confirm: look whether e-mails arrive.",
    );
    steps(panel, None)
}

fn funnel_before() -> Panel {
    let panel = Panel::bars(
        9,
        "The 7 days before",
        "The same a week earlier. Compare the shapes: a step that breaks off this week and did not last week is where \
         people are lost.",
    );
    steps(panel, Some(A_WEEK))
}

fn arrivals() -> Panel {
    let per_day = |metric: &CounterMetric| select(metric).per_bar().sum();
    Panel::time_series(
        8,
        "Arrivals, by the day",
        "Registrations, confirmed addresses and first publications of the last four weeks, whatever the dashboard's \
         range.",
    )
    .width(10)
    .unit(Unit::Plain)
    .decimals(0)
    .interval(Period::Days(1))
    .looking_back(Period::Days(28))
    .when_nothing("Points appear when their day is over")
    .ask(Target::named("registered", &per_day(&USERS_REGISTERED)))
    .ask(Target::named("confirmed", &per_day(&USERS_VERIFIED)))
    .ask(Target::named("first publications", &per_day(&WORKSPACES_FIRST_PUBLISHED)))
}

fn items_now() -> Panel {
    Panel::bars(21, "Content items now", "How many are in which status. Sampled from the database.")
        .width(6)
        .unit(Unit::Plain)
        .decimals(0)
        .color(Color::Blue)
        .when_nothing("Not sampled")
        .except(Override::color(ContentItemStatus::PublishFailed.as_str(), Color::Orange))
        .ask(Target::instant(&select(&CONTENT_ITEMS).now().max_by::<ContentItemStatus, _>()))
}

fn items() -> Panel {
    let open = [
        ContentItemStatus::Draft,
        ContentItemStatus::InApproval,
        ContentItemStatus::ChangesRequested,
        ContentItemStatus::Approved,
        ContentItemStatus::Scheduled,
        ContentItemStatus::PublishFailed,
    ];
    Panel::time_series(
        22,
        "Content items on their way",
        "Items that are neither published, rejected nor archived. One status that only grows is where the workflow is \
         stuck.",
    )
    .width(10)
    .unit(Unit::Plain)
    .decimals(0)
    .stacked()
    .ask(Target::series(&select(&CONTENT_ITEMS).is_one_of(&open).now().max_by::<ContentItemStatus, _>()))
}

fn decisions() -> Panel {
    Panel::time_series(
        23,
        "Approval decisions",
        "What reviewers decide. None while items are in approval: look whether requests for approval arrive by e-mail.",
    )
    .width(8)
    .unit(Unit::Plain)
    .decimals(0)
    .stacked_bars()
    .interval(Period::Hours(1))
    .when_nothing(FIRST_HOUR)
    .except(Override::color("approve", Color::Green))
    .except(Override::color("request_changes", Color::Yellow))
    .except(Override::color("reject", Color::Red))
    .ask(Target::series(&select(&APPROVAL_DECISIONS_SUBMITTED).per_bar().sum_by::<Decision, _>()))
}

fn waiting() -> Panel {
    Panel::time_series(
        24,
        "Waiting for people",
        "Items in approval for longer than three days (SOCIALIZE_APPROVAL_STALE_AFTER), and invites that nobody has \
         accepted. Both rise when e-mails do not arrive.",
    )
    .width(8)
    .unit(Unit::Plain)
    .decimals(0)
    .ask(Target::named("stale in approval", &select(&CONTENT_ITEMS_STALE_IN_APPROVAL).now().max()))
    .ask(Target::named("invites pending", &select(&WORKSPACE_INVITES_PENDING).now().max()))
}

fn publishing() -> Panel {
    Panel::time_series(
        25,
        "Publishing",
        "Attempts to deliver items to their workspaces' endpoints. `deferred` is tried again; `failed` waits for a \
         manager. The failures of one workspace are its own; those of all are ours.",
    )
    .width(8)
    .unit(Unit::Plain)
    .decimals(0)
    .stacked_bars()
    .interval(Period::Hours(1))
    .when_nothing(FIRST_HOUR)
    .except(Override::color("delivered", Color::Green))
    .except(Override::color("deferred", Color::Orange))
    .except(Override::color("failed", Color::Red))
    .ask(Target::series(&select(&PUBLISHING_DELIVERIES).per_bar().sum_by::<PublishingOutcome, _>()))
}

fn endpoints() -> Panel {
    Panel::bars(26, "Publishing endpoints changed", "What managers did to them in the dashboard's range.")
        .width(8)
        .unit(Unit::Plain)
        .decimals(0)
        .color(Color::Blue)
        .when_nothing("0")
        .ask(Target::instant(
            &select(&PUBLISHING_ENDPOINTS_CHANGED).increase(RANGE).sum_by::<PublishingEndpointChange, _>(),
        ))
}

fn log_ins() -> Panel {
    let attempts = select(&AUTH_LOGIN_ATTEMPTS).per_bar().sum();
    let successes = || select(&AUTH_LOGIN_SUCCESSES).per_bar().sum();
    Panel::time_series(31, "Log-ins", "Whether people come back. The API dashboard says why log-ins fail.")
        .width(8)
        .unit(Unit::Plain)
        .decimals(0)
        .stacked_bars()
        .interval(Period::Hours(1))
        .when_nothing(FIRST_HOUR)
        .except(Override::color("succeeded", Color::Green))
        .except(Override::color("failed", Color::Orange))
        .ask(Target::named("succeeded", &successes()))
        .ask(Target::named("failed", &attempts.minus(successes())))
}

fn feedback_submitted() -> Panel {
    Panel::time_series(
        32,
        "Feedback submitted",
        "Read every `bug`: users report what no metric shows. Several in an hour after a release: consider going back.",
    )
    .width(8)
    .unit(Unit::Plain)
    .decimals(0)
    .stacked_bars()
    .interval(Period::Hours(1))
    .when_nothing(FIRST_HOUR)
    .except(Override::color("bug", Color::Red))
    .ask(Target::series(&select(&FEEDBACK_REPORTS_SUBMITTED).per_bar().sum_by::<FeedbackKind, _>()))
}

fn feedback_open() -> Panel {
    Panel::bars(33, "Feedback by status", "`new` is what nobody has looked at yet: triage it.")
        .width(8)
        .unit(Unit::Plain)
        .decimals(0)
        .color(Color::Blue)
        .when_nothing("Not sampled")
        .except(Override::color("new", Color::Orange))
        .ask(Target::instant(&select(&FEEDBACK_REPORTS).now().max_by::<FeedbackStatus, _>()))
}

fn sample() -> Panel {
    Panel::stat(
        41,
        "Sample is old",
        "How long ago the numbers of the database were sampled. Above ten minutes: the loop `gauge_sampler` on \
         Background and dependencies says whether it fails.",
    )
    .width(4)
    .unit(Unit::Seconds)
    .decimals(0)
    .thresholds(Color::Green, &[(SAMPLE_AGE.as_secs_f64(), Color::Red)])
    .when_nothing("Nobody samples")
    .ask(Target::instant_named("age", &select(&SAMPLER_LAST_SUCCESS).now().max().age()))
}

fn drift() -> Panel {
    Panel::stat(
        42,
        "Rows miscounted",
        "By how much the counts behind these gauges differ from their tables. Anything but 0: `socialize gauges \
         repair`.",
    )
    .width(4)
    .unit(Unit::Count)
    .thresholds(Color::Green, &[(1.0, Color::Orange)])
    .when_nothing("Not compared yet")
    .ask(Target::instant(&select(&GAUGE_DRIFT).now().max_by::<StatusGauge, _>()))
}

fn quotas() -> Panel {
    Panel::stat(
        44,
        "Largest share of a quota",
        "How near the largest user or organization is to what it may use. Above 90 %: QuotaNear says how to find out \
         who it is.",
    )
    .width(4)
    .unit(Unit::Share)
    .thresholds(Color::Green, &[(QUOTA_SHARE, Color::Orange)])
    .when_nothing("Not sampled")
    .ask(Target::instant(&select(&QUOTA_LARGEST_SHARE).now().max_by::<Quota, _>()))
}

fn latest() -> Panel {
    let fields =
        [Field::key(&keys::ORGANIZATION_ID), Field::key(&keys::WORKSPACE_ID), Field::key(&keys::USER_ID)];
    Panel::logs(
        43,
        "What happened last",
        "Facts with the ids of organization, workspace and user: whom to ask. Metrics never hold ids.",
    )
    .width(12)
    .when_nothing("Nobody did anything")
    .ask(Target::lines(&all_lines().of_users().showing(&fields)))
}
