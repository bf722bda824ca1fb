//! Screenshots of feedback reports.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use catalogue::database_operation::DatabaseOperation;
use catalogue::keys;
use chrono::{DateTime, Utc};
use domain::ids::FeedbackReportId;
use domain::limits;
use domain::vocabulary::MediaType;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::features::files::uploads::{StoredBlob, UploadRules, store_upload};
use crate::features::files::{self, File, FileRequest};
use crate::http::error::{Error, responses};
use crate::http::extract::{CurrentUser, Parameters, Upload};
use crate::platform::blobs::Uploader;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(put_screenshot, download_screenshot))
}

const RULES: UploadRules =
    UploadRules { max_bytes: limits::SCREENSHOT_BYTES, media_types: MediaType::SCREENSHOTS };

/// Screenshot of a feedback report.
#[derive(Serialize, ToSchema)]
pub struct Screenshot {
    /// Detected from the content.
    media_type: MediaType,
    /// Size in bytes.
    size: i64,
    /// SHA-256 of the content.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    checksum: String,
    created_at: DateTime<Utc>,
}

#[derive(Deserialize)]
struct FeedbackReportPath {
    feedback_report_id: FeedbackReportId,
}

/// Add a screenshot to one's own feedback report
///
/// The body is the picture, of at most 5 MiB: PNG, JPEG or WebP, detected from its content; `Content-Type` is
/// ignored. It replaces an existing screenshot.
#[utoipa::path(
    put, path = "/v1/feedback-reports/{feedback_report_id}/screenshot", tag = "feedback",
    params(("feedback_report_id" = FeedbackReportId, Path)),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 200, body = Screenshot),
        responses::Authenticated, responses::NotFound, responses::FileBody, responses::RateLimited,
    ),
    security(("access_token" = []))
)]
async fn put_screenshot(
    State(app): State<App>,
    user: CurrentUser,
    Parameters(path): Parameters<FeedbackReportPath>,
    upload: Upload,
) -> Result<Json<Screenshot>, Error> {
    // Check before the upload, so that nobody uploads in vain.
    let mut transaction = app.database.begin().await?;
    lock_own_report(&app, &mut transaction, user, path.feedback_report_id).await?;
    drop(transaction);

    let uploader = Uploader { user_id: user.user_id, organization_id: None };
    let stored = store_upload(&app, upload, uploader, RULES).await?;
    let replaced = replace(&app, user, path.feedback_report_id, &stored).await;
    if replaced.is_err() {
        stored.discard(&app).await;
    }
    replaced.map(Json)
}

async fn replace(
    app: &App,
    user: CurrentUser,
    feedback_report_id: FeedbackReportId,
    stored: &StoredBlob,
) -> Result<Screenshot, Error> {
    let screenshot = Screenshot {
        media_type: stored.media_type,
        size: stored.size,
        checksum: files::hex(&stored.checksum),
        created_at: app.clock.now(),
    };

    let mut transaction = app.database.begin().await?;
    lock_own_report(app, &mut transaction, user, feedback_report_id).await?;
    app.database
        .run(
            DatabaseOperation::DeleteScreenshot,
            sqlx::query("delete from feedback_screenshots where feedback_report_id = $1")
                .bind(feedback_report_id)
                .execute(&mut *transaction),
        )
        .await?;
    stored.reference(app, &mut transaction).await?;
    app.database
        .run(
            DatabaseOperation::InsertScreenshot,
            sqlx::query(
                "insert into feedback_screenshots (blob_id, feedback_report_id, media_type, size, checksum, created_at)
                 values ($1, $2, $3, $4, $5, $6)",
            )
            .bind(stored.id)
            .bind(feedback_report_id)
            .bind(screenshot.media_type)
            .bind(screenshot.size)
            .bind(&stored.checksum[..])
            .bind(screenshot.created_at)
            .execute(&mut *transaction),
        )
        .await?;
    app.database.commit(transaction).await?;
    Ok(screenshot)
}

/// Locks a report, so that concurrent screenshots are stored one after the other.
async fn lock_own_report(
    app: &App,
    transaction: &mut crate::platform::database::Transaction,
    user: CurrentUser,
    feedback_report_id: FeedbackReportId,
) -> Result<(), Error> {
    let locked = app
        .database
        .run(
            DatabaseOperation::LockFeedbackReport,
            sqlx::query(
                "select from feedback_reports f
                 join sessions s on s.user_id = f.reporter_id
                     and s.id = $3 and s.user_id = $2 and s.ended_at is null and s.expires_at > $4
                 where f.id = $1 for update of f",
            )
            .bind(feedback_report_id)
            .bind(user.user_id)
            .bind(user.session_id)
            .bind(app.clock.now())
            .fetch_optional(&mut **transaction),
        )
        .await?;
    if locked.is_none() {
        user.require_session(app, transaction).await?;
        return Err(Error::not_found("feedback report"));
    }
    telemetry::current::set(|attributes| attributes.id(&keys::FEEDBACK_REPORT_ID, feedback_report_id));
    Ok(())
}

/// Download the screenshot of a feedback report
///
/// Its reporter and the operators may do this. Supports a single `Range`, and `If-None-Match`.
#[utoipa::path(
    get, path = "/v1/feedback-reports/{feedback_report_id}/screenshot", tag = "feedback",
    params(("feedback_report_id" = FeedbackReportId, Path)),
    responses(responses::File, responses::Authenticated, responses::NotFound),
    security(("access_token" = []))
)]
async fn download_screenshot(
    State(app): State<App>,
    user: CurrentUser,
    Parameters(path): Parameters<FeedbackReportPath>,
    request: FileRequest,
) -> Result<Response, Error> {
    let mut connection = app.database.acquire().await?;
    let file: Option<File> = app
        .database
        .run(
            DatabaseOperation::FindScreenshot,
            sqlx::query_as(
                "select s.blob_id, null::text as file_name, s.media_type, s.size, s.checksum
                 from feedback_screenshots s
                 join feedback_reports f on f.id = s.feedback_report_id
                 join users u on u.id = $2 and (u.id = f.reporter_id or u.is_operator)
                 join sessions c on c.user_id = u.id
                     and c.id = $3 and c.user_id = $2 and c.ended_at is null and c.expires_at > $4
                 where f.id = $1",
            )
            .bind(path.feedback_report_id)
            .bind(user.user_id)
            .bind(user.session_id)
            .bind(app.clock.now())
            .fetch_optional(&mut *connection),
        )
        .await?;
    let Some(file) = file else {
        user.require_session(&app, &mut connection).await?;
        return Err(Error::not_found("screenshot"));
    };
    // No database connection is held during the transfer.
    drop(connection);
    telemetry::current::set(|attributes| attributes.id(&keys::FEEDBACK_REPORT_ID, path.feedback_report_id));
    files::send(&app, &request, file).await
}
