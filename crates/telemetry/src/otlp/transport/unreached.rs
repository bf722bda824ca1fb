//! Reasons why a request got no response, found in the errors of the libraries.
//!
//! Their texts are never shown: they may quote the endpoint, which may contain a token.

use std::error::Error;
use std::io;
use std::iter;

use crate::otlp::ExportFailure;

/// The error of the resolvers here, which identifies a failed name.
#[derive(Debug, thiserror::Error)]
#[error("the name of the collector could not be resolved")]
pub(super) struct NameNotResolved;

/// Looks up a name with the system's resolver.
pub(super) async fn resolve(name: &str) -> Result<Vec<std::net::SocketAddr>, NameNotResolved> {
    let addresses = tokio::net::lookup_host((name, 0)).await.map_err(|_| NameNotResolved)?;
    let addresses: Vec<_> = addresses.collect();
    if addresses.is_empty() { Err(NameNotResolved) } else { Ok(addresses) }
}

/// Iterates over an error and its causes. Some libraries keep the cause elsewhere than in `source`.
pub(super) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| {
        if let Some(within) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            return Some(within as &(dyn Error + 'static));
        }
        if let Some(within) = error.downcast_ref::<h2::Error>().and_then(h2::Error::get_io) {
            return Some(within as &(dyn Error + 'static));
        }
        error.source()
    })
}

/// The error of a peer that sends something before the request, as HTTP/2 servers do. The library
/// has no other way to tell.
const SPEAKS_FIRST: &str = "received unexpected message from connection";

/// Returns the reason why there was no response.
pub(super) fn reason(error: &(dyn Error + 'static)) -> ExportFailure {
    causes(error).find_map(known).unwrap_or(ExportFailure::Connection)
}

fn known(cause: &(dyn Error + 'static)) -> Option<ExportFailure> {
    if cause.is::<NameNotResolved>() {
        return Some(ExportFailure::NameResolution);
    }
    if cause.is::<rustls::Error>() {
        return Some(ExportFailure::Tls);
    }
    if let Some(error) = cause.downcast_ref::<io::Error>() {
        return match error.kind() {
            io::ErrorKind::ConnectionRefused => Some(ExportFailure::ConnectionRefused),
            // Sockets know no such error. HTTP/2 keeps only the text of the one of TLS.
            io::ErrorKind::InvalidData => Some(ExportFailure::Tls),
            _ => None,
        };
    }
    if let Some(error) = cause.downcast_ref::<hyper::Error>() {
        let is_foreign = error.is_parse() || error.to_string() == SPEAKS_FIRST;
        return is_foreign.then_some(ExportFailure::WrongProtocol);
    }
    // The peer's bytes are no frames of HTTP/2: it speaks HTTP/1.
    let error = cause.downcast_ref::<h2::Error>()?;
    let is_malformed =
        matches!(error.reason(), Some(h2::Reason::PROTOCOL_ERROR | h2::Reason::FRAME_SIZE_ERROR));
    (error.is_library() && is_malformed).then_some(ExportFailure::WrongProtocol)
}
