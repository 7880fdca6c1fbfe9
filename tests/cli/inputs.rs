//! Bad input: a clear line each, and the others go on.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::{Command as Process, Stdio};
use std::time::{Duration, Instant};

use snapbox::file;

use super::{Scratch, stderr, stdout};

const FINE: &str = "FROM node:20\n";

#[test]
fn every_bad_file_is_said_and_the_others_are_done() {
    let scratch = Scratch::new();
    scratch
        .put(
            "01-syntax/Dockerfile",
            "FROM node:20\n\nRUN ok\nCOPPY a \\\n  b\nFROM a b c\n",
        )
        .put("02-no-from/Dockerfile", "RUN ok\n")
        .put("03-empty/Dockerfile", "")
        .put("04-blank/Dockerfile", "\n \t\n")
        .put(
            "05-binary/Dockerfile",
            b"\x7fELF\x02\x01\x01\0\0\0\xff\xfe\0",
        )
        .put(
            "06-jinja/Dockerfile",
            "{% if x %}\nFROM node:20\n{% endif %}\n",
        )
        .put(
            "07-merge/Dockerfile",
            "<<<<<<< HEAD\nFROM node:20\n=======\nFROM node:22\n>>>>>>> x\n",
        )
        .put("08-folder/Dockerfile/readme", "x")
        .put("09-escape/Dockerfile", "# escape=x\nFROM node:20\n")
        .put(
            "10-evil/Dockerfile",
            "FROM node:20\nEVIL \x1b]0;x\x07\u{202e}\n",
        )
        .put("11-fine/Dockerfile", FINE);
    symlink("nothing", scratch.at("11-fine/x.Dockerfile")).unwrap();
    let large = fs::File::create(scratch.at("12-large.Dockerfile")).unwrap();
    large.set_len(50_000_000).unwrap();
    let start = Instant::now();
    let assert = scratch
        .run(["--select", "pin-codename"])
        .code(4)
        .stdout_eq(file!["../../fixtures/cli/bad.stdout.txt"].raw())
        .stderr_eq(file!["../../fixtures/cli/bad.stderr.txt"].raw());
    assert!(start.elapsed() < Duration::from_secs(20));
    let before = scratch.files();
    drop(assert);
    let assert = scratch.run(["--apply", "-q"]).code(4);
    assert!(!stderr(&assert).contains("11-fine/Dockerfile"));
    assert_eq!(
        scratch.read("11-fine/Dockerfile"),
        b"FROM node:20-bookworm\n"
    );
    let changed = scratch.files();
    let changed = changed.iter().zip(&before).filter(|(a, b)| a != b);
    assert_eq!(changed.count(), 1, "only the good file was written");
}

#[test]
fn what_is_named_and_cannot_be_read_is_said() {
    let scratch = Scratch::new();
    scratch.put("fine", FINE).put("folder/Dockerfile/x", "");
    let made = Process::new("mkfifo")
        .arg(scratch.at("pipe"))
        .status()
        .expect("mkfifo is there");
    assert!(made.success());
    let assert = scratch
        .run([
            "--diff",
            "missing",
            "pipe",
            "folder/Dockerfile",
            "fine",
            "fine/below",
        ])
        .code(4);
    let text = stderr(&assert);
    for line in [
        "dfmigrate: missing: there is no such file or folder; check the path\n",
        "dfmigrate: pipe: is a pipe, a socket or a device, not a file; ",
        "dfmigrate: folder/Dockerfile: is a folder, not a file; ",
        "dfmigrate: fine/below: there is no such file or folder; check the path\n",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(stdout(&assert).contains("+FROM node:20-bookworm\n"));
}

#[test]
fn an_unreadable_file_is_said() {
    let scratch = Scratch::new();
    scratch.put("a/Dockerfile", FINE).put("b/Dockerfile", FINE);
    let path = scratch.at("a/Dockerfile");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&path).is_ok() {
        eprintln!("SKIPPED: permissions don't bind this user");
        return;
    }
    let assert = scratch.run(["--diff"]).code(4);
    assert_eq!(
        stderr(&assert),
        "dfmigrate: a/Dockerfile: may not be read: permission denied; allow it with chmod or run as its owner\n"
    );
    assert!(stdout(&assert).contains("+++ b/b/Dockerfile\n"));
}

#[test]
fn nothing_found_exits_with_3() {
    let scratch = Scratch::new();
    scratch.put("readme.md", "x");
    for arguments in [&["."][..], &["--apply"], &["--check"], &["inspect", "."]] {
        let assert = scratch.run(arguments.iter().copied()).code(3);
        assert!(stderr(&assert).starts_with("dfmigrate: no Dockerfile was found"));
        assert_eq!(stdout(&assert), "");
    }
    // An empty list is not the current folder.
    scratch.put("list", "").put("Dockerfile", FINE);
    scratch.run(["--apply", "--files-from", "list"]).code(3);
    assert_eq!(scratch.read("Dockerfile"), FINE.as_bytes());
}

#[test]
fn a_list_of_files_is_taken_in_its_order() {
    let scratch = Scratch::new();
    for name in ["a", "b", "c d"] {
        scratch.put(&format!("{name}/Dockerfile"), FINE);
    }
    scratch
        .put(
            "lines",
            "c d/Dockerfile\r\n\nb/Dockerfile\n./b/Dockerfile\na/Dockerfile",
        )
        .put("nul", "b/Dockerfile\0c d/Dockerfile\0");
    let names = |list: &str| {
        let text = stdout(&scratch.run(["--check", "--files-from", list]).code(1));
        let names = text.lines().filter_map(|l| l.strip_prefix("would change "));
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        names("lines"),
        ["c d/Dockerfile", "b/Dockerfile", "a/Dockerfile"]
    );
    assert_eq!(names("nul"), ["b/Dockerfile", "c d/Dockerfile"]);
    let assert = scratch.run(["--files-from", "gone"]).code(2);
    assert!(stderr(&assert).contains("can't read the list of paths gone"));
}

/// Whoever reads no further, as `head` does, gets no error.
#[test]
fn a_closed_pipe_is_quiet() {
    let scratch = Scratch::new();
    for number in 0..2000 {
        scratch.put(&format!("{number}.Dockerfile"), FINE);
    }
    for arguments in [
        &["--diff"][..],
        &["--check"],
        &[],
        &["inspect", "."],
        &["explain", "multi-stage"],
    ] {
        let mut child = Process::new(env!("CARGO_BIN_EXE_dfmigrate"))
            .args(arguments)
            .current_dir(scratch.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
    }
}

/// A service whose sources lie above its Dockerfile, as a compose file, a bake
/// file, a dev container or a flag says.
#[test]
fn the_build_context_is_what_files_say() {
    const DOCKERFILE: &str = "FROM node:20\nWORKDIR /app\nCOPY . .\nRUN npm ci\nRUN npm run build\nCMD [\"npm\", \"start\"]\n";
    const PACKAGE: &str = r#"{"scripts": {"build": "tsc", "start": "node dist/main.js"}, "devDependencies": {"typescript": "5"}}"#;
    let tree = || {
        let scratch = Scratch::new();
        scratch
            .put("repo/docker/Dockerfile", DOCKERFILE)
            .put("repo/package.json", PACKAGE)
            .put("repo/.git/HEAD", "ref: refs/heads/main\n");
        scratch
    };
    let said = |scratch: &Scratch, flags: &[&str]| {
        let arguments = ["--output-format", "json", "repo/docker/Dockerfile"];
        stdout(&scratch.run(flags.iter().copied().chain(arguments)))
    };
    let scratch = tree();
    let without = said(&scratch, &[]);
    let with = said(&scratch, &["--context", "repo"]);
    assert_ne!(without, with, "the context matters");
    let compose = "services: {web: {build: {context: .., dockerfile: docker/Dockerfile}}}\n";
    let bake = "target \"web\" {\n  context = \".\"\n  dockerfile = \"docker/Dockerfile\"\n}\n";
    let json = r#"{"target": {"web": {"dockerfile": "docker/Dockerfile"}}}"#;
    let development =
        "{\"build\": {\"dockerfile\": \"../docker/Dockerfile\", \"context\": \"..\"}} // x\n";
    for (path, text) in [
        ("repo/docker/compose.yaml", compose),
        ("repo/docker-bake.hcl", bake),
        ("repo/docker-bake.json", json),
        ("repo/.devcontainer/devcontainer.json", development),
        (
            "repo/.devcontainer/web/devcontainer.json",
            &development.replace("\"..", "\"../.."),
        ),
    ] {
        let scratch = tree();
        scratch.put(path, text);
        assert_eq!(said(&scratch, &[]), with, "{path}");
    }
    // Two that differ: nothing is known of the context, and that is said.
    let doubt = |scratch: &Scratch| {
        let assert = scratch.run(["repo/docker/Dockerfile"]).success();
        stderr(&assert)
    };
    assert_eq!(doubt(&scratch), "");
    let bake = bake
        .replace("\".\"", "\"docker\"")
        .replace("docker/Dockerfile", "Dockerfile");
    scratch.put("repo/docker/compose.yaml", compose);
    scratch.put("repo/docker-bake.hcl", &bake);
    let differ = doubt(&scratch);
    let both = "compose.yaml (service web) and docker-bake.hcl (target web) name different build contexts for it";
    assert!(differ.contains(both), "{differ}");
    assert_eq!(said(&scratch, &["--context", "repo"]), with);
    // Above the repository nothing is read and nothing is taken for the context.
    let scratch = tree();
    let web = |context: &str, dockerfile: &str| {
        format!("services: {{web: {{build: {{context: {context}, dockerfile: {dockerfile}}}}}}}\n")
    };
    scratch.put("compose.yaml", web("repo", "docker/Dockerfile"));
    assert_eq!(said(&scratch, &[]), without);
    scratch.put("repo/compose.yaml", web("..", "repo/docker/Dockerfile"));
    let outside = doubt(&scratch);
    let why = "compose.yaml (service web) names a build context outside of the repository";
    assert!(outside.contains(why), "{outside}");
    symlink("..", scratch.at("repo/link")).unwrap();
    scratch.put("repo/compose.yaml", web("link", "../docker/Dockerfile"));
    let linked = doubt(&scratch);
    assert!(linked.contains("cannot be opened"), "{linked}");
    let error = stderr(&scratch.run(["--context", "nowhere"]).code(2));
    assert!(error.contains("it is no folder"), "{error}");
}
