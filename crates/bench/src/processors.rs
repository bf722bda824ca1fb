//! Processor affinity of processes.
//!
//! Migrations between processors, with their cold caches, cost more than the measured code, and each time a
//! different amount.

use anyhow::Context;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// This thread, and all threads and processes that it starts.
const THIS: Pid = Pid::from_raw(0);

/// Restricts this process to all processors but the last, and returns the last one. A single
/// processor is shared.
pub(crate) fn keep_one_free() -> anyhow::Result<usize> {
    let mut allowed = sched_getaffinity(THIS)?;
    let usable = (0..CpuSet::count()).filter(|processor| allowed.is_set(*processor).unwrap_or(false));
    let usable: Vec<usize> = usable.collect();
    let last = *usable.last().context("there is no processor")?;
    if usable.len() > 1 {
        allowed.unset(last)?;
        sched_setaffinity(THIS, &allowed)?;
    }
    Ok(last)
}

/// Restricts this process to one processor.
pub(crate) fn keep_to(processor: usize) -> anyhow::Result<()> {
    let mut one = CpuSet::new();
    one.set(processor)?;
    Ok(sched_setaffinity(THIS, &one)?)
}
