//! Declaration of settings: each is one field of a `clap` group, with flag, variable, help text, default and
//! a parser from here. The field has the checked type, so nothing else mentions the setting but what uses it.
//!
//! A module whose settings are simple declares them beside its code, such as
//! [`QuotaSettings`](crate::platform::quotas::QuotaSettings). `run/config` collects the groups. A parser's
//! error completes the name of the variable, as in `SOCIALIZE_LISTEN: "8080" is not an address`; several
//! errors are several lines.

use std::convert::Infallible;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Command};
use ipnet::IpNet;
use url::Url;

/// A list, for which `clap` would take a `Vec` as a repeated flag.
pub type Networks = Vec<IpNet>;
/// See [`Networks`].
pub(crate) type HostNames = Vec<String>;
/// See [`Networks`].
pub type FileContent = Vec<u8>;

/// A longer duration is probably a wrong unit, and Postgres rejects limits of more than some weeks.
pub(crate) const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// A limit of zero would reject everything, or mean "none" to Postgres.
pub(crate) const TIME_LIMIT: RangeInclusive<Duration> = Duration::from_millis(1)..=LONGEST;

/// Returns the defaults of a group, whatever the environment says.
pub(crate) fn defaults<G: Args>() -> G {
    let matches = without_environment::<G>().try_get_matches_from([""; 0]);
    matches.and_then(|matches| G::from_arg_matches(&matches)).unwrap_or_else(|error| error.exit())
}

/// Returns a command that parses only the flags of a group.
pub(crate) fn without_environment<G: Args>() -> Command {
    let command = Command::new("settings").no_binary_name(true).disable_help_flag(true);
    G::augment_args(command).mut_args(|argument| argument.env(None::<&'static str>))
}

/// Parses anything that is `right`.
pub fn parsed<T: FromStr>(
    right: &str,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static + use<T> {
    let right = right.to_owned();
    move |text| text.trim().parse().map_err(|_| format!("{text:?} is not {right}"))
}

/// Parses `true` or `false`.
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    parsed("true or false")(text)
}

/// Parses a whole number within bounds.
pub(crate) fn number<T: TryFrom<u64>>(
    bounds: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static {
    move |text| {
        let right = format!("a whole number from {} to {}", bounds.start(), bounds.end());
        let number = parsed::<u64>(&right)(text)?;
        let within = Some(number).filter(|number| bounds.contains(number));
        within.and_then(|number| T::try_from(number).ok()).ok_or_else(|| format!("{number} is not {right}"))
    }
}

/// Parses a number of MiB, and returns bytes.
pub(crate) fn mebibytes(
    bounds: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<u64, String> + Clone + Send + Sync + 'static {
    let number = number::<u64>(bounds);
    move |text| Ok(number(text)? << 20)
}

/// Parses a duration such as `500ms`, `15s` or `2m` within bounds.
pub fn duration(
    bounds: RangeInclusive<Duration>,
) -> impl Fn(&str) -> Result<Duration, String> + Clone + Send + Sync + 'static {
    move |text| match humantime::parse_duration(text.trim()) {
        Ok(duration) if bounds.contains(&duration) => Ok(duration),
        Ok(_) => {
            let [least, most] = [bounds.start(), bounds.end()].map(|end| humantime::format_duration(*end));
            Err(format!("{text:?} is not a duration from {least} to {most}"))
        }
        Err(_) => Err(format!("{text:?} is not a duration such as 500ms, 15s or 2m")),
    }
}

/// Parses a comma-separated list of networks and addresses.
pub(crate) fn networks(text: &str) -> Result<Networks, String> {
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    let parsed = items.map(|item| {
        let network = item.parse::<IpNet>().or_else(|_| item.parse::<IpAddr>().map(IpNet::from));
        network.map_err(|_| {
            format!("{item:?} is not a network such as 10.0.0.0/8 or an address such as 127.0.0.1")
        })
    });
    let (networks, errors): (Vec<_>, Vec<_>) = parsed.partition(Result::is_ok);
    let errors: Vec<String> = errors.into_iter().filter_map(Result::err).collect();
    if errors.is_empty() { Ok(networks.into_iter().flatten().collect()) } else { Err(errors.join("\n")) }
}

/// Parses a comma-separated list of host names without ports, into lower case.
pub(crate) fn host_names(text: &str) -> Result<HostNames, String> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    let names: HostNames = names.map(str::to_ascii_lowercase).collect();
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if names.iter().all(|name| name.bytes().all(is_part)) {
        Ok(names)
    } else {
        Err("must be names without ports, such as api,socialize.internal".to_owned())
    }
}

/// Parses the URL of a web site.
pub(crate) fn web_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or_else(|| format!("{text:?} is not a URL such as https://socialize.example.com"))
}

/// Takes a path as it is, even an empty one.
pub(crate) fn path(text: &str) -> Result<PathBuf, Infallible> {
    Ok(PathBuf::from(text))
}

/// Reads the named file.
pub(crate) fn file_content(path: &str) -> Result<FileContent, String> {
    std::fs::read(path).map_err(|error| format!("{path} cannot be read: {}", error.kind()))
}
