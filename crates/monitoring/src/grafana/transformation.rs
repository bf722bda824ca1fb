//! Transformations of query results before they are shown.

use std::collections::BTreeMap;

use serde::Serialize;

/// A transformation of query results.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "id", content = "options", rename_all = "camelCase")]
pub enum Transformation {
    /// Merges rows of several queries that have the same labels.
    Merge {},
    /// Hides, orders and renames columns.
    #[serde(rename_all = "camelCase")]
    Organize {
        /// Columns to hide, by name.
        exclude_by_name: BTreeMap<String, bool>,
        /// Position of each column, by name.
        index_by_name: BTreeMap<String, u8>,
        /// New names, by old name.
        rename_by_name: BTreeMap<String, String>,
    },
}

impl Transformation {
    /// Shows these columns in this order under these names, without the time column.
    pub fn columns(columns: &[(&str, &str)]) -> Self {
        let exclude_by_name = std::iter::once(("Time".to_owned(), true)).collect();
        let index_by_name = columns.iter().map(|(column, _)| (*column).to_owned()).zip(0..).collect();
        let rename_by_name =
            columns.iter().map(|(column, name)| ((*column).to_owned(), (*name).to_owned())).collect();
        Self::Organize { exclude_by_name, index_by_name, rename_by_name }
    }
}
