//! `cargo run -p monitoring -- write` renders every generated file; `-- check` says which ones differ.
//! `-- rules FACTOR DIRECTORY` renders the rules of Prometheus and their tests so many times faster than in real life, for drills.

use std::path::Path;

use anyhow::Context;
use monitoring::files;
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
        _ => anyhow::bail!("expected write, check, or rules with a factor and a directory"),
    }
    Ok(())
}
