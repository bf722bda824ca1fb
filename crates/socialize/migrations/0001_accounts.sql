-- People, their sessions and the links e-mailed to them.
--
-- Ids are made by the application (version 7, so that they grow with time and indexes stay dense): Postgres 15 to 17
-- cannot make them. Closed sets are text with a check, not Postgres enums, because a check can be changed inside a
-- transaction and old values removed. Every constraint has a name: the application maps names to client errors.

create table users (
    id uuid not null,
    -- Trimmed and lower-cased by the application, so that one person cannot have two accounts by spelling.
    email text not null,
    display_name text not null,
    -- A PHC string: it holds the algorithm, its cost and the salt, so that the cost can be raised account by account.
    password_hash text not null,
    email_verified_at timestamptz,
    -- When the password was last reset. Log-in compares it: a session must not begin with a password that was replaced
    -- while it was being verified. (The hash cannot tell, because log-in itself replaces it when its cost was raised.)
    password_reset_at timestamptz,
    -- A platform operator triages feedback reports; this gives no access to anybody's workspaces.
    is_operator boolean not null default false,
    created_at timestamptz not null,
    constraint users_pkey primary key (id),
    constraint users_email_key unique (email),
    -- "C": only ASCII letters have a case here, whatever the locale of the database is.
    constraint users_email_normalised check (email = lower(email collate "C") and email = btrim(email) and position('@' in email) > 1),
    constraint users_email_length check (char_length(email) between 3 and 254),
    constraint users_display_name_length check (char_length(display_name) between 1 and 100),
    constraint users_password_hash_argon2id check (password_hash like '$argon2id$%')
);

-- A session is one family of refresh tokens: log-in starts it, and each refresh adds a token and uses up the one before.
create table sessions (
    id uuid not null,
    user_id uuid not null,
    created_at timestamptz not null,
    -- The end of the whole family, however often it is refreshed.
    expires_at timestamptz not null,
    ended_at timestamptz,
    ended_reason text,
    constraint sessions_pkey primary key (id),
    constraint sessions_user_id_fkey foreign key (user_id) references users (id) on delete cascade,
    constraint sessions_expires_after_creation check (expires_at > created_at),
    constraint sessions_ended_reason_known check (ended_reason in ('logged_out', 'refresh_token_reused', 'password_reset')),
    constraint sessions_ended_with_reason check ((ended_at is null) = (ended_reason is null))
);

-- Ends all sessions of a user when the password is reset.
create index sessions_user_id_idx on sessions (user_id) where ended_at is null;
-- Finds what the clean-up may delete.
create index sessions_expires_at_idx on sessions (expires_at);
create index sessions_ended_at_idx on sessions (ended_at) where ended_at is not null;

create table refresh_tokens (
    -- SHA-256 of the token. The token has 256 random bits, so a slow hash would add nothing; the token itself is nowhere.
    token_hash bytea not null,
    session_id uuid not null,
    issued_at timestamptz not null,
    -- Used tokens are kept until the session is deleted: one that comes back shows that it was copied.
    used_at timestamptz,
    constraint refresh_tokens_pkey primary key (token_hash),
    constraint refresh_tokens_session_id_fkey foreign key (session_id) references sessions (id) on delete cascade,
    constraint refresh_tokens_token_hash_size check (octet_length(token_hash) = 32)
);

create index refresh_tokens_session_id_idx on refresh_tokens (session_id);
-- Two concurrent refreshes with the same token cannot both succeed.
create unique index refresh_tokens_one_unused_per_session on refresh_tokens (session_id) where used_at is null;

-- The token in a link is base64url(id || HMAC(server secret, id and purpose)), so it can be derived again when the e-mail
-- is sent and nothing that is stored here, or in the job that sends it, can be used to log in.
create table email_tokens (
    id uuid not null,
    user_id uuid not null,
    purpose text not null,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    used_at timestamptz,
    constraint email_tokens_pkey primary key (id),
    constraint email_tokens_user_id_fkey foreign key (user_id) references users (id) on delete cascade,
    constraint email_tokens_purpose_known check (purpose in ('verify_email', 'reset_password')),
    constraint email_tokens_expires_after_creation check (expires_at > created_at)
);

-- Invalidates a user's older links of the same purpose.
create index email_tokens_unused_idx on email_tokens (user_id, purpose) where used_at is null;
create index email_tokens_expires_at_idx on email_tokens (expires_at);
