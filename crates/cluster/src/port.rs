//! Choice of a server's loopback port.

use std::net::{Ipv4Addr, TcpListener};

use super::ClusterError;

/// Registered services use ports below this range, and the kernel assigns ports above it to
/// outgoing connections.
const FIRST: u16 = 20_000;
const USUAL_EPHEMERAL_START: u16 = 32_768;

/// Returns a port that is currently free.
///
/// It is outside the range of outgoing connections. Inside that range, a client that keeps
/// reconnecting to a stopped server would sooner or later get the server's own port, connect to
/// itself, and block the server's restart.
pub fn free_loopback_port() -> Result<u16, ClusterError> {
    let end = ephemeral_start().unwrap_or(USUAL_EPHEMERAL_START);
    let candidates = if end > FIRST + 1_000 { FIRST..end } else { 5_433..FIRST };
    for _ in 0..200 {
        let port = rand::random_range(candidates.clone());
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(ClusterError::NoFreePort { first: candidates.start, last: candidates.end - 1 })
}

fn ephemeral_start() -> Option<u16> {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    range.split_whitespace().next()?.parse().ok()
}
