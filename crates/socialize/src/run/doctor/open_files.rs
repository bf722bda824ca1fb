//! The limit of open files, and the connections that it leaves to clients.

use crate::platform::finding::Finding;
use crate::run::config::Settings;
use crate::run::open_files;

const CHECK: &str = "open_files";
/// Fewer connections are not enough for a team whose browsers each keep several.
const ENOUGH: usize = 256;

pub(super) fn check(settings: &Settings) -> Finding {
    let open_files = open_files::raise_limit();
    let limits = open_files::connection_limits(settings, open_files);
    let detail = format!(
        "{open_files} open files, so {} connections of clients, {} of one network",
        limits.all, limits.of_one_client
    );
    let is_wanted = settings.listen.connections.is_some_and(|wanted| wanted == limits.all);
    if limits.all < ENOUGH && !is_wanted {
        let remedy =
            "raise the hard limit of open files, e.g. by LimitNOFILE of systemd or ulimits of Compose";
        return Finding::warning(CHECK, detail, remedy);
    }
    Finding::ok(CHECK, detail)
}
