//! Alerts about jobs: dead letters, late jobs, and periodic jobs that stop succeeding.

use std::time::Duration;

use catalogue::events;
use catalogue::labels::{JobKind, Loop};
use catalogue::metrics::{
    JOB_LAST_SUCCESS, JOB_QUEUE_DEAD, JOB_QUEUE_DEPTH, JOB_QUEUE_OLDEST_AGE, JOB_RUN_DURATION,
    LOOP_LAST_SUCCESS,
};
use signal::{ClosedSet, JobOutcome, Level};

use super::cases::{Case, case, fires_for, fires_for_time, silent};
use super::thresholds::{LONG, LOOP_AGE, QUEUE_AGE, SHORT, SHORTEST_LOOP_AGE};
use super::{Alert, DashboardUid, Look, Runbook, Series, Severity, metrics, shown};
use crate::query::{Scale, Vector, lines, select, spans};

pub(super) fn alerts(scale: Scale) -> Vec<Alert> {
    vec![jobs_failing(), job_queue_lagging(scale)]
}

pub(super) fn periodic_alerts(scale: Scale) -> Vec<Alert> {
    vec![periodic_job_stalled(scale)]
}

/// Kinds of jobs that are enqueued only once. The others get another chance at their next tick: see
/// [`periodic_job_stalled`].
fn enqueued_once() -> Vec<JobKind> {
    JobKind::ALL.iter().copied().filter(|kind| kind.period().is_none()).collect()
}

fn jobs_failing() -> Alert {
    let dead = || select(&JOB_QUEUE_DEAD).is_one_of(&enqueued_once()).now().max_by::<JobKind, _>();
    let waiting = |values| vec![Series::of(&JOB_QUEUE_DEAD, JobKind::SendEmail, values)];
    Alert {
        name: "JobsFailing",
        severity: Severity::Warning,
        condition: dead().above(0.0).into_expression(),
        pending: Duration::ZERO,
        keep_firing: Duration::ZERO,
        summary: format!("Jobs of kind {} were given up.", shown::<JobKind>()),
        description: format!(
            "{{{{ $value | printf \"%.0f\" }}}} jobs of kind {} failed for good and have been neither retried nor \
             discarded.",
            shown::<JobKind>()
        ),
        dashboard: DashboardUid::Background,
        runbook: Runbook {
            meaning: "A job failed in every attempt, or in a way that retries cannot fix. It is kept as a dead letter, \
                      and this alert fires until you retry or discard it. E-mails to invalid recipients do not count.",
            impact: "By kind: an e-mail is not sent, or an item not published.",
            confirm: vec![
                metrics("How many, by kind", &dead()),
                metrics(
                    "Outcomes of runs",
                    &select(&JOB_RUN_DURATION).count().increase(LONG).sum_by::<JobOutcome, _>(),
                ),
                Look::Logs("Why, in `error_cause`", lines(events::JOB_RUN).is(JobOutcome::Dead)),
                Look::Traces("What the last runs did", spans().is(JobOutcome::Dead)),
            ],
            remedy: &[
                "See what failed and why: `docker compose exec worker socialize dead-letters list`.",
                "Fix the cause. `send_email`: see EmailDeliveryFailing. `publish_content_item`: see PublishingFailing.",
                "Then `docker compose exec worker socialize dead-letters retry --all --kind KIND`, or with single ids. \
                 `discard` instead of `retry` deletes jobs.",
            ],
            escalate: "If `error_cause` names no dependency: it is a defect.",
        },
        fires_without_data: false,
        cases: vec![
            case("none", 20, waiting("0x20"), silent()),
            case("the first", 12, waiting("0x10 1x10"), fires_for(JobKind::SendEmail, "1")),
            case(
                "the first that publishes",
                12,
                vec![Series::of(&JOB_QUEUE_DEAD, JobKind::PublishContentItem, "0x10 1x10")],
                fires_for(JobKind::PublishContentItem, "1"),
            ),
            case("still there hours later", 300, waiting("0x10 1x300"), fires_for(JobKind::SendEmail, "1"))
                .long(),
            case("discarded", 40, waiting("0x10 2x10 0x20"), silent()),
            case(
                "the sampler is replaced",
                24,
                waiting("0x10 2x10 _x10"),
                fires_for(JobKind::SendEmail, "2"),
            ),
            case("nobody samples: LoopStalled says so", 35, waiting("0x10 2x10 _x20"), silent())
                .in_real_time(),
            case(
                "jobs that are tried again, or rejected by those they are for",
                20,
                vec![
                    Series::count(&JOB_RUN_DURATION, (JobKind::SendEmail, JobOutcome::Retry), "0+1x20"),
                    Series::count(&JOB_RUN_DURATION, (JobKind::SendEmail, JobOutcome::Rejected), "0+1x20"),
                    Series::of(&JOB_QUEUE_DEAD, JobKind::SendEmail, "0x20"),
                ],
                silent(),
            ),
            case(
                "a periodic job, whose next tick does the work",
                20,
                vec![Series::of(&JOB_QUEUE_DEAD, JobKind::CleanUpBlobs, "1x20")],
                silent(),
            ),
        ],
    }
}

/// Number of its periods that a job may go without a success.
const PERIODS: u32 = 3;

fn periodic_job_stalled(scale: Scale) -> Alert {
    let scheduler = || select(&LOOP_LAST_SUCCESS).is(Loop::Scheduler);
    let scheduler_runs =
        scheduler().lag().min().below(scale.of(LOOP_AGE).max(SHORTEST_LOOP_AGE).as_secs_f64());
    // Periods of the application do not shrink with the scale of the rules, so these windows are not scaled.
    let stalled = |kind: JobKind, period: Duration| {
        let limit = period * PERIODS;
        // The last success may have been reported by a process that has since ended.
        let last = select(&JOB_LAST_SUCCESS).is(kind).highest(limit).max_by::<JobKind, _>();
        let never = select(&JOB_LAST_SUCCESS).absent_for(kind, limit);
        // A new installation has not had enough time yet. After the machine was suspended every job is due,
        // and runs before the pending period ends.
        let had_time = scheduler().offset(limit).now().max();
        last.age().above(limit.as_secs_f64()).or(never).when(had_time)
    };
    let stalled = periodic().map(|(kind, period)| stalled(kind, period)).reduce(|all, kind| all.or(kind));
    let condition = stalled.unwrap_or_else(Vector::nothing).when(scheduler_runs);
    Alert {
        name: "PeriodicJobStalled",
        severity: Severity::Warning,
        condition: condition.into_expression(),
        pending: scale.of(SHORT),
        keep_firing: Duration::ZERO,
        summary: format!("The periodic job {} does not succeed.", shown::<JobKind>()),
        description: format!(
            "No process has completed the periodic job {} for three of its periods.",
            shown::<JobKind>()
        ),
        dashboard: DashboardUid::Background,
        runbook: Runbook {
            meaning: "A periodic job has not succeeded for three periods in any process. Its runs fail, take too long, \
                      or are not enqueued.",
            impact: "By kind: `give_up_publishing`: items stay `scheduled`. `expire_invites`: invites look pending. \
                     `clean_up_blobs` and `clean_up_tokens`: the disk and the tables fill up. \
                     `remind_stale_approvals`: reviewers get no reminders.",
            confirm: vec![
                metrics(
                    "Seconds since the last success, by kind",
                    &select(&JOB_LAST_SUCCESS).highest(Duration::from_hours(6)).max_by::<JobKind, _>().age(),
                ),
                metrics(
                    "Outcomes of its runs",
                    &select(&JOB_RUN_DURATION)
                        .is_one_of(&[JobOutcome::Retry, JobOutcome::Dead, JobOutcome::LostLease])
                        .count()
                        .increase(Duration::from_hours(3))
                        .sum_by_both::<JobKind, JobOutcome, _, _>()
                        .above(0.0),
                ),
                Look::Logs("Why, in `error_cause`", lines(events::JOB_RUN).at_least(Level::Warn)),
            ],
            remedy: &[
                "Its runs fail: `error_cause` says why. `timeout`: one run cannot complete the work; look for a lock \
                 or a missing index. `clean_up_blobs` with `denied`: the credentials of the store do not allow \
                 deletion.",
                "There are no runs: `select * from periodic_jobs` shows when each is due. If a wrong clock set a time \
                 far in the future, set `next_run_at` to `now()`.",
                "Discard its dead letters, because the next run does their work: `docker compose exec worker socialize \
                 dead-letters discard --all --kind KIND`.",
            ],
            escalate: "Within the working day, if runs fail and no dependency does.",
        },
        fires_without_data: false,
        cases: periodic_cases(),
    }
}

/// Periodic kinds of jobs.
fn periodic() -> impl Iterator<Item = (JobKind, Duration)> {
    JobKind::ALL.iter().filter_map(|kind| Some((*kind, kind.period()?)))
}

/// The cases of each kind, and of all kinds together.
fn periodic_cases() -> Vec<Case> {
    const RISING: &str = "0+60x500";
    let scheduler = |values: &str| Series::time(&LOOP_LAST_SUCCESS, Loop::Scheduler, values);
    // All other jobs succeed once a minute.
    let only = |which: JobKind, values: &str, of_scheduler: &str| {
        let others = periodic().filter(|(kind, _)| *kind != which);
        let mut series: Vec<Series> =
            others.map(|(kind, _)| Series::time(&JOB_LAST_SUCCESS, kind, RISING)).collect();
        series.extend((!values.is_empty()).then(|| Series::time(&JOB_LAST_SUCCESS, which, values)));
        series.push(scheduler(of_scheduler));
        series
    };
    let kinds = periodic().flat_map(|(kind, period)| {
        let limit = period.as_secs() / 60 * u64::from(PERIODS);
        let stalls = || fires_for(kind, "");
        // The last moment before the pending period ends, and its end.
        let after = |minutes: u64| ((minutes + 4) as f64 + 0.5, (minutes + 5) as f64);
        let (before, fails) = after(20 + limit);
        let failing =
            case("its runs fail", fails as u64 + 1, only(kind, "0+60x20 1200x500", RISING), stalls())
                .then(before, silent());
        let ended = format!("0+60x20 1200x{} _x500", limit * 9 / 20);
        let ended = case(
            "its runs failed, and then the process ended",
            fails as u64 + 1,
            only(kind, &ended, RISING),
            stalls(),
        );
        let gone = case(
            "the last process that succeeded has ended",
            fails as u64,
            only(kind, "0+60x20 _x500", RISING),
            stalls(),
        )
        .then(before, silent());
        let (before, never) = after(10 + limit);
        let mut new = only(kind, "", "_x10 600+60x500");
        new.push(Series::time(&LOOP_LAST_SUCCESS, Loop::Worker, RISING));
        let new = case("it has never succeeded", never as u64, new, stalls()).then(before, silent());
        [failing, ended, gone, new].map(Case::in_real_time)
    });
    let which = JobKind::ExpireInvites;
    let late = |seconds: u64| only(which, "0+60x20 1200x100", &format!("-{seconds}+60x100"));
    let in_its_period = |(kind, period): (JobKind, Duration)| {
        let minutes = period.as_secs() / 60;
        let runs = (0..400 / minutes).map(|run| format!("{}x{}", run * minutes * 60, minutes - 1));
        Series::time(&JOB_LAST_SUCCESS, kind, &runs.collect::<Vec<_>>().join(" "))
    };
    let well = periodic().map(in_its_period).chain([scheduler(RISING)]).collect();
    let together = [
        case("each succeeds in its period", 360, well, silent())
            .then(235.0, silent())
            .then(290.0, silent())
            .long(),
        case("its runs fail, and the scheduler is almost late", 50, late(170), fires_for(which, "")),
        case("its runs fail, and the scheduler is late", 50, late(190), silent()),
        case(
            "it succeeds in the second before it is late",
            60,
            only(which, "0+60x20 420+60x100", RISING),
            silent(),
        ),
        case("it succeeds too late", 60, only(which, "0+60x20 300+60x100", RISING), fires_for(which, "")),
        case(
            "the scheduler stands still: LoopStalled says so",
            60,
            only(which, "0+60x20 1200x100", "0+60x20 1200x100"),
            silent(),
        ),
    ];
    kinds.chain(together.map(Case::in_real_time)).collect()
}

fn job_queue_lagging(scale: Scale) -> Alert {
    let age = || select(&JOB_QUEUE_OLDEST_AGE).now().max_by::<JobKind, _>();
    let oldest = |values| vec![Series::time(&JOB_QUEUE_OLDEST_AGE, JobKind::SendEmail, values)];
    let late = |minutes| fires_for_time(JobKind::SendEmail, Duration::from_mins(minutes));
    Alert {
        name: "JobQueueLagging",
        severity: Severity::Warning,
        condition: age().above(scale.of(QUEUE_AGE).as_secs_f64()).into_expression(),
        pending: scale.of(SHORT),
        keep_firing: Duration::ZERO,
        summary: format!("Jobs of kind {} wait too long.", shown::<JobKind>()),
        description: format!(
            "The oldest due job of kind {} has been waiting for {{{{ $value | humanizeDuration }}}}.",
            shown::<JobKind>()
        ),
        dashboard: DashboardUid::Background,
        runbook: Runbook {
            meaning: "Jobs are due and no worker runs them, or there are more than the workers can run.",
            impact: "E-mails or publishing are late, depending on the kind.",
            confirm: vec![
                metrics("How many wait, by kind", &select(&JOB_QUEUE_DEPTH).now().max_by::<JobKind, _>()),
                metrics("Duration of runs", &select(&JOB_RUN_DURATION).quantile_by::<JobKind, _>(0.95, LONG)),
                metrics(
                    "Seconds since the last successful run",
                    &select(&JOB_LAST_SUCCESS).now().max_by::<JobKind, _>().age(),
                ),
            ],
            remedy: &[
                "No worker runs: see WorkerTelemetryMissing. A worker runs but starts no jobs: see WorkerStalled.",
                "Runs take long: the mail server or an endpoint is slow. Jobs of one workspace wait for each other, \
                 but delay no other.",
                "There is more work: raise `SOCIALIZE_JOB_CONCURRENCY` in `deploy/settings.env`, or start another \
                 worker.",
            ],
            escalate: "If the age keeps growing although workers run jobs.",
        },
        fires_without_data: false,
        cases: vec![
            case("jobs start at once", 20, oldest("0x20"), silent()),
            case("a job waits", 30, oldest("0+60x30"), late(30)),
            case("ten minutes", 30, oldest("0x5 600x30"), silent()),
            case("eleven minutes", 11, oldest("0x5 660x30"), late(11)).then(10.5, silent()),
            case("the queue is empty again", 21, oldest("0x5 660x14 0x30"), silent()),
        ],
    }
}
