//! Front-ends that a file server serves: the pages that the build makes go to
//! nginx, and Node.js stays behind.

use super::artifacts::Artifact;
use super::base::Last;
use super::{Shape, Subject};
use crate::catalog::web::{self, Server};
use crate::catalog;
use crate::facts::Known;
use crate::model::runtime::Demand;
use crate::model::{below, join};
use crate::syntax::Keyword;

/// Where nginx looks for pages.
const PAGES: &str = "/usr/share/nginx/html";
/// What of the image's configuration was for the server that gives way.
pub(super) const REDEFINED: &[&str] = &["CMD", "ENTRYPOINT", "ENV", "STOPSIGNAL", "WORKDIR"];
/// Package managers that start the server by its name.
const STARTERS: [&str; 6] = ["npm", "npx", "pnpm", "pnpx", "sh", "yarn"];

/// A site of files, as the command that serves it says.
#[derive(Debug)]
pub(super) struct Site {
    /// The folder that is served, in the build stage.
    folder: String,
    port: u16,
    /// Whether every path that is no file is the page `index.html`.
    single: bool,
    /// Whether nothing in the file says that it is this port.
    assumed: bool,
    /// The instruction that started the server.
    pub command: usize,
    server: &'static str,
    line: usize,
}

/// The site that a stage serves; `None` where what runs is more than a file
/// server whose arguments are all known, or something else needs Node.js.
pub(super) fn site(subject: &Subject<'_, '_>) -> Option<(Site, Last)> {
    let runtime = subject.runtime;
    let command = match (runtime.entrypoint, runtime.cmd, runtime.healthcheck) {
        (Some(at), None, None) | (None, Some(at), None) => at,
        _ => return None,
    };
    if !runtime.unknown.is_empty() || !runtime.unseen.is_empty() {
        return None;
    }
    let steps = &subject.stage.steps;
    let other = steps.iter().any(|step| {
        let keyword = subject.instruction(step.instruction).keyword;
        matches!(keyword, Keyword::Volume | Keyword::User | Keyword::Shell | Keyword::Stopsignal)
    });
    if other {
        return None;
    }
    let mut servers = runtime.demands.iter().filter_map(|demand| Some((demand, started(demand)?)));
    let (demand, (server, args)) = servers.next()?;
    let starts = |d: &&Demand| STARTERS.contains(&d.command.as_str()) || std::ptr::eq(*d, demand);
    if servers.next().is_some() || !runtime.demands.iter().all(|d| starts(&d)) {
        return None;
    }
    let told = told(subject, server, &args)?;
    let end = subject.cx.model.state_after(subject.stage.index).workdir;
    let folder = join(end.as_deref(), &told.folder)?;
    // The folder of the project itself has its sources, too.
    if end.as_deref() == Some(folder.as_str()) || !made(subject, &folder) || configured(subject) {
        return None;
    }
    let site = Site {
        folder,
        port: told.port,
        single: told.single,
        assumed: told.assumed,
        command,
        server: server.name(),
        line: demand.line,
    };
    Some((site, nginx()?))
}

/// nginx on its smallest variant, by its codename.
fn nginx() -> Option<Last> {
    let pin = catalog::codename_tag("nginx", "stable-alpine-slim").ok()?;
    Some(Last {
        image: "nginx".to_owned(),
        because: "what runs serves files alone, and nginx does that without Node.js".to_owned(),
        tag: pin.tag,
        same_image: false,
        caveats: Vec::new(),
        variant: ("nginx", "alpine-slim"),
        brings: &[],
    })
}

/// The file server that a command starts, and its arguments.
fn started(demand: &Demand) -> Option<(Server, Vec<&str>)> {
    let mut words: Vec<&str> = vec![demand.command.as_str()];
    words.extend(demand.args.iter().map(String::as_str));
    if matches!(words[0], "npx" | "pnpx") {
        words.remove(0);
        words.retain(|word| !matches!(*word, "-y" | "--yes"));
    }
    let (server, used) = web::server(&words)?;
    Some((server, words.split_off(used)))
}

/// What a server is told.
struct Told {
    folder: String,
    port: u16,
    single: bool,
    /// Whether nothing in the file says that it is this port.
    assumed: bool,
}

fn told(subject: &Subject<'_, '_>, server: Server, args: &[&str]) -> Option<Told> {
    let mut port = None;
    let mut single = server.is_single();
    let mut folder = None;
    let mut words = args.iter();
    while let Some(word) = words.next() {
        let (flag, value) = match short(server, word).or_else(|| word.split_once('=')) {
            Some((flag, value)) => (flag, Some(value)),
            None => (*word, None),
        };
        if server.takes_port(flag) {
            let value = value.or_else(|| words.next().copied())?;
            let number = value.rsplit(':').next()?;
            port = Some(number.parse().ok()?);
        } else if server.makes_single(flag) {
            single = true;
        } else if server.takes_value(flag) {
            value.or_else(|| words.next().copied())?;
        } else if flag.starts_with('-') {
            if !server.ignores(flag) {
                return None;
            }
        } else if folder.is_none() {
            folder = Some((*word).to_owned());
        } else {
            return None;
        }
    }
    let written = port.is_some();
    let scope = &subject.stage.scope;
    let set = scope.value("PORT", scope.len());
    let port = match (port, set) {
        (Some(port), _) => port,
        (None, None) => server.port(),
        (None, Some(value)) if server.reads_port() => value.clone().ok()?.parse().ok()?,
        (None, Some(_)) => server.port(),
    };
    // Older releases of a server listen elsewhere when they aren't told.
    let exposed = exposed(subject);
    let assumed = !written && exposed.is_empty();
    if port == server.port() && !exposed.is_empty() && !exposed.contains(&port) {
        return None;
    }
    Some(Told {
        folder: folder.or_else(|| server.folder().map(str::to_owned))?,
        port,
        single,
        assumed,
    })
}

/// A short option with its value behind it, `-p8080`, `-c-1`.
fn short(server: Server, word: &str) -> Option<(&str, &str)> {
    if !word.starts_with('-') || word.starts_with("--") {
        return None;
    }
    let (flag, value) = word.split_at_checked(2)?;
    let takes = server.takes_port(flag) || server.takes_value(flag);
    (takes && !value.is_empty() && !value.starts_with('=')).then_some((flag, value))
}

/// The ports that the stage names, as far as they are known.
fn exposed(subject: &Subject<'_, '_>) -> Vec<u16> {
    let file = subject.cx.file;
    let mut ports = Vec::new();
    for step in &subject.stage.steps {
        let it = subject.instruction(step.instruction);
        if it.keyword != Keyword::Expose {
            continue;
        }
        let text = subject.cx.model.resolve(subject.stage.index, step, &it.args_text(file.source()));
        for word in text.unwrap_or_default().split_whitespace() {
            let number = word.split('/').next().unwrap_or(word);
            ports.extend(number.parse::<u16>());
        }
    }
    ports
}

/// Whether a RUN or the build context makes a folder.
fn made(subject: &Subject<'_, '_>, folder: &str) -> bool {
    let builds = subject.ledger.effects.iter().any(|effect| {
        let run = subject.instruction(effect.instruction).keyword == Keyword::Run;
        run && effect.writes.iter().any(|w| w.tree && below(folder, &w.path))
    });
    let context = subject.ledger.copied.context_path(folder);
    let there = context.is_some_and(|path| matches!(subject.cx.files.list(&path), Known::Yes(_)));
    builds || there
}

/// Whether the server has settings of its own, such as redirects and proxies.
fn configured(subject: &Subject<'_, '_>) -> bool {
    let files = subject.cx.files;
    let serve = ["serve.json", "public/serve.json"];
    let own = serve.iter().any(|path| !matches!(files.exists(path), Known::Yes(false) | Known::No));
    let vite = ["js", "ts", "mjs", "mts"].map(|ending| format!("vite.config.{ending}"));
    let proxies = vite.iter().any(|path| match files.text(path) {
        // Other paths than those of the folder, or another folder.
        Known::Yes(text) => ["base", "outDir", "preview", "proxy", "root"].iter().any(|key| text.contains(key)),
        _ => false,
    });
    own || proxies
}

/// The final stage's contents.
pub(super) fn shape(subject: &Subject<'_, '_>, site: &Site) -> Shape {
    let mut shape = Shape::default();
    let reason = format!("line {}: {} is copied: {} serves it", site.line, site.folder, site.server);
    shape.artifacts = Some(vec![Artifact {
        target: Some(PAGES.to_owned()),
        ..Artifact::new(site.folder.clone(), true, reason)
    }]);
    let otherwise = if site.single { "/index.html" } else { "$uri.html =404" };
    let line = format!(" {}\n    ", char::from(subject.cx.file.escape()));
    let config = [
        "printf '%s\\n'".to_owned(),
        "'server {'".to_owned(),
        format!("'    listen {};'", site.port),
        // As Node.js's servers have it.
        "'    charset utf-8;'".to_owned(),
        format!("'    root {PAGES};'"),
        format!("'    location / {{ try_files $uri $uri/ {otherwise}; }}'"),
        "'}' > /etc/nginx/conf.d/default.conf".to_owned(),
    ];
    shape.after_copies.push(config.join(&line));
    shape.drops.push("node".to_owned());
    shape.because.push(format!(
        "nginx listens where {} did, on port {}, and {}",
        site.server,
        site.port,
        if site.single {
            "gives index.html for what is no file"
        } else {
            "gives files with and without .html"
        }
    ));
    let instruction = subject.instruction(site.command);
    shape.caveats.push(format!(
        "{} gives way to that of nginx: a command, a port in $PORT or options that are given to the container when it starts don't reach it",
        instruction.keyword.name()
    ));
    if site.assumed {
        shape.caveats.push(format!(
            "no line says which port it is: {} is that of the current {}, and older ones have others",
            site.port, site.server
        ));
    }
    shape.caveats.push(format!(
        "headers, compression and listings of folders are nginx's, not those of {}",
        site.server
    ));
    shape
}
