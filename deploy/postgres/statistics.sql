-- The role by which the overlay's collector reads Postgres's statistics: a member of pg_monitor
-- sees the server's activity but no rows. Run at each start of the overlay as the superuser.
--
-- The password is the connection's setting `statistics.password`, so that no statement and no log
-- contains it.
set client_min_messages = warning;
do $$
begin
    if not exists (select from pg_roles where rolname = 'socialize_statistics') then
        create role socialize_statistics;
    end if;
    execute format(
        'alter role socialize_statistics with login nosuperuser nocreatedb nocreaterole noreplication nobypassrls '
        'connection limit 5 password %L',
        current_setting('statistics.password')
    );
    -- roles.sql revokes it from everybody.
    execute format('grant connect on database %I to socialize_statistics', current_database());
end
$$;
-- Reading a table's size waits for its lock: the exporter must finish before the scrape timeout of
-- ten seconds.
alter role socialize_statistics set statement_timeout = '5s';
alter role socialize_statistics set default_transaction_read_only = on;
grant pg_monitor to socialize_statistics;
