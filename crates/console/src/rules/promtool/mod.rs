//! Plays the cases that `promtool test rules` plays, with the console's engine: the same files, the
//! same samples, the same moments, the same alerts with their labels and texts.

mod file;
mod notation;
mod play;
