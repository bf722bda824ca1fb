//! Extraction of a [`View`] from a request, with a page about wrong parameters.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::response::Response;

use super::problem::Problem;
use super::range::RANGES;
use super::view::View;
use crate::state::SharedConsole;

impl FromRequestParts<SharedConsole> for View {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, console: &SharedConsole) -> Result<Self, Response> {
        let now = console.now();
        let path = parts.uri.path().to_owned();
        let parameters = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|_| "The part of the address after ? is not a valid query string.".to_owned());
        let parameters = parameters.map(|Query(pairs)| pairs);
        parameters.and_then(|parameters| Self::read(&path, parameters, now)).map_err(|text| {
            let ranges = RANGES.map(|(name, _, _)| name).join(", ");
            let hint = format!(
                "A range is one of {ranges}, or from= and until= with times such as 2026-11-30T14:00 (UTC)."
            );
            Problem::bad_request(text).hint(hint).respond(&Self::plain(&path, now), console)
        })
    }
}
