//! Settings that are valid but may be unintended.

use ipnet::IpNet;

use crate::platform::finding::Finding;
use crate::run::config::{SECRETS, Settings, has_unescaped_at};

const PROXIES: &str = "proxies";
const DATABASE_URL: &str = "database_url";
const QUOTED: &str = "secrets";

/// Reports which proxies are trusted, and suspicious values.
pub(super) fn check(settings: &Settings, variables: &[(String, String)]) -> Vec<Finding> {
    let mut findings = vec![proxies(&settings.listen.trusted_peers, &settings.listen.trusted_trace_peers)];
    if has_unescaped_at(&settings.database.url) {
        findings.push(Finding::warning(
            DATABASE_URL,
            "the password in SOCIALIZE_DATABASE_URL contains an unescaped @; Socialize understands it, psql and \
             pg_dump do not",
            "write %40 instead",
        ));
    }
    let quoted =
        variables.iter().filter(|(name, value)| SECRETS.contains(&name.as_str()) && is_quoted(value));
    findings.extend(quoted.map(|(name, _)| {
        Finding::warning(
            QUOTED,
            format!("{name} is in quotation marks, which are part of it"),
            "remove them, unless the secret really has them",
        )
    }));
    findings
}

/// Returns whether a value is enclosed in quotation marks.
fn is_quoted(value: &str) -> bool {
    ['"', '\''].iter().any(|quote| value.len() > 1 && value.starts_with(*quote) && value.ends_with(*quote))
}

fn proxies(addresses: &[IpNet], traces: &[IpNet]) -> Finding {
    let named = |networks: &[IpNet]| match networks {
        [] => "nobody".to_owned(),
        networks => networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    let detail = format!(
        "X-Forwarded-For and X-Forwarded-Proto are believed from {}; traceparent is continued from {}, and linked to \
         from everybody else",
        named(addresses),
        named(traces)
    );
    if addresses.iter().chain(traces).any(|network| network.prefix_len() == 0) {
        let remedy = "name the proxies only: everybody can say to be anybody else";
        return Finding::warning(PROXIES, detail, remedy);
    }
    Finding::ok(PROXIES, detail)
}
