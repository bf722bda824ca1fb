//! The closed sets of Socialize: one enum per set, and one name per value for database, JSON, label and log field.

use std::fmt;
use std::marker::PhantomData;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};
use strum::{IntoStaticStr, VariantArray};
use telemetry::ClosedSet;
use utoipa::ToSchema;

/// The value of a closed set that has this name.
///
/// # Errors
///
/// [`UnknownValue`] when no value has this name.
pub fn parse<T: ClosedSet>(name: &str) -> Result<T, UnknownValue> {
    T::ALL.iter().copied().find(|value| value.as_str() == name).ok_or_else(UnknownValue::of::<T>)
}

/// A name that no value of the closed set has.
///
/// It names the values that would have been right and does not repeat the one that was given, which may be anything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected one of: {}", allowed.join(", "))]
pub struct UnknownValue {
    /// The names of all values.
    pub allowed: Vec<&'static str>,
}

impl UnknownValue {
    fn of<T: ClosedSet>() -> Self {
        Self { allowed: T::ALL.iter().map(|value| value.as_str()).collect() }
    }
}

/// Reads a value by its name and nothing else. (Derived code also takes `{"owner": null}` for `"owner"`, and calls a `null`
/// bad syntax.)
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

/// What a member may do in an organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray, Serialize, ToSchema)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
pub enum OrganizationRole {
    /// Everything, including other owners.
    Owner,
    /// Members, workspaces and settings, but not owners.
    Admin,
    /// Sees the organization; works where a workspace has them as a member.
    Member,
}

impl ClosedSet for OrganizationRole {
    const ALL: &'static [Self] = Self::VARIANTS;

    fn as_str(self) -> &'static str {
        self.into()
    }

    fn index(self) -> usize {
        self as usize
    }
}

impl<'de> Deserialize<'de> for OrganizationRole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Name(PhantomData))
    }
}

/// What a member may do in a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray, Serialize, ToSchema)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
pub enum WorkspaceRole {
    /// Members, invites, settings, scheduling, and all that authors and reviewers do.
    Manager,
    /// Writes content items and submits them.
    Author,
    /// Decides on submitted revisions.
    Reviewer,
}

impl ClosedSet for WorkspaceRole {
    const ALL: &'static [Self] = Self::VARIANTS;

    fn as_str(self) -> &'static str {
        self.into()
    }

    fn index(self) -> usize {
        self as usize
    }
}

impl<'de> Deserialize<'de> for WorkspaceRole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Name(PhantomData))
    }
}

/// Why the delivery of a content item was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray, Serialize, ToSchema)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
pub enum PublishFailure {
    /// The workspace had no publishing endpoint when the time came.
    NoEndpoint,
    /// The endpoint said (410) that it wants nothing more. It is disabled until a manager sets it again.
    EndpointGone,
    /// The endpoint's address is not one that this Socialize may call.
    ForbiddenAddress,
    /// No connection was possible, or no answer came in time, for about a day.
    Unreachable,
    /// The endpoint answered with something else than a success for about a day.
    NotAccepted,
    /// Socialize was interrupted at every attempt.
    Interrupted,
}

impl ClosedSet for PublishFailure {
    const ALL: &'static [Self] = Self::VARIANTS;

    fn as_str(self) -> &'static str {
        self.into()
    }

    fn index(self) -> usize {
        self as usize
    }
}

/// Where a content item stands on its way to being published; `approval` holds the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray, Serialize, ToSchema)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
pub enum ContentItemStatus {
    /// Being written.
    Draft,
    /// Submitted: reviewers decide on the current revision.
    InApproval,
    /// A reviewer wants another revision.
    ChangesRequested,
    /// A reviewer does not want the item published.
    Rejected,
    /// The current revision has the approvals that its workspace asks for.
    Approved,
    /// Approved, and to be published at a set time.
    Scheduled,
    /// Delivered.
    Published,
    /// Delivery was given up; a manager can retry.
    PublishFailed,
    /// Put away for good.
    Archived,
}

impl ClosedSet for ContentItemStatus {
    const ALL: &'static [Self] = Self::VARIANTS;

    fn as_str(self) -> &'static str {
        self.into()
    }

    fn index(self) -> usize {
        self as usize
    }
}

impl<'de> Deserialize<'de> for ContentItemStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Name(PhantomData))
    }
}

/// The network that a content item is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray, Serialize, ToSchema)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
pub enum Channel {
    /// Instagram.
    Instagram,
    /// LinkedIn.
    Linkedin,
    /// Facebook.
    Facebook,
    /// X.
    X,
    /// TikTok.
    Tiktok,
    /// Any other network.
    Other,
}

impl ClosedSet for Channel {
    const ALL: &'static [Self] = Self::VARIANTS;

    fn as_str(self) -> &'static str {
        self.into()
    }

    fn index(self) -> usize {
        self as usize
    }
}

impl<'de> Deserialize<'de> for Channel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Name(PhantomData))
    }
}

/// One reviewer's verdict on one revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray, Serialize, ToSchema)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
pub enum Decision {
    /// May be published as it is.
    Approve,
    /// Needs another revision.
    RequestChanges,
    /// Should not be published.
    Reject,
}

impl ClosedSet for Decision {
    const ALL: &'static [Self] = Self::VARIANTS;

    fn as_str(self) -> &'static str {
        self.into()
    }

    fn index(self) -> usize {
        self as usize
    }
}

impl<'de> Deserialize<'de> for Decision {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Name(PhantomData))
    }
}

/// Where a workspace invite stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray, Serialize, ToSchema)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
pub enum InviteStatus {
    /// E-mailed and still usable.
    Pending,
    /// Used by the person invited.
    Accepted,
    /// Taken back by a manager.
    Revoked,
    /// Not used within its seven days.
    Expired,
}

impl ClosedSet for InviteStatus {
    const ALL: &'static [Self] = Self::VARIANTS;

    fn as_str(self) -> &'static str {
        self.into()
    }

    fn index(self) -> usize {
        self as usize
    }
}

impl<'de> Deserialize<'de> for InviteStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Name(PhantomData))
    }
}

/// What a feedback report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray, Serialize, ToSchema)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
pub enum FeedbackKind {
    /// Something does not work.
    Bug,
    /// Something could be better.
    Idea,
    /// Something is unclear.
    Question,
    /// Anything else.
    Other,
}

impl ClosedSet for FeedbackKind {
    const ALL: &'static [Self] = Self::VARIANTS;

    fn as_str(self) -> &'static str {
        self.into()
    }

    fn index(self) -> usize {
        self as usize
    }
}

impl<'de> Deserialize<'de> for FeedbackKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Name(PhantomData))
    }
}

/// What the operators have done about a feedback report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray, Serialize, ToSchema)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
pub enum FeedbackStatus {
    /// Nobody has looked yet.
    New,
    /// Read and understood.
    Triaged,
    /// Being worked on.
    InProgress,
    /// Done.
    Resolved,
    /// Will not be acted on.
    Dismissed,
}

impl ClosedSet for FeedbackStatus {
    const ALL: &'static [Self] = Self::VARIANTS;

    fn as_str(self) -> &'static str {
        self.into()
    }

    fn index(self) -> usize {
        self as usize
    }
}

impl<'de> Deserialize<'de> for FeedbackStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Name(PhantomData))
    }
}

/// Why a session, which is one family of refresh tokens, ended before it expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray, Serialize, ToSchema)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
pub enum SessionEndReason {
    /// The user logged out.
    LoggedOut,
    /// A refresh token came back after its use, so somebody else may hold a copy of it.
    RefreshTokenReused,
    /// The user set a new password.
    PasswordReset,
    /// The user began so many newer ones.
    TooManySessions,
}

impl ClosedSet for SessionEndReason {
    const ALL: &'static [Self] = Self::VARIANTS;

    fn as_str(self) -> &'static str {
        self.into()
    }

    fn index(self) -> usize {
        self as usize
    }
}

impl<'de> Deserialize<'de> for SessionEndReason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Name(PhantomData))
    }
}

/// What the link in an e-mail is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray, Serialize, ToSchema)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
pub enum EmailTokenPurpose {
    /// Confirms an address. Only processes of versions before migration 0011 write it; registrations have a table of their own
    /// since.
    VerifyEmail,
    /// Sets a new password.
    ResetPassword,
}

impl ClosedSet for EmailTokenPurpose {
    const ALL: &'static [Self] = Self::VARIANTS;

    fn as_str(self) -> &'static str {
        self.into()
    }

    fn index(self) -> usize {
        self as usize
    }
}

impl<'de> Deserialize<'de> for EmailTokenPurpose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Name(PhantomData))
    }
}

/// What an uploaded file is; decided by its content, and nothing else can be uploaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray, Serialize, ToSchema)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text"))]
pub enum MediaType {
    /// A picture.
    #[strum(serialize = "image/png")]
    #[serde(rename = "image/png")]
    #[cfg_attr(feature = "sqlx", sqlx(rename = "image/png"))]
    Png,
    /// A picture.
    #[strum(serialize = "image/jpeg")]
    #[serde(rename = "image/jpeg")]
    #[cfg_attr(feature = "sqlx", sqlx(rename = "image/jpeg"))]
    Jpeg,
    /// A picture, perhaps a moving one.
    #[strum(serialize = "image/gif")]
    #[serde(rename = "image/gif")]
    #[cfg_attr(feature = "sqlx", sqlx(rename = "image/gif"))]
    Gif,
    /// A picture.
    #[strum(serialize = "image/webp")]
    #[serde(rename = "image/webp")]
    #[cfg_attr(feature = "sqlx", sqlx(rename = "image/webp"))]
    Webp,
    /// A film.
    #[strum(serialize = "video/mp4")]
    #[serde(rename = "video/mp4")]
    #[cfg_attr(feature = "sqlx", sqlx(rename = "video/mp4"))]
    Mp4,
    /// A document.
    #[strum(serialize = "application/pdf")]
    #[serde(rename = "application/pdf")]
    #[cfg_attr(feature = "sqlx", sqlx(rename = "application/pdf"))]
    Pdf,
}

impl MediaType {
    /// What can be a screenshot.
    pub const SCREENSHOTS: &'static [Self] = &[Self::Png, Self::Jpeg, Self::Webp];
}

impl ClosedSet for MediaType {
    const ALL: &'static [Self] = Self::VARIANTS;

    fn as_str(self) -> &'static str {
        self.into()
    }

    fn index(self) -> usize {
        self as usize
    }
}

impl<'de> Deserialize<'de> for MediaType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Name(PhantomData))
    }
}

/// Where a job in the queue stands; a job that succeeded is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray, Serialize, ToSchema)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
pub enum JobStatus {
    /// Waits for its time and for a worker.
    Queued,
    /// Claimed by a worker until its lease expires.
    Running,
    /// Given up; kept for the operator.
    Dead,
}

impl ClosedSet for JobStatus {
    const ALL: &'static [Self] = Self::VARIANTS;

    fn as_str(self) -> &'static str {
        self.into()
    }

    fn index(self) -> usize {
        self as usize
    }
}

impl<'de> Deserialize<'de> for JobStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Name(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use serde::de::DeserializeOwned;
    use utoipa::PartialSchema;
    use utoipa::openapi::RefOr;
    use utoipa::openapi::schema::Schema;

    use super::*;

    /// Serde, `as_str`, `parse`, `index`, the OpenAPI schema and `ALL` say the same about every value.
    fn agrees<T: ClosedSet + Debug + Serialize + DeserializeOwned + PartialSchema>() {
        for (position, value) in T::ALL.iter().copied().enumerate() {
            let json = serde_json::json!(value.as_str());
            assert_eq!(value.index(), position);
            assert_eq!(parse::<T>(value.as_str()), Ok(value));
            assert_eq!(serde_json::to_value(value).unwrap(), json);
            assert_eq!(serde_json::from_value::<T>(json).unwrap(), value);
        }
        let RefOr::T(Schema::Object(schema)) = T::schema() else { panic!("an enum has an object schema") };
        let documented = schema.enum_values.expect("an enum documents its values");
        let names: Vec<_> = T::ALL.iter().map(|value| serde_json::json!(value.as_str())).collect();
        assert_eq!(documented, names);
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
