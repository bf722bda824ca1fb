//! Background work: jobs in a table, enqueued in the transaction that requires them and claimed with a lease.
//!
//! A worker that dies loses nothing: its leases expire and other workers take over. A worker that was only
//! frozen does no harm on waking, because every statement that ends a job checks the lease's token. A running
//! job holds no locks in the database. So a job runs at least once, and handlers must make repetitions
//! recognisable.
//!
//! [`Worker::start`] runs the loops of [`Loop`](catalogue::labels::Loop): the worker claims and runs jobs, the
//! listener wakes it, the scheduler enqueues periodic jobs, and the samplers read gauges from the database.
//! [`run_due_jobs_with`] runs due jobs once, for tests.

mod backoff;
mod claim;
mod depth;
mod end;
mod enqueue;
mod entry;
mod handle;
mod job;
mod listen;
mod room;
mod run;
mod schedule;
mod settings;
mod signals;
mod supervise;
mod worker;

pub use backoff::backoff;
pub(crate) use enqueue::NOTIFY_CHANNEL;
pub use enqueue::{JobOwner, NewJob, enqueue, enqueue_in_lane};
pub use entry::{EnqueuePeriodic, JobEntry};
pub use handle::{Queue, State};
pub use job::{Job, JobError, JobPolicy, JobType};
pub use run::{RunCounts, run_due_jobs_with};
pub use settings::{Handler, LEASE, Samples, WorkerSettings};
pub use worker::{Worker, WorkerHandle};
