//! Polls Prometheus for firing alerts.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::prometheus::Prometheus;

/// Polling interval, shorter than the evaluation interval of rules.
const EVERY: Duration = Duration::from_millis(250);

/// Always fires.
pub(super) const WATCHDOG: &str = "Watchdog";

/// Labels that do not identify the subject of an alert.
const GENERAL_LABELS: &[&str] = &["alertname", "severity"];

/// Alerts that fire, and that have fired since observation began. An alert is its name, with its labels other
/// than the severity in braces: `StackTargetDown{job=loki}`.
#[derive(Clone)]
pub(super) struct Alerts(Arc<Mutex<Seen>>);

struct Seen {
    firing: BTreeSet<String>,
    ever: BTreeSet<String>,
    /// Time of Prometheus's last response.
    asked: Instant,
}

impl Alerts {
    /// Polls until the runtime ends.
    pub(super) fn watch(prometheus: Prometheus) -> Self {
        let seen = Seen { firing: BTreeSet::new(), ever: BTreeSet::new(), asked: Instant::now() };
        let alerts = Self(Arc::new(Mutex::new(seen)));
        let seen = alerts.clone();
        tokio::spawn(async move {
            loop {
                // Prometheus is unreachable while it restarts; its last response still holds.
                if let Ok(firing) = firing(&prometheus).await {
                    let mut seen = seen.lock();
                    seen.ever.extend(firing.iter().cloned());
                    seen.firing = firing;
                    seen.asked = Instant::now();
                }
                tokio::time::sleep(EVERY).await;
            }
        });
        alerts
    }

    /// Forgets alerts that do not fire now.
    pub(super) fn forget(&self) {
        let mut seen = self.lock();
        seen.ever = seen.firing.clone();
    }

    /// Alerts that fire now, without the watchdog.
    ///
    /// # Panics
    /// Fails if that has been unknown for long, because silence would prove nothing.
    pub(super) fn firing(&self) -> BTreeSet<String> {
        let seen = self.lock();
        assert!(seen.asked.elapsed() < crate::programs::PATIENCE, "Prometheus does not say what fires");
        without_watchdog(&seen.firing)
    }

    /// Alerts that fired at any time since [`Alerts::forget`], without the watchdog.
    pub(super) fn ever(&self) -> BTreeSet<String> {
        without_watchdog(&self.lock().ever)
    }

    /// Returns whether the watchdog fires, without which silence proves nothing.
    pub(super) fn is_watched(&self) -> bool {
        self.lock().firing.contains(WATCHDOG)
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn without_watchdog(alerts: &BTreeSet<String>) -> BTreeSet<String> {
    alerts.iter().filter(|alert| *alert != WATCHDOG).cloned().collect()
}

/// Returns whether this is the alert; its labels may be omitted.
pub(super) fn is(alert: &str, expected: &str) -> bool {
    alert.strip_prefix(expected).is_some_and(|labels| labels.is_empty() || labels.starts_with('{'))
}

async fn firing(prometheus: &Prometheus) -> Result<BTreeSet<String>, String> {
    let data = prometheus.get("/api/v1/alerts", &[]).await?;
    let alerts = data["alerts"].as_array().ok_or("no alerts")?;
    let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
    Ok(firing.map(|alert| name(&alert["labels"])).collect())
}

fn name(labels: &serde_json::Value) -> String {
    let special = labels.as_object().into_iter().flatten();
    let special: Vec<String> = special
        .filter(|(label, _)| !GENERAL_LABELS.contains(&label.as_str()))
        .map(|(label, value)| format!("{label}={}", value.as_str().unwrap_or_default()))
        .collect();
    let name = labels["alertname"].as_str().unwrap_or_default();
    if special.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", special.join(",")) }
}

#[test]
fn an_alert_is_meant_by_its_name_with_or_without_labels() {
    assert_eq!(name(&serde_json::json!({"alertname": "A", "severity": "info"})), "A");
    let alert = name(&serde_json::json!({"alertname": "A", "severity": "info", "job": "loki"}));
    assert!(is(&alert, "A") && is(&alert, "A{job=loki}"));
    assert!(!is(&alert, "A{job=tempo}") && !is("AB", "A") && !is("A", "AB"));
}
