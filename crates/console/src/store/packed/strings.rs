//! Table of the names and short texts of a block.

use std::collections::HashMap;
use std::sync::Arc;

use super::bytes::{Reader, put_bytes, put_varint};

/// Maximum number of texts of a block.
const MOST: usize = 4096;
/// Maximum length of a text in the table in bytes.
const LONGEST: usize = 128;

/// Builder of the table.
#[derive(Debug, Default)]
pub(in crate::store) struct Strings {
    indexes: HashMap<Arc<str>, u32>,
    texts: Vec<Arc<str>>,
    bytes: usize,
}

impl Strings {
    /// Returns the index of a text; adds it if it is new.
    pub(in crate::store) fn intern(&mut self, text: &str) -> u32 {
        if let Some(index) = self.indexes.get(text) {
            return *index;
        }
        let index = self.texts.len() as u32;
        self.bytes += text.len();
        let text: Arc<str> = text.into();
        self.texts.push(text.clone());
        self.indexes.insert(text, index);
        index
    }

    /// Returns whether a value should be written into the table.
    pub(in crate::store) fn wants(&self, text: &str) -> bool {
        text.len() <= LONGEST && (self.texts.len() < MOST || self.indexes.contains_key(text))
    }

    /// Returns the bytes of all texts.
    pub(in crate::store) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(in crate::store) fn texts(&self) -> Vec<&str> {
        self.texts.iter().map(|text| &**text).collect()
    }

    pub(in crate::store) fn write(&self, out: &mut Vec<u8>) {
        put_varint(out, self.texts.len() as u64);
        for text in &self.texts {
            put_bytes(out, text.as_bytes());
        }
    }

    pub(in crate::store) fn read<'a>(reader: &mut Reader<'a>) -> Option<Vec<&'a str>> {
        (0..reader.count()?).map(|_| reader.text()).collect()
    }
}

/// The texts of a decoded block, allocated once for all returned lines or spans.
#[derive(Debug, Default)]
pub(in crate::store) struct Shared(Vec<Option<Arc<str>>>);

impl Shared {
    /// Returns a text of the table.
    pub(in crate::store) fn get(&mut self, texts: &[&str], index: u32) -> Option<Arc<str>> {
        let position = index as usize;
        let text = *texts.get(position)?;
        if self.0.len() <= position {
            self.0.resize(texts.len(), None);
        }
        Some(self.0[position].get_or_insert_with(|| text.into()).clone())
    }
}
