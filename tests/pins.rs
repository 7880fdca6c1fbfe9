//! The exhaustive truth of `pin-codename`: every plain tag of every official
//! image, held against the alias groups of its library file, which are read here
//! in the plainest way and judged by nothing but the words of their tags.

use std::collections::BTreeSet;
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
    let (mut plain, mut pinned, mut without) = (0, 0, 0);
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
                let before = format!("FROM {image}:{tag}\n");
                let planned = plan(before.clone().into_bytes(), Facts::none(), &options);
                let after = String::from_utf8(planned.after).unwrap();
                let got = after.trim_end().strip_prefix(&format!("FROM {image}:"));
                match (aliases.is_empty(), after == before) {
                    (true, true) => without += 1,
                    (false, false) if got.is_some_and(|got| aliases.contains(&got.to_owned())) => {
                        pinned += 1
                    }
                    _ => wrong.push(format!("{image}:{tag} → {after:?}, not one of {aliases:?}")),
                }
            }
        }
    }
    eprintln!(
        "{plain} plain tags: {pinned} pinned to an alias, {without} without one, {} wrong",
        wrong.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(pinned > 1_800 && without > 3_000, "{pinned} {without}");
}
