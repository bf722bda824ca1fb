//! Checked settings of `demo` and `simulate`.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use socialize::platform::secret::Secret;
use socialize::run::config::{Given, Mistakes, Settings, is_postgres};
use telemetry::otlp::Endpoint;
use url::Url;

use crate::arguments::{DemoArguments, SimulateArguments};

pub(crate) struct DemoSettings {
    /// Duration of the demo; `None` to run until interrupted.
    pub duration: Option<Duration>,
    pub report: Option<PathBuf>,
    /// Directory of the database, e-mails and logs.
    pub data_directory: PathBuf,
    /// URL of a server to use instead of the bundled one.
    pub database_url: Option<Secret>,
    /// Directory of the Postgres programs.
    pub postgres_binaries: Option<PathBuf>,
    /// Rate and seed of the simulated people.
    pub behaviour: Behaviour,
    /// If true, plain lines are printed instead of the live view.
    pub plain: bool,
    /// The console; `None` if it is disabled, or if telemetry is sent elsewhere.
    pub console: Option<ConsoleOfDemo>,
    /// Settings of the server. Database and secret are known only when the data directory is open,
    /// and are set then.
    pub serve: Settings,
}

/// Settings of the demo's console.
pub(crate) struct ConsoleOfDemo {
    /// Address of the pages.
    pub address: SocketAddr,
    /// Directory of the console's store.
    pub data: PathBuf,
    /// Pattern of the server's log files.
    pub logs: PathBuf,
}

pub(crate) struct SimulateSettings {
    /// Base URL of the Socialize that is used.
    pub target: Url,
    /// Directory of the simulated people's e-mails.
    pub mail_directory: PathBuf,
    /// Duration of the simulation.
    pub duration: Duration,
    pub report: Option<PathBuf>,
    /// Base URL of the workspaces' publishing endpoints.
    pub publishes_to: Option<String>,
    /// Rate and seed of the simulated people.
    pub behaviour: Behaviour,
    /// If true, the target may be another machine.
    pub any_host: bool,
}

/// Behaviour of simulated people.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Behaviour {
    /// Rate of all people together, in actions a second.
    pub rate: f64,
    /// Seed of their choices.
    pub seed: u64,
}

/// From slow enough to watch, to the highest rate that one machine can be expected to serve.
const RATES: RangeInclusive<f64> = 0.1..=2_000.0;
/// From a second to a year.
const LENGTHS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(365 * 24 * 3600);
const DEFAULT_RATE: f64 = 20.0;
const DEFAULT_LISTEN: &str = "127.0.0.1:8080";
const DEFAULT_OPERATIONS_LISTEN: &str = "127.0.0.1:9464";
const DEFAULT_CONSOLE_LISTEN: &str = "127.0.0.1:3001";
/// Prefix of the variables that describe a collector and the connection to it.
const COLLECTOR_VARIABLES: &str = "OTEL_EXPORTER_OTLP_";
/// Endpoint until the console listens, on a port that the kernel chooses.
const ENDPOINT_UNTIL_CONSOLE_LISTENS: &str = "http://127.0.0.1:4318";
/// Value of `--console-listen` for no console.
const NO_CONSOLE: &str = "none";

impl DemoSettings {
    /// Checks all settings and reports all errors together. From the environment, only the
    /// variables of OpenTelemetry are used: the demo runs its own server, to which settings for
    /// another one must not apply.
    ///
    /// # Errors
    /// Returns all errors, none of which quotes a secret.
    pub(crate) fn check(arguments: &DemoArguments, variables: &[(String, String)]) -> Result<Self, Mistakes> {
        let mut mistakes = Mistakes::default();
        let duration = arguments
            .duration
            .as_deref()
            .map(|value| mistakes.duration("--for", Some(value), *LENGTHS.start(), LENGTHS));
        let behaviour = behaviour(&mut mistakes, arguments.rate.as_deref(), arguments.seed.as_deref());
        let public = address(&mut mistakes, "--listen", arguments.listen.as_deref(), DEFAULT_LISTEN);
        let operations = address(
            &mut mistakes,
            "--operations-listen",
            arguments.operations_listen.as_deref(),
            DEFAULT_OPERATIONS_LISTEN,
        );
        if public == operations && public.port() != 0 {
            mistakes.add("--operations-listen", "must differ from --listen: it is private");
        }
        let console = console(&mut mistakes, arguments, variables);
        let database_url = arguments.database_url.as_ref().map(Secret::new);
        if let Some(url) = &database_url
            && !is_postgres(url)
        {
            mistakes.add("DATABASE_URL", "is not a URL such as postgres://user@host/database");
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        Ok(Self {
            duration,
            report: arguments.json.clone(),
            data_directory: arguments.data_directory.clone(),
            database_url,
            postgres_binaries: arguments.postgres_binaries.clone(),
            behaviour,
            plain: arguments.plain,
            serve: serve(arguments, public, operations, console.as_ref(), variables)?,
            console,
        })
    }
}

/// Returns the settings of the console; `None` if it is disabled, or if telemetry is sent elsewhere.
fn console(
    mistakes: &mut Mistakes,
    arguments: &DemoArguments,
    variables: &[(String, String)],
) -> Option<ConsoleOfDemo> {
    let listen = arguments.console_listen.as_deref();
    let sends_elsewhere = variables.iter().any(|(name, value)| {
        name.starts_with(COLLECTOR_VARIABLES) && name.ends_with("ENDPOINT") && !value.is_empty()
    });
    if listen == Some(NO_CONSOLE) || sends_elsewhere {
        return None;
    }
    let directory = &arguments.data_directory;
    Some(ConsoleOfDemo {
        address: address(mistakes, "--console-listen", listen, DEFAULT_CONSOLE_LISTEN),
        data: directory.join("console"),
        logs: directory.join("logs").join("socialize*.jsonl"),
    })
}

/// Builds the settings of the demo's server with the same checks as for any other.
fn serve(
    arguments: &DemoArguments,
    public: SocketAddr,
    operations: SocketAddr,
    console: Option<&ConsoleOfDemo>,
    variables: &[(String, String)],
) -> Result<Settings, Mistakes> {
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let directory = &arguments.data_directory;
    let settings = Given::of([
        ("SOCIALIZE_DATABASE_URL", "postgres://filled.in.later/socialize".to_owned()),
        ("SOCIALIZE_LISTEN", public.to_string()),
        ("SOCIALIZE_OPERATIONS_LISTEN", operations.to_string()),
        ("SOCIALIZE_MAIL_DIRECTORY", text(directory.join("mail"))),
        ("SOCIALIZE_BLOBS_DIRECTORY", text(directory.join("blobs"))),
        ("SOCIALIZE_MAIL_FROM", "Socialize <socialize@demo.example>".to_owned()),
        // The demo's own receiver of posts.
        ("SOCIALIZE_PUBLISHING_ALLOWED_NETWORKS", "127.0.0.1".to_owned()),
        // There is no load balancer.
        ("SOCIALIZE_DRAIN_DELAY", "0s".to_owned()),
        // Short, because somebody is watching the screen.
        ("SOCIALIZE_GAUGE_INTERVAL", "1s".to_owned()),
        ("SOCIALIZE_GAUGE_CHECK_INTERVAL", "10s".to_owned()),
        // The demo itself writes to standard output.
        ("SOCIALIZE_LOG_FORMAT", "none".to_owned()),
        ("SOCIALIZE_LOG_FILE", text(directory.join("logs").join("socialize.jsonl"))),
        ("SOCIALIZE_ENVIRONMENT", "demo".to_owned()),
        // A few simulated people do the work of many.
        ("SOCIALIZE_ORGANIZATIONS_PER_USER", "1000000".to_owned()),
        ("SOCIALIZE_WRITES_PER_USER", "1000000".to_owned()),
        ("SOCIALIZE_REPORTS_PER_USER", "1000000".to_owned()),
    ]);
    let mut telemetry: Vec<_> =
        variables.iter().filter(|(name, _)| name.starts_with("OTEL_")).cloned().collect();
    if console.is_some() {
        telemetry.retain(|(name, _)| !name.starts_with(COLLECTOR_VARIABLES));
        let defaults = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", ENDPOINT_UNTIL_CONSOLE_LISTENS),
            // Short, because somebody is watching the screen.
            ("OTEL_METRIC_EXPORT_INTERVAL", "5000"),
            // Series continue when the demo is started again.
            ("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=demo"),
        ];
        for (name, value) in defaults {
            if telemetry.iter().all(|(given, _)| given != name) {
                telemetry.push((name.to_owned(), value.to_owned()));
            }
        }
    }
    let secret = ("SOCIALIZE_SECRET".to_owned(), "filled in when the data directory is open".to_owned());
    telemetry.push(secret);
    Settings::check(&settings, &telemetry)
}

/// Sends the server's telemetry to its console.
pub(crate) fn send_telemetry_to(receiver: &Url, server: &mut Settings) -> anyhow::Result<()> {
    let otlp = server.otlp.iter_mut().flat_map(|otlp| [&mut otlp.traces, &mut otlp.metrics]);
    for signal in otlp.flatten() {
        let url = receiver.join(signal.endpoint.url().path())?;
        signal.endpoint = Endpoint::parse(url.as_str()).map_err(anyhow::Error::msg)?;
    }
    Ok(())
}

impl SimulateSettings {
    /// Checks all settings and reports all errors together.
    ///
    /// # Errors
    /// Returns all errors.
    pub(crate) fn check(arguments: &SimulateArguments) -> Result<Self, Mistakes> {
        let mut mistakes = Mistakes::default();
        let duration = mistakes.duration("--for", Some(&arguments.duration), *LENGTHS.start(), LENGTHS);
        let behaviour = behaviour(&mut mistakes, arguments.rate.as_deref(), arguments.seed.as_deref());
        let target = Url::parse(&arguments.target)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if target.is_none() {
            mistakes.add(
                "--target",
                format!("{:?} is not a URL such as http://127.0.0.1:8080", arguments.target),
            );
        }
        if !arguments.mail_directory.is_dir() {
            let path = arguments.mail_directory.display();
            let right = "it must be the directory that the target's SOCIALIZE_MAIL_DIRECTORY names";
            mistakes.add("--mail-directory", format!("{path} is no directory: {right}"));
        }
        let endpoint = arguments.publishing_endpoint.as_deref();
        let publishes_to = endpoint.map(|url| url.trim_end_matches('/').to_owned());
        let is_url = |url: &String| {
            Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.query().is_none())
        };
        if let Some(url) = publishes_to.as_ref().filter(|url| !is_url(url)) {
            mistakes
                .add("--publishing-endpoint", format!("{url:?} is not a URL such as http://127.0.0.1:9000"));
        }
        let settings = target.map(|target| Self {
            target,
            mail_directory: arguments.mail_directory.clone(),
            duration,
            report: arguments.json.clone(),
            publishes_to,
            behaviour,
            any_host: arguments.i_own_this_host,
        });
        mistakes.or(settings)
    }
}

fn behaviour(mistakes: &mut Mistakes, rate: Option<&str>, seed: Option<&str>) -> Behaviour {
    let right = format!("a number from {} to {}", RATES.start(), RATES.end());
    let rate = mistakes.parse("--rate", rate, DEFAULT_RATE, &right);
    if !RATES.contains(&rate) {
        mistakes.add("--rate", format!("{rate} is not {right}"));
    }
    // Short enough to retype.
    let random = u64::from(rand::random::<u16>());
    let seed = mistakes.parse("--seed", seed, random, "a whole number");
    Behaviour { rate, seed }
}

fn address(mistakes: &mut Mistakes, flag: &str, value: Option<&str>, default: &str) -> SocketAddr {
    let fallback = SocketAddr::from(([127, 0, 0, 1], 0));
    mistakes.parse(flag, Some(value.unwrap_or(default)), fallback, "an address such as 127.0.0.1:8080")
}

#[cfg(test)]
mod tests {
    use telemetry::otlp::{HistogramAggregation, Protocol};

    use super::*;

    #[test]
    fn every_mistake_is_told_at_once() {
        let arguments = DemoArguments {
            duration: Some("soon".to_owned()),
            rate: Some("0".to_owned()),
            seed: Some("-1".to_owned()),
            listen: Some("here".to_owned()),
            database_url: Some("postgres at home".to_owned()),
            ..DemoArguments::default()
        };
        let mistakes = DemoSettings::check(&arguments, &[]).err().expect("mistakes").to_string();
        for setting in ["--for:", "--rate:", "--seed:", "--listen:", "DATABASE_URL:"] {
            assert!(mistakes.contains(setting), "{setting} is missing in {mistakes}");
        }
        assert!(!mistakes.contains("at home"), "a database URL holds a password: {mistakes}");
    }

    #[test]
    fn a_collector_that_is_not_used_does_not_change_what_the_console_is_sent() {
        let variables = [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "explicit_bucket_histogram"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "7000"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut settings = DemoSettings::check(&DemoArguments::default(), &variables).expect("settings");
        let receiver = Url::parse("http://127.0.0.1:9").expect("a URL");
        send_telemetry_to(&receiver, &mut settings.serve).expect("a receiver");
        let otlp = settings.serve.otlp.expect("export");
        let (traces, metrics) = (otlp.traces.expect("traces"), otlp.metrics.expect("metrics"));
        assert_eq!(traces.endpoint.url().as_str(), "http://127.0.0.1:9/v1/traces");
        assert_eq!(metrics.endpoint.url().as_str(), "http://127.0.0.1:9/v1/metrics");
        assert_eq!([traces.protocol, metrics.protocol], [Protocol::HttpProtobuf; 2]);
        assert_eq!(otlp.histograms, HistogramAggregation::Exponential);
        assert_eq!(metrics.interval, Duration::from_secs(7));
    }

    #[test]
    fn only_variables_of_opentelemetry_reach_the_demo() {
        let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let variables = [
            variable("SOCIALIZE_DATABASE_URL", "postgres://production.example/socialize"),
            variable("SOCIALIZE_UNKNOWN", "1"),
            variable("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317"),
        ];
        let settings = DemoSettings::check(&DemoArguments::default(), &variables).expect("settings");
        assert!(settings.serve.otlp.is_some());
        assert!(!settings.serve.database.url.expose().contains("production"));
    }
}
