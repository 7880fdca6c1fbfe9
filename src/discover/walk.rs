//! Walking one folder.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

use ignore::{DirEntry, WalkBuilder, WalkState};

use super::{Found, Options, Problem, ReadError, Source, names};

/// What a walking thread sends.
enum Seen {
    File(PathBuf),
    Link(PathBuf),
    /// A folder that is called `Dockerfile`.
    Folder(PathBuf),
    Special(PathBuf),
    Failed(PathBuf, ReadError),
}

/// Adds what is in the folder `open`, which the user gave as `given` and which
/// is really at `real`; in no order.
pub(super) fn walk(
    open: &Path,
    given: &str,
    real: &Arc<Path>,
    root: &Arc<Path>,
    options: &Options,
    found: &mut Found,
) {
    let shown = |path: &Path| {
        let below = path.strip_prefix(open).unwrap_or(path).to_string_lossy();
        let above = given.trim_end_matches('/');
        match (above, below.as_ref()) {
            ("." | "", "") => given.to_owned(),
            (".", below) => below.to_owned(),
            (above, "") => above.to_owned(),
            (above, below) => format!("{above}/{below}"),
        }
    };
    let source = |path: PathBuf, link| Source {
        shown: shown(&path),
        root: Arc::clone(root),
        named: false,
        link,
        path,
    };

    let (send, receive) = mpsc::channel();
    let vendored = options.vendored;
    WalkBuilder::new(open)
        .threads(options.threads)
        .follow_links(false)
        .hidden(!options.hidden)
        .ignore(false)
        .git_ignore(!options.ignored)
        .git_exclude(!options.ignored)
        .git_global(!options.ignored)
        // The rules of the folders above count in a repository. Outside of
        // one, a `.gitignore` in somebody's home folder has no say.
        .parents(!options.ignored && in_repository(real))
        .require_git(false)
        .filter_entry(move |entry| entry.depth() == 0 || enters(entry, vendored))
        .build_parallel()
        .run(|| {
            let send = send.clone();
            Box::new(move |entry| {
                let seen = match entry {
                    Ok(entry) => look(entry),
                    Err(error) => failed(&error),
                };
                if let Some(seen) = seen {
                    // The receiver outlives the walk.
                    let _ = send.send(seen);
                }
                WalkState::Continue
            })
        });
    drop(send);

    let first = found.sources.len();
    let mut links = Vec::new();
    let mut folders = Vec::new();
    for seen in receive {
        let (path, error) = match seen {
            Seen::File(path) => {
                found.sources.push(source(path, false));
                continue;
            }
            Seen::Link(path) => {
                links.push(path);
                continue;
            }
            Seen::Folder(path) => {
                folders.push(path);
                continue;
            }
            Seen::Special(path) => (path, ReadError::Special),
            Seen::Failed(path, error) => (path, error),
        };
        found.problems.push(Problem {
            shown: shown(&path),
            error,
        });
    }
    found.sources[first..].sort_unstable_by(|a, b| a.path.cmp(&b.path));
    let files = first..found.sources.len();

    links.sort_unstable();
    let mut targets = HashSet::new();
    for path in links {
        match resolve(&path, real) {
            Ok(Some(below)) => {
                // Often the file itself is there already, or another link to it.
                let at = |source: &Source| source.path.cmp(&open.join(&below));
                let listed = found.sources[files.clone()].binary_search_by(at).is_ok();
                if !listed && targets.insert(below) {
                    found.sources.push(source(path, true));
                }
            }
            Ok(None) => {}
            Err(error) => found.problems.push(Problem {
                shown: shown(&path),
                error,
            }),
        }
    }
    for path in folders {
        // Somebody's way of laying out Dockerfiles, or a mistake (an empty
        // folder is what Docker makes of a bind mount of a missing file).
        let below = |source: &Source| source.path.starts_with(&path);
        if !found.sources[first..].iter().any(below) {
            found.problems.push(Problem {
                shown: shown(&path),
                error: ReadError::Folder,
            });
        }
    }
}

/// Whether the walk goes into a folder, or looks at a file.
fn enters(entry: &DirEntry, vendored: bool) -> bool {
    vendored
        || !entry.file_type().is_some_and(|kind| kind.is_dir())
        || !names::is_vendored(entry.file_name())
}

/// What an entry of the walk is to us; most are nothing.
fn look(entry: DirEntry) -> Option<Seen> {
    let kind = entry.file_type()?;
    let name = entry.file_name();
    if kind.is_dir() {
        let exactly = name == "Dockerfile" || name == "Containerfile";
        return exactly.then(|| Seen::Folder(entry.into_path()));
    }
    // A name that is not UTF-8 can still end in `.Dockerfile`.
    if !names::is_dockerfile_name(&name.to_string_lossy()) {
        return None;
    }
    let path = entry.into_path();
    Some(if kind.is_file() {
        Seen::File(path)
    } else if kind.is_symlink() {
        Seen::Link(path)
    } else {
        Seen::Special(path)
    })
}

/// An error of the walk, with the path that it is about.
fn failed(error: &ignore::Error) -> Option<Seen> {
    fn path_of(error: &ignore::Error) -> Option<PathBuf> {
        match error {
            ignore::Error::WithPath { path, .. } => Some(path.clone()),
            ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => {
                path_of(err)
            }
            _ => None,
        }
    }
    let cause = match error.io_error() {
        Some(error) if error.kind() == io::ErrorKind::NotFound => return None, // gone meanwhile
        Some(error) if error.kind() == io::ErrorKind::PermissionDenied => ReadError::Denied,
        _ => ReadError::Failed(error.to_string()),
    };
    Some(Seen::Failed(path_of(error).unwrap_or_default(), cause))
}

/// Where a symlink leads below the real place of the tree; nothing for a
/// symlink to a folder.
fn resolve(link: &Path, real: &Path) -> Result<Option<PathBuf>, ReadError> {
    let target = match fs::canonicalize(link) {
        Ok(target) => target,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(ReadError::Dangling(fs::read_link(link)?));
        }
        Err(error) => return Err(error.into()),
    };
    if fs::metadata(&target)?.is_dir() {
        return Ok(None);
    }
    match target.strip_prefix(real) {
        Ok(below) => Ok(Some(below.to_owned())),
        Err(_) => Err(ReadError::Leaves(target)),
    }
}

/// Whether a folder is in the work tree of a git repository.
fn in_repository(real: &Path) -> bool {
    real.ancestors().any(|folder| folder.join(".git").exists())
}
