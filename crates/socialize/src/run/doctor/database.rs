//! Checks of the database: reachable, of a known version, suitable, migrated, and with a clock that agrees
//! with this machine's.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{Connection, PgConnection};
use telemetry::{ClosedSet, ErrorType};

use crate::platform::clock::Clock;
use crate::platform::database::DatabaseError;
use crate::platform::database::{facts, schema};
use crate::platform::finding::Finding;
use crate::run::config::DatabaseSettings;
use crate::run::{client_networks, start};

const DATABASE: &str = "database";
const CLOCK: &str = "clock";
const CONNECTIONS: &str = "connections";
const CLIENTS: &str = "clients";

/// Timeout of the connection and of each query.
const LIMIT: Duration = Duration::from_secs(5);
/// The versions of Postgres that Socialize is tested with.
const VERSIONS: std::ops::RangeInclusive<i32> = 15..=18;
/// Tokens, leases and schedules compare clocks of several machines; nobody notices this much.
const NOTICEABLE_SKEW: TimeDelta = TimeDelta::seconds(1);
/// From here on, leases end early and receivers reject webhooks as too old.
const HARMFUL_SKEW: TimeDelta = TimeDelta::seconds(30);

/// Checks the server, and over the same connection the migrations and the clock.
pub(super) async fn check(settings: &DatabaseSettings, trusts_a_proxy: bool) -> Vec<Finding> {
    let skipped = |first: Finding, why: &str| {
        let others = [CONNECTIONS, CLOCK, schema::CHECK, CLIENTS].map(|check| Finding::skipped(check, why));
        [vec![first], others.to_vec()].concat()
    };
    let unreachable = |error_type: ErrorType| {
        let detail = format!("the database cannot be asked: {}", error_type.as_str());
        skipped(Finding::failed(DATABASE, detail, remedy(error_type)), "the database does not answer")
    };
    let pooler = match start::connect_options(settings) {
        Ok(options) => within(facts::pooler(&options)).await,
        Err(_) => Err(ErrorType::InvalidData),
    };
    match pooler {
        Ok(pooler) if pooler.is_failure() => skipped(pooler, "behind such a pooler the results mean nothing"),
        Ok(pooler) => match within(connect(settings)).await {
            Ok((connection, facts, elapsed)) => {
                let mut findings =
                    vec![server(&facts, elapsed), pooler, connections(&facts, settings), clock(&facts)];
                findings.extend(inside(connection, trusts_a_proxy).await);
                findings
            }
            Err(error_type) => unreachable(error_type),
        },
        Err(error_type) => unreachable(error_type),
    }
}

/// Checks the contents of the database.
async fn inside(mut connection: PgConnection, trusts_a_proxy: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let facts = within(facts::ask(&mut connection)).await;
    let obstacle = match &facts {
        Ok(facts) => {
            findings.extend([facts.encoding(), facts.writes(), facts.role()]);
            Some(facts.migrations()).filter(Finding::is_failure)
        }
        Err(error_type) => {
            findings.push(Finding::skipped(facts::ROLE, error_type.as_str()));
            None
        }
    };
    let migrations = within(schema::applied(&mut connection)).await;
    findings.push(
        migrations
            .map_or_else(schema::unreadable, |applied| schema::compare(&applied, obstacle.as_ref()).finding),
    );
    findings.push(clients(&mut connection, trusts_a_proxy).await);
    // All responses have arrived, so an orderly close is optional.
    let _ = tokio::time::timeout(LIMIT, connection.close()).await;
    findings
}

/// State of the server.
#[derive(sqlx::FromRow)]
struct Facts {
    version: i32,
    is_encrypted: bool,
    max_connections: i32,
    #[sqlx(skip)]
    skew: TimeDelta,
    #[sqlx(skip)]
    uncertainty: TimeDelta,
}

async fn within<T>(work: impl Future<Output = sqlx::Result<T>>) -> Result<T, ErrorType> {
    match tokio::time::timeout(LIMIT, work).await {
        Ok(result) => result.map_err(|error| DatabaseError::from(error).error_type),
        Err(_elapsed) => Err(ErrorType::Timeout),
    }
}

async fn connect(settings: &DatabaseSettings) -> sqlx::Result<(PgConnection, Facts, Duration)> {
    let options =
        start::connect_options(settings).map_err(|_| sqlx::Error::InvalidArgument(String::new()))?;
    let mut connection = PgConnection::connect_with(&options).await?;
    let mut facts: Facts = sqlx::query_as(
        "select current_setting('server_version_num')::int / 10000 as version,
                coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false) as is_encrypted,
                current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
                    as max_connections",
    )
    .fetch_one(&mut connection)
    .await?;
    let (asked_at, asked) = (Clock::default().now(), Instant::now());
    let their_time: DateTime<Utc> =
        sqlx::query_scalar("select clock_timestamp()").fetch_one(&mut connection).await?;
    let elapsed = asked.elapsed();
    // The server's clock was read between the query and its response.
    facts.uncertainty = TimeDelta::from_std(elapsed / 2).unwrap_or(TimeDelta::MAX);
    facts.skew = their_time - (asked_at + facts.uncertainty);
    Ok((connection, facts, elapsed))
}

/// Checks that limits can distinguish clients.
async fn clients(connection: &mut PgConnection, trusts_a_proxy: bool) -> Finding {
    if trusts_a_proxy {
        return Finding::ok(CLIENTS, "a trusted proxy says who they are");
    }
    match within(client_networks::look(connection, Clock::default().now())).await {
        Ok(seen) if seen.is_one_proxy() => Finding::warning(
            CLIENTS,
            format!(
                "all {} users of the last week came from one private address, so all limits count them as one client",
                seen.people
            ),
            "set SOCIALIZE_TRUSTED_PEERS to the address of the proxy in front of Socialize",
        ),
        Ok(seen) => Finding::ok(
            CLIENTS,
            format!("users of the last week: {}, their networks: {}", seen.people, seen.networks),
        ),
        Err(_) => Finding::skipped(CLIENTS, "the schema is not of this version"),
    }
}

fn remedy(error_type: ErrorType) -> &'static str {
    match error_type {
        ErrorType::ConnectionRefused => "start Postgres, or correct host and port in SOCIALIZE_DATABASE_URL",
        ErrorType::DnsFailure => "correct the host in SOCIALIZE_DATABASE_URL",
        ErrorType::AuthenticationFailed => {
            "correct user and password in SOCIALIZE_DATABASE_URL, or pg_hba.conf"
        }
        ErrorType::TlsFailure => "correct sslmode in SOCIALIZE_DATABASE_URL, or the server's certificate",
        ErrorType::TooManyConnections => {
            "raise max_connections of Postgres, or end what holds its connections"
        }
        ErrorType::Timeout => "see whether a firewall drops the connection, or Postgres is overloaded",
        ErrorType::Protocol => {
            "name PostgreSQL in SOCIALIZE_DATABASE_URL: what answers there is something else, or a pooler that refuses \
             the connection"
        }
        _ => "read the log of Postgres; the database of SOCIALIZE_DATABASE_URL must exist",
    }
}

fn server(facts: &Facts, elapsed: Duration) -> Finding {
    let encryption = if facts.is_encrypted { "encrypted" } else { "not encrypted" };
    let seen = format!("PostgreSQL {}, {encryption}, answers in {elapsed:.1?}", facts.version);
    if !VERSIONS.contains(&facts.version) {
        let right = format!("use PostgreSQL {} to {}", VERSIONS.start(), VERSIONS.end());
        return Finding::failed(DATABASE, seen, right);
    }
    Finding::ok(DATABASE, seen)
}

fn connections(facts: &Facts, settings: &DatabaseSettings) -> Finding {
    let (ours, theirs) = (i64::from(settings.limits.connections), i64::from(facts.max_connections));
    // Health checks, the queue's listener and the samplers use connections outside the pool.
    let detail =
        format!("each process opens up to {ours} and a few more of the {theirs} that the server allows");
    if ours + 5 > theirs {
        let remedy = "lower SOCIALIZE_DATABASE_CONNECTIONS or raise max_connections of Postgres";
        return Finding::failed(CONNECTIONS, detail, remedy);
    }
    Finding::ok(CONNECTIONS, detail)
}

fn clock(facts: &Facts) -> Finding {
    let skew = facts.skew.abs() - facts.uncertainty;
    let seconds = facts.skew.as_seconds_f64();
    let detail = format!("the database's clock is {seconds:+.3} s from this machine's");
    let remedy = "synchronise the clocks of both machines, e.g. by NTP";
    if skew > HARMFUL_SKEW {
        Finding::failed(CLOCK, detail, remedy)
    } else if skew > NOTICEABLE_SKEW {
        Finding::warning(CLOCK, detail, remedy)
    } else {
        Finding::ok(CLOCK, detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_judged_beyond_what_the_round_trip_explains() {
        let facts = |skew, uncertainty| Facts {
            version: 15,
            is_encrypted: false,
            max_connections: 97,
            skew: TimeDelta::seconds(skew),
            uncertainty: TimeDelta::seconds(uncertainty),
        };
        for (skew, uncertainty, expected) in
            [(0, 0, "ok"), (3, 2, "ok"), (-2, 0, "WARNING"), (31, 2, "WARNING"), (-31, 0, "FAILED")]
        {
            let text = clock(&facts(skew, uncertainty)).text();
            assert!(text.starts_with(expected), "{text}");
        }
    }
}
