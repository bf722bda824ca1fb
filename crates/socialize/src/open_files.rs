//! Limits on open files and on the connections of clients.
//!
//! Linux gives a process a soft limit of 1,024 for the sake of programs that use `select`, and a much higher hard limit, up to which it may
//! go by itself.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::config::Settings;
use crate::listener::ConnectionLimits;

/// Files that the process needs besides connections of clients and what settings ask for: outbound calls, log files, the operations listener,
/// health checks, listeners of the queue.
const RESERVE: usize = 128;
/// More connections of clients than this would not be served well by one process.
const MOST_CONNECTIONS: usize = 2_000;
/// Fewer than this would let nobody in.
pub(crate) const FEWEST_CONNECTIONS: usize = 16;
/// Part of all connections that one client network may have.
const SHARE_OF_ONE_CLIENT: usize = 4;

/// Raises the limit as far as the process may, and returns it.
pub(crate) fn raise_limit() -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return usize::MAX };
    let raised = soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
    usize::try_from(if raised { hard } else { soft }).unwrap_or(usize::MAX)
}

/// Returns how many files the process needs for itself.
fn reserve(settings: &Settings) -> usize {
    let connections = settings.database.connections as usize;
    // An upload is a connection to the store or a file. Deliveries to publishing endpoints have four times as many slots as other jobs.
    RESERVE + connections + 2 * settings.blobs.uploads_at_once + 6 * settings.job_concurrency
}

/// Returns the limits that so many open files allow. Settings cannot raise them beyond that.
pub(crate) fn connection_limits(settings: &Settings, open_files: usize) -> ConnectionLimits {
    let possible = open_files.saturating_sub(reserve(settings)).max(FEWEST_CONNECTIONS);
    let all = settings.listen.connections.unwrap_or(MOST_CONNECTIONS).min(possible);
    let share = all.div_ceil(SHARE_OF_ONE_CLIENT);
    ConnectionLimits {
        all,
        of_one_client: settings.listen.connections_of_one_client.unwrap_or(share).min(all),
    }
}
