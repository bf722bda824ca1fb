-- A job that cannot be claimed must not be in the queue: times that no program can hold, and attempts that are used up, would fail
-- the claim and all jobs that are claimed with it. Whatever there is of that is set aside as a dead letter, which an operator
-- can retry or discard.

update jobs
set status = 'dead', finished_at = now(), lease_token = null, lease_expires_at = null, last_error_type = 'invalid_data',
    run_at = case when isfinite(run_at) then run_at else now() end,
    created_at = case when isfinite(created_at) then created_at else now() end
where not isfinite(run_at) or not isfinite(created_at) or not coalesce(isfinite(lease_expires_at), true)
    or not coalesce(isfinite(finished_at), true) or (status = 'queued' and attempts >= max_attempts);

alter table jobs
    add constraint jobs_times_are_finite check (
        isfinite(run_at) and isfinite(created_at) and isfinite(lease_expires_at) is not false
            and isfinite(finished_at) is not false
    ),
    add constraint jobs_queued_with_an_attempt_left check (status <> 'queued' or attempts < max_attempts);

-- The tick of a periodic job that would never come, or has always been due.
update periodic_jobs set next_run_at = now() where not isfinite(next_run_at);
alter table periodic_jobs add constraint periodic_jobs_next_run_at_is_finite check (isfinite(next_run_at));

-- Only new rows are checked, for the table may be large. What reads due items passes over such rows.
alter table content_items
    add constraint content_items_scheduled_at_is_finite check (isfinite(scheduled_at)) not valid;
