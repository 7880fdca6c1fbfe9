//! What a rule may ask of the world, as data: every answer can be "unknown",
//! and unknown never raises a claim.

/// An answer that may not be had.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Known<T> {
    /// It is there, and this is it.
    Yes(T),
    /// It is known not to be there.
    No,
    /// Nobody can say, and why.
    Unknown(Unavailable),
}

/// Why something is unknown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unavailable {
    /// No build context (text from standard input, say), or offline.
    Offline,
    /// It may not be read: outside the context, or permission denied.
    Denied,
    /// It is over the size that is read, in bytes.
    TooLarge(u64),
    /// Anything else, in words for a person.
    Failed(String),
}

impl<T> Known<T> {
    /// The answer, where there is one.
    pub fn yes(self) -> Option<T> {
        match self {
            Self::Yes(value) => Some(value),
            _ => None,
        }
    }
}

/// The build context of one Dockerfile, as the builder would see it: paths are
/// relative to the context's root, `/`-separated, and what `.dockerignore`
/// excludes is not there.
pub trait Files: Sync {
    /// The bytes of a regular file.
    fn read(&self, path: &str) -> Known<Vec<u8>>;
    /// Whether a file or folder is there.
    fn exists(&self, path: &str) -> Known<bool>;
    /// The entries of a folder (`""` is the root), sorted: name, and whether
    /// it is a folder.
    fn list(&self, path: &str) -> Known<Vec<(String, bool)>>;

    /// The text of a regular file, bytes that are not UTF-8 replaced.
    fn text(&self, path: &str) -> Known<String> {
        match self.read(path) {
            Known::Yes(bytes) => Known::Yes(String::from_utf8_lossy(&bytes).into_owned()),
            Known::No => Known::No,
            Known::Unknown(why) => Known::Unknown(why),
        }
    }
}

/// No build context at all: everything is unknown.
pub struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _: &str) -> Known<Vec<u8>> {
        Known::Unknown(Unavailable::Offline)
    }
    fn exists(&self, _: &str) -> Known<bool> {
        Known::Unknown(Unavailable::Offline)
    }
    fn list(&self, _: &str) -> Known<Vec<(String, bool)>> {
        Known::Unknown(Unavailable::Offline)
    }
}
