//! State shared by the sink's thread and the test.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;

use crate::{Answer, Export, ReceivedBy, ReceivedRequest};

/// Requests so far and responses to come.
#[derive(Default)]
pub(crate) struct State {
    records: Mutex<Records>,
    pub(crate) changed: Condvar,
}

#[derive(Default)]
pub(crate) struct Records {
    pub(crate) requests: Vec<ReceivedRequest>,
    pub(crate) next_answers: VecDeque<Answer>,
    pub(crate) usual_answer: Answer,
}

impl State {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Records> {
        self.records.lock().expect("no thread of the sink panicked")
    }

    /// Stores a request and returns the response to send.
    pub(crate) fn receive(
        &self,
        protocol: ReceivedBy,
        peer: SocketAddr,
        headers: HeaderMap,
        raw: Bytes,
        export: Export,
    ) -> Answer {
        let mut records = self.lock();
        let planned = records.next_answers.pop_front();
        let answer = match export {
            Export::Malformed => Answer::Refuse,
            _ => planned.unwrap_or_else(|| records.usual_answer.clone()),
        };
        records.requests.push(ReceivedRequest {
            protocol,
            export,
            raw,
            headers,
            peer,
            received_at: Instant::now(),
            answer: answer.clone(),
        });
        self.changed.notify_all();
        answer
    }
}
