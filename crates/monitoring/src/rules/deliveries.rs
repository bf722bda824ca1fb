//! Alerts about what Socialize hands to others: e-mails, uploaded files, published items.

use std::time::Duration;

use domain::catalogue::{
    BLOB_OPERATION_DURATION, EMAIL_DELIVERIES, EMAIL_MESSAGES, JOB_QUEUE_DEPTH, PUBLISHING_DELIVERIES,
};
use domain::events;
use domain::labels::{BlobOperation, BlobOutcome, EmailOutcome, EmailResult, JobKind, PublishingOutcome};
use telemetry::events::CLIENT_REQUEST;
use telemetry::log::Level;

use super::cases::{case, fires, silent};
use super::thresholds::{
    BETWEEN_EVENTS, BLOB_FAILURE_SHARE, EMAIL_FAILURE_SHARE, FEW_EMAILS_WINDOW, FEWEST_FAILURES, LONG,
    LOW_TRAFFIC_WINDOW, PUBLISHING_FAILURE_SHARE,
};
use super::{Alert, DashboardUid, Look, Runbook, Series, Severity, metrics};
use crate::query::{Scale, lines, select, spans};

pub(super) fn alerts(scale: Scale) -> Vec<Alert> {
    vec![
        email_delivery_failing(scale),
        blob_storage_failing(scale),
        blobs_missing(scale),
        publishing_failing(scale),
    ]
}

fn email_delivery_failing(scale: Scale) -> Alert {
    let messages = || select(&EMAIL_MESSAGES).is_not(EmailResult::Rejected);
    let failed = |window| select(&EMAIL_MESSAGES).is_one_of(EMAIL_FAILED).increase(window).sum();
    let share = |window| failed(window).share_of(messages().increase(window).sum());
    let (window, few) = (scale.of(LONG), scale.of(FEW_EMAILS_WINDOW));
    let many_fail = share(window).above(EMAIL_FAILURE_SHARE).and(failed(window).at_least(FEWEST_FAILURES));
    let delivered = select(&EMAIL_MESSAGES).is(EmailResult::Delivered).increase(few).sum();
    let all_of_few_fail =
        share(few).and(failed(few).at_least(FEWEST_FAILURES)).unless_when(delivered.above(0.0));
    let condition = many_fail.or(all_of_few_fail);
    let mail = |delivered, delayed, rejected| {
        vec![
            Series::of(&EMAIL_MESSAGES, EmailResult::Delivered, delivered),
            Series::of(&EMAIL_MESSAGES, EmailResult::Delayed, delayed),
            Series::of(&EMAIL_MESSAGES, EmailResult::Rejected, rejected),
            Series::of(&EMAIL_MESSAGES, EmailResult::GivenUp, "0x1000"),
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
            "The mail server does not take {{ $value | humanizePercentage }} of e-mails, and not because of their recipients."
                .to_owned(),
        dashboard: DashboardUid::Background,
        runbook: Runbook {
            meaning: "E-mails are late or were given up, and the reason is on our side: the mail server, the way to it, our account, our settings, or what we send. An e-mail counts once, however often it is tried. Addresses that do not exist and mailboxes that are full do not count. A greylisted e-mail counts when it has been refused for about ten minutes.",
            impact: "Nobody can verify an address, reset a password or accept an invite; reviewers do not hear of what waits for them. Delayed e-mails are sent later, those that were given up are not.",
            confirm: vec![
                metrics(
                    "What became of e-mails",
                    &select(&EMAIL_MESSAGES).increase(LONG).sum_by::<EmailResult, _>(),
                ),
                metrics(
                    "What came of attempts",
                    &select(&EMAIL_DELIVERIES).increase(LONG).sum_by::<EmailOutcome, _>(),
                ),
                metrics("How many wait", &select(&JOB_QUEUE_DEPTH).is(JobKind::SendEmail).now().max()),
                Look::Logs(
                    "Why, in `error_cause`; the server's reply in `smtp_response_status_code`, and to what in `smtp_stage`",
                    lines(events::EMAIL_DELIVERY).at_least(Level::Warn),
                ),
            ],
            remedy: &[
                "`socialize doctor` in the container of the worker tries the mail server: name, port, certificate, credentials; `socialize doctor --send-to ADDRESS` sends one. docs/FAULTS.md says what each reply means.",
                "`unavailable`, `timeout`, `connection_refused`: the server is down or cannot be reached. E-mails are tried for a day.",
                "`authentication_failed`: put the right credentials into the secret's file and restart.",
                "`rate_limited`, `storage_full`: a quota of our account. Wait, or have it raised.",
                "`permission_denied`: the sender's address is not allowed, the account is closed, or our address is on a blocklist. After the repair, e-mails are sent at their next attempt, at most six hours later.",
                "`outcome` is `refused`: the server refuses what is in the message, for good. Mend it, then `socialize dead-letters retry --all --kind KIND` with the kind `send_email`.",
            ],
            escalate: "To whoever runs the mail server, when it takes nothing for half an hour.",
        },
        fires_without_data: false,
        cases: vec![
            case("all delivered", 30, mail("0+2x30", "0x30", "0x30"), silent()),
            case("the server takes nothing", 30, mail("0x30", "0+1x30", "0x30"), fires("100%")),
            case("mistyped addresses only", 30, mail("0x30", "0x30", "0+3x30"), silent()),
            case("half fail, and many addresses are mistyped", 30, mail("0+1x30", "0+1x30", "0+20x30"), fires("50%")),
            case("two fail, and none is delivered", 20, mail("0x30", "0x10 2x20", "0x30"), silent()),
            case("three fail, and none is delivered", 12, mail("0x30", "0x10 3x20", "0x30"), fires("100%")),
            case("three fail, and one was delivered", 12, mail("0 1x30", "0x10 3x20", "0x30"), fires("75%")),
            case("a fifth", 30, mail("0+4x30", "0+1x30", "0x30"), silent()),
            case("more than a fifth", 30, mail("0+39x30", "0+10x30", "0x30"), fires("20.41%")),
            case("three within nine minutes", 34, mail("0 1x60", "0x23 1x3 2x3 3x30", "0x60"), fires("100%")),
            case("three within 24 minutes", 60, mail("0 1x80", "0x23 1x11 2x11 3x40", "0x80"), silent()),
            case("25 minutes ago there were three", 35, mail("0 1x60", "0x12 3x50", "0x60"), fires("100%")),
            case("half an hour ago there were three", 42, mail("0 1x60", "0x12 3x50", "0x60"), silent()),
            case("three within five hours, and none is delivered", 320, mail("0x400", "0x10 1x149 2x149 3x100", "0x400"), fires("100%")),
            case("three within five hours, and one is delivered", 345, mail("0x320 1x100", "0x10 1x149 2x149 3x100", "0x420"), silent()),
            case("three within eleven hours, and none is delivered", 690, mail("0x700", "0x10 1x329 2x329 3x100", "0x700"), silent()),
            case("a restart resets the counts", 20, mail("0+2x10 0+2x10", "9x10 0x10", "0x20"), silent()),
        ],
    }
}

/// Results that are not the recipients' fault.
pub const EMAIL_FAILED: &[EmailResult] = &[EmailResult::Delayed, EmailResult::GivenUp];

/// Outcomes that are a failure of the store. A client that goes away is none, and a file that is missing has an alert of its own.
pub const STORE_FAILED: &[BlobOutcome] = &[
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
            case("two failures", 12, operations("0x20", "0x10 2x10"), silent()),
            case("three failures", 12, operations("0x20", "0x10 3x10"), fires("100%")),
            case("a tenth", 30, operations("0+9x30", "0+1x30"), silent()),
            case("more than a tenth", 30, operations("0+89x30", "0+10x30"), fires("10.1%")),
            case("three within nine minutes", 34, operations("0 1x60", "0x23 1x3 2x3 3x30"), fires("100%")),
            case("three within 24 minutes", 60, operations("0 1x80", "0x23 1x11 2x11 3x40"), silent()),
            case("25 minutes ago there were three", 35, operations("0 1x60", "0x12 3x50"), fires("100%")),
            case("half an hour ago there were three", 42, operations("0 1x60", "0x12 3x50"), silent()),
            case(
                "files that are missing: BlobsMissing says so",
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

fn blobs_missing(scale: Scale) -> Alert {
    let missing = |window| {
        select(&BLOB_OPERATION_DURATION)
            .is(BlobOperation::Get)
            .is(BlobOutcome::NotFound)
            .count()
            .increase(window)
            .sum()
    };
    let reads = |missing| {
        vec![
            Series::count(&BLOB_OPERATION_DURATION, (BlobOperation::Get, BlobOutcome::Ok), "0+9x100"),
            Series::count(&BLOB_OPERATION_DURATION, (BlobOperation::Get, BlobOutcome::NotFound), missing),
        ]
    };
    Alert {
        name: "BlobsMissing",
        severity: Severity::Critical,
        condition: missing(scale.of(LONG)).above(0.0).text().to_owned(),
        pending: Duration::ZERO,
        keep_firing: scale.of(BETWEEN_EVENTS),
        summary: "Uploaded files are missing in the store.".to_owned(),
        description: "About {{ $value | printf \"%.0f\" }} times within 15 minutes the store did not have a file that the database refers to.".to_owned(),
        dashboard: DashboardUid::Background,
        runbook: Runbook {
            meaning: "A row of the database refers to a file that the store does not have. Only ids that rows refer to reach the store, and files are deleted half an hour after the last row that refers to them, so this is lost data or the wrong store.",
            impact: "Those who ask for the file get an error. More may be missing than were asked for, and become more.",
            confirm: vec![
                metrics("How often", &missing(LONG)),
                Look::Logs(
                    "Which files, in `blob_id`",
                    lines(events::BLOB_OPERATION).is(BlobOutcome::NotFound),
                ),
                Look::Traces("In which requests", spans().is(BlobOutcome::NotFound)),
            ],
            remedy: &[
                "All files are missing: the store is not the one that files were put into. Is the volume mounted, and are SOCIALIZE_BLOBS_DIRECTORY, or SOCIALIZE_S3_BUCKET and SOCIALIZE_S3_ENDPOINT, unchanged?",
                "Some are missing: something else deletes them. Look for a lifecycle rule of the bucket, a clean-up of the disk, or a second deployment with the same store, and stop it.",
                "The database was restored from a newer backup than the store, or the other way round: restore the store to the same time.",
                "Restore the files by their ids from a backup or the bucket's versions. What cannot be restored has to be uploaded again: tell the customers, by the ids in the lines of the requests.",
            ],
            escalate: "At once: what is deleted now may still be in the bucket's versions, and not for long.",
        },
        fires_without_data: false,
        cases: vec![
            case("all files are there", 30, reads("0x30"), silent()),
            case("one is not", 12, reads("0x10 1x10"), fires("1")),
            case("a quarter of an hour ago one was not", 24, reads("0x10 1x30"), fires("1")),
            case("24 minutes ago one was not", 33, reads("0x10 1x30"), fires("1")),
            case("half an hour ago one was not", 40, reads("0x10 1x40"), silent()),
            case("a restart resets the count", 20, reads("9x10 0x10"), silent()),
            case(
                "one that is deleted is deleted already",
                20,
                vec![Series::count(&BLOB_OPERATION_DURATION, (BlobOperation::Delete, BlobOutcome::NotFound), "0+1x20")],
                silent(),
            ),
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
            case("two failures", 12, deliveries("0x20", "0x10 2x10"), silent()),
            case("three failures", 12, deliveries("0x20", "0x10 3x10"), fires("100%")),
            case("half", 40, deliveries("0+1x40", "0+1x40"), silent()),
            case("more than half", 40, deliveries("0+49x40", "0+51x40"), fires("51%")),
            case("three within 22 minutes", 56, deliveries("0x100", "0x30 1x10 2x10 3x50"), fires("100%")),
            case("three within 50 minutes", 88, deliveries("0x120", "0x30 1x24 2x24 3x50"), silent()),
            case("38 minutes ago there were three", 50, deliveries("0x80", "0x12 3x70"), fires("100%")),
            case("three quarters of an hour ago there were three", 58, deliveries("0x80", "0x12 3x70"), silent()),
            case("a restart resets the counts", 40, deliveries("0+1x20 0+1x20", "9x20 0x20"), silent()),
        ],
    }
}
