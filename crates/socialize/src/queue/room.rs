//! Slots of this process, by kind of job, and the decision when to claim again.
//!
//! If customers' servers determine the duration of jobs, organizations share the slots: none can fill them,
//! slow endpoints get only a part of them, and another part is reserved for endpoints that respond.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use catalogue::labels::JobKind;
use domain::ids::JobId;
use telemetry::ClosedSet;
use uuid::Uuid;

use crate::queue::job::{Job, JobPolicy};

/// The slots of a process. One lock guards all of them, so a slot that is freed during a claim is either
/// counted by the claim or triggers the next one.
pub(super) struct Room {
    shares: Vec<Share>,
    state: Mutex<State>,
}

struct State {
    /// By kind of job.
    kinds: Vec<Slots>,
    running: HashMap<JobId, Running>,
}

struct Slots {
    limit: usize,
    running: usize,
    /// True if the last claim skipped due jobs, or claimed as many as requested, so that more may be due.
    more_is_due: bool,
}

impl Slots {
    fn free(&self) -> usize {
        self.limit.saturating_sub(self.running)
    }
}

/// Behaviour of a lane's endpoint. The claiming statement uses these numbers and computes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It responds, and has not timed out recently. Also used if there is no endpoint.
    Responds = 0,
    /// It has not been called before, or has partly recovered.
    Unproven = 1,
    /// Calls to it timed out.
    Slow = 2,
}

/// Maximum number of slots for jobs of a standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) kind: JobKind,
    pub(super) standing: Standing,
    /// Of all organizations.
    pub(super) most: usize,
    /// Of one organization.
    pub(super) most_of_one: usize,
}

impl Share {
    /// Returns the shares of a kind with this many slots. Half of them are closed to endpoints that have
    /// never responded, and three quarters to those that time out, however many organizations they belong to.
    fn of(kind: JobKind, slots: usize) -> [Self; 3] {
        let share = |standing, most: usize, most_of_one: usize| Self {
            kind,
            standing,
            most: most.max(1),
            most_of_one: most_of_one.max(1),
        };
        [
            share(Standing::Responds, slots, slots / 4),
            share(Standing::Unproven, slots / 2, slots / 16),
            share(Standing::Slow, slots / 4, slots / 32),
        ]
    }
}

/// A running job's use of slots.
#[derive(Clone, Debug)]
pub(super) struct Running {
    pub(super) kind: JobKind,
    pub(super) organization_id: Option<Uuid>,
    pub(super) lane: Option<Uuid>,
    /// Its endpoint's standing when it was claimed.
    pub(super) standing: i16,
}

/// Request of a claim.
pub(super) struct Vacancies {
    /// Kinds with free slots, and their number.
    pub(super) free: Vec<(JobKind, usize)>,
    pub(super) shares: Vec<Share>,
    pub(super) running: Vec<Running>,
}

/// Result of a claim.
pub(super) struct Claimed {
    pub(super) jobs: Vec<Job>,
    /// Kinds with more due jobs than were considered, whether or not as many were claimed as requested.
    pub(super) crowded: Vec<JobKind>,
}

impl Room {
    /// Creates the slots that the policies grant to a process with the setting `concurrency`.
    pub(super) fn new(policy: impl Fn(JobKind) -> JobPolicy, concurrency: usize) -> Self {
        let limit = |kind: JobKind| policy(kind).slots(concurrency);
        let slots = |kind: &JobKind| Slots { limit: limit(*kind), running: 0, more_is_due: true };
        let shared = JobKind::ALL.iter().filter(|kind| policy(**kind).is_shared);
        Self {
            shares: shared.flat_map(|kind| Share::of(*kind, limit(*kind))).collect(),
            state: Mutex::new(State {
                kinds: JobKind::ALL.iter().map(slots).collect(),
                running: HashMap::new(),
            }),
        }
    }

    /// Returns the slots that can be claimed now.
    pub(super) fn vacancies(&self) -> Vacancies {
        let state = self.state();
        let free = JobKind::ALL.iter().map(|kind| (*kind, state.kinds[kind.index()].free()));
        Vacancies {
            free: free.filter(|(_, free)| *free > 0).collect(),
            shares: self.shares.clone(),
            running: state.running.values().cloned().collect(),
        }
    }

    /// Takes the slots of claimed jobs. Returns whether to claim again at once: if more jobs may be due and
    /// there are free slots, or some became free meanwhile.
    pub(super) fn occupy(&self, asked: &Vacancies, claimed: &Claimed) -> bool {
        let mut state = self.state();
        for job in &claimed.jobs {
            state.kinds[job.kind.index()].running += 1;
            let (kind, organization_id, lane, standing) =
                (job.kind, job.organization_id, job.lane, job.standing);
            state.running.insert(job.id, Running { kind, organization_id, lane, standing });
        }
        let mut again = false;
        for (kind, free) in &asked.free {
            let slots = &mut state.kinds[kind.index()];
            let got = claimed.jobs.iter().filter(|job| job.kind == *kind).count();
            slots.more_is_due = got >= *free || claimed.crowded.contains(kind);
            again |= slots.more_is_due && slots.free() > 0;
        }
        again
    }

    /// Frees the slot of a job that has ended. Returns whether to claim again: if more jobs of its kind may
    /// be due, or a job had to wait for its lane or share.
    pub(super) fn vacate(&self, id: JobId) -> bool {
        let mut state = self.state();
        let Some(Running { kind, lane, .. }) = state.running.remove(&id) else { return false };
        let slots = &mut state.kinds[kind.index()];
        slots.running = slots.running.saturating_sub(1);
        slots.more_is_due || lane.is_some()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_never_nothing_and_part_of_the_slots_is_for_endpoints_that_respond() {
        let shares = |slots| {
            Share::of(JobKind::PublishContentItem, slots).map(|share| (share.most, share.most_of_one))
        };
        assert_eq!(shares(32), [(32, 8), (16, 2), (8, 1)]);
        assert_eq!(shares(4), [(4, 1), (2, 1), (1, 1)]);
        assert_eq!(shares(1), [(1, 1), (1, 1), (1, 1)]);
    }
}
