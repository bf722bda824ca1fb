//! State shared by all handlers: the stores, the clock and the limits.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use monitoring::query::Scale;
use tokio::sync::{Semaphore, watch};

use crate::access::Access;
use crate::clocks::Clocks;
use crate::follow::FollowStatus;
use crate::rules::RuleEngine;
use crate::store::lines::LineStore;
use crate::store::metrics::{Limits, MetricStore};
use crate::store::spans::SpanStore;

/// Maximum number of pages that are rendered at once. Others wait.
const RENDERINGS: usize = 3;
/// Maximum number of pages that follow the log live at once.
const TAILS: usize = 4;

/// The console, shared by all handlers and loops.
pub type SharedConsole = Arc<Console>;

/// Returns the time as a Unix time in milliseconds. Tests pass a fixed one.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Constant facts that the pages show.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Address that applications report to.
    pub otlp_address: String,
    /// Patterns of the log files.
    pub logs: Vec<String>,
    /// Alertmanager that notifies, if there is one.
    pub alertmanager: Option<String>,
    /// Environment to show first.
    pub environment: Option<String>,
    /// Start of the console, in Unix milliseconds.
    pub started_at: i64,
}

pub struct Stores {
    pub metrics: MetricStore,
    /// Log lines.
    pub lines: LineStore,
    pub spans: SpanStore,
    /// Rules with their states.
    pub rules: RuleEngine,
}

impl Stores {
    /// Creates empty stores that keep nothing on disk.
    pub fn in_memory() -> Self {
        Self {
            metrics: MetricStore::in_memory(Limits::default()),
            lines: LineStore::default(),
            spans: SpanStore::in_memory(),
            rules: RuleEngine::in_memory(Scale::REAL),
        }
    }
}

/// State of the console.
pub struct Console {
    access: Access,
    facts: Facts,
    clock: Clock,
    renderings: Semaphore,
    tails: Arc<Semaphore>,
    metrics: RwLock<MetricStore>,
    lines: RwLock<LineStore>,
    spans: RwLock<SpanStore>,
    clocks: RwLock<Clocks>,
    rules: RwLock<RuleEngine>,
    followed: watch::Receiver<FollowStatus>,
}

impl Console {
    /// Creates the state with empty stores.
    pub fn new(access: Access, facts: Facts, clock: Clock) -> Self {
        let (_, followed) = watch::channel(FollowStatus::default());
        Self::with_stores(access, facts, clock, Stores::in_memory(), followed)
    }

    /// Creates the state with these stores. The follower of log files reports its status to `followed`.
    pub fn with_stores(
        access: Access,
        facts: Facts,
        clock: Clock,
        stores: Stores,
        followed: watch::Receiver<FollowStatus>,
    ) -> Self {
        Self {
            access,
            facts,
            clock,
            renderings: Semaphore::new(RENDERINGS),
            tails: Arc::new(Semaphore::new(TAILS)),
            metrics: RwLock::new(stores.metrics),
            lines: RwLock::new(stores.lines),
            spans: RwLock::new(stores.spans),
            clocks: RwLock::default(),
            rules: RwLock::new(stores.rules),
            followed,
        }
    }

    pub fn metrics(&self) -> &RwLock<MetricStore> {
        &self.metrics
    }

    /// Returns the store of log lines.
    pub fn lines(&self) -> &RwLock<LineStore> {
        &self.lines
    }

    pub fn spans(&self) -> &RwLock<SpanStore> {
        &self.spans
    }

    /// Returns the clocks of the processes that report.
    pub(crate) fn clocks(&self) -> &RwLock<Clocks> {
        &self.clocks
    }

    /// Returns the rules. Evaluation locks the metrics while it holds this lock, so take this one first or
    /// never hold both.
    pub fn rules(&self) -> &RwLock<RuleEngine> {
        &self.rules
    }

    /// Returns the permits of live tails.
    pub fn tails(&self) -> &Arc<Semaphore> {
        &self.tails
    }

    /// Returns the log files that are followed.
    pub fn followed(&self) -> FollowStatus {
        self.followed.borrow().clone()
    }

    /// Returns the conditions for access to the pages.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Returns the constant facts.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Returns the time as a Unix time in milliseconds.
    pub fn now(&self) -> i64 {
        (self.clock)()
    }

    /// Returns the permits of concurrent renderings.
    pub fn renderings(&self) -> &Semaphore {
        &self.renderings
    }
}

/// Reads a store. Ignores poisoning: stores change in complete steps, so they are valid after another
/// thread's panic.
pub fn read<T>(store: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    store.read().unwrap_or_else(PoisonError::into_inner)
}

/// Changes a store.
pub fn write<T>(store: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    store.write().unwrap_or_else(PoisonError::into_inner)
}
