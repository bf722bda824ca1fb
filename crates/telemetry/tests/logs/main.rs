//! The path of a log line, from a `tracing` event or a panic to standard output and the file.

mod bridge;
mod crashes;
mod file;
mod pretty;
mod stdout;
mod support;
