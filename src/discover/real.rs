//! Where folders really are, and which repository they are in, without asking
//! the system for each part of each path again: a tree has many files in few
//! folders.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::LocalKey;

/// No more folders than this are remembered at a time: files come in the order
/// of their paths, so that those above the next one are among the last.
const MOST: usize = 1_024;

type Known<T> = RefCell<HashMap<PathBuf, T>>;

thread_local! {
    static PLACES: Known<Arc<Path>> = RefCell::default();
    static REPOSITORIES: Known<Option<Arc<Path>>> = RefCell::default();
}

/// What is known of a folder, or is found out.
fn remembered<T: Clone>(
    known: &'static LocalKey<Known<T>>,
    folder: &Path,
    find: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    if let Some(found) = known.with_borrow(|known| known.get(folder).cloned()) {
        return Ok(found);
    }
    let found = find()?;
    known.with_borrow_mut(|known| {
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(folder.to_owned(), found.clone());
    });
    Ok(found)
}

/// The real place of a folder, absolute and without symlinks, as it was when it
/// was first asked for: good for names and settings, not for writing.
///
/// # Errors
/// As [`fs::canonicalize`].
pub fn real_folder(folder: &Path) -> io::Result<Arc<Path>> {
    let folder = match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    };
    let find = || match (folder.parent(), folder.file_name()) {
        // A plain name in a folder: its real place is below the folder's. A
        // slash at the end would have the system follow it.
        (Some(parent), Some(name)) if !fs::symlink_metadata(parent.join(name))?.is_symlink() => {
            Ok(real_folder(parent)?.join(name).into())
        }
        _ => Ok(fs::canonicalize(folder)?.into()),
    };
    remembered(&PLACES, folder, find)
}

/// The real place of a file, likewise.
///
/// # Errors
/// As [`fs::canonicalize`].
pub fn real_file(path: &Path) -> io::Result<PathBuf> {
    match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) if !fs::symlink_metadata(path)?.is_symlink() => {
            Ok(real_folder(folder)?.join(name))
        }
        _ => fs::canonicalize(path),
    }
}

/// The work tree of git that a folder is in, by its real place: itself, or the
/// nearest above; as it was when it was first asked for.
#[must_use]
pub fn repository(folder: &Path) -> Option<Arc<Path>> {
    let find = || {
        Ok(match folder.join(".git").exists() {
            true => Some(Arc::from(folder)),
            false => folder.parent().and_then(repository),
        })
    };
    remembered(&REPOSITORIES, folder, find).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_what_the_system_says() {
        let tree = tempfile::tempdir().unwrap();
        let at = |path: &str| tree.path().join(path);
        fs::create_dir_all(at("a/b/c")).unwrap();
        std::os::unix::fs::symlink(at("a/b"), at("a/link")).unwrap();
        std::os::unix::fs::symlink("..", at("a/b/up")).unwrap();
        for path in [
            "",
            "a",
            "a/b/c",
            "a/link",
            "a/link/c",
            "a/b/up/b",
            "a/../a/b",
            "a/./b",
            "a/link/..",
            "a/link/",
            "a/b/",
        ] {
            for _ in 0..2 {
                let real = real_folder(&at(path)).unwrap();
                assert_eq!(&*real, fs::canonicalize(at(path)).unwrap(), "{path}");
            }
        }
        assert!(real_folder(&at("none/x")).is_err());
        fs::write(at("a/file"), "").unwrap();
        std::os::unix::fs::symlink("../file", at("a/b/alias")).unwrap();
        for path in ["a/file", "a/link/../file", "a/b/alias", "a/link/alias"] {
            let real = real_file(&at(path)).unwrap();
            assert_eq!(real, fs::canonicalize(at(path)).unwrap(), "{path}");
        }
        assert!(real_file(&at("a/none")).is_err());
        let here = fs::canonicalize(".").unwrap();
        assert_eq!(&*real_folder(Path::new("")).unwrap(), here);
        assert_eq!(&*real_folder(Path::new("src")).unwrap(), here.join("src"));
    }

    #[test]
    fn the_nearest_repository_counts() {
        let tree = tempfile::tempdir().unwrap();
        let real = real_folder(tree.path()).unwrap();
        fs::create_dir_all(real.join("outer/.git")).unwrap();
        fs::create_dir_all(real.join("outer/a/inner/.git")).unwrap();
        fs::create_dir_all(real.join("outer/a/inner/b")).unwrap();
        for (folder, found) in [
            ("outer", "outer"),
            ("outer/a", "outer"),
            ("outer/a/inner/b", "outer/a/inner"),
        ] {
            for _ in 0..2 {
                let repository = repository(&real.join(folder)).unwrap();
                assert_eq!(&*repository, real.join(found), "{folder}");
            }
        }
    }
}
