//! Feedback reports of users about Socialize, and their triage by operators.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use catalogue::database_operation::DatabaseOperation;
use catalogue::keys;
use chrono::{DateTime, Utc};
use domain::feedback::triage;
use domain::ids::{FeedbackReportId, OrganizationId, UserId};
use domain::limits;
use domain::vocabulary::{FeedbackKind, FeedbackStatus, OrganizationRole};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::app::App;
use crate::http::error::{Error, responses};
use crate::http::extract::{Body, Created, CurrentUser, Idempotent, Parameters, PlatformOperator, Query};
use crate::http::page::{PAGE_BYTES, Page, PageQuery, Position, page_of_texts};
use crate::platform::signals::Actor;
use crate::platform::text::Text;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(submit_feedback_report, list_feedback_reports))
        .routes(routes!(list_own_feedback_reports))
        .routes(routes!(read_feedback_report, triage_feedback_report))
}

type FeedbackBody = Text<{ *limits::FEEDBACK_BODY.start() }, { *limits::FEEDBACK_BODY.end() }>;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewFeedbackReport {
    kind: FeedbackKind,
    body: FeedbackBody,
    /// The affected organization, if any. The caller must be a member.
    organization_id: Option<OrganizationId>,
}

/// A feedback report as shown to its reporter.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
pub struct FeedbackReport {
    id: FeedbackReportId,
    kind: FeedbackKind,
    status: FeedbackStatus,
    body: String,
    organization_id: Option<OrganizationId>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    has_screenshot: bool,
}

/// A feedback report as shown to operators, with the reporter's address.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
pub struct OperatorFeedbackReport {
    #[serde(flatten)]
    #[sqlx(flatten)]
    report: FeedbackReport,
    reporter_id: UserId,
    reporter_name: String,
    reporter_email: String,
    /// The operator who last changed the status.
    triaged_by: Option<UserId>,
}

/// Send feedback to the operators of this Socialize
#[utoipa::path(
    post, path = "/v1/feedback-reports", tag = "feedback",
    params(("idempotency-key" = Option<String>, Header, description = "Makes repetition safe.")),
    request_body = NewFeedbackReport,
    responses(
        (status = 201, body = FeedbackReport),
        responses::Authenticated, responses::NotFound, responses::JsonBody,
    ),
    security(("access_token" = []))
)]
async fn submit_feedback_report(
    State(app): State<App>,
    user: CurrentUser,
    request: Idempotent<NewFeedbackReport>,
) -> Result<Response, Error> {
    let now = app.clock.now();
    let NewFeedbackReport { kind, body, organization_id } = &request.body;
    let report = FeedbackReport {
        id: FeedbackReportId::from(Uuid::now_v7()),
        kind: *kind,
        status: FeedbackStatus::New,
        body: body.as_str().to_owned(),
        organization_id: *organization_id,
        created_at: now,
        updated_at: now,
        has_screenshot: false,
    };

    app.rate_limits.count_report(user.user_id).await?;
    let mut transaction = app.database.begin().await?;
    if let Some(organization_id) = *organization_id {
        require_member(&app, &mut transaction, organization_id, user.user_id).await?;
    }
    if let Some(earlier) = request.begin_as(&app, &mut transaction, user).await? {
        return Ok(earlier);
    }
    let inserted = app
        .database
        .run(
            DatabaseOperation::InsertFeedbackReport,
            sqlx::query(
                "insert into feedback_reports
                     (id, reporter_id, organization_id, kind, status, body, created_at, updated_at)
                 select $1, s.user_id, $3, $4, $5, $6, $7, $7 from sessions s
                 where s.id = $8 and s.user_id = $2 and s.ended_at is null and s.expires_at > $7",
            )
            .bind(report.id)
            .bind(user.user_id)
            .bind(report.organization_id)
            .bind(report.kind)
            .bind(report.status)
            .bind(&report.body)
            .bind(now)
            .bind(user.session_id)
            .execute(&mut *transaction),
        )
        .await?;
    if inserted.rows_affected() == 0 {
        return Err(user.session_ended(&app));
    }
    let report_id = report.id;
    let created = Created::new(report);
    request.complete(&app, &mut transaction, user.user_id, &created).await?;
    app.database.commit(transaction).await?;

    let actor = Actor { user_id: user.user_id, organization_id: *organization_id, workspace_id: None };
    app.signals.feedback_report_submitted(&actor, report_id, *kind);
    Ok(created.into_response())
}

/// Checks membership in the organization, which is in the body here and not in the path.
async fn require_member(
    app: &App,
    connection: &mut PgConnection,
    organization_id: OrganizationId,
    user_id: UserId,
) -> Result<(), Error> {
    let role: Option<OrganizationRole> = app
        .database
        .run(
            DatabaseOperation::FindOrganizationRole,
            sqlx::query_scalar(
                "select role from organization_members where organization_id = $1 and user_id = $2",
            )
            .bind(organization_id)
            .bind(user_id)
            .fetch_optional(connection),
        )
        .await?;
    role.map(|_| ()).ok_or_else(|| Error::not_found("organization"))
}

/// List the caller's own feedback reports
#[utoipa::path(
    get, path = "/v1/feedback-reports/mine", tag = "feedback",
    params(PageQuery),
    responses((status = 200, body = Page<FeedbackReport>), responses::Authenticated, responses::BadRequest),
    security(("access_token" = []))
)]
async fn list_own_feedback_reports(
    State(app): State<App>,
    user: CurrentUser,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<FeedbackReport>>, Error> {
    let (rows, after) = (page.rows()?, page.after()?);
    let mut connection = app.database.acquire().await?;
    let reports: Vec<FeedbackReport> = app
        .database
        .run(
            DatabaseOperation::ListFeedbackReports,
            sqlx::query_as(page_of_texts!(
                bytes: "octet_length(body)",
                order: "created_at desc, id desc",
                limit: "$7",
                "select f.id, f.kind, f.status, f.body, f.organization_id, f.created_at, f.updated_at,
                         exists (select from feedback_screenshots where feedback_report_id = f.id) as has_screenshot
                     from feedback_reports f
                     join sessions s on s.user_id = f.reporter_id
                         and s.id = $5 and s.user_id = $1 and s.ended_at is null and s.expires_at > $6
                     where f.reporter_id = $1 and ($2::timestamptz is null or (f.created_at, f.id) < ($2, $3))
                     order by f.created_at desc, f.id desc limit $4"
            ))
            .bind(user.user_id)
            .bind(after.map(|position| position.created_at))
            .bind(after.map(|position| position.id))
            .bind(rows)
            .bind(user.session_id)
            .bind(app.clock.now())
            .bind(PAGE_BYTES as i64)
            .fetch_all(&mut *connection),
        )
        .await?;
    if reports.is_empty() {
        user.require_session(&app, &mut connection).await?;
    }
    let position = |report: &FeedbackReport| Position { created_at: report.created_at, id: report.id.uuid() };
    Ok(Json(Page::of_texts(reports, rows, |report| &report.body, position)))
}

/// Filters of a list of feedback reports.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct FeedbackReportsQuery {
    /// Only reports with this status.
    status: Option<FeedbackStatus>,
    /// Only reports of this kind.
    kind: Option<FeedbackKind>,
    /// Maximum number of reports; default 50. A page with long texts may be shorter.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
}

/// List all feedback reports, as an operator
#[utoipa::path(
    get, path = "/v1/feedback-reports", tag = "feedback",
    params(FeedbackReportsQuery),
    responses(
        (status = 200, body = Page<OperatorFeedbackReport>),
        responses::Authenticated, responses::Forbidden, responses::BadRequest,
    ),
    security(("access_token" = []))
)]
async fn list_feedback_reports(
    State(app): State<App>,
    _operator: PlatformOperator,
    Query(query): Query<FeedbackReportsQuery>,
) -> Result<Json<Page<OperatorFeedbackReport>>, Error> {
    let page = PageQuery::new(query.limit, query.cursor);
    let (rows, after) = (page.rows()?, page.after()?);
    let mut connection = app.database.acquire().await?;
    let reports: Vec<OperatorFeedbackReport> = app
        .database
        .run(
            DatabaseOperation::ListFeedbackReports,
            sqlx::query_as(page_of_texts!(
                bytes: "octet_length(body)",
                order: "created_at desc, id desc",
                limit: "$6",
                "select f.id, f.kind, f.status, f.body, f.organization_id, f.created_at, f.updated_at,
                         exists (
                             select from feedback_screenshots s where s.feedback_report_id = f.id
                         ) as has_screenshot,
                         f.reporter_id, u.display_name as reporter_name, u.email as reporter_email, f.triaged_by
                     from feedback_reports f join users u on u.id = f.reporter_id
                     where ($1::text is null or f.status = $1)
                         and ($2::text is null or f.kind = $2)
                         and ($3::timestamptz is null or (f.created_at, f.id) < ($3, $4))
                     order by f.created_at desc, f.id desc limit $5"
            ))
            .bind(query.status)
            .bind(query.kind)
            .bind(after.map(|position| position.created_at))
            .bind(after.map(|position| position.id))
            .bind(rows)
            .bind(PAGE_BYTES as i64)
            .fetch_all(&mut *connection),
        )
        .await?;
    let position = |found: &OperatorFeedbackReport| Position {
        created_at: found.report.created_at,
        id: found.report.id.uuid(),
    };
    Ok(Json(Page::of_texts(reports, rows, |found| &found.report.body, position)))
}

#[derive(Deserialize)]
struct FeedbackReportPath {
    feedback_report_id: FeedbackReportId,
}

/// Read a feedback report, as an operator
#[utoipa::path(
    get, path = "/v1/feedback-reports/{feedback_report_id}", tag = "feedback",
    params(("feedback_report_id" = FeedbackReportId, Path)),
    responses(
        (status = 200, body = OperatorFeedbackReport),
        responses::Authenticated, responses::Forbidden, responses::NotFound,
    ),
    security(("access_token" = []))
)]
async fn read_feedback_report(
    State(app): State<App>,
    _operator: PlatformOperator,
    Parameters(path): Parameters<FeedbackReportPath>,
) -> Result<Json<OperatorFeedbackReport>, Error> {
    let mut connection = app.database.acquire().await?;
    find_report(&app, &mut connection, path.feedback_report_id).await.map(Json)
}

async fn find_report(
    app: &App,
    connection: &mut PgConnection,
    feedback_report_id: FeedbackReportId,
) -> Result<OperatorFeedbackReport, Error> {
    let report: Option<OperatorFeedbackReport> = app
        .database
        .run(
            DatabaseOperation::FindFeedbackReport,
            sqlx::query_as(
                "select f.id, f.kind, f.status, f.body, f.organization_id, f.created_at, f.updated_at,
                     exists (select from feedback_screenshots s where s.feedback_report_id = f.id) as has_screenshot,
                     f.reporter_id, u.display_name as reporter_name, u.email as reporter_email, f.triaged_by
                 from feedback_reports f join users u on u.id = f.reporter_id where f.id = $1",
            )
            .bind(feedback_report_id)
            .fetch_optional(connection),
        )
        .await?;
    let report = report.ok_or_else(|| Error::not_found("feedback report"))?;
    telemetry::current::set(|attributes| attributes.id(&keys::FEEDBACK_REPORT_ID, feedback_report_id));
    Ok(report)
}

/// New status of a feedback report.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FeedbackTriage {
    status: FeedbackStatus,
}

/// Change the status of a feedback report, as an operator
///
/// An open report (`new`, `triaged`, `in_progress`) can get any other status except `new`. A closed one
/// (`resolved`, `dismissed`) can only be reopened, as `triaged` or `in_progress`. Setting the current status
/// again changes nothing.
#[utoipa::path(
    patch, path = "/v1/feedback-reports/{feedback_report_id}", tag = "feedback",
    params(("feedback_report_id" = FeedbackReportId, Path)),
    request_body = FeedbackTriage,
    responses(
        (status = 200, body = OperatorFeedbackReport),
        responses::Authenticated, responses::Forbidden, responses::NotFound, responses::JsonBody, responses::Conflict,
    ),
    security(("access_token" = []))
)]
async fn triage_feedback_report(
    State(app): State<App>,
    operator: PlatformOperator,
    Parameters(path): Parameters<FeedbackReportPath>,
    Body(FeedbackTriage { status }): Body<FeedbackTriage>,
) -> Result<Json<OperatorFeedbackReport>, Error> {
    let now = app.clock.now();

    let mut transaction = app.database.begin().await?;
    app.database
        .run(
            DatabaseOperation::LockFeedbackReport,
            sqlx::query("select from feedback_reports where id = $1 for update")
                .bind(path.feedback_report_id)
                .fetch_optional(&mut *transaction),
        )
        .await?;
    let mut found = find_report(&app, &mut transaction, path.feedback_report_id).await?;
    triage(found.report.status, status)?;
    if found.report.status == status {
        return Ok(Json(found));
    }
    app.database
        .run(
            DatabaseOperation::UpdateFeedbackReport,
            sqlx::query(
                "update feedback_reports set status = $2, triaged_by = $3, updated_at = $4 where id = $1",
            )
            .bind(path.feedback_report_id)
            .bind(status)
            .bind(operator.user_id)
            .bind(now)
            .execute(&mut *transaction),
        )
        .await?;
    app.database.commit(transaction).await?;

    found.report.status = status;
    found.report.updated_at = now;
    found.triaged_by = Some(operator.user_id);
    Ok(Json(found))
}
