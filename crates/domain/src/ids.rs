//! Typed ids: the id of one kind of object cannot be passed where another kind is expected.

use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

/// Primary key of `users`.
pub type UserId = Id<entity::User>;
/// Primary key of `organizations`.
pub type OrganizationId = Id<entity::Organization>;
/// Primary key of `workspaces`.
pub type WorkspaceId = Id<entity::Workspace>;
/// Primary key of `workspace_invites`.
pub type InviteId = Id<entity::Invite>;
/// Primary key of `content_items`.
pub type ContentItemId = Id<entity::ContentItem>;
/// Primary key of `approval_decisions`.
pub type ApprovalDecisionId = Id<entity::ApprovalDecision>;
/// Primary key of `comments`.
pub type CommentId = Id<entity::Comment>;
/// Primary key of `attachments`; also the id of the blob with its content.
pub type AttachmentId = Id<entity::Attachment>;
/// Primary key of `audit_events`.
pub type AuditEventId = Id<entity::AuditEvent>;
/// Primary key of `feedback_reports`.
pub type FeedbackReportId = Id<entity::FeedbackReport>;
/// Primary key of `sessions`; a session is one family of refresh tokens.
pub type SessionId = Id<entity::Session>;
/// Primary key of `email_tokens`, from which the token in an e-mailed link is derived.
pub type EmailTokenId = Id<entity::EmailToken>;
/// Primary key of `pending_registrations`, whose addresses are not confirmed yet.
pub type RegistrationId = Id<entity::Registration>;
/// Identifies the content of an attachment or screenshot in the blob store.
pub type BlobId = Id<entity::Blob>;
/// Primary key of `jobs`.
pub type JobId = Id<entity::Job>;

/// A kind of object that an [`Id`] can identify.
pub trait Entity: Copy + Ord + Hash + fmt::Debug + Send + Sync + 'static {
    /// Name of the id type, in the OpenAPI document and in debug output.
    const ID_NAME: &'static str;
}

/// A UUID that identifies objects of one kind.
///
/// In JSON and in the database it is a plain UUID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent, bound = "")]
pub struct Id<T: Entity> {
    uuid: Uuid,
    entity: PhantomData<T>,
}

impl<T: Entity> Id<T> {
    /// Returns the plain UUID.
    #[must_use]
    pub const fn uuid(self) -> Uuid {
        self.uuid
    }
}

impl<T: Entity> signal::Identifier for Id<T> {
    fn uuid(self) -> Uuid {
        self.uuid
    }
}

impl<T: Entity> From<Uuid> for Id<T> {
    fn from(uuid: Uuid) -> Self {
        Self { uuid, entity: PhantomData }
    }
}

/// The error for text that is not an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnId;

impl fmt::Display for NotAnId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("expected a UUID such as 018f3f5e-7c1a-7b3a-9d2e-0123456789ab")
    }
}

impl std::error::Error for NotAnId {}

impl<T: Entity> FromStr for Id<T> {
    type Err = NotAnId;

    /// Parses only the form of a UUID that the OpenAPI document promises, although others exist.
    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let uuid = text.parse::<uuid::fmt::Hyphenated>().map_err(|_| NotAnId)?;
        Ok(Self::from(uuid.into_uuid()))
    }
}

impl<'de, T: Entity> Deserialize<'de> for Id<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text(PhantomData))
    }
}

struct Text<T>(PhantomData<T>);

impl<T: Entity> Visitor<'_> for Text<T> {
    type Value = Id<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a UUID")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Id<T>, E> {
        text.parse().map_err(E::custom)
    }
}

impl<T: Entity> fmt::Display for Id<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.uuid, formatter)
    }
}

impl<T: Entity> fmt::Debug for Id<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}({})", T::ID_NAME, self.uuid)
    }
}

/// Documents ids as UUIDs in the OpenAPI document.
#[cfg(feature = "schema")]
mod schema {
    use std::borrow::Cow;

    use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
    use utoipa::openapi::{RefOr, Schema};

    use super::{Entity, Id};

    impl<T: Entity> utoipa::PartialSchema for Id<T> {
        fn schema() -> RefOr<Schema> {
            ObjectBuilder::new()
                .schema_type(Type::String)
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)))
                .into()
        }
    }

    impl<T: Entity> utoipa::ToSchema for Id<T> {
        fn name() -> Cow<'static, str> {
            T::ID_NAME.into()
        }
    }
}

/// Binds and reads ids as `uuid`.
#[cfg(feature = "sqlx")]
mod postgres {
    use sqlx::encode::IsNull;
    use sqlx::error::BoxDynError;
    use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueRef, Postgres};
    use sqlx::{Decode, Encode, Type};
    use uuid::Uuid;

    use super::{Entity, Id};

    impl<T: Entity> Type<Postgres> for Id<T> {
        fn type_info() -> PgTypeInfo {
            <Uuid as Type<Postgres>>::type_info()
        }
    }

    impl<T: Entity> PgHasArrayType for Id<T> {
        fn array_type_info() -> PgTypeInfo {
            <Uuid as PgHasArrayType>::array_type_info()
        }
    }

    impl<T: Entity> Encode<'_, Postgres> for Id<T> {
        fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
            <Uuid as Encode<Postgres>>::encode_by_ref(&self.uuid, buffer)
        }
    }

    impl<T: Entity> Decode<'_, Postgres> for Id<T> {
        fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
            <Uuid as Decode<Postgres>>::decode(value).map(Self::from)
        }
    }
}

/// Markers for the kinds of objects with ids. They exist for the type checker only.
pub mod entity {
    use super::Entity;

    /// Marks [`UserId`](super::UserId).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum User {}

    impl Entity for User {
        const ID_NAME: &'static str = "UserId";
    }

    /// Marks [`OrganizationId`](super::OrganizationId).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Organization {}

    impl Entity for Organization {
        const ID_NAME: &'static str = "OrganizationId";
    }

    /// Marks [`WorkspaceId`](super::WorkspaceId).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Workspace {}

    impl Entity for Workspace {
        const ID_NAME: &'static str = "WorkspaceId";
    }

    /// Marks [`InviteId`](super::InviteId).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Invite {}

    impl Entity for Invite {
        const ID_NAME: &'static str = "InviteId";
    }

    /// Marks [`ContentItemId`](super::ContentItemId).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum ContentItem {}

    impl Entity for ContentItem {
        const ID_NAME: &'static str = "ContentItemId";
    }

    /// Marks [`ApprovalDecisionId`](super::ApprovalDecisionId).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum ApprovalDecision {}

    impl Entity for ApprovalDecision {
        const ID_NAME: &'static str = "ApprovalDecisionId";
    }

    /// Marks [`CommentId`](super::CommentId).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Comment {}

    impl Entity for Comment {
        const ID_NAME: &'static str = "CommentId";
    }

    /// Marks [`AttachmentId`](super::AttachmentId).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Attachment {}

    impl Entity for Attachment {
        const ID_NAME: &'static str = "AttachmentId";
    }

    /// Marks [`FeedbackReportId`](super::FeedbackReportId).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum FeedbackReport {}

    impl Entity for FeedbackReport {
        const ID_NAME: &'static str = "FeedbackReportId";
    }

    /// Marks [`AuditEventId`](super::AuditEventId).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum AuditEvent {}

    impl Entity for AuditEvent {
        const ID_NAME: &'static str = "AuditEventId";
    }

    /// Marks [`SessionId`](super::SessionId).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Session {}

    impl Entity for Session {
        const ID_NAME: &'static str = "SessionId";
    }

    /// Marks [`EmailTokenId`](super::EmailTokenId).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum EmailToken {}

    impl Entity for EmailToken {
        const ID_NAME: &'static str = "EmailTokenId";
    }

    /// Marks [`RegistrationId`](super::RegistrationId).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Registration {}

    impl Entity for Registration {
        const ID_NAME: &'static str = "RegistrationId";
    }

    /// Marks [`BlobId`](super::BlobId).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Blob {}

    impl Entity for Blob {
        const ID_NAME: &'static str = "BlobId";
    }

    /// Marks [`JobId`](super::JobId).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Job {}

    impl Entity for Job {
        const ID_NAME: &'static str = "JobId";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "018f3f5e-7c1a-7b3a-9d2e-0123456789ab";

    #[test]
    fn an_id_is_a_bare_uuid_in_json_and_in_text() {
        let id: UserId = TEXT.parse().unwrap();
        assert_eq!(id.to_string(), TEXT);
        assert_eq!(serde_json::to_value(id).unwrap(), serde_json::json!(TEXT));
        assert_eq!(serde_json::from_value::<UserId>(serde_json::json!(TEXT)).unwrap(), id);
        assert_eq!(UserId::from(id.uuid()), id);
        assert_eq!(format!("{id:?}"), format!("UserId({TEXT})"));
        for other in
            ["not an id", "018f3f5e7c1a7b3a9d2e0123456789ab", "{018f3f5e-7c1a-7b3a-9d2e-0123456789ab}"]
        {
            assert_eq!(other.parse::<UserId>(), Err(NotAnId));
            assert!(serde_json::from_value::<UserId>(serde_json::json!(other)).is_err());
        }
    }

    #[cfg(feature = "schema")]
    #[test]
    fn an_id_is_documented_under_its_own_name_as_a_uuid() {
        use utoipa::{PartialSchema, ToSchema};

        assert_eq!(ContentItemId::name(), "ContentItemId");
        assert_eq!(
            serde_json::to_value(ContentItemId::schema()).unwrap(),
            serde_json::json!({ "type": "string", "format": "uuid" }),
        );
    }
}
