//! Manifests and what can be wrong with them.

use dfmigrate::facts::{Images as _, Known};
use dfmigrate::registry::Stores;

use crate::fake::{Fake, Reply, Request};
use crate::{
    OCI_INDEX, OCI_MANIFEST, allowing, ask, assert_good, good, index_of, manifest, online,
    platform_digest, reference, says, sha256, usual_index,
};

/// A registry that has no digest in its headers, so that the body is read.
fn body(reply: impl Fn() -> Reply + Send + Sync + 'static) -> Fake {
    Fake::start(move |request| {
        if request.method == "HEAD" {
            Reply::status(200).with("Content-Type", OCI_INDEX)
        } else {
            reply()
        }
    })
}

fn index_reply(text: impl Into<Vec<u8>>) -> Reply {
    Reply::status(200)
        .with("Content-Type", OCI_INDEX)
        .body(text)
}

/// What the index of `app:1` is.
fn index(fake: &Fake) -> Known<dfmigrate::facts::Index> {
    let registry = online(allowing(&[fake]), Stores::default());
    registry.index(&reference(&format!("{}/app:1", fake.host())))
}

#[test]
fn the_head_alone_gives_the_digest_and_asks_for_every_form() {
    let fake = Fake::start(good);
    assert_good(ask(&fake));
    let requests = fake.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].method, "HEAD");
    let accept = requests[0].header("accept").unwrap();
    for form in [
        OCI_INDEX,
        OCI_MANIFEST,
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    ] {
        assert!(accept.contains(form), "{accept}");
    }
    assert!(
        requests[0]
            .header("user-agent")
            .unwrap()
            .starts_with("dfmigrate/")
    );
}

#[test]
fn without_a_digest_header_the_body_is_read() {
    let fake = body(|| index_reply(usual_index()));
    assert_good(ask(&fake));
    assert_eq!((fake.count("HEAD", ""), fake.count("GET", "")), (1, 1));
}

#[test]
fn a_registry_without_head_is_asked_with_get() {
    let fake = Fake::start(|request| match request.method.as_str() {
        "HEAD" => Reply::status(405),
        _ => good(request),
    });
    assert_good(ask(&fake));
}

#[test]
fn a_digest_that_is_not_the_bodys_is_refused() {
    let wrong = sha256(b"something else");
    let header = wrong.clone();
    let fake =
        body(move || index_reply(usual_index()).with("Docker-Content-Digest", header.clone()));
    says(ask(&fake), &format!("not {wrong} as it should be"));
}

#[test]
fn a_body_that_is_not_the_digest_asked_for_is_refused() {
    let fake = Fake::start(|request| match request.method.as_str() {
        "HEAD" => good(request),
        _ => manifest(&index_of(&["linux/amd64"])),
    });
    says(index(&fake), "as it should be");
}

#[test]
fn a_digest_header_that_is_no_digest_is_refused() {
    for odd in [
        "latest",
        "sha256:12",
        "md5:d41d8cd98f00b204e9800998ecf8427e",
    ] {
        let fake = Fake::start(move |_| {
            Reply::status(200)
                .with("Content-Type", OCI_INDEX)
                .with("Docker-Content-Digest", odd)
        });
        says(ask(&fake), "names a digest that is none");
    }
}

#[test]
fn a_captive_portal_is_no_digest() {
    let fake = Fake::start(|_| {
        Reply::status(200)
            .with("Content-Type", "text/html; charset=utf-8")
            .with("Docker-Content-Digest", sha256(b"portal"))
            .body("<html>Please sign in</html>")
    });
    says(ask(&fake), "answers with a web page, not with a manifest");
}

#[test]
fn a_body_that_is_no_json_is_said() {
    let fake = body(|| index_reply("not json"));
    says(index(&fake), "sends something that is no JSON");
}

#[test]
fn deeply_nested_json_is_said() {
    let fake = body(|| {
        let text = format!(
            r#"{{"manifests":{}{}}}"#,
            "[".repeat(200_000),
            "]".repeat(200_000)
        );
        index_reply(text)
    });
    says(index(&fake), "sends");
}

#[test]
fn schema_1_is_said() {
    let fake = Fake::start(|_| {
        Reply::status(200)
            .with(
                "Content-Type",
                "application/vnd.docker.distribution.manifest.v1+prettyjws",
            )
            .with("Docker-Content-Digest", sha256(b"schema 1"))
    });
    says(ask(&fake), "only in the old schema 1");
}

#[test]
fn a_missing_media_type_is_said() {
    let fake = Fake::start(|_| Reply::status(200));
    says(ask(&fake), "does not say what it sends");
    let fake = Fake::start(|_| Reply::json("{}"));
    says(
        ask(&fake),
        "answers with application/json, not with a manifest",
    );
}

#[test]
fn an_empty_index_is_said() {
    let fake = body(|| index_reply(r#"{"schemaVersion":2,"manifests":[]}"#));
    says(index(&fake), "sends an index that names no image");
}

#[test]
fn attestations_are_no_images() {
    let fake = Fake::start(good);
    let Known::Yes(index) = index(&fake) else {
        panic!("no index");
    };
    let platforms: Vec<_> = index
        .entries
        .iter()
        .map(|e| e.platform.as_deref())
        .collect();
    assert_eq!(platforms, [Some("linux/amd64"), Some("linux/arm64")]);
    assert_eq!(index.entries[0].digest, platform_digest("linux/amd64"));
    assert_eq!(
        index.entries[0].base_name.as_deref(),
        Some("debian:bookworm")
    );
    assert!(!index.single);
    // An index of attestations alone names no image.
    let fake = body(|| index_reply(index_of(&[])));
    says(crate::bodies::index(&fake), "names no image");
}

#[test]
fn an_index_of_too_many_images_is_refused() {
    let fake = body(|| {
        let one = format!(r#"{{"digest":"{}"}}"#, sha256(b"x"));
        index_reply(format!(
            r#"{{"manifests":[{}]}}"#,
            vec![one; 1001].join(",")
        ))
    });
    says(index(&fake), "more than 1000 items");
}

#[test]
fn a_manifest_that_calls_itself_something_else_is_refused() {
    let fake = body(|| {
        Reply::status(200)
            .with("Content-Type", OCI_MANIFEST)
            .body(format!(
                r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","config":{{"digest":"{}"}}}}"#,
                sha256(b"x")
            ))
    });
    says(
        index(&fake),
        "calls itself something else than its header does",
    );
}

/// A single image with its configuration.
fn single(config: &'static str) -> impl Fn(&Request) -> Reply + Send + Sync {
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","config":{{"mediaType":"x","digest":"{}","size":1}},"layers":[]}}"#,
        sha256(config.as_bytes())
    );
    move |request| {
        if request.target.contains("/blobs/") {
            Reply::status(200)
                .with("Content-Type", "application/octet-stream")
                .body(config)
        } else {
            manifest(&text)
        }
    }
}

#[test]
fn a_single_manifest_says_its_platform_by_its_configuration() {
    let fake = Fake::start(single(
        r#"{"os":"linux","architecture":"arm","variant":"v7","created":"2026-08-01T02:03:04.5Z"}"#,
    ));
    let registry = online(allowing(&[&fake]), Stores::default());
    let name = reference(&format!("{}/app:1", fake.host()));
    let Known::Yes(resolved) = registry.digest(&name) else {
        panic!("not resolved");
    };
    assert!(resolved.single);
    let Known::Yes(index) = registry.index(&name) else {
        panic!("no index");
    };
    assert!(index.single);
    assert_eq!(index.entries[0].platform.as_deref(), Some("linux/arm/v7"));
    let made = registry.created(&name).yes().unwrap();
    assert_eq!(made.to_string(), "2026-08-01T02:03:04Z");
    // Each was asked for once.
    assert_eq!(fake.count("HEAD", "/manifests/"), 1);
    assert_eq!(fake.count("GET", "/manifests/"), 1);
    assert_eq!(fake.count("GET", "/blobs/"), 1);
}

#[test]
fn an_image_that_does_not_say_when_it_was_made_has_no_date() {
    let fake = Fake::start(single(
        r#"{"os":"linux","architecture":"amd64","created":"1970-01-01T00:00:00Z"}"#,
    ));
    let registry = online(allowing(&[&fake]), Stores::default());
    let name = reference(&format!("{}/app:1", fake.host()));
    says(registry.created(&name), "does not say when it was made");
}

#[test]
fn a_configuration_with_another_digest_is_refused() {
    let config = r#"{"os":"linux","architecture":"amd64"}"#;
    let handler = single(config);
    let fake = Fake::start(move |request| {
        if request.target.contains("/blobs/") {
            Reply::status(200).body("{}")
        } else {
            handler(request)
        }
    });
    says(index(&fake), "has another digest than it should");
}

#[test]
fn a_tag_that_is_not_there_is_no() {
    let fake =
        Fake::start(|_| Reply::status(404).body(r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#));
    assert_eq!(ask(&fake), Known::No);
    assert_eq!(fake.requests().len(), 1, "a 404 is not asked again");
}

#[test]
fn pages_of_tags_are_put_together() {
    let fake = Fake::start(|request| {
        if request.target.contains("last=b") {
            Reply::json(r#"{"name":"app","tags":["c","not a tag!",""]}"#)
        } else {
            Reply::json(r#"{"name":"app","tags":["a","b"]}"#)
                .with("Link", r#"</v2/app/tags/list?last=b&n=2>; rel="next""#)
        }
    });
    let registry = online(allowing(&[&fake]), Stores::default());
    let tags = registry.tags(&reference(&format!("{}/app", fake.host())));
    assert_eq!(tags, Known::Yes(vec!["a".into(), "b".into(), "c".into()]));
}

/// The tags of a registry whose every page has that link.
fn linked(link: impl Fn(&Request) -> String + Send + Sync + 'static) -> (Fake, Known<Vec<String>>) {
    let fake =
        Fake::start(move |request| Reply::json(r#"{"tags":["a"]}"#).with("Link", link(request)));
    let registry = online(allowing(&[&fake]), Stores::default());
    let tags = registry.tags(&reference(&format!("{}/app", fake.host())));
    (fake, tags)
}

#[test]
fn pages_of_tags_in_a_circle_end() {
    let (fake, tags) = linked(|_| r#"</v2/app/tags/list?last=a>; rel="next""#.into());
    says(tags, "go in a circle");
    assert_eq!(fake.requests().len(), 2);
}

#[test]
fn a_next_page_on_another_host_is_not_followed() {
    let other = Fake::start(|_| Reply::json(r#"{"tags":["b"]}"#));
    let to = other.url("/v2/app/tags/list");
    let (_, tags) = linked(move |_| format!("<{to}>; rel=\"next\""));
    says(tags, "a next page on another host");
    assert_eq!(other.connections(), 0);
}

#[test]
fn pages_of_tags_without_end_end() {
    let (fake, tags) =
        linked(|request| format!("</v2/app/tags/list?last={}>; rel=next", request.number));
    says(tags, "has more than 20 pages of tags");
    assert_eq!(fake.requests().len(), 20);
}
