//! Dependencies of code that uses the queue.

use std::sync::Arc;

use telemetry::Telemetry;

use crate::platform::clock::Clock;
use crate::platform::database::Database;
use crate::queue::signals::JobSignals;

/// The queue of this process. Clones share its signals.
#[derive(Clone)]
pub struct Queue {
    pub(super) database: Database,
    pub(super) clock: Clock,
    pub(super) signals: Arc<JobSignals>,
}

impl Queue {
    /// Creates its instruments, even in a process without a worker, so that every series exists.
    pub fn new(telemetry: &Telemetry, database: &Database, clock: &Clock) -> Self {
        let signals = Arc::new(JobSignals::new(telemetry));
        Self { database: database.clone(), clock: clock.clone(), signals }
    }
}

/// The state that a worker hands to its jobs.
pub trait State: AsRef<Queue> + Clone + Send + Sync + 'static {}

impl<S: AsRef<Queue> + Clone + Send + Sync + 'static> State for S {}
