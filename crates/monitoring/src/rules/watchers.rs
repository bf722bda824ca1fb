//! Table of the subjects of alerts, with each alert listed once.

use super::Alert;
use super::text::push;

/// A source of signals and its subject, recognised by the metrics in an alert's condition. The first match
/// owns the alert, because many conditions also query the application's heartbeat.
struct Watcher {
    name: &'static str,
    watches: &'static str,
    /// Prefixes of the metrics that it exports.
    metrics: &'static [&'static str],
}

const WATCHERS: &[Watcher] = &[
    Watcher {
        name: "The exporter of Postgres in Alloy, as a role that reads statistics only; Prometheus scrapes it",
        watches: "Postgres: connections, locks, old transactions, dead rows, sizes, cache",
        metrics: &["pg_"],
    },
    Watcher {
        name: "The exporter of the host in Alloy, from `/proc`; Prometheus scrapes it",
        watches: "The host: processors, memory, disk activity, pressure, and processes killed because memory ran out, \
                  in any container",
        metrics: &["node_"],
    },
    Watcher {
        name: "Probes from outside the application",
        watches: "Whether it can be reached: proxy, TLS, DNS, certificate",
        metrics: &["probe_", "httpcheck_"],
    },
    Watcher {
        name: "Prometheus, Loki, Tempo, Grafana, Alertmanager and the collector themselves; Prometheus scrapes them",
        watches: "The observability stack: whether it responds, queues, losses and rejections",
        metrics: &[
            "up{",
            "otelcol_",
            "alloy_",
            "loki_",
            "tempo_",
            "prometheus_",
            "alertmanager_",
            "grafana_",
        ],
    },
    Watcher {
        name: "The receiver of notifications, which notices if this alert stops",
        watches: "Prometheus, Alertmanager and the delivery of notifications",
        metrics: &["vector(1)"],
    },
    Watcher {
        name: "The application, over OTLP through the collector",
        watches: "Requests, workflows, jobs, e-mails, files, publishing; Postgres, mail server and blob store as it \
                  sees them; its processes and their disks; its own telemetry",
        metrics: &["socialize", "http_", "db_", "process_", "telemetry_", "target_info"],
    },
];

/// Things that no alert watches, stated so that nobody relies on them.
const UNWATCHED: &str = "\
No alert covers processor and memory of single containers (cAdvisor would need the Docker socket \
and root), the network between hosts, backups, and
what customers' publishing endpoints do after their response.
";

impl Watcher {
    fn is_asked(&self, condition: &str) -> bool {
        self.metrics.iter().any(|metric| {
            condition.match_indices(metric).any(|(at, _)| {
                // The match must be the beginning of a name.
                let before = condition[..at].chars().next_back();
                !before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
            })
        })
    }
}

/// Renders the table.
///
/// # Panics
/// If a condition queries no known source: a bug that a test finds.
pub(super) fn table<'a>(alerts: impl Iterator<Item = &'a Alert>) -> String {
    let mut by_watcher: Vec<Vec<String>> = WATCHERS.iter().map(|_| Vec::new()).collect();
    for alert in alerts {
        let condition = alert.condition.to_string();
        let asked = WATCHERS.iter().position(|watcher| watcher.is_asked(&condition));
        let asked = asked.unwrap_or_else(|| panic!("{}: nobody says {condition}", alert.name));
        by_watcher[asked].push(format!("[{}](#{})", alert.name, alert.name.to_lowercase()));
    }
    let mut out =
        "\n## What is monitored, and by what\n\n| source | subject | alerts |\n|---|---|---|\n".to_owned();
    for (watcher, alerts) in WATCHERS.iter().zip(&by_watcher) {
        let alerts = if alerts.is_empty() { "–".to_owned() } else { alerts.join(", ") };
        push(&mut out, format_args!("| {} | {} | {alerts} |\n", watcher.name, watcher.watches));
    }
    out.push('\n');
    out.push_str(UNWATCHED);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Scale;
    use crate::rules::groups;

    #[test]
    fn every_alert_stands_once_beside_who_says_it() {
        let alerts: Vec<Alert> = groups(Scale::REAL).into_iter().flat_map(|group| group.alerts).collect();
        let table = table(alerts.iter());
        for alert in &alerts {
            assert_eq!(table.matches(&format!("[{}]", alert.name)).count(), 1, "{}", alert.name);
        }
        let row =
            |name: &str| table.lines().find(|line| line.contains(&format!("[{name}]"))).unwrap_or_default();
        assert!(row("PostgresDeadRows").contains("exporter of Postgres"));
        assert!(row("OutOfMemoryKill").contains("exporter of the host"));
        assert!(row("CollectorDown").contains("the collector themselves"));
        assert!(row("PostgresUnreachable").contains("The application"));
    }

    #[test]
    fn a_metric_is_known_by_the_beginning_of_its_name() {
        let watcher = Watcher { name: "", watches: "", metrics: &["pg_"] };
        assert!(watcher.is_asked("max(pg_up)") && watcher.is_asked("pg_up"));
        assert!(!watcher.is_asked("sum(socialize_pg_up)") && !watcher.is_asked("a:pg_up"));
    }
}
