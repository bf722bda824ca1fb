-- A refresh token may come back once shortly after its use, because the answer was lost or two tabs used it together. The answer
-- is the same then, for the successor is derived from the token and need not be stored.
alter table refresh_tokens
    add column repeated_at timestamptz,
    add constraint refresh_tokens_repeated_after_use check (repeated_at is null or used_at is not null);

-- Sessions of one user are bounded: the oldest end when another begins.
alter table sessions
    drop constraint sessions_ended_reason_known,
    add constraint sessions_ended_reason_known
        check (ended_reason in ('logged_out', 'refresh_token_reused', 'password_reset', 'too_many_sessions'));
