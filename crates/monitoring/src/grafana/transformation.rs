//! What is done to an answer before it is shown.

use std::collections::BTreeMap;

use serde::Serialize;

/// What is done to an answer before it is shown.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "id", content = "options", rename_all = "camelCase")]
pub enum Transformation {
    /// Rows of several queries with the same labels become one.
    Merge {},
    /// Columns are left out, put in order and named.
    #[serde(rename_all = "camelCase")]
    Organize {
        /// Left out.
        exclude_by_name: BTreeMap<String, bool>,
        /// In which order.
        index_by_name: BTreeMap<String, u8>,
        /// The names.
        rename_by_name: BTreeMap<String, String>,
    },
}

impl Transformation {
    /// These columns in this order under these names, and no column of times.
    pub fn columns(columns: &[(&str, &str)]) -> Self {
        let exclude_by_name = std::iter::once(("Time".to_owned(), true)).collect();
        let index_by_name = columns.iter().map(|(column, _)| (*column).to_owned()).zip(0..).collect();
        let rename_by_name =
            columns.iter().map(|(column, name)| ((*column).to_owned(), (*name).to_owned())).collect();
        Self::Organize { exclude_by_name, index_by_name, rename_by_name }
    }
}
