//! The features of the product. Each folder is one feature, with its routes, SQL and jobs.

pub mod audit;
pub mod auth;
pub mod content;
pub mod email;
pub mod erasure;
pub mod feedback;
pub mod files;
pub mod organizations;
pub mod publishing;
pub mod workspaces;
