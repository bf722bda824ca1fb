//! The environment as text.

use super::check::Mistakes;

/// Every variable of the process that is text. Those of others may be anything, so they are left out when they are not.
///
/// # Errors
/// When one of ours is not UTF-8.
pub fn environment() -> Result<Vec<(String, String)>, Mistakes> {
    let mut mistakes = Mistakes::default();
    let mut variables = Vec::new();
    for (name, value) in std::env::vars_os() {
        match (name.into_string(), value.into_string()) {
            (Ok(name), Ok(value)) => variables.push((name, value)),
            (Ok(name), Err(_)) if name.starts_with("SOCIALIZE_") || name.starts_with("OTEL_") => {
                mistakes.add(&name, "is not UTF-8");
            }
            _ => {}
        }
    }
    mistakes.or(Some(variables))
}
