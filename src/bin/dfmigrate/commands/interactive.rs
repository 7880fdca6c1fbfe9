//! `--interactive`: rewrite by rewrite, as `git add -p` does it for hunks.
//!
//! What is asked and answered goes line by line, so that it works on every
//! terminal. A file is written once its rewrites were all answered.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use anyhow::bail;
use dfmigrate::apply::Journal;
use dfmigrate::context::Contexts;
use dfmigrate::discover::{self, Source};
use dfmigrate::plan::{self, Plan, Reason};
use dfmigrate::report::{Counts, one_line, review_diff, review_rewrite, style, syntax_errors};
use dfmigrate::rules::{self, Rewrite};
use dfmigrate::settings::Resolver;

use super::network::Network;
use super::review::{Change, write_all};
use super::settings;
use crate::args::Args;
use crate::exit;
use crate::pager::Screen;

const HELP: &str = "\
y - make this change
n - do not make it
a - make it and all others in this file
d - make neither it nor any other in this file
v - show another way to change these lines, where there is one
e - explain the rule
q - quit; what was answered with y is written
? - print this help
";

/// What to do after a file.
enum Next {
    File,
    Quit,
}

pub fn run(
    args: &Args,
    sources: &[Source],
    resolver: &Resolver,
    contexts: &Contexts,
    network: &Network,
) -> anyhow::Result<u8> {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        bail!(
            "--interactive asks at a terminal, and this is none: use --apply, or --diff to choose by hand"
        );
    }
    let mut total = Counts::default();
    let mut asked = 0;
    let mut journal = super::undo::journal();
    for source in sources {
        let Some(plan) = planned(source, resolver, contexts, network, &mut total) else {
            continue;
        };
        if plan.chosen.is_empty() {
            continue;
        }
        asked += 1;
        let (accepted, next) = ask(&source.shown, &plan)?;
        if !accepted.is_empty() {
            write(source, &plan, accepted, args, &mut journal, &mut total);
        }
        if matches!(next, Next::Quit) {
            break;
        }
    }
    if !args.quiet {
        let files = |count: usize| format!("{count} {}", if count == 1 { "file" } else { "files" });
        let said = match asked {
            0 => format!("{}: nothing to do", files(total.files)),
            _ => format!("{} written", files(total.changed)),
        };
        anstream::println!("{said}");
    }
    Ok(match total.failed {
        0 => exit::DONE,
        _ => exit::SOME_FAILED,
    })
}

/// The plan of a file; failures are said and counted.
fn planned(
    source: &Source,
    resolver: &Resolver,
    contexts: &Contexts,
    network: &Network,
    total: &mut Counts,
) -> Option<Plan> {
    total.files += 1;
    let mut failed = |text: String| {
        total.failed += 1;
        anstream::eprint!("{text}");
        None
    };
    let settings = match settings::of(source, resolver) {
        Ok(settings) => settings,
        Err(error) => return failed(format!("dfmigrate: {error}\n")),
    };
    let bytes = match discover::read(source, discover::MAX_BYTES) {
        Ok(bytes) => bytes,
        Err(error) => {
            let (path, why) = (one_line(&source.shown), error.to_string());
            return failed(format!("dfmigrate: {path}: {}\n", one_line(&why)));
        }
    };
    let context = contexts.of(source);
    let facts = network.facts(&context);
    let plan = match super::guarded(|| plan::plan(bytes, facts, &settings.options)) {
        Ok(plan) => plan,
        Err(why) => {
            let path = one_line(&source.shown);
            return failed(format!("dfmigrate: {path}: {}\n", one_line(&why)));
        }
    };
    match plan.errors().is_empty() {
        true => Some(plan),
        false => failed(syntax_errors(&source.shown, &plan)),
    }
}

/// Asks for each rewrite of a file; those that are to be made.
fn ask(shown: &str, plan: &Plan) -> anyhow::Result<(Vec<Rewrite>, Next)> {
    let mut accepted: Vec<Rewrite> = Vec::new();
    let mut everything = false;
    for (at, chosen) in plan.chosen.iter().enumerate() {
        // One that is part of what was accepted is made already.
        let missing = |rewrite: &Rewrite| {
            let made: Vec<_> = accepted.iter().flat_map(|it| it.edits.iter()).collect();
            rewrite.edits.iter().any(|edit| !made.contains(&edit))
        };
        if !missing(chosen) {
            continue;
        }
        if everything {
            accepted.push(chosen.clone());
            continue;
        }
        let ways = ways(plan, chosen);
        let mut way = 0;
        show(shown, plan, ways[way]);
        loop {
            let place = format!("({}/{})", at + 1, plan.chosen.len());
            match answer(&place)?.as_str() {
                "y" => accepted.push(ways[way].clone()),
                "n" => {}
                "a" => {
                    accepted.push(ways[way].clone());
                    everything = true;
                }
                "d" => return Ok((accepted, Next::File)),
                "q" => return Ok((accepted, Next::Quit)),
                "v" if ways.len() > 1 => {
                    way = (way + 1) % ways.len();
                    show(shown, plan, ways[way]);
                    continue;
                }
                "v" => {
                    anstream::println!("There is no other way to change these lines.");
                    continue;
                }
                "e" => {
                    if let Some(rule) = rules::find(ways[way].rule) {
                        let meta = rule.meta();
                        anstream::println!("{}: {}\n\n{}\n", meta.id, meta.summary, meta.docs);
                    }
                    continue;
                }
                _ => {
                    anstream::print!("{HELP}");
                    continue;
                }
            }
            break;
        }
    }
    Ok((accepted, Next::File))
}

/// A rewrite, and those that were held back because it changes the same lines.
fn ways<'a>(plan: &'a Plan, chosen: &'a Rewrite) -> Vec<&'a Rewrite> {
    let clashes = |other: &Rewrite| chosen.edits.merge(&other.edits).is_err();
    let held = plan
        .held
        .iter()
        .filter(|held| matches!(held.reason, Reason::Conflict(_)) && clashes(&held.rewrite));
    std::iter::once(chosen)
        .chain(held.map(|held| &held.rewrite))
        .collect()
}

fn show(shown: &str, plan: &Plan, rewrite: &Rewrite) {
    let before = plan.before.source();
    let after = rewrite.edits.apply(before);
    let width = Screen::plain().width;
    anstream::println!(
        "{}{}",
        review_rewrite(shown, plan, rewrite, width),
        review_diff(shown, before, &after)
    );
}

/// One line from the terminal; its end is a wish to quit.
fn answer(place: &str) -> anyhow::Result<String> {
    let bold = style::PATH;
    anstream::print!("{bold}{place} Make this change [y,n,a,d,v,e,q,?]?{bold:#} ");
    std::io::stdout().flush()?;
    let mut line = String::new();
    if std::io::stdin().lock().read_line(&mut line)? == 0 {
        anstream::println!();
        return Ok("q".to_owned());
    }
    Ok(line.trim().to_lowercase())
}

/// Writes the accepted rewrites of a file.
fn write(
    source: &Source,
    plan: &Plan,
    accepted: Vec<Rewrite>,
    args: &Args,
    journal: &mut Journal,
    total: &mut Counts,
) {
    match plan.only(&accepted) {
        Ok(after) => {
            total.changed += 1;
            let change = Change {
                before: plan.before.source().to_vec(),
                after,
            };
            write_all(&[(source, change)], args, journal, |_, _| {}, total);
        }
        Err(why) => {
            total.failed += 1;
            let (path, why) = (one_line(&source.shown), one_line(&why));
            anstream::eprintln!("dfmigrate: {path}: was not written: {why}");
        }
    }
}
