//! Pieces of the rendered texts.

use std::fmt::Write;

/// Address at which the overlay publishes Grafana.
pub(crate) const GRAFANA: &str = "http://localhost:3000";

/// Writes a text as a YAML literal block, which needs no quoting.
pub(crate) fn block(out: &mut String, indent: &str, key: &str, text: &str) {
    push(out, format_args!("{indent}{key}: |-\n{indent}  {text}\n"));
}

pub(crate) fn push(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = out.write_fmt(arguments);
}
