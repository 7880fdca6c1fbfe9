//! What is particular to Ruby: where gems lie, what their extensions link, and
//! what Rails needs.

use super::compiled::need;
use super::{Outcome, Shape, Subject, libraries_of, listed, node, written};
use crate::catalog::{bases, libraries};
use crate::facts::Known;
use crate::model::effects::{Effect, What};
use crate::model::join;
use crate::model::sources::Sources;
use crate::text::Span;

/// A release whose packages are known.
const KNOWN: &str = "bookworm";

/// The gems of a bundle.
#[derive(Default)]
struct Bundle {
    /// Each gem, and whether one that was built beforehand is locked.
    gems: Vec<(String, bool)>,
    /// The folders of gems that lie in the project.
    paths: Vec<String>,
    /// Whether the gems that others depend on are among them.
    locked: bool,
}

pub(super) fn shape(subject: &Subject<'_, '_>, sources: &Sources) -> Outcome<Shape> {
    written(subject)?;
    let mut shape = Shape::default();
    let mut dirs: Vec<String> = Vec::new();
    let mut installer: Option<&Effect> = None;
    let mut gems: Vec<(String, bool)> = Vec::new();
    for (index, effect) in subject.ledger.effects.iter().enumerate() {
        if let What::NodeInstall { global: Some(packages), .. } = &effect.what {
            node::global(subject, index, effect, packages, &mut shape)?;
        }
        let verb = effect.args.iter().flatten().find(|arg| !arg.starts_with('-'));
        match (effect.program.as_deref(), verb.map(String::as_str)) {
            (Some("bundle" | "bundler"), None | Some("install" | "update" | "package" | "cache")) => {
                installer = Some(effect);
                let dir = folder(effect);
                if !dirs.contains(&dir) {
                    dirs.push(dir);
                }
            }
            (Some("gem"), Some("install")) => {
                installer.get_or_insert(effect);
                let names = effect.args.iter().flatten().skip_while(|arg| *arg != "install").skip(1);
                let names = names.take_while(|arg| !matches!(arg.as_str(), "-v" | "--version"));
                let names = names.filter(|arg| !arg.starts_with('-'));
                gems.extend(names.map(|name| (bare(name).to_owned(), false)));
            }
            _ => {}
        }
    }
    let mut unlocked = Vec::new();
    let mut paths = Vec::new();
    for dir in &dirs {
        let bundle = bundle(subject, dir);
        match &bundle {
            None => shape.caveats.push(format!(
                "{dir}/Gemfile.lock and Gemfile could not be read in the build context: which libraries the gems need is not known"
            )),
            Some(bundle) if !bundle.locked => unlocked.push(format!("{dir}/Gemfile.lock")),
            Some(_) => {}
        }
        if let Some(bundle) = bundle {
            gems.extend(bundle.gems);
            paths.extend(bundle.paths.iter().filter_map(|path| join(Some(dir), path)));
        }
    }
    for lock in unlocked {
        shape.caveats.push(format!(
            "{lock} is not in the build context: which gems the named ones bring along is not known, so a library of theirs may be missing"
        ));
    }
    if subject.last.tag == subject.tag {
        shape.caveats.clear();
    }
    specifications(subject, &paths)?;
    gems.sort();
    gems.dedup_by(|a, b| a.0 == b.0);
    needs(subject, &gems, installer, &mut shape)?;
    rails(subject, sources, &gems, &mut shape)?;
    Ok(shape)
}

/// `name:1.2` is a name.
fn bare(gem: &str) -> &str {
    gem.split(':').next().unwrap_or(gem)
}

/// Where the Gemfile of an install lies.
fn folder(effect: &Effect) -> String {
    let words: Vec<&str> = effect.args.iter().flatten().map(String::as_str).collect();
    let file = words.iter().enumerate().find_map(|(at, word)| match *word {
        "--gemfile" => words.get(at + 1).copied(),
        word => word.strip_prefix("--gemfile="),
    });
    let file = file.and_then(|file| join(Some(&effect.cwd), file));
    let folder = file.and_then(|file| Some(file.rsplit_once('/')?.0.to_owned()));
    folder.unwrap_or_else(|| effect.cwd.trim_end_matches('/').to_owned())
}

fn text(subject: &Subject<'_, '_>, path: &str) -> Option<String> {
    let context = subject.ledger.copied.context_path(path)?;
    subject.cx.files.text(&context).yes()
}

/// The gems of the project in a folder, by its lock or else by its Gemfile.
fn bundle(subject: &Subject<'_, '_>, dir: &str) -> Option<Bundle> {
    if let Some(lock) = text(subject, &format!("{dir}/Gemfile.lock")) {
        return Some(locked(&lock));
    }
    let file = text(subject, &format!("{dir}/Gemfile"))?;
    Some(Bundle {
        gems: named(&file).into_iter().map(|name| (name, false)).collect(),
        ..Bundle::default()
    })
}

/// The gems that `Gemfile.lock` lists: below `specs:`, four blanks deep.
fn locked(lock: &str) -> Bundle {
    let mut bundle = Bundle { locked: true, ..Bundle::default() };
    let mut section = "";
    for line in lock.lines() {
        if !line.starts_with(' ') {
            section = line.trim();
        } else if let Some(remote) = line.strip_prefix("  remote: ") {
            if section == "PATH" {
                bundle.paths.push(remote.trim().to_owned());
            }
        } else if let Some(spec) = line.strip_prefix("    ").filter(|s| !s.starts_with(' ')) {
            let Some((name, version)) = spec.split_once(" (") else {
                continue;
            };
            let built = version.trim_end_matches(')').contains("linux");
            match bundle.gems.iter_mut().find(|(gem, _)| gem == name) {
                Some((_, before)) => *before |= built,
                None => bundle.gems.push((name.to_owned(), built)),
            }
        }
    }
    bundle
}

/// The gems that a Gemfile names.
fn named(file: &str) -> Vec<String> {
    let lines = file.lines().map(str::trim_start);
    let rows = lines.filter_map(|line| {
        let rest = line.strip_prefix("gem")?.trim_start_matches([' ', '(']);
        let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        rest[1..].split(quote).next().map(str::to_owned)
    });
    rows.collect()
}

/// A gem that lies in the project has its specification read at each start,
/// and many of those ask git for their files.
fn specifications(subject: &Subject<'_, '_>, paths: &[String]) -> Outcome<()> {
    let installs = subject.ledger.effects.iter().any(|effect| match &effect.what {
        What::AptInstall { packages, .. } | What::ApkAdd { packages, .. } => {
            packages.iter().any(|package| package.name == "git")
        }
        _ => false,
    });
    if installs || subject.last.same_image && subject.last.tag == subject.tag {
        return Ok(());
    }
    for path in paths {
        let Some(folder) = subject.ledger.copied.context_path(path) else {
            continue;
        };
        let Known::Yes(entries) = subject.cx.files.list(&folder) else {
            continue;
        };
        for (name, _) in entries.iter().filter(|(name, _)| name.ends_with(".gemspec")) {
            let file = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            let asks = subject.cx.files.text(&file).yes().is_some_and(|text| text.contains("git ls-files"));
            if asks {
                return subject.advise(
                    Span::default(),
                    format!("{file} runs `git ls-files` whenever Bundler loads it, and {} has no git", subject.last.name()),
                    "if it is needed, install `git` in this file with apt-get and run again",
                );
            }
        }
    }
    Ok(())
}

fn needs(
    subject: &Subject<'_, '_>,
    gems: &[(String, bool)],
    installer: Option<&Effect>,
    shape: &mut Shape,
) -> Outcome<()> {
    // On one and the same image, nothing is missing that the file installs.
    if subject.last.tag == subject.tag {
        return Ok(());
    }
    let at = installer.map(|effect| effect.span).unwrap_or_default();
    let file = String::from_utf8_lossy(subject.cx.file.source());
    let mut unknown: Vec<&str> = Vec::new();
    let forced = file.contains("FORCE_RUBY_PLATFORM") || file.contains("force_ruby_platform");
    for (name, built) in gems {
        let Some(needs) = libraries::gem(name, subject.codename) else {
            // Its library has a name on that release, but which?
            let elsewhere = libraries::gem(name, KNOWN);
            let links = elsewhere.as_ref()
                .is_some_and(|needs| needs.packages.iter().any(|p| !bases::interpreter_links("ruby", KNOWN, p)));
            if links {
                return subject.refuse(
                    at,
                    format!("the gem {name} links a library, and the package that has it on {} is not known", subject.codename),
                );
            }
            if elsewhere.is_none() && !libraries::is_plain_gem(name) {
                unknown.push(name);
            }
            continue;
        };
        if let Some(why) = needs.refuse {
            return subject.refuse(at, format!("the bundle has {name}, which {why}"));
        }
        let compiled = needs.if_compiled.iter().filter(|_| !built || forced);
        for package in needs.packages.iter().chain(compiled) {
            need(shape, package, &format!("the gem {name}"));
        }
    }
    if file.contains("use-system-libraries") || file.contains("USE_SYSTEM_LIBRARIES") {
        for dev in ["libxml2-dev", "libxslt1-dev"] {
            libraries_of(subject, dev, "nokogiri, with the system's libraries", shape);
        }
    }
    if !unknown.is_empty() {
        let shown = listed(&unknown);
        shape.caveats.push(format!(
            "no data says which system libraries {shown} may need: a gem that was compiled against a library of the full image would miss it"
        ));
    }
    Ok(())
}

/// Rails compiles assets when they are asked for, unless it runs in production.
fn rails(
    subject: &Subject<'_, '_>,
    sources: &Sources,
    gems: &[(String, bool)],
    shape: &mut Shape,
) -> Outcome<()> {
    let has = |name: &str| gems.iter().any(|(gem, _)| gem == name);
    if !has("rails") && sources.mentions("Rails.application").is_none() {
        return Ok(());
    }
    let state = subject.cx.model.state_after(subject.stage.index);
    let scope = &subject.stage.scope;
    let environment = ["RAILS_ENV", "RACK_ENV"].iter().find_map(|name| {
        scope.value(name, state.variables).and_then(|value| value.clone().ok())
    });
    let command = subject.runtime.demands.iter().find_map(|demand| {
        let words = demand.args.iter();
        words.clone().find(|word| word.contains("production")).cloned()
    });
    let production = environment.as_deref().is_some_and(|env| env.starts_with("production"))
        || command.is_some();
    if production {
        return Ok(());
    }
    let bundler = ["shakapacker", "vite_rails", "vite_ruby", "webpacker"];
    if let Some(gem) = bundler.into_iter().find(|name| has(name)) {
        return subject.advise(
            Span::default(),
            format!("RAILS_ENV is not set to production in this file: in development, {gem} builds with Yarn and Node.js whenever assets are asked for"),
            "set RAILS_ENV to production, and compile the assets in the file",
        );
    }
    let node = ["execjs", "uglifier", "terser", "coffee-rails"];
    let compiles = node.into_iter().find(|name| has(name));
    shape.caveats.push(match compiles {
        Some(gem) => format!(
            "RAILS_ENV is not set to production here: in development, {gem} compiles assets when they are asked for, with the Node.js that this file installs"
        ),
        None => "RAILS_ENV is not set to production here: development gems stay, and assets are compiled when they are asked for".to_owned(),
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gems_of_a_lock() {
        let bundle = locked(
            "GIT\n  remote: https://x/y.git\n  specs:\n    y (1.0)\n\nPATH\n  remote: engines/core\n  specs:\n    core (0.1)\n\nGEM\n  remote: https://rubygems.org/\n  specs:\n    nokogiri (1.16.0)\n      racc (~> 1.4)\n    nokogiri (1.16.0-x86_64-linux)\n    racc (1.7.3)\n\nPLATFORMS\n  ruby\n\nDEPENDENCIES\n  nokogiri (>= 1)\n",
        );
        let names: Vec<(&str, bool)> = bundle.gems.iter().map(|(n, b)| (n.as_str(), *b)).collect();
        assert_eq!(names, [("y", false), ("core", false), ("nokogiri", true), ("racc", false)]);
        assert_eq!(bundle.paths, ["engines/core"]);
    }

    #[test]
    fn gems_of_a_gemfile() {
        let file = "source 'https://rubygems.org'\ngemspec\ngem 'pg', '~> 1'\n  gem(\"puma\")\n# gem 'x'\n";
        assert_eq!(named(file), ["pg", "puma"]);
    }
}
