//! Is it healthy, and do users succeed? One screen.

use std::time::Duration;

use catalogue::labels::{
    ActivityWindow, BlobOutcome, ContentItemStatus, Dependency, JobKind, PublishingOutcome, Role,
};
use catalogue::metrics::{
    AUTH_LOGIN_ATTEMPTS, AUTH_LOGIN_SUCCESSES, BLOB_OPERATION_DURATION, CONTENT_ITEMS,
    CONTENT_ITEMS_STALE_IN_APPROVAL, DEPENDENCY_UP, EMAIL_MESSAGES, HEARTBEAT, JOB_QUEUE_DEAD,
    JOB_QUEUE_OLDEST_AGE, JOB_RUN_DURATION, PUBLISHING_DELIVERIES, SAMPLER_LAST_SUCCESS,
    WORKSPACE_INVITES_PENDING, WORKSPACES_ACTIVE,
};
use signal::JobOutcome;
use signal::builtin::{DROPPED, EXPORT_FAILURES, PANICS};

use super::parts::{RANGE, RATE, core_actions_over_time, percentiles_of};
use crate::grafana::{
    Band, Choice, Color, Dashboard, Link, Mapping, Override, Panel, Period, Property, Target, Unit,
};
use crate::query::{BuildCommit, BuildVersion, RequestFailure, builds, requests, select};
use crate::rules::thresholds::{AVAILABILITY_OBJECTIVE, SAMPLE_AGE, SLOW_REQUEST, TELEMETRY_MISSING_AFTER};
use crate::rules::{DashboardUid, EMAIL_FAILED, STORE_FAILED, Severity};

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: DashboardUid::Overview,
        title: "Socialize: Overview",
        description: "Is it healthy, and do real users get through the core workflows?",
        range: Period::Hours(6),
        refresh: Some(Period::Seconds(30)),
        choices: Choice::PROCESSES,
        bands: vec![
            Band::Panels(
                4,
                vec![
                    heartbeat(),
                    availability(),
                    latency_now(),
                    dependencies(),
                    dead_jobs(),
                    panics(),
                    version(),
                ],
            ),
            Band::Panels(7, vec![alerts(), traffic(), latency()]),
            Band::Panels(6, vec![actions(), log_ins(), workflow()]),
            Band::Panels(6, vec![background_failures(), delivery_failures(), trust()]),
        ],
    }
}

fn heartbeat() -> Panel {
    let still_known = Duration::from_mins(60);
    Panel::stat(
        1,
        "Last heartbeat",
        "How long ago a process of each role last showed that it is alive. Above a minute: look whether the container \
         runs and read its last lines; if it runs, the way of its metrics is broken, so look at the collector on the \
         Telemetry dashboard.",
    )
    .width(4)
    .unit(Unit::Seconds)
    .decimals(0)
    .thresholds(Color::Green, &[(60.0, Color::Orange), (TELEMETRY_MISSING_AFTER.as_secs_f64(), Color::Red)])
    .when_nothing("No process for an hour")
    .ask(Target::instant(&select(&HEARTBEAT).ages_below(still_known).min_by::<Role, _>()))
}

fn availability() -> Panel {
    let failed = requests().is_one_of(RequestFailure::OURS).count().increase(RANGE).sum();
    let all = requests().served().count().increase(RANGE).sum();
    Panel::stat(
        2,
        "Answered without a fault of ours",
        "The share of requests in the dashboard's range that did not fail because of us. Below 99.5 %: the API \
         dashboard says which routes fail and why.",
    )
    .width(4)
    .unit(Unit::Share)
    .decimals(2)
    .thresholds(Color::Red, &[(AVAILABILITY_OBJECTIVE, Color::Green)])
    .when_nothing("No requests")
    .link(Link::dashboard("API", DashboardUid::Api))
    .ask(Target::instant_named("answered", &failed.share_of(all).rest()))
}

fn latency_now() -> Panel {
    Panel::stat(
        3,
        "Latency, p95",
        "19 of 20 requests in the dashboard's range took less. When it is high, the API dashboard names the slow \
         routes, and Background and dependencies says whether Postgres is slow.",
    )
    .width(3)
    .unit(Unit::Seconds)
    .thresholds(Color::Green, &[(SLOW_REQUEST.seconds() / 2.0, Color::Orange), (SLOW_REQUEST.seconds(), Color::Red)])
    .when_nothing("No requests")
    .link(Link::dashboard("API", DashboardUid::Api))
    .ask(Target::instant_named("p95", &requests().timed().quantile(0.95, RANGE)))
}

fn dependencies() -> Panel {
    Panel::stat(
        4,
        "Dependencies",
        "Whether each answers its check. Without Postgres nothing works. While the mail server or the blob store is \
         down, e-mails wait and uploads fail; both go on by themselves. One that is missing is unknown: no check has a \
         recent result.",
    )
    .width(5)
    .mapping(Mapping::values(&[("0", "down", Color::Red), ("1", "up", Color::Green)]))
    .thresholds(Color::Red, &[(1.0, Color::Green)])
    .when_nothing("Nothing reports")
    .link(Link::dashboard("Background and dependencies", DashboardUid::Background))
    .ask(Target::instant(&select(&DEPENDENCY_UP).now().min_by::<Dependency, _>()))
}

fn dead_jobs() -> Panel {
    Panel::stat(
        5,
        "Dead jobs",
        "Jobs that were given up and wait for an operator. `socialize dead-letters list` says why; repair the cause, \
         then retry or discard them.",
    )
    .width(3)
    .unit(Unit::Count)
    .thresholds(Color::Green, &[(1.0, Color::Red)])
    .when_nothing("Not sampled")
    .link(Link::dashboard("Background and dependencies", DashboardUid::Background))
    .ask(Target::instant_named("dead", &select(&JOB_QUEUE_DEAD).now().max_by::<JobKind, _>().total()))
}

fn panics() -> Panel {
    Panel::stat(
        6,
        "Panics",
        "Defects of ours, also those that a request or a job survived. The log line `panic` names file and line; \
         report it.",
    )
    .width(2)
    .unit(Unit::Plain)
    .decimals(0)
    .thresholds(Color::Green, &[(0.5, Color::Red)])
    .when_nothing("0")
    .ask(Target::instant_named("panics", &select(&PANICS).increase(RANGE).sum()))
}

fn version() -> Panel {
    Panel::stat(
        7,
        "Version",
        "What is running, with its commit. Two of them for longer than an upgrade takes mean that a process was left \
         behind.",
    )
    .width(3)
    .names_only()
    .color(Color::Blue)
    .when_nothing("Nothing runs")
    .ask(Target::instant(&builds().now().count_by_both::<BuildVersion, BuildCommit, _, _>()))
}

fn alerts() -> Panel {
    Panel::alerts(
        8,
        "Alerts",
        "What fires or is about to. Each links to its section of the runbook. Empty is good only while the watchdog \
         arrives at your receiver.",
        format!("{{severity!=\"{}\"}}", Severity::None.as_str()),
    )
    .width(8)
}

fn traffic() -> Panel {
    let failed = || requests().is_one_of(RequestFailure::OURS).count().rate(RATE).sum();
    let all = requests().served().count().rate(RATE).sum();
    Panel::time_series(
        9,
        "Requests",
        "How many requests come in, and how many of them fail because of us. None at all: look whether users can reach \
         the service (proxy, certificate, name).",
    )
    .width(8)
    .unit(Unit::RequestsPerSecond)
    .stacked()
    .link(Link::dashboard("API", DashboardUid::Api))
    .except(Override::color("answered", Color::Green))
    .except(Override::color("failed", Color::Red))
    .ask(Target::named("answered", &all.minus(failed())))
    .ask(Target::named("failed", &failed()))
}

fn latency() -> Panel {
    let panel = Panel::time_series(
        10,
        "Latency",
        "How long requests take. A median that rises points to Postgres or a busy machine; a p99 that rises alone, to \
         single routes.",
    )
    .width(8)
    .unit(Unit::Seconds)
    .thresholds(Color::Green, &[(SLOW_REQUEST.seconds(), Color::Red)])
    .link(Link::dashboard("API", DashboardUid::Api));
    percentiles_of(requests, panel)
}

fn actions() -> Panel {
    core_actions_over_time(
        11,
        "What users do",
        "The core workflows, counted after they were committed. Fewer than at the same time last week while requests \
         come in: people do not get through. Try it yourself, then look at errors by code on the API dashboard.",
    )
    .width(10)
    .interval(Period::Minutes(5))
    .when_nothing("Bars appear when their five minutes are over")
    .link(Link::dashboard("Adoption", DashboardUid::Adoption))
}

fn log_ins() -> Panel {
    let attempts = select(&AUTH_LOGIN_ATTEMPTS).per_bar().sum();
    let successes = || select(&AUTH_LOGIN_SUCCESSES).per_bar().sum();
    Panel::time_series(
        12,
        "Log-ins",
        "Many failures with few successes: either log-in is broken or somebody guesses passwords. The API dashboard \
         has the reasons.",
    )
    .width(6)
    .unit(Unit::Plain)
    .decimals(0)
    .stacked_bars()
    .interval(Period::Minutes(5))
    .when_nothing("Bars appear when their five minutes are over")
    .link(Link::dashboard("API", DashboardUid::Api))
    .except(Override::color("succeeded", Color::Green))
    .except(Override::color("failed", Color::Orange))
    .ask(Target::named("succeeded", &successes()))
    .ask(Target::named("failed", &attempts.minus(successes())))
}

fn workflow() -> Panel {
    let active = |window| select(&WORKSPACES_ACTIVE).is(window).now().max();
    let items = |status| select(&CONTENT_ITEMS).is(status).now().max();
    Panel::stat(
        13,
        "The workflow now",
        "Sampled from the database. Items that wait for decisions for too long mean that reviewers do not come, or get \
         no e-mails.",
    )
    .width(8)
    .unit(Unit::Count)
    .color(Color::Blue)
    .when_nothing("Not sampled")
    .link(Link::dashboard("Adoption", DashboardUid::Adoption))
    .except(Override::thresholds("publish failed", &[(1.0, Color::Orange)]))
    .except(Override::thresholds("stale in approval", &[(1.0, Color::Orange)]))
    .ask(Target::instant_named("active workspaces, 24 h", &active(ActivityWindow::Day)))
    .ask(Target::instant_named("active workspaces, 7 d", &active(ActivityWindow::Week)))
    .ask(Target::instant_named("in approval", &items(ContentItemStatus::InApproval)))
    .ask(Target::instant_named("stale in approval", &select(&CONTENT_ITEMS_STALE_IN_APPROVAL).now().max()))
    .ask(Target::instant_named("publish failed", &items(ContentItemStatus::PublishFailed)))
    .ask(Target::instant_named("invites pending", &select(&WORKSPACE_INVITES_PENDING).now().max()))
}

fn background_failures() -> Panel {
    let runs = |outcome| select(&JOB_RUN_DURATION).is(outcome).count().per_bar().sum();
    let oldest = select(&JOB_QUEUE_OLDEST_AGE).now().max();
    Panel::time_series(
        14,
        "Background work that failed",
        "Runs that will be tried again, were given up, or lost their lease, and how many seconds the oldest job is \
         late. Lateness that only grows: no worker runs, or one kind of job blocks them.",
    )
    .width(8)
    .unit(Unit::Plain)
    .decimals(0)
    .stacked_bars()
    .interval(Period::Minutes(1))
    .link(Link::dashboard("Background and dependencies", DashboardUid::Background))
    .except(Override::color("given up", Color::Red))
    .except(Override::color("tried again", Color::Orange))
    .except(Override::color("lease lost", Color::Purple))
    .except(Override::line_on_the_right("oldest job is late", Unit::Seconds))
    .ask(Target::named("tried again", &runs(JobOutcome::Retry)))
    .ask(Target::named("given up", &runs(JobOutcome::Dead)))
    .ask(Target::named("lease lost", &runs(JobOutcome::LostLease)))
    .ask(Target::named("oldest job is late", &oldest))
}

fn delivery_failures() -> Panel {
    let emails = select(&EMAIL_MESSAGES).is_one_of(EMAIL_FAILED).per_bar();
    let publishing = select(&PUBLISHING_DELIVERIES)
        .is_one_of(&[PublishingOutcome::Deferred, PublishingOutcome::Failed])
        .per_bar();
    let blobs = select(&BLOB_OPERATION_DURATION).is_one_of(STORE_FAILED).count().per_bar();
    let missing = select(&BLOB_OPERATION_DURATION).is(BlobOutcome::NotFound).count().per_bar();
    Panel::time_series(
        15,
        "What others refused or did not answer",
        "E-mails that are late or were given up and not because of their recipients, attempts that failed at \
         customers' publishing endpoints, operations that failed at the blob store, and files that it does not have. A \
         publishing endpoint is its customer's to repair, all else the operator's.",
    )
    .width(8)
    .unit(Unit::Plain)
    .decimals(0)
    .stacked_bars()
    .interval(Period::Minutes(1))
    .link(Link::dashboard("Background and dependencies", DashboardUid::Background))
    .ask(Target::named("e-mails", &emails.sum()))
    .ask(Target::named("publishing", &publishing.sum()))
    .ask(Target::named("blob store", &blobs.sum()))
    .ask(Target::named("files missing", &missing.sum()))
}

fn trust() -> Panel {
    let sampler = select(&SAMPLER_LAST_SUCCESS).now().max().age();
    Panel::stat(
        16,
        "Can I trust this?",
        "Telemetry that was dropped for good and attempts to send it that failed, in the dashboard's range, and how \
         old the numbers sampled from the database are. Anything but zero and a minute: look at the Telemetry \
         dashboard before you conclude anything.",
    )
    .width(8)
    .unit(Unit::Plain)
    .decimals(0)
    .thresholds(Color::Green, &[(0.5, Color::Orange)])
    .when_nothing("Not known")
    .link(Link::dashboard("Telemetry", DashboardUid::Telemetry))
    .except(Override::field(
        "sample is old",
        vec![Property::Unit(Unit::Seconds), Property::Thresholds(vec![(SAMPLE_AGE.as_secs_f64(), Color::Red)])],
    ))
    .ask(Target::instant_named("items dropped", &select(&DROPPED).increase(RANGE).sum()))
    .ask(Target::instant_named("sends failed", &select(&EXPORT_FAILURES).increase(RANGE).sum()))
    .ask(Target::instant_named("sample is old", &sampler))
}
