//! The tables about packages, commands and language packages are what the
//! collected data and the mends give, byte for byte.

use std::path::Path;

#[allow(dead_code)]
#[path = "../src/bin/catalog/knowledge.rs"]
mod knowledge;

#[test]
fn tables_are_what_the_data_gives() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = root.join("../shared");
    if !shared.join("knowledge").is_dir() {
        eprintln!(
            "SKIPPED: {} is not there; the tables were NOT compared with their data",
            shared.display()
        );
        return;
    }
    let data = root.join("src/catalog/data");
    let tables = knowledge::build(&shared, &data).unwrap();
    assert!(tables.len() > 8);
    for (name, text) in tables {
        let committed = std::fs::read_to_string(data.join(&name)).unwrap_or_default();
        assert!(
            committed == text,
            "{name} is not what the data gives: run `cargo catalog knowledge`"
        );
    }
}

#[test]
fn every_table_is_canonical() {
    use dfmigrate::catalog::table::Table;
    use dfmigrate::catalog::{commands, libraries, packages, registries, variants};

    let mends = include_str!("../src/catalog/data/mends.tsv");
    let tables = [
        &commands::COMMANDS,
        &libraries::GEM,
        &libraries::HAND,
        &libraries::NPM,
        &libraries::PIP,
        &libraries::PYPI,
        &packages::CLASSES,
        &packages::DEV_BOOKWORM,
        &packages::DEV_BULLSEYE,
        &packages::DEV_TRIXIE,
        &packages::LAYERS,
        &packages::RENAMES,
        &registries::REGISTRIES,
        &variants::VARIANTS,
        &Table::new(mends),
    ];
    for table in tables {
        let name = table.columns().collect::<Vec<_>>();
        assert_eq!(table.faults(), Vec::<String>::new(), "{name:?}");
        assert!(table.size() < 150_000, "{name:?} is {} bytes", table.size());
        for row in table.iter() {
            assert_eq!(table.get(row.key()), Some(row), "{name:?}");
        }
    }
}

/// The collected data, or nothing and a loud word.
fn collected(name: &str) -> Option<serde_json::Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/knowledge")
        .join(name);
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!(
            "SKIPPED: {} is not there; NOTHING was compared with it",
            path.display()
        );
        return None;
    };
    Some(serde_json::from_str(&text).unwrap())
}

#[test]
fn every_collected_command_is_a_row() {
    use dfmigrate::catalog::programs;

    let Some(data) = collected("effects.json") else {
        return;
    };
    let mut count = 0;
    for group in data["commands"].as_array().unwrap() {
        for command in group["cmd"].as_array().unwrap() {
            let command = command.as_str().unwrap();
            count += 1;
            // Scripts by their path are followed, not looked up.
            if command.starts_with('/') {
                continue;
            }
            let (name, verb) = match command.split_once(' ') {
                Some((name, verb)) => (name, Some(verb)),
                None => (command, None),
            };
            assert!(programs::role(name, verb).is_some(), "no {command}");
        }
    }
    assert_eq!(count, 218);
}

#[test]
fn commands_of_bookworm_are_the_collected_ones() {
    use dfmigrate::catalog::{commands, packages};

    let Some(data) = collected("full_vs_slim.json") else {
        return;
    };
    let data = &data["bookworm"];
    let lists = ["base_commands", "lost_commands"]
        .iter()
        .flat_map(|k| data[k].as_object().unwrap());
    for (package, list) in lists.filter(|(p, _)| packages::LAYERS.get(p).is_some()) {
        for command in list.as_array().unwrap() {
            let command = command.as_str().unwrap();
            if command.starts_with("x86_64-") || command.starts_with("dh_") {
                continue;
            }
            let told = commands::package_of(command, "bookworm");
            let told = told.unwrap_or_else(|| panic!("no {command} of {package}"));
            let layer = packages::layer_of(package, "bookworm");
            assert_eq!(
                packages::layer_of(told, "bookworm"),
                layer,
                "{command}: {told}, {package}"
            );
        }
    }
}
