//! Compact encoding of lines and spans, which is then deflated in blocks.
//!
//! Names and short texts of a block are written once, in a table. So are the shapes of its lines or
//! spans: the names of fields and the forms of their values. What remains are numbers and ids.

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
