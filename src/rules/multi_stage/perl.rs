//! What is particular to Perl: where modules lie, and which libraries they link.

use super::artifacts::below;
use super::compiled::need;
use super::{Outcome, Shape, Subject, listed, unique, written};
use crate::catalog::{bases, libraries};
use crate::model::effects::What;
use crate::model::join;
use crate::model::sources::Sources;

/// A release whose packages are known.
const KNOWN: &str = "bookworm";
/// Where the official image's interpreter looks for modules that are installed.
const SITE: &str = "/usr/local/lib/perl5/site_perl";
const PROGRAMS: &str = "/usr/local/bin";

/// Where the distribution's own interpreter lies, with its modules.
const SYSTEM_PERL: &str = "#!/usr/bin/perl";

pub(super) fn shape(subject: &Subject<'_, '_>, _: &Sources) -> Outcome<Shape> {
    written(subject)?;
    let mut shape = Shape::default();
    let mut names: Vec<String> = Vec::new();
    let mut unread: Vec<String> = Vec::new();
    let mut at = None;
    let mut transitive = true;
    for effect in &subject.ledger.effects {
        let installs = match effect.program.as_deref() {
            Some(tool @ ("cpanm" | "cpan" | "cpm" | "carton" | "perl")) => {
                tool != "perl" || effect.writes.iter().any(|write| write.path == SITE)
            }
            _ => false,
        };
        if !installs || effect.what == What::Nothing {
            continue;
        }
        at = Some(effect);
        let words: Vec<&str> = effect.args.iter().flatten().map(String::as_str).collect();
        let modules = words.iter().filter(|word| word.starts_with(|c: char| c.is_ascii_alphabetic()));
        names.extend(modules.map(|word| word.split(['@', '~']).next().unwrap_or(word).to_owned()));
        let project = words.iter().any(|word| matches!(*word, "--installdeps" | "." | "install"));
        if project {
            let file = words.iter().position(|word| *word == "--cpanfile");
            let file = file.and_then(|at| words.get(at + 1)).copied().unwrap_or("cpanfile");
            let path = join(Some(&effect.cwd), file).unwrap_or_default();
            let read = |path: &str| {
                let context = subject.ledger.copied.context_path(path)?;
                subject.cx.files.text(&context).yes()
            };
            let snapshot = read(&format!("{path}.snapshot"));
            match (read(&path), &snapshot) {
                (Some(text), _) => names.extend(required(&text)),
                (None, Some(_)) => {}
                (None, None) => unread.push(path),
            }
            if let Some(text) = snapshot {
                names.extend(distributions(&text));
                transitive = false;
            }
        }
    }
    names.retain(|name| !matches!(name.as_str(), "install" | "exec" | "notest"));
    names.sort();
    names.dedup();
    let site = |write: &crate::model::effects::Write| below(&write.path, SITE);
    if let Some(effect) = subject.ledger.effects.iter().find(|e| e.writes.iter().any(site)) {
        shape.copies.extend([SITE.to_owned(), PROGRAMS.to_owned()]);
        shape.because.push(format!(
            "line {}: modules and their programs lie in /usr/local, at the same path in both images",
            effect.line
        ));
    }
    // On one and the same image, nothing is missing that the file installs.
    if subject.last.tag == subject.tag {
        return Ok(shape);
    }
    let span = at.map(|effect| effect.span).unwrap_or_default();
    let mut unknown: Vec<&str> = Vec::new();
    for name in &names {
        let Some(needs) = libraries::cpan(name, subject.codename) else {
            let elsewhere = libraries::cpan(name, KNOWN);
            let links = elsewhere.as_ref().is_some_and(|needs| {
                needs.packages.iter().any(|p| !bases::interpreter_links("perl", KNOWN, p))
            });
            if links {
                return subject.refuse(
                    span,
                    format!("{name} links a library, and the package that has it on {} is not known", subject.codename),
                );
            }
            if elsewhere.is_none() {
                unknown.push(name);
            }
            continue;
        };
        for package in needs.packages {
            need(&mut shape, package, name);
        }
    }
    if !unknown.is_empty() {
        let shown = listed(&unknown);
        shape.caveats.push(format!(
            "no data says which system libraries {shown} may need: a module that was compiled against a library of the full image would miss it"
        ));
    } else if transitive && !names.is_empty() {
        shape.caveats.push(
            "which modules the named ones bring along is not known: one that was compiled against a library of the full image would miss it".to_owned(),
        );
    }
    for path in unique(unread.iter().map(String::as_str)) {
        shape.caveats.push(format!(
            "{path} could not be read in the build context: which libraries its modules need is not known"
        ));
    }
    system_perl(subject, &mut shape);
    Ok(shape)
}

/// A script whose first line names the distribution's own Perl, of which the
/// slim image has the smallest part.
fn system_perl(subject: &Subject<'_, '_>, shape: &mut Shape) {
    for demand in &subject.runtime.demands {
        let path = join(subject.cx.model.state_after(subject.stage.index).workdir.as_deref(), &demand.program);
        let context = path.and_then(|path| subject.ledger.copied.context_path(&path));
        let text = context.and_then(|context| subject.cx.files.text(&context).yes());
        if text.is_some_and(|text| text.starts_with(SYSTEM_PERL)) {
            need(shape, "perl", &format!("the first line of {}", demand.program));
        }
    }
}

/// The modules that a cpanfile requires.
fn required(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim_start);
    let names = lines.filter_map(|line| {
        let rest = ["requires", "recommends"].iter().find_map(|verb| line.strip_prefix(verb))?;
        let rest = rest.trim_start_matches([' ', '\t', '(']);
        let quote = rest.chars().next()?;
        match quote {
            '\'' | '"' => rest[1..].split(quote).next().map(str::to_owned),
            c if c.is_ascii_alphabetic() => rest.split([' ', ',', ';', '=', ')']).next().map(str::to_owned),
            _ => None,
        }
    });
    names.collect()
}

/// The distributions that a cpanfile.snapshot lists, as names of modules.
fn distributions(text: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("  "));
    let names = lines.filter(|line| !line.starts_with(' ')).filter_map(|line| {
        let (name, version) = line.trim().rsplit_once('-')?;
        version.starts_with(|c: char| c.is_ascii_digit() || c == 'v').then(|| name.replace('-', "::"))
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_of_a_cpanfile() {
        let text = "requires 'Plack', '1.0';\non test => sub {\n  requires \"Test::More\";\n};\nrequires(DBI);\n# requires 'X';\n";
        assert_eq!(required(text), ["Plack", "Test::More", "DBI"]);
    }

    #[test]
    fn distributions_of_a_snapshot() {
        let text = "# carton snapshot format: version 1.0\nDISTRIBUTIONS\n  DBD-Pg-3.18.0\n    pathname: T/TU/DBD-Pg-3.18.0.tar.gz\n    provides:\n      DBD::Pg v3.18.0\n  Plack-1.0051\n";
        assert_eq!(distributions(text), ["DBD::Pg", "Plack"]);
    }
}
