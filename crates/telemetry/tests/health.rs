//! Health as probes see it, while dependencies fail, hang, block and recover.
//!
//! Long because each way in which a dependency can fail is a test.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant, SystemTime};

use serde_json::json;
use telemetry::health::{DependencyState, Health, HealthSettings, Readiness};
use telemetry::log::{Level, LevelFilter, LogOutput, TracingBridge, TracingBridgeSettings};
use telemetry::{ClosedSet, ErrorType};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ClosedSet)]
enum Peer {
    Postgres,
    Smtp,
    Blob,
}

/// The scripted result of a dependency check.
#[derive(Clone, Copy, Debug)]
enum CheckResult {
    Ok,
    Fails(ErrorType),
    Hangs,
    Panics,
}

#[derive(Clone)]
struct FakePeer {
    result: Arc<Mutex<CheckResult>>,
    checks: Arc<AtomicU64>,
}

impl FakePeer {
    fn new(result: CheckResult) -> Self {
        Self { result: Arc::new(Mutex::new(result)), checks: Arc::default() }
    }

    fn returns(&self, result: CheckResult) {
        *self.result.lock().unwrap_or_else(PoisonError::into_inner) = result;
    }

    fn checks(&self) -> u64 {
        self.checks.load(Ordering::Relaxed)
    }

    async fn check(self) -> Result<(), ErrorType> {
        self.checks.fetch_add(1, Ordering::Relaxed);
        let result = *self.result.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            CheckResult::Ok => Ok(()),
            CheckResult::Fails(error) => Err(error),
            CheckResult::Hangs => std::future::pending().await,
            CheckResult::Panics => panic!("a mistake in the check"),
        }
    }

    fn check_of(
        &self,
    ) -> impl Fn() -> std::pin::Pin<Box<dyn Future<Output = Result<(), ErrorType>> + Send>> + use<> {
        let peer = self.clone();
        move || Box::pin(peer.clone().check())
    }
}

fn health_of(postgres: &FakePeer, smtp: &FakePeer) -> Health<Peer> {
    Health::builder(HealthSettings::default())
        .required(Peer::Postgres, postgres.check_of())
        .optional(Peer::Smtp, smtp.check_of())
        .start()
}

/// Waits long enough for a check and its repetition to begin and to reach their time limits.
async fn after_a_round() {
    tokio::time::sleep(Duration::from_millis(5600)).await;
}

fn error_of(health: &Health<Peer>, peer: Peer) -> Option<&'static str> {
    let detail = health.detail();
    let dependency = detail.dependencies.iter().find(|dependency| dependency.name == peer.as_str());
    dependency.expect("a checked dependency").error_type
}

#[tokio::test(start_paused = true)]
async fn a_process_is_ready_when_it_has_started_and_its_dependencies_answer() {
    let (postgres, smtp) = (FakePeer::new(CheckResult::Ok), FakePeer::new(CheckResult::Ok));
    let health = health_of(&postgres, &smtp);
    assert_eq!(health.ready(), Readiness::Starting);
    assert_eq!(health.state(Peer::Postgres), Some(DependencyState::Unknown));
    assert!(!health.is_down(Peer::Postgres), "nothing is known yet");
    health.mark_started();
    assert_eq!(health.ready(), Readiness::Unavailable, "nothing is known yet");
    health.wait_for_first_results().await;
    assert_eq!(health.ready(), Readiness::Ready);
    assert!(health.ready().is_ready() && health.live());
    for peer in [Peer::Postgres, Peer::Smtp] {
        assert_eq!(health.state(peer), Some(DependencyState::Up));
    }
    assert!(!health.is_down(Peer::Postgres) && !health.is_down(Peer::Blob));
    assert_eq!(health.state(Peer::Blob), None, "it is not checked");
}

#[tokio::test(start_paused = true)]
async fn a_required_dependency_that_fails_makes_unavailable_and_recovers_by_itself() {
    let (postgres, smtp) = (FakePeer::new(CheckResult::Ok), FakePeer::new(CheckResult::Ok));
    let health = health_of(&postgres, &smtp);
    health.mark_started();
    health.wait_for_first_results().await;
    for (result, error) in [
        (CheckResult::Fails(ErrorType::ConnectionRefused), "connection_refused"),
        (CheckResult::Hangs, "timeout"),
        (CheckResult::Panics, "panic"),
    ] {
        postgres.returns(result);
        after_a_round().await;
        assert_eq!(health.ready(), Readiness::Unavailable, "{result:?}");
        assert_eq!(error_of(&health, Peer::Postgres), Some(error));
        assert_eq!(health.state(Peer::Postgres), Some(DependencyState::Down));
        assert!(health.is_down(Peer::Postgres));
        assert!(health.live(), "being alive depends on nobody else");
        postgres.returns(CheckResult::Ok);
        after_a_round().await;
        assert_eq!(health.ready(), Readiness::Ready, "{result:?}");
        assert_eq!(error_of(&health, Peer::Postgres), None);
        assert_eq!(health.state(Peer::Postgres), Some(DependencyState::Up));
        assert!(!health.is_down(Peer::Postgres));
    }
}

#[tokio::test(start_paused = true)]
async fn one_failure_changes_nothing_and_a_second_in_a_row_does() {
    let (postgres, smtp) = (FakePeer::new(CheckResult::Ok), FakePeer::new(CheckResult::Ok));
    let health = health_of(&postgres, &smtp);
    health.mark_started();
    health.wait_for_first_results().await;
    let up = || {
        let is_up = !health.is_down(Peer::Postgres);
        assert_eq!(health.ready().is_ready(), is_up);
        assert_eq!(health.state(Peer::Postgres) == Some(DependencyState::Up), is_up);
        is_up
    };
    // Checks begin every two seconds. The one at two seconds fails, and its repetition half a second later succeeds.
    for result in [CheckResult::Fails(ErrorType::ConnectionRefused), CheckResult::Hangs] {
        tokio::time::sleep(Duration::from_millis(1900)).await;
        postgres.returns(result);
        tokio::time::sleep(Duration::from_millis(200)).await;
        // One that is slow has failed when its time limit is reached.
        while error_of(&health, Peer::Postgres).is_none() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(up(), "one failure is not news");
        postgres.returns(CheckResult::Ok);
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert_eq!(error_of(&health, Peer::Postgres), None);
        assert!(up());
    }
    // The second check waits longer for a slow response, so that a busy machine is not reported as an outage.
    // Refusals are known at once.
    postgres.returns(CheckResult::Fails(ErrorType::ConnectionRefused));
    let checks = postgres.checks();
    while postgres.checks() < checks + 2 {
        assert!(up());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!up());
    // And one success suffices.
    postgres.returns(CheckResult::Ok);
    let checks = postgres.checks();
    while postgres.checks() == checks {
        assert!(!up());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(up());
}

#[tokio::test(start_paused = true)]
async fn a_dependency_that_fails_from_the_beginning_is_down_at_once() {
    let (postgres, smtp) =
        (FakePeer::new(CheckResult::Fails(ErrorType::DnsFailure)), FakePeer::new(CheckResult::Ok));
    let health = health_of(&postgres, &smtp);
    health.mark_started();
    health.wait_for_first_results().await;
    assert_eq!((health.ready(), postgres.checks()), (Readiness::Unavailable, 1));
    assert!(health.is_down(Peer::Postgres));
}

#[tokio::test(start_paused = true)]
async fn an_optional_dependency_that_fails_is_shown_and_stops_nothing() {
    let (postgres, smtp) =
        (FakePeer::new(CheckResult::Ok), FakePeer::new(CheckResult::Fails(ErrorType::AuthenticationFailed)));
    let health = health_of(&postgres, &smtp);
    health.mark_started();
    health.wait_for_first_results().await;
    assert_eq!(health.ready(), Readiness::Ready);
    assert_eq!(health.state(Peer::Smtp), Some(DependencyState::Down));
    assert_eq!(error_of(&health, Peer::Smtp), Some("authentication_failed"));
}

#[tokio::test(start_paused = true)]
async fn draining_is_for_good() {
    let (postgres, smtp) = (FakePeer::new(CheckResult::Ok), FakePeer::new(CheckResult::Ok));
    let health = health_of(&postgres, &smtp);
    health.mark_started();
    health.wait_for_first_results().await;
    health.clone().begin_drain();
    assert_eq!(health.ready(), Readiness::Draining);
    health.mark_started();
    after_a_round().await;
    assert_eq!(health.ready(), Readiness::Draining);
    assert!(health.live());
}

#[tokio::test(start_paused = true)]
async fn probing_is_no_load() {
    let (postgres, smtp) = (FakePeer::new(CheckResult::Ok), FakePeer::new(CheckResult::Ok));
    let health = health_of(&postgres, &smtp);
    health.wait_for_first_results().await;
    for _ in 0..1000 {
        health.ready();
        health.live();
        health.detail();
    }
    assert_eq!(postgres.checks(), 1);
    tokio::time::sleep(Duration::from_secs(21)).await;
    assert_eq!(postgres.checks(), 11);
}

#[tokio::test(start_paused = true)]
async fn checks_end_with_the_last_owner() {
    let (postgres, smtp) = (FakePeer::new(CheckResult::Ok), FakePeer::new(CheckResult::Hangs));
    let health = health_of(&postgres, &smtp);
    let clone = health.clone();
    drop(health);
    after_a_round().await;
    let checks = postgres.checks();
    assert!(checks > 1);
    drop(clone);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(postgres.checks(), checks);
    assert_eq!(Arc::strong_count(&smtp.checks), 1, "the check that hangs is gone too");
}

#[tokio::test(start_paused = true)]
async fn the_detail_says_everything_an_operator_asks() {
    let (postgres, smtp) = (FakePeer::new(CheckResult::Ok), FakePeer::new(CheckResult::Ok));
    let health = health_of(&postgres, &smtp);
    health.mark_started();
    let first = serde_json::to_value(health.detail()).expect("serialised");
    assert_eq!(
        first["dependencies"][1],
        json!({
            "name": "smtp", "required_for_readiness": false, "state": "unknown", "state_age_seconds": 0.0,
            "result_age_seconds": null, "last_success_age_seconds": null, "check_duration_ms": null
        })
    );
    tokio::time::sleep(Duration::from_millis(500)).await;
    smtp.returns(CheckResult::Hangs);
    tokio::time::sleep(Duration::from_millis(3000)).await;
    let detail = serde_json::to_value(health.detail()).expect("serialised");
    assert_eq!(
        detail,
        json!({
            "live": true,
            "readiness": "ready",
            "dependencies": [
                {
                    "name": "postgres", "required_for_readiness": true, "state": "up", "state_age_seconds": 3.5,
                    "result_age_seconds": 1.5, "last_success_age_seconds": 1.5, "check_duration_ms": 0.0
                },
                {
                    "name": "smtp", "required_for_readiness": false, "state": "up", "state_age_seconds": 3.5,
                    "result_age_seconds": 0.5, "last_success_age_seconds": 3.5, "check_duration_ms": 1000.0,
                    "error.type": "timeout"
                }
            ]
        })
    );
    // The repetition ends two seconds after it began, which was half a second after the first failure.
    tokio::time::sleep(Duration::from_millis(2300)).await;
    let detail = serde_json::to_value(health.detail()).expect("serialised");
    let smtp = &detail["dependencies"][1];
    assert_eq!((&smtp["state"], &smtp["error.type"]), (&json!("down"), &json!("timeout")));
    assert_eq!(smtp["check_duration_ms"], json!(2000.0));
}

#[derive(Default)]
struct Lines(Mutex<Vec<serde_json::Value>>);

impl LogOutput for Lines {
    fn line(&self, _level: Level, line: &[u8]) {
        let line = serde_json::from_slice(line).expect("valid JSON");
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_is_logged_once() {
    let lines = Arc::new(Lines::default());
    let settings = TracingBridgeSettings {
        allowed_fields: &["dependency", "error.type"],
        own_targets: &["telemetry"],
        current_ids: || None,
        now: || SystemTime::UNIX_EPOCH,
    };
    let bridge = TracingBridge::new(settings, LevelFilter::default(), lines.clone());
    let _guard = bridge.install_on_this_thread();
    let (postgres, smtp) = (FakePeer::new(CheckResult::Ok), FakePeer::new(CheckResult::Ok));
    let health = health_of(&postgres, &smtp);
    health.wait_for_first_results().await;
    postgres.returns(CheckResult::Fails(ErrorType::ConnectionRefused));
    tokio::time::sleep(Duration::from_secs(30)).await;
    postgres.returns(CheckResult::Ok);
    tokio::time::sleep(Duration::from_secs(30)).await;
    let at = |level: &str, event: &str| {
        json!({
            "timestamp": "1970-01-01T00:00:00.000000Z",
            "level": level,
            "event": event,
            "dependency": "postgres",
        })
    };
    let mut down = at("warn", "dependency.down");
    down["error.type"] = json!("connection_refused");
    let lines = lines.0.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(*lines, [down, at("info", "dependency.up")]);
}

#[track_caller]
fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "still waiting for {what}");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

fn impatient() -> HealthSettings {
    HealthSettings {
        interval: Duration::from_millis(20),
        time_limit: Duration::from_millis(10),
        confirm_after: Duration::from_millis(5),
        confirm_time_limit: Duration::from_millis(20),
        stale_after_intervals: 3,
    }
}

#[test]
fn a_check_that_blocks_its_thread_grows_stale_and_is_not_started_twice() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .expect("a runtime");
    let _entered = runtime.enter();
    let (release, released) = mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let begun = Arc::new(AtomicU64::new(0));
    let health = Health::builder(impatient())
        .required(Peer::Postgres, {
            let begun = Arc::clone(&begun);
            move || {
                let (released, begun) = (Arc::clone(&released), Arc::clone(&begun));
                async move {
                    begun.fetch_add(1, Ordering::Relaxed);
                    // Blocks the worker thread until the test releases it. Later calls return
                    // immediately.
                    let _ = released.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    Ok(())
                }
            }
        })
        .start();
    health.mark_started();
    wait_until("the result to grow stale", || error_of(&health, Peer::Postgres) == Some("stale"));
    assert_eq!(health.ready(), Readiness::Unavailable);
    assert_eq!(health.state(Peer::Postgres), Some(DependencyState::Unknown));
    assert_eq!(begun.load(Ordering::Relaxed), 1);
    drop(release);
    wait_until("recovery", || health.ready() == Readiness::Ready);
}

/// On a stuck event loop the last results are still good, but they are stale.
#[test]
fn results_of_a_stuck_event_loop_are_unknown_and_not_up() {
    let (release, released) = mpsc::channel::<()>();
    let (send_health, health) = mpsc::channel();
    let event_loop = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async {
            let health = Health::builder(impatient()).required(Peer::Postgres, || async { Ok(()) }).start();
            health.mark_started();
            health.wait_for_first_results().await;
            send_health.send(health).expect("the test is there");
            let _ = released.recv();
        });
    });
    let health = health.recv().expect("the loop runs");
    wait_until("the result to be unknown", || health.state(Peer::Postgres) == Some(DependencyState::Unknown));
    let detail = serde_json::to_value(health.detail()).expect("serialised");
    let dependency = &detail["dependencies"][0];
    assert_eq!((&dependency["state"], &dependency["error.type"]), (&json!("unknown"), &json!("stale")));
    assert!(dependency["state_age_seconds"].as_f64() < dependency["result_age_seconds"].as_f64());
    assert_eq!(detail["live"], false);
    assert_eq!(health.ready(), Readiness::Unavailable);
    drop(release);
    event_loop.join().expect("the loop ends well");
}

#[test]
fn a_stuck_event_loop_is_not_alive() {
    let (release, released) = mpsc::channel::<()>();
    let (send_health, health) = mpsc::channel();
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let event_loop = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async {
            let health: Health<Peer> = Health::builder(impatient()).start();
            send_health.send(health).expect("the test is there");
            // Block the event loop, which is the defect under test.
            let _ = released.recv();
            let _ = ended.await;
        });
    });
    let health = health.recv().expect("the loop runs");
    wait_until("the loop to be found stuck", || !health.live());
    drop(release);
    wait_until("the loop to run again", || health.live());
    drop(end);
    event_loop.join().expect("the loop ends well");
}
