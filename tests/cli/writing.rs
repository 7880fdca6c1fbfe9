//! `--apply`: what was shown, and nothing that could hurt.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use snapbox::file;

use super::{Scratch, dfmigrate, stderr, stdout};

const OLD: &str = "FROM node:20\n";
const NEW: &str = "FROM node:20-bookworm\n";

#[test]
fn apply_writes_what_was_shown_and_a_second_run_has_nothing_to_do() {
    let scratch = Scratch::example();
    let shown = stdout(&scratch.run(["."]).success());
    let written = stdout(&scratch.run(["--apply", "."]).success());
    let last = "2 files: 2 would change, by 4 rewrites (1 safe, 3 to review)\n\
                Nothing was written: --apply writes these changes, --diff prints them as a patch.\n";
    let body = shown.strip_suffix(last).expect("the review says so");
    assert_eq!(written, format!("{body}2 files: 2 files written\n"));
    snapbox::Assert::new().action_env("SNAPSHOTS").eq(
        String::from_utf8(scratch.read("node/Dockerfile")).unwrap(),
        file!["../../fixtures/cli/example.node.Dockerfile"].raw(),
    );
    snapbox::Assert::new().action_env("SNAPSHOTS").eq(
        String::from_utf8(scratch.read("python/Dockerfile")).unwrap(),
        file!["../../fixtures/cli/example.python.Dockerfile"].raw(),
    );
    let after = scratch.files();
    for arguments in [&["."][..], &["--apply", "."], &["--check", "."]] {
        let assert = scratch.run(arguments.iter().copied()).success();
        assert!(
            stdout(&assert).contains("2 files: nothing to do"),
            "{}",
            stdout(&assert)
        );
    }
    assert_eq!(scratch.files(), after);
}

#[test]
fn a_file_with_uncommitted_changes_is_refused_unless_allowed() {
    let scratch = Scratch::new();
    scratch
        .put("clean/Dockerfile", OLD)
        .put("edited/Dockerfile", "FROM node:18\n")
        .put("staged/Dockerfile", "FROM node:18\n")
        .commit()
        .put("edited/Dockerfile", OLD)
        .put("staged/Dockerfile", OLD)
        .put("new/Dockerfile", OLD);
    scratch.git(&["add", "staged"]);
    // What is staged is neither in a commit nor in the work tree.
    scratch.put("staged/Dockerfile", "FROM node:18\n");
    let assert = scratch.run(["--apply", "-q"]).code(4);
    assert_eq!(
        stderr(&assert),
        "dfmigrate: edited/Dockerfile: was not written: it has changes that are not committed to git, so it could not be brought back; commit it, or write it with --allow-dirty\n\
         dfmigrate: new/Dockerfile: was not written: it is not committed to git, so it could not be brought back; commit it, or write it with --allow-dirty\n\
         dfmigrate: staged/Dockerfile: was not written: it has staged changes that are not committed to git, so it could not be brought back; commit it, or write it with --allow-dirty\n"
    );
    assert_eq!(scratch.read("clean/Dockerfile"), NEW.as_bytes());
    for dirty in ["edited/Dockerfile", "new/Dockerfile"] {
        assert_eq!(scratch.read(dirty), OLD.as_bytes(), "{dirty}");
    }
    assert_eq!(scratch.read("staged/Dockerfile"), b"FROM node:18\n");
    let assert = scratch.run(["--apply", "--allow-dirty"]).success();
    assert!(stdout(&assert).ends_with("4 files: 3 files written\n"));
    for dirty in ["edited/Dockerfile", "new/Dockerfile"] {
        assert_eq!(scratch.read(dirty), NEW.as_bytes(), "{dirty}");
    }
    assert_eq!(
        scratch.read("staged/Dockerfile"),
        b"FROM node:18-bookworm\n"
    );
}

#[test]
fn a_symlink_out_of_the_tree_is_never_written_through() {
    let outside = Scratch::new();
    outside.put("Dockerfile", OLD);
    let tree = Scratch::new();
    tree.put("fine/Dockerfile", OLD);
    symlink(outside.at("Dockerfile"), tree.at("Dockerfile")).unwrap();
    symlink(outside.path(), tree.at("folder")).unwrap();
    for flags in [
        &["--apply"][..],
        &["--apply", "--allow-dirty", "--allow-hard-links"],
    ] {
        tree.put("fine/Dockerfile", OLD);
        let assert = tree.run(flags.iter().copied()).code(4);
        let text = stderr(&assert);
        assert!(
            text.starts_with(
                "dfmigrate: Dockerfile: is a symlink that leads out of the given folder, to "
            ),
            "{text}"
        );
        for named in ["Dockerfile", "folder/Dockerfile"] {
            let assert = tree.run(flags.iter().copied().chain([named])).code(4);
            let text = stderr(&assert);
            assert!(text.contains("it leads through a symlink to "), "{text}");
        }
        assert_eq!(outside.read("Dockerfile"), OLD.as_bytes());
        assert_eq!(tree.read("fine/Dockerfile"), NEW.as_bytes());
    }
}

#[test]
fn hard_links_and_read_only_files_need_their_flag() {
    let scratch = Scratch::new();
    scratch.put("Dockerfile", OLD);
    fs::hard_link(scratch.at("Dockerfile"), scratch.at("twin")).unwrap();
    let text = stderr(&scratch.run(["--apply", "-q"]).code(4));
    assert!(text.contains("write it with --allow-hard-links"), "{text}");
    assert_eq!(scratch.read("Dockerfile"), OLD.as_bytes());
    scratch
        .run(["--apply", "--allow-hard-links", "-q"])
        .success();
    assert_eq!(scratch.read("Dockerfile"), NEW.as_bytes());
    assert_eq!(scratch.read("twin"), OLD.as_bytes());

    let scratch = Scratch::new();
    scratch.put("Dockerfile", OLD);
    let path = scratch.at("Dockerfile");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
    let text = stderr(&scratch.run(["--apply", "-q"]).code(4));
    assert!(text.contains("write it with --allow-read-only"), "{text}");
    assert_eq!(scratch.read("Dockerfile"), OLD.as_bytes());
    scratch
        .run(["--apply", "--allow-read-only", "-q"])
        .success();
    assert_eq!(scratch.read("Dockerfile"), NEW.as_bytes());
    assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, 0o444);
}

/// What a killed run left is removed by the next one, whether or not a file in
/// that folder changes; what only looks like it is not.
#[test]
fn what_a_killed_run_left_is_swept() {
    let scratch = Scratch::new();
    scratch
        .put("a/Dockerfile", OLD)
        .put("a/.dfmigrate-0123456789abcdef.tmp", "FROM node")
        .put("b/Dockerfile", NEW)
        .put("b/.dfmigrate-fedcba9876543210.tmp", "")
        .put("b/.dfmigrate-mine.tmp", "");
    scratch.run(["."]).success();
    assert_eq!(scratch.files().len(), 5, "a review removes nothing");
    scratch.run(["--apply"]).success();
    let names: Vec<_> = scratch.files().into_iter().map(|(path, _)| path).collect();
    let left = ["a/Dockerfile", "b/.dfmigrate-mine.tmp", "b/Dockerfile"];
    assert_eq!(names, left.map(|path| scratch.at(path)));
}

#[test]
fn flags_of_writing_need_apply_and_modes_exclude_each_other() {
    let scratch = Scratch::new();
    scratch.put("Dockerfile", OLD);
    for arguments in [
        &["--allow-dirty"][..],
        &["--allow-hard-links"],
        &["--allow-read-only"],
        &["--apply", "--diff"],
        &["--apply", "--check"],
        &["--diff", "--check"],
        &["-q", "-v"],
        &["--grade", "manual"],
        &["--nonsense"],
    ] {
        scratch.run(arguments.iter().copied()).code(2);
    }
    assert_eq!(scratch.read("Dockerfile"), OLD.as_bytes());
}

/// A folder that may not be written in: said, the others are done.
#[test]
fn one_file_that_cannot_be_written_does_not_stop_the_rest() {
    let scratch = Scratch::new();
    scratch.put("a/Dockerfile", OLD).put("b/Dockerfile", OLD);
    let folder = scratch.at("a");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(folder.join("probe"), "").is_ok() {
        fs::remove_file(folder.join("probe")).unwrap();
        eprintln!("SKIPPED: permissions don't bind this user");
        return;
    }
    let assert = dfmigrate(scratch.path())
        .args(["--apply", "-q"])
        .assert()
        .code(4);
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(stderr(&assert).contains("this needs write permission in its folder"));
    assert_eq!(scratch.read("a/Dockerfile"), OLD.as_bytes());
    assert_eq!(scratch.read("b/Dockerfile"), NEW.as_bytes());
}
