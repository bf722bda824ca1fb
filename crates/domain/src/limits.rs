//! Maximum lengths of user input, in characters, and maximum sizes of uploads. The API rejects
//! more, and so do the checks of the database.

use std::ops::RangeInclusive;

/// E-mail address of an account or an invite.
pub const EMAIL: RangeInclusive<usize> = 3..=254;
/// Displayed name of a user.
pub const DISPLAY_NAME: RangeInclusive<usize> = 1..=100;
/// Name of a customer's organization.
pub const ORGANIZATION_NAME: RangeInclusive<usize> = 1..=100;
/// Displayed name of a workspace.
pub const WORKSPACE_NAME: RangeInclusive<usize> = 1..=100;
/// Title of a revision.
pub const CONTENT_TITLE: RangeInclusive<usize> = 1..=200;
/// Body of a revision. It may be empty, because a post can consist of a picture.
pub const CONTENT_BODY: RangeInclusive<usize> = 0..=10_000;
/// Optional note of an approval decision.
pub const DECISION_NOTE: RangeInclusive<usize> = 1..=2_000;
/// Text of a comment on a content item.
pub const COMMENT_BODY: RangeInclusive<usize> = 1..=5_000;
/// Name of an uploaded file.
pub const FILE_NAME: RangeInclusive<usize> = 1..=255;
/// URL of a workspace's publishing endpoint.
pub const PUBLISHING_ENDPOINT_URL: RangeInclusive<usize> = 10..=2_000;
/// Text of a feedback report.
pub const FEEDBACK_BODY: RangeInclusive<usize> = 1..=5_000;
/// Value of the `Idempotency-Key` header.
pub const IDEMPOTENCY_KEY: RangeInclusive<usize> = 1..=255;
/// Key by which the queue recognises that a job is already enqueued.
pub const JOB_DEDUPLICATION_KEY: RangeInclusive<usize> = 1..=200;

/// Maximum size of an attachment in bytes.
pub const ATTACHMENT_BYTES: u64 = 25 << 20;
/// Maximum size of a screenshot in bytes.
pub const SCREENSHOT_BYTES: u64 = 5 << 20;
/// Maximum number of attachments of a content item.
pub const ATTACHMENTS: i64 = 20;
