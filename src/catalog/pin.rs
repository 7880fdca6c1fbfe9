//! From a floating tag to the one that names the distribution release too.

use std::fmt;

use super::memo::Memo;
use super::spelling::{Spellings, tokens};
use super::tags::{Base, Entry, Kind, group_tags, is_official, lookup};
use super::{Date, release};

/// A tag that names the release and the same image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pin {
    /// The tag.
    pub tag: String,
    /// What it is built on.
    pub base: Base,
    /// Why it is the same image.
    pub proof: Proof,
    /// The tag asked about stands for images for Windows too, the pin doesn't.
    pub drops_windows: bool,
    /// Words besides the release that it has more than the tag asked about:
    /// `apache` of `11-apache-trixie` for `drupal:11`. What a tag leaves open is
    /// chosen by the image's makers, and may be chosen otherwise later.
    pub also: Vec<String>,
}

/// Why two tags name the same image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proof {
    /// One group of the library names both, as of [`super::source`].
    AliasGroup,
    /// They left the library in one group and no longer change.
    Frozen {
        /// The day they left.
        since: Date,
    },
}

/// Why there is no such tag.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoPin {
    /// No official image has that name.
    NotOfficial,
    /// The image is official; no such tag is or was in the library.
    UnknownTag,
    /// The tag names the release already.
    Named(Base),
    /// The image is for Windows.
    Windows,
    /// It isn't known what the image is built on.
    UnknownBase,
    /// It is built on something that has no settled releases.
    NoRelease(Base),
    /// No tag of the same image names the release at this precision.
    NoAlias(Base),
}

impl fmt::Display for NoPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOfficial => f.write_str("it is no official image"),
            Self::UnknownTag => f.write_str("the catalogue has no such tag"),
            Self::Named(base) => {
                write!(f, "the tag names {} {} already", base.family, base.release)
            }
            Self::Windows => f.write_str("the image is for Windows"),
            Self::UnknownBase => {
                f.write_str("the catalogue doesn't know which distribution it is built on")
            }
            Self::NoRelease(base) => {
                write!(f, "{} {} is no settled release", base.family, base.release)
            }
            Self::NoAlias(base) => {
                write!(
                    f,
                    "no tag of the same image names {} {}",
                    base.family, base.release
                )
            }
        }
    }
}

/// The tag with the release of the distribution in it that names the same image
/// at the same precision: `20-bookworm` for `node:20`, `3.12-slim-trixie` for
/// `python:3.12-slim`. Where the tag has no version at all (`node`,
/// `node:slim`) the major version comes in too, where such a tag is there:
/// `26-trixie`, `26-trixie-slim`. Where every tag that names the release says
/// more than the one asked about, the shortest of those: `11-apache-trixie` for
/// `drupal:11`; never one with a patch version more.
///
/// In: the short name of an official image, and the tag (`latest` where none is
/// written).
///
/// # Errors
///
/// Says why there is no such tag. It is never guessed: what comes out is in the
/// same group of the library, or left it in the same group.
pub fn codename_tag(image: &str, tag: &str) -> Result<Pin, NoPin> {
    static KNOWN: Memo<Result<Pin, NoPin>> = Memo::new();
    KNOWN.answer(image, tag, find_pin)
}

fn find_pin(image: &str, tag: &str) -> Result<Pin, NoPin> {
    let entry = lookup(image, tag).ok_or_else(|| {
        if is_official(image) {
            NoPin::UnknownTag
        } else {
            NoPin::NotOfficial
        }
    })?;
    if entry.kind == Kind::Windows {
        return Err(NoPin::Windows);
    }
    let base = entry.base.ok_or(NoPin::UnknownBase)?;
    let spellings = Spellings::of(image, &base).ok_or(NoPin::NoRelease(base))?;
    if spellings.named_in(tag) {
        return Err(NoPin::Named(base));
    }
    let (tag, also) = match find(image, tag, &entry, &spellings) {
        Some(found) => (found, Vec::new()),
        None => longer(image, tag, &entry, &spellings).ok_or(NoPin::NoAlias(base))?,
    };
    Ok(Pin {
        tag,
        also,
        base,
        proof: entry
            .gone
            .map_or(Proof::AliasGroup, |since| Proof::Frozen { since }),
        drops_windows: entry.shared_windows,
    })
}

fn find(image: &str, tag: &str, entry: &Entry, spellings: &Spellings) -> Option<String> {
    let same = |candidate: &String| {
        lookup(image, candidate)
            .is_some_and(|other| other.group == entry.group && !other.shared_windows)
    };
    let tokens = tokens(tag);
    // The distribution's own image: `alpine:3` is `3.24`, there is no `3-3.24`.
    if let Some(number) = spellings.number {
        let is_start = |token: &str| {
            number
                .strip_prefix(token)
                .is_some_and(|rest| rest.starts_with('.'))
        };
        if let Some((_, rest)) = tokens.split_first().filter(|(first, _)| is_start(first)) {
            return spellings.put_into(rest).into_iter().find(same);
        }
    }
    let has_version = tokens
        .iter()
        .any(|token| token.contains(|c: char| c.is_ascii_digit()));
    if !has_version && spellings.number.is_none() {
        let majors = group_tags(image, entry.group, "");
        let majors = majors.iter().filter_map(|alias| {
            let first = alias.split('-').next()?;
            first
                .bytes()
                .all(|byte| byte.is_ascii_digit())
                .then(|| first.to_owned())
        });
        let mut majors: Vec<String> = majors.collect();
        majors.dedup();
        for major in majors {
            let mut tokens = tokens.clone();
            tokens.insert(0, &major);
            // A tag with the major version first, whatever comes after.
            let start = format!("{major}-");
            let found = spellings
                .put_into(&tokens)
                .into_iter()
                .filter(|candidate| candidate.starts_with(&start))
                .find(same);
            if found.is_some() {
                return found;
            }
        }
    }
    if let Some(found) = spellings.put_into(&tokens).into_iter().find(same) {
        return Some(found);
    }
    // `stable` of Debian's line of releases, in the place of which it is.
    let place = tokens
        .iter()
        .position(|token| spellings.places.contains(token))?;
    let with = |text: &String| {
        let mut tokens = tokens.clone();
        tokens[place] = text;
        tokens.join("-")
    };
    spellings.texts.iter().map(with).find(same)
}

/// The tag of the same image that says all that this one says, the release, and
/// the least else; with the words that are else.
fn longer(
    image: &str,
    tag: &str,
    entry: &Entry,
    spellings: &Spellings,
) -> Option<(String, Vec<String>)> {
    // A distribution's own tags are as precise as it has releases.
    if spellings.number.is_some() {
        return None;
    }
    let said = tokens(tag);
    let numbered = said.iter().any(|word| starts_with_digit(word));
    let mut found: Vec<(usize, usize, String, Vec<String>)> = Vec::new();
    let start = said.first().filter(|word| starts_with_digit(word));
    for alias in group_tags(image, entry.group, start.unwrap_or(&"")).iter() {
        if !spellings.named_in(alias)
            || lookup(image, alias).is_none_or(|other| other.shared_windows)
        {
            continue;
        }
        let mut left = said.iter().peekable();
        let mut more: Vec<&str> = Vec::new();
        let words = tokens(alias);
        for word in &words {
            if left.next_if(|next| *next == word).is_none() {
                more.push(word);
            }
        }
        if left.peek().is_some() {
            continue;
        }
        spellings.take_out_of(&mut more);
        let patch = |word: &&str| word.matches('.').count() > 1;
        if more.iter().any(patch) {
            continue;
        }
        let version_first = numbered || words.first().is_some_and(|word| starts_with_digit(word));
        let more: Vec<String> = more.into_iter().map(str::to_owned).collect();
        let rank = more.len() + usize::from(!version_first) * words.len();
        found.push((rank, alias.len(), alias.clone(), more));
    }
    let (.., alias, more) = found.into_iter().min()?;
    Some((alias, more))
}

fn starts_with_digit(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit())
}

impl Pin {
    /// What the release is, where the table of releases has it.
    pub fn release(&self) -> Option<&'static release::Release> {
        release::release(self.base.family, self.base.release)
    }
}
