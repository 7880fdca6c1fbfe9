//! The user's own builder: Docker with BuildKit, Podman or Buildah.

use std::cell::RefCell;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use super::failure::{self, Failure};
use super::process::{self, Ended, Limits, Stop};
use super::secrets::Secrets;

/// The most lines of a build's log that are kept in memory.
const LOG: usize = 4_000;

/// How long a question that needs no work may take.
const QUICK: Duration = Duration::from_secs(30);

/// What kind of builder it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `docker buildx build`, or `docker build`.
    Docker,
    /// `podman build`.
    Podman,
    /// `buildah build`; it runs no containers here.
    Buildah,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Docker, Self::Podman, Self::Buildah];

    /// The name of its program.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Buildah => "buildah",
        }
    }
}

/// What to hand on to each build.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--build-arg`, each `NAME=VALUE` or `NAME`.
    pub build_args: Vec<String>,
    /// `--target`.
    pub target: Option<String>,
    /// `--platform`.
    pub platform: Option<String>,
    /// `--secret`, each as the builder takes it.
    pub secrets: Vec<String>,
    /// `--ssh`, likewise.
    pub ssh: Vec<String>,
    /// `--network`.
    pub network: Option<String>,
    /// `--pull`: ask the registry even where an image is at hand.
    pub pull: bool,
    /// Anything else, handed on as it is.
    pub more: Vec<String>,
}

/// One build.
#[derive(Debug)]
pub struct Build<'a> {
    /// The Dockerfile's bytes.
    pub dockerfile: &'a [u8],
    /// Where it lies, whose own ignore file goes before the context's.
    pub path: &'a Path,
    /// The build context.
    pub context: &'a Path,
    /// What to call the image.
    pub tag: &'a str,
    /// What to hand on.
    pub flags: &'a Flags,
}

/// A builder that answered.
#[derive(Debug)]
pub struct Builder {
    /// What it is.
    pub kind: Kind,
    program: PathBuf,
    /// `docker buildx` is there.
    buildx: bool,
    /// What it says of itself.
    pub version: String,
    stop: Stop,
    /// What `run` needs on this machine, once that is known.
    run_flags: OnceLock<Result<Vec<String>, Failure>>,
}

impl Builder {
    /// The first builder that answers, or the one that is named: `docker`,
    /// `podman`, `buildah`, or the path of one of them.
    ///
    /// # Errors
    /// [`Failure::NoBuilder`], or what the named one says.
    pub fn find(named: Option<&str>, stop: &Stop) -> Result<Self, Failure> {
        if let Some(named) = named {
            let file = Path::new(named).file_name().unwrap_or_default();
            let file = file.to_string_lossy();
            let kind = Kind::ALL
                .into_iter()
                .find(|kind| file.contains(kind.name()));
            let Some(kind) = kind else {
                return Err(Failure::Other(format!(
                    "{named:?} is no builder that is known: docker, podman and buildah are"
                )));
            };
            return Self::ask(kind, Path::new(named), stop);
        }
        let mut tried = Vec::new();
        for kind in Kind::ALL {
            match Self::ask(kind, Path::new(kind.name()), stop) {
                Ok(builder) => return Ok(builder),
                Err(Failure::Stopped) => return Err(Failure::Stopped),
                Err(why) => tried.push(format!("{}: {why}", kind.name())),
            }
        }
        Err(Failure::NoBuilder(tried))
    }

    fn ask(kind: Kind, program: &Path, stop: &Stop) -> Result<Self, Failure> {
        let mut builder = Self {
            kind,
            program: program.to_owned(),
            buildx: false,
            version: String::new(),
            stop: stop.clone(),
            run_flags: OnceLock::new(),
        };
        let version = match kind {
            Kind::Docker => builder.quick(&["version", "--format", "{{.Server.Version}}"])?,
            Kind::Podman => builder.quick(&["version", "--format", "{{.Client.Version}}"])?,
            Kind::Buildah => builder.quick(&["--version"])?,
        };
        let version = version.first().map_or("", |line| line.trim());
        let version = version.trim_start_matches("buildah version ");
        let version = version.split(' ').next().unwrap_or_default();
        builder.version = format!("{} {version}", kind.name());
        if kind == Kind::Docker
            && let Ok(lines) = builder.quick(&["buildx", "version"])
        {
            builder.buildx = true;
            let buildx = lines.first().and_then(|line| line.split(' ').nth(1));
            builder.version = format!("{}, buildx {}", builder.version, buildx.unwrap_or("?"));
        }
        Ok(builder)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env("BUILDKIT_PROGRESS", "plain");
        // Docker takes a folder without config.json for one without passwords;
        // these two fail at each image.
        if self.kind != Kind::Docker
            && let Some(folder) = std::env::var_os("DOCKER_CONFIG")
            && !Path::new(&folder).join("config.json").exists()
        {
            command.env_remove("DOCKER_CONFIG");
        }
        command
    }

    /// What `run` needs on this machine to start a container at all, found by starting
    /// one of `image`. Docker's engine needs nothing; Podman asks by default for more open
    /// files and processes than a restricted machine lets it have, and its crun takes no
    /// mixed hierarchy of control groups, where runc does.
    ///
    /// # Errors
    /// No container starts, and what stands in the way.
    pub fn run_flags(&self, image: &str) -> Result<&[String], Failure> {
        let found = self.run_flags.get_or_init(|| match self.kind {
            Kind::Podman => self.try_run_flags(image),
            _ => Ok(Vec::new()),
        });
        found.as_deref().map_err(Clone::clone)
    }

    fn try_run_flags(&self, image: &str) -> Result<Vec<String>, Failure> {
        let mut flags: Vec<String> = Vec::new();
        loop {
            let mut args = vec!["run", "--rm", "--network", "none", "--pids-limit", "1024"];
            args.extend(flags.iter().map(String::as_str));
            args.extend(["--entrypoint", "/bin/sh", image, "-c", ":"]);
            let (code, lines) = self.call(&args, QUICK, None)?;
            // What the image itself lacks is not to be judged here.
            let obstacle = lines.iter().rev().find_map(|line| obstacle(line));
            let (Some((what, remedy)), true) = (obstacle, code != Some(0)) else {
                return Ok(flags);
            };
            let more: &[&str] = match what {
                Obstacle::Limits => &[
                    "--ulimit",
                    "nofile=1024:1024",
                    "--ulimit",
                    "nproc=4096:4096",
                ],
                Obstacle::Groups => &["--runtime", "runc"],
                Obstacle::Unsaid => &[],
            };
            if more.is_empty() || flags.iter().any(|flag| flag == more[1]) {
                let said = lines.last().map_or("", |line| line.trim());
                return Err(Failure::Other(format!(
                    "{} starts no containers on this machine: {said}; {remedy}, or leave out --run",
                    self.kind.name()
                )));
            }
            flags.extend(more.iter().map(|&flag| flag.to_owned()));
        }
    }

    fn limits(&self, time: Duration) -> Limits<'_> {
        Limits {
            time,
            stop: &self.stop,
        }
    }

    /// Asks for something that needs no work; the lines of its answer.
    ///
    /// # Errors
    /// The program is not there, fails, or takes too long.
    pub fn quick(&self, args: &[&str]) -> Result<Vec<String>, Failure> {
        match self.call(args, QUICK, None)? {
            (Some(0), lines) => Ok(lines),
            (_, lines) => Err(not_a_build(failure::of_log(&lines))),
        }
    }

    /// Calls the program; its exit status (none for a signal) and its lines.
    ///
    /// # Errors
    /// The program is not there, takes too long, or is stopped.
    pub fn call(
        &self,
        args: &[&str],
        time: Duration,
        stop: Option<&Stop>,
    ) -> Result<(Option<i32>, Vec<String>), Failure> {
        let mut lines = Vec::new();
        let limits = Limits {
            time,
            stop: stop.unwrap_or(&self.stop),
        };
        let ended = process::run(self.command().args(args), None, limits, |line| {
            keep(&mut lines, line);
        });
        match ended.map_err(|error| self.not_started(&error))? {
            Ended::Exited(status) => Ok((status.code(), lines)),
            Ended::TimedOut => Err(Failure::TimedOut(time)),
            Ended::Stopped => Err(Failure::Stopped),
        }
    }

    fn not_started(&self, error: &std::io::Error) -> Failure {
        Failure::Other(format!(
            "{} can't be started: {error}",
            self.program.display()
        ))
    }

    /// Whether it runs containers as well.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.kind != Kind::Buildah
    }

    /// Builds; `step` hears the builder's current step. Nothing is left of the
    /// build but the tagged image.
    ///
    /// # Errors
    /// What went wrong, without the values of secrets.
    pub fn build(
        &self,
        build: &Build<'_>,
        secrets: &Secrets,
        time: Duration,
        mut step: impl FnMut(&str),
    ) -> Result<(), Failure> {
        let io = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::StorageFull => Failure::DiskFull(error.to_string()),
            _ => Failure::Other(format!("a file for the builder can't be written: {error}")),
        };
        let folder = tempfile::Builder::new()
            .prefix("dfmigrate-")
            .tempdir()
            .map_err(io)?;
        let file = folder.path().join("Dockerfile");
        std::fs::write(&file, build.dockerfile).map_err(io)?;
        let mut own = build.path.as_os_str().to_owned();
        own.push(".dockerignore");
        let ignore = folder.path().join("Dockerfile.dockerignore");
        let ignored = match std::fs::copy(&own, &ignore) {
            Ok(_) => true,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
            Err(error) => return Err(io(error)),
        };
        let mut command = self.command();
        match self.kind {
            Kind::Docker if self.buildx => {
                command.args(["buildx", "build", "--load", "--progress", "plain"]);
            }
            Kind::Docker => {
                command.arg("build").env("DOCKER_BUILDKIT", "1");
            }
            // Their own format has no place for health checks and shells.
            Kind::Podman | Kind::Buildah => {
                command.args(["build", "--format", "docker", "--layers"]);
                if ignored {
                    command.arg("--ignorefile").arg(&ignore);
                }
            }
        }
        let flags = build.flags;
        for (name, values) in [
            ("--build-arg", flags.build_args.as_slice()),
            ("--target", flags.target.as_slice()),
            ("--platform", flags.platform.as_slice()),
            ("--secret", flags.secrets.as_slice()),
            ("--ssh", flags.ssh.as_slice()),
            ("--network", flags.network.as_slice()),
        ] {
            for value in values {
                command.arg(name).arg(value);
            }
        }
        if flags.pull {
            command.arg("--pull");
        }
        command.args(&flags.more);
        command.arg("--tag").arg(build.tag).arg("--file").arg(&file);
        command.arg(build.context);
        let log = RefCell::new(Vec::new());
        let ended = process::run(&mut command, None, self.limits(time), |line| {
            let line = secrets.hide(line);
            if let Some(now) = current_step(&line) {
                step(now);
            }
            keep(&mut log.borrow_mut(), &line);
        });
        match ended.map_err(|error| self.not_started(&error))? {
            Ended::Exited(status) if status.success() => Ok(()),
            Ended::Exited(_) => Err(self.of_build(&log.borrow())),
            Ended::TimedOut => Err(Failure::TimedOut(time)),
            Ended::Stopped => Err(Failure::Stopped),
        }
    }

    /// Why a build failed: where RUN starts no container at all, that is no fault of
    /// the file.
    fn of_build(&self, log: &[String]) -> Failure {
        // The programs of the build may say such words too, in front of these lines.
        let end = &log[log.len().saturating_sub(5)..];
        match end
            .iter()
            .rev()
            .find_map(|line| Some((line, obstacle(line)?)))
        {
            Some((line, (_, remedy))) if self.kind != Kind::Docker => Failure::Other(format!(
                "{} can't run the steps of a build on this machine: {}; {remedy}, or set BUILDAH_ISOLATION=chroot",
                self.kind.name(),
                line.trim()
            )),
            _ => failure::of_log(log),
        }
    }

    /// What identifies the image behind a tag, by its contents.
    ///
    /// # Errors
    /// There is no such image.
    pub fn id(&self, tag: &str) -> Result<String, Failure> {
        let args: &[&str] = match self.kind {
            Kind::Docker | Kind::Podman => &["image", "inspect", "--format", "{{.Id}}", tag],
            Kind::Buildah => &[
                "inspect",
                "--type",
                "image",
                "--format",
                "{{.FromImageID}}",
                tag,
            ],
        };
        let lines = self.quick(args)?;
        let id = lines.first().map(|line| line.trim()).unwrap_or_default();
        let id = id.strip_prefix("sha256:").unwrap_or(id);
        if id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()) {
            Ok(id.to_owned())
        } else {
            Err(Failure::Other(format!("{tag} has no identifier: {id:?}")))
        }
    }

    /// Reads the image as an archive of `docker save`.
    ///
    /// # Errors
    /// The builder fails, or `read` does.
    pub fn save<T>(
        &self,
        tag: &str,
        time: Duration,
        read: impl FnOnce(&mut dyn Read) -> std::io::Result<T>,
    ) -> Result<T, Failure> {
        let failed = |error: std::io::Error| {
            if self.stop.asked() {
                return Failure::Stopped;
            }
            Failure::Other(format!("the image can't be read: {error}"))
        };
        let mut command = self.command();
        match self.kind {
            Kind::Docker => command.args(["save", tag]),
            Kind::Podman => command.args(["save", "--quiet", "--format", "docker-archive", tag]),
            Kind::Buildah => {
                // It writes to files only.
                let folder = tempfile::tempdir().map_err(failed)?;
                let archive = folder.path().join("image.tar");
                let to = format!("docker-archive:{}:{tag}", archive.display());
                let (code, lines) = self.call(&["push", "--quiet", tag, &to], time, None)?;
                if code != Some(0) {
                    return Err(not_a_build(failure::of_log(&lines)));
                }
                let mut file = std::fs::File::open(&archive).map_err(failed)?;
                return read(&mut file).map_err(failed);
            }
        };
        let (ended, value, errors) =
            process::pipe(&mut command, self.limits(time), read).map_err(failed)?;
        if !ended.success() {
            return Err(not_a_build(failure::of_log(&errors)));
        }
        value.map_err(failed)
    }

    /// Takes a tag of ours away, and with it the image if it has no other.
    pub fn untag(&self, tag: &str) {
        let args: &[&str] = match self.kind {
            Kind::Docker | Kind::Podman => &["image", "rm", "--force", tag],
            Kind::Buildah => &["rmi", tag],
        };
        // Cleaning up goes on when the user stopped the rest.
        let _ = self.call(args, QUICK, Some(&Stop::default()));
    }
}

/// What keeps Podman and Buildah from starting containers on a machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Obstacle {
    /// They ask for higher limits than they may have.
    Limits,
    /// Their runtime does not take the machine's control groups.
    Groups,
    /// The runtime ended without a word.
    Unsaid,
}

/// What a line of theirs says stands in the way, and what to do.
fn obstacle(line: &str) -> Option<(Obstacle, &'static str)> {
    let line = line.to_lowercase();
    let has = |words: &[&str]| words.iter().all(|word| line.contains(word));
    if has(&["rlimit", "not permitted"]) {
        let remedy =
            "set default_ulimits in containers.conf to what `ulimit -Hn` and `ulimit -Hu` allow";
        return Some((Obstacle::Limits, remedy));
    }
    if has(&["cgroup", "hybrid"]) || has(&["cgroup", "not supported"]) {
        let remedy = "install runc, or boot with one hierarchy of control groups";
        return Some((Obstacle::Groups, remedy));
    }
    if has(&["did not get container create message from subprocess"]) {
        let remedy = "see whether `podman run` starts anything";
        return Some((Obstacle::Unsaid, remedy));
    }
    None
}

/// What is said where nothing was built: no fault of the file.
fn not_a_build(failure: Failure) -> Failure {
    match failure {
        Failure::Build(broken) => {
            let last = broken.lines.last().cloned();
            Failure::Other(last.unwrap_or_else(|| "the builder fails and says nothing".into()))
        }
        other => other,
    }
}

fn keep(log: &mut Vec<String>, line: &str) {
    if log.len() >= LOG {
        log.drain(..LOG / 2);
    }
    log.push(line.to_owned());
}

/// The step that a line of a build's log announces: `#7 [4/5] RUN x` of
/// BuildKit, `STEP 4/5: RUN x` of Podman and Buildah.
fn current_step(line: &str) -> Option<&str> {
    if line.starts_with("STEP ") {
        return Some(line);
    }
    let (number, rest) = line.strip_prefix('#')?.split_once(' ')?;
    let numbered = number.bytes().all(|b| b.is_ascii_digit());
    let inside = rest.starts_with('[') && !rest.starts_with("[internal]");
    (numbered && inside).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_told_from_output() {
        assert_eq!(
            current_step("#7 [build 4/5] RUN npm ci"),
            Some("[build 4/5] RUN npm ci")
        );
        assert_eq!(current_step("STEP 2/3: RUN x"), Some("STEP 2/3: RUN x"));
        assert_eq!(current_step("#7 1.203 [notice] a new release"), None);
        assert_eq!(current_step("#1 [internal] load .dockerignore"), None);
        assert_eq!(current_step("plain"), None);
    }

    #[test]
    fn obstacles_are_told_from_what_runtimes_say() {
        for (line, what) in [
            (
                "Error: crun: setrlimit `RLIMIT_NOFILE`: Operation not permitted: OCI permission denied",
                Some(Obstacle::Limits),
            ),
            (
                "Error: runc: runc create failed: error setting rlimit type 7: operation not permitted",
                Some(Obstacle::Limits),
            ),
            (
                "Error: OCI runtime error: crun: cgroups in hybrid mode not supported, drop all controllers from cgroupv2",
                Some(Obstacle::Groups),
            ),
            ("Error: exec: \"/nope\": no such file or directory", None),
        ] {
            assert_eq!(obstacle(line).map(|(what, _)| what), what, "{line}");
        }
    }

    #[test]
    fn a_builder_that_is_not_there_is_said_to_be_so() {
        let stop = Stop::default();
        let error = Builder::find(Some("/nowhere/docker"), &stop).expect_err("it is not there");
        assert!(error.to_string().contains("can't be started"), "{error}");
        let error = Builder::find(Some("/bin/ls"), &stop).expect_err("it is no builder");
        assert!(error.to_string().contains("is no builder"), "{error}");
    }
}
