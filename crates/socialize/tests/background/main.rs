//! Background work: the queue, its loops, jobs and e-mail, with a real database and real mail servers.

mod backlog;
mod clean_up_tokens;
mod email;
mod fairness;
mod gauge_counts;
mod gauges;
mod loops;
mod mail_server;
mod mail_trouble;
mod proxy;
mod publishing;
mod publishing_support;
mod publishing_trouble;
mod queue;
mod receiver;
mod stale_approvals;
mod support;
mod worker;
