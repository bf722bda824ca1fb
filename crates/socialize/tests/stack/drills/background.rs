//! Faults in background work: e-mails, jobs, backlogs and files.

use std::path::Path;

use http::StatusCode;

use super::causes::{FAILED_REQUESTS, execute};
use super::mail_server::Mood;
use super::{Drill, Drills, UNDISTURBED};
use crate::application::BLOBS_DIRECTORY;

pub(super) async fn mail(drills: &mut Drills) {
    mail_for_strangers(drills).await;
    mail_deferred(drills).await;
    mail_refused(drills).await;
}

/// Strangers must not be able to page an operator.
async fn mail_for_strangers(drills: &mut Drills) {
    drills
        .undisturbed(
            "nothing, but one new user's mail server greylists, and three mistype their addresses",
            UNDISTURBED,
            &[],
            async |world| {
                for name in ["greylisted", "mistyped-1", "mistyped-2", "mistyped-3"] {
                    world.user().let_somebody_register(name).await;
                }
            },
        )
        .await;
}

async fn mail_deferred(drills: &mut Drills) {
    let drill = Drill {
        cause: "the mail server takes nothing for now",
        fires: &["EmailDeliveryFailing"],
        explained: &[],
    };
    drills
        .drill(
            drill,
            async |world| {
                world.mail.set(Mood::Defers);
                for _ in 0..4 {
                    world.user().forget_password().await;
                }
            },
            async |world, ()| world.mail.set(Mood::Takes),
        )
        .await;
}

async fn mail_refused(drills: &mut Drills) {
    let drill = Drill {
        cause: "the mail server refuses what is in the e-mails, and nobody looks after the jobs that died",
        fires: &["JobsFailing{job_kind=send_email}", "EmailDeliveryFailing"],
        explained: &[],
    };
    drills
        .drill(
            drill,
            async |world| {
                world.mail.set(Mood::Refuses);
                for _ in 0..4 {
                    world.user().forget_password().await;
                }
            },
            async |world, ()| {
                world.mail.set(Mood::Takes);
                world.operate(&["dead-letters", "discard", "--all"]);
            },
        )
        .await;
}

pub(super) async fn backlogs_growing(drills: &mut Drills) {
    let drill = Drill {
        cause: "twelve items are given up, and sixty wait for a decision since last week",
        fires: &["ItemsNotPublished", "ApprovalsStale"],
        explained: &[],
    };
    // Copies of the user's item, with a title that identifies them.
    const COPY: &str = "with original as (select * from content_items order by created_at limit 1),
        copies as (
            insert into content_items
                (id, workspace_id, channel, status, current_revision, status_entered_at, created_by, created_at,
                 updated_at)
            select gen_random_uuid(), workspace_id, channel,
                   case when number <= 12 then 'publish_failed' else 'in_approval' end, 1,
                   now() - interval '7 days', created_by, now(), now()
            from original, generate_series(1, 72) number
            returning id, created_by
        )
        insert into content_revisions (content_item_id, number, title, body, author_id, created_at)
        select id, 1, 'A drill', 'A drill', created_by, now() from copies";
    const REMOVE: &str = "delete from content_items where id in (select content_item_id from content_revisions where \
                          title = 'A drill')";
    drills
        .drill(
            drill,
            async |world| execute(world, COPY).await,
            async |world, ()| execute(world, REMOVE).await,
        )
        .await;
}

/// As with a clock that was wrong when the next run was scheduled.
pub(super) async fn schedule_moved(drills: &mut Drills) {
    let drill = Drill {
        cause: "the next run of a periodic job is planned for next year",
        fires: &["PeriodicJobStalled{job_kind=give_up_publishing}"],
        explained: &[],
    };
    const MOVE: &str = "update periodic_jobs set next_run_at = next_run_at + interval '1 year' where kind = \
                        'give_up_publishing'";
    const MOVE_BACK: &str = "update periodic_jobs set next_run_at = now() where kind = 'give_up_publishing'";
    drills
        .drill(
            drill,
            async |world| execute(world, MOVE).await,
            async |world, ()| execute(world, MOVE_BACK).await,
        )
        .await;
}

pub(super) async fn blobs_deleted(drills: &mut Drills) {
    let drill = Drill {
        cause: "somebody deletes uploaded files, and one of them is asked for",
        fires: &["BlobsMissing"],
        explained: FAILED_REQUESTS,
    };
    drills
        .drill(
            drill,
            async |world| {
                let status = world.user().upload().await;
                assert!(status.is_some_and(|status| status.is_success()), "without trouble: {status:?}");
                delete_files(Path::new(BLOBS_DIRECTORY));
                assert_eq!(world.user().download().await, StatusCode::INTERNAL_SERVER_ERROR);
            },
            async |_, ()| (),
        )
        .await;
}

/// Deletes all files below a directory.
fn delete_files(directory: &Path) {
    for entry in std::fs::read_dir(directory).expect("a directory").flatten() {
        if entry.path().is_dir() {
            delete_files(&entry.path());
        } else {
            std::fs::remove_file(entry.path()).expect("a file");
        }
    }
}
