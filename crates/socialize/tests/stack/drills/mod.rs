//! Each alert is made to fire by what it is about, in the real Prometheus and against the running application, and to resolve when its
//! cause is gone. Whatever else fires meanwhile is explained here, or fails the drill.
//!
//! `./test drills` runs this. Time runs [`FACTOR`](world::FACTOR) times faster for the rules, and for nothing else: the application
//! retries, checks and times out at its own pace.

mod alerts;
mod background;
mod causes;
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

/// Alerts that look back for so long, also when time runs faster, that they go on firing through the drills that follow: windows of
/// hours and days last from 4 minutes to more than two hours then. Nobody waits until they resolve; promtool's cases show that they do.
const LASTING: &[&str] =
    &["AvailabilityBudgetBurningSlow", "LatencyBudgetBurning", "RouteFailing", "WorkflowFailing"];

/// Names the drills that are to be run, by a part of their cause each, with commas between them; all where it is not set.
const ONLY: &str = "SOCIALIZE_DRILLS_ONLY";

/// How long nothing happens in real life: as long as the longest window of an alert that does not look back for hours, and as long as
/// most drills take.
const UNDISTURBED: Duration = Duration::from_mins(30);

/// How long after a restart nothing may fire: longer than any alert needs that it could cause.
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

/// Returns whether an alert, with or without its labels, goes on firing long after its cause is gone.
fn lasts(alert: &str) -> bool {
    LASTING.iter().any(|lasting| is(alert, lasting))
}

/// One cause and what it makes fire.
struct Drill {
    cause: &'static str,
    /// Alerts that must fire, and must resolve.
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
    /// Brings the cause about, waits for its alerts, takes it away, and waits until all is quiet again.
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
        let mended = Instant::now();
        mend(&mut self.world, trouble).await;
        let is_over =
            |firing: &BTreeSet<String>, alert: &str| lasts(alert) || !firing.iter().any(|one| is(one, alert));
        let resolved = self.wait(drill.fires, mended, is_over).await;
        self.quiet().await;

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

    /// Looks on for so long in real life, in which nothing may fire but what is explained.
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
        // There is nothing to wait for but the time.
        tokio::time::sleep_until(until.into()).await;
        if !self.world.alerts.is_watched() {
            self.fail(cause, "the watchdog does not fire, so that silence says nothing");
        }
        let others: Vec<String> = self.world.alerts.ever().difference(&lasting).cloned().collect();
        for other in &others {
            if !explained.iter().any(|(alert, _)| is(other, alert)) {
                self.fail(cause, &format!("{other} fired"));
            }
        }
        self.add(Row { cause, alerts: Vec::new(), others, explained });
    }

    /// Each of these alerts was the only one in a notification that wakes somebody, and there was no other such notification.
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

    fn is_wanted(&self, cause: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.split(',').any(|part| cause.contains(part)))
    }

    /// All is quiet, and the drill begins. What still fires from earlier drills is returned.
    async fn begin(&mut self, cause: &str) -> BTreeSet<String> {
        say(&format!("{:>6.1} s  {cause}", self.began.elapsed().as_secs_f64()));
        self.quiet().await;
        self.world.alerts.forget();
        self.world.alerts.firing()
    }

    /// Waits until nothing fires but what lasts, or says what does.
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

    /// For each alert how long it took until the condition held; nothing where it never did.
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

#[expect(clippy::print_stdout, reason = "whoever runs drills for many minutes sees how far they are")]
fn say(text: &str) {
    println!("{text}");
}
