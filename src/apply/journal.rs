//! What runs wrote, so that it can be brought back: for each run a file of the
//! user's own, with a line of JSON for each file of the run, which is on the
//! disk before that file is written.
//!
//! A run holds its journal locked while it goes on. Lines are only ever added,
//! so the death of any process leaves a journal that can be read.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rayon::prelude::*;
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::batch::{Change, write_all};
use super::{Options, WriteError, Written};
use crate::beneath::{Folder, Kind, stat_of};
use crate::discover::{MAX_BYTES, Source};

/// What journals are called: this, the time in nanoseconds, the process, and
/// [`END`]. So their names are in the order of the runs.
const START: &str = "run-";
const END: &str = ".jsonl";

/// The journals of so many runs are kept.
const KEPT: usize = 20;

/// The most files that are looked at at once when they are brought back.
const AT_ONCE: usize = 512;

/// A line of a journal. Bytes are base64: paths need not be UTF-8.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    /// The real place of the file.
    path: String,
    /// The real place of the tree that may be written in, the bytes before,
    /// and the digest of those after; none where the file was not written
    /// after all, or was brought back.
    written: Option<[String; 3]>,
}

/// What is noted of a file.
pub(super) struct Note<'a> {
    path: &'a Path,
    change: &'a Change<'a>,
}

impl<'a> Note<'a> {
    pub(super) fn of(path: &'a Path, change: &'a Change<'a>) -> Self {
        Self { path, change }
    }
}

/// Notes what a run writes. Nothing is made before the first note.
#[derive(Debug, Default)]
pub struct Journal {
    folder: Option<PathBuf>,
    file: Option<File>,
    problem: Option<io::Error>,
}

fn digest(bytes: &[u8]) -> String {
    STANDARD.encode(Sha256::digest(bytes))
}

fn line(path: &Path, written: Option<[String; 3]>) -> Vec<u8> {
    let line = Line {
        path: STANDARD.encode(path.as_os_str().as_bytes()),
        written,
    };
    // Strings always become JSON.
    let mut text = serde_json::to_vec(&line).unwrap_or_default();
    text.push(b'\n');
    text
}

impl Journal {
    /// One in this folder. Without a folder nothing is noted.
    #[must_use]
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self {
            folder,
            ..Self::default()
        }
    }

    /// Why the last files could not be noted; said once. Nothing is noted
    /// after it, and the run may go on all the same.
    pub fn problem(&mut self) -> Option<io::Error> {
        self.problem.take()
    }

    /// Notes files that are about to be written.
    pub(super) fn note<'a>(&mut self, notes: impl Iterator<Item = Note<'a>>) {
        let mut text = Vec::new();
        for Note { path, change } in notes {
            let written = [
                STANDARD.encode(change.source.root.as_os_str().as_bytes()),
                STANDARD.encode(change.before),
                digest(change.after),
            ];
            text.extend(line(path, Some(written)));
        }
        self.put(&text);
    }

    /// Notes that files were not written after all.
    pub(super) fn withdraw<'a>(&mut self, paths: impl Iterator<Item = &'a Path>) {
        let text: Vec<u8> = paths.flat_map(|path| line(path, None)).collect();
        self.put(&text);
    }

    fn put(&mut self, text: &[u8]) {
        let Some(folder) = self.folder.as_ref().filter(|_| !text.is_empty()) else {
            return;
        };
        let put = |file: Option<File>| {
            let mut file = match file {
                Some(file) => file,
                None => start(folder)?,
            };
            file.write_all(text)?;
            file.sync_data()?;
            Ok(file)
        };
        match put(self.file.take()) {
            Ok(file) => self.file = Some(file),
            Err(error) => {
                self.problem = Some(error);
                // The last line may be a piece of one; none may follow it.
                self.folder = None;
            }
        }
    }
}

/// A new journal. The oldest ones go.
fn start(folder: &Path) -> io::Result<File> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let mut old = journals(folder)?;
    old.truncate((old.len() + 1).saturating_sub(KEPT));
    for path in old {
        // Not that of a run that goes on.
        if File::open(&path).is_ok_and(|file| lock(&file)) {
            let _ = fs::remove_file(path);
        }
    }
    loop {
        let time = SystemTime::now().duration_since(UNIX_EPOCH);
        let time = time.unwrap_or_default().as_nanos();
        let name = format!("{START}{time:020}-{}{END}", std::process::id());
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(folder.join(name))?;
        // Where the file system has no locks, nobody else has one either.
        lock(&file);
        // Somebody may have removed it before it was locked: it was empty.
        if file.metadata()?.nlink() > 0 {
            File::open(folder)?.sync_all()?;
            return Ok(file);
        }
    }
}

/// Locks a file, if nobody else has.
fn lock(file: &File) -> bool {
    rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive).is_ok()
}

/// The journals in a folder, the oldest first.
fn journals(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.as_bytes();
        if name.starts_with(START.as_bytes()) && name.ends_with(END.as_bytes()) {
            found.push(entry.path());
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// A run that was: what it wrote and is not yet brought back.
#[derive(Debug)]
pub struct Past {
    /// Its journal, locked.
    file: File,
    path: PathBuf,
    entries: Vec<Entry>,
}

/// A file as it was before a run.
#[derive(Debug)]
struct Entry {
    path: PathBuf,
    root: PathBuf,
    before: Vec<u8>,
    after: String,
}

/// What came of bringing a file back.
#[derive(Debug)]
pub enum Undone {
    /// It has the bytes of before the run.
    Restored,
    /// It had them already.
    AsBefore,
    /// It was left alone, and why, to stand behind its path.
    Left(String),
}

/// The last run whose journal is in this folder and has files to bring back.
///
/// # Errors
/// As the system says; `WouldBlock` while that run goes on, `InvalidData` for
/// a journal that can't be understood.
pub fn last(folder: &Path) -> io::Result<Option<Past>> {
    for path in journals(folder)?.into_iter().rev() {
        let mut file = OpenOptions::new().read(true).append(true).open(&path)?;
        let locked = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
        // Where the file system has no locks, nobody has one.
        if locked == Err(Errno::WOULDBLOCK) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let entries = entries(&text).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{} is not as dfmigrate writes it", path.display()),
            )
        })?;
        if entries.is_empty() {
            fs::remove_file(&path)?;
            continue;
        }
        return Ok(Some(Past {
            file,
            path,
            entries,
        }));
    }
    Ok(None)
}

/// What a journal says, in the order of the paths; none where it is no journal.
fn entries(text: &[u8]) -> Option<Vec<Entry>> {
    let path = |text: &str| {
        Some(PathBuf::from(OsString::from_vec(
            STANDARD.decode(text).ok()?,
        )))
    };
    let mut entries = BTreeMap::new();
    // The last line may be a piece of one where a run was killed: what it is of
    // was not written.
    let whole = text
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |at| at + 1);
    for line in text[..whole].split_inclusive(|&byte| byte == b'\n') {
        let line: Line = serde_json::from_slice(line).ok()?;
        let at = path(&line.path)?;
        match line.written {
            Some([root, before, after]) => {
                let entry = Entry {
                    path: at.clone(),
                    root: path(&root)?,
                    before: STANDARD.decode(before).ok()?,
                    after,
                };
                entries.insert(at, entry);
            }
            None => {
                entries.remove(&at);
            }
        }
    }
    Some(entries.into_values().collect())
}

impl Past {
    /// Brings each file back that is as the run left it, and says of each what
    /// came of it. What was left alone stays in the journal.
    ///
    /// # Errors
    /// When what was brought back can't be noted: a second call finds it as it
    /// was before.
    pub fn undo(mut self, mut said: impl FnMut(&Path, &Undone)) -> io::Result<()> {
        let mut left = 0;
        for entries in self.entries.chunks(AT_ONCE) {
            let mut back = Vec::new();
            for (entry, undone) in entries.iter().zip(undo(entries)) {
                said(&entry.path, &undone);
                match undone {
                    Undone::Left(_) => left += 1,
                    _ => back.extend(line(&entry.path, None)),
                }
            }
            self.file.write_all(&back)?;
        }
        match left {
            0 => fs::remove_file(self.path),
            _ => self.file.sync_data(),
        }
    }

    /// Forgets the run: its files stay as they are, and how many these are.
    ///
    /// # Errors
    /// As the system says.
    pub fn forget(self) -> io::Result<usize> {
        fs::remove_file(self.path)?;
        Ok(self.entries.len())
    }
}

/// Brings files back.
fn undo(entries: &[Entry]) -> Vec<Undone> {
    let looked: Vec<Result<Vec<u8>, Undone>> = entries.par_iter().map(Entry::to_undo).collect();
    let sources: Vec<Source> = entries.iter().map(Entry::source).collect();
    let changes: Vec<Change<'_>> = looked
        .iter()
        .zip(entries.iter().zip(&sources))
        .filter_map(|(now, (entry, source))| {
            Some(Change {
                source,
                before: now.as_ref().ok()?,
                after: &entry.before,
            })
        })
        .collect();
    let options = Options {
        read_only: true,
        ..Options::default()
    };
    let mut written = write_all(&changes, &options, &mut Journal::default()).into_iter();
    looked
        .into_iter()
        .map(|looked| match looked {
            Err(undone) => undone,
            Ok(_) => written.next().map_or(Undone::AsBefore, came),
        })
        .collect()
}

/// What came of a write.
fn came(written: Result<Written, WriteError>) -> Undone {
    match written {
        Ok(_) => Undone::Restored,
        Err(error) => Undone::Left(error.to_string()),
    }
}

impl Entry {
    fn source(&self) -> Source {
        Source {
            path: self.path.clone(),
            shown: self.path.to_string_lossy().into_owned(),
            root: Arc::from(self.root.as_path()),
            named: true,
            link: false,
        }
    }

    /// The bytes that are to be replaced, or why there is nothing to do.
    fn to_undo(&self) -> Result<Vec<u8>, Undone> {
        let left = |why: &str| Undone::Left(format!("was left as it is: {why}"));
        let now = self.now().map_err(|why| left(&why))?;
        if now == self.before {
            Err(Undone::AsBefore)
        } else if digest(&now) == self.after {
            Ok(now)
        } else {
            Err(left(
                "it changed since dfmigrate wrote it; bring it back by hand, or with git",
            ))
        }
    }

    /// The bytes of the file, reached without following a symlink.
    fn now(&self) -> Result<Vec<u8>, String> {
        let folder = Folder::open_canonical(self.path.parent().unwrap_or(&self.path))
            .map_err(|_| "its folder is gone, or a symlink stands on the way to it".to_owned())?;
        let name = self.path.file_name().unwrap_or_default();
        let read = || {
            let file = folder.file(name)?;
            if Kind::of_stat(&stat_of(&file)?) != Kind::File {
                return Err(io::Error::other("it is no regular file any more"));
            }
            let mut now = Vec::new();
            // More than was ever written has changed.
            file.take(2 * MAX_BYTES).read_to_end(&mut now)?;
            Ok(now)
        };
        read().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => "it is gone".to_owned(),
            _ if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
                "it is a symlink now".to_owned()
            }
            _ => format!("it could not be read: {error}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_says_what_is_left_to_bring_back() {
        let written = |before: &str| {
            let fields = [
                STANDARD.encode("/"),
                STANDARD.encode(before),
                digest(b"new"),
            ];
            Some(fields)
        };
        let (a, b) = (Path::new("/a"), Path::new("/b"));
        let mut text = [line(b, written("one")), line(a, written("two"))].concat();
        let said = |text: &[u8]| {
            let entries = entries(text)?;
            let path = |entry: Entry| (entry.path, entry.before);
            Some(entries.into_iter().map(path).collect::<Vec<_>>())
        };
        let (first, second) = ((a.into(), b"two".to_vec()), (b.into(), b"one".to_vec()));
        assert_eq!(said(&text), Some(vec![first.clone(), second]));
        text.extend(line(b, None));
        assert_eq!(said(&text), Some(vec![first.clone()]));
        // A line that a kill cut short, and one that is broken.
        text.extend(b"{\"path\": ");
        assert_eq!(said(&text), Some(vec![first]));
        text.push(b'\n');
        assert_eq!(said(&text), None);
        assert_eq!(said(b""), Some(Vec::new()));
    }

    #[test]
    fn only_the_newest_journals_stay() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("state");
        let first = start(&folder).unwrap();
        for _ in 0..KEPT + 4 {
            drop(start(&folder).unwrap());
        }
        // The first goes on, and one makes room for the next before that is there.
        let kept = journals(&folder).unwrap();
        assert!((KEPT..=KEPT + 1).contains(&kept.len()), "{}", kept.len());
        assert!(first.metadata().unwrap().nlink() > 0);
        drop(first);
        assert!(last(&folder).unwrap().is_none());
        assert_eq!(journals(&folder).unwrap().len(), 0, "empty ones go");
    }
}
