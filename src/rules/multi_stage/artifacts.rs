//! Which paths the final stage copies from the build stage.

pub(super) use crate::model::below;

use super::{Outcome, Shape, Subject, short};
use crate::rules::Missing;
use crate::model::effects::{Effect, SITE_PACKAGES, What, Write};
use crate::syntax::Keyword;

/// A path to copy.
pub(super) struct Artifact {
    /// The path in the build stage.
    pub path: String,
    /// The path in the final stage, where that is another one.
    pub target: Option<String>,
    /// The user and group that own all of it, if not root.
    pub owner: Option<String>,
    /// The owner of the folder itself where the rest has several.
    pub folder_owner: Option<String>,
    /// Whether it is a folder.
    pub folder: bool,
    /// Why it is copied.
    pub reason: String,
}

impl Artifact {
    /// A path that is copied to the same place.
    pub fn new(path: String, folder: bool, reason: String) -> Self {
        Self {
            path,
            target: None,
            owner: None,
            folder_owner: None,
            folder,
            reason,
        }
    }

    /// Where it goes in the final stage.
    pub fn to(&self) -> &str {
        self.target.as_deref().unwrap_or(&self.path)
    }
}

/// Whether something that a command writes is in a copied path.
pub(super) fn meets(write: &Write, artifact: &Artifact) -> bool {
    if write.path == SITE_PACKAGES {
        return artifact.path.starts_with("/usr/local");
    }
    below(&write.path, &artifact.path) || (write.tree && below(&artifact.path, &write.path))
}

/// What the folders of the file system hierarchy standard are to us.
pub(super) enum Place {
    /// The program's own.
    App,
    /// Caches and logs: left behind.
    Cache,
    /// The base image's own: single paths are copied, whole folders are not.
    Base,
}

/// Folders whose contents are caches, logs or scratch.
const CACHES: [&str; 24] = [
    "/root/.bun/install/cache",
    "/root/.cache/node-gyp",
    "/root/.cache/pip",
    "/root/.cache/pypoetry/artifacts",
    "/root/.cache/pypoetry/cache",
    "/root/.cache/uv",
    "/root/.cache/yarn",
    "/root/.cargo/registry",
    "/root/.config/pip",
    "/root/.gitconfig",
    "/root/.gnupg",
    "/root/.npm",
    "/root/.npmrc",
    "/root/.pip",
    "/root/.ssh",
    "/root/.yarn",
    "/tmp",
    "/usr/local/share/.cache",
    "/usr/share/doc",
    "/usr/share/man",
    "/var/cache",
    "/var/lib/apt",
    "/var/log",
    "/var/tmp",
];

/// The top-level folders that every image has.
const SYSTEM: [&str; 18] = [
    "bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "media", "mnt", "proc", "root",
    "run", "sbin", "sys", "tmp", "usr", "var",
];

/// Folders of the base image below those, by themselves.
const BASE_FOLDERS: [&str; 30] = [
    "/", "/bin", "/etc", "/etc/apt", "/etc/ssl", "/home", "/lib", "/root", "/root/.cache",
    "/root/.config", "/root/.local", "/root/.local/bin", "/run", "/sbin", "/usr", "/usr/bin",
    "/usr/include", "/usr/lib", "/usr/local", "/usr/local/bin", "/usr/local/etc",
    "/usr/local/include", "/usr/local/lib", "/usr/local/sbin", "/usr/local/share", "/usr/sbin",
    "/usr/share", "/var", "/var/lib", "/var/run",
];

pub(super) fn place(path: &str) -> Place {
    if CACHES.iter().any(|cache| below(path, cache)) || path.contains("/.cache/pip") {
        return Place::Cache;
    }
    let top = path.trim_start_matches('/').split('/').next().unwrap_or("");
    let own = ["/usr/src/", "/usr/app", "/var/www", "/var/app", "/usr/local/app", "/usr/local/bundle", "/usr/share/nginx/", "/var/task", "/usr/share/app", "/mnt/"];
    if own.iter().any(|prefix| path.starts_with(prefix)) {
        return Place::App;
    }
    if SYSTEM.contains(&top) || BASE_FOLDERS.contains(&path) {
        return Place::Base;
    }
    Place::App
}

/// Whether a path is a folder that the base image has of itself.
pub(super) fn is_base_folder(path: &str) -> bool {
    BASE_FOLDERS.contains(&path)
}

/// The program's own working directories, shortest first.
pub(super) fn workdirs(subject: &Subject<'_, '_>) -> Vec<String> {
    let steps = subject.stage.steps.iter();
    let mut dirs: Vec<String> = steps.filter_map(|step| step.workdir.clone()).collect();
    dirs.extend(subject.cx.model.state_after(subject.stage.index).workdir);
    // A folder of the toolchain, such as GOPATH, is nobody's own.
    let settings = subject.use_of.settings();
    let toolchain = |dir: &str| {
        settings.is_some_and(|settings| settings.path().any(|folder| below(folder, dir)))
    };
    dirs.retain(|dir| {
        matches!(place(dir), Place::App)
            && !BASE_FOLDERS.contains(&dir.as_str())
            && !toolchain(dir)
    });
    dirs.sort_by_key(String::len);
    dirs.dedup();
    dirs
}

pub(super) fn find(subject: &Subject<'_, '_>, shape: &Shape) -> Outcome<Vec<Artifact>> {
    let dirs = workdirs(subject);
    let mut found: Vec<Artifact> = Vec::new();
    let mut add = |path: String, folder: bool, reason: String| {
        let covered = found
            .iter()
            .any(|a| a.path == path || (a.folder && below(&path, &a.path)));
        if covered {
            return;
        }
        found.retain(|a| !(folder && below(&a.path, &path)));
        found.push(Artifact::new(path, folder, reason));
    };
    for effect in &subject.ledger.effects {
        let copied = matches!(
            effect.what,
            What::Writes
                | What::NodeInstall { global: None, .. }
                | What::PipInstall { .. }
                | What::PythonProject { .. }
        );
        if !copied || replayed(subject, effect) {
            continue;
        }
        for write in &effect.writes {
            let reason = |path: &str| {
                format!("line {}: {path} is copied: `{}` writes it", effect.line, short(&effect.text))
            };
            let left = |folder: &String| below(&write.path, folder);
            if write.path == SITE_PACKAGES
                || shape.leaves.iter().any(left)
                || shape.copies.iter().any(left)
            {
                continue;
            }
            match place(&write.path) {
                Place::Cache => {}
                Place::App => {
                    let root = dirs.iter().find(|dir| below(&write.path, dir));
                    match root {
                        Some(root) => add(root.clone(), true, reason(root)),
                        None => add(write.path.clone(), write.tree, reason(&write.path)),
                    }
                }
                Place::Base if !BASE_FOLDERS.contains(&write.path.as_str()) => {
                    if link(effect) {
                        continue;
                    }
                    add(write.path.clone(), false, reason(&write.path));
                }
                Place::Base if metadata(effect) => {
                    return subject.refuse(
                        effect.span,
                        format!(
                            "`{}` changes owners or modes below {}, which the base image has",
                            short(&effect.text),
                            write.path
                        ),
                    );
                }
                Place::Base if write.path.starts_with("/usr/local") => {
                    add("/usr/local".to_owned(), true, reason("/usr/local"));
                }
                Place::Base => {
                    let (why, remedy) = if write.path == "/" {
                        (
                            "the program lies in the root folder, among the base image's own files",
                            "set a WORKDIR such as /app before the first COPY",
                        )
                    } else {
                        (
                            "what it writes there lies among the base image's own files",
                            "let it write to a folder of its own",
                        )
                    };
                    return subject.advise(
                        effect.span,
                        format!("`{}` writes below {}: {why}", short(&effect.text), write.path),
                        remedy,
                    );
                }
            }
        }
    }
    for path in &shape.copies {
        add(
            path.clone(),
            true,
            format!("{path} is copied: packages are installed there"),
        );
    }
    for mend in subject.cx.mends {
        if let Missing::Path(path) = &mend.what {
            add(path.clone(), true, format!("{path} is copied: {}", mend.why));
        }
    }
    for artifact in &mut found {
        owners(subject, artifact);
    }
    Ok(found)
}

fn first_word(effect: &Effect) -> &str {
    effect.text.split_whitespace().next().unwrap_or_default()
}

/// `chmod` and `chown` change no contents: what they touch is copied as it is.
pub(super) fn metadata(effect: &Effect) -> bool {
    matches!(first_word(effect), "chmod" | "chown" | "chgrp")
}

/// Whether an effect builds nothing: it makes folders, moves, marks.
pub(super) fn trivial(effect: &Effect) -> bool {
    const TRIVIAL: [&str; 12] = [
        "chgrp", "chmod", "chown", "cp", "echo", "ln", "mkdir", "mv", "printf", "rm", "sed", "touch",
    ];
    TRIVIAL.contains(&first_word(effect))
}

/// A symbolic link would be followed by COPY, so it is made again.
pub(super) fn link(effect: &Effect) -> bool {
    first_word(effect) == "ln"
}

/// Whether an effect that writes files is done again in the final stage
/// instead of being copied: edits of the base image's own configuration.
pub(super) fn replayed(subject: &Subject<'_, '_>, effect: &Effect) -> bool {
    let outside = |path: &str| matches!(place(path), Place::Base);
    match first_word(effect) {
        _ if !effect.direct || effect.writes.is_empty() || effect.what == What::AptSource => false,
        // COPY would follow a link that it names, so only those inside of a
        // copied folder come along.
        "ln" => {
            let dirs = workdirs(subject);
            let inside = |path: &str| dirs.iter().any(|dir| path != dir && below(path, dir));
            !effect.writes.iter().any(|w| inside(&w.path))
        }
        "mkdir" => effect.writes.iter().all(|w| outside(&w.path)),
        "sed" | "echo" | "printf" => effect
            .writes
            .iter()
            .all(|w| below(&w.path, "/etc") && outside(&w.path)),
        _ => false,
    }
}

/// Whether both name one user, with or without a group.
fn same_user(a: Option<&str>, b: Option<&str>) -> bool {
    let user = |who: Option<&str>| who.and_then(|w| w.split(':').next().map(str::to_owned));
    user(a) == user(b)
}

/// Who owns a copied tree.
pub(super) fn owners(subject: &Subject<'_, '_>, artifact: &mut Artifact) {
    let mut owner: Option<Option<String>> = None;
    let mut mixed = false;
    let mut folder_owner: Option<String> = None;
    let root_is = |user: &Option<String>| match user.as_deref() {
        None | Some("root" | "0" | "0:0" | "root:root") => None,
        Some(user) => Some(user.to_owned()),
    };
    let mut set = |who: Option<String>, all: bool| {
        if all {
            owner = Some(who);
            mixed = false;
        } else {
            match &owner {
                None => owner = Some(who),
                Some(before) if same_user(before.as_deref(), who.as_deref()) => {}
                Some(_) => mixed = true,
            }
        }
    };
    for effect in &subject.ledger.effects {
        let touches = effect.writes.iter().any(|w| below(&w.path, &artifact.path));
        let covers = effect.writes.iter().any(|w| w.path != SITE_PACKAGES && below(&artifact.path, &w.path));
        if !touches && !covers {
            continue;
        }
        let keyword = subject.instruction(effect.instruction).keyword;
        if let Some((who, deep)) = &effect.owner {
            let who = root_is(&Some(who.clone()));
            if keyword == Keyword::Run {
                if covers {
                    folder_owner = who.clone();
                }
                if *deep && covers {
                    set(who, true);
                } else if *deep || !covers {
                    set(who, false);
                }
            } else {
                set(who, false);
            }
        } else if metadata(effect) {
        } else {
            let user = if keyword == Keyword::Run { root_is(&effect.user) } else { None };
            set(user, false);
        }
    }
    // A WORKDIR that makes the folder under USER gives it to that user.
    let made = subject.stage.steps.iter().find(|step| {
        subject.cx.model.instructions[step.instruction].keyword == Keyword::Workdir
            && step.workdir.as_deref() != Some(&artifact.path)
    });
    if let (Some(step), None) = (made, &folder_owner) {
        folder_owner = root_is(&step.user);
    }
    match (owner.flatten(), mixed) {
        (Some(owner), false) => artifact.owner = Some(owner),
        (_, true) => artifact.folder_owner = folder_owner,
        (None, false) => artifact.folder_owner = folder_owner,
    }
}
