//! Registration and confirmation of the address.
//!
//! A registration becomes an account when its link is used, with its own name and password. Several
//! registrations of one address may be pending: the first link that is used wins and ends the others. So a
//! link never confirms somebody else's registration.

use axum::extract::State;
use catalogue::database_operation::DatabaseOperation;
use catalogue::keys;
use catalogue::labels::AuthFailureReason;
use chrono::{DateTime, Utc};
use domain::ids::{RegistrationId, UserId};
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::links::{Accepted, EmailRequest, LinkToken, VERIFICATION_LINK_LIFETIME, link_expired};
use super::new_password::NewPassword;
use crate::app::App;
use crate::features::email::Email;
use crate::http::error::{Error, ErrorBody, responses};
use crate::http::extract::Body;
use crate::platform::client_address::ClientAddress;
use crate::platform::database::Transaction;
use crate::platform::secret::Secret;
use crate::platform::text::{EmailAddress, Name};
use crate::platform::token::LinkPurpose;

/// Maximum number of pending registrations of one address; a new one replaces the oldest. Large enough that
/// strangers within the limit of e-mails need hours to replace a registration.
const PENDING_REGISTRATIONS_OF_ONE_ADDRESS: i64 = 20;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(register))
        .routes(routes!(resend_verification))
        .routes(routes!(verify_email))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewUser {
    email: EmailAddress,
    display_name: Name,
    password: NewPassword,
}

/// Register
///
/// The owner of the address gets an e-mail: either a link that confirms this registration, valid for 24
/// hours, or a note that the address already has an account. The response is the same. The account is created
/// when the link is used, with the name and the password of the link's registration. Registering again
/// creates another registration with its own link; the first link that is used ends the others. Repetition is
/// safe without an `Idempotency-Key`, which is ignored.
#[utoipa::path(
    post, path = "/v1/auth/register", tag = "authentication",
    request_body = NewUser,
    responses(
        (status = 202, body = Accepted, description = "The address gets an e-mail."),
        responses::PublicWrite, responses::RateLimited,
    )
)]
async fn register(
    State(app): State<App>,
    client: ClientAddress,
    Body(request): Body<NewUser>,
) -> Result<Accepted, Error> {
    request.password.check_differs_from(&request.email)?;
    let may_send = app.rate_limits.count_email(&request.email, client).await?;
    let permit = app.passwords.permit(client).await?;
    let password_hash = app.passwords.hash(permit, request.password.secret()).await?;
    let registration = Registration { id: RegistrationId::from(Uuid::now_v7()), password_hash, may_send };

    let mut transaction = app.database.begin().await?;
    let owner = insert_pending(&app, &mut transaction, &request, &registration).await?;
    let email = match owner {
        Some(user) if may_send => Email::AlreadyRegistered { user },
        // Without a new row, no e-mail is sent.
        _ => Email::VerifyEmail { token: registration.id },
    };
    email.enqueue(&app, &mut transaction).await?;
    app.database.commit(transaction).await?;

    if may_send && owner.is_none() {
        app.signals.user_registered();
    }
    Ok(Accepted::new("Please check your mailbox: the e-mail says how to continue."))
}

struct Registration {
    id: RegistrationId,
    password_hash: Secret,
    /// True if the address may get another e-mail. If not, the same work is done, but nothing is stored or
    /// sent.
    may_send: bool,
}

/// Inserts the registration unless the address has an account, and returns that account.
async fn insert_pending(
    app: &App,
    transaction: &mut Transaction,
    request: &NewUser,
    registration: &Registration,
) -> Result<Option<UserId>, Error> {
    let now: DateTime<Utc> = app.clock.now();
    let owner = app
        .database
        .run(
            DatabaseOperation::InsertPendingRegistration,
            sqlx::query_scalar(
                "with owner as (
                     select id from users where email = $2 and email_verified_at is not null
                 ), inserted as (
                     insert into pending_registrations (id, email, display_name, password_hash, created_at, expires_at)
                     select $1, $2, $3, $4, $5, $6 where $8 and not exists (select from owner)
                 ), ended as (
                     delete from pending_registrations where $8 and id in (
                         select id from pending_registrations where email = $2
                         order by created_at desc, id desc offset $7
                     )
                 )
                 select id from owner",
            )
            .bind(registration.id)
            .bind(request.email.as_str())
            .bind(request.display_name.as_str())
            .bind(registration.password_hash.expose())
            .bind(now)
            .bind(now + VERIFICATION_LINK_LIFETIME)
            // This statement does not see the row that it inserts.
            .bind(PENDING_REGISTRATIONS_OF_ONE_ADDRESS - 1)
            .bind(registration.may_send)
            .fetch_optional(&mut **transaction),
        )
        .await?;
    Ok(owner)
}

/// Request another e-mail that confirms the address
///
/// It contains the link of the address's newest registration.
#[utoipa::path(
    post, path = "/v1/auth/resend-verification", tag = "authentication",
    request_body = EmailRequest,
    responses(
        (
            status = 202, body = Accepted,
            description = "If a registration of the address is pending, it gets an e-mail."
        ),
        responses::PublicWrite, responses::RateLimited,
    )
)]
async fn resend_verification(
    State(app): State<App>,
    client: ClientAddress,
    Body(request): Body<EmailRequest>,
) -> Result<Accepted, Error> {
    let may_send = app.rate_limits.count_email(&request.email, client).await?;

    let mut transaction = app.database.begin().await?;
    let newest: Option<RegistrationId> = app
        .database
        .run(
            DatabaseOperation::FindPendingRegistration,
            sqlx::query_scalar(
                "select id from pending_registrations where email = $1 and expires_at > $2 and $3
                 order by created_at desc, id desc limit 1",
            )
            .bind(request.email.as_str())
            .bind(app.clock.now())
            .bind(may_send)
            .fetch_optional(&mut *transaction),
        )
        .await?;
    // The job is always enqueued, so that timing does not reveal whether a registration is pending. Without
    // one, no e-mail is sent.
    let token = newest.unwrap_or_else(|| RegistrationId::from(Uuid::now_v7()));
    Email::VerifyEmail { token }.enqueue(&app, &mut transaction).await?;
    app.database.commit(transaction).await?;
    Ok(Accepted::new("If a registration of this address is pending, it gets another e-mail."))
}

/// Confirm an address with the token of an e-mailed link
///
/// Creates the account with the name and the password of the link's registration. All other registrations of
/// the address end.
#[utoipa::path(
    post, path = "/v1/auth/verify-email", tag = "authentication",
    request_body = LinkToken,
    responses(
        (status = 204, description = "The address is confirmed; its user can log in."),
        (
            status = 410, body = ErrorBody,
            description = "The link was used, has expired or is incomplete, or the address has an account."
        ),
        responses::PublicWrite,
    )
)]
async fn verify_email(
    State(app): State<App>,
    client: ClientAddress,
    Body(request): Body<LinkToken>,
) -> Result<StatusCode, Error> {
    let refused = || {
        app.signals.auth_failed(AuthFailureReason::InvalidEmailToken, None);
        link_expired()
    };
    let token =
        app.tokens.verify_link(LinkPurpose::VerifyEmail, request.token.expose()).ok_or_else(refused)?;

    let mut connection = app.database.acquire().await?;
    // Locks all registrations of the address first, in a fixed order: a concurrent request with another link
    // waits and then finds none. An unconfirmed row of `users` was written by an older version and is not an
    // account.
    let user: Option<UserId> = app
        .database
        .run(
            DatabaseOperation::ConfirmRegistration,
            sqlx::query_scalar(
                "with waiting as materialized (
                     select id, email, display_name, password_hash, expires_at from pending_registrations
                     where email = (select email from pending_registrations where id = $1)
                     order by id for update
                 ), confirmed as (
                     select email, display_name, password_hash from waiting where id = $1 and expires_at > $3
                 ), ended as (
                     delete from pending_registrations
                     where id in (select id from waiting) and exists (select from confirmed)
                 ), account as (
                     insert into users (id, email, display_name, password_hash, email_verified_at, created_at)
                     select $2, email, display_name, password_hash, $3, $3 from confirmed
                     on conflict on constraint users_email_key do update
                         set display_name = excluded.display_name, password_hash = excluded.password_hash,
                             email_verified_at = excluded.email_verified_at
                         where users.email_verified_at is null
                     returning id
                 )
                 insert into known_networks (user_id, network, is_private, seen_at)
                 select id, $4, $5, $3 from account
                 on conflict (user_id, network) do update set seen_at = excluded.seen_at
                 returning user_id",
            )
            .bind(RegistrationId::from(token))
            .bind(UserId::from(Uuid::now_v7()))
            .bind(app.clock.now())
            .bind(app.rate_limits.network(client).to_vec())
            .bind(client.is_private())
            .fetch_optional(&mut *connection),
        )
        .await?;
    let user_id = user.ok_or_else(refused)?;
    telemetry::current::set(|attributes| attributes.id(&keys::USER_ID, user_id));
    app.signals.user_verified(user_id);
    Ok(StatusCode::NO_CONTENT)
}
