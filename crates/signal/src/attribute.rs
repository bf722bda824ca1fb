//! Names and identifiers of attributes.

use uuid::Uuid;

/// The name of an attribute. It is declared as a constant, so a name is never built from data.
#[derive(Debug, PartialEq, Eq)]
pub struct Key(pub &'static str);

/// Implemented by typed ids, the only identifiers that can become an attribute.
pub trait Identifier: Copy {
    /// Returns the id's value.
    fn uuid(self) -> Uuid;
}
