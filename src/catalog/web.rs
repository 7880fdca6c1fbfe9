//! Programs that serve files and nothing else, and what their options say.

use super::table::{Row, Table};

static SERVERS: Table = Table::new(include_str!("data/static_servers.tsv"));

/// A file server.
#[derive(Clone, Copy)]
pub struct Server(Row);

/// The file server that words start, and how many of them name it.
#[must_use]
pub fn server(words: &[&str]) -> Option<(Server, usize)> {
    let two = words.get(..2).map(|words| words.join(" "));
    let two = two.and_then(|name| Some((Server(SERVERS.get(&name)?), 2)));
    two.or_else(|| Some((Server(SERVERS.get(words.first()?)?), 1)))
}

impl Server {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.key()
    }

    /// The port that it listens on, untold.
    #[must_use]
    pub fn port(self) -> u16 {
        let port = self.0.cell(1).and_then(|port| port.parse().ok());
        port.unwrap_or_default()
    }

    /// Whether `$PORT` tells it the port.
    #[must_use]
    pub fn reads_port(self) -> bool {
        self.0.cell(2) == Some("yes")
    }

    /// The folder that it serves, untold; `None` where that is not one of
    /// pages alone.
    #[must_use]
    pub fn folder(self) -> Option<&'static str> {
        self.0.cell(3)
    }

    /// Whether it always gives `index.html` for what is no file.
    #[must_use]
    pub fn is_single(self) -> bool {
        self.0.cell(4) == Some("always")
    }

    /// Whether an option makes it do so.
    #[must_use]
    pub fn makes_single(self, flag: &str) -> bool {
        self.0.list(4).any(|other| other == flag)
    }

    /// Whether an option's value is the port.
    #[must_use]
    pub fn takes_port(self, flag: &str) -> bool {
        self.0.list(5).any(|other| other == flag)
    }

    /// Whether an option has a value that nginx has no need of.
    #[must_use]
    pub fn takes_value(self, flag: &str) -> bool {
        self.0.list(6).any(|other| other == flag)
    }

    /// Whether an option changes nothing that is served.
    #[must_use]
    pub fn ignores(self, flag: &str) -> bool {
        self.0.list(7).any(|other| other == flag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_and_their_options() {
        assert_eq!(SERVERS.faults(), Vec::<String>::new());
        let (serve, used) = server(&["serve", "-s", "build"]).unwrap();
        assert_eq!((serve.name(), serve.port(), used), ("serve", 3000, 1));
        assert!(serve.makes_single("-s") && serve.takes_port("-l") && !serve.is_single());
        let (vite, used) = server(&["vite", "preview"]).unwrap();
        assert_eq!((vite.port(), vite.folder(), used), (4173, Some("dist"), 2));
        assert!(server(&["vite", "dev"]).is_none() && server(&[]).is_none());
        for row in SERVERS.iter() {
            assert_ne!(Server(row).port(), 0, "{}", row.key());
        }
    }
}
