//! Credentials that the user has stored for registries: Docker's
//! `config.json`, `DOCKER_AUTH_CONFIG`, credential helpers, podman's
//! `auth.json`. They are looked up for one registry and go nowhere else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::words::{Secret, clean};
use crate::image::DEFAULT_DOMAIN;

/// The most bytes of a file of credentials.
const MAX_FILE: u64 = 1 << 20;
/// The most bytes of a helper's answer.
const MAX_ANSWER: u64 = 64 << 10;
/// What Docker calls Docker Hub in its files and to helpers.
const HUB_KEY: &str = "https://index.docker.io/v1/";

/// What to sign in with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Credential {
    Password {
        user: String,
        password: Secret,
    },
    /// A refresh token, for the token service.
    Identity(Secret),
    /// A token for the registry itself.
    Registry(Secret),
}

/// Where credentials are stored.
#[derive(Clone, Default)]
pub struct Stores {
    /// The text of `DOCKER_AUTH_CONFIG`.
    pub inline: Option<String>,
    /// Files in Docker's form, in the order in which they are asked.
    pub files: Vec<PathBuf>,
}

impl std::fmt::Debug for Stores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stores")
            .field("inline", &self.inline.as_ref().map(|_| "(secret)"))
            .field("files", &self.files)
            .finish()
    }
}

impl Stores {
    /// Where Docker and podman keep them, as the environment says:
    /// `DOCKER_AUTH_CONFIG`, `DOCKER_CONFIG` or `~/.docker`, `REGISTRY_AUTH_FILE`
    /// or the runtime and configuration folders of containers.
    #[must_use]
    pub fn from_env() -> Self {
        let var = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let home = var("HOME").map(PathBuf::from);
        let below_home = |path: &str| home.as_ref().map(|home| home.join(path));
        let docker = var("DOCKER_CONFIG")
            .map(PathBuf::from)
            .or_else(|| below_home(".docker"));
        let mut files: Vec<PathBuf> = docker
            .map(|folder| folder.join("config.json"))
            .into_iter()
            .collect();
        match var("REGISTRY_AUTH_FILE") {
            Some(file) => files.push(file.into()),
            None => {
                let runtime = var("XDG_RUNTIME_DIR").map(PathBuf::from);
                files.extend(runtime.map(|folder| folder.join("containers/auth.json")));
                let config = var("XDG_CONFIG_HOME").map(PathBuf::from);
                let config = config.or_else(|| below_home(".config"));
                files.extend(config.map(|folder| folder.join("containers/auth.json")));
            }
        }
        Self {
            inline: std::env::var("DOCKER_AUTH_CONFIG")
                .ok()
                .filter(|text| !text.trim().is_empty()),
            files,
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ConfigFile {
    auths: Option<BTreeMap<String, Option<Entry>>>,
    creds_store: Option<String>,
    cred_helpers: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize, Default, Clone)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

/// What was found for a registry, and what went wrong on the way.
#[derive(Default)]
pub(super) struct Found {
    pub credential: Option<Credential>,
    /// In words; nothing secret in them.
    pub problems: Vec<String>,
}

/// The credentials of a registry (`domain`, as references write it) for one of
/// its repositories. The first store that has some is taken; a store that
/// can't be asked is said and passed over.
pub(super) async fn find(stores: &Stores, domain: &str, path: &str, patience: Duration) -> Found {
    let mut found = Found::default();
    let mut texts: Vec<(String, String)> = Vec::new();
    if let Some(text) = &stores.inline {
        texts.push(("DOCKER_AUTH_CONFIG".to_owned(), text.clone()));
    }
    for file in &stores.files {
        match read(file) {
            Ok(Some(text)) => texts.push((file.display().to_string(), text)),
            Ok(None) => {}
            Err(why) => found.problems.push(format!("{}: {why}", file.display())),
        }
    }
    for (name, text) in texts {
        let config: ConfigFile = match serde_json::from_str(&text) {
            Ok(config) => config,
            Err(error) => {
                // The words of the error may show what it stumbled over.
                found.problems.push(format!(
                    "{name} is not in Docker's form (line {}): no credentials are taken from it",
                    error.line()
                ));
                continue;
            }
        };
        let helper = config
            .cred_helpers
            .as_ref()
            .and_then(|helpers| helpers.iter().find(|(key, _)| same_host(key, domain)))
            .map(|(_, helper)| helper)
            .or(config.creds_store.as_ref())
            .filter(|helper| !helper.is_empty());
        if let Some(helper) = helper {
            match ask_helper(helper, domain, patience).await {
                Ok(Some(credential)) => {
                    found.credential = Some(credential);
                    return found;
                }
                Ok(None) => {}
                Err(why) => found.problems.push(why),
            }
        }
        match stored(&config, domain, path) {
            Some(Ok(credential)) => {
                found.credential = Some(credential);
                return found;
            }
            Some(Err(why)) => found
                .problems
                .push(format!("{name}: the entry of {domain} {why}")),
            None => {}
        }
    }
    found
}

fn read(path: &Path) -> Result<Option<String>, String> {
    use std::io::Read as _;
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("the credentials can't be read: {error}")),
    };
    let mut text = String::new();
    file.take(MAX_FILE + 1)
        .read_to_string(&mut text)
        .map_err(|error| format!("the credentials can't be read: {error}"))?;
    if text.len() as u64 > MAX_FILE {
        return Err(format!(
            "is over {MAX_FILE} bytes: no credentials are taken from it"
        ));
    }
    Ok(Some(text))
}

/// A key of a file without its scheme and the API's path.
fn key_name(key: &str) -> &str {
    let key = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"))
        .unwrap_or(key);
    let key = key.trim_end_matches('/');
    key.strip_suffix("/v1")
        .or_else(|| key.strip_suffix("/v2"))
        .unwrap_or(key)
}

/// The names under which files know a registry.
fn names(domain: &str) -> Vec<&str> {
    if domain == DEFAULT_DOMAIN {
        vec!["index.docker.io", DEFAULT_DOMAIN, "registry-1.docker.io"]
    } else {
        vec![domain]
    }
}

fn same_host(key: &str, domain: &str) -> bool {
    names(domain)
        .iter()
        .any(|name| key_name(key).eq_ignore_ascii_case(name))
}

/// The entry of the registry, or of the longest part of the repository's path
/// that has one (podman's form, `quay.io/team`).
fn stored(
    config: &ConfigFile,
    domain: &str,
    path: &str,
) -> Option<Result<Credential, &'static str>> {
    let auths = config.auths.as_ref()?;
    for name in names(domain) {
        let mut scope = format!("{name}/{path}");
        loop {
            let mut entries = auths
                .iter()
                .filter(|(key, _)| key_name(key).eq_ignore_ascii_case(&scope));
            // An empty entry only says that a helper has it.
            if let Some(entry) = entries.find_map(|(_, entry)| read_entry(entry.as_ref()?)) {
                return Some(entry);
            }
            match scope.rfind('/') {
                Some(slash) => scope.truncate(slash),
                None => break,
            }
        }
    }
    None
}

fn read_entry(entry: &Entry) -> Option<Result<Credential, &'static str>> {
    let some = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    if let Some(token) = some(&entry.registrytoken) {
        return Some(Ok(Credential::Registry(Secret(token))));
    }
    if let Some(token) = some(&entry.identitytoken) {
        return Some(Ok(Credential::Identity(Secret(token))));
    }
    if let Some(auth) = some(&entry.auth) {
        let engine = base64::engine::general_purpose::STANDARD;
        let decoded = engine.decode(auth.trim()).ok();
        let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        let Some((user, password)) = text.as_deref().and_then(|text| text.split_once(':')) else {
            return Some(Err("is not base64 of a name and a password"));
        };
        // Docker pads with NUL.
        return Some(Ok(password_or_token(user, password.trim_end_matches('\0'))));
    }
    let (user, password) = (some(&entry.username)?, some(&entry.password)?);
    Some(Ok(password_or_token(&user, &password)))
}

fn password_or_token(user: &str, password: &str) -> Credential {
    let password = Secret(password.to_owned());
    if user == "<token>" {
        Credential::Identity(password)
    } else {
        Credential::Password {
            user: user.to_owned(),
            password,
        }
    }
}

/// Asks `docker-credential-NAME get`.
async fn ask_helper(
    helper: &str,
    domain: &str,
    patience: Duration,
) -> Result<Option<Credential>, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        username: String,
        secret: String,
    }
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !helper.chars().all(word) {
        return Err(
            "a credential helper's name has characters that are not allowed: it is not started"
                .to_owned(),
        );
    }
    let program = format!("docker-credential-{helper}");
    let mut child = tokio::process::Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                format!("the credential helper {program} is not installed")
            }
            _ => format!("the credential helper {program} can't be started: {error}"),
        })?;
    let key = if domain == DEFAULT_DOMAIN {
        HUB_KEY
    } else {
        domain
    };
    let talk = async {
        if let Some(mut stdin) = child.stdin.take() {
            // One that answers without reading is fine.
            let _ = stdin.write_all(key.as_bytes()).await;
        }
        let mut answer = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            let mut stdout = stdout.take(MAX_ANSWER + 1);
            stdout.read_to_end(&mut answer).await?;
        }
        if answer.len() as u64 > MAX_ANSWER {
            return Ok((answer, None));
        }
        let status = child.wait().await?;
        Ok::<_, std::io::Error>((answer, Some(status)))
    };
    let (answer, status) = match tokio::time::timeout(patience, talk).await {
        Err(_) => {
            return Err(format!(
                "the credential helper {program} did not answer within {patience:?}"
            ));
        }
        Ok(Err(error)) => return Err(format!("the credential helper {program}: {error}")),
        Ok(Ok(answer)) => answer,
    };
    let Some(status) = status else {
        return Err(format!(
            "the credential helper {program} answers with more than {MAX_ANSWER} bytes"
        ));
    };
    if !status.success() {
        let text = clean(&String::from_utf8_lossy(&answer), 100);
        return if text.contains("credentials not found") {
            Ok(None)
        } else {
            // What it printed may be a secret.
            Err(format!("the credential helper {program} failed ({status})"))
        };
    }
    let answer: Answer = serde_json::from_slice(&answer).map_err(|_| {
        format!("the credential helper {program} answers with something that is no credential")
    })?;
    if answer.secret.is_empty() {
        return Ok(None);
    }
    Ok(Some(password_or_token(&answer.username, &answer.secret)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find_in(text: &str, domain: &str, path: &str) -> Option<Result<Credential, &'static str>> {
        stored(&serde_json::from_str(text).unwrap(), domain, path)
    }

    fn password(user: &str, password: &str) -> Option<Result<Credential, &'static str>> {
        Some(Ok(Credential::Password {
            user: user.into(),
            password: Secret(password.into()),
        }))
    }

    #[test]
    fn entries_are_found_by_every_name_of_their_registry_and_no_other() {
        // "u:p", and "team:x:y".
        let text = r#"{"auths": {
            "https://index.docker.io/v1/": {"auth": "dTpw"},
            "https://reg.example/v2/": {"username": "a", "password": "b"},
            "quay.io": {"identitytoken": "idt"},
            "quay.io/team": {"auth": "dGVhbTp4Onk="},
            "empty.example": {}, "null.example": null,
            "odd.example": {"auth": "!!"}, "token.example": {"registrytoken": "r"}},
            "unknown": [1]}"#;
        assert_eq!(
            find_in(text, "docker.io", "library/node"),
            password("u", "p")
        );
        assert_eq!(find_in(text, "reg.example", "x"), password("a", "b"));
        assert_eq!(find_in(text, "reg.example:444", "x"), None);
        assert_eq!(find_in(text, "example", "x"), None);
        assert_eq!(
            find_in(text, "quay.io", "team/app"),
            password("team", "x:y")
        );
        let identity = Some(Ok(Credential::Identity(Secret("idt".into()))));
        assert_eq!(find_in(text, "quay.io", "other/app"), identity);
        assert_eq!(find_in(text, "quay.io", "teammate/app"), identity);
        assert_eq!(find_in(text, "empty.example", "x"), None);
        assert_eq!(find_in(text, "null.example", "x"), None);
        assert!(find_in(text, "odd.example", "x").unwrap().is_err());
        assert_eq!(
            find_in(text, "token.example", "x"),
            Some(Ok(Credential::Registry(Secret("r".into()))))
        );
    }

    #[test]
    fn nothing_secret_is_shown() {
        let shown = format!(
            "{:?} {:?}",
            find_in(r#"{"auths":{"a.b":{"auth":"dTpzZXNhbWU="}}}"#, "a.b", "x"),
            Stores {
                inline: Some("sesame".into()),
                files: vec![]
            }
        );
        assert!(!shown.contains("sesame"), "{shown}");
    }
}
