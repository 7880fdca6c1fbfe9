//! Digests from a real registry: Debian's `docker-registry`, open and with a
//! password, must be those that skopeo and the engine say, and the engine must
//! build what was pinned.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::Lab;

/// What every lab holds.
const IMAGES: [&str; 2] = ["library/alpine:3.23", "library/debian:bookworm-slim"];

/// `me` with the password `sesame`, as `htpasswd -B` writes it.
const PASSWORDS: &str = "me:$2y$05$Ej2uCd7DFb.A88tzhYSBjuWeGwqAyf2qwPKn.Pbps/0stVx8ObKaC\n";

/// The same in base64, as Docker's configuration has it.
const BASIC: &str = "bWU6c2VzYW1l";

/// A program that is ended with its guard.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What is wrong; empty when all is well.
pub fn check(lab: &Lab) -> Vec<String> {
    match both(lab) {
        Ok(problems) => problems,
        Err(why) => vec![why],
    }
}

fn both(lab: &Lab) -> Result<Vec<String>, String> {
    skopeo()?;
    let open = lab
        .env
        .get("LAB_REGISTRY")
        .ok_or("the laboratory does not say where its registry is")?;
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut problems = Vec::new();
    let digests = one(lab, folder.path(), open, None, &mut problems)?;

    let (host, _registry) = with_password(lab, folder.path())?;
    let refused = pin(lab, folder.path(), &host, None)?;
    let said = text(&refused.1.stderr);
    if refused.0.contains("@sha256:") || !said.contains(&host) {
        problems.push(format!("without the password: {} {said}", refused.0));
    }
    let auths = format!(r#"{{"auths": {{"{host}": {{"auth": "{BASIC}"}}}}}}"#);
    let again = one(lab, folder.path(), &host, Some(&auths), &mut problems)?;
    if again != digests {
        problems.push(format!("with a password {again:?}, without {digests:?}"));
    }
    Ok(problems)
}

/// Pins the images in one registry and holds the digests against skopeo's and the
/// engine's, and lets the engine build the result.
fn one(
    lab: &Lab,
    folder: &Path,
    host: &str,
    auths: Option<&str>,
    problems: &mut Vec<String>,
) -> Result<Vec<String>, String> {
    let (after, output) = pin(lab, folder, host, auths)?;
    let mut digests = Vec::new();
    for (line, image) in after.lines().zip(IMAGES) {
        let pinned = format!("FROM {host}/{image}@");
        let Some(digest) = line.strip_prefix(&pinned) else {
            let said = text(&output.stderr);
            return Err(format!("{image} is not pinned: {line}: {said}"));
        };
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["inspect", "--tls-verify=false", "--format", "{{.Digest}}"]);
        if auths.is_some() {
            skopeo.args(["--creds", "me:sesame"]);
        }
        let theirs = run(lab, skopeo.arg(format!("docker://{host}/{image}")))?;
        if text(&theirs.stdout).trim() != digest {
            problems.push(format!("{image}: we say {digest}, skopeo {theirs:?}"));
        }
        let mut engine = Command::new("docker");
        engine.args(["buildx", "imagetools", "inspect", "--format"]);
        engine.args(["{{json .Manifest}}", &format!("{host}/{image}")]);
        let theirs = run(lab, with_auths(&mut engine, lab, folder, auths)?)?;
        let value: serde_json::Value = serde_json::from_slice(&theirs.stdout)
            .map_err(|error| format!("{error}: {}", text(&theirs.stderr)))?;
        if value["digest"] != digest {
            problems.push(format!("{image}: we say {digest}, the engine {value}"));
        }
        digests.push(digest.to_owned());
    }
    let mut build = Command::new("docker");
    build.args(["build", "-q", "--pull", "-f"]);
    build.arg(folder.join("Dockerfile")).arg(folder);
    let built = run(lab, with_auths(&mut build, lab, folder, auths)?)?;
    if !built.status.success() {
        problems.push(format!(
            "the engine refuses {after}: {}",
            text(&built.stderr)
        ));
    }
    println!(
        "registry {host}: {} digests as skopeo and the engine have them",
        digests.len()
    );
    Ok(digests)
}

/// The text of a Dockerfile on the images, after the program pinned it.
fn pin(
    lab: &Lab,
    folder: &Path,
    host: &str,
    auths: Option<&str>,
) -> Result<(String, Output), String> {
    let file = folder.join("Dockerfile");
    let lines: Vec<String> = IMAGES
        .iter()
        .map(|i| format!("FROM {host}/{i}\n"))
        .collect();
    std::fs::write(&file, lines.concat()).map_err(|error| error.to_string())?;
    let mut command = Command::new(&lab.dfmigrate);
    command
        .current_dir(folder)
        .env("HOME", folder)
        .env("XDG_CACHE_HOME", folder.join("cache"))
        .env_remove("DOCKER_CONFIG")
        .args([
            "--isolated",
            "--select",
            "pin-digest",
            "--apply",
            "Dockerfile",
        ])
        .args(["--insecure-registry", host]);
    if let Some(auths) = auths {
        command.env("DOCKER_AUTH_CONFIG", auths);
    }
    let output = command.output().map_err(|error| error.to_string())?;
    let after = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
    Ok((after, output))
}

/// The laboratory's storage behind a registry that asks for a password.
fn with_password(lab: &Lab, folder: &Path) -> Result<(String, Running), String> {
    let config = lab.env.get("DOCKER_CONFIG").map(PathBuf::from);
    let storage = config
        .as_deref()
        .and_then(Path::parent)
        .ok_or("the laboratory does not say where its state is")?
        .join("registry");
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    drop(listener);
    let passwords = folder.join("passwords");
    let settings = folder.join("registry.yml");
    let text = format!(
        "version: 0.1\nlog: {{ level: error }}\nstorage: {{ filesystem: {{ rootdirectory: {} }} }}\n\
         http: {{ addr: \"{address}\" }}\nauth: {{ htpasswd: {{ realm: lab, path: {} }} }}\n",
        storage.display(),
        passwords.display()
    );
    let written = std::fs::write(&passwords, PASSWORDS);
    written
        .and_then(|()| std::fs::write(&settings, text))
        .map_err(|error| error.to_string())?;
    let child = Command::new("docker-registry")
        .arg("serve")
        .arg(&settings)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("docker-registry: {error}"))?;
    let running = Running(child);
    let start = Instant::now();
    while TcpStream::connect(address).is_err() {
        if start.elapsed() > Duration::from_secs(30) {
            return Err("docker-registry does not answer".to_owned());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok((address.to_string(), running))
}

/// Has the engine's client use the same password.
fn with_auths<'c>(
    command: &'c mut Command,
    lab: &Lab,
    folder: &Path,
    auths: Option<&str>,
) -> Result<&'c mut Command, String> {
    command.envs(&lab.env);
    if let Some(auths) = auths {
        let config = folder.join("docker");
        let written = std::fs::create_dir_all(&config)
            .and_then(|()| std::fs::write(config.join("config.json"), auths));
        written.map_err(|error| error.to_string())?;
        command.env("DOCKER_CONFIG", config);
    }
    Ok(command)
}

fn run(lab: &Lab, command: &mut Command) -> Result<Output, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    for (key, value) in &lab.env {
        if command.get_envs().all(|(known, _)| known != key.as_str()) {
            command.env(key, value);
        }
    }
    command.output().map_err(|error| format!("{name}: {error}"))
}

/// Sees to it that skopeo is there; the laboratory needs root and apt anyway.
fn skopeo() -> Result<(), String> {
    if Command::new("skopeo").arg("--version").output().is_ok() {
        return Ok(());
    }
    for args in [
        &["update", "-qq"][..],
        &["install", "-y", "-qq", "--no-install-recommends", "skopeo"],
    ] {
        let done = Command::new("apt-get")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(args)
            .output()
            .map_err(|error| format!("apt-get: {error}"))?;
        if !done.status.success() {
            return Err(format!("skopeo can't be installed: {}", text(&done.stderr)));
        }
    }
    Ok(())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
