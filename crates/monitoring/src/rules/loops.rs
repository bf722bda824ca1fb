//! Alerts about the loops of worker processes, and about samples of the gauges.

use std::time::Duration;

use catalogue::events;
use catalogue::labels::{Loop, Role, StatusGauge};
use catalogue::metrics::{GAUGE_DRIFT, HEARTBEAT, LOOP_FAILURES, LOOP_LAST_SUCCESS, SAMPLER_LAST_SUCCESS};

use super::cases::{case, fires, fires_for, fires_for_time, silent};
use super::thresholds::{
    BETWEEN_EVENTS, HUNG_AFTER, LONG, LOOP_AGE, SAMPLE_AGE, SHORT, SHORTEST_HUNG_AFTER, SHORTEST_LOOP_AGE,
};
use super::{Alert, Case, DashboardUid, Look, Runbook, Series, Severity, metrics, shown};
use crate::query::{Instance, Scale, Vector, lines, select};

pub(super) fn alerts(scale: Scale) -> Vec<Alert> {
    vec![
        worker_stalled(scale),
        loop_stalled(scale),
        loop_failing(scale),
        sampler_stale(scale),
        gauges_drifted(scale),
    ]
}

/// Loops that LoopStalled covers. The worker's loop has WorkerStalled, and the gauge sampler has
/// SamplerStale, whichever process runs it.
const NOBODY_WAITS_FOR: &[Loop] =
    &[Loop::Scheduler, Loop::JobListener, Loop::QueueSampler, Loop::GaugeChecker];

/// Loops of a process that have stalled, with the time since their last iteration.
fn standing_still(scale: Scale, loops: &[Loop]) -> Vector<Loop> {
    let lag = select(&LOOP_LAST_SUCCESS).is_one_of(loops).lag().max_by::<Loop, _>();
    lag.above(scale.of(LOOP_AGE).max(SHORTEST_LOOP_AGE).as_secs_f64())
}

/// Cases of both alerts about stalled loops.
fn stalled_cases(which: Loop) -> Vec<Case> {
    let last = |values| vec![Series::time(&LOOP_LAST_SUCCESS, which, values)];
    let stalls = |minutes| fires_for_time(which, Duration::from_mins(minutes));
    vec![
        case("it turns", 10, last("0+60x10"), silent()),
        case("it hangs", 20, last("0+60x4 240x16"), stalls(16)),
        case("it is three minutes late", 20, last("0x3 60+60x20"), silent()).in_real_time(),
        case("it is four minutes late", 20, last("0x4 60+60x20"), stalls(4)).in_real_time(),
        case("it has been late for a minute", 9, last("0+60x4 240x16"), stalls(5))
            .then(8.5, silent())
            .in_real_time(),
        case("its process ended", 10, last("0+60x4 _x6"), silent()),
    ]
}

fn worker_stalled(scale: Scale) -> Alert {
    let mut cases = stalled_cases(Loop::Worker);
    cases.push(case(
        "another loop hangs",
        20,
        vec![Series::time(&LOOP_LAST_SUCCESS, Loop::Scheduler, "0+60x4 240x16")],
        silent(),
    ));
    Alert {
        name: "WorkerStalled",
        severity: Severity::Critical,
        condition: standing_still(scale, &[Loop::Worker]).into_expression(),
        pending: scale.of(Duration::from_mins(1)),
        keep_firing: Duration::ZERO,
        summary: "A worker starts no jobs.".to_owned(),
        description: format!(
            "The loop {} of a process has not completed an iteration for {{{{ $value | humanizeDuration }}}}; it \
             should every two seconds.",
            shown::<Loop>()
        ),
        dashboard: DashboardUid::Background,
        runbook: Runbook {
            meaning: "The loop that claims jobs hangs, or each iteration fails. The process itself reports metrics.",
            impact: "E-mails and scheduled posts are late, unless another process runs jobs.",
            confirm: vec![
                metrics(
                    "Seconds since the last successful iteration, by process",
                    &select(&LOOP_LAST_SUCCESS).is(Loop::Worker).lag().max_by::<Instance, _>(),
                ),
                metrics(
                    "Failed iterations",
                    &select(&LOOP_FAILURES).is(Loop::Worker).increase(LONG).sum_by::<Loop, _>(),
                ),
                Look::Logs("Errors of failed iterations", lines(events::LOOP_FAILED).is(Loop::Worker)),
            ],
            remedy: STALLED_REMEDY,
            escalate: "A hanging loop is a defect. Before the restart, note version and uptime for the developers.",
        },
        fires_without_data: false,
        cases,
    }
}

const STALLED_REMEDY: &[&str] = &[
    "Iterations fail: `error_type` says why. Usually Postgres is the cause: see PostgresUnreachable.",
    "Iterations do not fail: the loop hangs. Restart the process: `docker compose restart worker`. Its jobs are taken \
     over when their lease ends.",
];

fn loop_stalled(scale: Scale) -> Alert {
    let mut cases = stalled_cases(Loop::Scheduler);
    let hangs = |which| vec![Series::time(&LOOP_LAST_SUCCESS, which, "0+60x4 240x16")];
    let stalls = |which: &Loop| fires_for_time(*which, Duration::from_mins(16));
    cases.push(case(
        "each of them hangs",
        20,
        NOBODY_WAITS_FOR.iter().flat_map(|which| hangs(*which)).collect(),
        NOBODY_WAITS_FOR.iter().flat_map(stalls).collect(),
    ));
    cases.push(case("the worker: WorkerStalled says so", 20, hangs(Loop::Worker), silent()));
    cases.push(case("the sampler: SamplerStale says so", 20, hangs(Loop::GaugeSampler), silent()));
    Alert {
        name: "LoopStalled",
        severity: Severity::Warning,
        condition: standing_still(scale, NOBODY_WAITS_FOR).into_expression(),
        pending: scale.of(Duration::from_mins(1)),
        keep_firing: Duration::ZERO,
        summary: format!("The loop {} has stopped.", shown::<Loop>()),
        description: format!(
            "The loop {} of a process has not completed an iteration for {{{{ $value | humanizeDuration }}}}; it \
             should every ten seconds.",
            shown::<Loop>()
        ),
        dashboard: DashboardUid::Background,
        runbook: Runbook {
            meaning: "A background loop hangs, or each iteration fails. The process itself reports metrics. No user \
                      waits for it.",
            impact: "By loop: `scheduler`: this process starts no periodic jobs. `job_listener`: jobs start up to two \
                     seconds later. `queue_sampler`: JobsFailing and JobQueueLagging see nothing. `gauge_checker`: \
                     GaugesDrifted sees nothing.",
            confirm: vec![
                metrics(
                    "Seconds since the last successful iteration, by process",
                    &select(&LOOP_LAST_SUCCESS).lag().max_by::<Instance, _>(),
                ),
                metrics("Failed iterations", &select(&LOOP_FAILURES).increase(LONG).sum_by::<Loop, _>()),
                Look::Logs("Errors of failed iterations", lines(events::LOOP_FAILED)),
            ],
            remedy: STALLED_REMEDY,
            escalate: "A hanging loop is a defect. Before the restart, note version and uptime for the developers.",
        },
        fires_without_data: false,
        cases,
    }
}

fn loop_failing(scale: Scale) -> Alert {
    let failures = |window| select(&LOOP_FAILURES).increase(window).sum_by::<Loop, _>();
    let failed = |values| vec![Series::of(&LOOP_FAILURES, Loop::GaugeSampler, values)];
    Alert {
        name: "LoopFailing",
        severity: Severity::Warning,
        condition: failures(scale.of(LONG)).at_least(super::thresholds::LOOP_FAILURES).into_expression(),
        pending: Duration::ZERO,
        keep_firing: scale.of(BETWEEN_EVENTS),
        summary: format!("Iterations of the loop {} fail.", shown::<Loop>()),
        description: format!(
            "About {{{{ $value | printf \"%.0f\" }}}} iterations of the loop {} failed within 15 minutes.",
            shown::<Loop>()
        ),
        dashboard: DashboardUid::Background,
        runbook: Runbook {
            meaning: "Iterations of a background loop end with an error or a panic. The loop continues after a pause.",
            impact: "None while other iterations succeed. If none do, WorkerStalled or LoopStalled fires.",
            confirm: vec![
                metrics("Which loops", &failures(LONG).above(0.0)),
                Look::Logs("Errors of failed iterations", lines(events::LOOP_FAILED)),
            ],
            remedy: &[
                "`unavailable` and `timeout`: Postgres; see PostgresUnreachable and DatabaseSlow.",
                "`panic`: a defect; see Panicked.",
            ],
            escalate: "Within the working day, if Postgres works.",
        },
        fires_without_data: false,
        cases: vec![
            case("none", 20, failed("0x20"), silent()),
            case("two failures", 12, failed("0x10 2x10"), silent()),
            case("three failures", 12, failed("0x10 3x40"), fires_for(Loop::GaugeSampler, "3"))
                .then(34.5, fires_for(Loop::GaugeSampler, "3"))
                .then(35.0, silent()),
            case("three within 18 minutes", 32, failed("0x10 1x8 2x8 3x30"), silent()),
            case("a restart resets the count", 20, failed("9x10 0x10"), silent()),
        ],
    }
}

fn sampler_stale(scale: Scale) -> Alert {
    // A process that hangs keeps reporting its last heartbeat; ProcessHung covers it.
    let event_loop_runs =
        select(&HEARTBEAT).lag().min().below(scale.of(HUNG_AFTER).max(SHORTEST_HUNG_AFTER).as_secs_f64());
    let lag = select(&SAMPLER_LAST_SUCCESS).lag().min().above(scale.of(SAMPLE_AGE).as_secs_f64());
    let condition =
        lag.or(select(&SAMPLER_LAST_SUCCESS).absent_over(scale.of(SAMPLE_AGE))).when(event_loop_runs);
    let sampled = |values, heartbeat| {
        vec![Series::time(&SAMPLER_LAST_SUCCESS, (), values), Series::of(&HEARTBEAT, Role::Work, heartbeat)]
    };
    Alert {
        name: "SamplerStale",
        severity: Severity::Warning,
        condition: condition.into_expression(),
        pending: scale.of(SHORT),
        keep_firing: Duration::ZERO,
        summary: "The workflow gauges are old.".to_owned(),
        description:
            "No process has sampled the state of workflows for ten minutes. Their numbers on dashboards are old or \
             missing."
                .to_owned(),
        dashboard: DashboardUid::Adoption,
        runbook: Runbook {
            meaning: "One process at a time counts items by state. None has succeeded for ten minutes.",
            impact: "Users notice nothing. The gauges on the dashboard Adoption are old or missing.",
            confirm: vec![
                metrics("How old the last sample is", &select(&SAMPLER_LAST_SUCCESS).now().max().age()),
                metrics(
                    "Whether its loop fails",
                    &select(&LOOP_FAILURES).is(Loop::GaugeSampler).increase(LONG).sum(),
                ),
                Look::Logs("Errors of failed iterations", lines(events::LOOP_FAILED).is(Loop::GaugeSampler)),
            ],
            remedy: &[
                "The loop fails, usually because of Postgres: see PostgresUnreachable and DatabaseSlow.",
                "No process runs jobs: see WorkerTelemetryMissing.",
                "A hanging session holds the lock: `select pid, state from pg_stat_activity where pid in (select pid \
                 from pg_locks where locktype = 'advisory')`, then `pg_terminate_backend(pid)`.",
            ],
            escalate: "Within the working day.",
        },
        fires_without_data: false,
        cases: vec![
            case("sampled every minute", 30, sampled("0+60x30", "0+60x30"), silent()),
            case("the sampler hangs", 30, sampled("0+60x5 300x25", "0+60x30"), fires("")),
            case("the last sample is ten minutes old", 30, sampled("0x9 0+60x30", "0+60x30"), silent()),
            case("eleven minutes old", 30, sampled("0x10 0+60x30", "0+60x30"), fires("")),
            case("eleven minutes old for five minutes", 16, sampled("0x40", "0+60x40"), fires(""))
                .then(15.5, silent()),
            case("nobody samples", 20, sampled("0+60x5 _x25", "0+60x30"), fires("")).then(19.5, silent()),
            case(
                "a process was there four minutes ago",
                21,
                sampled("0+60x5 _x30", "0+60x17 _x30"),
                fires(""),
            ),
            case(
                "no process runs: TelemetryMissing says so",
                22,
                sampled("0+60x5 _x30", "0+60x16 _x25"),
                silent(),
            )
            .then(30.0, silent()),
            case(
                "the only process hangs: ProcessHung says so",
                30,
                sampled("0+60x5 300x25", "0+60x5 300x25"),
                silent(),
            ),
            case("the process is 20 seconds late", 30, sampled("0+60x5 300x25", "-20+60x30"), fires(""))
                .in_real_time(),
            case("the process is 45 seconds late", 30, sampled("0+60x5 300x25", "-45+60x30"), silent())
                .in_real_time(),
            case("another process takes over", 30, sampled("0+60x15 _x3 1080+60x12", "0+60x30"), silent()),
        ],
    }
}

fn gauges_drifted(scale: Scale) -> Alert {
    let drift = || select(&GAUGE_DRIFT).now().max_by::<StatusGauge, _>();
    let rows = |values| vec![Series::of(&GAUGE_DRIFT, StatusGauge::ContentItems, values)];
    Alert {
        name: "GaugesDrifted",
        severity: Severity::Info,
        condition: drift().above(0.0).into_expression(),
        pending: scale.of(SHORT),
        keep_firing: Duration::ZERO,
        summary: format!("The gauge {} is wrong.", shown::<StatusGauge>()),
        description: format!(
            "The last exact comparison found the counts behind {} to be wrong by {{{{ $value | printf \"%.0f\" }}}} \
             rows.",
            shown::<StatusGauge>()
        ),
        dashboard: DashboardUid::Adoption,
        runbook: Runbook {
            meaning: "The counts that triggers keep differ from the table. Usually rows were changed with triggers \
                      disabled, as by a restore.",
            impact: "Users notice nothing. The gauge is wrong by that number.",
            confirm: vec![
                metrics("By how many rows", &drift()),
                Look::Logs("First lines about it", lines(events::GAUGE_DRIFTED)),
            ],
            remedy: &[
                "Compare now: `docker compose exec worker socialize gauges check`. Count again: `docker compose exec \
                 worker socialize gauges repair`.",
            ],
            escalate: "If it drifts again without a restore: a trigger is missing.",
        },
        fires_without_data: false,
        cases: vec![
            case("exact", 10, rows("0x10"), silent()),
            case("wrong by one", 11, rows("0x5 1x10"), fires_for(StatusGauge::ContentItems, "1"))
                .then(10.5, silent()),
            case("wrong by seven", 15, rows("0x5 7x10"), fires_for(StatusGauge::ContentItems, "7")),
        ],
    }
}
