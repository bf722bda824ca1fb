//! Alerts about what Socialize hands to others: e-mails, uploaded files, published items.

use std::time::Duration;

use domain::catalogue::{BLOB_OPERATION_DURATION, EMAIL_DELIVERIES, JOB_QUEUE_DEPTH, PUBLISHING_DELIVERIES};
use domain::events;
use domain::labels::{BlobOperation, BlobOutcome, EmailOutcome, EmailTemplate, JobKind, PublishingOutcome};
use telemetry::events::CLIENT_REQUEST;
use telemetry::log::Level;

use super::cases::{case, fires, silent};
use super::thresholds::{
    BETWEEN_EVENTS, BLOB_FAILURE_SHARE, EMAIL_FAILURE_SHARE, FEWEST_FAILURES, LONG, LOW_TRAFFIC_WINDOW,
    PUBLISHING_FAILURE_SHARE,
};
use super::{Alert, DashboardUid, Look, Runbook, Series, Severity, metrics};
use crate::query::{Scale, lines, select, spans};

pub(super) fn alerts(scale: Scale) -> Vec<Alert> {
    vec![email_delivery_failing(scale), blob_storage_failing(scale), publishing_failing(scale)]
}

fn email_delivery_failing(scale: Scale) -> Alert {
    let failed = |window| select(&EMAIL_DELIVERIES).is_not(EmailOutcome::Delivered).increase(window).sum();
    let all = |window| select(&EMAIL_DELIVERIES).increase(window).sum();
    let window = scale.of(LONG);
    let condition = failed(window)
        .share_of(all(window))
        .above(EMAIL_FAILURE_SHARE)
        .and(failed(window).at_least(FEWEST_FAILURES));
    let mail = |delivered, deferred, refused| {
        vec![
            Series::of(&EMAIL_DELIVERIES, (EmailTemplate::VerifyEmail, EmailOutcome::Delivered), delivered),
            Series::of(&EMAIL_DELIVERIES, (EmailTemplate::VerifyEmail, EmailOutcome::Deferred), deferred),
            Series::of(&EMAIL_DELIVERIES, (EmailTemplate::VerifyEmail, EmailOutcome::Refused), refused),
        ]
    };
    Alert {
        name: "EmailDeliveryFailing",
        severity: Severity::Critical,
        condition: condition.text().to_owned(),
        pending: Duration::ZERO,
        keep_firing: scale.of(BETWEEN_EVENTS),
        summary: "E-mails are not delivered.".to_owned(),
        description:
            "The mail server did not take {{ $value | humanizePercentage }} of attempts within 15 minutes."
                .to_owned(),
        dashboard: DashboardUid::Background,
        runbook: Runbook {
            meaning: "Handing e-mails to the mail server fails, for now (`deferred`) or for good (`refused`).",
            impact: "Nobody can verify an address, reset a password or accept an invite; reviewers do not hear of what waits for them. Deferred e-mails are sent later, refused ones are not.",
            confirm: vec![
                metrics(
                    "What came of attempts",
                    &select(&EMAIL_DELIVERIES).increase(LONG).sum_by::<EmailOutcome, _>(),
                ),
                metrics("How many wait", &select(&JOB_QUEUE_DEPTH).is(JobKind::SendEmail).now().max()),
                Look::Logs(
                    "Why, in `error_cause`; the server's code in `smtp_response_status_code`",
                    lines(events::EMAIL_DELIVERY).at_least(Level::Warn),
                ),
            ],
            remedy: &[
                "`socialize doctor` in the container of the worker tries the mail server: name, port, certificate, credentials; `socialize doctor --send-to ADDRESS` sends one.",
                "`deferred` by everything: the server is down, or limits how much it takes. They are tried again for a day.",
                "`refused` by everything: the sender's address is not allowed, or the account is closed. Mend it, then retry what was given up: `socialize dead-letters list`, `… retry`.",
                "`refused` by few: addresses that do not exist. Nothing to do.",
            ],
            escalate: "To whoever runs the mail server, when it takes nothing for half an hour.",
        },
        fires_without_data: false,
        cases: vec![
            case("all delivered", 30, mail("0+2x30", "0x30", "0x30"), silent()),
            case("the server takes nothing", 30, mail("0x30", "0+1x30", "0x30"), fires("100%")),
            case("a single one refused", 12, mail("0x20", "0x20", "0x10 1x10"), silent()),
            case("some of many deferred", 30, mail("0+20x30", "0+1x30", "0x30"), silent()),
            case("a restart resets the counts", 20, mail("0+2x10 0+2x10", "9x10 0x10", "0x20"), silent()),
        ],
    }
}

/// Outcomes that are a failure of the store. A client that goes away and a file that was deleted meanwhile are none.
const STORE_FAILED: &[BlobOutcome] = &[
    BlobOutcome::Unavailable,
    BlobOutcome::Timeout,
    BlobOutcome::Denied,
    BlobOutcome::Corrupt,
    BlobOutcome::Other,
];

fn blob_storage_failing(scale: Scale) -> Alert {
    let failed =
        |window| select(&BLOB_OPERATION_DURATION).is_one_of(STORE_FAILED).count().increase(window).sum();
    let all = |window| select(&BLOB_OPERATION_DURATION).count().increase(window).sum();
    let window = scale.of(LONG);
    let condition = failed(window)
        .share_of(all(window))
        .above(BLOB_FAILURE_SHARE)
        .and(failed(window).at_least(FEWEST_FAILURES));
    let operations = |ok, failed| {
        vec![
            Series::count(&BLOB_OPERATION_DURATION, (BlobOperation::Put, BlobOutcome::Ok), ok),
            Series::count(&BLOB_OPERATION_DURATION, (BlobOperation::Put, BlobOutcome::Unavailable), failed),
        ]
    };
    Alert {
        name: "BlobStorageFailing",
        severity: Severity::Critical,
        condition: condition.text().to_owned(),
        pending: Duration::ZERO,
        keep_firing: scale.of(BETWEEN_EVENTS),
        summary: "Uploaded files cannot be stored or read.".to_owned(),
        description:
            "{{ $value | humanizePercentage }} of operations on the blob store within 15 minutes failed."
                .to_owned(),
        dashboard: DashboardUid::Background,
        runbook: Runbook {
            meaning: "The directory or bucket of uploaded files fails, refuses, or answers too late.",
            impact: "Attachments and screenshots cannot be uploaded or seen; items with attachments cannot be published. All else works.",
            confirm: vec![
                metrics(
                    "What fails",
                    &select(&BLOB_OPERATION_DURATION)
                        .is_one_of(STORE_FAILED)
                        .count()
                        .increase(LONG)
                        .sum_by::<BlobOperation, _>()
                        .above(0.0),
                ),
                metrics(
                    "How",
                    &select(&BLOB_OPERATION_DURATION)
                        .is_one_of(STORE_FAILED)
                        .count()
                        .increase(LONG)
                        .sum_by::<BlobOutcome, _>()
                        .above(0.0),
                ),
                Look::Logs("Why, in `error_cause`", lines(events::BLOB_OPERATION).at_least(Level::Warn)),
            ],
            remedy: &[
                "`socialize doctor` in the container tries to write, read and delete a file and says what is wrong.",
                "`denied`: credentials or rights of the directory changed. `unavailable`: the disk is full (DiskAlmostFull) or the bucket is down.",
                "`corrupt`: a file is not what was stored. Stop writing and restore it from a backup.",
            ],
            escalate: "To whoever runs the bucket; at once for `corrupt`.",
        },
        fires_without_data: false,
        cases: vec![
            case("all succeed", 30, operations("0+2x30", "0x30"), silent()),
            case("half of them fail", 30, operations("0+2x30", "0+2x30"), fires("50%")),
            case("the first failure", 12, operations("0x20", "0x10 1x10"), silent()),
            case(
                "files that were deleted meanwhile",
                30,
                vec![Series::count(
                    &BLOB_OPERATION_DURATION,
                    (BlobOperation::Get, BlobOutcome::NotFound),
                    "0+5x30",
                )],
                silent(),
            ),
            case("a restart resets the counts", 20, operations("0+2x10 0+2x10", "9x10 0x10"), silent()),
        ],
    }
}

fn publishing_failing(scale: Scale) -> Alert {
    let failed =
        |window| select(&PUBLISHING_DELIVERIES).is_not(PublishingOutcome::Delivered).increase(window).sum();
    let all = |window| select(&PUBLISHING_DELIVERIES).increase(window).sum();
    let window = scale.of(LOW_TRAFFIC_WINDOW);
    let condition = failed(window)
        .share_of(all(window))
        .above(PUBLISHING_FAILURE_SHARE)
        .and(failed(window).at_least(FEWEST_FAILURES));
    let deliveries = |delivered, deferred| {
        vec![
            Series::of(&PUBLISHING_DELIVERIES, PublishingOutcome::Delivered, delivered),
            Series::of(&PUBLISHING_DELIVERIES, PublishingOutcome::Deferred, deferred),
        ]
    };
    Alert {
        name: "PublishingFailing",
        severity: Severity::Warning,
        condition: condition.text().to_owned(),
        pending: Duration::ZERO,
        keep_firing: scale.of(BETWEEN_EVENTS),
        summary: "Most deliveries to publishing endpoints fail.".to_owned(),
        description: "{{ $value | humanizePercentage }} of attempts to deliver content items within half an hour failed.".to_owned(),
        dashboard: DashboardUid::Background,
        runbook: Runbook {
            meaning: "Endpoints of customers do not take what is delivered to them. One that fails is its owner's to mend; most of them at once is us.",
            impact: "Items are published late or not at all; their authors see `publish_failed`.",
            confirm: vec![
                metrics("What came of attempts", &select(&PUBLISHING_DELIVERIES).increase(LOW_TRAFFIC_WINDOW).sum_by::<PublishingOutcome, _>()),
                Look::Logs("How calls fail, by `workspace_id`", lines(CLIENT_REQUEST).at_least(Level::Warn)),
                Look::Traces("What the calls did", spans().is(domain::labels::Peer::PublishingEndpoint).failed()),
            ],
            remedy: &[
                "All workspaces fail with `dns_failure`, `connection_refused` or `tls_failure`: this machine cannot reach the internet; look at its network, resolver and clock.",
                "A single `workspace_id`: tell its managers; they see the reason in Socialize as well.",
                "`4xx` from all: signatures are refused. Was the server's secret changed?",
            ],
            escalate: "When all fail and the network is well.",
        },
        fires_without_data: false,
        cases: vec![
            case("all delivered", 40, deliveries("0+1x40", "0x40"), silent()),
            case("most fail", 40, deliveries("0+1x40", "0+3x40"), fires("75%")),
            case("the first failure", 12, deliveries("0x20", "0x10 1x10"), silent()),
            case("a restart resets the counts", 40, deliveries("0+1x20 0+1x20", "9x20 0x20"), silent()),
        ],
    }
}
