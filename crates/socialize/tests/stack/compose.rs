//! Services as defined by the Compose files of deploy/.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Mount point of secrets.
pub(crate) const SECRETS: &str = "/run/secrets";

/// The base with the overlay, as `docker compose config` renders them.
#[derive(Clone)]
pub(crate) struct Compose(Value);

impl Compose {
    pub(crate) fn read(path: &Path) -> Self {
        let text = std::fs::read(path).expect("the rendered Compose file");
        Self(serde_json::from_slice(&text).expect("JSON"))
    }

    /// The program with the service's arguments.
    pub(crate) fn command(&self, service: &str, program: impl AsRef<OsStr>) -> Command {
        let service_of_file = &self.0["services"][service];
        assert!(service_of_file["entrypoint"].is_null(), "{service} has an entrypoint of its own");
        let arguments = service_of_file["command"].as_array();
        let arguments = arguments.unwrap_or_else(|| panic!("{service} has no command"));
        let mut command = Command::new(program);
        command.args(arguments.iter().map(text)).envs(self.environment(service));
        command
    }

    pub(crate) fn environment(&self, service: &str) -> Vec<(String, String)> {
        let Some(variables) = self.0["services"][service]["environment"].as_object() else {
            return Vec::new();
        };
        let given = variables.iter().filter(|(_, value)| !value.is_null());
        given.map(|(name, value)| (name.clone(), text(value))).collect()
    }
}

/// `docker compose config` doubles `$`, so that its output can be read again.
fn text(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.replace("$$", "$")
}
