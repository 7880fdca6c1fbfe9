//! The review, `--apply`, `--diff` and `--check` with `--verified`: only what was
//! built and holds is shown and written, and every format says what was proven.

use std::path::Path;
use std::sync::Mutex;

use anyhow::bail;
use dfmigrate::context::Contexts;
use dfmigrate::report::{Counts, PatchName};
use dfmigrate::verify::process::Stop;
use dfmigrate::verify::{Session, Verdict, report};

use super::patch_paths;
use super::review::{self, Outcome};
use super::verify::{self, Done, Verify, Work};
use crate::args::Args;
use crate::exit;
use crate::pager::Screen;

pub fn run(args: &Args) -> anyhow::Result<u8> {
    if args.paths.iter().any(|path| path == Path::new("-")) {
        bail!("--verified builds files with what lies beside them: it can't take standard input");
    }
    let stop = Stop::default();
    verify::on_signals(&stop)?;
    let (resolver, network) = review::prepare(args)?;
    if args.show_settings {
        return super::settings::show(args, &resolver);
    }
    let mut renderer = review::renderer(args, &Screen::plain(), resolver.base().options.today)?;
    let jobs = args.jobs.or(resolver.base().jobs).unwrap_or(0);
    let found = review::looked_for(args, &resolver, jobs)?;
    if found.sources.is_empty() && found.problems.is_empty() {
        return Ok(exit::NOTHING_FOUND);
    }
    let mut proving = Verify::of(args);
    proving.jobs = if jobs == 0 { proving.jobs } else { jobs };
    let options = verify::options(&proving, resolver.base().compare.clone())?;
    let builder = verify::builder(&proving, &stop)?;
    let secrets = verify::secrets(&proving);
    let cache = verify::cache(&proving);
    let session = Session {
        builder: &builder,
        secrets: &secrets,
        cache: &cache,
        stop: &stop,
        bases: &Mutex::default(),
    };
    let work = Work {
        args: &proving,
        options: &options,
        resolver: &resolver,
        network: &network,
        session: &session,
    };
    let mut total = Counts {
        files: found.problems.len(),
        failed: found.problems.len(),
        ..Counts::default()
    };
    for problem in &found.problems {
        renderer.problem(&problem.shown, &problem.error.to_string());
    }
    let styled = renderer.styled();
    review::put(renderer.head().as_bytes(), styled)?;
    let base = renderer
        .patches()
        .then(|| patch_paths::Base::of(&found.sources));
    let contexts = Contexts::new(args.context.clone());
    network.ahead(args.quiet, |ahead| {
        for source in &found.sources {
            review::look(source, &resolver, &contexts, ahead);
        }
    });
    if args.apply {
        review::sweep(&found.sources);
    }
    let mut done = Done::new();
    let mut journal = super::undo::journal();
    verify::all(&found.sources, &work, |at, result| {
        let source = &found.sources[at];
        let name = || {
            base.as_ref()
                .map_or_else(PatchName::default, |base| base.name(source))
        };
        let (shown, outcome) = match result {
            Err(why) => (review::failed(&source.shown, &why, renderer.as_ref()), None),
            Ok(mut outcome) => {
                let proof = report::proof(&builder.version, &outcome);
                outcome.settle();
                let plan = &outcome.plan;
                let mut shown = review::render(
                    &source.shown,
                    name,
                    plan,
                    Some(&proof),
                    args,
                    renderer.as_ref(),
                );
                // One that can't be parsed is counted already.
                let unbuilt = [Verdict::BeforeFails, Verdict::Failed];
                shown.counts.failed += usize::from(unbuilt.contains(&outcome.verdict));
                (shown, Some(outcome))
            }
        };
        let Outcome {
            out,
            err,
            counts,
            write,
            ..
        } = shown;
        anstream::eprint!("{err}");
        review::put(&renderer.next(out), styled)?;
        total.merge(counts);
        let wanted = write.is_some();
        let failed = total.failed;
        if let Some(change) = write {
            let problem = |shown: &str, why: &str| renderer.problem(shown, why);
            review::write_all(&[(source, change)], args, &mut journal, problem, &mut total);
        }
        let written = wanted && total.failed == failed;
        done.extend(outcome.map(|outcome| (at, outcome, written)));
        Ok(())
    })?;
    if stop.asked() {
        anstream::eprintln!(
            "dfmigrate: stopped; what was started is ended, and nothing more was written"
        );
        return Ok(exit::FAILED);
    }
    review::put(renderer.tail(&total).as_bytes(), styled)?;
    network.finish(&args.registries, args.quiet)?;
    let unread = found.problems.len() + found.sources.len() - done.len();
    Ok(match verify::code(&done, unread, args.apply) {
        exit::DONE if args.check && total.changed > 0 => exit::WOULD_CHANGE,
        code => code,
    })
}
