//! Background work: the queue, the services, and e-mail, on a real database and against real mail servers.

mod queue;
