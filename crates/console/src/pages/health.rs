//! The health of the whole system, in one sentence with the reason.

use monitoring::query::{Instance, RequestFailure, builds, requests};
use monitoring::rules::Severity;

use super::dashboards::Screen;
use crate::calendar;
use crate::chart::digits;
use crate::evaluate::evaluate_at;
use crate::rules::{AlertState, Phase};

/// Age of the newest sample, in milliseconds, above which telemetry counts as missing.
const MISSING: i64 = 2 * 60_000;
/// Maximum number of alerts in the reason.
const NAMES: usize = 3;

/// The state of the whole system in one sentence.
pub(crate) struct Verdict {
    /// `good`, `warning`, `bad` or `unknown`.
    pub class: &'static str,
    pub sentence: String,
    pub reason: String,
}

pub(crate) struct FiringAlert {
    pub name: String,
    pub severity: String,
    /// Class of the severity.
    pub class: &'static str,
    /// Address of its page.
    pub address: String,
    /// Summary of the fault in one line.
    pub summary: String,
}

/// Returns the alerts that fire now, the most severe first. Each name occurs once.
pub(crate) fn firing(screen: &Screen<'_>) -> Vec<FiringAlert> {
    let is_firing = |alert: &&AlertState| alert.phase == Phase::Firing && alert.severity != Severity::None;
    let mut alerts: Vec<FiringAlert> = Vec::new();
    for alert in screen.alerts.iter().filter(is_firing) {
        if alerts.iter().any(|known| known.name == alert.alert) {
            continue;
        }
        alerts.push(FiringAlert {
            name: alert.alert.to_owned(),
            severity: alert.severity.as_str().to_owned(),
            class: if alert.severity == Severity::Critical { "bad" } else { "alert" },
            address: screen.view.link(&format!("/alerts/{}", alert.alert), &[]),
            summary: alert.summary.clone(),
        });
    }
    alerts.sort_by(|a, b| (a.class != "bad", &a.name).cmp(&(b.class != "bad", &b.name)));
    alerts
}

/// Returns the health of the whole system.
pub(crate) fn verdict(screen: &Screen<'_>, firing: &[FiringAlert]) -> Verdict {
    let Some(newest) = screen.newest else {
        let address = &screen.console.facts().otlp_address;
        return Verdict {
            class: "unknown",
            sentence: "No process has reported yet.".to_owned(),
            reason: format!(
                "Send metrics and traces by OTLP over HTTP: OTEL_EXPORTER_OTLP_ENDPOINT=http://{address}"
            ),
        };
    };
    let silent = screen.view.now - newest;
    if silent > MISSING {
        return Verdict {
            class: "bad",
            sentence: format!("No process has reported for {}.", calendar::duration(silent)),
            reason: "No process is running, or none reaches the console. The data below is older.".to_owned(),
        };
    }
    let count = firing.len();
    if count > 0 {
        let urgent = firing.iter().any(|alert| alert.class == "bad");
        let mut reason =
            firing.iter().take(NAMES).map(|alert| sentence(&alert.summary)).collect::<Vec<_>>().join(" ");
        let more = firing.len().saturating_sub(NAMES);
        if more > 0 {
            reason.push_str(&format!(" And {more} more."));
        }
        let sentence = match (count, urgent) {
            (1, true) => "One alert fires, and it is urgent.".to_owned(),
            (1, false) => "One alert fires.".to_owned(),
            (_, true) => format!("{count} alerts fire, some of them urgent."),
            (_, false) => format!("{count} alerts fire."),
        };
        return Verdict { class: if urgent { "bad" } else { "warning" }, sentence, reason };
    }
    Verdict { class: "good", sentence: "Everything is healthy.".to_owned(), reason: reasons(screen) }
}

/// Returns a text with a full stop.
fn sentence(text: &str) -> String {
    if text.ends_with(['.', '!', '?']) { text.to_owned() } else { format!("{text}.") }
}

fn reasons(screen: &Screen<'_>) -> String {
    let now = screen.view.now;
    let processes = evaluate_at(&*screen.metrics, builds().now().count_by::<Instance, _>().expression(), now);
    let processes = processes.unwrap_or_default().len();
    let mut reasons = vec!["no alert fires".to_owned()];
    reasons.push(if processes == 1 {
        "one process reports".to_owned()
    } else {
        format!("{processes} processes report")
    });
    let window = std::time::Duration::from_secs(3600);
    let failed = requests().is_one_of(RequestFailure::OURS).count().increase(window).sum();
    let share = failed.share_of(requests().served().count().increase(window).sum()).rest();
    let share = evaluate_at(&*screen.metrics, share.expression(), now).unwrap_or_default();
    if let Some((_, share)) = share.first().filter(|(_, share)| share.is_finite()) {
        let percent = digits((share * 10_000.0).floor() / 100.0, Some(2));
        reasons.push(format!("{percent}% of the requests of the last hour had no fault of ours"));
    }
    let text = reasons.join(", ");
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}
