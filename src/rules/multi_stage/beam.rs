//! What is particular to Elixir and Erlang: a release has its runtime system in
//! it, a project needs the interpreter.

use super::artifacts::Artifact;
use super::base::{self, Draft, Last};
use super::compiled::{common, libraries_of, need};
use super::{Outcome, Shape, Subject, written};
use crate::model::effects::What;
use crate::model::join;
use crate::model::sources::Sources;
use crate::rules::Context;
use crate::text::Span;

/// Programs of the interpreter.
const INTERPRETERS: [&str; 8] = [
    "elixir", "erl", "escript", "iex", "mix", "rebar", "rebar3", "werl",
];

/// The folder that releases are made in.
const RELEASES: &str = "/rel/";

/// A release runs on the bare distribution, a project on the slim image.
///
/// # Errors
/// Why there is no image, in words.
pub(super) fn last(draft: &Draft<'_>) -> Result<Last, String> {
    match runs_release(draft.cx) {
        true => base::distribution(draft),
        false => base::slim(draft),
    }
}

/// A file of the project, by its name in the folder that something is built in.
fn project_file(cx: &Context<'_>, name: &str) -> Option<String> {
    let ledger = cx.ledger()?;
    ledger.effects.iter().rev().find_map(|effect| {
        let path = join(Some(&effect.cwd), name)?;
        let context = ledger.copied.context_path(&path)?;
        cx.files.text(&context).yes()
    })
}

/// Whether what runs is a release that has its own runtime system.
fn runs_release(cx: &Context<'_>) -> bool {
    let Some(runtime) = cx.runtime() else {
        return false;
    };
    let demands = &runtime.demands;
    let interprets = |name: &str| INTERPRETERS.contains(&name);
    if !demands.iter().any(|demand| demand.program.contains(RELEASES))
        || demands.iter().any(|demand| interprets(&demand.command))
    {
        return false;
    }
    // By its configuration, a release may go without one, or be made of links.
    let plain = |text: &str| text.split_whitespace().collect::<String>();
    match (project_file(cx, "mix.exs"), project_file(cx, "rebar.config")) {
        (Some(project), _) => !plain(&project).contains("include_erts:false"),
        (None, Some(configuration)) => {
            let text = plain(&configuration);
            !["{include_erts,false}", "{dev_mode,true}", "{mode,dev}", "{mode,minimal}"]
                .iter()
                .any(|sign| text.contains(sign))
        }
        (None, None) => false,
    }
}

pub(super) fn shape(subject: &Subject<'_, '_>, _: &Sources) -> Outcome<Shape> {
    if subject.last.same_image {
        project(subject)
    } else {
        release(subject)
    }
}

fn release(subject: &Subject<'_, '_>) -> Outcome<Shape> {
    let mut shape = common(subject)?;
    let mut found: Vec<Artifact> = shape.artifacts.take().unwrap_or_default();
    // Packages of Node.js are for the assets, which are in the release.
    let assets = |path: &str| {
        subject.ledger.effects.iter().any(|effect| {
            let node = matches!(effect.what, What::NodeInstall { .. })
                || matches!(effect.program.as_deref(), Some("npm" | "yarn" | "pnpm" | "npx"));
            node && effect.writes.iter().any(|write| write.path == path)
        })
    };
    found.retain(|artifact| !assets(&artifact.path));
    for artifact in &mut found {
        let Some((before, after)) = artifact.path.split_once(RELEASES) else {
            continue;
        };
        let name = after.split('/').next().unwrap_or(after);
        let whole = format!("{before}{RELEASES}{name}");
        if artifact.path.starts_with(&format!("{whole}/")) {
            *artifact = Artifact {
                owner: artifact.owner.take(),
                folder_owner: artifact.folder_owner.take(),
                ..Artifact::new(
                    whole.clone(),
                    true,
                    format!("{whole} is copied: the release has the runtime system in it"),
                )
            };
        }
    }
    shape.artifacts = Some(found);
    need(&mut shape, "ca-certificates", "a program that makes TLS connections");
    let musl = subject.family == "alpine";
    need(&mut shape, if musl { "libstdc++" } else { "libstdc++6" }, "Erlang's runtime system");
    if musl {
        need(&mut shape, "ncurses-libs", "Erlang's runtime system");
    }
    for dev in ["libncurses-dev", "libssl-dev"] {
        libraries_of(subject, dev, "Erlang's runtime system", &mut shape);
    }
    Ok(shape)
}

fn project(subject: &Subject<'_, '_>) -> Outcome<Shape> {
    written(subject)?;
    let mut shape = Shape::default();
    need(&mut shape, "ca-certificates", "a program that makes TLS connections");
    let lock = project_file(subject.cx, "mix.lock");
    let installs_git = subject.ledger.effects.iter().any(|effect| {
        matches!(&effect.what, What::AptInstall { packages, .. } if packages.iter().any(|p| p.name == "git"))
    });
    let full = subject.last.tag != subject.tag;
    let from_git = lock.as_ref().is_some_and(|lock| lock.contains("{:git,"));
    if full && from_git && subject.demands("mix") && !installs_git {
        return subject.advise(
            Span::default(),
            format!("mix.lock has dependencies from git, which `mix` asks git about at each start, and {} has no git", subject.last.name()),
            "if it is needed, install `git` in this file with apt-get and run again",
        );
    }
    let compiled = subject.ledger.effects.iter().any(|effect| {
        let tasks = ["compile", "deps.compile", "release", "test", "phx.digest", "assets.deploy"];
        let mut words = effect.args.iter().flatten().map(|word| word.trim_end_matches(','));
        match effect.program.as_deref() {
            Some("mix" | "rebar" | "rebar3") => words.any(|word| tasks.contains(&word)),
            Some("erlc" | "elixirc" | "make") => true,
            _ => false,
        }
    });
    if full && !compiled {
        let why = match &lock {
            Some(lock) if lock.contains(":make") => Some("mix.lock has packages that compile C code"),
            Some(_) => None,
            None => Some("which packages it compiles is not known"),
        };
        if let Some(why) = why {
            return subject.advise(
                Span::default(),
                format!("nothing compiles the project in the build, so that happens when the container starts, and {why}: the slim image has no compiler"),
                "compile the project in the file, with `RUN mix compile`",
            );
        }
        shape.caveats.push("nothing compiles the project in the build: that happens when the container starts".to_owned());
    }
    let state = subject.cx.model.state_after(subject.stage.index);
    let environment = subject.stage.scope.value("MIX_ENV", state.variables);
    let production = environment.is_some_and(|value| value.as_deref() == Ok("prod"));
    if subject.demands("mix") && !production {
        shape.caveats.push(
            "MIX_ENV is not set to prod here: in development, the project may compile, and watch assets, when the container runs".to_owned(),
        );
    }
    Ok(shape)
}
