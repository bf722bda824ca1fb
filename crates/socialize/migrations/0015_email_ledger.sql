-- E-mails that were handed to the mail server lately, so that nobody can have us send too many: to one recipient, on behalf of one
-- user, or on behalf of one organization. Rows are kept for as long as limits look back.

-- One mailbox has many spellings: case, and what stands behind a plus sign. The hash keeps addresses out of the ledger. Addresses
-- are ASCII, so the result depends on nothing but the argument.
create function email_recipient_key(email text) returns bytea language sql immutable as $$
    select sha256(convert_to(regexp_replace(lower(email collate "C"), '\+[^@]*@', '@'), 'UTF8'))
$$;

create table email_ledger (
    -- The job that sends the e-mail; its repetitions count once.
    job_id uuid not null,
    template text not null,
    recipient_key bytea not null,
    -- Whose doing it is, where it is known. Not foreign keys: the ledger outlives what it counts.
    actor_id uuid,
    organization_id uuid,
    -- What the e-mail is about, where several about the same are made one.
    content_item_id uuid,
    created_at timestamptz not null,
    constraint email_ledger_pkey primary key (job_id),
    constraint email_ledger_recipient_key_size check (octet_length(recipient_key) = 32),
    constraint email_ledger_template_is_a_name check (template ~ '^[a-z][a-z0-9_]{0,63}$')
);

create index email_ledger_recipient_idx on email_ledger (recipient_key, created_at);
create index email_ledger_actor_idx on email_ledger (actor_id, created_at) where actor_id is not null;
create index email_ledger_organization_idx on email_ledger (organization_id, created_at) where organization_id is not null;
create index email_ledger_content_item_idx on email_ledger (content_item_id, recipient_key) where content_item_id is not null;
create index email_ledger_created_at_idx on email_ledger (created_at);

-- Invites are counted where they are, whatever became of them.
create index workspace_invites_invited_by_idx on workspace_invites (invited_by, created_at);
create index workspace_invites_recipient_idx on workspace_invites (email_recipient_key(email), created_at);
