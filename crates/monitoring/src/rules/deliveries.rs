//! Alerts about deliveries to other systems: e-mails, uploaded files, published items.
//!
//! Long because each alert is one function with its texts and test cases.

use std::time::Duration;

use catalogue::events;
use catalogue::labels::{BlobOperation, BlobOutcome, EmailOutcome, EmailResult, JobKind, PublishingOutcome};
use catalogue::metrics::{
    BLOB_OPERATION_DURATION, EMAIL_DELIVERIES, EMAIL_MESSAGES, JOB_QUEUE_DEPTH, PUBLISHING_DELIVERIES,
};
use signal::Level;
use signal::events::CLIENT_REQUEST;

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
        condition: condition.into_expression(),
        pending: Duration::ZERO,
        keep_firing: scale.of(BETWEEN_EVENTS),
        summary: "E-mails are not delivered.".to_owned(),
        description:
            "{{ $value | humanizePercentage }} of e-mails fail, and not because of their recipients."
                .to_owned(),
        dashboard: DashboardUid::Background,
        runbook: Runbook {
            meaning: "E-mails are late or were given up, because of the mail server, the network, the account, the \
                      settings, or the e-mails themselves. Each e-mail counts once, however often it is tried. Unknown \
                      addresses and full mailboxes do not count, greylisted e-mails only after ten minutes.",
            impact: "Users cannot register, reset passwords or accept invites, and reviewers are not told of waiting \
                     items. Delayed e-mails are sent later; those that were given up are not.",
            confirm: vec![
                metrics(
                    "Results of e-mails",
                    &select(&EMAIL_MESSAGES).increase(LONG).sum_by::<EmailResult, _>(),
                ),
                Look::Logs(
                    "Why: `error_cause`, with the server's reply in `smtp_response_status_code` and its stage in \
                     `smtp_stage`",
                    lines(events::EMAIL_DELIVERY).at_least(Level::Warn),
                ),
                metrics(
                    "Outcomes of attempts",
                    &select(&EMAIL_DELIVERIES).increase(LONG).sum_by::<EmailOutcome, _>(),
                ),
                metrics(
                    "Number of waiting e-mails",
                    &select(&JOB_QUEUE_DEPTH).is(JobKind::SendEmail).now().max(),
                ),
            ],
            remedy: &[
                "Test the mail server: `docker compose exec worker socialize doctor` checks name, port, certificate \
                 and credentials, and names the remedy. `docker compose exec worker socialize doctor --send-to \
                 ADDRESS` also sends an e-mail. Then find the `error_cause` of the log lines above. \
                 crates/socialize/src/platform/mail/replies.md has a table of replies.",
                "`unavailable`, `timeout`, `connection_refused`, `connection_reset`: the server is down, unreachable \
                 or disconnects. Check its status page, `SOCIALIZE_SMTP_URL` in `deploy/settings.env` and the \
                 firewall. E-mails are retried for a day.",
                "`dns_failure`: the host name in `SOCIALIZE_SMTP_URL` does not resolve. Correct it, or repair the \
                 resolver of the machine.",
                "`tls_failure`: the certificate is expired, not trusted, or of another name. Have it renewed, use the \
                 name in the certificate, or name the certificate of a private authority in `SOCIALIZE_SMTP_CA_FILE`.",
                "`authentication_failed`: write the password into `deploy/secrets/smtp_password` and check \
                 `SOCIALIZE_SMTP_USERNAME` in `deploy/settings.env`. Then `docker compose up --detach --force-recreate \
                 api worker`.",
                "`rate_limited`, `storage_full`: a quota of the account. Wait, or have it raised.",
                "`permission_denied`: the sender's address (`SOCIALIZE_MAIL_FROM`) is not allowed, the account is \
                 closed, or this machine's IP address is on a blocklist. Correct that with the provider.",
                "`protocol`: the server rejects the protocol, or is not a mail server. Check scheme and port in \
                 `SOCIALIZE_SMTP_URL`: `smtps://` has 465 by default, `smtp://` 587.",
                "`outcome` is `refused`: the server rejects the contents of the e-mails, and they were given up. Once \
                 it accepts them: `docker compose exec worker socialize dead-letters retry --all --kind \
                 send_email`.",
                "All other e-mails are sent at their next attempt, at most six hours after the repair.",
            ],
            escalate: "To the operator of the mail server, when it accepts nothing for half an hour.",
        },
        fires_without_data: false,
        cases: beside(
            rejected,
            vec![
                case("all delivered", 30, mail("0+2x30", "0x30", "0x30"), silent()),
                case("half fail", 30, mail("0+2x30", "0+1x30", "0+1x30"), fires("50%")),
                case("two fail, and none is delivered", 20, mail("0x30", "0x10 2x20", "0x30"), silent()),
                case(
                    "three fail, and none is delivered",
                    12,
                    mail("0x30", "0x10 2x20", "0x10 1x20"),
                    fires("100%"),
                ),
                case(
                    "three fail, and one was delivered",
                    13,
                    mail("0 1x60", "0x12 2x50", "0x12 1x50"),
                    fires("75%"),
                )
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
                case(
                    "two failures, and an older one",
                    60,
                    mail("0 1x60", "0x34 1x11 2x7 3x30", "0x60"),
                    silent(),
                ),
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
                case(
                    "three fail within five hours, and one is delivered",
                    345,
                    mail("0x320 1x100", "0x10 1x149 2x149 3x100", "0x420"),
                    silent(),
                )
                .long(),
                case(
                    "three fail, and one was delivered four hours before",
                    320,
                    mail("0x80 1x400", "0x10 1x149 2x149 3x100", "0x420"),
                    silent(),
                )
                .long(),
                case("a restart resets the counts", 20, mail("0+2x10 0+2x10", "9x10 0x10", "0x20"), silent()),
            ],
        ),
    }
}

/// Results that are not caused by the recipient.
pub const EMAIL_FAILED: &[EmailResult] = &[EmailResult::Delayed, EmailResult::GivenUp];

/// Outcomes that count as failures of the store. A client that disconnects is not a failure, and a missing
/// file has its own alert.
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
        condition: condition.into_expression(),
        pending: Duration::ZERO,
        keep_firing: scale.of(BETWEEN_EVENTS),
        summary: "Uploaded files cannot be stored or read.".to_owned(),
        description:
            "{{ $value | humanizePercentage }} of operations on the blob store within 15 minutes failed."
                .to_owned(),
        dashboard: DashboardUid::Background,
        runbook: Runbook {
            meaning: "The directory or bucket of uploaded files fails, denies access, or times out.",
            impact: "Attachments and screenshots cannot be uploaded or opened. Everything else works.",
            confirm: vec![
                metrics(
                    "Failures by operation",
                    &select(&BLOB_OPERATION_DURATION)
                        .is_one_of(STORE_FAILED)
                        .count()
                        .increase(LONG)
                        .sum_by::<BlobOperation, _>()
                        .above(0.0),
                ),
                metrics(
                    "Outcomes",
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
                "`docker compose exec api socialize doctor` writes, reads and deletes a file, and names the remedy.",
                "`denied`: credentials, or permissions of the directory, changed. `unavailable`: the disk is full \
                 (DiskAlmostFull) or the bucket is down.",
                "`corrupt`: a file differs from what was stored. Check the disk, and restore the file from a backup.",
            ],
            escalate: "To the operator of the bucket; at once for `corrupt`.",
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
        condition: missing(scale.of(LONG)).above(0.0).into_expression(),
        pending: Duration::ZERO,
        keep_firing: scale.of(BETWEEN_EVENTS),
        summary: "Uploaded files are missing from the store.".to_owned(),
        description:
            "About {{ $value | printf \"%.0f\" }} times within 15 minutes the store did not have a file that the \
             database refers to."
                .to_owned(),
        dashboard: DashboardUid::Background,
        runbook: Runbook {
            meaning: "A row of the database refers to a file that the store does not have. A file is deleted only \
                      after its row, so data is lost, or this is the wrong store.",
            impact: "Users who open the file get an error. More files may be missing than were opened, and the number \
                     may grow.",
            confirm: vec![
                metrics("Reads of missing files", &missing(LONG)),
                Look::Logs(
                    "The files, by `blob_id`",
                    lines(events::BLOB_OPERATION).is(BlobOutcome::NotFound),
                ),
                Look::Traces("Requests that met a missing file", spans().is(BlobOutcome::NotFound)),
            ],
            remedy: &[
                "All files are missing: it is the wrong store. Check that the volume is mounted, and that \
                 `SOCIALIZE_BLOBS_DIRECTORY`, or `SOCIALIZE_S3_BUCKET` and `SOCIALIZE_S3_ENDPOINT`, are unchanged.",
                "Some are missing: something else deletes them. Find and stop it: a lifecycle rule of the bucket, a \
                 clean-up of the disk, or a second deployment with the same store.",
                "The database was restored, and the store was not: restore the store from the same backup.",
                "Restore the files by their ids from a backup or the bucket's versions. Tell the customers what they \
                 must upload again; the lines of the requests have their ids.",
            ],
            escalate: "At once, because the bucket keeps deleted versions only for some time.",
        },
        fires_without_data: false,
        cases: vec![
            case("all files are there", 30, reads("0x30"), silent()),
            case("one is not", 12, reads("0x10 1x40"), fires("1"))
                .then(34.5, fires("1"))
                .then(35.0, silent()),
            case("a restart resets the count", 20, reads("9x10 0x10"), silent()),
            case(
                "one that is deleted is deleted already",
                20,
                vec![Series::count(
                    &BLOB_OPERATION_DURATION,
                    (BlobOperation::Delete, BlobOutcome::NotFound),
                    "0+1x20",
                )],
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
        condition: condition.into_expression(),
        pending: Duration::ZERO,
        keep_firing: scale.of(BETWEEN_EVENTS),
        summary: "Most content items cannot be delivered to publishing endpoints.".to_owned(),
        description:
            "At least {{ $value | humanizePercentage }} of the content items due within half an hour could not be \
             delivered."
                .to_owned(),
        dashboard: DashboardUid::Background,
        runbook: Runbook {
            meaning: "Customers' endpoints do not accept deliveries. If one endpoint fails, its owner must fix it; if \
                      most fail, the cause is probably here. An item has up to seven attempts within half an hour, so \
                      failed attempts are divided by seven.",
            impact: "Items are published late or not at all, and become `publish_failed`.",
            confirm: vec![
                metrics(
                    "Outcomes of attempts",
                    &select(&PUBLISHING_DELIVERIES)
                        .increase(LOW_TRAFFIC_WINDOW)
                        .sum_by::<PublishingOutcome, _>(),
                ),
                Look::Logs("Failed calls, by `workspace_id`", lines(CLIENT_REQUEST).at_least(Level::Warn)),
                Look::Traces(
                    "Traces of the calls",
                    spans().is(catalogue::labels::Peer::PublishingEndpoint).failed(),
                ),
            ],
            remedy: &[
                "All workspaces fail with `dns_failure`, `connection_refused` or `tls_failure`: this machine cannot \
                 reach the Internet. Check its network, resolver and clock.",
                "Only one `workspace_id`: tell its managers. They also see the reason in Socialize.",
                "`4xx` from all: endpoints reject the signatures, because `deploy/secrets/server_secret` changed. \
                 Restore it.",
            ],
            escalate: "If all fail and the network works.",
        },
        fires_without_data: false,
        cases: vec![
            case("all delivered", 40, deliveries("0+1x40", "0x40", "0x40"), silent()),
            case(
                "one item of one customer, again and again",
                40,
                deliveries("0x40", "0x10 1x1 4x10 7x20", "0x40"),
                silent(),
            ),
            case("twenty attempts", 40, deliveries("0x40", "0x30 20x10", "0x40"), silent()),
            case("twenty-one attempts", 12, deliveries("0x90", "0x12 21x80", "0x90"), silent())
                .then(13.0, fires("100%"))
                .then(51.5, fires("100%"))
                .then(52.0, silent()),
            case("two items are given up", 40, deliveries("0x40", "0x40", "0x30 2x10"), silent()),
            case(
                "two items are given up, and one is tried",
                40,
                deliveries("0x40", "0x30 7x10", "0x30 2x10"),
                fires("100%"),
            ),
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
            case(
                "a restart resets the counts",
                40,
                deliveries("0+1x20 0+1x20", "9x20 0x20", "0x40"),
                silent(),
            ),
        ],
    }
}
