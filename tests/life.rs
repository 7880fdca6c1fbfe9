//! The tables about life spans are what the recorded data gives, and every
//! answer drawn from them is true to it.

use std::path::{Path, PathBuf};

use dfmigrate::catalog::life::{self, DEPRECATED, End, LINES};
use dfmigrate::catalog::{self, Date, timeline};
use serde_json::{Value, json};

#[allow(dead_code)]
#[path = "../src/bin/catalog/life.rs"]
mod build;
#[allow(dead_code)]
#[path = "../src/bin/catalog/knowledge.rs"]
mod knowledge;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder with the recorded data, where there is one.
fn shared() -> Option<PathBuf> {
    let folder = root().join("../shared/catalog");
    if folder.join("eol.json").is_file() {
        return Some(folder);
    }
    eprintln!(
        "SKIPPED: {} is absent; the life spans were not held against their input",
        folder.display()
    );
    None
}

fn input(shared: &Path) -> build::Input {
    let read = |name: &str| knowledge::read(&shared.join(name)).unwrap();
    build::Input {
        lines: read("eol.json"),
        deprecated: read("deprecated.json"),
        bases: read("timeline.json.xz"),
        versions: read("version_timeline.json.xz"),
    }
}

#[test]
fn the_committed_tables_are_what_the_input_gives() {
    let Some(shared) = shared() else { return };
    for (name, bytes) in build::build(&input(&shared)).unwrap() {
        let committed = std::fs::read(root().join("src/catalog/data").join(name)).unwrap();
        assert!(
            committed == bytes,
            "{name} differs: run `cargo catalog life`"
        );
    }
}

#[test]
fn a_small_input_gives_these_tables() {
    let tables = build::build(&build::Input {
        lines: json!({"node": {"product": "nodejs", "cycles": [
            {"c": "20", "r": "2023-04-18", "s": "2024-10-22", "e": "2026-04-30", "x": true, "v": "20.20.2", "vd": "2026-03-24"},
            {"c": "9", "r": "2017-10-01", "e": false},
        ]}}),
        deprecated: json!({
            "old": {"announced": "2020-01-02", "no_updates_after": null, "library_removed": "2021-01-02",
                "in_catalogue": false, "notice_gone": null, "note": "renamed", "replacement": ["new", "a/b"],
                "text": "In favor of [the `new` image](https://example.com/new/).\n\nSee it."},
            "part": {"announced": null, "in_catalogue": true, "notice_gone": null, "note": "tags:1,2", "replacement": [], "text": ""},
        }),
        bases: json!({"a": {"1": [["2020-01-01", "?"], ["2020-01-01", "debian:buster"], ["2021-01-01", "debian:buster"], ["2022-01-01", "-"]]}}),
        versions: json!({"a": {"1": [["2020-01-01", "1.0"], ["2020-06-01", "1.1"]], "2": [["2020-01-01", "2.0"], ["2022-01-01", "-"]]}}),
    })
    .unwrap();
    let body = |name: &str| {
        let text = String::from_utf8(tables[name].clone()).unwrap();
        let lines: Vec<String> = text
            .lines()
            .filter(|l| !l.starts_with('#'))
            .map(str::to_owned)
            .collect();
        lines
    };
    assert_eq!(
        body("lines.tsv"),
        [
            "node:20\tnodejs\t2023-04-18\t2024-10-22\t2026-04-30\tyes\t20.20.2\t2026-03-24",
            "node:9\tnodejs\t2017-10-01\t-\tno\t-\t-\t-",
        ]
    );
    assert_eq!(
        body("deprecated.tsv"),
        [
            "old\tdeprecated\t2020-01-02\t-\t2021-01-02\t-\tnew a/b\tIn favor of the new image. See it.",
            "part\tsome\t-\t-\t-\t1 2\t-\tTags:1,2",
        ]
    );
    assert_eq!(
        body("timeline_values.tsv"),
        ["-", "1.0", "1.1", "debian:buster"]
    );
    let map = fst::Map::new(&tables["timelines.fst"]).unwrap();
    assert_eq!(map.len(), 1, "a tag of one version alone has no timeline");
}

#[test]
fn the_tables_are_canonical_and_read_whole() {
    for table in [
        &LINES,
        &DEPRECATED,
        &catalog::origin::ORIGINS,
        &catalog::packages::NAMES,
        &catalog::successor::SUCCESSORS,
        &catalog::traps::TRAPS,
    ] {
        assert_eq!(table.faults(), Vec::<String>::new());
    }
    let is_end = |cell: &str| ["yes", "no", "-"].contains(&cell) || Date::parse(cell).is_some();
    for row in LINES.iter() {
        let (image, name) = row.key().split_once(':').unwrap();
        let cells: Vec<&str> = row.cells().collect();
        assert!(
            [3, 4, 5].iter().all(|at| is_end(cells[*at])),
            "{}",
            row.key()
        );
        let distribution = catalog::releases().iter().any(|r| r.family == image);
        let line = life::line(image, name);
        assert_eq!(
            line.map(|line| line.name),
            (!distribution).then_some(name),
            "{}",
            row.key()
        );
    }
    for row in DEPRECATED.iter() {
        assert!(catalog::is_official(row.key()), "{}", row.key());
        let state = row.cell(1).unwrap();
        assert!(
            ["deprecated", "some", "advice", "withdrawn"].contains(&state),
            "{}",
            row.key()
        );
        let lives = catalog::image(row.key()).unwrap().removed.is_none();
        assert!(lives || state == "deprecated", "{}: {state}", row.key());
        assert_eq!(state == "some", row.cell(5).is_some(), "{}", row.key());
    }
    assert_eq!(DEPRECATED.iter().count(), 57);
    assert!(LINES.iter().count() >= 1200);
    let data = root().join("src/catalog/data");
    let size: u64 = [
        "timelines.fst",
        "timelines.bin",
        "timeline_values.tsv",
        "lines.tsv",
        "deprecated.tsv",
    ]
    .iter()
    .map(|file| std::fs::metadata(data.join(file)).unwrap().len())
    .sum();
    assert!(size < 450_000, "{size}");
}

/// The value of the last event of a list that is not later than the day, and
/// the last that is not gone.
fn plainly(events: &[Value], day: &str) -> (Option<String>, bool) {
    let past: Vec<&str> = events
        .iter()
        .filter(|event| event[0].as_str().unwrap() <= day)
        .map(|event| event[1].as_str().unwrap())
        .collect();
    let gone = past.last() == Some(&"-");
    let value = past.iter().rev().find(|value| **value != "-");
    let known = value.filter(|value| !["", "?"].contains(*value));
    (known.map(|value| (*value).to_owned()), gone)
}

#[test]
fn every_recorded_change_is_answered() {
    let Some(shared) = shared() else { return };
    let input = input(&shared);
    let empty = Vec::new();
    let (mut asked, mut tags) = (0, 0);
    for (image, by_tag) in input.bases.as_object().unwrap() {
        for (tag, bases) in by_tag.as_object().unwrap() {
            let Some([_, versions]) = timeline::timelines(image, tag) else {
                panic!("{image}:{tag} has no timeline");
            };
            tags += 1;
            let recorded = &input.versions[image][tag];
            let recorded = recorded
                .as_array()
                .filter(|_| !versions.is_empty())
                .unwrap_or(&empty);
            let bases = bases.as_array().unwrap();
            for event in bases.iter().chain(recorded) {
                let day = event[0].as_str().unwrap();
                let (base, base_gone) = plainly(bases, day);
                let (version, version_gone) = plainly(recorded, day);
                let told = timeline::past(image, tag, Date::parse(day).unwrap());
                let told = told.map(|past| {
                    (
                        past.base.map(str::to_owned),
                        past.version.map(str::to_owned),
                        past.gone,
                    )
                });
                let gone = base_gone || version_gone;
                if gone || base.is_some() || version.is_some() {
                    assert_eq!(told, Some((base, version, gone)), "{image}:{tag} on {day}");
                }
                asked += 1;
            }
        }
    }
    eprintln!("{tags} tags, {asked} changes");
    assert!(tags > 8_000 && asked > 75_000, "{tags} {asked}");
    assert!(timeline::len() > 12_000);
}

#[test]
fn what_floating_tags_meant() {
    let past = |image, tag, day| timeline::past(image, tag, Date::parse(day).unwrap());
    let python = past("python", "3", "2020-05-20").unwrap();
    assert_eq!(
        (python.base, python.version, python.gone),
        (Some("debian:buster"), Some("3.8.3"), false)
    );
    let node = past("node", "20", "2026-06-01").unwrap();
    assert_eq!(
        (node.base, node.version, node.gone),
        (Some("debian:bookworm"), Some("20.20.2"), true)
    );
    assert_eq!(
        past("node", "20", "2020-01-01"),
        None,
        "it wasn't there yet"
    );
    assert_eq!(past("no-such", "1", "2020-01-01"), None);
    assert_eq!(
        life::line("node", "14").unwrap().end,
        Some(End::On(Date::parse("2023-04-30").unwrap()))
    );
}
