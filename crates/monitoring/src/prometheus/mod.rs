//! The rule files of Prometheus, and their tests for promtool.

mod rule_file;
pub(crate) mod test_file;

pub(crate) use rule_file::render_few;
pub use rule_file::{RuleFile, annotations, render as render_rules};
pub use test_file::render as render_tests;
