use super::*;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

fn tree(files: &[&str]) -> tempfile::TempDir {
    let tree = tempfile::tempdir().unwrap();
    for file in files {
        put(tree.path(), file, "FROM scratch\n");
    }
    tree
}

fn put(root: &Path, file: &str, text: &str) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn look(root: &Path, paths: &[&str]) -> Found {
    let options = Options {
        base: root.to_owned(),
        ..Options::default()
    };
    find(paths, &options)
}

fn shown(found: &Found) -> Vec<&str> {
    found.sources.iter().map(|s| s.shown.as_str()).collect()
}

fn problems(found: &Found) -> Vec<String> {
    found.problems.iter().map(ToString::to_string).collect()
}

#[test]
fn folders_come_in_path_order_without_what_is_not_ours() {
    let tree = tree(&[
        "b/Dockerfile",
        "b-c/Dockerfile",
        "a/x.Dockerfile",
        "Dockerfile",
        "Dockerfile.dockerignore",
        "README.md",
        ".hidden/Dockerfile",
        "node_modules/m/Dockerfile",
        "x/vendor/Dockerfile",
        "x/target/Dockerfile",
    ]);
    let found = look(tree.path(), &["."]);
    assert_eq!(
        shown(&found),
        [
            "Dockerfile",
            "a/x.Dockerfile",
            "b-c/Dockerfile",
            "b/Dockerfile"
        ]
    );
    assert!(found.problems.is_empty());
    let real = tree.path().canonicalize().unwrap();
    assert!(found.sources.iter().all(|s| *s.root == *real && !s.named));

    // A vendored folder that the user names is looked at.
    assert_eq!(
        shown(&look(tree.path(), &["x/vendor/"])),
        ["x/vendor/Dockerfile"]
    );
    let all = Options {
        base: tree.path().to_owned(),
        hidden: true,
        vendored: true,
        ..Options::default()
    };
    assert_eq!(find(&["."], &all).sources.len(), 8);
}

#[test]
fn the_order_does_not_depend_on_threads() {
    let files: Vec<_> = (0..300)
        .map(|n| format!("d{}/e{}/Dockerfile.{n}", n % 7, n % 5))
        .collect();
    let tree = tree(&files.iter().map(String::as_str).collect::<Vec<_>>());
    let at = |threads| Options {
        base: tree.path().to_owned(),
        threads,
        ..Options::default()
    };
    let one = find(&["."], &at(1)).sources;
    assert_eq!(one.len(), 300);
    assert!(one.is_sorted_by(|a, b| a.shown < b.shown));
    for threads in [0, 2, 8] {
        assert_eq!(find(&["."], &at(threads)).sources, one);
    }
}

#[test]
fn named_files_keep_their_order_and_come_once() {
    let tree = tree(&["z", "a/Dockerfile", "a/b/Dockerfile"]);
    let found = look(
        tree.path(),
        &["z", "./a/Dockerfile", "a", "a/Dockerfile", "z", "."],
    );
    assert_eq!(shown(&found), ["z", "./a/Dockerfile", "a/b/Dockerfile"]);
    assert!(found.sources[0].named && found.sources[1].named && !found.sources[2].named);
}

#[test]
fn absolute_paths_stay_absolute() {
    let tree = tree(&["a/Dockerfile"]);
    let top = tree.path().to_str().unwrap();
    let found = find(&[top], &Options::default());
    assert_eq!(shown(&found), [format!("{top}/a/Dockerfile")]);
}

#[test]
fn a_missing_path_is_a_problem_and_the_others_go_on() {
    let tree = tree(&["Dockerfile"]);
    symlink("nowhere", tree.path().join("dangling")).unwrap();
    let found = look(tree.path(), &["gone", "", "dangling", "Dockerfile"]);
    assert_eq!(shown(&found), ["Dockerfile"]);
    assert_eq!(
        problems(&found),
        [
            "gone: there is no such file or folder; check the path",
            ": there is no such file or folder; check the path",
            "dangling: is a symlink to nowhere, which is not there; mend or remove the link",
        ]
    );
}

#[test]
fn ignore_rules_count_outside_of_repositories_too() {
    let tree = tree(&["out/Dockerfile", "in/Dockerfile", "in/sub/Dockerfile"]);
    put(tree.path(), ".gitignore", "out/\nin/sub\n");
    assert_eq!(shown(&look(tree.path(), &["."])), ["in/Dockerfile"]);
    // Outside of a repository the folders above have no say …
    assert_eq!(look(tree.path(), &["in"]).sources.len(), 2);
    // … in one they have.
    fs::create_dir(tree.path().join(".git")).unwrap();
    assert_eq!(shown(&look(tree.path(), &["in"])), ["in/Dockerfile"]);
    let all = Options {
        base: tree.path().to_owned(),
        ignored: true,
        ..Options::default()
    };
    assert_eq!(find(&["."], &all).sources.len(), 3);
}

#[test]
fn symlinks_are_followed_within_the_tree_only() {
    let outside = tree(&["secret"]);
    let tree = tree(&["t/Dockerfile", "t/base", "t/d/x"]);
    let top = tree.path().join("t");
    symlink("Dockerfile", top.join("Dockerfile.same")).unwrap();
    symlink("base", top.join("Dockerfile.base")).unwrap();
    symlink("base", top.join("Dockerfile.base2")).unwrap();
    symlink("d", top.join("Dockerfile.folder")).unwrap();
    symlink("gone", top.join("Dockerfile.gone")).unwrap();
    let secret = outside.path().canonicalize().unwrap().join("secret");
    symlink(&secret, top.join("Dockerfile.out")).unwrap();
    symlink(outside.path(), top.join("linked")).unwrap();
    let found = look(tree.path(), &["t"]);
    assert_eq!(shown(&found), ["t/Dockerfile", "t/Dockerfile.base"]);
    assert!(found.sources[1].link);
    assert_eq!(read(&found.sources[1], 99).unwrap(), b"FROM scratch\n");
    assert_eq!(
        problems(&found),
        [
            "t/Dockerfile.gone: is a symlink to gone, which is not there; mend or remove the \
             link"
                .to_owned(),
            format!(
                "t/Dockerfile.out: is a symlink that leads out of the given folder, to {}; to \
                 read that file, name it",
                secret.display()
            ),
        ]
    );
    // Swapped after it was found.
    fs::remove_file(top.join("Dockerfile.base")).unwrap();
    symlink(&secret, top.join("Dockerfile.base")).unwrap();
    assert_eq!(
        read(&found.sources[1], 99),
        Err(ReadError::Leaves(secret.clone()))
    );
    fs::remove_file(top.join("Dockerfile")).unwrap();
    symlink(&secret, top.join("Dockerfile")).unwrap();
    assert_eq!(read(&found.sources[0], 99), Err(ReadError::Changed));
    // Named by the user it is read.
    let named = look(tree.path(), &["t/Dockerfile"]);
    assert_eq!(read(&named.sources[0], 99).unwrap(), b"FROM scratch\n");
}

#[test]
fn the_tree_of_a_path_is_its_real_folder_fenced_by_the_current_one() {
    let outside = tree(&["d/Dockerfile"]);
    let tree = tree(&["a/Dockerfile"]);
    symlink(outside.path(), tree.path().join("evil")).unwrap();
    symlink("a", tree.path().join("inner")).unwrap();
    let real = tree.path().canonicalize().unwrap();
    let out = outside.path().canonicalize().unwrap();
    let root = |path: &str| look(tree.path(), &[path]).sources[0].root.to_path_buf();
    assert_eq!(root("a/Dockerfile"), real.join("a"));
    assert_eq!(root("a"), real.join("a"));
    assert_eq!(root("inner/Dockerfile"), real.join("a"));
    assert_eq!(root("evil/d/Dockerfile"), real);
    assert_eq!(root("evil/d"), real);
    // Said outright, it is meant.
    let outright = out.join("d/Dockerfile");
    assert_eq!(root(outright.to_str().unwrap()), out.join("d"));
}

#[test]
fn what_is_no_file_is_said_and_never_waited_for() {
    let tree = tree(&["ok/Dockerfile", "Dockerfile/x/Dockerfile"]);
    let top = tree.path();
    fs::create_dir(top.join("ok/sub")).unwrap();
    fs::create_dir(top.join("ok/sub/Dockerfile")).unwrap();
    let pipe = top.join("Dockerfile.pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(top.join("Dockerfile.sock")).unwrap();
    let found = look(top, &["."]);
    assert_eq!(shown(&found), ["Dockerfile/x/Dockerfile", "ok/Dockerfile"]);
    let special = "is a pipe, a socket or a device, not a file; to read a Dockerfile from a \
                   program, give `-` and pipe it to standard input";
    assert_eq!(
        problems(&found),
        [
            format!("Dockerfile.pipe: {special}"),
            format!("Dockerfile.sock: {special}"),
            "ok/sub/Dockerfile: is a folder, not a file; give the path of a file in it, or \
             rename the folder"
                .to_owned(),
        ]
    );
    let named = look(top, &["Dockerfile.pipe"]);
    assert_eq!(read(&named.sources[0], 99), Err(ReadError::Special));
    // Swapped after it was found.
    let ok = found.sources.iter().find(|s| s.shown == "ok/Dockerfile");
    fs::rename(&pipe, top.join("ok/Dockerfile")).unwrap();
    assert_eq!(read(ok.unwrap(), 99), Err(ReadError::Special));
    assert_eq!(
        read(
            &Source {
                path: "/dev/zero".into(),
                ..found.sources[0].clone()
            },
            99
        ),
        Err(ReadError::Special)
    );
}

#[test]
fn a_large_file_is_refused_by_its_size() {
    let tree = tree(&["Dockerfile"]);
    let file = fs::File::create(tree.path().join("Dockerfile")).unwrap();
    file.set_len(50_000_000).unwrap();
    let found = look(tree.path(), &["."]);
    let error = read(&found.sources[0], MAX_BYTES).unwrap_err();
    assert_eq!(
        error.to_string(),
        "has 50.0 MB, more than the 8.4 MB that are read of a Dockerfile; it is hardly one, so leave it out"
    );
    file.set_len(MAX_BYTES).unwrap();
    assert_eq!(
        read(&found.sources[0], MAX_BYTES).unwrap().len() as u64,
        MAX_BYTES
    );
}

#[test]
fn an_unreadable_file_is_denied() {
    let tree = tree(&["Dockerfile", "d/Dockerfile"]);
    let path = tree.path().join("Dockerfile");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o0)).unwrap();
    if fs::File::open(&path).is_ok() {
        eprintln!("SKIPPED: permissions don't bind this user (root)");
        return;
    }
    let found = look(tree.path(), &["."]);
    assert_eq!(read(&found.sources[0], 99), Err(ReadError::Denied));
    let folder = tree.path().join("d");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o0)).unwrap();
    let found = look(tree.path(), &["."]);
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(found.problems.len(), 1, "{:?}", found.problems);
    assert_eq!(found.problems[0].error, ReadError::Denied);
}

#[test]
fn names_that_are_not_utf_8_are_taken() {
    use std::os::unix::ffi::OsStrExt;
    let tree = tree(&[]);
    let name = std::ffi::OsStr::from_bytes(b"\xff.Dockerfile");
    fs::write(tree.path().join(name), "FROM x\n").unwrap();
    let found = look(tree.path(), &["."]);
    assert_eq!(shown(&found), ["\u{fffd}.Dockerfile"]);
    assert_eq!(read(&found.sources[0], 99).unwrap(), b"FROM x\n");
}

#[test]
fn file_lists() {
    let list = |bytes: &[u8]| {
        parse_file_list(bytes)
            .iter()
            .map(|path| path.to_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(list(b"a\nb c\r\n\n d\n"), ["a", "b c", " d"]);
    assert_eq!(list(b"a\0b\nc\0"), ["a", "b\nc"]);
    assert_eq!(list(b"\xef\xbb\xbfa"), ["a"]);
    assert!(list(b"").is_empty());
}
