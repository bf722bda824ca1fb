//! Background work: jobs in a table, enqueued in the transaction that makes them necessary and claimed with a lease.
//!
//! A worker that dies at any instant loses nothing: its leases run out and others take its jobs over. A worker that was
//! only frozen cannot do harm when it wakes, because every statement that ends a job shows the lease's token. Nothing is
//! locked in the database while a job runs. So a job runs at least once, and handlers make repetition recognisable.
//!
//! [`Worker::start`] runs the loops of [`Loop`](domain::labels::Loop): the worker claims and runs, the listener wakes it, the
//! scheduler enqueues periodic jobs, the samplers read what the database holds. [`run_due_jobs`] runs what is due once, for
//! tests.

mod backoff;
mod claim;
mod depth;
mod end;
mod enqueue;
mod job;
mod listen;
mod room;
mod run;
mod sample;
mod schedule;
mod signals;
mod supervise;
mod worker;

pub use backoff::backoff;
pub(crate) use enqueue::NOTIFY_CHANNEL;
pub use enqueue::{JobOwner, NewJob, enqueue, enqueue_in_lane};
pub use job::{Job, JobError, JobPolicy};
pub use run::{RunCounts, run_due_jobs, run_due_jobs_with};
pub use signals::JobSignals;
pub use worker::{Handler, Worker, WorkerHandle, WorkerSettings};
