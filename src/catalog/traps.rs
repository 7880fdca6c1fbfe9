//! What a newer release of a distribution does no more.

use super::Release;
use super::table::Table;

/// The traps: `family:release:subject`.
pub static TRAPS: Table = Table::new(include_str!("data/release_traps.tsv"));

/// Something that a move to a newer release meets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trap {
    /// The command, package, path or number.
    pub subject: &'static str,
    /// What is otherwise.
    pub why: &'static str,
}

/// The traps of one kind between two releases. From another family, or one that
/// isn't known, all of the way up to the new one are met.
fn between(
    kind: &'static str,
    from: Option<&'static Release>,
    to: &'static Release,
) -> impl Iterator<Item = Trap> {
    let start = from.filter(|from| from.family == to.family);
    TRAPS.iter().filter_map(move |row| {
        let mut parts = row.key().splitn(3, ':');
        let (family, name, subject) = (parts.next()?, parts.next()?, parts.next()?);
        let release = super::release(family, name)?;
        // A later release of another family has met what is of the time, not of
        // the family.
        let later = from.is_some_and(|from| {
            kind == "note" && from.released.is_some() && from.released >= release.released
        });
        let met = family == to.family
            && release.order <= to.order
            && !later
            && start.is_none_or(|start| start.order < release.order);
        (met && row.cell(1) == Some(kind)).then_some(Trap {
            subject,
            why: row.cell(2)?,
        })
    })
}

/// Commands that a RUN may run.
pub fn commands(
    from: Option<&'static Release>,
    to: &'static Release,
) -> impl Iterator<Item = Trap> {
    between("command", from, to)
}

/// Packages that a RUN may install.
pub fn packages(
    from: Option<&'static Release>,
    to: &'static Release,
) -> impl Iterator<Item = Trap> {
    between("package", from, to)
}

/// Texts that an instruction may have.
pub fn texts(from: Option<&'static Release>, to: &'static Release) -> impl Iterator<Item = Trap> {
    between("text", from, to)
}

/// Numbers of users and groups that are taken.
pub fn users(from: Option<&'static Release>, to: &'static Release) -> impl Iterator<Item = Trap> {
    between("uid", from, to)
}

/// What to look at in any case.
pub fn notes(from: Option<&'static Release>, to: &'static Release) -> impl Iterator<Item = Trap> {
    between("note", from, to)
}
