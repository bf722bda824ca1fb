//! Series that Prometheus has in every case: other programs, such as the collector, export metrics of the
//! same names as the application's. A rule that does not select the application's own series fails its tests
//! because of them.

use super::Series;
use super::cases::APPLICATION;

/// A program whose gauges are all zero, and one whose gauges exceed every threshold. The counters of both
/// rise fast.
const LOW: &str = "alloy";
const HIGH: &str = "tempo";

/// Series of other programs beside those of a case, for so many minutes.
pub(super) fn beside(series: &[Series], minutes: u64) -> Vec<Series> {
    let ours = series.iter().filter(|series| series.name.contains(APPLICATION));
    ours.flat_map(|series| twins(&series.name, minutes)).collect()
}

fn twins(name: &str, minutes: u64) -> Vec<Series> {
    let twin = |job: &str, values: String| Series::plain(name.replace(APPLICATION, job), values);
    let metric = name.split('{').next().unwrap_or_default();
    if ["_total", "_count", "_bucket"].iter().any(|suffix| metric.ends_with(suffix)) {
        return vec![twin(LOW, format!("0+1000x{minutes}"))];
    }
    vec![twin(LOW, format!("0x{minutes}")), twin(HIGH, format!("1000000000000x{minutes}"))]
}
