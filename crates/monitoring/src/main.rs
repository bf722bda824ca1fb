//! `cargo run -p monitoring -- write` renders every generated file; `-- check` says which ones differ.

use monitoring::files;

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
        _ => anyhow::bail!("expected one argument: write or check"),
    }
    Ok(())
}
