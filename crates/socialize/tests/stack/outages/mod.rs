//! Parts of the telemetry pipeline are stopped, killed, frozen and filled while the application is at work, and what it recorded is
//! compared with what arrives: each log line, each span, each point.
//!
//! `./test outages` runs this with the files of deploy/. The collector reaches the stores through relays of the test, which count.

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

/// How many requests a second people make.
const PACE: u32 = 60;

/// Names the outages that are to be made, by a part of what is done, with commas between them; all where it is not set.
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
    /// Has people at work from before an outage until after it, and waits until everything is accounted for. The outage says how long
    /// it lasted, where that is not all of the time.
    /// Nothing is returned where it is not wanted.
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

/// There is nothing to wait for but the time.
async fn for_some_time(duration: Duration) {
    tokio::time::sleep(duration).await;
}

#[expect(clippy::print_stdout, reason = "whoever runs this for many minutes sees how far it is")]
fn say(text: &str) {
    println!("{text}");
}
