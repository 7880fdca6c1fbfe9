//! Debian packages: what a `-dev` package leaves behind at run time, which
//! packages are only for building, and what a package is called in another
//! release.

use std::sync::OnceLock;

use super::table::Table;

/// The `-dev` packages of bullseye.
pub static DEV_BULLSEYE: Table = Table::new(include_str!("data/dev_runtime.bullseye.tsv"));
/// The `-dev` packages of bookworm.
pub static DEV_BOOKWORM: Table = Table::new(include_str!("data/dev_runtime.bookworm.tsv"));
/// The `-dev` packages of trixie.
pub static DEV_TRIXIE: Table = Table::new(include_str!("data/dev_runtime.trixie.tsv"));
/// Packages by what they are for.
pub static CLASSES: Table = Table::new(include_str!("data/apt_classes.tsv"));
/// Library packages by their names in each release.
pub static RENAMES: Table = Table::new(include_str!("data/renames.tsv"));
/// Packages of the official Debian bases, and in which layer they come.
pub static LAYERS: Table = Table::new(include_str!("data/full_vs_slim.tsv"));

/// Names of packages, and which releases have them.
pub static NAMES: Table = Table::new(include_str!("data/apt_names.tsv"));

/// What stays at run time of a `-dev` package.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuntimeOf {
    /// The run-time packages; none for headers and static libraries. The C and
    /// C++ run times, which every Debian has, are never among them.
    pub packages: Vec<&'static str>,
    /// How that is known.
    pub how: How,
}

/// How the run-time packages of a `-dev` package are known, strongest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum How {
    /// It ships `libX.so`, and they ship `libX.so.N`.
    Soname,
    /// It depends on them, and they are built from the same source.
    SameSource,
    /// It depends on them, and they are libraries of other sources.
    Depends,
    /// It only depends on other `-dev` packages; theirs, joined.
    ViaDev,
    /// The name is a virtual one; those of the packages that provide it.
    Virtual,
    /// It has nothing for run time.
    Nothing,
}

/// What a package is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Class {
    /// Only for building; a final stage never needs it.
    BuildOnly,
    /// Headers: replace it by what [`runtime_of`] says.
    Dev,
    /// Not needed unless something asks for one of its commands at run time.
    ToolIfDemanded {
        /// The commands; none where only other packages use it.
        commands: Vec<&'static str>,
    },
    /// Needed at run time, or part of every image.
    Runtime,
    /// Not in the tables: take it for [`Class::Runtime`].
    Unknown,
}

/// What a package is called in another release.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Renamed {
    /// As before.
    Same,
    /// By this name.
    To(&'static str),
    /// It is not in that release, under no name.
    Gone,
}

/// The layer of the official Debian bases in which a package comes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Layer {
    /// `debian:<codename>-slim`, whose packages are also `debian:<codename>`'s.
    Slim,
    /// `buildpack-deps:<codename>-curl`.
    Curl,
    /// `buildpack-deps:<codename>-scm`.
    Scm,
    /// `buildpack-deps:<codename>`, what full images are made of.
    Full,
}

/// The column of a release in the tables that have one column for each.
pub(super) fn column(codename: &str) -> Option<usize> {
    static COLUMNS: OnceLock<Vec<&'static str>> = OnceLock::new();
    let columns = COLUMNS.get_or_init(|| RENAMES.columns().collect());
    let at = columns.iter().position(|column| *column == codename)?;
    (at > 0).then_some(at)
}

/// What stays at run time of a `-dev` package; `None` where that is not known,
/// for the package or for the release.
pub fn runtime_of(dev: &str, codename: &str) -> Option<RuntimeOf> {
    let table = match codename {
        "bullseye" => &DEV_BULLSEYE,
        "bookworm" => &DEV_BOOKWORM,
        "trixie" => &DEV_TRIXIE,
        _ => return None,
    };
    let row = table.get(dev)?;
    let how = match row.cell(1)? {
        "soname" => How::Soname,
        "same-source" => How::SameSource,
        "depends" => How::Depends,
        "via-dev" => How::ViaDev,
        "virtual" => How::Virtual,
        _ => How::Nothing,
    };
    let packages = row.list(2).filter(|&p| p != "none").collect();
    Some(RuntimeOf { packages, how })
}

/// What a package is for. A version or architecture (`foo=1.2`, `foo:amd64`)
/// is not part of its name.
pub fn class_of(package: &str, codename: &str) -> Class {
    let pattern = numbers_out(package);
    if let Some(row) = CLASSES.get(package).or_else(|| CLASSES.get(&pattern)) {
        return match row.cell(1) {
            Some("build") => Class::BuildOnly,
            Some("tool") => Class::ToolIfDemanded {
                commands: row.list(2).collect(),
            },
            _ => Class::Runtime,
        };
    }
    if package.ends_with("-dev") {
        return Class::Dev;
    }
    if ["-doc", "-dbgsym", "-headers"]
        .iter()
        .any(|s| package.ends_with(s))
    {
        return Class::BuildOnly;
    }
    let in_base = layer_of(package, codename) == Some(Layer::Slim);
    if in_base || RENAMES.get(package).is_some() || is_shared_library(package) {
        return Class::Runtime;
    }
    Class::Unknown
}

/// What a package of one release is called in another; `None` where that is
/// not known.
pub fn rename(package: &str, from: &str, to: &str) -> Option<Renamed> {
    let (from, to) = (column(from)?, column(to)?);
    let row = RENAMES.get(package)?;
    if row.cell(from)? != "=" {
        return None;
    }
    Some(match row.cell(to)? {
        "=" => Renamed::Same,
        "!" => Renamed::Gone,
        other => Renamed::To(other),
    })
}

/// Whether a release has a package of that name; `None` where that is not known.
pub fn is_in(package: &str, codename: &str) -> Option<bool> {
    let column = column(codename)?;
    match NAMES.get(package).and_then(|row| row.cell(column)) {
        Some("yes") => Some(true),
        Some("no") => Some(false),
        _ => (RENAMES.get(package)?.cell(column)? == "=").then_some(true),
    }
}

/// The layer in which a package comes; `None` where it is in none, or where
/// that is not known.
pub fn layer_of(package: &str, codename: &str) -> Option<Layer> {
    layer(LAYERS.get(package)?.cell(column(codename)?)?)
}

fn layer(name: &str) -> Option<Layer> {
    Some(match name {
        "slim" => Layer::Slim,
        "curl" => Layer::Curl,
        "scm" => Layer::Scm,
        "full" => Layer::Full,
        _ => return None,
    })
}

/// Whether the name is one that Debian gives to shared libraries: `lib…`, with
/// the version of the library at its end (policy 8.1).
fn is_shared_library(package: &str) -> bool {
    let name = package.strip_suffix("t64").unwrap_or(package);
    name.starts_with("lib") && name.ends_with(|c: char| c.is_ascii_digit())
}

/// The name with `#` for every version number, as [`CLASSES`] writes them.
fn numbers_out(package: &str) -> String {
    let mut pattern = String::with_capacity(package.len());
    for (at, c) in package.char_indices() {
        let between = c == '.'
            && pattern.ends_with('#')
            && package[at + 1..].starts_with(|n: char| n.is_ascii_digit());
        match c {
            '0'..='9' if pattern.ends_with('#') => {}
            '0'..='9' => pattern.push('#'),
            _ if between => {}
            _ => pattern.push(c),
        }
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime(dev: &str, codename: &str) -> Vec<&'static str> {
        runtime_of(dev, codename).unwrap().packages
    }

    #[test]
    fn dev_packages_leave_their_libraries() {
        assert_eq!(runtime("libpq-dev", "bookworm"), ["libpq5"]);
        assert_eq!(runtime("libssl-dev", "bullseye"), ["libssl1.1"]);
        assert_eq!(runtime("libssl-dev", "bookworm"), ["libssl3"]);
        assert_eq!(runtime("libssl-dev", "trixie"), ["libssl3t64"]);
        assert_eq!(
            runtime("default-libmysqlclient-dev", "trixie"),
            ["libmariadb3"]
        );
        assert_eq!(runtime("libjpeg-dev", "bookworm"), ["libjpeg62-turbo"]);
        assert_eq!(runtime("libicu-dev", "trixie"), ["libicu76"]);
        assert_eq!(runtime("libboost-dev", "bookworm"), [""; 0]);
        assert_eq!(
            runtime_of("libpq-dev", "bookworm").unwrap().how,
            How::Soname
        );
    }

    #[test]
    fn an_unknown_release_or_package_has_no_answer() {
        assert_eq!(runtime_of("libpq-dev", "sid"), None);
        assert_eq!(runtime_of("libpq-dev", ""), None);
        assert_eq!(runtime_of("libmysqlclient-dev", "bookworm"), None);
        assert_eq!(runtime_of("libpcre3-dev", "trixie"), None);
    }

    #[test]
    fn classes() {
        let class = |p| class_of(p, "bookworm");
        for build in [
            "build-essential",
            "gcc",
            "gcc-12",
            "g++",
            "make",
            "cmake",
            "pkg-config",
            "python3-dev",
            "python3.11-dev",
            "clang-14",
            "rustc",
            "cargo",
            "linux-headers-6.1.0-13-amd64",
            "libc6-dev",
            "libstdc++-12-dev",
            "debhelper",
            "swig4.0",
        ] {
            assert_eq!(class(build), Class::BuildOnly, "{build}");
        }
        for dev in ["libpq-dev", "zlib1g-dev", "libnobodyknows-dev"] {
            assert_eq!(class(dev), Class::Dev, "{dev}");
        }
        let git = Class::ToolIfDemanded {
            commands: vec!["git", "scalar"],
        };
        assert_eq!(class("git"), git);
        assert!(matches!(class("python3"), Class::ToolIfDemanded { .. }));
        for stays in [
            "libpq5",
            "libssl3t64",
            "ffmpeg",
            "bash",
            "tzdata",
            "openjdk-17-jre-headless",
            "libfoo7",
        ] {
            assert_eq!(class(stays), Class::Runtime, "{stays}");
        }
        assert_eq!(class("nobody-knows"), Class::Unknown);
    }

    #[test]
    fn names_change_between_releases() {
        assert_eq!(
            rename("libssl3", "bookworm", "trixie"),
            Some(Renamed::To("libssl3t64"))
        );
        assert_eq!(
            rename("libssl1.1", "bullseye", "bookworm"),
            Some(Renamed::To("libssl3"))
        );
        assert_eq!(rename("libpq5", "bookworm", "trixie"), Some(Renamed::Same));
        assert_eq!(
            rename("software-properties-common", "bookworm", "trixie"),
            Some(Renamed::Gone)
        );
        assert_eq!(rename("libssl3t64", "bookworm", "trixie"), None);
        assert_eq!(rename("nobody-knows", "bookworm", "trixie"), None);
        assert_eq!(rename("libpq5", "bookworm", "sid"), None);
        assert_eq!(rename("libpq5", "package", "trixie"), None);
    }

    #[test]
    fn a_rename_leads_back() {
        for row in RENAMES.iter() {
            for (at, to) in [(1, "bullseye"), (2, "bookworm"), (3, "trixie")] {
                let Some(name) = row.cell(at).filter(|c| !["=", "!"].contains(c)) else {
                    continue;
                };
                let there = RENAMES
                    .get(name)
                    .unwrap_or_else(|| panic!("{name} has no row"));
                assert_eq!(there.cell(at), Some("="), "{} in {to}", row.key());
            }
        }
    }

    #[test]
    fn layers_of_the_debian_bases() {
        assert_eq!(layer_of("bash", "trixie"), Some(Layer::Slim));
        assert_eq!(layer_of("curl", "bookworm"), Some(Layer::Curl));
        assert_eq!(layer_of("git", "bullseye"), Some(Layer::Scm));
        assert_eq!(layer_of("libpq-dev", "bookworm"), Some(Layer::Full));
        assert_eq!(layer_of("perl", "bookworm"), Some(Layer::Scm));
        assert_eq!(layer_of("adduser", "bookworm"), Some(Layer::Slim));
        assert_eq!(layer_of("adduser", "trixie"), Some(Layer::Curl));
        assert_eq!(layer_of("ffmpeg", "bookworm"), None);
        assert_eq!(layer_of("bash", "sid"), None);
    }
}
