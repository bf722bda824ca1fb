//! Renders pages on threads for computations, with a limit on concurrent renderings.

use std::time::Duration;

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

use super::problem::Problem;
use super::view::View;
use crate::state::{Console, SharedConsole};

/// Maximum wait before a rendering begins.
const WAIT: Duration = Duration::from_secs(10);

/// Renders a page: calls `page` on a thread for computations and renders the template that it returns.
/// A [`Problem`] becomes a page that says what is wrong.
pub async fn respond<T, F>(console: SharedConsole, view: View, page: F) -> Response
where
    T: Template,
    F: FnOnce(&Console, &View) -> Result<T, Problem> + Send + 'static,
{
    let Ok(Ok(_permit)) = tokio::time::timeout(WAIT, console.renderings().acquire()).await else {
        let busy = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Too many pages are being rendered.");
        return busy.hint("Try again in a few seconds, or choose a shorter range.").respond(&view, &console);
    };
    let shared = SharedConsole::clone(&console);
    let rendering = tokio::task::spawn_blocking(move || {
        let result = page(&shared, &view).and_then(|template| {
            template.render().map_err(|_| Problem::internal("The template of this page cannot be rendered."))
        });
        match result {
            Ok(text) => Html(text).into_response(),
            Err(problem) => problem.respond(&view, &shared),
        }
    });
    rendering.await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}
