//! Compares the evaluator with the real Prometheus on the same data, and measures it.
//!
//! `cargo test -p console --release --test differential -- --ignored --nocapture` runs all of it and
//! needs `prometheus` in the PATH; with `measurements` at the end it only measures.

mod comparison;
mod data;
mod http;
mod measurements;
mod prometheus;
mod promqltest;
mod queries;
mod store;

#[expect(clippy::disallowed_methods, reason = "the program under test reads no variable")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
