//! `dfmigrate.lock`: what registries said, so that a run without them, and a
//! run in CI, comes to the same result. One line for each reference, sorted.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::record::{Record, Said};

const HEAD: &str = "# What registries said of images; written by `dfmigrate --lock`, read by `dfmigrate --locked`.\n";

/// Its name, in the folder that a run is started in.
pub const LOCK_FILE: &str = "dfmigrate.lock";

/// The most bytes of a lock file.
const MAX: u64 = 16 << 20;

/// A lock file's content.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Lock {
    records: BTreeMap<String, Record>,
}

/// Why a lock file can't be used.
#[derive(Debug)]
pub enum LockError {
    /// It can't be read or written.
    Io(PathBuf, std::io::Error),
    /// A line has not the form of one.
    Malformed(PathBuf, usize),
}

impl std::fmt::Display for LockError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Malformed(path, line) => write!(
                f,
                "{}:{line}: this is no line of a lock file; mend it, or write the file anew with --lock",
                path.display()
            ),
        }
    }
}

impl std::error::Error for LockError {}

impl Lock {
    /// Reads a lock file; one that is not there is empty.
    ///
    /// # Errors
    /// It can't be read, or has a line that is none.
    pub fn read(path: &Path) -> Result<Self, LockError> {
        use std::io::Read as _;
        let io = |error| LockError::Io(path.to_owned(), error);
        let mut text = String::new();
        match std::fs::File::open(path) {
            Ok(file) => file.take(MAX).read_to_string(&mut text).map_err(io)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
            Err(error) => return Err(io(error)),
        };
        let mut lock = Self::default();
        for (number, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let record = Record::parse(line)
                .ok_or_else(|| LockError::Malformed(path.to_owned(), number + 1))?;
            lock.records.insert(record.key(), record);
        }
        Ok(lock)
    }

    /// The record that answers a question ([`Record::key`]).
    pub(super) fn get(&self, key: &str) -> Option<&Record> {
        self.records.get(key)
    }

    /// This lock with what was said since. A line that still agrees stays as
    /// it is, with its date.
    #[must_use]
    pub fn with(&self, said: impl IntoIterator<Item = Record>) -> Self {
        let mut lock = self.clone();
        for record in said {
            match lock.records.get(&record.key()) {
                Some(old) if old.agrees(&record) => {}
                _ => {
                    lock.records.insert(record.key(), record);
                }
            }
        }
        lock
    }

    /// What differs in `new`, a line each.
    #[must_use]
    pub fn changes(&self, new: &Self) -> Vec<String> {
        let digest = |record: &Record| match &record.said {
            Said::Digest { digest, .. } => format!("is {digest}"),
            Said::Absent { .. } => "is not there".to_owned(),
            Said::Created(at) => format!("was made at {at}"),
            Said::Images(_) => "has other images".to_owned(),
        };
        let changed = new.records.iter().filter_map(|(key, record)| {
            let name = &record.name;
            match self.records.get(key) {
                Some(old) if old == record => None,
                Some(old) => Some(format!(
                    "{name} {}; locked: {}",
                    digest(record),
                    digest(old)
                )),
                None => Some(format!("{name} is not locked")),
            }
        });
        changed.collect()
    }

    /// The whole text of the file.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = HEAD.to_owned();
        for record in self.records.values() {
            text.push_str(&record.line());
            text.push('\n');
        }
        text
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// It can't be written.
    pub fn write(&self, path: &Path) -> Result<(), LockError> {
        let io = |error| LockError::Io(path.to_owned(), error);
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let mut file = tempfile::Builder::new()
            .prefix(".dfmigrate-")
            .permissions(permissions())
            .tempfile_in(folder.unwrap_or(Path::new(".")))
            .map_err(io)?;
        file.write_all(self.text().as_bytes()).map_err(io)?;
        file.persist(path).map_err(|error| io(error.error))?;
        Ok(())
    }
}

/// Those of an ordinary file, before the user's mask.
#[cfg(unix)]
fn permissions() -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::Permissions::from_mode(0o666)
}

#[cfg(not(unix))]
fn permissions() -> std::fs::Permissions {
    std::fs::metadata(".")
        .map(|m| m.permissions())
        .expect("there is a current folder")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(line: &str) -> Record {
        Record::parse(line).unwrap()
    }

    #[test]
    fn stays_as_it_is_while_nothing_changes() {
        let a = format!("sha256:{}", "a".repeat(64));
        let b = format!("sha256:{}", "b".repeat(64));
        let old = Lock::default().with([
            record(&format!(
                "docker.io/library/node:20 {a} index 2026-01-01T00:00:00Z"
            )),
            record("docker.io/library/alpine:9 absent 2026-01-01T00:00:00Z"),
        ]);
        let text = old.text();
        let body: Vec<&str> = text.lines().skip(1).collect();
        assert!(body.is_sorted());
        let later = record(&format!(
            "docker.io/library/node:20 {a} index 2026-02-02T00:00:00Z"
        ));
        assert_eq!(old.with([later.clone()]), old);
        assert!(old.changes(&old.with([later])).is_empty());
        let moved = record(&format!(
            "docker.io/library/node:20 {b} index 2026-02-02T00:00:00Z"
        ));
        let new = old.with([moved]);
        assert_eq!(
            old.changes(&new),
            [format!("docker.io/library/node:20 is {b}; locked: is {a}")]
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(LOCK_FILE);
        assert_eq!(Lock::read(&path).unwrap(), Lock::default());
        new.write(&path).unwrap();
        assert_eq!(Lock::read(&path).unwrap(), new);
        std::fs::write(&path, "# x\nnode 12\n").unwrap();
        let error = Lock::read(&path).unwrap_err().to_string();
        assert!(error.contains(":2: this is no line"), "{error}");
    }
}
