//! The images that carry on deprecated ones, with the tags that exist there.

use std::cell::Cell;
use std::cmp::Ordering;

use super::life::version;
use super::living::{Living, best};
use super::spelling::{Spellings, tokens};
use super::table::Table;
use super::tags::{Base, Certainty, Kind, lookup};
use super::{Date, codename_tag};

/// Deprecated images and who carries them on.
pub static SUCCESSORS: Table = Table::new(include_str!("data/successors.tsv"));

/// What carries on a tag of a deprecated image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Successor {
    /// The image.
    pub image: &'static str,
    /// Its tag, with the release that it is built on.
    pub living: Living,
    /// Whether it is the run time alone.
    pub runtime: bool,
    /// The version of the old tag, at its most precise.
    pub from: String,
    /// Where the old image keeps what the new one has in [`Successor::home`].
    pub folders: Vec<&'static str>,
    /// Where the new one has it.
    pub home: &'static str,
}

/// Why there is none, in words.
pub type NoSuccessor = String;

/// What carries on `image:tag` on that day: the same major version, kit or run
/// time, and Alpine or not. None where no row of the table has the image.
///
/// # Errors
///
/// Says why the tag can't be carried on.
pub fn successor(image: &str, tag: &str, today: Date) -> Option<Result<Successor, NoSuccessor>> {
    let row = SUCCESSORS.get(image)?;
    let (to, full, runtime) = (row.cell(1)?, row.cell(2)?, row.cell(3)?);
    let word = row.cell(4)?;
    let refused = row
        .cell(7)
        .into_iter()
        .filter_map(|cell| cell.split_once('='));
    Some((|| {
        let entry = lookup(image, tag).ok_or("the catalogue has no such tag")?;
        if entry.gone.is_none() {
            return Err("this tag is still updated".to_owned());
        }
        if entry.kind == Kind::Windows {
            return Err("the tag is for Windows".to_owned());
        }
        let words = tokens(tag);
        for (refused, what) in refused {
            if words.contains(&refused) {
                return Err(format!("the tag asks for {what}"));
            }
        }
        let from = version(image, tag).ok_or("its version is not known")?;
        let end = from
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(from.len());
        let is_runtime = words.contains(&word);
        let wanted = if is_runtime { runtime } else { full }.replace("{major}", &from[..end]);
        let family = match entry.kind {
            Kind::Alpine => Kind::Alpine.as_str(),
            _ => lookup(to, &wanted)
                .and_then(|entry| entry.base)
                .map_or("", |base| base.family),
        };
        let bare = tokens(&wanted);
        let spelled = |release: &'static super::Release| {
            let base = Base {
                family: release.family,
                release: release.name,
                certainty: Certainty::Known,
            };
            Spellings::of(to, &base).map_or_else(Vec::new, |spellings| spellings.put_into(&bare))
        };
        let kind = if entry.kind == Kind::Alpine {
            Kind::Alpine
        } else {
            Kind::Full
        };
        // What was built on the old one must find a C library that is as new.
        let old = entry
            .base
            .and_then(|base| super::release(base.family, base.release));
        let older = |new: &super::Release| {
            old.and_then(|old| super::compare_glibc(new, old)) == Some(Ordering::Less)
        };
        let passed_over = Cell::new(false);
        let wanted_on = |release: &&'static super::Release| {
            let ours = release.family == family;
            let too_old = ours && kind != Kind::Alpine && older(release);
            passed_over.set(passed_over.get() || too_old);
            ours && !too_old
        };
        let living = best(to, kind, today, wanted_on, spelled)
            .filter(|living| living.entry.gone.is_none() && codename_tag(to, &living.tag).is_err())
            .ok_or_else(|| {
                let kind = if kind == Kind::Alpine {
                    " on Alpine"
                } else {
                    ""
                };
                let than = match old {
                    Some(old) if passed_over.get() => {
                        format!(
                            ", on a C library as new as that of {} {}",
                            old.family, old.name
                        )
                    }
                    _ => String::new(),
                };
                format!("{to} has no {wanted}{kind} that is still updated{than}")
            })?;
        Ok(Successor {
            image: to,
            living,
            runtime: is_runtime,
            from,
            folders: row.list(5).collect(),
            home: row.cell(6).unwrap_or_default(),
        })
    })())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_is_carried_on_by_temurin() {
        let today = Date::parse("2027-01-15").unwrap();
        let tag = |image, tag| match successor(image, tag, today) {
            Some(Ok(found)) => format!("{}:{}", found.image, found.living.tag),
            Some(Err(why)) => why,
            None => "none".to_owned(),
        };
        for (image, old, new) in [
            ("openjdk", "8", "eclipse-temurin:8-jdk-noble"),
            ("openjdk", "8-jre-slim", "eclipse-temurin:8-jre-noble"),
            (
                "openjdk",
                "8-jdk-alpine",
                "eclipse-temurin:8-jdk-alpine-3.23",
            ),
            (
                "openjdk",
                "8u212-jre-alpine",
                "eclipse-temurin:8-jre-alpine-3.23",
            ),
            (
                "openjdk",
                "11.0.11-jdk-slim-buster",
                "eclipse-temurin:11-jdk-noble",
            ),
            ("openjdk", "17", "eclipse-temurin:17-jdk-noble"),
            ("java", "8", "eclipse-temurin:8-jdk-noble"),
            ("java", "8-jre", "eclipse-temurin:8-jre-noble"),
            (
                "adoptopenjdk",
                "11-jre-hotspot",
                "eclipse-temurin:11-jre-noble",
            ),
            (
                "adoptopenjdk",
                "11-jre-openj9",
                "the tag asks for the OpenJ9 virtual machine, which ibm-semeru-runtimes carries on",
            ),
            (
                "openjdk",
                "12",
                "eclipse-temurin has no 12-jdk that is still updated",
            ),
            ("openjdk", "no-such", "the catalogue has no such tag"),
            ("node", "20", "none"),
        ] {
            assert_eq!(tag(image, old), new, "{image}:{old}");
        }
    }

    #[test]
    fn every_row_names_what_is_there() {
        for row in SUCCESSORS.iter() {
            assert!(
                super::super::is_official(row.cell(1).unwrap()),
                "{}",
                row.key()
            );
            assert!(
                super::super::life::DEPRECATED.get(row.key()).is_some(),
                "{}",
                row.key()
            );
        }
    }
}
