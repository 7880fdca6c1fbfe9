//! Where folders really are, without asking the system for each part of each
//! path again: a tree has many files in few folders.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// No more folders than this are remembered at a time: files come in the order
/// of their paths, so that those above the next one are among the last.
const MOST: usize = 1_024;

thread_local! {
    static KNOWN: RefCell<HashMap<PathBuf, Arc<Path>>> = RefCell::default();
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
    if let Some(known) = KNOWN.with_borrow(|known| known.get(folder).cloned()) {
        return Ok(known);
    }
    let real: Arc<Path> = match (folder.parent(), folder.file_name()) {
        // A plain name in a folder: its real place is below the folder's. A
        // slash at the end would have the system follow it.
        (Some(parent), Some(name)) if !fs::symlink_metadata(parent.join(name))?.is_symlink() => {
            real_folder(parent)?.join(name).into()
        }
        _ => fs::canonicalize(folder)?.into(),
    };
    KNOWN.with_borrow_mut(|known| {
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(folder.to_owned(), Arc::clone(&real));
    });
    Ok(real)
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
        let here = fs::canonicalize(".").unwrap();
        assert_eq!(&*real_folder(Path::new("")).unwrap(), here);
        assert_eq!(&*real_folder(Path::new("src")).unwrap(), here.join("src"));
    }
}
