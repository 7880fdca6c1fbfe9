//! Commands: what they do in a build, and which package brings them to the
//! official Debian bases.

use super::packages::{self, Layer};
use super::release;
use super::table::Table;

/// Which package brings a command, in each release.
pub const COMMANDS: Table = Table::new(include_str!("data/commands.tsv"));
/// What commands of RUN lines do.
pub const EFFECTS: Table = Table::new(include_str!("data/effects.tsv"));

/// What a command of a RUN line is there for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// `P`: installs packages.
    Package,
    /// `B`: builds.
    Build,
    /// `F`: fetches.
    Fetch,
    /// `S`: edits files.
    FileSystem,
    /// `U`: changes users or permissions.
    Users,
    /// `C`: configures the system.
    Config,
    /// `Q`: only asks, or changes nothing beyond this RUN.
    Query,
    /// `V`: controls services.
    Service,
    /// `X`: does anything.
    Opaque,
}

/// What a command does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Effect {
    /// Its roles; npm and its like have two.
    pub roles: Vec<Role>,
    /// Where it may write, most usual first; nowhere for a query.
    pub writes: Vec<Writes>,
    /// More, in words.
    pub note: Option<&'static str>,
}

/// Where a command may write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Writes {
    /// Below a path: `/usr`, `~/.npm`, `$GEM_HOME`, `WORKDIR/node_modules`.
    Below(&'static str),
    /// The `site-packages` of the active Python.
    SitePackages,
    /// The folder of the active Python's console scripts.
    Scripts,
    /// The prefix that the build was configured with.
    Prefix,
    /// Its operands.
    Operand,
    /// The value of this flag.
    Flag(&'static str),
    /// Where its output is redirected to.
    Redirect,
    /// What the command that it runs writes.
    Inner,
    /// Nobody knows.
    Unknown,
}

/// The package that brings a command to `debian:<codename>-slim` or
/// `buildpack-deps:<codename>`, by the name to install it by.
pub fn package_of(command: &str, codename: &str) -> Option<&'static str> {
    COMMANDS.get(command)?.cell(packages::column(codename)?)
}

/// The layer that brings a command; `None` where none does, or where that is
/// not known.
pub fn layer_of(command: &str, codename: &str) -> Option<Layer> {
    packages::layer_of(package_of(command, codename)?, codename)
}

/// The package of a command that `buildpack-deps:<codename>`, and so a full
/// image, has and `debian:<codename>-slim` lacks. For releases of Debian that
/// the tables don't know, what holds for the oldest that they know.
pub fn in_full(command: &str, codename: &str) -> Option<&'static str> {
    let known = packages::column(codename).is_some();
    let codename = if !known && release::release("debian", codename).is_some() {
        "bullseye"
    } else {
        codename
    };
    (layer_of(command, codename)? > Layer::Slim)
        .then(|| package_of(command, codename))
        .flatten()
}

/// Whether `debian:<codename>-slim` has a command; `None` where the release is
/// not known, or is bullseye, of which not every command is known.
pub fn in_slim(command: &str, codename: &str) -> Option<bool> {
    match layer_of(command, codename) {
        Some(layer) => Some(layer == Layer::Slim),
        None if matches!(codename, "bookworm" | "trixie") => Some(false),
        None => None,
    }
}

/// What a command does; `git config` and its like have rows of their own, and
/// a path is looked up by its last part.
pub fn effect(command: &str) -> Option<Effect> {
    let name = match command.rsplit_once('/') {
        Some(("/etc/init.d", _)) => "/etc/init.d/*",
        Some((_, last)) => last,
        None => command,
    };
    let row = EFFECTS.get(name)?;
    Some(Effect {
        roles: row.cell(1)?.chars().filter_map(role).collect(),
        writes: row.list(2).map(writes).collect(),
        note: row.cell(3),
    })
}

fn role(letter: char) -> Option<Role> {
    Some(match letter {
        'P' => Role::Package,
        'B' => Role::Build,
        'F' => Role::Fetch,
        'S' => Role::FileSystem,
        'U' => Role::Users,
        'C' => Role::Config,
        'Q' => Role::Query,
        'V' => Role::Service,
        'X' => Role::Opaque,
        _ => return None,
    })
}

fn writes(token: &'static str) -> Writes {
    match token {
        "site-packages" => Writes::SitePackages,
        "scripts" => Writes::Scripts,
        "prefix" => Writes::Prefix,
        "operand" => Writes::Operand,
        "redirect" => Writes::Redirect,
        "inner" => Writes::Inner,
        "?" => Writes::Unknown,
        flag if flag.starts_with('-') => Writes::Flag(flag),
        path => Writes::Below(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_has_what_slim_lacks() {
        for codename in ["bullseye", "bookworm", "trixie"] {
            for (command, package) in [
                ("git", "git"),
                ("curl", "curl"),
                ("gcc", "gcc"),
                ("cc", "gcc"),
                ("make", "make"),
                ("python3", "python3"),
                ("ps", "procps"),
                ("wget", "wget"),
                ("unzip", "unzip"),
                ("convert", "imagemagick"),
                ("ssh", "openssh-client"),
                ("xz", "xz-utils"),
                ("openssl", "openssl"),
                ("pg_config", "libpq-dev"),
            ] {
                assert_eq!(
                    in_full(command, codename),
                    Some(package),
                    "{command} {codename}"
                );
                assert_eq!(
                    in_slim(command, codename),
                    Some(false),
                    "{command} {codename}"
                );
            }
            for command in [
                "sh", "bash", "useradd", "sed", "awk", "which", "perl", "tar", "su", "[", "apt-get",
            ] {
                assert_eq!(
                    in_slim(command, codename),
                    Some(true),
                    "{command} {codename}"
                );
                assert_eq!(in_full(command, codename), None, "{command} {codename}");
            }
        }
        assert_eq!(in_full("adduser", "trixie"), Some("adduser"));
        assert_eq!(in_slim("adduser", "bookworm"), Some(true));
        assert_eq!(in_slim("ffmpeg", "bookworm"), Some(false));
        assert_eq!(in_slim("ffmpeg", "bullseye"), None);
        assert_eq!(in_slim("sh", "sid"), None);
        assert_eq!(in_full("ffmpeg", "bookworm"), None);
    }

    #[test]
    fn every_command_comes_in_a_layer() {
        for row in COMMANDS.iter() {
            for codename in ["bullseye", "bookworm", "trixie"] {
                if package_of(row.key(), codename).is_some() {
                    assert!(
                        layer_of(row.key(), codename).is_some(),
                        "{} {codename}",
                        row.key()
                    );
                }
            }
        }
    }

    #[test]
    fn effects() {
        assert_eq!(EFFECTS.iter().count(), 219);
        let apt = effect("/usr/bin/apt-get").unwrap();
        assert_eq!(apt.roles, [Role::Package]);
        assert!(apt.writes.contains(&Writes::Below("/usr")));
        assert_eq!(effect("npm").unwrap().roles, [Role::Package, Role::Build]);
        assert_eq!(effect("grep").unwrap().writes, []);
        assert_eq!(effect("rm").unwrap().writes, [Writes::Operand]);
        assert_eq!(effect("/etc/init.d/mysql").unwrap().roles, [Role::Service]);
        assert_eq!(effect("git config").unwrap().roles, [Role::Config]);
        assert_eq!(effect("bash").unwrap().writes, [Writes::Unknown]);
        assert_eq!(effect("nobody-knows"), None);
        for row in EFFECTS.iter() {
            let effect = effect(row.key()).unwrap();
            assert_eq!(
                effect.roles.len(),
                row.cell(1).unwrap().len(),
                "{}",
                row.key()
            );
            assert!(!effect.roles.is_empty());
            for writes in effect.writes {
                if let Writes::Below(path) = writes {
                    let starts = ["/", "~", "$", "WORKDIR"];
                    assert!(
                        starts.iter().any(|s| path.starts_with(s)),
                        "{}: {path}",
                        row.key()
                    );
                }
            }
        }
    }
}
