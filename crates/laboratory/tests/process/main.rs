//! Tests of the program as people run it.

mod demo;
mod simulate;
