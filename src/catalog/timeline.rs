//! What a floating tag meant on a day of the past: what it was built on, and
//! which version it had. From the history of the library files.
//!
//! `timelines.fst` maps `image:tag` to the places of its two timelines in
//! `timelines.bin`, as `base × length of the file + version`, 0 for none. A
//! timeline is a count, then for each change the days since the one before (the
//! first: since [`EPOCH`]) and the number of its value, a line of
//! `timeline_values.tsv`; all in groups of seven bits, the lowest first.

use std::sync::OnceLock;

use super::Date;
use super::tags::rows;

static INDEX: &[u8] = include_bytes!("data/timelines.fst");
static EVENTS: &[u8] = include_bytes!("data/timelines.bin");
static VALUES: &str = include_str!("data/timeline_values.tsv");

/// The day from which the timelines count, in days since 1970: 2013-01-01,
/// before the first official image.
pub const EPOCH: i32 = 15_706;

/// The value that stands for a tag that was gone.
const GONE: &str = "-";
/// The value that stands for what is not known.
const UNKNOWN: &str = "?";

/// What a tag had on a day.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Past {
    /// `debian:buster`: what it was built on. None where that isn't known.
    pub base: Option<&'static str>,
    /// `3.8.3`: its version. None where that isn't known, or is the tag's own.
    pub version: Option<&'static str>,
    /// The tag was not in the library then any more: the rest is what it was
    /// frozen with.
    pub gone: bool,
}

struct Tables {
    index: fst::Map<&'static [u8]>,
    values: Vec<&'static str>,
}

fn tables() -> &'static Tables {
    static TABLES: OnceLock<Tables> = OnceLock::new();
    TABLES.get_or_init(|| Tables {
        // The tables are part of the program, and the tests read every row.
        index: fst::Map::new(INDEX).expect("the timelines are well-formed"),
        values: rows(VALUES)
            .filter_map(|row| row.first().copied())
            .collect(),
    })
}

/// What `image:tag` was on that day; None where no change of it is recorded, or
/// it wasn't there yet.
#[must_use]
pub fn past(image: &str, tag: &str, day: Date) -> Option<Past> {
    let [bases, versions] = timelines(image, tag)?;
    let (base, base_gone) = at(&bases, day);
    let (version, version_gone) = at(&versions, day);
    let gone = base_gone || version_gone;
    (gone || base.is_some() || version.is_some()).then_some(Past {
        base: base.filter(|value| *value != UNKNOWN),
        version: version.filter(|value| *value != UNKNOWN),
        gone,
    })
}

/// The changes of a tag's base, and of its version, oldest first.
#[must_use]
pub fn timelines(image: &str, tag: &str) -> Option<[Vec<(Date, &'static str)>; 2]> {
    let number = tables().index.get(format!("{image}:{tag}"))?;
    let scale = EVENTS.len() as u64;
    let read = |place: u64| match usize::try_from(place) {
        Ok(0) | Err(_) => Some(Vec::new()),
        Ok(place) => read(place),
    };
    Some([read(number / scale)?, read(number % scale)?])
}

/// How many tags have a timeline.
#[must_use]
pub fn len() -> usize {
    tables().index.len()
}

/// The value on a day, and whether the tag was gone by then.
fn at(timeline: &[(Date, &'static str)], day: Date) -> (Option<&'static str>, bool) {
    let until = timeline.partition_point(|(changed, _)| *changed <= day);
    let past = &timeline[..until];
    let gone = past.last().is_some_and(|(_, value)| *value == GONE);
    let value = past.iter().rev().map(|(_, value)| *value);
    (value.into_iter().find(|value| *value != GONE), gone)
}

fn read(place: usize) -> Option<Vec<(Date, &'static str)>> {
    let mut bytes = EVENTS.get(place..)?.iter();
    let mut next = || -> Option<u32> {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = *bytes.next()?;
            number |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
            shift += 7;
        }
    };
    let count = next()?;
    let mut day = EPOCH;
    let mut out = Vec::new();
    for _ in 0..count {
        day += i32::try_from(next()?).ok()?;
        let value = tables().values.get(next()? as usize)?;
        out.push((Date::from_days(day)?, *value));
    }
    Some(out)
}
