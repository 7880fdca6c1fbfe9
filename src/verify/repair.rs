//! From what a built image lacks to what puts it there.

use std::collections::BTreeSet;

use super::closure::{Lack, Side};
use super::layer::Kind;
use super::root::{Owners, Root};
use crate::rules::{Mend, Missing};

/// Words by which programs say that something is not there, in lower case.
const COMPLAINTS: [&str; 12] = [
    "not found",
    "no such file",
    "enoent",
    "cannot open shared object",
    "can't open",
    "cannot open",
    "could not find",
    "cannot find",
    "can't find",
    "filenotfounderror",
    "is not installed",
    "does not exist",
];

/// Commands that are words of every error message as well.
const COMMON: [&str; 14] = [
    "as", "at", "file", "find", "id", "in", "install", "link", "more", "not", "open", "test",
    "time", "which",
];

/// What a log says is lacking: of the words of lines that complain, those that
/// name a file, a program or a library which was there before and is not now.
#[must_use]
pub fn lacks_in_log(log: &[String], before: Side<'_>, after: Side<'_>) -> Vec<Lack> {
    let mut found = BTreeSet::new();
    for line in log {
        let lower = line.to_lowercase();
        if !COMPLAINTS.iter().any(|words| lower.contains(words)) {
            continue;
        }
        let split =
            |c: char| !(c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | '@'));
        for word in line.split(split) {
            let word = word.trim_end_matches(['.', ':', ',']);
            if COMMON.contains(&word) && !named(line, word) {
                continue;
            }
            if let Some(lack) = lack_of(word, before, after) {
                found.insert(lack);
            }
        }
    }
    found.into_iter().collect()
}

/// Whether a complaint is about that word, and does not only hold it.
fn named(line: &str, word: &str) -> bool {
    let about = [
        format!("spawn {word} "),
        format!("spawnSync {word} "),
        format!("{word}: not found"),
        format!("{word}: command not found"),
        format!("'{word}'"),
        format!("\"{word}\""),
    ];
    about.iter().any(|form| line.contains(form.as_str()))
}

/// The lines of a log that tell why, in their order: those that complain
/// first, and the last ones.
#[must_use]
pub fn decisive(log: &[String]) -> Vec<String> {
    const COMPLAINING: usize = 8;
    const LAST: usize = 4;
    let complains = |line: &str| {
        let line = line.to_lowercase();
        line.contains("error") || COMPLAINTS.iter().any(|words| line.contains(words))
    };
    let last = log.len().saturating_sub(LAST);
    let mut left = COMPLAINING;
    let kept = log.iter().enumerate().filter(|(at, line)| {
        let tells = left > 0 && complains(line);
        left -= usize::from(tells);
        (tells || *at >= last) && !line.trim().is_empty()
    });
    kept.map(|(_, line)| line.clone()).collect()
}

fn lack_of(word: &str, before: Side<'_>, after: Side<'_>) -> Option<Lack> {
    if word.len() < 2 {
        return None;
    }
    if word.starts_with('/') {
        let was = before.root.real(word)?;
        let plain = was.split('/').count() > 1 && !after.root.exists(word);
        return plain.then_some(Lack::File(was));
    }
    if word.contains(".so") && word.starts_with("lib") && !word.contains('/') {
        let tail = format!("/{word}");
        let place = |root: &Root<'_>| {
            let found = root.iter().find(|(path, _)| path.ends_with(&tail));
            found.and_then(|(path, _)| root.real(path))
        };
        let was = place(before.root)?;
        return Some(match place(after.root) {
            Some(there) => Lack::LoaderCache(there),
            None => Lack::Library(was),
        });
    }
    if word.contains('/') {
        return None;
    }
    let was = before.command(word)?;
    after.command(word).is_none().then_some(Lack::Program(was))
}

/// What puts it there: the package that brought it before, or a copy of it.
/// `None` where nothing would.
#[must_use]
pub fn mend(lack: &Lack, owners: &Owners<'_>, before: Side<'_>) -> Option<Mend> {
    let (was, what) = match lack {
        Lack::Library(was) => (was, "the library"),
        Lack::Program(was) => (was, "the program"),
        Lack::File(was) => (was, "the file"),
        Lack::LoaderCache(place) => {
            return Some(Mend {
                what: Missing::LoaderCache,
                why: format!("the built image has /{place}, and its loader's cache does not"),
            });
        }
    };
    let why = format!("the built image lacked {what} /{was}");
    if let Some(package) = owners.of(was) {
        return Some(Mend {
            what: Missing::Package(package.to_owned()),
            why,
        });
    }
    // Of a library the name that programs ask for is a link beside it.
    let place = match lack {
        Lack::Library(was) => linked(was, before.root).unwrap_or_else(|| was.clone()),
        _ => was.clone(),
    };
    let system = ["proc", "sys", "dev", "run", "tmp"];
    let top = place.split('/').next().unwrap_or_default();
    (!system.contains(&top) && place.contains('/')).then(|| Mend {
        what: Missing::Path(format!("/{place}")),
        why,
    })
}

/// A link that leads to a library, by the name that programs ask for.
fn linked(was: &str, root: &Root<'_>) -> Option<String> {
    let (folder, name) = was.rsplit_once('/')?;
    let stem = name.split(".so").next()?;
    let mut links: Vec<&str> = root
        .below(folder)
        .filter(|(_, node)| matches!(node.kind, Kind::Link(_)))
        .map(|(path, _)| path)
        .filter(|path| {
            let own = path
                .strip_prefix(folder)
                .unwrap_or(path)
                .trim_start_matches('/');
            own.starts_with(stem) && own.contains(".so.") && root.real(path).as_deref() == Some(was)
        })
        .collect();
    links.sort_by_key(|path| path.len());
    links.first().map(|path| (*path).to_owned())
}

/// Folders of the base system that are never copied whole.
const SYSTEM: [&str; 13] = [
    "bin", "boot", "dev", "etc", "lib", "lib64", "media", "mnt", "proc", "run", "sbin", "sys",
    "tmp",
];

/// The trees that the file's own layers wrote: everything that a final stage
/// can be given by copies. `base` is how many layers are the base image's.
#[must_use]
pub fn written(before: &Root<'_>, base: usize) -> Vec<Mend> {
    let mut trees = BTreeSet::new();
    for (path, node) in before.iter() {
        if node.layer < base || matches!(node.kind, Kind::Folder) {
            continue;
        }
        let mut parts = path.split('/');
        let top = parts.next().unwrap_or_default();
        let second = parts.next();
        let tree = match (top, second) {
            (top, _) if SYSTEM.contains(&top) => continue,
            ("usr", Some("local")) => "/usr/local".to_owned(),
            ("usr", Some("src")) => "/usr/src".to_owned(),
            ("var", Some("www")) => "/var/www".to_owned(),
            ("usr" | "var", _) => continue,
            ("root", Some(".cache" | ".npm")) => continue,
            (_, None) => continue,
            (top, Some(_)) => format!("/{top}"),
        };
        trees.insert(tree);
    }
    trees
        .into_iter()
        .map(|tree| Mend {
            why: "all that the build writes there is taken, since a part was not enough".to_owned(),
            what: Missing::Path(tree),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::archive::Image;
    use super::super::config::Config;
    use super::super::layer::{Contents, Entry, Layer};
    use super::*;

    fn file(path: &str) -> Entry {
        Entry {
            path: path.into(),
            kind: Kind::File {
                size: 1,
                what: Contents::Plain,
            },
            mode: 0o755,
        }
    }

    fn image(layers: Vec<Vec<Entry>>) -> Image {
        let layers = layers.into_iter().map(|entries| {
            Arc::new(Layer {
                entries,
                ..Layer::default()
            })
        });
        Image {
            config: Config::default(),
            layers: layers.collect(),
        }
    }

    #[test]
    fn a_log_leads_to_packages_and_copies() {
        let mut list = file("var/lib/dpkg/info/libgdbm6:amd64.list");
        list.kind = Kind::File {
            size: 1,
            what: Contents::Text("/lib/x86_64-linux-gnu/libgdbm.so.6\n".into()),
        };
        let before = image(vec![vec![
            file("usr/lib/x86_64-linux-gnu/libgdbm.so.6"),
            file("usr/local/bin/tool"),
            file("opt/data/words"),
            file("usr/bin/file"),
            list,
        ]]);
        let after = image(vec![vec![]]);
        let (old, new) = (Root::of(&before), Root::of(&after));
        let old = Side {
            root: &old,
            config: &before.config,
        };
        let new = Side {
            root: &new,
            config: &after.config,
        };
        let log = [
            "ImportError: libgdbm.so.6: cannot open shared object file: No such file or directory",
            "sh: 1: tool: not found",
            "Error: spawn file ENOENT",
            "no such file as this",
            "FileNotFoundError: [Errno 2] No such file or directory: '/opt/data/words'",
            "all is well with /usr/local/bin/tool",
        ]
        .map(str::to_owned);
        let owners = old.root.owners();
        let lacks = lacks_in_log(&log, old, new);
        let mends: Vec<Missing> = lacks
            .iter()
            .filter_map(|lack| mend(lack, &owners, old))
            .map(|mend| mend.what)
            .collect();
        assert_eq!(
            mends,
            [
                Missing::Package("libgdbm6".into()),
                Missing::Path("/usr/bin/file".into()),
                Missing::Path("/usr/local/bin/tool".into()),
                Missing::Path("/opt/data/words".into()),
            ]
        );
    }

    #[test]
    fn what_the_file_wrote_is_told_from_the_base() {
        let before = image(vec![
            vec![file("usr/local/bin/node"), file("etc/passwd")],
            vec![
                file("app/x"),
                file("usr/local/lib/y"),
                file("usr/lib/z"),
                file("root/.cache/c"),
                file("root/.local/bin/t"),
            ],
        ]);
        let trees: Vec<Missing> = written(&Root::of(&before), 1)
            .into_iter()
            .map(|mend| mend.what)
            .collect();
        assert_eq!(
            trees,
            [
                Missing::Path("/app".into()),
                Missing::Path("/root".into()),
                Missing::Path("/usr/local".into())
            ]
        );
    }
}
