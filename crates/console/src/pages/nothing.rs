//! The part of a page for a search without result: what was searched, the age of the data, what to try.

use super::words;
use crate::calendar;

/// A search without a result.
#[derive(Clone, Debug, Default)]
pub(crate) struct Nothing {
    /// Sentence with the search.
    pub searched: String,
    /// Sentence with the age of the data.
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
