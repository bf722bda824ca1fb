//! The part of a page that found nothing: what was searched, since when there is data, what to try.

use super::words;
use crate::calendar;

/// A search without a result.
#[derive(Clone, Debug, Default)]
pub(crate) struct Nothing {
    /// What was searched, as a sentence.
    pub searched: String,
    /// Since when there is data, as a sentence.
    pub since: String,
    /// Other searches: text and address.
    pub suggestions: Vec<(String, String)>,
}

/// Returns a sentence about the age of the oldest data. `kind` is a plural noun; times are Unix
/// times in milliseconds.
pub(crate) fn since(kind: &str, oldest: Option<i64>, now: i64) -> String {
    match oldest {
        Some(oldest) => {
            let (time, ago) = (calendar::date_and_time(oldest), words::ago(oldest, now));
            format!("The console has {kind} since {time} UTC ({ago}).")
        }
        None => format!("The console has received no {kind} yet."),
    }
}
