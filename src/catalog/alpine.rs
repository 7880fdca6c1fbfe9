//! Alpine Linux and musl: what Debian's packages are called there, which flags
//! and packages of languages work there, and what stands in the way.

use std::borrow::Cow;

use super::libraries::normalised;
use super::table::{Row, Table};

/// Debian packages by their names in Alpine.
pub static PACKAGES: Table = Table::new(include_str!("data/apt_apk.tsv"));
/// Flags of tools that busybox lacks.
pub static FLAGS: Table = Table::new(include_str!("data/gnu_flags.tsv"));
/// What packages of languages need on Alpine.
pub static LIBRARIES: Table = Table::new(include_str!("data/apk_libs.tsv"));
/// PHP's extensions.
pub static PHP: Table = Table::new(include_str!("data/php_ext.tsv"));
/// The signals.
pub static SIGNALS: Table = Table::new(include_str!("data/signals.tsv"));
/// Packages of languages with compiled parts, and how they do on musl.
pub static MUSL: Table = Table::new(include_str!("data/musl.tsv"));
/// Packages with the static libraries of -dev packages.
pub static STATIC: Table = Table::new(include_str!("data/apk_static.tsv"));
/// Commands and paths of Debian that mean something else on Alpine.
pub static DEBIAN: Table = Table::new(include_str!("data/debian_only.tsv"));
/// Downloads whose programs run on musl as on glibc.
pub static DOWNLOADS: Table = Table::new(include_str!("data/static_downloads.tsv"));

/// How sure it is that an Alpine package stands for a Debian one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Confidence {
    /// Derived, and not fully covered; or by hand without evidence.
    Low,
    /// Derived from what both packages have in them.
    Derived,
    /// By hand, with little evidence.
    Medium,
    /// By hand, and found in many files and tables.
    High,
}

/// What a Debian package is on Alpine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Apk {
    /// These packages.
    Packages {
        /// Their names.
        names: Vec<&'static str>,
        /// How sure that is.
        confidence: Confidence,
        /// Whether they are only something near to it.
        near: bool,
        /// What differs.
        note: Option<&'static str>,
    },
    /// Nothing: it has no meaning there, or every Alpine has it.
    Nothing(Option<&'static str>),
    /// There is none, and why.
    None(Option<&'static str>),
}

/// What a Debian package is on Alpine; `None` where that is not known.
pub fn apk_of(package: &str) -> Option<Apk> {
    let row = PACKAGES.get(package)?;
    let note = row.cell(4);
    Some(match row.cell(2)? {
        "drop" | "base" => Apk::Nothing(note),
        "null" | "third" | "old" if row.cell(1).is_none() => Apk::None(note),
        kind => Apk::Packages {
            names: row.list(1).collect(),
            confidence: match row.cell(3) {
                Some("high") => Confidence::High,
                Some("medium") => Confidence::Medium,
                Some("derived") => Confidence::Derived,
                _ => Confidence::Low,
            },
            near: matches!(kind, "approx" | "third" | "old"),
            note,
        },
    })
}

/// The package with the static library of a -dev package, where there is one.
pub fn static_library(package: &str) -> Option<&'static str> {
    STATIC.get(package)?.cell(1)
}

/// The package whose tool has a flag that busybox's lacks (`grep`, `-P`).
pub fn package_of_flag(tool: &str, flag: &str) -> Option<&'static str> {
    FLAGS.find(&[tool, flag])?.cell(1)
}

/// What a package of a language needs on Alpine.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Libraries {
    /// To run.
    pub runtime: Vec<&'static str>,
    /// To be compiled, beside a compiler.
    pub build: Vec<&'static str>,
    /// More, in words.
    pub note: Option<&'static str>,
}

/// What a package of `pip`, `npm` or `gem` needs there; `None` where that is
/// not known, `Err` where Alpine lacks it.
pub fn libraries(ecosystem: &str, name: &str) -> Option<Result<Libraries, Option<&'static str>>> {
    let row = LIBRARIES.find(&[ecosystem, &key(ecosystem, name)])?;
    let list = |column| row.list(column).filter(|name| *name != "none").collect();
    if row.cell(1).is_none() {
        return Some(Err(row.cell(3)));
    }
    Some(Ok(Libraries {
        runtime: list(1),
        build: list(2),
        note: row.cell(3),
    }))
}

/// What is known of a package of a language on musl.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Musl {
    /// The verdict, in the words of the table.
    pub verdict: &'static str,
    /// The signal that it is a case of.
    pub signal: &'static str,
    /// More, in words.
    pub note: Option<&'static str>,
}

/// What the table says of a version of a package: of `npm`, `pip`, `go`,
/// `cargo`, `gem`, `maven`, `nuget` or `hex`. Without a version, the newest is
/// meant. `older` compares versions.
pub fn musl(
    ecosystem: &str,
    name: &str,
    version: &str,
    older: impl Fn(&str, &str) -> bool,
) -> Option<Musl> {
    let row = MUSL.find(&[ecosystem, &key(ecosystem, name)])?;
    let verdict = match row.cell(2) {
        Some(since) if !version.is_empty() && older(version, since) => row.cell(3)?,
        _ => row.cell(1)?,
    };
    Some(Musl {
        verdict,
        // A version that has no build along is a case of another signal.
        signal: match (ecosystem, verdict) {
            ("npm", "download") => "npm.download.musl",
            ("npm", "compile") => "npm.compile",
            _ => row.cell(4)?,
        },
        note: row.cell(5),
    })
}

fn key<'n>(ecosystem: &str, name: &'n str) -> Cow<'n, str> {
    match ecosystem {
        "pip" => normalised(name),
        _ => Cow::Borrowed(name),
    }
}

/// A signal: what something that is found means for Alpine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signal {
    row: Row,
}

/// The signal of that name.
pub fn signal(id: &str) -> Option<Signal> {
    SIGNALS.get(id).map(|row| Signal { row })
}

impl Signal {
    /// Its name.
    pub fn id(&self) -> &'static str {
        self.row.key()
    }

    /// What clears it, in words.
    pub fn action(&self) -> Option<&'static str> {
        self.row.cell(5)
    }

    /// What a person can do: what clears it, else Docker's remedies.
    pub fn remedy(&self) -> String {
        match self.action() {
            Some(action) => action.to_owned(),
            None => self.remedies().collect::<Vec<_>>().join(", or "),
        }
    }

    /// What it rests on.
    pub fn evidence(&self) -> Option<&'static str> {
        self.row.cell(6)
    }

    /// The remedies of Docker's documentation that apply, in words.
    pub fn remedies(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.row.list(3).filter_map(|letter| {
            Some(match letter {
                "A" => "add the software that is missing",
                "M" => "build it against musl",
                "N" => "do without C",
                "S" => "link it statically",
                "K" => "keep the slim image, which has glibc",
                _ => return None,
            })
        })
    }
}

/// What a command or path of Debian is on Alpine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DebianOnly {
    /// It is there as well.
    Same,
    /// This package brings it.
    In(&'static str),
    /// It is there by this name or path, of this package.
    Moved(&'static str, &'static str),
    /// It is not, and of which signal that is a case.
    Blocked(&'static str),
}

/// What a command or path of Debian is on Alpine; `None` where the table
/// doesn't say.
pub fn debian_only(name: &str) -> Option<DebianOnly> {
    let row = DEBIAN.get(name)?;
    Some(match row.cell(1)? {
        "same" => DebianOnly::Same,
        "in" => DebianOnly::In(row.cell(2)?),
        "moved" => DebianOnly::Moved(row.cell(3)?, row.cell(2)?),
        _ => DebianOnly::Blocked(row.cell(4)?),
    })
}

/// Why what is copied out of an image of that name runs on musl as on glibc.
pub fn static_image(name: &str) -> Option<&'static str> {
    DOWNLOADS.find(&["image", name])?.cell(1)
}

/// Why what lies at a URL runs on musl as on glibc: the sign in the URL.
pub fn static_download(url: &str) -> Option<&'static str> {
    DOWNLOADS
        .iter()
        .map(|row| row.key())
        .find(|sign| url.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn older(one: &str, other: &str) -> bool {
        one < other
    }

    #[test]
    fn the_tables_are_canonical_and_name_signals() {
        for table in [
            &PACKAGES, &FLAGS, &LIBRARIES, &PHP, &SIGNALS, &STATIC, &MUSL, &DEBIAN, &DOWNLOADS,
        ] {
            assert_eq!(table.faults(), Vec::<String>::new());
            assert!(table.size() < 260_000);
        }
        for row in MUSL.iter() {
            assert!(signal(row.cell(4).unwrap()).is_some(), "{}", row.key());
            let known = |verdict: &str| {
                [
                    "blocker",
                    "compile",
                    "download",
                    "fine",
                    "fonts",
                    "gcompat",
                    "icu",
                    "libgdiplus",
                    "libstdc++",
                    "needs",
                    "prebuilt",
                    "unknown",
                ]
                .contains(&verdict)
            };
            assert!(known(row.cell(1).unwrap()), "{}", row.key());
            assert!(row.cell(3).is_none_or(known), "{}", row.key());
            assert_eq!(
                row.cell(2).is_some(),
                row.cell(3).is_some(),
                "{}",
                row.key()
            );
        }
        for row in DEBIAN.iter() {
            assert!(debian_only(row.key()).is_some(), "{}", row.key());
            if let Some(DebianOnly::Blocked(id)) = debian_only(row.key()) {
                assert!(signal(id).is_some(), "{}: {id}", row.key());
            }
        }
        for row in PACKAGES.iter() {
            match apk_of(row.key()) {
                Some(Apk::Packages { names, .. }) => assert!(!names.is_empty(), "{}", row.key()),
                Some(_) => assert_eq!(row.cell(1), None, "{}", row.key()),
                None => panic!("{}", row.key()),
            }
        }
    }

    #[test]
    fn packages_by_their_names_in_alpine() {
        let names = |package| match apk_of(package) {
            Some(Apk::Packages { names, .. }) => names,
            _ => Vec::new(),
        };
        assert_eq!(names("build-essential"), ["build-base"]);
        assert_eq!(names("libpq-dev"), ["libpq-dev"]);
        assert!(matches!(
            apk_of("software-properties-common"),
            Some(Apk::Nothing(_))
        ));
        assert!(matches!(apk_of("systemd"), Some(Apk::None(_))));
        assert_eq!(apk_of("nobody-knows"), None);
        assert_eq!(package_of_flag("grep", "-P"), Some("grep"));
        assert_eq!(package_of_flag("grep", "-q"), None);
    }

    #[test]
    fn packages_of_languages_by_version() {
        let verdict = |name, version| musl("npm", name, version, older).map(|m| m.verdict);
        assert_eq!(verdict("bcrypt", "6.0.0"), Some("prebuilt"));
        assert_eq!(verdict("bcrypt", "5.1.1"), Some("download"));
        assert_eq!(verdict("bcrypt", ""), Some("prebuilt"));
        assert_eq!(verdict("express", "4.0.0"), None);
        assert_eq!(
            musl("pip", "Opencv_Python", "", older).unwrap().verdict,
            "blocker"
        );
        assert_eq!(
            libraries("npm", "pg-native").unwrap().unwrap().runtime,
            ["libpq"]
        );
        assert!(libraries("npm", "robotjs").unwrap().is_err());
    }

    #[test]
    fn signals_say_what_clears_them() {
        let elf = signal("go.cgo.module").unwrap();
        assert_eq!(
            elf.remedies().collect::<Vec<_>>(),
            ["build it against musl"]
        );
        assert!(elf.action().unwrap().contains("golang:alpine"));
        assert_eq!(signal("nothing"), None);
        assert!(static_download("https://dl.k8s.io/release/v1/bin/linux/amd64/kubectl").is_some());
    }
}
