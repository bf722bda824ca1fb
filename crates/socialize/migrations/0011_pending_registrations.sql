-- A registration is kept apart from the accounts until its link is used. Its link confirms this registration and no other:
-- the account gets the name and the password that came with it, whatever was registered for the address before or after.

create table pending_registrations (
    -- The token of the e-mailed link is derived from it, like that of email_tokens.
    id uuid not null,
    email text not null,
    display_name text not null,
    password_hash text not null,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    constraint pending_registrations_pkey primary key (id),
    constraint pending_registrations_email_normalised check (email = lower(email collate "C") and email = btrim(email) and position('@' in email) > 1),
    constraint pending_registrations_email_length check (char_length(email) between 3 and 254),
    constraint pending_registrations_display_name_length check (char_length(display_name) between 1 and 100),
    constraint pending_registrations_password_hash_argon2id check (password_hash like '$argon2id$%'),
    constraint pending_registrations_expires_after_creation check (expires_at > created_at)
);

-- Not unique: several people may register one address, and only its owner can use a link.
create index pending_registrations_email_idx on pending_registrations (email, created_at);
create index pending_registrations_expires_at_idx on pending_registrations (expires_at);

-- Users who have not confirmed their address become pending registrations. Of several links only the newest is kept: earlier
-- ones may have been sent for a registration that a later one replaced. Its id stays, so the link in the mailbox works.
insert into pending_registrations (id, email, display_name, password_hash, created_at, expires_at)
select distinct on (u.id) t.id, u.email, u.display_name, u.password_hash, t.created_at, t.expires_at
from email_tokens t join users u on u.id = t.user_id
where t.purpose = 'verify_email' and t.used_at is null and u.email_verified_at is null and u.email not like '%@erased.invalid'
order by u.id, t.created_at desc, t.id desc;

delete from email_tokens where purpose = 'verify_email';

-- Nobody could log in as such a user, so nothing refers to them. Should something do so nevertheless, the row stays: it counts
-- as no account, and a link that is used takes it over.
do $$
declare
    unconfirmed uuid;
begin
    for unconfirmed in select id from users where email_verified_at is null and email not like '%@erased.invalid' loop
        begin
            delete from users where id = unconfirmed;
        exception when foreign_key_violation then
            null;
        end;
    end loop;
end
$$;
