//! The well-known public registries.

use super::table::{NOTHING, Table};

/// One row for each.
pub static REGISTRIES: Table = Table::new(include_str!("data/registries.tsv"));

/// A public registry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PublicRegistry {
    /// The host as references name it, such as `docker.io`.
    pub host: &'static str,
    /// The host that answers for it.
    pub api: &'static str,
    /// A token service on another host to which credentials for this registry
    /// may go.
    pub credentials: Option<&'static str>,
}

/// The well-known registry of a reference's domain.
#[must_use]
pub fn public_registry(domain: &str) -> Option<PublicRegistry> {
    let row = REGISTRIES.get(domain)?;
    let token = row.cell(2).filter(|cell| *cell != NOTHING);
    Some(PublicRegistry {
        host: row.key(),
        api: row.cell(1)?,
        credentials: token.filter(|_| row.cell(3) == Some("yes")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_hub_answers_on_a_host_of_its_own() {
        let hub = public_registry("docker.io").unwrap();
        assert_eq!(hub.api, "registry-1.docker.io");
        assert_eq!(hub.credentials, Some("auth.docker.io"));
        assert_eq!(public_registry("ghcr.io").unwrap().credentials, None);
        assert_eq!(public_registry("ghcr.io.example.org"), None);
        assert_eq!(public_registry("evil.docker.io"), None);
    }
}
