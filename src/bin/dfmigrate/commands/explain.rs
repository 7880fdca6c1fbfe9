//! `dfmigrate explain`: a rule, or a file's effects ledger.

use std::io::Write as _;
use std::path::Path;

use anyhow::bail;
use dfmigrate::context::Contexts;
use dfmigrate::discover;
use dfmigrate::facts::Facts;
use dfmigrate::model::Model;
use dfmigrate::plan::{self, Options};
use dfmigrate::report::{ledger_json, ledger_text, syntax_errors, visible};
use dfmigrate::rules::{self, Context, Proposals};
use dfmigrate::syntax;

use crate::args::Explain;
use crate::exit;

pub fn run(args: &Explain) -> anyhow::Result<u8> {
    match (&args.rule, &args.file) {
        (Some(id), _) => rule(id),
        (None, Some(path)) => file(path, args.json),
        (None, None) => bail!("say which rule, or which file with --file"),
    }
}

fn rule(id: &str) -> anyhow::Result<u8> {
    let Some(rule) = rules::find(id) else {
        let known: Vec<&str> = rules::all().iter().map(|rule| rule.meta().id).collect();
        bail!(
            "there is no rule {id:?}; the rules are {}",
            known.join(", ")
        );
    };
    let meta = rule.meta();
    let mut out = anstream::stdout().lock();
    writeln!(out, "{}: {}\n\n{}", meta.id, meta.summary, meta.docs)?;
    Ok(exit::DONE)
}

fn file(path: &Path, json: bool) -> anyhow::Result<u8> {
    let found = super::found(&[path.to_owned()], None, 1)?;
    if let Some(problem) = found.problems.first() {
        bail!("{}", visible(&problem.to_string()));
    }
    let [source] = found.sources.as_slice() else {
        bail!(
            "{}: --file takes one Dockerfile",
            visible(&path.display().to_string())
        );
    };
    let bytes = discover::read(source, discover::MAX_BYTES)
        .map_err(|error| anyhow::anyhow!("{}: {error}", visible(&source.shown)))?;
    let files = Contexts::default().of(source);
    let facts = Facts::offline(&files);
    let tree = syntax::parse(bytes);
    if !tree.errors().is_empty() {
        let plan = plan::plan(tree.source().to_vec(), facts, &Options::default());
        anstream::eprint!("{}", syntax_errors(&source.shown, &plan));
        return Ok(exit::SOME_FAILED);
    }
    let model = Model::of(&tree);
    let cx = Context::new(&model, facts);
    let proposals = Proposals::of(&cx);
    let mut out = anstream::stdout().lock();
    if json {
        writeln!(out, "{}", ledger_json(&source.shown, &cx, &proposals))?;
    } else {
        write!(out, "{}", ledger_text(&source.shown, &cx, &proposals))?;
    }
    Ok(exit::DONE)
}
