//! Every rule by its fixtures: `fixtures/rules/RULE/CASE/` has a `Dockerfile`,
//! its `context/` if it has one, `expect.toml` (the rules that are chosen, and
//! part of the reason of a refusal; in `packages` and `paths` what builds have
//! shown to be missing; the day of the run in `today`; a policy in `allow-*`; in
//! `held` rules that propose and are held), and `after.Dockerfile` where something
//! changes. `UPDATE_FIXTURES=1` writes what comes out; look at it.
//! Where registries are asked, `facts.toml` has what they
//! said; `expect.toml` can have `select`, `platforms` and `min_age_hours`, and
//! parts of doubts (`but`) and reasons (`because`) that a rewrite must have.

use std::path::{Path, PathBuf};

use dfmigrate::catalog::Date;
use dfmigrate::context::BuildContext;
use dfmigrate::facts::{Facts, Files, Images, NoFiles, NoImages};
use dfmigrate::model::trust;
use dfmigrate::plan::{Options, Plan, plan};
use dfmigrate::registry::{Config, Lock, Mode, Policy, Record, Registry, Stores};
use dfmigrate::rules::{self, Mend, Missing, PinOptions, Prefer};

fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/rules");
    let mut found = Vec::new();
    for rule in std::fs::read_dir(&root).expect("there are fixtures") {
        let rule = rule.expect("it is read").path();
        let cases = std::fs::read_dir(&rule).expect("a rule has cases");
        found.extend(cases.map(|case| case.expect("it is read").path()));
    }
    found.sort();
    found
}

/// A list of words of `expect.toml`.
fn listed(expect: &toml::Table, key: &str) -> Vec<String> {
    let words = expect.get(key).and_then(toml::Value::as_array);
    let words = words.into_iter().flatten().filter_map(toml::Value::as_str);
    words.map(str::to_owned).collect()
}

/// What `expect.toml` says that builds have shown to be missing.
fn mends(expect: &toml::Table) -> Vec<Mend> {
    let missing = |key: &str, of: fn(String) -> Missing| -> Vec<Mend> {
        let names = listed(expect, key).into_iter();
        names
            .map(|name| Mend {
                what: of(name),
                why: "the built image lacks it".to_owned(),
            })
            .collect()
    };
    [
        missing("packages", Missing::Package),
        missing("paths", Missing::Path),
    ]
    .concat()
}

/// The texts of a list in a table.
fn texts(table: &toml::Table, key: &str) -> Vec<String> {
    let list = table.get(key).and_then(toml::Value::as_array);
    let texts = list.into_iter().flatten().filter_map(toml::Value::as_str);
    texts.map(str::to_owned).collect()
}

/// What registries are recorded to have said; nothing without `facts.toml`.
fn images(case: &Path) -> Box<dyn Images> {
    let Ok(facts) = std::fs::read_to_string(case.join("facts.toml")) else {
        return Box::new(NoImages);
    };
    let facts: toml::Table = facts.parse().expect("facts.toml is TOML");
    let said = texts(&facts, "said")
        .into_iter()
        .map(|line| Record::parse(&line).unwrap_or_else(|| panic!("{}: {line}", case.display())));
    Box::new(Registry::new(Config {
        mode: Mode::Locked,
        policy: Policy::default(),
        stores: Stores::default(),
        cache: None,
        lock: Lock::default().with(said),
    }))
}

fn run(case: &Path, text: Vec<u8>, expect: &toml::Table) -> Plan {
    let context = case.join("context");
    let files: Box<dyn Files> = if context.is_dir() {
        Box::new(BuildContext::new(context, None))
    } else {
        Box::new(NoFiles)
    };
    let asks_alpine = expect.get("prefer").and_then(toml::Value::as_str) == Some("alpine");
    let mut options = Options {
        mends: mends(expect),
        prefer: if asks_alpine {
            Prefer::Alpine
        } else {
            Prefer::Slim
        },
        select: listed(expect, "select").into_iter().collect(),
        pins: PinOptions {
            online: false,
            platforms: texts(expect, "platforms"),
            min_age: expect
                .get("min_age_hours")
                .and_then(toml::Value::as_integer)
                .map(jiff::SignedDuration::from_hours),
        },
        policy: trust::Policy {
            registries: listed(expect, "allow-registry"),
            classes: listed(expect, "allow-class"),
            images: listed(expect, "allow-image"),
            also: Vec::new(),
        },
        ..Options::default()
    };
    if let Some(day) = expect.get("today").and_then(toml::Value::as_str) {
        options.today = Date::parse(day).expect("a day");
    }
    let images = images(case);
    let facts = Facts::offline(files.as_ref()).asking(images.as_ref());
    plan(text, facts, &options)
}

fn faults(case: &Path) -> Vec<String> {
    let mut faults = Vec::new();
    let before = std::fs::read(case.join("Dockerfile")).expect("a case has a Dockerfile");
    let expect = std::fs::read_to_string(case.join("expect.toml")).expect("and an expect.toml");
    let expect: toml::Table = expect.parse().expect("which is TOML");
    let planned = run(case, before.clone(), &expect);
    if !planned.errors().is_empty() {
        faults.push(format!("syntax errors: {:?}", planned.errors()));
    }
    let mut chosen: Vec<&str> = planned.chosen.iter().map(|r| r.rule).collect();
    chosen.sort_unstable();
    chosen.dedup();
    let wanted: Vec<&str> = expect["chosen"]
        .as_array()
        .map(|rules| rules.iter().filter_map(toml::Value::as_str).collect())
        .unwrap_or_default();
    if chosen != wanted {
        faults.push(format!(
            "chosen {chosen:?}, not {wanted:?}; held {:?}; refused {:?}",
            planned
                .held
                .iter()
                .map(|h| (h.rewrite.rule, h.reason.clone()))
                .collect::<Vec<_>>(),
            planned.refusals
        ));
    }
    for rule in listed(&expect, "held") {
        if !planned.held.iter().any(|held| held.rewrite.rule == rule) {
            faults.push(format!(
                "{rule} is not held; refused {:?}",
                planned.refusals
            ));
        }
    }
    if let Some(part) = expect.get("refused").and_then(toml::Value::as_str)
        && !planned
            .refusals
            .iter()
            .any(|refusal| refusal.why.contains(part))
    {
        faults.push(format!("no refusal says {part:?}: {:?}", planned.refusals));
    }
    let silent = expect.get("silent").and_then(toml::Value::as_bool) == Some(true);
    if silent && !planned.refusals.is_empty() {
        faults.push(format!("it should say nothing: {:?}", planned.refusals));
    }
    for part in texts(&expect, "but") {
        let mut caveats = planned.chosen.iter().flat_map(|rewrite| rewrite.caveats());
        if !caveats.any(|caveat| caveat.contains(&part)) {
            faults.push(format!("no rewrite says {part:?}: {:?}", planned.chosen));
        }
    }
    for part in texts(&expect, "because") {
        let mut reasons = planned.chosen.iter().flat_map(|rewrite| &rewrite.because);
        if !reasons.any(|reason| reason.contains(&part)) {
            faults.push(format!(
                "no rewrite is because {part:?}: {:?}",
                planned.chosen
            ));
        }
    }
    let path = case.join("after.Dockerfile");
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        if planned.changes() {
            std::fs::write(&path, &planned.after).expect("it is written");
        } else {
            let _ = std::fs::remove_file(&path);
        }
    }
    let after = std::fs::read(&path).unwrap_or(before);
    if planned.after != after {
        faults.push(format!(
            "comes out as\n{}",
            String::from_utf8_lossy(&planned.after)
        ));
    }
    let again = run(case, planned.after, &expect);
    if again.changes() {
        faults.push("a second run changes it again".to_owned());
    }
    faults
}

#[test]
fn every_fixture_is_as_expected() {
    let mut failed = Vec::new();
    let cases = cases();
    for case in &cases {
        for fault in faults(case) {
            failed.push(format!("{}: {fault}", case.display()));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
    assert!(cases.len() >= 40, "only {} cases", cases.len());
}

#[test]
fn every_rule_has_an_example_a_case_left_alone_and_one_without_a_context() {
    for rule in rules::all() {
        let id = rule.meta().id;
        let own: Vec<PathBuf> = cases()
            .into_iter()
            .filter(|case| case.parent().is_some_and(|dir| dir.ends_with(id)))
            .collect();
        let chosen = |case: &PathBuf| {
            let text = std::fs::read_to_string(case.join("expect.toml")).unwrap_or_default();
            text.lines().next().unwrap_or_default().contains(id)
        };
        assert!(own.iter().any(chosen), "{id} has no example");
        assert!(
            own.iter().any(|case| !chosen(case)),
            "{id} leaves nothing alone"
        );
        let bare = |case: &PathBuf| !case.join("context").exists();
        assert!(own.iter().any(bare), "{id} has no case without a context");
    }
}
