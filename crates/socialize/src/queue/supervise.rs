//! Keeps a loop running: a failed or panicking iteration is reported and followed by another one.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use catalogue::events;
use catalogue::labels::Loop;
use futures_util::FutureExt;
use telemetry::{ClosedSet, ErrorType};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::platform::database;
use crate::queue::handle::Queue;

/// Delay after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Maximum delay of most loops. Work should continue soon after the database returns.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Supervises one loop. A failing loop shows in four ways: an error line, its failure counter, the time of
/// its last success, and its missing work.
pub(super) struct Supervisor {
    pub(super) queue: Queue,
    pub(super) which: Loop,
    /// Maximum time between two successful iterations.
    pub(super) interval: Duration,
    /// Maximum delay after a failed iteration.
    pub(super) longest_pause: Duration,
    /// Triggers the next iteration before the interval is over.
    pub(super) wake: Arc<Notify>,
    pub(super) stopping: CancellationToken,
    /// Number of failures since the last success.
    pub(super) failures: u32,
}

impl Supervisor {
    /// Runs one iteration and waits until the next one is due. Returns `false` if the loop must end.
    pub(super) async fn run(&mut self, iteration: impl Future<Output = database::Result<()>>) -> bool {
        let result = AssertUnwindSafe(iteration).catch_unwind().await;
        match result {
            Ok(Ok(())) => self.succeeded().await,
            Ok(Err(error)) => self.failed(error.error_type).await,
            Err(_panic) => self.failed(ErrorType::Panic).await,
        }
        !self.stopping.is_cancelled()
    }

    async fn succeeded(&mut self) {
        if self.failures > 0 {
            tracing::info!(name: "loop.recovered", loop = self.which.as_str(), "a loop works again");
        }
        self.failures = 0;
        self.queue.signals.loop_succeeded(self.which, self.queue.clock.now());
        tokio::select! {
            () = tokio::time::sleep(self.interval) => {}
            () = self.wake.notified() => {}
            () = self.stopping.cancelled() => {}
        }
    }

    /// Nothing can shorten this delay: waking a failing loop would only make it fail faster.
    async fn failed(&mut self, error_type: ErrorType) {
        tracing::error!(
            name: events::LOOP_FAILED,
            loop = self.which.as_str(),
            error.r#type = error_type.as_str(),
            "an iteration of a loop failed"
        );
        self.queue.signals.loop_failed(self.which);
        let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(self.failures)).min(self.longest_pause);
        self.failures = self.failures.saturating_add(1);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.stopping.cancelled() => {}
        }
    }
}
