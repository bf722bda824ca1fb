//! Claiming, running and ending jobs.

use domain::labels::JobKind;
use socialize::queue::{NewJob, enqueue};
use telemetry::JobOutcome;
use test_support::TestApp;

#[tokio::test]
async fn a_job_that_is_due_runs_once() {
    let test = TestApp::start().await;
    assert_eq!(test.run_due_jobs().await.total(), 0);
    let mut transaction = test.app.database.begin().await.expect("a transaction");
    let job = NewJob {
        kind: JobKind::CleanUpTokens,
        payload: &(),
        run_at: test.app.clock.now(),
        max_attempts: 1,
        deduplication_key: None,
    };
    enqueue(&test.app, &mut transaction, job).await.expect("enqueued");
    test.app.database.commit(transaction).await.expect("committed");
    assert_eq!(test.run_due_jobs().await.of(JobOutcome::Ok), 1);
    assert_eq!(test.run_due_jobs().await.total(), 0);
}
