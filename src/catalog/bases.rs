//! What a base image sets that the Dockerfile on it can lean on: its working
//! directory, its variables, the folders it puts into PATH; and the ecosystem
//! whose programs are built on it.

use super::packages;
use super::table::{NOTHING, Row, Table};

/// The base images.
pub static BASES: Table = Table::new(include_str!("data/bases.tsv"));

/// What interpreters link.
pub static INTERPRETERS: Table = Table::new(include_str!("data/interpreters.tsv"));

/// Whether the interpreter of an image links the library of a package, so that
/// each of the image's variants on that release has it.
#[must_use]
pub fn interpreter_links(image: &str, codename: &str, package: &str) -> bool {
    let row = INTERPRETERS.get(image);
    row.into_iter().flat_map(|row| row.list(1)).any(|headers| {
        packages::runtime_of(headers, codename)
            .is_some_and(|runtime| runtime.packages.contains(&package))
    })
}

/// What is known of a base image, whatever its tag.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The ecosystem whose programs are built on it, such as `go`.
    pub ecosystem: &'static str,
    /// Its working directory; `None` where that differs by variant.
    pub workdir: Option<&'static str>,
    path: &'static str,
    env: &'static str,
    users: &'static str,
}

impl Settings {
    /// The folders that it puts before the system's in PATH.
    pub fn path(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.path
            .split(' ')
            .filter(|folder| *folder != NOTHING && !folder.is_empty())
    }

    /// The users that it has of itself, beside those of its distribution.
    pub fn users(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.users.split(' ').filter(|user| !user.is_empty())
    }

    /// The variables that it sets: the name, and the value where that is the
    /// same for all versions.
    pub fn env(&self) -> impl Iterator<Item = (&'static str, Option<&'static str>)> + use<> {
        let pairs = self.env.split(' ').filter_map(|pair| pair.split_once('='));
        pairs.map(|(name, value)| (name, (value != "?").then_some(value)))
    }
}

/// What is known of the image of that familiar name: `golang` for a Docker
/// Official Image, `oven/bun`, `mcr.microsoft.com/dotnet/sdk`.
#[must_use]
pub fn settings(familiar_name: &str) -> Option<Settings> {
    read(BASES.get(familiar_name)?)
}

fn read(row: Row) -> Option<Settings> {
    Some(Settings {
        ecosystem: row.cell(1)?,
        workdir: row.cell(2).filter(|dir| *dir != "?"),
        path: row.cell(3).unwrap_or(""),
        env: row.cell(4).unwrap_or(""),
        users: row.cell(5).unwrap_or(""),
    })
}

/// As [`settings`], of the variant that a tag names.
#[must_use]
pub fn settings_of(familiar_name: &str, tag: &str) -> Option<Settings> {
    let mut parts = tag.split('-');
    let variant = parts.find_map(|part| read(BASES.find(&[familiar_name, part])?));
    variant.or_else(|| settings(familiar_name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_canonical_and_read() {
        assert_eq!(BASES.faults(), Vec::<String>::new());
        let golang = settings("golang").unwrap();
        assert_eq!(golang.ecosystem, "go");
        assert_eq!(golang.workdir, Some("/go"));
        assert_eq!(golang.path().next(), Some("/go/bin"));
        assert_eq!(golang.env().next(), Some(("GOPATH", Some("/go"))));
        assert_eq!(settings("node").unwrap().path().count(), 0);
        assert!(
            settings("debian")
                .unwrap()
                .users()
                .any(|user| user == "www-data")
        );
        assert_eq!(settings("golang").unwrap().users().count(), 0);
        let workdir = |tag| settings_of("php", tag).unwrap().workdir;
        assert_eq!(workdir("8.3-apache-trixie"), Some("/var/www/html"));
        assert_eq!(workdir("8.3"), Some("/"));
        let java = settings("openjdk").unwrap();
        assert!(java.env().any(|pair| pair == ("JAVA_HOME", None)));
        assert_eq!(settings("postgres"), None);
    }

    #[test]
    fn what_interpreters_link() {
        assert_eq!(INTERPRETERS.faults(), Vec::<String>::new());
        assert!(interpreter_links("ruby", "trixie", "libssl3t64"));
        assert!(interpreter_links("ruby", "bookworm", "libyaml-0-2"));
        assert!(!interpreter_links("ruby", "bookworm", "libpq5"));
        assert!(!interpreter_links("node", "bookworm", "libssl3"));
    }
}
