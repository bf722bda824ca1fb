//! Enqueues periodic jobs.

use catalogue::database_operation::DatabaseOperation;
use catalogue::labels::JobKind;
use domain::vocabulary::parse;
use telemetry::ClosedSet;

use crate::platform::database;
use crate::queue::entry::EnqueuePeriodic;
use crate::queue::handle::Queue;
use crate::queue::job::JobPolicy;

/// Enqueues every due periodic job. However many schedulers run, each tick is enqueued once: the row with the
/// next time is updated in the transaction that enqueues, and only if it is due.
///
/// A new kind starts one period after it is first seen. Missed ticks are not made up for: one run catches up.
pub(super) async fn schedule_periodic_jobs(
    queue: &Queue,
    policy: fn(JobKind) -> JobPolicy,
    enqueue: fn(JobKind) -> Option<EnqueuePeriodic>,
) -> database::Result<()> {
    let periodic = JobKind::ALL.iter().filter_map(|kind| Some((*kind, policy(*kind).every?)));
    let (kinds, periods): (Vec<&str>, Vec<f64>) =
        periodic.map(|(kind, every)| (kind.as_str(), every.as_secs_f64())).unzip();

    let mut transaction = queue.database.begin().await?;
    let due: Vec<String> = queue
        .database
        .run(
            DatabaseOperation::SchedulePeriodicJobs,
            sqlx::query_scalar(
                "with periodic as (
                     select kind, coalesce($3, statement_timestamp()) + make_interval(secs => period) as next_run_at
                     from unnest($1::text[], $2::float8[]) as periodic (kind, period)
                 ), first_seen as (
                     insert into periodic_jobs (kind, next_run_at) select kind, next_run_at from periodic
                     on conflict (kind) do nothing
                 )
                 update periodic_jobs set next_run_at = periodic.next_run_at
                 from periodic
                 where periodic_jobs.kind = periodic.kind
                     and periodic_jobs.next_run_at <= coalesce($3, statement_timestamp())
                 returning periodic_jobs.kind",
            )
            .bind(kinds)
            .bind(periods)
            .bind(queue.clock.for_database())
            .fetch_all(&mut *transaction),
        )
        .await?;
    for enqueue in due.iter().filter_map(|kind| parse::<JobKind>(kind).ok().and_then(enqueue)) {
        enqueue(queue, &mut transaction).await?;
    }
    queue.database.commit(transaction).await
}
