//! Review, `--check`, the selection of rules, and standard input.

use snapbox::{Data, file};

use super::{EXAMPLE, Scratch, dfmigrate, stderr, stdout};

const NODE: &str = "FROM node:20\nCMD [\"node\", \"server.js\"]\n";

/// What scripts that stop at any other exit code ask for; a failure of the tool
/// stays one.
#[test]
fn exit_zero_hides_what_was_found_and_no_failure() {
    let scratch = Scratch::new();
    scratch.run(["--exit-zero"]).code(0);
    scratch.put("Dockerfile", "FROM node:20\n");
    scratch.run(["--check"]).code(1);
    scratch.run(["--check", "--exit-zero"]).code(0);
    scratch.put("bad/Dockerfile", "RUN x\n");
    scratch.run(["."]).code(4);
    scratch.run(["--exit-zero"]).code(0);
    scratch.run(["--exit-zero", "--select", "nonsense"]).code(2);
}

#[test]
fn the_example_is_explained_and_nothing_is_written() {
    let scratch = Scratch::example();
    let before = scratch.files();
    scratch
        .run(["."])
        .success()
        .stdout_eq(file!["../../fixtures/cli/example.review.txt"].raw())
        .stderr_eq("");
    assert_eq!(scratch.files(), before);
}

/// As the README's first command has it.
#[test]
fn the_example_is_found_from_the_top_of_the_project() {
    let assert = dfmigrate(env!("CARGO_MANIFEST_DIR"))
        .arg("fixtures/example")
        .assert()
        .success();
    let text = stdout(&assert);
    for line in [
        "fixtures/example/node/Dockerfile",
        "+FROM node:20-bookworm AS build",
        "+FROM node:20-bookworm-slim",
        "+FROM python:3.13-trixie AS build",
        "+FROM python:3.13-slim-trixie",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
}

#[test]
fn check_says_which_files_and_exits_with_1() {
    let scratch = Scratch::example();
    scratch.put("fine/Dockerfile", "FROM node:20-bookworm-slim\n");
    let assert = scratch.run(["--check"]).code(1);
    assert_eq!(
        stdout(&assert),
        "would change node/Dockerfile\nwould change python/Dockerfile\n\
         3 files: 2 would change, by 4 rewrites (1 safe, 3 to review)\n"
    );
    assert_eq!(stdout(&scratch.run(["--check", "-q"]).code(1)), "");
    let assert = scratch.run(["--check", "fine"]).code(0);
    assert_eq!(stdout(&assert), "1 file: nothing to do\n");
}

#[test]
fn grade_safe_takes_only_what_is_proven() {
    let scratch = Scratch::example();
    scratch
        .run(["--grade", "safe", "--diff"])
        .success()
        .stdout_eq(file!["../../fixtures/cli/example.safe.patch"].raw());
    let scratch = Scratch::new();
    scratch.put("Dockerfile", "FROM python:3.13\nCMD [\"python3\"]\n");
    let assert = scratch.run(["--grade", "safe"]).success();
    let text = stdout(&assert);
    assert!(
        text.contains("held back: its grade is below the one asked for"),
        "{text}"
    );
    assert!(!text.contains("+++"), "{text}");
}

#[test]
fn select_and_ignore_choose_rules() {
    let scratch = Scratch::new();
    scratch.put("Dockerfile", NODE);
    let diff = |arguments: &[&str]| {
        let all = ["--diff"].iter().chain(arguments).copied();
        stdout(&scratch.run(all).success())
    };
    assert!(diff(&[]).contains("+FROM node:20-bookworm-slim\n"));
    assert!(diff(&["--select", "pin-codename"]).contains("+FROM node:20-bookworm\n"));
    assert!(diff(&["--ignore", "slim-base"]).contains("+FROM node:20-bookworm\n"));
    assert!(
        diff(&["--select", "slim-base,pin-codename"]).contains("+FROM node:20-bookworm-slim\n")
    );
    let both = ["--select", "pin-codename", "--ignore", "pin-codename"];
    assert_eq!(diff(&both), "");
    let assert = scratch.run(["--select", "pin"]).code(2);
    let text = stderr(&assert);
    assert!(
        text.contains("there is no rule \"pin\"; the rules are ") && text.contains("pin-codename"),
        "{text}"
    );
}

#[test]
fn a_comment_in_the_file_leaves_an_instruction_alone() {
    let scratch = Scratch::new();
    scratch.put(
        "Dockerfile",
        "# dfmigrate: ignore[pin-codename] the platform team moves it\nFROM node:20\n",
    );
    let text = stdout(&scratch.run([]).success());
    assert!(
        text.contains("held back: a comment says to leave it: the platform team moves it"),
        "{text}"
    );
    assert!(text.ends_with("for the reasons above\n"), "{text}");
}

#[test]
fn standard_input_is_reviewed_and_with_apply_rewritten_to_standard_output() {
    let scratch = Scratch::new();
    let input = |arguments: &[&str], text: &str| {
        dfmigrate(scratch.path())
            .args(arguments)
            .stdin(Data::text(text))
            .assert()
    };
    let text = stdout(&input(&["-"], NODE).success());
    assert!(text.starts_with("-\n  move the final stage"), "{text}");
    assert!(
        text.contains("-FROM node:20\n+FROM node:20-bookworm-slim\n"),
        "{text}"
    );
    let rewritten = stdout(&input(&["-", "--apply"], NODE).success());
    assert_eq!(rewritten, NODE.replace("node:20", "node:20-bookworm-slim"));
    assert_eq!(
        stdout(&input(&["-", "--apply"], &rewritten).success()),
        rewritten
    );
    input(&["-", "--check"], NODE).code(1);
    input(&["-", "--check"], &rewritten).code(0);
    let text = stdout(&input(
        &["-", "--diff", "--stdin-filename", "a b/Dockerfile"],
        NODE,
    ));
    assert!(
        text.starts_with("--- a/a b/Dockerfile\t\n+++ b/a b/Dockerfile\t\n"),
        "{text}"
    );
    // What a builder refuses comes out as it came in.
    let assert = input(&["-", "--apply"], "FROM node:20\nRUNN x\n").code(4);
    assert_eq!(stdout(&assert), "FROM node:20\nRUNN x\n");
    assert!(stderr(&assert).starts_with("dfmigrate: -:2: "));
    input(&["-", "other"], NODE).code(2);
}

/// With a name, the files beside that place are the build context.
#[test]
fn standard_input_with_a_name_has_a_build_context() {
    let text = std::fs::read_to_string(format!("{EXAMPLE}/node/Dockerfile")).unwrap();
    let apply = |arguments: &[&str]| {
        let assert = dfmigrate(EXAMPLE)
            .args(["-", "--apply"])
            .args(arguments)
            .stdin(Data::text(text.clone()))
            .assert()
            .success();
        stdout(&assert)
    };
    let named = apply(&["--stdin-filename", "node/Dockerfile"]);
    assert!(named.contains("RUN npm prune --omit=dev\n"), "{named}");
    let bare = apply(&[]);
    assert!(!bare.contains("prune"), "{bare}");
}

/// The order and bytes of the output don't depend on the threads.
#[test]
fn many_threads_print_what_one_prints() {
    let scratch = Scratch::new();
    for number in 0..300 {
        let text = match number % 5 {
            0 => format!("FROM node:20\nENV A={number}\nCMD [\"node\", \"x.js\"]\n"),
            1 => format!("FROM python:3.12\nRUN pip install x=={number}\nCMD [\"python3\"]\n"),
            2 => format!("FROM scratch\nRUNN {number}\n"),
            3 => format!("FROM golang:1.24\nWORKDIR /{number}\n"),
            _ => String::new(),
        };
        scratch.put(&format!("{}/{number}.Dockerfile", number % 17), text);
    }
    for mode in [&[][..], &["--diff"], &["--check"], &["-v"]] {
        let run = |jobs: &str| {
            let arguments = mode.iter().copied().chain(["-j", jobs]);
            let output = scratch.run(arguments).get_output().clone();
            (output.status.code(), output.stdout, output.stderr)
        };
        let serial = run("1");
        assert!(!serial.1.is_empty() && !serial.2.is_empty());
        for jobs in ["2", "7", "0"] {
            assert!(run(jobs) == serial, "{mode:?} differs with -j {jobs}");
        }
    }
}
