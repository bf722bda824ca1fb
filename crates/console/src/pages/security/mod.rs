//! Protection of the pages: a check of the host, a token that becomes a cookie, and headers that forbid
//! everything that the pages do not need.

mod guard;
mod headers;

pub(super) use guard::guard;
pub(super) use headers::add_headers;
