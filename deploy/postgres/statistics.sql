-- The role by which the collector of the observability overlay reads the statistics of Postgres, and nothing else: a member of pg_monitor
-- sees what the server does and no row of any table. Run at each start of the overlay, as the superuser.
--
-- The password comes as the setting `statistics.password` of the connection, so that it is in no statement and in no log.
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
    -- roles.sql takes it from everybody.
    execute format('grant connect on database %I to socialize_statistics', current_database());
end
$$;
-- The size of a table waits for whoever has locked it: the exporter shall tell the rest before the scrape ends, after ten seconds.
alter role socialize_statistics set statement_timeout = '5s';
alter role socialize_statistics set default_transaction_read_only = on;
grant pg_monitor to socialize_statistics;
