//! Lock files of Node.js.

use saphyr::Yaml;
use serde_json::Value;

use super::{Format, LineFinder, Lock, Package};
use crate::model::yaml::load;

/// `package-lock.json` or `npm-shrinkwrap.json`, of versions 1, 2 and 3.
///
/// # Errors
/// Why it can't be read, in words.
pub fn npm(text: &str) -> Result<Lock, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let version = value["lockfileVersion"].as_u64().unwrap_or(1);
    let mut finder = LineFinder::new(text);
    let mut packages = Vec::new();
    if let Some(rows) = value["packages"].as_object() {
        for (path, row) in rows {
            // The project itself, and links to its own workspaces.
            let Some((_, name)) = path.rsplit_once("node_modules/") else {
                continue;
            };
            if row["link"].as_bool() == Some(true) {
                continue;
            }
            let name = row["name"].as_str().unwrap_or(name);
            let mut package = json_package(name, row);
            package.script = Some(row["hasInstallScript"].as_bool().unwrap_or(false));
            package.line = finder.find(&format!("\"{path}\""));
            packages.push(package);
        }
    } else if let Some(rows) = value["dependencies"].as_object() {
        nested(rows, &mut finder, &mut packages, 0);
    } else if version > 1 {
        return Err("it lists no packages".to_owned());
    }
    Ok(Lock {
        format: Format::Npm(version),
        packages,
        platforms: Vec::new(),
    })
}

/// The tree of a lock of version 1.
fn nested(
    rows: &serde_json::Map<String, Value>,
    finder: &mut LineFinder<'_>,
    out: &mut Vec<Package>,
    depth: usize,
) {
    for (name, row) in rows {
        let mut package = json_package(name, row);
        package.line = finder.find(&format!("\"{name}\": {{"));
        package.needs = keys(&row["requires"]);
        out.push(package);
        if let (Some(rows), true) = (row["dependencies"].as_object(), depth < 60) {
            nested(rows, finder, out, depth + 1);
        }
    }
}

fn json_package(name: &str, row: &Value) -> Package {
    let flag = |key: &str| row[key].as_bool() == Some(true);
    Package {
        dev: flag("dev") || flag("devOptional"),
        optional: flag("optional") || flag("devOptional"),
        os: strings(&row["os"]),
        cpu: strings(&row["cpu"]),
        libc: strings(&row["libc"]),
        needs: keys(&row["dependencies"]),
        optional_needs: keys(&row["optionalDependencies"]),
        ..Package::new(name, row["version"].as_str().unwrap_or_default())
    }
}

fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(one) => vec![one.clone()],
        Value::Array(all) => {
            let all = all.iter().filter_map(Value::as_str);
            all.map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

fn keys(value: &Value) -> Vec<String> {
    let keys = value.as_object().into_iter().flat_map(|map| map.keys());
    keys.cloned().collect()
}

/// `yarn.lock`, of yarn 1 and of later ones.
///
/// # Errors
/// Why it can't be read, in words.
pub fn yarn(text: &str) -> Result<Lock, String> {
    // The file of later versions is YAML and says so.
    if text.lines().any(|line| line.starts_with("__metadata:")) {
        return berry(text);
    }
    let lock = yarn_lock_parser::parse_str(text).map_err(|error| error.to_string())?;
    let mut finder = LineFinder::new(text);
    let names = |list: &[(&str, &str)]| list.iter().map(|(name, _)| (*name).to_owned()).collect();
    let packages = lock.entries.iter().map(|entry| {
        let spec = entry.descriptors.first();
        let spec = spec.map_or(String::new(), |(name, range)| format!("{name}@{range}"));
        Package {
            line: finder.find(&spec),
            needs: names(&entry.dependencies),
            optional_needs: names(&entry.optional_dependencies),
            ..Package::new(entry.name, entry.version)
        }
    });
    Ok(Lock {
        format: Format::YarnClassic,
        packages: packages.collect(),
        platforms: Vec::new(),
    })
}

fn yaml(text: &str) -> Result<Yaml<'_>, String> {
    let documents = load(text)?;
    // pnpm writes a first document of its own before the project's.
    let last = documents.into_iter().next_back();
    last.filter(Yaml::is_mapping)
        .ok_or_else(|| "it is no mapping".to_owned())
}

fn entries<'y>(node: Option<&'y Yaml<'_>>) -> impl Iterator<Item = (&'y str, &'y Yaml<'y>)> {
    let map = node.and_then(|node| node.as_mapping());
    map.into_iter()
        .flat_map(|map| map.iter())
        .filter_map(|(key, value)| Some((key.as_str()?, value)))
}

fn names(node: Option<&Yaml<'_>>) -> Vec<String> {
    entries(node).map(|(name, _)| name.to_owned()).collect()
}

fn words(node: Option<&Yaml<'_>>) -> Vec<String> {
    let Some(node) = node else {
        return Vec::new();
    };
    match (node.as_str(), node.as_sequence()) {
        (Some(one), _) => vec![one.to_owned()],
        (_, Some(all)) => {
            let all = all.iter().filter_map(|item| item.as_str());
            all.map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

fn truth(node: Option<&Yaml<'_>>) -> bool {
    node.and_then(|node| node.as_bool()) == Some(true)
}

fn berry(text: &str) -> Result<Lock, String> {
    let document = yaml(text)?;
    let mut finder = LineFinder::new(text);
    let mut packages = Vec::new();
    for (key, row) in entries(Some(&document)) {
        let resolution = row.as_mapping_get("resolution").and_then(|r| r.as_str());
        let Some(resolution) = resolution else {
            continue;
        };
        // The project's own workspaces.
        if resolution.contains("@workspace:") {
            continue;
        }
        let Some((name, _)) = split_spec(resolution) else {
            continue;
        };
        let version = row.as_mapping_get("version");
        let version = version.and_then(|v| v.as_str()).unwrap_or_default();
        let mut package = Package::new(name, version);
        package.line = finder.find(key);
        let conditions = row.as_mapping_get("conditions").and_then(|c| c.as_str());
        for condition in conditions.into_iter().flat_map(|text| text.split('&')) {
            let condition = condition.trim().trim_matches(['(', ')']);
            for one in condition.split('|') {
                let Some((what, value)) = one.trim().trim_matches(['(', ')']).split_once('=')
                else {
                    continue;
                };
                let list = match what.trim() {
                    "os" => &mut package.os,
                    "cpu" => &mut package.cpu,
                    "libc" => &mut package.libc,
                    _ => continue,
                };
                list.push(value.trim().to_owned());
            }
        }
        let meta = row.as_mapping_get("dependenciesMeta");
        for name in names(row.as_mapping_get("dependencies")) {
            let about = meta.and_then(|meta| meta.as_mapping_get(&name));
            let optional = about.and_then(|about| about.as_mapping_get("optional"));
            if truth(optional) {
                package.optional_needs.push(name);
            } else {
                package.needs.push(name);
            }
        }
        packages.push(package);
    }
    Ok(Lock {
        format: Format::YarnBerry,
        packages,
        platforms: Vec::new(),
    })
}

/// `@scope/name@rest` as its two parts.
fn split_spec(spec: &str) -> Option<(&str, &str)> {
    let skip = usize::from(spec.starts_with('@'));
    let at = skip + spec[skip..].find('@')?;
    Some((&spec[..at], &spec[at + 1..]))
}

/// `pnpm-lock.yaml`, of versions 5 to 9.
///
/// # Errors
/// Why it can't be read, in words.
pub fn pnpm(text: &str) -> Result<Lock, String> {
    let document = yaml(text)?;
    let mut finder = LineFinder::new(text);
    let snapshots = document.as_mapping_get("snapshots");
    // What an entry depends on stands in `snapshots` from version 9 on, once
    // for each set of peers.
    let mut edges: std::collections::HashMap<&str, (Vec<String>, Vec<String>, bool)> =
        std::collections::HashMap::new();
    for (key, row) in entries(snapshots) {
        let plain = key.split('(').next().unwrap_or(key);
        let edge = edges.entry(plain).or_default();
        edge.0.extend(names(row.as_mapping_get("dependencies")));
        edge.1
            .extend(names(row.as_mapping_get("optionalDependencies")));
        edge.2 |= truth(row.as_mapping_get("optional"));
    }
    let mut packages = Vec::new();
    for (key, row) in entries(document.as_mapping_get("packages")) {
        let plain = key.split('(').next().unwrap_or(key);
        let Some((name, version)) = pnpm_name(plain) else {
            continue;
        };
        let mut package = Package::new(name, version);
        package.line = finder.find(key);
        package.os = words(row.as_mapping_get("os"));
        package.cpu = words(row.as_mapping_get("cpu"));
        package.libc = words(row.as_mapping_get("libc"));
        package.dev = truth(row.as_mapping_get("dev"));
        package.optional = truth(row.as_mapping_get("optional"));
        package.needs = names(row.as_mapping_get("dependencies"));
        package.optional_needs = names(row.as_mapping_get("optionalDependencies"));
        match edges.get(plain) {
            Some((needs, optional, is_optional)) => {
                package.needs.extend(needs.iter().cloned());
                package.optional_needs.extend(optional.iter().cloned());
                package.optional |= is_optional;
            }
            // Up to version 6 an entry says whether it is built.
            None => package.script = Some(truth(row.as_mapping_get("requiresBuild"))),
        }
        packages.push(package);
    }
    Ok(Lock {
        format: Format::Pnpm,
        packages,
        platforms: Vec::new(),
    })
}

/// `/name/1.0.0`, `/name@1.0.0`, `name@1.0.0`.
fn pnpm_name(key: &str) -> Option<(&str, &str)> {
    let key = key.strip_prefix('/').unwrap_or(key);
    if let Some((name, version)) = split_spec(key) {
        // Up to version 5 an `@` may stand among the peers at the end.
        let slashes = usize::from(name.starts_with('@'));
        if name.matches('/').count() == slashes {
            return Some((name, version));
        }
    }
    let (name, version) = key.split('_').next().unwrap_or(key).rsplit_once('/')?;
    Some((name, version))
}

/// `bun.lock`, the text form. It is JSON with commas at the ends of lists,
/// which YAML reads too.
///
/// # Errors
/// Why it can't be read, in words.
pub fn bun(text: &str) -> Result<Lock, String> {
    let document = yaml(text)?;
    let mut finder = LineFinder::new(text);
    let mut packages = Vec::new();
    for (key, row) in entries(document.as_mapping_get("packages")) {
        let Some(list) = row.as_sequence() else {
            continue;
        };
        let Some((name, version)) = list.first().and_then(|s| s.as_str()).and_then(split_spec)
        else {
            continue;
        };
        if version.starts_with("workspace:") {
            continue;
        }
        let mut package = Package::new(name, version);
        package.line = finder.find(&format!("\"{key}\": ["));
        if let Some(about) = list.iter().find(|item| item.is_mapping()) {
            package.os = words(about.as_mapping_get("os"));
            package.cpu = words(about.as_mapping_get("cpu"));
            package.libc = words(about.as_mapping_get("libc"));
            package.needs = names(about.as_mapping_get("dependencies"));
            package.optional_needs = names(about.as_mapping_get("optionalDependencies"));
        }
        packages.push(package);
    }
    Ok(Lock {
        format: Format::Bun,
        packages,
        platforms: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package<'l>(lock: &'l Lock, name: &str) -> &'l Package {
        let found = lock.packages.iter().find(|p| p.name == name);
        found.unwrap_or_else(|| panic!("no {name}"))
    }

    #[test]
    fn npm_in_three_versions() {
        let three = npm(r#"{
  "lockfileVersion": 3,
  "packages": {
    "": { "name": "app" },
    "packages/own": { "version": "1.0.0" },
    "node_modules/own": { "resolved": "packages/own", "link": true },
    "node_modules/bcrypt": { "version": "5.1.1", "hasInstallScript": true,
      "dependencies": { "node-addon-api": "^5" } },
    "node_modules/a/node_modules/@img/sharp-linux-x64": { "version": "0.35.5", "dev": true,
      "optional": true, "os": ["linux"], "cpu": ["x64"], "libc": ["glibc"] }
  }
}"#)
        .unwrap();
        assert_eq!(three.format, Format::Npm(3));
        assert_eq!(three.packages.len(), 2);
        let bcrypt = package(&three, "bcrypt");
        assert_eq!(bcrypt.script, Some(true));
        assert_eq!(bcrypt.line, 7);
        assert_eq!(bcrypt.needs, ["node-addon-api"]);
        let sharp = package(&three, "@img/sharp-linux-x64");
        assert!(sharp.dev && sharp.optional && sharp.fits("linux", "x64"));
        assert_eq!((sharp.libc[0].as_str(), sharp.line), ("glibc", 9));

        let one = npm(r#"{ "lockfileVersion": 1, "dependencies": {
 "a": { "version": "1.0.0", "requires": { "nan": "2" }, "dependencies": {
  "nan": { "version": "2.0.0", "optional": true } } } } }"#)
        .unwrap();
        assert_eq!(one.format, Format::Npm(1));
        assert_eq!(package(&one, "a").needs, ["nan"]);
        assert_eq!(package(&one, "a").script, None);
        assert_eq!(package(&one, "nan").line, 3);
        assert!(npm("{").is_err());
        assert!(npm(r#"{"lockfileVersion": 3}"#).is_err());
    }

    #[test]
    fn yarn_of_both_kinds() {
        let one = yarn(
            "# THIS IS AN AUTOGENERATED FILE. DO NOT EDIT THIS FILE DIRECTLY.\n# yarn lockfile v1\n\n\n\"@a/b@^1.0.0\", \"@a/b@^1.1.0\":\n  version \"1.2.0\"\n  resolved \"https://r/x.tgz#0\"\n  integrity sha512-x\n  dependencies:\n    nan \"^2.0.0\"\n  optionalDependencies:\n    fsevents \"^2\"\n\nnan@^2.0.0:\n  version \"2.18.0\"\n  resolved \"https://r/nan.tgz#1\"\n  integrity sha512-y\n",
        )
        .unwrap();
        assert_eq!(one.format, Format::YarnClassic);
        let b = package(&one, "@a/b");
        assert_eq!((b.version.as_str(), b.line), ("1.2.0", 5));
        assert_eq!(
            (b.needs.as_slice(), b.optional_needs.as_slice()),
            (
                ["nan".to_owned()].as_slice(),
                ["fsevents".to_owned()].as_slice()
            )
        );
        assert_eq!(package(&one, "nan").line, 14);

        let two = yarn("__metadata:\n  version: 8\n\n\"app@workspace:.\":\n  version: 0.0.0-use.local\n  resolution: \"app@workspace:.\"\n\n\"@img/sharp-linux-x64@npm:0.33.5\":\n  version: 0.33.5\n  resolution: \"@img/sharp-linux-x64@npm:0.33.5\"\n  dependencies:\n    \"@img/libvips\": \"npm:1\"\n    node-gyp: \"npm:latest\"\n  dependenciesMeta:\n    \"@img/libvips\":\n      optional: true\n  conditions: os=linux & cpu=x64 & libc=glibc\n").unwrap();
        assert_eq!((two.format, two.packages.len()), (Format::YarnBerry, 1));
        let sharp = &two.packages[0];
        assert_eq!(sharp.line, 8);
        assert_eq!(
            (
                sharp.os[0].as_str(),
                sharp.cpu[0].as_str(),
                sharp.libc[0].as_str()
            ),
            ("linux", "x64", "glibc")
        );
        assert_eq!(
            (sharp.needs[0].as_str(), sharp.optional_needs[0].as_str()),
            ("node-gyp", "@img/libvips")
        );
        assert!(yarn("nothing: [").is_err());
    }

    #[test]
    fn pnpm_of_old_and_new() {
        let old = pnpm("lockfileVersion: 5.4\npackages:\n  /bcrypt/5.1.0:\n    resolution: {integrity: x}\n    requiresBuild: true\n    dependencies:\n      node-addon-api: 5.0.0\n  /@a/b/1.0.0_react@18:\n    resolution: {integrity: x}\n    dev: true\n").unwrap();
        let bcrypt = package(&old, "bcrypt");
        assert_eq!(
            (bcrypt.version.as_str(), bcrypt.script, bcrypt.line),
            ("5.1.0", Some(true), 3)
        );
        assert_eq!(package(&old, "@a/b").version, "1.0.0");
        let new = pnpm("lockfileVersion: '9.0'\npackages:\n  '@a/b@1.0.0':\n    resolution: {integrity: x}\n    os: [linux]\n    cpu: [x64]\n    libc: [musl]\nsnapshots:\n  '@a/b@1.0.0(react@18.0.0)':\n    optionalDependencies:\n      c: 1.0.0\n    optional: true\n").unwrap();
        let b = package(&new, "@a/b");
        assert_eq!(
            (b.libc[0].as_str(), b.optional, b.script),
            ("musl", true, None)
        );
        assert_eq!(b.optional_needs, ["c"]);
    }

    #[test]
    fn bun_with_its_commas() {
        let lock = bun("{\n  \"lockfileVersion\": 1,\n  \"workspaces\": { \"\": { \"name\": \"app\", }, },\n  \"packages\": {\n    \"app2\": [\"app2@workspace:packages/app2\"],\n    \"@img/sharp-linuxmusl-x64\": [\"@img/sharp-linuxmusl-x64@0.33.5\", \"\", { \"optionalDependencies\": { \"x\": \"1\" }, \"os\": \"linux\", \"cpu\": \"x64\" }, \"sha512-x\"],\n  }\n}\n").unwrap();
        assert_eq!(lock.packages.len(), 1);
        let sharp = &lock.packages[0];
        assert_eq!(
            (sharp.name.as_str(), sharp.version.as_str(), sharp.line),
            ("@img/sharp-linuxmusl-x64", "0.33.5", 6)
        );
        assert_eq!(
            (sharp.os[0].as_str(), sharp.optional_needs[0].as_str()),
            ("linux", "x")
        );
    }
}
