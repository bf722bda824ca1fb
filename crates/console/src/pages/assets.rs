//! Style sheet, script and icon. Their addresses contain a digest of their content, so browsers can cache
//! them indefinitely and never use an outdated one.

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};

use crate::state::SharedConsole;

const STYLE: &str = concat!(
    include_str!("../../assets/style.css"),
    include_str!("../../assets/charts.css"),
    include_str!("../../assets/explore.css"),
    include_str!("../../assets/alerts.css")
);
const SCRIPT: &str = concat!(include_str!("../../assets/console.js"), include_str!("../../assets/charts.js"));
const ICON: &str = include_str!("../../assets/icon.svg");

static DIGEST: LazyLock<String> = LazyLock::new(|| {
    let mut digest = Sha256::new();
    [STYLE, SCRIPT, ICON].iter().for_each(|content| digest.update(content.as_bytes()));
    digest.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
});

/// Addresses of the files, for templates.
#[derive(Clone, Debug)]
pub struct Assets {
    /// Address of the style sheet.
    pub style: String,
    /// Address of the script.
    pub script: String,
    /// Address of the icon.
    pub icon: String,
}

impl Assets {
    /// Returns the addresses of this build.
    pub fn current() -> Self {
        let address = |name: &str| format!("/assets/{}/{name}", *DIGEST);
        Self { style: address("style.css"), script: address("console.js"), icon: address("icon.svg") }
    }
}

/// Serves the files.
pub(super) fn routes() -> Router<SharedConsole> {
    Router::new().route("/assets/{digest}/{name}", get(asset))
}

async fn asset(Path((digest, name)): Path<(String, String)>) -> Response {
    let (kind, content) = match name.as_str() {
        "style.css" => ("text/css; charset=utf-8", STYLE),
        "console.js" => ("text/javascript; charset=utf-8", SCRIPT),
        "icon.svg" => ("image/svg+xml", ICON),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    if digest != *DIGEST {
        return StatusCode::NOT_FOUND.into_response();
    }
    let headers =
        [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")];
    (headers, content).into_response()
}
