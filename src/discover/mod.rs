//! Which files are looked at, and their bytes: paths, folders and file lists
//! from the user become [`Source`]s in one order, whatever the threads.

mod given;
mod names;
mod read;
mod real;
mod walk;

pub use names::{VENDORED, is_dockerfile_name};
pub use read::{MAX_BYTES, MAX_LINES, ReadError, check_size, read};
pub use real::{real_file, real_folder, repository};

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use given::Places;

/// One file to look at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    /// The path to open.
    pub path: PathBuf,
    /// What reports print: the path as the user gave it, joined with the way
    /// below it, `/`-separated.
    pub shown: String,
    /// The real place (no symlink in it) of the tree that the user gave: the
    /// folder, or the folder of the file. Nothing outside of it is written.
    pub root: Arc<Path>,
    /// The user named this file; it was not found in a folder.
    pub named: bool,
    /// Found in a folder as a symlink, to a file within the tree.
    pub link: bool,
}

impl Source {
    /// Where the file really is, absolute and without symlinks, as far as its
    /// folder has not moved since the run began; not for writing.
    ///
    /// # Errors
    /// As [`std::fs::canonicalize`].
    pub fn real(&self) -> std::io::Result<PathBuf> {
        match (self.path.parent(), self.path.file_name()) {
            // What was found in a folder says whether it is a link.
            (Some(folder), Some(name)) if !self.link && !self.named => {
                Ok(real_folder(folder)?.join(name))
            }
            _ => real_file(&self.path),
        }
    }

    /// Where the folder is that its path is in, likewise: what beside it holds
    /// for it is there, whatever a symlink leads to.
    ///
    /// # Errors
    /// As [`std::fs::canonicalize`].
    pub fn real_folder(&self) -> std::io::Result<Arc<Path>> {
        real_folder(self.path.parent().unwrap_or(Path::new("/")))
    }
}

/// A path that could not be looked at. The others go on.
#[derive(Debug)]
pub struct Problem {
    /// The path as reports print it.
    pub shown: String,
    /// What is wrong with it and what to do.
    pub error: ReadError,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.shown, self.error)
    }
}

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// The files that the user named, in the order given; then those found in
    /// folders, in path order (byte-wise on [`Source::shown`]). Each once.
    pub sources: Vec<Source>,
    /// What could not be looked at, ordered likewise.
    pub problems: Vec<Problem>,
}

/// How to look.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Threads that walk; 0 chooses.
    pub threads: usize,
    /// Also go into hidden folders and take hidden files.
    pub hidden: bool,
    /// Also go into vendored folders ([`VENDORED`]).
    pub vendored: bool,
    /// Also take what git's ignore rules leave out.
    pub ignored: bool,
    /// What relative paths are relative to; empty means the current folder.
    pub base: PathBuf,
}

/// Finds the files that `paths` (files and folders) stand for.
///
/// Folders are walked in parallel under git's ignore rules, whether or not
/// they are in a repository. Symlinked folders are not entered. A file that the
/// user names is taken whatever its name; in folders the name decides
/// ([`is_dockerfile_name`]). A symlink in a folder is taken when it leads to a
/// file within the tree that is not itself taken.
#[must_use]
pub fn find<P: AsRef<Path>>(paths: &[P], options: &Options) -> Found {
    let mut found = Found::default();
    let mut in_folders = Found::default();
    let mut seen = HashSet::new();
    let mut places = Places::new(&options.base);
    for path in paths {
        let path = path.as_ref();
        let shown = given::shown(path);
        match given::look(path, &mut places) {
            Ok(given::Given::File { open, root }) => {
                if seen.insert(given::key(path)) {
                    found.sources.push(Source {
                        path: open,
                        shown,
                        root,
                        named: true,
                        link: false,
                    });
                }
            }
            Ok(given::Given::Folder { open, real, root }) => {
                walk::walk(&open, &shown, &real, &root, options, &mut in_folders);
            }
            Err(error) => found.problems.push(Problem { shown, error }),
        }
    }
    let order = |a: &Source, b: &Source| (&a.shown, &a.path).cmp(&(&b.shown, &b.path));
    in_folders.sources.sort_unstable_by(order);
    in_folders.problems.sort_by(|a, b| a.shown.cmp(&b.shown));
    if paths.len() > 1 {
        let base = &options.base;
        in_folders.sources.retain(|source| {
            let given = source.path.strip_prefix(base).unwrap_or(&source.path);
            seen.insert(given::key(given))
        });
        in_folders.problems.dedup_by(|a, b| a.shown == b.shown);
    }
    found.sources.append(&mut in_folders.sources);
    found.problems.append(&mut in_folders.problems);
    found
}

/// The paths in a file list: separated by NUL where there is one, else one a
/// line. Empty entries are left out; a byte order mark and the carriage
/// returns of CRLF line ends are no part of a path.
#[must_use]
pub fn parse_file_list(list: &[u8]) -> Vec<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    let list = list.strip_prefix(b"\xef\xbb\xbf").unwrap_or(list);
    let nul = list.contains(&0);
    list.split(|&byte| byte == if nul { 0 } else { b'\n' })
        .map(|entry| match nul {
            true => entry,
            false => entry.strip_suffix(b"\r").unwrap_or(entry),
        })
        .filter(|entry| !entry.is_empty())
        .map(|entry| PathBuf::from(std::ffi::OsStr::from_bytes(entry)))
        .collect()
}

#[cfg(test)]
mod tests;
