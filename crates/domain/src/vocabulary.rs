//! The closed sets of Socialize: one enum per set, and one name per value for database, JSON, label
//! and log field.
//!
//! Long because the closed sets form one table.

use std::fmt;
use std::marker::PhantomData;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};
use signal::ClosedSet;

/// Returns the value of a closed set that has this name.
///
/// # Errors
///
/// Returns [`UnknownValue`] if no value has this name.
pub fn parse<T: ClosedSet>(name: &str) -> Result<T, UnknownValue> {
    T::ALL.iter().copied().find(|value| value.as_str() == name).ok_or_else(UnknownValue::of::<T>)
}

/// The error for a name that is not in a closed set.
///
/// It lists the valid names and does not repeat the given one, which may be anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownValue {
    /// Names of all valid values.
    pub allowed: Vec<&'static str>,
}

impl fmt::Display for UnknownValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "expected one of: {}", self.allowed.join(", "))
    }
}

impl std::error::Error for UnknownValue {}

impl UnknownValue {
    fn of<T: ClosedSet>() -> Self {
        Self { allowed: T::ALL.iter().map(|value| value.as_str()).collect() }
    }
}

/// Deserializes a value from its name only. (Derived code also accepts `{"owner": null}` for
/// `"owner"`, and reports `null` as a syntax error.)
struct Name<T>(PhantomData<T>);

impl<T: ClosedSet> Visitor<'_> for Name<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "one of: {}", UnknownValue::of::<T>().allowed.join(", "))
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<T, E> {
        parse(name).map_err(E::custom)
    }
}

/// Implements `Deserialize` for closed sets by means of [`Name`].
macro_rules! deserialize_by_name {
    ($($set:ty),+ $(,)?) => {$(
        impl<'de> Deserialize<'de> for $set {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Name(PhantomData))
            }
        }
    )+};
}

deserialize_by_name!(
    OrganizationRole,
    WorkspaceRole,
    ContentItemStatus,
    Channel,
    Decision,
    InviteStatus,
    FeedbackKind,
    FeedbackStatus,
    SessionEndReason,
    EmailTokenPurpose,
    MediaType,
    JobStatus,
);

/// Role of a member in an organization, which determines their permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
pub enum OrganizationRole {
    /// May do everything, including managing other owners.
    Owner,
    /// Manages members, workspaces and settings, but not owners.
    Admin,
    /// Sees the organization. Works only in workspaces of which they are a member.
    Member,
}

/// Role of a member in a workspace, which determines their permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
pub enum WorkspaceRole {
    /// Manages members, invites, settings and scheduling, and may do all that authors and reviewers
    /// do.
    Manager,
    /// Writes content items and submits them.
    Author,
    /// Decides on submitted revisions.
    Reviewer,
}

/// Reasons why the delivery of a content item was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
pub enum PublishFailure {
    /// The workspace had no publishing endpoint at the scheduled time.
    NoEndpoint,
    /// The endpoint responded with 410: it refuses further deliveries. It is disabled until a manager sets it
    /// again.
    EndpointGone,
    /// This Socialize may not call the endpoint's address.
    ForbiddenAddress,
    /// For about a day, the connection failed or requests timed out.
    Unreachable,
    /// For about a day, the endpoint returned statuses other than success.
    NotAccepted,
    /// Socialize was interrupted during every attempt.
    Interrupted,
}

/// Status of a content item on its way to publication; `approval` holds the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet, Serialize)]
#[label("status")]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
pub enum ContentItemStatus {
    /// An author is writing it.
    Draft,
    /// It is submitted, and reviewers decide on the current revision.
    InApproval,
    /// A reviewer requested another revision.
    ChangesRequested,
    /// A reviewer rejected the item.
    Rejected,
    /// The current revision has the approvals that its workspace requires.
    Approved,
    /// It is approved and will be published at a set time.
    Scheduled,
    /// It was delivered to the publishing endpoint, or published by hand.
    Published,
    /// The delivery was given up; a manager can retry it.
    PublishFailed,
    /// It is archived permanently.
    Archived,
}

/// The social network that a content item is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
pub enum Channel {
    /// The network at instagram.com.
    Instagram,
    /// The network at linkedin.com.
    Linkedin,
    /// The network at facebook.com.
    Facebook,
    /// The network at x.com, formerly Twitter.
    X,
    /// The network at tiktok.com.
    Tiktok,
    /// Any other network.
    Other,
}

/// One reviewer's verdict on one revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet, Serialize)]
#[label("decision")]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
pub enum Decision {
    /// The revision may be published as it is.
    Approve,
    /// Another revision is needed.
    RequestChanges,
    /// The item should not be published.
    Reject,
}

/// Status of a workspace invite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
pub enum InviteStatus {
    /// The invite was e-mailed and can still be used.
    Pending,
    /// The invited person used it.
    Accepted,
    /// A manager withdrew it.
    Revoked,
    /// It was not used within its seven days.
    Expired,
}

/// Subject of a feedback report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet, Serialize)]
#[label("kind")]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
pub enum FeedbackKind {
    /// A user reports that something does not work.
    Bug,
    /// A user suggests an improvement.
    Idea,
    /// A user asks about something unclear.
    Question,
    /// Any other subject.
    Other,
}

/// Progress of the operators on a feedback report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet, Serialize)]
#[label("status")]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
pub enum FeedbackStatus {
    /// No operator has read it yet.
    New,
    /// An operator has read and understood it.
    Triaged,
    /// An operator is working on it.
    InProgress,
    /// The report was acted on.
    Resolved,
    /// The report will not be acted on.
    Dismissed,
}

/// Reasons why a session, which is one family of refresh tokens, ended before it expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
pub enum SessionEndReason {
    /// The user logged out.
    LoggedOut,
    /// A refresh token was used twice, so another party may hold a copy of it.
    RefreshTokenReused,
    /// The user set a new password.
    PasswordReset,
    /// The user started too many newer sessions.
    TooManySessions,
}

/// Purposes of the link in an e-mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
pub enum EmailTokenPurpose {
    /// Confirms an address. Only versions before migration 0011 write it; registrations have had
    /// their own table since.
    VerifyEmail,
    /// The link of a password reset, which sets a new one.
    ResetPassword,
}

/// Type of an uploaded file, detected from its content. Other types cannot be uploaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text"))]
pub enum MediaType {
    /// An image in `image/png`.
    #[spelling("image/png")]
    #[serde(rename = "image/png")]
    #[cfg_attr(feature = "sqlx", sqlx(rename = "image/png"))]
    Png,
    /// An image in `image/jpeg`.
    #[spelling("image/jpeg")]
    #[serde(rename = "image/jpeg")]
    #[cfg_attr(feature = "sqlx", sqlx(rename = "image/jpeg"))]
    Jpeg,
    /// An image, possibly animated, in `image/gif`.
    #[spelling("image/gif")]
    #[serde(rename = "image/gif")]
    #[cfg_attr(feature = "sqlx", sqlx(rename = "image/gif"))]
    Gif,
    /// An image in `image/webp`.
    #[spelling("image/webp")]
    #[serde(rename = "image/webp")]
    #[cfg_attr(feature = "sqlx", sqlx(rename = "image/webp"))]
    Webp,
    /// A video in `video/mp4`.
    #[spelling("video/mp4")]
    #[serde(rename = "video/mp4")]
    #[cfg_attr(feature = "sqlx", sqlx(rename = "video/mp4"))]
    Mp4,
    /// A document in `application/pdf`.
    #[spelling("application/pdf")]
    #[serde(rename = "application/pdf")]
    #[cfg_attr(feature = "sqlx", sqlx(rename = "application/pdf"))]
    Pdf,
}

impl MediaType {
    /// The types that a screenshot can have.
    pub const SCREENSHOTS: &'static [Self] = &[Self::Png, Self::Jpeg, Self::Webp];
}

/// Status of a job in the queue. A job that succeeded is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ClosedSet, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
pub enum JobStatus {
    /// It waits for its time and for a worker.
    Queued,
    /// A worker has claimed it until the lease expires.
    Running,
    /// It was given up and is kept for the operator.
    Dead,
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use serde::de::DeserializeOwned;

    use super::*;

    /// Serde, `as_str`, `parse`, `index` and `ALL` agree about every value.
    fn agrees<T: ClosedSet + Debug + Serialize + DeserializeOwned + Documented>() {
        for (position, value) in T::ALL.iter().copied().enumerate() {
            let json = serde_json::json!(value.as_str());
            assert_eq!(value.index(), position);
            assert_eq!(parse::<T>(value.as_str()), Ok(value));
            assert_eq!(serde_json::to_value(value).unwrap(), json);
            assert_eq!(serde_json::from_value::<T>(json).unwrap(), value);
        }
        T::is_documented();
    }

    /// Compares the OpenAPI schema with the values, if this build has schemas.
    trait Documented: ClosedSet {
        fn is_documented();
    }

    #[cfg(feature = "schema")]
    impl<T: ClosedSet + utoipa::PartialSchema> Documented for T {
        fn is_documented() {
            use utoipa::openapi::{RefOr, Schema};

            let RefOr::T(Schema::Object(schema)) = T::schema() else {
                panic!("an enum has an object schema")
            };
            let documented = schema.enum_values.expect("an enum documents its values");
            let names: Vec<_> = T::ALL.iter().map(|value| serde_json::json!(value.as_str())).collect();
            assert_eq!(documented, names);
        }
    }

    #[cfg(not(feature = "schema"))]
    impl<T: ClosedSet> Documented for T {
        fn is_documented() {}
    }

    #[test]
    fn every_closed_set_agrees_with_itself() {
        agrees::<OrganizationRole>();
        agrees::<WorkspaceRole>();
        agrees::<ContentItemStatus>();
        agrees::<Channel>();
        agrees::<Decision>();
        agrees::<InviteStatus>();
        agrees::<FeedbackKind>();
        agrees::<FeedbackStatus>();
        agrees::<SessionEndReason>();
        agrees::<EmailTokenPurpose>();
        agrees::<MediaType>();
        agrees::<JobStatus>();
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_names_that_exist_and_not_repeated() {
        let error = parse::<Decision>("private text").unwrap_err();
        assert_eq!(error.to_string(), "expected one of: approve, request_changes, reject");
        assert!(parse::<Decision>("Approve").is_err(), "names are case sensitive");
        assert!(parse::<Decision>("").is_err());
    }

    #[test]
    fn a_name_is_the_only_form_of_a_value() {
        let refusal = |json| serde_json::from_str::<Decision>(json).unwrap_err();
        for json in ["null", "1", "[\"approve\"]", "{\"approve\": null}"] {
            assert!(refusal(json).is_data(), "{json} is valid JSON");
            assert!(refusal(json).to_string().contains("expected one of: approve, request_changes, reject"));
        }
        assert!(!refusal("\"private text\"").to_string().contains("private"));
    }
}
