//! The tables about Alpine Linux and musl, from the collected data.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Rows, cell, strings, words};

/// Debian packages by their names in Alpine: the curated rows, and the derived
/// ones of packages that have no curated row.
pub fn apt_apk(curated: &Value, derived: &Value) -> Rows {
    let mut rows = Rows::new();
    for (name, row) in derived.as_object().into_iter().flatten() {
        let coverage = row["cov"].as_f64().unwrap_or_default();
        let sure = if coverage >= 0.9 { "derived" } else { "low" };
        rows.insert(
            name.clone(),
            vec![
                row["apk"].as_str().unwrap_or_default().to_owned(),
                row["by"].as_str().unwrap_or_default().to_owned(),
                sure.to_owned(),
                String::new(),
            ],
        );
    }
    for row in curated.as_array().into_iter().flatten() {
        let name = row["deb"].as_str().unwrap_or_default().to_owned();
        rows.insert(
            name,
            vec![
                cell(strings(&row["apk"])),
                row["class"].as_str().unwrap_or_default().to_owned(),
                row["confidence"].as_str().unwrap_or_default().to_owned(),
                words(row["note"].as_str()),
            ],
        );
    }
    rows
}

/// The flags that busybox lacks, by tool and flag, and the package whose tool
/// has them.
pub fn gnu_flags(flags: &Value) -> Rows {
    let rows = flags.as_object().into_iter().flatten();
    rows.filter(|(_, row)| row["busybox"].as_bool() == Some(false))
        .map(|(key, row)| {
            let package = row["apk"].as_str().unwrap_or_default().to_owned();
            (key.replacen(' ', ":", 1), vec![package])
        })
        .collect()
}

/// What packages of languages need on Alpine: to run, and to be compiled.
pub fn apk_libs(libraries: &Value) -> Rows {
    let mut rows = Rows::new();
    for ecosystem in ["gem", "npm", "pip"] {
        for (name, row) in libraries[ecosystem].as_object().into_iter().flatten() {
            let list = |value: &Value| match value {
                Value::Array(items) if items.is_empty() => "none".to_owned(),
                other => cell(strings(other)),
            };
            let cells = vec![
                list(&row["apk"]),
                list(&row["build_apk"]),
                words(row["note"].as_str()),
            ];
            rows.insert(format!("{ecosystem}:{name}"), cells);
        }
    }
    rows
}

/// PHP's extensions: packages to run and to build them, in Alpine and Debian.
pub fn php_ext(extensions: &Value) -> Rows {
    let rows = extensions.as_object().into_iter().flatten();
    rows.filter(|(name, _)| !name.is_empty())
        .map(|(name, row)| {
            let cells = [
                ("alpine", "persistent"),
                ("alpine", "volatile"),
                ("debian", "persistent"),
                ("debian", "volatile"),
            ];
            let cells = cells.map(|(system, when)| cell(strings(&row[system][when])));
            (name.clone(), cells.to_vec())
        })
        .collect()
}

/// The signals: what each means for Alpine, and what clears it.
pub fn signals(data: &Value) -> Rows {
    let remedies: BTreeMap<String, String> = data["remedies"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(k, v)| (k.clone(), words(v.as_str())))
        .collect();
    let rows = data["signals"].as_array().into_iter().flatten();
    rows.map(|row| {
        let text = |key: &str| words(row[key].as_str());
        let letters: BTreeSet<&str> = row["remedy"]
            .as_str()
            .unwrap_or_default()
            .split('/')
            .filter(|letter| remedies.contains_key(*letter))
            .collect();
        let cells = vec![
            text("eco"),
            text("verdict").replace(' ', "-"),
            cell(letters.into_iter().map(str::to_owned)),
            text("detect"),
            text("action"),
            text("evidence"),
        ];
        (text("id"), cells)
    })
    .collect()
}
