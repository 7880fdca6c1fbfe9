//! A path that the user gave: what it is, how it is printed, and which tree
//! it allows to write in.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::{ReadError, real_folder};

/// What a path stands for.
pub(super) enum Given {
    File {
        open: PathBuf,
        root: Arc<Path>,
    },
    Folder {
        open: PathBuf,
        /// Its real place.
        real: Arc<Path>,
        /// The tree that may be written in: `real`, or a fence (see
        /// [`Places::tree`]).
        root: Arc<Path>,
    },
}

/// The path as reports print it.
pub(super) fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// What makes two paths one file, as far as their letters tell.
pub(super) fn key(path: &Path) -> PathBuf {
    path.components()
        .filter(|component| *component != Component::CurDir)
        .collect()
}

/// Looks at a path.
pub(super) fn look(path: &Path, places: &mut Places) -> Result<Given, ReadError> {
    if path.as_os_str().is_empty() {
        return Err(ReadError::Missing);
    }
    let open = places.base.join(path);
    let metadata = match fs::metadata(&open) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(match fs::read_link(&open) {
                Ok(target) => ReadError::Dangling(target),
                Err(_) => ReadError::Missing,
            });
        }
        Err(error) => return Err(error.into()),
    };
    if metadata.is_dir() {
        let real = real_folder(&open)?;
        let root = places.tree(path, &real)?;
        return Ok(Given::Folder { open, real, root });
    }
    let folder = match open.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let real = real_folder(folder)?;
    let root = places.tree(path, &real)?;
    Ok(Given::File { open, root })
}

/// The folder from which relative paths are taken.
pub(super) struct Places {
    base: PathBuf,
}

impl Places {
    pub(super) fn new(base: &Path) -> Self {
        Self {
            base: base.to_owned(),
        }
    }

    /// The tree that may be written in, for a path given by the user whose
    /// folder is really at `real`. This is `real` itself; but a relative path
    /// that goes only downwards by its letters, and leads out of the current
    /// folder through a symlink, gives the current folder: then nothing that
    /// it leads to is written. `dfmigrate --apply */*/Dockerfile` over
    /// repositories of other people must not follow their symlinks away. Who
    /// means it can give the real path.
    fn tree(&self, path: &Path, real: &Arc<Path>) -> io::Result<Arc<Path>> {
        let downwards = path
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if downwards {
            let base = match self.base.as_os_str().is_empty() {
                true => PathBuf::from("."),
                false => self.base.clone(),
            };
            let base = real_folder(&base)?;
            if !real.starts_with(&base) {
                return Ok(base);
            }
        }
        Ok(real.clone())
    }
}
