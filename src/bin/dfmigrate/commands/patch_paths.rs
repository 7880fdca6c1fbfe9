//! What a patch calls its files, so that `git apply` and `patch -p1` find them.

use std::collections::HashSet;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use dfmigrate::discover::Source;
use dfmigrate::report::PatchName;

/// The folder that the paths of a patch are relative to.
pub struct Base {
    folder: PathBuf,
    /// Whether it is not the current folder: both tools refuse paths that lead
    /// upwards, so then it is the nearest folder that has all files below it.
    pub elsewhere: bool,
}

impl Base {
    /// The base for a patch of these files.
    pub fn of(sources: &[Source]) -> Self {
        let here = fs::canonicalize(".").unwrap_or_default();
        let mut seen = HashSet::new();
        let mut common: Option<PathBuf> = None;
        let mut elsewhere = false;
        for source in sources {
            let folder = source.path.parent().unwrap_or(&source.path);
            if !source.link && !seen.insert(folder) {
                continue;
            }
            let Some(folder) = real(source).parent().map(Path::to_owned) else {
                continue;
            };
            elsewhere |= !folder.starts_with(&here);
            let shared = match common {
                Some(common) => common
                    .ancestors()
                    .find(|above| folder.starts_with(above))
                    .map(Path::to_owned),
                None => Some(folder),
            };
            common = shared;
        }
        Self {
            folder: common.filter(|_| elsewhere).unwrap_or(here),
            elsewhere,
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the patch calls a file: its real place, since neither tool writes
    /// through a symlink.
    pub fn name(&self, source: &Source) -> PatchName {
        let real = real(source);
        let below = real.strip_prefix(&self.folder).unwrap_or(&real);
        PatchName(below.as_os_str().as_bytes().to_vec())
    }
}

/// Where a file really is; the path itself where that can't be told.
fn real(source: &Source) -> PathBuf {
    source.real().unwrap_or_else(|_| source.path.clone())
}
