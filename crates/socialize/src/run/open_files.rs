//! Limits on open files and client connections.
//!
//! Linux gives a process a soft limit of 1,024 files, for programs that use `select`, and a much higher hard
//! limit that the process may raise it to.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::platform::listener::ConnectionLimits;
use crate::run::config::{FEWEST_CONNECTIONS, Settings};

/// Files needed besides client connections and those that settings imply: outbound calls, log files, the
/// operations listener, health checks, listeners of the queue.
const RESERVE: usize = 128;
/// Maximum number of client connections that one process serves well.
const MOST_CONNECTIONS: usize = 2_000;
/// One client network may hold one in this many connections.
const SHARE_OF_ONE_CLIENT: usize = 4;

/// Raises the soft limit as far as possible and returns it.
pub(crate) fn raise_limit() -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return usize::MAX };
    let raised = soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
    usize::try_from(if raised { hard } else { soft }).unwrap_or(usize::MAX)
}

/// Returns the number of files that the process needs besides client connections.
fn reserve(settings: &Settings) -> usize {
    let connections = settings.database.limits.connections as usize;
    // An upload uses a connection to the store or a file. Publishing has four times as many slots as other
    // jobs.
    RESERVE + connections + 2 * settings.blobs.uploads_at_once + 6 * settings.process.job_concurrency
}

/// Returns the connection limits that this number of open files allows. Settings can only lower them.
pub(crate) fn connection_limits(settings: &Settings, open_files: usize) -> ConnectionLimits {
    let possible = open_files.saturating_sub(reserve(settings)).max(FEWEST_CONNECTIONS);
    let all = settings.listen.connections.unwrap_or(MOST_CONNECTIONS).min(possible);
    let share = all.div_ceil(SHARE_OF_ONE_CLIENT);
    ConnectionLimits {
        all,
        of_one_client: settings.listen.connections_of_one_client.unwrap_or(share).min(all),
    }
}
