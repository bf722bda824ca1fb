//! Socialize as deployed by deploy/: Postgres, the API, the worker, each with the environment of its service.

use std::net::ToSocketAddrs;
use std::path::Path;
use std::process::Command;

use cluster::{Cluster, ClusterSettings, Durability};
use reqwest::Client;

use crate::compose::{Compose, SECRETS};
use crate::programs::Program;

/// Secret that signs access tokens.
const SERVER_SECRET: &str = "a-server-secret-of-tests-that-nobody-may-ever-see";

/// Settings that differ from deploy/. All others come from the Compose files.
const OTHERWISE: &[(&str, &str)] = &[
    // Simulated people find their links in a directory.
    ("SOCIALIZE_MAIL_DIRECTORY", MAIL_DIRECTORY),
    ("SOCIALIZE_MAIL_FROM", "Socialize <socialize@example.com>"),
    ("SOCIALIZE_EMAILS_FROM_ONE_CLIENT", "100000"),
    ("SOCIALIZE_LOGIN_FAILURES", "100000"),
    // One user does the work of hundreds.
    ("SOCIALIZE_WRITES_PER_USER", "1000000"),
    ("SOCIALIZE_REPORTS_PER_USER", "100000"),
    ("SOCIALIZE_BLOBS_DIRECTORY", BLOBS_DIRECTORY),
    // Their publishing endpoint is on this machine.
    ("SOCIALIZE_PUBLISHING_ALLOWED_NETWORKS", "127.0.0.0/8"),
    // Hourly events must happen during the test.
    ("SOCIALIZE_GAUGE_INTERVAL", "5s"),
    ("SOCIALIZE_GAUGE_CHECK_INTERVAL", "10s"),
    ("SOCIALIZE_APPROVAL_STALE_AFTER", "1s"),
    ("SOCIALIZE_JOB_LEASE", "5s"),
];

/// Directory of e-mails.
pub(crate) const MAIL_DIRECTORY: &str = "/var/lib/socialize-test/mail";
/// Directory of uploaded files.
pub(crate) const BLOBS_DIRECTORY: &str = "/var/lib/socialize-test/blobs";
/// Public listener of the API, by the name of its service.
pub(crate) const API: &str = "http://api:8080";
/// Address of the second API while the first one is replaced.
pub(crate) const SECOND_API: &str = "http://api:8081";

pub(crate) const DATABASE: &str = "socialize";

pub(crate) struct Application {
    pub(crate) postgres: Cluster,
    pub(crate) api: Program,
    pub(crate) worker: Program,
}

/// The build to run, and settings that differ from [`OTHERWISE`]. An empty value removes a variable.
pub(crate) struct Build<'a> {
    pub(crate) program: &'a Path,
    pub(crate) otherwise: Vec<(&'static str, String)>,
}

impl Build<'_> {
    pub(crate) fn of_this_test() -> Self {
        Self { program: Path::new(env!("CARGO_BIN_EXE_socialize")), otherwise: Vec::new() }
    }
}

impl Application {
    pub(crate) async fn start(compose: &Compose, client: &Client, logs: &Path) -> Self {
        Self::start_build(compose, client, logs, &Build::of_this_test()).await
    }

    pub(crate) async fn start_build(
        compose: &Compose,
        client: &Client,
        logs: &Path,
        build: &Build<'_>,
    ) -> Self {
        for directory in [MAIL_DIRECTORY, BLOBS_DIRECTORY] {
            std::fs::create_dir_all(directory).expect("a directory");
        }
        let postgres = tokio::task::spawn_blocking(|| {
            let data = Path::new("/var/lib/socialize-test/postgres");
            let downloads = test_support::cache_directory().join("downloads");
            let settings = ClusterSettings {
                durability: Durability::TestsOnly,
                downloads,
                ..ClusterSettings::new(data)
            };
            Cluster::start(settings).expect("a Postgres server")
        })
        .await
        .expect("a thread");
        postgres.create_database(DATABASE).await.expect("a database");
        Self::start_processes(postgres, compose, client, logs, build).await
    }

    /// Stops the processes and starts those of another build on the same database.
    pub(crate) async fn replace(
        self,
        compose: &Compose,
        client: &Client,
        logs: &Path,
        build: &Build<'_>,
    ) -> Self {
        drop((self.api, self.worker));
        Self::start_processes(self.postgres, compose, client, logs, build).await
    }

    /// Starts the API again after it has exited.
    pub(crate) async fn start_api(
        &mut self,
        compose: &Compose,
        client: &Client,
        logs: &Path,
        build: &Build<'_>,
    ) {
        self.api = Program::start("api", Self::command(&self.postgres, compose, "api", build), logs);
        self.api.ready(client, &format!("{API}/health/ready")).await;
    }

    /// Starts the worker again after it has exited.
    pub(crate) async fn start_worker(
        &mut self,
        compose: &Compose,
        client: &Client,
        logs: &Path,
        build: &Build<'_>,
    ) {
        self.worker = Program::start("worker", Self::command(&self.postgres, compose, "worker", build), logs);
        self.worker.ready(client, "http://worker:9464/health/ready").await;
    }

    /// A command of a service, with the environment of its process.
    pub(crate) fn command(
        postgres: &Cluster,
        compose: &Compose,
        service: &str,
        build: &Build<'_>,
    ) -> Command {
        let mut command = compose.command(service, build.program);
        // Compose mounts secrets as files. Here they are generated.
        let environment = compose.environment(service);
        let said = environment.into_iter().filter(|(_, value)| !value.starts_with(SECRETS));
        command.env_clear().envs(said).env("SOCIALIZE_DATABASE_URL", postgres.url(DATABASE).expose());
        if service == "migrate" {
            return command;
        }
        command.envs(OTHERWISE.iter().copied()).env("SOCIALIZE_SECRET", SERVER_SECRET);
        // Both services listen on this port, each in a container of its own.
        let address = (service, 9464).to_socket_addrs().expect("an address").next().expect("an address");
        command.env("SOCIALIZE_OPERATIONS_LISTEN", address.to_string());
        command.env("SOCIALIZE_OPERATIONS_HOSTS", service);
        for (name, value) in &build.otherwise {
            if value.is_empty() {
                command.env_remove(name);
            } else {
                command.env(name, value);
            }
        }
        command
    }

    async fn start_processes(
        postgres: Cluster,
        compose: &Compose,
        client: &Client,
        logs: &Path,
        build: &Build<'_>,
    ) -> Self {
        let command = |service| Self::command(&postgres, compose, service, build);
        Program::start("migrate", command("migrate"), logs).finish();
        let start = |name: &'static str| Program::start(name, command(name), logs);
        let (mut api, mut worker) = (start("api"), start("worker"));
        api.ready(client, &format!("{API}/health/ready")).await;
        worker.ready(client, "http://worker:9464/health/ready").await;
        Self { postgres, api, worker }
    }
}
