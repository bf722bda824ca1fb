//! A semaphore that serves clients round-robin instead of serving requests in the order of their arrival. A
//! client with a thousand requests delays only itself.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Grants permits to clients identified by `K`.
pub struct FairQueue<K> {
    shared: Arc<Mutex<State<K>>>,
}

/// A granted permit. Dropping it passes it on to the next client.
pub struct Permit<K: Copy + Eq + Hash> {
    shared: Arc<Mutex<State<K>>>,
}

struct State<K> {
    /// Unused permits. While there are any, nobody waits.
    free: usize,
    /// Free places for waiting requests.
    places: usize,
    /// Waiting requests by client, in the order of their arrival.
    waiting: HashMap<K, VecDeque<Waiting>>,
    /// Clients with waiting requests, in round-robin order.
    order: VecDeque<K>,
    next_id: u64,
}

struct Waiting {
    id: u64,
    granted: oneshot::Sender<()>,
}

/// A place in the queue, freed on drop.
struct Place<'a, K: Copy + Eq + Hash> {
    queue: &'a FairQueue<K>,
    client: K,
    id: u64,
    granted: oneshot::Receiver<()>,
    is_over: bool,
}

enum Entered<'a, K: Copy + Eq + Hash> {
    Permit(Permit<K>),
    Place(Place<'a, K>),
    Full,
}

impl<K: Copy + Eq + Hash> FairQueue<K> {
    pub fn new(permits: usize, places: usize) -> Self {
        let state =
            State { free: permits, places, waiting: HashMap::new(), order: VecDeque::new(), next_id: 0 };
        Self { shared: Arc::new(Mutex::new(state)) }
    }

    /// Waits for a permit. If all places are taken, the client with the most waiting requests loses its newest
    /// one; if that is this client, returns `None`.
    pub async fn permit(&self, client: K) -> Option<Permit<K>> {
        let mut place = match self.enter(client) {
            Entered::Permit(permit) => return Some(permit),
            Entered::Full => return None,
            Entered::Place(place) => place,
        };
        let granted = (&mut place.granted).await;
        place.is_over = true;
        granted.ok().map(|()| Permit { shared: self.shared.clone() })
    }

    fn enter(&self, client: K) -> Entered<'_, K> {
        let mut state = lock(&self.shared);
        if state.free > 0 {
            state.free -= 1;
            return Entered::Permit(Permit { shared: self.shared.clone() });
        }
        if state.places == 0 && !state.evict_for(client) {
            return Entered::Full;
        }
        state.places -= 1;
        let (grant, granted) = oneshot::channel();
        let id = state.next_id;
        state.next_id += 1;
        if !state.waiting.contains_key(&client) {
            state.order.push_back(client);
        }
        state.waiting.entry(client).or_default().push_back(Waiting { id, granted: grant });
        Entered::Place(Place { queue: self, client, id, granted, is_over: false })
    }
}

impl<K: Copy + Eq + Hash> State<K> {
    /// Evicts a waiting request of a client that has clearly more of them. Its dropped channel notifies the
    /// waiter.
    fn evict_for(&mut self, client: K) -> bool {
        let own = self.waiting.get(&client).map_or(0, VecDeque::len);
        let longest = self.waiting.iter().max_by_key(|(_, waiting)| waiting.len());
        let Some((greediest, length)) = longest.map(|(client, waiting)| (*client, waiting.len())) else {
            return false;
        };
        if own + 1 >= length {
            return false;
        }
        // It has more than one waiting request, so the client stays in the order.
        self.waiting.get_mut(&greediest).and_then(VecDeque::pop_back);
        self.places += 1;
        true
    }

    /// Grants a permit to the next client, or keeps it.
    fn pass_on(&mut self) {
        while let Some(client) = self.order.pop_front() {
            let Some(waiting) = self.waiting.get_mut(&client) else { continue };
            let next = waiting.pop_front();
            if waiting.is_empty() {
                self.waiting.remove(&client);
            } else {
                self.order.push_back(client);
            }
            let Some(next) = next else { continue };
            self.places += 1;
            if next.granted.send(()).is_ok() {
                return;
            }
        }
        self.free += 1;
    }

    fn give_up(&mut self, client: K, id: u64) -> bool {
        let Some(waiting) = self.waiting.get_mut(&client) else { return false };
        let Some(position) = waiting.iter().position(|waiting| waiting.id == id) else { return false };
        waiting.remove(position);
        if waiting.is_empty() {
            self.waiting.remove(&client);
            self.order.retain(|ordered| *ordered != client);
        }
        self.places += 1;
        true
    }
}

impl<K: Copy + Eq + Hash> Drop for Place<'_, K> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let mut state = lock(&self.queue.shared);
        // The permit may already have been granted to a waiter that is being dropped.
        if !state.give_up(self.client, self.id) && self.granted.try_recv().is_ok() {
            state.pass_on();
        }
    }
}

impl<K: Copy + Eq + Hash> Drop for Permit<K> {
    fn drop(&mut self) {
        lock(&self.shared).pass_on();
    }
}

fn lock<K>(shared: &Mutex<State<K>>) -> MutexGuard<'_, State<K>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};

    use futures_util::FutureExt;

    use super::*;

    type Asking<'a> = Pin<Box<dyn Future<Output = Option<Permit<char>>> + 'a>>;

    /// Requests a permit and polls once, so that it waits.
    fn ask(queue: &FairQueue<char>, client: char) -> Asking<'_> {
        let mut asking: Asking<'_> = Box::pin(queue.permit(client));
        assert!(asking.as_mut().now_or_never().is_none(), "{client} has a permit at once or none");
        asking
    }

    fn at_once(queue: &FairQueue<char>, client: char) -> Option<Permit<char>> {
        queue.permit(client).now_or_never().expect("a result at once")
    }

    fn is_granted(asking: &mut Asking<'_>) -> Option<Permit<char>> {
        asking.as_mut().now_or_never().flatten()
    }

    #[test]
    fn clients_get_turns_one_after_another_however_many_requests_they_have() {
        let queue = FairQueue::new(1, 100);
        let mut permit = at_once(&queue, 'a');
        let mut waiting: Vec<(char, Asking<'_>)> = ['a', 'a', 'a', 'a', 'b', 'b', 'c']
            .into_iter()
            .map(|client| (client, ask(&queue, client)))
            .collect();
        let mut served = String::new();
        while !waiting.is_empty() {
            drop(permit.take());
            let next = waiting.iter_mut().position(|(_, asking)| {
                permit = is_granted(asking);
                permit.is_some()
            });
            served.push(waiting.remove(next.expect("somebody has the permit")).0);
        }
        assert_eq!(served, "abcabaa");
        drop(permit);
        assert!(at_once(&queue, 'd').is_some(), "nothing was lost");
    }

    #[test]
    fn whoever_waits_most_makes_room_for_others_and_nobody_else_does() {
        let queue = FairQueue::new(1, 3);
        let _permit = at_once(&queue, 'a');
        let mut greedy: Vec<_> = (0..3).map(|_| ask(&queue, 'a')).collect();
        assert!(at_once(&queue, 'a').is_none(), "its own places are full");
        let _modest = ask(&queue, 'b');
        assert!(greedy[2].as_mut().now_or_never().expect("over").is_none(), "the newest of a lost its place");
        assert!(greedy[1].as_mut().now_or_never().is_none());
        // With two of a and one of b, another of b would be as many as a has.
        assert!(at_once(&queue, 'b').is_none());
        let _third = ask(&queue, 'c');
        assert!(at_once(&queue, 'd').is_none(), "everybody has one place");
    }

    #[test]
    fn who_goes_away_gives_up_the_place_and_a_turn_that_was_granted_meanwhile() {
        let queue = FairQueue::new(1, 2);
        let permit = at_once(&queue, 'a');
        let (gone, also_gone) = (ask(&queue, 'b'), ask(&queue, 'b'));
        drop(gone);
        let mut last = ask(&queue, 'c');
        // It is granted but not yet received.
        drop(permit);
        drop(also_gone);
        assert!(is_granted(&mut last).is_some());
        assert_eq!(lock(&queue.shared).places, 2);
        assert!(lock(&queue.shared).order.is_empty() && lock(&queue.shared).waiting.is_empty());
    }

    #[tokio::test]
    async fn permits_are_never_more_than_there_are() {
        let queue = Arc::new(FairQueue::new(2, 1000));
        let running = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let tasks = (0..300_u32).map(|number| {
            let (queue, running) = (queue.clone(), running.clone());
            tokio::spawn(async move {
                let waiting = pin!(queue.permit(number % 7));
                // Some are cancelled while waiting.
                let patience = std::time::Duration::from_micros(u64::from(number % 5) * 200);
                let permit = tokio::time::timeout(patience, waiting).await.ok().flatten();
                if permit.is_some() {
                    use std::sync::atomic::Ordering::SeqCst;
                    assert!(running.fetch_add(1, SeqCst) < 2);
                    tokio::task::yield_now().await;
                    running.fetch_sub(1, SeqCst);
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.expect("no panic");
        }
        let state = lock(&queue.shared);
        assert_eq!((state.free, state.places, state.waiting.len()), (2, 1000, 0));
    }
}
