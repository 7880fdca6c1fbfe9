//! Makes the catalogue's committed tables from a checkout of the library files
//! of docker-library/official-images and the recorded history of their tags.
//!
//! Nothing here is random or depends on the machine: the same input gives the
//! same bytes, which `tests/catalog_data.rs` holds.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use dfmigrate::catalog::Date;
use serde::Deserialize;

/// What may go wrong, in words for a maintainer.
pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Where the input lies.
pub struct Input {
    /// The `library/` folder of official-images.
    pub library: PathBuf,
    /// The recorded history, JSON, xz-compressed where it is named `.xz`.
    pub history: PathBuf,
    /// Recorded bases of the present tags, JSON.
    pub official: PathBuf,
    /// Recorded distribution releases, JSON.
    pub distros: PathBuf,
}

/// The tables: file name and bytes, in the order of the names.
pub type Tables = BTreeMap<&'static str, Vec<u8>>;

/// Builds all tables.
pub fn build(input: &Input) -> Result<Tables> {
    let official: Official = serde_json::from_slice(&read(&input.official)?)?;
    let history: History = serde_json::from_slice(&read(&input.history)?)?;
    let releases = Releases(serde_json::from_slice(&read(&input.distros)?)?);
    let as_of = official
        .date
        .get(..10)
        .and_then(Date::parse)
        .ok_or("official: no date")?;

    let mut images = BTreeMap::new();
    for (name, past) in &history.images {
        images.insert(name.clone(), Image::frozen(name, past, &releases)?);
    }
    let mut files: Vec<_> = std::fs::read_dir(&input.library)?.collect::<io::Result<Vec<_>>>()?;
    files.sort_by_key(std::fs::DirEntry::file_name);
    for file in files {
        let name = file
            .file_name()
            .into_string()
            .map_err(|_| "a file name that is not UTF-8")?;
        let known = official
            .images
            .get(&name)
            .map(|image| image.entries.as_slice());
        let image = images
            .entry(name.clone())
            .or_insert_with(|| Image::new(as_of));
        image.add_live(
            &name,
            &std::fs::read_to_string(file.path())?,
            known.unwrap_or_default(),
            &releases,
        )?;
    }

    let mut tables = encode(&images, &releases)?;
    tables.insert("releases.tsv", release_table(&releases.0).into_bytes());
    tables.insert(
        "source.tsv",
        format!(
            "# Where the tables of this folder come from. Made by `cargo catalog build`.\n\
             source\t{}\ncommit\t{}\nas-of\t{as_of}\n",
            official.source, official.commit,
        )
        .into_bytes(),
    );
    Ok(tables)
}

/// Writes the tables into a folder.
pub fn write(tables: &Tables, out: &Path) -> Result<()> {
    std::fs::create_dir_all(out)?;
    for (name, bytes) in tables {
        std::fs::write(out.join(name), bytes)?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let bytes = std::fs::read(path).map_err(|why| format!("{}: {why}", path.display()))?;
    if path.extension().is_some_and(|extension| extension == "xz") {
        let mut out = Vec::new();
        lzma_rs::xz_decompress(&mut io::Cursor::new(bytes), &mut out)
            .map_err(|why| format!("{}: {why:?}", path.display()))?;
        return Ok(out);
    }
    Ok(bytes)
}

// ---- the recorded input ----

#[derive(Deserialize)]
struct Official {
    commit: String,
    date: String,
    source: String,
    images: HashMap<String, OfficialImage>,
}

#[derive(Deserialize)]
struct OfficialImage {
    entries: Vec<OfficialEntry>,
}

#[derive(Deserialize)]
struct OfficialEntry {
    tags: Vec<String>,
    kind: String,
    base: OfficialBase,
}

#[derive(Deserialize)]
struct OfficialBase {
    family: Option<String>,
    release: Option<String>,
    src: Option<String>,
}

#[derive(Deserialize)]
struct History {
    images: BTreeMap<String, Past>,
}

#[derive(Deserialize)]
struct Past {
    first: String,
    removed: Option<String>,
    groups: Vec<PastGroup>,
}

#[derive(Deserialize)]
struct PastGroup {
    t: Vec<String>,
    #[serde(default)]
    s: Vec<String>,
    #[serde(default)]
    moved: Vec<String>,
    gone: String,
    /// The commit of official-images that dropped it.
    oi: String,
    base: Option<String>,
    src: Option<String>,
    #[serde(default)]
    win: u8,
}

#[derive(Deserialize)]
struct Release {
    #[serde(rename = "f")]
    family: String,
    #[serde(rename = "v")]
    version: String,
    #[serde(rename = "r")]
    released: Option<serde_json::Value>,
    #[serde(rename = "e")]
    end: Option<serde_json::Value>,
    #[serde(rename = "l")]
    long_term: Option<serde_json::Value>,
    #[serde(rename = "x", default)]
    extended: Option<serde_json::Value>,
}

/// The recorded releases: by codename, or by `family:number`.
struct Releases(BTreeMap<String, Release>);

// ---- groups of tags that name one image ----

/// What is kept of a base and a kind: `kind family release certainty`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Variant {
    kind: &'static str,
    base: Option<Base>,
}

/// Family, release, and how it is known.
type Base = (String, String, &'static str);

impl Releases {
    /// A base in the words of the table of releases. None where a record names
    /// no release of a distribution (a build of the day, say).
    fn base(
        &self,
        image: &str,
        family: &str,
        release: &str,
        certainty: &'static str,
    ) -> Option<Base> {
        let kept = |release: &str| Some((family.to_owned(), release.to_owned(), certainty));
        if self.0.values().all(|known| known.family != family) {
            // Of an image that is its own base, nobody else keeps a list of releases.
            return if image == family { None } else { kept(release) };
        }
        let is_known = |release: &str| {
            let bare = self
                .0
                .get(release)
                .is_some_and(|known| known.family == family);
            bare || self.0.contains_key(&format!("{family}:{release}"))
        };
        if is_known(release) {
            return kept(release);
        }
        // `8.5.20220308`, `9-minimal`, `centos7.4.1708`: a number that starts
        // with that of a release.
        let number = release.strip_prefix(family).unwrap_or(release);
        let number = number.split('-').next().unwrap_or_default();
        let mut ends: Vec<usize> = number.match_indices('.').map(|(at, _)| at).collect();
        ends.push(number.len());
        ends.iter()
            .rev()
            .map(|end| &number[..*end])
            .find(|prefix| is_known(prefix))
            .and_then(kept)
    }
}

/// Tags that name one image.
struct Group {
    tags: BTreeSet<String>,
    /// Those of them that name images for Windows too.
    shared_windows: BTreeSet<String>,
    gone: Option<Date>,
    variant: Variant,
}

struct Image {
    first: Date,
    removed: Option<Date>,
    groups: Vec<Group>,
}

impl Image {
    fn new(first: Date) -> Self {
        Self {
            first,
            removed: None,
            groups: Vec::new(),
        }
    }

    fn frozen(name: &str, past: &Past, releases: &Releases) -> Result<Self> {
        let day =
            |text: &str| Date::parse(text).ok_or_else(|| format!("{name}: {text} is no date"));
        // What Windows shared when a commit dropped it.
        let mut windows: HashSet<(&str, &str)> = HashSet::new();
        for group in past.groups.iter().filter(|group| group.win == 1) {
            windows.extend(
                group
                    .moved
                    .iter()
                    .chain(&group.s)
                    .map(|tag| (&*group.oi, &**tag)),
            );
        }
        let mut image = Self::new(day(&past.first)?);
        image.removed = past.removed.as_deref().map(day).transpose()?;
        for group in &past.groups {
            let gone = Some(day(&group.gone)?);
            let base = group.base.as_deref().and_then(|base| base.split_once(':'));
            let certainty = if group.src.as_deref() == Some("parent") {
                "likely"
            } else {
                "known"
            };
            let base =
                base.and_then(|(family, release)| releases.base(name, family, release, certainty));
            let tags: BTreeSet<String> = group.t.iter().cloned().collect();
            let shared: BTreeSet<String> = group.s.iter().cloned().collect();
            if group.win == 1 {
                image.push_windows(tags, base, gone);
                // Shared by releases of Windows that no one base stands for.
                image.push_windows(shared, None, gone);
                continue;
            }
            let kind = kind_of(&tags, base.as_ref().map(|(family, _, _)| family.as_str()));
            let shared_windows = shared
                .iter()
                .filter(|tag| windows.contains(&(&*group.oi, &***tag)))
                .cloned()
                .collect();
            image.groups.push(Group {
                tags: tags.into_iter().chain(shared).collect(),
                shared_windows,
                gone,
                variant: Variant { kind, base },
            });
        }
        Ok(image)
    }

    fn push_windows(&mut self, tags: BTreeSet<String>, base: Option<Base>, gone: Option<Date>) {
        if !tags.is_empty() {
            let variant = Variant {
                kind: "windows",
                base,
            };
            self.groups.push(Group {
                tags,
                shared_windows: BTreeSet::new(),
                gone,
                variant,
            });
        }
    }

    fn add_live(
        &mut self,
        name: &str,
        text: &str,
        known: &[OfficialEntry],
        releases: &Releases,
    ) -> Result<()> {
        let entries = library_entries(text);
        let is_windows =
            |entry: &LibraryEntry| entry.arches.iter().all(|arch| arch.starts_with("windows-"));
        let windows: HashSet<&String> = entries
            .iter()
            .filter(|entry| is_windows(entry))
            .flat_map(|entry| &entry.shared)
            .collect();
        let mut linux_shared: HashMap<&String, usize> = HashMap::new();
        for entry in entries.iter().filter(|entry| !is_windows(entry)) {
            for tag in &entry.shared {
                *linux_shared.entry(tag).or_default() += 1;
            }
        }
        let mut windows_only: BTreeMap<Vec<usize>, BTreeSet<String>> = BTreeMap::new();
        for (index, entry) in entries.iter().enumerate() {
            let tags: BTreeSet<String> = entry.tags.iter().cloned().collect();
            let record = known
                .iter()
                .find(|record| record.tags.iter().eq(entry.tags.iter()));
            let base = record.and_then(|record| record.base.known(name, releases));
            if is_windows(entry) {
                self.push_windows(tags, base, None);
                for tag in entry
                    .shared
                    .iter()
                    .filter(|tag| !linux_shared.contains_key(tag))
                {
                    let members = (0..entries.len()).filter(|at| entries[*at].shared.contains(tag));
                    windows_only
                        .entry(members.collect())
                        .or_default()
                        .insert(tag.clone());
                }
                continue;
            }
            let family = record.and_then(|record| record.base.family.as_deref());
            let kind = match record.map(|record| record.kind.as_str()) {
                Some("slim") => "slim",
                Some("alpine") => "alpine",
                Some("full") => "full",
                Some(other) => return Err(format!("{name}: kind {other}?").into()),
                None => kind_of(&tags, family),
            };
            if let Some(tag) = entry.shared.iter().find(|tag| linux_shared[tag] > 1) {
                return Err(format!("{name}:{tag} is shared by several groups for Linux (at {index}): teach the builder").into());
            }
            self.groups.push(Group {
                shared_windows: entry
                    .shared
                    .iter()
                    .filter(|tag| windows.contains(tag))
                    .cloned()
                    .collect(),
                tags: tags
                    .into_iter()
                    .chain(entry.shared.iter().cloned())
                    .collect(),
                gone: None,
                variant: Variant { kind, base },
            });
        }
        for (_, tags) in windows_only {
            self.push_windows(tags, None, None);
        }
        Ok(())
    }
}

impl OfficialBase {
    /// The base, where the record is more than a guess.
    fn known(&self, image: &str, releases: &Releases) -> Option<Base> {
        let certainty = match self.src.as_deref()? {
            "tag" | "path" | "from-commit" | "parent:commit" | "suite@date" => "known",
            "from-head" | "parent:head" => "likely",
            _ => return None,
        };
        releases.base(
            image,
            self.family.as_deref()?,
            self.release.as_deref()?,
            certainty,
        )
    }
}

/// One paragraph of a library file.
struct LibraryEntry {
    tags: Vec<String>,
    shared: Vec<String>,
    arches: Vec<String>,
}

/// Reads a library file: paragraphs of `Key: value`, the value going on over
/// lines that start with a blank. The first paragraph gives defaults.
fn library_entries(text: &str) -> Vec<LibraryEntry> {
    let mut default_arches = vec!["amd64".to_owned()];
    let mut entries = Vec::new();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    for paragraph in lines.split(|line| line.trim().is_empty()) {
        let mut fields: HashMap<String, String> = HashMap::new();
        let mut last = String::new();
        for line in paragraph {
            if line.starts_with([' ', '\t']) {
                fields.entry(last.clone()).or_default().push_str(line);
            } else if let Some((key, value)) = line.split_once(':') {
                last = key.trim().to_ascii_lowercase();
                fields.insert(last.clone(), value.to_owned());
            }
        }
        let list = |key: &str| -> Option<Vec<String>> {
            let items = fields
                .get(key)?
                .split(',')
                .map(|item| item.trim().to_owned());
            Some(items.filter(|item| !item.is_empty()).collect())
        };
        let arches = list("architectures");
        match list("tags") {
            Some(tags) => entries.push(LibraryEntry {
                tags,
                shared: list("sharedtags").unwrap_or_default(),
                arches: arches.unwrap_or_else(|| default_arches.clone()),
            }),
            None => default_arches = arches.unwrap_or(default_arches),
        }
    }
    entries
}

fn kind_of(tags: &BTreeSet<String>, family: Option<&str>) -> &'static str {
    let all = |word: &str| {
        tags.iter()
            .all(|tag| tag.split('-').any(|token| token == word))
    };
    if family == Some("alpine")
        || tags
            .iter()
            .all(|tag| tag.split('-').any(|token| token.starts_with("alpine")))
    {
        "alpine"
    } else if all("slim") || all("minimal") {
        "slim"
    } else {
        "full"
    }
}

// ---- packing ----

/// The version that a group has: the tokens of a tag that start with a digit,
/// without those that spell the base; the longest such of its tags.
fn version(group: &Group, releases: &Releases) -> String {
    let base = group.variant.base.as_ref();
    let release = base.map_or("", |(_, release, _)| release);
    let number = releases.0.get(release).map_or("", |known| &known.version);
    let of_tag = |tag: &String| {
        let tokens = tag.split('-').filter(|token| {
            token.starts_with(|c: char| c.is_ascii_digit()) && *token != release && *token != number
        });
        tokens.collect::<Vec<_>>().join("-")
    };
    let versions = group.tags.iter().map(of_tag);
    versions
        .max_by(|a, b| (a.len(), b).cmp(&(b.len(), a)))
        .unwrap_or_default()
}

/// Packs all groups: see `src/catalog/table.rs` for the form.
fn encode(images: &BTreeMap<String, Image>, releases: &Releases) -> Result<Tables> {
    let mut counts: BTreeMap<&Variant, usize> = BTreeMap::new();
    for group in images.values().flat_map(|image| &image.groups) {
        *counts.entry(&group.variant).or_default() += 1;
    }
    let variant_ids: HashMap<&Variant, usize> = counts
        .keys()
        .enumerate()
        .map(|(id, variant)| (*variant, id))
        .collect();

    let mut image_table = String::from(
        "# The official images, present and removed. Made by `cargo catalog build`.\n\
         # image\tfirst seen\tremoved\tversions that left on one day, at most\ttags shared with Windows: 2, none: 1\tvariants (rows of variants.tsv)\n",
    );
    let mut keys: BTreeMap<String, u64> = BTreeMap::new();
    for (name, image) in images {
        // Which versions left on a day, numbered in order.
        let mut sets: BTreeMap<Option<Date>, BTreeSet<String>> = BTreeMap::new();
        for group in &image.groups {
            sets.entry(group.gone)
                .or_default()
                .insert(version(group, releases));
        }
        let scale = 1 + u64::from(
            image
                .groups
                .iter()
                .any(|group| !group.shared_windows.is_empty()),
        );
        let width = sets.values().map(BTreeSet::len).max().unwrap_or(0);
        // Groups of one day, version and variant, to be told apart by rank.
        let mut cells: BTreeMap<(Option<Date>, usize, usize), Vec<&Group>> = BTreeMap::new();
        for group in &image.groups {
            let set = sets[&group.gone]
                .iter()
                .position(|known| *known == version(group, releases));
            let set = set.ok_or("a version that was not numbered")?;
            cells
                .entry((group.gone, set, variant_ids[&group.variant]))
                .or_default()
                .push(group);
        }
        let mut depth: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
        for ((_, _, variant), groups) in &mut cells {
            groups.sort_by_key(|group| group.tags.iter().map(|tag| (tag.len(), tag)).min());
            let (most, uses) = depth.entry(*variant).or_default();
            *most = (*most).max(groups.len());
            *uses += groups.len();
        }
        // The variants used most come first, which keeps the numbers small.
        let mut order: Vec<_> = depth
            .iter()
            .map(|(variant, (most, uses))| (std::cmp::Reverse(*uses), *variant, *most))
            .collect();
        order.sort_unstable();
        let mut slots: Vec<usize> = Vec::new();
        let mut first_slot: HashMap<usize, usize> = HashMap::new();
        for (_, variant, most) in order {
            first_slot.insert(variant, slots.len());
            slots.extend(std::iter::repeat_n(variant, most));
        }
        for ((gone, set, variant), groups) in cells {
            for (rank, group) in groups.into_iter().enumerate() {
                let day = gone.map_or(Ok(0), |gone| {
                    u64::try_from(gone.days() - image.first.days())
                })?;
                let group_id = (day * width as u64 + set as u64) * slots.len() as u64
                    + (first_slot[&variant] + rank) as u64;
                for tag in &group.tags {
                    let shared = u64::from(group.shared_windows.contains(tag));
                    let key = format!("{name}:{tag}");
                    if keys.insert(key, group_id * scale + shared).is_some() {
                        return Err(format!("{name}:{tag} is in two groups").into());
                    }
                }
            }
        }
        let removed = image.removed.map_or("-".into(), |day| day.to_string());
        let slots: Vec<String> = slots.iter().map(usize::to_string).collect();
        image_table += &format!(
            "{name}\t{}\t{removed}\t{width}\t{scale}\t{}\n",
            image.first,
            slots.join(" ")
        );
    }

    let mut variant_table = String::from(
        "# What a group of tags can be: row 0 is the first below. Made by `cargo catalog build`.\n\
         # kind\tfamily\trelease\thow the base is known\n",
    );
    for variant in counts.keys() {
        variant_table += &match &variant.base {
            Some((family, release, certainty)) => {
                format!("{}\t{family}\t{release}\t{certainty}\n", variant.kind)
            }
            None => format!("{}\t-\t-\t-\n", variant.kind),
        };
    }
    let mut map = fst::MapBuilder::memory();
    for (key, value) in &keys {
        map.insert(key, *value)?;
    }
    Ok(BTreeMap::from([
        ("images.tsv", image_table.into_bytes()),
        ("variants.tsv", variant_table.into_bytes()),
        ("tags.fst", map.into_inner()?),
    ]))
}

fn release_table(releases: &BTreeMap<String, Release>) -> String {
    let mut rows: Vec<(&str, Vec<u32>, &str, &Release)> = Vec::new();
    for (name, release) in releases {
        let name = name
            .rsplit_once(':')
            .map_or(name.as_str(), |(_, name)| name);
        let order = release
            .version
            .split('.')
            .map(|part| part.parse().unwrap_or(u32::MAX))
            .collect();
        rows.push((&release.family, order, name, release));
    }
    rows.sort_by(|a, b| (a.0, &a.1, a.2).cmp(&(b.0, &b.1, b.2)));
    let mut out = String::from(
        "# Releases of Linux distributions, oldest first within a family; a release without a version never settles.\n\
         # From endoflife.date and Debian's distro-info-data. Made by `cargo catalog build`.\n\
         # family\trelease\tversion\treleased\tend of life\tend of long-term support\tend of extended support\n",
    );
    for (family, _, name, release) in rows {
        let or_dash = |value: &Option<serde_json::Value>| {
            value
                .as_ref()
                .and_then(|value| value.as_str())
                .unwrap_or("-")
                .to_owned()
        };
        let version = if release.version.is_empty() {
            "-"
        } else {
            &release.version
        };
        out += &format!(
            "{family}\t{name}\t{version}\t{}\t{}\t{}\t{}\n",
            or_dash(&release.released),
            or_dash(&release.end),
            or_dash(&release.long_term),
            or_dash(&release.extended),
        );
    }
    out
}
