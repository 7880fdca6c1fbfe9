//! How long things live: version lines of images, and images that their
//! makers gave up.

use super::memo::Memo;
use super::table::{Row, Table};
use super::tags::{Entry, group_tags, lookup};
use super::{Date, Release};

/// The version lines of images.
pub static LINES: Table = Table::new(include_str!("data/lines.tsv"));
/// The official images with a notice of deprecation.
pub static DEPRECATED: Table = Table::new(include_str!("data/deprecated.tsv"));

/// When something ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// On that day, past or to come.
    On(Date),
    /// It is over; the day is not recorded.
    Over,
    /// No end is set.
    Open,
}

impl End {
    fn parse(cell: &str) -> Option<Self> {
        match cell {
            "yes" => Some(Self::Over),
            "no" => Some(Self::Open),
            day => Date::parse(day).map(Self::On),
        }
    }

    /// Whether it is over on that day. The last day itself is not over.
    #[must_use]
    pub fn is_over(self, today: Date) -> bool {
        match self {
            Self::On(day) => day < today,
            Self::Over => true,
            Self::Open => false,
        }
    }

    /// The days left; negative after the end; none where no day is recorded.
    #[must_use]
    pub fn days_left(self, today: Date) -> Option<i32> {
        match self {
            Self::On(day) => Some(day.days() - today.days()),
            Self::Over | Self::Open => None,
        }
    }
}

/// A version line of an image: Node.js 20, Python 3.11.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line {
    /// `20`, `3.11`, `humble`.
    pub name: &'static str,
    /// The product, as endoflife.date calls it.
    pub product: &'static str,
    /// The end of ordinary fixes.
    pub support: Option<End>,
    /// The end of security fixes.
    pub end: Option<End>,
    /// The newest version of the line that is recorded.
    pub latest: Option<&'static str>,
}

/// What stands in the notice about an image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deprecation {
    /// The image.
    pub image: &'static str,
    /// The day it was announced.
    pub announced: Option<Date>,
    /// The day after which nothing was updated.
    pub last_update: Option<Date>,
    /// The images that the notice names instead.
    pub successors: &'static str,
    /// The notice, shortened.
    pub notice: &'static str,
}

impl Deprecation {
    /// The images that the notice names instead.
    pub fn successors(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.successors.split(' ').filter(|name| *name != "-")
    }
}

/// The version of an image's tag at its most precise: `20.20.2` for `node:20`
/// and `node:iron`, by the tags of the same image; for a tag that the catalogue
/// hasn't, what the tag itself says.
#[must_use]
pub fn version(image: &str, tag: &str) -> Option<String> {
    static KNOWN: Memo<Option<String>> = Memo::new();
    KNOWN.answer(image, tag, find_version)
}

fn find_version(image: &str, tag: &str) -> Option<String> {
    let own = leading_version(tag);
    let Some(entry) = lookup(image, tag) else {
        return own.map(str::to_owned);
    };
    let aliases = group_tags(image, entry.group, alias_start(tag));
    most_precise(&entry, aliases.iter().map(String::as_str))
        .or(own)
        .map(str::to_owned)
}

/// What the more precise aliases of a tag begin with: a tag that begins with a
/// version is the start of them, only `latest` and its like say nothing.
fn alias_start(tag: &str) -> &str {
    leading_version(tag)
        .filter(|version| tag.starts_with(version))
        .unwrap_or_default()
}

/// The longest version among the aliases of an entry, the number and the name of
/// its distribution's release not taken for one.
fn most_precise<'a>(entry: &Entry, aliases: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let release = entry.base.and_then(|base| {
        let release = super::release(base.family, base.release)?;
        Some((base.release, release.version.unwrap_or_default()))
    });
    aliases
        .filter_map(leading_version)
        .filter(|version| {
            release.is_none_or(|(name, number)| *version != name && *version != number)
        })
        .max_by_key(|version| version.len())
}

/// The first word of a tag that starts with a digit.
fn leading_version(tag: &str) -> Option<&str> {
    tag.split('-')
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))
}

/// The version line of `image:tag`, where one is recorded. None for the image
/// of a distribution itself: that has the ends of its [`Release`].
#[must_use]
pub fn line(image: &str, tag: &str) -> Option<Line> {
    static KNOWN: Memo<Option<Line>> = Memo::new();
    KNOWN.answer(image, tag, find_line)
}

fn find_line(image: &str, tag: &str) -> Option<Line> {
    if super::releases()
        .iter()
        .any(|release| release.family == image)
    {
        return None;
    }
    let named = tag.split('-').find_map(|word| LINES.find(&[image, word]));
    let by_version = || {
        let version = version(image, tag)?;
        prefixes(&version).find_map(|start| LINES.find(&[image, start]))
    };
    let row = by_version().or(named)?;
    Some(Line {
        name: row.key().split_once(':')?.1,
        product: row.cell(1)?,
        support: end(row, 3),
        end: end(row, 4),
        latest: row.cell(6),
    })
}

fn end(row: Row, column: usize) -> Option<End> {
    row.cell(column).and_then(End::parse)
}

/// A version and its shorter starts, each at a boundary: `8u342`, `8`.
fn prefixes(version: &str) -> impl Iterator<Item = &str> {
    let cuts = version
        .char_indices()
        .filter(|(at, c)| !c.is_ascii_digit() && *at > 0)
        .map(|(at, _)| at);
    let mut ends: Vec<usize> = cuts.collect();
    ends.push(version.len());
    ends.into_iter().rev().map(|end| &version[..end])
}

/// When free support of a release ends: its long-term support, where it has
/// one, else its ordinary support.
#[must_use]
pub fn free_end(release: &Release) -> Option<Date> {
    release.end.max(release.long_term_end)
}

/// The notice of deprecation that holds for `image:tag`; a notice that was
/// taken back, or is advice alone, is none.
#[must_use]
pub fn deprecation(image: &str, tag: &str) -> Option<Deprecation> {
    let row = DEPRECATED.get(image)?;
    let holds = match row.cell(1)? {
        "deprecated" => true,
        "some" => row.list(5).any(|some| {
            tag.strip_prefix(some)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-']))
        }),
        _ => false,
    };
    holds.then(|| Deprecation {
        image: row.key(),
        announced: row.cell(2).and_then(Date::parse),
        last_update: row.cell(3).and_then(Date::parse),
        successors: row.cell(6).unwrap_or("-"),
        notice: row.cell(7).unwrap_or("-"),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::catalog::{images, tags};

    fn day(text: &str) -> Date {
        Date::parse(text).unwrap()
    }

    #[test]
    fn versions_come_from_the_tags_of_the_same_image() {
        for (image, tag, wanted) in [
            ("node", "20", Some("20.20.2")),
            ("node", "iron-bookworm", Some("20.20.2")),
            ("openjdk", "8-jre-slim", Some("8u342")),
            ("node", "20.99", Some("20.99")),
            ("no-such", "latest", None),
        ] {
            assert_eq!(version(image, tag).as_deref(), wanted, "{image}:{tag}");
        }
    }

    #[test]
    fn lines_of_tags() {
        let name = |image, tag| line(image, tag).map(|line| line.name);
        assert_eq!(name("node", "20-bookworm-slim"), Some("20"));
        assert_eq!(name("python", "latest"), Some("3.14"));
        assert_eq!(name("python", "3.8"), Some("3.8"));
        assert_eq!(name("golang", "1-alpine"), Some("1.27"));
        assert_eq!(name("eclipse-temurin", "8-jre"), Some("8"));
        assert_eq!(name("ros", "humble-ros-core"), Some("humble"));
        assert_eq!(name("debian", "bookworm"), None, "its release has the ends");
        assert_eq!(name("no-such", "1"), None);
        let node = line("node", "20").unwrap();
        assert_eq!(node.end, Some(End::On(day("2026-04-30"))));
        let golang = line("golang", "1.27").unwrap();
        assert_eq!(golang.end, Some(End::Open));
        let haskell = line("haskell", "9.4").unwrap();
        assert_eq!(haskell.end, Some(End::Over));
    }

    #[test]
    fn ends_and_the_days_left() {
        let end = End::On(day("2026-04-30"));
        assert!(!end.is_over(day("2026-04-30")));
        assert!(end.is_over(day("2026-05-01")));
        assert_eq!(end.days_left(day("2026-05-02")), Some(-2));
        assert_eq!(
            (
                End::Open.days_left(day("2026-05-02")),
                End::Over.is_over(day("2000-01-01"))
            ),
            (None, true)
        );
        let bullseye = super::super::release("debian", "bullseye").unwrap();
        assert_eq!(free_end(bullseye), Some(day("2026-08-31")));
    }

    #[test]
    fn notices_hold_for_what_they_name() {
        let openjdk = deprecation("openjdk", "8").unwrap();
        assert!(
            openjdk
                .notice
                .starts_with("This image is officially deprecated")
        );
        assert!(openjdk.successors().any(|name| name == "eclipse-temurin"));
        assert!(deprecation("amazonlinux", "1").is_some());
        assert!(deprecation("amazonlinux", "2018.03.0.20231218.0").is_some());
        assert!(deprecation("amazonlinux", "2023").is_none());
        assert!(deprecation("adminer", "latest").is_none(), "withdrawn");
        assert!(deprecation("nextcloud", "latest").is_none(), "advice");
        assert!(deprecation("node", "20").is_none());
    }

    /// Looking only at aliases with the tag's own start finds what a look at all
    /// of them finds, but for these images, whose aliases have the date or the
    /// version of something else: there it keeps to the tag's own.
    #[test]
    fn the_start_of_a_tag_leads_to_its_version() {
        let mut compared = 0;
        let mut other = Vec::new();
        for image in images() {
            let mut groups: HashMap<_, (Entry, Vec<String>)> = HashMap::new();
            for (tag, entry) in tags(image.name) {
                let group = groups.entry(entry.group).or_insert((entry, Vec::new()));
                group.1.push(tag);
            }
            for (entry, aliases) in groups.values() {
                let all = || aliases.iter().map(String::as_str);
                let longest = most_precise(entry, all());
                for tag in all() {
                    let own = leading_version(tag);
                    let start = alias_start(tag);
                    let near = all().filter(|alias| alias.starts_with(start));
                    let (full, near) = (longest.or(own), most_precise(entry, near).or(own));
                    compared += 1;
                    if full.map(str::len) != near.map(str::len) {
                        other.push(image.name);
                    }
                }
            }
        }
        assert!(compared > 100_000, "{compared}");
        other.dedup();
        let known = [
            "amazonlinux",
            "bonita",
            "debian",
            "express-gateway",
            "joomla",
            "kong",
            "nuxeo",
            "openjdk",
            "redis",
            "rust",
            "tomee",
            "ubuntu",
            "xwiki",
        ];
        assert_eq!(other, known);
    }
}
