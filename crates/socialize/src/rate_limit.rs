//! Limits on how often something may happen in a window of time: failed log-ins, and e-mails that strangers can cause.
//!
//! The window slides and is exact. Only what fails is counted against a log-in, which is known only after the password
//! was compared; so an attempt is first admitted and decided later. Attempts that are still undecided hold back others
//! where they might all fail, or else a burst of concurrent guesses would pass together. (The crates for rate limits count
//! when they admit and cannot take it back.)
//!
//! Everything is kept in this process: each replica counts for itself, and a restart forgets.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hash, RandomState};
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::error::Error;
use crate::extract::ClientAddress;
use crate::text::EmailAddress;

/// How many events one limit remembers at most; it takes some 20 MB. Beyond that the oldest are forgotten before their
/// time. Failed log-ins cannot come so fast, because each takes a password hash.
const CAPACITY: usize = 100_000;

/// So many in so much time.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// How many.
    pub count: NonZeroUsize,
    /// In how much time.
    pub window: TimeDelta,
}

/// What is limited, and to how much.
#[derive(Clone, Copy, Debug)]
pub struct RateLimitSettings {
    /// Failed log-ins for one account, and those from one client address.
    pub login_failures: Limit,
    /// E-mails to one address that anybody can cause: by registering, or by asking for a link.
    pub emails_to_one_address: Limit,
    /// The same e-mails, to whatever address, caused from one client address.
    pub emails_from_one_client: Limit,
}

impl Default for RateLimitSettings {
    fn default() -> Self {
        const TEN: NonZeroUsize = NonZeroUsize::new(10).expect("not zero");
        const FIVE: NonZeroUsize = NonZeroUsize::new(5).expect("not zero");
        const HUNDRED: NonZeroUsize = NonZeroUsize::new(100).expect("not zero");
        Self {
            login_failures: Limit { count: TEN, window: TimeDelta::minutes(1) },
            emails_to_one_address: Limit { count: FIVE, window: TimeDelta::hours(1) },
            emails_from_one_client: Limit { count: HUNDRED, window: TimeDelta::hours(1) },
        }
    }
}

/// All limits.
pub struct RateLimits {
    logins: RateLimit<LoginSubject>,
    emails_to: RateLimit<AccountKey>,
    emails_from: RateLimit<ClientAddress>,
    /// Its keys are random and secret, so nobody can choose addresses that collide.
    account_hasher: RandomState,
}

/// Stands for an e-mail address, so that a fixed size is kept and no address.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct AccountKey(u64);

/// Whose failures are counted: the account's, whether or not there is one, and the client's.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum LoginSubject {
    Account(AccountKey),
    Client(ClientAddress),
}

/// An attempt to log in that is being decided.
pub struct LoginAttempt<'a>(Attempt<'a, LoginSubject>);

/// The limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitReached {
    /// After how many seconds trying again makes sense; at least 1.
    pub retry_after_seconds: u64,
}

impl RateLimits {
    /// Nothing has been counted yet.
    pub fn new(settings: &RateLimitSettings, clock: &Clock) -> Self {
        Self {
            logins: RateLimit::new(settings.login_failures, CAPACITY, clock.clone()),
            emails_to: RateLimit::new(settings.emails_to_one_address, CAPACITY, clock.clone()),
            emails_from: RateLimit::new(settings.emails_from_one_client, CAPACITY, clock.clone()),
            account_hasher: RandomState::new(),
        }
    }

    /// Admits an attempt to log in, unless too many have failed for the account or from the client. It waits where that
    /// depends on attempts that are being decided.
    ///
    /// # Errors
    /// Says when to try again.
    pub async fn begin_login(
        &self,
        email: &EmailAddress,
        client: ClientAddress,
    ) -> Result<LoginAttempt<'_>, LimitReached> {
        let subjects = vec![LoginSubject::Account(self.account_key(email)), LoginSubject::Client(client)];
        self.logins.begin(subjects).await.map(LoginAttempt)
    }

    /// Counts an e-mail that a stranger is about to cause. It is counted whether or not the address belongs to anybody, so
    /// that reaching the limit says nothing about that.
    ///
    /// # Errors
    /// When too many went to the address or were caused by the client.
    pub fn count_email(&self, email: &EmailAddress, client: ClientAddress) -> Result<(), Error> {
        self.emails_from.count(client).map_err(|reached| {
            Error::rate_limited(
                "Too many e-mails were requested from your network. Please wait before trying again.",
                reached.retry_after_seconds,
            )
        })?;
        self.emails_to.count(self.account_key(email)).map_err(|reached| Error::rate_limited(
            "Too many e-mails were requested for this address. Please look for them in the mailbox, or wait before trying again.",
            reached.retry_after_seconds,
        ))
    }

    fn account_key(&self, email: &EmailAddress) -> AccountKey {
        AccountKey(self.account_hasher.hash_one(email.as_str()))
    }
}

impl LoginAttempt<'_> {
    /// The password was wrong. An attempt that is dropped instead is not counted.
    pub fn fail(self) {
        self.0.count();
    }
}

/// One limit, for subjects of one kind.
struct RateLimit<K> {
    limit: Limit,
    capacity: usize,
    clock: Clock,
    history: Mutex<History<K>>,
    /// Wakes those who wait for an undecided attempt.
    decided: Notify,
}

/// What happened within the window.
struct History<K> {
    /// Everything that counts, oldest first: what leaves the window leaves at the front.
    events: VecDeque<(DateTime<Utc>, K)>,
    subjects: HashMap<K, Subject>,
    now: DateTime<Utc>,
}

#[derive(Default)]
struct Subject {
    /// When what counts happened, oldest first.
    events: VecDeque<DateTime<Utc>>,
    /// Attempts that may yet count.
    undecided: usize,
}

/// An admitted attempt; unless it is counted, it leaves no trace.
struct Attempt<'a, K: Copy + Eq + Hash> {
    limit: &'a RateLimit<K>,
    subjects: Vec<K>,
}

enum Admission {
    Admitted,
    /// It depends on attempts that are being decided.
    Undecided,
    Refused(LimitReached),
}

impl<K: Copy + Eq + Hash> RateLimit<K> {
    fn new(limit: Limit, capacity: usize, clock: Clock) -> Self {
        let history =
            History { events: VecDeque::new(), subjects: HashMap::new(), now: DateTime::UNIX_EPOCH };
        Self { limit, capacity, clock, history: Mutex::new(history), decided: Notify::new() }
    }

    /// Admits an attempt if no subject has reached the limit.
    async fn begin(&self, subjects: Vec<K>) -> Result<Attempt<'_, K>, LimitReached> {
        loop {
            // Listening begins before looking, so that no decision in between is missed.
            let mut decided = pin!(self.decided.notified());
            decided.as_mut().enable();
            match self.history().admit(&subjects, self.limit) {
                Admission::Admitted => return Ok(Attempt { limit: self, subjects }),
                Admission::Refused(reached) => return Err(reached),
                Admission::Undecided => {}
            }
            decided.await;
        }
    }

    /// Counts at once, for what needs no decision.
    fn count(&self, subject: K) -> Result<(), LimitReached> {
        let mut history = self.history();
        if let Admission::Refused(reached) = history.admit(&[subject], self.limit) {
            return Err(reached);
        }
        history.release(subject);
        history.record(subject, self.capacity);
        Ok(())
    }

    /// The history as of now.
    fn history(&self) -> MutexGuard<'_, History<K>> {
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        history.advance(self.clock.now(), self.limit.window);
        history
    }
}

impl<K: Copy + Eq + Hash> History<K> {
    /// Moves on to the present and forgets what has left the window.
    fn advance(&mut self, now: DateTime<Utc>, window: TimeDelta) {
        // Threads may come in another order than they looked at the clock. But where the clock was set back, nobody shall
        // be locked out until it has caught up.
        if now + window < self.now {
            self.now = now;
            while !self.events.is_empty() {
                self.forget_oldest();
            }
        }
        self.now = self.now.max(now);
        while self.events.front().is_some_and(|(happened, _)| *happened + window <= self.now) {
            self.forget_oldest();
        }
    }

    fn admit(&mut self, subjects: &[K], limit: Limit) -> Admission {
        let count = limit.count.get();
        let known = || subjects.iter().filter_map(|subject| self.subjects.get(subject));
        let reached = known().filter(|subject| subject.events.len() >= count);
        // There is room again when fewer than `count` are left in the window.
        let free_again = reached
            .filter_map(|subject| subject.events.get(subject.events.len() - count))
            .map(|happened| *happened + limit.window)
            .max();
        if let Some(free_again) = free_again {
            let milliseconds = u64::try_from((free_again - self.now).num_milliseconds()).unwrap_or_default();
            let retry_after_seconds = milliseconds.div_ceil(1000).max(1);
            return Admission::Refused(LimitReached { retry_after_seconds });
        }
        if known().any(|subject| subject.events.len() + subject.undecided >= count) {
            return Admission::Undecided;
        }
        for subject in subjects {
            self.subjects.entry(*subject).or_default().undecided += 1;
        }
        Admission::Admitted
    }

    fn release(&mut self, subject: K) {
        if let Some(known) = self.subjects.get_mut(&subject) {
            known.undecided = known.undecided.saturating_sub(1);
        }
        self.forget_idle(subject);
    }

    fn record(&mut self, subject: K, capacity: usize) {
        if self.events.len() >= capacity {
            self.forget_oldest();
        }
        self.events.push_back((self.now, subject));
        self.subjects.entry(subject).or_default().events.push_back(self.now);
    }

    fn forget_oldest(&mut self) {
        let Some((_, subject)) = self.events.pop_front() else { return };
        if let Some(known) = self.subjects.get_mut(&subject) {
            known.events.pop_front();
        }
        self.forget_idle(subject);
    }

    fn forget_idle(&mut self, subject: K) {
        if self.subjects.get(&subject).is_some_and(|known| known.events.is_empty() && known.undecided == 0) {
            self.subjects.remove(&subject);
        }
    }
}

impl<K: Copy + Eq + Hash> Attempt<'_, K> {
    fn count(self) {
        let mut history = self.limit.history();
        for subject in &self.subjects {
            history.record(*subject, self.limit.capacity);
        }
    }
}

impl<K: Copy + Eq + Hash> Drop for Attempt<'_, K> {
    fn drop(&mut self) {
        let mut history = self.limit.history();
        for subject in &self.subjects {
            history.release(*subject);
        }
        drop(history);
        self.limit.decided.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use proptest::prelude::*;

    const MINUTE: TimeDelta = TimeDelta::minutes(1);

    fn limit(count: usize, capacity: usize) -> (RateLimit<u8>, Clock) {
        let clock = Clock::fixed(DateTime::from_timestamp(1_795_419_660, 0).expect("a time"));
        let count = NonZeroUsize::new(count).expect("not zero");
        (RateLimit::new(Limit { count, window: MINUTE }, capacity, clock.clone()), clock)
    }

    /// Begins an attempt that nothing holds back.
    fn begin<'a>(limit: &'a RateLimit<u8>, subjects: &[u8]) -> Result<Attempt<'a, u8>, u64> {
        let begun = limit.begin(subjects.to_vec()).now_or_never().expect("no undecided attempts");
        begun.map_err(|reached| reached.retry_after_seconds)
    }

    #[test]
    fn the_attempt_after_the_last_allowed_failure_is_refused_until_the_window_has_passed() {
        let (limit, clock) = limit(3, 100);
        for _ in 0..3 {
            begin(&limit, &[1, 2]).expect("admitted").count();
            clock.advance(TimeDelta::seconds(10));
        }
        assert_eq!(begin(&limit, &[1]).err(), Some(30), "the first leaves the window 30 seconds from now");
        assert_eq!(begin(&limit, &[3, 2]).err(), Some(30), "one subject is enough");
        assert!(begin(&limit, &[3]).is_ok(), "others are not concerned");
        clock.advance(TimeDelta::milliseconds(29_999));
        assert_eq!(begin(&limit, &[1]).err(), Some(1), "never 0, for that would say: at once");
        clock.advance(TimeDelta::milliseconds(1));
        begin(&limit, &[1]).expect("the window slides").count();
        assert_eq!(begin(&limit, &[1]).err(), Some(10), "and the second leaves it 10 seconds later");
    }

    #[test]
    fn what_is_not_counted_leaves_no_trace() {
        let (limit, _) = limit(1, 100);
        for _ in 0..10 {
            drop(begin(&limit, &[1, 2]).expect("admitted"));
        }
        assert!(limit.history().subjects.is_empty());
    }

    #[tokio::test]
    async fn undecided_attempts_hold_others_back_and_let_them_pass_when_they_succeed() {
        let (limit, _) = limit(2, 100);
        let first = begin(&limit, &[1]).expect("admitted");
        let second = begin(&limit, &[1]).expect("admitted");
        let mut third = pin!(limit.begin(vec![1]));
        assert!((&mut third).now_or_never().is_none(), "both might fail");
        first.count();
        assert!((&mut third).now_or_never().is_none(), "the second might fail as well");
        drop(second);
        third.await.expect("the second succeeded").count();
        assert!(begin(&limit, &[1]).is_err());
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let (limit, clock) = limit(1, 100);
        begin(&limit, &[1]).expect("admitted").count();
        clock.advance(-TimeDelta::seconds(1));
        assert_eq!(begin(&limit, &[1]).err(), Some(60), "a little back is the order of threads");
        clock.advance(-TimeDelta::hours(1));
        assert!(begin(&limit, &[1]).is_ok());
    }

    #[test]
    fn when_memory_is_full_the_oldest_is_forgotten() {
        let (limit, _) = limit(1, 3);
        for subject in 0..4 {
            assert_eq!(limit.count(subject), Ok(()));
        }
        assert_eq!(limit.count(0), Ok(()), "the first was forgotten for the fourth");
        assert!(limit.count(3).is_err());
        assert_eq!(limit.history().events.len(), 3);
        assert_eq!(limit.history().subjects.len(), 3);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Wait(i64),
        Fail(u8, u8),
        Succeed(u8, u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0_i64..30).prop_map(Step::Wait),
            (0_u8..4, 0_u8..4).prop_map(|(one, other)| Step::Fail(one, other + 4)),
            (0_u8..4, 0_u8..4).prop_map(|(one, other)| Step::Succeed(one, other + 4)),
        ]
    }

    proptest! {
        /// Compares with the rule as one would say it: an attempt is refused exactly if `count` attempts of one of its
        /// subjects have failed within the window; after the time that the refusal names it is admitted.
        #[test]
        fn it_does_what_the_rule_says(steps in proptest::collection::vec(step(), 0..200), count in 1_usize..5) {
            let (limit, clock) = limit(count, 1000);
            let mut failures: Vec<(DateTime<Utc>, u8)> = Vec::new();
            let refused = |failures: &[(DateTime<Utc>, u8)], now: DateTime<Utc>, subjects: [u8; 2]| {
                subjects.iter().any(|subject| {
                    let recent = |(at, of): &&(DateTime<Utc>, u8)| of == subject && *at + MINUTE > now;
                    failures.iter().filter(recent).count() >= count
                })
            };
            for step in steps {
                let now = clock.now();
                let (subjects, fails) = match step {
                    Step::Wait(seconds) => {
                        clock.advance(TimeDelta::seconds(seconds));
                        continue;
                    }
                    Step::Fail(one, other) => ([one, other], true),
                    Step::Succeed(one, other) => ([one, other], false),
                };
                match begin(&limit, &subjects) {
                    Ok(attempt) => {
                        prop_assert!(!refused(&failures, now, subjects));
                        if fails {
                            attempt.count();
                            failures.extend(subjects.map(|subject| (now, subject)));
                        }
                    }
                    Err(seconds) => {
                        prop_assert!(refused(&failures, now, subjects));
                        let later = now + TimeDelta::seconds(seconds as i64);
                        prop_assert!(!refused(&failures, later, subjects));
                        prop_assert!(refused(&failures, later - TimeDelta::seconds(1), subjects));
                    }
                }
                prop_assert!(limit.history().subjects.values().all(|subject| subject.undecided == 0));
            }
            clock.advance(MINUTE);
            prop_assert!(limit.history().subjects.is_empty(), "what has left the window takes no memory");
        }
    }
}
