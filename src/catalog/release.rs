//! Releases of Linux distributions.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::Date;
use super::tags::rows;

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
