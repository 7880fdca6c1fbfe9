//! The settings that hold: from flags, the user's own file, and those of trees.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use dfmigrate::discover::Source;
use dfmigrate::rules::{Prefer, Safety};
use dfmigrate::settings::{Files, Flags, Resolver, Settings, SettingsError};

use crate::args::{self, Args, Grade, PlanArgs, SettingsArgs, Variant};
use crate::exit;

/// The settings of a run with these arguments.
pub fn resolver(args: &PlanArgs) -> anyhow::Result<Resolver> {
    let flags = Flags {
        grade: args.grade.map(|grade| match grade {
            Grade::Safe => Safety::Safe,
            Grade::Review => Safety::Review,
        }),
        prefer: args.prefer.map(|variant| match variant {
            Variant::Slim => Prefer::Slim,
            Variant::Alpine => Prefer::Alpine,
        }),
        select: args.select.clone(),
        ignore: args.ignore.clone(),
    };
    let today = super::today()?;
    let mut resolver = Resolver::new(&files(&args.settings), &flags)?;
    resolver.set(|options| options.today = today);
    if let Some(dir) = resolver.base().templates.clone() {
        let templates = super::templates(&dir)?;
        resolver.set(|options| options.templates = templates);
    }
    Ok(resolver)
}

/// The files that count.
pub fn files(args: &SettingsArgs) -> Files {
    match &args.config {
        _ if args.isolated => Files::None,
        Some(path) => Files::Only(path.clone()),
        None => Files::Found,
    }
}

/// A policy of the arguments stands in the place of the user's own; those of
/// trees hold beside it.
pub fn set_policy(resolver: &mut Resolver, args: &args::Policy) {
    let policy = super::policy(args);
    if !policy.is_open() {
        resolver.set(|options| options.policy = policy);
    }
}

/// The settings that hold for a file.
pub fn of(source: &Source, resolver: &Resolver) -> Result<Arc<Settings>, Arc<SettingsError>> {
    let real = source.real_folder().ok();
    resolver.of_folder(real.as_deref().unwrap_or(&source.root), &source.root)
}

/// Whether the settings let a file be looked at. One that the user names is; so
/// is one whose settings can't be used, which is said then.
pub fn wanted(source: &Source, resolver: &Resolver) -> bool {
    if source.named {
        return true;
    }
    let Ok(settings) = of(source, resolver) else {
        return true;
    };
    let name = source.path.file_name().unwrap_or_default();
    let folder = source.real_folder().ok();
    folder.is_none_or(|folder| settings.looks_at(&folder.join(name)))
}

/// `--show-settings`
pub fn show(args: &Args, resolver: &Resolver) -> anyhow::Result<u8> {
    let mut out = anstream::stdout().lock();
    let here = [PathBuf::from(".")];
    let paths = match args.paths.is_empty() {
        true => &here[..],
        false => &args.paths,
    };
    for (at, path) in paths.iter().enumerate() {
        if paths.len() > 1 {
            let gap = if at > 0 { "\n" } else { "" };
            let shown = path.display().to_string();
            writeln!(out, "{gap}# {}", dfmigrate::report::one_line(&shown))?;
        }
        let real = path
            .canonicalize()
            .with_context(|| format!("can't look at {}", path.display()))?;
        let folder = match real.is_dir() {
            true => real.as_path(),
            false => real.parent().unwrap_or(Path::new("/")),
        };
        let settings = resolver
            .of_folder(folder, folder)
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        write!(out, "{}", settings.show())?;
    }
    Ok(exit::DONE)
}
