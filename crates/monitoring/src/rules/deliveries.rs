//! Alerts about deliveries to other systems: e-mails, uploaded files, published items.

use std::time::Duration;

use domain::catalogue::{
    BLOB_OPERATION_DURATION, EMAIL_DELIVERIES, EMAIL_MESSAGES, JOB_QUEUE_DEPTH, PUBLISHING_DELIVERIES,
};
use domain::events;
use domain::labels::{BlobOperation, BlobOutcome, EmailOutcome, EmailResult, JobKind, PublishingOutcome};
use telemetry::events::CLIENT_REQUEST;
use telemetry::log::Level;

use super::cases::{MUCH, beside, case, fires, silent};
use super::thresholds::{
    BETWEEN_EVENTS, BLOB_FAILURE_SHARE, EMAIL_FAILURE_SHARE, FEW_EMAILS_WINDOW, FEWEST_FAILURES, LONG,
    LOW_TRAFFIC_WINDOW, PUBLISHING_FAILURE_SHARE,
};
use super::{Alert, DashboardUid, Look, Runbook, Series, Severity, metrics};
use crate::query::{Scale, Total, Vector, lines, select, spans};

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
    let share = |window| failed(window).over(messages().increase(window).sum());
    let (window, few) = (scale.of(LONG), scale.of(FEW_EMAILS_WINDOW));
    let many_fail = share(window).above(EMAIL_FAILURE_SHARE).and(failed(window).at_least(FEWEST_FAILURES));
    let delivered = select(&EMAIL_MESSAGES).is(EmailResult::Delivered).increase(few).sum();
    let all_of_few_fail =
        share(few).and(failed(few).at_least(FEWEST_FAILURES)).unless_when(delivered.above(0.0));
    let condition = many_fail.or(all_of_few_fail);
    let mail = |delivered, delayed, given_up| {
        vec![
            Series::of(&EMAIL_MESSAGES, EmailResult::Delivered, delivered),
            Series::of(&EMAIL_MESSAGES, EmailResult::Delayed, delayed),
            Series::of(&EMAIL_MESSAGES, EmailResult::GivenUp, given_up),
        ]
    };
    // Mistyped addresses are rejected in each case.
    let rejected = vec![Series::of(&EMAIL_MESSAGES, EmailResult::Rejected, MUCH)];
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
        cases: beside(rejected, vec![
            case("all delivered", 30, mail("0+2x30", "0x30", "0x30"), silent()),
            case("half fail", 30, mail("0+2x30", "0+1x30", "0+1x30"), fires("50%")),
            case("two fail, and none is delivered", 20, mail("0x30", "0x10 2x20", "0x30"), silent()),
            case("three fail, and none is delivered", 12, mail("0x30", "0x10 2x20", "0x10 1x20"), fires("100%")),
            case("three fail, and one was delivered", 13, mail("0 1x60", "0x12 2x50", "0x12 1x50"), fires("75%"))
                .then(36.5, fires("100%"))
                .then(37.0, silent()),
            case("a fifth", 30, mail("0+4x30", "0+1x30", "0x30"), silent()),
            case("more than a fifth", 30, mail("0+39x30", "0+10x30", "0x30"), fires("20.41%")),
            case(
                "three failures among two successes, and older ones",
                60,
                mail("0x34 1x11 2x7 3x30", "0x34 1x11 2x7 4x30", "0x60"),
                fires("60%"),
            ),
            case("two failures, and an older one", 60, mail("0 1x60", "0x34 1x11 2x7 3x30", "0x60"), silent()),
            case(
                "none is delivered for six hours, of which three fail, and older ones",
                800,
                mail("0x100 1x800", "0x200 1x299 2x149 4x400", "0x900"),
                fires("100%"),
            )
            .long(),
            case(
                "none is delivered for six hours, of which two fail, and an older one",
                700,
                mail("0x100 1x800", "0x250 1x249 2x99 3x400", "0x900"),
                silent(),
            )
            .long(),
            case("three fail within five hours, and one is delivered", 345, mail("0x320 1x100", "0x10 1x149 2x149 3x100", "0x420"), silent())
                .long(),
            case("three fail, and one was delivered four hours before", 320, mail("0x80 1x400", "0x10 1x149 2x149 3x100", "0x420"), silent())
                .long(),
            case("a restart resets the counts", 20, mail("0+2x10 0+2x10", "9x10 0x10", "0x20"), silent()),
        ]),
    }
}

/// Results that are not caused by the recipient.
pub const EMAIL_FAILED: &[EmailResult] = &[EmailResult::Delayed, EmailResult::GivenUp];

/// Outcomes that count as failures of the store. A client that disconnects is no failure, and a missing file
/// has an alert of its own.
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
        .over(all(window))
        .above(BLOB_FAILURE_SHARE)
        .and(failed(window).at_least(FEWEST_FAILURES));
    let operations = |ok, failed| {
        vec![
            Series::count(&BLOB_OPERATION_DURATION, (BlobOperation::Put, BlobOutcome::Ok), ok),
            Series::count(&BLOB_OPERATION_DURATION, (BlobOperation::Put, BlobOutcome::Unavailable), failed),
        ]
    };
    let fails =
        |outcome, values| Series::count(&BLOB_OPERATION_DURATION, (BlobOperation::Put, outcome), values);
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
            case("half of them fail", 30, operations("0+2x30", "0+2x30"), fires("50%")),
            case("two failures", 12, operations("0x20", "0x10 2x10"), silent()),
            case("three failures", 13, operations("0x60", "0x12 3x50"), fires("100%"))
                .then(36.5, fires("100%"))
                .then(37.0, silent()),
            case(
                "three failures, each of another kind",
                12,
                [
                    fails(BlobOutcome::Unavailable, "0x10 1x10"),
                    fails(BlobOutcome::Timeout, "0x10 1x10"),
                    fails(BlobOutcome::Denied, "0x10 1x10"),
                ]
                .into(),
                fires("100%"),
            ),
            case(
                "three failures of other kinds",
                12,
                [fails(BlobOutcome::Corrupt, "0x10 1x10"), fails(BlobOutcome::Other, "0x10 2x10")].into(),
                fires("100%"),
            ),
            case("a tenth", 30, operations("0+9x30", "0+1x30"), silent()),
            case("more than a tenth", 30, operations("0+89x30", "0+10x30"), fires("10.1%")),
            case(
                "three failures among two successes, and older ones",
                60,
                operations("0x34 1x11 2x7 3x30", "0x34 1x11 2x7 4x30"),
                fires("60%"),
            ),
            case("two failures, and an older one", 60, operations("0x60", "0x34 1x11 2x7 3x30"), silent()),
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
            case("one is not", 12, reads("0x10 1x40"), fires("1")).then(34.5, fires("1")).then(35.0, silent()),
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

/// Converts publishing attempts to items: an item that is retried causes several attempts.
fn items(attempts: Vector<Total>, scale: Scale) -> Vector<Total> {
    attempts.divided_by(attempts_within(scale.of(LOW_TRAFFIC_WINDOW)))
}

/// Maximum number of attempts for one item within a window. The first delay is 5 seconds, each is three times
/// as long as the one before, and jitter shortens it by up to a quarter: see `queue::backoff`.
fn attempts_within(window: Duration) -> f64 {
    let waits = (0..).map(|attempt| 0.75 * 5.0 * 3.0_f64.powi(attempt));
    let mut times = waits.scan(0.0, |time, wait| {
        *time += wait;
        Some(*time)
    });
    1.0 + times.position(|time| time >= window.as_secs_f64()).unwrap_or_default() as f64
}

fn publishing_failing(scale: Scale) -> Alert {
    let window = scale.of(LOW_TRAFFIC_WINDOW);
    let ended = |outcome| select(&PUBLISHING_DELIVERIES).is(outcome).increase(window).sum();
    let failing = || {
        let given_up = ended(PublishingOutcome::Failed);
        given_up.plus(items(ended(PublishingOutcome::Deferred), scale))
    };
    let condition = failing()
        .over(failing().plus(ended(PublishingOutcome::Delivered)))
        .above(PUBLISHING_FAILURE_SHARE)
        .and(failing().at_least(FEWEST_FAILURES));
    let deliveries = |delivered, deferred, failed| {
        vec![
            Series::of(&PUBLISHING_DELIVERIES, PublishingOutcome::Delivered, delivered),
            Series::of(&PUBLISHING_DELIVERIES, PublishingOutcome::Deferred, deferred),
            Series::of(&PUBLISHING_DELIVERIES, PublishingOutcome::Failed, failed),
        ]
    };
    Alert {
        name: "PublishingFailing",
        severity: Severity::Warning,
        condition: condition.text().to_owned(),
        pending: Duration::ZERO,
        keep_firing: scale.of(BETWEEN_EVENTS),
        summary: "Most content items cannot be delivered to publishing endpoints.".to_owned(),
        description: "At least {{ $value | humanizePercentage }} of the content items that were to be delivered within half an hour could not be.".to_owned(),
        dashboard: DashboardUid::Background,
        runbook: Runbook {
            meaning: "Endpoints of customers do not take what is delivered to them. One that fails is its owner's to mend; most of them at once is us. An item that is tried again makes up to seven attempts within half an hour, so a seventh of the failed attempts is the least number of items.",
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
            case("all delivered", 40, deliveries("0+1x40", "0x40", "0x40"), silent()),
            case("one item of one customer, again and again", 40, deliveries("0x40", "0x10 1x1 4x10 7x20", "0x40"), silent()),
            case("twenty attempts", 40, deliveries("0x40", "0x30 20x10", "0x40"), silent()),
            case("twenty-one attempts", 12, deliveries("0x90", "0x12 21x80", "0x90"), silent())
                .then(13.0, fires("100%"))
                .then(51.5, fires("100%"))
                .then(52.0, silent()),
            case("two items are given up", 40, deliveries("0x40", "0x40", "0x30 2x10"), silent()),
            case("two items are given up, and one is tried", 40, deliveries("0x40", "0x30 7x10", "0x30 2x10"), fires("100%")),
            case("half", 40, deliveries("0+1x40", "0x40", "0+1x40"), silent()),
            case("more than half", 40, deliveries("0+49x40", "0x40", "0+51x40"), fires("51%")),
            case("most of those that are tried", 40, deliveries("0+1x40", "0+21x40", "0x40"), fires("75%")),
            case(
                "three items of five, and older ones",
                80,
                deliveries("0x19 1x41 2x9 3x30", "0x19 7x41 14x30 21x30", "0x19 1x41 2x9 3x30"),
                fires("60%"),
            ),
            case(
                "two items, and older ones",
                80,
                deliveries("0x90", "0x19 7x41 14x30", "0x19 2x45 3x30"),
                silent(),
            ),
            case("a restart resets the counts", 40, deliveries("0+1x20 0+1x20", "9x20 0x20", "0x40"), silent()),
        ],
    }
}
