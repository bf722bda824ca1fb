//! Tests of the program as a process.

mod demo;
mod simulate;
