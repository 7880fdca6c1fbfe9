//! Which names mean a Dockerfile, and which folders hold other people's.

/// The names that a Dockerfile has, alone or beside a dot.
const STEMS: [&str; 2] = ["dockerfile", "containerfile"];

/// Endings of files that stand beside a Dockerfile, or are a left-over of one,
/// and are none. Templates (`.j2`, `.tmpl`, `.erb`, …) are not here: they are
/// taken, and reported for what they are.
const COMPANIONS: [&str; 18] = [
    "dockerignore",
    "containerignore",
    // what editors, patch and package managers leave behind
    "bak",
    "dpkg-dist",
    "orig",
    "rej",
    "rpmnew",
    "rpmsave",
    "swo",
    "swp",
    "tmp",
    // texts about Dockerfiles
    "adoc",
    "html",
    "md",
    "rst",
    // signatures
    "asc",
    "sha256",
    "sig",
];

/// Endings of source code and data. `dockerfile.go` is a Go program that deals
/// with Dockerfiles, while `Dockerfile.go` is the Dockerfile of a Go service:
/// they count only after a stem in lower case.
const CODE: [&str; 28] = [
    "c", "cc", "class", "cpp", "cs", "css", "go", "h", "ini", "java", "js", "json", "kt", "lua",
    "php", "pl", "pm", "py", "pyc", "rb", "rs", "scala", "sh", "toml", "ts", "vim", "xml", "yaml",
];

/// Folders of things that come from elsewhere or are made: a Dockerfile in
/// them is not the user's to change.
pub const VENDORED: [&str; 13] = [
    "Carthage",
    "Pods",
    "__pycache__",
    "bower_components",
    "jspm_packages",
    "node_modules",
    "site-packages",
    "target",
    "third-party",
    "third_party",
    "vendor",
    "vendored",
    "venv",
];

/// Whether a file of this name, found in a folder, is taken for a Dockerfile:
/// `Dockerfile`, `Dockerfile.*`, `*.Dockerfile` in any letter case, likewise
/// `Containerfile`, without companions such as `Dockerfile.dockerignore`,
/// `Dockerfile.md`, `Dockerfile.orig` or `dockerfile.go`.
#[must_use]
pub fn is_dockerfile_name(name: &str) -> bool {
    STEMS.iter().any(|stem| {
        let is_stem = |part: &str| part.eq_ignore_ascii_case(stem);
        if is_stem(name) {
            return true;
        }
        if let Some((head, rest)) = name.split_once('.')
            && is_stem(head)
        {
            let ending = rest.rsplit('.').next().unwrap_or(rest);
            let among = |list: &[&str]| list.iter().any(|e| ending.eq_ignore_ascii_case(e));
            let in_lower_case = !head.bytes().any(|b| b.is_ascii_uppercase());
            return !rest.is_empty()
                && !name.ends_with('~')
                && !among(&COMPANIONS)
                && !(in_lower_case && (among(&CODE) || ending.eq_ignore_ascii_case("yml")));
        }
        name.rsplit_once('.')
            .is_some_and(|(head, tail)| !head.is_empty() && is_stem(tail))
    })
}

/// Whether a folder of this name is left out.
pub(super) fn is_vendored(name: &std::ffi::OsStr) -> bool {
    name.to_str()
        .is_some_and(|name| VENDORED.binary_search(&name).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in [
            "Dockerfile",
            "dockerfile",
            "DOCKERFILE",
            "Dockerfile.prod",
            "Dockerfile.go",
            "Dockerfile.j2",
            "Dockerfile.tmpl",
            "Dockerfile.txt",
            "dockerfile.alpine",
            "app.Dockerfile",
            "app.dockerfile",
            "a.b.dockerfile",
            "Containerfile",
            "Containerfile.ubi",
            "x.Containerfile",
        ] {
            assert!(is_dockerfile_name(name), "{name}");
        }
        for name in [
            "Dockerfile.dockerignore",
            "Dockerfile.prod.dockerignore",
            "Dockerfile.swp",
            ".Dockerfile.swp",
            "Dockerfile.orig",
            "Dockerfile.prod.rej",
            "Dockerfile.BAK",
            "Dockerfile.prod~",
            "Dockerfile~",
            "Dockerfile.",
            "Dockerfile.md",
            "dockerfile.go",
            "dockerfile.yml",
            "dockerfile_parser.py",
            "Dockerfiles",
            "MyDockerfile",
            ".dockerfile",
            ".dockerignore",
            "",
        ] {
            assert!(!is_dockerfile_name(name), "{name}");
        }
    }

    #[test]
    fn tables_are_sorted() {
        assert!(VENDORED.is_sorted());
    }
}
