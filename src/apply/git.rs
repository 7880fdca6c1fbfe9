//! Whether git could bring a file back.
//!
//! The repositories are other people's. `git status` runs what their
//! configuration names: a file system monitor, clean filters, the
//! configuration of submodules, and, in a partial clone, the transport that
//! fetches a missing object. So the work tree is not compared by git. One
//! `git cat-file --batch` for each repository hands out the bytes that HEAD has
//! and the object that the index has, and the comparison is done here. It runs
//! no filter and no hook; the monitor, hooks and all transports are switched
//! off on top of that. Git's own check of who owns a repository
//! (`safe.directory`) stays in force: a repository that git doesn't trust is
//! "unknown", and the user decides.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::discover::MAX_BYTES;

/// How long git may take for one repository.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether git could bring back a file as it is now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Committed {
    /// It is as in the last commit.
    Yes,
    /// It is in no repository: nobody promised to bring it back.
    NoRepository,
    /// It differs from the last commit.
    Modified,
    /// Changes of it are staged.
    Staged,
    /// It is in no commit.
    Untracked,
    /// Nobody can say, and why.
    Unknown(String),
}

impl Committed {
    /// Whether to write it only when the user said `--allow-dirty`.
    #[must_use]
    pub fn is_in_the_way(&self) -> bool {
        !matches!(self, Self::Yes | Self::NoRepository)
    }
}

impl fmt::Display for Committed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yes => return f.write_str("it is committed to git"),
            Self::NoRepository => return f.write_str("it is not in a git repository"),
            Self::Modified => f.write_str("it has changes that are not committed to git")?,
            Self::Staged => f.write_str("it has staged changes that are not committed to git")?,
            Self::Untracked => f.write_str("it is not committed to git")?,
            Self::Unknown(why) => {
                write!(f, "whether it is committed to git cannot be told: {why}")?;
                return f.write_str("; mend this, or write it with --allow-dirty");
            }
        }
        f.write_str(", so it could not be brought back; commit it, or write it with --allow-dirty")
    }
}

/// Whether git could bring back each of the files; the answers stand in the
/// order of the paths. Symlinks are followed: what counts is the file that
/// would be written.
#[must_use]
pub fn committed<P: AsRef<Path>>(paths: &[P]) -> Vec<Committed> {
    let mut answers = vec![Committed::NoRepository; paths.len()];
    let mut repositories: HashMap<PathBuf, Vec<Asked>> = HashMap::new();
    let mut roots = HashMap::new();
    for (index, path) in paths.iter().enumerate() {
        let real = match fs::canonicalize(path) {
            Ok(real) => real,
            Err(error) => {
                answers[index] = Committed::Unknown(error.to_string());
                continue;
            }
        };
        let Some(root) = real.parent().and_then(|dir| repository(dir, &mut roots)) else {
            continue;
        };
        repositories
            .entry(root)
            .or_default()
            .push(Asked { index, real });
    }
    for (root, asked) in repositories {
        ask(&root, &asked, &mut answers);
    }
    answers
}

/// A file to ask about.
struct Asked {
    index: usize,
    real: PathBuf,
}

/// The root of the work tree that a folder is in.
fn repository(folder: &Path, known: &mut HashMap<PathBuf, Option<PathBuf>>) -> Option<PathBuf> {
    if let Some(root) = known.get(folder) {
        return root.clone();
    }
    let git = folder.join(".git");
    let here = match fs::metadata(&git) {
        Ok(what) if what.is_dir() => fs::symlink_metadata(git.join("HEAD")).is_ok(),
        Ok(what) => what.is_file(),
        // It may be there: git will say.
        Err(error) => error.kind() == io::ErrorKind::PermissionDenied,
    };
    let root = match here {
        true => Some(folder.to_owned()),
        false => folder.parent().and_then(|above| repository(above, known)),
    };
    known.insert(folder.to_owned(), root.clone());
    root
}

/// Asks git about files of one repository.
fn ask(root: &Path, asked: &[Asked], answers: &mut [Committed]) {
    let (can, cannot): (Vec<_>, Vec<_>) = asked
        .iter()
        .partition(|file| !file.real.as_os_str().as_bytes().contains(&b'\n'));
    for file in cannot {
        let why = "its path holds a line break".to_owned();
        answers[file.index] = Committed::Unknown(why);
    }
    let mut lines = Vec::new();
    for file in &can {
        let below = file.real.strip_prefix(root).unwrap_or(&file.real);
        for at in [&b"HEAD:"[..], b":0:"] {
            lines.extend_from_slice(at);
            lines.extend_from_slice(below.as_os_str().as_bytes());
            lines.push(b'\n');
        }
    }
    let mut answered = 0;
    let result = run(root, lines, |output| {
        for file in &can {
            answers[file.index] = answer(&file.real, output)?;
            answered += 1;
        }
        Ok(())
    });
    if let Err(why) = result {
        for file in &can[answered..] {
            answers[file.index] = Committed::Unknown(why.clone());
        }
    }
}

/// Reads the answer about one file: what HEAD has, and what the index has.
fn answer(path: &Path, output: &mut dyn BufRead) -> io::Result<Committed> {
    let Some((in_head, size)) = header(output)? else {
        // Not in HEAD. The index may have it: as good as nowhere.
        if let Some((_, size)) = header(output)? {
            skip(output, size)?;
        }
        return Ok(Committed::Untracked);
    };
    let mut same = false;
    if size > MAX_BYTES {
        skip(output, size)?;
    } else {
        let mut head = Vec::new();
        (&mut *output).take(size).read_to_end(&mut head)?;
        skip(output, 0)?;
        let mut now = Vec::new();
        let opened = crate::beneath::Folder::open_canonical(path.parent().unwrap_or(path))
            .and_then(|folder| folder.file(path.file_name().unwrap_or_default()));
        if let Ok(file) = opened
            && file.take(2 * MAX_BYTES).read_to_end(&mut now).is_ok()
        {
            // Git may have made CRLF of the line ends when it wrote the file.
            same = now == head || without_crlf(&now) == head;
        }
    }
    let staged = match header(output)? {
        Some((in_index, size)) => {
            skip(output, size)?;
            in_index != in_head
        }
        None => true,
    };
    Ok(match (same, staged) {
        (false, _) => Committed::Modified,
        (true, true) => Committed::Staged,
        (true, false) => Committed::Yes,
    })
}

/// The head of one answer, `object type size`; nothing for a missing one.
fn header(output: &mut dyn BufRead) -> io::Result<Option<(String, u64)>> {
    let mut line = Vec::new();
    output.take(1 << 16).read_until(b'\n', &mut line)?;
    let line = String::from_utf8_lossy(&line);
    if !line.ends_with('\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut words = line.split_whitespace();
    Ok(
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some(object), Some("blob" | "tree" | "commit" | "tag"), Some(size), None)
                if object.bytes().all(|b| b.is_ascii_hexdigit()) =>
            {
                size.parse().ok().map(|size| (object.to_owned(), size))
            }
            _ => None,
        },
    )
}

/// Skips so many bytes and the line end that follows them.
fn skip(output: &mut dyn BufRead, size: u64) -> io::Result<()> {
    io::copy(&mut output.take(size.saturating_add(1)), &mut io::sink())?;
    Ok(())
}

fn without_crlf(text: &[u8]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(text.len());
    for (at, &byte) in text.iter().enumerate() {
        if byte != b'\r' || text.get(at + 1) != Some(&b'\n') {
            lines.push(byte);
        }
    }
    lines
}

/// Runs `git cat-file --batch` in a repository, which may be hostile.
fn run(
    root: &Path,
    lines: Vec<u8>,
    read: impl FnOnce(&mut dyn BufRead) -> io::Result<()>,
) -> Result<(), String> {
    // `--buffer`: not one write for each object.
    let args = ["cat-file", "--batch", "--buffer"].map(OsString::from);
    git(root, &args, lines, read)
}

/// The root of the work tree that a file is in.
pub(super) fn root_of(real: &Path) -> Option<PathBuf> {
    repository(real.parent()?, &mut HashMap::new())
}

/// Runs a command of git that runs no program of the repository's.
pub(super) fn git(
    root: &Path,
    args: &[OsString],
    lines: Vec<u8>,
    read: impl FnOnce(&mut dyn BufRead) -> io::Result<()>,
) -> Result<(), String> {
    // `-C`, and not the child's own folder: a relative entry in PATH must not
    // find a program in the repository.
    let mut command = Command::new("git");
    command.arg("-C").arg(root).args([
        "--no-pager",
        "--no-optional-locks",
        "--no-replace-objects",
        "-c",
        "core.fsmonitor=false",
        "-c",
        "core.hooksPath=/dev/null",
        "-c",
        "protocol.allow=never",
    ]);
    command.args(args);
    // What a hook or an alias that calls us would have set for its own
    // repository.
    for name in [
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_DIR",
        "GIT_GRAFT_FILE",
        "GIT_INDEX_FILE",
        "GIT_NAMESPACE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
    ] {
        command.env_remove(name);
    }
    command
        .env("GIT_ALLOW_PROTOCOL", "none")
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C")
        // No other repository above this one.
        .env("GIT_CEILING_DIRECTORIES", root.parent().unwrap_or(root))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "git is not installed".to_owned(),
        _ => format!("git cannot be started: {error}"),
    })?;
    let (Some(mut stdin), Some(stdout), Some(mut stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err("git cannot be spoken to".to_owned());
    };
    let (done, is_done) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            // It may have died; then the answers are missing.
            let _ = stdin.write_all(&lines);
        });
        let said = scope.spawn(move || {
            let mut said = Vec::new();
            let _ = stderr.by_ref().take(4096).read_to_end(&mut said);
            let _ = io::copy(&mut stderr, &mut io::sink());
            String::from_utf8_lossy(&said).into_owned()
        });
        // A repository can make git wait for ever (a pipe in `.git`, say).
        let watch = scope.spawn(move || {
            let late = is_done.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout);
            if late {
                let _ = child.kill();
            }
            let _ = child.wait();
            late
        });
        let mut stdout = BufReader::new(stdout);
        let result = read(&mut stdout);
        drop(stdout);
        drop(done);
        let late = watch.join().unwrap_or(false);
        let said = said.join().unwrap_or_default();
        match result {
            Ok(()) => Ok(()),
            Err(_) if late => Err(format!("git did not answer in {} s", PATIENCE.as_secs())),
            Err(error) => Err(match said.lines().find(|line| !line.is_empty()) {
                Some(line) => format!("git says: {}", line.trim_start_matches("fatal: ")),
                None => format!("git did not answer: {error}"),
            }),
        }
    })
}
