//! Releases of Linux distributions.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::OnceLock;

use super::Date;
use super::table::Table;
use super::tags::rows;

/// The C libraries of releases.
static GLIBC: Table = Table::new(include_str!("data/glibc.tsv"));

static RELEASES: &str = include_str!("data/releases.tsv");

/// A release of a distribution. Ends of life are days on which support stops.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Release {
    /// `debian`, `ubuntu`, `alpine`, …
    pub family: &'static str,
    /// Its codename, or its number where it has none: `bookworm`, `3.22`.
    pub name: &'static str,
    /// Its number: `12`, `24.04`. None for one that never settles (`sid`).
    pub version: Option<&'static str>,
    /// Its place within its family, oldest first.
    pub order: usize,
    /// When it came out.
    pub released: Option<Date>,
    /// End of ordinary support.
    pub end: Option<Date>,
    /// End of long-term support, free of charge.
    pub long_term_end: Option<Date>,
    /// End of extended support, paid for.
    pub extended_end: Option<Date>,
}

/// The release of that family and name. None where the table hasn't it.
pub fn release(family: &str, name: &str) -> Option<&'static Release> {
    static BY_NAME: OnceLock<HashMap<(&str, &str), usize>> = OnceLock::new();
    let all = releases();
    let by_name = BY_NAME.get_or_init(|| {
        let keys = all.iter().enumerate();
        // The first of a name counts.
        let keys = keys.rev().map(|(at, it)| ((it.family, it.name), at));
        keys.collect()
    });
    by_name.get(&(family, name)).map(|&at| &all[at])
}

/// How the C library of one release stands to that of another: what was built on
/// the other runs on it where it is not older. None where one isn't known, or is
/// another library altogether.
pub fn compare_glibc(one: &Release, other: &Release) -> Option<Ordering> {
    let version = |release: &Release| {
        let row = GLIBC.find(&[release.family, release.name])?;
        let (major, minor) = row.cell(1)?.split_once('.')?;
        Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
    };
    if one.family == other.family && one.family != "alpine" {
        return Some(one.order.cmp(&other.order));
    }
    Some(version(one)?.cmp(&version(other)?))
}

/// All releases, by family, oldest first.
pub fn releases() -> &'static [Release] {
    static TABLE: OnceLock<Vec<Release>> = OnceLock::new();
    TABLE.get_or_init(|| {
        rows(RELEASES)
            .enumerate()
            .filter_map(|(order, row)| read(order, &row))
            .collect()
    })
}

fn read(order: usize, row: &[&'static str]) -> Option<Release> {
    let [family, name, version, released, end, long_term, extended] = *row else {
        return None;
    };
    Some(Release {
        family,
        name,
        version: (version != "-").then_some(version),
        order,
        released: Date::parse(released),
        end: Date::parse(end),
        long_term_end: Date::parse(long_term),
        extended_end: Date::parse(extended),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_built_on_one_release_may_not_run_on_another() {
        assert_eq!(GLIBC.faults(), Vec::<String>::new());
        for row in GLIBC.iter() {
            let (family, name) = row.key().split_once(':').unwrap();
            assert!(release(family, name).is_some(), "{}", row.key());
        }
        let at = |text: &str| {
            let (family, name) = text.split_once(':').unwrap();
            release(family, name).unwrap()
        };
        for (one, other, wanted) in [
            ("debian:trixie", "ubuntu:jammy", Some(Ordering::Greater)),
            ("debian:bullseye", "ubuntu:focal", Some(Ordering::Equal)),
            ("debian:bookworm", "ubuntu:noble", Some(Ordering::Less)),
            ("debian:buster", "debian:bookworm", Some(Ordering::Less)),
            ("debian:trixie", "alpine:3.22", None),
        ] {
            assert_eq!(compare_glibc(at(one), at(other)), wanted, "{one} {other}");
        }
    }
}
