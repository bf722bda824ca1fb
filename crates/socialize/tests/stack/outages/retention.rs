//! Retention by age and by size, tested with Prometheus, which deletes blocks when it starts.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use signal::builtin::Signal;

use super::world::World;
use crate::programs::{Program, eventually};
use crate::prometheus::now;

/// Directory of Prometheus's blocks.
const BLOCKS: &str = "/prometheus";

/// Ages beyond and within the retention of deploy/.
const OLD: u64 = 40 * DAY;
const YOUNG: u64 = DAY;
const DAY: u64 = 24 * 3600;

/// The limit of deploy/, and one that any block exceeds.
const SIZE: &str = "size: 8GB";
const SMALLER_SIZE: &str = "size: 1B";

/// Gives Prometheus an old and a recent block and returns the results as a table.
pub(super) async fn table(world: &mut World) -> String {
    stop(world).await;
    let samples: String =
        [("old", OLD), ("young", YOUNG)].map(|(name, age)| sample(name, now() - age)).concat();
    let file = world.logs.join("samples.txt");
    std::fs::write(&file, format!("# TYPE aged gauge\n{samples}# EOF\n")).expect("a file");
    let mut promtool = Command::new("promtool");
    promtool.args(["tsdb", "create-blocks-from", "openmetrics"]).arg(file).arg(BLOCKS);
    Program::start("promtool", promtool, &world.logs).finish();
    let made = blocks();
    assert_eq!(made, 2, "promtool makes a block of each day");

    world.start_store(Signal::Metrics);
    deleted(world, "prometheus_tsdb_time_retentions_total", 1).await;
    let young = format!("last_over_time(aged[{}s])", YOUNG + 3600);
    let what = "an answer of Prometheus, after its start";
    let kept = eventually(what, async || world.prometheus.instant(&young).await).await;
    assert!(kept.len() == 1 && kept[0]["metric"]["age"] == "young", "{kept:?}");

    stop(world).await;
    let configuration = std::fs::read_to_string("/etc/prometheus/prometheus.yml").expect("the configuration");
    assert!(configuration.contains(SIZE), "prometheus.yml has no {SIZE}");
    let smaller = world.logs.join("prometheus-smaller.yml");
    std::fs::write(&smaller, configuration.replace(SIZE, SMALLER_SIZE)).expect("a file");
    world.start_prometheus_with(&smaller);
    deleted(world, "prometheus_tsdb_size_retentions_total", 0).await;

    let mut out = "| block | limit | afterwards |\n|---|---|---|\n".to_owned();
    for (block, limit, afterwards) in [
        ("40 days old", "30 days, as in deploy/", "deleted"),
        ("1 day old", "30 days, as in deploy/", "kept"),
        ("1 day old", "1 byte, in place of the 8 GB of deploy/", "deleted"),
    ] {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "| {block} | {limit} | {afterwards} |");
    }
    out
}

fn sample(name: &str, time: u64) -> String {
    format!("aged{{age=\"{name}\"}} 1 {time}\n")
}

async fn stop(world: &mut World) {
    world.store(Signal::Metrics).program.stop_within(super::scenarios::GRACE).await;
}

/// Waits until Prometheus reports a deletion for this reason, and this many blocks are left.
async fn deleted(world: &World, metric: &str, left: usize) {
    eventually(&format!("that {metric} counts"), async || {
        let url = "http://prometheus:9090/metrics";
        let answer = world.client.get(url).send().await.map_err(|error| format!("{error:?}"))?;
        let text = answer.text().await.map_err(|error| format!("{error:?}"))?;
        let value = text.lines().find_map(|line| line.strip_prefix(metric)?.trim().parse::<f64>().ok());
        let (value, blocks) = (value.unwrap_or_default(), blocks());
        if value > 0.0 && blocks == left {
            Ok(())
        } else {
            Err(format!("it is {value}, with {blocks} blocks"))
        }
    })
    .await;
}

/// Number of blocks: directories with a description.
fn blocks() -> usize {
    let entries = std::fs::read_dir(Path::new(BLOCKS)).expect("the directory of blocks");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.filter(|path: &PathBuf| path.join("meta.json").exists()).count()
}
