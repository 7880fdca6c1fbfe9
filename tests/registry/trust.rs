//! Docker Hub's word on namespaces, through the program itself: its API stands
//! behind a proxy's tunnel here.

use std::path::Path;
use std::process::Output;

use crate::cli::{program, text};
use crate::fake::{Fake, Reply, authority, tunnel};

/// The API: a publisher (in the spelling of its own description), a sponsored
/// project, an organisation with neither, a person, nobody, and one whose badge
/// is new to us.
fn hub() -> Fake {
    Fake::start_tls(|request| match request.target.as_str() {
        "/v2/orgs/grafana/" => {
            Reply::json(r#"{"orgname":"grafana","badge":"verfified_publisher"}"#)
        }
        "/v2/orgs/linuxserver/" => Reply::json(r#"{"badge":"open_source"}"#),
        "/v2/orgs/plain/" => Reply::json(r#"{"badge":""}"#),
        "/v2/orgs/person/" => Reply::status(302).with("Location", "/v2/users/person/"),
        "/v2/users/person/" => Reply::json(r#"{"username":"person","type":"User"}"#),
        "/v2/orgs/odd/" => Reply::json(r#"{"badge":"platinum"}"#),
        _ => Reply::status(404),
    })
}

fn tree() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (service, lines) in [
        (
            "a",
            "FROM grafana/grafana:11\nFROM linuxserver/nginx\nFROM node:20\n",
        ),
        (
            "b",
            "FROM grafana/loki:3\nFROM plain/x:1\nFROM person/x:1\nFROM nobody/x:1\nFROM odd/x:1\n",
        ),
    ] {
        let path = folder.path().join(service);
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("Dockerfile"), lines).unwrap();
    }
    folder
}

fn run(folder: &Path, hub: &Fake, args: &[&str]) -> Output {
    program(folder)
        .env("HTTPS_PROXY", tunnel(hub.address))
        .args(args)
        .arg("--registry-ca")
        .arg(&authority().pem)
        .output()
        .unwrap()
}

/// `written → class` and the note, in order.
fn classes(output: &Output) -> Vec<(String, String, String)> {
    let value: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)));
    let word = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    value["references"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (
                word(&row["written"]),
                word(&row["trust"]),
                word(&row["trust_note"]),
            )
        })
        .collect()
}

#[test]
fn each_namespace_is_asked_for_once_in_a_run_and_kept_with_its_age() {
    let (hub, folder) = (hub(), tree());
    let list = ["images", "--output-format", "json", "."];
    let live = run(folder.path(), &hub, &[&list[..], &["--online"]].concat());
    let rows = classes(&live);
    let found: Vec<(&str, &str)> = rows
        .iter()
        .map(|(a, b, _)| (a.as_str(), b.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            ("grafana/grafana:11", "verified-publisher"),
            ("linuxserver/nginx", "sponsored-open-source"),
            ("node:20", "official"),
            ("grafana/loki:3", "verified-publisher"),
            ("plain/x:1", "other"),
            ("person/x:1", "other"),
            ("nobody/x:1", "unknown"),
            ("odd/x:1", "unknown"),
        ]
    );
    assert!(
        rows[0].2.starts_with("Docker Hub says so, as of 20"),
        "{rows:?}"
    );
    assert!(
        rows[6].2.contains("Docker Hub has no namespace nobody"),
        "{rows:?}"
    );
    assert!(
        rows[7].2.contains("`platinum`, which is no badge"),
        "{rows:?}"
    );
    for namespace in ["grafana", "linuxserver", "plain", "person", "nobody", "odd"] {
        let asked = hub.count("GET", &format!("/v2/orgs/{namespace}/"));
        assert_eq!(asked, 1, "{namespace}");
    }
    assert!(
        hub.requests()
            .iter()
            .all(|request| request.authorization().is_none())
    );

    // Fresh answers come from the cache; one that said nothing is asked for again.
    let before = hub.requests().len();
    let again = run(folder.path(), &hub, &[&list[..], &["--online"]].concat());
    assert_eq!(classes(&again), rows);
    assert_eq!(hub.requests().len(), before + 1);

    // Offline they are taken at any age, and nobody is asked.
    let offline = run(folder.path(), &hub, &[&list[..], &["--offline"]].concat());
    let kept = classes(&offline);
    assert_eq!(kept[..7], rows[..7]);
    assert!(kept[7].2.contains("the network is not used"), "{kept:?}");
    assert_eq!(hub.requests().len(), before + 1);
}

#[test]
fn without_the_users_word_nobody_is_asked_and_the_class_is_unknown() {
    let (hub, folder) = (hub(), tree());
    let output = run(
        folder.path(),
        &hub,
        &["images", "--output-format", "json", "."],
    );
    let rows = classes(&output);
    assert_eq!(
        (rows[0].1.as_str(), rows[2].1.as_str()),
        ("unknown", "official")
    );
    assert!(
        rows[0].2.contains("only to be had from Docker Hub"),
        "{rows:?}"
    );
    assert_eq!(hub.connections(), 0);
}

#[test]
fn a_policy_of_classes_takes_docker_hubs_word() {
    let (hub, folder) = (hub(), tree());
    let output = run(
        folder.path(),
        &hub,
        &[
            "--online",
            "--select",
            "trusted-base",
            "--allow-class",
            "official,verified-publisher",
            ".",
        ],
    );
    let shown = text(&output.stdout);
    assert!(!shown.contains("grafana"), "{shown}");
    assert!(shown.contains("linuxserver/nginx"), "{shown}");
    assert!(
        shown.contains("this one is sponsored-open-source"),
        "{shown}"
    );
    assert_eq!(hub.count("GET", "/v2/orgs/grafana/"), 1);
}

#[test]
fn a_hub_that_limits_is_said_and_the_class_is_unknown() {
    let hub = Fake::start_tls(|_| Reply::status(429).with("Retry-After", "3600"));
    let folder = tree();
    let output = run(
        folder.path(),
        &hub,
        &["images", "--online", "--output-format", "json", "."],
    );
    let rows = classes(&output);
    assert_eq!(rows[0].1, "unknown");
    assert!(rows[0].2.contains("hub.docker.com"), "{rows:?}");
    assert!(output.status.success());
}
