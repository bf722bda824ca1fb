//! One file per resource: types, handlers and SQL together, read from top to bottom.

pub mod health;
pub mod organizations;
pub mod page;
