//! Runs the cases of `promtool test rules` with the console's engine and compares alerts, labels and texts.

mod file;
mod notation;
mod play;
