//! Series that Prometheus has in every case: other programs, such as the collector, export metrics of the
//! same names as the application's. A rule that does not select the application's own series fails its tests
//! because of them.

use super::cases::APPLICATION;
use super::{Series, Values};

/// A program whose gauges are all zero, and one whose gauges exceed every threshold. The counters of both
/// rise fast, and the durations of the first exceed every limit.
const LOW: &str = "alloy";
const HIGH: &str = "tempo";

/// Series of other programs beside those of a case, with the number of minutes.
pub(crate) fn beside(series: &[Series], minutes: u64) -> Vec<Series> {
    let ours = series.iter().filter(|series| series.name.contains(APPLICATION));
    ours.flat_map(|series| twins(series, minutes)).collect()
}

fn twins(series: &Series, minutes: u64) -> Vec<Series> {
    let name = |job: &str| series.name.replace(APPLICATION, job);
    let twin = |job: &str, values: String| Series::plain(name(job), values);
    let many = format!("0+1000x{minutes}");
    if matches!(series.values, Values::Durations(_)) {
        return vec![Series::slow_twin(name(LOW), many)];
    }
    let metric = series.name.split('{').next().unwrap_or_default();
    if metric.ends_with("_total") {
        return vec![twin(LOW, many)];
    }
    vec![twin(LOW, format!("0x{minutes}")), twin(HIGH, format!("1000000000000x{minutes}"))]
}
