//! The build context on disk, as the builder would see it: under the rules of
//! `.dockerignore`, and never outside of its folder.

mod builds;
mod contexts;
mod given;
mod ignorefile;

pub use contexts::Contexts;
pub use given::GivenFiles;
pub use ignorefile::{Ignore, TooCostly};

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;

use crate::beneath::{Folder, Kind, stat_of};
use crate::facts::{Files, Known, Unavailable};
use contexts::Search;
use ignorefile::{Budget, Matched};

/// The largest file that [`Files::read`] gives: 1 MiB.
pub const MAX_BYTES: u64 = 1 << 20;

/// The largest lockfile that [`Files::read`] gives: 16 MiB.
pub const MAX_LOCKFILE_BYTES: u64 = 16 << 20;

/// The most entries of a folder that are listed.
pub const MAX_ENTRIES: usize = 10_000;

/// The most symlinks on the way to one file, as in Linux.
const MAX_LINKS: usize = 40;

/// The largest `.dockerignore` that is read.
const MAX_IGNORE_BYTES: u64 = 1 << 20;

/// Files that package managers write and people don't, and which grow large.
const LOCKFILES: [&str; 15] = [
    "Cargo.lock",
    "Gemfile.lock",
    "Pipfile.lock",
    "bun.lock",
    "composer.lock",
    "go.sum",
    "mix.lock",
    "npm-shrinkwrap.json",
    "package-lock.json",
    "packages.lock.json",
    "pdm.lock",
    "pnpm-lock.yaml",
    "poetry.lock",
    "uv.lock",
    "yarn.lock",
];

/// The build context of one Dockerfile.
///
/// Paths are as in a COPY: `/`-separated, relative to the context's root, a
/// leading `/` meaning the root. Symlinks are followed within the context;
/// what leads out of it is [`Unavailable::Denied`]. What `.dockerignore`
/// excludes is not there. Nothing is kept but the folder and the rules, both
/// got at the first question.
#[derive(Debug)]
pub struct BuildContext {
    root: PathBuf,
    dockerfile: Option<PathBuf>,
    /// Who says where it is, unless that is `root`.
    search: Option<Search>,
    /// Why nothing is known of what it holds, once that was asked for.
    doubt: OnceLock<String>,
    opened: OnceLock<Result<Opened, Unavailable>>,
}

#[derive(Debug)]
struct Opened {
    folder: Folder,
    ignore: Ignore,
}

/// How a question ends without an answer: not there, or nobody can say.
enum End {
    No,
    Unknown(Unavailable),
}

impl<T> From<End> for Known<T> {
    fn from(end: End) -> Self {
        match end {
            End::No => Self::No,
            End::Unknown(why) => Self::Unknown(why),
        }
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::InvalidFilename => Self::No,
            io::ErrorKind::PermissionDenied => Self::Unknown(Unavailable::Denied),
            _ => Self::Unknown(Unavailable::Failed(error.to_string())),
        }
    }
}

impl From<TooCostly> for End {
    fn from(error: TooCostly) -> Self {
        Self::Unknown(Unavailable::Failed(error.to_string()))
    }
}

/// What a path led to.
struct Place {
    /// The folder that holds it; none for the root itself.
    within: Option<(Folder, OsString)>,
    kind: Kind,
    /// The folder itself, where it is one.
    folder: Option<Folder>,
    /// Its real path below the root, and what the rules say of it.
    path: String,
    matched: Matched,
}

impl BuildContext {
    /// The context at a folder, for a Dockerfile that may lie anywhere. A
    /// file beside the Dockerfile, called as it is with `.dockerignore` behind,
    /// comes before the `.dockerignore` of the context, as in `BuildKit`.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>, dockerfile: Option<&Path>) -> Self {
        Self {
            root: root.into(),
            dockerfile: dockerfile.map(Path::to_owned),
            search: None,
            doubt: OnceLock::new(),
            opened: OnceLock::new(),
        }
    }

    /// The context that is the folder of the Dockerfile.
    #[must_use]
    pub fn beside(dockerfile: &Path) -> Self {
        let root = match dockerfile.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        Self::new(root, Some(dockerfile))
    }

    /// The context of a Dockerfile, which is looked for at the first question.
    fn searched(dockerfile: &Path, search: Search) -> Self {
        Self {
            search: Some(search),
            ..Self::beside(dockerfile)
        }
    }

    /// The folder that it is.
    ///
    /// # Errors
    /// Where files differ in what they say, in words.
    pub fn root(&self) -> Result<PathBuf, String> {
        Ok(self.found()?.unwrap_or_else(|| self.root.clone()))
    }

    /// Why nothing is known of what it holds: files that differ in which folder it
    /// is, or one that can't be opened. None as long as nothing was asked.
    #[must_use]
    pub fn doubt(&self) -> Option<&str> {
        self.doubt.get().map(String::as_str)
    }

    /// The folder that is not `root`, where a search finds one.
    fn found(&self) -> Result<Option<PathBuf>, String> {
        match (&self.search, &self.dockerfile) {
            (Some(search), Some(dockerfile)) => search.find(dockerfile),
            _ => Ok(None),
        }
    }

    /// The bytes of a regular file, if they are at most `cap`.
    pub fn read_up_to(&self, path: &str, cap: u64) -> Known<Vec<u8>> {
        self.regular(path, |folder, name| read(folder, name, cap))
    }

    /// What `take` reads of a regular file.
    fn regular(
        &self,
        path: &str,
        take: impl FnOnce(&Folder, &OsStr) -> Result<Vec<u8>, End>,
    ) -> Known<Vec<u8>> {
        let place = match self.find(path, &mut Budget::new()) {
            Ok(place) => place,
            Err(end) => return end.into(),
        };
        let Some((folder, name)) = place.within else {
            return Known::No;
        };
        match place.kind {
            Kind::File => {}
            Kind::Folder => return Known::No,
            Kind::Link | Kind::Special => return special(),
        }
        match take(&folder, &name) {
            Ok(bytes) => Known::Yes(bytes),
            Err(end) => end.into(),
        }
    }

    fn opened(&self) -> Result<&Opened, End> {
        self.opened
            .get_or_init(|| {
                let doubted = |why: String| {
                    let _ = self.doubt.set(why.clone());
                    Unavailable::Failed(why)
                };
                let found = self.found().map_err(doubted)?;
                let folder = match &found {
                    // What a tree says leads through no symlink.
                    Some(found) => Folder::open_canonical(found),
                    None => Folder::open(&self.root),
                };
                let folder = folder.map_err(|error| match error.kind() {
                    io::ErrorKind::PermissionDenied => Unavailable::Denied,
                    _ => doubted(format!(
                        "the build context {} cannot be opened: {error}",
                        found.as_ref().unwrap_or(&self.root).display()
                    )),
                })?;
                let ignore = self.rules(&folder)?;
                Ok(Opened { folder, ignore })
            })
            .as_ref()
            .map_err(|why| End::Unknown(why.clone()))
    }

    /// The rules in force.
    fn rules(&self, folder: &Folder) -> Result<Ignore, Unavailable> {
        let own = self.dockerfile.as_ref().and_then(|dockerfile| {
            let mut name = dockerfile.file_name()?.to_owned();
            name.push(".dockerignore");
            let beside = match dockerfile.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent,
                _ => Path::new("."),
            };
            Some((Folder::open(beside).ok()?, name))
        });
        let of_context = folder.again().ok().map(|f| (f, ".dockerignore".into()));
        for (folder, name) in own.into_iter().chain(of_context) {
            let shown = name.to_string_lossy();
            match folder.kind(&name) {
                Ok(Kind::File) => {}
                Ok(_) => {
                    // A symlink may lead the builder elsewhere than us.
                    return Err(Unavailable::Failed(format!(
                        "{shown} is not a regular file, so what the build context holds is \
                         not known"
                    )));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(_) => return Err(Unavailable::Denied),
            }
            let text = match read(&folder, &name, MAX_IGNORE_BYTES) {
                Ok(text) => text,
                Err(End::No) => continue,
                Err(End::Unknown(why)) => return Err(why),
            };
            return Ignore::parse(&text)
                .map_err(|error| Unavailable::Failed(format!("{shown}:{error}")));
        }
        Ok(Ignore::default())
    }

    /// Where a path leads, with what the rules say of it. Excluded files are
    /// not there; excluded folders may hold something that is.
    fn find(&self, path: &str, budget: &mut Budget) -> Result<Place, End> {
        let opened = self.opened()?;
        if path.contains('\0') {
            return Err(End::No);
        }
        let mut ahead: VecDeque<OsString> = clean(path)?.into();
        // The folders from the root to here, each with its name and rules.
        let mut way: Vec<(Folder, OsString, Matched)> = Vec::new();
        let mut links = 0;
        while let Some(name) = ahead.pop_front() {
            if name == ".." {
                // Only a symlink's target brings one here.
                way.pop().ok_or(End::Unknown(Unavailable::Denied))?;
                continue;
            }
            let (here, above) = match way.last() {
                Some((folder, _, matched)) => (folder, Some(matched)),
                None => (&opened.folder, None),
            };
            let mut path = way.iter().fold(String::new(), |path, (_, name, _)| {
                path + &name.to_string_lossy() + "/"
            });
            path += &name.to_string_lossy();
            let kind = here.kind(&name)?;
            let matched = opened.ignore.matched(&path, above, budget)?;
            if kind != Kind::Folder && matched.excluded {
                return Err(End::No);
            }
            match kind {
                Kind::Folder => {
                    let folder = here.enter(&name)?;
                    way.push((folder, name, matched));
                }
                Kind::Link => {
                    links += 1;
                    if links > MAX_LINKS {
                        let why = format!("more than {MAX_LINKS} symlinks on the way");
                        return Err(End::Unknown(Unavailable::Failed(why)));
                    }
                    for part in parts_of_link(&here.link(&name)?)?.into_iter().rev() {
                        ahead.push_front(part);
                    }
                }
                Kind::File | Kind::Special if ahead.is_empty() => {
                    return Ok(Place {
                        within: Some((here.again()?, name)),
                        kind,
                        folder: None,
                        path,
                        matched,
                    });
                }
                Kind::File | Kind::Special => return Err(End::No),
            }
        }
        let path = way
            .iter()
            .map(|(_, name, _)| name.to_string_lossy())
            .collect::<Vec<_>>()
            .join("/");
        let (within, folder, matched) = match way.pop() {
            None => (None, opened.folder.again()?, Matched::default()),
            Some((folder, name, matched)) => {
                let above = way.last().map_or(&opened.folder, |(folder, ..)| folder);
                (Some((above.again()?, name)), folder, matched)
            }
        };
        Ok(Place {
            within,
            kind: Kind::Folder,
            folder: Some(folder),
            path,
            matched,
        })
    }

    /// The entries of a folder that are in the context, sorted.
    fn entries(
        &self,
        folder: &Folder,
        path: &str,
        matched: &Matched,
        budget: &mut Budget,
    ) -> Result<Vec<(String, bool)>, End> {
        let opened = self.opened()?;
        let above = (!path.is_empty()).then_some(matched);
        let Some(all) = folder.entries(MAX_ENTRIES)? else {
            let why = format!("the folder has more than {MAX_ENTRIES} entries");
            return Err(End::Unknown(Unavailable::Failed(why)));
        };
        let mut entries = Vec::with_capacity(all.len());
        for (name, kind) in all {
            let shown = name.to_string_lossy().into_owned();
            let path = join(path, &shown);
            let matched = opened.ignore.matched(&path, above, budget)?;
            let there = match kind {
                Kind::Folder if matched.excluded => {
                    opened.ignore.has_exceptions()
                        && self.holds(&folder.enter(&name)?, &path, &matched, budget)?
                }
                _ => !matched.excluded,
            };
            if there {
                let is_folder = match kind {
                    Kind::Link => matches!(
                        self.find(&path, budget),
                        Ok(Place {
                            kind: Kind::Folder,
                            ..
                        })
                    ),
                    kind => kind == Kind::Folder,
                };
                entries.push((shown, is_folder));
            }
        }
        entries.sort_unstable();
        Ok(entries)
    }

    /// Whether an excluded folder holds something that an exception takes
    /// back: then the builder makes the folder.
    fn holds(
        &self,
        folder: &Folder,
        path: &str,
        matched: &Matched,
        budget: &mut Budget,
    ) -> Result<bool, End> {
        let opened = self.opened()?;
        let mut open = vec![(folder.again()?, path.to_owned(), matched.clone())];
        let mut seen = 0;
        while let Some((folder, path, matched)) = open.pop() {
            let left = MAX_ENTRIES - seen;
            let Some(entries) = folder.entries(left)? else {
                let why = format!("{path} holds more than {MAX_ENTRIES} entries");
                return Err(End::Unknown(Unavailable::Failed(why)));
            };
            seen += entries.len();
            for (name, kind) in entries {
                let path = join(&path, &name.to_string_lossy());
                let below = opened.ignore.matched(&path, Some(&matched), budget)?;
                if !below.excluded {
                    return Ok(true);
                }
                // So many descriptors are never open at once.
                if kind == Kind::Folder && open.len() < 100 {
                    open.push((folder.enter(&name)?, path, below));
                } else if kind == Kind::Folder {
                    let why = format!("{path} is too much to look through");
                    return Err(End::Unknown(Unavailable::Failed(why)));
                }
            }
        }
        Ok(false)
    }
}

impl Files for BuildContext {
    fn read(&self, path: &str) -> Known<Vec<u8>> {
        let name = path.rsplit('/').next().unwrap_or(path);
        self.read_up_to(
            path,
            match LOCKFILES.binary_search(&name) {
                Ok(_) => MAX_LOCKFILE_BYTES,
                Err(_) => MAX_BYTES,
            },
        )
    }

    fn bytes(&self, path: &str, cap: u64) -> Known<Vec<u8>> {
        self.read_up_to(path, cap)
    }

    fn head(&self, path: &str, len: usize) -> Known<Vec<u8>> {
        self.regular(path, |folder, name| {
            let mut bytes = Vec::with_capacity(len);
            let file = opened_regular(folder, name)?.0;
            file.take(len as u64).read_to_end(&mut bytes)?;
            Ok(bytes)
        })
    }

    fn exists(&self, path: &str) -> Known<bool> {
        let mut budget = Budget::new();
        let exists = || {
            let place = self.find(path, &mut budget)?;
            match place.folder {
                Some(folder) if place.matched.excluded => {
                    self.holds(&folder, &place.path, &place.matched, &mut budget)
                }
                _ => Ok(true),
            }
        };
        match { exists }() {
            Ok(true) => Known::Yes(true),
            Ok(false) => Known::No,
            Err(end) => end.into(),
        }
    }

    fn list(&self, path: &str) -> Known<Vec<(String, bool)>> {
        let mut budget = Budget::new();
        let list = || {
            let place = self.find(path, &mut budget)?;
            let folder = place.folder.ok_or(End::No)?;
            let entries = self.entries(&folder, &place.path, &place.matched, &mut budget)?;
            match entries.is_empty() && place.matched.excluded {
                true => Err(End::No),
                false => Ok(entries),
            }
        };
        match { list }() {
            Ok(entries) => Known::Yes(entries),
            Err(end) => end.into(),
        }
    }
}

fn special<T>() -> Known<T> {
    Known::Unknown(Unavailable::Failed("not a regular file".to_owned()))
}

/// A regular file in a folder, and its size in bytes.
fn opened_regular(folder: &Folder, name: &OsStr) -> Result<(std::fs::File, u64), End> {
    let file = folder.file(name)?;
    let stat = stat_of(&file)?;
    if Kind::of_stat(&stat) != Kind::File {
        let why = "it was replaced while it was read".to_owned();
        return Err(End::Unknown(Unavailable::Failed(why)));
    }
    Ok((file, u64::try_from(stat.st_size).unwrap_or(0)))
}

/// The bytes of a regular file in a folder.
fn read(folder: &Folder, name: &OsStr, cap: u64) -> Result<Vec<u8>, End> {
    let (file, size) = opened_regular(folder, name)?;
    if size > cap {
        return Err(End::Unknown(Unavailable::TooLarge(size)));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1);
    file.take(cap + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > cap {
        true => Err(End::Unknown(Unavailable::TooLarge(bytes.len() as u64))),
        false => Ok(bytes),
    }
}

fn join(above: &str, name: &str) -> String {
    match above {
        "" => name.to_owned(),
        above => format!("{above}/{name}"),
    }
}

/// The names in a path, `.` and `..` resolved by their letters as the builder
/// does it. A path that leads above the root is denied.
fn clean(path: &str) -> Result<Vec<OsString>, End> {
    let mut parts: Vec<OsString> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop().ok_or(End::Unknown(Unavailable::Denied))?;
            }
            name => parts.push(name.into()),
        }
    }
    Ok(parts)
}

/// The parts of a symlink's target, `..` among them. An absolute target means
/// one thing here and another in the builder: it is not followed.
fn parts_of_link(target: &Path) -> Result<Vec<OsString>, End> {
    target
        .components()
        .filter_map(|part| match part {
            Component::CurDir => None,
            Component::ParentDir => Some(Ok("..".into())),
            Component::Normal(name) => Some(Ok(name.to_owned())),
            Component::RootDir | Component::Prefix(_) => {
                Some(Err(End::Unknown(Unavailable::Denied)))
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
