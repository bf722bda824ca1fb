//! The outages in order.

use std::time::Duration;

use monitoring::foreign::{
    EXPORTER_SEND_FAILED_LOG_RECORDS, EXPORTER_SEND_FAILED_METRIC_POINTS, EXPORTER_SEND_FAILED_SPANS,
};
use nix::sys::signal::Signal as ProcessSignal;
use signal::builtin::Signal;
use telemetry::ClosedSet;

use super::relay::Reaction;
use super::world::World;
use super::{Outages, PACE, for_some_time};
use crate::collector_disk;

/// Duration of the collector's outage: a tenth of ten minutes in production.
const COLLECTOR_AWAY: Duration = Duration::from_secs(60);

/// Requests per second whose spans during [`COLLECTOR_AWAY`] exceed the application's queue.
const FAST_PACE: u32 = 150;

/// Duration of a store's freeze: longer than the collector's timeout.
const FROZEN: Duration = Duration::from_secs(32);

/// Free space on the disk of the collector's queues while it is limited, and the duration.
const ROOM: u64 = 1 << 20;
const QUEUES_FULL: Duration = Duration::from_secs(20);

/// Time for a store to exit. This Tempo does not exit once it has been queried, and is killed; by then it has
/// stored what it accepted.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// Duration of a store's outage.
const STORE_AWAY: Duration = Duration::from_secs(15);

pub(super) async fn all(outages: &mut Outages) {
    outages.outage("nothing", PACE, async |_| for_some_time(Duration::from_secs(15)).await).await;
    collector_stopped(outages).await;
    collector_killed(outages).await;
    stores_stopped(outages).await;
    collector_killed_often(outages).await;
    stores_frozen(outages).await;
    stores_busy(outages).await;
    batches_refused(outages).await;
    queues_full(outages).await;
}

async fn collector_stopped(outages: &mut Outages) {
    let seen = outages
        .outage("the collector is stopped, and comes back", PACE, async |world| {
            world.collector.stop();
            for_some_time(COLLECTOR_AWAY).await;
            world.start_collector().await;
        })
        .await;
    let Some(seen) = seen else { return };
    assert!(seen.rotations > 0, "the log file was not set aside meanwhile");
    assert_eq!(seen.spans.dropped, 0, "spans within the bound of the queue are kept");
}

async fn collector_killed(outages: &mut Outages) {
    let what = "the collector is killed, and comes back after more spans than the application keeps";
    let seen = outages
        .outage(what, FAST_PACE, async |world| {
            world.collector.kill();
            for_some_time(COLLECTOR_AWAY).await;
            world.start_collector().await;
        })
        .await;
    let Some(seen) = seen else { return };
    assert!(seen.rotations > 0, "the log file was not set aside meanwhile");
    assert!(seen.spans.dropped > 0, "there were not more spans than the queue holds");
}

async fn stores_stopped(outages: &mut Outages) {
    for signal in [Signal::Metrics, Signal::Logs, Signal::Traces] {
        let name = outages.world.store(signal).name;
        let what = format!("{name} is stopped, and the collector killed meanwhile");
        outages
            .outage(&what, PACE, async |world: &mut World| {
                world.store(signal).program.stop_within(GRACE).await;
                for_some_time(STORE_AWAY / 2).await;
                world.collector.kill();
                world.start_collector().await;
                for_some_time(STORE_AWAY / 2).await;
                world.start_store(signal);
            })
            .await;
    }
}

async fn collector_killed_often(outages: &mut Outages) {
    outages
        .outage("the collector is killed five times, with all stores up", PACE, async |world| {
            for _ in 0..5 {
                for_some_time(Duration::from_secs(3)).await;
                world.collector.kill();
                world.start_collector().await;
            }
        })
        .await;
}

async fn stores_frozen(outages: &mut Outages) {
    outages
        .outage("all stores are frozen", PACE, async |world| {
            world.signal_stores(ProcessSignal::SIGSTOP);
            for_some_time(FROZEN).await;
            world.signal_stores(ProcessSignal::SIGCONT);
        })
        .await;
}

async fn stores_busy(outages: &mut Outages) {
    let before = outages.world.sent();
    let seen = outages
        .outage("all stores answer 429", PACE, async |world| {
            world.react(Reaction::Later);
            for_some_time(STORE_AWAY).await;
            world.react(Reaction::Own);
        })
        .await;
    if seen.is_none() {
        return;
    }
    for (before, now) in before.iter().zip(outages.world.sent()) {
        assert!((now - *before).put_off > 0, "a store was not asked meanwhile");
    }
}

/// One batch of each signal is poisoned. The collector drops it, reports that, and continues with the next
/// one.
async fn batches_refused(outages: &mut Outages) {
    let (before, given_up) = (outages.world.sent(), given_up(&outages.world).await);
    let seen = outages
        .outage("each store answers 400 to one batch", PACE, async |world| {
            world.react(Reaction::NeverToOne);
            for_some_time(STORE_AWAY).await;
        })
        .await;
    if seen.is_none() {
        return;
    }
    let sent = outages.world.sent();
    let now = self::given_up(&outages.world).await;
    for signal in Signal::ALL {
        let refused = (sent[signal.index()] - before[signal.index()]).refused;
        let counted = now[signal.index()] - given_up[signal.index()];
        assert!(refused > 0, "no batch of {} was refused", signal.as_str());
        assert_eq!(counted, refused, "what the collector says that it gave up of {}", signal.as_str());
    }
}

/// Items that the collector reports as given up, in the order of signals.
async fn given_up(world: &World) -> [u64; 3] {
    let answer =
        world.client.get("http://alloy:12345/metrics").send().await.expect("the collector's metrics");
    let text = answer.text().await.expect("the collector's metrics");
    let metrics = [
        EXPORTER_SEND_FAILED_LOG_RECORDS.description(),
        EXPORTER_SEND_FAILED_SPANS.description(),
        EXPORTER_SEND_FAILED_METRIC_POINTS.description(),
    ];
    metrics.map(|metric| {
        // The series does not exist before the first failure.
        let lines = text.lines().filter(|line| line.starts_with(&format!("{}{{", metric.name)));
        let values = lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
        values.sum::<f64>() as u64
    })
}

/// The queues are full. The application keeps spans and points, and lines stay in their files, until there is
/// space again.
///
/// The space returns before the stores do: an item removed from a queue while its disk is full is lost, and
/// the Collector does not count it.
async fn queues_full(outages: &mut Outages) {
    let complaints = |world: &World| world.collector.log().matches("no space left on device").count();
    let before = complaints(&outages.world);
    let what = "all stores are stopped, and the disk of the collector's queues is full meanwhile";
    let seen = outages
        .outage(what, FAST_PACE, async |world| {
            for signal in Signal::ALL {
                world.store(*signal).program.stop_within(GRACE).await;
            }
            collector_disk::limit(Some(ROOM));
            for_some_time(QUEUES_FULL).await;
            collector_disk::limit(None);
            for signal in Signal::ALL {
                world.start_store(*signal);
            }
        })
        .await;
    assert!(seen.is_none() || complaints(&outages.world) > before, "the disk was never full");
}
