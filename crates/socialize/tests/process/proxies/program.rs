//! Real proxies as processes, each with its recipe from `deploy/proxies`.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use reqwest::Client;
use tempfile::TempDir;
use test_support::cache_directory;
use test_support::process::{PATIENCE, eventually};

const RECIPES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/proxies");
/// Values in the recipes that the test replaces.
const NAME: &str = "socialize.example.com";
const UPSTREAM: &str = "127.0.0.1:8080";
const CERTIFICATE: &str = "/etc/letsencrypt/live/socialize.example.com/fullchain.pem";
const KEY: &str = "/etc/letsencrypt/live/socialize.example.com/privkey.pem";

/// Debian's directory of Apache modules.
const APACHE_MODULES: &str = "/usr/lib/apache2/modules";
/// Modules that the recipe enables, their dependencies, and those that Debian enables by default.
const APACHE_MODULE_NAMES: &[&str] = &[
    "mpm_event",
    "authz_core",
    "alias",
    "socache_shmcb",
    "ssl",
    "http2",
    "proxy",
    "proxy_http",
    "headers",
    "deflate",
    "filter",
    "reqtimeout",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Nginx,
    Caddy,
    Apache,
}

impl Kind {
    fn program(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Caddy => "caddy",
            Self::Apache => "apache2",
        }
    }

    /// Returns the program, or `None` if `./test prepare` found no package of it and left a note.
    fn find(self) -> Option<PathBuf> {
        let installed = cache_directory().join("proxies");
        if installed.join(format!("without-{}", self.program())).exists() {
            return None;
        }
        let unpacked = [installed.join("usr/sbin"), installed.join("usr/bin")];
        let directories = unpacked.into_iter().chain(["/usr/sbin".into(), "/usr/bin".into()]);
        let found = directories.map(|directory| directory.join(self.program())).find(|path| path.exists());
        Some(found.unwrap_or_else(|| panic!("{} is missing: `./test prepare` installs it", self.program())))
    }
}

/// A running proxy. It is killed when dropped.
pub(super) struct Proxy {
    child: Child,
    port: u16,
    directory: TempDir,
}

impl Proxy {
    /// Starts a proxy in front of `upstream`. Returns `None` if the proxy is not available.
    pub(super) async fn start(kind: Kind, upstream: SocketAddr) -> Option<Self> {
        let program = kind.find()?;
        let directory = tempfile::tempdir().expect("a directory");
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let path = directory.path();
        fs::write(path.join("certificate.pem"), made.cert.pem()).expect("written");
        fs::write(path.join("key.pem"), made.signing_key.serialize_pem()).expect("written");
        let ports = free_ports();
        let mut command = match kind {
            Kind::Nginx => nginx(&program, path, upstream, ports),
            Kind::Caddy => caddy(&program, path, upstream, ports),
            Kind::Apache => apache(&program, path, upstream, ports),
        };
        let log = fs::File::create(path.join("log")).expect("a log");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a second handle")).stderr(log);
        let child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let mut proxy = Self { child, port: ports.1, directory };
        let client = proxy.client(Ipv4Addr::LOCALHOST);
        let url = proxy.url("/health/live");
        eventually("the start of the proxy", async || {
            let ended = proxy.child.try_wait().expect("a child");
            assert!(ended.is_none(), "{kind:?} ended: {}", proxy.log());
            client.get(&url).send().await.ok().filter(|answer| answer.status().is_success())
        })
        .await;
        Some(proxy)
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    /// Returns a client that connects from this address.
    pub(super) fn client(&self, from: Ipv4Addr) -> Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().no_proxy().timeout(PATIENCE).local_address(IpAddr::V4(from));
        // The proxy's certificate is self-signed.
        client.tls_danger_accept_invalid_certs(true).build().expect("an HTTP client")
    }

    fn log(&self) -> String {
        ["log", "error.log"]
            .iter()
            .filter_map(|name| fs::read_to_string(self.directory.path().join(name)).ok())
            .collect()
    }
}

impl Drop for Proxy {
    #[expect(clippy::print_stderr, reason = "a failed test is understood by what the proxy said")]
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("The proxy said:\n{}", self.log());
        }
    }
}

/// Returns ports for the redirect and for TLS.
fn free_ports() -> (u16, u16) {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    let [plain, tls] = listeners.map(|listener| listener.local_addr().expect("its address").port());
    (plain, tls)
}

/// Returns the recipe with replacements. Panics if the recipe does not contain a replaced text.
fn recipe(name: &str, replacements: &[(&str, String)]) -> String {
    let path = Path::new(RECIPES).join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    replacements.iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "{name} does not say {from}");
        text.replace(from, to)
    })
}

fn certificate(directory: &Path) -> [(&'static str, String); 2] {
    [
        (CERTIFICATE, directory.join("certificate.pem").display().to_string()),
        (KEY, directory.join("key.pem").display().to_string()),
    ]
}

fn nginx(program: &Path, directory: &Path, upstream: SocketAddr, (plain, tls): (u16, u16)) -> Command {
    let [certificate, key] = certificate(directory);
    let site = recipe(
        "nginx.conf",
        &[
            ("listen 80;", format!("listen 127.0.0.1:{plain};")),
            ("listen [::]:80;", String::new()),
            ("listen 443 ssl http2;", format!("listen 127.0.0.1:{tls} ssl http2;")),
            ("listen [::]:443 ssl http2;", String::new()),
            (UPSTREAM, upstream.to_string()),
            certificate,
            key,
            (NAME, "localhost".to_owned()),
        ],
    );
    let at = directory.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {at}/{kind};\n"))
        .collect();
    let main = format!(
        "daemon off; master_process off; pid {at}/pid; error_log stderr;\nevents {{}}\n\
         http {{\naccess_log off;\n{temporary}\n{site}\n}}\n"
    );
    fs::write(directory.join("nginx.conf"), main).expect("written");
    let mut command = Command::new(program);
    command.arg("-p").arg(directory).arg("-c").arg(directory.join("nginx.conf")).args(["-e", "stderr"]);
    command
}

fn caddy(program: &Path, directory: &Path, upstream: SocketAddr, (_, tls): (u16, u16)) -> Command {
    let at = directory.display();
    let address = format!("https://localhost:{tls} {{\n\ttls {at}/certificate.pem {at}/key.pem");
    let site = recipe(
        "Caddyfile",
        &[(&format!("\n{NAME} {{"), format!("\n{address}")), (UPSTREAM, upstream.to_string())],
    );
    let global = "{\n\tadmin off\n\tauto_https disable_redirects\n\tdefault_bind 127.0.0.1\n}\n";
    fs::write(directory.join("Caddyfile"), format!("{global}{site}")).expect("written");
    let mut command = Command::new(program);
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(directory.join("Caddyfile"));
    for home in ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
        command.env(home, directory);
    }
    command
}

fn apache(program: &Path, directory: &Path, upstream: SocketAddr, (plain, tls): (u16, u16)) -> Command {
    let [certificate, key] = certificate(directory);
    let site = recipe(
        "apache.conf",
        &[
            ("<VirtualHost *:80>", format!("<VirtualHost 127.0.0.1:{plain}>")),
            ("<VirtualHost *:443>", format!("<VirtualHost 127.0.0.1:{tls}>")),
            (UPSTREAM, upstream.to_string()),
            certificate,
            key,
            (NAME, "localhost".to_owned()),
        ],
    );
    let at = directory.display();
    let modules: String = APACHE_MODULE_NAMES
        .iter()
        .map(|name| format!("LoadModule {name}_module {APACHE_MODULES}/mod_{name}.so\n"))
        .collect();
    // Apache refuses to serve as root, and can only switch users as root.
    let user = if nix::unistd::geteuid().is_root() { "User nobody\nGroup nogroup\n" } else { "" };
    let main = format!(
        "ServerRoot {at}\nDefaultRuntimeDir {at}\nPidFile {at}/pid\nErrorLog {at}/error.log\nServerName localhost\n\
         {user}Listen 127.0.0.1:{plain}\nListen 127.0.0.1:{tls}\n{modules}\n{site}\n"
    );
    fs::write(directory.join("apache.conf"), main).expect("written");
    let mut command = Command::new(program);
    // A single process, so that killing it leaves nothing behind.
    command.arg("-X").arg("-f").arg(directory.join("apache.conf"));
    command
}
