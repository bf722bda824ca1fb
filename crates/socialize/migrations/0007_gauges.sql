-- How many content items and feedback reports have each status, at a cost that does not grow with how many there are.
--
-- Every change of a status adds a row to gauge_transitions, in its own transaction, so the counts are exact at every commit
-- whatever rolls back. Rows are only added: nothing that two users do at the same time meets in one row, so nobody waits and
-- nothing deadlocks. Somebody who samples reads the totals plus the transitions that are not in them yet, and afterwards, in
-- a transaction of its own, folds transitions into the totals. (To read and to fold in one statement gives wrong samples.)

create table gauge_totals (
    gauge text not null,
    status text not null,
    count bigint not null,
    constraint gauge_totals_pkey primary key (gauge, status)
);

create table gauge_transitions (
    gauge text not null,
    -- Null for rows that appeared.
    from_status text,
    -- Null for rows that went.
    to_status text,
    -- Negative only where a repair takes away what was counted too often.
    count bigint not null,
    constraint gauge_transitions_from_or_to check (num_nonnulls(from_status, to_status) > 0)
);

-- Rows come and go far more often than in other tables, and every sample reads the pages that dead ones leave behind.
alter table gauge_transitions set (
    autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_scale_factor = 0.0, autovacuum_vacuum_insert_threshold = 50000
);

create view gauge_counts as
select gauge, status, sum(count)::bigint as count
from (
    select gauge, status, count from gauge_totals
    union all
    select transition.gauge, part.status, part.count
    from gauge_transitions as transition
    cross join lateral (
        values (transition.from_status, -transition.count), (transition.to_status, transition.count)
    ) as part (status, count)
    where part.status is not null
) as parts
group by gauge, status;

-- What the tables hold beside what is counted, where both differ. This one reads every row. Triggers can be bypassed
-- (session_replication_role, a restore of single tables), so it is compared now and then, and the difference repaired by
-- adding it as transitions: one statement sees one moment, so that is right while others write.
create view gauge_drift as
select gauge, status, coalesce(actual.count, 0) as actual, coalesce(counted.count, 0) as counted
from (
    select 'content_items' as gauge, status, count(*) as count from content_items group by status
    union all
    select 'feedback_reports', status, count(*) from feedback_reports group by status
) as actual
full join gauge_counts as counted using (gauge, status)
where coalesce(actual.count, 0) <> coalesce(counted.count, 0);

-- The triggers. Their argument is the name of the gauge.

create function gauge_rows_inserted() returns trigger language plpgsql as $$
begin
    insert into gauge_transitions (gauge, from_status, to_status, count)
    select tg_argv[0], null, status, count(*) from inserted group by status;
    return null;
end
$$;

create function gauge_rows_deleted() returns trigger language plpgsql as $$
begin
    insert into gauge_transitions (gauge, from_status, to_status, count)
    select tg_argv[0], status, null, count(*) from deleted group by status;
    return null;
end
$$;

create function gauge_status_changed() returns trigger language plpgsql as $$
begin
    insert into gauge_transitions (gauge, from_status, to_status, count)
    values (tg_argv[0], old.status, new.status, 1);
    return null;
end
$$;

-- Nobody tells how many rows a TRUNCATE takes: what is counted is. It has waited for everybody who writes, and in this
-- isolation level the statement below sees what they committed; in a stricter one it would not.
create function gauge_table_truncated() returns trigger language plpgsql as $$
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'TRUNCATE of % needs the isolation level READ COMMITTED', tg_table_name;
    end if;
    insert into gauge_transitions (gauge, from_status, to_status, count)
    select gauge, status, null, count from gauge_counts where gauge = tg_argv[0] and count <> 0;
    return null;
end
$$;

-- Inserts and deletes are counted by statement, so that many rows cost as much as one. Updates are looked at by row and only
-- where the status has changed: other edits pay nothing. (`update of status` would miss what other triggers change.)
create trigger gauge_rows_inserted after insert on content_items
    referencing new table as inserted for each statement execute function gauge_rows_inserted('content_items');
create trigger gauge_rows_deleted after delete on content_items
    referencing old table as deleted for each statement execute function gauge_rows_deleted('content_items');
create trigger gauge_status_changed after update on content_items
    for each row when (old.status is distinct from new.status) execute function gauge_status_changed('content_items');
create trigger gauge_table_truncated after truncate on content_items
    for each statement execute function gauge_table_truncated('content_items');

create trigger gauge_rows_inserted after insert on feedback_reports
    referencing new table as inserted for each statement execute function gauge_rows_inserted('feedback_reports');
create trigger gauge_rows_deleted after delete on feedback_reports
    referencing old table as deleted for each statement execute function gauge_rows_deleted('feedback_reports');
create trigger gauge_status_changed after update on feedback_reports
    for each row when (old.status is distinct from new.status) execute function gauge_status_changed('feedback_reports');
create trigger gauge_table_truncated after truncate on feedback_reports
    for each statement execute function gauge_table_truncated('feedback_reports');

-- What is there already. Creating the triggers has locked the tables against writers until this transaction ends.
insert into gauge_transitions (gauge, from_status, to_status, count)
select gauge, null, status, actual - counted from gauge_drift;

-- The other gauges count what an index holds, so they grow only with what is to be counted. Invites have theirs already.

-- Items that wait for decisions for too long.
create index content_items_in_approval_idx on content_items (status_entered_at) where status = 'in_approval';
-- Workspaces in use.
create index workspaces_last_active_at_idx on workspaces (last_active_at);
