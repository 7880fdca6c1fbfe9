//! The cases of `fixtures/lab`, built for real: `dfmigrate verify` with a real
//! builder, against a registry that serves images under Docker Hub's names.
//!
//! ```text
//! cargo test --test lab -- [--fast] [--table FILE] [-j N] [--reports] [CASE...]
//! ```
//! `--reports` builds nothing: it judges the reports that earlier runs left.
//!
//! A case is a build context with a Dockerfile and a `case.toml`:
//! - `about`: what it is about;
//! - `expect`: `split`, `alpine`, `slim` or `refuse`, or several with `|` between: what
//!   is left in the end (`refuse` also allows a tag that is merely pinned);
//! - `verdict`: what `verify` has to say, if not `verified` or `unchanged`;
//! - `port` and `path`, or `check`, or neither: what is asked of the containers;
//! - `contains`: what the answer before must hold, so that two broken images
//!   are not "the same";
//! - `forced`: what must be said of `forced.Dockerfile`, a rewrite by hand of a
//!   case that is to be refused, which shows that the refusal is right;
//! - `context`: a folder elsewhere in the repository, instead of the case's own;
//! - `flags`: more flags of `dfmigrate`, such as `--prefer=alpine`;
//! - `images`: families of the laboratory that it needs beside its name's;
//! - `retag`: images that the laboratory does not hold, each with the one of it
//!   that stands for it;
//! - `fast`: it is one of those that CI has time for.
//!
//! After the cases, the splits of Node.js and Python among the fixtures of `multi-stage`
//! are tried as well: those whose context is enough to build must hold.
//!
//! Before the cases, digests are held against other programs' and the engine's,
//! with Debian's own registry, open and with a password (`registry.rs`; the name
//! `registry` runs that alone).
//!
//! `LAB` is the laboratory's program (`../shared/lab/lab`). Without it, or
//! without root, nothing is built and that is said; in CI it is an error. What
//! was built, and the reports, stay in `target/lab/CASE/`.

mod case;
mod registry;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use case::Row;

/// What the command line asks for.
struct Asked {
    fast: bool,
    reports: bool,
    table: Option<PathBuf>,
    jobs: usize,
    names: Vec<String>,
}

/// The laboratory, up.
pub struct Lab {
    /// Variables that lead a builder to it.
    pub env: BTreeMap<String, String>,
    /// The program under test.
    pub dfmigrate: PathBuf,
    /// The repository.
    pub root: PathBuf,
    /// Nothing is built; the reports of earlier runs are judged.
    pub reports: bool,
}

fn asked() -> Result<Asked, String> {
    let mut asked = Asked {
        fast: false,
        reports: false,
        table: None,
        jobs: 2,
        names: Vec::new(),
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--fast" => asked.fast = true,
            "--reports" => asked.reports = true,
            "--table" => asked.table = Some(value()?.into()),
            "-j" => asked.jobs = value()?.parse().map_err(|_| "-j needs a number")?,
            name if name.starts_with('-') => return Err(format!("there is no option {name}")),
            name => asked.names.push(name.to_owned()),
        }
    }
    Ok(asked)
}

/// Why there is no laboratory here, if so.
fn absent(lab: &Path) -> Option<String> {
    if !lab.is_file() {
        return Some(format!("there is no laboratory at {}", lab.display()));
    }
    let id = Command::new("id").arg("-u").output().ok()?;
    (id.stdout.trim_ascii() != b"0").then(|| "the laboratory needs root".to_owned())
}

/// Brings the laboratory up with the images of some families.
fn up(lab: &Path, families: &BTreeSet<String>) -> Result<BTreeMap<String, String>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", lab.display());
    let status = Command::new(lab)
        .arg("up")
        .args(families)
        .status()
        .map_err(failed)?;
    if !status.success() {
        return Err("the laboratory does not come up".to_owned());
    }
    let output = Command::new(lab).arg("env").output().map_err(failed)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let pairs = text.lines().filter_map(|line| {
        let (name, value) = line.strip_prefix("export ")?.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    });
    Ok(pairs.collect())
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(why) => {
            eprintln!("lab: {why}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<ExitCode, String> {
    let asked = asked()?;
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut cases = case::all(&root.join("fixtures/lab"))?;
    if !asked.fast {
        cases.extend(case::fixtures(&root.join("fixtures/rules/multi-stage"))?);
    }
    let alone = asked.names == ["registry"];
    if alone {
        cases.clear();
    } else if !asked.names.is_empty() {
        for name in &asked.names {
            if !cases.iter().any(|case| case.name == *name) {
                return Err(format!("there is no case {name}"));
            }
        }
        cases.retain(|case| asked.names.contains(&case.name));
    }
    if asked.fast {
        cases.retain(|case| case.fast);
    }
    let lab = std::env::var_os("LAB").map_or_else(|| root.join("../shared/lab/lab"), PathBuf::from);
    if asked.reports {
        cases.retain(|case| {
            root.join("target/lab")
                .join(&case.name)
                .join("verify.json")
                .is_file()
        });
    } else if let Some(why) = absent(&lab) {
        eprintln!(
            "lab: SKIPPED: {} CASES WERE NOT BUILT OR COMPARED: {why}",
            cases.len()
        );
        let ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
        return Ok(ExitCode::from(u8::from(ci)));
    }
    let start = Instant::now();
    // Without a family the laboratory makes all that it can.
    let some = alone.then(|| "node".to_owned());
    let families = cases
        .iter()
        .flat_map(|case| case.images.iter().cloned())
        .chain(some);
    let lab = Lab {
        env: if asked.reports {
            BTreeMap::new()
        } else {
            up(&lab, &families.collect())?
        },
        reports: asked.reports,
        dfmigrate: PathBuf::from(env!("CARGO_BIN_EXE_dfmigrate")),
        root,
    };
    println!("lab: up after {} s", start.elapsed().as_secs());
    let mut wrong = Vec::new();
    if !asked.reports && (alone || asked.names.is_empty()) {
        wrong = registry::check(&lab);
        for problem in &wrong {
            println!("    | registry: {problem}");
        }
    }
    println!("{}", table::heading());
    let next = AtomicUsize::new(0);
    let rows: Mutex<BTreeMap<usize, Row>> = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..asked.jobs.clamp(1, cases.len().max(1)) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(at) else { return };
                    let row = case.run(&lab);
                    println!("{}", table::line(&row));
                    for problem in &row.problems {
                        println!("    | {problem}");
                    }
                    let mut rows = rows.lock().expect("no thread fails");
                    rows.insert(at, row);
                    // What is done is not lost when the rest is stopped.
                    if let Some(path) = &asked.table {
                        let page = table::page(&rows, cases.len(), &lab, start.elapsed());
                        if let Err(error) = std::fs::write(path, page) {
                            eprintln!("lab: {}: {error}", path.display());
                        }
                    }
                }
            });
        }
    });
    let rows: Vec<Row> = rows
        .into_inner()
        .expect("no thread fails")
        .into_values()
        .collect();
    let failed: Vec<&Row> = rows.iter().filter(|row| !row.problems.is_empty()).collect();
    let took = start.elapsed().as_secs();
    println!("{} cases, {} failed, {took} s", rows.len(), failed.len());
    for row in &failed {
        println!("    {}: see target/lab/{}", row.name, row.name);
    }
    Ok(ExitCode::from(u8::from(
        !failed.is_empty() || !wrong.is_empty(),
    )))
}
