//! Lock files and requirement files of Python.

use toml::{Table, Value};

use super::{Format, LineFinder, Lock, Package};

/// What the name of a wheel says it runs on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wheel<'n> {
    /// The interpreters: `cp312`, `py3`; several are joined by dots.
    pub python: &'n str,
    /// The binary interfaces: `cp312`, `abi3`, `none`.
    pub abi: &'n str,
    /// The platforms: `any`, `manylinux_2_28_x86_64`, `musllinux_1_2_aarch64`.
    pub platform: &'n str,
}

impl<'n> Wheel<'n> {
    /// Reads the name of a file; `None` when it is no wheel.
    #[must_use]
    pub fn of(file: &'n str) -> Option<Self> {
        let mut parts = file.strip_suffix(".whl")?.rsplitn(4, '-');
        let (platform, abi, python) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self {
            python,
            abi,
            platform,
        })
    }

    /// Whether it runs everywhere.
    #[must_use]
    pub fn pure(&self) -> bool {
        self.platform == "any"
    }

    /// Whether it is for this C library (`musllinux`, `manylinux`) and
    /// processor (`x86_64`, `aarch64`).
    #[must_use]
    pub fn is_for(&self, family: &str, processor: &str) -> bool {
        let mut platforms = self.platform.split('.');
        platforms.any(|p| p.starts_with(family) && p.ends_with(&format!("_{processor}")))
    }

    /// Whether this minor version of CPython 3 loads it.
    #[must_use]
    pub fn runs_on(&self, minor: u32) -> bool {
        self.python.split('.').any(|tag| {
            if tag == "py3" || tag == format!("py3{minor}") {
                return true;
            }
            let Some(of) = tag.strip_prefix("cp3").and_then(|v| v.parse::<u32>().ok()) else {
                return false;
            };
            of == minor || (of <= minor && self.abi.split('.').any(|abi| abi == "abi3"))
        })
    }

    /// The oldest glibc that will do, as `(2, 17)`; `None` for other wheels.
    #[must_use]
    pub fn glibc(&self) -> Option<(u32, u32)> {
        let oldest = self.platform.split('.').filter_map(|platform| {
            if let Some(rest) = platform.strip_prefix("manylinux_") {
                let mut numbers = rest.split('_').map(str::parse::<u32>);
                return Some((numbers.next()?.ok()?, numbers.next()?.ok()?));
            }
            // The names from before PEP 600.
            [
                ("manylinux1_", 5),
                ("manylinux2010_", 12),
                ("manylinux2014_", 17),
            ]
            .iter()
            .find(|(name, _)| platform.starts_with(name))
            .map(|(_, minor)| (2, *minor))
        });
        oldest.min()
    }
}

fn table(text: &str) -> Result<Table, String> {
    text.parse::<Table>()
        .map_err(|error| error.message().to_owned())
}

fn rows(table: &Table) -> impl Iterator<Item = &Table> {
    let list = table.get("package").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_table)
}

fn text_of<'t>(row: &'t Table, key: &str) -> &'t str {
    row.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The last part of a URL or path.
fn file_name(url: &str) -> String {
    let path = url.split(['#', '?']).next().unwrap_or(url);
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

fn entry(row: &Table, finder: &mut LineFinder<'_>) -> Package {
    let name = text_of(row, "name");
    Package {
        line: finder.find(&format!("\nname = \"{name}\"")) + 1,
        ..Package::new(name, text_of(row, "version"))
    }
}

/// `uv.lock`. The project's own packages are left out.
///
/// # Errors
/// Why it can't be read, in words.
pub fn uv(text: &str) -> Result<Lock, String> {
    let table = table(text)?;
    let mut finder = LineFinder::new(text);
    let mut packages = Vec::new();
    for row in rows(&table) {
        let mut package = entry(row, &mut finder);
        let source = row.get("source").and_then(Value::as_table);
        let has = |key: &str| source.is_some_and(|source| source.contains_key(key));
        if ["virtual", "editable", "directory"].iter().any(|k| has(k)) {
            continue;
        }
        let wheels = row.get("wheels").and_then(Value::as_array);
        let files = wheels.into_iter().flatten().chain(row.get("sdist"));
        for file in files.filter_map(Value::as_table) {
            let name = ["filename", "url", "path"]
                .iter()
                .map(|key| text_of(file, key))
                .find(|name| !name.is_empty());
            package.files.extend(name.map(file_name));
        }
        packages.push(package);
    }
    Ok(Lock {
        format: Format::Uv,
        packages,
        platforms: Vec::new(),
    })
}

/// `poetry.lock`: files stand by the package from 1.3 on, before that under
/// `metadata`.
///
/// # Errors
/// Why it can't be read, in words.
pub fn poetry(text: &str) -> Result<Lock, String> {
    locked(text, Format::Poetry)
}

/// `pdm.lock`.
///
/// # Errors
/// Why it can't be read, in words.
pub fn pdm(text: &str) -> Result<Lock, String> {
    locked(text, Format::Pdm)
}

fn locked(text: &str, format: Format) -> Result<Lock, String> {
    let table = table(text)?;
    let mut finder = LineFinder::new(text);
    let metadata = table.get("metadata").and_then(Value::as_table);
    let elsewhere = metadata
        .and_then(|metadata| metadata.get("files"))
        .and_then(Value::as_table);
    let mut packages = Vec::new();
    for row in rows(&table) {
        let mut package = entry(row, &mut finder);
        package.optional = row.get("optional").and_then(Value::as_bool) == Some(true);
        let groups = row.get("groups").and_then(Value::as_array);
        let groups: Vec<&str> = groups
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let category = text_of(row, "category");
        package.dev = category == "dev"
            || (!groups.is_empty() && !groups.iter().any(|g| matches!(*g, "main" | "default")));
        let own = row.get("files").and_then(Value::as_array);
        let by_name = elsewhere.and_then(|files| files.get(&package.name));
        let files = own.or_else(|| by_name.and_then(Value::as_array));
        for file in files.into_iter().flatten().filter_map(Value::as_table) {
            let name = ["file", "url"]
                .iter()
                .map(|key| text_of(file, key))
                .find(|name| !name.is_empty());
            package.files.extend(name.map(file_name));
        }
        packages.push(package);
    }
    Ok(Lock {
        format,
        packages,
        platforms: Vec::new(),
    })
}

/// `Pipfile.lock`, which names no files.
///
/// # Errors
/// Why it can't be read, in words.
pub fn pipfile(text: &str) -> Result<Lock, String> {
    let value: serde_json::Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let mut finder = LineFinder::new(text);
    let mut packages = Vec::new();
    for (section, dev) in [("default", false), ("develop", true)] {
        for (name, row) in value[section].as_object().into_iter().flatten() {
            let version = row["version"].as_str().unwrap_or_default();
            if !for_linux(row["markers"].as_str().unwrap_or_default()) {
                continue;
            }
            packages.push(Package {
                line: finder.find(&format!("\"{name}\": {{")),
                dev,
                ..Package::new(name, version.trim_start_matches('='))
            });
        }
    }
    Ok(Lock {
        format: Format::Pipfile,
        packages,
        platforms: Vec::new(),
    })
}

/// What a requirement file says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Requirements {
    /// The packages; the version is that of `==`, else empty.
    pub lock: Lock,
    /// Other requirement files, as written.
    pub includes: Vec<String>,
    /// What is installed from elsewhere: the line and the requirement.
    pub elsewhere: Vec<(usize, String)>,
}

/// A `requirements.txt`, hashed or plain.
#[must_use]
pub fn requirements(text: &str) -> Requirements {
    let mut out = Requirements {
        lock: Lock {
            format: Format::Requirements,
            packages: Vec::new(),
            platforms: Vec::new(),
        },
        includes: Vec::new(),
        elsewhere: Vec::new(),
    };
    let mut joined = String::new();
    let mut start = 1;
    for (index, line) in text.lines().enumerate() {
        if joined.is_empty() {
            start = index + 1;
        }
        match line.trim_end().strip_suffix('\\') {
            Some(head) => {
                joined.push_str(head);
                joined.push(' ');
            }
            None => {
                joined.push_str(line);
                requirement(&joined, start, &mut out);
                joined.clear();
            }
        }
    }
    requirement(&joined, start, &mut out);
    out
}

fn requirement(line: &str, number: usize, out: &mut Requirements) {
    let line = match line.find(" #") {
        Some(at) => &line[..at],
        None => line,
    };
    let line = line.trim().trim_start_matches('\u{feff}');
    if line.is_empty() || line.starts_with('#') {
        return;
    }
    if line.starts_with('-') {
        for flag in ["-r", "--requirement"] {
            if let Some(rest) = line.strip_prefix(flag) {
                let path = rest.trim_start_matches(['=', ' ']);
                out.includes.push(path.to_owned());
                return;
            }
        }
        if line.starts_with("-e") || line.starts_with("--editable") {
            out.elsewhere.push((number, line.to_owned()));
        }
        return;
    }
    let bare = line.split(" --").next().unwrap_or(line);
    let (bare, marker) = bare.split_once(';').unwrap_or((bare, ""));
    if !for_linux(marker) {
        return;
    }
    let bare = bare.trim();
    let end = bare
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
        .unwrap_or(bare.len());
    let (name, mut rest) = bare.split_at(end);
    if let Some(close) = rest.strip_prefix('[').and_then(|r| r.find(']')) {
        rest = &rest[close + 2..];
    }
    let rest = rest.trim();
    if name.is_empty() || rest.starts_with('@') || rest.starts_with(['/', ':', '+']) {
        out.elsewhere.push((number, line.to_owned()));
        return;
    }
    let version = rest
        .strip_prefix("===")
        .or_else(|| rest.strip_prefix("=="))
        .map_or("", |v| v.split(',').next().unwrap_or(v).trim());
    out.lock.packages.push(Package {
        line: number,
        ..Package::new(name, version)
    });
}

/// Whether a marker can hold on Linux: only the plain comparisons that rule it
/// out are understood.
fn for_linux(marker: &str) -> bool {
    let marker = marker.replace('"', "'").replace(' ', "");
    let others = [
        "sys_platform=='win32'",
        "sys_platform=='darwin'",
        "platform_system=='Windows'",
        "platform_system=='Darwin'",
        "os_name=='nt'",
        "sys_platform!='linux'",
    ];
    marker.contains("or") && marker.contains('(')
        || !others.iter().any(|other| marker.contains(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wheels_say_what_they_run_on() {
        let wheel = Wheel::of("aiohttp-3.14.5-cp312-cp312-musllinux_1_2_x86_64.whl").unwrap();
        assert!(wheel.is_for("musllinux", "x86_64") && !wheel.is_for("musllinux", "aarch64"));
        assert!(wheel.runs_on(12) && !wheel.runs_on(13) && !wheel.pure());
        let stable = Wheel::of("cryptography-50.0.2-cp311-abi3-manylinux_2_28_x86_64.whl").unwrap();
        assert!(stable.runs_on(13) && !stable.runs_on(10));
        assert_eq!(stable.glibc(), Some((2, 28)));
        let old = "x-1-cp39-cp39-manylinux_2_17_x86_64.manylinux2014_x86_64.whl";
        assert_eq!(Wheel::of(old).unwrap().glibc(), Some((2, 17)));
        assert!(Wheel::of("flask-3.0.0-py3-none-any.whl").unwrap().pure());
        assert_eq!(Wheel::of("flask-3.0.0.tar.gz"), None);
    }

    #[test]
    fn uv_without_the_project_itself() {
        let lock = uv("version = 1\n\n[[package]]\nname = \"app\"\nversion = \"0\"\nsource = { virtual = \".\" }\n\n[[package]]\nname = \"lxml\"\nversion = \"6.0\"\nsource = { registry = \"https://r\" }\nsdist = { url = \"https://r/lxml-6.0.tar.gz\", hash = \"sha256:0\" }\nwheels = [\n    { url = \"https://r/a/lxml-6.0-cp312-cp312-musllinux_1_2_x86_64.whl#x\" },\n]\n").unwrap();
        assert_eq!(lock.packages.len(), 1);
        let lxml = &lock.packages[0];
        assert_eq!(
            (lxml.name.as_str(), lxml.version.as_str(), lxml.line),
            ("lxml", "6.0", 9)
        );
        assert_eq!(
            lxml.files,
            [
                "lxml-6.0-cp312-cp312-musllinux_1_2_x86_64.whl",
                "lxml-6.0.tar.gz"
            ]
        );
        assert!(uv("[[package").is_err());
    }

    #[test]
    fn poetry_of_both_forms_and_pdm() {
        let old = poetry("[[package]]\nname = \"a\"\nversion = \"1\"\ncategory = \"dev\"\noptional = false\n\n[metadata.files]\na = [\n    {file = \"a-1-py3-none-any.whl\", hash = \"sha256:0\"},\n]\n").unwrap();
        assert!(old.packages[0].dev);
        assert_eq!(old.packages[0].files, ["a-1-py3-none-any.whl"]);
        let new = poetry("[[package]]\nname = \"a\"\nversion = \"1\"\noptional = true\ngroups = [\"main\"]\nfiles = [\n    {file = \"a-1.tar.gz\", hash = \"sha256:0\"},\n]\n").unwrap();
        assert!(!new.packages[0].dev && new.packages[0].optional);
        assert_eq!(new.packages[0].files, ["a-1.tar.gz"]);
        let pdm = pdm("[[package]]\nname = \"a\"\nversion = \"1\"\ngroups = [\"test\"]\nfiles = [\n    {url = \"https://r/a-1-py3-none-any.whl\", hash = \"sha256:0\"},\n]\n").unwrap();
        assert!(pdm.packages[0].dev);
        assert_eq!(pdm.packages[0].files, ["a-1-py3-none-any.whl"]);
    }

    #[test]
    fn pipfile_locks_name_no_files() {
        let lock = pipfile(
            r#"{ "default": {
 "flask": { "hashes": [], "version": "==3.0.0" },
 "pywin32": { "version": "==306", "markers": "sys_platform == 'win32'" } },
 "develop": { "pytest": { "version": "==8.0" } } }"#,
        )
        .unwrap();
        assert_eq!(lock.packages.len(), 2);
        assert_eq!(
            (lock.packages[0].version.as_str(), lock.packages[0].line),
            ("3.0.0", 2)
        );
        assert!(lock.packages[1].dev);
    }

    #[test]
    fn requirements_hashed_and_plain() {
        let read = requirements(
            "# top\nFlask==3.0.0 \\\n    --hash=sha256:0 \\\n    --hash=sha256:1\nuvicorn[standard]>=0.20 # web\n-r more.txt\n-e .\ngit+https://h/x.git#egg=x\npkg @ https://h/pkg.whl\npywin32; sys_platform == 'win32'\n--index-url https://r\n",
        );
        let names: Vec<&str> = read.lock.packages.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["Flask", "uvicorn"]);
        assert_eq!(read.lock.packages[0].version, "3.0.0");
        assert_eq!(read.lock.packages[1].line, 5);
        assert_eq!(read.includes, ["more.txt"]);
        let lines: Vec<usize> = read.elsewhere.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [7, 8, 9]);
    }
}
