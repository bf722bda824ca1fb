//! Idempotent creation: a client that lost a response repeats the request with the same `Idempotency-Key` and
//! gets the first response again, instead of a second creation.

use axum::extract::{FromRequest, FromRequestParts, MatchedPath, Request};
use axum::response::{IntoResponse, Response};
use catalogue::database_operation::DatabaseOperation;
use catalogue::labels::ErrorCode;
use domain::ids::{SessionId, UserId};
use domain::limits;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use telemetry::ErrorType;

use super::{CurrentUser, body};
use crate::app::App;
use crate::http::error::Error;
use crate::platform::database::Transaction;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Header of a repeated response.
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// A JSON body with its optional `Idempotency-Key`.
pub struct Idempotent<T> {
    pub body: T,
    key: Option<Key>,
}

struct Key {
    key: String,
    method_and_route: String,
    request_hash: [u8; 32],
}

impl<T: DeserializeOwned> FromRequest<App> for Idempotent<T> {
    type Rejection = Error;

    async fn from_request(request: Request, app: &App) -> Result<Self, Error> {
        let key = parse_key(request.headers())?;
        let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
        let method_and_route = format!("{} {route}", request.method());
        let mut hash = Sha256::new();
        hash.update(request.uri().path());
        hash.update([0]);
        let bytes = body::read(request, app).await?;
        hash.update(&bytes);
        let key = key.map(|key| Key { key, method_and_route, request_hash: hash.finalize().into() });
        Ok(Self { body: body::parse(&bytes)?, key })
    }
}

/// `Idempotency-Key` of a request whose body is a file, which is hashed only after all of it has arrived.
pub struct IdempotencyKey {
    key: Option<String>,
    method_and_route: String,
    target: String,
}

impl FromRequestParts<App> for IdempotencyKey {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Error> {
        let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
        Ok(Self {
            key: parse_key(&parts.headers)?,
            method_and_route: format!("{} {route}", parts.method),
            target: parts.uri.path_and_query().map_or_else(String::new, ToString::to_string),
        })
    }
}

impl IdempotencyKey {
    /// Returns whether the request has a key.
    pub fn is_present(&self) -> bool {
        self.key.is_some()
    }

    /// Adds the checksum of the request's file.
    pub fn of_file(self, checksum: &[u8; 32]) -> Idempotent<()> {
        let request_hash = Sha256::new().chain_update(&self.target).chain_update([0]).chain_update(checksum);
        let method_and_route = self.method_and_route;
        let key =
            self.key.map(|key| Key { key, method_and_route, request_hash: request_hash.finalize().into() });
        Idempotent { body: (), key }
    }
}

fn parse_key(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| limits::IDEMPOTENCY_KEY.contains(&key.len()));
    let visible = key.filter(|key| key.bytes().all(|byte| byte.is_ascii_graphic()));
    match (visible, values.next()) {
        (Some(key), None) => Ok(Some(key.to_owned())),
        _ => {
            let message = "Send one Idempotency-Key of 1 to 255 visible ASCII characters without spaces, such as a \
                           UUID.";
            Err(Error::refused(ErrorCode::MalformedRequest, message))
        }
    }
}

impl<T> Idempotent<T> {
    /// Claims the key in this transaction. Returns the earlier response if there is one.
    ///
    /// A second request with the same key waits at the primary key until the first one has committed or
    /// failed, so one of them creates and the other repeats.
    ///
    /// # Errors
    /// Returns an error if the key was used with another request, or the database fails.
    pub async fn begin(
        &self,
        app: &App,
        transaction: &mut Transaction,
        user_id: UserId,
    ) -> Result<Option<Response>, Error> {
        let Some(key) = &self.key else { return Ok(None) };
        match claim(app, transaction, key, user_id, None).await? {
            Claim::New => Ok(None),
            Claim::Earlier(response) => Ok(Some(response)),
            Claim::SessionEnded => Err(Error::failed(ErrorType::Internal)),
        }
    }

    /// Like [`Self::begin`], for a caller whose session has not been checked yet. Without a key it is not
    /// checked here either.
    ///
    /// # Errors
    /// As [`Self::begin`], and if the session has ended.
    pub async fn begin_as(
        &self,
        app: &App,
        transaction: &mut Transaction,
        user: CurrentUser,
    ) -> Result<Option<Response>, Error> {
        let Some(key) = &self.key else { return Ok(None) };
        match claim(app, transaction, key, user.user_id, Some(user.session_id)).await? {
            Claim::New => Ok(None),
            Claim::Earlier(response) => Ok(Some(response)),
            Claim::SessionEnded => Err(user.session_ended(app)),
        }
    }

    /// Stores the response for repetitions, in the transaction that creates.
    pub async fn complete<B: Serialize>(
        &self,
        app: &App,
        transaction: &mut Transaction,
        user_id: UserId,
        created: &Created<B>,
    ) -> Result<(), Error> {
        let Some(key) = &self.key else { return Ok(()) };
        app.database
            .run(
                DatabaseOperation::CompleteIdempotencyKey,
                sqlx::query(
                    "update idempotency_keys set response_status = 201, response_body = $3, response_etag = $4
                     where user_id = $1 and key = $2",
                )
                .bind(user_id)
                .bind(&key.key)
                .bind(sqlx::types::Json(&created.body))
                .bind(&created.etag)
                .execute(&mut **transaction),
            )
            .await?;
        Ok(())
    }
}

/// Result of claiming a key.
enum Claim {
    /// The key is new.
    New,
    /// Response to the earlier request with this key.
    Earlier(Response),
    /// The caller's session has ended.
    SessionEnded,
}

/// Claims a key, and checks this session if it has not been checked yet.
async fn claim(
    app: &App,
    transaction: &mut Transaction,
    key: &Key,
    user_id: UserId,
    session_id: Option<SessionId>,
) -> Result<Claim, Error> {
    let now = app.clock.now();
    let inserted = app
        .database
        .run(
            DatabaseOperation::InsertIdempotencyKey,
            sqlx::query(
                "insert into idempotency_keys (user_id, key, method_and_route, request_hash, created_at)
                 select $1, $2, $3, $4, $5
                 where $6::uuid is null or exists (
                     select from sessions where id = $6 and user_id = $1 and ended_at is null and expires_at > $5
                 )
                 on conflict (user_id, key) do nothing",
            )
            .bind(user_id)
            .bind(&key.key)
            .bind(&key.method_and_route)
            .bind(&key.request_hash[..])
            .bind(now)
            .bind(session_id)
            .execute(&mut **transaction),
        )
        .await?;
    if inserted.rows_affected() == 1 {
        return Ok(Claim::New);
    }
    let earlier: Option<Earlier> = app
        .database
        .run(
            DatabaseOperation::FindIdempotencyKey,
            sqlx::query_as(
                "select method_and_route, request_hash, response_status, response_body, response_etag
                 from idempotency_keys where user_id = $1 and key = $2 and ($3::uuid is null or exists (
                     select from sessions where id = $3 and user_id = $1 and ended_at is null and expires_at > $4
                 ))",
            )
            .bind(user_id)
            .bind(&key.key)
            .bind(session_id)
            .bind(now)
            .fetch_optional(&mut **transaction),
        )
        .await?;
    let Some(earlier) = earlier else { return Ok(Claim::SessionEnded) };
    if earlier.method_and_route != key.method_and_route || earlier.request_hash != key.request_hash {
        let message = "This Idempotency-Key was used with another request: use a new key for a new request.";
        return Err(Error::refused(ErrorCode::IdempotencyKeyReused, message));
    }
    Ok(Claim::Earlier(earlier.into_response()))
}

/// Row of an earlier request.
#[derive(sqlx::FromRow)]
struct Earlier {
    method_and_route: String,
    request_hash: Vec<u8>,
    response_status: Option<i32>,
    response_body: Option<serde_json::Value>,
    response_etag: Option<String>,
}

impl IntoResponse for Earlier {
    fn into_response(self) -> Response {
        let status = self.response_status.and_then(|status| StatusCode::from_u16(status as u16).ok());
        let status = status.unwrap_or(StatusCode::CREATED);
        let mut response = (status, axum::Json(self.response_body)).into_response();
        response.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
        if let Some(etag) = self.response_etag.and_then(|etag| HeaderValue::from_str(&etag).ok()) {
            response.headers_mut().insert(header::ETAG, etag);
        }
        response
    }
}

/// Response 201 with the created resource.
pub struct Created<B> {
    pub body: B,
    /// `ETag` of the resource, if edits require `If-Match`.
    pub etag: Option<String>,
}

impl<B> Created<B> {
    /// A resource without an `ETag`.
    pub fn new(body: B) -> Self {
        Self { body, etag: None }
    }
}

impl<B: Serialize> IntoResponse for Created<B> {
    fn into_response(self) -> Response {
        let mut response = (StatusCode::CREATED, axum::Json(self.body)).into_response();
        if let Some(etag) = self.etag.and_then(|etag| HeaderValue::from_str(&etag).ok()) {
            response.headers_mut().insert(header::ETAG, etag);
        }
        response
    }
}
