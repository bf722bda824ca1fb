-- How often something may happen within a window of time, counted over all processes. What is lost in a crash of the server is
-- a minute of failed log-ins, so the table is not logged.
create unlogged table rate_limits (
    -- A code of what is limited (an account, a client network, both together) that only the server's secret can compute: no
    -- address is stored here.
    subject bytea not null,
    -- When it happened, oldest first: exactly the events of the window, so there is no moment at which a limit doubles.
    events timestamptz[] not null,
    -- From then on the row says nothing.
    forget_at timestamptz not null,
    constraint rate_limits_pkey primary key (subject),
    constraint rate_limits_subject_size check (octet_length(subject) = 16)
) with (fillfactor = 50);

-- Rows are updated in place (no index contains what changes) and soon deleted.
alter table rate_limits set (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 1000);

-- Counts one event for all subjects, or for none if one of them has reached its limit: then it returns when that is free again.
-- Rows are locked in the order of the arrays. All callers name subjects in one order, the client before the account.
create function count_event(subjects bytea[], counts integer[], windows interval[], happened timestamptz)
returns timestamptz language plpgsql as $$
declare
    recent timestamptz[];
begin
    for i in 1 .. cardinality(subjects) loop
        -- Events far in the future were counted before a clock was set back: nobody is locked out until it has caught up.
        insert into rate_limits as known (subject, events, forget_at)
        values (subjects[i], '{}', happened + windows[i])
        on conflict (subject) do update set events = array(
            select event from unnest(known.events) as event
            where event > happened - windows[i] and event < happened + windows[i] order by event
        )
        returning events into recent;
        if cardinality(recent) >= counts[i] then
            return recent[cardinality(recent) - counts[i] + 1] + windows[i];
        end if;
    end loop;
    for i in 1 .. cardinality(subjects) loop
        update rate_limits set events = events || happened, forget_at = greatest(forget_at, happened + windows[i])
        where subject = subjects[i];
    end loop;
    return null;
end
$$;

-- Takes back what count_event has counted, for attempts that turned out to be right.
create function uncount_event(subjects bytea[], happened timestamptz) returns void language plpgsql as $$
begin
    for i in 1 .. cardinality(subjects) loop
        update rate_limits
        set events = events[:array_position(events, happened) - 1] || events[array_position(events, happened) + 1:]
        where subject = subjects[i] and happened = any (events);
    end loop;
end
$$;

-- Client networks that a user has logged in from, or opened an e-mailed link in. Guesses from elsewhere slow log-ins to an account
-- down, but not from here. Like above the network is a code, not an address.
create table known_networks (
    user_id uuid not null,
    network bytea not null,
    -- Whether the network is one that is not routed on the internet. If every user comes from one such network, it is
    -- probably a proxy that should be trusted.
    is_private boolean not null,
    seen_at timestamptz not null,
    constraint known_networks_pkey primary key (user_id, network),
    constraint known_networks_user_id_fkey foreign key (user_id) references users (id) on delete cascade,
    constraint known_networks_network_size check (octet_length(network) = 16)
);

create index known_networks_seen_at_idx on known_networks (seen_at);
