//! Quotas: limits on what one user or organization may use, counted in the database across all processes.
//!
//! Write requests are counted in portions: a process takes a portion of a user's allowance and counts within
//! it in memory. The first portion of a minute costs no statement, so an ordinary request costs none.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};

use catalogue::labels::Quota;
use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use domain::ids::UserId;

use crate::platform::settings::{defaults, mebibytes, number};

/// Settings. The defaults far exceed the needs of a legitimate team.
#[derive(Args, Clone, Copy, Debug)]
pub struct QuotaSettings {
    /// Maximum number of organizations that one user may have created
    #[arg(long, value_name = "NUMBER", env = "SOCIALIZE_ORGANIZATIONS_PER_USER", default_value = "50")]
    #[arg(value_parser = number::<u64>(QUOTA))]
    pub organizations_per_user: u64,
    /// Maximum number of workspaces of one organization
    #[arg(long, value_name = "NUMBER", env = "SOCIALIZE_WORKSPACES_PER_ORGANIZATION", default_value = "500")]
    #[arg(value_parser = number::<u64>(QUOTA))]
    pub workspaces_per_organization: u64,
    // Kept in bytes.
    /// Maximum storage for the attachments of one organization in MiB
    #[arg(long, value_name = "MIB", env = "SOCIALIZE_STORAGE_PER_ORGANIZATION", default_value = "51200")]
    #[arg(value_parser = mebibytes(QUOTA))]
    pub storage_per_organization: u64,
}

const QUOTA: RangeInclusive<u64> = 1..=1_000_000_000;

/// A quota that is used up, with the message for the user.
pub struct QuotaReached(pub String);

impl Default for QuotaSettings {
    fn default() -> Self {
        defaults()
    }
}

impl QuotaSettings {
    pub fn limit(&self, quota: Quota) -> u64 {
        match quota {
            Quota::OrganizationsPerUser => self.organizations_per_user,
            Quota::WorkspacesPerOrganization => self.workspaces_per_organization,
            Quota::StoragePerOrganization => self.storage_per_organization,
        }
    }

    /// The limit as a statement's parameter.
    pub fn parameter(&self, quota: Quota) -> i64 {
        i64::try_from(self.limit(quota)).unwrap_or(i64::MAX)
    }

    /// The refusal of a request that would exceed a quota.
    pub fn reached(&self, quota: Quota) -> QuotaReached {
        let limit = self.limit(quota);
        let message = match quota {
            Quota::OrganizationsPerUser => format!(
                "You have created {limit} organizations, and no more are allowed: delete one, or ask the operators of \
                 this Socialize."
            ),
            Quota::WorkspacesPerOrganization => format!(
                "The organization has {limit} workspaces, and no more are allowed: delete one, or ask the operators of \
                 this Socialize."
            ),
            Quota::StoragePerOrganization => format!(
                "The attachments of the organization may take {} MiB, and this one would exceed that: delete others, \
                 or ask the operators of this Socialize.",
                limit >> 20
            ),
        };
        QuotaReached(message)
    }
}

/// Number of portions that a minute's allowance is divided into.
pub(crate) const PORTIONS: usize = 20;
/// Number of remembered users above which expired entries are removed.
const REMEMBERED: usize = 10_000;

/// The portions of this process, by user.
#[derive(Default)]
pub(crate) struct Portions {
    by_user: Mutex<HashMap<UserId, Portion>>,
}

struct Portion {
    left: usize,
    until: DateTime<Utc>,
}

impl Portions {
    /// Takes one request from the user's portion and returns whether one was left. The first portion within
    /// `window` is free.
    pub(crate) fn take(
        &self,
        user: UserId,
        size: NonZeroUsize,
        window: TimeDelta,
        now: DateTime<Utc>,
    ) -> bool {
        let mut by_user = self.by_user.lock().unwrap_or_else(PoisonError::into_inner);
        if by_user.len() >= REMEMBERED && !by_user.contains_key(&user) {
            by_user.retain(|_, portion| portion.until > now);
        }
        let portion = by_user.entry(user).or_insert(Portion { left: size.get(), until: now + window });
        // If the clock was set back, a portion must not last forever.
        if portion.until <= now || portion.until > now + window {
            *portion = Portion { left: size.get(), until: now + window };
        }
        let Some(left) = portion.left.checked_sub(1) else { return false };
        portion.left = left;
        true
    }

    /// Adds a portion granted by the database.
    pub(crate) fn add(&self, user: UserId, size: NonZeroUsize) {
        let mut by_user = self.by_user.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(portion) = by_user.get_mut(&user) {
            // One is used by the current request.
            portion.left += size.get() - 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn user(number: u128) -> UserId {
        UserId::from(Uuid::from_u128(number))
    }

    #[test]
    fn a_portion_ends_and_the_next_minute_brings_another() {
        let (size, window, now) = (
            NonZeroUsize::new(3).unwrap_or(NonZeroUsize::MIN),
            TimeDelta::minutes(1),
            DateTime::UNIX_EPOCH + TimeDelta::days(20_000),
        );
        let portions = Portions::default();
        let take = |after| portions.take(user(1), size, window, now + TimeDelta::seconds(after));
        assert_eq!([take(0), take(1), take(2), take(59)], [true, true, true, false]);
        assert_eq!([take(60), take(60), take(60), take(60)], [true, true, true, false]);
        portions.add(user(1), size);
        let take = |after| portions.take(user(1), size, window, now + TimeDelta::seconds(after));
        assert_eq!([take(61), take(61), take(61)], [true, true, false], "one was for the request that asked");
        // The clock was set back by a day.
        assert!(take(-86_400));
    }

    #[test]
    fn users_of_the_past_are_forgotten() {
        let (size, window, now) =
            (NonZeroUsize::MIN, TimeDelta::minutes(1), DateTime::UNIX_EPOCH + TimeDelta::days(20_000));
        let portions = Portions::default();
        for number in 0..REMEMBERED as u128 {
            portions.take(user(number), size, window, now);
        }
        portions.take(user(u128::MAX), size, window, now + window);
        assert_eq!(portions.by_user.lock().map(|known| known.len()).unwrap_or_default(), 1);
    }
}
