//! The caller's own account.

use axum::Json;
use axum::extract::State;
use catalogue::database_operation::DatabaseOperation;
use chrono::{DateTime, Utc};
use domain::ids::UserId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::http::error::{Error, responses};
use crate::http::extract::{Body, CurrentUser};
use crate::platform::text::Name;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(read_me, update_me))
}

/// The caller's account.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
pub struct Me {
    id: UserId,
    email: String,
    display_name: String,
    /// True if the user is a platform operator, who triages feedback reports.
    is_operator: bool,
    created_at: DateTime<Utc>,
}

/// Changeable properties of one's own account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MeChange {
    display_name: Name,
}

/// Read one's own account
#[utoipa::path(
    get, path = "/v1/me", tag = "me",
    responses((status = 200, body = Me), responses::Authenticated),
    security(("access_token" = []))
)]
async fn read_me(State(app): State<App>, user: CurrentUser) -> Result<Json<Me>, Error> {
    let mut connection = app.database.acquire().await?;
    let me: Option<Me> = app
        .database
        .run(
            DatabaseOperation::FindUser,
            sqlx::query_as(
                "select u.id, u.email, u.display_name, u.is_operator, u.created_at
                 from sessions s join users u on u.id = s.user_id
                 where s.id = $1 and s.user_id = $2 and s.ended_at is null and s.expires_at > $3",
            )
            .bind(user.session_id)
            .bind(user.user_id)
            .bind(app.clock.now())
            .fetch_optional(&mut *connection),
        )
        .await?;
    me.map(Json).ok_or_else(|| user.session_ended(&app))
}

/// Change one's own account
#[utoipa::path(
    patch, path = "/v1/me", tag = "me",
    request_body = MeChange,
    responses((status = 200, body = Me), responses::Authenticated, responses::PublicWrite),
    security(("access_token" = []))
)]
async fn update_me(
    State(app): State<App>,
    user: CurrentUser,
    Body(change): Body<MeChange>,
) -> Result<Json<Me>, Error> {
    let mut connection = app.database.acquire().await?;
    let me: Option<Me> = app
        .database
        .run(
            DatabaseOperation::UpdateUser,
            sqlx::query_as(
                "update users u set display_name = $4 from sessions s
                 where u.id = s.user_id
                     and s.id = $1 and s.user_id = $2 and s.ended_at is null and s.expires_at > $3
                 returning u.id, u.email, u.display_name, u.is_operator, u.created_at",
            )
            .bind(user.session_id)
            .bind(user.user_id)
            .bind(app.clock.now())
            .bind(change.display_name.as_str())
            .fetch_optional(&mut *connection),
        )
        .await?;
    me.map(Json).ok_or_else(|| user.session_ended(&app))
}
