//! Ecosystems whose programs are compiled: which programs compile them, and
//! which files of a build context are for those alone.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::table::{Row, Table};

/// The ecosystems.
pub static COMPILED: Table = Table::new(include_str!("data/compiled.tsv"));

/// The rows in which a program compiles; every program of every file is asked
/// for, so they are known by it.
fn rows_of(program: &str) -> &'static [Row] {
    static ROWS: OnceLock<HashMap<&'static str, Vec<Row>>> = OnceLock::new();
    let rows = ROWS.get_or_init(|| {
        let mut rows: HashMap<_, Vec<Row>> = HashMap::new();
        for row in COMPILED.iter() {
            for program in row.list(1) {
                rows.entry(program).or_default().push(row);
            }
        }
        rows
    });
    rows.get(program).map_or(&[], Vec::as_slice)
}

/// Whether a program compiles what that ecosystem's stages are for.
#[must_use]
pub fn is_compiler(ecosystem: &str, program: &str) -> bool {
    rows_of(program).iter().any(|row| row.key() == ecosystem)
}

/// Whether a program builds programs of every language, as `make` does.
#[must_use]
pub fn builds_everywhere(program: &str) -> bool {
    rows_of(program)
        .iter()
        .any(|row| row.cell(5) == Some("yes"))
}

/// What runs in the end, of an ecosystem.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Final {
    /// What was compiled, alone.
    Program,
    /// The tools of the build as well, some of which may run there.
    Tools,
    /// Either: images that build serve for running what others compiled, too.
    Either,
    /// The sources, by an interpreter.
    Interpreted,
}

/// What runs in the end, of an ecosystem.
#[must_use]
pub fn runs(ecosystem: &str) -> Final {
    let row = COMPILED.get(ecosystem);
    match row.and_then(|row| row.cell(4)) {
        Some("program") => Final::Program,
        Some("tools") => Final::Tools,
        Some("either") => Final::Either,
        _ => Final::Interpreted,
    }
}

/// Whether an environment variable is read by the tools of the build alone.
#[must_use]
pub fn is_build_variable(ecosystem: &str, name: &str) -> bool {
    let rows = [COMPILED.get("any"), COMPILED.get(ecosystem)];
    let mut rows = rows.into_iter().flatten();
    // Interpreters have no inputs of their own: what they read isn't known.
    let compiled = COMPILED
        .get(ecosystem)
        .is_some_and(|row| row.cell(2).is_some());
    compiled && rows.any(|row| row.list(3).any(|other| other == name))
}

/// Whether a command whose program compiles as well runs what is compiled:
/// `dotnet app.dll`, `dotnet exec app.dll`.
#[must_use]
pub fn runs_compiled(program: &str, args: &[String]) -> bool {
    let first = args.iter().find(|arg| !arg.starts_with('-'));
    program == "dotnet" && first.is_some_and(|arg| arg == "exec" || arg.ends_with(".dll"))
}

/// Whether a program is the wrapper of a build tool that a project carries.
#[must_use]
pub fn is_wrapper(program: &str) -> bool {
    matches!(program, "gradlew" | "mvnw")
}

/// Whether a program compiles in any of them.
#[must_use]
pub fn compiles(program: &str) -> bool {
    !rows_of(program).is_empty()
}

/// Whether a file or folder of that name is read when the program is built,
/// and not when it runs.
#[must_use]
pub fn is_input(ecosystem: &str, name: &str, folder: bool) -> bool {
    let rows = [COMPILED.get("any"), COMPILED.get(ecosystem)];
    rows.into_iter().flatten().any(|row| {
        row.list(2).any(|pattern| {
            if let Some(ending) = pattern.strip_prefix('*') {
                !folder && name.ends_with(ending)
            } else if let Some(beginning) = pattern.strip_suffix('*') {
                !folder && name.starts_with(beginning)
            } else if let Some(whole) = pattern.strip_suffix('/') {
                folder && name == whole
            } else {
                !folder && name == pattern
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_by_name_ending_beginning_and_folder() {
        assert_eq!(COMPILED.faults(), Vec::<String>::new());
        assert!(is_input("go", "main.go", false));
        assert!(is_input("go", "vendor", true));
        assert!(!is_input("go", "vendor", false));
        assert!(is_input("go", "docker-compose.dev.yml", false));
        assert!(!is_input("go", "config.yaml", false));
        assert!(!is_input("go", "templates", true));
        assert!(is_input("rust", "target", true));
        assert!(is_build_variable("go", "CGO_ENABLED"));
        assert!(!is_build_variable("rust", "CGO_ENABLED"));
        assert!(!is_build_variable("python", "DEBIAN_FRONTEND"));
        assert!(!is_build_variable("ruby", "DEBIAN_FRONTEND"));
        assert_eq!(
            ["go", "php", "java", "node"].map(runs),
            [
                Final::Program,
                Final::Tools,
                Final::Either,
                Final::Interpreted
            ]
        );
        assert!(builds_everywhere("make") && !builds_everywhere("cargo"));
        assert!(is_compiler("go", "go"));
        assert!(!is_compiler("go", "npm"));
        assert!(!is_compiler("python", "gcc"));
    }
}
