//! Queue of notifications for the Alertmanager.

use std::collections::BTreeMap;

use serde::Serialize;

use super::group::{AlertRule, RuleGroup};
use super::machine::{Active, Phase};
use crate::calendar;
use crate::store::metrics::Labels;

/// Minimum interval at which firing and recently resolved alerts are sent again, as in Prometheus.
const RESENT_EVERY: i64 = 60_000;

/// Maximum number of alerts of one request, as in Prometheus.
const BATCH: usize = 256;

/// Longest pause after failures. The first pause is one second; it doubles each time.
const LONGEST_PAUSE: i64 = 60_000;

/// An alert in the format of `POST /api/v2/alerts`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Notification {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: String,
}

/// State of notifications, for operators.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Delivery {
    /// Address of the Alertmanager.
    pub address: String,
    /// Time of the last success, in Unix milliseconds.
    pub succeeded_at: Option<i64>,
    /// Time and reason of the last failure, if nothing succeeded since.
    pub failed: Option<(i64, String)>,
    /// Number of queued notifications.
    pub waiting: usize,
}

/// Queued notifications by the alert's labels: a newer one replaces an older one.
#[derive(Debug)]
pub(super) struct Outbox {
    /// Address of the console's pages.
    base: String,
    /// Label `environment`, by which the Alertmanager groups.
    environment: Option<String>,
    waiting: BTreeMap<Labels, Notification>,
    in_flight: BTreeMap<Labels, Notification>,
    next_attempt: i64,
    failures: u32,
    delivery: Delivery,
}

impl Outbox {
    pub(super) fn new(address: String, base: String, environment: Option<String>) -> Self {
        Self {
            base,
            environment,
            waiting: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            next_attempt: 0,
            failures: 0,
            delivery: Delivery { address, ..Delivery::default() },
        }
    }

    pub(super) fn delivery(&self) -> Delivery {
        Delivery { waiting: self.waiting.len() + self.in_flight.len(), ..self.delivery.clone() }
    }

    /// Queues the alerts of a group that are due.
    pub(super) fn collect(&mut self, group: &mut RuleGroup, now: i64) {
        let valid = 4 * RESENT_EVERY.max(group.every);
        for alert in &mut group.alerts {
            let mut due = Vec::new();
            for (labels, active) in alert.machine.all_mut().filter(|(_, active)| is_due(active, now)) {
                active.sent_at = now;
                due.push((labels.clone(), active.clone()));
            }
            for (labels, active) in due {
                let notification = self.notification(alert, &labels, &active, now + valid);
                self.waiting.insert(labels, notification);
            }
        }
    }

    fn notification(
        &self,
        alert: &AlertRule,
        labels: &Labels,
        active: &Active,
        valid_until: i64,
    ) -> Notification {
        let page = format!("{}/alerts/{}", self.base, alert.name);
        let annotations = [
            ("summary", alert.summary.expand(labels, active.value)),
            ("description", alert.description.expand(labels, active.value)),
            ("runbook_url", page.clone()),
        ];
        let mut all: BTreeMap<String, String> =
            labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        // As with external labels in Prometheus, the alert's own label takes precedence.
        if let Some(environment) = &self.environment {
            all.entry("environment".to_owned()).or_insert_with(|| environment.clone());
        }
        Notification {
            labels: all,
            annotations: annotations.map(|(key, text)| (key.to_owned(), text)).into(),
            starts_at: calendar::for_machines(active.fired_at),
            ends_at: calendar::for_machines(active.resolved_at.unwrap_or(valid_until)),
            generator_url: page,
        }
    }

    /// Takes the next request; `None` if nothing is queued or during the pause after a failure.
    pub(super) fn take(&mut self, now: i64) -> Option<String> {
        // If the clock was set back, the pause must not last until it catches up.
        let pauses = self.failures > 0
            && (0..=LONGEST_PAUSE).contains(&(self.next_attempt - now))
            && now < self.next_attempt;
        if pauses || self.waiting.is_empty() || !self.in_flight.is_empty() {
            return None;
        }
        while self.in_flight.len() < BATCH
            && let Some((labels, notification)) = self.waiting.pop_first()
        {
            self.in_flight.insert(labels, notification);
        }
        let batch: Vec<&Notification> = self.in_flight.values().collect();
        // Texts can always be written as JSON.
        serde_json::to_string(&batch).ok()
    }

    /// Records the result of the request. After a failure its notifications are queued again, unless newer
    /// ones have replaced them.
    pub(super) fn finish(&mut self, result: Result<(), String>, now: i64) {
        let sent = std::mem::take(&mut self.in_flight);
        match result {
            Ok(()) => {
                self.failures = 0;
                self.delivery.succeeded_at = Some(now);
                self.delivery.failed = None;
            }
            Err(reason) => {
                for (labels, notification) in sent {
                    self.waiting.entry(labels).or_insert(notification);
                }
                self.next_attempt = now + (1000 << self.failures.min(10)).min(LONGEST_PAUSE);
                self.failures = self.failures.saturating_add(1);
                self.delivery.failed = Some((now, reason));
            }
        }
    }
}

/// Returns whether Prometheus would send the alert now.
fn is_due(active: &Active, now: i64) -> bool {
    match active.phase {
        Phase::Pending => false,
        Phase::Resolved if active.resolved_at.is_some_and(|at| at > active.sent_at) => true,
        Phase::Firing | Phase::Resolved => now - active.sent_at >= RESENT_EVERY || now < active.sent_at,
    }
}
