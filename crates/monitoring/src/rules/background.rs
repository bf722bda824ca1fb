//! Alerts about what happens without a user who waits for it: jobs, loops and samples.

use std::time::Duration;

use domain::catalogue::{
    GAUGE_DRIFT, HEARTBEAT, JOB_LAST_SUCCESS, JOB_QUEUE_DEAD, JOB_QUEUE_DEPTH, JOB_QUEUE_OLDEST_AGE,
    JOB_RUN_DURATION, LOOP_FAILURES, LOOP_LAST_SUCCESS, SAMPLER_LAST_SUCCESS,
};
use domain::events;
use domain::labels::{JobKind, Loop, Role, StatusGauge};
use telemetry::JobOutcome;

use super::cases::{case, fires, fires_for, fires_for_time, silent};
use super::thresholds::{
    BETWEEN_EVENTS, DEAD_JOBS_FOR, LONG, LOOP_AGE, QUEUE_AGE, SAMPLE_AGE, SHORT, SHORTEST_LOOP_AGE,
};
use super::{Alert, DashboardUid, Look, Runbook, Series, Severity, metrics, shown};
use crate::query::{Scale, lines, select, spans};

pub(super) fn alerts(scale: Scale) -> Vec<Alert> {
    vec![
        jobs_failing(scale),
        dead_jobs_waiting(scale),
        job_queue_lagging(scale),
        loop_stalled(scale),
        loop_failing(scale),
        sampler_stale(scale),
        gauges_drifted(scale),
    ]
}

fn dead_letters() -> &'static [&'static str] {
    &[
        "See what was given up and why: `socialize dead-letters list` in the container of the worker.",
        "`send_email`: EmailDeliveryFailing. `publish_content_item`: PublishingFailing. `clean_up_blobs`: BlobStorageFailing.",
        "When the cause is gone: `socialize dead-letters retry --all --kind KIND`, or with single ids; `discard` what is not worth it.",
    ]
}

fn jobs_failing(scale: Scale) -> Alert {
    let dead = |window| {
        select(&JOB_RUN_DURATION).is(JobOutcome::Dead).count().increase(window).sum_by::<JobKind, _>()
    };
    let runs =
        |values| vec![Series::count(&JOB_RUN_DURATION, (JobKind::SendEmail, JobOutcome::Dead), values)];
    Alert {
        name: "JobsFailing",
        severity: Severity::Warning,
        condition: dead(scale.of(LONG)).above(0.0).text().to_owned(),
        pending: Duration::ZERO,
        keep_firing: scale.of(BETWEEN_EVENTS),
        summary: format!("Jobs of kind {} were given up.", shown::<JobKind>()),
        description: format!(
            "About {{{{ $value | printf \"%.0f\" }}}} jobs of kind {} failed for good within 15 minutes, after all their attempts.",
            shown::<JobKind>()
        ),
        dashboard: DashboardUid::Background,
        runbook: Runbook {
            meaning: "A job failed in every attempt, or in a way that no further attempt would mend. It is kept, and nobody works on it any more.",
            impact: "By kind: an e-mail that will not be sent, an item that will not be published. Periodic clean-ups run again by themselves.",
            confirm: vec![
                metrics(
                    "How runs end",
                    &select(&JOB_RUN_DURATION).count().increase(LONG).sum_by::<JobOutcome, _>(),
                ),
                Look::Logs("Why, in `error_cause`", lines(events::JOB_RUN).is(JobOutcome::Dead)),
                Look::Traces("What the last runs did", spans().is(JobOutcome::Dead)),
            ],
            remedy: dead_letters(),
            escalate: "When `error_cause` is none of a dependency's: it is a defect.",
        },
        fires_without_data: false,
        cases: vec![
            case("none", 20, runs("0x20"), silent()),
            case("the first", 12, runs("0x10 1x10"), fires_for(JobKind::SendEmail, "1")),
            case(
                "jobs that are tried again",
                20,
                vec![Series::count(&JOB_RUN_DURATION, (JobKind::SendEmail, JobOutcome::Retry), "0+1x20")],
                silent(),
            ),
            case("a restart resets the count", 20, runs("5x10 0x10"), silent()),
        ],
    }
}

fn dead_jobs_waiting(scale: Scale) -> Alert {
    let dead = || select(&JOB_QUEUE_DEAD).now().max_by::<JobKind, _>();
    let waiting = |values| vec![Series::of(&JOB_QUEUE_DEAD, JobKind::PublishContentItem, values)];
    Alert {
        name: "DeadJobsWaiting",
        severity: Severity::Info,
        condition: dead().above(0.0).text().to_owned(),
        pending: scale.of(DEAD_JOBS_FOR),
        keep_firing: Duration::ZERO,
        summary: format!("Given-up jobs of kind {} wait for an operator.", shown::<JobKind>()),
        description: format!(
            "{{{{ $value | printf \"%.0f\" }}}} jobs of kind {} have been given up and neither retried nor discarded.",
            shown::<JobKind>()
        ),
        dashboard: DashboardUid::Background,
        runbook: Runbook {
            meaning: "Dead letters lie in the queue for more than half an hour. They stay until somebody decides.",
            impact: "What they were to do has not been done.",
            confirm: vec![metrics("How many, by kind", &dead())],
            remedy: dead_letters(),
            escalate: "Nobody; it can wait until the morning.",
        },
        fires_without_data: false,
        cases: vec![
            case("none", 40, waiting("0x40"), silent()),
            case("some for an hour", 60, waiting("0x10 2x60"), fires_for(JobKind::PublishContentItem, "2")),
            case("retried within minutes", 40, waiting("0x10 2x10 0x20"), silent()),
        ],
    }
}

fn job_queue_lagging(scale: Scale) -> Alert {
    let age = || select(&JOB_QUEUE_OLDEST_AGE).now().max_by::<JobKind, _>();
    let oldest = |values| vec![Series::of(&JOB_QUEUE_OLDEST_AGE, JobKind::SendEmail, values)];
    Alert {
        name: "JobQueueLagging",
        severity: Severity::Warning,
        condition: age().above(scale.of(QUEUE_AGE).as_secs_f64()).text().to_owned(),
        pending: scale.of(SHORT),
        keep_firing: Duration::ZERO,
        summary: format!("Jobs of kind {} wait too long.", shown::<JobKind>()),
        description: format!(
            "The oldest due job of kind {} has been waiting for {{{{ $value | humanizeDuration }}}}.",
            shown::<JobKind>()
        ),
        dashboard: DashboardUid::Background,
        runbook: Runbook {
            meaning: "Jobs are due and nobody works on them, or there are more than workers can do.",
            impact: "By kind: e-mails and publishing are late.",
            confirm: vec![
                metrics("How many wait, by kind", &select(&JOB_QUEUE_DEPTH).now().max_by::<JobKind, _>()),
                metrics(
                    "How long runs take",
                    &select(&JOB_RUN_DURATION).quantile_by::<JobKind, _>(0.95, LONG),
                ),
                metrics(
                    "When a run last succeeded, seconds ago",
                    &select(&JOB_LAST_SUCCESS).now().max_by::<JobKind, _>().age(),
                ),
            ],
            remedy: &[
                "No worker runs: see WorkerTelemetryMissing. A worker runs and its loop does not turn: see LoopStalled.",
                "Runs take long: the mail server or an endpoint is slow. Jobs of one workspace wait for each other and delay nobody else.",
                "There is simply more to do: raise SOCIALIZE_JOB_CONCURRENCY or start another worker.",
            ],
            escalate: "When the age keeps growing with workers that turn.",
        },
        fires_without_data: false,
        cases: vec![
            case("jobs start at once", 20, oldest("0x20"), silent()),
            case("a job waits", 30, oldest("0+60x30"), fires_for(JobKind::SendEmail, "30m 0s")),
            case("a moment of waiting", 20, oldest("0x5 700x3 0x12"), silent()),
        ],
    }
}

fn loop_stalled(scale: Scale) -> Alert {
    let lag = || select(&LOOP_LAST_SUCCESS).lag().max_by::<Loop, _>();
    let last = |values| vec![Series::time(&LOOP_LAST_SUCCESS, Loop::Scheduler, values)];
    Alert {
        name: "LoopStalled",
        severity: Severity::Critical,
        condition: lag().above(scale.of(LOOP_AGE).max(SHORTEST_LOOP_AGE).as_secs_f64()).text().to_owned(),
        pending: scale.of(Duration::from_mins(1)),
        keep_firing: Duration::ZERO,
        summary: format!("The loop {} stands still.", shown::<Loop>()),
        description: format!(
            "The loop {} of a process has not completed a turn for {{{{ $value | humanizeDuration }}}}; it should every ten seconds.",
            shown::<Loop>()
        ),
        dashboard: DashboardUid::Background,
        runbook: Runbook {
            meaning: "A background loop of a process that lives and reports does not turn: it hangs, or each turn fails.",
            impact: "By loop: `worker` and `job_listener`: jobs wait. `scheduler`: periodic work is not begun. The others: what operators see is old.",
            confirm: vec![
                metrics(
                    "In which process",
                    &select(&LOOP_LAST_SUCCESS).lag().max_by::<crate::query::Instance, _>(),
                ),
                metrics("Whether turns fail", &select(&LOOP_FAILURES).increase(LONG).sum_by::<Loop, _>()),
                Look::Logs("How they fail", lines(events::LOOP_FAILED)),
            ],
            remedy: &[
                "Turns fail: `error_type` says why; most often Postgres (PostgresUnreachable).",
                "Turns do not fail, the loop hangs: restart the process. What it had claimed is taken over when its lease ends.",
            ],
            escalate: "A loop that hangs is a defect: note the process' uptime and version for the developers before restarting.",
        },
        fires_without_data: false,
        cases: vec![
            case("it turns", 10, last("0+60x10"), silent()),
            case(
                "it hangs",
                20,
                last("0+60x4 240x16"),
                fires_for_time(Loop::Scheduler, Duration::from_mins(16)),
            ),
            case("its process ended", 10, last("0+60x4 _x6"), silent()),
        ],
    }
}

fn loop_failing(scale: Scale) -> Alert {
    let failures = |window| select(&LOOP_FAILURES).increase(window).sum_by::<Loop, _>();
    let failed = |values| vec![Series::of(&LOOP_FAILURES, Loop::GaugeSampler, values)];
    Alert {
        name: "LoopFailing",
        severity: Severity::Warning,
        condition: failures(scale.of(LONG)).at_least(super::thresholds::LOOP_FAILURES).text().to_owned(),
        pending: Duration::ZERO,
        keep_firing: scale.of(BETWEEN_EVENTS),
        summary: format!("Turns of the loop {} fail.", shown::<Loop>()),
        description: format!(
            "About {{{{ $value | printf \"%.0f\" }}}} turns of the loop {} failed within 15 minutes.",
            shown::<Loop>()
        ),
        dashboard: DashboardUid::Background,
        runbook: Runbook {
            meaning: "Turns of a background loop end with an error or a panic; it goes on after a pause.",
            impact: "None while others succeed; LoopStalled says when none do.",
            confirm: vec![
                metrics("Which loops", &failures(LONG).above(0.0)),
                Look::Logs("How they fail", lines(events::LOOP_FAILED)),
            ],
            remedy: &[
                "`unavailable` and `timeout`: Postgres; see PostgresUnreachable and DatabaseSlow.",
                "`panic`: a defect; see Panicked.",
            ],
            escalate: "Within the working day, when Postgres is well.",
        },
        fires_without_data: false,
        cases: vec![
            case("none", 20, failed("0x20"), silent()),
            case("a single failure", 12, failed("0x10 1x10"), silent()),
            case("several", 20, failed("0+1x20"), fires_for(Loop::GaugeSampler, "15")),
            case("a restart resets the count", 20, failed("9x10 0x10"), silent()),
        ],
    }
}

fn sampler_stale(scale: Scale) -> Alert {
    let alive = || select(&HEARTBEAT).samples_in(scale.of(SHORT)).count();
    let lag = select(&SAMPLER_LAST_SUCCESS).lag().min().above(scale.of(SAMPLE_AGE).as_secs_f64());
    let condition = lag.or(select(&SAMPLER_LAST_SUCCESS).absent_over(scale.of(SAMPLE_AGE))).when(alive());
    let sampled = |values, heartbeat| {
        vec![Series::time(&SAMPLER_LAST_SUCCESS, (), values), Series::of(&HEARTBEAT, Role::Work, heartbeat)]
    };
    Alert {
        name: "SamplerStale",
        severity: Severity::Warning,
        condition: condition.text().to_owned(),
        pending: scale.of(SHORT),
        keep_firing: Duration::ZERO,
        summary: "The workflow gauges are old.".to_owned(),
        description: "No process has sampled the state of workflows for ten minutes; their numbers on the dashboards are old or missing.".to_owned(),
        dashboard: DashboardUid::Adoption,
        runbook: Runbook {
            meaning: "One process at a time samples how many things are in which state. None has succeeded for ten minutes.",
            impact: "Users notice nothing. The gauges on Adoption are missing or old.",
            confirm: vec![
                metrics("How old the last sample is", &select(&SAMPLER_LAST_SUCCESS).now().max().age()),
                metrics("Whether its loop fails", &select(&LOOP_FAILURES).is(Loop::GaugeSampler).increase(LONG).sum()),
                Look::Logs("How it fails", lines(events::LOOP_FAILED).is(Loop::GaugeSampler)),
            ],
            remedy: &[
                "Its loop fails: most often Postgres (PostgresUnreachable, DatabaseSlow).",
                "No process works on jobs: see WorkerTelemetryMissing.",
                "A session that hangs holds the lock: `select pid, state from pg_stat_activity where pid in (select pid from pg_locks where locktype = 'advisory')`, then `pg_terminate_backend(pid)`.",
            ],
            escalate: "Within the working day.",
        },
        fires_without_data: false,
        cases: vec![
            case("sampled every minute", 30, sampled("0+60x30", "0+60x30"), silent()),
            case("the sampler hangs", 30, sampled("0+60x5 300x25", "0+60x30"), fires("")),
            case("nobody samples", 30, sampled("0+60x5 _x25", "0+60x30"), fires("")),
            case("no process runs: TelemetryMissing says so", 30, sampled("0+60x5 _x25", "0+60x5 _x25"), silent()),
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
        condition: drift().above(0.0).text().to_owned(),
        pending: scale.of(SHORT),
        keep_firing: Duration::ZERO,
        summary: format!("The gauge {} does not show what is in the database.", shown::<StatusGauge>()),
        description: format!(
            "The last exact comparison found the counts behind {} to be wrong by {{{{ $value | printf \"%.0f\" }}}} rows.",
            shown::<StatusGauge>()
        ),
        dashboard: DashboardUid::Adoption,
        runbook: Runbook {
            meaning: "The counts that triggers keep differ from the table: rows were changed with triggers switched off, as by a restore.",
            impact: "Users notice nothing. A gauge is wrong by so many.",
            confirm: vec![
                metrics("By how many rows", &drift()),
                Look::Logs("Since when", lines(events::GAUGE_DRIFTED)),
            ],
            remedy: &[
                "`socialize gauges check` compares now, `socialize gauges repair` counts anew; see `socialize gauges --help`.",
            ],
            escalate: "When it drifts again without a restore: a trigger is missing.",
        },
        fires_without_data: false,
        cases: vec![
            case("exact", 10, rows("0x10"), silent()),
            case("wrong by seven", 15, rows("0x5 7x10"), fires_for(StatusGauge::ContentItems, "7")),
        ],
    }
}
