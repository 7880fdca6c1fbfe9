//! What can go wrong beside a rewrite: told apart by what builders say.

use std::fmt;
use std::time::Duration;

/// Why something could not be built or looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Failure {
    /// There is no builder; which were looked for and what they said.
    NoBuilder(Vec<String>),
    /// The engine behind the builder does not answer.
    Unreachable(String),
    /// The disk is full.
    DiskFull(String),
    /// A registry or a package server could not be asked.
    Network(String),
    /// It took longer than allowed.
    TimedOut(Duration),
    /// The user stopped it.
    Stopped,
    /// The build itself fails.
    Build(Broken),
    /// Anything else.
    Other(String),
}

/// A build that fails.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Broken {
    /// The step that failed, as the builder names it.
    pub step: Option<String>,
    /// The last lines that tell why.
    pub lines: Vec<String>,
}

impl Failure {
    /// Whether the file itself is at fault, and not the machine or the network.
    #[must_use]
    pub fn is_the_files(&self) -> bool {
        matches!(self, Self::Build(_))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBuilder(tried) => {
                f.write_str("no builder was found: install Docker, Podman or Buildah, or name one with --builder")?;
                for line in tried {
                    write!(f, "\n    {line}")?;
                }
                Ok(())
            }
            Self::Unreachable(line) => write!(
                f,
                "the builder's engine does not answer: {line}; start it, or point DOCKER_HOST at one"
            ),
            Self::DiskFull(line) => write!(
                f,
                "the disk is full: {line}; make room (`docker system prune`) and run again"
            ),
            Self::Network(line) => write!(
                f,
                "a registry or package server could not be asked: {line}; run again when it can"
            ),
            Self::TimedOut(after) => write!(
                f,
                "it took longer than {} s and was ended; allow more with --timeout",
                after.as_secs()
            ),
            Self::Stopped => f.write_str("stopped; everything that was started is ended"),
            Self::Build(broken) => {
                match &broken.step {
                    Some(step) => write!(f, "the build fails at `{step}`")?,
                    None => f.write_str("the build fails")?,
                }
                for line in &broken.lines {
                    write!(f, "\n    | {line}")?;
                }
                Ok(())
            }
            Self::Other(line) => f.write_str(line),
        }
    }
}

impl std::error::Error for Failure {}

/// What builders say of troubles that are not the file's, in lower case. The
/// words are those of Docker, BuildKit, Podman, Buildah and Linux.
const UNREACHABLE: [&str; 5] = [
    "cannot connect to the docker daemon",
    "failed to connect to the docker api",
    "error during connect",
    "cannot connect to podman",
    "permission denied while trying to connect",
];
const DISK: [&str; 2] = ["no space left on device", "disk quota exceeded"];
const NETWORK: [&str; 11] = [
    "toomanyrequests",
    "tls handshake timeout",
    "i/o timeout",
    "temporary failure in name resolution",
    "temporary failure resolving",
    "could not resolve host",
    "no such host",
    "connection reset by peer",
    "network is unreachable",
    "eai_again",
    "failed to do request",
];

/// The most lines of a log that are shown.
const SHOWN: usize = 15;

/// What the log of a failed build means.
#[must_use]
pub fn of_log(log: &[String]) -> Failure {
    let find = |words: &[&str]| {
        log.iter().rev().find(|line| {
            let line = line.to_lowercase();
            words.iter().any(|word| line.contains(word))
        })
    };
    // What the build's own programs print may hold such words as well, so
    // only the end of the log counts for what is not the builder's own voice.
    if let Some(line) = find(&UNREACHABLE) {
        return Failure::Unreachable(line.trim().to_owned());
    }
    if let Some(line) = find(&DISK) {
        return Failure::DiskFull(line.trim().to_owned());
    }
    let end = &log[log.len().saturating_sub(40)..];
    let network = end.iter().rev().find(|line| {
        let line = line.to_lowercase();
        NETWORK.iter().any(|word| line.contains(word))
    });
    if let Some(line) = network {
        return Failure::Network(line.trim().to_owned());
    }
    Failure::Build(decisive(log))
}

/// The failing step and the lines that tell why, from a builder's log.
fn decisive(log: &[String]) -> Broken {
    // BuildKit repeats the failing step between rules: " > [4/5] RUN x:".
    let repeat = log.iter().rposition(|line| line.starts_with(" > ["));
    let step = repeat.map(|at| log[at].trim_start_matches(" > ").trim_end_matches(':'));
    let step = step.or_else(|| {
        let podman = log.iter().rev().find(|line| line.starts_with("STEP "));
        podman.map(String::as_str)
    });
    let noise = |line: &&String| {
        let line = line.trim();
        line.is_empty() || line.chars().all(|c| c == '-') || line == "View build details:"
    };
    let from = match repeat {
        Some(at) => {
            let end = log[at + 1..]
                .iter()
                .position(|line| line.starts_with("----") || line.starts_with("Dockerfile:"))
                .map_or(log.len(), |n| at + 1 + n);
            &log[at + 1..end]
        }
        None => log,
    };
    let kept: Vec<&String> = from.iter().filter(|line| !noise(line)).collect();
    let mut lines: Vec<String> = kept[kept.len().saturating_sub(SHOWN)..]
        .iter()
        .map(|line| (*line).clone())
        .collect();
    if lines.is_empty() {
        let last = log.iter().rev().find(|line| !noise(line));
        lines.extend(last.cloned());
    }
    Broken {
        step: step.map(str::to_owned),
        lines,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_step_and_its_last_lines_are_found() {
        let buildkit = log(
            "#7 [4/5] RUN npm run build\n#7 1.2 noise\n------\n > [4/5] RUN npm run build:\n1.9 sh: tsc: not found\n------\nDockerfile:4\n   4 | >>> RUN npm run build\nERROR: failed to solve: exit code: 127",
        );
        let Failure::Build(broken) = of_log(&buildkit) else {
            panic!("it is the file's");
        };
        assert_eq!(broken.step.as_deref(), Some("[4/5] RUN npm run build"));
        assert_eq!(broken.lines, ["1.9 sh: tsc: not found"]);
    }

    #[test]
    fn troubles_of_the_machine_are_not_the_files() {
        for (text, at_fault) in [
            ("write /x: no space left on device", false),
            (
                "ERROR: Cannot connect to the Docker daemon at unix:///x",
                false,
            ),
            ("lookup registry-1.docker.io: no such host", false),
            ("error: syntax", true),
        ] {
            assert_eq!(of_log(&log(text)).is_the_files(), at_fault, "{text}");
        }
    }
}
