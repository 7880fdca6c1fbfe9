//! Which build context a Dockerfile has. That is its own folder unless a compose
//! file, a bake file or a dev container in that folder or above it, up to the top
//! of the repository, says otherwise; or the user does.
//!
//! Nothing outside of the repository (outside of one: of the given tree) is
//! read, and no symlink is followed on the way: paths are compared by letters.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use super::builds::{Build, Form};
use super::{BuildContext, MAX_ENTRIES};
use crate::beneath::{Folder, Kind, stat_of};
use crate::discover::{Source, real_file, repository};

/// The largest file that is read for its builds: 1 MiB.
const MAX_BYTES: u64 = 1 << 20;

/// No more folders than this are remembered at a time.
const MOST: usize = 1_024;

/// Parsers of nested texts get so much stack, whatever the thread that asks has.
const STACK: usize = 32 << 20;

/// What the files of a folder define, once it was asked for.
type Cell = Arc<OnceLock<Vec<Defined>>>;

/// The contexts of the Dockerfiles of a run. What a folder says is read once,
/// when the first question about a context is asked.
#[derive(Clone, Debug, Default)]
pub struct Contexts {
    /// The user's word for all of them.
    given: Option<PathBuf>,
    folders: Arc<Mutex<HashMap<PathBuf, Cell>>>,
}

/// A build that a file in a folder defines.
#[derive(Debug)]
struct Defined {
    /// The file and the name in it.
    place: String,
    context: PathBuf,
    dockerfile: PathBuf,
}

/// The context of a Dockerfile, to be looked for when it is asked for.
#[derive(Debug)]
pub(super) struct Search {
    contexts: Contexts,
    /// The real place of the tree that the user gave.
    tree: Arc<Path>,
}

impl Contexts {
    /// All in that folder where the user gives one, else as the trees say.
    #[must_use]
    pub fn new(given: Option<PathBuf>) -> Self {
        Self {
            given,
            ..Self::default()
        }
    }

    /// The context of a Dockerfile.
    #[must_use]
    pub fn of(&self, source: &Source) -> BuildContext {
        match &self.given {
            Some(folder) => BuildContext::new(folder, Some(&source.path)),
            None => BuildContext::searched(
                &source.path,
                Search {
                    contexts: self.clone(),
                    tree: Arc::clone(&source.root),
                },
            ),
        }
    }

    /// That of a Dockerfile that is said to be at a path.
    #[must_use]
    pub fn at(&self, path: &Path) -> BuildContext {
        let folder = path.parent().filter(|dir| !dir.as_os_str().is_empty());
        let real = folder.unwrap_or(Path::new(".")).canonicalize();
        match (&self.given, real) {
            (Some(folder), _) => BuildContext::new(folder, Some(path)),
            (None, Err(_)) => BuildContext::beside(path),
            (None, Ok(real)) => BuildContext::searched(
                path,
                Search {
                    contexts: self.clone(),
                    tree: real.into(),
                },
            ),
        }
    }

    /// What the files of a folder define.
    fn defined(&self, folder: &Path) -> Cell {
        let mut folders = self
            .folders
            .lock()
            .unwrap_or_else(|stale| stale.into_inner());
        // Files come by folder: those above the next one are soon known again.
        if folders.len() >= MOST {
            folders.clear();
        }
        let cell = Arc::clone(folders.entry(folder.to_owned()).or_default());
        drop(folders);
        cell.get_or_init(|| defined(folder));
        cell
    }
}

impl Search {
    /// The folder that files name for a Dockerfile; none where no file names
    /// one, or it is the Dockerfile's own.
    ///
    /// # Errors
    /// Where they name different ones, or one outside: in words.
    pub(super) fn find(&self, dockerfile: &Path) -> Result<Option<PathBuf>, String> {
        let Ok(real) = real_file(dockerfile) else {
            return Ok(None);
        };
        let own = real.parent().unwrap_or(&self.tree);
        // Nothing is read above the repository, or outside of one above the tree
        // that the user gave.
        let repository = repository(own);
        let top = match &repository {
            Some(top) => &**top,
            None if own.starts_with(&self.tree) => &*self.tree,
            None => own,
        };
        let mut found: Option<(PathBuf, String)> = None;
        for folder in own.ancestors().take_while(|folder| folder.starts_with(top)) {
            let cell = self.contexts.defined(folder);
            for one in cell.get().into_iter().flatten() {
                if one.dockerfile != real {
                    continue;
                }
                match &found {
                    Some((context, _)) if *context == one.context => {}
                    Some((_, place)) => {
                        return Err(format!(
                            "{place} and {} name different build contexts for it; --context names one",
                            one.place
                        ));
                    }
                    None => found = Some((one.context.clone(), one.place.clone())),
                }
            }
        }
        match found {
            Some((context, place)) if !context.starts_with(top) => Err(format!(
                "{place} names a build context outside of {}",
                if repository.is_some() {
                    "the repository"
                } else {
                    "the given folder"
                }
            )),
            Some((context, _)) if context != own => Ok(Some(context)),
            _ => Ok(None),
        }
    }
}

/// What the files of a folder and those of its dev containers define. What
/// can't be read says nothing.
fn defined(path: &Path) -> Vec<Defined> {
    let Ok(folder) = Folder::open_canonical(path) else {
        return Vec::new();
    };
    let mut texts = Vec::new();
    let mut folders = Vec::new();
    let development = OsStr::new(".devcontainer");
    for (name, kind) in listed(&folder) {
        match kind {
            Kind::Folder if name == development => {
                folders.extend(
                    folder
                        .enter(&name)
                        .ok()
                        .map(|folder| (path.join(&name), folder)),
                );
            }
            Kind::File => texts.extend(text_of(&folder, path, &name)),
            _ => {}
        }
    }
    if let Some((path, folder)) = folders.pop() {
        for (name, kind) in listed(&folder) {
            match kind {
                Kind::File => texts.extend(text_of(&folder, &path, &name)),
                Kind::Folder => {
                    let file = OsStr::new("devcontainer.json");
                    let below = folder.enter(&name).ok();
                    texts.extend(below.and_then(|below| text_of(&below, &path.join(&name), file)));
                }
                _ => {}
            }
        }
    }
    if texts.is_empty() {
        return Vec::new();
    }
    let parse = || {
        texts
            .iter()
            .flat_map(|(form, at, text)| placed(*form, at, text))
    };
    let parse = || parse().collect();
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK);
        let parsed = thread.spawn_scoped(scope, parse);
        parsed
            .ok()
            .and_then(|parsed| parsed.join().ok())
            .unwrap_or_default()
    })
}

fn listed(folder: &Folder) -> Vec<(std::ffi::OsString, Kind)> {
    let mut entries = folder
        .entries(MAX_ENTRIES)
        .ok()
        .flatten()
        .unwrap_or_default();
    entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    entries
}

/// A file of builds: its form, path and text.
fn text_of(folder: &Folder, path: &Path, name: &OsStr) -> Option<(Form, PathBuf, String)> {
    let form = Form::of(name.to_str()?)?;
    let read = || -> io::Result<String> {
        let file = folder.file(name)?;
        if Kind::of_stat(&stat_of(&file)?) != Kind::File {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut text = String::new();
        file.take(MAX_BYTES + 1).read_to_string(&mut text)?;
        match text.len() as u64 > MAX_BYTES {
            true => Err(io::ErrorKind::FileTooLarge.into()),
            false => Ok(text),
        }
    };
    Some((form, path.join(name), read().ok()?))
}

fn placed(form: Form, at: &Path, text: &str) -> Vec<Defined> {
    let folder = at.parent().unwrap_or(at);
    let name = at.file_name().unwrap_or_default().to_string_lossy();
    let defined = |build: Build| {
        let context = clean(&folder.join(&build.context));
        let above = if build.beside { folder } else { &context };
        Defined {
            place: format!("{name} ({})", build.name),
            dockerfile: clean(&above.join(&build.dockerfile)),
            context,
        }
    };
    form.builds(text).into_iter().map(defined).collect()
}

/// An absolute path without `.` and `..`, resolved by letters.
fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                clean.pop();
            }
            Component::CurDir => {}
            part => clean.push(part),
        }
    }
    clean
}
