//! What registries said in earlier runs, on disk: one small file for each
//! question, with the time of its answer.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;

use super::manifest::digest_of;
use super::record::Record;
use crate::settings::user_folder;

/// The most bytes of a cached answer.
const MAX: u64 = 1 << 20;

/// A folder of answers.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// A cache in that folder, which is made when something is kept.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The user's: below `XDG_CACHE_HOME`, or `~/.cache`. None without either.
    #[must_use]
    pub fn of_user() -> Option<Self> {
        let folder = user_folder("XDG_CACHE_HOME", ".cache")?;
        Some(Self::new(folder.join("registry-1")))
    }

    fn path(&self, key: &str) -> PathBuf {
        let digest = digest_of(key.as_bytes(), None);
        self.folder.join(digest.trim_start_matches("sha256:"))
    }

    /// The answer to a question, however old. What can't be read is not there.
    pub(super) fn get(&self, key: &str) -> Option<Record> {
        let record = Record::parse(&self.line(key)?)?;
        (record.key() == key).then_some(record)
    }

    /// Keeps an answer, whole or not at all.
    pub(super) fn put(&self, record: &Record) -> std::io::Result<()> {
        self.put_line(&record.key(), &record.line())
    }

    /// The line that is kept under a key.
    pub(super) fn line(&self, key: &str) -> Option<String> {
        let mut text = String::new();
        let file = std::fs::File::open(self.path(key)).ok()?;
        file.take(MAX).read_to_string(&mut text).ok()?;
        Some(text.strip_suffix('\n')?.to_owned())
    }

    /// Keeps a line under a key, whole or not at all.
    pub(super) fn put_line(&self, key: &str, line: &str) -> std::io::Result<()> {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.folder)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        writeln!(file, "{line}")?;
        file.persist(self.path(key))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_back_what_it_was_given_and_nothing_broken() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().join("a/b"));
        let record =
            Record::parse("docker.io/library/node:99 absent 2026-11-24T15:00:00Z").unwrap();
        assert_eq!(cache.get(&record.key()), None);
        cache.put(&record).unwrap();
        assert_eq!(cache.get(&record.key()), Some(record.clone()));
        std::fs::write(cache.path(&record.key()), "docker.io/lib").unwrap();
        assert_eq!(cache.get(&record.key()), None);
    }
}
