//! Compact encoding of lines and spans, before blocks are deflated.
//!
//! A table has the names and short texts of a block, each once. Another has the shapes of its lines or spans:
//! names of fields and encodings of their values. The rest are numbers and ids.

mod bytes;
mod deflate;
mod matcher;
mod strings;
mod value;

pub(in crate::store) use bytes::{Reader, put_bytes, put_signed, put_varint};
pub(in crate::store) use deflate::{deflate, inflate};
pub(in crate::store) use matcher::{Check, Matcher};
pub(in crate::store) use strings::{Shared, Strings};
pub(in crate::store) use value::{FieldShape, put_shape, read_shape, read_value, write_shape};
