//! Values that no log, report or message may show.

use std::path::Path;

/// Parts of names whose values are taken to be secret.
const TELLING: [&str; 8] = [
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "CREDENTIAL",
    "APIKEY",
    "API_KEY",
    "PRIVATE",
];

/// Shorter values would hide half of the log.
const SHORTEST: usize = 4;

/// The largest secret file that is looked for in logs.
const MAX_FILE: u64 = 1 << 20;

/// What stands for a secret.
const MASK: &str = "***";

/// Hides the values that it was told of.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// Longest first, so that a value that holds another is hidden whole.
    values: Vec<String>,
}

impl Secrets {
    /// Adds a value; one of several lines is hidden line by line as well, since
    /// that is how logs show it.
    pub fn add(&mut self, value: &str) {
        let parts = value.lines().map(str::trim).chain([value.trim()]);
        for part in parts {
            if part.len() >= SHORTEST && !self.values.iter().any(|v| v == part) {
                self.values.push(part.to_owned());
            }
        }
        self.values.sort_by_key(|v| std::cmp::Reverse(v.len()));
    }

    /// Adds what `--secret` names: `id=…,src=FILE` or `id=…,env=NAME`. A file
    /// that can't be read is the builder's to complain of.
    pub fn add_flag(&mut self, flag: &str) {
        let field = |names: &[&str]| {
            flag.split(',').find_map(|field| {
                let (key, value) = field.split_once('=')?;
                names.contains(&key.trim()).then_some(value)
            })
        };
        if let Some(path) = field(&["src", "source"]) {
            let small = std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() <= MAX_FILE);
            if small && let Ok(bytes) = std::fs::read(Path::new(path)) {
                self.add(&String::from_utf8_lossy(&bytes));
            }
            return;
        }
        // Without a file it is the environment's, by that name or the identifier.
        if let Some(value) = field(&["env", "id"]).and_then(std::env::var_os) {
            self.add(&value.to_string_lossy());
        }
    }

    /// Adds the value of `NAME=VALUE`, or of the variable NAME of our own
    /// environment, where the name sounds secret.
    pub fn add_named(&mut self, pair: &str) {
        let (name, value) = match pair.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (
                pair,
                std::env::var_os(pair).map(|v| v.to_string_lossy().into_owned()),
            ),
        };
        let upper = name.to_uppercase();
        let telling = TELLING.iter().any(|part| upper.contains(part)) || upper.ends_with("KEY");
        if telling && let Some(value) = value {
            self.add(&value);
        }
    }

    /// `text` without the values.
    #[must_use]
    pub fn hide(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for value in &self.values {
            if out.contains(value.as_str()) {
                out = out.replace(value.as_str(), MASK);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_hidden_whole_and_line_by_line() {
        let mut secrets = Secrets::default();
        secrets.add("hunter22\nsecond line\n");
        secrets.add_named("NPM_TOKEN=npm_abcdef");
        secrets.add_named("VERSION=1.2.3");
        secrets.add_named("X_KEY=abc");
        assert_eq!(
            secrets.hide("a hunter22 b second line c npm_abcdef 1.2.3 abc"),
            "a *** b *** c *** 1.2.3 abc"
        );
    }

    #[test]
    fn a_secret_file_is_read() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "s3cr3t-value\n").expect("written");
        let mut secrets = Secrets::default();
        secrets.add_flag(&format!("id=x,src={}", file.path().display()));
        assert_eq!(secrets.hide("+ echo s3cr3t-value"), "+ echo ***");
    }
}
