//! The task that follows log files.

use tokio::sync::watch;
use tokio::task::JoinError;
use tokio::time::Interval;

use super::batch::{Batch, FollowStatus};
use super::follower::Follower;

/// Polls at each tick and delivers what was read, until the receivers of the status are gone. Files
/// are read on a thread for blocking work.
///
/// # Errors
///
/// Returns an error if `deliver` panicked.
pub async fn run(
    mut follower: Follower,
    mut ticks: Interval,
    deliver: impl FnMut(Batch) + Send + 'static,
    status: watch::Sender<FollowStatus>,
) -> Result<(), JoinError> {
    let mut deliver = deliver;
    while !status.is_closed() {
        ticks.tick().await;
        let polled = tokio::task::spawn_blocking(move || {
            follower.poll(&mut deliver);
            (follower, deliver)
        });
        (follower, deliver) = polled.await?;
        let current = follower.status();
        status.send_if_modified(|known| {
            let is_new = *known != current;
            *known = current;
            is_new
        });
    }
    Ok(())
}
