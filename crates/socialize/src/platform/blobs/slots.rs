//! Slots of concurrent uploads. Each upload needs memory for one part, so slots are few and nobody may take
//! all of them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::ids::{OrganizationId, UserId};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::platform::counts::Counts;

/// Divisors of the slots that one user, and one organization, may hold.
const PART_OF_ONE_USER: usize = 4;
const PART_OF_ONE_ORGANIZATION: usize = 2;

/// Owner of an upload.
#[derive(Clone, Copy)]
pub struct Uploader {
    pub user_id: UserId,
    /// The organization that it is for, if any.
    pub organization_id: Option<OrganizationId>,
}

pub(super) struct Slots {
    all: usize,
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Default)]
struct State {
    taken: usize,
    by_user: Counts<UserId>,
    by_organization: Counts<OrganizationId>,
}

/// The right to upload; released on drop.
pub(crate) struct Slot<'a> {
    slots: &'a Slots,
    uploader: Uploader,
}

/// Reason for not getting a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoSlot {
    /// All slots are in use.
    ForAnybody,
    /// This user or organization has used up its share.
    ForUploader,
}

impl Slots {
    pub(super) fn new(all: usize) -> Self {
        Self { all, state: Mutex::default(), freed: Notify::new() }
    }

    /// Waits for a slot.
    ///
    /// # Errors
    /// Returns an error if none is free by the deadline, in total or within the share of this uploader.
    pub(super) async fn take(&self, uploader: Uploader, deadline: Instant) -> Result<Slot<'_>, NoSlot> {
        loop {
            // Subscribes before the check, so that no release is missed.
            let freed = self.freed.notified();
            let taken = match self.try_take(uploader) {
                Ok(slot) => return Ok(slot),
                Err(taken) => taken,
            };
            if timeout_at(deadline, freed).await.is_err() {
                return Err(taken);
            }
        }
    }

    fn try_take(&self, uploader: Uploader) -> Result<Slot<'_>, NoSlot> {
        let mut state = self.lock();
        let Uploader { user_id, organization_id } = uploader;
        let share = |part: usize| (self.all / part).max(1) as u64;
        let of_user = state.by_user.of(&user_id);
        let of_organization = organization_id.map_or(0, |id| state.by_organization.of(&id));
        if of_user >= share(PART_OF_ONE_USER) || of_organization >= share(PART_OF_ONE_ORGANIZATION) {
            return Err(NoSlot::ForUploader);
        }
        if state.taken >= self.all {
            return Err(NoSlot::ForAnybody);
        }
        state.taken += 1;
        state.by_user.add(user_id, 1);
        if let Some(organization_id) = organization_id {
            state.by_organization.add(organization_id, 1);
        }
        Ok(Slot { slots: self, uploader })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut state = self.slots.lock();
        state.taken -= 1;
        state.by_user.subtract(&self.uploader.user_id, 1);
        if let Some(organization_id) = self.uploader.organization_id {
            state.by_organization.subtract(&organization_id, 1);
        }
        drop(state);
        self.slots.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;

    fn uploader(user: u128, organization: u128) -> Uploader {
        let organization_id = Some(OrganizationId::from(Uuid::from_u128(organization)));
        Uploader { user_id: UserId::from(Uuid::from_u128(user)), organization_id }
    }

    #[test]
    fn a_user_has_a_quarter_an_organization_half_and_all_have_all() {
        let slots = Slots::new(8);
        let mut taken = Vec::new();
        let mut take = |user, organization, times: usize| {
            let results = (0..times).map(|_| slots.try_take(uploader(user, organization)));
            let (slots, refused): (Vec<_>, Vec<_>) = results.partition(Result::is_ok);
            taken.extend(slots);
            refused.into_iter().filter_map(Result::err).collect::<Vec<_>>()
        };
        assert_eq!(take(1, 1, 3), [NoSlot::ForUploader]);
        assert_eq!(take(2, 1, 2), []);
        assert_eq!(take(3, 1, 1), [NoSlot::ForUploader], "the organization has its share");
        assert_eq!(take(4, 2, 2), []);
        assert_eq!(take(5, 3, 2), []);
        assert_eq!(take(6, 4, 1), [NoSlot::ForAnybody]);
        drop(taken);
        let state = slots.lock();
        assert_eq!((state.taken, state.by_user.len(), state.by_organization.len()), (0, 0, 0));
    }

    #[test]
    fn everybody_may_have_one_however_few_there_are() {
        let slots = Slots::new(1);
        let slot = slots.try_take(uploader(1, 1)).ok();
        assert!(slot.is_some());
        assert_eq!(slots.try_take(uploader(2, 2)).err(), Some(NoSlot::ForAnybody));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slot_that_is_freed_goes_to_whoever_waits() {
        let slots = Slots::new(1);
        let slot = slots.try_take(uploader(1, 1)).ok();
        let deadline = Instant::now() + Duration::from_secs(10);
        let freeing = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            drop(slot);
        };
        let (taken, ()) = tokio::join!(slots.take(uploader(2, 2), deadline), freeing);
        let taken = taken.expect("a slot");
        assert!(slots.take(uploader(3, 3), deadline).await.is_err());
        drop(taken);
    }
}
