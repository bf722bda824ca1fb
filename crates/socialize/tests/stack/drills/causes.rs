//! The faults in order. Those that make requests fail come last, because their error budgets are remembered
//! for long.
//!
//! Long because it is a table with a row for each fault.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use http::StatusCode;
use monitoring::rules::CORE_ACTIONS;
use nix::sys::signal::Signal;
use sqlx::{Connection, PgConnection};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::world::World;
use super::{AFTER_RESTART, Drill, Drills, UNDISTURBED};
use super::{arrival, background};
use crate::application::{API, BLOBS_DIRECTORY, MAIL_DIRECTORY};
use crate::notifications;
use crate::programs::Program;

pub(super) const LOG_DIRECTORY: &str = "/var/log/socialize";

/// Advisory lock of the gauge sampler.
const GAUGE_SAMPLER_LOCK: i64 = 0x736f_6369_616c_697a + 1;

const A_WEEK_AGO: Duration = Duration::from_hours(7 * 24);

pub(super) async fn all(drills: &mut Drills) {
    nobody_there(drills).await;
    people_at_work(drills).await;
    drills.world.let_user_work().await;
    restarts(drills).await;
    rolling_deploy(drills).await;
    bug_report(drills).await;
    background::mail(drills).await;
    logins_failing(drills).await;
    workflow_failing(drills).await;
    gauges_drifted(drills).await;
    quota_almost_used(drills).await;
    background::backlogs_growing(drills).await;
    background::schedule_moved(drills).await;
    sampler_killed(drills).await;
    silence(drills).await;
    queue_locked(drills).await;
    worker_killed(drills).await;
    arrival::collector_disk_full(drills).await;
    loki_stopped(drills).await;
    collector_stopped(drills).await;
    rules_broken(drills).await;
    arrival::line_refused(drills).await;
    arrival::log_file_not_read(drills).await;
    arrival::spans_taken_by_a_stranger(drills).await;
    proxy_stopped(drills).await;
    certificate_ending(drills).await;
    api_stopped(drills).await;
    endpoint_failing(drills).await;
    disk_full(drills).await;
    background::blobs_deleted(drills).await;
    blobs_gone(drills).await;
    api_panics(drills).await;
    api_hangs(drills).await;
    api_crashes(drills).await;
    postgres_slow(drills).await;
    pool_starved(drills).await;
    postgres_stopped(drills).await;
}

async fn nobody_there(drills: &mut Drills) {
    drills.undisturbed("nothing, and nobody is there", UNDISTURBED, &[], async |_| ()).await;
}

async fn people_at_work(drills: &mut Drills) {
    let explained = &[("BugReported", "some of the simulated people report bugs")];
    let people = async |world: &mut World| {
        let mut command = Command::new(test_support::process::laboratory());
        command.arg("simulate").args(["--target", API, "--mail-directory", MAIL_DIRECTORY]);
        // They exit before the time is over.
        command.args(["--rate", "12", "--for", "50s", "--seed", "7"]);
        Program::start("people", command, &world.logs)
    };
    let mut simulation = None;
    drills
        .undisturbed("nothing, and simulated people are at work", UNDISTURBED, explained, async |world| {
            simulation = Some(people(world).await);
        })
        .await;
    if let Some(simulation) = simulation {
        simulation.finish();
    }
}

async fn restarts(drills: &mut Drills) {
    drills
        .undisturbed("the worker and the API are restarted", AFTER_RESTART, &[], async |world| {
            world.application.worker.stop();
            world.start_worker().await;
            world.application.api.stop();
            world.start_api().await;
        })
        .await;
}

async fn rolling_deploy(drills: &mut Drills) {
    drills
        .undisturbed(
            "one of two APIs is replaced, and then there is one again",
            AFTER_RESTART,
            &[],
            async |world| {
                let mut second = world.start_second_api().await;
                world.application.api.stop();
                world.start_api().await;
                second.stop();
            },
        )
        .await;
}

async fn bug_report(drills: &mut Drills) {
    let drill = Drill { cause: "a user reports a bug", fires: &["BugReported"], explained: &[] };
    drills.drill(drill, async |world| world.user().report_bug().await, async |_, ()| ()).await;
}

async fn logins_failing(drills: &mut Drills) {
    let drill = Drill {
        cause: "thirty attempts to log in with a wrong password",
        fires: &["LoginsFailing"],
        explained: &[],
    };
    let attempts = async |world: &mut World| {
        for _ in 0..30 {
            world.user().fail_to_log_in().await;
        }
    };
    drills.drill(drill, attempts, async |_, ()| ()).await;
}

/// As after a release in which frontend and API disagree.
async fn workflow_failing(drills: &mut Drills) {
    let drill = Drill {
        cause: "six changes of names, all of them refused",
        fires: &["WorkflowFailing"],
        explained: &[],
    };
    drills
        .drill(
            drill,
            async |world| {
                for _ in 0..6 {
                    world.user().rename_in_vain().await;
                }
            },
            async |_, ()| {},
        )
        .await;
}

async fn gauges_drifted(drills: &mut Drills) {
    let drill = Drill {
        cause: "the count of drafts is one too high",
        fires: &["GaugesDrifted{gauge=content_items}"],
        explained: &[],
    };
    drills
        .drill(
            drill,
            async |world| {
                let statement = "insert into gauge_transitions (gauge, to_status, count) values ('content_items', \
                                 'draft', 1)";
                execute(world, statement).await;
            },
            async |world, ()| world.operate(&["gauges", "repair"]),
        )
        .await;
}

async fn quota_almost_used(drills: &mut Drills) {
    let drill = Drill {
        cause: "an organization has uploaded almost as much as it may",
        fires: &["QuotaNear{quota=storage_per_organization}"],
        explained: &[],
    };
    drills
        .drill(
            drill,
            async |world| {
                let statement = "insert into organization_storage as storage (organization_id, bytes)
                     select id, 50000000000 from organizations limit 1
                     on conflict (organization_id) do update set bytes = storage.bytes + excluded.bytes";
                execute(world, statement).await;
            },
            async |world, ()| {
                execute(
                    world,
                    "update organization_storage set bytes = bytes - 50000000000 where bytes >= 50000000000",
                )
                .await;
            },
        )
        .await;
}

async fn sampler_killed(drills: &mut Drills) {
    let drill = Drill {
        cause: "the sampler's session is killed, and another session keeps its lock",
        fires: &["SamplerStale"],
        explained: &[],
    };
    drills
        .drill(
            drill,
            async |world| {
                let mut other = connect(world).await;
                let taken = tokio::spawn(async move {
                    sqlx::query("select pg_advisory_lock($1)")
                        .bind(GAUGE_SAMPLER_LOCK)
                        .execute(&mut other)
                        .await
                        .expect("the lock");
                    other
                });
                let waits = "select pg_terminate_backend(holder.pid) from pg_locks holder join pg_locks waiting \
                    using (locktype, classid, objid, objsubid) \
                    where locktype = 'advisory' and holder.granted and not waiting.granted";
                let mut killer = connect(world).await;
                crate::programs::eventually("that somebody waits for the lock", async || {
                    let killed = sqlx::query(waits).fetch_all(&mut killer).await.expect("a result");
                    if killed.is_empty() { Err("nobody does".to_owned()) } else { Ok(()) }
                })
                .await;
                taken.await.expect("a thread")
            },
            async |_, other| other.close().await.expect("a goodbye"),
        )
        .await;
}

pub(super) const SILENCE: &str =
    "nobody creates anything any more, after three actions a second in the same hours a week ago";

async fn silence(drills: &mut Drills) {
    let drill = Drill {
        cause: SILENCE,
        fires: &["CoreUsageQuiet"],
        explained: &[
            (
                "TelemetryMissing",
                "Prometheus is started once more, with what it would remember of a week ago",
            ),
            (
                "WorkerTelemetryMissing",
                "Prometheus is started once more, with what it would remember of a week ago",
            ),
            ("ProbesMissing", "Prometheus is started once more, with what it would remember of a week ago"),
        ],
    };
    drills
        .drill(
            drill,
            async |world| {
                world.remember(&CORE_ACTIONS, A_WEEK_AGO, 3.0).await;
                world.user.as_ref().expect("a user").1.only_reads.store(true, Ordering::Relaxed);
            },
            async |world, ()| {
                world.user.as_ref().expect("a user").1.only_reads.store(false, Ordering::Relaxed);
                // They have to catch up first.
                for _ in 0..150 {
                    world.user().comment().await;
                }
            },
        )
        .await;
}

async fn proxy_stopped(drills: &mut Drills) {
    let drill = Drill {
        cause: "the proxy before the API is stopped",
        fires: &["PublicUrlUnreachable"],
        explained: &[],
    };
    drills
        .drill(
            drill,
            async |world| world.proxy.stop().await,
            async |world, ()| world.proxy.start_again().await,
        )
        .await;
}

async fn certificate_ending(drills: &mut Drills) {
    let drill = Drill {
        cause: "the proxy has a certificate that ends in five hours",
        fires: &["CertificateEnding{probe=public}"],
        explained: &[],
    };
    drills
        .drill(drill, async |world| world.proxy.forget_to_renew(), async |world, ()| world.proxy.renew())
        .await;
}

async fn api_stopped(drills: &mut Drills) {
    let drill = Drill {
        cause: "the only API is stopped",
        fires: &["ApiUnreachable", "TelemetryMissing"],
        explained: &[],
    };
    drills
        .drill(drill, async |world| world.application.api.stop(), async |world, ()| world.start_api().await)
        .await;
}

async fn endpoint_failing(drills: &mut Drills) {
    let drill = Drill {
        cause: "the publishing endpoint of simulated people answers 503",
        fires: &["PublishingFailing"],
        explained: &[("BugReported", "some of the simulated people report bugs")],
    };
    drills
        .drill(
            drill,
            async |world| {
                let fails = Arc::new(AtomicBool::new(true));
                let failing = fails.clone();
                let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
                let endpoint = format!("http://{}", listener.local_addr().expect("its address"));
                let respond = async move || match failing.load(Ordering::Relaxed) {
                    true => StatusCode::SERVICE_UNAVAILABLE,
                    false => StatusCode::NO_CONTENT,
                };
                let router = Router::new().fallback(respond);
                tokio::spawn(async move { axum::serve(listener, router).await });
                let mut command = Command::new(test_support::process::laboratory());
                command.arg("simulate").args(["--target", API, "--mail-directory", MAIL_DIRECTORY]);
                command.args([
                    "--publishing-endpoint",
                    &endpoint,
                    "--rate",
                    "12",
                    "--for",
                    "1h",
                    "--seed",
                    "7",
                ]);
                (Program::start("people", command, &world.logs), fails)
            },
            async |_, (people, fails)| {
                fails.store(false, Ordering::Relaxed);
                drop(people);
            },
        )
        .await;
}

async fn queue_locked(drills: &mut Drills) {
    let drill = Drill {
        cause: "another session locks the table of jobs while two are due",
        fires: &["WorkerStalled{loop=worker}", "JobQueueLagging{job_kind=send_email}"],
        explained: &[
            ("LoopStalled", "other loops write to the table as well"),
            ("LoopFailing", "statements that wait for the lock are ended after ten seconds"),
            ("JobQueueLagging", "jobs of other kinds wait as well"),
            ("DatabaseSlow", "few statements are sent, and some of them wait for the lock"),
        ],
    };
    drills
        .drill(
            drill,
            async |world| {
                world.user.as_ref().expect("a user").1.only_reads.store(true, Ordering::Relaxed);
                world.application.worker.signal(Signal::SIGSTOP);
                for _ in 0..2 {
                    world.user().forget_password().await;
                }
                let mut other = connect(world).await;
                sqlx::raw_sql("begin; lock table jobs in exclusive mode")
                    .execute(&mut other)
                    .await
                    .expect("the lock");
                world.application.worker.signal(Signal::SIGCONT);
                other
            },
            async |world, other| {
                other.close().await.expect("a goodbye");
                world.user.as_ref().expect("a user").1.only_reads.store(false, Ordering::Relaxed);
            },
        )
        .await;
}

async fn worker_killed(drills: &mut Drills) {
    let drill = Drill {
        cause: "the only worker is killed",
        fires: &["WorkerTelemetryMissing"],
        explained: &[("SamplerStale", "only workers sample")],
    };
    drills
        .drill(
            drill,
            async |world| world.application.worker.signal(Signal::SIGKILL),
            async |world, ()| world.start_worker().await,
        )
        .await;
}

async fn loki_stopped(drills: &mut Drills) {
    let drill = Drill { cause: "Loki is stopped", fires: &["StackTargetDown{job=loki}"], explained: &[] };
    drills.drill(drill, async |world| world.loki.stop(), async |world, ()| world.start_loki().await).await;
}

async fn collector_stopped(drills: &mut Drills) {
    let drill = Drill {
        cause: "the collector is stopped",
        fires: &["CollectorDown", "TelemetryMissing", "WorkerTelemetryMissing"],
        explained: &[],
    };
    drills
        .drill(drill, async |world| world.collector.stop(), async |world, ()| world.start_collector().await)
        .await;
}

async fn rules_broken(drills: &mut Drills) {
    let drill = Drill {
        cause: "Prometheus is told to read a rule file that is broken",
        fires: &["RulesFailing"],
        explained: &[],
    };
    let reload = |world: &World| world.prometheus_program.signal(Signal::SIGHUP);
    drills
        .drill(
            drill,
            async |world| {
                let broken = world.rules_directory().join("broken.yml");
                std::fs::write(broken, "groups: nonsense").expect("a file");
                reload(world);
            },
            async |world, ()| {
                std::fs::remove_file(world.rules_directory().join("broken.yml")).expect("the file");
                reload(world);
            },
        )
        .await;
}

async fn disk_full(drills: &mut Drills) {
    let filler = Path::new(LOG_DIRECTORY).join("filler");
    let drill = Drill {
        cause: "somebody fills the disk of the log files",
        fires: &["DiskAlmostFull{disk=logs}", "DiskFilling{disk=logs}", "TelemetryDropped{signal=logs}"],
        explained: &[("LogsNotArriving", "lines that cannot be written do not arrive in Loki")],
    };
    drills
        .drill(
            drill,
            async |_| {
                let status = Command::new("mount").args(["-o", "remount,size=64m", LOG_DIRECTORY]).status();
                assert!(status.expect("mount").success(), "the disk of the log files cannot be made small");
                let mut file = std::fs::File::create(&filler).expect("a file");
                // Until the disk is full.
                let _ = std::io::copy(&mut std::io::repeat(b'x'), &mut file);
            },
            async |_, ()| std::fs::remove_file(&filler).expect("the file"),
        )
        .await;
}

async fn blobs_gone(drills: &mut Drills) {
    let drill = Drill {
        cause: "the directory of uploaded files cannot be written",
        fires: &["BlobStorageFailing", "DependencyUnreachable{dependency=blob_store}", "RouteFailing"],
        explained: FAILED_REQUESTS,
    };
    let away = format!("{BLOBS_DIRECTORY}-away");
    drills
        .drill(
            drill,
            async |world| {
                let status = world.user().upload().await;
                assert!(status.is_some_and(|status| status.is_success()), "without trouble: {status:?}");
                std::fs::rename(BLOBS_DIRECTORY, &away).expect("a directory to move");
                // Not even root can write to a file as if it were a directory.
                std::fs::write(BLOBS_DIRECTORY, "in the way").expect("a file");
                for _ in 0..6 {
                    let status = world.user().upload().await;
                    assert!(status.is_none_or(|status| status.is_server_error()), "{status:?}");
                }
            },
            async |_, ()| {
                std::fs::remove_file(BLOBS_DIRECTORY).expect("the file");
                std::fs::rename(&away, BLOBS_DIRECTORY).expect("the directory to come back");
            },
        )
        .await;
}

/// No way to make a released program panic is known, so a special build panics on request.
async fn api_panics(drills: &mut Drills) {
    let drill = Drill {
        cause: "the API panics, which only a build for it does",
        fires: &["Panicked"],
        explained: FAILED_REQUESTS,
    };
    drills
        .drill(
            drill,
            async |world| {
                world.application.api.stop();
                world.start_api_that_misbehaves().await;
                assert_eq!(world.user().cause_panic().await, StatusCode::INTERNAL_SERVER_ERROR);
            },
            async |world, ()| {
                world.application.api.stop();
                world.start_api().await;
            },
        )
        .await;
}

/// Returns the alerts that this one explains according to the runbook, with the reasons, and others that this
/// drill explains.
fn explained_by(
    alert: &str,
    others: &[(&'static str, &'static str)],
) -> &'static [(&'static str, &'static str)] {
    let explained = monitoring::rules::causes::explained_by(alert).into_iter();
    let mut pairs: Vec<_> = explained.map(|(series, reason)| (series.alert, reason)).collect();
    pairs.extend(others);
    // Leaks once in a program that exits soon.
    pairs.leak()
}

/// The same build hangs all its worker threads on request.
async fn api_hangs(drills: &mut Drills) {
    let drill = Drill {
        cause: "all worker threads of the API stand still, which only a build for it does",
        fires: &["ProcessHung{role=serve}"],
        explained: explained_by(
            "ProcessHung",
            &[("ProcessCrashLooping", "it was started for other drills within the hour")],
        ),
    };
    drills
        .drill(
            drill,
            async |world| {
                world.application.api.stop();
                world.start_api_that_misbehaves().await;
                world.user().cause_hang().await;
            },
            async |world, ()| {
                // It cannot react to a graceful stop.
                world.application.api.kill();
                world.start_api().await;
            },
        )
        .await;
}

async fn api_crashes(drills: &mut Drills) {
    let drill = Drill {
        cause: "the API is killed five times, soon after each start",
        fires: &["ProcessCrashLooping{role=serve}"],
        explained: explained_by("ProcessCrashLooping", &[]),
    };
    drills
        .drill(
            drill,
            async |world| {
                for _ in 0..5 {
                    world.application.api.kill();
                    world.start_api().await;
                    // Let it report for a while.
                    tokio::time::sleep(Duration::from_secs(3)).await;
                }
            },
            async |_, ()| (),
        )
        .await;
}

/// Alerts that may fire whenever requests fail or wait.
pub(super) const FAILED_REQUESTS: &[(&str, &str)] = &[
    ("HighErrorRate", "requests fail"),
    ("ErrorsAtLowTraffic", "requests fail"),
    ("AvailabilityBudgetBurningFast", "requests fail"),
    ("AvailabilityBudgetBurningSlow", "requests fail"),
    ("HighLatency", "requests wait"),
    ("LatencyBudgetBurning", "requests wait"),
    ("RouteFailing", "requests fail"),
    ("RouteSlow", "requests wait"),
];

async fn postgres_slow(drills: &mut Drills) {
    let drill = Drill {
        cause: "another session locks the table of users for 1.5 s, again and again",
        fires: &["HighLatency", "DatabaseSlow", "LatencyBudgetBurning", "RouteSlow"],
        explained: FAILED_REQUESTS,
    };
    drills
        .drill(drill, async |world| lock_users(world, "1.5").await, async |_, locking| end(locking).await)
        .await;
}

async fn pool_starved(drills: &mut Drills) {
    let drill = Drill {
        cause: "another session keeps the table of users locked, so that requests keep all connections",
        fires: &[
            "ConnectionPoolStarved",
            "HighErrorRate",
            "ErrorsAtLowTraffic",
            "AvailabilityBudgetBurningFast",
        ],
        explained: &[
            ("HighLatency", "requests wait"),
            ("LatencyBudgetBurning", "requests wait"),
            ("AvailabilityBudgetBurningSlow", "requests fail"),
            ("DatabaseSlow", "statements wait for the lock"),
            ("LoopFailing", "jobs that send e-mails read the table"),
            ("RouteFailing", "requests fail"),
            ("RouteSlow", "requests wait"),
        ],
    };
    drills
        .drill(drill, async |world| lock_users(world, "3600").await, async |_, locking| end(locking).await)
        .await;
}

async fn postgres_stopped(drills: &mut Drills) {
    let cause = "Postgres is stopped";
    let drill = Drill {
        cause,
        fires: &["PostgresUnreachable", "HighErrorRate", "LoopFailing{loop=worker}"],
        explained: explained_by("PostgresUnreachable", &[]),
    };
    drills
        .drill(
            drill,
            async |world| {
                world.notifications.take();
                world.application.postgres.interrupt();
            },
            async |world, ()| {
                notifications::told(&world.notifications, "PostgresUnreachable").await;
                world.application.postgres.resume().expect("Postgres comes back");
            },
        )
        .await;
    drills.only_told_of(cause, &["PostgresUnreachable"]);
}

async fn connect(world: &World) -> PgConnection {
    PgConnection::connect(world.database().expose()).await.expect("a connection")
}

pub(super) async fn execute(world: &World, statement: &'static str) {
    let mut connection = connect(world).await;
    sqlx::query(statement).execute(&mut connection).await.expect("a statement");
}

/// Keeps the table locked for this many seconds at a time, until the task is aborted.
async fn lock_users(world: &World, seconds: &str) -> JoinHandle<()> {
    let mut connection = connect(world).await;
    let seconds: f64 = seconds.parse().expect("a number");
    tokio::spawn(async move {
        loop {
            let mut transaction = connection.begin().await.expect("a transaction");
            let lock = "lock table users in access exclusive mode";
            sqlx::query(lock).execute(&mut *transaction).await.expect("the lock");
            tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
            transaction.rollback().await.expect("the end of the transaction");
            // Lets waiting statements take their turn.
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
    })
}

/// Dropping the session ends its transaction.
async fn end(locking: JoinHandle<()>) {
    locking.abort();
    let _ = locking.await;
}
