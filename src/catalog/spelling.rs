//! How tags spell the release of a distribution.

use std::sync::OnceLock;

use super::release::{Release, release, releases};
use super::tags::{Base, Certainty, rows};

static FAMILIES: &str = include_str!("data/families.tsv");

/// One row of `families.tsv`.
struct Family {
    name: &'static str,
    words: Vec<&'static str>,
    places: Vec<&'static str>,
    templates: Vec<&'static str>,
}

fn families() -> &'static [Family] {
    static TABLE: OnceLock<Vec<Family>> = OnceLock::new();
    TABLE.get_or_init(|| {
        rows(FAMILIES)
            .filter_map(|row| {
                let [name, words, places, templates] = row[..] else {
                    return None;
                };
                Some(Family {
                    name,
                    words: words.split(' ').collect(),
                    places: places.split(' ').collect(),
                    templates: templates.split(' ').collect(),
                })
            })
            .collect()
    })
}

/// How tags of one image may spell one base.
pub(super) struct Spellings {
    /// Words that name the family alone: `alpine`.
    pub words: &'static [&'static str],
    /// Words that name whatever release stands in that place now: `stable`.
    pub places: &'static [&'static str],
    /// Texts that name the release, the one to prefer first.
    pub texts: Vec<String>,
    /// The release's number, where the image is the distribution itself.
    pub number: Option<&'static str>,
}

impl Spellings {
    /// None where the base is no release of a distribution that tags name, or
    /// one that never settles.
    pub fn of(image: &str, base: &Base) -> Option<Self> {
        let family = families()
            .iter()
            .find(|family| family.name == base.family)?;
        // `ubi` is no distribution of its own, and has no list of releases.
        let version = match release(base.family, base.release) {
            Some(release) => release.version?,
            None => base.release,
        };
        let own = image == base.family;
        let mut texts: Vec<String> = Vec::new();
        if own {
            texts.push(base.release.to_owned());
        }
        texts.extend(family.templates.iter().map(|text| {
            text.replace("{release}", base.release)
                .replace("{version}", version)
        }));
        texts.dedup();
        Some(Self {
            words: &family.words,
            places: &family.places,
            texts,
            number: own.then_some(version),
        })
    }

    /// Whether a tag names the release.
    pub fn named_in(&self, tag: &str) -> bool {
        let is_token = |text: &str| {
            tag.match_indices(text).any(|(at, _)| {
                let end = at + text.len();
                (at == 0 || tag.as_bytes()[at - 1] == b'-')
                    && (end == tag.len() || tag.as_bytes()[end] == b'-')
            })
        };
        let number = self.number.is_some_and(|number| {
            tag.strip_prefix(number)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.']))
        });
        number || self.texts.iter().any(|text| is_token(text))
    }

    /// Takes the words that name the release or its family out.
    pub fn take_out_of(&self, tokens: &mut Vec<&str>) {
        for text in self
            .texts
            .iter()
            .map(String::as_str)
            .chain(self.words.iter().copied())
        {
            let parts: Vec<&str> = text.split('-').collect();
            let found = tokens
                .windows(parts.len())
                .position(|window| window == parts);
            if let Some(at) = found {
                tokens.drain(at..at + parts.len());
            }
        }
    }

    /// Every tag that is these tokens and a spelling of the release, put in
    /// between, or in the place of the word for the family; the ones to prefer
    /// first.
    pub fn put_into(&self, tokens: &[&str]) -> Vec<String> {
        let mut shapes: Vec<Vec<&str>> = Vec::new();
        if let Some(word) = tokens.iter().position(|token| self.words.contains(token)) {
            let mut without = tokens.to_vec();
            without.remove(word);
            shapes.push(without);
        }
        shapes.push(tokens.to_vec());
        let mut all = Vec::new();
        for text in &self.texts {
            for shape in &shapes {
                all.extend(insertions(shape, text));
            }
        }
        all
    }
}

/// The tags of an image that say the same as `tag` and also the release that
/// `word` names (`bookworm`, `3.23`), the ones to prefer first. Whether there are
/// such tags is not known here. Empty where the tag names the release already,
/// or nothing is known by that word.
pub fn tags_naming(image: &str, tag: &str, word: &str) -> Vec<String> {
    let is_named = |release: &&Release| release.name == word || release.version == Some(word);
    let mut found = releases().iter().filter(is_named);
    // A number that two distributions have names neither.
    let (Some(release), None) = (found.next(), found.next()) else {
        return Vec::new();
    };
    let base = Base {
        family: release.family,
        release: release.name,
        certainty: Certainty::Known,
    };
    match Spellings::of(image, &base) {
        Some(spellings) if !spellings.named_in(tag) => spellings.put_into(&tokens(tag)),
        _ => Vec::new(),
    }
}

/// The tokens with one more put in, at each place, the last first.
pub(super) fn insertions(tokens: &[&str], text: &str) -> impl Iterator<Item = String> {
    (0..=tokens.len()).rev().map(move |at| {
        let mut all = tokens.to_vec();
        all.insert(at, text);
        all.join("-")
    })
}

/// The tokens of a tag; none for `latest`, which says nothing.
pub(super) fn tokens(tag: &str) -> Vec<&str> {
    match tag {
        "latest" => Vec::new(),
        _ => tag.split('-').collect(),
    }
}
