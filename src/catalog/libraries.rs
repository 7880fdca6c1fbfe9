//! Packages of languages: the system libraries and commands that they need at
//! run time, and whether they install without a compiler.

use std::borrow::Cow;

use super::packages::{self, Renamed};
use super::table::{Row, Table};

/// Python's, as collected.
pub static PIP: Table = Table::new(include_str!("data/runtime_libs.pip.tsv"));
/// Node's, as collected.
pub static NPM: Table = Table::new(include_str!("data/runtime_libs.npm.tsv"));
/// Ruby's, as collected.
pub static GEM: Table = Table::new(include_str!("data/runtime_libs.gem.tsv"));
/// Those kept by hand, which go before the collected ones.
pub static HAND: Table = Table::new(include_str!("data/runtime_libs.hand.tsv"));
/// Gems that need nothing.
pub static GEMS: Table = Table::new(include_str!("data/gems.tsv"));
/// How packages of PyPI come.
pub static PYPI: Table = Table::new(include_str!("data/pypi.tsv"));

/// What a package of a language needs at run time, beyond what
/// `debian:<codename>-slim` has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Needs {
    /// The Debian packages, whichever way it was installed.
    pub packages: Vec<&'static str>,
    /// The Debian packages that it needs besides where it was compiled in a
    /// full image, which has the headers, rather than installed prebuilt: an
    /// old version, a new interpreter, `--no-binary`.
    pub if_compiled: Vec<&'static str>,
    /// The commands that it runs.
    pub commands: Vec<&'static str>,
    /// Why nothing should be promised about it.
    pub refuse: Option<&'static str>,
    /// What this rests on.
    pub source: &'static str,
    /// More, in words.
    pub note: Option<&'static str>,
}

/// How a package of PyPI comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PypiKind {
    /// A wheel for any platform: it installs without a compiler and needs no
    /// system library of its own.
    Pure,
    /// A wheel for glibc on x86-64: it installs without a compiler. A few such
    /// wheels still need system libraries (see [`pip`]).
    Wheel {
        /// The oldest glibc that will do.
        glibc: &'static str,
    },
    /// Only sources: it needs a compiler, unless they are Python only.
    Sdist,
}

/// What a package of PyPI needs; `None` where that is not known, for the
/// package or for the release.
pub fn pip(name: &str, codename: &str) -> Option<Needs> {
    needs("pip", &PIP, &normalised(name), codename)
}

/// Modules of interpreters that load what their small images lack.
pub static STDLIB: Table = Table::new(include_str!("data/stdlib_libs.tsv"));

/// A module that comes with an interpreter, and the packages of the library that
/// it loads, which small images lack.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnModule {
    /// Its name.
    pub name: &'static str,
    /// Debian's package.
    pub debian: &'static str,
    /// Alpine's package.
    pub alpine: &'static str,
    /// The signal of the switch to Alpine that it is.
    pub signal: &'static str,
    /// Words of sources that load it by another name.
    pub signs: Vec<&'static str>,
}

/// Such modules of an image's interpreter.
pub fn own_modules(image: &str) -> impl Iterator<Item = OwnModule> + use<'_> {
    STDLIB.iter().filter_map(move |row| {
        let (of, name) = row.key().split_once(':')?;
        (of == image).then_some(OwnModule {
            name,
            debian: row.cell(1)?,
            alpine: row.cell(2)?,
            signal: row.cell(3)?,
            signs: row.list(4).collect(),
        })
    })
}

/// What a package of npm needs; `None` where that is not known.
pub fn npm(name: &str, codename: &str) -> Option<Needs> {
    needs("npm", &NPM, name, codename)
}

/// What a gem needs; `None` where that is not known.
pub fn gem(name: &str, codename: &str) -> Option<Needs> {
    needs("gem", &GEM, name, codename)
}

/// Whether a gem is known to need no library of the system.
#[must_use]
pub fn is_plain_gem(name: &str) -> bool {
    GEMS.get(name).is_some()
}

/// What a module of CPAN needs; `None` where that is not known.
pub fn cpan(name: &str, codename: &str) -> Option<Needs> {
    let column = packages::column(codename)?;
    by_hand(HAND.find(&["cpan", name])?, column, codename)
}

/// How a package of PyPI comes, as of the version in [`PYPI`].
pub fn pypi_kind(name: &str) -> Option<PypiKind> {
    let row = PYPI.get(&normalised(name))?;
    Some(match (row.cell(2)?, row.cell(3)) {
        ("pure", _) => PypiKind::Pure,
        ("wheel", Some(glibc)) => PypiKind::Wheel { glibc },
        _ => PypiKind::Sdist,
    })
}

/// The name of a package of PyPI as PEP 503 has it: lower case, and one `-`
/// for each run of `-`, `_` and `.`.
pub fn normalised(name: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut previous = ' ';
    if name.chars().all(|c| {
        let fine = plain(c) || c == '-' && previous != '-';
        previous = c;
        fine
    }) {
        return Cow::Borrowed(name);
    }
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if !matches!(c, '-' | '_' | '.') {
            out.push(c.to_ascii_lowercase());
        } else if !out.ends_with('-') {
            out.push('-');
        }
    }
    Cow::Owned(out)
}

fn needs(ecosystem: &str, table: &Table, name: &str, codename: &str) -> Option<Needs> {
    let column = packages::column(codename)?;
    if let Some(row) = HAND.find(&[ecosystem, name]) {
        return by_hand(row, column, codename);
    }
    let row = table.get(name)?;
    row.cell(column)?;
    Some(Needs {
        packages: listed(row, column),
        if_compiled: Vec::new(),
        commands: Vec::new(),
        refuse: None,
        source: row.cell(4).unwrap_or_default(),
        note: row.cell(5),
    })
}

fn by_hand(row: Row, column: usize, codename: &str) -> Option<Needs> {
    const BOOKWORM: usize = 2;
    let mut refuse = row.cell(6);
    // A list in bookworm's names, in this release's.
    let mut here = |names: Vec<&'static str>| -> Option<Vec<&'static str>> {
        let mut out = Vec::with_capacity(names.len());
        for name in names {
            match packages::rename(name, "bookworm", codename)? {
                Renamed::Same => out.push(name),
                Renamed::To(other) => out.push(other),
                Renamed::Gone => {
                    refuse = refuse.or(Some("this release has not the package that it needs"))
                }
            }
        }
        Some(out)
    };
    let own = match row.cell(column)? {
        "=" => here(listed(row, BOOKWORM))?,
        _ => listed(row, column),
    };
    let if_compiled = here(row.list(4).collect())?;
    Some(Needs {
        packages: own,
        if_compiled,
        commands: row.list(5).collect(),
        refuse,
        source: row.cell(7).unwrap_or_default(),
        note: row.cell(8),
    })
}

fn listed(row: Row, column: usize) -> Vec<&'static str> {
    row.list(column).filter(|&p| p != "none").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [&str; 0] = [];

    #[test]
    fn modules_that_come_with_interpreters() {
        assert_eq!(STDLIB.faults(), Vec::<String>::new());
        let modules: Vec<OwnModule> = own_modules("python").collect();
        let tk = &modules[0];
        assert_eq!(
            (tk.name, tk.debian, tk.alpine),
            ("tkinter", "libtk8.6", "tk")
        );
        assert_eq!(tk.signs, ["TkAgg"]);
        assert_eq!(own_modules("node").count(), 0);
    }

    #[test]
    fn popular_packages_of_pypi() {
        let packages = |name, codename| pip(name, codename).unwrap().packages;
        assert_eq!(packages("psycopg2", "bookworm"), ["libpq5"]);
        assert_eq!(packages("psycopg2", "bullseye"), ["libpq5"]);
        assert_eq!(packages("psycopg2-binary", "bookworm"), NONE);
        assert_eq!(packages("mysqlclient", "trixie"), ["libmariadb3"]);
        assert_eq!(
            packages("python_ldap", "bookworm"),
            ["libldap-2.5-0", "libsasl2-2"]
        );
        assert_eq!(
            packages("Python-LDAP", "trixie"),
            ["libldap2", "libsasl2-2"]
        );
        assert_eq!(packages("python.magic", "trixie"), ["libmagic1t64"]);
        for wheel in [
            "lxml",
            "Pillow",
            "cryptography",
            "cffi",
            "pycurl",
            "matplotlib",
            "numpy",
        ] {
            assert_eq!(packages(wheel, "bookworm"), NONE, "{wheel}");
        }
        assert_eq!(
            pip("lxml", "bookworm").unwrap().if_compiled,
            ["libxml2", "libxslt1.1"]
        );
        assert_eq!(
            pip("cryptography", "trixie").unwrap().if_compiled,
            ["libssl3t64"]
        );
        assert!(packages("uwsgi", "trixie").contains(&"libssl3t64"));
        assert!(packages("opencv-python", "trixie").contains(&"libglib2.0-0t64"));
        assert_eq!(pip("GitPython", "bookworm").unwrap().commands, ["git"]);
        assert_eq!(
            pip("pydub", "bookworm").unwrap().commands,
            ["ffmpeg", "ffprobe"]
        );
        assert!(pip("playwright", "bookworm").unwrap().refuse.is_some());
        assert!(pip("pdfkit", "bookworm").unwrap().refuse.is_none());
        assert!(pip("pdfkit", "trixie").unwrap().refuse.is_some());
        assert_eq!(pip("weasyprint", "bullseye"), None);
        assert_eq!(pip("nobody-knows", "bookworm"), None);
        assert_eq!(pip("psycopg2", "sid"), None);
    }

    #[test]
    fn popular_packages_of_npm_and_rubygems() {
        for prebuilt in [
            "sharp",
            "bcrypt",
            "canvas",
            "sqlite3",
            "better-sqlite3",
            "@napi-rs/canvas",
        ] {
            assert_eq!(
                npm(prebuilt, "bookworm").unwrap().packages,
                NONE,
                "{prebuilt}"
            );
        }
        assert_eq!(
            npm("@prisma/client", "bookworm").unwrap().packages,
            ["openssl"]
        );
        assert!(npm("puppeteer", "bookworm").unwrap().refuse.is_some());
        assert_eq!(npm("simple-git", "trixie").unwrap().commands, ["git"]);
        assert_eq!(
            npm("gm", "trixie").unwrap().commands,
            ["convert", "identify"]
        );
        assert_eq!(npm("node-ssh", "trixie").unwrap().commands, NONE);
        assert_eq!(npm("nobody-knows", "bookworm"), None);
        assert_eq!(gem("pg", "trixie").unwrap().packages, ["libpq5"]);
        assert_eq!(gem("mysql2", "bookworm").unwrap().packages, ["libmariadb3"]);
        assert_eq!(
            gem("ruby-vips", "trixie").unwrap().packages,
            ["libvips42t64"]
        );
    }

    #[test]
    fn rows_by_hand_are_known_in_every_release_they_name() {
        for row in HAND.iter() {
            let (ecosystem, name) = row.key().split_once(':').unwrap();
            let of = match ecosystem {
                "pip" => pip,
                "npm" => npm,
                "gem" => gem,
                "cpan" => cpan,
                other => panic!("{other}"),
            };
            if ecosystem == "pip" {
                assert_eq!(normalised(name), name);
            }
            for (at, codename) in [(1, "bullseye"), (2, "bookworm"), (3, "trixie")] {
                assert_eq!(
                    of(name, codename).is_some(),
                    row.cell(at).is_some(),
                    "{} {codename}",
                    row.key()
                );
            }
            assert!(row.cell(7).is_some(), "{} has no source", row.key());
        }
    }

    #[test]
    fn kinds_of_pypi() {
        assert_eq!(pypi_kind("affine"), Some(PypiKind::Pure));
        assert_eq!(
            pypi_kind("aiohttp"),
            Some(PypiKind::Wheel { glibc: "2.17" })
        );
        assert_eq!(pypi_kind("psycopg2"), Some(PypiKind::Sdist));
        assert_eq!(pypi_kind("Annotated_Types"), Some(PypiKind::Pure));
        assert_eq!(pypi_kind("nobody-knows"), None);
        for row in PYPI.iter() {
            assert_eq!(normalised(row.key()), row.key());
            assert!(pypi_kind(row.key()).is_some());
        }
    }

    #[test]
    fn plain_gems() {
        assert_eq!(GEMS.faults(), Vec::<String>::new());
        assert!(is_plain_gem("rack"));
        assert!(!is_plain_gem("pg"));
        for row in GEMS.iter() {
            assert!(
                matches!(row.cell(1), Some("pure" | "libc")),
                "{}",
                row.key()
            );
            assert!(HAND.find(&["gem", row.key()]).is_none(), "{}", row.key());
        }
        assert_eq!(cpan("DBD::Pg", "trixie").unwrap().packages, ["libpq5"]);
        assert_eq!(cpan("No::One", "trixie"), None);
    }

    #[test]
    fn names_are_normalised() {
        for (from, to) in [
            ("a-b", "a-b"),
            ("A_b.C", "a-b-c"),
            ("a--b", "a-b"),
            ("a_.-b", "a-b"),
            ("", ""),
        ] {
            assert_eq!(normalised(from), to);
        }
        assert!(matches!(normalised("a-b"), Cow::Borrowed(_)));
    }
}
