//! Memory of unsent responses.
//!
//! A response is completed before it is sent, and stays in memory until its client has read it. Large ones
//! count against a total limit and one per client network. When a limit is reached, responses with stalled
//! clients are dropped first; if there are none, the new response waits.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::platform::client_address::ClientAddress;
use crate::platform::counts::Counts;

/// Smaller responses are not counted: a connection can hold only few of them.
pub(crate) const COUNTED_FROM: u64 = 16 << 10;
/// Maximum size of all counted responses.
const ALL: u64 = 48 << 20;
/// Maximum size of the responses of one client network. A single response of any size is always accepted.
const OF_ONE_CLIENT: u64 = 12 << 20;
/// Time without progress after which a client counts as stalled.
const STALLED_AFTER: Duration = Duration::from_secs(2);
/// Maximum time that a response waits for memory.
const PATIENCE: Duration = Duration::from_secs(4);
/// Interval at which a waiting response looks for stalled clients.
const CHECK: Duration = Duration::from_millis(250);

/// Counts the memory of responses. Clones share it.
#[derive(Clone)]
pub(crate) struct UnsentResponses {
    shared: Arc<Shared>,
}

struct Shared {
    epoch: Instant,
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Default)]
struct State {
    next_id: u64,
    held: HashMap<u64, Entry>,
    all: u64,
    by_client: Counts<ClientAddress>,
}

struct Entry {
    client: ClientAddress,
    bytes: u64,
    reading: Arc<Reading>,
}

/// Reading progress of a client.
#[derive(Default)]
struct Reading {
    /// Time of the last progress, in milliseconds.
    progressed_at: AtomicU64,
    /// Closes its connection.
    give_up: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

/// A response that is being sent. Dropped when the kernel has taken it.
pub(crate) struct Held {
    shared: Arc<Shared>,
    id: u64,
    reading: Arc<Reading>,
}

impl Default for UnsentResponses {
    fn default() -> Self {
        let shared = Shared { epoch: Instant::now(), state: Mutex::default(), freed: Notify::new() };
        Self { shared: Arc::new(shared) }
    }
}

impl UnsentResponses {
    /// Reserves memory for a response of this size. Returns `None` on timeout.
    pub(crate) async fn hold(&self, client: ClientAddress, bytes: u64) -> Option<Arc<Held>> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            // Subscribes before the check, so that no release is missed.
            let freed = self.shared.freed.notified();
            if let Some(held) = self.try_hold(client, bytes) {
                return Some(Arc::new(held));
            }
            if tokio::time::Instant::now() >= deadline {
                return None;
            }
            let _ = tokio::time::timeout(CHECK, freed).await;
        }
    }

    fn try_hold(&self, client: ClientAddress, bytes: u64) -> Option<Held> {
        let now = self.shared.now();
        let mut state = self.shared.lock();
        while !state.has_room(client, bytes) {
            if !state.give_up_stalled(client, bytes, now) {
                return None;
            }
        }
        let reading = Arc::<Reading>::default();
        reading.progressed_at.store(now, Ordering::Relaxed);
        let id = state.next_id;
        state.next_id += 1;
        state.all += bytes;
        state.by_client.add(client, bytes);
        state.held.insert(id, Entry { client, bytes, reading: reading.clone() });
        Some(Held { shared: self.shared.clone(), id, reading })
    }
}

impl Shared {
    fn now(&self) -> u64 {
        self.epoch.elapsed().as_millis() as u64
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_room(&self, client: ClientAddress, bytes: u64) -> bool {
        fits(self.all, bytes, ALL) && self.is_within_share(client, bytes)
    }

    fn is_within_share(&self, client: ClientAddress, bytes: u64) -> bool {
        fits(self.by_client.of(&client), bytes, OF_ONE_CLIENT)
    }

    /// Drops the response without progress for the longest time: of this client if its own limit is reached,
    /// else of the client that holds most.
    fn give_up_stalled(&mut self, client: ClientAddress, bytes: u64, now: u64) -> bool {
        let is_over_its_share = !self.is_within_share(client, bytes);
        let stalled = self.held.iter().filter_map(|(id, entry)| {
            let progressed_at = entry.reading.progressed_at.load(Ordering::Relaxed);
            let is_stalled = now.saturating_sub(progressed_at) >= STALLED_AFTER.as_millis() as u64;
            let is_candidate = is_stalled && (!is_over_its_share || entry.client == client);
            let of_client = self.by_client.of(&entry.client);
            is_candidate.then_some((*id, of_client, std::cmp::Reverse(progressed_at)))
        });
        let Some((id, ..)) = stalled.max_by_key(|(_, of_client, longest)| (*of_client, *longest)) else {
            return false;
        };
        if let Some(entry) = self.remove(id)
            && let Some(give_up) = entry.reading.give_up.get()
        {
            give_up();
        }
        true
    }

    fn remove(&mut self, id: u64) -> Option<Entry> {
        let entry = self.held.remove(&id)?;
        self.all -= entry.bytes;
        self.by_client.subtract(&entry.client, entry.bytes);
        Some(entry)
    }
}

fn fits(held: u64, bytes: u64, limit: u64) -> bool {
    held == 0 || held + bytes <= limit
}

impl Held {
    /// Records progress of the client.
    pub(crate) fn progressed(&self) {
        self.reading.progressed_at.store(self.shared.now(), Ordering::Relaxed);
    }

    /// Sets the function that closes its connection.
    pub(crate) fn give_up_by(&self, give_up: impl Fn() + Send + Sync + 'static) {
        let _ = self.reading.give_up.set(Box::new(give_up));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let removed = self.shared.lock().remove(self.id);
        drop(removed);
        self.shared.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::atomic::AtomicBool;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn client(last: u8) -> ClientAddress {
        ClientAddress::from(IpAddr::from([192, 0, 2, last]))
    }

    /// Marks the response as not read since its start.
    fn stall(held: &Held) -> Arc<AtomicBool> {
        held.reading.progressed_at.store(0, Ordering::Relaxed);
        let is_given_up = Arc::<AtomicBool>::default();
        let given_up = is_given_up.clone();
        held.give_up_by(move || given_up.store(true, Ordering::Relaxed));
        is_given_up
    }

    fn long_ago(responses: &mut UnsentResponses) {
        let shared = Arc::get_mut(&mut responses.shared).expect("the only one");
        shared.epoch = Instant::now().checked_sub(Duration::from_secs(60)).expect("a time");
    }

    #[test]
    fn what_is_not_read_makes_room_and_what_is_read_does_not() {
        let mut responses = UnsentResponses::default();
        long_ago(&mut responses);
        let one = client(1);
        let read: Vec<_> = (0..6).map(|_| responses.try_hold(one, MIB).expect("room")).collect();
        let unread: Vec<_> = (0..6).map(|_| responses.try_hold(one, MIB).expect("room")).collect();
        assert!(responses.try_hold(one, MIB).is_none(), "it has its share");
        let other = responses.try_hold(client(2), MIB).expect("others are not touched");
        let given_up = unread.iter().map(stall).collect::<Vec<_>>();
        let is_given_up = |up: &&Arc<AtomicBool>| up.load(Ordering::Relaxed);
        let _more = responses.try_hold(one, MIB).expect("one is given up for it");
        assert_eq!(given_up.iter().filter(is_given_up).count(), 1);
        drop((read, unread, other));
        assert_eq!(responses.shared.lock().all, MIB);
        assert_eq!(responses.shared.lock().by_client.len(), 1);
    }

    #[test]
    fn one_response_may_be_larger_than_a_share() {
        let responses = UnsentResponses::default();
        let held = responses.try_hold(client(1), 2 * ALL).expect("room");
        assert!(responses.try_hold(client(2), MIB).is_none());
        drop(held);
        assert!(responses.try_hold(client(2), MIB).is_some());
    }

    #[test]
    fn where_all_is_full_whoever_holds_most_gives_way() {
        let mut responses = UnsentResponses::default();
        long_ago(&mut responses);
        let greedy: Vec<_> = (1..=4)
            .flat_map(|last| (0..12).map(move |_| last))
            .map(|last| responses.try_hold(client(last), MIB).expect("room"))
            .collect();
        assert!(responses.try_hold(client(9), MIB).is_none(), "all are being read");
        let given_up: Vec<_> = greedy.iter().map(stall).collect();
        assert!(responses.try_hold(client(9), MIB).is_some());
        assert_eq!(given_up.iter().filter(|up| up.load(Ordering::Relaxed)).count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_waits_for_memory_for_a_while() {
        let responses = UnsentResponses::default();
        let held = responses.try_hold(client(1), 2 * ALL).expect("room");
        assert!(responses.hold(client(1), MIB).await.is_none());
        let waiting = responses.hold(client(1), MIB);
        let freeing = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(held);
        };
        assert!(tokio::join!(waiting, freeing).0.is_some());
    }
}
