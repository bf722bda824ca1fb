//! Rate limits: failed log-ins, log-ins, and e-mails that strangers can cause.
//!
//! The database counts them, so they hold across replicas and restarts. Every attempt is one statement. A
//! log-in counts as failed before its password is compared, and is uncounted if the password was right:
//! concurrent guesses cannot pass together, whichever processes they reach.
//!
//! Nobody can lock out somebody else. A failure counts for the client's network, and for the account together
//! with that network; the response says so when these limits are reached. Failures from many networks also
//! count for the account as a whole. When that limit is reached, attempts from unknown networks are refused
//! like wrong passwords, and those from known networks proceed. A network becomes known to an account by a
//! log-in, or when an e-mailed link of the account is opened in it.
//!
//! Long because every limit is declared, counted and uncounted in one place.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use catalogue::database_operation::DatabaseOperation;
use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use domain::ids::UserId;
use sqlx::postgres::types::PgInterval;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::platform::client_address::ClientAddress;
use crate::platform::clock::Clock;
use crate::platform::database::{self, Database};
use crate::platform::quotas::{PORTIONS, Portions};
use crate::platform::settings::{defaults, number};
use crate::platform::text::EmailAddress;
use crate::platform::token::Tokens;

/// Factor between the limit of a network over all accounts and the limit of one account from there: many
/// people may share a network.
const ACCOUNTS_OF_A_NETWORK: usize = 3;
/// Factor for the limit of one account over all unknown networks, for both the count and the window.
const NETWORKS_OF_AN_ACCOUNT: usize = 3;
const TIMES_THE_WINDOW: i32 = 15;
/// Factor between the limit of e-mails to one address from all networks and from one.
const NETWORKS_OF_A_RECIPIENT: usize = 4;

/// A maximum count within a time window.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    pub count: NonZeroUsize,
    pub window: TimeDelta,
}

impl Limit {
    fn new(count: usize, window: TimeDelta) -> Self {
        Self { count: NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN), window }
    }
}

#[derive(Args, Clone, Copy, Debug)]
pub struct RateLimitSettings {
    /// Maximum number of failed log-ins per minute for one account from one client network, over all
    /// processes. Three times as many for all accounts from one network. The same number per 15 minutes for
    /// one account from all networks that its user never used
    #[arg(long, value_name = "NUMBER", env = "SOCIALIZE_LOGIN_FAILURES", default_value = "10")]
    #[arg(value_parser = limit(TimeDelta::minutes(1)))]
    pub login_failures: Limit,
    // Not a setting: successful log-ins to one account.
    #[arg(skip = Limit::new(30, TimeDelta::minutes(10)))]
    pub logins: Limit,
    /// Maximum number of e-mails per hour to one address that one client network can cause by
    /// registering or requesting links; four times as many for all networks together
    #[arg(long, value_name = "NUMBER", env = "SOCIALIZE_EMAILS_TO_ONE_ADDRESS", default_value = "5")]
    #[arg(value_parser = limit(TimeDelta::hours(1)))]
    pub emails_to_one_address: Limit,
    /// Maximum number of these e-mails per hour that one client network can cause
    #[arg(long, value_name = "NUMBER", env = "SOCIALIZE_EMAILS_FROM_ONE_CLIENT", default_value = "100")]
    #[arg(value_parser = limit(TimeDelta::hours(1)))]
    pub emails_from_one_client: Limit,
    /// Maximum number of requests other than GET and HEAD of one user per minute, over all processes
    #[arg(long = "writes-per-user", value_name = "NUMBER", env = "SOCIALIZE_WRITES_PER_USER")]
    #[arg(default_value = "600", value_parser = limit(TimeDelta::minutes(1)))]
    pub writes: Limit,
    // They may alert operators.
    /// Maximum number of feedback reports of one user per hour
    #[arg(long = "reports-per-user", value_name = "NUMBER", env = "SOCIALIZE_REPORTS_PER_USER")]
    #[arg(default_value = "20", value_parser = limit(TimeDelta::hours(1)))]
    pub reports: Limit,
}

impl Default for RateLimitSettings {
    fn default() -> Self {
        defaults()
    }
}

/// Parses the count of a limit.
fn limit(window: TimeDelta) -> impl Fn(&str) -> Result<Limit, String> + Clone + Send + Sync + 'static {
    let count = number(1..=1_000_000);
    move |text| Ok(Limit::new(count(text)?, window))
}

pub struct RateLimits {
    settings: RateLimitSettings,
    database: Database,
    tokens: Tokens,
    clock: Clock,
    /// Log-ins in progress. Those to one account from one network are serialized, so that concurrent log-ins
    /// with the right password do not count against each other.
    under_way: Mutex<HashMap<Code, Arc<AsyncMutex<()>>>>,
    /// Write requests counted in this process.
    portions: Portions,
}

/// Keyed hash that identifies a limited subject; only the server's secret can compute it.
pub type Code = [u8; 16];

/// The subject of a limit.
struct Subject {
    code: Code,
    limit: Limit,
}

/// Holds back other log-ins to the same account from the same network.
pub struct LoginPermit<'a> {
    limits: &'a RateLimits,
    subject: Code,
    // Dropped explicitly, before the map is cleaned up.
    guard: Option<OwnedMutexGuard<()>>,
}

/// A log-in that counts as failed unless [`Self::codes`] are uncounted.
pub struct LoginAttempt {
    /// The counted subjects, in the order in which their rows are locked.
    codes: Vec<Vec<u8>>,
    pub happened: DateTime<Utc>,
    /// The account, if it exists.
    pub account: Option<Account>,
    /// Too many log-ins have failed for this account, and the client's network is unknown to it: no password
    /// is accepted.
    pub is_held_off: bool,
}

/// The fields of a user that log-in needs.
pub struct Account {
    pub id: UserId,
    pub password_hash: String,
    /// Time of the last password reset.
    pub password_reset_at: Option<DateTime<Utc>>,
}

/// Reasons to refuse a log-in before comparing passwords.
pub enum LoginRefusal {
    /// Too many log-ins failed from the client's network.
    LimitReached(LimitReached),
    Failed(database::DatabaseError),
}

/// Reasons not to count an action.
pub enum LimitError {
    /// There were too many.
    Reached {
        message: &'static str,
        /// Seconds after which a retry makes sense; at least 1.
        retry_after_seconds: u64,
    },
    Failed(database::DatabaseError),
}

impl From<database::DatabaseError> for LimitError {
    fn from(error: database::DatabaseError) -> Self {
        Self::Failed(error)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitReached {
    /// Seconds after which a retry makes sense; at least 1.
    pub retry_after_seconds: u64,
}

impl LimitReached {
    /// Builds it from the time at which the limit is free again.
    pub fn until(free_at: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        let milliseconds = u64::try_from((free_at - now).num_milliseconds()).unwrap_or_default();
        Self { retry_after_seconds: milliseconds.div_ceil(1000).max(1) }
    }

    fn saying(self, message: &'static str) -> LimitError {
        LimitError::Reached { message, retry_after_seconds: self.retry_after_seconds }
    }
}

impl RateLimits {
    pub fn new(settings: &RateLimitSettings, database: &Database, tokens: &Tokens, clock: &Clock) -> Self {
        Self {
            settings: *settings,
            database: database.clone(),
            tokens: tokens.clone(),
            clock: clock.clone(),
            under_way: Mutex::default(),
            portions: Portions::default(),
        }
    }

    /// Waits until no other log-in to the account from the client's network is in progress in this process.
    pub async fn login_permit(&self, email: &EmailAddress, client: ClientAddress) -> LoginPermit<'_> {
        let subject = self.account_from(email, client);
        let lock = {
            let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
            under_way.entry(subject).or_default().clone()
        };
        let mut permit = LoginPermit { limits: self, subject, guard: None };
        permit.guard = Some(lock.lock_owned().await);
        permit
    }

    /// Looks the account up and counts an attempt to log in, in one statement.
    ///
    /// # Errors
    /// Returns an error if too many log-ins failed from the client's network.
    pub async fn begin_login(
        &self,
        email: &EmailAddress,
        client: ClientAddress,
    ) -> Result<LoginAttempt, LoginRefusal> {
        let happened = self.clock.now();
        let Limit { count, window } = self.settings.login_failures;
        let of_the_client = [
            Subject {
                code: self.code(b"log-ins from", &[&client.bytes()]),
                limit: Limit { count: count.saturating_mul(times(ACCOUNTS_OF_A_NETWORK)), window },
            },
            Subject { code: self.account_from(email, client), limit: self.settings.login_failures },
        ];
        let of_the_account = [Subject {
            code: self.code(b"log-ins to", &[email.as_str().as_bytes()]),
            limit: Limit {
                count: count.saturating_mul(times(NETWORKS_OF_AN_ACCOUNT)),
                window: window * TIMES_THE_WINDOW,
            },
        }];
        let [client_codes, account_codes] = [codes(&of_the_client), codes(&of_the_account)];
        let mut connection = self.database.acquire().await.map_err(LoginRefusal::Failed)?;
        let row: LoginRow = self
            .database
            .run(
                DatabaseOperation::BeginLogin,
                sqlx::query_as(
                    "with account as (
                         select u.id, u.password_hash, u.password_reset_at,
                             exists (
                                 select from known_networks k where k.user_id = u.id and k.network = $9
                             ) as knows_network
                         from users u where u.email = $1 and u.email_verified_at is not null
                     ), client as materialized (
                         select count_event($3, $4, $5, $2) as free_at
                     ), whole as materialized (
                         select client.free_at is null
                                 and not coalesce((select knows_network from account), false) as is_counted,
                             case when client.free_at is null
                                     and not coalesce((select knows_network from account), false)
                                 then count_event($6, $7, $8, $2) end as free_at
                         from client
                     )
                     select client.free_at as client_free_at, whole.is_counted, whole.free_at as account_free_at,
                         account.id, account.password_hash, account.password_reset_at
                     from client cross join whole left join account on true",
                )
                .bind(email.as_str())
                .bind(happened)
                .bind(&client_codes)
                .bind(counts(&of_the_client))
                .bind(windows(&of_the_client))
                .bind(&account_codes)
                .bind(counts(&of_the_account))
                .bind(windows(&of_the_account))
                .bind(self.network(client).to_vec())
                .fetch_one(&mut *connection),
            )
            .await
            .map_err(LoginRefusal::Failed)?;
        if let Some(free_at) = row.client_free_at {
            return Err(LoginRefusal::LimitReached(LimitReached::until(free_at, happened)));
        }
        let is_held_off = row.account_free_at.is_some();
        let mut codes = client_codes;
        if row.is_counted && !is_held_off {
            codes.extend(account_codes);
        }
        let account = row.id.zip(row.password_hash).map(|(id, password_hash)| Account {
            id,
            password_hash,
            password_reset_at: row.password_reset_at,
        });
        Ok(LoginAttempt { codes, happened, account, is_held_off })
    }

    /// Uncounts an attempt that an internal failure left without a result. If that fails too, the attempt
    /// counts until its window has passed.
    pub async fn forget_login(&self, attempt: &LoginAttempt) -> database::Result<()> {
        let mut connection = self.database.acquire().await?;
        self.database
            .run(
                DatabaseOperation::ForgetLogin,
                sqlx::query("select uncount_event($1, $2)")
                    .bind(attempt.codes())
                    .bind(attempt.happened)
                    .execute(&mut *connection),
            )
            .await?;
        Ok(())
    }

    /// Arguments of `count_event` for a user's successful log-ins.
    pub fn logins_of(&self, user: UserId) -> (Vec<Vec<u8>>, Vec<i32>, Vec<PgInterval>) {
        let code = self.code(b"log-ins of", &[user.uuid().as_bytes()]);
        let subjects = [Subject { code, limit: self.settings.logins }];
        (codes(&subjects), counts(&subjects), windows(&subjects))
    }

    /// Counts an e-mail that a stranger is about to cause, and returns whether it may be sent. It counts for
    /// unknown addresses as well. The caller must respond alike in all cases, so that repeated requests
    /// reveal nothing and cannot block the owner.
    ///
    /// # Errors
    /// Returns an error if the client's network has caused too many.
    pub async fn count_email(&self, email: &EmailAddress, client: ClientAddress) -> Result<bool, LimitError> {
        let now = self.clock.now();
        let address = email.as_str().as_bytes();
        let Limit { count, window } = self.settings.emails_to_one_address;
        let of_the_client = [Subject {
            code: self.code(b"e-mails from", &[&client.bytes()]),
            limit: self.settings.emails_from_one_client,
        }];
        let of_the_recipient = [
            Subject {
                code: self.code(b"e-mails from to", &[&client.bytes(), address]),
                limit: Limit { count, window },
            },
            Subject {
                code: self.code(b"e-mails to", &[address]),
                limit: Limit { count: count.saturating_mul(times(NETWORKS_OF_A_RECIPIENT)), window },
            },
        ];
        let mut connection = self.database.acquire().await?;
        let (client_free_at, recipient_free_at): (Option<DateTime<Utc>>, Option<DateTime<Utc>>) = self
            .database
            .run(
                DatabaseOperation::CountEmail,
                sqlx::query_as(
                    "with client as materialized (
                         select count_event($2, $3, $4, $1) as free_at
                     )
                     select client.free_at, case when client.free_at is null then count_event($5, $6, $7, $1) end
                     from client",
                )
                .bind(now)
                .bind(codes(&of_the_client))
                .bind(counts(&of_the_client))
                .bind(windows(&of_the_client))
                .bind(codes(&of_the_recipient))
                .bind(counts(&of_the_recipient))
                .bind(windows(&of_the_recipient))
                .fetch_one(&mut *connection),
            )
            .await?;
        if let Some(free_at) = client_free_at {
            let message =
                "Too many e-mails were requested from your network. Please wait before trying again.";
            return Err(LimitReached::until(free_at, now).saying(message));
        }
        Ok(recipient_free_at.is_none())
    }

    /// Counts a write request of a user.
    ///
    /// # Errors
    /// Returns an error if the user has sent too many, or the database fails.
    pub async fn count_write(&self, user: UserId) -> Result<(), LimitError> {
        let Limit { count, window } = self.settings.writes;
        let portion = NonZeroUsize::new(count.get() / PORTIONS).unwrap_or(NonZeroUsize::MIN);
        if self.portions.take(user, portion, window, self.clock.now()) {
            return Ok(());
        }
        // The first portion was free.
        let granted =
            NonZeroUsize::new((count.get() / portion).saturating_sub(1)).unwrap_or(NonZeroUsize::MIN);
        let code = self.code(b"writes of", &[user.uuid().as_bytes()]);
        let message = "You are sending too many requests. Please wait before sending another.";
        self.count_action(Subject { code, limit: Limit { count: granted, window } }, message).await?;
        self.portions.add(user, portion);
        Ok(())
    }

    /// Counts a feedback report of a user.
    ///
    /// # Errors
    /// Returns an error if the user has sent too many, or the database fails.
    pub async fn count_report(&self, user: UserId) -> Result<(), LimitError> {
        let code = self.code(b"reports of", &[user.uuid().as_bytes()]);
        let message = "You have sent many feedback reports. Please wait before sending another.";
        self.count_action(Subject { code, limit: self.settings.reports }, message).await
    }

    async fn count_action(&self, subject: Subject, refusal: &'static str) -> Result<(), LimitError> {
        let now = self.clock.now();
        let subjects = [subject];
        let mut connection = self.database.acquire().await?;
        let free_at: Option<DateTime<Utc>> = self
            .database
            .run(
                DatabaseOperation::CountAction,
                sqlx::query_scalar("select count_event($1, $2, $3, $4)")
                    .bind(codes(&subjects))
                    .bind(counts(&subjects))
                    .bind(windows(&subjects))
                    .bind(now)
                    .fetch_one(&mut *connection),
            )
            .await?;
        match free_at {
            None => Ok(()),
            Some(free_at) => Err(LimitReached::until(free_at, now).saying(refusal)),
        }
    }

    /// Keyed hash of a client's network.
    pub fn network(&self, client: ClientAddress) -> Code {
        self.code(b"network", &[&client.bytes()])
    }

    fn account_from(&self, email: &EmailAddress, client: ClientAddress) -> Code {
        self.code(b"log-ins from to", &[&client.bytes(), email.as_str().as_bytes()])
    }

    fn code(&self, kind: &[u8], parts: &[&[u8]]) -> Code {
        self.tokens.code(&[&[kind], parts].concat())
    }
}

impl LoginAttempt {
    /// The counted subjects, as an argument of `uncount_event`.
    pub fn codes(&self) -> &[Vec<u8>] {
        &self.codes
    }
}

impl Drop for LoginPermit<'_> {
    fn drop(&mut self) {
        self.guard = None;
        let mut under_way = self.limits.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        // Every waiter holds a reference.
        if under_way.get(&self.subject).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            under_way.remove(&self.subject);
        }
    }
}

#[derive(sqlx::FromRow)]
struct LoginRow {
    client_free_at: Option<DateTime<Utc>>,
    is_counted: bool,
    account_free_at: Option<DateTime<Utc>>,
    id: Option<UserId>,
    password_hash: Option<String>,
    password_reset_at: Option<DateTime<Utc>>,
}

fn times(factor: usize) -> NonZeroUsize {
    NonZeroUsize::new(factor).unwrap_or(NonZeroUsize::MIN)
}

fn codes(subjects: &[Subject]) -> Vec<Vec<u8>> {
    subjects.iter().map(|subject| subject.code.to_vec()).collect()
}

fn counts(subjects: &[Subject]) -> Vec<i32> {
    subjects.iter().map(|subject| i32::try_from(subject.limit.count.get()).unwrap_or(i32::MAX)).collect()
}

fn windows(subjects: &[Subject]) -> Vec<PgInterval> {
    let interval = |window: TimeDelta| {
        let microseconds = window.num_microseconds().unwrap_or(i64::MAX);
        PgInterval { months: 0, days: 0, microseconds }
    };
    subjects.iter().map(|subject| interval(subject.limit.window)).collect()
}
