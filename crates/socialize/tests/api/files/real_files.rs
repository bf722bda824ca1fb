//! Files written by real programs: `tests/media.py` creates files of every kind with ffmpeg and Pillow, and
//! lists their types.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use test_support::python_tool;

use super::attach;
use crate::content::Team;

/// Maximum number of attachments of an item.
const ATTACHMENTS: usize = 20;

/// File names in the directory, and their media types.
fn write(directory: &Path) -> BTreeMap<String, Option<String>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/media.py");
    let output = Command::new(python_tool("python")).arg(script).arg(directory).output();
    let output = output.expect("Python can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("names and media types")
}

#[tokio::test]
async fn files_of_ffmpeg_and_pillow_are_taken_for_what_they_are() {
    let directory = tempfile::tempdir().expect("a directory");
    let expected = write(directory.path());
    let taken = expected.values().flatten().count();
    assert!(taken > 50 && expected.len() - taken > 10, "{expected:?}");
    let team = Team::start(1).await;
    let mut wrong = Vec::new();
    let mut item = String::new();
    for (number, (name, media_type)) in expected.iter().enumerate() {
        if number % ATTACHMENTS == 0 {
            item = team.draft().await;
        }
        let answer = attach(&team, &item, fs::read(directory.path().join(name)).expect("a file")).await;
        let seen = match answer.status.as_u16() {
            201 => answer.body["media_type"].as_str().map(str::to_owned),
            _ => {
                assert_eq!(answer.body["code"], "unsupported_media_type", "{name}: {}", answer.body);
                None
            }
        };
        if seen != *media_type {
            wrong.push(format!("{name} is {media_type:?} and taken for {seen:?}"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// A browser sees bytes in front of a file first, and a truncated header identifies nothing.
#[tokio::test]
async fn a_file_with_something_in_front_or_without_its_head_is_none() {
    let directory = tempfile::tempdir().expect("a directory");
    let expected = write(directory.path());
    let team = Team::start(1).await;
    let item = team.draft().await;
    let html = b"<!doctype html><script>alert(1)</script>";
    for name in [
        "apple.m4v",
        "fragments.mp4",
        "chunk-stream0-00001.m4s",
        "animated.webp",
        "RGB.png",
        "progressive.jpg",
        "animated.gif",
        "document.pdf",
    ] {
        assert!(expected[name].is_some(), "{name}");
        let file = fs::read(directory.path().join(name)).expect("a file");
        let cut = if name == "progressive.jpg" { 2 } else { 4 };
        for other in [
            [&html[..], &file].concat(),
            [b"\n", &file[..]].concat(),
            file[1..].to_vec(),
            file[..cut].to_vec(),
            [&file[..cut], html].concat(),
        ] {
            attach(&team, &item, other).await.expect_error(415, "unsupported_media_type");
        }
    }
    assert_eq!(team.read(&item).await.body["revision"], Value::from(1));
}
