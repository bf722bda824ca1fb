//! Alerts about growing backlogs: unpublished items, and items that nobody decides on.
//!
//! An old backlog, however large, is a decision of its owners. These alerts therefore look at growth and at
//! the share of all items.

use std::time::Duration;

use catalogue::events;
use catalogue::labels::{ContentItemStatus, JobKind, PublishingOutcome};
use catalogue::metrics::{CONTENT_ITEMS, CONTENT_ITEMS_STALE_IN_APPROVAL, PUBLISHING_DELIVERIES};
use signal::Level;
use signal::events::CLIENT_REQUEST;

use super::cases::{MUCH, beside, case, fires, silent};
use super::thresholds::{
    BACKLOG_PENDING, FEWEST_MORE_STALE, FEWEST_MORE_UNPUBLISHED, PUBLISH_FAILED_WINDOW, STALE_SHARE,
    STALE_WINDOW, UNPUBLISHED_SHARE,
};
use super::{Alert, DashboardUid, Look, Runbook, Series, Severity, metrics};
use crate::query::{Scale, lines, select};

pub(super) fn alerts(scale: Scale) -> Vec<Alert> {
    vec![items_not_published(scale), approvals_stale(scale)]
}

fn items_not_published(scale: Scale) -> Alert {
    let failed = || select(&CONTENT_ITEMS).is(ContentItemStatus::PublishFailed);
    let more = |window| failed().now().max().minus(failed().lowest(window).min());
    let published =
        |window| select(&PUBLISHING_DELIVERIES).is(PublishingOutcome::Delivered).increase(window).sum();
    let window = scale.of(PUBLISH_FAILED_WINDOW);
    let condition = more(window)
        .over(more(window).plus(published(window)))
        .above(UNPUBLISHED_SHARE)
        .and(more(window).at_least(FEWEST_MORE_UNPUBLISHED));
    let items = |failed, delivered| {
        vec![
            Series::of(&CONTENT_ITEMS, ContentItemStatus::PublishFailed, failed),
            Series::of(&PUBLISHING_DELIVERIES, PublishingOutcome::Delivered, delivered),
        ]
    };
    // Many drafts, no archived items, and failing attempts.
    let besides = vec![
        Series::of(&CONTENT_ITEMS, ContentItemStatus::Draft, "100000x3000"),
        Series::of(&CONTENT_ITEMS, ContentItemStatus::Archived, "0x3000"),
        Series::of(&PUBLISHING_DELIVERIES, PublishingOutcome::Deferred, MUCH),
    ];
    Alert {
        name: "ItemsNotPublished",
        severity: Severity::Warning,
        condition: condition.into_expression(),
        pending: scale.of(BACKLOG_PENDING),
        keep_firing: Duration::ZERO,
        summary: "Many content items end as publish_failed.".to_owned(),
        description:
            "{{ $value | humanizePercentage }} of the items that were to be published within a day ended as \
             publish_failed."
                .to_owned(),
        dashboard: DashboardUid::Adoption,
        runbook: Runbook {
            meaning: "Within a day, at least ten more items became `publish_failed`, more than a fifth of those to be \
                      published. Managers have not retried them.",
            impact: "Posts did not appear. Their authors see `publish_failed` and the reason.",
            confirm: vec![
                metrics("Number of failed items", &failed().now().max()),
                metrics(
                    "Outcomes of attempts",
                    &select(&PUBLISHING_DELIVERIES)
                        .increase(PUBLISH_FAILED_WINDOW)
                        .sum_by::<PublishingOutcome, _>(),
                ),
                Look::Logs("Failed calls, by `workspace_id`", lines(CLIENT_REQUEST).at_least(Level::Warn)),
                Look::Logs(
                    "How jobs that publish fail",
                    lines(events::JOB_RUN).is(JobKind::PublishContentItem).at_least(Level::Warn),
                ),
            ],
            remedy: &[
                "One `workspace_id`: tell its managers. They can retry the items when their endpoint works.",
                "All workspaces: this machine cannot reach the Internet, or endpoints reject signatures because the \
                 server's secret changed.",
            ],
            escalate: "Within the working day, if workspaces with different endpoints are affected.",
        },
        fires_without_data: false,
        cases: beside(
            besides,
            vec![
                case("an old backlog", 100, items("300x100", "0+1x100"), silent()),
                case("nine more", 40, items("300x10 309x40", "0x50"), silent()),
                case("ten more", 16, items("300x10 310x40", "0x50"), fires("100%")).then(15.5, silent()),
                case("as many as a fifth", 60, items("0x10 10x60", "0x10 40x60"), silent()),
                case("more than a fifth", 60, items("0x10 10x60", "0x10 39x60"), fires("20.41%")),
                case(
                    "fifteen of 25 within a day, and older ones",
                    2000,
                    items("0x300 5x600 20x1200", "0x299 10x500 20x1300"),
                    fires("59.98%"),
                )
                .long(),
                case(
                    "nine more within a day, and older ones",
                    2000,
                    items("0x300 5x600 14x1200", "0x2100"),
                    silent(),
                )
                .long(),
                case("tried again, and published", 60, items("0x10 20x20 0x40", "0x60"), silent()),
            ],
        ),
    }
}

fn approvals_stale(scale: Scale) -> Alert {
    let stale = || select(&CONTENT_ITEMS_STALE_IN_APPROVAL);
    let waiting = || select(&CONTENT_ITEMS).is(ContentItemStatus::InApproval).now().max();
    let more = |window| stale().now().max().minus(stale().lowest(window).min());
    let condition = stale()
        .now()
        .max()
        .over(waiting())
        .above(STALE_SHARE)
        .and(more(scale.of(STALE_WINDOW)).at_least(FEWEST_MORE_STALE));
    let items = |stale, waiting| {
        vec![
            Series::of(&CONTENT_ITEMS_STALE_IN_APPROVAL, (), stale),
            Series::of(&CONTENT_ITEMS, ContentItemStatus::InApproval, waiting),
        ]
    };
    let besides = vec![Series::of(&CONTENT_ITEMS, ContentItemStatus::Draft, "100000x3000")];
    Alert {
        name: "ApprovalsStale",
        severity: Severity::Info,
        condition: condition.into_expression(),
        pending: scale.of(BACKLOG_PENDING),
        keep_firing: Duration::ZERO,
        summary: "Reviewers have stopped deciding.".to_owned(),
        description:
            "{{ $value | humanizePercentage }} of the items in approval have waited too long, many more than a day ago."
                .to_owned(),
        dashboard: DashboardUid::Adoption,
        runbook: Runbook {
            meaning: "More than half of the items in approval have waited longer than \
                      `SOCIALIZE_APPROVAL_STALE_AFTER`, at least fifty more than within the last day.",
            impact: "Authors wait. Reviewers do not want to decide, cannot, or are not notified.",
            confirm: vec![
                metrics("How many wait for too long", &stale().now().max()),
                metrics("How many wait at all", &waiting()),
                Look::Logs("Whether e-mails fail", lines(events::EMAIL_DELIVERY).at_least(Level::Warn)),
            ],
            remedy: &[
                "Reviewers get no e-mails: see EmailDeliveryFailing. Reminders are not enqueued: see \
                 PeriodicJobStalled.",
                "Decisions fail: see the panel of failing routes on the dashboard `Socialize: API`, and the log lines \
                 of the route.",
                "Everything works: ask the customers.",
            ],
            escalate: "Not needed.",
        },
        fires_without_data: false,
        cases: beside(
            besides,
            vec![
                case("an old backlog", 100, items("300x100", "400x100"), silent()),
                case("49 more", 60, items("10x10 59x60", "70x70"), silent()),
                case("50 more", 16, items("10x10 60x60", "70x70"), fires("85.71%")).then(15.5, silent()),
                case("half of those that wait", 60, items("10x10 60x60", "120x70"), silent()),
                case(
                    "more than half of those that wait",
                    60,
                    items("10x10 60x60", "119x70"),
                    fires("50.42%"),
                ),
                case(
                    "50 more within 20 hours",
                    1400,
                    items("0x100 25x1100 50x300", "60x1500"),
                    fires("83.33%"),
                )
                .long(),
                case("80 more within two days", 2900, items("0x100 40x2000 80x900", "90x3000"), silent())
                    .long(),
            ],
        ),
    }
}
