//! Writes that never hurt: through the library, on real files, real
//! repositories and, where this user may make one, a full disk.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dfmigrate::apply::{
    self, Change, Committed, Disks, Journal, Options, Prepared, Sync, WriteError, Written,
    committed, sweep, write_all,
};
use dfmigrate::discover::{self, Source};

const OLD: &[u8] = b"FROM node:20\n";
const NEW: &[u8] = b"FROM node:20-bookworm\n";

struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn put(&self, path: &str, bytes: &[u8]) -> PathBuf {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// The one source that a path in the tree stands for.
    fn source(&self, path: &str) -> Source {
        let options = discover::Options {
            base: self.0.path().to_owned(),
            ..Default::default()
        };
        let mut found = discover::find(&[path], &options);
        assert_eq!(found.sources.len(), 1, "{found:?}");
        found.sources.remove(0)
    }

    /// All names below, to see that nothing is left behind.
    fn names(&self) -> Vec<String> {
        names(self.0.path())
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn write(source: &Source) -> Result<Written, WriteError> {
    apply::write(source, OLD, NEW, &Options::default())
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn writes_and_keeps_mode_and_attributes() {
    let tree = Tree::new();
    let path = tree.put("Dockerfile", OLD);
    for mode in [0o644, 0o600, 0o755, 0o664] {
        fs::write(&path, OLD).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let flags = rustix::fs::XattrFlags::empty();
        let attributes = rustix::fs::setxattr(&path, "user.note", b"kept", flags).is_ok();
        let before = fs::metadata(&path).unwrap();
        let written = write(&tree.source("Dockerfile")).unwrap();
        assert_eq!(written.path, path.canonicalize().unwrap());
        assert_eq!(written.bytes, NEW.len());
        assert_eq!(fs::read(&path).unwrap(), NEW);
        let after = fs::metadata(&path).unwrap();
        assert_eq!(
            (after.mode(), after.uid(), after.gid()),
            (before.mode(), before.uid(), before.gid())
        );
        assert_ne!(after.ino(), before.ino());
        if attributes {
            let mut value = [0; 9];
            assert_eq!(
                rustix::fs::getxattr(&path, "user.note", &mut value[..]),
                Ok(4)
            );
        } else {
            eprintln!("SKIPPED: no user attributes on this file system");
        }
        assert_eq!(tree.names(), ["Dockerfile"]);
    }
}

#[test]
fn keeps_the_owner() {
    if !is_root() {
        eprintln!("SKIPPED: only root can give a file away");
        return;
    }
    let tree = Tree::new();
    let path = tree.put("Dockerfile", OLD);
    std::os::unix::fs::chown(&path, Some(12345), Some(23456)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    write(&tree.source("Dockerfile")).unwrap();
    let after = fs::metadata(&path).unwrap();
    assert_eq!((after.uid(), after.gid()), (12345, 23456));
    assert_eq!(after.mode() & 0o7777, 0o640);
}

#[test]
fn a_symlink_within_the_tree_stays_and_one_out_of_it_is_refused() {
    let outside = Tree::new();
    let secret = outside.put("Dockerfile", OLD);
    let tree = Tree::new();
    let real = tree.put("base/real", OLD);
    symlink("base/real", tree.at("Dockerfile")).unwrap();
    write(&tree.source(".")).unwrap();
    assert_eq!(fs::read(&real).unwrap(), NEW);
    assert_eq!(
        fs::read_link(tree.at("Dockerfile")).unwrap(),
        Path::new("base/real")
    );
    assert_eq!(names(&tree.at("base")), ["real"]);

    // Named outright, the file is read, and still not written.
    fs::create_dir(tree.at("svc")).unwrap();
    symlink(&secret, tree.at("svc/Dockerfile")).unwrap();
    symlink(outside.0.path(), tree.at("linked")).unwrap();
    symlink(tree.at("base/real"), tree.at("svc/sibling")).unwrap();
    fs::write(&real, OLD).unwrap();
    for path in ["svc/Dockerfile", "linked/Dockerfile", "svc/sibling"] {
        let source = tree.source(path);
        assert_eq!(discover::read(&source, 99).unwrap(), OLD);
        let error = write(&source).unwrap_err();
        assert!(
            matches!(error, WriteError::Leaves { .. }),
            "{path}: {error}"
        );
        assert!(error.to_string().contains("name it by its real path"));
    }
    assert_eq!(fs::read(&secret).unwrap(), OLD);
    assert_eq!(fs::read(&real).unwrap(), OLD);
    assert_eq!(outside.names(), ["Dockerfile"]);
}

#[test]
fn hard_links_are_refused_unless_allowed() {
    let tree = Tree::new();
    let path = tree.put("Dockerfile", OLD);
    fs::hard_link(&path, tree.at("other")).unwrap();
    let source = tree.source("Dockerfile");
    let error = write(&source).unwrap_err();
    assert!(matches!(error, WriteError::HardLinks(2)), "{error}");
    assert_eq!(fs::read(&path).unwrap(), OLD);
    let allowed = Options {
        hard_links: true,
        ..Options::default()
    };
    apply::write(&source, OLD, NEW, &allowed).unwrap();
    assert_eq!(fs::read(&path).unwrap(), NEW);
    assert_eq!(fs::read(tree.at("other")).unwrap(), OLD);
}

#[test]
fn a_read_only_file_is_refused_unless_allowed() {
    let tree = Tree::new();
    let path = tree.put("Dockerfile", OLD);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
    let source = tree.source("Dockerfile");
    let error = write(&source).unwrap_err();
    assert!(matches!(error, WriteError::ReadOnly), "{error}");
    assert_eq!(fs::read(&path).unwrap(), OLD);
    let allowed = Options {
        read_only: true,
        ..Options::default()
    };
    apply::write(&source, OLD, NEW, &allowed).unwrap();
    assert_eq!(fs::read(&path).unwrap(), NEW);
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o444);
}

#[test]
fn a_file_that_changed_since_the_review_is_left_alone() {
    let tree = Tree::new();
    let path = tree.put("Dockerfile", b"FROM mine\n");
    let source = tree.source("Dockerfile");
    assert!(matches!(write(&source), Err(WriteError::Changed)));
    assert_eq!(fs::read(&path).unwrap(), b"FROM mine\n");

    type Change = fn(&Path);
    let changes: [(&str, Change); 6] = [
        // in place, to a text of equal length
        ("in place", |path| {
            fs::write(path, b"FROM node:21\n").unwrap()
        }),
        ("longer", |path| {
            use io::Write;
            let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
            file.write_all(b"RUN x\n").unwrap();
        }),
        // another file of equal content: somebody else's rename
        ("replaced", |path| {
            fs::write(path.with_extension("new"), OLD).unwrap();
            fs::rename(path.with_extension("new"), path).unwrap();
        }),
        ("gone", |path| fs::remove_file(path).unwrap()),
        ("linked", |path| {
            fs::remove_file(path).unwrap();
            symlink("/etc/passwd", path).unwrap();
        }),
        ("mode", |path| {
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        }),
    ];
    for (what, change) in changes {
        let _ = fs::remove_file(&path);
        fs::write(&path, OLD).unwrap();
        let source = tree.source("Dockerfile");
        let prepared = Prepared::new(&source, OLD, NEW, &Options::default()).unwrap();
        change(&path);
        let now = fs::read(&path).ok();
        let error = prepared.commit(OLD).unwrap_err();
        let expected = match what {
            "gone" => matches!(error, WriteError::Missing),
            "linked" => matches!(error, WriteError::NotAFile),
            _ => matches!(error, WriteError::Changed),
        };
        assert!(expected, "{what}: {error:?}");
        assert_eq!(fs::read(&path).ok(), now, "{what}");
        let left = tree.names();
        assert!(
            left.iter().all(|name| name == "Dockerfile"),
            "{what}: {left:?}"
        );
    }
}

#[test]
fn a_folder_that_was_swapped_is_noticed() {
    let outside = Tree::new();
    let victim = outside.put("Dockerfile", OLD);
    let tree = Tree::new();
    tree.put("d/Dockerfile", OLD);
    let source = tree.source(".");
    let prepared = Prepared::new(&source, OLD, NEW, &Options::default()).unwrap();
    fs::rename(tree.at("d"), outside.at("moved")).unwrap();
    symlink(outside.0.path(), tree.at("d")).unwrap();
    assert!(matches!(prepared.commit(OLD), Err(WriteError::Moved)));
    assert!(write(&source).is_err());
    assert_eq!(fs::read(victim).unwrap(), OLD);
    assert_eq!(names(&outside.at("moved")), ["Dockerfile"]);
    assert_eq!(fs::read(outside.at("moved/Dockerfile")).unwrap(), OLD);
}

/// Ten thousand writes while a folder becomes a symlink and back all the time.
#[test]
fn a_symlink_swapped_in_never_leads_a_write_outside() {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    let outside = Tree::new();
    let victim = outside.put("Dockerfile", OLD);
    let tree = Tree::new();
    tree.put("d/Dockerfile", OLD);
    let source = tree.source(".");
    symlink(outside.0.path(), tree.at("link")).unwrap();
    let (d, link) = (tree.at("d"), tree.at("link"));
    if renameat_with(CWD, &d, CWD, &link, RenameFlags::EXCHANGE).is_err() {
        eprintln!("SKIPPED: this file system cannot exchange two names");
        return;
    }
    let stop = AtomicBool::new(false);
    let lazy = Options {
        sync: Sync::Later,
        ..Options::default()
    };
    let (mut written, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0_u64.. {
                if stop.load(Ordering::Relaxed) && n % 2 == 1 {
                    return;
                }
                renameat_with(CWD, &d, CWD, &link, RenameFlags::EXCHANGE).unwrap();
                // Now longer, now shorter than a write takes.
                std::thread::sleep(Duration::from_micros(n % 7 * 20));
            }
        });
        let mut content = [OLD, NEW];
        for _ in 0..10_000 {
            match apply::write(&source, content[0], content[1], &lazy) {
                Ok(_) => {
                    written += 1;
                    content.swap(0, 1);
                }
                Err(_) => refused += 1,
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    eprintln!("{written} written, {refused} refused");
    assert_eq!(fs::read(&victim).unwrap(), OLD);
    assert_eq!(outside.names(), ["Dockerfile"]);
    assert_eq!(names(&d), ["Dockerfile"]);
    assert!(written > 0 && refused > 0, "{written} {refused}");
}

#[test]
fn a_folder_that_may_not_be_written_is_said() {
    let tree = Tree::new();
    let path = tree.put("d/Dockerfile", OLD);
    let folder = tree.at("d");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).unwrap();
    let source = tree.source("d/Dockerfile");
    let result = write(&source);
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    if is_root() {
        eprintln!("SKIPPED: permissions don't bind root");
        return;
    }
    assert_eq!(
        result.unwrap_err().to_string(),
        "was not written: could not make a temporary file beside it: Permission denied (os \
         error 13); this needs write permission in its folder"
    );
    assert_eq!(fs::read(path).unwrap(), OLD);
    assert_eq!(names(&folder), ["Dockerfile"]);
}

/// A file system of a few pages, mounted by root.
struct Small(Tree);

impl Small {
    fn new(options: &str) -> Option<Self> {
        let tree = Tree::new();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(tree.0.path())
            .stderr(Stdio::null())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(tree));
        }
        eprintln!("SKIPPED: this user cannot mount a small file system");
        None
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.0.path()).status();
    }
}

#[test]
fn a_full_disk_leaves_the_old_file() {
    let Some(small) = Small::new("size=32k,nr_inodes=20") else {
        return;
    };
    let tree = &small.0;
    let path = tree.put("Dockerfile", OLD);
    let new = vec![b'#'; 100_000];
    let source = tree.source("Dockerfile");
    let error = apply::write(&source, OLD, &new, &Options::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "was not written: could not write the new file: No space left on device (os error 28); \
         make room on the disk and run again"
    );
    // No inode left either.
    for n in 0.. {
        if fs::File::create(tree.at(&format!("f{n}"))).is_err() {
            break;
        }
    }
    let error = write(&source).unwrap_err();
    assert!(
        matches!(&error, WriteError::Failed { error, .. }
            if error.kind() == io::ErrorKind::StorageFull),
        "{error}"
    );
    assert_eq!(fs::read(path).unwrap(), OLD);
    let left = tree.names();
    assert!(
        left.iter().all(|name| !name.starts_with(".dfmigrate")),
        "{left:?}"
    );
}

#[test]
fn a_read_only_file_system_is_said() {
    let Some(small) = Small::new("size=64k") else {
        return;
    };
    let tree = &small.0;
    tree.put("Dockerfile", OLD);
    let remounted = Command::new("mount")
        .args(["-o", "remount,ro"])
        .arg(tree.0.path())
        .status()
        .unwrap();
    assert!(remounted.success());
    let error = write(&tree.source("Dockerfile")).unwrap_err().to_string();
    assert!(
        error.ends_with("the file system is read-only, so work on a copy"),
        "{error}"
    );
}

#[test]
fn what_is_not_committed_is_removed() {
    let tree = Tree::new();
    tree.put("Dockerfile", OLD);
    let source = tree.source("Dockerfile");
    let prepared = Prepared::new(&source, OLD, NEW, &Options::default()).unwrap();
    assert_eq!(prepared.folder(), tree.0.path().canonicalize().unwrap());
    assert_eq!(tree.names().len(), 2);
    // It is locked: a sweep lets it be.
    assert_eq!(sweep(&source).unwrap(), 0);
    drop(prepared);
    assert_eq!(tree.names(), ["Dockerfile"]);
}

#[test]
fn a_batch_is_flushed_in_one_go() {
    let tree = Tree::new();
    let lazy = Options {
        sync: Sync::Later,
        ..Options::default()
    };
    let sources: Vec<_> = (0..50)
        .map(|n| {
            tree.put(&format!("{n}/Dockerfile"), OLD);
            tree.source(&format!("{n}/Dockerfile"))
        })
        .collect();
    let prepared: Vec<_> = sources
        .iter()
        .map(|source| Prepared::new(source, OLD, NEW, &lazy).unwrap())
        .collect();
    let disks = Disks::of(prepared.iter()).unwrap();
    disks.flush().unwrap();
    for one in prepared {
        one.commit(OLD).unwrap();
    }
    disks.flush().unwrap();
    for source in &sources {
        assert_eq!(fs::read(&source.path).unwrap(), NEW);
    }
}

#[test]
fn many_files_are_written_or_said_each_in_its_place() {
    let tree = Tree::new();
    for count in [3, 300] {
        let sources: Vec<_> = (0..count)
            .map(|n| {
                let path = format!("{count}/{n}/Dockerfile");
                tree.put(&path, if n % 7 == 1 { b"FROM mine\n" } else { OLD });
                tree.source(&path)
            })
            .collect();
        let changes: Vec<_> = sources
            .iter()
            .map(|source| Change {
                source,
                before: OLD,
                after: NEW,
            })
            .collect();
        let options = Options::default();
        let written = write_all(&changes, &options, &mut Journal::default());
        assert_eq!(written.len(), count);
        for (n, (written, source)) in written.iter().zip(&sources).enumerate() {
            let now = fs::read(&source.path).unwrap();
            match written {
                Ok(written) => assert_eq!((now.as_slice(), written.bytes), (NEW, NEW.len())),
                Err(error) => assert!(matches!(error, WriteError::Changed), "{error}"),
            }
            assert_eq!(written.is_err(), n % 7 == 1, "{n}");
            assert_eq!(names(source.path.parent().unwrap()), ["Dockerfile"]);
        }
    }
}

#[test]
fn a_sweep_takes_only_what_is_ours_and_dead() {
    let tree = Tree::new();
    tree.put("Dockerfile", OLD);
    let ours = ".dfmigrate-0123456789abcdef.tmp";
    tree.put(ours, NEW);
    let others = [
        ".dfmigrate-.tmp",
        ".dfmigrate-0123456789abcdefg.tmp",
        ".dfmigrate-0123456789abcdef.tmp2",
        "x.dfmigrate-0123456789abcdef.tmp",
    ];
    for other in others {
        tree.put(other, NEW);
    }
    let linked = ".dfmigrate-1123456789abcdef.tmp";
    symlink("Dockerfile", tree.at(linked)).unwrap();
    assert_eq!(sweep(&tree.source("Dockerfile")).unwrap(), 1);
    let left = tree.names();
    assert!(!left.contains(&ours.to_owned()));
    assert_eq!(left.len(), others.len() + 2);
}

/// The child of the next test: rewrites the files of a folder for ever.
#[test]
fn rewrites_until_killed() {
    let Some(folder) = std::env::var_os("DFMIGRATE_TEST_REWRITE") else {
        return;
    };
    let sources = discover::find(&[&folder], &discover::Options::default()).sources;
    loop {
        for source in &sources {
            let text = fs::read(&source.path).unwrap();
            let after = if text == OLD { NEW } else { OLD };
            let _ = sweep(source);
            let _ = apply::write(source, &text, after, &Options::default());
        }
    }
}

#[test]
fn a_kill_leaves_each_file_old_or_new() {
    let tree = Tree::new();
    for n in 0..50 {
        tree.put(&format!("{}/Dockerfile.{n}", n % 5), OLD);
    }
    let sources = discover::find(&[tree.0.path()], &discover::Options::default()).sources;
    assert_eq!(sources.len(), 50);
    let mut strays = 0;
    let mut both = [0, 0];
    for round in 0..25 {
        // Two instances at once.
        let mut children: Vec<_> = (0..2)
            .map(|_| {
                Command::new(std::env::current_exe().unwrap())
                    .args(["--exact", "rewrites_until_killed"])
                    .env("DFMIGRATE_TEST_REWRITE", tree.0.path())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn()
                    .unwrap()
            })
            .collect();
        std::thread::sleep(Duration::from_millis(30 + 7 * round));
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        for source in &sources {
            let text = fs::read(&source.path).unwrap();
            assert!(text == OLD || text == NEW, "{text:?}");
            both[usize::from(text == NEW)] += 1;
        }
        strays += (0..5)
            .map(|n| names(&tree.at(&n.to_string())).len())
            .sum::<usize>()
            - 50;
        for source in &sources {
            sweep(source).unwrap();
        }
        for n in 0..5 {
            assert_eq!(names(&tree.at(&n.to_string())).len(), 10);
        }
    }
    eprintln!("{strays} strays swept; old and new: {both:?}");
    assert!(both.iter().all(|&n| n > 0), "{both:?}");
}

fn git(folder: &Path, arguments: &[&str]) {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(["-c", "user.name=T", "-c", "user.email=t@example.org"])
        .args([
            "-c",
            "commit.gpgSign=false",
            "-c",
            "init.defaultBranch=main",
        ])
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn repository(tree: &Tree, folder: &str, files: &[&str]) {
    for file in files {
        tree.put(&format!("{folder}/{file}"), OLD);
    }
    let folder = tree.at(folder);
    git(&folder, &["init", "-q"]);
    git(&folder, &["add", "-A"]);
    git(&folder, &["commit", "-qm", "x"]);
}

#[test]
fn git_says_what_could_be_brought_back() {
    let tree = Tree::new();
    repository(
        &tree,
        "one",
        &[
            "clean",
            "changed",
            "staged",
            "a b/ü x",
            "crlf",
            "deleted",
            "line\nbreak",
            "base",
        ],
    );
    tree.put("one/changed", NEW);
    tree.put("one/staged", NEW);
    git(&tree.at("one"), &["add", "staged"]);
    tree.put("one/unstaged", NEW);
    git(&tree.at("one"), &["add", "unstaged"]);
    tree.put("one/untracked", NEW);
    tree.put("one/crlf", b"FROM node:20\r\n");
    git(&tree.at("one"), &["rm", "-q", "--cached", "deleted"]);
    symlink("base", tree.at("one/link")).unwrap();
    // Staged, and the work tree put back.
    tree.put("one/base", NEW);
    git(&tree.at("one"), &["add", "base"]);
    tree.put("one/base", OLD);
    repository(&tree, "one/nested", &["inner"]);
    repository(&tree, "two", &["x"]);
    fs::create_dir_all(tree.at("empty")).unwrap();
    git(&tree.at("empty"), &["init", "-q"]);
    tree.put("empty/new", OLD);
    tree.put("none/x", OLD);
    fs::create_dir_all(tree.at("one/not-git/.git")).unwrap();
    tree.put("one/not-git/x", OLD);

    let expected = [
        ("one/clean", Committed::Yes),
        ("none/x", Committed::NoRepository),
        ("one/changed", Committed::Modified),
        ("one/staged", Committed::Modified),
        ("one/unstaged", Committed::Untracked),
        ("one/untracked", Committed::Untracked),
        ("one/a b/ü x", Committed::Yes),
        ("one/crlf", Committed::Yes),
        ("one/deleted", Committed::Staged),
        ("one/link", Committed::Staged),
        ("one/nested/inner", Committed::Yes),
        ("one/not-git/x", Committed::Untracked),
        ("two/x", Committed::Yes),
        ("empty/new", Committed::Untracked),
        (
            "one/line\nbreak",
            Committed::Unknown("its path holds a line break".into()),
        ),
    ];
    let paths: Vec<_> = expected.iter().map(|(path, _)| tree.at(path)).collect();
    let answers = committed(&paths);
    for ((path, expected), answer) in expected.iter().zip(&answers) {
        assert_eq!(answer, expected, "{path}");
    }
    assert!(matches!(
        committed(&[tree.at("gone")])[0],
        Committed::Unknown(_)
    ));
    assert!(
        Committed::Untracked
            .to_string()
            .contains("not committed to git")
    );
    assert!(Committed::Modified.is_in_the_way());
    assert!(!Committed::NoRepository.is_in_the_way());
}

#[test]
fn many_files_are_asked_in_one_go() {
    let tree = Tree::new();
    let files: Vec<_> = (0..3000)
        .map(|n| format!("{}/{n}.Dockerfile", n % 50))
        .collect();
    repository(
        &tree,
        ".",
        &files.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    tree.put("7/7.Dockerfile", NEW);
    let paths: Vec<_> = files.iter().map(|file| tree.at(file)).collect();
    let answers = committed(&paths);
    for (file, answer) in files.iter().zip(answers) {
        let expected = match file.as_str() {
            "7/7.Dockerfile" => Committed::Modified,
            _ => Committed::Yes,
        };
        assert_eq!(answer, expected, "{file}");
    }
}

/// A repository whose configuration runs programs at each turn. That the trap
/// works is shown by `git status`, which falls into it.
#[test]
fn a_hostile_repository_runs_nothing() {
    let tree = Tree::new();
    repository(
        &tree,
        "r",
        &["Dockerfile", "sub/Dockerfile", ".gitattributes", "gone"],
    );
    let repository = tree.at("r");
    let marker = tree.at("marker");
    let script = tree.put(
        "trap",
        format!("#!/bin/sh\necho \"$0 $*\" >>'{}'\ncat\n", marker.display()).as_bytes(),
    );
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let trap = script.to_str().unwrap();
    let hook = repository.join(".git/hooks/post-index-change");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::copy(&script, hook).unwrap();
    for (key, value) in [
        ("core.fsmonitor", trap),
        ("core.hooksPath", ".git/hooks"),
        ("core.pager", trap),
        ("core.sshCommand", trap),
        ("core.editor", trap),
        ("diff.external", trap),
        ("filter.evil.clean", trap),
        ("filter.evil.smudge", trap),
        ("filter.evil.process", trap),
        ("filter.evil.required", "true"),
        ("alias.cat-file", &format!("!{trap}")),
        ("credential.helper", &format!("!{trap}")),
        ("remote.origin.url", "ssh://example.invalid/x"),
        ("remote.origin.promisor", "true"),
        ("remote.origin.uploadpack", trap),
        ("extensions.partialClone", "origin"),
        ("core.repositoryFormatVersion", "1"),
    ] {
        git(&repository, &["config", key, value]);
    }
    fs::write(
        repository.join(".gitattributes"),
        "* filter=evil diff=evil\n",
    )
    .unwrap();
    fs::write(repository.join(".git/info/attributes"), "* filter=evil\n").unwrap();
    fs::write(repository.join("sub/Dockerfile"), b"FROM node:21\n").unwrap();
    let _ = fs::remove_file(&marker);

    let paths = [
        repository.join("Dockerfile"),
        repository.join("sub/Dockerfile"),
    ];
    assert_eq!(committed(&paths), [Committed::Yes, Committed::Modified]);
    assert!(!marker.exists(), "{}", fs::read_to_string(&marker).unwrap());

    // An object is missing, and a partial clone would fetch it.
    let objects = repository.join(".git/objects");
    let head = Command::new("git")
        .arg("-C")
        .arg(&repository)
        .args(["rev-parse", "HEAD:Dockerfile"])
        .output()
        .unwrap();
    let head = String::from_utf8(head.stdout).unwrap();
    let object = objects.join(&head[..2]).join(head[2..].trim());
    let hidden = tree.at("object");
    fs::rename(&object, &hidden).unwrap();
    let answer = &committed(&paths[..1])[0];
    assert!(answer.is_in_the_way(), "{answer:?}");
    assert!(!marker.exists(), "{}", fs::read_to_string(&marker).unwrap());
    fs::rename(&hidden, &object).unwrap();

    // The control.
    let _ = Command::new("git")
        .arg("-C")
        .arg(&repository)
        .args(["status", "--porcelain"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(marker.exists(), "the trap does not work");
}

#[test]
fn a_repository_that_git_does_not_trust_is_unknown() {
    if !is_root() {
        eprintln!("SKIPPED: only root can give a repository away");
        return;
    }
    let tree = Tree::new();
    repository(&tree, "r", &["Dockerfile"]);
    for path in ["r", "r/.git", "r/Dockerfile"] {
        std::os::unix::fs::chown(tree.at(path), Some(12345), Some(12345)).unwrap();
    }
    let answer = &committed(&[tree.at("r/Dockerfile")])[0];
    match answer {
        Committed::Unknown(why) => assert!(why.contains("dubious ownership"), "{why}"),
        // A user's own configuration may trust all.
        answer => assert_eq!(answer, &Committed::Yes),
    }
}
