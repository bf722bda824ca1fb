//! How long what people type may be, in characters, and how large what they upload: the API refuses more, and so do the
//! checks of the database.

use std::ops::RangeInclusive;

/// The e-mail address of an account or an invite.
pub const EMAIL: RangeInclusive<usize> = 3..=254;
/// The name that a user is shown by.
pub const DISPLAY_NAME: RangeInclusive<usize> = 1..=100;
/// The name of an organization.
pub const ORGANIZATION_NAME: RangeInclusive<usize> = 1..=100;
/// The name of a workspace.
pub const WORKSPACE_NAME: RangeInclusive<usize> = 1..=100;
/// The title of a revision.
pub const CONTENT_TITLE: RangeInclusive<usize> = 1..=200;
/// The body of a revision, which may be empty because a post can be a picture.
pub const CONTENT_BODY: RangeInclusive<usize> = 0..=10_000;
/// The note that may come with an approval decision.
pub const DECISION_NOTE: RangeInclusive<usize> = 1..=2_000;
/// A comment on a content item.
pub const COMMENT_BODY: RangeInclusive<usize> = 1..=5_000;
/// The name of an uploaded file.
pub const FILE_NAME: RangeInclusive<usize> = 1..=255;
/// The URL that a workspace publishes to.
pub const PUBLISHING_ENDPOINT_URL: RangeInclusive<usize> = 10..=2_000;
/// A feedback report.
pub const FEEDBACK_BODY: RangeInclusive<usize> = 1..=5_000;
/// The key by which a client names one creating request.
pub const IDEMPOTENCY_KEY: RangeInclusive<usize> = 1..=255;
/// The key by which the queue knows that a job is already enqueued.
pub const JOB_DEDUPLICATION_KEY: RangeInclusive<usize> = 1..=200;

/// The largest attachment, in bytes.
pub const ATTACHMENT_BYTES: u64 = 25 << 20;
/// The largest screenshot, in bytes.
pub const SCREENSHOT_BYTES: u64 = 5 << 20;
/// The most attachments that a content item can have.
pub const ATTACHMENTS: i64 = 20;
