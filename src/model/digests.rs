//! Images by digest: what the rules that pin and refresh them, and the proof
//! of a codename by the registry, have in common.

use jiff::SignedDuration;

use super::pins::{Official, official};
use super::{ImageUse, Model, Place};
use crate::catalog;
use crate::facts::{Images, Index, Known, Resolved, ToldBy};
use crate::image::Reference;

/// The name of a reference as it is written, without tag and digest.
#[must_use]
pub fn name(reference: &Reference) -> &str {
    &reference.as_str()[reference.name_range()]
}

/// A reference with that digest in place of its own.
#[must_use]
pub fn with_digest(reference: &Reference, digest: &str) -> Option<Reference> {
    let tag = reference.tag().map(|tag| format!(":{tag}"));
    let text = format!("{}{}@{digest}", name(reference), tag.unwrap_or_default());
    Reference::parse(&text).ok()
}

/// A reference with that tag, and no digest.
#[must_use]
pub fn with_tag(reference: &Reference, tag: &str) -> Option<Reference> {
    Reference::parse(&format!("{}:{tag}", name(reference))).ok()
}

/// Who said it, and when, in words.
#[must_use]
pub fn told(resolved: &Resolved) -> String {
    let who = match resolved.told_by {
        ToldBy::Registry => "says the registry",
        ToldBy::Cache => "said the registry, by the cache",
        ToldBy::Lock => "said the registry, by the lock file",
    };
    format!("{who}, {}", resolved.as_of.strftime("%Y-%m-%d %H:%M UTC"))
}

/// The base that all images of an index name, such as `debian bookworm` for
/// `debian:bookworm-slim`; `None` where they don't, or differ.
#[must_use]
pub fn base(index: &Index) -> Option<String> {
    let mut bases = index.entries.iter().map(|entry| {
        let reference = Reference::parse(entry.base_name.as_deref()?).ok()?;
        let tag = reference.tag()?.trim_end_matches("-slim");
        Some(format!("{}:{tag}", reference.familiar_name()))
    });
    let first = bases.next()??;
    bases
        .all(|base| base.as_ref() == Some(&first))
        .then_some(first)
}

/// The platforms that the first has and the second has not.
#[must_use]
pub fn platforms_gone(before: &Index, now: &Index) -> Vec<String> {
    let platforms = before
        .entries
        .iter()
        .filter_map(|entry| entry.platform.as_ref());
    let gone = platforms.filter(|platform| {
        !now.entries
            .iter()
            .any(|entry| entry.platform.as_ref() == Some(platform))
    });
    let mut gone: Vec<String> = gone.cloned().collect();
    gone.sort();
    gone.dedup();
    gone
}

/// `linux/arm64` for `linux/arm64/v8`, which is the same.
fn platform(text: &str) -> &str {
    match text {
        "linux/arm64/v8" => "linux/arm64",
        other => other,
    }
}

/// Doubts about the platforms of a pinned image: of those that its FROM or
/// the user asks for, which it has not. The registry is asked only where one
/// is asked for.
#[must_use]
pub fn platform_doubts(
    model: &Model<'_>,
    image: &ImageUse,
    images: &dyn Images,
    pinned: &Reference,
    users: &[String],
) -> Vec<String> {
    let mut wanted: Vec<String> = Vec::new();
    let flag = match image.place {
        Place::From(stage) => {
            let from = model.instructions[model.stages[stage].from];
            from.flag("platform").and_then(|flag| flag.value())
        }
        _ => None,
    };
    match flag {
        // The builder's own platform, whichever that is.
        Some(text) if text.contains('$') => {}
        Some(text) => wanted.push(text.to_owned()),
        None if matches!(image.place, Place::From(_)) => wanted.extend(users.iter().cloned()),
        None => {}
    }
    if wanted.is_empty() {
        return Vec::new();
    }
    let index = match images.index(pinned) {
        Known::Yes(index) => index,
        Known::No => {
            return vec![
                "which platforms it is for is not known: the registry has it no more".to_owned(),
            ];
        }
        Known::Unknown(why) => {
            return vec![format!("which platforms it is for is not known: {why}")];
        }
    };
    let has = |wanted: &str| {
        index.entries.iter().any(|entry| {
            // A platform without a variant takes any.
            entry.platform.as_deref().is_some_and(|has| {
                has == wanted
                    || has
                        .strip_prefix(wanted)
                        .is_some_and(|rest| rest.starts_with('/'))
            })
        })
    };
    wanted
        .iter()
        .filter(|wanted| !has(platform(wanted)))
        .map(|wanted| format!("the image is not there for {wanted}"))
        .collect()
}

/// The doubt about an image that is younger than the user's minimum.
#[must_use]
pub fn age_doubt(
    images: &dyn Images,
    pinned: &Reference,
    resolved: &Resolved,
    minimum: Option<SignedDuration>,
) -> Option<String> {
    let minimum = minimum?;
    let made = match images.created(pinned) {
        Known::Yes(made) => made,
        Known::No => return Some("how old the image is, is not known".to_owned()),
        Known::Unknown(why) => return Some(format!("how old the image is, is not known: {why}")),
    };
    let age = resolved.as_of.duration_since(made);
    (age < minimum).then(|| {
        format!(
            "the image is younger than {minimum:#}: it was made at {}",
            made.strftime("%Y-%m-%d %H:%M UTC")
        )
    })
}

/// What the registry says of two tags of one repository.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Live {
    /// Both are the same image: the proof, in words.
    Same(String),
    /// They are not: how that is known, in words.
    Differ(String),
    /// It does not say.
    Unknown,
}

/// The most tags that the registry is asked about in search of one.
const CANDIDATES: usize = 4;

/// The tag that names the release which an official image's own annotations
/// (`org.opencontainers.image.base.name`) name as its base, where the registry
/// has both as one image; with the proof. For tags that the catalogue has not:
/// those that came after it.
#[must_use]
pub fn codename_by_base(images: &dyn Images, reference: &Reference) -> Option<(String, String)> {
    let Official { image, tag } = official(reference)?;
    if reference.digest().is_some() || catalog::lookup(image, tag).is_some() {
        return None;
    }
    let base = base(&images.index(reference).yes()?)?;
    let word = base.split_once(':')?.1.split('-').next()?;
    let candidates = catalog::tags_naming(image, tag, word);
    // All are asked about before one is taken: together, not one by one.
    let asked: Vec<(String, Live)> = candidates
        .into_iter()
        .take(CANDIDATES)
        .map(|candidate| {
            let live = same_image(images, reference, &candidate);
            (candidate, live)
        })
        .collect();
    asked.into_iter().find_map(|(candidate, live)| match live {
        Live::Same(proof) => Some((
            candidate,
            format!("{image}:{tag} stands on {base} by its own annotations, and {proof}"),
        )),
        _ => None,
    })
}

/// Whether two tags name one image now: by equal digests, or, where the first
/// stands for platforms that the second is not for, by equal digests of all
/// images of the second.
#[must_use]
pub fn same_image(images: &dyn Images, reference: &Reference, other_tag: &str) -> Live {
    let Some(other) = with_tag(reference, other_tag) else {
        return Live::Unknown;
    };
    let (Known::Yes(a), Known::Yes(b)) = (images.digest(reference), images.digest(&other)) else {
        return Live::Unknown;
    };
    let names = (
        format!(
            "{}:{}",
            reference.familiar_name(),
            reference.tag().unwrap_or("latest")
        ),
        other.familiar(),
    );
    if a.digest == b.digest {
        return Live::Same(format!(
            "{} and {} are both {} ({})",
            names.0,
            names.1,
            a.digest,
            told(&a)
        ));
    }
    let indexes = [(reference, &a), (&other, &b)].map(|(reference, resolved)| {
        let pinned = with_digest(reference, &resolved.digest)?;
        images.index(&pinned).yes()
    });
    let [Some(first), Some(second)] = indexes else {
        return Live::Unknown;
    };
    let shared = |entry: &crate::facts::IndexEntry| {
        first
            .entries
            .iter()
            .any(|other| other.digest == entry.digest)
    };
    // Every image of the second is one of the first, and the first has no
    // other but for other systems.
    let systems: Vec<&str> = second
        .entries
        .iter()
        .filter_map(|entry| entry.platform.as_deref()?.split('/').next())
        .collect();
    let of_other_system = |entry: &crate::facts::IndexEntry| {
        let system = entry
            .platform
            .as_deref()
            .and_then(|text| text.split('/').next());
        system.is_some_and(|system| !systems.contains(&system))
    };
    let rest_is_other = first.entries.iter().all(|entry| {
        second
            .entries
            .iter()
            .any(|other| other.digest == entry.digest)
            || of_other_system(entry)
    });
    if second.entries.iter().all(shared) && rest_is_other {
        Live::Same(format!(
            "all images of {} are images of {} ({})",
            names.1,
            names.0,
            told(&a)
        ))
    } else {
        Live::Differ(format!(
            "{} is {}, but {} is {} ({})",
            names.0,
            a.digest,
            names.1,
            b.digest,
            told(&a)
        ))
    }
}
