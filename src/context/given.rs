//! A build context that somebody hands over file by file.

use std::collections::BTreeMap;
use std::path::Path;

use super::ignorefile::{Budget, Ignore};
use crate::facts::{Files, Known, Unavailable};

/// Files of a build context that are at hand as text, with or without the
/// promise that there are no others. What the `.dockerignore` among them
/// excludes is not there.
#[derive(Clone, Debug, Default)]
pub struct GivenFiles {
    files: BTreeMap<String, String>,
    complete: bool,
}

/// A path as in a COPY, without what means nothing in it; `None` where it leads
/// upwards.
fn normal(path: &str) -> Option<String> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => return None,
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

impl GivenFiles {
    /// The files by their paths below the context's root, for a Dockerfile of
    /// that path. Where they are not `complete`, any other path may be there or
    /// not.
    ///
    /// # Errors
    /// Why these are no files of a build context, in words.
    pub fn new(
        files: impl IntoIterator<Item = (String, String)>,
        complete: bool,
        dockerfile: &str,
    ) -> Result<Self, String> {
        let mut given = Self {
            complete,
            ..Self::default()
        };
        let no_place = |path: &str| format!("{path:?} is no path of a file in a build context");
        for (path, text) in files {
            let file = normal(&path).filter(|file| !file.is_empty());
            let file = file.ok_or_else(|| no_place(&path))?;
            given.files.insert(file, text);
        }
        if let Some(both) = given.files.keys().find(|file| given.is_folder(file)) {
            return Err(no_place(both));
        }
        let name = Path::new(dockerfile).file_name().unwrap_or_default();
        let own = format!("{}.dockerignore", name.to_string_lossy());
        let rules = [own.as_str(), ".dockerignore"];
        let Some((rules, text)) = rules
            .into_iter()
            .find_map(|name| Some((name, given.files.get(name)?)))
        else {
            return Ok(given);
        };
        let ignore = Ignore::parse(text.as_bytes()).map_err(|error| format!("{rules}:{error}"))?;
        // One for all: their number is the sender's choice.
        let mut budget = Budget::new();
        for (file, text) in std::mem::take(&mut given.files) {
            let excluded = ignore.excludes_within(&file, &mut budget);
            if !excluded.map_err(|error| error.to_string())? {
                given.files.insert(file, text);
            }
        }
        Ok(given)
    }

    /// Whether some file lies below this path.
    fn is_folder(&self, path: &str) -> bool {
        let start = start(path);
        let mut from = self.files.range(start.clone()..);
        path.is_empty()
            || from
                .next()
                .is_some_and(|(file, _)| file.starts_with(&start))
    }

    /// The answer for what was not given.
    fn other<T>(&self) -> Known<T> {
        match self.complete {
            true => Known::No,
            false => Known::Unknown(Unavailable::Offline),
        }
    }

    /// The bytes of a file.
    fn at(&self, path: &str) -> Known<&[u8]> {
        let Some(path) = normal(path) else {
            return Known::Unknown(Unavailable::Denied);
        };
        match self.files.get(&path) {
            Some(text) => Known::Yes(text.as_bytes()),
            None if self.is_folder(&path) => Known::No,
            None => self.other(),
        }
    }
}

/// How the paths below a folder (`""` is the root) start.
fn start(folder: &str) -> String {
    match folder {
        "" => String::new(),
        folder => format!("{folder}/"),
    }
}

impl Files for GivenFiles {
    fn read(&self, path: &str) -> Known<Vec<u8>> {
        self.at(path).map(<[u8]>::to_vec)
    }

    fn bytes(&self, path: &str, cap: u64) -> Known<Vec<u8>> {
        match self.at(path) {
            Known::Yes(bytes) if bytes.len() as u64 > cap => {
                Known::Unknown(Unavailable::TooLarge(cap))
            }
            known => known.map(<[u8]>::to_vec),
        }
    }

    fn head(&self, path: &str, len: usize) -> Known<Vec<u8>> {
        self.at(path)
            .map(|bytes| bytes[..len.min(bytes.len())].to_vec())
    }

    fn exists(&self, path: &str) -> Known<bool> {
        let Some(path) = normal(path) else {
            return Known::Unknown(Unavailable::Denied);
        };
        match self.files.contains_key(&path) || self.is_folder(&path) {
            true => Known::Yes(true),
            false => self.other(),
        }
    }

    fn list(&self, path: &str) -> Known<Vec<(String, bool)>> {
        let Some(folder) = normal(path) else {
            return Known::Unknown(Unavailable::Denied);
        };
        if !self.complete || !self.is_folder(&folder) {
            return self.other();
        }
        let start = start(&folder);
        let mut entries = Vec::new();
        let mut from = start.clone();
        while let Some((file, _)) = self.files.range(from..).next()
            && let Some(rest) = file.strip_prefix(&start)
        {
            let name = rest.split('/').next().unwrap_or(rest);
            let is_folder = name.len() < rest.len();
            entries.push((name.to_owned(), is_folder));
            // Behind it, or behind all that lies below it.
            from = format!("{start}{name}{}", if is_folder { "0" } else { "\0" });
        }
        entries.sort();
        Known::Yes(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &[(&str, &str)], complete: bool) -> Result<GivenFiles, String> {
        let files = files
            .iter()
            .map(|(p, t)| ((*p).to_owned(), (*t).to_owned()));
        GivenFiles::new(files, complete, "deploy/Dockerfile.web")
    }

    #[test]
    fn what_is_given_is_there_and_what_is_not_only_where_all_is_given() {
        let files = [("./a/b.js", "x"), ("/package.json", "{}")];
        let given = |complete| of(&files, complete).unwrap();
        for complete in [false, true] {
            let files = given(complete);
            assert_eq!(files.read("/package.json"), Known::Yes(b"{}".to_vec()));
            assert_eq!(files.head("package.json", 1), Known::Yes(b"{".to_vec()));
            assert_eq!(files.bytes("package.json", 2), Known::Yes(b"{}".to_vec()));
            assert_eq!(
                files.bytes("package.json", 1),
                Known::Unknown(Unavailable::TooLarge(1))
            );
            assert_eq!(files.read("a//./b.js"), Known::Yes(b"x".to_vec()));
            assert_eq!(files.exists("a"), Known::Yes(true));
            assert_eq!(files.read("a"), Known::No);
            assert_eq!(files.read("../x"), Known::Unknown(Unavailable::Denied));
        }
        let some = given(false);
        assert_eq!(
            some.exists("yarn.lock"),
            Known::Unknown(Unavailable::Offline)
        );
        assert_eq!(some.list(""), Known::Unknown(Unavailable::Offline));
        assert_eq!(given(true).exists("yarn.lock"), Known::No);
        assert_eq!(given(true).read("yarn.lock"), Known::No);
        let root = vec![("a".to_owned(), true), ("package.json".to_owned(), false)];
        assert_eq!(given(true).list(""), Known::Yes(root));
        assert_eq!(
            given(true).list("/a/"),
            Known::Yes(vec![("b.js".to_owned(), false)])
        );
        assert_eq!(given(true).list("b"), Known::No);
        let close = [
            ("a", ""),
            ("a-b/x", ""),
            ("a.b", ""),
            ("a0", ""),
            ("ab/c/d", ""),
            ("ab/e", ""),
        ];
        let names =
            ["a", "a-b", "a.b", "a0", "ab"].map(|n| (n.to_owned(), n.contains(['-']) || n == "ab"));
        assert_eq!(
            of(&close, true).unwrap().list(""),
            Known::Yes(names.to_vec())
        );
    }

    #[test]
    fn what_the_ignore_rules_leave_out_is_not_there() {
        let files = [
            ("a/b.js", ""),
            ("a/c.js", ""),
            ("m/x/y.js", ""),
            (".dockerignore", "m\na/b.*\n"),
        ];
        let given = of(&files, true).unwrap();
        assert_eq!(given.exists("m/x"), Known::No);
        assert_eq!(given.exists("m"), Known::No);
        assert_eq!(given.exists("a/b.js"), Known::No);
        assert_eq!(given.exists("a/c.js"), Known::Yes(true));
        // The Dockerfile's own rules come before those of the context.
        let own = [
            files[0],
            files[2],
            files[3],
            ("Dockerfile.web.dockerignore", "a"),
        ];
        let given = of(&own, true).unwrap();
        assert_eq!(given.exists("m/x/y.js"), Known::Yes(true));
        assert_eq!(given.exists("a"), Known::No);
        let why = of(&[(".dockerignore", "[")], true).unwrap_err();
        assert!(why.starts_with(".dockerignore:1: "), "{why}");
    }

    #[test]
    fn a_path_that_is_no_file_of_a_context_is_refused() {
        for paths in [&["../x"][..], &[""], &["a", "a/b"]] {
            let files: Vec<_> = paths.iter().map(|path| (*path, "")).collect();
            assert!(of(&files, true).is_err(), "{paths:?}");
        }
    }
}
