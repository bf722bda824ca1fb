//! Keeps a loop turning: a turn that fails or panics is reported and followed by another one.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use domain::events;
use domain::labels::Loop;
use futures_util::FutureExt;
use telemetry::{ClosedSet, ErrorType};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::database;

/// The pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause of most loops. The database is back at some point, and work should not wait long for that.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Supervises one loop. A loop that fails shows in four ways: an error line, the count of its failures, the time of its last
/// success, and whatever it no longer does.
pub(super) struct Supervisor {
    pub(super) app: App,
    pub(super) which: Loop,
    /// The longest time between two turns that succeed.
    pub(super) interval: Duration,
    /// The longest pause after a turn that failed.
    pub(super) longest_pause: Duration,
    /// Calls for the next turn before the interval is over.
    pub(super) wake: Arc<Notify>,
    pub(super) stopping: CancellationToken,
    /// How many turns failed since the last one that succeeded.
    pub(super) failures: u32,
}

impl Supervisor {
    /// Takes one turn and waits until it is time for the next. Answers `false` when there is to be none.
    pub(super) async fn turn(&mut self, turn: impl Future<Output = database::Result<()>>) -> bool {
        let result = AssertUnwindSafe(turn).catch_unwind().await;
        match result {
            Ok(Ok(())) => self.succeeded().await,
            Ok(Err(error)) => self.failed(error.error_type).await,
            Err(_panic) => self.failed(ErrorType::Panic).await,
        }
        !self.stopping.is_cancelled()
    }

    async fn succeeded(&mut self) {
        if self.failures > 0 {
            tracing::info!(name: "loop.recovered", loop = self.which.as_str(), "a loop turns again");
        }
        self.failures = 0;
        self.app.jobs.loop_succeeded(self.which, self.app.clock.now());
        tokio::select! {
            () = tokio::time::sleep(self.interval) => {}
            () = self.wake.notified() => {}
            () = self.stopping.cancelled() => {}
        }
    }

    /// Nobody can shorten this pause: a call to a loop that cannot turn would only make it fail faster.
    async fn failed(&mut self, error_type: ErrorType) {
        tracing::error!(
            name: events::LOOP_FAILED,
            loop = self.which.as_str(),
            error.r#type = error_type.as_str(),
            "a turn of a loop failed"
        );
        self.app.jobs.loop_failed(self.which);
        let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(self.failures)).min(self.longest_pause);
        self.failures = self.failures.saturating_add(1);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.stopping.cancelled() => {}
        }
    }
}
