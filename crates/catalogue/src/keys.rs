//! Keys of the attributes for ids and closed values.

use signal::Key;

/// Declares keys, and the list of all their names.
macro_rules! keys {
    ($($(#[$meta:meta])* pub static $name:ident: Key = Key($text:literal);)+) => {
        $($(#[$meta])* pub static $name: Key = Key($text);)+

        /// The names of all keys, for the allow-lists of `tracing` events and of the collector.
        pub const NAMES: &[&str] = &[$($text),+];
    };
}

keys! {
    /// The user who acted.
    pub static USER_ID: Key = Key("user.id");
    /// The organization, which is the customer.
    pub static ORGANIZATION_ID: Key = Key("organization.id");
    /// The workspace of the operation.
    pub static WORKSPACE_ID: Key = Key("workspace.id");
    /// The affected content item.
    pub static CONTENT_ITEM_ID: Key = Key("content_item.id");
    /// The number of the affected revision.
    pub static CONTENT_ITEM_REVISION: Key = Key("content_item.revision");
    /// A comment on a content item, when it is created.
    pub static COMMENT_ID: Key = Key("comment.id");
    /// The affected attachment.
    pub static ATTACHMENT_ID: Key = Key("attachment.id");
    /// The affected invite.
    pub static INVITE_ID: Key = Key("workspace_invite.id");
    /// The affected feedback report.
    pub static FEEDBACK_REPORT_ID: Key = Key("feedback_report.id");
    /// The blob of an attachment, which has the attachment's id, or of a screenshot.
    pub static BLOB_ID: Key = Key("blob.id");
    /// The job that ran.
    pub static JOB_ID: Key = Key("job.id");
    /// The number of the attempt at the job, from 1.
    pub static JOB_ATTEMPT: Key = Key("job.attempt");
    /// The mail server's reply code, if it did not accept an e-mail.
    pub static SMTP_STATUS_CODE: Key = Key("smtp.response.status_code");
    /// The stage of the SMTP session that failed.
    pub static SMTP_STAGE: Key = Key("smtp.stage");
    /// The network that a content item is written for.
    pub static CHANNEL: Key = Key("channel");
    /// The reason why a delivery was given up.
    pub static PUBLISH_FAILURE: Key = Key("publish_failure");
    /// The role that an invite grants.
    pub static WORKSPACE_ROLE: Key = Key("workspace.role");
    /// The row in the audit log.
    pub static AUDIT_EVENT_ID: Key = Key("audit.event.id");
    /// The user or object whose permissions or settings changed.
    pub static AUDIT_TARGET_ID: Key = Key("audit.target.id");
    /// The value before the change.
    pub static AUDIT_BEFORE: Key = Key("audit.before");
    /// The value after the change.
    pub static AUDIT_AFTER: Key = Key("audit.after");
    /// The stable code of an error response.
    pub static ERROR_CODE: Key = Key("error.code");
}
