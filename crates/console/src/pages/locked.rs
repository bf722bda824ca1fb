//! The page for clients without a valid token.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

use super::assets::Assets;

#[derive(Template)]
#[template(path = "locked.html")]
struct Locked {
    assets: Assets,
    token_was_wrong: bool,
}

/// Renders the page that says how to get the link.
pub(super) fn locked_page(token_was_wrong: bool) -> Response {
    let page = Locked { assets: Assets::current(), token_was_wrong };
    match page.render() {
        Ok(text) => (StatusCode::UNAUTHORIZED, Html(text)).into_response(),
        Err(_) => StatusCode::UNAUTHORIZED.into_response(),
    }
}
