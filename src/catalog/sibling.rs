//! From a full image to its slim, Alpine or runtime-only sibling.

use std::fmt;

use super::codename_tag;
use super::memo::Memo;
use super::spelling::{Spellings, insertions, tokens};
use super::tags::{Entry, Kind, has_kind, is_official, lookup, tags};

/// Why there is no such sibling.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoSibling {
    /// No official image has that name.
    NotOfficial,
    /// The image is official; no such tag is or was in the library.
    UnknownTag,
    /// The tag names no image to start from, but one of this sort.
    Not(Kind),
    /// The tag names a runtime without a development kit already.
    IsRuntime,
    /// It isn't known what the image is built on, so nothing is provably alike.
    UnknownBase,
    /// No tag of the image was ever of that sort.
    NoneOfImage,
    /// The image has some, none with this version on this base.
    NoneOfTag,
    /// There is one, of another version, or on another base, or in the library
    /// while this one isn't (or the other way round).
    Differs,
}

impl fmt::Display for NoSibling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOfficial => f.write_str("it is no official image"),
            Self::UnknownTag => f.write_str("the catalogue has no such tag"),
            Self::Not(kind) => write!(f, "the tag names the {} variant", kind.as_str()),
            Self::IsRuntime => f.write_str("the tag names the runtime alone already"),
            Self::UnknownBase => {
                f.write_str("the catalogue doesn't know which distribution it is built on")
            }
            Self::NoneOfImage => f.write_str("the image has no such variant"),
            Self::NoneOfTag => {
                f.write_str("the image has no such variant of this version on this base")
            }
            Self::Differs => f.write_str("the variant differs in version, base or support"),
        }
    }
}

/// The slim sibling of a full tag: the same version, at the same precision, on
/// the same release of the distribution, and both in the library or both frozen
/// on the same day: `20-slim` for `node:20`, `3.12-slim-bookworm` for
/// `python:3.12-bookworm`. Where only the pinned form of the tag
/// ([`codename_tag`]) has one, that.
///
/// # Errors
///
/// Says why there is none.
pub fn slim_tag(image: &str, tag: &str) -> Result<String, NoSibling> {
    static KNOWN: Memo<Result<String, NoSibling>> = Memo::new();
    KNOWN.answer(image, tag, find_slim)
}

fn find_slim(image: &str, tag: &str) -> Result<String, NoSibling> {
    let entry = known(image, tag)?;
    if entry.kind != Kind::Full {
        return Err(NoSibling::Not(entry.kind));
    }
    if entry.base.is_none() {
        return Err(NoSibling::UnknownBase);
    }
    let pinned = codename_tag(image, tag).map(|pin| pin.tag).ok();
    let candidates = [Some(tag), pinned.as_deref()].into_iter().flatten();
    let candidates = candidates.flat_map(|tag| {
        let tokens = tokens(tag);
        insertions(&tokens, Kind::Slim.as_str()).collect::<Vec<_>>()
    });
    choose(
        image,
        &entry,
        candidates,
        |_, other| other.kind == Kind::Slim,
        |other| same_base(&entry, other),
        || has_kind(image, Kind::Slim),
    )
}

/// The Alpine sibling of a full or slim tag: the same version, at the same
/// precision, and both in the library or both frozen on the same day:
/// `20-alpine` for `node:20`, `node:20-slim` and `node:20-bookworm`. Pin it
/// with [`codename_tag`]. Where only the pinned form of the tag has one, that.
///
/// # Errors
///
/// Says why there is none.
pub fn alpine_tag(image: &str, tag: &str) -> Result<String, NoSibling> {
    static KNOWN: Memo<Result<String, NoSibling>> = Memo::new();
    KNOWN.answer(image, tag, find_alpine)
}

fn find_alpine(image: &str, tag: &str) -> Result<String, NoSibling> {
    let entry = known(image, tag)?;
    if !matches!(entry.kind, Kind::Full | Kind::Slim) {
        return Err(NoSibling::Not(entry.kind));
    }
    let spellings = entry.base.and_then(|base| Spellings::of(image, &base));
    let pinned = codename_tag(image, tag).map(|pin| pin.tag).ok();
    let candidates = [Some(tag), pinned.as_deref()].into_iter().flatten();
    let candidates = candidates.flat_map(|tag| {
        // Without the distribution: `20-bookworm-slim` is `20`.
        let mut bare = tokens(tag);
        if let Some(spellings) = &spellings {
            spellings.take_out_of(&mut bare);
        }
        bare.retain(|token| *token != Kind::Slim.as_str());
        insertions(&bare, Kind::Alpine.as_str()).collect::<Vec<_>>()
    });
    choose(
        image,
        &entry,
        candidates,
        |_, other| other.kind == Kind::Alpine,
        |_| true,
        || has_kind(image, Kind::Alpine),
    )
}

/// The sibling of a tag with a Java development kit that has the runtime alone:
/// the same version, kind and base, and both in the library or both frozen on
/// the same day: `21-jre` for `eclipse-temurin:21` and `eclipse-temurin:21-jdk`.
/// Where only the pinned form of the tag has one, that.
///
/// # Errors
///
/// Says why there is none.
pub fn runtime_tag(image: &str, tag: &str) -> Result<String, NoSibling> {
    static KNOWN: Memo<Result<String, NoSibling>> = Memo::new();
    KNOWN.answer(image, tag, find_runtime)
}

fn find_runtime(image: &str, tag: &str) -> Result<String, NoSibling> {
    const KIT: &str = "jdk";
    let entry = known(image, tag)?;
    if entry.base.is_none() {
        return Err(NoSibling::UnknownBase);
    }
    let all = tokens(tag);
    if all.contains(&RUNTIME) {
        return Err(NoSibling::IsRuntime);
    }
    let pinned = codename_tag(image, tag).map(|pin| pin.tag).ok();
    let candidates = [Some(tag), pinned.as_deref()]
        .into_iter()
        .flatten()
        .flat_map(|tag| {
            let mut tokens = tokens(tag);
            match tokens.iter().position(|token| *token == KIT) {
                Some(at) => {
                    tokens[at] = RUNTIME;
                    vec![tokens.join("-")]
                }
                None => insertions(&tokens, RUNTIME).collect(),
            }
        });
    let is_runtime = |tag: &str, other: &Entry| {
        other.kind == entry.kind && tag.split('-').any(|token| token == RUNTIME)
    };
    choose(
        image,
        &entry,
        candidates,
        is_runtime,
        |other| same_base(&entry, other),
        || has_runtime(image, entry.kind),
    )
}

/// The word for a runtime without a development kit in tags.
const RUNTIME: &str = "jre";

/// Whether any tag of an image of that kind, present or gone, names the runtime
/// alone. Asked of every image that has no such sibling, so the walk over its
/// tags is made once.
fn has_runtime(image: &str, kind: Kind) -> bool {
    static KNOWN: Memo<bool> = Memo::new();
    KNOWN.answer(image, kind.as_str(), |image, _| {
        tags(image)
            .any(|(tag, entry)| entry.kind == kind && tag.split('-').any(|token| token == RUNTIME))
    })
}

fn known(image: &str, tag: &str) -> Result<Entry, NoSibling> {
    lookup(image, tag).ok_or_else(|| {
        if is_official(image) {
            NoSibling::UnknownTag
        } else {
            NoSibling::NotOfficial
        }
    })
}

fn same_base(one: &Entry, other: &Entry) -> bool {
    one.base
        .zip(other.base)
        .is_some_and(|(one, other)| one.same_release(&other))
}

/// The first candidate of that sort that lives as long as the entry, has its
/// version, and fits.
fn choose(
    image: &str,
    entry: &Entry,
    candidates: impl Iterator<Item = String>,
    is_of_sort: impl Fn(&str, &Entry) -> bool,
    fits: impl Fn(&Entry) -> bool,
    image_has_some: impl Fn() -> bool,
) -> Result<String, NoSibling> {
    let mut seen = false;
    for candidate in candidates {
        let Some(other) = lookup(image, &candidate) else {
            continue;
        };
        if !is_of_sort(&candidate, &other) {
            continue;
        }
        if entry.same_life(&other) && entry.version == other.version && fits(&other) {
            return Ok(candidate);
        }
        seen = true;
    }
    Err(if seen {
        NoSibling::Differs
    } else if image_has_some() {
        NoSibling::NoneOfTag
    } else {
        NoSibling::NoneOfImage
    })
}
