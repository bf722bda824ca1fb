-- The roles of Socialize. roles.sh runs this as the superuser, who has no other task here.
--
-- The owner creates and changes tables, for migrations only. The application reads and writes rows:
-- an attacker who takes over a process can neither drop a table, nor create a function for others
-- to run, nor read files of the server.

create role socialize_owner login nosuperuser nocreatedb nocreaterole noreplication password :'owner_password';
create role socialize login nosuperuser nocreatedb nocreaterole noreplication password :'application_password';

do $$
begin
    execute format('alter database %I owner to socialize_owner', current_database());
    execute format('revoke all on database %I from public', current_database());
    execute format('grant connect on database %I to socialize', current_database());
end
$$;

alter schema public owner to socialize_owner;
revoke all on schema public from public;
grant usage on schema public to socialize;

-- Objects that migrations will create.
alter default privileges for role socialize_owner in schema public grant select, insert, update, delete on tables to socialize;
alter default privileges for role socialize_owner in schema public grant usage on sequences to socialize;
