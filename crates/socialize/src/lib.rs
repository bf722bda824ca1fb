//! Teams draft social-media content and get it approved.

pub mod cluster;
