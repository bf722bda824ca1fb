-- Background work. A job is inserted in the transaction that makes it necessary (the outbox) and claimed with a lease;
-- nothing is locked while it runs. A job that succeeded is deleted, so the table stays as small as the backlog. A job
-- that was given up stays until an operator retries or discards it.

create table jobs (
    id uuid not null,
    -- Not checked against a list: a worker of the previous version may meet a kind that it does not know yet, and leaves it.
    kind text not null,
    -- Ids only. What an e-mail says is looked up when it is sent, so no text of a customer lies here.
    payload jsonb not null,
    -- The same work is not enqueued twice: see jobs_deduplication_key.
    deduplication_key text,
    status text not null default 'queued',
    -- Orders what was claimed together, lowest first. Within a kind the order is run_at.
    priority smallint not null default 0,
    run_at timestamptz not null,
    -- Counted when the job is claimed, so a job that kills its process uses up its attempts too.
    attempts integer not null default 0,
    max_attempts integer not null,
    -- Known to the worker that claimed the job. Every heartbeat and every finish must show it: a worker that was frozen
    -- past its lease cannot touch what another has taken over.
    lease_token uuid,
    lease_expires_at timestamptz,
    -- The span that enqueued the job; the span of the run links to it.
    trace_id bytea,
    span_id bytea,
    sampled boolean,
    created_at timestamptz not null,
    -- When the job was given up.
    finished_at timestamptz,
    -- A name from a closed set. The text of an error may quote a customer's value and is never stored.
    last_error_type text,
    constraint jobs_pkey primary key (id),
    constraint jobs_kind_is_a_name check (kind ~ '^[a-z][a-z0-9_]{0,63}$'),
    constraint jobs_deduplication_key_length check (char_length(deduplication_key) between 1 and 200),
    constraint jobs_status_known check (status in ('queued', 'running', 'dead')),
    constraint jobs_attempts_range check (attempts between 0 and max_attempts),
    constraint jobs_max_attempts_positive check (max_attempts > 0),
    constraint jobs_leased_while_running check (
        (status = 'running') = (lease_token is not null) and (lease_token is null) = (lease_expires_at is null)
    ),
    constraint jobs_finished_when_dead check ((status = 'dead') = (finished_at is not null)),
    constraint jobs_trace_context_whole check (num_nulls(trace_id, span_id, sampled) in (0, 3)),
    constraint jobs_trace_id_size check (octet_length(trace_id) = 16),
    constraint jobs_span_id_size check (octet_length(span_id) = 8),
    constraint jobs_last_error_type_is_a_name check (last_error_type ~ '^[a-z][a-z0-9_.]{0,63}$')
);

-- Waiting or running counts as enqueued; a dead job does not stand in the way of the same work tried anew.
create unique index jobs_deduplication_key on jobs (kind, deduplication_key)
    where deduplication_key is not null and status in ('queued', 'running');
-- The claim: per kind, what is due first. A kind that is full or far in the future costs the others nothing.
create index jobs_claim_idx on jobs (kind, run_at, id) where status = 'queued';
-- Leases that ran out.
create index jobs_lease_expires_at_idx on jobs (lease_expires_at) where status = 'running';
-- The operator's list of dead jobs.
create index jobs_dead_idx on jobs (finished_at desc, id desc) where status = 'dead';

-- Rows are updated and deleted far more often than in other tables, and dead ones slow the claim down.
alter table jobs set (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 1000);

-- One row per periodic kind. It advances by a conditional upsert in the transaction that enqueues the job, so every tick
-- is enqueued once however many workers there are.
create table periodic_jobs (
    kind text not null,
    next_run_at timestamptz not null,
    constraint periodic_jobs_pkey primary key (kind),
    constraint periodic_jobs_kind_is_a_name check (kind ~ '^[a-z][a-z0-9_]{0,63}$')
);
