//! Requirements on the database, its server and its role, beyond being reachable. Each requirement is one finding.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};

use super::database_sessions::{self, Parameters};
use super::migrations::migrator;
use crate::platform::finding::Finding;

/// Limit of each query.
const LIMIT: Duration = Duration::from_secs(5);

const ENCODING: &str = "encoding";
const POOLER: &str = "pooler";
pub(crate) const ROLE: &str = "role";
const WRITES: &str = "writes";

/// Properties of the database and the role.
#[derive(sqlx::FromRow)]
pub(crate) struct Facts {
    encoding: String,
    /// True if every transaction is read-only by default, as on a standby or a database under repair.
    is_read_only: bool,
    /// Name of the role, quoted for SQL.
    role: String,
    /// The schema in which new tables are created, quoted; `None` if no schema of the search path
    /// exists or may be used.
    schema: Option<String>,
    /// True if the role may create tables in that schema.
    creates_tables: bool,
    /// A table of Socialize with another owner, quoted.
    foreign_table: Option<String>,
    /// A table of Socialize whose rows the role may not read, quoted.
    unreadable_table: Option<String>,
    /// A table of Socialize whose rows the role may not read or write, quoted.
    forbidden_table: Option<String>,
}

/// Returns the names of all tables that the migrations create. Extensions and other applications may have
/// tables in the same schema.
fn own_tables() -> Vec<String> {
    let migrator = migrator();
    let statements = migrator.iter().flat_map(|migration| migration.sql.as_str().split(';'));
    let names = statements.filter_map(|statement| {
        let mut words = statement.split_whitespace().skip_while(|word| !word.eq_ignore_ascii_case("create"));
        let is_table = |word: &&str| word.eq_ignore_ascii_case("table");
        let second = words.nth(1)?;
        let name = if is_table(&second) {
            words.next()?
        } else {
            words.next().filter(is_table).and(words.next())?
        };
        Some(name.trim_end_matches('(').to_owned())
    });
    names.collect()
}

/// Queries the server.
///
/// # Errors
/// Returns an error if it does not respond.
pub(crate) async fn ask(session: &mut PgConnection) -> sqlx::Result<Facts> {
    sqlx::query_as(
        "with tables as (
             select quote_ident(relname) as name, oid, relowner from pg_class
             where relkind in ('r', 'p') and relnamespace = to_regnamespace(quote_ident(current_schema()))
               and relname = any($1)
         )
         select current_setting('server_encoding') as encoding,
                current_setting('transaction_read_only')::bool as is_read_only,
                quote_ident(current_user) as role,
                quote_ident(current_schema()) as schema,
                coalesce(has_schema_privilege(current_schema(), 'create'), false) as creates_tables,
                (select min(name) from tables where not pg_has_role(relowner, 'usage')) as foreign_table,
                (select min(name) from tables where not has_table_privilege(oid, 'select')) as unreadable_table,
                (select min(name) from tables
                 where not (has_table_privilege(oid, 'select') and has_table_privilege(oid, 'insert')
                            and has_table_privilege(oid, 'update') and has_table_privilege(oid, 'delete')))
                    as forbidden_table",
    )
    .bind(own_tables())
    .fetch_one(session)
    .await
}

/// Opens a session and queries the server, or returns the finding about a pooler with which other queries fail.
///
/// # Errors
/// Returns an error if the server does not respond.
pub(crate) async fn look(options: &PgConnectOptions) -> sqlx::Result<Result<(PgConnection, Facts), Finding>> {
    let (mut session, is_shared) = database_sessions::probe(options).await?;
    if is_shared {
        return Ok(Err(shared()));
    }
    // The server's own default may be shorter than this query takes.
    Parameters::new(LIMIT).set(&mut session).await?;
    let facts = ask(&mut session).await?;
    Ok(Ok((session, facts)))
}

/// Checks that every connection has its own server session.
///
/// # Errors
/// Returns an error if the server does not respond.
pub(crate) async fn pooler(options: &PgConnectOptions) -> sqlx::Result<Finding> {
    let (session, is_shared) = database_sessions::probe(options).await?;
    let _ = session.close().await;
    let own = || Finding::ok(POOLER, "every connection has a session of its own");
    Ok(if is_shared { shared() } else { own() })
}

/// Returns the requirement of `migrate` that this database fails, if any.
///
/// # Errors
/// Returns an error if the database does not respond.
pub(crate) async fn obstacle_to_migrations(options: &PgConnectOptions) -> sqlx::Result<Option<Finding>> {
    let (session, facts) = match look(options).await? {
        Ok(looked) => looked,
        Err(pooler) => return Ok(Some(pooler)),
    };
    let _ = session.close().await;
    Ok([facts.encoding(), facts.writes(), facts.migrations()].into_iter().find(Finding::is_failure))
}

fn shared() -> Finding {
    Finding::failed(
        POOLER,
        "a pooler hands one session of Postgres to several connections, which loses locks, settings and notifications",
        "set pool_mode = session in PgBouncer for this database, or name Postgres itself in SOCIALIZE_DATABASE_URL",
    )
}

impl Facts {
    /// Returns the unmet requirements of `serve` and `work`. Only indispensable requirements are failures:
    /// without writes users can still read, and a missing right on one table fails few requests or none.
    pub(crate) fn missing(&self) -> Vec<Finding> {
        let cannot_read = self.schema.is_none() || self.unreadable_table.is_some();
        let role = if cannot_read { self.role() } else { self.role().softened() };
        let all = [self.encoding(), self.writes().softened(), role];
        all.into_iter().filter(|finding| !finding.is_ok()).collect()
    }

    /// Checks that every character can be stored.
    pub(crate) fn encoding(&self) -> Finding {
        if self.encoding == "UTF8" {
            return Finding::ok(ENCODING, "UTF8");
        }
        Finding::failed(
            ENCODING,
            format!("the database has the encoding {}, which cannot store every character", self.encoding),
            "create another database by `createdb --template=template0 --encoding=UTF8 NAME`, and name it in \
             SOCIALIZE_DATABASE_URL",
        )
    }

    /// Checks that the database accepts writes.
    pub(crate) fn writes(&self) -> Finding {
        if !self.is_read_only {
            return Finding::ok(WRITES, "accepted");
        }
        Finding::failed(
            WRITES,
            "the database accepts no writes: it is a standby, or default_transaction_read_only is on",
            "name the primary server in SOCIALIZE_DATABASE_URL, or `alter database … reset \
             default_transaction_read_only`",
        )
    }

    /// Checks the rights that `serve` and `work` need: reading and writing rows.
    pub(crate) fn role(&self) -> Finding {
        let Some(schema) = &self.schema else { return self.no_schema() };
        if let Some(table) = &self.forbidden_table {
            let role = &self.role;
            return Finding::failed(
                ROLE,
                format!("the role {role} may not read and write the table {schema}.{table}"),
                format!(
                    "run as the owner of the tables: `grant select, insert, update, delete on all tables in schema \
                     {schema} to {role}`"
                ),
            );
        }
        let migrates = if self.may_migrate() { "may migrate" } else { "may not migrate" };
        Finding::ok(ROLE, format!("{} reads and writes rows, and {migrates}", self.role))
    }

    /// Checks the rights that `migrate` needs: creating and changing tables.
    pub(crate) fn migrations(&self) -> Finding {
        let Some(schema) = &self.schema else { return self.no_schema() };
        let role = &self.role;
        if let Some(table) = &self.foreign_table {
            return Finding::failed(
                ROLE,
                format!("the role {role} does not own the table {schema}.{table}, so it may not change it"),
                "run `socialize migrate` with the role that owns the tables",
            );
        }
        if !self.creates_tables {
            return Finding::failed(
                ROLE,
                format!("the role {role} may not create tables in the schema {schema}"),
                format!(
                    "run `socialize migrate` with the role that owns the schema, or as a superuser: `grant usage, \
                     create on schema {schema} to {role}`"
                ),
            );
        }
        Finding::ok(ROLE, format!("{role} may migrate"))
    }

    fn may_migrate(&self) -> bool {
        self.creates_tables && self.foreign_table.is_none()
    }

    fn no_schema(&self) -> Finding {
        let role = &self.role;
        Finding::failed(
            ROLE,
            format!("the role {role} may use no schema of its search path"),
            format!(
                "run as a superuser: `create schema if not exists public` and `grant usage, create on schema public to \
                 {role}`"
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_known_from_the_migrations() {
        let tables = own_tables();
        for name in ["users", "jobs", "rate_limits", "audit_events", "organization_storage"] {
            assert!(tables.iter().any(|table| table == name), "{name}: {tables:?}");
        }
        assert_eq!(tables.len(), 30, "{tables:?}");
    }
}
