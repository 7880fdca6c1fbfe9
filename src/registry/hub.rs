//! What Docker Hub's API says of namespaces: who is a verified publisher, and
//! who is sponsored (`/v2/orgs/NAMESPACE/`, without signing in). The badge is
//! the namespace's, not the repository's.

use jiff::Timestamp;
use serde_json::Value;

use super::words::clean;
use super::{Inner, Mode, lock, now};
use crate::facts::{Badge, Badged, Known, Unavailable};

/// Where the API is.
const API: &str = "https://hub.docker.com/v2/orgs/";

/// One answer, as a line of the cache: `NAMESPACE BADGE TIME`.
fn line(namespace: &str, told: Known<Badge>, as_of: Timestamp) -> Option<String> {
    let badge = match told {
        Known::Yes(badge) => badge.word(),
        Known::No => "absent",
        Known::Unknown(_) => return None,
    };
    Some(format!(
        "{namespace} {badge} {}",
        as_of.strftime("%Y-%m-%dT%H:%M:%SZ")
    ))
}

fn parse(text: &str, namespace: &str) -> Option<(Known<Badged>, Timestamp)> {
    let mut words = text.split(' ');
    let (whose, word, time) = (words.next()?, words.next()?, words.next()?);
    if whose != namespace || words.next().is_some() {
        return None;
    }
    let as_of: Timestamp = time.parse().ok()?;
    let told = match word {
        "absent" => Known::No,
        word => Known::Yes(Badged {
            badge: Badge::parse(word)?,
            as_of,
        }),
    };
    Some((told, as_of))
}

/// The badge in an answer of the API. A personal account has none; the API
/// leads from `orgs` to `users` there.
fn badge(answer: &Value) -> Known<Badge> {
    let failed = |why: String| Known::Unknown(Unavailable::Failed(why));
    match answer.get("badge") {
        Some(Value::String(word)) => match Badge::parse(word) {
            Some(badge) => Known::Yes(badge),
            None => failed(format!(
                "Docker Hub says `{}`, which is no badge that is known",
                clean(word, 40)
            )),
        },
        Some(Value::Null) => Known::Yes(Badge::None),
        None if answer.get("type").and_then(Value::as_str) == Some("User") => {
            Known::Yes(Badge::None)
        }
        _ => failed("Docker Hub\'s answer has no badge in it".to_owned()),
    }
}

impl Inner {
    /// The badge of a namespace: from this run, from the cache while it is fresh
    /// (offline at any age), or from Docker Hub, once in a run.
    pub(super) async fn badge(&self, namespace: &str) -> Known<Badged> {
        let cell = {
            let mut badges = lock(&self.badges);
            std::sync::Arc::clone(badges.entry(namespace.to_owned()).or_default())
        };
        let answer = cell.get_or_init(|| async {
            let key = format!("hub.docker.com {namespace} badge");
            let config = &self.config;
            let kept = config.cache.as_ref().and_then(|cache| cache.line(&key));
            let offline = config.mode != Mode::Online;
            if let Some((told, as_of)) = kept.and_then(|text| parse(&text, namespace)) {
                let age = now().duration_since(as_of);
                if offline
                    || (!age.is_negative() && age.unsigned_abs() < config.policy.limits.badges)
                {
                    return told;
                }
            }
            let word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.';
            let url = reqwest::Url::parse(&format!("{API}{namespace}/"));
            let url = match url {
                Ok(url) if !offline && namespace.chars().all(word) => url,
                _ => return Known::Unknown(Unavailable::Offline),
            };
            let told = self
                .fetch("hub.docker.com", || async {
                    self.client()?.json(url).await
                })
                .await;
            let told = match told {
                Known::Yes(answer) => badge(&answer),
                Known::No => Known::No,
                Known::Unknown(why) => Known::Unknown(why),
            };
            let as_of = now();
            if let (Some(cache), Some(line)) = (&config.cache, line(namespace, told.clone(), as_of))
                && let Err(error) = cache.put_line(&key, &line)
            {
                self.note(format!("answers can\'t be kept for later runs: {error}"));
            }
            told.map(|badge| Badged { badge, as_of })
        });
        answer.await.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_as_the_api_gives_them() {
        let of = |text: &str| badge(&serde_json::from_str(text).unwrap());
        for (text, expected) in [
            (
                r#"{"badge":"verified_publisher"}"#,
                Badge::VerifiedPublisher,
            ),
            (
                r#"{"badge":"verfified_publisher"}"#,
                Badge::VerifiedPublisher,
            ),
            (
                r#"{"orgname":"x","badge":"open_source"}"#,
                Badge::OpenSource,
            ),
            (r#"{"badge":""}"#, Badge::None),
            (r#"{"id":"1","username":"x","type":"User"}"#, Badge::None),
        ] {
            assert_eq!(of(text), Known::Yes(expected), "{text}");
        }
        for text in [r#"{"badge":"gold"}"#, r#"{"badge":7}"#, "{}", "[]"] {
            assert!(matches!(of(text), Known::Unknown(_)), "{text}");
        }
    }

    #[test]
    fn lines_of_the_cache_are_read_as_they_are_written() {
        let as_of: Timestamp = "2026-11-24T15:00:00Z".parse().unwrap();
        for told in [Badge::VerifiedPublisher, Badge::OpenSource, Badge::None] {
            let text = line("x", Known::Yes(told), as_of).unwrap();
            let badged = Badged { badge: told, as_of };
            assert_eq!(parse(&text, "x"), Some((Known::Yes(badged), as_of)));
            assert_eq!(parse(&text, "y"), None);
        }
        let text = line("x", Known::No, as_of).unwrap();
        assert_eq!(parse(&text, "x"), Some((Known::No, as_of)));
        assert_eq!(parse("x gold 2026-11-24T15:00:00Z", "x"), None);
    }
}
