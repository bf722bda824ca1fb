-- Slots are shared among organizations, so that one of them cannot keep the deliveries and e-mails of all others waiting.

-- Whom the work is for, where it is for one organization. No foreign key: a job outlives what it is about, and finds that out when it runs.
alter table jobs add column organization_id uuid;

-- Where many jobs are due, the claim takes the first one of each queue: of a lane, or else of an organization. It steps from one queue
-- to the next over this index, so its cost grows with the number of queues and not with what waits in them.
create function job_queue(lane uuid, organization_id uuid) returns uuid language sql immutable parallel safe as $$
    select coalesce(lane, organization_id, '00000000-0000-0000-0000-000000000000')
$$;
create index jobs_queue_idx on jobs (kind, job_queue(lane, organization_id), run_at, id) where status = 'queued';
drop index jobs_lane_idx;

-- How an endpoint has behaved. Those that answer get more slots and more patience than those that keep us waiting.
alter table publishing_endpoints
    -- Grows by two with each call that timed out, and shrinks by one with each that was answered.
    add column slowness smallint not null default 0,
    -- Whether it has ever answered a call.
    add column has_answered boolean not null default false,
    add constraint publishing_endpoints_slowness_range check (slowness between 0 and 20);
