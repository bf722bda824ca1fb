//! Counters of rate limits, which all processes share.

use std::num::NonZeroUsize;

use axum::Router;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use sqlx::postgres::types::PgInterval;
use telemetry::http_server::HttpServerService;
use test_support::{TestApp, TestDatabase};
use tower::ServiceExt;

use super::*;

const WINDOW: TimeDelta = TimeDelta::minutes(1);

async fn count_event(
    database: &TestDatabase,
    subjects: &[u8],
    limit: i32,
    happened: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let window = PgInterval { months: 0, days: 0, microseconds: WINDOW.num_microseconds().expect("short") };
    sqlx::query_scalar("select count_event($1, $2, $3, $4)")
        .bind(codes(subjects))
        .bind(vec![limit; subjects.len()])
        .bind(vec![window; subjects.len()])
        .bind(happened)
        .fetch_one(database.pool())
        .await
        .expect("counted")
}

fn codes(subjects: &[u8]) -> Vec<Vec<u8>> {
    subjects.iter().map(|subject| vec![*subject; 16]).collect()
}

/// Compares with a simple model: an event is refused exactly if one of its subjects has the maximum number of
/// events within the window, and that subject is free again at the time named in the refusal. Some events are
/// uncounted.
#[tokio::test]
async fn a_limit_does_what_its_rule_says() {
    let database = TestDatabase::create().await;
    for seed in 0..20 {
        sqlx::query("delete from rate_limits").execute(database.pool()).await.expect("emptied");
        let mut random = StdRng::seed_from_u64(seed);
        let limit = random.random_range(1..5_i32);
        let mut now: DateTime<Utc> = "2026-11-23T09:00:00Z".parse().expect("a time");
        let mut events: Vec<(DateTime<Utc>, u8)> = Vec::new();
        for _ in 0..60 {
            now += TimeDelta::seconds(random.random_range(0..15));
            let subjects = [random.random_range(0..3_u8), random.random_range(3..6_u8)];
            let recent = |events: &[(DateTime<Utc>, u8)], subject: u8, now: DateTime<Utc>| {
                events.iter().filter(|(at, of)| *of == subject && *at + WINDOW > now).count() as i32
            };
            let full = subjects.into_iter().find(|subject| recent(&events, *subject, now) >= limit);
            match (count_event(&database, &subjects, limit, now).await, full) {
                (None, None) => events.extend(subjects.map(|subject| (now, subject))),
                (Some(free_at), Some(full)) => {
                    assert!(recent(&events, full, free_at) < limit, "{seed}: free at {free_at}");
                    let before = free_at - TimeDelta::microseconds(1);
                    assert!(recent(&events, full, before) >= limit, "{seed}: not before {free_at}");
                }
                (counted, full) => panic!("{seed}: {counted:?} although {full:?} is full"),
            }
            if random.random_bool(0.2)
                && let Some((at, _)) = events.last().copied()
                && events.len() >= 2
            {
                let taken_back: Vec<u8> =
                    events.split_off(events.len() - 2).into_iter().map(|(_, of)| of).collect();
                sqlx::query("select uncount_event($1, $2)")
                    .bind(codes(&taken_back))
                    .bind(at)
                    .execute(database.pool())
                    .await
                    .expect("uncounted");
            }
        }
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_locks_nobody_out() {
    let database = TestDatabase::create().await;
    let now: DateTime<Utc> = "2026-11-23T09:00:00Z".parse().expect("a time");
    assert_eq!(count_event(&database, &[1], 1, now).await, None);
    let a_little_back = now - TimeDelta::seconds(1);
    assert_eq!(count_event(&database, &[1], 1, a_little_back).await, Some(now + WINDOW));
    assert_eq!(count_event(&database, &[1], 1, now - TimeDelta::hours(1)).await, None);
}

#[tokio::test]
async fn events_that_are_counted_together_do_not_exceed_the_limit() {
    let database = TestDatabase::create().await;
    let now: DateTime<Utc> = "2026-11-23T09:00:00Z".parse().expect("a time");
    // They share subjects in all combinations, which must not deadlock.
    let counted = join_all((0..60_u8).map(|number| {
        let database = &database;
        async move { count_event(database, &[number % 2, 10 + number % 3], 7, now).await }
    }))
    .await;
    assert_eq!(counted.iter().filter(|refusal| refusal.is_none()).count(), 14, "seven for each of two");
}

struct Replicas<'a> {
    one: &'a TestApp,
    other: HttpServerService<Router>,
}

impl<'a> Replicas<'a> {
    fn of(one: &'a TestApp) -> Self {
        Self { one, other: socialize::run::router::service(one.another_process()) }
    }

    /// Logs in at one of them and returns the status.
    async fn log_in(&self, number: usize, email: &str, password: &str) -> u16 {
        let body = json!({"email": email, "password": password});
        let request = self.one.request(None, Method::POST, "/v1/auth/login", &body, &[]);
        match number % 2 {
            0 => self.one.send(request).await.status.as_u16(),
            _ => self.other.clone().oneshot(request).await.expect("an answer").status().as_u16(),
        }
    }
}

/// The limit does not double with two replicas, however guesses are distributed and however many are
/// concurrent.
#[tokio::test]
async fn a_limit_holds_over_two_replicas() {
    let test = TestApp::start_with_settings(|settings| settings.password_hashing.at_once = 4).await;
    verified(&test, "ada@example.com").await;
    let replicas = Replicas::of(&test);
    let statuses = join_all((0..40).map(|number| replicas.log_in(number, "ada@example.com", WRONG))).await;
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 10, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 30, "{statuses:?}");
}

#[tokio::test]
async fn people_with_right_passwords_get_in_on_two_replicas_although_few_may_fail() {
    let test = TestApp::start_with_settings(|settings| {
        settings.password_hashing.at_once = 4;
        settings.rate_limits.login_failures.count = NonZeroUsize::new(4).expect("not zero");
    })
    .await;
    for number in 0..4 {
        verified(&test, &format!("user{number}@example.com")).await;
    }
    let replicas = Replicas::of(&test);
    let emails: Vec<String> = (0..40).map(|number| format!("user{}@example.com", number / 2 % 4)).collect();
    let log_ins = emails.iter().enumerate().map(|(number, email)| replicas.log_in(number, email, PASSWORD));
    assert_eq!(join_all(log_ins).await, [200; 40]);
}

/// Stored counters identify nobody.
#[tokio::test]
async fn counters_and_networks_hold_no_address() {
    let test = TestApp::start().await;
    verified(&test, "ada@example.com").await;
    log_in(&test, "ada@example.com", WRONG).await.expect(401);
    log_in(&test, "ada@example.com", PASSWORD).await.expect(200);
    let rows: Vec<String> = sqlx::query_scalar(
        "select r::text || encode(r.subject, 'escape') from rate_limits r
         union all select k::text || encode(k.network, 'escape') from known_networks k",
    )
    .fetch_all(test.pool())
    .await
    .expect("rows");
    assert!(rows.len() > 3, "{rows:?}");
    assert!(rows.iter().all(|row| !row.contains("example") && !row.contains("0.0.0.0")), "{rows:?}");
}
