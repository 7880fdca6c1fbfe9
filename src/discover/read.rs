//! Reading one file that may be anything.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::Source;
use crate::beneath::{Folder, Kind, stat_of};

/// The largest file that is read as a Dockerfile: 8 MiB. BuildKit gets the
/// whole file in one gRPC message, which may have 16 MiB at most; the largest
/// real Dockerfile in the corpora this was tried on is far below one.
pub const MAX_BYTES: u64 = 8 << 20;

/// The most lines of a file that is read as a Dockerfile. What they are read
/// into takes up to some kilobytes a line, and nobody could review as many.
pub const MAX_LINES: usize = 20_000;

/// Whether bytes that came from anywhere are of a size that is read.
///
/// # Errors
/// [`ReadError::TooLarge`] and [`ReadError::TooLong`].
pub fn check_size(bytes: &[u8]) -> Result<(), ReadError> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(ReadError::TooLarge {
            bytes: bytes.len() as u64,
            cap: MAX_BYTES,
        });
    }
    match memchr::memchr_iter(b'\n', bytes).count() {
        lines if lines > MAX_LINES => Err(ReadError::TooLong(lines)),
        _ => Ok(()),
    }
}

/// Why a file can't be read. It prints as "why; what to do", to stand behind
/// the path.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ReadError {
    /// There is nothing at the path.
    Missing,
    /// A symlink to nothing.
    Dangling(PathBuf),
    /// The permissions don't allow it.
    Denied,
    /// A folder stands where a file was expected.
    Folder,
    /// A pipe, a socket or a device.
    Special,
    /// More bytes than are read.
    TooLarge {
        /// Its size, as far as it is known.
        bytes: u64,
        /// What is read at most.
        cap: u64,
    },
    /// So many lines, which are more than are read.
    TooLong(usize),
    /// A symlink found in a folder that leads out of the folder, to there.
    Leaves(PathBuf),
    /// It became something else while it was looked at.
    Changed,
    /// Whatever else the system says.
    Failed(String),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("there is no such file or folder; check the path"),
            Self::Dangling(target) => write!(
                f,
                "is a symlink to {}, which is not there; mend or remove the link",
                target.display()
            ),
            Self::Denied => f.write_str(
                "may not be read: permission denied; allow it with chmod or run as its owner",
            ),
            Self::Folder => f.write_str(
                "is a folder, not a file; give the path of a file in it, or rename the folder",
            ),
            Self::Special => f.write_str(
                "is a pipe, a socket or a device, not a file; to read a Dockerfile from a \
                 program, give `-` and pipe it to standard input",
            ),
            Self::TooLarge { bytes, cap } => write!(
                f,
                "has {}, more than the {} that are read of a Dockerfile; it is hardly one, so leave it out",
                Size(*bytes),
                Size(*cap)
            ),
            Self::TooLong(lines) => write!(
                f,
                "has {lines} lines, more than the {MAX_LINES} that are read of a Dockerfile; it is hardly one, so leave it out"
            ),
            Self::Leaves(target) => write!(
                f,
                "is a symlink that leads out of the given folder, to {}; to read that file, \
                 name it",
                target.display()
            ),
            Self::Changed => {
                f.write_str("was replaced by something else while it was read; run again")
            }
            Self::Failed(why) => write!(f, "could not be read: {why}"),
        }
    }
}

impl std::error::Error for ReadError {}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Missing,
            io::ErrorKind::PermissionDenied => Self::Denied,
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// A number of bytes, for people.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[allow(clippy::cast_precision_loss)]
        let bytes = self.0 as f64;
        match self.0 {
            0..10_000 => write!(f, "{} bytes", self.0),
            10_000..1_000_000 => write!(f, "{:.0} kB", bytes / 1e3),
            1_000_000..1_000_000_000 => write!(f, "{:.1} MB", bytes / 1e6),
            _ => write!(f, "{:.1} GB", bytes / 1e9),
        }
    }
}

/// The bytes of a source, if they are at most `cap` (usually [`MAX_BYTES`]).
/// Only regular files are read: a pipe or a device is never waited for.
///
/// # Errors
/// [`ReadError`], which says what to do.
pub fn read(source: &Source, cap: u64) -> Result<Vec<u8>, ReadError> {
    let file = if source.named {
        // The user's own word: symlinks are followed.
        match fs::metadata(&source.path)? {
            what if what.is_dir() => return Err(ReadError::Folder),
            what if what.is_file() => {}
            _ => return Err(ReadError::Special),
        }
        open(&source.path, OFlags::empty())?
    } else if source.link {
        open_link(source)?
    } else {
        match open(&source.path, OFlags::NOFOLLOW) {
            Ok(file) => file,
            Err(error) => {
                let became = fs::symlink_metadata(&source.path)?;
                return Err(match became.is_file() {
                    true => error.into(),
                    false => ReadError::Changed,
                });
            }
        }
    };
    read_open(file, cap)
}

/// Opens a file without waiting for anything.
fn open(path: &Path, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY;
    fs::OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}

/// Opens what a symlink in a folder leads to, if it is in the tree.
fn open_link(source: &Source) -> Result<File, ReadError> {
    let target = fs::canonicalize(&source.path)?;
    let (Ok(_), Some(folder), Some(name)) = (
        target.strip_prefix(&source.root),
        target.parent(),
        target.file_name(),
    ) else {
        return Err(ReadError::Leaves(target));
    };
    let folder = Folder::open_canonical(folder)?;
    match folder.kind(name)? {
        Kind::File => Ok(folder.file(name)?),
        Kind::Folder => Err(ReadError::Folder),
        Kind::Link => Err(ReadError::Changed),
        Kind::Special => Err(ReadError::Special),
    }
}

/// Reads an open file to its end.
fn read_open(file: File, cap: u64) -> Result<Vec<u8>, ReadError> {
    let stat = stat_of(&file)?;
    match Kind::of_stat(&stat) {
        Kind::File => {}
        Kind::Folder => return Err(ReadError::Folder),
        Kind::Link => return Err(ReadError::Changed),
        Kind::Special => return Err(ReadError::Special),
    }
    let bytes = u64::try_from(stat.st_size).unwrap_or(0);
    if bytes > cap {
        return Err(ReadError::TooLarge { bytes, cap });
    }
    let mut text = Vec::with_capacity(usize::try_from(bytes).unwrap_or(0) + 1);
    // It may grow, and some files don't know their size.
    file.take(cap + 1).read_to_end(&mut text)?;
    let bytes = text.len() as u64;
    if bytes > cap {
        return Err(ReadError::TooLarge { bytes, cap });
    }
    check_size(&text)?;
    Ok(text)
}
