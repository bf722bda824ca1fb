//! Error pages, each with a hint on what would be right.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

use super::layout::Layout;
use super::view::View;
use crate::state::Console;

/// An error, shown instead of a page.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    text: String,
    hint: String,
}

#[derive(Template)]
#[template(path = "problem.html")]
struct Page<'a> {
    layout: Layout,
    problem: &'a Problem,
}

impl Problem {
    /// Creates a problem with any status.
    pub fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into(), hint: String::new() }
    }

    /// The address has a wrong parameter.
    pub fn bad_request(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    /// The addressed object does not exist.
    pub fn not_found(text: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, text)
    }

    /// A defect of the console.
    pub fn internal(text: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, text)
    }

    /// Adds a hint on what would be right.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    fn text(&self) -> &str {
        &self.text
    }

    fn hint_text(&self) -> &str {
        &self.hint
    }

    /// Renders the page.
    pub fn respond(&self, view: &View, console: &Console) -> Response {
        let title = self.status.canonical_reason().unwrap_or("Problem");
        let page = Page { layout: Layout::new(title, view, console), problem: self };
        match page.render() {
            Ok(text) => (self.status, Html(text)).into_response(),
            Err(_) => (self.status, self.text.clone()).into_response(),
        }
    }
}
