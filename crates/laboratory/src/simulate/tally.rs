//! Counts and latencies of a simulation.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};
use telemetry::ClosedSet;

use super::action::{Action, Judgement};
use super::client::{Exchange, Failure};

/// Maximum of the latency histogram; longer latencies count as this.
const LONGEST_MICROSECONDS: u64 = 60_000_000;

/// The counts of a simulation, shared with those that display them.
#[derive(Clone)]
pub(crate) struct Tally {
    inner: Arc<Mutex<Driven>>,
}

/// The counts so far.
#[derive(Clone)]
pub(crate) struct Driven {
    actions: [Counts; Action::ALL.len()],
    /// By action and response.
    unexpected: BTreeMap<(&'static str, String), u64>,
    latencies: Histogram<u64>,
    /// Log-in attempts that the server decided.
    pub login_attempts: u64,
    /// Log-in attempts with a wrong password.
    pub wrong_passwords: u64,
    /// Requests that got a response.
    pub answered: u64,
    /// Actions that were due but skipped, because too many were in flight.
    pub held_back: u64,
    /// Actions that were due while nobody had anything to do.
    pub idle: u64,
    /// Teams that have started.
    pub teams: u64,
    /// People in those teams.
    pub people: u64,
    pub in_flight: u64,
}

/// Results of the actions of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    pub ok: u64,
    /// Actions that were rejected as expected.
    pub refused: u64,
    /// Actions with any other result.
    pub unexpected: u64,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.ok += other.ok;
        self.refused += other.refused;
        self.unexpected += other.unexpected;
    }

    /// Returns the number of all actions.
    pub(crate) fn total(self) -> u64 {
        self.ok + self.refused + self.unexpected
    }
}

impl Default for Tally {
    fn default() -> Self {
        let latencies = Histogram::new_with_bounds(1, LONGEST_MICROSECONDS, 2);
        let driven = Driven {
            actions: [Counts::default(); Action::ALL.len()],
            unexpected: BTreeMap::new(),
            latencies: latencies.unwrap_or_else(|_| unreachable!("the bounds are constants")),
            login_attempts: 0,
            wrong_passwords: 0,
            answered: 0,
            held_back: 0,
            idle: 0,
            teams: 0,
            people: 0,
            in_flight: 0,
        };
        Self { inner: Arc::new(Mutex::new(driven)) }
    }
}

impl Tally {
    /// Returns a copy of the current counts.
    pub(crate) fn snapshot(&self) -> Driven {
        self.lock().clone()
    }

    /// Changes a count that belongs to no action.
    pub(super) fn update(&self, change: impl FnOnce(&mut Driven)) {
        change(&mut self.lock());
    }

    /// Counts a completed action.
    pub(super) fn count(&self, action: Action, judgement: Judgement, exchange: &Exchange) {
        let mut driven = self.lock();
        let counts = &mut driven.actions[action.index()];
        match judgement {
            Judgement::Done => counts.ok += 1,
            Judgement::Refused => counts.refused += 1,
            Judgement::Unexpected => counts.unexpected += 1,
        }
        if judgement == Judgement::Unexpected {
            let answer = describe(exchange);
            *driven.unexpected.entry((action.as_str(), answer)).or_default() += 1;
        }
        if let Ok(answer) = &exchange.answered {
            driven.answered += 1;
            let microseconds = exchange.took.as_micros().try_into().unwrap_or(LONGEST_MICROSECONDS);
            driven.latencies.saturating_record(microseconds);
            // An attempt that failed in the server before the decision does not count.
            if action.is_login_attempt() && !answer.status.is_server_error() {
                driven.login_attempts += 1;
                driven.wrong_passwords += u64::from(answer.status == StatusCode::UNAUTHORIZED);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Driven> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Describes a response by closed values: an untrusted server must not choose the terminal's
/// output.
fn describe(exchange: &Exchange) -> String {
    match &exchange.answered {
        Err(Failure::Connect) => "no connection".to_owned(),
        Err(Failure::Timeout) => "no answer in time".to_owned(),
        Err(Failure::Broken) => "broken connection".to_owned(),
        Ok(answer) => {
            let code = answer.body.get("code").and_then(Value::as_str).unwrap_or_default();
            let is_a_name = |c: char| c.is_ascii_lowercase() || c == '_';
            let code = if code.chars().all(is_a_name) && code.len() <= 40 { code } else { "?" };
            format!("{} {code}", answer.status.as_u16()).trim_end().to_owned()
        }
    }
}

impl Driven {
    /// Returns the results of this action.
    pub(crate) fn counts(&self, action: Action) -> Counts {
        self.actions[action.index()]
    }

    /// Returns the results of all actions.
    pub(crate) fn total(&self) -> Counts {
        let mut total = Counts::default();
        self.actions.iter().for_each(|counts| total.add(*counts));
        total
    }

    /// Returns the latency that this fraction of the responses did not exceed.
    pub(crate) fn latency(&self, quantile: f64) -> Duration {
        Duration::from_micros(self.latencies.value_at_quantile(quantile))
    }

    /// Returns each unexpected response as "action: response" with its count.
    pub(crate) fn unexpected(&self) -> impl Iterator<Item = (String, u64)> {
        self.unexpected.iter().map(|((action, answer), count)| (format!("{action}: {answer}"), *count))
    }

    /// Returns all counts as JSON for a report.
    pub(crate) fn to_json(&self) -> Value {
        let actions = Action::ALL.iter().map(|action| (action.as_str(), self.counts(*action)));
        let actions: BTreeMap<_, _> = actions.filter(|(_, counts)| counts.total() > 0).collect();
        let unexpected: BTreeMap<String, u64> = self.unexpected().collect();
        let milliseconds = |quantile| self.latency(quantile).as_micros() as f64 / 1000.0;
        let buckets: Vec<Value> = self
            .latencies
            .iter_log(500, 2.0)
            .map(|step| {
                let below = (step.value_iterated_to() + 1) as f64 / 1000.0;
                json!({"below_ms": below, "count": step.count_since_last_iteration()})
            })
            .collect();
        json!({
            "teams": self.teams,
            "people": self.people,
            "answered_requests": self.answered,
            "total": self.total(),
            "actions": actions,
            "unexpected_answers": unexpected,
            "held_back": self.held_back,
            "idle": self.idle,
            "latency_ms": {
                "p50": milliseconds(0.5),
                "p90": milliseconds(0.9),
                "p95": milliseconds(0.95),
                "p99": milliseconds(0.99),
                "max": milliseconds(1.0),
            },
            "latency_histogram": buckets,
        })
    }
}
