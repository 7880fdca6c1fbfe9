//! Registries, as the arguments let them be asked.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use dfmigrate::facts::{Facts, Files, Images, NoImages, NoTrust, Trust};
use dfmigrate::registry::{
    Ahead, Cache, Config, LOCK_FILE, Lock, Mode, Policy, Proxies, Registry, Stores, Summary,
};
use dfmigrate::report::one_line;
use dfmigrate::rules;
use dfmigrate::settings::{self, Resolver};

use crate::args::Registries;

/// The most rounds of questions: a tag, what is behind it, and when that was made.
const ROUNDS: usize = 4;

/// Whom the rules of a run may ask.
pub enum Network {
    /// Nobody: no rule wants it.
    None,
    /// Registries, or what they said before.
    Asked {
        registry: Registry,
        mode: Mode,
        lock: Lock,
    },
}

impl Network {
    /// What the arguments and the wanted rules come to; `options` learns how
    /// images are pinned. Nothing is contacted, and no client made.
    pub fn new(args: &Registries, resolver: &mut Resolver) -> anyhow::Result<Self> {
        let own = resolver.base().registries.clone();
        let online = args.online || own.online && !args.offline && !args.locked;
        resolver.set(|options| {
            options.pins.online = online || args.locked;
            if !args.platform.is_empty() {
                options.pins.platforms.clone_from(&args.platform);
            }
            if args.min_age.is_some() {
                options.pins.min_age = args.min_age;
            }
        });
        let options = &resolver.base().options;
        let asks = |rule: &&dyn rules::Rule| rule.asks_registries() && options.wants(*rule);
        // What Docker Hub said before is of use to a policy of classes.
        let classes = args.offline && !options.policy.classes.is_empty();
        if !online && !classes && !rules::all().iter().any(asks) {
            if args.lock {
                bail!("--lock has nothing to note: no rule asks registries without --online");
            }
            return Ok(Self::None);
        }
        let lock = Lock::read(Path::new(LOCK_FILE))?;
        Self::asked(args, own, online, lock)
    }

    /// Docker Hub's word on namespaces alone, where the arguments or the user's
    /// settings let it be asked, or what it said before.
    pub fn of_trust(args: &Registries, own: settings::Registries) -> anyhow::Result<Self> {
        let online = args.online || own.online && !args.offline;
        if !online && !args.offline {
            return Ok(Self::None);
        }
        Self::asked(args, own, online, Lock::default())
    }

    fn asked(
        args: &Registries,
        own: settings::Registries,
        online: bool,
        lock: Lock,
    ) -> anyhow::Result<Self> {
        let mode = match (args.offline, args.locked, online) {
            (_, true, false) => Mode::Locked,
            (true, false, _) => Mode::Offline,
            _ => Mode::Online,
        };
        let registry = Registry::new(Config {
            mode,
            policy: policy(args, own)?,
            stores: Stores::from_env(),
            cache: Cache::of_user(),
            lock: lock.clone(),
        });
        Ok(Self::Asked {
            registry,
            mode,
            lock,
        })
    }

    /// Whom the rules ask.
    pub fn images(&self) -> &dyn Images {
        match self {
            Self::None => &NoImages,
            Self::Asked { registry, .. } => registry,
        }
    }

    /// What may be asked about one file.
    pub fn facts<'a>(&'a self, files: &'a dyn Files) -> Facts<'a> {
        Facts::offline(files)
            .asking(self.images())
            .trusting(self.trust())
    }

    /// Who knows what Docker Hub says of namespaces.
    pub fn trust(&self) -> &dyn Trust {
        match self {
            Self::None => &NoTrust,
            Self::Asked { registry, .. } => registry,
        }
    }

    /// Lets `look` ask all its questions, and asks the registries them at
    /// once, until it has no more.
    pub fn ahead(&self, quiet: bool, look: impl Fn(&Ahead<'_>)) {
        let Self::Asked {
            registry,
            mode: Mode::Online,
            ..
        } = self
        else {
            return;
        };
        let shown = !quiet && std::io::stderr().is_terminal();
        for _ in 0..ROUNDS {
            let ahead = registry.ahead();
            look(&ahead);
            let questions = ahead.questions();
            if questions.is_empty() {
                break;
            }
            if shown {
                anstream::eprint!("\rasking registries {} questions…", questions.len());
            }
            registry.ask_ahead(questions);
            if shown {
                // To the start of the line, and clear it.
                anstream::eprint!("\r\x1b[K");
            }
        }
    }

    /// Says what came of the questions, and sees to the lock file.
    pub fn finish(&self, args: &Registries, quiet: bool) -> anyhow::Result<()> {
        let Self::Asked { registry, lock, .. } = self else {
            return Ok(());
        };
        let summary = registry.summary();
        if !quiet {
            for line in lines(&summary) {
                anstream::eprintln!("dfmigrate: {}", one_line(&line));
            }
        }
        let new = lock.with(registry.records());
        if args.locked {
            let mut changes = lock.changes(&new);
            changes.extend(
                summary
                    .not_locked
                    .iter()
                    .map(|name| format!("{name} is not locked")),
            );
            if !changes.is_empty() {
                bail!(
                    "{LOCK_FILE} would change; write it anew with --online --lock\n  {}",
                    changes.join("\n  ")
                );
            }
        }
        if args.lock && new != *lock {
            new.write(Path::new(LOCK_FILE))
                .context("the lock file can't be written")?;
        }
        Ok(())
    }
}

/// The summary of a run, a line each.
fn lines(summary: &Summary) -> Vec<String> {
    let mut lines = summary.notes.clone();
    let mut parts = Vec::new();
    for (count, what) in [
        (summary.resolved, "resolved"),
        (summary.cached, "from earlier answers"),
        (summary.locked, "from the lock file"),
        (summary.absent, "not there"),
        (summary.unknown.values().sum(), "unknown"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    if !parts.is_empty() {
        lines.push(format!("image references: {}", parts.join(", ")));
    }
    if summary.badges > 0 {
        lines.push(format!(
            "namespaces of Docker Hub: {} known",
            summary.badges
        ));
    }
    for (why, count) in &summary.unknown {
        lines.push(format!("  {count} unknown: {why}"));
    }
    for (host, rate) in &summary.rates {
        let remaining = rate.remaining.split(';').next().unwrap_or_default();
        if remaining.trim().parse::<u64>().is_ok_and(|left| left < 20) {
            lines.push(format!(
                "{host} has {remaining} requests left of {}",
                rate.limit
            ));
        }
    }
    lines
}

/// What the user's own file and the arguments allow together.
fn policy(args: &Registries, own: settings::Registries) -> anyhow::Result<Policy> {
    let mut authorities = own.authorities;
    authorities.extend(args.registry_ca.iter().cloned());
    let mut policy = Policy {
        allow: own.ask.into_iter().collect(),
        insecure: own.insecure.into_iter().collect(),
        authorities,
        proxies: Proxies::from_env(),
        ..Policy::default()
    };
    for host in &args.ask_registry {
        policy.allow.insert(domain(host, "--ask-registry")?);
    }
    for host in &args.insecure_registry {
        policy.insecure.insert(domain(host, "--insecure-registry")?);
    }
    let pairs = |texts: &[String], flag: &str| -> anyhow::Result<BTreeMap<String, Vec<String>>> {
        let mut map: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for text in texts {
            let (registry, host) = text
                .split_once('=')
                .with_context(|| format!("{flag} wants REGISTRY=HOST, not {text:?}"))?;
            map.entry(domain(registry, flag)?)
                .or_default()
                .push(domain(host, flag)?);
        }
        Ok(map)
    };
    // A flag comes before the file: its mirror is asked first.
    policy.mirrors = pairs(&args.registry_mirror, "--registry-mirror")?;
    for (registry, hosts) in own.mirrors {
        policy.mirrors.entry(registry).or_default().extend(hosts);
    }
    let token_hosts = pairs(&args.token_host, "--token-host")?.into_iter();
    for (registry, hosts) in token_hosts.chain(own.token_hosts) {
        policy
            .token_hosts
            .entry(registry)
            .or_default()
            .extend(hosts);
    }
    Ok(policy)
}

/// A registry's host as references write it.
fn domain(host: &str, flag: &str) -> anyhow::Result<String> {
    settings::registry_host(host).map_err(|why| anyhow::anyhow!("{flag} {why}"))
}
