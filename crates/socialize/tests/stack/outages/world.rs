//! The application with the stack of deploy/, whose programs are stopped, killed and frozen.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal as ProcessSignal;
use reqwest::Client;
use signal::builtin::Signal;
use telemetry::ClosedSet;

use super::relay::{Reaction, Relay, Sent};
use crate::application::{Application, Build};
use crate::compose::Compose;
use crate::programs::Program;
use crate::prometheus::Prometheus;
use crate::user::User;

/// Without this, a kill loses up to 100 ms of the file reader's lines: see deploy/README.md.
const SYNCHRONOUS: &str = "--feature-gates=stanza.synchronousLogEmitter";

/// Settings that differ from other tests with the stack.
const OTHERWISE: &[(&str, &str)] = &[
    // Several exports of points happen in each outage.
    ("OTEL_METRIC_EXPORT_INTERVAL", "5000"),
    // The file rotates several times a minute, and no file is deleted before the comparison.
    ("SOCIALIZE_LOG_FILE_MAX_BYTES", "1048576"),
    ("SOCIALIZE_LOG_FILE_KEEP", "1000"),
    // Without one, the API looks for an untrusted proxy at start. Its spans belong to no request, so that no line
    // tells them.
    ("SOCIALIZE_TRUSTED_PEERS", "192.0.2.1"),
];

pub(super) struct World {
    pub(super) client: Client,
    pub(super) prometheus: Prometheus,
    pub(super) user: User,
    pub(super) collector: Program,
    pub(super) stores: [Store; 3],
    /// The processes, which run until the end.
    _application: Application,
    compose: Compose,
    /// Directory of logs and of the test's files.
    pub(super) logs: PathBuf,
}

/// A store, and its relay.
pub(super) struct Store {
    pub(super) name: &'static str,
    pub(super) signal: Signal,
    pub(super) relay: Relay,
    pub(super) program: Program,
    ready: &'static str,
}

impl World {
    pub(super) async fn start(compose: Compose, client: Client, logs: &Path) -> Self {
        let start = async |name: &'static str, signal, ready| {
            let relay = Relay::start(&client, signal).await;
            let program = Program::start(name, compose.command(name, name), logs);
            Store { name, signal, relay, program, ready }
        };
        let stores = [
            start("prometheus", Signal::Metrics, "http://prometheus:9090/-/ready").await,
            start("loki", Signal::Logs, "http://loki:3100/ready").await,
            start("tempo", Signal::Traces, "http://tempo:3200/ready").await,
        ];
        write_configuration(&stores, logs);
        let collector = Program::start("otelcol", collector(&compose, logs), logs);
        let otherwise = OTHERWISE.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let build = Build { otherwise, ..Build::of_this_test() };
        let application = Application::start_build(&compose, &client, logs, &build).await;
        let user = User::register(&client).await;
        let prometheus = Prometheus { client: client.clone() };
        let logs = logs.to_owned();
        let mut world =
            Self { client, prometheus, user, collector, stores, _application: application, compose, logs };
        for store in &mut world.stores {
            store.program.ready(&world.client, store.ready).await;
        }
        world
    }

    /// Starts the collector again after it has exited.
    pub(super) async fn start_collector(&mut self) {
        self.collector = Program::start("otelcol", collector(&self.compose, &self.logs), &self.logs);
        self.collector.ready(&self.client, "http://alloy:13133/").await;
    }

    pub(super) fn store(&mut self, signal: Signal) -> &mut Store {
        self.stores.iter_mut().find(|store| store.signal == signal).expect("every signal has a store")
    }

    /// Starts a store again after it has exited. Arriving data shows when it is ready.
    pub(super) fn start_store(&mut self, signal: Signal) {
        let (compose, logs) = (self.compose.clone(), self.logs.clone());
        let store = self.store(signal);
        store.program = Program::start(store.name, compose.command(store.name, store.name), &logs);
    }

    /// Starts Prometheus again with another configuration.
    pub(super) fn start_prometheus_with(&mut self, configuration: &Path) {
        let real = self.compose.command("prometheus", "prometheus");
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", configuration.display()));
        let is_kept = |argument: &&OsStr| !argument.to_string_lossy().starts_with("--config.file=");
        command.args(real.get_args().filter(is_kept));
        let program = Program::start("prometheus", command, &self.logs);
        self.store(Signal::Metrics).program = program;
    }

    /// Traffic to each store so far, in the order of signals.
    pub(super) fn sent(&self) -> [Sent; 3] {
        let mut sent = [Sent::default(); 3];
        for store in &self.stores {
            sent[store.signal.index()] = store.relay.sent();
        }
        sent
    }

    /// Sets the reaction of all relays.
    pub(super) fn react(&self, reaction: Reaction) {
        for store in &self.stores {
            store.relay.react(reaction);
        }
    }

    /// Sends a signal to all stores.
    pub(super) fn signal_stores(&self, signal: ProcessSignal) {
        for store in &self.stores {
            store.program.signal(signal);
        }
    }
}

/// The collector's file of deploy/, with the relays in place of the stores.
fn write_configuration(stores: &[Store], logs: &Path) {
    let mut configuration =
        std::fs::read_to_string("/etc/otelcol/config.yaml").expect("the collector's configuration");
    for Store { relay, .. } in stores {
        assert!(configuration.contains(relay.store), "the collector does not know {}", relay.store);
        configuration = configuration.replace(relay.store, &relay.url);
    }
    std::fs::write(configuration_file(logs), configuration).expect("a file");
}

fn configuration_file(logs: &Path) -> PathBuf {
    logs.join("otelcol.yaml")
}

fn collector(compose: &Compose, logs: &Path) -> Command {
    let mut command = Command::new("otelcol");
    command.arg(format!("--config={}", configuration_file(logs).display())).arg(SYNCHRONOUS);
    command.envs(compose.environment("alloy"));
    command
}
