//! Authentication by password, refresh token or e-mailed link.
//!
//! No response reveals whether an address has an account: both cases get the same response and do the same
//! work, statement for statement and hash for hash.

pub mod clean_up_tokens;
mod links;
pub mod me;
mod new_password;
mod password_reset;
mod registration;
mod session_tokens;
mod sessions;

use utoipa_axum::router::OpenApiRouter;

use crate::app::App;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(registration::router())
        .merge(sessions::router())
        .merge(password_reset::router())
        .merge(me::router())
}
