-- Claims due jobs, fairly among organizations. The cost does not grow with the backlog: of each
-- kind only the first jobs are considered, and if more are due, the first ones of each organization
-- or lane: see migration 0019.
--
-- $1 kinds, $2 number of jobs of each; $3 the current time, or null for the database's clock; $4
-- token and $5 seconds of the lease; $6 to $9 the shares of kinds that have some: kind, standing,
-- most concurrent jobs, most of one organization; $10 to $13 jobs that this process runs: kind,
-- organization, lane, standing. Jobs without an organization, from older versions, count by their
-- lane alone.
with recursive wanted as materialized (
    select * from unnest($1::text[], $2::bigint[]) as wanted (kind, free)
), running as materialized (
    select * from unnest($10::text[], $11::uuid[], $12::uuid[], $13::smallint[]) as running (kind, organization_id, lane, standing)
), first as materialized (
    select wanted.kind, due.*
    from wanted cross join lateral (
        select id, run_at, lane, coalesce(organization_id, lane) as organization_id from jobs
        where jobs.kind = wanted.kind and status = 'queued' and run_at <= coalesce($3, statement_timestamp())
        order by run_at, id limit 101
    ) as due
), crowded as materialized (
    select kind from first group by kind having count(*) > 100
), queues (kind, queue) as (
    select kind, (
        select job_queue(lane, organization_id) from jobs where jobs.kind = crowded.kind and status = 'queued'
        order by job_queue(lane, organization_id) limit 1
    ) from crowded
    union all
    select kind, (
        select job_queue(lane, organization_id) from jobs
        where jobs.kind = queues.kind and status = 'queued' and job_queue(lane, organization_id) > queues.queue
        order by job_queue(lane, organization_id) limit 1
    ) from queues where queue is not null
), heads as (
    select first.* from first where kind not in (select kind from crowded)
    union all
    select wanted.kind, head.*
    from queues join wanted using (kind) cross join lateral (
        select id, run_at, lane, coalesce(organization_id, lane) as organization_id from jobs
        where jobs.kind = wanted.kind and status = 'queued' and job_queue(lane, organization_id) = queues.queue
            and run_at <= coalesce($3, statement_timestamp())
        -- Kinds with shares are those with lanes, of which only the first job can be claimed. Of
        -- other kinds a claim may get fewer jobs than requested if some organizations have few;
        -- is_crowded tells that another claim is worthwhile.
        order by run_at, id
        limit case when wanted.kind = any ($6) then 1 else 1 + wanted.free / (select count(*) from queues) end
    ) as head
), open as (
    -- The lane of a delivery is its workspace. room.rs defines standings.
    select heads.*,
        case when lane is null or slowness is null then 0 when slowness >= 2 then 2
            when slowness > 0 or not has_answered then 1 else 0 end::smallint as standing,
        row_number() over (partition by kind, lane order by run_at, id) as place_in_lane
    from heads left join publishing_endpoints on workspace_id = lane
    where lane is null or lane not in (select lane from running where lane is not null)
), ranked as (
    -- Organizations take turns: those with the fewest running jobs are next.
    select open.*,
        row_number() over (partition by kind, organization_id order by run_at, id) + (
            select count(*) from running
            where running.kind = open.kind and running.organization_id is not distinct from open.organization_id
        ) as turn,
        row_number() over (partition by kind, organization_id, standing order by run_at, id) + (
            select count(*) from running
            where running.kind = open.kind and running.standing = open.standing
                and running.organization_id is not distinct from open.organization_id
        ) as turn_in_standing
    from open where lane is null or place_in_lane = 1
), shared as materialized (
    select ranked.*, share.most,
        row_number() over (partition by ranked.kind, ranked.standing order by turn, run_at, ranked.id) + (
            select count(*) from running where running.kind = ranked.kind and running.standing = ranked.standing
        ) as place_in_standing
    from ranked left join unnest($6::text[], $7::smallint[], $8::bigint[], $9::bigint[]) as share (kind, standing, most, most_of_one)
        on share.kind = ranked.kind and share.standing = ranked.standing
    where share.most_of_one is null or turn_in_standing <= share.most_of_one
), chosen as materialized (
    -- Row by row, so that rows being claimed by others are skipped.
    select next.id, next.standing
    from wanted cross join lateral (
        select ordered.id, ordered.standing
        from (
            select * from shared where kind = wanted.kind and (most is null or place_in_standing <= most)
            order by turn, run_at, id
        ) as ordered
        cross join lateral (
            select from jobs where id = ordered.id and status = 'queued' for update skip locked
        ) as locked
        limit wanted.free
    ) as next
), claimed as (
    update jobs
    set status = 'running', attempts = attempts + 1, lease_token = $4,
        lease_expires_at = coalesce($3, statement_timestamp()) + make_interval(secs => $5)
    where id = any (array (select id from chosen))
    returning id, kind, payload, attempts, max_attempts, priority, run_at, lane,
        coalesce(organization_id, lane) as organization_id, trace_id, span_id, sampled
)
select claimed.id, kind, payload, attempts, max_attempts, lane, organization_id, standing, trace_id, span_id, sampled,
    kind in (select kind from crowded) and kind <> all ($6) as is_crowded
from claimed join chosen using (id) order by priority, run_at
