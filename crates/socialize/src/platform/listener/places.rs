//! Limits on client connections: in total, and per client network.
//!
//! Each connection takes a file descriptor, and the process needs some for the operations listener, the
//! database, files and outbound calls. So there are fewer places than descriptors. If all are taken, a new
//! connection replaces the longest-idle connection of the network with the most. A client that opens a
//! thousand connections thus closes its own.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderMap;
use ipnet::IpNet;
use tokio_util::sync::CancellationToken;

use crate::platform::client_address::ClientAddress;
use crate::platform::counts::Counts;

/// Minimum time between two log lines about the limit.
const NOTICE_INTERVAL: Duration = Duration::from_secs(60);

/// Maximum numbers of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConnectionLimits {
    /// Total.
    pub(crate) all: usize,
    /// Per client network, except trusted proxies.
    pub(crate) of_one_client: usize,
}

impl ConnectionLimits {
    /// No limits, for a listener that only the operator reaches.
    pub(crate) const NONE: Self = Self { all: usize::MAX, of_one_client: usize::MAX };
}

/// Assigns places to connections.
#[derive(Clone)]
pub(crate) struct Places {
    shared: Arc<Shared>,
}

struct Shared {
    limits: ConnectionLimits,
    /// Networks of proxies, each of which serves many clients.
    trusted: Vec<IpNet>,
    /// Reference time of idle times.
    epoch: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next_id: u64,
    open: HashMap<u64, Arc<Connection>>,
    /// Number of connections of each limited network.
    by_client: Counts<ClientAddress>,
    told_at: Option<Instant>,
}

/// State of a connection that other connections need.
pub(super) struct Connection {
    /// `None` for those of trusted proxies.
    client: Option<ClientAddress>,
    epoch: Instant,
    /// Number of requests without a complete response.
    in_progress: AtomicU32,
    /// Time since which there are none, in milliseconds.
    idle_since: AtomicU64,
    was_used: AtomicBool,
    is_killed: AtomicBool,
    closing: CancellationToken,
}

/// The right to keep a connection open; released on drop.
pub(super) struct Place {
    shared: Arc<Shared>,
    id: u64,
    connection: Arc<Connection>,
}

/// A request without a complete response. Its connection is not idle.
pub(super) struct InProgress(Arc<Connection>);

impl Places {
    pub(crate) fn new(limits: ConnectionLimits, trusted: Vec<IpNet>) -> Self {
        let shared = Shared { limits, trusted, epoch: Instant::now(), state: Mutex::default() };
        Self { shared: Arc::new(shared) }
    }

    /// Returns the client of a request.
    pub(super) fn client_of(&self, peer: IpAddr, headers: &HeaderMap) -> ClientAddress {
        ClientAddress::of(peer, headers, |address| self.shared.trusts(address))
    }

    /// Takes a free place, or that of an idle connection, which is told to close. Returns `None` if no
    /// connection is idle.
    pub(super) fn take(&self, peer: SocketAddr, closing: CancellationToken) -> Option<Place> {
        let shared = &self.shared;
        let client = shared.client(peer.ip());
        let mut state = shared.lock();
        let before = state.open.len();
        let is_admitted = state.make_room(shared.limits, client);
        if !is_admitted || state.open.len() < before {
            state.tell_of_limit();
        }
        if !is_admitted {
            return None;
        }
        let connection = Arc::new(Connection {
            client,
            epoch: shared.epoch,
            in_progress: AtomicU32::new(0),
            idle_since: AtomicU64::new(elapsed(shared.epoch)),
            was_used: AtomicBool::new(false),
            is_killed: AtomicBool::new(false),
            closing,
        });
        let id = state.next_id;
        state.next_id += 1;
        state.add(id, connection.clone());
        drop(state);
        Some(Place { shared: shared.clone(), id, connection })
    }
}

impl Shared {
    fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&peer))
    }

    fn client(&self, peer: IpAddr) -> Option<ClientAddress> {
        let peer = peer.to_canonical();
        (!self.trusts(peer) && self.limits.of_one_client < usize::MAX).then(|| ClientAddress::from(peer))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, id: u64, connection: Arc<Connection>) {
        if let Some(client) = connection.client {
            self.by_client.add(client, 1);
        }
        self.open.insert(id, connection);
    }

    fn remove(&mut self, id: u64) -> Option<Arc<Connection>> {
        let connection = self.open.remove(&id)?;
        if let Some(client) = connection.client {
            self.by_client.subtract(&client, 1);
        }
        Some(connection)
    }

    /// Returns the number of connections of a connection's network. Those of proxies count as one each,
    /// because they serve different clients.
    fn count_of(&self, client: Option<ClientAddress>) -> u64 {
        client.map_or(1, |client| self.by_client.of(&client).max(1))
    }

    fn make_room(&mut self, limits: ConnectionLimits, client: Option<ClientAddress>) -> bool {
        if client.is_some_and(|client| self.by_client.of(&client) >= limits.of_one_client as u64)
            && !self.close_longest_idle(|connection| connection.client == client)
        {
            return false;
        }
        self.open.len() < limits.all || self.close_longest_idle(|_| true)
    }

    /// Closes the connection that has been idle longest, of the network that has most. It loses its place now
    /// and closes within a second, or when its client has read the last response.
    fn close_longest_idle(&mut self, is_candidate: impl Fn(&Connection) -> bool) -> bool {
        let idle =
            self.open.iter().filter(|(_, connection)| is_candidate(connection) && connection.is_idle());
        let longest = idle.max_by_key(|(_, connection)| {
            let idle_since = connection.idle_since.load(Ordering::Relaxed);
            (self.count_of(connection.client), std::cmp::Reverse(idle_since))
        });
        let Some(id) = longest.map(|(id, _)| *id) else { return false };
        if let Some(connection) = self.remove(id) {
            connection.closing.cancel();
        }
        true
    }

    fn tell_of_limit(&mut self) {
        if self.told_at.is_none_or(|told_at| told_at.elapsed() >= NOTICE_INTERVAL) {
            self.told_at = Some(Instant::now());
            tracing::event!(name: "connections.limit_reached", tracing::Level::WARN, count = self.open.len());
        }
    }
}

impl Place {
    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.lock().remove(self.id);
    }
}

impl Connection {
    /// Notes that a request has begun.
    pub(super) fn begin(self: &Arc<Self>) -> InProgress {
        self.was_used.store(true, Ordering::Relaxed);
        self.in_progress.fetch_add(1, Ordering::Relaxed);
        InProgress(self.clone())
    }

    pub(super) fn was_used(&self) -> bool {
        self.was_used.load(Ordering::Relaxed)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.in_progress.load(Ordering::Relaxed) == 0
    }

    /// Time since the last request ended.
    pub(super) fn idle_time(&self) -> Duration {
        if !self.is_idle() {
            return Duration::ZERO;
        }
        let since = self.idle_since.load(Ordering::Relaxed);
        Duration::from_millis(elapsed(self.epoch).saturating_sub(since))
    }

    /// Waits until the connection must close.
    pub(super) async fn closing(&self) {
        self.closing.cancelled().await;
    }

    /// Returns whether requests in progress must be aborted, too.
    pub(super) fn is_killed(&self) -> bool {
        self.is_killed.load(Ordering::Relaxed)
    }

    /// Aborts the connection.
    pub(super) fn kill(&self) {
        self.is_killed.store(true, Ordering::Relaxed);
        self.closing.cancel();
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.idle_since.store(elapsed(self.0.epoch), Ordering::Relaxed);
        self.0.in_progress.fetch_sub(1, Ordering::Relaxed);
    }
}

fn elapsed(epoch: Instant) -> u64 {
    epoch.elapsed().as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Opened {
        place: Place,
        closing: CancellationToken,
    }

    fn open(places: &Places, address: &str) -> Option<Opened> {
        let closing = CancellationToken::new();
        let peer = SocketAddr::new(address.parse().expect("an address"), 1);
        places.take(peer, closing.clone()).map(|place| Opened { place, closing })
    }

    /// Waits longer than a millisecond, the resolution of idle times.
    fn later() {
        std::thread::sleep(Duration::from_millis(3));
    }

    fn places(all: usize, of_one_client: usize) -> Places {
        let trusted = vec!["10.0.0.0/8".parse().expect("a network")];
        Places::new(ConnectionLimits { all, of_one_client }, trusted)
    }

    #[test]
    fn the_longest_idle_connection_of_the_greediest_network_makes_room() {
        let places = places(4, 3);
        let modest = open(&places, "192.0.2.1").expect("a place");
        later();
        let first = open(&places, "192.0.2.2").expect("a place");
        let request = first.place.connection().begin();
        later();
        let second = open(&places, "192.0.2.2").expect("a place");
        later();
        let third = open(&places, "192.0.2.2").expect("a place");
        let fourth = open(&places, "192.0.2.3").expect("a place");
        assert!(second.closing.is_cancelled(), "idle for longest of those of its network");
        assert!(!first.closing.is_cancelled(), "it has a request");
        assert!(!modest.closing.is_cancelled() && !third.closing.is_cancelled());
        later();
        drop(request);
        // Now the first one is idle too, but for a shorter time.
        let _fifth = open(&places, "192.0.2.4").expect("a place");
        assert!(third.closing.is_cancelled() && !first.closing.is_cancelled());
        assert!(!modest.closing.is_cancelled() && !fourth.closing.is_cancelled());
    }

    #[test]
    fn a_network_with_its_share_closes_its_own() {
        let places = places(100, 2);
        let other = open(&places, "192.0.2.1").expect("a place");
        let networks = ["2001:db8:1:2::1", "2001:db8:1:2:3::4"].map(|address| open(&places, address));
        let [first, second] = networks.map(|opened| opened.expect("a place"));
        later();
        let third = open(&places, "2001:db8:1:2:9::9").expect("a place");
        assert_ne!(first.closing.is_cancelled(), second.closing.is_cancelled(), "one of them");
        let requests = [&first, &second, &third].map(|opened| opened.place.connection().begin());
        assert!(open(&places, "2001:db8:1:2::7").is_none(), "none of them is idle");
        assert!(!other.closing.is_cancelled());
        drop(requests);
        // Dropping releases the places.
        drop((first, second, third));
        assert!(open(&places, "2001:db8:1:2::7").is_some());
        assert!(open(&places, "2001:db8:1:3::7").is_some());
    }

    #[test]
    fn proxies_have_no_share_and_nothing_counts_twice() {
        let places = places(3, 1);
        let proxied = [(); 3].map(|()| open(&places, "10.0.0.1").expect("a place"));
        later();
        let _fourth = open(&places, "10.0.0.1").expect("a place");
        assert_eq!(proxied.iter().filter(|opened| opened.closing.is_cancelled()).count(), 1);
        drop(proxied);
        let state = places.shared.lock();
        assert_eq!((state.open.len(), state.by_client.len()), (1, 0));
    }
}
