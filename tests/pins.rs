//! The exhaustive truth of `pin-codename`: every plain tag of every official
//! image, held against the alias groups of its library file, which are read here
//! in the plainest way and judged by nothing but the words of their tags.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use dfmigrate::catalog;
use dfmigrate::facts::Facts;
use dfmigrate::plan::{Options, plan};

/// The groups of a library file: `Tags` and `SharedTags` of each paragraph for
/// Linux.
fn groups(text: &str) -> Vec<[BTreeSet<String>; 2]> {
    let list = |paragraph: &str, name: &str| -> Option<BTreeSet<String>> {
        let line = paragraph.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.split(',').map(|tag| tag.trim().to_owned()).collect())
    };
    text.split("\n\n")
        .filter(|paragraph| {
            let arches = list(paragraph, "Architectures:").unwrap_or_default();
            arches.is_empty() || arches.iter().any(|arch| !arch.starts_with("windows"))
        })
        .filter_map(|paragraph| {
            let shared = list(paragraph, "SharedTags:").unwrap_or_default();
            Some([list(paragraph, "Tags:")?, shared])
        })
        .collect()
}

/// The words of a tag without those that name a release or a family, and whether
/// it names a release. By the releases' names and numbers alone.
fn without_release(image: &str, tag: &str) -> (bool, Vec<String>) {
    let mut words: Vec<String> = tag.split('-').map(str::to_owned).collect();
    let mut named = false;
    let numbers =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let short: &[(&str, &str)] = &[("amazonlinux", "al"), ("oraclelinux", "ol")];
    for release in catalog::releases() {
        let (family, name) = (release.family, release.name);
        let mut at = 0;
        while at < words.len() {
            let word = words[at].clone();
            let is_name = word == name && !numbers(name);
            let joined = word.strip_prefix(family).is_some_and(numbers)
                || short
                    .iter()
                    .any(|(f, s)| *f == family && word.strip_prefix(s).is_some_and(numbers));
            let apart = word == family
                && words
                    .get(at + 1)
                    .is_some_and(|next| numbers(next) && Some(&**next) == release.version);
            if is_name || joined {
                words.remove(at);
            } else if apart {
                words.drain(at..at + 2);
            } else {
                at += 1;
                continue;
            }
            named = true;
        }
        // The distribution's own image: a number, or the start of one.
        let first = words.first().cloned().unwrap_or_default();
        let number = release.version.unwrap_or_default();
        let starts = number
            .strip_prefix(&*first)
            .is_some_and(|rest| rest.starts_with('.'));
        if image == family && !first.is_empty() && (first == number || starts) {
            words.remove(0);
            named |= first == number;
        }
    }
    // Red Hat's base images have no releases in the table.
    let before = words.len();
    words.retain(|word| !word.strip_prefix("ubi").is_some_and(numbers));
    named |= words.len() < before;
    let families = include_str!("../src/catalog/data/families.tsv");
    let alone: BTreeSet<&str> = families
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(|line| line.split('\t').nth(1).unwrap_or_default().split(' '))
        .collect();
    words.retain(|word| !alone.contains(&**word) && word != "latest");
    (named, words)
}

/// Whether a tag that names a release says otherwise the same as a plain one; one
/// without a version may get its major version.
fn same_but_for_release(plain: &[String], named: &[String]) -> bool {
    let numbered = |words: &[String]| {
        words
            .iter()
            .any(|word| word.contains(|c: char| c.is_ascii_digit()))
    };
    plain == named
        || (!numbered(plain)
            && named
                .first()
                .is_some_and(|first| first.bytes().all(|b| b.is_ascii_digit()))
            && named[1..] == *plain)
}

/// Whether a tag that names the release says all that the plain one does, in its
/// order, and beyond that neither another release nor a patch version.
fn same_and_more(plain: &[String], named: &[String]) -> bool {
    let mut left = plain.iter().peekable();
    let more: Vec<&String> = named
        .iter()
        .filter(|word| left.next_if(|next| next == word).is_none())
        .collect();
    left.peek().is_none() && more.iter().all(|word| word.matches('.').count() < 2)
}

/// Why a plain tag is not pinned although a tag of its group names the release.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Left {
    /// A distribution's own image: the tag is a release, or a point release, by
    /// its number (`debian:12.15`, `alpine:3.24.1`), and the tags that name the
    /// release by name move on where this one stays.
    Number,
    /// Only tags of another version name the release (`docker:29-cli` is
    /// `29.7.2-cli-alpine3.24`): pinning would stop fixes, or leave the version.
    OtherVersion,
    /// Debian's `sid` never settles.
    Unsettled,
}

fn left(image: &str, tag: &str) -> Option<Left> {
    if tag.starts_with("unstable") || ["nd", "nd-non-free"].contains(&tag) {
        return Some(Left::Unsettled);
    }
    const DISTRIBUTIONS: [&str; 8] = [
        "almalinux",
        "alpine",
        "amazonlinux",
        "debian",
        "neurodebian",
        "oraclelinux",
        "rockylinux",
        "ubuntu",
    ];
    // Ubuntu's releases by their numbers, of the image that is for all of them.
    let of_ubuntu = ["22.04", "24.04", "26.04"]
        .iter()
        .any(|number| tag.starts_with(number));
    if DISTRIBUTIONS.contains(&image) || (image == "buildpack-deps" && of_ubuntu) {
        return tag
            .contains(|c: char| c.is_ascii_digit())
            .then_some(Left::Number);
    }
    ["docker", "node", "rethinkdb"]
        .contains(&image)
        .then_some(Left::OtherVersion)
}

#[test]
fn every_plain_tag_gets_the_codename_of_its_own_group_or_nothing() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/catalog/library");
    if !folder.is_dir() {
        eprintln!(
            "SKIPPED: {} is absent; NOT ONE pin was held against the library",
            folder.display()
        );
        return;
    }
    let options = Options {
        select: ["pin-codename".to_owned()].into(),
        ..Options::default()
    };
    let (mut plain, mut pinned, mut more, mut in_line, mut without) = (0, 0, 0, 0, 0);
    let mut remaining: BTreeMap<Left, Vec<String>> = BTreeMap::new();
    let mut wrong: Vec<String> = Vec::new();
    for file in std::fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        let image = path.file_name().unwrap().to_str().unwrap().to_owned();
        for [tags, shared] in groups(&std::fs::read_to_string(&path).unwrap()) {
            let named: Vec<(&String, Vec<String>)> = tags
                .iter()
                .filter_map(|tag| match without_release(&image, tag) {
                    (true, words) => Some((tag, words)),
                    (false, _) => None,
                })
                .collect();
            for tag in tags.iter().chain(&shared) {
                let (is_named, words) = without_release(&image, tag);
                if is_named {
                    continue;
                }
                plain += 1;
                let aliases: BTreeSet<&String> = named
                    .iter()
                    .filter(|(_, other)| same_but_for_release(&words, other))
                    .map(|(tag, _)| *tag)
                    .collect();
                let longer: BTreeSet<&String> = named
                    .iter()
                    .filter(|(_, other)| same_and_more(&words, other))
                    .map(|(tag, _)| *tag)
                    .collect();
                // A release by its place in line, where the group says which it is.
                let places = ["stable", "oldstable", "oldoldstable", "testing", "rolling"];
                let mut placed = words.clone();
                placed.retain(|word| !places.contains(&&**word));
                let placed: BTreeSet<&String> = named
                    .iter()
                    .filter(|(_, other)| placed.len() < words.len() && placed == *other)
                    .map(|(tag, _)| *tag)
                    .collect();
                let before = format!("FROM {image}:{tag}\n");
                let planned = plan(before.clone().into_bytes(), Facts::none(), &options);
                let after = String::from_utf8(planned.after).unwrap();
                let got = after.trim_end().strip_prefix(&format!("FROM {image}:"));
                let got = got.map(str::to_owned);
                let of =
                    |set: &BTreeSet<&String>| got.as_ref().is_some_and(|got| set.contains(got));
                if after == before && named.is_empty() {
                    without += 1;
                } else if after == before && aliases.is_empty() && left(&image, tag).is_some() {
                    let why = left(&image, tag).unwrap();
                    remaining
                        .entry(why)
                        .or_default()
                        .push(format!("{image}:{tag}"));
                } else if of(&aliases) {
                    pinned += 1;
                } else if aliases.is_empty() && of(&longer) {
                    more += 1;
                } else if aliases.is_empty() && of(&placed) {
                    in_line += 1;
                } else {
                    wrong.push(format!(
                        "{image}:{tag} → {after:?}, not one of {aliases:?} or {longer:?} of {named:?}"
                    ));
                }
            }
        }
    }
    let count = |why: Left| remaining.get(&why).map_or(0, Vec::len);
    let (numbers, versions, unsettled) = (
        count(Left::Number),
        count(Left::OtherVersion),
        count(Left::Unsettled),
    );
    let all = pinned + more + in_line;
    eprintln!(
        "{plain} plain tags, {} of groups in which a tag names the release: {all} pinned ({pinned} at their own \
         precision, {more} to the shortest that says more, {in_line} from a release's place in line), {numbers} \
         distributions' own numbers, {versions} with aliases of other versions alone, {unsettled} that never settle; \
         {without} of groups without one; {} wrong",
        plain - without,
        wrong.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(all + numbers + versions + unsettled + without, plain);
    assert!(all > 1_950 && without > 3_000, "{all} {without}");
    assert!(numbers + versions + unsettled < 90, "{remaining:?}");
}
