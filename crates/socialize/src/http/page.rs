//! Paginated lists: newest first, continued by an opaque cursor.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use catalogue::labels::ErrorCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::http::error::Error;

const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 100;
/// Size of the texts at which a page ends early: it is built in memory and stays there until its client has
/// read it.
pub const PAGE_BYTES: usize = 256 << 10;

/// The requested part of a list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Maximum number of items; default 50. A page with long texts may be shorter.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
}

/// One page of a list.
#[derive(Serialize, ToSchema)]
pub struct Page<T> {
    /// Newest first.
    pub items: Vec<T>,
    /// Cursor of the next page; absent on the last one.
    pub next_cursor: Option<String>,
}

/// Position after which a page begins: lists are ordered by both fields, descending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Creation time of the last item on the previous page.
    pub created_at: DateTime<Utc>,
    /// Its id, which orders items of the same microsecond.
    pub id: Uuid,
}

impl PageQuery {
    /// The first page with the default size.
    pub fn first() -> Self {
        Self { limit: None, cursor: None }
    }

    /// For queries with filters in addition to the page.
    pub fn new(limit: Option<u32>, cursor: Option<String>) -> Self {
        Self { limit, cursor }
    }

    /// Number of rows to read: one more than the page holds, to detect whether there is another page.
    ///
    /// # Errors
    /// Returns an error if the limit is out of range.
    pub fn rows(&self) -> Result<i64, Error> {
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            let message = format!("limit must be between 1 and {MAX_LIMIT}.");
            return Err(Error::refused(ErrorCode::MalformedRequest, message));
        }
        Ok(i64::from(limit) + 1)
    }

    /// Start of the page.
    ///
    /// # Errors
    /// Returns an error if the cursor is malformed.
    pub fn after(&self) -> Result<Option<Position>, Error> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        let refusal = || {
            Error::refused(
                ErrorCode::MalformedRequest,
                "cursor must be the next_cursor of an earlier response.",
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
        // No item was created outside these years, and the ranges of Postgres and `chrono` differ.
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
    /// Builds a page from the rows requested by [`PageQuery::rows`].
    pub fn of(items: Vec<T>, rows: i64, position: impl Fn(&T) -> Position) -> Self {
        Self::ending_at(rows as usize - 1, items, position)
    }

    /// Like [`Page::of`], for items with long texts. The page ends with the item that makes it longer than
    /// [`PAGE_BYTES`]; the query may stop one item after that.
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
