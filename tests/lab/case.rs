//! One case: its description, how it is run, and what is checked.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;

use crate::Lab;

/// Files of a case that are not part of its build context.
const OURS: [&str; 2] = ["case.toml", "forced.Dockerfile"];

/// Images that fixtures are written for and the laboratory does not hold, and what it
/// builds them on instead: the nearest version on the same release.
const INSTEAD: [(&str, &str); 2] = [
    ("python:3.12-bookworm", "python:3.11-bookworm"),
    ("python:3.12", "python:3.13"),
];

/// Tags that splits of fixtures stand on, and the laboratory's other name of each.
const RETAGGED: [(&str, &str); 2] = [
    ("python:3-slim-trixie", "python:3.13-slim-trixie"),
    ("python:3-trixie", "python:3.13-trixie"),
];

/// Families of the laboratory by the first word of a case's name.
const FAMILIES: [(&str, &str); 8] = [
    ("go", "golang"),
    ("java", "java"),
    ("nginx", "nginx"),
    ("node", "node"),
    ("php", "php"),
    ("python", "python"),
    ("ruby", "ruby"),
    ("rust", "rust"),
];

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Described {
    about: String,
    expect: String,
    verdict: Option<String>,
    port: Option<u16>,
    path: Option<String>,
    check: Option<String>,
    contains: String,
    forced: Option<String>,
    context: Option<PathBuf>,
    #[serde(default)]
    flags: Vec<String>,
    #[serde(default)]
    images: Vec<String>,
    #[serde(default)]
    retag: BTreeMap<String, String>,
    #[serde(default)]
    fast: bool,
}

/// A case.
pub struct Case {
    pub name: String,
    pub images: Vec<String>,
    pub fast: bool,
    /// It is a fixture of a rule, and tried only.
    pub fixture: bool,
    folder: PathBuf,
    described: Described,
}

/// What came of a case.
#[derive(Default)]
pub struct Row {
    pub name: String,
    pub about: String,
    /// It is a fixture of a rule.
    pub fixture: bool,
    /// What is left in the end: `split`, `alpine`, `slim` or `refuse`.
    pub shape: String,
    pub verdict: String,
    /// Bytes on disk.
    pub bytes: Option<(u64, u64)>,
    /// What was added by mending.
    pub mends: Vec<String>,
    /// Of a fixture: what it answers, or why it does not build.
    pub note: Option<String>,
    /// What was said of the rewrite by hand.
    pub forced: Option<String>,
    pub took: Duration,
    pub builder: String,
    pub problems: Vec<String>,
}

/// All cases below a folder, by name.
pub fn all(folder: &Path) -> Result<Vec<Case>, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut cases = Vec::new();
    for entry in entries {
        let folder = entry.map_err(|error| error.to_string())?.path();
        let file = folder.join("case.toml");
        let told = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
        let text = fs::read_to_string(&file).map_err(|error| told(&error))?;
        let described: Described = toml::from_str(&text).map_err(|error| told(&error))?;
        let name = folder.file_name().unwrap_or_default();
        let name = name.to_string_lossy().into_owned();
        let mut images = described.images.clone();
        let first = name.split('-').next();
        let family = FAMILIES.iter().find(|(word, _)| first == Some(*word));
        images.extend(family.map(|(_, family)| (*family).to_owned()));
        cases.push(Case {
            images,
            fast: described.fast,
            fixture: false,
            folder,
            described,
            name,
        });
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(cases)
}

/// The splits among a rule's fixtures that stand on Node.js or Python, by name.
pub fn fixtures(folder: &Path) -> Result<Vec<Case>, String> {
    let told = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
    let mut cases = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| told(folder, error))? {
        let folder = entry.map_err(|error| error.to_string())?.path();
        if !folder.join("after.Dockerfile").is_file() {
            continue;
        }
        let read = |name: &str| -> Result<String, String> {
            let file = folder.join(name);
            let text = fs::read(&file).map_err(|error| told(&file, error))?;
            Ok(String::from_utf8_lossy(&text).to_lowercase())
        };
        let text = read("Dockerfile")?;
        let copies = |text: &str| text.matches("copy --from=").count();
        if copies(&read("after.Dockerfile")?) <= copies(&text) {
            continue;
        }
        let first = text.lines().find_map(|line| line.strip_prefix("from "));
        let family = first.and_then(|image| image.trim().split(':').next());
        let Some(family) = family.filter(|it| ["node", "python"].contains(it)) else {
            continue;
        };
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        cases.push(Case {
            name: format!("multi-stage/{name}"),
            images: vec![family.to_owned()],
            fast: false,
            fixture: true,
            described: Described {
                expect: "split".to_owned(),
                retag: RETAGGED
                    .map(|(missing, held)| (missing.to_owned(), held.to_owned()))
                    .into(),
                ..Described::default()
            },
            folder,
        });
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(cases)
}

impl Case {
    /// Runs it and checks what comes out.
    pub fn run(&self, lab: &Lab) -> Row {
        let start = Instant::now();
        let mut row = Row {
            name: self.name.clone(),
            about: self.described.about.clone(),
            fixture: self.fixture,
            ..Row::default()
        };
        let checked = if lab.reports {
            self.reread(lab, &mut row)
        } else {
            let checked = self.check(lab, &mut row);
            row.took = start.elapsed();
            checked
        };
        if let Err(error) = checked {
            row.problems.push(error.to_string());
        }
        row
    }

    /// Judges what an earlier run has left.
    fn reread(&self, lab: &Lab, row: &mut Row) -> io::Result<()> {
        let out = lab.root.join("target/lab").join(&self.name);
        let report: Value = serde_json::from_slice(&fs::read(out.join("verify.json"))?)?;
        let before = fs::read_to_string(out.join("before.Dockerfile"))?;
        let after = fs::read_to_string(out.join("after.Dockerfile"))?;
        if self.fixture {
            row.about = fs::read_to_string(out.join("on.txt"))?;
        }
        self.judge(&report, &before, &after, row);
        let seconds = report["files"][0]["seconds"].as_f64();
        row.took = Duration::from_secs_f64(seconds.unwrap_or_default());
        if self.described.forced.is_some() {
            let report = serde_json::from_slice(&fs::read(out.join("forced.json"))?)?;
            self.judge_forced(&report, row);
        }
        Ok(())
    }

    fn check(&self, lab: &Lab, row: &mut Row) -> io::Result<()> {
        let out = lab.root.join("target/lab").join(&self.name);
        let _ = fs::remove_dir_all(&out);
        fs::create_dir_all(&out)?;
        for (missing, held) in &self.described.retag {
            docker(lab, &["pull", "--quiet", held])?;
            docker(lab, &["tag", held, missing])?;
        }
        let work = tempfile::tempdir()?;
        let context = match &self.described.context {
            Some(elsewhere) => lab.root.join(elsewhere),
            None if self.fixture => self.folder.join("context"),
            None => self.folder.clone(),
        };
        if context.is_dir() {
            copy(&context, work.path(), true)?;
        }
        let file = work.path().join("Dockerfile");
        if self.fixture {
            let text = fs::read_to_string(self.folder.join("Dockerfile"))?;
            let (text, instead) = on_what_there_is(&text);
            row.about = instead;
            if text.contains("npm ci") && lock(lab, work.path())? {
                row.about = format!("{} with a lock file that npm made", row.about);
                row.about = row.about.trim().to_owned();
            }
            fs::write(out.join("on.txt"), &row.about)?;
            fs::write(&file, text)?;
        }
        // The builder's own front end stands for the one that `# syntax` names,
        // which the laboratory does not hold.
        let text = without_syntax(&fs::read_to_string(&file)?);
        fs::write(&file, &text)?;
        fs::write(out.join("before.Dockerfile"), &text)?;
        commit(work.path())?;

        let report = self.verify(lab, work.path(), &["--apply", "--repair=3"], &out, "verify")?;
        let after = fs::read_to_string(&file)?;
        fs::write(out.join("after.Dockerfile"), &after)?;
        self.judge(&report, &text, &after, row);
        // What stepped down would be proposed again.
        if after != text && matches!(row.verdict.as_str(), "verified" | "mended") {
            let mut args = vec!["--check", "Dockerfile"];
            args.extend(self.described.flags.iter().map(String::as_str));
            let again = self.call(lab, work.path(), &args)?;
            if !again.status.success() {
                row.problems
                    .push("a second run would change it again".into());
            }
        }
        let forced = self.folder.join("forced.Dockerfile");
        if forced.is_file() {
            fs::write(&file, &text)?;
            let forced = forced.to_string_lossy().into_owned();
            let report = self.verify(lab, work.path(), &["--against", &forced], &out, "forced")?;
            self.judge_forced(&report, row);
        } else if self.described.forced.is_some() {
            row.problems.push("there is no forced.Dockerfile".into());
        }
        Ok(())
    }

    fn call(&self, lab: &Lab, folder: &Path, args: &[&str]) -> io::Result<Output> {
        let cache = lab.root.join("target/lab-cache");
        Command::new(&lab.dfmigrate)
            .args(args)
            .envs(&lab.env)
            .env("XDG_CACHE_HOME", cache)
            .current_dir(folder)
            .output()
    }

    /// `dfmigrate verify` of the Dockerfile in `folder`; its JSON report.
    fn verify(
        &self,
        lab: &Lab,
        folder: &Path,
        more: &[&str],
        out: &Path,
        name: &str,
    ) -> io::Result<Value> {
        let port = self.described.port.map(|port| port.to_string());
        let mut args = vec!["verify", "--run", "--output-format", "json"];
        for (flag, value) in [
            ("--port", &port),
            ("--path", &self.described.path),
            ("--check-cmd", &self.described.check),
        ] {
            if let Some(value) = value {
                args.extend([flag, value]);
            }
        }
        args.extend(self.described.flags.iter().map(String::as_str));
        args.extend(more);
        args.push("Dockerfile");
        let output = self.call(lab, folder, &args)?;
        fs::write(out.join(format!("{name}.json")), &output.stdout)?;
        fs::write(out.join(format!("{name}.log")), &output.stderr)?;
        let report: Value = serde_json::from_slice(&output.stdout).map_err(|error| {
            let said = String::from_utf8_lossy(&output.stderr);
            io::Error::other(format!("no report: {error}; it says: {said}"))
        })?;
        Ok(report)
    }

    fn judge(&self, report: &Value, before: &str, after: &str, row: &mut Row) {
        let file = &report["files"][0];
        row.builder = string(&report["builder"]);
        row.verdict = string(&file["verdict"]);
        let rules = strings(&file["rules"]);
        let has = |rule: &str| before != after && rules.iter().any(|r| r == rule);
        row.shape = if on_alpine(after) && !on_alpine(before) {
            "alpine"
        } else if has("multi-stage") {
            "split"
        } else if has("slim-base") {
            "slim"
        } else {
            "refuse"
        }
        .to_owned();
        if self.fixture {
            self.judge_fixture(file, row);
            return;
        }
        let expected = &self.described.expect;
        if !expected.split('|').any(|shape| shape == row.shape) {
            row.problems
                .push(format!("{expected} was expected, {} is left", row.shape));
        }
        let fine: &[&str] = match (&self.described.verdict, row.shape.as_str()) {
            (Some(verdict), _) => &[verdict.as_str()],
            (None, "refuse") => &["unchanged", "verified"],
            (None, _) => &["verified"],
        };
        if !fine.contains(&row.verdict.as_str()) {
            row.problems.push(format!(
                "the verdict is {}, not {}",
                row.verdict,
                fine.join(" or ")
            ));
            row.problems.extend(strings_of(&file["failure"]));
        }
        let rounds = file["rounds"].as_array().cloned().unwrap_or_default();
        for round in &rounds {
            let mends = round["mends"].as_array().into_iter().flatten();
            row.mends.extend(mends.map(|mend| string(&mend["what"])));
        }
        if !fine.contains(&row.verdict.as_str()) {
            for round in &rounds {
                row.problems.extend(strings(&round["problems"]));
                row.problems.extend(strings(&round["log"]));
            }
        }
        let Some(last) = rounds.last() else { return };
        row.problems.extend(self.unanswered(last));
        let bytes = &last["images"]["bytes"];
        if let (Some(was), Some(is)) = (bytes[0].as_u64(), bytes[1].as_u64()) {
            row.bytes = Some((was, is));
            if row.shape != "refuse" && is >= was {
                row.problems.push("the image is not smaller".into());
            }
        }
    }

    /// A fixture need not build, or answer: most hold just what their rule looks at. One
    /// that builds must hold after its split.
    fn judge_fixture(&self, file: &Value, row: &mut Row) {
        let rounds = file["rounds"].as_array().cloned().unwrap_or_default();
        if row.verdict == "before-fails" || row.verdict == "failed" {
            let failure = string(&file["failure"]);
            let mut lines: Vec<&str> = failure.lines().map(str::trim).collect();
            lines.retain(|line| !line.is_empty());
            let step = lines.first().copied().unwrap_or_default();
            // The first line that complains tells more than the last one.
            let why = lines.iter().skip(1).find(|line| {
                let line = line.to_lowercase();
                ["error", "not found", "unable", "could not", "no such"]
                    .iter()
                    .any(|word| line.contains(word))
            });
            let why = why.or(lines.get(1)).copied().unwrap_or_default();
            let why = why.trim_start_matches("| ");
            row.note = Some(format!("does not build as it is: {step} {why}"));
            return;
        }
        let Some(last) = rounds.last() else {
            row.problems.push("nothing is proposed".into());
            return;
        };
        let bytes = &last["images"]["bytes"];
        row.bytes = bytes[0].as_u64().zip(bytes[1].as_u64());
        let before = strings(&last["behaviour"]["before"]).join(", ");
        row.note = Some(format!("before and after: {before}"));
        for round in &rounds {
            let mends = round["mends"].as_array().into_iter().flatten();
            row.mends.extend(mends.map(|mend| string(&mend["what"])));
        }
        if !["verified", "mended"].contains(&row.verdict.as_str()) {
            for round in &rounds {
                row.problems.extend(strings(&round["problems"]));
            }
        }
    }

    /// What is wrong with the answer before: then nothing was proven.
    fn unanswered(&self, round: &Value) -> Option<String> {
        let behaviour = &round["behaviour"];
        if behaviour.is_null() {
            return None;
        }
        let answer = format!(
            "{}\n{}",
            string(&behaviour["text_before"]),
            strings(&behaviour["before"]).join(", ")
        );
        let wanted = &self.described.contains;
        (!answer.contains(wanted))
            .then(|| format!("the case itself is broken: {wanted:?} is not in {answer:?}"))
    }

    fn judge_forced(&self, report: &Value, row: &mut Row) {
        let file = &report["files"][0];
        let verdict = string(&file["verdict"]);
        let round = &file["rounds"][0];
        row.problems.extend(self.unanswered(round));
        let mut said = strings(&round["problems"]);
        said.extend(strings(&round["log"]));
        let text = string(&round["behaviour"]["text_after"]);
        said.extend(text.lines().map(|line| line.trim().to_owned()));
        let wanted = self.described.forced.clone().unwrap_or_default();
        let found = said.iter().find(|line| line.contains(&wanted));
        if verdict != "differs" {
            row.problems
                .push(format!("the rewrite by hand is {verdict}: why refuse?"));
        } else if wanted.is_empty() {
            row.problems.push(format!(
                "case.toml does not say how the rewrite by hand breaks; it is: {said:?}"
            ));
        } else if found.is_none() {
            row.problems.push(format!(
                "the rewrite by hand breaks in another way: {said:?}"
            ));
        }
        row.forced = found.cloned();
    }
}

/// Docker's own command line.
fn docker(lab: &Lab, args: &[&str]) -> io::Result<()> {
    let output = Command::new("docker").args(args).envs(&lab.env).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(io::Error::other(format!(
        "docker {}: {said}",
        args.join(" ")
    )))
}

/// Whether the last stage stands on an Alpine variant.
fn on_alpine(text: &str) -> bool {
    let mut lines = text.lines().rev();
    lines
        .find(|line| line.to_lowercase().starts_with("from "))
        .is_some_and(|line| line.contains("alpine"))
}

/// Makes the lock file that a fixture's context does without; whether it did.
fn lock(lab: &Lab, context: &Path) -> io::Result<bool> {
    let locks = ["package-lock.json", "npm-shrinkwrap.json"];
    let there = |name: &&str| context.join(name).is_file();
    if !there(&"package.json") || locks.iter().any(|name| there(name)) {
        return Ok(false);
    }
    let place = format!("{}:/w", context.display());
    let run = ["run", "--rm", "-v", &place, "-w", "/w", "node:20"];
    let npm = ["npm", "install", "--package-lock-only", "--ignore-scripts"];
    // Many fixtures name versions that there never were: then the build says so.
    Ok(docker(lab, &[&run[..], &npm].concat()).is_ok())
}

/// A fixture's text on images that the laboratory holds, and which those are, in words.
fn on_what_there_is(text: &str) -> (String, String) {
    for (wanted, instead) in INSTEAD {
        let first = text
            .lines()
            .find(|line| line.to_lowercase().starts_with("from "));
        if first.is_some_and(|line| line.contains(wanted)) {
            let words = format!("on {instead} instead of {wanted}");
            return (text.replacen(wanted, instead, 1), words);
        }
    }
    (text.to_owned(), String::new())
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(string).collect()
}

fn strings_of(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn copy(from: &Path, to: &Path, top: bool) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if top && OURS.iter().any(|ours| name == *ours) {
            continue;
        }
        let target = to.join(&name);
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy(&entry.path(), &target, false)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path())?, &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

fn without_syntax(text: &str) -> String {
    let mut top = true;
    let kept = text.split_inclusive('\n').filter(|line| {
        top &= line.starts_with('#');
        let directive = line.trim_start_matches('#').trim().to_lowercase();
        let names = directive
            .split_once('=')
            .is_some_and(|(key, _)| key.trim() == "syntax");
        !(top && names)
    });
    kept.collect()
}

/// A repository of its own: files that are not committed are not written over.
fn commit(folder: &Path) -> io::Result<()> {
    let name = [
        "-c",
        "user.name=lab",
        "-c",
        "user.email=lab@localhost",
        "-c",
        "commit.gpgsign=false",
    ];
    for args in [
        &["init", "-q", "."][..],
        &["add", "-A"],
        &["commit", "-q", "-m", "before"],
    ] {
        let status = Command::new("git")
            .args(name)
            .args(args)
            .current_dir(folder)
            .status()?;
        if !status.success() {
            return Err(io::Error::other("git fails"));
        }
    }
    Ok(())
}
