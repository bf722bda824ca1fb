//! Pages, rendered on the server.
//!
//! A page is a file here and a template. To add one:
//!
//! 1. Write `templates/NAME.html` that begins with `{% extends "layout.html" %}` and fills `{% block content %}`.
//! 2. Write `pages/NAME.rs` with the template's struct, whose field `layout: Layout` comes from
//!    `Layout::new("Title", view, console)`, plus `.with_range(…)`, `.with_refresh(…)`, `.with_choice(…)` as needed;
//!    `pub(super) fn routes() -> Router<SharedConsole>`; and a handler:
//!
//!    ```text
//!    async fn logs(State(console): State<SharedConsole>, view: View) -> Response {
//!        respond(console, view, render).await
//!    }
//!    fn render(console: &Console, view: &View) -> Result<Logs, Problem> { … }
//!    ```
//!
//!    `render` runs on a thread for computations, a few at a time. It reads parameters by
//!    `view.parameter("level")`, makes addresses by `view.with(&[("level", "error")])` and
//!    `view.link("/traces", &[…])`, and returns `Problem::bad_request("…").hint("…")` or
//!    `Problem::not_found("…")` for what is wrong.
//! 3. Add `mod NAME;` below and `.merge(NAME::routes())` in `router.rs`. The navigation is in `layout.rs`.
//!
//! Inline styles and scripts are forbidden by the content security policy. Styles go to `assets/style.css`
//! (variables and classes are listed at its top), behaviour to `assets/console.js`.

mod about;
mod affected;
mod alerts;
mod assets;
mod choices;
mod compress;
mod dashboard_list;
mod dashboards;
mod environment;
mod extract;
mod health;
mod identifiers;
mod layout;
mod line_view;
mod locked;
mod logs;
mod nothing;
mod overview;
mod problem;
mod processes;
mod range;
mod requests;
mod respond;
mod router;
mod security;
mod traces;
mod view;
mod words;

pub use layout::{Anchor, Choice, Layout};
pub use problem::Problem;
pub use range::TimeRange;
pub use respond::respond;
pub use router::router;
pub use view::{View, address};
