//! The committed files equal the rendered ones.

use monitoring::files;

#[test]
fn the_repository_has_every_file_as_it_is_rendered() {
    let differing = files::differing(&files::repository()).expect("files can be read");
    assert!(differing.is_empty(), "{}", files::remedy(&differing));
}

#[test]
fn a_missing_file_differs_until_it_is_written() {
    let directory = tempfile::tempdir().expect("a directory");
    let all: Vec<String> = files::all().into_iter().map(|file| file.path).collect();
    assert_eq!(files::differing(directory.path()).expect("an empty directory can be read"), all);
    files::write(directory.path()).expect("files can be written");
    assert!(files::differing(directory.path()).expect("files can be read").is_empty());
    std::fs::write(directory.path().join(&all[0]), "edited by hand").expect("a file can be written");
    assert_eq!(files::differing(directory.path()).expect("files can be read"), [all[0].clone()]);
}
