//! Folders held open by descriptor, entered one name at a time and never
//! through a symlink. The edges that touch untrusted trees ([`crate::discover`],
//! [`crate::context`], [`crate::apply`]) stand on this: a path is checked once,
//! by walking it, and what follows happens relative to the folder that was
//! reached. A symlink swapped in meanwhile can't lead anywhere else.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};

/// What stands under a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symlink.
    Link,
    /// A pipe, socket or device: nothing that is ever opened here.
    Special,
}

impl Kind {
    fn of(kind: FileType) -> Option<Self> {
        match kind {
            FileType::RegularFile => Some(Self::File),
            FileType::Directory => Some(Self::Folder),
            FileType::Symlink => Some(Self::Link),
            FileType::Unknown => None,
            _ => Some(Self::Special),
        }
    }

    /// The kind that a `stat` says.
    #[must_use]
    pub fn of_stat(stat: &Stat) -> Self {
        Self::of(FileType::from_raw_mode(stat.st_mode)).unwrap_or(Self::Special)
    }
}

/// A folder held open.
#[derive(Debug)]
pub struct Folder(OwnedFd);

/// Linux can hold a folder that may be passed through but not listed.
#[cfg(any(target_os = "linux", target_os = "android"))]
const HOLD: OFlags = OFlags::PATH;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const HOLD: OFlags = OFlags::RDONLY;

impl Folder {
    /// Opens a folder by a path that may lead through symlinks: for the
    /// folders that the user named.
    ///
    /// # Errors
    /// As the system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = HOLD | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(path, flags, Mode::empty())?))
    }

    /// Opens a folder by a canonical path (absolute, without symlinks, `.` or
    /// `..`), walking it from the root. A component that has become a symlink
    /// since the path was made is an error.
    ///
    /// # Errors
    /// As the system says; `InvalidInput` for a path that is not canonical.
    pub fn open_canonical(path: &Path) -> io::Result<Self> {
        let mut components = path.components();
        if components.next() != Some(Component::RootDir) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Self::open(Path::new("/"))?.walk(components.as_path())
    }

    /// The folder at a relative path of plain names, each entered without
    /// following a symlink.
    ///
    /// # Errors
    /// As the system says; `InvalidInput` for a component that is not a name.
    pub fn walk(self, path: &Path) -> io::Result<Self> {
        let mut here = self;
        for component in path.components() {
            let Component::Normal(name) = component else {
                return Err(io::ErrorKind::InvalidInput.into());
            };
            here = here.enter(name)?;
        }
        Ok(here)
    }

    /// The folder `name` in this one; a symlink is an error.
    ///
    /// # Errors
    /// As the system says.
    pub fn enter(&self, name: &OsStr) -> io::Result<Self> {
        let flags = HOLD | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::openat(
            &self.0,
            name,
            flags,
            Mode::empty(),
        )?))
    }

    /// The same folder once more.
    ///
    /// # Errors
    /// When no descriptor is left.
    pub fn again(&self) -> io::Result<Self> {
        Ok(Self(self.0.try_clone()?))
    }

    /// What stands under `name`, symlinks not followed.
    ///
    /// # Errors
    /// As the system says.
    pub fn stat(&self, name: &OsStr) -> io::Result<Stat> {
        Ok(rustix::fs::statat(
            &self.0,
            name,
            AtFlags::SYMLINK_NOFOLLOW,
        )?)
    }

    /// What stands under `name`, symlinks not followed.
    ///
    /// # Errors
    /// As the system says.
    pub fn kind(&self, name: &OsStr) -> io::Result<Kind> {
        Ok(Kind::of_stat(&self.stat(name)?))
    }

    /// Opens a file to read, never through a symlink and never waiting for
    /// the other end of a pipe. What was opened must still be looked at: use
    /// [`stat_of`].
    ///
    /// # Errors
    /// As the system says.
    pub fn file(&self, name: &OsStr) -> io::Result<File> {
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.0, name, flags, Mode::empty())?.into())
    }

    /// Where the symlink `name` points.
    ///
    /// # Errors
    /// As the system says.
    pub fn link(&self, name: &OsStr) -> io::Result<PathBuf> {
        let target = rustix::fs::readlinkat(&self.0, name, Vec::new())?;
        Ok(OsString::from_vec(target.into_bytes()).into())
    }

    /// The names in this folder with what stands under them, in no order;
    /// `None` when there are more than `cap`.
    ///
    /// # Errors
    /// As the system says.
    pub fn entries(&self, cap: usize) -> io::Result<Option<Vec<(OsString, Kind)>>> {
        let mut found = Vec::new();
        for entry in rustix::fs::Dir::new(self.listable()?)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            if found.len() == cap {
                return Ok(None);
            }
            let name = OsStr::from_bytes(name).to_owned();
            let kind = match Kind::of(entry.file_type()) {
                Some(kind) => kind,
                // Some file systems don't say.
                None => match self.kind(&name) {
                    Ok(kind) => kind,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                },
            };
            found.push((name, kind));
        }
        Ok(Some(found))
    }

    /// The device and inode, which say whether two folders are one.
    ///
    /// # Errors
    /// As the system says.
    pub fn id(&self) -> io::Result<(u64, u64)> {
        Ok(id_of(&rustix::fs::fstat(&self.0)?))
    }

    /// Waits until the folder's entries are on the disk.
    ///
    /// # Errors
    /// As the system says.
    pub fn sync(&self) -> io::Result<()> {
        match rustix::fs::fsync(self.listable()?) {
            // Some file systems can't sync a folder, and say so like this.
            Ok(()) | Err(rustix::io::Errno::INVAL) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The folder, opened to be listed and synced.
    ///
    /// # Errors
    /// As the system says.
    pub fn listable(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.0, c".", flags, Mode::empty())?)
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The device and inode of a `stat`.
#[must_use]
// The types differ between systems.
#[allow(clippy::unnecessary_cast, clippy::cast_sign_loss)]
pub fn id_of(stat: &Stat) -> (u64, u64) {
    (stat.st_dev as u64, stat.st_ino as u64)
}

/// What an open file is.
///
/// # Errors
/// As the system says.
pub fn stat_of(file: &File) -> io::Result<Stat> {
    Ok(rustix::fs::fstat(file)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_symlink_is_never_entered() {
        let tree = tempfile::tempdir().unwrap();
        let root = tree.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        symlink("a", root.join("link")).unwrap();
        assert!(Folder::open_canonical(&root.join("a/b")).is_ok());
        assert!(Folder::open_canonical(&root.join("link/b")).is_err());
        assert!(Folder::open_canonical(&root.join("link")).is_err());
        assert!(Folder::open_canonical(Path::new("a")).is_err());
        let folder = Folder::open_canonical(&root).unwrap();
        assert!(folder.again().unwrap().walk(Path::new("../x")).is_err());
        assert_eq!(folder.link(OsStr::new("link")).unwrap(), Path::new("a"));
        let mut names = folder.entries(10).unwrap().unwrap();
        names.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(
            names,
            [("a".into(), Kind::Folder), ("link".into(), Kind::Link)]
        );
        assert_eq!(folder.entries(1).unwrap(), None);
    }
}
