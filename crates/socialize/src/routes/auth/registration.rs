//! Registering, and confirming the address.

use axum::extract::State;
use domain::database_operation::DatabaseOperation;
use domain::ids::{EmailTokenId, UserId};
use domain::labels::AuthFailureReason;
use domain::signals::keys;
use domain::vocabulary::EmailTokenPurpose;
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::{Accepted, EmailRequest, LinkToken, VERIFICATION_LINK_LIFETIME, link_expired};
use crate::app::App;
use crate::email::Email;
use crate::error::{Error, ErrorBody, answers};
use crate::extract::{Body, ClientAddress};
use crate::passwords::NewPassword;
use crate::text::{EmailAddress, Text};
use crate::token::LinkPurpose;

/// The routes of this file.
pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(register))
        .routes(routes!(resend_verification))
        .routes(routes!(verify_email))
}

/// A new user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewUser {
    email: EmailAddress,
    display_name: Text<1, 100>,
    password: NewPassword,
}

/// Register
///
/// The owner of the address gets an e-mail: with a link that confirms it, valid for 24 hours, or with the news that the
/// address has an account already. The answer is the same. Registering again before the address is confirmed replaces the
/// name and the password. Repetition is safe without an `Idempotency-Key`; one that is sent has no effect.
#[utoipa::path(
    post, path = "/v1/auth/register", tag = "authentication",
    request_body = NewUser,
    responses(
        (status = 202, body = Accepted, description = "The address gets an e-mail."),
        answers::PublicWrite, answers::RateLimited,
    )
)]
async fn register(
    State(app): State<App>,
    client: ClientAddress,
    Body(request): Body<NewUser>,
) -> Result<Accepted, Error> {
    request.password.check_differs_from(&request.email)?;
    app.rate_limits.count_email(&request.email, client)?;
    let password_hash = app.passwords.hash(request.password.secret()).await?;
    let now = app.clock.now();

    let mut transaction = app.database.begin().await?;
    // Until an address is confirmed, its account belongs to whoever registered it last: the owner, who registers after
    // somebody else did so, shall not confirm that person's password.
    let registered: Option<UserId> = app
        .database
        .run(
            DatabaseOperation::InsertUser,
            sqlx::query_scalar(
                "insert into users (id, email, display_name, password_hash, created_at) values ($1, $2, $3, $4, $5)
                 on conflict on constraint users_email_key do update
                     set display_name = excluded.display_name, password_hash = excluded.password_hash
                     where users.email_verified_at is null
                 returning id",
            )
            .bind(UserId::from(Uuid::now_v7()))
            .bind(request.email.as_str())
            .bind(request.display_name.as_str())
            .bind(password_hash.expose())
            .bind(now)
            .fetch_optional(&mut *transaction),
        )
        .await?;
    let email = match registered {
        Some(user_id) => {
            let token = EmailTokenId::from(Uuid::now_v7());
            app.database
                .run(
                    DatabaseOperation::InsertEmailToken,
                    sqlx::query(
                        "insert into email_tokens (id, user_id, purpose, created_at, expires_at) values ($1, $2, $3, $4, $5)",
                    )
                    .bind(token)
                    .bind(user_id)
                    .bind(EmailTokenPurpose::VerifyEmail)
                    .bind(now)
                    .bind(now + VERIFICATION_LINK_LIFETIME)
                    .execute(&mut *transaction),
                )
                .await?;
            Email::VerifyEmail { token }
        }
        None => {
            let user: UserId = app
                .database
                .run(
                    DatabaseOperation::FindUserByEmail,
                    sqlx::query_scalar("select id from users where email = $1")
                        .bind(request.email.as_str())
                        .fetch_one(&mut *transaction),
                )
                .await?;
            Email::AlreadyRegistered { user }
        }
    };
    email.enqueue(&app, &mut transaction).await?;
    app.database.commit(transaction).await?;
    Ok(Accepted::new("Please look into your mailbox: the e-mail says how to go on."))
}

/// Ask for another e-mail that confirms the address
#[utoipa::path(
    post, path = "/v1/auth/resend-verification", tag = "authentication",
    request_body = EmailRequest,
    responses(
        (status = 202, body = Accepted, description = "If the address waits for confirmation, it gets an e-mail."),
        answers::PublicWrite, answers::RateLimited,
    )
)]
async fn resend_verification(
    State(app): State<App>,
    client: ClientAddress,
    Body(request): Body<EmailRequest>,
) -> Result<Accepted, Error> {
    app.rate_limits.count_email(&request.email, client)?;
    let now = app.clock.now();
    let token = EmailTokenId::from(Uuid::now_v7());

    // The job is enqueued in any case, so that nobody can measure whether there is an account. Without a token there is
    // nothing to send.
    let mut transaction = app.database.begin().await?;
    app.database
        .run(
            DatabaseOperation::InsertEmailToken,
            sqlx::query(
                "insert into email_tokens (id, user_id, purpose, created_at, expires_at)
                 select $1, id, $2, $3, $4 from users where email = $5 and email_verified_at is null",
            )
            .bind(token)
            .bind(EmailTokenPurpose::VerifyEmail)
            .bind(now)
            .bind(now + VERIFICATION_LINK_LIFETIME)
            .bind(request.email.as_str())
            .execute(&mut *transaction),
        )
        .await?;
    Email::VerifyEmail { token }.enqueue(&app, &mut transaction).await?;
    app.database.commit(transaction).await?;
    Ok(Accepted::new("If this address waits for confirmation, it gets another e-mail."))
}

/// Confirm an address with the token of the e-mailed link
#[utoipa::path(
    post, path = "/v1/auth/verify-email", tag = "authentication",
    request_body = LinkToken,
    responses(
        (status = 204, description = "The address is confirmed; its user can log in."),
        (status = 410, body = ErrorBody, description = "The link was used, has expired or is incomplete."),
        answers::PublicWrite,
    )
)]
async fn verify_email(State(app): State<App>, Body(request): Body<LinkToken>) -> Result<StatusCode, Error> {
    let refused = || {
        app.signals.auth_failed(AuthFailureReason::InvalidEmailToken, None);
        link_expired()
    };
    let token =
        app.tokens.verify_link(LinkPurpose::VerifyEmail, request.token.expose()).ok_or_else(refused)?;
    let now = app.clock.now();

    let mut transaction = app.database.begin().await?;
    let user: Option<UserId> = app
        .database
        .run(
            DatabaseOperation::UseEmailToken,
            sqlx::query_scalar(
                "update email_tokens set used_at = $2
                 where id = $1 and purpose = $3 and used_at is null and expires_at > $2 returning user_id",
            )
            .bind(token)
            .bind(now)
            .bind(EmailTokenPurpose::VerifyEmail)
            .fetch_optional(&mut *transaction),
        )
        .await?;
    let user_id = user.ok_or_else(refused)?;
    telemetry::current::set(|attributes| attributes.id(&keys::USER_ID, user_id));
    app.database
        .run(
            DatabaseOperation::VerifyUserEmail,
            sqlx::query(
                "update users set email_verified_at = $2 where id = $1 and email_verified_at is null",
            )
            .bind(user_id)
            .bind(now)
            .execute(&mut *transaction),
        )
        .await?;
    app.database.commit(transaction).await?;
    Ok(StatusCode::NO_CONTENT)
}
