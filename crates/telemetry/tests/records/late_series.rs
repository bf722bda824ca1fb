//! Series that begin after the start of the process: their first value is an increase from zero.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{NumberDataPoint, metric, number_data_point};
use prost::Message;
use signal::builtin::{HTTP_SERVER_ACTIVE_REQUESTS, HTTP_SERVER_REQUEST_DURATION, PANICS, PROCESS_UPTIME};
use telemetry::meter::SnapshotReader;
use telemetry::otlp::HistogramAggregation;
use telemetry::{Meter, Resource, metrics_request};

/// The counts of a metric's points in the next collection, with their times.
fn collected(meter: &Meter, reader: &mut SnapshotReader, name: &str, now: u64) -> Vec<(u64, u64)> {
    meter.begin_snapshot(reader, now);
    let mut bytes = Vec::new();
    let snapshot = meter.snapshot_part(reader, usize::MAX);
    let resource = Resource::default();
    let points = metrics_request(&resource, &snapshot, HistogramAggregation::Exponential, now, &mut bytes);
    let request = ExportMetricsServiceRequest::decode(&bytes[..]).expect("a decodable request");
    let metrics: Vec<_> = request.resource_metrics.into_iter().flat_map(|one| one.scope_metrics).collect();
    let metrics = metrics.into_iter().flat_map(|scope| scope.metrics);
    let (mut found, mut all) = (Vec::new(), 0);
    for metric in metrics {
        let counts: Vec<(u64, u64)> = match metric.data.expect("data") {
            metric::Data::ExponentialHistogram(data) => {
                data.data_points.iter().map(|point| (point.time_unix_nano, point.count)).collect()
            }
            metric::Data::Sum(data) => data.data_points.iter().map(number_at).collect(),
            metric::Data::Gauge(data) => data.data_points.iter().map(number_at).collect(),
            other => panic!("{other:?} is not recorded here"),
        };
        all += counts.len();
        if metric.name == name {
            found = counts;
        }
    }
    assert_eq!(points, all, "each point is counted");
    found
}

fn number_at(point: &NumberDataPoint) -> (u64, u64) {
    let value = match point.value.expect("a value") {
        number_data_point::Value::AsInt(number) => number as u64,
        number_data_point::Value::AsDouble(number) => number as u64,
    };
    (point.time_unix_nano, value)
}

#[test]
fn a_series_that_begins_after_a_collection_begins_at_zero() {
    let status = |code: u16| vec![("http.response.status_code", code.to_string())];
    let name = HTTP_SERVER_REQUEST_DURATION.description().name;
    let (meter, mut reader) = (Meter::default(), SnapshotReader::default());
    meter.histogram_series(&HTTP_SERVER_REQUEST_DURATION, status(200)).record(1, None);
    assert_eq!(collected(&meter, &mut reader, name, 100), [(100, 1)], "the process began at zero");

    let failures = meter.histogram_series(&HTTP_SERVER_REQUEST_DURATION, status(503));
    failures.record(1, None);
    failures.record(1, None);
    meter.histogram_series(&HTTP_SERVER_REQUEST_DURATION, status(404));
    let expected = [(200, 1), (100, 0), (200, 2), (200, 0)];
    assert_eq!(collected(&meter, &mut reader, name, 200), expected);
    failures.record(1, None);
    assert_eq!(collected(&meter, &mut reader, name, 300), [(300, 1), (300, 3), (300, 0)]);
}

#[test]
fn only_what_counts_begins_at_zero() {
    let (meter, mut reader) = (Meter::default(), SnapshotReader::default());
    collected(&meter, &mut reader, "", 100);
    meter.counter(&PANICS).add((), 2);
    meter.observe(&PROCESS_UPTIME, |()| Some(4.0));
    let active = meter.up_down_counter_series(&HTTP_SERVER_ACTIVE_REQUESTS, Vec::new());
    let _request = active.enter();
    for (name, expected) in [
        (PANICS.description().name, vec![(100, 0), (200, 2)]),
        (PROCESS_UPTIME.description().name, vec![(200, 4)]),
        (HTTP_SERVER_ACTIVE_REQUESTS.description().name, vec![(200, 1)]),
    ] {
        let mut reader = reader.clone();
        assert_eq!(collected(&meter, &mut reader, name, 200), expected, "{name}");
    }
}

#[test]
fn a_late_series_is_found_in_parts_and_after_an_unfinished_collection() {
    let name = HTTP_SERVER_REQUEST_DURATION.description().name;
    let (meter, mut reader) = (Meter::default(), SnapshotReader::default());
    let series = |number: usize| {
        let label = vec![("http.route", number.to_string())];
        meter.histogram_series(&HTTP_SERVER_REQUEST_DURATION, label).record(1, None);
    };
    series(0);
    series(1);
    meter.begin_snapshot(&mut reader, 100);
    // The collector is slow: the next collection begins before this one has been read.
    meter.snapshot_part(&mut reader, 1);
    series(2);
    let expected = [(200, 1), (200, 1), (100, 0), (200, 1)];
    assert_eq!(collected(&meter, &mut reader, name, 200), expected, "the second one began before");
}

#[test]
fn no_zero_comes_after_its_value() {
    let name = PANICS.description().name;
    let (meter, mut reader) = (Meter::default(), SnapshotReader::default());
    collected(&meter, &mut reader, name, 100);
    meter.counter(&PANICS).add((), 2);
    assert_eq!(collected(&meter, &mut reader, name, 50), [(50, 2)], "the clock was set back");
}

#[test]
fn a_series_that_begins_while_it_is_read_has_one_zero() {
    let name = HTTP_SERVER_REQUEST_DURATION.description().name;
    let (meter, mut reader) = (Meter::default(), SnapshotReader::default());
    collected(&meter, &mut reader, name, 100);
    meter.begin_snapshot(&mut reader, 200);
    meter.histogram_series(&HTTP_SERVER_REQUEST_DURATION, Vec::new()).record(1, None);
    let part = meter.snapshot_part(&mut reader, usize::MAX);
    assert_eq!((part.families[0].new_points, part.previous_unix_nanoseconds), (1, Some(100)));
    assert_eq!(collected(&meter, &mut reader, name, 300), [(300, 1)]);
}
