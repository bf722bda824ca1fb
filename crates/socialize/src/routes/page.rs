//! Lists in pages: newest first, continued by an opaque cursor.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use domain::labels::ErrorCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::error::Error;

const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 100;
/// From how many bytes of text on a page ends early: it is made whole in memory, and stays there until its client has read it.
pub const PAGE_BYTES: usize = 256 << 10;

/// Which part of a list is asked for.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// How many at most; 50 unless told. A page of long texts may end earlier.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// One page of a list.
#[derive(Serialize, ToSchema)]
pub struct Page<T> {
    /// Newest first.
    pub items: Vec<T>,
    /// Asks for the page after this one; absent on the last.
    pub next_cursor: Option<String>,
}

/// The position after which a page begins: lists are ordered by both, descending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// When the last item of the page before was created.
    pub created_at: DateTime<Utc>,
    /// Its id, which tells items of the same microsecond apart.
    pub id: Uuid,
}

impl PageQuery {
    /// A page of the default size from the beginning.
    pub fn first() -> Self {
        Self { limit: None, cursor: None }
    }

    /// For queries that have filters of their own beside the page.
    pub fn new(limit: Option<u32>, cursor: Option<String>) -> Self {
        Self { limit, cursor }
    }

    /// How many rows to read: one more than the page holds, which tells whether there is another page.
    ///
    /// # Errors
    /// If the limit is out of range.
    pub fn rows(&self) -> Result<i64, Error> {
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            let message = format!("limit must be between 1 and {MAX_LIMIT}.");
            return Err(Error::refused(ErrorCode::MalformedRequest, message));
        }
        Ok(i64::from(limit) + 1)
    }

    /// Where the page begins.
    ///
    /// # Errors
    /// If the cursor is not one of ours.
    pub fn after(&self) -> Result<Option<Position>, Error> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        let refusal = || {
            Error::refused(
                ErrorCode::MalformedRequest,
                "cursor must be the next_cursor of an earlier answer.",
            )
        };
        Position::decode(cursor).map(Some).ok_or_else(refusal)
    }
}

impl Position {
    fn encode(self) -> String {
        let mut bytes = self.created_at.timestamp_micros().to_be_bytes().to_vec();
        bytes.extend_from_slice(self.id.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn decode(cursor: &str) -> Option<Self> {
        let bytes: [u8; 24] = URL_SAFE_NO_PAD.decode(cursor).ok()?.try_into().ok()?;
        let (micros, id) = bytes.split_at(8);
        let created_at = DateTime::from_timestamp_micros(i64::from_be_bytes(micros.try_into().ok()?))?;
        // Nothing was created at another time, and Postgres has times that the calendar here does not have, and the reverse.
        let is_plausible = (1970..=9999).contains(&chrono::Datelike::year(&created_at));
        is_plausible.then_some(Self { created_at, id: Uuid::from_slice(id).ok()? })
    }
}

/// Wraps the SELECT of a page of texts for [`Page::of_texts`], so that it returns at most one row
/// beyond [`PAGE_BYTES`], which is bound to `limit`. `bytes` is the length of the text of a row, and
/// `order` the order of the SELECT by the names of its columns.
macro_rules! page_of_texts {
    (bytes: $bytes:literal, order: $order:literal, limit: $limit:literal, $select:literal) => {
        concat!(
            "select * from (select *, sum(",
            $bytes,
            ") over (order by ",
            $order,
            " rows between unbounded preceding and 2 preceding) as bytes_before from (",
            $select,
            ") as listed) as measured where bytes_before is null or bytes_before < ",
            $limit,
            " order by ",
            $order
        )
    };
}
pub(crate) use page_of_texts;

impl<T> Page<T> {
    /// Makes a page from the rows that [`PageQuery::rows`] asked for.
    pub fn of(items: Vec<T>, rows: i64, position: impl Fn(&T) -> Position) -> Self {
        Self::ending_at(rows as usize - 1, items, position)
    }

    /// The same where an item may have a long text. The page ends with the item that makes it longer than [`PAGE_BYTES`]; the query need
    /// not return more than one item beyond that.
    pub fn of_texts(
        items: Vec<T>,
        rows: i64,
        text: impl Fn(&T) -> &str,
        position: impl Fn(&T) -> Position,
    ) -> Self {
        let mut bytes = 0;
        let fitting = items.iter().take_while(|item| {
            let fits = bytes < PAGE_BYTES;
            bytes += text(item).len();
            fits
        });
        Self::ending_at(fitting.count().min(rows as usize - 1), items, position)
    }

    fn ending_at(limit: usize, mut items: Vec<T>, position: impl Fn(&T) -> Position) -> Self {
        let next_cursor = (items.len() > limit).then(|| position(&items[limit - 1]).encode());
        items.truncate(limit);
        Self { items, next_cursor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_page_of_long_texts_ends_early_and_is_continued() {
        let position = |number: &(u128, String)| Position {
            created_at: DateTime::UNIX_EPOCH,
            id: Uuid::from_u128(number.0),
        };
        let texts = |lengths: &[usize]| -> Vec<(u128, String)> {
            (0..).zip(lengths).map(|(number, length)| (number, "a".repeat(*length))).collect()
        };
        let page = |lengths: &[usize], rows| {
            let page = Page::of_texts(texts(lengths), rows, |text| &text.1, position);
            (
                page.items.len(),
                page.next_cursor.and_then(|cursor| Position::decode(&cursor)).map(|p| p.id.as_u128()),
            )
        };
        let half = PAGE_BYTES / 2;
        assert_eq!(page(&[half, half, half], 51), (2, Some(1)));
        assert_eq!(page(&[half, half - 1, half], 51), (3, None));
        assert_eq!(page(&[3 * half], 51), (1, None));
        assert_eq!(page(&[3 * half, 1], 51), (1, Some(0)), "one item at least");
        assert_eq!(page(&[1, 1, 1], 3), (2, Some(1)), "the limit of rows holds as well");
        assert_eq!(page(&[], 3), (0, None));
    }

    proptest! {
        #[test]
        fn a_cursor_survives_the_round_trip(micros in 0_i64..4_000_000_000_000_000, id in any::<u128>()) {
            let created_at = DateTime::from_timestamp_micros(micros).expect("in range");
            let position = Position { created_at, id: Uuid::from_u128(id) };
            prop_assert_eq!(Position::decode(&position.encode()), Some(position));
        }

        #[test]
        fn no_cursor_panics(cursor in ".{0,64}") {
            let _ = Position::decode(&cursor);
        }
    }
}
