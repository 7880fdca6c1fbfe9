//! The readers of lock files and the oracle on real lock files, made by the
//! package managers themselves: what stands in the way of musl in each, and
//! how many packages were looked at.

use std::path::Path;

use dfmigrate::context::BuildContext;
use dfmigrate::facts::Files;
use dfmigrate::model::Model;
use dfmigrate::model::effects;
use dfmigrate::model::musl::{Answer, Processor, Question, Verdict, ask};
use dfmigrate::syntax;

const NODE: &str = "FROM node:22\nWORKDIR /app\nCOPY . .\nRUN INSTALL\nCMD [\"node\", \"x.js\"]\n";
const PYTHON: &str =
    "FROM python:3.12\nWORKDIR /app\nCOPY . .\nRUN uv sync\nCMD [\"python\", \"x.py\"]\n";

fn judge(folder: &Path, dockerfile: &str, image: &str) -> Answer {
    let file = syntax::parse(dockerfile.as_bytes().to_vec());
    let model = Model::of(&file);
    let files = BuildContext::new(folder.to_owned(), None);
    let files: &dyn Files = &files;
    let ledger = effects::ledger(&model, 0, files, "/");
    ask(&Question {
        model: &model,
        stage: 0,
        ledger: &ledger,
        files,
        image,
        python: (image == "python").then_some(12),
        processors: &[Processor::Amd64, Processor::Arm64],
    })
}

/// The names of the packages with that verdict, sorted.
fn named(answer: &Answer, verdict: Verdict) -> String {
    let found = answer.findings.iter().filter(|f| f.verdict == verdict);
    let mut names: Vec<&str> = found
        .map(|f| f.what.split(' ').next().unwrap_or_default())
        .collect();
    names.sort_unstable();
    names.dedup();
    names.join(" ")
}

#[test]
fn real_lock_files_are_judged_as_recorded() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/knowledge/lockfiles");
    if !root.is_dir() {
        eprintln!(
            "SKIPPED: {} is not there; NO real lock file was read",
            root.display()
        );
        return;
    }
    let expected = include_str!("locks.expected.txt");
    let mut out = String::new();
    for (ecosystem, dockerfile, image) in [("npm", NODE, "node"), ("pypi", PYTHON, "python")] {
        let mut folders: Vec<_> = std::fs::read_dir(root.join(ecosystem))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        folders.sort();
        for folder in folders {
            let install = if folder.join("pnpm-lock.yaml").exists() {
                "pnpm install"
            } else if folder.join("yarn.lock").exists() {
                "yarn install"
            } else {
                "npm ci"
            };
            let answer = judge(&folder, &dockerfile.replace("INSTALL", install), image);
            let name = folder.file_name().unwrap().to_string_lossy().into_owned();
            out.push_str(&format!(
                "{ecosystem}/{name}: {} packages\n",
                answer.packages
            ));
            for (word, verdict) in [
                ("needs", Verdict::Needs),
                ("unknown", Verdict::Unknown),
                ("blocked", Verdict::Blocker),
            ] {
                let names = named(&answer, verdict);
                if !names.is_empty() {
                    out.push_str(&format!("  {word}: {names}\n"));
                }
            }
        }
    }
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/locks.expected.txt");
        std::fs::write(path, &out).unwrap();
    } else {
        assert_eq!(out, expected);
    }
}
