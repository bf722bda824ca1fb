//! Command-line arguments and environment variables of the console, and the validated settings.

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use http::Uri;
use http::uri::Authority;

use crate::follow::Pattern;

/// Minimum length of a configured token.
const TOKEN_LENGTH: usize = 20;

/// Arguments of `socialize console`. Each can also be an environment variable.
#[derive(Args, Clone, Debug)]
pub struct ConsoleArguments {
    /// Address of the pages
    #[arg(long, env = "SOCIALIZE_CONSOLE_ADDRESS", default_value = "127.0.0.1:3001", value_name = "ADDRESS")]
    pub address: String,
    /// Address that receives metrics and traces by OTLP over HTTP
    #[arg(
        long,
        env = "SOCIALIZE_CONSOLE_OTLP_ADDRESS",
        default_value = "127.0.0.1:4318",
        value_name = "ADDRESS"
    )]
    pub otlp_address: String,
    /// Directory for metrics, traces and the state of alerts; created if it is missing
    #[arg(long, env = "SOCIALIZE_CONSOLE_DATA", default_value = "console-data", value_name = "DIRECTORY")]
    pub data: PathBuf,
    /// Log files to follow; `*` stands for any characters of a file name. Can be repeated
    #[arg(long = "logs", env = "SOCIALIZE_CONSOLE_LOGS", value_delimiter = ',', value_name = "PATTERN")]
    pub logs: Vec<String>,
    /// Alertmanager that notifies about alerts, such as http://127.0.0.1:9093
    #[arg(long, env = "SOCIALIZE_CONSOLE_ALERTMANAGER", value_name = "URL")]
    pub alertmanager: Option<String>,
    /// Host names under which the pages are reached, besides localhost and the address. Can be repeated
    #[arg(long = "host", env = "SOCIALIZE_CONSOLE_HOSTS", value_delimiter = ',', value_name = "NAME")]
    pub hosts: Vec<String>,
    /// File with the token of the link. Without it, each start creates a new token
    #[arg(long, env = "SOCIALIZE_CONSOLE_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Environment to show first, a SOCIALIZE_ENVIRONMENT of the reporting processes [default: all]
    #[arg(long, env = "SOCIALIZE_CONSOLE_ENVIRONMENT", value_name = "NAME")]
    pub environment: Option<String>,
}

/// Checked settings.
#[derive(Clone)]
pub struct Settings {
    /// Address of the pages.
    pub address: SocketAddr,
    /// Address of the OTLP receiver.
    pub otlp_address: SocketAddr,
    /// Directory of the stores.
    pub data: PathBuf,
    /// Patterns of log files.
    pub logs: Vec<Pattern>,
    /// The patterns as given.
    pub log_names: Vec<String>,
    /// Base URL of an Alertmanager.
    pub alertmanager: Option<Uri>,
    /// Additional host names, in lower case and without a port.
    pub hosts: Vec<String>,
    /// Token of the link; `None` creates a new one at each start.
    pub token: Option<String>,
    /// Environment to show first.
    pub environment: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct ConfigurationErrors(pub Vec<String>);

impl fmt::Display for ConfigurationErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the console cannot start with this configuration:")?;
        self.0.iter().try_for_each(|error| write!(f, "\n  - {error}"))
    }
}

impl std::error::Error for ConfigurationErrors {}

impl TryFrom<ConsoleArguments> for Settings {
    type Error = ConfigurationErrors;

    fn try_from(arguments: ConsoleArguments) -> Result<Self, ConfigurationErrors> {
        let mut errors = Errors::default();
        let address = errors.keep(socket_address("SOCIALIZE_CONSOLE_ADDRESS", &arguments.address));
        let otlp_address =
            errors.keep(socket_address("SOCIALIZE_CONSOLE_OTLP_ADDRESS", &arguments.otlp_address));
        if let (Some(pages), Some(receiver)) = (address, otlp_address)
            && pages == receiver
            && pages.port() != 0
        {
            errors.keep::<()>(Err(format!("pages and the OTLP receiver cannot both listen on {pages}")));
        }
        let alertmanager =
            arguments.alertmanager.as_deref().map(|url| errors.keep(alertmanager(url))).unwrap_or_default();
        let hosts = arguments.hosts.iter().filter_map(|name| errors.keep(host_name(name))).collect();
        let token = arguments.token_file.map(|file| errors.keep(token_of(&file))).unwrap_or_default();
        let logs = arguments.logs.iter().filter_map(|text| errors.keep(pattern(text))).collect();
        match (address, otlp_address, errors.0.is_empty()) {
            (Some(address), Some(otlp_address), true) => Ok(Self {
                address,
                otlp_address,
                data: arguments.data,
                logs,
                log_names: arguments.logs,
                alertmanager,
                hosts,
                token,
                environment: arguments.environment.filter(|name| !name.is_empty()),
            }),
            _ => Err(ConfigurationErrors(errors.0)),
        }
    }
}

#[derive(Default)]
struct Errors(Vec<String>);

impl Errors {
    fn keep<T>(&mut self, result: Result<T, String>) -> Option<T> {
        result.map_err(|error| self.0.push(error)).ok()
    }
}

fn socket_address(name: &str, text: &str) -> Result<SocketAddr, String> {
    let text = text.replacen("localhost:", "127.0.0.1:", 1);
    text.parse()
        .map_err(|_| format!("{name}: {text:?} is no IP address with a port; 127.0.0.1:3001 would be one"))
}

fn pattern(text: &str) -> Result<Pattern, String> {
    text.parse().map_err(|error| format!("SOCIALIZE_CONSOLE_LOGS: {error}"))
}

fn alertmanager(url: &str) -> Result<Uri, String> {
    let problem = || {
        format!(
            "SOCIALIZE_CONSOLE_ALERTMANAGER: {url:?} is no base URL; http://127.0.0.1:9093 would be one \
             (https needs a local proxy)"
        )
    };
    let uri: Uri = url.parse().map_err(|_| problem())?;
    let is_plain = uri.scheme_str() == Some("http") && uri.query().is_none();
    let has_user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    if is_plain && uri.host().is_some() && !has_user { Ok(uri) } else { Err(problem()) }
}

fn host_name(name: &str) -> Result<String, String> {
    let lower = name.trim().to_ascii_lowercase();
    match lower.parse::<Authority>() {
        Ok(authority) if authority.port().is_none() && !lower.contains('@') && !lower.contains('*') => {
            Ok(lower)
        }
        _ => Err(format!("SOCIALIZE_CONSOLE_HOSTS: {name:?} is not a host name; a port must not follow it")),
    }
}

fn token_of(file: &std::path::Path) -> Result<String, String> {
    let text = fs::read_to_string(file).map_err(|error| {
        format!("SOCIALIZE_CONSOLE_TOKEN_FILE: {} cannot be read: {error}", file.display())
    })?;
    let token = text.trim();
    let is_plain = token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if is_plain && (TOKEN_LENGTH..=200).contains(&token.len()) {
        return Ok(token.to_owned());
    }
    Err(format!(
        "SOCIALIZE_CONSOLE_TOKEN_FILE: {} must contain {TOKEN_LENGTH} to 200 letters, digits, - and _ ; \
         `openssl rand -hex 32` writes a good one",
        file.display()
    ))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        console: ConsoleArguments,
    }

    fn settings(arguments: &[&str]) -> Result<Settings, ConfigurationErrors> {
        let arguments = std::iter::once(&"console").chain(arguments);
        Command::try_parse_from(arguments).expect("arguments").console.try_into()
    }

    #[test]
    fn without_arguments_only_loopback_is_used() {
        let settings = settings(&[]).expect("settings");
        assert!(settings.address.ip().is_loopback() && settings.otlp_address.ip().is_loopback());
        assert!(settings.token.is_none() && settings.hosts.is_empty());
    }

    #[test]
    fn all_errors_are_reported_together() {
        let arguments = [
            "--address=here",
            "--otlp-address=4318",
            "--alertmanager=https://user@example.org",
            "--host=a:80",
            "--token-file=/does/not/exist",
        ];
        let errors = settings(&arguments).err().expect("errors");
        assert_eq!(errors.0.len(), 5, "{errors}");
        assert!(errors.to_string().contains("127.0.0.1:3001 would be one"), "{errors}");
    }

    #[test]
    fn pages_and_receiver_need_different_addresses() {
        let errors = settings(&["--address=127.0.0.1:4318"]).err().expect("errors");
        assert!(errors.to_string().contains("cannot both listen"), "{errors}");
    }

    #[test]
    fn a_token_comes_from_a_file_if_it_is_long_enough() {
        let cases = [("short", false), ("0123456789abcdef0123\n", true), ("0123456789abcdef 0123", false)];
        for (content, valid) in cases {
            let mut file = tempfile::NamedTempFile::new().expect("file");
            file.write_all(content.as_bytes()).expect("written");
            let argument = format!("--token-file={}", file.path().display());
            assert_eq!(settings(&[&argument]).is_ok(), valid, "{content:?}");
        }
    }
}
