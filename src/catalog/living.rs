//! From a tag on a release that is over to the same version on one that lives.

use std::fmt;

use super::life::free_end;
use super::spelling::{Spellings, tokens};
use super::tags::{Base, Entry, lookup};
use super::{Date, Kind, Release, release, releases};

/// So long a release should live yet, in days, to be worth moving to: one that
/// ends next month only puts the work off.
const WORTH: i32 = 180;

/// The same version on another release.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Living {
    /// The tag; it names the release.
    pub tag: String,
    /// The release.
    pub release: &'static Release,
    /// What the catalogue has of it.
    pub entry: Entry,
}

/// Why there is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoLiving {
    /// It isn't known what the tag is built on, or when that ends.
    Unknown,
    /// Its release is not over.
    Lives,
    /// No later release has this version at this precision.
    None,
}

impl fmt::Display for NoLiving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "what it is built on, or when that ends, is not known",
            Self::Lives => "its release is not over",
            Self::None => "no tag of this version is built on a later release that lives for another half year",
        })
    }
}

/// The release that a tag is built on, where that is over on that day.
#[must_use]
pub fn over(image: &str, tag: &str, today: Date) -> Option<(&'static Release, Date)> {
    let base = lookup(image, tag)?.base?;
    let release = release(base.family, base.release)?;
    let end = free_end(release)?;
    (end < today).then_some((release, end))
}

/// The tag of the same version, at the same precision and of the same kind, on
/// the next release of the distribution that lives for at least another half year:
/// one that is in the library before one that is frozen.
///
/// # Errors
///
/// Says why there is none.
pub fn on_living(image: &str, tag: &str, today: Date) -> Result<Living, NoLiving> {
    let entry = lookup(image, tag).ok_or(NoLiving::Unknown)?;
    let base = entry.base.ok_or(NoLiving::Unknown)?;
    let old = release(base.family, base.release).ok_or(NoLiving::Unknown)?;
    let end = free_end(old).ok_or(NoLiving::Unknown)?;
    if end >= today {
        return Err(NoLiving::Lives);
    }
    let later = |new: &&'static Release| new.family == old.family && new.order > old.order;
    let spelled = |new| spelled(image, tag, &base, old, new);
    best(image, entry.kind, today, later, spelled).ok_or(NoLiving::None)
}

/// The best tag of that kind among those that `spelled` names for each release.
pub(super) fn best(
    image: &str,
    kind: Kind,
    today: Date,
    wanted: impl Fn(&&'static Release) -> bool,
    spelled: impl Fn(&'static Release) -> Vec<String>,
) -> Option<Living> {
    let lives = |new: &&'static Release| {
        free_end(new).is_some_and(|end| end.days() - today.days() >= WORTH)
    };
    let mut found: Vec<Living> = Vec::new();
    for new in releases().iter().filter(wanted).filter(lives) {
        let same = |tag: String| {
            let entry = lookup(image, &tag)?;
            let on_it = entry
                .base
                .is_some_and(|base| base.family == new.family && base.release == new.name);
            let alike = entry.kind == kind && !entry.shared_windows && on_it;
            alike.then_some(Living {
                tag,
                release: new,
                entry,
            })
        };
        found.extend(spelled(new).into_iter().find_map(same));
    }
    // A stable choice: the first of the best.
    found
        .into_iter()
        .min_by_key(|living| (living.entry.gone.is_some(), living.release.order))
}

/// Every way to spell the tag with the new release, the ones to prefer first.
fn spelled(
    image: &str,
    tag: &str,
    base: &Base,
    old: &Release,
    new: &'static Release,
) -> Vec<String> {
    let all = tokens(tag);
    if image == base.family {
        // The distribution's own image: its release is its version.
        let Some((first, rest)) = all.split_first() else {
            return Vec::new();
        };
        let name = if *first == old.name {
            new.name
        } else if Some(*first) == old.version {
            new.version.unwrap_or(new.name)
        } else {
            return Vec::new();
        };
        if rest.iter().any(|word| *word != Kind::Slim.as_str()) {
            return Vec::new();
        }
        let words: Vec<&str> = std::iter::once(name).chain(rest.iter().copied()).collect();
        return vec![words.join("-")];
    }
    let mut bare = all;
    if let Some(spellings) = Spellings::of(image, base) {
        spellings.take_out_of(&mut bare);
    }
    let new = Base {
        release: new.name,
        ..*base
    };
    Spellings::of(image, &new).map_or_else(Vec::new, |spellings| spellings.put_into(&bare))
}
