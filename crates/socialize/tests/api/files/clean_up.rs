//! Remains of failed uploads, and their clean-up.

use axum::body::Body;
use bytes::Bytes;
use chrono::TimeDelta;
use futures_util::stream;
use http::Method;
use socialize::features::files::clean_up_blobs;
use tokio::sync::mpsc;

use super::{MIB, MP4, attach, file, nothing_stays, operations, picture, request};
use crate::content::Team;

/// A body whose pieces the test sends.
fn fed() -> (mpsc::UnboundedSender<Bytes>, Body) {
    let (feed, fed) = mpsc::unbounded_channel();
    let pieces = stream::unfold(fed, |mut fed: mpsc::UnboundedReceiver<Bytes>| async {
        let piece = fed.recv().await?;
        Some((Ok::<_, std::io::Error>(piece), fed))
    });
    (feed, Body::from_stream(pieces))
}

async fn until_a_part_is_stored(team: &Team) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while operations(&team.test, "put_part", "ok") == 0 {
        assert!(std::time::Instant::now() < deadline, "no part was stored");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_abandoned_upload_is_cleaned_up_within_an_hour() {
    let team = Team::start(1).await;
    let (item, kept) = picture(&team).await;
    let (feed, body) = fed();
    feed.send(Bytes::from(file(MP4, 2 * MIB))).expect("somebody reads");
    {
        let upload = attach(&team, &item, body);
        tokio::select! {
            _ = upload => panic!("the upload has no end"),
            () = until_a_part_is_stored(&team) => {}
        }
        // The client disconnects.
    }
    assert_eq!(team.rows("unreferenced_blobs").await, 1);
    // The file that a killed process leaves: dropping the upload would delete it.
    let [row]: [uuid::Uuid; 1] = sqlx::query_scalar("select blob_id from unreferenced_blobs")
        .fetch_all(team.test.pool())
        .await
        .expect("rows")
        .try_into()
        .expect("one row");
    let id = row.to_string();
    let directory = team.test.blobs_directory().join(&id[id.len() - 2..]);
    std::fs::create_dir_all(&directory).expect("a directory");
    std::fs::write(directory.join(format!("{id}#1")), b"a part").expect("written");

    clean_up_blobs::run(&team.test.app).await.expect("cleaned up");
    assert_eq!(team.rows("unreferenced_blobs").await, 1, "it could still be under way");
    team.test.app.clock.advance(clean_up_blobs::ABANDONED_AFTER);
    clean_up_blobs::run(&team.test.app).await.expect("cleaned up");
    assert_eq!((team.rows("unreferenced_blobs").await, team.test.stored_files().len()), (0, 1));
    let every =
        socialize::run::workers::policy(catalogue::labels::JobKind::CleanUpBlobs).every.expect("periodic");
    let longest = clean_up_blobs::ABANDONED_AFTER + TimeDelta::from_std(every).expect("short");
    assert!(longest < TimeDelta::hours(1), "{longest}");
    team.test.get(team.author, &kept).await.expect(200);
}

#[tokio::test]
async fn what_was_taken_for_abandoned_cannot_be_finished() {
    let team = Team::start(1).await;
    let item = team.draft().await;
    let (feed, body) = fed();
    feed.send(Bytes::from(file(MP4, 2 * MIB))).expect("somebody reads");
    let clean_up = async {
        until_a_part_is_stored(&team).await;
        team.test.app.clock.advance(clean_up_blobs::ABANDONED_AFTER);
        clean_up_blobs::run(&team.test.app).await.expect("cleaned up");
        drop(feed);
    };
    let (told, ()) = tokio::join!(attach(&team, &item, body), clean_up);
    // The caller's access token has expired meanwhile as well, but it was checked before.
    assert_eq!(told.status.as_u16(), 503, "{}", told.body);
    assert_eq!(team.rows("attachments").await, 0);
    // The parts were gone, so completing them stored nothing.
    clean_up_blobs::run(&team.test.app).await.expect("cleaned up");
    nothing_stays(&team).await;
}

#[tokio::test]
async fn files_of_rows_that_go_with_others_go_too() {
    let team = Team::start(1).await;
    picture(&team).await;
    sqlx::query("delete from workspaces where id = $1")
        .bind(team.workspace)
        .execute(team.test.pool())
        .await
        .expect("deleted");
    clean_up_blobs::run(&team.test.app).await.expect("cleaned up");
    nothing_stays(&team).await;
}

#[tokio::test]
async fn a_file_that_cannot_be_deleted_keeps_no_other_and_is_tried_again() {
    let team = Team::start(1).await;
    let (item, first) = picture(&team).await;
    let second = attach(&team, &item, crate::world::PNG).await.expect(201).text("id");
    for path in [first.clone(), format!("{item}/attachments/{second}")] {
        let mut request = request(&team.test, team.author, Method::DELETE, &path, Body::empty());
        request.headers_mut().insert("if-match", "*".parse().expect("a header"));
        team.test.send(request).await.expect(204);
    }
    // A directory in place of the file.
    let stuck =
        team.test.stored_files().into_iter().find(|path| first.ends_with(&*file_name(path))).expect("a file");
    std::fs::remove_file(&stuck).expect("removed");
    std::fs::create_dir_all(stuck.join("something")).expect("a directory");
    let failed = clean_up_blobs::run(&team.test.app).await.expect_err("it cannot be deleted");
    assert!(matches!(failed, socialize::queue::JobError::Retry(_)), "{failed:?}");
    assert_eq!(team.rows("unreferenced_blobs").await, 1);

    std::fs::remove_dir_all(&stuck).expect("removed");
    clean_up_blobs::run(&team.test.app).await.expect("cleaned up");
    assert_eq!(team.rows("unreferenced_blobs").await, 0);
}

fn file_name(path: &std::path::Path) -> String {
    path.file_name().expect("a name").to_string_lossy().into_owned()
}
