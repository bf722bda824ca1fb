//! `cargo run -p monitoring -- write` renders every generated file, and `-- check` lists those that
//! differ.
//!
//! `-- rules FACTOR DIRECTORY` renders Prometheus's rules and their tests, accelerated by the
//! factor, for drills. `-- mutants` changes the rules and expects their tests to fail; see
//! [`monitoring::mutants`].

use std::path::Path;

use anyhow::Context;
use monitoring::files;
use monitoring::mutants::{self, Options};
use monitoring::query::Scale;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["write"] => files::write(&files::repository())?,
        ["check"] => {
            let differing = files::differing(&files::repository())?;
            if !differing.is_empty() {
                anyhow::bail!("{}", files::remedy(&differing));
            }
        }
        ["rules", factor, directory] => {
            let factor: std::num::NonZeroU32 =
                factor.parse().with_context(|| format!("{factor} is not a number of 1 and more"))?;
            files::write_rules(Scale::faster(factor.get()), Path::new(directory))?;
        }
        ["mutants", ref arguments @ ..] => mutants::run(&mutant_options(arguments)?)?,
        _ => anyhow::bail!("expected write, check, mutants, or rules with a factor and a directory"),
    }
    Ok(())
}

/// Parses `[--json FILE] [--one-in NUMBER] [NAME…]`.
fn mutant_options(arguments: &[&str]) -> anyhow::Result<Options> {
    let mut options = Options::default();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match *argument {
            "--json" => options.json = Some(arguments.next().context("--json needs a file")?.into()),
            "--one-in" => {
                let number = arguments.next().context("--one-in needs a number")?;
                options.one_in = number.parse().with_context(|| format!("{number} is not a number"))?;
            }
            name if !name.starts_with('-') => options.names.push(name.to_owned()),
            other => anyhow::bail!(
                "there is no option {other}: expected --json FILE, --one-in NUMBER or names of rules"
            ),
        }
    }
    Ok(options)
}
