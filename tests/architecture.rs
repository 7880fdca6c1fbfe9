//! The layers of `src/lib.rs`, held by reading the code: which module uses
//! which, and that the core does no I/O.

use std::path::{Path, PathBuf};

/// What each layer may use of the crate; the table in `src/lib.rs`.
const LAYERS: [(&str, &[&str]); 9] = [
    ("text", &[]),
    ("image", &[]),
    ("syntax", &["text"]),
    ("catalog", &["image"]),
    ("facts", &["image"]),
    ("model", &["text", "image", "syntax", "catalog", "facts"]),
    (
        "rules",
        &["text", "image", "syntax", "catalog", "facts", "model"],
    ),
    (
        "plan",
        &[
            "text", "image", "syntax", "catalog", "facts", "model", "rules",
        ],
    ),
    (
        "report",
        &[
            "text", "image", "syntax", "catalog", "facts", "model", "rules", "plan",
        ],
    ),
];

/// What the core may not touch.
const IMPURE: [&str; 6] = [
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::io",
    "SystemTime",
];

/// The crate's modules that a source names: `crate::x`, grouped imports too.
fn uses(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in source.match_indices("crate::") {
        let before = source[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &source[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let end = group.find("};").unwrap_or(group.len());
            let mut depth = 0;
            let mut start = 0;
            let group = &group[..end];
            for (i, c) in group.char_indices().chain([(group.len(), ',')]) {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        found.extend(first_name(group[start..i].trim()));
                        start = i + 1;
                    }
                    _ => {}
                }
            }
        } else {
            found.extend(first_name(rest));
        }
    }
    found
}

fn first_name(path: &str) -> Option<String> {
    let end = path
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(path.len());
    (end > 0).then(|| path[..end].to_owned())
}

/// A source without comments and without its unit tests.
fn code(source: &str) -> String {
    let source = source
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default();
    let lines = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

fn sources(of: &str) -> Vec<(PathBuf, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut todo = vec![src.join(of), src.join(format!("{of}.rs"))];
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            todo.extend(std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        } else if path.extension().is_some_and(|e| e == "rs") {
            let is_test = path.file_name().is_some_and(|n| n == "tests.rs");
            if !is_test && let Ok(text) = std::fs::read_to_string(&path) {
                found.push((path, code(&text)));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn the_reader_of_imports_sees_every_form() {
    assert_eq!(uses("use crate::a::B;"), ["a"]);
    assert_eq!(uses("use crate::{a::{B, C}, d, e::F};"), ["a", "d", "e"]);
    assert_eq!(uses("fn f() -> crate::g::H { x_crate::no() }"), ["g"]);
    assert_eq!(
        code("// crate::x\ny\n#[cfg(test)]\nmod tests {\ncrate::z"),
        "y"
    );
}

#[test]
fn each_layer_uses_only_those_below() {
    let mut wrong = Vec::new();
    for (layer, allowed) in LAYERS {
        let files = sources(layer);
        assert!(!files.is_empty(), "there is no module {layer}");
        for (path, text) in files {
            for used in uses(&text) {
                if used != layer && !allowed.contains(&used.as_str()) {
                    wrong.push(format!("{}: {layer} uses {used}", path.display()));
                }
            }
            for name in IMPURE {
                if text.contains(name) {
                    wrong.push(format!("{}: {layer} touches {name}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn rules_do_not_use_each_other() {
    let rules = [
        "pin_digest",
        "refresh_digest",
        "alpine_base",
        "end_of_life",
        "jre_base",
        "multi_stage",
        "pin_codename",
        "replace_deprecated",
        "slim_base",
        "trusted_base",
    ];
    for (path, text) in sources("rules") {
        for rule in rules {
            let own = path.to_string_lossy().contains(rule);
            let names = [format!("super::{rule}::"), format!("rules::{rule}")];
            if !own {
                for name in names {
                    assert!(!text.contains(&name), "{}: {name}", path.display());
                }
            }
        }
    }
}

#[test]
fn only_reports_serialize_and_only_the_binary_uses_anyhow() {
    for layer in [
        "text", "image", "syntax", "catalog", "facts", "model", "rules", "plan",
    ] {
        for (path, text) in sources(layer) {
            assert!(!text.contains("Serialize"), "{}", path.display());
        }
    }
    for layer in LAYERS.iter().map(|(layer, _)| *layer).chain([
        "apply", "context", "discover", "lsp", "registry", "settings", "verify",
    ]) {
        for (path, text) in sources(layer) {
            assert!(!text.contains("anyhow"), "{}", path.display());
        }
    }
}

#[test]
fn general_layers_name_no_rule() {
    for layer in [
        "text", "image", "syntax", "catalog", "facts", "model", "plan", "report",
    ] {
        for (path, text) in sources(layer) {
            let rules = dfmigrate::rules::all().iter().map(|rule| rule.meta().id);
            for rule in rules.map(|id| format!("\"{id}\"")) {
                assert!(!text.contains(&rule), "{}: {rule}", path.display());
            }
        }
    }
}
