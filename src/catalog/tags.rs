//! The packed table of tags and how it is read.
//!
//! `tags.fst` maps `image:tag` to one number, which packs what group of tags
//! it belongs to. In the words of the image's row in `images.tsv`:
//!
//! ```text
//! number = group × scale + shared            scale is 2 where the image has tags shared with Windows
//! group  = (day × width + version) × variants + variant
//! ```
//!
//! `day` is 0 for tags in the library and otherwise counts from the day the
//! image was first seen; `version` numbers the versions of one day; `variant`
//! points into the row's list of rows of `variants.tsv`, a row repeated there
//! tells apart the groups that are alike in all of this. So a group has one
//! number, no two groups of an image have the same, and near tags have near
//! numbers, which is what keeps the automaton small.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use fst::{IntoStreamer, Streamer};

use super::Date;
use super::memo::Memo;

static TAGS: &[u8] = include_bytes!("data/tags.fst");
static IMAGES: &str = include_str!("data/images.tsv");
static VARIANTS: &str = include_str!("data/variants.tsv");
static SOURCE: &str = include_str!("data/source.tsv");

/// What an image is built on: a release of a distribution.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Base {
    /// `debian`, `ubuntu`, `alpine`, …
    pub family: &'static str,
    /// `bookworm`, `noble`, `3.22`, …: as in [`super::release`].
    pub release: &'static str,
    /// How sure this is.
    pub certainty: Certainty,
}

impl Base {
    /// Whether both are the same release, however either is known.
    pub fn same_release(&self, other: &Self) -> bool {
        (self.family, self.release) == (other.family, other.release)
    }
}

/// How the base of an image is known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Certainty {
    /// By way of a parent image or a branch, which may have moved since.
    Likely,
    /// The tag or path names it, or the Dockerfile of that commit.
    Known,
}

/// What sort of image a tag names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// The ordinary image.
    Full,
    /// A reduced one on the same distribution.
    Slim,
    /// One on Alpine Linux.
    Alpine,
    /// One for Windows alone.
    Windows,
}

impl Kind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Slim => "slim",
            Self::Alpine => "alpine",
            Self::Windows => "windows",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Full, Self::Slim, Self::Alpine, Self::Windows]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }
}

/// The tags that name one image. Meaningful only within one image name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Group(u64);

/// What is known of one tag.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Entry {
    /// What the image is built on, where that is known.
    pub base: Option<Base>,
    /// What sort of image it is.
    pub kind: Kind,
    /// The day it left the library; None while it is there. A tag that left is
    /// normally still pullable and no longer changes.
    pub gone: Option<Date>,
    /// The tag stands for images for Linux and for Windows: its index has
    /// another digest than that of its aliases, which are for Linux alone. The
    /// rest of the entry is about the Linux image.
    pub shared_windows: bool,
    /// Equal for tags of one image name that name the same image.
    pub group: Group,
    /// Equal (with `gone`) for groups of one image name with the same version.
    pub(super) version: u64,
}

impl Entry {
    /// Whether both are in the library, or left it on the same day.
    pub fn same_life(&self, other: &Self) -> bool {
        self.gone == other.gone
    }
}

/// What is known of an official image as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ImageInfo {
    /// Its name, `node`.
    pub name: &'static str,
    /// When the library first had it.
    pub first: Date,
    /// When the library dropped it, where it did.
    pub removed: Option<Date>,
}

/// Where the catalogue's tables come from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Source {
    /// The repository.
    pub repository: &'static str,
    /// Its commit.
    pub commit: &'static str,
    /// The day of that commit: all answers are as of then.
    pub as_of: Date,
}

struct Image {
    info: ImageInfo,
    width: u64,
    scale: u64,
    variants: Vec<Variant>,
}

#[derive(Clone, Copy)]
struct Variant {
    kind: Kind,
    base: Option<Base>,
}

struct Tables {
    tags: fst::Map<&'static [u8]>,
    /// The lines of the two tables; those of an image are read when it is asked
    /// for: a Dockerfile names few of them.
    variants: Vec<&'static str>,
    images: BTreeMap<&'static str, Slot>,
    source: Source,
}

/// The line of an image after its name, and what was read from it.
struct Slot {
    line: &'static str,
    image: OnceLock<Image>,
}

impl Tables {
    fn image(&self, name: &str) -> Option<&Image> {
        let (&name, slot) = self.images.get_key_value(name)?;
        // The tables are part of the program, and a test reads every row.
        let read = || read_image(name, slot.line, &self.variants);
        Some(
            slot.image
                .get_or_init(|| read().expect("the row of an image is well-formed")),
        )
    }
}

fn tables() -> &'static Tables {
    static TABLES: OnceLock<Tables> = OnceLock::new();
    // The tables are part of the program, and the tests read every row.
    TABLES.get_or_init(|| read_tables().expect("the catalogue's tables are well-formed"))
}

/// The rows of one of the tables: fields apart by tabs, `#` starts a comment.
pub(super) fn rows(text: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split('\t').collect())
}

fn read_tables() -> Option<Tables> {
    let lines = |text: &'static str| text.lines().filter(|line| !line.starts_with('#'));
    let source: HashMap<_, _> = rows(SOURCE)
        .filter_map(|row| Some((*row.first()?, *row.get(1)?)))
        .collect();
    let slot = |line: &'static str| {
        let (name, line) = line.split_once('\t')?;
        let image = OnceLock::new();
        Some((name, Slot { line, image }))
    };
    Some(Tables {
        tags: fst::Map::new(TAGS).ok()?,
        variants: lines(VARIANTS).collect(),
        images: lines(IMAGES).map(slot).collect::<Option<_>>()?,
        source: Source {
            repository: source.get("source")?,
            commit: source.get("commit")?,
            as_of: Date::parse(source.get("as-of")?)?,
        },
    })
}

fn read_image(name: &'static str, line: &'static str, variants: &[&'static str]) -> Option<Image> {
    let mut cells = line.split('\t');
    let mut cell = || cells.next();
    let (first, removed, width, scale, slots) = (cell()?, cell()?, cell()?, cell()?, cell()?);
    let slots = slots.split(' ').filter(|slot| !slot.is_empty());
    let variant = |slot: &str| read_variant(variants.get(slot.parse::<usize>().ok()?)?);
    Some(Image {
        info: ImageInfo {
            name,
            first: Date::parse(first)?,
            removed: Date::parse(removed),
        },
        width: width.parse().ok()?,
        scale: scale.parse().ok()?,
        variants: slots.map(variant).collect::<Option<_>>()?,
    })
}

fn read_variant(line: &'static str) -> Option<Variant> {
    let mut cells = line.split('\t');
    let mut cell = || cells.next();
    let (kind, family, release, certainty) = (cell()?, cell()?, cell()?, cell()?);
    let certainty = match certainty {
        "known" => Some(Certainty::Known),
        "likely" => Some(Certainty::Likely),
        _ => None,
    };
    let base = certainty.map(|certainty| Base {
        family,
        release,
        certainty,
    });
    Some(Variant {
        kind: Kind::parse(kind)?,
        base,
    })
}

impl Image {
    /// The keys and numbers of its tags that begin with `start`.
    fn stream<'a>(&self, tags: &'a fst::Map<&'static [u8]>, start: &str) -> fst::map::Stream<'a> {
        let first = key(self.info.name, start);
        // The next word of the same length: keys are ASCII, so there is one.
        let mut end = first.clone().into_bytes();
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        tags.range().ge(first).lt(end).into_stream()
    }

    fn tag_of(&self, key: &[u8]) -> String {
        let tag = key.get(self.info.name.len() + 1..).unwrap_or_default();
        String::from_utf8_lossy(tag).into_owned()
    }

    fn entry(&self, number: u64) -> Option<Entry> {
        let (group, shared) = (number / self.scale, number % self.scale);
        let count = self.variants.len() as u64;
        let variant = self.variants.get(usize::try_from(group % count).ok()?)?;
        let (day, version) = (group / count / self.width, group / count % self.width);
        let gone = match i32::try_from(day).ok()? {
            0 => None,
            day => Some(Date::from_days(self.info.first.days() + day)?),
        };
        Some(Entry {
            base: variant.base,
            kind: variant.kind,
            gone,
            shared_windows: shared == 1,
            group: Group(group),
            version,
        })
    }
}

/// Where the tables come from, and of which day they are.
pub fn source() -> &'static Source {
    &tables().source
}

/// What is known of `image:tag`. In: the short name of an official image
/// ([`crate::image::Reference::official`]) and a tag. None where neither the
/// library nor its history has it.
pub fn lookup(image: &str, tag: &str) -> Option<Entry> {
    static KNOWN: Memo<Option<Entry>> = Memo::new();
    KNOWN.answer(image, tag, find)
}

fn find(image: &str, tag: &str) -> Option<Entry> {
    let tables = tables();
    let image = tables.image(image)?;
    image.entry(tables.tags.get(key(image.info.name, tag))?)
}

fn key(image: &str, tag: &str) -> String {
    let mut key = String::with_capacity(image.len() + tag.len() + 1);
    key.push_str(image);
    key.push(':');
    key.push_str(tag);
    key
}

/// What is known of an official image, present or removed.
pub fn image(name: &str) -> Option<ImageInfo> {
    tables().image(name).map(|image| image.info)
}

/// Whether the library has this image, or ever had.
pub fn is_official(name: &str) -> bool {
    tables().images.contains_key(name)
}

/// Whether any tag of an image, present or gone, is of that kind.
pub(super) fn has_kind(image: &str, kind: Kind) -> bool {
    tables()
        .image(image)
        .is_some_and(|image| image.variants.iter().any(|variant| variant.kind == kind))
}

/// All official images, present and removed, by name.
pub fn images() -> Vec<ImageInfo> {
    let names = tables().images.keys();
    names.filter_map(|name| self::image(name)).collect()
}

/// All tags of an image, present and gone, in byte order. Empty for what is no
/// official image. Costs a walk over all tags of the image, up to a millisecond.
pub fn tags(image: &str) -> impl Iterator<Item = (String, Entry)> {
    let tables = tables();
    let known = tables.image(image);
    let mut stream = known.map(|image| image.stream(&tables.tags, ""));
    std::iter::from_fn(move || {
        let (key, number) = stream.as_mut()?.next()?;
        let image = known?;
        Some((image.tag_of(key), image.entry(number)?))
    })
}

/// All tags that name the same image as `image:tag`, itself included, in byte
/// order. Empty where the tag isn't known.
pub fn aliases(image: &str, tag: &str) -> Vec<String> {
    lookup(image, tag).map_or_else(Vec::new, |entry| group_tags(image, entry.group, ""))
}

/// The tags of one group that begin with `start`, in byte order. Walks over the
/// tags with that start, all of an image's in a millisecond: who is asked the
/// same often remembers the answer.
pub(super) fn group_tags(image: &str, group: Group, start: &str) -> Vec<String> {
    let tables = tables();
    let mut found = Vec::new();
    if let Some(image) = tables.image(image) {
        let mut stream = image.stream(&tables.tags, start);
        while let Some((key, number)) = stream.next() {
            if number / image.scale == group.0 {
                found.push(image.tag_of(key));
            }
        }
    }
    found
}
