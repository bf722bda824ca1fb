//! Alerts about the host that runs everything.

use std::time::Duration;

use signal::builtin::PROCESS_MEMORY_USAGE;

use super::cases::{case, fires, silent};
use super::postgres::scraped;
use super::thresholds::{BETWEEN_EVENTS, HOST_MEMORY_SHARE, LONG};
use super::{Alert, DashboardUid, Runbook, Series, Severity, metrics};
use crate::exporters::{
    NODE_MEMORY_AVAILABLE, NODE_MEMORY_PRESSURE, NODE_MEMORY_TOTAL, NODE_OUT_OF_MEMORY_KILLS,
    NODE_SWAPPED_OUT,
};
use crate::foreign::{RESIDENT_MEMORY, ScrapeJob};
use crate::query::{Instance, Scale, select};

pub(super) fn alerts(scale: Scale) -> Vec<Alert> {
    vec![out_of_memory(scale), memory_low(scale)]
}

fn host(name: &str, values: &str) -> Series {
    scraped("host", name, "", values)
}

fn out_of_memory(scale: Scale) -> Alert {
    let kills = |window| select(&NODE_OUT_OF_MEMORY_KILLS).increase(window).max();
    let series = |values: &str| vec![host("node_vmstat_oom_kill", values)];
    Alert {
        name: "OutOfMemoryKill",
        severity: Severity::Warning,
        condition: kills(scale.of(LONG)).at_least(1.0).into_expression(),
        pending: Duration::ZERO,
        keep_firing: scale.of(BETWEEN_EVENTS),
        summary: "The kernel killed a process because memory ran out.".to_owned(),
        description: "About {{ $value | printf \"%.0f\" }} processes of the host were killed within 15 minutes because \
                      a container or the host ran out of memory.".to_owned(),
        dashboard: DashboardUid::Infrastructure,
        runbook: Runbook {
            meaning: "A container reached its `mem_limit`, or the host had no memory left. The kernel counts both.",
            impact: "The process restarts by itself. Its work at that time is lost or repeated.",
            confirm: vec![
                metrics("How many within an hour", &kills(Duration::from_hours(1))),
                metrics("Memory of the stack", &select(&RESIDENT_MEMORY).now().max_by::<ScrapeJob, _>()),
                metrics("Memory of Socialize", &select(&PROCESS_MEMORY_USAGE).now().max_by::<Instance, _>()),
            ],
            remedy: &[
                "`docker inspect --format '{{.Name}} {{.State.OOMKilled}} {{.State.StartedAt}}' $(docker ps --all \
                 --quiet)` shows the container, `dmesg | grep -i 'killed process'` the process.",
                "A container: raise its `mem_limit`, and `GOMEMLIMIT` with it, in a Compose file of your own. Usual \
                 sizes: deploy/README.md#size.",
                "The host: see HostMemoryLow.",
            ],
            escalate: "To the developers, if it is a container of Socialize at less than 50 requests per second.",
        },
        fires_without_data: false,
        cases: vec![
            case("none", 30, series("4x40"), silent()),
            case("one", 20, series("4x15 5x45"), fires("1")).then(39.5, fires("1")).then(40.0, silent()),
            case("the host starts again", 30, series("4x15 0x25"), silent()),
        ],
    }
}

fn memory_low(scale: Scale) -> Alert {
    let available = || select(&NODE_MEMORY_AVAILABLE).now().min();
    let total = || select(&NODE_MEMORY_TOTAL).now().min();
    let series = |values: &str| {
        vec![host("node_memory_MemAvailable_bytes", values), host("node_memory_MemTotal_bytes", "1000x60")]
    };
    Alert {
        name: "HostMemoryLow",
        severity: Severity::Warning,
        condition: available().over(total()).below(HOST_MEMORY_SHARE).into_expression(),
        pending: scale.of(LONG),
        keep_firing: Duration::ZERO,
        summary: "The host is almost out of memory.".to_owned(),
        description: "{{ $value | humanizePercentage }} of the memory of the host is available.".to_owned(),
        dashboard: DashboardUid::Infrastructure,
        runbook: Runbook {
            meaning: "Less than 8 % of the memory has been available for 15 minutes. Caches count as available.",
            impact: "Everything slows down, especially Postgres, which depends on the cache. Soon the kernel kills \
                     processes.",
            confirm: vec![
                metrics("Bytes available", &available()),
                metrics("Pages swapped out", &select(&NODE_SWAPPED_OUT).rate(LONG).max()),
                metrics(
                    "Share of time in which a process waited for memory",
                    &select(&NODE_MEMORY_PRESSURE).rate(LONG).max(),
                ),
            ],
            remedy: &[
                "`docker stats --no-stream` and `ps -eo rss,args --sort=-rss | head` show what uses it.",
                "The host needs the limits of all containers together, plus cache for Postgres: deploy/README.md#size.",
                "Give the host more memory, or remove the overlay: deploy/README.md#remove-the-overlay.",
            ],
            escalate: "To those who can enlarge the host, before OutOfMemoryKill fires.",
        },
        fires_without_data: false,
        cases: vec![
            case("enough", 40, series("300x60"), silent()),
            case("just at the threshold", 40, series("80x60"), silent()),
            case("just below it", 40, series("300x5 79x55"), fires("7.9%")),
            case("just before the pause is over", 19, series("300x5 79x55"), silent()),
            case("just after it", 21, series("300x5 79x55"), fires("7.9%")),
            case("it recovered", 22, series("300x3 79x17 300x40"), silent()),
        ],
    }
}
