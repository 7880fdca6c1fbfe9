//! A path that the user gave: what it is, how it is printed, and which tree
//! it allows to write in.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::ReadError;

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
        let real = places.real(&open)?;
        let root = places.tree(path, &real)?;
        return Ok(Given::Folder { open, real, root });
    }
    let folder = match open.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let real = places.real(folder)?;
    let root = places.tree(path, &real)?;
    Ok(Given::File { open, root })
}

/// The real places of folders, each found out once: over a list of thousands
/// of files this is one `lstat` for each folder.
pub(super) struct Places {
    base: PathBuf,
    known: HashMap<PathBuf, Arc<Path>>,
}

impl Places {
    pub(super) fn new(base: &Path) -> Self {
        Self {
            base: base.to_owned(),
            known: HashMap::new(),
        }
    }

    /// The tree that may be written in, for a path given by the user whose
    /// folder is really at `real`. This is `real` itself; but a relative path
    /// that goes only downwards by its letters, and leads out of the current
    /// folder through a symlink, gives the current folder: then nothing that
    /// it leads to is written. `dfmigrate --apply */*/Dockerfile` over
    /// repositories of other people must not follow their symlinks away. Who
    /// means it can give the real path.
    fn tree(&mut self, path: &Path, real: &Arc<Path>) -> io::Result<Arc<Path>> {
        let downwards = path
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if downwards {
            let base = match self.base.as_os_str().is_empty() {
                true => PathBuf::from("."),
                false => self.base.clone(),
            };
            let base = self.real(&base)?;
            if !real.starts_with(&base) {
                return Ok(base);
            }
        }
        Ok(real.clone())
    }

    /// The real place of a folder.
    fn real(&mut self, folder: &Path) -> io::Result<Arc<Path>> {
        if let Some(known) = self.known.get(folder) {
            return Ok(known.clone());
        }
        let real = match (folder.parent(), folder.file_name()) {
            // A plain name in a folder: its real place is below the folder's.
            (Some(parent), Some(name)) if !fs::symlink_metadata(folder)?.is_symlink() => {
                let parent = match parent.as_os_str().is_empty() {
                    true => Path::new("."),
                    false => parent,
                };
                self.real(parent)?.join(name).into()
            }
            _ => fs::canonicalize(folder)?.into(),
        };
        self.known.insert(folder.to_owned(), Arc::clone(&real));
        Ok(real)
    }
}
