//! The environment variables as text.

use super::check::Mistakes;

/// Returns every variable of the process that is valid UTF-8. Variables of other programs may
/// contain anything and are left out if they are not.
///
/// # Errors
/// Returns an error if a variable of Socialize is not UTF-8.
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
