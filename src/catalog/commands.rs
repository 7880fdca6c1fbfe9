//! Commands: which package brings them to the official Debian bases.

use super::packages::{self, Layer};
use super::release;
use super::table::Table;

/// Which package brings a command, in each release.
pub static COMMANDS: Table = Table::new(include_str!("data/commands.tsv"));

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
}
