//! The responses of the measured routes, and the table that one of them reads.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use catalogue::database_operation::DatabaseOperation;
use http::StatusCode;
use serde::Serialize;
use socialize::http::error::Error;
use socialize::platform::database::Database;
use sqlx::PgPool;
use telemetry::Identifier;
use uuid::Uuid;

#[derive(Serialize)]
pub(crate) struct Thing {
    pub(crate) name: &'static str,
}

#[derive(Serialize, sqlx::FromRow)]
pub(crate) struct StoredThing {
    name: String,
}

const SELECT: &str = "select name from things where id = $1";
pub(crate) const STORED: Uuid = Uuid::from_u128(0x0193_5d2e_7a00_7000_8000_0000_0000_0001);

/// Creates the table that the `select` route reads, with one row.
pub(crate) async fn create_table(pool: &PgPool) -> sqlx::Result<()> {
    sqlx::raw_sql("create table things (id uuid primary key, name text not null)").execute(pool).await?;
    sqlx::query("insert into things (id, name) values ($1, 'a thing')").bind(STORED).execute(pool).await?;
    Ok(())
}

/// Statement timeout. Every variant has it, because time limits are not telemetry.
pub(crate) const STATEMENT_LIMIT: Duration = Duration::from_secs(5);

pub(crate) async fn select_bare(State(pool): State<PgPool>) -> Result<Json<StoredThing>, StatusCode> {
    async fn within<T>(limited: impl Future<Output = sqlx::Result<T>>) -> Result<T, StatusCode> {
        let result = tokio::time::timeout(STATEMENT_LIMIT, limited).await;
        result.ok().and_then(Result::ok).ok_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
    let mut connection = within(Box::pin(pool.acquire())).await?;
    let statement = sqlx::query_as(SELECT).bind(STORED).fetch_one(&mut *connection);
    Ok(Json(within(statement).await?))
}

pub(crate) async fn select_observed(State(database): State<Database>) -> Result<Json<StoredThing>, Error> {
    let mut connection = database.acquire().await?;
    let statement = sqlx::query_as(SELECT).bind(STORED).fetch_one(&mut *connection);
    Ok(Json(database.run(DatabaseOperation::FindOrganization, statement).await?))
}

#[derive(Clone, Copy)]
pub(crate) struct ThingId(pub(crate) Uuid);

impl Identifier for ThingId {
    fn uuid(self) -> Uuid {
        self.0
    }
}
