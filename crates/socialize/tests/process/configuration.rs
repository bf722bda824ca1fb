//! Configuration errors: each is explained, all are reported together, and no secret is shown.
//!
//! Long because it is a table with a row for each error.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use test_support::process::{Ended, Launch, program};

/// No server listens there; the configuration is checked before any connection.
const DATABASE_URL: &str = "postgres://socialize:database-password@127.0.0.1:1/socialize";

/// Part of every secret in these tests, and of nothing else.
const SECRET_PARTS: &[&str] = &["database-password", "hunter2", "server-secret", "collector-token"];

/// An invalid setting, and part of the line that must report it.
struct Mistake {
    set: &'static [(&'static str, &'static str)],
    flags: &'static [&'static str],
    expected: &'static str,
}

const fn variable(set: &'static [(&'static str, &'static str)], expected: &'static str) -> Mistake {
    Mistake { set, flags: &[], expected }
}

const fn flags(flags: &'static [&'static str], expected: &'static str) -> Mistake {
    Mistake { set: &[], flags, expected }
}

const MISTAKES: &[Mistake] = &[
    variable(
        &[("SOCIALIZE_DATABASE_URL", "mysql://root:hunter2@localhost/socialize")],
        "SOCIALIZE_DATABASE_URL: is not a URL such as postgres://user@host/database",
    ),
    variable(
        &[("SOCIALIZE_DATABASE_URL", "")],
        "SOCIALIZE_DATABASE_URL: is not a URL such as postgres://user@host/database",
    ),
    variable(
        &[("SOCIALIZE_DATABASE_URL", "host=localhost password=hunter2")],
        "SOCIALIZE_DATABASE_URL: is not a URL such as postgres://user@host/database",
    ),
    variable(
        &[("SOCIALIZE_DATABASE_URL", "postgres://u:hunter2@localhost/d?sslmode=maybe")],
        "SOCIALIZE_DATABASE_URL: has an option with an unknown value; sslmode is one of disable, allow, prefer",
    ),
    variable(
        &[("SOCIALIZE_DATABASE_URL", "postgres://u:hunter2@localhost:70000/d")],
        "SOCIALIZE_DATABASE_URL: is not a URL such as postgres://user@host/database",
    ),
    variable(
        &[("SOCIALIZE_DATABASE_URL", "postgres://u:hunter2/9@localhost/d")],
        "SOCIALIZE_DATABASE_URL: its password seems to contain an unescaped /, which ends the part that a password can \
         be in; write %2F",
    ),
    // These would be valid URLs with the host `u`.
    variable(
        &[("SOCIALIZE_DATABASE_URL", "postgres://u:1#hunter2@localhost/d")],
        "SOCIALIZE_DATABASE_URL: its password seems to contain an unescaped #",
    ),
    variable(
        &[("SOCIALIZE_DATABASE_URL", "postgres://u:1?hunter2=@localhost/d")],
        "SOCIALIZE_DATABASE_URL: its password seems to contain an unescaped ?",
    ),
    variable(
        &[("SOCIALIZE_DATABASE_URL", " postgres://u:hunter2@localhost/d")],
        "SOCIALIZE_DATABASE_URL: begins or ends with a blank, which would be part of it: remove it",
    ),
    variable(
        &[("SOCIALIZE_DATABASE_URL_FILE", "/nowhere/url")],
        "SOCIALIZE_DATABASE_URL: is given directly and by SOCIALIZE_DATABASE_URL_FILE: remove one of them",
    ),
    variable(
        &[("SOCIALIZE_DATABASE_CONNECTIONS", "1")],
        "SOCIALIZE_DATABASE_CONNECTIONS: 1 is not a whole number from 2 to 1000",
    ),
    variable(
        &[("SOCIALIZE_DATABASE_CONNECTIONS", "many")],
        "SOCIALIZE_DATABASE_CONNECTIONS: \"many\" is not a whole number from 2 to 1000",
    ),
    variable(
        &[("SOCIALIZE_DATABASE_ACQUIRE_TIMEOUT", "2")],
        "SOCIALIZE_DATABASE_ACQUIRE_TIMEOUT: \"2\" is not a duration such as 500ms, 15s or 2m",
    ),
    variable(
        &[("SOCIALIZE_DATABASE_ACQUIRE_TIMEOUT", "0s")],
        "SOCIALIZE_DATABASE_ACQUIRE_TIMEOUT: \"0s\" is not a duration from 1ms to 1day",
    ),
    variable(
        &[("SOCIALIZE_DATABASE_STATEMENT_TIMEOUT", "forever")],
        "SOCIALIZE_DATABASE_STATEMENT_TIMEOUT: \"forever\" is not a duration",
    ),
    // Postgres interprets it as "no limit".
    variable(
        &[("SOCIALIZE_DATABASE_STATEMENT_TIMEOUT", "0s")],
        "SOCIALIZE_DATABASE_STATEMENT_TIMEOUT: \"0s\" is not a duration from 1ms to 1day",
    ),
    // Postgres would reject every connection.
    variable(
        &[("SOCIALIZE_DATABASE_STATEMENT_TIMEOUT", "1year")],
        "SOCIALIZE_DATABASE_STATEMENT_TIMEOUT: \"1year\" is not a duration from 1ms to 1day",
    ),
    variable(&[("SOCIALIZE_SECRET", "hunter2")], "SOCIALIZE_SECRET: must have at least 32 characters"),
    variable(&[("SOCIALIZE_SECRET", "")], "SOCIALIZE_SECRET: must have at least 32 characters"),
    variable(
        &[("SOCIALIZE_SECRET", "\u{feff}hunter2hunter2hunter2hunter2hunter2")],
        "SOCIALIZE_SECRET: begins with a byte order mark (BOM)",
    ),
    variable(
        &[("SOCIALIZE_SECRET", "hunter2hunter2hunter2hunter2hunter2\t")],
        "SOCIALIZE_SECRET: begins or ends with a blank",
    ),
    variable(
        &[("SOCIALIZE_SECRET", "hunter2hunter2hunter2hunter2hunter2\r")],
        "SOCIALIZE_SECRET: has more than one line, or the line ends of Windows",
    ),
    variable(
        &[("SOCIALIZE_PUBLIC_URL", "\"https://socialize.example.com\"")],
        "SOCIALIZE_PUBLIC_URL: is in quotation marks, which are part of it here: remove them",
    ),
    variable(
        &[("SOCIALIZE_MAIL_FROM", "'Socialize <socialize@example.com>'")],
        "SOCIALIZE_MAIL_FROM: is in quotation marks, which are part of it here: remove them",
    ),
    variable(
        &[("SOCIALIZE_SECRET_FILE", "/nowhere/secret")],
        "SOCIALIZE_SECRET: is given directly and by SOCIALIZE_SECRET_FILE: remove one of them",
    ),
    variable(
        &[("SOCIALIZE_LISTEN", "8080")],
        "SOCIALIZE_LISTEN: \"8080\" is not an address such as 127.0.0.1:8080",
    ),
    variable(
        &[("SOCIALIZE_LISTEN", "localhost:8080")],
        "SOCIALIZE_LISTEN: \"localhost:8080\" is not an address such as 127.0.0.1:8080",
    ),
    variable(
        &[("SOCIALIZE_OPERATIONS_LISTEN", "127.0.0.1:99999")],
        "SOCIALIZE_OPERATIONS_LISTEN: \"127.0.0.1:99999\" is not an address",
    ),
    variable(
        &[("SOCIALIZE_LISTEN", "127.0.0.1:9"), ("SOCIALIZE_OPERATIONS_LISTEN", "127.0.0.1:9")],
        "SOCIALIZE_OPERATIONS_LISTEN: must differ from SOCIALIZE_LISTEN",
    ),
    variable(
        &[("SOCIALIZE_PUBLIC_URL", "socialize.example.com")],
        "SOCIALIZE_PUBLIC_URL: \"socialize.example.com\" is not a URL such as https://socialize.example.com",
    ),
    variable(
        &[("SOCIALIZE_PUBLIC_URL", "ftp://socialize.example.com")],
        "SOCIALIZE_PUBLIC_URL: \"ftp://socialize.example.com\" is not a URL",
    ),
    variable(
        &[("SOCIALIZE_TRUSTED_PEERS", "10.0.0.0/8,proxy")],
        "SOCIALIZE_TRUSTED_PEERS: \"proxy\" is not a network such as 10.0.0.0/8 or an address such as 127.0.0.1",
    ),
    variable(
        &[("SOCIALIZE_TRUSTED_PEERS", "10.0.0.0/99")],
        "SOCIALIZE_TRUSTED_PEERS: \"10.0.0.0/99\" is not a network",
    ),
    variable(
        &[("SOCIALIZE_REQUEST_TIMEOUT", "0s")],
        "SOCIALIZE_REQUEST_TIMEOUT: \"0s\" is not a duration from 1ms to 1day",
    ),
    variable(&[("SOCIALIZE_BODY_TIMEOUT", "-1s")], "SOCIALIZE_BODY_TIMEOUT: \"-1s\" is not a duration"),
    variable(&[("SOCIALIZE_DRAIN_DELAY", "soon")], "SOCIALIZE_DRAIN_DELAY: \"soon\" is not a duration"),
    variable(
        &[("SOCIALIZE_SHUTDOWN_TIMEOUT", "1e9s")],
        "SOCIALIZE_SHUTDOWN_TIMEOUT: \"1e9s\" is not a duration",
    ),
    variable(&[("SOCIALIZE_SERVE_WORKS", "yes")], "SOCIALIZE_SERVE_WORKS: \"yes\" is not true or false"),
    variable(
        &[("SOCIALIZE_JOB_CONCURRENCY", "0")],
        "SOCIALIZE_JOB_CONCURRENCY: 0 is not a whole number from 1 to 256",
    ),
    variable(
        &[("SOCIALIZE_JOB_LEASE", "10ms")],
        "SOCIALIZE_JOB_LEASE: \"10ms\" is not a duration from 1s to 1h",
    ),
    variable(
        &[("SOCIALIZE_PUBLISHING_ALLOWED_NETWORKS", "127.0.0.1, everywhere")],
        "SOCIALIZE_PUBLISHING_ALLOWED_NETWORKS: \"everywhere\" is not a network such as 10.0.0.0/8 or an address",
    ),
    variable(
        &[("SOCIALIZE_PUBLISHING_TRACE_CONTEXT", "maybe")],
        "SOCIALIZE_PUBLISHING_TRACE_CONTEXT: \"maybe\" is not true or false",
    ),
    variable(
        &[("SOCIALIZE_PUBLISHING_CA_FILE", "/nowhere.pem")],
        "SOCIALIZE_PUBLISHING_CA_FILE: /nowhere.pem cannot be read: entity not found",
    ),
    variable(
        &[("SOCIALIZE_MAIL_FROM", "Socialize")],
        "SOCIALIZE_MAIL_FROM: \"Socialize\" is not an address, e.g. \"Socialize <socialize@example.com>\"",
    ),
    variable(
        &[("SOCIALIZE_SMTP_URL", "smtps://socialize:hunter2@mail.example.com")],
        "SOCIALIZE_SMTP_URL: is given as well as SOCIALIZE_MAIL_DIRECTORY: remove one of them",
    ),
    variable(
        &[("SOCIALIZE_UPLOAD_TIMEOUT", "1h")],
        "SOCIALIZE_UPLOAD_TIMEOUT: \"1h\" is not a duration from 1ms to 20m",
    ),
    variable(
        &[("SOCIALIZE_UPLOADS_AT_ONCE", "0")],
        "SOCIALIZE_UPLOADS_AT_ONCE: 0 is not a whole number from 1 to 1024",
    ),
    variable(
        &[("SOCIALIZE_S3_BUCKET", "files")],
        "SOCIALIZE_S3_BUCKET: is given as well as SOCIALIZE_BLOBS_DIRECTORY: remove one of them",
    ),
    variable(
        &[("SOCIALIZE_LOG_LEVEL", "verbose")],
        "SOCIALIZE_LOG_LEVEL: \"verbose\" is not a log level: use one of off, fatal, error, warn, info, debug, trace",
    ),
    variable(
        &[("SOCIALIZE_LOG_FORMAT", "xml")],
        "SOCIALIZE_LOG_FORMAT: \"xml\" is none of json, pretty, none",
    ),
    variable(
        &[("SOCIALIZE_LOG_FILE_MAX_BYTES", "10")],
        "SOCIALIZE_LOG_FILE_MAX_BYTES: 10 is not a whole number from 1024 to",
    ),
    variable(
        &[("SOCIALIZE_LOG_FILE_MAX_BYTES", "64M")],
        "SOCIALIZE_LOG_FILE_MAX_BYTES: \"64M\" is not a whole number from 1024 to",
    ),
    variable(
        &[("SOCIALIZE_LOG_FILE_KEEP", "0")],
        "SOCIALIZE_LOG_FILE_KEEP: 0 is not a whole number from 1 to 10000",
    ),
    variable(
        &[("SOCIALIZE_DATABSE_URL", "postgres://u:hunter2@localhost/d")],
        "SOCIALIZE_DATABSE_URL: is not a setting of this version; did you mean SOCIALIZE_DATABASE_URL?",
    ),
    variable(
        &[("SOCIALIZE_SECRET_KEY", "hunter2")],
        "SOCIALIZE_SECRET_KEY: is not a setting of this version; did you mean SOCIALIZE_SECRET",
    ),
    variable(&[("OTEL_SDK_DISABLED", "yes")], "OTEL_SDK_DISABLED: must be `true` or `false`"),
    variable(
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4317")],
        "OTEL_EXPORTER_OTLP_ENDPOINT: must be a URL that starts with http:// or https://",
    ),
    variable(
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:hunter2@collector")],
        "OTEL_EXPORTER_OTLP_ENDPOINT: must not contain a user or a password",
    ),
    variable(
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")],
        "OTEL_EXPORTER_OTLP_PROTOCOL: asks for `http/json`, which is not supported",
    ),
    variable(
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "collector-token"),
        ],
        "OTEL_EXPORTER_OTLP_HEADERS: must be a list name=value,name=value; entry 1 has no `=`",
    ),
    variable(
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector"), ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s")],
        "OTEL_EXPORTER_OTLP_TIMEOUT: must be a whole number of milliseconds",
    ),
    variable(
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector"), ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd")],
        "OTEL_EXPORTER_OTLP_COMPRESSION: must be `gzip` or `none`",
    ),
    variable(
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere.pem"),
        ],
        "OTEL_EXPORTER_OTLP_CERTIFICATE: names a file that cannot be read",
    ),
    variable(
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector"), ("OTEL_TRACES_SAMPLER", "sometimes")],
        "OTEL_TRACES_SAMPLER: must be `always_on`",
    ),
    variable(
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector"),
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "25"),
        ],
        "OTEL_TRACES_SAMPLER_ARG: must be a number from 0 to 1",
    ),
    variable(
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector"), ("OTEL_RESOURCE_ATTRIBUTES", "region")],
        "OTEL_RESOURCE_ATTRIBUTES: must be a list key=value,key=value",
    ),
    variable(
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector"), ("OTEL_METRICS_EXPORTER", "prometheus")],
        "OTEL_METRICS_EXPORTER: must be `otlp` or `none`",
    ),
    // Flags obey the same rules as variables and take precedence.
    flags(&["--listen", "nowhere"], "SOCIALIZE_LISTEN: \"nowhere\" is not an address such as 127.0.0.1:8080"),
    flags(&["--database-connections", "-3"], "unexpected argument '-3'"),
    flags(&["--log-level=loud"], "SOCIALIZE_LOG_LEVEL: \"loud\" is not a log level"),
    flags(
        &["--request-timeout=15"],
        "SOCIALIZE_REQUEST_TIMEOUT: \"15\" is not a duration such as 500ms, 15s or 2m",
    ),
    flags(&["--no-such-flag"], "unexpected argument '--no-such-flag'"),
    flags(&["unexpected"], "unexpected argument 'unexpected'"),
];

fn launch(flags: &[&str]) -> Launch {
    Launch::role("serve", DATABASE_URL).arguments(flags)
}

/// Checks the common properties of every rejection.
#[track_caller]
fn assert_refused(ended: &Ended, expected: &str) {
    assert_eq!(ended.status.code(), Some(2), "{expected}\n{}", ended.stderr);
    assert!(ended.stderr.contains(expected), "{expected}\n{}", ended.stderr);
    assert_eq!(ended.stdout, "", "mistakes are no output");
    for secret in SECRET_PARTS {
        assert!(!ended.stderr.contains(secret), "{secret} is shown: {}", ended.stderr);
    }
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
}

#[tokio::test]
async fn each_mistake_is_explained() {
    for mistake in MISTAKES {
        let ended = launch(mistake.flags).variables(mistake.set).run().await;
        assert_refused(&ended, mistake.expected);
        if mistake.flags.is_empty() {
            assert!(ended.stderr.starts_with("The configuration has 1 mistake:\n"), "{}", ended.stderr);
        }
    }
}

#[tokio::test]
async fn all_mistakes_are_reported_together() {
    let mut launch = launch(&[]);
    let mut expected: Vec<&str> = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    for mistake in MISTAKES.iter().filter(|mistake| mistake.flags.is_empty()) {
        let (name, _) = mistake.expected.split_once(':').expect("a mistake names its setting");
        // A variable has one value per run, so only the first error of each is used.
        let is_free = mistake.set.iter().all(|(name, _)| !names.contains(name) && !name.ends_with("_FILE"));
        if is_free && !["OTEL_SDK_DISABLED", "OTEL_EXPORTER_OTLP_ENDPOINT"].contains(&name) {
            names.extend(
                mistake
                    .set
                    .iter()
                    .map(|(name, _)| *name)
                    .filter(|name| *name != "OTEL_EXPORTER_OTLP_ENDPOINT"),
            );
            expected.push(mistake.expected);
            launch = launch.variables(mistake.set);
        }
    }
    assert!(expected.len() >= 25, "{}", expected.len());
    let ended = launch.run().await;
    for part in &expected {
        assert_refused(&ended, part);
    }
    let heading = format!("The configuration has {} mistakes:\n", expected.len());
    assert!(ended.stderr.starts_with(&heading), "{heading}{}", ended.stderr);
    assert_eq!(ended.stderr.matches("\n  - ").count(), expected.len());
}

#[tokio::test]
async fn what_is_required_is_named_with_an_example() {
    for (role, required) in [
        (
            "serve",
            &["SOCIALIZE_DATABASE_URL: is required, e.g.", "SOCIALIZE_SECRET: is required: at least 32"][..],
        ),
        (
            "work",
            &["SOCIALIZE_DATABASE_URL: is required, e.g.", "SOCIALIZE_SECRET: is required: at least 32"],
        ),
        ("migrate", &["SOCIALIZE_DATABASE_URL: is required, e.g."]),
    ] {
        let ended = Launch::of(program(&[role])).run().await;
        for part in required {
            assert_refused(&ended, part);
        }
    }
    let ended = Launch::of(program(&[])).run().await;
    assert_eq!(ended.status.code(), Some(2));
    assert!(ended.stderr.contains("Usage: socialize <COMMAND>"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_mail_server_and_its_password_are_checked_together() {
    let url = ("SOCIALIZE_SMTP_URL", "smtps://mail.example.com");
    let (name, password) = (("SOCIALIZE_SMTP_USERNAME", "socialize"), ("SOCIALIZE_SMTP_PASSWORD", "hunter2"));
    let table: &[(&[(&str, &str)], &str)] = &[
        (&[("SOCIALIZE_SMTP_URL", "mail.example.com")], "SOCIALIZE_SMTP_URL: is none of smtps://HOST"),
        (
            &[("SOCIALIZE_SMTP_URL", "smtps://socialize:hunter2@mail.example.com")],
            "SOCIALIZE_SMTP_URL: is none of smtps://HOST",
        ),
        (&[url, name], "SOCIALIZE_SMTP_PASSWORD: is required where SOCIALIZE_SMTP_USERNAME is given"),
        (&[url, password], "SOCIALIZE_SMTP_USERNAME: is required where SOCIALIZE_SMTP_PASSWORD is given"),
        (
            &[url, name, password, ("SOCIALIZE_SMTP_PASSWORD_FILE", "/nowhere")],
            "SOCIALIZE_SMTP_PASSWORD: is given directly and by SOCIALIZE_SMTP_PASSWORD_FILE",
        ),
        (
            &[url, ("SOCIALIZE_SMTP_CA_FILE", "/nowhere.pem")],
            "SOCIALIZE_SMTP_CA_FILE: /nowhere.pem cannot be read: entity not found",
        ),
    ];
    for (variables, expected) in table {
        let launch = launch(&[]).without("SOCIALIZE_MAIL_DIRECTORY").variables(variables);
        assert_refused(&launch.run().await, expected);
    }
}

#[tokio::test]
async fn a_bucket_and_its_key_are_checked_together() {
    let bucket = ("SOCIALIZE_S3_BUCKET", "socialize-files");
    let (id, key) = (("SOCIALIZE_S3_ACCESS_KEY_ID", "an-id"), ("SOCIALIZE_S3_SECRET_ACCESS_KEY", "hunter2"));
    let table: &[(&[(&str, &str)], &str)] = &[
        (&[("SOCIALIZE_BLOBS_DIRECTORY", "")], "SOCIALIZE_BLOBS_DIRECTORY: is empty; it names a directory"),
        (&[key], "SOCIALIZE_S3_SECRET_ACCESS_KEY: has no effect without SOCIALIZE_S3_BUCKET"),
        (&[id], "SOCIALIZE_S3_ACCESS_KEY_ID: has no effect without SOCIALIZE_S3_BUCKET"),
        (
            &[("SOCIALIZE_S3_ENDPOINT", "https://minio.example.com")],
            "SOCIALIZE_S3_ENDPOINT: has no effect without SOCIALIZE_S3_BUCKET",
        ),
        (&[bucket, key], "SOCIALIZE_S3_ACCESS_KEY_ID: is required where SOCIALIZE_S3_BUCKET is given"),
        (&[bucket, id], "SOCIALIZE_S3_SECRET_ACCESS_KEY: is required where SOCIALIZE_S3_BUCKET is given"),
        (
            &[bucket, id, key, ("SOCIALIZE_S3_SECRET_ACCESS_KEY_FILE", "/nowhere")],
            "SOCIALIZE_S3_SECRET_ACCESS_KEY: is given directly and by SOCIALIZE_S3_SECRET_ACCESS_KEY_FILE",
        ),
        (
            &[id, key, ("SOCIALIZE_S3_BUCKET", "Socialize/Files")],
            "SOCIALIZE_S3_BUCKET: is not the name of a bucket",
        ),
        (
            &[bucket, id, key, ("SOCIALIZE_S3_ENDPOINT", "http://minio.example.com")],
            "SOCIALIZE_S3_ENDPOINT: must be https",
        ),
        (
            &[bucket, id, key, ("SOCIALIZE_S3_ENDPOINT", "https://an-id:hunter2@minio.example.com")],
            "SOCIALIZE_S3_ENDPOINT: must be a URL without path, query, name and password",
        ),
        (
            &[bucket, id, key, ("SOCIALIZE_S3_PATH_STYLE", "yes")],
            "SOCIALIZE_S3_PATH_STYLE: \"yes\" is not true or false",
        ),
    ];
    for (variables, expected) in table {
        let launch = launch(&[]).without("SOCIALIZE_BLOBS_DIRECTORY").variables(variables);
        assert_refused(&launch.run().await, expected);
    }
}

#[tokio::test]
async fn secrets_come_from_files_too() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    let start = |secret_file: &str, url_file: &str| {
        Launch::of(program(&["serve"])).variables(&[
            ("SOCIALIZE_SECRET_FILE", secret_file),
            ("SOCIALIZE_DATABASE_URL_FILE", url_file),
            ("SOCIALIZE_LISTEN", "127.0.0.1:0"),
            ("SOCIALIZE_OPERATIONS_LISTEN", "127.0.0.1:0"),
            ("SOCIALIZE_MAIL_FROM", "socialize@example.com"),
            ("SOCIALIZE_MAIL_DIRECTORY", &directory.path().display().to_string()),
            ("SOCIALIZE_BLOBS_DIRECTORY", &directory.path().join("blobs").display().to_string()),
        ])
    };
    let (url, secret) = (file("url", &format!("{DATABASE_URL}\n")), file("secret", &"hunter2".repeat(5)));
    let long = "hunter2".repeat(5);
    let [utf_16, latin_1] = ["utf-16", "latin-1"].map(|name| directory.path().join(name));
    let units = "\u{feff}hunter2".encode_utf16().flat_map(u16::to_le_bytes);
    fs::write(&utf_16, units.collect::<Vec<u8>>()).expect("a file");
    fs::write(&latin_1, b"hunter2\xe9").expect("a file");
    let mut process = start(&secret, &url).start().await;
    process.stop().await;
    // A trailing line break of an editor, even CRLF, is not part of the secret.
    let with_crlf = file("crlf", &format!("{long}\r\n"));
    let mut process = start(&with_crlf, &url).start().await;
    process.stop().await;

    let missing = directory.path().join("missing").display().to_string();
    let table = [
        (
            missing.clone(),
            url.clone(),
            format!("SOCIALIZE_SECRET_FILE: {missing} cannot be read: entity not found"),
        ),
        (directory.path().display().to_string(), url.clone(), "cannot be read: is a directory".to_owned()),
        (file("empty", "\n"), url.clone(), "SOCIALIZE_SECRET: must have at least 32 characters".to_owned()),
        (secret.clone(), missing.clone(), format!("SOCIALIZE_DATABASE_URL_FILE: {missing} cannot be read")),
        (secret.clone(), file("other", "hunter2"), "SOCIALIZE_DATABASE_URL: is not a URL such as".to_owned()),
        (
            file("bom", &format!("\u{feff}{long}")),
            url.clone(),
            "SOCIALIZE_SECRET_FILE: begins with a byte order mark (BOM)".to_owned(),
        ),
        (
            file("blank", &format!("{long} \n")),
            url.clone(),
            "SOCIALIZE_SECRET_FILE: begins or ends with a blank".to_owned(),
        ),
        (
            file("lines", &format!("{long}\r\n{long}\r\n")),
            url.clone(),
            "SOCIALIZE_SECRET_FILE: has more than one line".to_owned(),
        ),
        (
            secret,
            file("blank-url", &format!("\t{DATABASE_URL}\n")),
            "SOCIALIZE_DATABASE_URL_FILE: begins or ends with a blank".to_owned(),
        ),
        (utf_16.display().to_string(), url.clone(), "is UTF-16: save it as UTF-8".to_owned()),
        (latin_1.display().to_string(), url.clone(), "is not UTF-8".to_owned()),
    ];
    for (secret_file, url_file, expected) in table {
        assert_refused(&start(&secret_file, &url_file).run().await, &expected);
    }
}

#[tokio::test]
async fn text_that_is_not_utf_8_is_a_mistake_only_where_it_is_ours() {
    let latin_1 = OsStr::from_bytes(b"caf\xe9");
    let mut process = launch(&[]).variable("SOMEBODY_ELSES_VARIABLE", latin_1).start().await;
    process.stop().await;
    for name in ["SOCIALIZE_SECRET", "SOCIALIZE_ENVIRONMENT", "SOCIALIZE_UNKNOWN", "OTEL_SERVICE_NAME"] {
        let ended = launch(&[]).variable(name, latin_1).run().await;
        assert_refused(&ended, name);
    }
}

#[tokio::test]
async fn what_fails_after_the_check_says_what_to_change() {
    let occupied = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = occupied.local_addr().expect("its address").to_string();
    for name in ["SOCIALIZE_LISTEN", "SOCIALIZE_OPERATIONS_LISTEN"] {
        let ended = launch(&[]).variable(name, &address).run().await;
        assert_eq!(ended.status.code(), Some(1));
        assert!(ended.stderr.contains(&format!("{name}: cannot listen on {address}")), "{}", ended.stderr);
    }
    let ended = launch(&[]).variable("SOCIALIZE_LOG_FILE", "/dev/null/log.jsonl").run().await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("/dev/null"), "{}", ended.stderr);
    let ended = Launch::role("migrate", DATABASE_URL).run().await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("connection_refused"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("database-password"), "{}", ended.stderr);
}

#[tokio::test]
async fn help_explains_every_setting_and_shows_no_secret() {
    let top = Launch::of(program(&["--help"])).run().await;
    assert_eq!(top.status.code(), Some(0));
    for role in ["serve", "work", "migrate"] {
        assert!(top.stdout.contains(role), "{}", top.stdout);
        let help = Launch::of(program(&[role, "--help"]))
            .variables(&[
                ("SOCIALIZE_DATABASE_URL", DATABASE_URL),
                ("SOCIALIZE_SECRET", "hunter2"),
                ("SOCIALIZE_SMTP_URL", "smtps://socialize:hunter2@mail.example.com"),
                ("SOCIALIZE_SMTP_PASSWORD", "hunter2"),
                ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=collector-token"),
            ])
            .run()
            .await;
        assert_eq!(help.status.code(), Some(0), "{}", help.stderr);
        for setting in [
            "SOCIALIZE_DATABASE_URL",
            "SOCIALIZE_SECRET_FILE",
            "SOCIALIZE_TRUSTED_PEERS",
            "SOCIALIZE_LOG_FILE",
        ] {
            assert!(help.stdout.contains(setting), "{setting}: {}", help.stdout);
        }
        for secret in SECRET_PARTS {
            assert!(!help.stdout.contains(secret), "{secret} is shown: {}", help.stdout);
        }
    }
}
