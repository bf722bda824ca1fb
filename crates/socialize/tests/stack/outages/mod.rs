//! Stops, kills, freezes and fills parts of the telemetry pipeline under load, and compares each recorded log
//! line, span and metric point with the stores.
//!
//! `./test outages` runs this with the files of deploy/. The collector reaches the stores through relays of
//! the test, which count.

mod arrived;
mod books;
mod injected;
mod load;
mod relay;
mod report;
mod retention;
mod scenarios;
mod world;
mod written;

use std::time::{Duration, Instant};

use books::Before;
use load::Load;
use world::World;

use crate::report::say;

/// Requests per second.
const PACE: u32 = 60;

/// Selects outages by a part of their name, separated by commas; all if it is not set.
const ONLY: &str = "SOCIALIZE_OUTAGES_ONLY";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes real programs and a network of its own: `./test outages` runs it"]
async fn nothing_is_lost_that_is_not_counted() {
    let logs = tempfile::tempdir().expect("a directory");
    let world = World::start(crate::compose_file(), crate::http_client(), logs.path()).await;
    books::settled(&world).await;
    #[expect(clippy::disallowed_methods, reason = "this is where the test's configuration is read")]
    let only = std::env::var(ONLY).ok();
    let mut outages = Outages { world, only, rows: Vec::new(), began: Instant::now() };
    scenarios::all(&mut outages).await;
    let injected = injected::table(&mut outages.world).await;
    let retention = retention::table(&mut outages.world).await;
    say(&format!("\n{}\n{}", report::HEAD, outages.rows.join("\n")));
    say(&format!("\n{injected}\n{retention}"));
    say(&format!("\n{} rows took {:.0} s.", outages.rows.len(), outages.began.elapsed().as_secs_f64()));
}

struct Outages {
    world: World,
    only: Option<String>,
    rows: Vec<String>,
    began: Instant,
}

impl Outages {
    /// Sends requests from before an outage until after it, and waits until everything is accounted for. The
    /// outage returns its duration, if it is not the whole time. Returns `None` if it was not selected.
    async fn outage(
        &mut self,
        what: &str,
        pace: u32,
        outage: impl AsyncFnOnce(&mut World),
    ) -> Option<books::Seen> {
        if self.only.as_ref().is_some_and(|only| !only.split(',').any(|part| what.contains(part))) {
            return None;
        }
        say(&format!("{:>6.1} s  {what}", self.began.elapsed().as_secs_f64()));
        let before = Before::read(&self.world).await;
        let load = Load::start(&self.world.user, pace);
        let began = Instant::now();
        outage(&mut self.world).await;
        let lasted = began.elapsed();
        let asked = load.stop().await;
        let seen = before.compare(&self.world, &asked).await;
        let row = report::row(what, lasted, &seen);
        say(&row);
        self.rows.push(row);
        assert_eq!(seen.errors, 0, "requests that failed while {what}");
        for (signal, fate) in [("lines", &seen.lines), ("spans", &seen.spans), ("points", &seen.points)] {
            assert_eq!(fate.arrived + fate.dropped + fate.refused, fate.recorded, "{signal} while {what}");
        }
        Some(seen)
    }
}

/// Waits for a fixed time.
async fn for_some_time(duration: Duration) {
    tokio::time::sleep(duration).await;
}
