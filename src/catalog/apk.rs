//! Alpine's packages: what they are for.

use super::packages::Class;
use super::table::Table;

/// The packages.
pub static APK: Table = Table::new(include_str!("data/apk_packages.tsv"));

/// What an Alpine package is for, and for headers the libraries that stay.
#[must_use]
pub fn class_of(package: &str) -> (Class, Vec<&'static str>) {
    let Some(row) = APK.get(package) else {
        let ends = |ending: &str| package.ends_with(ending);
        let class = if ends("-doc") || ends("-static") || ends("-dbg") {
            Class::BuildOnly
        } else if ends("-dev") {
            Class::Dev
        } else {
            Class::Unknown
        };
        return (class, Vec::new());
    };
    let list: Vec<&str> = row.list(2).collect();
    match row.cell(1) {
        Some("build") => (Class::BuildOnly, Vec::new()),
        Some("tool") => (Class::ToolIfDemanded { commands: list }, Vec::new()),
        Some("dev") => (Class::Dev, list),
        _ => (Class::Runtime, Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes() {
        assert_eq!(APK.faults(), Vec::<String>::new());
        assert_eq!(class_of("build-base").0, Class::BuildOnly);
        assert_eq!(class_of("libpq-dev"), (Class::Dev, vec!["libpq"]));
        assert_eq!(class_of("nobody-dev"), (Class::Dev, Vec::new()));
        assert_eq!(class_of("tzdata").0, Class::Runtime);
        assert_eq!(class_of("nobody").0, Class::Unknown);
        assert!(matches!(class_of("git").0, Class::ToolIfDemanded { .. }));
    }
}
