-- Answers to creating requests, so that a client which lost an answer can ask again and gets the same one.
--
-- The row is inserted first in the transaction that creates and gets its answer before the commit. So a second request
-- with the same key waits at the primary key until the first has committed, and a request that failed leaves no row.

create table idempotency_keys (
    user_id uuid not null,
    key text not null,
    -- The method and the route template. A key that comes back for another route is a mistake of the client.
    method_and_route text not null,
    -- SHA-256 of the concrete path and the body. A key that comes back with other content is a mistake as well.
    request_hash bytea not null,
    response_status integer,
    response_body jsonb,
    response_etag text,
    created_at timestamptz not null,
    constraint idempotency_keys_pkey primary key (user_id, key),
    constraint idempotency_keys_user_id_fkey foreign key (user_id) references users (id) on delete cascade,
    constraint idempotency_keys_key_length check (char_length(key) between 1 and 255),
    constraint idempotency_keys_request_hash_size check (octet_length(request_hash) = 32),
    constraint idempotency_keys_response_status_range check (response_status between 200 and 299),
    constraint idempotency_keys_response_whole check (response_body is null or response_status is not null)
);

-- Finds what the clean-up may delete.
create index idempotency_keys_created_at_idx on idempotency_keys (created_at);
