//! Requirements on the database, its server and its role, beyond being reachable. Each requirement is one finding.

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};

use super::finding::Finding;
use crate::database_sessions;

const ENCODING: &str = "encoding";
const POOLER: &str = "pooler";
pub(super) const ROLE: &str = "role";
const WRITES: &str = "writes";

/// Properties of the database and the role.
#[derive(sqlx::FromRow)]
pub(crate) struct Facts {
    encoding: String,
    /// True if every transaction is read-only by default, as on a standby or a database under repair.
    is_read_only: bool,
    /// Name of the role, quoted for SQL.
    role: String,
    /// The schema in which new tables are created, quoted; `None` if no schema of the search path exists or may be used.
    schema: Option<String>,
    /// True if the role may create tables in that schema.
    creates_tables: bool,
    /// A table of that schema with another owner, quoted.
    foreign_table: Option<String>,
    /// A table of that schema whose rows the role may not read or write, quoted.
    forbidden_table: Option<String>,
}

/// Queries the server.
///
/// # Errors
/// If it does not respond.
pub(crate) async fn ask(session: &mut PgConnection) -> sqlx::Result<Facts> {
    sqlx::query_as(
        "with tables as (
             select quote_ident(relname) as name, oid, relowner from pg_class
             where relkind in ('r', 'p') and relnamespace = to_regnamespace(quote_ident(current_schema()))
               and relname <> '_sqlx_migrations'
         )
         select current_setting('server_encoding') as encoding,
                current_setting('transaction_read_only')::bool as is_read_only,
                quote_ident(current_user) as role,
                quote_ident(current_schema()) as schema,
                coalesce(has_schema_privilege(current_schema(), 'create'), false) as creates_tables,
                (select min(name) from tables where not pg_has_role(relowner, 'usage')) as foreign_table,
                (select min(name) from tables
                 where not (has_table_privilege(oid, 'select') and has_table_privilege(oid, 'insert')
                            and has_table_privilege(oid, 'update') and has_table_privilege(oid, 'delete')))
                    as forbidden_table",
    )
    .fetch_one(session)
    .await
}

/// Checks that every connection has its own server session.
///
/// # Errors
/// If the server does not respond.
pub(crate) async fn pooler(options: &PgConnectOptions) -> sqlx::Result<Finding> {
    Ok(if database_sessions::are_shared(options).await? {
        Finding::failed(
            POOLER,
            "a pooler hands one session of Postgres to several connections, which loses locks, settings and notifications",
            "set pool_mode = session in PgBouncer for this database, or name Postgres itself in SOCIALIZE_DATABASE_URL",
        )
    } else {
        Finding::ok(POOLER, "every connection has a session of its own")
    })
}

/// Checks the requirements of `serve` and `work`.
///
/// # Errors
/// If the server does not respond.
pub(crate) async fn check(options: &PgConnectOptions) -> sqlx::Result<Vec<Finding>> {
    let pooler = pooler(options).await?;
    if pooler.is_failure() {
        // Behind such a pooler the other queries fail.
        return Ok(vec![pooler]);
    }
    let mut session = PgConnection::connect_with(options).await?;
    let facts = ask(&mut session).await?;
    session.close().await?;
    // Without writes users can still read, so this must not stop the service.
    Ok(vec![pooler, facts.encoding(), facts.writes().softened(), facts.role()])
}

impl Facts {
    /// Checks that every character can be stored.
    pub(crate) fn encoding(&self) -> Finding {
        if self.encoding == "UTF8" {
            return Finding::ok(ENCODING, "UTF8");
        }
        Finding::failed(
            ENCODING,
            format!("the database has the encoding {}, which cannot store every character", self.encoding),
            "create another database by `createdb --template=template0 --encoding=UTF8 NAME`, and name it in SOCIALIZE_DATABASE_URL",
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
            "name the primary server in SOCIALIZE_DATABASE_URL, or `alter database … reset default_transaction_read_only`",
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
                    "run as the owner of the tables: `grant select, insert, update, delete on all tables in schema {schema} to {role}`"
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
                    "run `socialize migrate` with the role that owns the schema, or as a superuser: `grant usage, create on schema {schema} to {role}`"
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
                "run as a superuser: `create schema if not exists public` and `grant usage, create on schema public to {role}`"
            ),
        )
    }
}
