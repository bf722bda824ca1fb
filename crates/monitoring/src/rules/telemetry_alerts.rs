//! Alerts about telemetry itself: without it, silence of the other alerts proves nothing.

use std::time::Duration;

use catalogue::labels::Role;
use catalogue::metrics::HEARTBEAT;
use signal::builtin::{DROPPED, DropReason, Signal};
use signal::events;

use super::cases::{case, fires, fires_for, silent};
use super::thresholds::{BETWEEN_EVENTS, LONG, SHORT, TELEMETRY_MISSING_AFTER, WORKER_FORGOTTEN_AFTER};
use super::{Alert, DashboardUid, Runbook, Series, Severity, metrics, shown};
use crate::foreign::{CONFIG_RELOAD_SUCCESSFUL, RULE_EVALUATION_FAILURES, ScrapeJob, UP};
use crate::query::{Scale, Total, Vector, lines, select};
use crate::rules::Look;

pub(super) fn alerts(scale: Scale) -> Vec<Alert> {
    vec![
        watchdog(),
        telemetry_missing(scale),
        worker_telemetry_missing(scale),
        telemetry_dropped(scale),
        rules_failing(scale),
    ]
}

fn watchdog() -> Alert {
    Alert {
        name: "Watchdog",
        severity: Severity::None,
        condition: Vector::<Total>::always().into_expression(),
        pending: Duration::ZERO,
        keep_firing: Duration::ZERO,
        summary: "Alerts are evaluated and delivered.".to_owned(),
        description: "This always fires. Send it to a receiver that raises an alarm when it stops."
            .to_owned(),
        dashboard: DashboardUid::Telemetry,
        runbook: Runbook {
            meaning: "Nothing is wrong. This alert always fires, so that a receiver can notice its absence.",
            impact: "None while it fires. If it stops, no other alert would arrive either.",
            confirm: vec![metrics(
                "Whether Prometheus evaluates its rules without errors",
                &select(&RULE_EVALUATION_FAILURES).increase(SHORT).sum(),
            )],
            remedy: &[
                "If the receiver reports that it stopped: `docker compose ps prometheus alertmanager`, and `docker \
                 compose logs alertmanager` for notifications that failed.",
                "Alertmanager notifies nobody until you name receivers: deploy/README.md#notifications.",
            ],
            escalate: "Not needed; the receiver raises the alarm.",
        },
        fires_without_data: true,
        cases: vec![case("always", 1, vec![], fires(""))],
    }
}

fn telemetry_missing(scale: Scale) -> Alert {
    let heartbeat = || select(&HEARTBEAT).is(Role::Serve);
    let condition = heartbeat().absent_over(scale.of(TELEMETRY_MISSING_AFTER));
    Alert {
        name: "TelemetryMissing",
        severity: Severity::Critical,
        condition: condition.into_expression(),
        pending: Duration::ZERO,
        keep_firing: Duration::ZERO,
        summary: "No API process reports metrics.".to_owned(),
        description:
            "No heartbeat of a process that serves requests has arrived for three minutes: either no process runs, or \
             its metrics do not reach Prometheus. Other alerts cannot be trusted."
                .to_owned(),
        dashboard: DashboardUid::Telemetry,
        runbook: Runbook {
            meaning: "Every API process reports a heartbeat with its metrics. None has arrived for three minutes.",
            impact: "Either the API is down, or it works without monitoring, and no other alert would show a failure.",
            confirm: vec![
                metrics("Processes that reported, and when they stopped", &heartbeat().now().count()),
                metrics(
                    "Whether the collector answers Prometheus",
                    &select(&UP).is(ScrapeJob::Collector).now().max(),
                ),
                Look::Logs(
                    "The last lines that arrived, and whether sending failed",
                    lines(events::EXPORT_FAILED),
                ),
            ],
            remedy: &[
                "Check the API itself: `curl http://127.0.0.1:8080/health/ready`. If it does not respond: `docker \
                 compose ps`, `docker compose logs --tail 50 api`, then `docker compose up --detach`.",
                "If it responds, telemetry does not arrive: check that the collector runs (`docker compose ps alloy`), \
                 then test the connection to it: `docker compose exec api socialize doctor`.",
                "If Prometheus rejects points, its log says why: `docker compose logs prometheus`.",
            ],
            escalate: "At once if the API does not respond and a restart does not help.",
        },
        fires_without_data: true,
        cases: vec![
            case(
                "a process that reports",
                10,
                vec![Series::of(&HEARTBEAT, Role::Serve, "0+60x10")],
                silent(),
            ),
            case(
                "a process that ended five minutes ago",
                10,
                vec![Series::of(&HEARTBEAT, Role::Serve, "0+60x5 _x5")],
                fires_for(Role::Serve, ""),
            ),
            case(
                "a process that ended a moment ago",
                8,
                vec![Series::of(&HEARTBEAT, Role::Serve, "0+60x5 _x5")],
                fires_for(Role::Serve, ""),
            )
            .then(7.5, silent()),
            case(
                "a restart that took two minutes",
                7,
                vec![Series::of(&HEARTBEAT, Role::Serve, "0+60x5 _ _ 480")],
                silent(),
            ),
            case(
                "only a worker reports",
                10,
                vec![Series::of(&HEARTBEAT, Role::Work, "0+60x10")],
                fires_for(Role::Serve, ""),
            ),
        ],
    }
}

fn worker_telemetry_missing(scale: Scale) -> Alert {
    let heartbeat = || select(&HEARTBEAT).is(Role::Work);
    let known = heartbeat().samples_in(scale.of(WORKER_FORGOTTEN_AFTER)).count();
    let condition = known.unless(heartbeat().samples_in(scale.of(TELEMETRY_MISSING_AFTER)).count());
    Alert {
        name: "WorkerTelemetryMissing",
        severity: Severity::Critical,
        condition: condition.into_expression(),
        pending: Duration::ZERO,
        keep_firing: Duration::ZERO,
        summary: "No worker reports metrics any more.".to_owned(),
        description: "A worker reported within the last day, and none has for three minutes.".to_owned(),
        dashboard: DashboardUid::Background,
        runbook: Runbook {
            meaning: "A dedicated worker reported within the last day, and now none does.",
            impact: "E-mails, publishing and clean-ups wait. With Docker Compose only the worker runs jobs; without \
                     `SOCIALIZE_SERVE_WORKS=false`, API processes run them too.",
            confirm: vec![
                metrics(
                    "Workers that reported within the hour",
                    &heartbeat().samples_in(Duration::from_hours(1)).count(),
                ),
                metrics(
                    "Whether jobs pile up",
                    &select(&catalogue::metrics::JOB_QUEUE_OLDEST_AGE)
                        .now()
                        .max_by::<catalogue::labels::JobKind, _>(),
                ),
            ],
            remedy: &[
                "`docker compose ps worker` and `docker compose logs --tail 50 worker` show why it stopped. Start it: \
                 `docker compose up --detach worker`. Its jobs are taken over when their lease ends.",
                "If it runs, its telemetry does not arrive: see TelemetryMissing.",
                "If you removed all workers on purpose, silence this alert for a day.",
            ],
            escalate: "If the queue grows and no worker starts.",
        },
        fires_without_data: false,
        cases: vec![
            case("a worker that reports", 10, vec![Series::of(&HEARTBEAT, Role::Work, "0+60x10")], silent()),
            case(
                "a worker that ended",
                10,
                vec![Series::of(&HEARTBEAT, Role::Work, "0+60x5 _x5")],
                fires(""),
            )
            .then(8.0, fires(""))
            .then(7.5, silent()),
            case(
                "an installation without workers, and another program that has ended",
                10,
                vec![
                    Series::of(&HEARTBEAT, Role::Serve, "0+60x10"),
                    Series::of(&HEARTBEAT, Role::Work, "0+60x5 _x5").of_another_program(),
                ],
                silent(),
            ),
            case(
                "workers that were removed yesterday",
                1450,
                vec![Series::of(&HEARTBEAT, Role::Work, "0+60x5")],
                silent(),
            )
            .then(1440.0, fires("")),
            case(
                "workers that work, and an API that does not",
                10,
                vec![
                    Series::of(&HEARTBEAT, Role::Work, "0+60x10"),
                    Series::of(&HEARTBEAT, Role::Serve, "0+60x5 _x5"),
                ],
                silent(),
            ),
            case(
                "workers that do not work, and an API that does",
                10,
                vec![
                    Series::of(&HEARTBEAT, Role::Work, "0+60x5 _x5"),
                    Series::of(&HEARTBEAT, Role::Serve, "0+60x10"),
                ],
                fires(""),
            ),
        ],
    }
}

fn telemetry_dropped(scale: Scale) -> Alert {
    // A point that a newer one superseded only makes the curve coarser: counters are cumulative.
    let dropped = |window| select(&DROPPED).is_not(DropReason::Superseded).increase(window);
    let condition = dropped(scale.of(LONG)).sum_by::<Signal, _>().above(0.0);
    let dropped_logs = |values| Series::of(&DROPPED, (Signal::Logs, DropReason::WriteFailed), values);
    Alert {
        name: "TelemetryDropped",
        severity: Severity::Warning,
        condition: condition.into_expression(),
        pending: Duration::ZERO,
        keep_firing: scale.of(BETWEEN_EVENTS),
        summary: format!("The application drops {}.", shown::<Signal>()),
        description: format!(
            "About {{{{ $value | printf \"%.0f\" }}}} items of {} were lost in 15 minutes. Dashboards and searches are \
             incomplete for that time.",
            shown::<Signal>()
        ),
        dashboard: DashboardUid::Telemetry,
        runbook: Runbook {
            meaning: "Recorded items will never arrive: a queue was full, the collector rejected them, or a disk was \
                      full. Each item is counted.",
            impact: "Users notice nothing. Log lines, traces or points of that time are missing.",
            confirm: vec![
                metrics("What was dropped, and why", &dropped(LONG).sum_by::<DropReason, _>()),
                metrics(
                    "Attempts to send that failed",
                    &select(&signal::builtin::EXPORT_FAILURES).increase(LONG).sum_by::<Signal, _>(),
                ),
                Look::Logs("Why sending failed", lines(events::EXPORT_FAILED)),
            ],
            remedy: &[
                "`write_failed` for logs: the disk of the log file is full, or standard output is closed; see \
                 DiskFilling.",
                "`queue_full` and `retries_exhausted`: the collector is down or too slow; see CollectorDown and \
                 CollectorQueueFilling.",
                "`rejected`: the collector rejected the data permanently. `docker compose logs alloy` says why. \
                 Usually its version is too old, or another program listens on its port.",
                "`buffer_full`: a burst exceeded the buffers, as at log level `debug`. Lower the level: \
                 docs/LOGGING.md#change-the-level-at-run-time.",
            ],
            escalate: "If it continues for a day: give the numbers by reason to a developer.",
        },
        fires_without_data: false,
        cases: vec![
            case("nothing was dropped", 20, vec![dropped_logs("0x20")], silent()),
            case(
                "the first item that is ever dropped",
                12,
                vec![dropped_logs("0x10 1x40")],
                fires_for(Signal::Logs, "1"),
            )
            // The end of the window, followed by the end of the pending period.
            .then(24.5, fires_for(Signal::Logs, "1"))
            .then(34.5, fires_for(Signal::Logs, "1"))
            .then(35.0, silent()),
            case(
                "points replaced by newer ones",
                20,
                vec![Series::of(&DROPPED, (Signal::Metrics, DropReason::Superseded), "0+9x20")],
                silent(),
            ),
            case("a restart resets the count", 20, vec![dropped_logs("7x10 0x10")], silent()),
        ],
    }
}

fn rules_failing(scale: Scale) -> Alert {
    let failures = |window| select(&RULE_EVALUATION_FAILURES).increase(window).sum();
    let reloaded = || select(&CONFIG_RELOAD_SUCCESSFUL).now().min();
    Alert {
        name: "RulesFailing",
        severity: Severity::Warning,
        condition: failures(scale.of(LONG)).above(0.0).or(reloaded().below(1.0)).into_expression(),
        pending: Duration::ZERO,
        keep_firing: scale.of(BETWEEN_EVENTS),
        summary: "Prometheus cannot evaluate its rules or read its configuration.".to_owned(),
        description:
            "A rule failed within 15 minutes, or the configuration on disk is not the one in use. Alerts may not fire."
                .to_owned(),
        dashboard: DashboardUid::Telemetry,
        runbook: Runbook {
            meaning: "A rule failed, or Prometheus rejected a changed configuration.",
            impact: "Alerts may not fire.",
            confirm: vec![
                metrics("Evaluations that failed", &failures(LONG)),
                metrics("Whether the last reload succeeded", &reloaded()),
            ],
            remedy: &[
                "`docker compose logs prometheus` names the rule or the line of the configuration.",
                "Check the files: `docker compose exec prometheus promtool check config \
                 /etc/prometheus/prometheus.yml`.",
                "If rules were edited by hand, restore them: `git checkout prometheus` in `deploy/`.",
            ],
            escalate: "If the files are those of the release.",
        },
        fires_without_data: false,
        cases: vec![
            case(
                "rules are evaluated",
                20,
                vec![
                    Series::of(&RULE_EVALUATION_FAILURES, ScrapeJob::Prometheus, "0x20"),
                    Series::of(&CONFIG_RELOAD_SUCCESSFUL, ScrapeJob::Prometheus, "1x20"),
                ],
                silent(),
            ),
            case(
                "the first failure",
                12,
                vec![Series::of(&RULE_EVALUATION_FAILURES, ScrapeJob::Prometheus, "0x10 1x40")],
                fires(""),
            )
            .then(34.5, fires(""))
            .then(35.0, silent()),
            case(
                "a configuration that was refused",
                12,
                vec![Series::of(&CONFIG_RELOAD_SUCCESSFUL, ScrapeJob::Prometheus, "1x10 0x10")],
                fires(""),
            ),
            case(
                "Prometheus restarts",
                12,
                vec![Series::of(&RULE_EVALUATION_FAILURES, ScrapeJob::Prometheus, "4x10 0x10")],
                silent(),
            ),
        ],
    }
}
