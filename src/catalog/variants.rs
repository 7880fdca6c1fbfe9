//! What the variants of an official image have: commands, packages,
//! certificates.
//!
//! A variant is an image and a kind: `full`, `slim`, `alpine`, and what an
//! image calls its own (`php:cli`, `eclipse-temurin:jre`).

use std::sync::OnceLock;

use super::commands::{self, COMMANDS};
use super::packages::{self, Layer};
use super::table::{Row, Table};

/// The variants of the official images.
pub static VARIANTS: Table = Table::new(include_str!("data/image_contents.tsv"));

const BASE: usize = 1;
const LIBC: usize = 2;
const BASH: usize = 3;
const CERTIFICATES: usize = 4;
const TZDATA: usize = 5;
const COMPLETE: usize = 6;
const PACKAGES: usize = 7;
const HAS: usize = 8;
const LACKS: usize = 9;
const NOTE: usize = 10;

/// The name of an image that has variants here, for the table's lifetime.
#[must_use]
pub fn image(name: &str) -> Option<&'static str> {
    static NAMES: OnceLock<Vec<&'static str>> = OnceLock::new();
    let names = NAMES.get_or_init(|| {
        let keys = VARIANTS.iter().map(|row| row.key());
        let mut names: Vec<&str> = keys.filter_map(|key| key.split(':').next()).collect();
        names.sort_unstable();
        names.dedup();
        names
    });
    let at = names.binary_search(&name).ok()?;
    Some(names[at])
}

/// The C library of an image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Libc {
    /// Debian's, Ubuntu's and most others'.
    Glibc,
    /// Alpine's.
    Musl,
}

/// Whether a variant has a command; `None` where that is not known, or hangs
/// on the image's version (node has yarn until 24: see [`provides_at`]).
pub fn provides(image: &str, kind: &str, codename: &str, command: &str) -> Option<bool> {
    provides_at(image, kind, codename, None, command)
}

/// As [`provides`], for a major version of the image.
pub fn provides_at(
    image: &str,
    kind: &str,
    codename: &str,
    major: Option<u32>,
    command: &str,
) -> Option<bool> {
    let row = VARIANTS.find(&[image, kind])?;
    for told in row.list(HAS) {
        let (name, bound) = bounded(told);
        if name == command {
            return bound.holds(major);
        }
    }
    if row.list(LACKS).any(|c| c == command) {
        return Some(false);
    }
    if row.key() == "alpine:full" {
        return None;
    }
    let brings = commands::package_of(command, codename);
    if brings.is_some_and(|p| row.list(PACKAGES).any(|told| told == p)) {
        return Some(true);
    }
    let beneath = match (debian_layer(row), row.cell(BASE)) {
        (Some(limit), _) => match commands::layer_of(command, codename) {
            Some(layer) => Some(layer <= limit),
            None => absent(command, codename),
        },
        (None, Some(base)) => {
            let (image, kind) = base.split_once(':')?;
            return provides_at(image, kind, codename, None, command);
        }
        (None, None) => None,
    };
    match beneath {
        // What its own packages bring beside the commands told is not known.
        Some(false) if row.cell(COMPLETE) != Some("yes") && !named_somewhere(command) => None,
        other => other,
    }
}

/// Whether a variant has the certificates of the public authorities.
pub fn has_ca_certificates(image: &str, kind: &str, _codename: &str) -> Option<bool> {
    Some(VARIANTS.find(&[image, kind])?.cell(CERTIFICATES)? != "no")
}

/// Whether a variant has a package of its distribution; `None` where that is
/// not known. Libraries that came along with what it installs often aren't.
pub fn has_package(image: &str, kind: &str, codename: &str, package: &str) -> Option<bool> {
    let row = VARIANTS.find(&[image, kind])?;
    if row.list(PACKAGES).any(|p| p == package) {
        return Some(true);
    }
    let limit = debian_layer(row)?;
    packages::column(codename)?;
    let layer = packages::layer_of(package, codename);
    if layer.is_some_and(|layer| layer <= limit) {
        return Some(true);
    }
    let complete = row.cell(COMPLETE) == Some("yes");
    let library = package.starts_with("lib");
    let plain = row.cell(BASE).is_none()
        || ["debian", "buildpack-deps"]
            .iter()
            .any(|i| row.key().starts_with(i));
    // Debian's own bases are known whole, except bullseye's libraries.
    if complete && plain && (codename != "bullseye" || !library && layer.is_some()) {
        return Some(false);
    }
    (complete && !library && (codename != "bullseye" || layer.is_some())).then_some(false)
}

/// Whether a variant has bash.
pub fn has_bash(image: &str, kind: &str) -> Option<bool> {
    Some(VARIANTS.find(&[image, kind])?.cell(BASH)? == "yes")
}

/// Whether a variant has the time zone data.
pub fn has_tzdata(image: &str, kind: &str) -> Option<bool> {
    Some(VARIANTS.find(&[image, kind])?.cell(TZDATA)? == "yes")
}

/// The C library of a variant.
pub fn libc(image: &str, kind: &str) -> Option<Libc> {
    match VARIANTS.find(&[image, kind])?.cell(LIBC)? {
        "glibc" => Some(Libc::Glibc),
        "musl" => Some(Libc::Musl),
        _ => None,
    }
}

/// What else there is to know of a variant, in words.
pub fn note(image: &str, kind: &str) -> Option<&'static str> {
    VARIANTS.find(&[image, kind])?.cell(NOTE)
}

/// The layer of the Debian bases on which a variant stands, or which it is.
fn debian_layer(row: Row) -> Option<Layer> {
    layer_named(row.key()).or_else(|| layer_named(row.cell(BASE)?))
}

fn layer_named(variant: &str) -> Option<Layer> {
    Some(match variant {
        "debian:slim" | "debian:full" => Layer::Slim,
        "buildpack-deps:curl" => Layer::Curl,
        "buildpack-deps:scm" => Layer::Scm,
        "buildpack-deps:full" => Layer::Full,
        _ => return None,
    })
}

/// Whether some variant is said to have or to lack a command: those were
/// looked for in all of them.
fn named_somewhere(command: &str) -> bool {
    let Some(alpine) = VARIANTS.get("alpine:full") else {
        return false;
    };
    alpine
        .list(HAS)
        .chain(alpine.list(LACKS))
        .any(|c| c == command)
}

/// `Some(false)` for a command that no layer of the Debian bases has, where
/// that is known: bullseye's are known only as far as somebody asked for them.
fn absent(command: &str, codename: &str) -> Option<bool> {
    packages::column(codename)?;
    let listed = codename != "bullseye" && COMMANDS.get(command).is_some();
    (listed || named_somewhere(command)).then_some(false)
}

/// From which and up to which major version.
#[derive(Clone, Copy, Debug)]
struct Bound {
    from: u32,
    to: u32,
}

impl Bound {
    /// Whether it holds for a version; not known without one, unless it holds
    /// for all.
    fn holds(self, major: Option<u32>) -> Option<bool> {
        match major {
            Some(major) => Some((self.from..=self.to).contains(&major)),
            None if self.from == 0 && self.to == u32::MAX => Some(true),
            None => None,
        }
    }
}

fn bounded(told: &'static str) -> (&'static str, Bound) {
    let any = Bound {
        from: 0,
        to: u32::MAX,
    };
    if let Some((name, to)) = told.split_once("<=") {
        return (
            name,
            Bound {
                to: to.parse().unwrap_or(0),
                ..any
            },
        );
    }
    if let Some((name, from)) = told.split_once(">=") {
        return (
            name,
            Bound {
                from: from.parse().unwrap_or(u32::MAX),
                ..any
            },
        );
    }
    (told, any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_and_slim_images() {
        for codename in ["bullseye", "bookworm", "trixie"] {
            let has = |image, kind, command| provides(image, kind, codename, command);
            for image in ["node", "python", "ruby", "rust", "perl"] {
                for command in ["git", "make", "g++", "wget", "unzip", "convert"] {
                    assert_eq!(
                        has(image, "full", command),
                        Some(true),
                        "{image} {command} {codename}"
                    );
                }
                for command in ["sh", "bash", "useradd", "sed", "tar"] {
                    assert_eq!(
                        has(image, "slim", command),
                        Some(true),
                        "{image} {command} {codename}"
                    );
                }
                for command in ["git", "unzip", "convert", "ps"] {
                    assert_eq!(
                        has(image, "slim", command),
                        Some(false),
                        "{image} {command} {codename}"
                    );
                }
            }
            assert_eq!(has("node", "slim", "node"), Some(true));
            assert_eq!(has("node", "slim", "python3"), Some(false));
            assert_eq!(has("node", "full", "python3"), Some(true));
            assert_eq!(has("node", "slim", "curl"), Some(false));
            assert_eq!(has("python", "slim", "pip"), Some(true));
            assert_eq!(has("python", "slim", "python3"), Some(true));
            assert_eq!(has("python", "slim", "openssl"), Some(true));
            assert_eq!(has("python", "slim", "gcc"), Some(false));
            assert_eq!(has("rust", "slim", "gcc"), Some(true));
            assert_eq!(has("rust", "slim", "make"), Some(false));
            assert_eq!(has("golang", "full", "gcc"), Some(true));
            assert_eq!(has("golang", "full", "unzip"), Some(false));
            assert_eq!(has("php", "cli", "git"), Some(false));
            assert_eq!(has("php", "cli", "autoheader"), Some(true));
            assert_eq!(has("php", "cli", "docker-php-ext-install"), Some(true));
        }
    }

    #[test]
    fn what_is_not_known_is_not_told() {
        assert_eq!(provides("node", "slim", "bookworm", "ffmpeg"), None);
        assert_eq!(provides("nobody", "slim", "bookworm", "sh"), None);
        assert_eq!(provides("node", "slim", "sid", "sh"), None);
        // It comes with autoconf's perl, or it does not.
        assert_eq!(provides("php", "cli", "bookworm", "pod2man"), None);
        assert_eq!(
            provides("node", "alpine", "alpine3.22", "nobody-knows"),
            None
        );
        assert_eq!(provides("gradle", "default", "", "nobody-knows"), None);
    }

    #[test]
    fn the_version_decides() {
        let yarn = |major| provides_at("node", "slim", "bookworm", major, "yarn");
        assert_eq!(
            (yarn(Some(20)), yarn(Some(24)), yarn(Some(26)), yarn(None)),
            (Some(true), Some(true), Some(false), None)
        );
    }

    #[test]
    fn alpine_images() {
        let has = |command| provides("node", "alpine", "alpine3.22", command);
        assert_eq!(
            (has("node"), has("sh"), has("wget")),
            (Some(true), Some(true), Some(true))
        );
        assert_eq!(
            (has("bash"), has("git"), has("useradd"), has("xz")),
            (Some(false), Some(false), Some(false), Some(false))
        );
        assert_eq!(
            provides("eclipse-temurin", "jre-alpine", "alpine3.22", "javac"),
            Some(false)
        );
        assert_eq!(
            provides("eclipse-temurin", "jre", "noble", "javac"),
            Some(false)
        );
        assert_eq!(
            provides("eclipse-temurin", "jdk", "noble", "javac"),
            Some(true)
        );
        assert_eq!(
            (libc("node", "alpine"), libc("node", "slim")),
            (Some(Libc::Musl), Some(Libc::Glibc))
        );
        assert_eq!(
            (has_bash("node", "alpine"), has_bash("node", "slim")),
            (Some(false), Some(true))
        );
    }

    #[test]
    fn certificates() {
        let has = |image, kind| has_ca_certificates(image, kind, "bookworm");
        assert_eq!(has("node", "full"), Some(true));
        assert_eq!(has("node", "slim"), Some(false));
        assert_eq!(has("node", "alpine"), Some(true));
        assert_eq!(has("python", "slim"), Some(true));
        assert_eq!(has("ruby", "slim"), Some(true));
        assert_eq!(has("debian", "slim"), Some(false));
        assert_eq!(has("nobody", "slim"), None);
    }

    #[test]
    fn packages_of_variants() {
        let has = |image, kind, package| has_package(image, kind, "bookworm", package);
        assert_eq!(has("node", "full", "libpq-dev"), Some(true));
        assert_eq!(has("node", "full", "ffmpeg"), Some(false));
        assert_eq!(has("node", "slim", "git"), Some(false));
        assert_eq!(has("python", "slim", "ca-certificates"), Some(true));
        assert_eq!(has("python", "slim", "openssl"), Some(true));
        assert_eq!(has("python", "slim", "libpq5"), None);
        assert_eq!(has("debian", "slim", "libpq5"), Some(false));
        assert_eq!(has("debian", "slim", "bash"), Some(true));
        assert_eq!(has("buildpack-deps", "full", "libpq5"), Some(true));
        assert_eq!(has("node", "alpine", "bash"), None);
        assert_eq!(has_package("debian", "slim", "bullseye", "libpq5"), None);
        assert_eq!(has_package("node", "slim", "bullseye", "git"), Some(false));
        assert_eq!(has_package("node", "slim", "bullseye", "bash"), Some(true));
        assert_eq!(has_package("node", "slim", "sid", "bash"), None);
    }

    #[test]
    fn every_base_is_a_variant() {
        for row in VARIANTS.iter() {
            if let Some(base) = row.cell(BASE) {
                assert!(VARIANTS.get(base).is_some(), "{} is on {base}", row.key());
            }
        }
    }
}
