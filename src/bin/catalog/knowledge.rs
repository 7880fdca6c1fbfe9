//! Makes the tables about packages, commands and language packages from the
//! collected data: `cargo catalog knowledge [--check] [SHARED]`.
//!
//! Rows that turned out to be wrong are set right by `mends.tsv`, one fact a
//! line with its reason, so that a rebuild keeps them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use serde_json::Value;

#[path = "alpine.rs"]
mod alpine;

const CODENAMES: [&str; 3] = ["bullseye", "bookworm", "trixie"];
/// What every Debian system has, so that no `-dev` package need name it.
const ALWAYS: [&str; 4] = ["libc6", "libgcc-s1", "libstdc++6", "libc-bin"];
/// The layers of `buildpack-deps`, lowest first.
const LAYERS: [(&str, &str); 4] = [
    ("base", "slim"),
    ("buildpack-deps:curl", "curl"),
    ("buildpack-deps:scm", "scm"),
    ("buildpack-deps", "full"),
];

type Rows = BTreeMap<String, Vec<String>>;

/// Rebuilds the tables, or with `--check` says which ones differ.
pub fn run(args: impl Iterator<Item = String>) -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut check, mut shared) = (false, root.join("../shared"));
    for arg in args {
        match arg.as_str() {
            "--check" => check = true,
            _ => shared = PathBuf::from(arg),
        }
    }
    let data = root.join("src/catalog/data");
    for (name, text) in build(&shared, &data)? {
        let path = data.join(&name);
        if fs::read_to_string(&path).is_ok_and(|old| old == text) {
            continue;
        }
        if check {
            return Err(format!("{name} differs from what the data gives"));
        }
        fs::write(&path, &text).map_err(|e| format!("{}: {e}", path.display()))?;
        println!("{name}: {} bytes", text.len());
    }
    Ok(())
}

/// The tables as they should be: file name and text.
pub fn build(shared: &Path, data: &Path) -> Result<Vec<(String, String)>, String> {
    let mends = Mends::read(&data.join("mends.tsv"))?;
    let knowledge = |name: &str| read(&shared.join("knowledge").join(name));
    let layers = knowledge("full_vs_slim.json")?;
    let mut dev = BTreeMap::new();
    for codename in CODENAMES {
        dev.insert(
            codename,
            knowledge(&format!("dev_runtime.{codename}.json.xz"))?,
        );
    }
    let wanted: BTreeSet<String> = knowledge("apt_apk.json")?
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|row| row["deb"].as_str())
        .map(str::to_owned)
        .chain(keys(&knowledge("apt_apk_auto.json")?))
        .chain(
            layers
                .as_object()
                .into_iter()
                .flatten()
                .flat_map(|(_, c)| LAYERS.iter().flat_map(|(from, _)| strings(&c[from]))),
        )
        .collect();

    let mut tables = Vec::new();
    let mut table = |name: &str, head: &str, mut rows: Rows| {
        let columns = head.lines().last().map_or(0, |l| l.split('\t').count());
        let names: Vec<&str> = head
            .lines()
            .last()
            .and_then(|l| l.strip_prefix("# columns: "))
            .map(|l| l.split('\t').collect())
            .unwrap_or_default();
        mends.apply(name, &names, &mut rows);
        let mut text = format!("{head}\n");
        for (key, cells) in &rows {
            assert_eq!(cells.len() + 1, columns, "{name}: {key}");
            text.push_str(key);
            for cell in cells {
                text.push('\t');
                text.push_str(if cell.is_empty() { "-" } else { cell });
            }
            text.push('\n');
        }
        tables.push((format!("{name}.tsv"), text));
        rows
    };

    let mut dev_rows = BTreeMap::new();
    for (codename, source) in &dev {
        let rows = table(
            &format!("dev_runtime.{codename}"),
            &format!(
                "# source: Packages and Contents of Debian {codename} main amd64 (dev_runtime.{codename}.json)\n\
                 # note: the -dev packages that Alpine names too, that full images have, or that bring only what those bring\n\
                 # note: runtime says none where there is nothing to bring along; the C and C++ run times are left out\n\
                 # columns: dev\thow\truntime"
            ),
            dev_runtime(&source["map"], &wanted),
        );
        dev_rows.insert(*codename, rows);
    }
    let renames = table(
        "renames",
        "# source: the run-time packages of one -dev package in Debian bullseye, bookworm and trixie, paired by name (dev_runtime)\n\
         # note: = is the same name, ! is gone, - is not known\n\
         # columns: package\tbullseye\tbookworm\ttrixie",
        renames(&dev_rows),
    );
    table(
        "full_vs_slim",
        "# source: closures of the install lists of debian:<codename>-slim and buildpack-deps:<codename> (full_vs_slim.json)\n\
         # note: slim is in debian:<codename>-slim, curl and scm in buildpack-deps:<codename>-curl and -scm, full in buildpack-deps:<codename>\n\
         # note: bullseye names no libraries\n\
         # columns: package\tbullseye\tbookworm\ttrixie",
        full_vs_slim(&layers),
    );
    let libraries = knowledge("runtime_libs.json")?;
    let families = knowledge("npm_families.json")?;
    for ecosystem in ["gem", "npm", "pip"] {
        let mut rows = runtime_libs(&libraries[ecosystem], &renames);
        if ecosystem == "npm" {
            for (name, row) in families.as_object().into_iter().flatten() {
                let prebuilt = strings(&row["linux_x64_glibc"]).next();
                if let (Some(prebuilt), false) = (prebuilt, rows.contains_key(name)) {
                    let mut cells = vec!["none".to_owned(); 3];
                    cells.push("prebuilt for glibc".to_owned());
                    cells.push(prebuilt);
                    rows.insert(name.clone(), cells);
                }
            }
        }
        table(
            &format!("runtime_libs.{ecosystem}"),
            "# source: runtime_libs.json and npm_families.json; bullseye's names by renames.tsv from bookworm's\n\
             # note: - is not known, none is nothing beyond debian:<codename>-slim; runtime_libs.hand.tsv goes before\n\
             # columns: package\tbullseye\tbookworm\ttrixie\tevidence\tnote",
            rows,
        );
    }
    table(
        "pypi",
        "# source: uv lock of 11 projects, Python 3.12 and 3.13, linux, one version each (pypi_musl.json)\n\
         # note: pure has a wheel for any platform, wheel one for glibc on x86_64 (the oldest glibc is told), sdist none\n\
         # note: musl tells the processors with a wheel for musl, sources whether there are any\n\
         # columns: package\tversion\tkind\tglibc\tmusl\tsources",
        pypi(&knowledge("pypi_musl.json")?["packages"]),
    );
    let commands = fs::read_to_string(data.join("commands.tsv")).map_err(|e| e.to_string())?;
    table(
        "image_contents",
        "# source: the Dockerfiles of the official images and the closures of their packages (variants.json)\n\
         # note: commands and lacks are told against the base; complete says that the base and the packages told are all there is\n\
         # note: command<=N is there up to that major version of the image, command>=N from it on\n\
         # columns: variant\tbase\tlibc\tbash\tca-certificates\ttzdata\tcomplete\tpackages\tcommands\tlacks\tnote",
        variants(
            &read(&shared.join("catalog/variants.json"))?,
            &layers,
            &commands,
        ),
    );
    table(
        "apt_apk",
        "# source: the package indexes of Debian and Alpine, and files that name both (apt_apk.json, apt_apk_auto.json)\n\
         # note: kind same or eq is the same software, approx something near, drop and base need no package, null and third have none, old is gone\n\
         # note: pc, so, cmd and same as kind are derived by pkg-config, soname, command or name\n\
         # columns: package\tapk\tkind\tconfidence\tnote",
        alpine::apt_apk(
            &knowledge("apt_apk.json")?,
            &knowledge("apt_apk_auto.json")?,
        ),
    );
    table(
        "gnu_flags",
        "# source: flags of 83,801 Dockerfiles tried with busybox 1.35 and Alpine's configuration of it (gnu_flags.json)\n\
         # columns: flag\tapk",
        alpine::gnu_flags(&knowledge("gnu_flags.json")?),
    );
    table(
        "apk_libs",
        "# source: ELF files of packages, their documentation, dockerfile-rails (runtime_libs.json)\n\
         # note: - is not known, none is nothing\n\
         # columns: package\truntime\tbuild\tnote",
        alpine::apk_libs(&libraries),
    );
    table(
        "php_ext",
        "# source: mlocati/docker-php-extension-installer (php_ext.json)\n\
         # note: names between ^ and $ are patterns of apt\n\
         # columns: extension\tapk\tapk-build\tapt\tapt-build",
        alpine::php_ext(&knowledge("php_ext.json")?),
    );
    table(
        "signals",
        "# source: documentation, issues and files of the projects told in evidence (signals.json)\n\
         # note: remedy A is to add what is missing, M to build against musl, N to do without C, S to link statically, K to keep glibc\n\
         # columns: signal\tecosystem\tverdict\tremedy\tdetect\taction\tevidence",
        alpine::signals(&knowledge("signals.json")?),
    );
    mends.all_used()?;
    Ok(tables)
}

/// A file of JSON, perhaps compressed.
pub fn read(path: &Path) -> Result<Value, String> {
    let told = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let mut bytes = fs::read(path).map_err(|e| told(&e))?;
    if path.extension().is_some_and(|e| e == "xz") {
        let mut plain = Vec::new();
        lzma_rs::xz_decompress(&mut Cursor::new(bytes), &mut plain)
            .map_err(|e| told(&format!("{e:?}")))?;
        bytes = plain;
    }
    serde_json::from_slice(&bytes).map_err(|e| told(&e))
}

fn strings(value: &Value) -> impl Iterator<Item = String> + '_ {
    let items = value.as_array().into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned)
}

fn keys(value: &Value) -> impl Iterator<Item = String> + '_ {
    value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(k, _)| k.clone())
}

/// A list as a cell.
fn cell(items: impl IntoIterator<Item = String>) -> String {
    items.into_iter().collect::<Vec<_>>().join(" ")
}

/// Words for a person as a cell: one line, no double blanks.
fn words(text: Option<&str>) -> String {
    let text = text.unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn dev_runtime(map: &Value, wanted: &BTreeSet<String>) -> Rows {
    let runtime = |row: &Value| -> Vec<String> {
        let mut seen = BTreeSet::new();
        strings(&row["runtime"])
            .filter(|p| !ALWAYS.contains(&p.as_str()))
            .filter(|p| !(p.starts_with("gcc-") && p.ends_with("-base")))
            .filter(|p| seen.insert(p.clone()))
            .collect()
    };
    let map: Vec<(&String, &Value)> = map
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| name.ends_with("-dev"))
        .collect();
    let known: BTreeSet<String> = map
        .iter()
        .filter(|(name, _)| wanted.contains(*name))
        .flat_map(|(_, row)| runtime(row))
        .collect();
    map.into_iter()
        .filter_map(|(name, row)| {
            let packages = runtime(row);
            let covered = !packages.is_empty() && packages.iter().all(|p| known.contains(p));
            (wanted.contains(name) || covered).then(|| {
                let how = row["how"].as_str().unwrap_or_default().to_owned();
                let list = if packages.is_empty() {
                    "none".to_owned()
                } else {
                    cell(packages)
                };
                (name.clone(), vec![how, list])
            })
        })
        .collect()
}

/// The name of a library package without what changes between releases.
fn stem(name: &str) -> String {
    let name = name.replace("t64", "");
    name.chars()
        .filter(|c| !c.is_ascii_digit() && !".-".contains(*c))
        .collect()
}

fn renames(dev: &BTreeMap<&str, Rows>) -> Rows {
    // What a package of one release is called in another, and by how many.
    let mut named: BTreeMap<(usize, String), [BTreeSet<String>; 3]> = BTreeMap::new();
    let list = |codename: usize, name: &str| -> Option<Vec<String>> {
        let row = dev.get(CODENAMES[codename])?.get(name)?;
        let packages = row[1].split(' ').filter(|p| *p != "none");
        Some(packages.map(str::to_owned).collect())
    };
    let all: BTreeSet<&String> = dev.values().flat_map(BTreeMap::keys).collect();
    for name in all {
        for from in 0..3 {
            let Some(ours) = list(from, name) else {
                continue;
            };
            for (to, _) in CODENAMES.iter().enumerate() {
                let Some(theirs) = list(to, name) else {
                    continue;
                };
                for package in &ours {
                    let slot = &mut named.entry((from, package.clone())).or_default()[to];
                    if theirs.contains(package) {
                        slot.insert(package.clone());
                        continue;
                    }
                    let same = |p: &&String| stem(p) == stem(package);
                    let mut fits: Vec<&String> = theirs.iter().filter(same).collect();
                    if ours.iter().filter(same).count() != 1 {
                        fits.clear();
                    }
                    if fits.is_empty() && ours.len() == 1 && theirs.len() == 1 {
                        fits.push(&theirs[0]);
                    }
                    if let [one] = fits[..] {
                        slot.insert(one.clone());
                    }
                }
            }
        }
    }
    let mut rows = Rows::new();
    let packages: BTreeSet<String> = named.keys().map(|(_, p)| p.clone()).collect();
    for package in packages {
        let cells = (0..3).map(|to| {
            let mut names = BTreeSet::new();
            for from in 0..3 {
                if let Some(slots) = named.get(&(from, package.clone())) {
                    names.extend(slots[to].iter().cloned());
                }
            }
            // A package of the release itself needs no other name.
            if names.contains(&package) {
                return "=".to_owned();
            }
            match names.len() {
                1 => names.pop_first().unwrap_or_default(),
                _ => String::new(),
            }
        });
        rows.insert(package.clone(), cells.collect());
    }
    rows
}

fn full_vs_slim(layers: &Value) -> Rows {
    let mut rows = Rows::new();
    for (codename, lists) in layers.as_object().into_iter().flatten() {
        let Some(column) = CODENAMES.iter().position(|c| c == codename) else {
            continue;
        };
        for (from, layer) in LAYERS {
            for package in strings(&lists[from]) {
                let row = rows
                    .entry(package)
                    .or_insert_with(|| vec![String::new(); 3]);
                if row[column].is_empty() {
                    row[column] = layer.to_owned();
                }
            }
        }
    }
    rows
}

fn runtime_libs(packages: &Value, renames: &Rows) -> Rows {
    let list = |value: &Value| match value {
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        other => cell(strings(other)),
    };
    let older = |value: &Value| -> Option<String> {
        let names = strings(value).map(|p| match renames.get(&p)?[0].as_str() {
            "=" => Some(p),
            "" | "!" => None,
            other => Some(other.to_owned()),
        });
        let names: Vec<String> = names.collect::<Option<_>>()?;
        Some(if names.is_empty() {
            "none".to_owned()
        } else {
            cell(names)
        })
    };
    let rows = packages.as_object().into_iter().flatten();
    rows.map(|(name, row)| {
        let cells = vec![
            if row["bookworm"].is_null() {
                String::new()
            } else {
                older(&row["bookworm"]).unwrap_or_default()
            },
            list(&row["bookworm"]),
            list(&row["trixie"]),
            words(row["evidence"].as_str()),
            words(row["note"].as_str()),
        ];
        (name.clone(), cells)
    })
    .collect()
}

fn pypi(packages: &Value) -> Rows {
    let rows = packages.as_object().into_iter().flatten();
    rows.filter(|(name, _)| !name.contains('@'))
        .map(|(name, row)| {
            let version = row["version"].as_str().unwrap_or_default().to_owned();
            let glibc = row["manylinux_min_glibc"]["x86_64"]
                .as_str()
                .unwrap_or_default();
            let kind = match (row["verdict"].as_str(), glibc) {
                (Some("pure"), _) => "pure",
                (_, "") => "sdist",
                _ => "wheel",
            };
            let glibc = if kind == "wheel" { glibc } else { "" };
            (
                name.clone(),
                vec![
                    version,
                    kind.to_owned(),
                    glibc.to_owned(),
                    cell(
                        keys(&row["musllinux"])
                            .filter(|p| ["aarch64", "x86_64"].contains(&p.as_str())),
                    ),
                    if row["sdist"].as_bool() == Some(true) {
                        "yes"
                    } else {
                        "no"
                    }
                    .to_owned(),
                ],
            )
        })
        .collect()
}

fn variants(images: &Value, layers: &Value, commands: &str) -> Rows {
    // Which layer brings a command, on bookworm and trixie alike.
    let rank = |layer: &str| LAYERS.iter().position(|(_, l)| *l == layer);
    let packages = full_vs_slim(layers);
    let in_base = |command: &str, base: &str| -> bool {
        let Some(limit) = base_layer(base).and_then(rank) else {
            return false;
        };
        (1..3).all(|column| {
            commands
                .lines()
                .filter(|l| !l.starts_with('#'))
                .find(|l| l.split('\t').next() == Some(command))
                .and_then(|l| l.split('\t').nth(column + 1))
                .and_then(|p| packages.get(p).or_else(|| packages.get(behind(p))))
                .and_then(|row| rank(&row[column]))
                .is_some_and(|layer| layer <= limit)
        })
    };
    let alpine: BTreeSet<String> =
        strings(&images["alpine"]["full"]["commands"]["alpine"]).collect();
    let lists = |variant: &Value| -> Vec<BTreeSet<String>> {
        let commands = variant["commands"].as_object().into_iter().flatten();
        commands.map(|(_, list)| strings(list).collect()).collect()
    };
    let vocabulary: BTreeSet<String> = images
        .as_object()
        .into_iter()
        .flatten()
        .flat_map(|(_, kinds)| kinds.as_object().into_iter().flatten())
        .flat_map(|(_, variant)| lists(variant).into_iter().flatten())
        .collect();
    let mut rows = Rows::new();
    for (image, kinds) in images.as_object().into_iter().flatten() {
        for (kind, variant) in kinds.as_object().into_iter().flatten() {
            let name = format!("{image}:{kind}");
            let lists = lists(variant);
            let from = variant["from"].as_str().unwrap_or_default();
            let inherits = variant["inherits"].as_str();
            let base = match (name.as_str(), inherits) {
                ("alpine:full" | "debian:slim", _) => "",
                ("buildpack-deps:curl" | "debian:full", _) => "debian:slim",
                ("buildpack-deps:scm", _) => "buildpack-deps:curl",
                ("buildpack-deps:full", _) => "buildpack-deps:scm",
                (_, Some("buildpack-deps")) => "buildpack-deps:full",
                (_, Some("buildpack-deps-scm")) => "buildpack-deps:scm",
                _ if from.starts_with("debian:") && !lists.is_empty() => "debian:slim",
                _ if image == "elixir" && kind == "slim" => "debian:slim",
                _ if kind.contains("alpine") && !lists.is_empty() => "alpine:full",
                _ => "",
            };
            let here = |c: &String| !lists.is_empty() && lists.iter().all(|l| l.contains(c));
            let beneath = |c: &String| match base {
                "" => name == "debian:slim" && in_base(c, "debian:slim"),
                "alpine:full" => alpine.contains(c),
                base => in_base(c, base),
            };
            let own_layer = base_layer(&name).is_some();
            let has = vocabulary
                .iter()
                .filter(|c| here(c) && !beneath(c) && !own_layer);
            // Only Alpine's list was made against the whole vocabulary with nothing beneath it.
            let lacks = vocabulary
                .iter()
                .filter(|c| name == "alpine:full" && !alpine.contains(*c));
            let mut told: BTreeSet<String> = strings(&variant["packages"]).collect();
            let apart =
                |p: &String| !["ca-certificates", "netbase", "tzdata"].contains(&p.as_str());
            let complete =
                !lists.is_empty() && !base.is_empty() && !told.iter().any(apart) || own_layer;
            if told.contains("ca-certificates") && base.starts_with("debian") {
                told.insert("openssl".to_owned());
            }
            let truth = |v: &Value| match v {
                Value::Bool(true) => "yes",
                Value::Bool(false) => "no",
                Value::String(_) => "bundle",
                _ => "",
            };
            rows.insert(
                name.clone(),
                vec![
                    base.to_owned(),
                    variant["libc"].as_str().unwrap_or_default().to_owned(),
                    truth(&variant["bash"]).to_owned(),
                    truth(&variant["ca_certificates"]).to_owned(),
                    truth(&variant["tzdata"]).to_owned(),
                    (if complete { "yes" } else { "no" }).to_owned(),
                    cell(told),
                    cell(has.cloned()),
                    cell(lacks.cloned()),
                    words(variant["note"].as_str()),
                ],
            );
        }
    }
    rows
}

/// The layer that a variant of Debian is made of.
fn base_layer(variant: &str) -> Option<&'static str> {
    [
        ("debian:slim", "slim"),
        ("debian:full", "slim"),
        ("buildpack-deps:curl", "curl"),
        ("buildpack-deps:scm", "scm"),
        ("buildpack-deps:full", "full"),
    ]
    .iter()
    .find_map(|(name, layer)| (*name == variant).then_some(*layer))
}

/// The package in whose place another is named to people.
fn behind(package: &str) -> &str {
    match package {
        "pkg-config" => "pkgconf",
        other => other,
    }
}

/// What `mends.tsv` says: table, row and column → value.
struct Mends {
    facts: Vec<(String, String, String, String)>,
    used: std::cell::RefCell<BTreeSet<usize>>,
}

impl Mends {
    fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let mut facts = Vec::new();
        for line in text.lines().filter(|l| !l.starts_with('#')) {
            let cells: Vec<&str> = line.split('\t').collect();
            let place: Vec<&str> = cells[0].split(' ').collect();
            let ([table, row, column], [_, value, _]) = (&place[..], &cells[..]) else {
                return Err(format!(
                    "mends.tsv: {line:?} is no table, row and column, value and reason"
                ));
            };
            let own = |s: &&str| (*s).to_owned();
            facts.push((own(table), own(row), own(column), own(value)));
        }
        Ok(Self {
            facts,
            used: Default::default(),
        })
    }

    fn apply(&self, table: &str, columns: &[&str], rows: &mut Rows) {
        for (at, (_, row, column, value)) in
            self.facts.iter().enumerate().filter(|(_, f)| f.0 == table)
        {
            self.used.borrow_mut().insert(at);
            if column == "*" && value == "(delete)" {
                assert!(
                    rows.remove(row).is_some(),
                    "mends.tsv: {table} has no row {row}"
                );
                continue;
            }
            let place = columns.iter().position(|c| c == column);
            let place =
                place.unwrap_or_else(|| panic!("mends.tsv: {table} has no column {column}"));
            let cells = rows
                .entry(row.clone())
                .or_insert_with(|| vec![String::new(); columns.len() - 1]);
            let value = if value == "-" { "" } else { value };
            assert_ne!(
                cells[place - 1],
                value,
                "mends.tsv: {table} {row} {column} is so already"
            );
            cells[place - 1] = value.to_owned();
        }
    }

    fn all_used(&self) -> Result<(), String> {
        match (0..self.facts.len()).find(|at| !self.used.borrow().contains(at)) {
            Some(at) => Err(format!("mends.tsv: no table {}", self.facts[at].0)),
            None => Ok(()),
        }
    }
}
