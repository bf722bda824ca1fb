//! Expected values of the recordings, minute by minute. Alerts look back over recordings for hours, so their
//! own cases would hardly notice an error at the end of a window of a few minutes.

use std::time::Duration;

use super::thresholds::SLOW_REQUEST;
use super::{FAILED_REQUESTS, REQUESTS, Request, SLOW_REQUESTS, Series};
use crate::query::RequestFailure;

/// A situation, and the values recorded in it.
pub(crate) struct RecordingCase {
    /// The name of the recording.
    pub(crate) recording: &'static str,
    /// Describes the situation.
    pub(crate) name: &'static str,
    /// Series that Prometheus knows in this situation.
    pub(crate) series: Vec<Series>,
    /// Expected values per minute at a moment; `None` if the recording has no value.
    pub(crate) moments: Vec<(Duration, Option<f64>)>,
}

fn case(recording: &'static str, name: &'static str, series: Vec<Series>) -> RecordingCase {
    RecordingCase { recording, name, series, moments: Vec::new() }
}

impl RecordingCase {
    fn records(mut self, minute: u64, per_minute: f64) -> Self {
        self.moments.push((Duration::from_mins(minute), Some(per_minute)));
        self
    }

    fn records_nothing(mut self, minute: u64) -> Self {
        self.moments.push((Duration::from_mins(minute), None));
        self
    }
}

/// Returns the cases of all recording rules.
pub(crate) fn all() -> Vec<RecordingCase> {
    let requests = |ok: &str, failed: &str, cancelled: &str| {
        vec![
            Series::requests(None, ok),
            Series::requests(Some(RequestFailure::Internal), failed),
            Series::requests(Some(RequestFailure::Cancelled), cancelled),
        ]
    };
    // Ten events at once after ten minutes stay in a window of five minutes for five minutes.
    let once = "0x10 10x20";
    vec![
        case(REQUESTS.name, "ten at once", requests(once, "0x30", "0x30"))
            .records(10, 0.0)
            .records(12, 2.0)
            .records(16, 0.0),
        case(REQUESTS.name, "nothing is known", vec![]).records_nothing(10),
        case(FAILED_REQUESTS.name, "ten at once", requests("0x30", once, once))
            .records(12, 2.0)
            .records(16, 0.0),
        case(FAILED_REQUESTS.name, "nothing ever failed", vec![Series::requests(None, once)])
            .records(12, 0.0),
        case(
            SLOW_REQUESTS.name,
            "one in two",
            vec![Series::requests_like_within(
                &Request::WELL,
                &[(SLOW_REQUEST.seconds(), "0+1x30"), (SLOW_REQUEST.seconds() * 2.0, "0+2x30")],
            )],
        )
        .records(12, 1.0),
        case(SLOW_REQUESTS.name, "nothing is asked for", vec![Series::requests(None, "5x30")])
            .records(12, 0.0),
        case(SLOW_REQUESTS.name, "nothing is known", vec![]).records_nothing(12),
    ]
}
