use super::*;
use std::fs;
use std::os::unix::fs::symlink;

struct Tree(tempfile::TempDir);

impl Tree {
    fn new(files: &[(&str, &str)]) -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        for (file, text) in files {
            let path = tree.at(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        tree
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn context(&self) -> BuildContext {
        BuildContext::beside(&self.at("Dockerfile"))
    }
}

fn yes(text: &str) -> Known<Vec<u8>> {
    Known::Yes(text.as_bytes().to_vec())
}

const DENIED: Known<Vec<u8>> = Known::Unknown(Unavailable::Denied);

#[test]
fn reads_what_is_in_the_context() {
    let tree = Tree::new(&[("package.json", "{}"), ("src/a.js", "a")]);
    let context = tree.context();
    for path in ["package.json", "/package.json", "./src/../package.json"] {
        assert_eq!(context.read(path), yes("{}"), "{path}");
    }
    assert_eq!(context.read("src/a.js"), yes("a"));
    for path in ["gone", "src", "", "package.json/x", "src/a.js/", "a\0b"] {
        let known = context.read(path);
        match path {
            "src/a.js/" => assert_eq!(known, yes("a")),
            _ => assert_eq!(known, Known::No, "{path}"),
        }
    }
    assert_eq!(context.read(&"x".repeat(5000)), Known::No);
    assert_eq!(context.exists(""), Known::Yes(true));
    assert_eq!(context.exists("src/"), Known::Yes(true));
    assert_eq!(context.exists("gone"), Known::No);
    assert_eq!(
        context.list(""),
        Known::Yes(vec![("package.json".into(), false), ("src".into(), true)])
    );
    assert_eq!(context.list("package.json"), Known::No);
    assert_eq!(context.list("gone"), Known::No);
}

#[test]
fn never_leaves_the_context() {
    let outside = Tree::new(&[("secret", "s"), ("d/secret", "s")]);
    let tree = Tree::new(&[("a/b", "b"), ("x", "x")]);
    symlink(outside.at("secret"), tree.at("absolute")).unwrap();
    symlink(tree.at("x"), tree.at("absolute-within")).unwrap();
    symlink("../../etc/passwd", tree.at("above")).unwrap();
    symlink(outside.at("d"), tree.at("folder")).unwrap();
    symlink("../x", tree.at("a/up")).unwrap();
    symlink("a", tree.at("linked")).unwrap();
    symlink("loop", tree.at("loop")).unwrap();
    symlink("gone", tree.at("dangling")).unwrap();
    let context = tree.context();
    for path in [
        "../x",
        "a/../../x",
        "absolute",
        "absolute-within",
        "above",
        "folder/secret",
    ] {
        assert_eq!(context.read(path), DENIED, "{path}");
    }
    assert_eq!(
        context.exists("folder/secret"),
        Known::Unknown(Unavailable::Denied)
    );
    assert_eq!(context.list("folder"), Known::Unknown(Unavailable::Denied));
    assert_eq!(context.read("a/up"), yes("x"));
    assert_eq!(context.read("linked/up"), yes("x"));
    assert_eq!(context.read("linked/b"), yes("b"));
    assert_eq!(context.read("dangling"), Known::No);
    assert!(matches!(
        context.read("loop"),
        Known::Unknown(Unavailable::Failed(_))
    ));
    let Known::Yes(entries) = context.list("") else {
        panic!();
    };
    assert!(entries.contains(&("linked".into(), true)));
    assert!(entries.contains(&("folder".into(), false)));
}

#[test]
fn only_regular_files_up_to_a_size() {
    let tree = Tree::new(&[]);
    let pipe = tree.at("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
    for (name, size) in [
        ("big.json", MAX_BYTES + 1),
        ("package-lock.json", MAX_BYTES + 1),
        ("yarn.lock", MAX_LOCKFILE_BYTES + 1),
    ] {
        fs::File::create(tree.at(name))
            .unwrap()
            .set_len(size)
            .unwrap();
    }
    let context = tree.context();
    assert!(matches!(
        context.read("pipe"),
        Known::Unknown(Unavailable::Failed(_))
    ));
    assert_eq!(context.exists("pipe"), Known::Yes(true));
    let too_large = |bytes| Known::Unknown(Unavailable::TooLarge(bytes));
    assert_eq!(context.read("big.json"), too_large(MAX_BYTES + 1));
    assert!(context.read("package-lock.json").yes().is_some());
    assert_eq!(context.read("yarn.lock"), too_large(MAX_LOCKFILE_BYTES + 1));
    assert_eq!(context.read_up_to("big.json", 5), too_large(MAX_BYTES + 1));
}

#[test]
fn what_is_ignored_is_not_there() {
    let tree = Tree::new(&[
        (
            ".dockerignore",
            "*\n!src\n!package.json\n!deep/down/kept\nsrc/secret\n",
        ),
        ("package.json", "{}"),
        ("other.json", "{}"),
        ("src/a.js", "a"),
        ("src/secret", "s"),
        ("deep/down/kept", "k"),
        ("deep/down/not", "n"),
        ("drop/x", "x"),
    ]);
    fs::create_dir(tree.at("src/empty")).unwrap();
    symlink("../other.json", tree.at("src/link")).unwrap();
    let context = tree.context();
    assert_eq!(context.read("package.json"), yes("{}"));
    assert_eq!(context.read("other.json"), Known::No);
    assert_eq!(context.read("src/a.js"), yes("a"));
    assert_eq!(context.read("src/secret"), Known::No);
    assert_eq!(context.read("src/link"), Known::No);
    assert_eq!(context.read("deep/down/kept"), yes("k"));
    assert_eq!(context.read("deep/down/not"), Known::No);
    assert_eq!(context.exists("src/empty"), Known::Yes(true));
    assert_eq!(context.exists("deep/down"), Known::Yes(true));
    assert_eq!(context.exists("drop"), Known::No);
    assert_eq!(context.list("drop"), Known::No);
    assert_eq!(
        context.list(""),
        Known::Yes(vec![
            ("deep".into(), true),
            ("package.json".into(), false),
            ("src".into(), true),
        ])
    );
    assert_eq!(
        context.list("deep/down"),
        Known::Yes(vec![("kept".into(), false)])
    );
}

#[test]
fn the_ignore_file_of_the_dockerfile_comes_first() {
    let tree = Tree::new(&[
        (".dockerignore", "a\n"),
        ("docker/app.Dockerfile.dockerignore", "b\n"),
        ("a", "a"),
        ("b", "b"),
    ]);
    let own = BuildContext::new(tree.at(""), Some(&tree.at("docker/app.Dockerfile")));
    assert_eq!((own.read("a"), own.read("b")), (yes("a"), Known::No));
    let other = BuildContext::new(tree.at(""), Some(&tree.at("docker/Dockerfile")));
    assert_eq!((other.read("a"), other.read("b")), (Known::No, yes("b")));
    let none = BuildContext::new(tree.at(""), None);
    assert_eq!(none.read("a"), Known::No);
}

#[test]
fn rules_that_cannot_be_had_make_everything_unknown() {
    let tree = Tree::new(&[(".dockerignore", "x\n[\n"), ("a", "a")]);
    let why = "`[` is not closed, so Docker refuses the pattern";
    assert_eq!(
        tree.context().read("a"),
        Known::Unknown(Unavailable::Failed(format!(".dockerignore:2: {why}")))
    );
    fs::remove_file(tree.at(".dockerignore")).unwrap();
    symlink("/dev/zero", tree.at(".dockerignore")).unwrap();
    assert!(matches!(
        tree.context().exists("a"),
        Known::Unknown(Unavailable::Failed(_))
    ));
    assert!(matches!(
        BuildContext::new(tree.at("gone"), None).list(""),
        Known::Unknown(Unavailable::Failed(_))
    ));
}

#[test]
fn a_folder_of_too_many_entries_is_unknown() {
    let tree = Tree::new(&[]);
    fs::create_dir(tree.at("many")).unwrap();
    for n in 0..=MAX_ENTRIES {
        fs::File::create(tree.at(&format!("many/{n}"))).unwrap();
    }
    assert!(matches!(
        tree.context().list("many"),
        Known::Unknown(Unavailable::Failed(_))
    ));
    fs::remove_file(tree.at("many/0")).unwrap();
    let entries = tree.context().list("many").yes().unwrap();
    assert_eq!(entries.len(), MAX_ENTRIES);
    assert!(entries.is_sorted());
}
