//! An image's configuration, and how two of them differ.

use std::collections::BTreeMap;
use std::io;

use serde::Deserialize;

/// What a container starts with: the configuration as Docker writes it, a
/// superset of the OCI image specification's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// ENTRYPOINT.
    pub entrypoint: Option<Vec<String>>,
    /// CMD.
    pub cmd: Option<Vec<String>>,
    /// ENV.
    pub env: BTreeMap<String, String>,
    /// USER.
    pub user: String,
    /// WORKDIR.
    pub workdir: String,
    /// EXPOSE, such as `80/tcp`.
    pub ports: Vec<String>,
    /// VOLUME.
    pub volumes: Vec<String>,
    /// LABEL.
    pub labels: BTreeMap<String, String>,
    /// STOPSIGNAL.
    pub stop_signal: Option<String>,
    /// HEALTHCHECK, as the JSON that it is kept as.
    pub health: Option<String>,
    /// SHELL.
    pub shell: Option<Vec<String>>,
    /// ONBUILD.
    pub onbuild: Vec<String>,
    /// The operating system and the architecture.
    pub platform: String,
    /// The digests of the layers' plain archives, without `sha256:`.
    pub diff_ids: Vec<String>,
    /// What made each layer, the lowest first.
    pub made_by: Vec<String>,
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    config: Option<Section>,
    #[serde(default)]
    rootfs: RootFs,
    #[serde(default)]
    history: Vec<History>,
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
}

#[derive(Default, Deserialize)]
struct RootFs {
    #[serde(default)]
    diff_ids: Vec<String>,
}

#[derive(Deserialize)]
struct History {
    #[serde(default)]
    created_by: String,
    #[serde(default)]
    empty_layer: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Section {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    env: Option<Vec<String>>,
    user: String,
    working_dir: String,
    exposed_ports: Option<BTreeMap<String, serde_json::Value>>,
    volumes: Option<BTreeMap<String, serde_json::Value>>,
    labels: Option<BTreeMap<String, String>>,
    stop_signal: Option<String>,
    healthcheck: Option<serde_json::Value>,
    shell: Option<Vec<String>>,
    on_build: Option<Vec<String>>,
}

impl Config {
    /// Reads the JSON document.
    ///
    /// # Errors
    /// It is none, or not of an image.
    pub fn parse(bytes: &[u8]) -> io::Result<Self> {
        let document: Document = serde_json::from_slice(bytes)?;
        let section = document.config.unwrap_or_default();
        let env = section.env.unwrap_or_default();
        let names = |map: Option<BTreeMap<String, serde_json::Value>>| {
            map.unwrap_or_default().into_keys().collect()
        };
        let made = document.history.into_iter().filter(|h| !h.empty_layer);
        Ok(Self {
            entrypoint: section.entrypoint.filter(|list| !list.is_empty()),
            cmd: section.cmd.filter(|list| !list.is_empty()),
            env: env
                .iter()
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (name.to_owned(), value.to_owned())
                })
                .collect(),
            user: section.user,
            workdir: match section.working_dir.trim_end_matches('/') {
                "" => "/".to_owned(),
                path => path.to_owned(),
            },
            ports: names(section.exposed_ports),
            volumes: names(section.volumes),
            labels: section.labels.unwrap_or_default(),
            stop_signal: section.stop_signal,
            health: section.healthcheck.map(|value| value.to_string()),
            shell: section.shell,
            onbuild: section.on_build.unwrap_or_default(),
            platform: format!("{}/{}", document.os, document.architecture),
            diff_ids: document
                .rootfs
                .diff_ids
                .iter()
                .map(|id| id.trim_start_matches("sha256:").to_owned())
                .collect(),
            made_by: made.map(|h| h.created_by).collect(),
        })
    }

    /// The folders of PATH, or those that a container gets without one.
    #[must_use]
    pub fn path(&self) -> Vec<&str> {
        let path = self.env.get("PATH").map_or(
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            String::as_str,
        );
        path.split(':').filter(|f| f.starts_with('/')).collect()
    }

    /// The parts by the instruction that sets them, as text.
    fn fields(&self) -> BTreeMap<String, String> {
        let list = |list: &Option<Vec<String>>| list.as_ref().map(|l| shown(l));
        let mut out = BTreeMap::new();
        let mut set = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                out.insert(name.to_owned(), value);
            }
        };
        set("ENTRYPOINT", list(&self.entrypoint));
        set("CMD", list(&self.cmd));
        set("USER", Some(self.user.clone()).filter(|u| !u.is_empty()));
        set("WORKDIR", Some(self.workdir.clone()));
        set("STOPSIGNAL", self.stop_signal.clone());
        set("HEALTHCHECK", self.health.clone());
        set("SHELL", list(&self.shell));
        set("platform", Some(self.platform.clone()));
        for port in &self.ports {
            set(&format!("EXPOSE {port}"), Some("yes".to_owned()));
        }
        for volume in &self.volumes {
            set(&format!("VOLUME {volume}"), Some("yes".to_owned()));
        }
        for (at, line) in self.onbuild.iter().enumerate() {
            set(&format!("ONBUILD {}", at + 1), Some(line.clone()));
        }
        for (name, value) in &self.env {
            set(&format!("ENV {name}"), Some(value.clone()));
        }
        for (name, value) in &self.labels {
            set(&format!("LABEL {name}"), Some(value.clone()));
        }
        out
    }
}

fn shown(list: &[String]) -> String {
    serde_json::Value::from(list.to_vec()).to_string()
}

/// A part of the configuration that is not the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The instruction that sets it, with the name where it has one.
    pub what: String,
    /// What it was.
    pub before: Option<String>,
    /// What it is.
    pub after: Option<String>,
    /// The base images differ in this, and the file says nothing of it.
    pub of_base: bool,
}

impl Difference {
    /// The instruction that sets it, by its name.
    #[must_use]
    pub fn instruction(&self) -> &str {
        self.what.split(' ').next().unwrap_or_default()
    }
}

/// How the configuration after differs from that before. The base images'
/// own configurations tell what comes from them.
#[must_use]
pub fn differences(
    before: &Config,
    after: &Config,
    bases: Option<(&Config, &Config)>,
) -> Vec<Difference> {
    let (old, new) = (before.fields(), after.fields());
    let bases = bases.map(|(a, b)| (a.fields(), b.fields()));
    let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut out = Vec::new();
    for name in names {
        let (a, b) = (old.get(name), new.get(name));
        if a == b {
            continue;
        }
        let of_base = bases
            .as_ref()
            .is_some_and(|(x, y)| x.get(name) == a && y.get(name) == b);
        out.push(Difference {
            what: name.clone(),
            before: a.cloned(),
            after: b.cloned(),
            of_base,
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: &str) -> Config {
        Config::parse(format!(r#"{{"config":{json}}}"#).as_bytes()).expect("it is one")
    }

    #[test]
    fn what_is_not_the_same_is_found_and_what_comes_from_the_base_is_told() {
        let before = config(
            r#"{"Cmd":["a"],"Env":["PATH=/bin","V=1"],"WorkingDir":"","Healthcheck":{"Test":["CMD","x"]},"ExposedPorts":{"80/tcp":{}}}"#,
        );
        let after = config(
            r#"{"Cmd":["b"],"Env":["PATH=/bin"],"WorkingDir":"/","Healthcheck":{"Test":["CMD","x"]}}"#,
        );
        let bases = (config(r#"{"Env":["V=1"]}"#), config("{}"));
        let found = differences(&before, &after, Some((&bases.0, &bases.1)));
        let told: Vec<(&str, bool)> = found.iter().map(|d| (d.what.as_str(), d.of_base)).collect();
        assert_eq!(
            told,
            [("CMD", false), ("ENV V", true), ("EXPOSE 80/tcp", false)]
        );
        assert_eq!(before.path(), ["/bin"]);
    }

    #[test]
    fn an_image_without_a_configuration_has_an_empty_one() {
        let empty = Config::parse(b"{}").expect("it is one");
        assert_eq!(empty.workdir, "/");
        assert!(empty.path().contains(&"/usr/bin"));
        assert!(Config::parse(b"[1").is_err());
    }
}
