//! One file replaced by another.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use rustix::fs::{Access, AtFlags, FlockOperation, Gid, Mode, OFlags, Stat, Uid};
use rustix::io::Errno;

use super::{Options, Sync, WriteError, Written};
use crate::beneath::{Folder, Kind, id_of, stat_of};
use crate::discover::Source;

/// What temporary files are called: this, 16 hexadecimal digits, and [`END`].
const START: &str = ".dfmigrate-";
const END: &str = ".tmp";

/// A new file that stands beside the old one, ready to take its place. It is
/// removed again if it is not committed.
///
/// It holds three descriptors: prepare no more than some hundred at once.
#[derive(Debug)]
pub struct Prepared {
    root: PathBuf,
    /// The folder, below the root.
    below: PathBuf,
    folder: Folder,
    name: OsString,
    old: File,
    old_stat: Stat,
    temporary: Temporary,
    /// Locked as long as it is open, so that [`sweep`] lets it be.
    _new: File,
    bytes: usize,
    hard_links: bool,
    sync: Sync,
}

impl Prepared {
    /// Makes the new file beside the old one.
    ///
    /// # Errors
    /// As for [`super::write`].
    pub fn new(
        source: &Source,
        before: &[u8],
        after: &[u8],
        options: &Options,
    ) -> Result<Self, WriteError> {
        let (below, folder, name) = reach(source)?;
        let old_stat = folder.stat(&name).map_err(looking)?;
        if Kind::of_stat(&old_stat) != Kind::File {
            return Err(WriteError::NotAFile);
        }
        check_names(&old_stat, options.hard_links)?;
        if !options.read_only && is_read_only(&folder, &name, &old_stat)? {
            return Err(WriteError::ReadOnly);
        }
        let old = folder.file(&name).map_err(looking)?;
        let opened = stat_of(&old).map_err(looking)?;
        if id_of(&opened) != id_of(&old_stat) || Kind::of_stat(&opened) != Kind::File {
            return Err(WriteError::Changed);
        }
        if !is(&old, before).map_err(looking)? {
            return Err(WriteError::Changed);
        }

        let (mut new, temporary) = Temporary::new(&folder).map_err(|error| WriteError::Failed {
            doing: "make a temporary file beside it",
            error,
        })?;
        new.write_all(after).map_err(writing)?;
        keep_owner(&new, &opened)?;
        keep_attributes(&old, &new, &opened).map_err(WriteError::Attributes)?;
        if options.sync == Sync::Each {
            new.sync_all().map_err(writing)?;
        }
        Ok(Self {
            root: source.root.to_path_buf(),
            below,
            folder,
            name,
            old,
            old_stat,
            temporary,
            _new: new,
            bytes: after.len(),
            hard_links: options.hard_links,
            sync: options.sync,
        })
    }

    /// The real place of the file's folder.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.root.join(&self.below)
    }

    /// The real place of the file.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder().join(&self.name)
    }

    /// Puts the new file in the place of the old one, if that is still what
    /// it was.
    ///
    /// # Errors
    /// As for [`super::write`].
    pub fn commit(self, before: &[u8]) -> Result<Written, WriteError> {
        let now = Folder::open_canonical(&self.root)
            .and_then(|root| root.walk(&self.below))
            .and_then(|folder| folder.id());
        match now {
            Ok(id) if id == self.folder.id().map_err(looking)? => {}
            _ => return Err(WriteError::Moved),
        }
        let stat = self.folder.stat(&self.name).map_err(looking)?;
        if Kind::of_stat(&stat) != Kind::File {
            return Err(WriteError::NotAFile);
        }
        if id_of(&stat) != id_of(&self.old_stat) || stat.st_mode != self.old_stat.st_mode {
            return Err(WriteError::Changed);
        }
        check_names(&stat, self.hard_links)?;
        if !is(&self.old, before).map_err(looking)? {
            return Err(WriteError::Changed);
        }
        let path = self.path();
        self.temporary
            .rename_to(&self.name)
            .map_err(|error| WriteError::Failed {
                doing: "put the new file in its place",
                error,
            })?;
        if self.sync == Sync::Each {
            self.folder.sync().map_err(WriteError::NotSynced)?;
        }
        Ok(Written {
            path,
            bytes: self.bytes,
        })
    }
}

/// A temporary file, removed when it is dropped.
#[derive(Debug)]
struct Temporary {
    folder: Folder,
    name: Option<OsString>,
}

impl Temporary {
    fn new(folder: &Folder) -> io::Result<(File, Self)> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let again = folder.again()?;
        let mut tries = 0;
        loop {
            tries += 1;
            // Its random state is seeded by the system.
            let random = RandomState::new().build_hasher().finish();
            let name = OsString::from(format!("{START}{random:016x}{END}"));
            let file = match rustix::fs::openat(folder, &name, flags, mode) {
                Ok(file) => File::from(file),
                Err(Errno::EXIST | Errno::INTR) if tries < 100 => continue,
                Err(error) => return Err(error.into()),
            };
            // A sweep in another process may come between the making and the
            // locking, and remove it: then it has no name, and another is made.
            // Where the file system has no locks, no sweep takes one either.
            let _ = rustix::fs::flock(&file, FlockOperation::LockExclusive);
            if stat_of(&file)?.st_nlink == 0 && tries < 100 {
                continue;
            }
            let name = Some(name);
            return Ok((
                file,
                Self {
                    folder: again,
                    name,
                },
            ));
        }
    }

    fn rename_to(mut self, name: &OsStr) -> io::Result<()> {
        if let Some(temporary) = &self.name {
            rustix::fs::renameat(&self.folder, temporary, &self.folder, name)?;
            self.name = None;
        }
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            // Nothing more can be done; the next sweep tries again.
            let _ = rustix::fs::unlinkat(&self.folder, name, AtFlags::empty());
        }
    }
}

/// Reaches the folder of a source's real file: its path below the root, the
/// folder, and the name in it.
fn reach(source: &Source) -> Result<(PathBuf, Folder, OsString), WriteError> {
    let real = fs::canonicalize(&source.path).map_err(looking)?;
    let leaves = || WriteError::Leaves {
        target: real.clone(),
        root: source.root.to_path_buf(),
    };
    let below = real.strip_prefix(&source.root).map_err(|_| leaves())?;
    let (Some(above), Some(name)) = (below.parent(), below.file_name()) else {
        return Err(WriteError::NotAFile);
    };
    let folder = Folder::open_canonical(&source.root)
        .and_then(|root| root.walk(above))
        .map_err(|error| match error.kind() {
            // A symlink or a file in the place of a folder, or nothing.
            io::ErrorKind::NotADirectory | io::ErrorKind::NotFound => WriteError::Moved,
            _ => looking(error),
        })?;
    Ok((above.to_owned(), folder, name.to_owned()))
}

fn looking(error: io::Error) -> WriteError {
    match error.kind() {
        io::ErrorKind::NotFound => WriteError::Missing,
        // A symlink that was swapped in.
        _ if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => WriteError::NotAFile,
        _ => WriteError::Failed {
            doing: "look at it once more",
            error,
        },
    }
}

pub(super) fn writing(error: io::Error) -> WriteError {
    WriteError::Failed {
        doing: "write the new file",
        error,
    }
}

/// Refuses a file of several names.
// The types differ between systems.
#[allow(clippy::useless_conversion, clippy::unnecessary_cast)]
fn check_names(stat: &Stat, allowed: bool) -> Result<(), WriteError> {
    match stat.st_nlink as u64 {
        names if names > 1 && !allowed => Err(WriteError::HardLinks(names)),
        _ => Ok(()),
    }
}

/// Whether nobody may write it by its mode, or this user may not. (A rename
/// would do it all the same: it asks the folder only.)
fn is_read_only(folder: &Folder, name: &OsStr, stat: &Stat) -> Result<bool, WriteError> {
    let by_anyone = Mode::WUSR | Mode::WGRP | Mode::WOTH;
    if !Mode::from_raw_mode(stat.st_mode).intersects(by_anyone) {
        return Ok(true);
    }
    match rustix::fs::accessat(folder, name, Access::WRITE_OK, AtFlags::EACCESS) {
        Ok(()) => Ok(false),
        Err(Errno::ACCESS | Errno::PERM) => Ok(true),
        Err(error) => Err(WriteError::Failed {
            doing: "write it",
            error: error.into(),
        }),
    }
}

/// Whether an open file holds exactly these bytes.
fn is(file: &File, bytes: &[u8]) -> io::Result<bool> {
    if file.metadata()?.len() != bytes.len() as u64 {
        return Ok(false);
    }
    let mut buffer = vec![0; bytes.len().clamp(1, 1 << 16)];
    let mut at = 0;
    loop {
        let read = match file.read_at(&mut buffer, at as u64) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if read == 0 {
            return Ok(at == bytes.len());
        }
        match bytes.get(at..at + read) {
            Some(expected) if *expected == buffer[..read] => at += read,
            _ => return Ok(false),
        }
    }
}

fn keep_owner(new: &File, old: &Stat) -> Result<(), WriteError> {
    let is = stat_of(new).map_err(WriteError::Owner)?;
    if (is.st_uid, is.st_gid) == (old.st_uid, old.st_gid) {
        return Ok(());
    }
    let owner = (is.st_uid != old.st_uid).then(|| Uid::from_raw(old.st_uid));
    let group = (is.st_gid != old.st_gid).then(|| Gid::from_raw(old.st_gid));
    rustix::fs::fchown(new, owner, group).map_err(|error| WriteError::Owner(error.into()))
}

/// Gives the new file the mode, access control list and attributes of the old.
fn keep_attributes(old: &File, new: &File, stat: &Stat) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    attributes::keep(old, new)?;
    // Without a list of its own only: the mode is part of that list.
    let _ = old;
    rustix::fs::fchmod(new, Mode::from_raw_mode(stat.st_mode))?;
    let now = stat_of(new)?;
    if (now.st_mode, now.st_uid, now.st_gid) != (stat.st_mode, stat.st_uid, stat.st_gid) {
        return Err(io::Error::other("the file system changed them"));
    }
    Ok(())
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod attributes {
    use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fremovexattr, fsetxattr};
    use rustix::io::Errno;
    use std::ffi::{CStr, CString};
    use std::fs::File;
    use std::io;

    /// The access control list beyond the mode. A folder's default list
    /// gives one to each new file in it.
    const LIST: &CStr = c"system.posix_acl_access";
    const LABEL: &CStr = c"security.selinux";

    /// Copies the access control list, the security label if possible, and
    /// `user.*`. The rest belongs to the system or speaks of the old bytes.
    pub(super) fn keep(old: &File, new: &File) -> io::Result<()> {
        let names = list(old)?;
        if !names.iter().any(|name| **name == *LIST) {
            match fremovexattr(new, LIST) {
                Ok(()) | Err(Errno::NODATA | Errno::NOTSUP) => {}
                Err(error) => return Err(error.into()),
            }
        }
        for name in names {
            let user = name.to_bytes().starts_with(b"user.");
            if !user && *name != *LIST && *name != *LABEL {
                continue;
            }
            let mut value = vec![0; 1 << 16]; // the most there can be
            let size = match fgetxattr(old, &*name, &mut value) {
                Ok(size) => size,
                Err(Errno::NODATA) => continue,
                Err(error) => return Err(error.into()),
            };
            match fsetxattr(new, &*name, &value[..size], XattrFlags::empty()) {
                Ok(()) => {}
                Err(_) if *name == *LABEL => {} // it has its folder's
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn list(file: &File) -> io::Result<Vec<CString>> {
        let mut names = vec![0; 1 << 8];
        let size = loop {
            match flistxattr(file, &mut names) {
                Ok(size) => break size,
                Err(Errno::NOTSUP) => break 0,
                // There can be 64 KiB of them.
                Err(Errno::RANGE) if names.len() < 1 << 16 => names.resize(1 << 16, 0),
                Err(error) => return Err(error.into()),
            }
        };
        Ok(names[..size]
            .split(|&byte| byte == 0)
            .filter(|name| !name.is_empty())
            .filter_map(|name| CString::new(name).ok())
            .collect())
    }
}

/// The file systems that files are on: of each a folder, held open.
#[derive(Debug, Default)]
pub struct Disks(BTreeMap<u64, OwnedFd>);

impl Disks {
    /// Those of prepared files.
    ///
    /// # Errors
    /// As the system says.
    pub fn of<'a>(prepared: impl Iterator<Item = &'a Prepared>) -> io::Result<Self> {
        let mut disks = BTreeMap::new();
        for prepared in prepared {
            if let Entry::Vacant(entry) = disks.entry(id_of(&prepared.old_stat).0) {
                // A descriptor that only holds a folder can't be synced.
                entry.insert(prepared.folder.listable()?);
            }
        }
        Ok(Self(disks))
    }

    /// Waits until the disks have all that was written.
    ///
    /// # Errors
    /// As the system says.
    pub fn flush(&self) -> io::Result<()> {
        self.0.values().try_for_each(sync_file_system)
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn sync_file_system(folder: impl AsFd) -> io::Result<()> {
    Ok(rustix::fs::syncfs(folder)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn sync_file_system(_: impl AsFd) -> io::Result<()> {
    rustix::fs::sync();
    Ok(())
}

/// Removes the temporary files that a killed run left in the folder of a
/// source, and says how many. Those of a run that goes on are locked, and let
/// be; so is what has not exactly such a name, or not this user as its owner.
///
/// # Errors
/// When the folder can't be reached or listed.
pub fn sweep(source: &Source) -> Result<usize, WriteError> {
    let (_, folder, _) = reach(source)?;
    let Some(entries) = folder.entries(1_000_000).map_err(looking)? else {
        return Ok(0);
    };
    let mut swept = 0;
    for (name, kind) in entries {
        let ours = name
            .to_str()
            .and_then(|name| name.strip_prefix(START)?.strip_suffix(END))
            .is_some_and(|random| {
                random.len() == 16 && random.bytes().all(|b| b.is_ascii_hexdigit())
            });
        if !ours || kind != Kind::File {
            continue;
        }
        let Ok(file) = folder.file(&name) else {
            continue;
        };
        let Ok(stat) = stat_of(&file) else { continue };
        if Kind::of_stat(&stat) == Kind::File
            && stat.st_nlink == 1
            && (stat.st_uid == rustix::process::geteuid().as_raw())
            && rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
            && rustix::fs::unlinkat(&folder, &name, AtFlags::empty()).is_ok()
        {
            swept += 1;
        }
    }
    Ok(swept)
}
