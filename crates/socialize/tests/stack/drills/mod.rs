//! Each alert is made to fire by a real fault, in the real Prometheus and with the running application, and
//! must resolve when the fault is gone. Any other alert that fires meanwhile is explained here, or fails the
//! drill.
//!
//! `./test drills` runs this. Time runs [`FACTOR`](world::FACTOR) times faster for the rules only: the
//! application's retries, checks and timeouts keep their own pace.

mod alerts;
mod arrival;
mod background;
mod causes;
mod console;
mod mail_server;
mod public_proxy;
mod report;
mod world;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use alerts::is;
use report::Row;
use world::World;

use crate::programs::PATIENCE;
use crate::report::say;

/// Alerts with windows of hours or days, which keep firing during the following drills even at the faster
/// scale: for 4 minutes to more than two hours. The drills do not wait until they resolve; promtool's cases
/// cover that.
const LASTING: &[&str] =
    &["AvailabilityBudgetBurningSlow", "LatencyBudgetBurning", "RouteFailing", "WorkflowFailing"];

/// Drills for which Prometheus is given a history that the console does not have.
const HISTORY_OF_PROMETHEUS_ONLY: &[&str] = &[causes::SILENCE];

/// Selects drills by a part of their fault, separated by commas; all if it is not set.
const ONLY: &str = "SOCIALIZE_DRILLS_ONLY";

/// Undisturbed time at real scale: as long as the longest window of alerts without windows of hours, and as
/// most drills take.
const UNDISTURBED: Duration = Duration::from_mins(30);

/// Time after a restart in which no alert may fire: longer than the pending period of any alert that a
/// restart could cause.
const AFTER_RESTART: Duration = Duration::from_mins(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes real programs and a network of its own: `./test drills` runs it"]
async fn every_alert_fires_by_its_cause_and_resolves() {
    let logs = tempfile::tempdir().expect("a directory");
    let world = World::start(crate::compose_file(), crate::http_client(), logs.path()).await;
    #[expect(clippy::disallowed_methods, reason = "this is where the test's configuration is read")]
    let only = std::env::var(ONLY).ok();
    let mut drills = Drills { world, only, rows: Vec::new(), failures: Vec::new(), began: Instant::now() };
    causes::all(&mut drills).await;
    println!("\n{}", report::text(&drills.rows, drills.began.elapsed()));
    let failures = drills.failures.join("\n");
    assert!(failures.is_empty(), "{failures}");
}

/// Returns whether an alert, with or without its labels, keeps firing long after its fault is gone.
fn lasts(alert: &str) -> bool {
    LASTING.iter().any(|lasting| is(alert, lasting))
}

/// A fault and the alerts that it causes.
struct Drill {
    cause: &'static str,
    /// Alerts that must fire and must resolve.
    fires: &'static [&'static str],
    /// Alerts that may fire as well, each with the reason.
    explained: &'static [(&'static str, &'static str)],
}

struct Drills {
    world: World,
    only: Option<String>,
    rows: Vec<Row>,
    failures: Vec<String>,
    began: Instant,
}

impl Drills {
    /// Injects the fault, waits for its alerts, removes it, and waits until no alert fires.
    async fn drill<T>(
        &mut self,
        drill: Drill,
        bring_about: impl AsyncFnOnce(&mut World) -> T,
        mend: impl AsyncFnOnce(&mut World, T),
    ) {
        if !self.is_wanted(drill.cause) {
            return;
        }
        self.world.renew_session().await;
        let lasting = self.begin(drill.cause).await;

        let began = Instant::now();
        let trouble = bring_about(&mut self.world).await;
        let fired =
            self.wait(drill.fires, began, |firing, alert| firing.iter().any(|one| is(one, alert))).await;
        // A fault that is mended at once might never reach a console that is about to see it.
        self.world.let_console_catch_up().await;
        let mended = Instant::now();
        mend(&mut self.world, trouble).await;
        let is_over =
            |firing: &BTreeSet<String>, alert: &str| lasts(alert) || !firing.iter().any(|one| is(one, alert));
        let resolved = self.wait(drill.fires, mended, is_over).await;
        self.quiet().await;
        self.compare_with_console(drill.cause, drill.fires).await;

        for (position, alert) in drill.fires.iter().enumerate() {
            if fired[position].is_none() {
                self.fail(drill.cause, &format!("{alert} did not fire"));
            } else if resolved[position].is_none() {
                self.fail(drill.cause, &format!("{alert} did not resolve"));
            }
        }
        let ever = self.world.alerts.ever();
        let others: Vec<String> = ever
            .difference(&lasting)
            .filter(|one| !drill.fires.iter().any(|alert| is(one, alert)))
            .cloned()
            .collect();
        for other in &others {
            if !drill.explained.iter().any(|(alert, _)| is(other, alert)) {
                self.fail(drill.cause, &format!("{other} fired as well, and nothing explains it"));
            }
        }
        let alerts =
            drill.fires.iter().zip(fired.into_iter().zip(resolved)).map(|(alert, times)| (*alert, times));
        self.add(Row { cause: drill.cause, alerts: alerts.collect(), others, explained: drill.explained });
    }

    /// Observes for this time at real scale, in which only explained alerts may fire.
    async fn undisturbed(
        &mut self,
        cause: &'static str,
        real: Duration,
        explained: &'static [(&'static str, &'static str)],
        meanwhile: impl AsyncFnOnce(&mut World),
    ) {
        if !self.is_wanted(cause) {
            return;
        }
        let lasting = self.begin(cause).await;
        let until = Instant::now() + world::faster(real);
        meanwhile(&mut self.world).await;
        // The wait itself is the test.
        tokio::time::sleep_until(until.into()).await;
        if !self.world.alerts.is_watched() {
            self.fail(cause, "the watchdog does not fire, so that silence says nothing");
        }
        self.compare_with_console(cause, &[]).await;
        let others: Vec<String> = self.world.alerts.ever().difference(&lasting).cloned().collect();
        for other in &others {
            if !explained.iter().any(|(alert, _)| is(other, alert)) {
                self.fail(cause, &format!("{other} fired"));
            }
        }
        self.add(Row { cause, alerts: Vec::new(), others, explained });
    }

    /// Asserts that each of these alerts was alone in a paging notification, and that there was no other one.
    fn only_told_of(&mut self, cause: &str, alerts: &[&str]) {
        if !self.is_wanted(cause) {
            return;
        }
        let told = self.world.notifications.take();
        let critical: Vec<Vec<String>> =
            told.into_iter().filter(|one| one.receiver == "critical").map(|one| one.alerts).collect();
        say(&format!("          critical notifications: {critical:?}"));
        if critical != alerts.iter().map(|alert| vec![(*alert).to_owned()]).collect::<Vec<_>>() {
            self.fail(cause, &format!("somebody was told of {critical:?} instead of {alerts:?}"));
        }
    }

    /// Expects that the console's alerts changed as those of Prometheus did.
    async fn compare_with_console(&mut self, cause: &str, expected: &[&str]) {
        if HISTORY_OF_PROMETHEUS_ONLY.contains(&cause) {
            return;
        }
        self.world.let_console_catch_up().await;
        for difference in self.world.differences_of_console(expected) {
            self.fail(cause, &format!("the console differs: {difference}"));
        }
    }

    fn is_wanted(&self, cause: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.split(',').any(|part| cause.contains(part)))
    }

    /// Waits for silence and starts the drill. Returns alerts that still fire from earlier drills.
    async fn begin(&mut self, cause: &str) -> BTreeSet<String> {
        say(&format!("{:>6.1} s  {cause}", self.began.elapsed().as_secs_f64()));
        self.quiet().await;
        self.world.let_console_catch_up().await;
        self.world.forget_alerts();
        self.world.alerts.firing()
    }

    /// Waits until only lasting alerts fire, or reports the others.
    async fn quiet(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while self.world.alerts.firing().iter().any(|one| !lasts(one)) || !self.world.alerts.is_watched() {
            if Instant::now() >= deadline {
                let firing = self.world.alerts.firing();
                self.fail("between drills", &format!("{firing:?} did not resolve"));
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// For each alert, the time until the condition held; `None` if it never did.
    async fn wait(
        &self,
        alerts: &[&str],
        since: Instant,
        condition: impl Fn(&BTreeSet<String>, &str) -> bool,
    ) -> Vec<Option<Duration>> {
        let mut after = vec![None; alerts.len()];
        while after.contains(&None) && since.elapsed() < PATIENCE {
            let firing = self.world.alerts.firing();
            for (position, alert) in alerts.iter().enumerate() {
                if after[position].is_none() && condition(&firing, alert) {
                    after[position] = Some(since.elapsed());
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        after
    }

    fn fail(&mut self, cause: &str, problem: &str) {
        say(&format!("          FAILED: {cause}: {problem}"));
        self.failures.push(format!("{cause}: {problem}"));
    }

    fn add(&mut self, row: Row) {
        say(&row.text());
        self.rows.push(row);
    }
}
