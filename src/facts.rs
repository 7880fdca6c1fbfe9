//! What a rule may ask of the world, as data: every answer can be "unknown",
//! and unknown never raises a claim.

use std::fmt;

use jiff::Timestamp;

use crate::image::Reference;

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

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offline => f.write_str("the network is not used"),
            Self::Denied => f.write_str("it may not be read"),
            Self::TooLarge(most) => write!(f, "it is over {most} bytes"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

impl<T> Known<T> {
    /// The answer, where there is one.
    pub fn yes(self) -> Option<T> {
        match self {
            Self::Yes(value) => Some(value),
            _ => None,
        }
    }

    /// The same, with the answer made into another.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Known<U> {
        match self {
            Self::Yes(value) => Known::Yes(make(value)),
            Self::No => Known::No,
            Self::Unknown(why) => Known::Unknown(why),
        }
    }
}

/// The build context of one Dockerfile, as the builder would see it: paths are
/// relative to the context's root, `/`-separated, and what `.dockerignore`
/// excludes is not there.
pub trait Files: Sync {
    /// The bytes of a regular file.
    fn read(&self, path: &str) -> Known<Vec<u8>>;
    /// The bytes of a regular file of at most `cap` bytes, for what is larger
    /// than text: programs and libraries.
    fn bytes(&self, path: &str, cap: u64) -> Known<Vec<u8>>;
    /// The first bytes of a regular file, at most `len`, whatever its size.
    fn head(&self, path: &str, len: usize) -> Known<Vec<u8>>;
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
    fn bytes(&self, _: &str, _: u64) -> Known<Vec<u8>> {
        Known::Unknown(Unavailable::Offline)
    }
    fn head(&self, _: &str, _: usize) -> Known<Vec<u8>> {
        Known::Unknown(Unavailable::Offline)
    }
    fn exists(&self, _: &str) -> Known<bool> {
        Known::Unknown(Unavailable::Offline)
    }
    fn list(&self, _: &str) -> Known<Vec<(String, bool)>> {
        Known::Unknown(Unavailable::Offline)
    }
}

/// What a tag names now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resolved {
    /// The digest (`sha256:…`) of the index, or of the manifest where the tag
    /// names a single one.
    pub digest: String,
    /// Whether it is a single manifest's.
    pub single: bool,
    /// When the registry said so.
    pub as_of: Timestamp,
    /// Who says so.
    pub told_by: ToldBy,
}

/// Where an answer comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ToldBy {
    /// The registry, in this run.
    Registry,
    /// The registry, in an earlier run.
    Cache,
    /// The lock file.
    Lock,
}

/// The images that one digest stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Index {
    /// The digest of the whole (`sha256:…`).
    pub digest: String,
    /// Whether it is one image rather than a list of them.
    pub single: bool,
    /// The images, attestations left out.
    pub entries: Vec<IndexEntry>,
}

/// One image of an [`Index`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IndexEntry {
    /// `os/architecture[/variant]`, such as `linux/arm64/v8`; `None` where the
    /// registry does not say.
    pub platform: Option<String>,
    /// The digest of its manifest (`sha256:…`).
    pub digest: String,
    /// What it is built on, such as `debian:bookworm`
    /// (`org.opencontainers.image.base.name`).
    pub base_name: Option<String>,
    /// When it was made (`org.opencontainers.image.created`).
    pub created: Option<Timestamp>,
}

/// What registries say of images. `No` means that the registry answers and
/// has no such thing; whatever is between (private, limited, broken, not to be
/// contacted) is unknown, with the reason.
pub trait Images: Sync {
    /// What a tag names now. A digest in the reference is not looked at.
    fn digest(&self, reference: &Reference) -> Known<Resolved>;
    /// The images behind a reference: behind its digest where it has one, else
    /// behind its tag.
    fn index(&self, reference: &Reference) -> Known<Index>;
    /// When an image was made: of an index, the newest of its images.
    fn created(&self, reference: &Reference) -> Known<Timestamp>;
    /// The tags of the repository that a reference names, in the registry's order.
    fn tags(&self, reference: &Reference) -> Known<Vec<String>>;
}

/// No registry at all: everything is unknown.
pub struct NoImages;

impl Images for NoImages {
    fn digest(&self, _: &Reference) -> Known<Resolved> {
        Known::Unknown(Unavailable::Offline)
    }
    fn index(&self, _: &Reference) -> Known<Index> {
        Known::Unknown(Unavailable::Offline)
    }
    fn created(&self, _: &Reference) -> Known<Timestamp> {
        Known::Unknown(Unavailable::Offline)
    }
    fn tags(&self, _: &Reference) -> Known<Vec<String>> {
        Known::Unknown(Unavailable::Offline)
    }
}

/// Everything that may be asked about one file.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// Its build context.
    pub files: &'a dyn Files,
    /// The registries.
    pub images: &'a dyn Images,
    /// Docker Hub's badges.
    pub trust: &'a dyn Trust,
}

impl<'a> Facts<'a> {
    /// A build context, and no registry.
    #[must_use]
    pub fn offline(files: &'a dyn Files) -> Self {
        Self {
            files,
            images: &NoImages,
            trust: &NoTrust,
        }
    }

    /// The same, with registries that may be asked.
    #[must_use]
    pub fn asking(self, images: &'a dyn Images) -> Self {
        Self { images, ..self }
    }

    /// The same, with Docker Hub's word on namespaces.
    #[must_use]
    pub fn trusting(self, trust: &'a dyn Trust) -> Self {
        Self { trust, ..self }
    }

    /// Neither: everything is unknown.
    #[must_use]
    pub fn none() -> Self {
        Self::offline(&NoFiles)
    }
}

/// What Docker Hub says of a namespace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Badge {
    /// A Docker Verified Publisher.
    VerifiedPublisher,
    /// A project in Docker's Sponsored Open Source programme.
    OpenSource,
    /// Neither.
    None,
}

impl Badge {
    /// The word that Docker Hub's API has for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::VerifiedPublisher => "verified_publisher",
            Self::OpenSource => "open_source",
            Self::None => "none",
        }
    }

    /// The badge by the word that Docker Hub's API has for it. None for a word
    /// that isn't known: better unknown than wrong. The official description of
    /// the search API misspells one of them, so both spellings are taken.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "verified_publisher" | "verfified_publisher" => Self::VerifiedPublisher,
            "open_source" => Self::OpenSource,
            "" | "none" => Self::None,
            _ => return None,
        })
    }
}

/// A badge, and when Docker Hub said so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Badged {
    /// The badge.
    pub badge: Badge,
    /// When it was said, in this run or an earlier one.
    pub as_of: Timestamp,
}

/// Who knows what Docker Hub says of namespaces. `No` means that there is no
/// such namespace.
pub trait Trust: Sync {
    /// The badge of a namespace: `grafana` of `grafana/grafana`.
    fn badge(&self, namespace: &str) -> Known<Badged>;
}

/// Nobody is asked: everything is unknown.
pub struct NoTrust;

impl Trust for NoTrust {
    fn badge(&self, _: &str) -> Known<Badged> {
        Known::Unknown(Unavailable::Offline)
    }
}
