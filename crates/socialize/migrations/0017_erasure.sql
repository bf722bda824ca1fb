-- Accounts that were erased: the row stays, because content refers to its author, and names nobody.

alter table users add column erased_at timestamptz;
alter table users
    add constraint users_erased_names_nobody check (
        erased_at is null
        or (email = 'erased-' || id || '@erased.invalid' and display_name = 'Erased' and email_verified_at is null and not is_operator)
    );

-- Finds invites that name somebody who is erased.
create index workspace_invites_email_idx on workspace_invites (email);
-- Finds invites that nobody can accept any more and that are old enough to be forgotten.
create index workspace_invites_closed_idx on workspace_invites (closed_at) where status in ('revoked', 'expired');
