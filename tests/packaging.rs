//! The packages: made as docs/install.md says, installed below a folder of
//! their own without a network, and run. The program in them is the one of
//! these tests; `DFMIGRATE_BUILD_WHEEL=1` has maturin build it, which takes
//! minutes.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const BIN: &str = env!("CARGO_BIN_EXE_dfmigrate");

/// What a package has below its `share`.
const SHARED: [&str; 5] = [
    "bash-completion/completions/dfmigrate",
    "zsh/site-functions/_dfmigrate",
    "fish/vendor_completions.d/dfmigrate.fish",
    "man/man1/dfmigrate.1",
    "man/man1/dfmigrate-verify.1",
];

/// The commands of docs/install.md that begin so.
fn commands(start: &[&str]) -> Vec<String> {
    let path = Path::new(ROOT).join("docs/install.md");
    let page = std::fs::read_to_string(path).expect("the page");
    let lines = page.lines().filter_map(|line| line.strip_prefix("$ "));
    lines
        .filter(|line| start.iter().any(|start| line.starts_with(start)))
        .map(str::to_owned)
        .collect()
}

/// Whether all programs are there; otherwise it says loudly that they are not.
fn there(tests: &str, programs: &[&[&str]]) -> bool {
    let missing = programs.iter().find(|line| {
        let output = Command::new(line[0]).args(&line[1..]).output();
        !output.is_ok_and(|output| output.status.success())
    });
    if let Some(line) = missing {
        // Past the harness, which shows nothing of a test that passes.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: {}: it is not there, so {tests} was not made and tried",
            line.join(" ")
        );
    }
    missing.is_none()
}

/// Runs a line in the checkout, with packages and what is installed in `folder`.
fn run(folder: &Path, line: &str, environment: &[(&str, PathBuf)]) -> Output {
    let line = line.replace(
        " packages",
        &format!(" {}", folder.join("packages").display()),
    );
    let line = line.replace(
        " ./packages",
        &format!(" {}", folder.join("packages").display()),
    );
    let output = Command::new("sh")
        .args(["-c", &line])
        .current_dir(ROOT)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .output()
        .expect("a shell");
    println!("{line}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// The program, without most of what is in it for debugging.
fn program(folder: &Path) -> PathBuf {
    let stripped = folder.join("program/dfmigrate");
    std::fs::create_dir(folder.join("program")).expect("a folder");
    let status = Command::new("strip")
        .arg("-o")
        .arg(&stripped)
        .arg(BIN)
        .status();
    match status.is_ok_and(|status| status.success()) {
        true => stripped,
        false => PathBuf::from(BIN),
    }
}

/// An installed program says its version, and its exit code comes through.
fn it_runs(folder: &Path, program: &Path) {
    let run = |args: &[&str]| {
        let output = Command::new(program)
            .args(args)
            .current_dir(folder)
            .output();
        output.unwrap_or_else(|why| panic!("{}: {why}", program.display()))
    };
    assert_eq!(
        run(&["--version"]).stdout,
        concat!("dfmigrate ", env!("CARGO_PKG_VERSION"), "\n").as_bytes()
    );
    std::fs::write(folder.join("Dockerfile"), "FROM node:20\nCMD [\"node\"]\n").expect("written");
    assert_eq!(run(&["--check", "Dockerfile"]).status.code(), Some(1));
    let patch = run(&["--diff", "Dockerfile"]);
    let patch = String::from_utf8(patch.stdout).expect("UTF-8");
    assert!(patch.contains("+FROM node:20-bookworm-slim"), "{patch}");
}

fn shared_is_there(share: &Path) {
    for name in SHARED {
        let text = std::fs::read_to_string(share.join(name));
        let text = text.unwrap_or_else(|why| panic!("{name} in {}: {why}", share.display()));
        assert!(text.contains("dfmigrate"), "{name}");
    }
    let pages = std::fs::read_dir(share.join("man/man1")).expect("pages");
    assert!(pages.count() > 8);
}

#[test]
fn npm_installs_a_program_that_runs() {
    if !there(
        "the npm package",
        &[&["node", "--version"], &["npm", "--version"]],
    ) {
        return;
    }
    let tree = tempfile::tempdir().expect("a folder");
    let folder = tree.path();
    let environment = [
        ("npm_config_prefix", folder.join("installed")),
        ("npm_config_offline", "true".into()),
        ("npm_config_cache", folder.join("cache")),
        ("npm_config_update_notifier", "false".into()),
    ];
    let commands = commands(&["packaging/npm/", "npm "]);
    assert_eq!(commands.len(), 2, "{commands:?}");
    let program = program(folder).display().to_string();
    for line in commands {
        let output = run(
            folder,
            &line.replace("target/release/dfmigrate", &program),
            &environment,
        );
        assert!(output.status.success(), "{line}");
    }
    let launcher = folder.join("installed/bin/dfmigrate");
    it_runs(folder, &launcher);
    let modules = folder.join("installed/lib/node_modules");
    shared_is_there(&modules.join("dfmigrate/share"));
    // npm itself puts the manual pages where `man` looks.
    assert!(folder.join("installed/share/man/man1/dfmigrate.1").exists());
    // A machine for which there is no program is told so.
    for entry in std::fs::read_dir(&modules).expect("modules") {
        let path = entry.expect("an entry").path();
        if path
            .file_name()
            .is_some_and(|name| name.display().to_string().starts_with("dfmigrate-"))
        {
            std::fs::remove_dir_all(path).expect("removed");
        }
    }
    let without = Command::new(&launcher)
        .arg("--version")
        .output()
        .expect("it starts");
    assert_eq!(without.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&without.stderr).contains("is not installed"));
}

/// A `cargo` that has built the program already: maturin asks it
/// to, and packs what it says to have made.
fn built_already(folder: &Path) -> PathBuf {
    let cargo = env!("CARGO");
    let metadata = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version=1"])
        .current_dir(ROOT)
        .output()
        .expect("cargo");
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).expect("JSON");
    let package = &metadata["packages"][0];
    let targets = package["targets"].as_array().expect("targets");
    let target = targets
        .iter()
        .find(|target| target["kind"][0] == "bin" && target["name"] == "dfmigrate");
    let program = program(folder);
    let artifact = serde_json::json!({
        "reason": "compiler-artifact",
        "package_id": package["id"],
        "manifest_path": package["manifest_path"],
        "target": target.expect("the program"),
        "profile": {
            "opt_level": "0", "debuginfo": 0, "debug_assertions": true,
            "overflow_checks": true, "test": false
        },
        "features": [],
        "filenames": [program],
        "executable": program,
        "fresh": true
    });
    std::fs::write(folder.join("built.json"), format!("{artifact}\n")).expect("written");
    let stand_in = folder.join("cargo");
    let script = format!(
        "#!/bin/sh\nif [ \"$1\" = rustc ]; then exec cat '{}'; fi\nexec '{cargo}' \"$@\"\n",
        folder.join("built.json").display()
    );
    std::fs::write(&stand_in, script).expect("written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&stand_in, mode).expect("it may be run");
    stand_in
}

#[test]
fn pip_installs_a_program_that_runs() {
    let needed: [&[&str]; 3] = [
        &["maturin", "--version"],
        &["python3", "-m", "wheel", "version"],
        &["python3", "-m", "pip", "--version"],
    ];
    if !there("the wheel", &needed) {
        return;
    }
    let tree = tempfile::tempdir().expect("a folder");
    let folder = tree.path();
    let installed = folder.join("installed");
    let mut environment = vec![
        ("PIP_PREFIX", installed.clone()),
        ("PIP_NO_INDEX", "1".into()),
        ("PIP_ROOT_USER_ACTION", "ignore".into()),
    ];
    let build = std::env::var_os("DFMIGRATE_BUILD_WHEEL").is_some_and(|how| how == "1");
    environment.push(match build {
        // What is there for these tests is of other features.
        true => (
            "CARGO_TARGET_DIR",
            Path::new(env!("CARGO_TARGET_TMPDIR")).join("wheel"),
        ),
        false => ("CARGO", built_already(folder)),
    });
    let commands = commands(&["packaging/pypi/", "python3 "]);
    assert_eq!(commands.len(), 2, "{commands:?}");
    for line in commands {
        let output = run(folder, &line, &environment);
        assert!(
            output.status.success(),
            "{line}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let program = installed.join("bin/dfmigrate");
    it_runs(folder, &program);
    shared_is_there(&installed.join("share"));
}

#[test]
fn its_own_dockerfile_is_left_alone() {
    let output = Command::new(BIN)
        .args([
            "--isolated",
            "--output-format",
            "json",
            "--verbose",
            "Dockerfile",
        ])
        .current_dir(ROOT)
        .output()
        .expect("the program starts");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let file = &report["files"][0];
    assert_eq!(file["path"], "Dockerfile");
    for nothing in [
        "rewrites",
        "held",
        "left_alone",
        "unused_suppressions",
        "syntax_errors",
    ] {
        assert_eq!(file[nothing], serde_json::json!([]), "{nothing}");
    }
    let images = Command::new(BIN)
        .args([
            "images",
            "--isolated",
            "--fail-on",
            "untrusted,eol,deprecated,floating,policy,unknown",
        ])
        .arg("Dockerfile")
        // The day is fixed, so that the test is no alarm clock.
        .env("SOURCE_DATE_EPOCH", "1795500000")
        .current_dir(ROOT)
        .output()
        .expect("the program starts");
    let said = String::from_utf8_lossy(&images.stdout).into_owned();
    assert_eq!(images.status.code(), Some(0), "{said}");
    assert!(said.contains("1 official"), "{said}");
    // The container has no shell: what it runs has to be there by itself.
    let text = std::fs::read_to_string(Path::new(ROOT).join("Dockerfile")).expect("the file");
    let last = text.split("FROM ").last().expect("a stage");
    assert!(
        last.starts_with("scratch\n") && !last.contains("RUN "),
        "{last}"
    );
}
