//! The documentation is true: every command in it runs, every file that it
//! includes is a tested fixture, every link leads somewhere, and what is made
//! from the program is what the program makes.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// README.md and the pages of the book.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(ROOT);
    let mut pages = vec![root.join("README.md"), root.join("CONTRIBUTING.md")];
    for folder in ["docs", "docs/guides"] {
        for entry in std::fs::read_dir(root.join(folder)).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|end| end == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

/// The commands of the `console` blocks, and where each stands.
fn commands() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for page in pages() {
        let mut inside = false;
        for (at, line) in text(&page).lines().enumerate() {
            if line.starts_with("```") {
                inside = line == "```console";
            } else if let Some(command) = line.strip_prefix("$ ").filter(|_| inside) {
                let name = page.strip_prefix(ROOT).expect("below").display();
                found.push((format!("{name}:{}", at + 1), command.to_owned()));
            }
        }
    }
    found
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).expect("it is copied")),
        }
    }
}

/// A repository such as the documentation has in mind.
fn repository() -> tempfile::TempDir {
    let tree = tempfile::tempdir().expect("a folder");
    let example = Path::new(ROOT).join("fixtures/example");
    copy(&example.join("node"), tree.path());
    copy(&example.join("python"), &tree.path().join("service"));
    let put =
        |name: &str, text: &str| std::fs::write(tree.path().join(name), text).expect("written");
    put("in.jsonl", "{\"id\": 1, \"text\": \"FROM node:20\\n\"}\n");
    std::fs::create_dir_all(tree.path().join(".local/share/bash-completion/completions"))
        .expect("a folder");
    for args in [
        &["init", "-q"][..],
        &["add", "-A"],
        &[
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@b",
            "commit",
            "-qm",
            "x",
        ],
    ] {
        let status = Command::new("git")
            .args(args)
            .current_dir(tree.path())
            .status();
        assert!(status.expect("git is there").success());
    }
    tree
}

#[test]
fn every_command_runs() {
    let program = Path::new(env!("CARGO_BIN_EXE_dfmigrate"));
    let mut path = std::ffi::OsString::from(program.parent().expect("a folder"));
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let commands = commands();
    let mut ran = 0;
    for (place, command) in &commands {
        // The project's own commands build it and run this test.
        let own = ["cargo ", "./test"];
        // tests/packaging.rs runs each of these of that page.
        let packaging = ["packaging/", "npm ", "python3 "];
        let installs = place.starts_with("docs/install.md:");
        if own.iter().any(|own| command.starts_with(own))
            || installs && packaging.iter().any(|it| command.starts_with(it))
        {
            continue;
        }
        assert!(
            command.split([' ', '|']).any(|word| word == "dfmigrate"),
            "{place}: {command}: it is not run by any test"
        );
        let tree = repository();
        // Builds are for the tests of `verify`; here its arguments are read, and
        // it says that the builder is not there.
        let builds = command.contains("verify ") || command.contains("--verified");
        let bare = command.split('#').next().unwrap_or_default().trim_end();
        let line = match builds {
            true if command.contains("--verified") => format!(
                "PATH='{}' {bare}",
                program.parent().expect("a folder").display()
            ),
            true => format!("{bare} --builder /nonexistent/docker"),
            // There is something to undo after a run.
            false if bare == "dfmigrate undo" => format!("dfmigrate -q --apply && {bare}"),
            false => bare.to_owned(),
        };
        let output = Command::new("sh")
            .args(["-c", &line])
            .current_dir(tree.path())
            .env("PATH", &path)
            .env("HOME", tree.path())
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_STATE_HOME")
            .stdin(Stdio::null())
            .output()
            .expect("a shell");
        let error = String::from_utf8_lossy(&output.stderr);
        let code = output.status.code();
        let expected = match () {
            () if builds => {
                error.contains("docker") && !error.contains("Usage:") && code == Some(2)
            }
            // At no terminal it says so.
            () if bare.contains("--interactive") => error.contains("asks at a terminal"),
            () if bare.contains("--check") || bare.contains("--fail-on") => {
                matches!(code, Some(0 | 1))
            }
            () => code == Some(0),
        };
        assert!(expected, "{place}: {line}: {code:?}\n{error}");
        ran += 1;
    }
    assert!(ran > 35, "only {ran} of {}", commands.len());
}

#[test]
fn what_is_included_is_tested_and_links_lead_somewhere() {
    let mut included = 0;
    let mut linked = 0;
    for page in pages() {
        let folder = page.parent().expect("a folder");
        let text = text(&page);
        for (at, _) in text.match_indices("{{#include ") {
            let rest = &text[at + "{{#include ".len()..];
            let path = folder.join(&rest[..rest.find("}}").expect("its end")]);
            let real = path
                .canonicalize()
                .unwrap_or_else(|why| panic!("{}: {why}", path.display()));
            // tests/rules.rs runs every folder there.
            assert!(
                real.starts_with(Path::new(ROOT).join("fixtures/rules")),
                "{}",
                path.display()
            );
            if real.ends_with("after.Dockerfile") {
                let before = real
                    .with_file_name("Dockerfile")
                    .canonicalize()
                    .expect("a file before");
                let before = before
                    .strip_prefix(ROOT)
                    .expect("below")
                    .display()
                    .to_string();
                assert!(
                    text.contains(&before),
                    "{}: without {before}",
                    page.display()
                );
            }
            included += 1;
        }
        for (at, _) in text.match_indices("](") {
            let rest = &text[at + 2..];
            let target = &rest[..rest.find(')').expect("its end")];
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            if file.starts_with("http") {
                continue;
            }
            let to = if file.is_empty() {
                page.clone()
            } else {
                folder.join(file)
            };
            assert!(to.exists(), "{}: {target}", page.display());
            if !anchor.is_empty() {
                let heads = self::text(&to);
                let mut heads = heads.lines().filter(|line| line.starts_with('#'));
                let meets = |line: &str| {
                    line.trim_start_matches('#')
                        .trim()
                        .to_lowercase()
                        .replace(' ', "-")
                        == anchor
                };
                assert!(heads.any(meets), "{}: {target}", page.display());
            }
            linked += 1;
        }
    }
    assert!(included > 40, "only {included}");
    assert!(linked > 30, "only {linked}");
}

#[test]
fn each_rule_has_its_guide_and_the_book_has_all_pages() {
    let summary = text(&Path::new(ROOT).join("docs/SUMMARY.md"));
    for rule in dfmigrate::rules::all() {
        let id = rule.meta().id;
        assert!(summary.contains(&format!("(guides/{id}.md)")), "{id}");
    }
    for page in pages() {
        let Ok(name) = page.strip_prefix(Path::new(ROOT).join("docs")) else {
            continue;
        };
        let name = name.display().to_string();
        assert!(
            name == "SUMMARY.md" || summary.contains(&format!("({name})")),
            "{name}"
        );
    }
}

#[test]
fn the_reference_of_rules_is_what_the_program_prints() {
    let output = Command::new(env!("CARGO_BIN_EXE_dfmigrate"))
        .args(["generate", "rules"])
        .output()
        .expect("the program starts");
    let printed = String::from_utf8(output.stdout).expect("it prints UTF-8");
    let page = Path::new(ROOT).join("docs/rules.md");
    if std::env::var_os("SNAPSHOTS").is_some_and(|how| how == "overwrite") {
        std::fs::write(&page, &printed).expect("it is written");
    }
    assert!(
        printed == text(&page),
        "docs/rules.md is old: SNAPSHOTS=overwrite cargo test --test docs writes it anew"
    );
}

#[test]
fn settings_that_are_shown_are_settings() {
    let mut shown = 0;
    for page in pages() {
        let text = text(&page);
        for part in text.split("```toml\n").skip(1) {
            let settings = &part[..part.find("```").expect("its end")];
            let tree = repository();
            std::fs::write(tree.path().join("dfmigrate.toml"), settings).expect("written");
            let output = Command::new(env!("CARGO_BIN_EXE_dfmigrate"))
                .args(["--show-settings"])
                .current_dir(tree.path())
                .env("HOME", tree.path())
                .output()
                .expect("the program starts");
            assert!(
                output.status.success(),
                "{settings}{}",
                String::from_utf8_lossy(&output.stderr)
            );
            shown += 1;
        }
    }
    assert!(shown > 0);
    // Each key of the schema has its row in the table.
    let schema: serde_json::Value =
        serde_json::from_str(&dfmigrate::settings::schema()).expect("JSON");
    let page = text(&Path::new(ROOT).join("docs/settings.md"));
    for key in schema["properties"].as_object().expect("properties").keys() {
        let said = [
            format!("`{key}`"),
            format!("`[{key}]`"),
            format!("`[[{key}]]`"),
        ];
        assert!(said.iter().any(|form| page.contains(form)), "{key}");
    }
}
