//! The catalogue's committed tables: that they are what the maintainers'
//! command makes of its input, and that every answer drawn from them is true
//! to that input.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use dfmigrate::catalog::{self, Kind, NoPin, NoSibling, Proof};
use fst::Streamer;

#[allow(dead_code)]
#[path = "../src/bin/catalog/build.rs"]
mod build;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder with the recorded input, where there is one.
fn shared() -> Option<PathBuf> {
    let folder = root().join("../shared/catalog");
    if folder.join("library").is_dir() {
        return Some(folder);
    }
    eprintln!(
        "SKIPPED: {} is absent; the tables were not held against their input",
        folder.display()
    );
    None
}

fn json(path: &Path) -> serde_json::Value {
    let bytes = std::fs::read(path).unwrap();
    let mut out = Vec::new();
    if path.extension().is_some_and(|extension| extension == "xz") {
        lzma_rs::xz_decompress(&mut &bytes[..], &mut out).unwrap();
    } else {
        out = bytes;
    }
    serde_json::from_slice(&out).unwrap()
}

fn strings(value: &serde_json::Value) -> Vec<&str> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|item| item.as_str())
        .collect()
}

#[test]
fn the_fixture_gives_the_recorded_tables() {
    let fixture = root().join("fixtures/catalog");
    let tables = build::build(&build::Input {
        library: fixture.join("library"),
        history: fixture.join("history.json"),
        official: fixture.join("official.json"),
        distros: fixture.join("distros.json"),
    })
    .unwrap();
    let mut text = String::new();
    for (name, bytes) in &tables {
        text += &format!("== {name}\n");
        if *name == "tags.fst" {
            let map = fst::Map::new(bytes).unwrap();
            let mut stream = map.stream();
            while let Some((key, number)) = stream.next() {
                text += &format!("{}\t{number}\n", String::from_utf8_lossy(key));
            }
        } else {
            text += std::str::from_utf8(bytes).unwrap();
        }
    }
    snapbox::assert_data_eq!(
        text,
        snapbox::Data::read_from(&fixture.join("tables.txt"), None)
    );
}

#[test]
fn a_tag_in_two_groups_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = root().join("fixtures/catalog");
    std::fs::write(folder.path().join("node"), "Tags: 1, 2\n\nTags: 2\n").unwrap();
    let done = build::build(&build::Input {
        library: folder.path().to_owned(),
        history: fixture.join("history.json"),
        official: fixture.join("official.json"),
        distros: fixture.join("distros.json"),
    });
    assert_eq!(done.unwrap_err().to_string(), "node:2 is in two groups");
}

#[test]
fn the_committed_tables_are_what_the_input_gives() {
    let Some(shared) = shared() else { return };
    let tables = build::build(&build::Input {
        library: shared.join("library"),
        history: shared.join("history.json.xz"),
        official: shared.join("official.json"),
        distros: shared.join("distro_eol.json"),
    })
    .unwrap();
    for (name, bytes) in tables {
        let committed = std::fs::read(root().join("src/catalog/data").join(name)).unwrap();
        assert!(
            committed == bytes,
            "{name} differs: run `cargo catalog build`"
        );
    }
}

#[test]
fn every_committed_row_can_be_read() {
    let mut all = 0;
    for image in catalog::images() {
        assert!(catalog::is_official(image.name));
        let mut last = String::new();
        let mut bases = BTreeMap::new();
        for (tag, entry) in catalog::tags(image.name) {
            assert!(last < tag, "{}:{tag} is out of order", image.name);
            assert_eq!(
                catalog::lookup(image.name, &tag),
                Some(entry),
                "{}:{tag}",
                image.name
            );
            assert!(
                image.removed.is_none() || entry.gone.is_some(),
                "{}:{tag}",
                image.name
            );
            assert!(
                entry
                    .gone
                    .is_none_or(|gone| gone <= catalog::source().as_of)
            );
            let same = bases
                .entry(format!("{:?}", entry.group))
                .or_insert((entry.base, entry.kind, entry.gone));
            assert_eq!(
                *same,
                (entry.base, entry.kind, entry.gone),
                "{}:{tag}",
                image.name
            );
            last = tag;
            all += 1;
        }
    }
    assert!(all > 180_000, "{all}");
    let releases = catalog::releases();
    let release_rows = include_str!("../src/catalog/data/releases.tsv");
    let release_rows = release_rows
        .lines()
        .filter(|line| !line.starts_with('#'))
        .count();
    assert_eq!(releases.len(), release_rows);
    for pair in releases.windows(2) {
        assert!(pair[0].family <= pair[1].family, "{pair:?}");
        assert!(
            (pair[0].family, pair[0].name) != (pair[1].family, pair[1].name),
            "{pair:?}"
        );
    }
    // About what the program may weigh for it.
    let data = root().join("src/catalog/data");
    let size: u64 = [
        "images.tsv",
        "releases.tsv",
        "source.tsv",
        "tags.fst",
        "variants.tsv",
    ]
    .iter()
    .map(|file| std::fs::metadata(data.join(file)).unwrap().len())
    .sum();
    assert!(size < 500_000, "{size}");
}

/// Whether a pin says the same as the recorded one in other words: with the
/// major version where the tag has none, or by codename instead of number.
fn says_the_same(pin: &str, recorded: &str) -> bool {
    let recorded = recorded.replace("ubuntu-24.04", "ubuntu-noble");
    let major = pin
        .strip_suffix(&recorded)
        .map(|start| start.trim_end_matches('-'));
    major.is_some_and(|major| major.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The groups of the library files, read here in the plainest way.
fn library_groups(text: &str) -> Vec<(BTreeSet<&str>, BTreeSet<&str>, bool)> {
    text.split("\n\n")
        .filter_map(|paragraph| {
            let field = |name: &str| -> Option<BTreeSet<&str>> {
                let line = paragraph.lines().find_map(|line| line.strip_prefix(name))?;
                Some(line.split(',').map(str::trim).collect())
            };
            let windows = field("Architectures:")
                .is_some_and(|arches| arches.iter().all(|arch| arch.starts_with("windows")));
            Some((
                field("Tags:")?,
                field("SharedTags:").unwrap_or_default(),
                windows,
            ))
        })
        .collect()
}

#[test]
fn every_pin_of_a_present_tag_is_an_alias_in_its_library_file() {
    let Some(shared) = shared() else { return };
    let expected = json(&shared.join("pin_same_precision.json"));
    let (mut found, mut equal, mut beyond) = (0, 0, 0);
    let mut wrong = Vec::new();
    for file in std::fs::read_dir(shared.join("library")).unwrap() {
        let path = file.unwrap().path();
        let image = path.file_name().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        for (tags, shared_tags, windows) in library_groups(&text) {
            let group: BTreeSet<String> = tags
                .iter()
                .chain(&shared_tags)
                .map(|tag| (*tag).to_owned())
                .collect();
            if !windows {
                let first = tags.first().unwrap();
                let aliases: BTreeSet<String> =
                    catalog::aliases(image, first).into_iter().collect();
                assert_eq!(aliases, group, "{image}:{first}");
            }
            for tag in &group {
                let entry = catalog::lookup(image, tag).unwrap_or_else(|| panic!("{image}:{tag}"));
                assert_eq!(entry.gone, None, "{image}:{tag}");
                if windows {
                    continue;
                }
                let wanted = expected
                    .get(format!("{image}:{tag}"))
                    .and_then(|pin| pin.as_str());
                match catalog::codename_tag(image, tag) {
                    Ok(pin) => {
                        assert!(tags.contains(&*pin.tag), "{image}:{tag} → {}", pin.tag);
                        assert_eq!(pin.proof, Proof::AliasGroup);
                        assert!(
                            catalog::codename_tag(image, &pin.tag).is_err(),
                            "{image}:{tag} → {}",
                            pin.tag
                        );
                        found += 1;
                        match wanted {
                            Some(wanted) if says_the_same(&pin.tag, wanted) => equal += 1,
                            Some(_) => wrong.push(format!("{image}:{tag} → {}", pin.tag)),
                            // The record leaves out the distributions' own images and
                            // tags with the family's name alone (`oracle`, `ubi`).
                            None => beyond += 1,
                        }
                    }
                    Err(why) => {
                        if wanted.is_some() {
                            wrong.push(format!("{image}:{tag}: {why:?}, not {wanted:?}"));
                        }
                    }
                }
            }
        }
    }
    eprintln!("{found} pins of present tags: {equal} as recorded, {beyond} beyond the record");
    assert!(wrong.is_empty(), "{wrong:#?}");
    let recorded = expected.as_object().unwrap().len();
    assert_eq!(equal, recorded);
}

#[test]
fn every_pin_of_a_frozen_tag_left_with_it() {
    let Some(shared) = shared() else { return };
    let history = json(&shared.join("history.json.xz"));
    let (mut tags, mut found, mut slim) = (0, 0, 0);
    for (image, past) in history["images"].as_object().unwrap() {
        let mut versions: HashMap<&str, usize> = HashMap::new();
        let groups = past["groups"].as_array().unwrap();
        for (index, group) in groups.iter().enumerate() {
            versions.extend(
                strings(&group["t"])
                    .into_iter()
                    .chain(strings(&group["s"]))
                    .map(|tag| (tag, index)),
            );
        }
        for (tag, index) in &versions {
            tags += 1;
            let group = &groups[*index];
            let entry = catalog::lookup(image, tag).unwrap_or_else(|| panic!("{image}:{tag}"));
            assert_eq!(
                entry.gone.unwrap().to_string(),
                group["gone"].as_str().unwrap(),
                "{image}:{tag}"
            );
            if let Ok(pin) = catalog::codename_tag(image, tag) {
                found += 1;
                assert_eq!(
                    versions.get(&*pin.tag),
                    Some(index),
                    "{image}:{tag} → {}",
                    pin.tag
                );
                assert_eq!(
                    pin.proof,
                    Proof::Frozen {
                        since: entry.gone.unwrap()
                    }
                );
            }
            if let Ok(sibling) = catalog::slim_tag(image, tag) {
                slim += 1;
                let other = &groups[versions[&*sibling]];
                assert_eq!(other["gone"], group["gone"], "{image}:{tag} → {sibling}");
            }
        }
    }
    eprintln!("{tags} frozen tags: {found} pins, {slim} slim siblings");
    assert!(found > 20_000, "{found}");
}

/// What names the release, put in the way of each image.
#[test]
fn pins_that_people_would_write() {
    for (image, tag, pin) in [
        ("node", "latest", "26-trixie"),
        ("node", "slim", "26-trixie-slim"),
        ("node", "alpine", "26-alpine3.24"),
        ("node", "lts", "lts-bookworm"),
        ("node", "20", "20-bookworm"),
        ("node", "14", "14-buster"),
        ("python", "3.12-slim", "3.12-slim-trixie"),
        ("golang", "1.24-alpine", "1.24-alpine3.23"),
        ("golang", "latest", "1-trixie"),
        ("php", "fpm", "8-fpm-trixie"),
        ("haskell", "9", "9-bookworm"),
        ("mysql", "8.4", "8.4-oraclelinux9"),
        ("eclipse-temurin", "21", "21-resolute"),
        ("debian", "latest", "trixie"),
        ("ubuntu", "latest", "resolute"),
        ("alpine", "3", "3.24"),
    ] {
        let found = catalog::codename_tag(image, tag).map(|pin| pin.tag);
        assert_eq!(found.as_deref(), Ok(pin), "{image}:{tag}");
    }
    assert!(
        catalog::codename_tag("golang", "1.27")
            .unwrap()
            .drops_windows
    );
    let why = |image, tag| catalog::codename_tag(image, tag).unwrap_err();
    assert!(matches!(why("debian", "12"), NoPin::Named(_)));
    assert!(matches!(why("node", "20-bookworm-slim"), NoPin::Named(_)));
    assert!(matches!(why("alpine", "3.20.1"), NoPin::Named(_)));
    assert!(matches!(why("debian", "sid"), NoPin::NoRelease(_)));
    assert!(
        matches!(why("debian", "stable"), NoPin::NoAlias(_)),
        "sources name the suite: another image"
    );
    assert_eq!(why("node", "no-such"), NoPin::UnknownTag);
    assert_eq!(why("no-such", "1"), NoPin::NotOfficial);
    assert_eq!(why("golang", "1.27-windowsservercore"), NoPin::Windows);
}

#[test]
fn siblings_that_people_would_take() {
    for (image, tag, slim) in [
        ("node", "20", Ok("20-slim")),
        ("node", "latest", Ok("slim")),
        ("node", "14.21.3-buster", Ok("14.21.3-buster-slim")),
        ("python", "3.12-bookworm", Ok("3.12-slim-bookworm")),
        ("debian", "latest", Ok("trixie-slim")),
        ("node", "20-slim", Err(NoSibling::Not(Kind::Slim))),
        ("golang", "1.27", Err(NoSibling::NoneOfImage)),
        ("no-such", "1", Err(NoSibling::NotOfficial)),
    ] {
        assert_eq!(
            catalog::slim_tag(image, tag).as_deref(),
            slim.as_ref().copied(),
            "{image}:{tag}"
        );
    }
    let alpine = |image, tag| catalog::alpine_tag(image, tag).ok();
    assert_eq!(
        alpine("node", "20-bookworm-slim").as_deref(),
        Some("20-alpine")
    );
    assert_eq!(alpine("python", "latest").as_deref(), Some("alpine"));
    assert_eq!(alpine("haskell", "9"), None);
    let runtime = |image, tag| catalog::runtime_tag(image, tag).ok();
    assert_eq!(runtime("eclipse-temurin", "21").as_deref(), Some("21-jre"));
    assert_eq!(
        runtime("eclipse-temurin", "17-jdk-jammy").as_deref(),
        Some("17-jre-jammy")
    );
    assert_eq!(runtime("eclipse-temurin", "21-jre"), None);
    assert_eq!(runtime("node", "20"), None);
}
