//! State shared by the sink's thread and the test.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;

use crate::{Export, Reaction, ReceivedBy, ReceivedRequest};

/// Requests so far and reactions to the next ones.
#[derive(Default)]
pub(crate) struct State {
    records: Mutex<Records>,
    pub(crate) changed: Condvar,
}

#[derive(Default)]
pub(crate) struct Records {
    pub(crate) requests: Vec<ReceivedRequest>,
    pub(crate) next_reactions: VecDeque<Reaction>,
    pub(crate) usual_reaction: Reaction,
}

impl State {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Records> {
        self.records.lock().expect("no thread of the sink panicked")
    }

    /// Stores a request and returns the reaction to it.
    pub(crate) fn receive(
        &self,
        protocol: ReceivedBy,
        peer: SocketAddr,
        headers: HeaderMap,
        raw: Bytes,
        export: Export,
    ) -> Reaction {
        let mut records = self.lock();
        let planned = records.next_reactions.pop_front();
        let reaction = match export {
            Export::Malformed => Reaction::Refuse,
            _ => planned.unwrap_or_else(|| records.usual_reaction.clone()),
        };
        records.requests.push(ReceivedRequest {
            protocol,
            export,
            raw,
            headers,
            peer,
            received_at: Instant::now(),
            reaction: reaction.clone(),
        });
        self.changed.notify_all();
        reaction
    }
}
