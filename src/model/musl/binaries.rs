//! Programs, libraries and scripts that the build context copies in.

use super::{Answer, Question, Verdict};
use crate::facts::{Files, Known};
use crate::model::locks::elf::{self, Elf, Libc};

/// At most so many files of a context are looked at.
const MAX_FILES: usize = 6_000;
/// A program larger than this is not read.
const MAX_PROGRAM: u64 = 256 << 20;
/// Folders that hold no part of the program.
const SKIPPED: [&str; 4] = [".git", "node_modules", ".venv", "__pycache__"];
/// Names that no program has.
const TEXT: [&str; 22] = [
    ".c", ".cs", ".css", ".go", ".h", ".html", ".java", ".js", ".json", ".jsx", ".map", ".md",
    ".png", ".py", ".rb", ".rs", ".scss", ".svg", ".ts", ".tsx", ".txt", ".yml",
];

/// A file of the context that the system loads or runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    /// A program or library.
    Elf(Elf),
    /// A script, and the line after `#!`.
    Script(String),
}

/// The files of a context whose path fits, folder by folder.
pub fn context_files<'f>(
    files: &'f dyn Files,
    fits: impl Fn(&str) -> bool + 'f,
) -> impl Iterator<Item = String> + 'f {
    let mut folders = vec![String::new()];
    let mut seen = 0;
    let mut found: Vec<String> = Vec::new();
    while let Some(folder) = folders.pop() {
        let Known::Yes(entries) = files.list(&folder) else {
            continue;
        };
        for (name, is_folder) in entries {
            seen += 1;
            if seen > MAX_FILES {
                break;
            }
            let path = if folder.is_empty() {
                name.clone()
            } else {
                format!("{folder}/{name}")
            };
            if is_folder {
                if !SKIPPED.contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if fits(&path) {
                found.push(path);
            }
        }
    }
    found.into_iter()
}

/// What a file of the context is, by its first bytes.
pub(super) fn kind(files: &dyn Files, path: &str) -> Option<Found> {
    let head = files.head(path, 256).yes()?;
    if let Some(rest) = head.strip_prefix(b"#!") {
        let line = rest.split(|b| *b == b'\n').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line).trim().to_owned();
        return Some(Found::Script(line));
    }
    if !elf::is_elf(&head) {
        return None;
    }
    let bytes = files.bytes(path, MAX_PROGRAM).yes()?;
    elf::read(&bytes).map(Found::Elf)
}

/// Looks for programs and libraries for glibc among what is copied in.
pub(super) fn look(question: &Question<'_, '_>, answer: &mut Answer) {
    let copies: Vec<usize> = (0..question.ledger.effects.len())
        .filter(|&index| question.effect(index).program.is_none())
        .collect();
    let Some(&first) = copies.first() else {
        return;
    };
    let paths: Vec<String> = context_files(question.files, |path| {
        !TEXT.iter().any(|end| path.ends_with(end))
    })
    .collect();
    for path in paths {
        if !question.ledger.copied.copies(&path) {
            continue;
        }
        let Some(Found::Elf(elf)) = kind(question.files, &path) else {
            continue;
        };
        if !elf.loadable {
            continue;
        }
        let signal = "sys.elf";
        match elf.libc() {
            Libc::None | Libc::Musl => {}
            Libc::Glibc => answer.findings.push(question.finding(
                first,
                signal,
                Verdict::Blocker,
                path,
                format!(
                    "it is a program or library for glibc ({})",
                    elf.interpreter
                        .as_deref()
                        .or(elf.needed.first().map(String::as_str))
                        .unwrap_or("by its symbols")
                ),
            )),
            Libc::Untold => answer.findings.push(question.finding(
                first,
                signal,
                Verdict::Unknown,
                path,
                format!("it is a library that needs {}", elf.needed.join(", ")),
            )),
        }
    }
}
