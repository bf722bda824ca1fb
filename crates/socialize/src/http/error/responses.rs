//! Sets of documented error responses, for short declarations at the routes.

use std::collections::BTreeMap;

use domain::vocabulary::MediaType;
use telemetry::ClosedSet;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{ContentBuilder, Header, Ref, RefOr};

fn documented(statuses: &[(&str, &str)]) -> BTreeMap<String, RefOr<Response>> {
    let documented = |(status, description): &(&str, &str)| {
        let schema = Ref::from_schema_name("ErrorBody");
        let content = ContentBuilder::new().schema(Some(schema)).build();
        let response =
            ResponseBuilder::new().description(*description).content("application/json", content).build();
        ((*status).to_owned(), RefOr::T(response))
    };
    statuses.iter().map(documented).collect()
}

const BAD_REQUEST: (&str, &str) = ("400", "The request is malformed.");
const UNAUTHENTICATED: (&str, &str) = ("401", "No valid access token.");
const FORBIDDEN: (&str, &str) = ("403", "The caller lacks the permission.");
const NOT_FOUND: (&str, &str) = ("404", "Not found, or not visible to the caller.");
const REQUEST_TIMEOUT: (&str, &str) = ("408", "The body took too long to arrive.");
const CONFLICT: (&str, &str) = ("409", "The action conflicts with the current state.");
const VERSION_MISMATCH: (&str, &str) = ("412", "The version has changed.");
const TOO_LARGE: (&str, &str) = ("413", "The body is too large.");
const MEDIA_TYPE: (&str, &str) = ("415", "The body is not JSON.");
const FILE_TYPE: (&str, &str) = ("415", "The file has an unsupported type.");
const RANGE: (&str, &str) = ("416", "The file does not contain the requested range.");
const INVALID: (&str, &str) = ("422", "A field has an invalid value.");
const KEY_REUSED: (&str, &str) = ("422", "The Idempotency-Key was used with another request.");
const PRECONDITION_REQUIRED: (&str, &str) = ("428", "The If-Match header is missing.");
const RATE_LIMITED: (&str, &str) = ("429", "Too many requests; Retry-After says when to retry.");
const INTERNAL: (&str, &str) = ("500", "Internal error.");
const UNAVAILABLE: (&str, &str) = ("503", "A dependency is down, or the request timed out.");

/// A route that needs an access token: 401, 500, 503.
pub struct Authenticated;
/// The resource may not exist for the caller: 404.
pub struct NotFound;
/// The caller's role may not suffice: 403.
pub struct Forbidden;
/// Query parameters or headers may be malformed: 400.
pub struct BadRequest;
/// The current state may not allow the action: 409.
pub struct Conflict;
/// The route takes a JSON body: 400, 408, 413, 415, 422.
pub struct JsonBody;
/// The request body is a file: 400, 408, 413, 415.
pub struct FileBody;
/// The response is a file: 200, 206, 304, 416.
pub struct File;
/// The route takes an `Idempotency-Key` or typed query parameters without a JSON body: 400, 422.
pub struct KeyReused;
/// The route requires `If-Match`: 412, 428.
pub struct Precondition;
/// A rate-limited route: 429.
pub struct RateLimited;
/// A public route that takes a JSON body: 400, 408, 413, 415, 422, 500, 503.
pub struct PublicWrite;

impl utoipa::IntoResponses for Authenticated {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        documented(&[UNAUTHENTICATED, INTERNAL, UNAVAILABLE])
    }
}

impl utoipa::IntoResponses for NotFound {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        documented(&[NOT_FOUND])
    }
}

impl utoipa::IntoResponses for Forbidden {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        documented(&[FORBIDDEN])
    }
}

impl utoipa::IntoResponses for BadRequest {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        documented(&[BAD_REQUEST])
    }
}

impl utoipa::IntoResponses for Conflict {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        documented(&[CONFLICT])
    }
}

impl utoipa::IntoResponses for JsonBody {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        documented(&[BAD_REQUEST, REQUEST_TIMEOUT, TOO_LARGE, MEDIA_TYPE, INVALID])
    }
}

impl utoipa::IntoResponses for FileBody {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        documented(&[BAD_REQUEST, REQUEST_TIMEOUT, TOO_LARGE, FILE_TYPE])
    }
}

impl utoipa::IntoResponses for File {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let file = |description: &str| {
            let binary = SchemaFormat::KnownFormat(KnownFormat::Binary);
            let schema = ObjectBuilder::new().schema_type(Type::String).format(Some(binary)).build();
            let content = ContentBuilder::new().schema(Some(schema)).build();
            let response = ResponseBuilder::new().description(description);
            let types = MediaType::ALL.iter();
            types
                .fold(response, |response, media_type| response.content(media_type.as_str(), content.clone()))
        };
        let etag = |response: ResponseBuilder| {
            let mut header = Header::default();
            header.description = Some("Identifies the content, for If-None-Match and If-Range.".to_owned());
            RefOr::T(response.header("etag", header).build())
        };
        let mut all = documented(&[RANGE]);
        all.insert("200".to_owned(), etag(file("The file.")));
        all.insert("206".to_owned(), etag(file("The requested range of the file.")));
        let unchanged = ResponseBuilder::new().description("The client already has the file.");
        all.insert("304".to_owned(), etag(unchanged));
        all
    }
}

impl utoipa::IntoResponses for KeyReused {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        documented(&[BAD_REQUEST, KEY_REUSED])
    }
}

impl utoipa::IntoResponses for Precondition {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        documented(&[VERSION_MISMATCH, PRECONDITION_REQUIRED])
    }
}

impl utoipa::IntoResponses for RateLimited {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        documented(&[RATE_LIMITED])
    }
}

impl utoipa::IntoResponses for PublicWrite {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        documented(&[BAD_REQUEST, REQUEST_TIMEOUT, TOO_LARGE, MEDIA_TYPE, INVALID, INTERNAL, UNAVAILABLE])
    }
}
