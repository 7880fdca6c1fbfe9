//! The commands, each a thin layer over the library.

pub mod catalog;
pub mod explain;
pub mod generate;
pub mod images;
pub mod inspect;
pub mod interactive;
pub mod lsp;
pub mod network;
mod patch_paths;
mod progress;
pub mod review;
pub mod rules;
pub mod settings;
pub mod stream;
pub mod undo;
pub mod verified;
pub mod verify;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use dfmigrate::catalog::Date;
use dfmigrate::discover::{self, Found};
use dfmigrate::model::trust::Policy;
use dfmigrate::report::visible;

use crate::args;

/// The day of the run: the clock's, or that of `SOURCE_DATE_EPOCH` (seconds since
/// 1970), by which reproducible builds set it.
pub fn today() -> anyhow::Result<Date> {
    let seconds = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text
            .parse()
            .with_context(|| format!("SOURCE_DATE_EPOCH is no number of seconds: {text:?}"))?,
        Err(_) => std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .context("the clock stands before 1970")?
            .as_secs(),
    };
    let days = i32::try_from(seconds / 86_400).ok();
    days.and_then(Date::from_days)
        .context("the clock stands after the year 9999")
}

/// The policy of the arguments.
pub fn policy(args: &args::Policy) -> Policy {
    Policy {
        also: Vec::new(),
        registries: args.allow_registry.clone(),
        classes: args.allow_class.clone(),
        images: args.allow_image.clone(),
    }
}

/// What `work` comes to, or why not: a panic in one file is that file's, and the
/// others go on.
pub fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).map_err(|panic| {
        let said = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("it does not say what happened");
        format!("a bug in dfmigrate ({said}); the file was left as it is. Please report it")
    })
}

/// A path without what means nothing in it or leads upwards.
pub fn plain(path: &str) -> String {
    let parts = path.split('/');
    let parts: Vec<&str> = parts
        .filter(|part| !["", ".", ".."].contains(part))
        .collect();
    parts.join("/")
}

/// The most bytes of a list of paths.
const MAX_LIST: u64 = 1 << 30;

/// The files that the arguments stand for.
pub fn found(paths: &[PathBuf], files_from: Option<&Path>, jobs: usize) -> anyhow::Result<Found> {
    let mut all: Vec<PathBuf> = paths.to_vec();
    if let Some(list) = files_from {
        let mut bytes = Vec::new();
        let read = if list == Path::new("-") {
            std::io::stdin()
                .lock()
                .take(MAX_LIST)
                .read_to_end(&mut bytes)
        } else {
            std::fs::File::open(list).and_then(|f| f.take(MAX_LIST).read_to_end(&mut bytes))
        };
        read.with_context(|| format!("can't read the list of paths {}", list.display()))?;
        all.extend(discover::parse_file_list(&bytes));
    } else if all.is_empty() {
        all.push(PathBuf::from("."));
    }
    let options = discover::Options {
        threads: jobs,
        ..discover::Options::default()
    };
    Ok(discover::find(&all, &options))
}

/// A Dockerfile from standard input.
pub fn stdin() -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::io::stdin()
        .lock()
        .take(discover::MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .context("can't read standard input")?;
    if let Err(error) = discover::check_size(&bytes) {
        anyhow::bail!("standard input {error}");
    }
    Ok(bytes)
}

/// The user's own templates, from a folder: `go.Dockerfile` is that of `go`.
pub fn templates(dir: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let entries = std::fs::read_dir(dir)
        .with_context(|| format!("{} can't be read", visible(&dir.display().to_string())))?;
    let mut found = BTreeMap::new();
    for entry in entries {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let Some(name) = name.strip_suffix(".Dockerfile") else {
            continue;
        };
        let shown = visible(&path.display().to_string()).into_owned();
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("{shown} can't be read"))?;
        if let Err(why) = dfmigrate::rules::check_template(name, &text) {
            anyhow::bail!("{shown}: {why}");
        }
        found.insert(name.to_owned(), text);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_that_of_one_file() {
        let work = |at: usize| guarded(|| [1, 2, 3][at]);
        assert_eq!(work(1), Ok(2));
        let why = work(3).unwrap_err();
        assert!(
            why.starts_with("a bug in dfmigrate (index out of bounds"),
            "{why}"
        );
        assert_eq!(work(2), Ok(3));
        let said = guarded(|| std::panic::panic_any(7)).unwrap_err();
        assert!(said.contains("does not say"), "{said}");
    }

    #[test]
    fn a_plain_path_leads_nowhere_else() {
        assert_eq!(plain("/../a/.//b/../c"), "a/b/c");
    }
}
