//! Crates that link a system library.

use super::table::Table;

/// The crates.
pub static CRATES: Table = Table::new(include_str!("data/crates.tsv"));

/// What a crate links.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Links {
    /// The Debian packages of headers.
    pub packages: Vec<&'static str>,
    /// A crate which brings the sources, so that nothing of the system is linked.
    pub unless: Option<&'static str>,
}

/// The system libraries that a crate links; `None` where it links none, or no
/// data says so.
#[must_use]
pub fn links(name: &str) -> Option<Links> {
    let row = CRATES.get(name)?;
    let packages: Vec<&str> = row.list(1).collect();
    (!packages.is_empty()).then(|| Links {
        packages,
        unless: row.cell(2),
    })
}

/// Whether a crate is known to link nothing of the system.
#[must_use]
pub fn is_bundled(name: &str) -> bool {
    CRATES.get(name).is_some_and(|row| row.cell(1).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_by_what_they_link() {
        assert_eq!(CRATES.faults(), Vec::<String>::new());
        let openssl = links("openssl-sys").unwrap();
        assert_eq!(openssl.packages, ["libssl-dev"]);
        assert_eq!(openssl.unless, Some("openssl-src"));
        assert_eq!(links("zstd-sys"), None);
        assert!(is_bundled("zstd-sys"));
        assert!(!is_bundled("nobody-sys"));
        for row in CRATES.iter() {
            for package in row.list(1) {
                let known = ["bookworm", "trixie"].iter().any(|codename| {
                    crate::catalog::packages::runtime_of(package, codename).is_some()
                });
                assert!(known, "{}: {package}", row.key());
            }
        }
    }
}
