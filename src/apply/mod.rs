//! Writing what was shown, so that a file is at each moment the old one or
//! the new one, whatever happens to the process, the disk or the tree.
//!
//! A new file is made beside the old one and renamed over it. Both happen
//! relative to a folder that was reached from the tree's root without
//! following a symlink, so a symlink swapped in meanwhile leads nowhere else.
//!
//! What is promised: the bytes under the name are the reviewed old ones right
//! before the rename; mode, owner, access control list and `user.*`
//! attributes are kept; the new file is on the disk when [`write_all`]
//! returns, and with [`Sync::Each`] when [`write`] does. What is not: a program that writes into the old file in
//! place within the microseconds between the last look and the rename loses
//! that write, since no system call closes this gap.

mod batch;
mod git;
pub mod history;
mod journal;
mod write;

pub use batch::{Change, write_all};
pub use git::{Committed, committed};
pub use journal::{Journal, Past, Undone, last};
pub use write::{Disks, Prepared, sweep};

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::discover::Source;

/// What is allowed, and what is waited for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Also write a file that has several names: the one that was looked at
    /// gets the new content, the others keep the old.
    pub hard_links: bool,
    /// Also write a file that is read-only; it stays so.
    pub read_only: bool,
    /// When it is made sure that the disk has it.
    pub sync: Sync,
}

/// When it is made sure that the disk has a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Sync {
    /// Each file and its folder at once.
    #[default]
    Each,
    /// Later, by [`Disks::flush`], for many files in one go. Until then a power
    /// failure may leave an old, a new or (on some file systems) an empty file
    /// unless `flush` also ran between [`Prepared::new`] and
    /// [`Prepared::commit`]. The death of the process alone does no harm.
    Later,
}

/// A file that was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    /// Its real place, behind all symlinks.
    pub path: PathBuf,
    /// How many bytes it has now.
    pub bytes: usize,
}

/// Why a file was not written. It prints as "why; what to do", to stand
/// behind the path. The file is as it was but for [`WriteError::NotSynced`].
#[derive(Debug)]
#[non_exhaustive]
pub enum WriteError {
    /// It is gone.
    Missing,
    /// It is no regular file any more.
    NotAFile,
    /// It is really there, which is out of the tree.
    Leaves {
        /// Its real place.
        target: PathBuf,
        /// The tree.
        root: PathBuf,
    },
    /// It has so many names.
    HardLinks(u64),
    /// It is read-only, or may not be written by this user.
    ReadOnly,
    /// Its bytes are no longer those that were reviewed.
    Changed,
    /// A folder on the way to it was moved or replaced meanwhile.
    Moved,
    /// The new file can't be given the owner of the old.
    Owner(io::Error),
    /// The new file can't be given the mode, access control list or an
    /// attribute of the old.
    Attributes(io::Error),
    /// The system refuses: what was being done, and what it says.
    Failed {
        /// What was being done, as the end of "could not …".
        doing: &'static str,
        /// What the system says.
        error: io::Error,
    },
    /// It was written, but the disk did not confirm it.
    NotSynced(io::Error),
}

impl WriteError {
    /// Whether the new bytes stand under the name in spite of the error.
    #[must_use]
    pub fn is_written(&self) -> bool {
        matches!(self, Self::NotSynced(_))
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSynced(error) => {
                return write!(
                    f,
                    "was written, but the disk did not confirm it: {error}; check the disk"
                );
            }
            _ => f.write_str("was not written: ")?,
        }
        match self {
            Self::Missing => f.write_str("it is gone; run again"),
            Self::NotAFile => f.write_str(
                "it is no longer a regular file; if you did not do this, look who did, and run \
                 again",
            ),
            Self::Leaves { target, root } => write!(
                f,
                "it leads through a symlink to {}, outside of {}; to change that file, name it \
                 by its real path",
                target.display(),
                root.display()
            ),
            Self::HardLinks(names) => write!(
                f,
                "it is one of {names} names (hard links) of one file, and the others would keep \
                 the old content; write it with --allow-hard-links, or make it a file of its own"
            ),
            Self::ReadOnly => {
                f.write_str("it is read-only; make it writable, or write it with --allow-read-only")
            }
            Self::Changed => {
                f.write_str("it changed since it was reviewed; run again to see it as it is now")
            }
            Self::Moved => f.write_str(
                "a folder on the way to it was moved or replaced meanwhile; run again when \
                 nothing else changes the tree",
            ),
            Self::Owner(error) => write!(
                f,
                "its owner and group could not be kept: {error}; run as its owner or as root"
            ),
            Self::Attributes(error) => write!(
                f,
                "its mode or attributes could not be kept: {error}; write it as its owner, or \
                 remove the attributes"
            ),
            Self::Failed { doing, error } => {
                write!(f, "could not {doing}: {error}")?;
                f.write_str(match error.kind() {
                    io::ErrorKind::PermissionDenied => {
                        "; this needs write permission in its folder"
                    }
                    io::ErrorKind::StorageFull => "; make room on the disk and run again",
                    io::ErrorKind::QuotaExceeded => "; make room in your quota and run again",
                    io::ErrorKind::ReadOnlyFilesystem => {
                        "; the file system is read-only, so work on a copy"
                    }
                    _ => "; mend this and run again",
                })
            }
            Self::NotSynced(_) => Ok(()),
        }
    }
}

impl std::error::Error for WriteError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Owner(error)
            | Self::Attributes(error)
            | Self::Failed { error, .. }
            | Self::NotSynced(error) => Some(error),
            _ => None,
        }
    }
}

/// Replaces the bytes of a file, which must still be `before`, by `after`.
/// A symlink within the tree stays; the file behind it is written.
///
/// # Errors
/// [`WriteError`]; the file is as it was, and nothing is left beside it.
pub fn write(
    source: &Source,
    before: &[u8],
    after: &[u8],
    options: &Options,
) -> Result<Written, WriteError> {
    Prepared::new(source, before, after, options)?.commit(before)
}
