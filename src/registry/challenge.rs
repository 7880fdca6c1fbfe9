//! `WWW-Authenticate`: what a registry wants to see (RFC 9110 §11.6.1).

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// How to sign in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Challenge {
    /// With a token of that service.
    Bearer {
        realm: String,
        service: Option<String>,
    },
    /// With user name and password, at the registry itself.
    Basic,
}

/// The best challenge of an answer: Bearer before Basic.
///
/// # Errors
/// Why there is none that can be met, in words.
pub(super) fn challenge(headers: &HeaderMap) -> Result<Challenge, &'static str> {
    let mut basic = false;
    let mut any = false;
    let mut bearer = None;
    for value in headers.get_all(WWW_AUTHENTICATE) {
        any = true;
        let text = value
            .to_str()
            .map_err(|_| "its challenge has characters that are not allowed")?;
        for (scheme, params) in schemes(text)? {
            if scheme.eq_ignore_ascii_case("basic") {
                basic = true;
            } else if scheme.eq_ignore_ascii_case("bearer") && bearer.is_none() {
                let get = |name: &str| {
                    let found = params
                        .iter()
                        .find(|(key, _)| key.eq_ignore_ascii_case(name));
                    found.map(|(_, value)| value.clone())
                };
                let realm = get("realm").filter(|realm| !realm.is_empty());
                bearer = Some(Challenge::Bearer {
                    realm: realm.ok_or("its challenge names no token service")?,
                    service: get("service"),
                });
            }
        }
    }
    match (bearer, basic) {
        (Some(bearer), _) => Ok(bearer),
        (None, true) => Ok(Challenge::Basic),
        (None, false) if any => Err("it asks for a way of signing in that is not known"),
        (None, false) => Err("it does not say how to sign in"),
    }
}

type Params = Vec<(String, String)>;

/// The schemes of one header with their parameters.
fn schemes(text: &str) -> Result<Vec<(String, Params)>, &'static str> {
    const MALFORMED: &str = "its challenge is malformed";
    let mut found: Vec<(String, Params)> = Vec::new();
    let mut rest = text.trim_start_matches([' ', '\t', ',']);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !token(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            return Err(MALFORMED);
        }
        let after = after.trim_start_matches([' ', '\t']);
        if let Some(value) = after.strip_prefix('=') {
            let (_, params) = found.last_mut().ok_or(MALFORMED)?;
            let (value, after) =
                parameter(value.trim_start_matches([' ', '\t'])).ok_or(MALFORMED)?;
            params.push((word.to_owned(), value));
            let after = after.trim_start_matches([' ', '\t']);
            if !after.is_empty() && !after.starts_with(',') {
                return Err(MALFORMED);
            }
            rest = after.trim_start_matches([' ', '\t', ',']);
        } else {
            found.push((word.to_owned(), Vec::new()));
            rest = after.trim_start_matches([' ', '\t', ',']);
        }
    }
    Ok(found)
}

fn token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

/// A value, quoted or not, and what follows it.
fn parameter(text: &str) -> Option<(String, &str)> {
    let Some(inner) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (end > 0).then(|| (text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut escaped = false;
    for (at, c) in inner.char_indices() {
        match c {
            _ if escaped => {
                value.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return Some((value, &inner[at + 1..])),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Result<Challenge, &'static str> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, value.parse().unwrap());
        }
        challenge(&headers)
    }

    fn bearer(realm: &str, service: Option<&str>) -> Result<Challenge, &'static str> {
        Ok(Challenge::Bearer {
            realm: realm.into(),
            service: service.map(Into::into),
        })
    }

    #[test]
    fn reads_what_registries_send() {
        assert_eq!(
            read(&[
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/node:pull""#
            ]),
            bearer("https://auth.docker.io/token", Some("registry.docker.io"))
        );
        assert_eq!(
            read(&[r#"Basic realm="x", Bearer Realm = "https://h/t" , service=s"#]),
            bearer("https://h/t", Some("s"))
        );
        assert_eq!(
            read(&["Basic realm=\"x\"", "bearer realm=https://h/t"]),
            bearer("https://h/t", None)
        );
        assert_eq!(
            read(&[r#"Basic realm="a, Bearer realm=\"no\"""#]),
            Ok(Challenge::Basic)
        );
        assert_eq!(read(&["Basic"]), Ok(Challenge::Basic));
    }

    #[test]
    fn says_what_can_not_be_read() {
        for (values, part) in [
            (&[][..], "does not say"),
            (&[""], "not known"),
            (&["Negotiate"], "not known"),
            (&["Bearer service=\"s\""], "names no token service"),
            (&["Bearer realm=\"\""], "names no token service"),
            (&["Bearer realm=\"https://h"], "malformed"),
            (&["realm=\"https://h\""], "malformed"),
            (&["Bearer realm=\"a\" service=\"b\""], "malformed"),
            (&["Bearer \"x\""], "malformed"),
            (&["Bearer realm="], "malformed"),
        ] {
            let why = read(values).unwrap_err();
            assert!(why.contains(part), "{values:?}: {why}");
        }
    }
}
