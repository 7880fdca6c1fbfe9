//! At a terminal: `--interactive` through a pseudo-terminal, narrow and dumb
//! terminals, colours, a reader that goes away; completions and manual pages.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use expectrl::session::OsSession as Session;
use expectrl::{Eof, Expect};

const BIN: &str = env!("CARGO_BIN_EXE_dfmigrate");

/// Two rewrites: a pin in the first stage, the slim variant in the last, which
/// has a pin as another way.
const TWO: &str =
    "FROM node:20 AS a\nRUN true\nFROM node:20\nCOPY --from=a /x /x\nCMD [\"node\"]\n";
const PIN: (&str, &str) = ("FROM node:20 AS a", "FROM node:20-bookworm AS a");
const SLIM: (&str, &str) = ("\nFROM node:20\n", "\nFROM node:20-bookworm-slim\n");
const OTHER: (&str, &str) = ("\nFROM node:20\n", "\nFROM node:20-bookworm\n");

fn tree(files: &[&str]) -> tempfile::TempDir {
    let tree = tempfile::tempdir().unwrap();
    for name in files {
        std::fs::create_dir_all(tree.path().join(name).parent().unwrap()).unwrap();
        std::fs::write(tree.path().join(name), TWO).unwrap();
    }
    tree
}

fn with(changes: &[(&str, &str)]) -> String {
    changes.iter().fold(TWO.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    })
}

/// A line of the shell at a terminal.
fn shell(folder: &Path, line: &str, environment: &[(&str, &str)]) -> Session {
    let mut command = Command::new("sh");
    // The terminal gets a first size while the shell runs already: it waits for that.
    let unsized_yet = tempfile::NamedTempFile::new().unwrap();
    let wait = format!(
        "while [ -e '{}' ]; do sleep 0.01; done",
        unsized_yet.path().display()
    );
    command.args(["-c", &format!("{wait}; {line}")]);
    command.current_dir(folder).env("HOME", folder);
    // Logs of CI take colours, whatever the terminal is called.
    for name in ["NO_COLOR", "CI", "PAGER", "DFMIGRATE_PAGER", "LESS"] {
        command.env_remove(name);
    }
    command
        .env("TERM", "xterm")
        .envs(environment.iter().copied());
    let mut session = Session::spawn(command).unwrap();
    drop(unsized_yet);
    session.set_expect_timeout(Some(Duration::from_secs(60)));
    session
}

/// The program at a terminal of so many columns.
fn terminal(folder: &Path, columns: u16, args: &str) -> Session {
    let line = format!("stty cols {columns} rows 24 && exec '{BIN}' {args}");
    shell(folder, &line, &[("DFMIGRATE_PAGER", "cat")])
}

/// Answers each question with the next word; what was shown from then on.
fn dialogue(folder: &Path, args: &str, answers: &[&str]) -> String {
    let mut session = terminal(folder, 80, args);
    let mut shown = String::new();
    let mut add = |bytes: &[u8]| shown.push_str(&String::from_utf8_lossy(bytes));
    for answer in answers {
        let seen = session.expect("?]?").unwrap();
        add(seen.before());
        session.send_line(answer).unwrap();
    }
    let seen = session.expect(Eof).unwrap();
    add(seen.before());
    add(seen.as_bytes());
    shown
}

#[test]
fn each_rewrite_is_asked_for() {
    for (answers, changes) in [
        (&["y", "y"][..], &[PIN, SLIM][..]),
        (&["n", "y"], &[SLIM]),
        (&["Y", "n"], &[PIN]),
        (&["n", "n"], &[]),
        (&["a"], &[PIN, SLIM]),
        (&["d"], &[]),
        (&["q"], &[]),
        (&["y", "q"], &[PIN]),
        (&["n", "v", "y"], &[OTHER]),
        (&["n", "v", "v", "y"], &[SLIM]),
        (&["\u{4}"], &[]),
    ] {
        let tree = tree(&["Dockerfile"]);
        let shown = dialogue(tree.path(), "-i --allow-dirty", answers);
        let now = std::fs::read_to_string(tree.path().join("Dockerfile")).unwrap();
        assert_eq!(now, with(changes), "{answers:?}: {shown}");
        let written = format!(
            "{} written",
            if changes.is_empty() {
                "0 files"
            } else {
                "1 file"
            }
        );
        assert!(shown.contains(&written), "{answers:?}: {shown}");
    }
}

#[test]
fn help_explanation_and_the_next_file() {
    let tree = tree(&["a/Dockerfile", "b/Dockerfile", "c/Dockerfile"]);
    let answers = ["x", "v", "e", "y", "d", "a", "q"];
    let shown = dialogue(tree.path(), "--interactive --allow-dirty", &answers);
    let read = |path: &str| std::fs::read_to_string(tree.path().join(path)).unwrap();
    assert_eq!(read("a/Dockerfile"), with(&[PIN]), "{shown}");
    assert_eq!(read("b/Dockerfile"), with(&[PIN, SLIM]));
    assert_eq!(read("c/Dockerfile"), TWO);
    for said in [
        "make it and all others in this file",
        "There is no other way to change these lines",
        "When it holds back:",
        "2 files written",
        "because",
    ] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
}

#[test]
fn changes_that_are_not_committed_are_refused() {
    let tree = tree(&["Dockerfile"]);
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        let status = command
            .args(args)
            .current_dir(tree.path())
            .status()
            .unwrap();
        assert!(status.success());
    };
    git(&["init", "-q"]);
    let shown = dialogue(tree.path(), "-i", &["a"]);
    assert!(shown.contains("was not written"), "{shown}");
    let now = std::fs::read_to_string(tree.path().join("Dockerfile")).unwrap();
    assert_eq!(now, TWO);
}

fn output(args: &[&str], folder: &Path, environment: &[(&str, &str)]) -> (String, String, i32) {
    let mut command = Command::new(BIN);
    command.args(args).current_dir(folder).stdin(Stdio::null());
    command.env("HOME", folder).env_remove("NO_COLOR");
    let output = command.envs(environment.iter().copied()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    (text(output.stdout), text(output.stderr), code)
}

#[test]
fn without_a_terminal_it_does_not_ask() {
    let tree = tree(&["Dockerfile"]);
    let (_, error, code) = output(&["-i"], tree.path(), &[]);
    assert_eq!(code, 2);
    assert!(error.contains("use --apply"), "{error}");
}

#[test]
fn lines_are_as_narrow_as_the_terminal() {
    let tree = tree(&["Dockerfile"]);
    let mut session = terminal(tree.path(), 40, "--color never");
    let seen = session.expect(Eof).unwrap();
    let shown = String::from_utf8_lossy(seen.as_bytes()).into_owned();
    let words: Vec<&str> = shown
        .lines()
        .take_while(|line| !line.starts_with("---"))
        .collect();
    assert!(words.len() > 8, "{shown}");
    for line in words {
        assert!(line.trim_end().chars().count() <= 40, "{line:?} in {shown}");
    }
}

/// The bar is on standard error alone, and only at a terminal that can take it
/// back: results are the same with and without.
#[test]
fn a_long_run_shows_how_far_it_is() {
    let names: Vec<String> = (0..1200).map(|n| format!("{n}/Dockerfile")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let tree = tree(&names);
    let (plain, error, code) = output(&["--check"], tree.path(), &[]);
    assert_eq!((error.as_str(), code), ("", 1));
    let at_terminal = |args: &str| {
        let mut session = terminal(tree.path(), 80, args);
        let seen = session.expect(Eof).unwrap();
        String::from_utf8_lossy(seen.as_bytes()).into_owned()
    };
    let out = tempfile::NamedTempFile::new().unwrap();
    let shown = at_terminal(&format!("-j 1 --check > {}", out.path().display()));
    assert!(shown.contains("of 1200 files"), "{shown:?}");
    // What is left at the end is an empty line.
    assert!(
        shown.trim_end_matches(['\r', '\n']).ends_with("\u{1b}[2K"),
        "{shown:?}"
    );
    assert_eq!(std::fs::read_to_string(out.path()).unwrap(), plain);
    // On one screen with the results no line of them has a piece of the bar.
    let shown = at_terminal("-j 1 --check --no-pager --color never");
    for name in plain.lines() {
        let whole = |line: &str| line.rsplit(['\r', 'K']).next() == Some(name);
        assert!(shown.split("\r\n").any(whole), "{name}: {shown:?}");
    }
    for silent in [
        "-j 1 --check --no-pager --no-progress",
        "-j 1 --check | cat",
    ] {
        let shown = at_terminal(silent);
        assert!(!shown.contains("of 1200 files"), "{silent}: {shown:?}");
    }
    let mut dumb = Command::new("sh");
    dumb.args(["-c", &format!("TERM=dumb exec '{BIN}' --check --no-pager")]);
    dumb.current_dir(tree.path()).env("HOME", tree.path());
    let mut session = Session::spawn(dumb).unwrap();
    session.set_expect_timeout(Some(Duration::from_secs(60)));
    let seen = session.expect(Eof).unwrap();
    let shown = String::from_utf8_lossy(seen.as_bytes()).into_owned();
    assert_eq!(shown.replace("\r\n", "\n"), plain);
}

#[test]
fn colours_are_for_terminals_that_have_them() {
    let tree = tree(&["Dockerfile"]);
    let at_terminal = |environment: &str| {
        let line = format!("{environment} DFMIGRATE_PAGER= '{BIN}'");
        at_a_terminal(tree.path(), &line)
    };
    assert!(at_terminal("").contains("\u{1b}["));
    for none in ["NO_COLOR=1", "TERM=dumb"] {
        let shown = at_terminal(none);
        assert!(shown.contains("pin node:20"), "{shown}");
        assert!(!shown.contains('\u{1b}'), "{none}: {shown:?}");
    }
    // A pager gets none, unless it is asked for.
    assert!(!output(&[], tree.path(), &[]).0.contains('\u{1b}'));
    assert!(
        output(&["--color", "always"], tree.path(), &[])
            .0
            .contains("\u{1b}[")
    );
}

/// What a terminal shows when a line of the shell is run at it, and how that
/// ended.
fn at_a_terminal(folder: &Path, line: &str) -> String {
    let mut session = shell(folder, &format!("{line}; echo ended with $?"), &[]);
    let seen = session.expect(Eof).unwrap();
    String::from_utf8_lossy(seen.as_bytes()).into_owned()
}

#[test]
fn a_pager_shows_what_is_long_at_a_terminal() {
    let tree = tree(&["Dockerfile"]);
    let pager = "sed 's/^/PAGED /'";
    for (line, paged) in [
        (format!("DFMIGRATE_PAGER=\"{pager}\" '{BIN}'"), true),
        (format!("PAGER=\"{pager}\" '{BIN}'"), true),
        (
            format!("PAGER=\"{pager}\" '{BIN}' --output-format concise"),
            true,
        ),
        (format!("PAGER=\"{pager}\" '{BIN}' --diff"), true),
        (format!("PAGER=\"{pager}\" '{BIN}' rules"), true),
        (format!("PAGER=\"{pager}\" '{BIN}' explain slim-base"), true),
        (format!("PAGER=\"{pager}\" '{BIN}' images"), true),
        (format!("PAGER=\"{pager}\" DFMIGRATE_PAGER= '{BIN}'"), false),
        (
            format!("PAGER=\"{pager}\" DFMIGRATE_PAGER=cat '{BIN}'"),
            false,
        ),
        (format!("PAGER=\"{pager}\" '{BIN}' --no-pager"), false),
        (format!("PAGER=\"{pager}\" '{BIN}' rules --no-pager"), false),
        (format!("PAGER=\"{pager}\" TERM=dumb '{BIN}'"), false),
        (format!("PAGER=\"{pager}\" '{BIN}' --check"), false),
        (
            format!("PAGER=\"{pager}\" '{BIN}' --output-format json"),
            false,
        ),
        (format!("PAGER=\"{pager}\" '{BIN}' catalog node:20"), false),
        (format!("PAGER=\"{pager}\" '{BIN}' | cat"), false),
        (format!("PAGER=\"{pager}\" '{BIN}' > out; cat out"), false),
    ] {
        let shown = at_a_terminal(tree.path(), &line);
        assert_eq!(shown.contains("PAGED "), paged, "{line}: {shown}");
        let code = if line.ends_with("--check") { 1 } else { 0 };
        assert!(
            shown.contains(&format!("ended with {code}")),
            "{line}: {shown}"
        );
        assert!(shown.matches('\n').count() > 1, "{line}: {shown}");
    }
    // It gets the terminal's colours and width, and every byte.
    let line = format!("stty cols 40; PAGER='cat > paged' '{BIN}'; cat paged");
    let paged = at_a_terminal(tree.path(), &line);
    let plain = at_a_terminal(tree.path(), &format!("stty cols 40; '{BIN}' --no-pager"));
    assert!(
        plain.contains("\u{1b}[") && plain.contains("+FROM"),
        "{plain}"
    );
    assert_eq!(
        paged.replace("ended with 0", ""),
        plain.replace("ended with 0", "")
    );
    // What is written does not hang on who reads.
    let line = format!("PAGER='head -c 1' '{BIN}' --apply --allow-dirty");
    at_a_terminal(tree.path(), &line);
    let now = std::fs::read_to_string(tree.path().join("Dockerfile")).unwrap();
    assert_eq!(now, with(&[PIN, SLIM]));
}

#[test]
fn a_pager_may_end_early_or_not_be_there() {
    let names: Vec<String> = (0..300).map(|n| format!("{n}/Dockerfile")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let tree = tree(&names);
    let shown = at_a_terminal(tree.path(), &format!("PAGER='head -n 1' '{BIN}'"));
    assert_eq!(shown.lines().count(), 2, "{shown}");
    assert!(shown.contains("ended with 0"), "{shown}");
    let shown = at_a_terminal(tree.path(), &format!("PAGER=/nonexistent/less '{BIN}'"));
    assert!(
        shown.contains("the pager \"/nonexistent/less\" can't be started"),
        "{shown}"
    );
    assert!(shown.contains("--no-pager"), "{shown}");
    // `less` is told to leave a short text on the screen and quit.
    let less = Command::new("less").arg("--version").output();
    if less.is_ok_and(|output| output.status.success()) {
        let shown = at_a_terminal(tree.path(), &format!("stty rows 50; '{BIN}' 7"));
        assert!(shown.contains("1 file: 1 would change"), "{shown}");
        assert!(
            shown.contains("\u{1b}[") && !shown.contains("ESC["),
            "{shown}"
        );
        assert!(shown.contains("ended with 0"), "{shown}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let names: Vec<String> = (0..300).map(|n| format!("{n}/Dockerfile")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let tree = tree(&names);
    for format in ["full", "json", "markdown"] {
        let line = format!("'{BIN}' --output-format {format} 2>err | head -c 10; echo; cat err");
        let output = Command::new("sh")
            .args(["-c", &line])
            .current_dir(tree.path())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(text.trim_end().lines().count(), 1, "{text}");
    }
}

#[test]
fn bash_completes_commands_and_options() {
    let tree = tree(&[]);
    let (script, _, code) = output(&["generate", "completions", "bash"], tree.path(), &[]);
    assert_eq!(code, 0);
    std::fs::write(tree.path().join("complete"), script).unwrap();
    let line = "source ./complete; COMP_WORDS=(dfmigrate --inter); COMP_CWORD=1; \
        _dfmigrate dfmigrate --inter dfmigrate; echo \"${COMPREPLY[@]}\"; \
        COMP_WORDS=(dfmigrate cat); _dfmigrate dfmigrate cat dfmigrate; echo \"${COMPREPLY[@]}\"";
    let output_of = Command::new("bash")
        .args(["-c", line])
        .current_dir(tree.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output_of.stdout);
    assert_eq!(
        text,
        "--interactive\ncatalog\n",
        "{}",
        String::from_utf8_lossy(&output_of.stderr)
    );
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        let (script, _, code) = output(&["generate", "completions", shell], tree.path(), &[]);
        assert_eq!(code, 0);
        assert!(script.contains("output-format"), "{shell}");
    }
}

#[test]
fn the_manual_says_every_option_and_command() {
    let tree = tree(&[]);
    let (page, _, code) = output(&["generate", "man"], tree.path(), &[]);
    assert_eq!(code, 0);
    let (help, _, _) = output(&["--help"], tree.path(), &[]);
    let plain = page.replace("\\-", "-");
    let mut options = 0;
    for word in help
        .split([' ', '\n', '=', ','])
        .filter(|word| word.starts_with("--"))
    {
        let word = word.trim_end_matches(|c: char| !c.is_ascii_alphabetic());
        if word.len() > 3 {
            assert!(plain.contains(word), "{word}");
            options += 1;
        }
    }
    assert!(options > 20, "only {options}");
    let (page, _, code) = output(&["generate", "man", "catalog"], tree.path(), &[]);
    assert_eq!(code, 0);
    assert!(page.contains(".TH dfmigrate-catalog 1"), "{page}");
    let (_, error, code) = output(&["generate", "man", "catlog"], tree.path(), &[]);
    assert_eq!(code, 2);
    assert!(error.contains("did you mean \"catalog\"?"), "{error}");
}
