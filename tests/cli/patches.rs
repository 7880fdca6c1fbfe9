//! `--diff`: taken by `git apply` and `patch -p1` from wherever it was made.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command as Process, Stdio};

use snapbox::file;

use super::{Scratch, copy, dfmigrate, stderr, stdout};

const TOOLS: [&[&str]; 2] = [&["git", "apply"], &["patch", "-p1", "-s", "-i"]];

fn take(tool: &[&str], patch: &Path, folder: &Path) {
    let output = Process::new(tool[0])
        .args(&tool[1..])
        .arg(patch)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .expect("the tool is there");
    assert!(
        output.status.success(),
        "{tool:?} in {}: {}{}",
        folder.display(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A tree after `--apply`.
fn applied(tree: &Scratch) -> Scratch {
    let scratch = Scratch::new();
    copy(tree.path(), scratch.path());
    scratch.run(["--apply", "--allow-dirty", "-q", "."]);
    scratch
}

/// The trees hold the same, folder for folder.
fn same(left: &Scratch, right: &Scratch) {
    let below = |scratch: &Scratch| -> Vec<_> {
        let files = scratch.files().into_iter();
        files
            .map(|(path, bytes)| (path.strip_prefix(scratch.path()).unwrap().to_owned(), bytes))
            .collect()
    };
    assert_eq!(below(left), below(right));
}

/// Makes the patch in `folder` with these paths, applies it with each tool in
/// `at`, and compares with what `--apply` writes.
fn patched(tree: &Scratch, repository: bool, folder: &str, paths: &[&str], at: &str) {
    let expected = applied(tree);
    for tool in TOOLS {
        let scratch = Scratch::new();
        copy(tree.path(), scratch.path());
        if repository {
            scratch.commit();
        }
        let assert = dfmigrate(scratch.at(folder))
            .arg("--diff")
            .args(paths)
            .assert();
        let patch = tempfile::NamedTempFile::new().unwrap();
        fs::write(patch.path(), &assert.get_output().stdout).unwrap();
        take(tool, patch.path(), &scratch.at(at));
        same(&scratch, &expected);
    }
}

#[test]
fn the_patch_of_the_example() {
    Scratch::example()
        .run(["--diff"])
        .success()
        .stdout_eq(file!["../../fixtures/cli/example.patch"].raw())
        .stderr_eq("");
}

#[test]
fn a_patch_is_taken_where_it_was_made() {
    let example = Scratch::example();
    for repository in [false, true] {
        patched(&example, repository, ".", &[], ".");
        patched(
            &example,
            repository,
            ".",
            &["node/Dockerfile", "./python"],
            ".",
        );
    }
}

/// In a repository's subfolder, git takes the paths of a patch from the top or
/// from the folder, by its kind.
#[test]
fn a_patch_made_in_a_subfolder_of_a_repository_is_taken_there() {
    let tree = Scratch::new();
    copy(Path::new(super::EXAMPLE), &tree.at("services"));
    for repository in [false, true] {
        patched(&tree, repository, "services", &["."], "services");
    }
}

#[test]
fn an_absolute_path_below_the_folder_is_made_relative() {
    let tree = Scratch::example();
    let expected = applied(&tree);
    let absolute = tree.at("python").to_str().unwrap().to_owned();
    let patch = stdout(&tree.run(["--diff", "node", &absolute]).success());
    tree.put("p.patch", &patch);
    take(TOOLS[0], &tree.at("p.patch"), tree.path());
    fs::remove_file(tree.at("p.patch")).unwrap();
    same(&tree, &expected);
}

/// Neither tool takes a path that leads upwards.
#[test]
fn a_patch_of_files_elsewhere_says_where_it_is_to_be_applied() {
    let tree = Scratch::example();
    fs::create_dir(tree.at("empty")).unwrap();
    let assert = dfmigrate(tree.at("empty"))
        .args(["--diff", "../node", "../python"])
        .assert()
        .success();
    let real = tree.path().canonicalize().unwrap();
    assert_eq!(
        stderr(&assert),
        format!(
            "dfmigrate: some files are not below this folder, so the paths of the patch start from {}: apply it there\n",
            real.display()
        )
    );
    patched(&tree, false, "empty", &["../node", "../python"], ".");
}

#[test]
fn odd_names_line_ends_and_bytes_are_taken_byte_for_byte() {
    let tree = Scratch::new();
    tree.put("a b/Dockerfile", "FROM node:20\n")
        .put("é\"\\/x.Dockerfile", "FROM node:20\n")
        .put("tab\there/Dockerfile", "FROM node:20\n")
        .put("crlf/Dockerfile", "# c\r\nFROM node:20\r\nUSER node")
        .put("bom/Dockerfile", "\u{feff}FROM node:20\n\nUSER node\n\n")
        .put("cr/Dockerfile", "# a\rb\nFROM node:20\nLABEL a=\"b\rc\"\n")
        .put("latin/Dockerfile", b"# \xe9\xff\nFROM node:20\n# \xfe\n")
        .put("nul/Dockerfile", b"# \0\nFROM node:20\nRUN echo \0\n")
        .put("diff/Dockerfile", "# -- x\nFROM node:20\n# ++ y\n");
    let expected = applied(&tree);
    for (path, bytes) in expected.files() {
        let before = tree.read(
            path.strip_prefix(expected.path())
                .unwrap()
                .to_str()
                .unwrap(),
        );
        assert_ne!(bytes, before, "{}", path.display());
    }
    patched(&tree, false, ".", &[], ".");
    patched(&tree, true, ".", &[], ".");
}

/// A symlink within the tree is looked at once and named by its real place.
#[test]
fn a_symlink_is_patched_at_its_real_place_and_once() {
    let tree = Scratch::new();
    tree.put("base/common", "FROM node:20\n");
    tree.put("other/Dockerfile", "FROM node:20\n");
    fs::create_dir(tree.at("svc")).unwrap();
    symlink("../base/common", tree.at("svc/Dockerfile")).unwrap();
    symlink("other", tree.at("alias")).unwrap();
    let patch = stdout(
        &tree
            .run(["--diff", ".", "alias/Dockerfile", "other/Dockerfile"])
            .success(),
    );
    assert_eq!(patch.matches("--- a/base/common\n").count(), 1, "{patch}");
    assert_eq!(
        patch.matches("--- a/other/Dockerfile\n").count(),
        1,
        "{patch}"
    );
    assert_eq!(patch.matches("--- ").count(), 2, "{patch}");
    let assert = tree
        .run(["--apply", ".", "alias/Dockerfile", "other/Dockerfile"])
        .success();
    assert!(
        stdout(&assert).ends_with("2 files: 2 files written\n"),
        "{}",
        stdout(&assert)
    );
    assert_eq!(tree.read("base/common"), b"FROM node:20-bookworm\n");
    assert_eq!(tree.read("other/Dockerfile"), b"FROM node:20-bookworm\n");
}
