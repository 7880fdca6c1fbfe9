//! What may be contacted, with what patience, and how much of an answer is read.
//!
//! By default only the well-known public registries of the catalogue are
//! contacted. Everything else, and every address that is not public, needs the
//! user's own word in a [`Policy`]; nothing in a scanned repository can give it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::catalog::registries::public_registry;

/// How long to wait and how much to read. The defaults are the product's;
/// tests shorten the times.
#[derive(Clone, Debug)]
pub struct Limits {
    /// To connect, TLS included.
    pub connect: Duration,
    /// For all that one reference needs.
    pub reference: Duration,
    /// Attempts at one request, the first included.
    pub attempts: u32,
    /// The wait before the second attempt; it doubles from there, and up to as
    /// much again is added by chance.
    pub backoff: Duration,
    /// The longest `Retry-After` that is waited for.
    pub retry_after: Duration,
    /// Redirects followed for one request.
    pub redirects: usize,
    /// Bytes of a token service's answer.
    pub token: usize,
    /// Bytes of a manifest, a configuration, a page of tags or other JSON.
    pub body: usize,
    /// Bytes read of an error's text.
    pub error_text: usize,
    /// Requests under way to one host.
    pub per_host: usize,
    /// Pages of a list of tags.
    pub tag_pages: usize,
    /// For a credential helper to answer.
    pub helper: Duration,
    /// How old a cached answer about a tag may be before it is asked again.
    pub fresh: Duration,
    /// How long a badge of Docker Hub is taken from the cache without asking.
    pub badges: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            reference: Duration::from_secs(30),
            attempts: 4,
            backoff: Duration::from_millis(300),
            retry_after: Duration::from_secs(10),
            redirects: 5,
            token: 64 << 10,
            body: 4 << 20,
            error_text: 64 << 10,
            per_host: 4,
            tag_pages: 20,
            helper: Duration::from_secs(10),
            fresh: Duration::from_secs(15 * 60),
            badges: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// What the user allows. Hosts are written `host` or `host:port`, as in
/// references; IPv6 addresses in brackets.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Registries beside the well-known public ones; they may have private
    /// addresses.
    pub allow: BTreeSet<String>,
    /// Registries that are spoken to in plain HTTP; allowed by that.
    pub insecure: BTreeSet<String>,
    /// For a registry, hosts that are asked before it.
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// For a registry, other hosts whose token service may have its credentials.
    pub token_hosts: BTreeMap<String, BTreeSet<String>>,
    /// Addresses to use for a name instead of asking DNS; filtered as DNS's
    /// answers are. A port that is not 0 is used instead of the URL's.
    pub addresses: BTreeMap<String, Vec<SocketAddr>>,
    /// PEM files of certificate authorities to trust beside the system's.
    pub authorities: Vec<PathBuf>,
    /// Proxies, as the environment names them.
    pub proxies: Proxies,
    /// Patience and sizes.
    pub limits: Limits,
}

/// The proxies of `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`.
#[derive(Clone, Default)]
pub struct Proxies {
    /// For `http:` URLs.
    pub http: Option<String>,
    /// For `https:` URLs.
    pub https: Option<String>,
    /// Hosts that are reached without one, in the usual form.
    pub except: Option<String>,
}

impl std::fmt::Debug for Proxies {
    /// Without the URLs: they may have passwords in them.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hosts: Vec<String> = self.hosts().collect();
        f.debug_struct("Proxies")
            .field("hosts", &hosts)
            .field("except", &self.except)
            .finish()
    }
}

impl Proxies {
    /// The proxies that the environment names. `HTTP_PROXY` in upper case is
    /// not read where the program runs as a CGI script: a request could set it.
    #[must_use]
    pub fn from_env() -> Self {
        let var = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let both = |name: &str| var(name).or_else(|| var(&name.to_uppercase()));
        let all = both("all_proxy");
        let http = var("http_proxy").or_else(|| {
            var("REQUEST_METHOD")
                .is_none()
                .then(|| var("HTTP_PROXY"))
                .flatten()
        });
        Self {
            http: http.or_else(|| all.clone()),
            https: both("https_proxy").or(all),
            except: both("no_proxy"),
        }
    }

    /// The host names of the proxies themselves.
    fn hosts(&self) -> impl Iterator<Item = String> {
        [&self.http, &self.https]
            .into_iter()
            .flatten()
            .filter_map(|text| {
                let url = if text.contains("://") {
                    reqwest::Url::parse(text)
                } else {
                    reqwest::Url::parse(&format!("http://{text}"))
                };
                Some(url.ok()?.host_str()?.to_owned())
            })
    }
}

/// Why a host is not contacted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotContacted {
    /// The registry as the reference names it.
    pub host: String,
    /// Why, in words that follow the host.
    pub why: String,
    /// Whether the user's own word would allow it.
    pub can_be_allowed: bool,
}

impl std::fmt::Display for NotContacted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is not contacted: it {}", self.host, self.why)
    }
}

/// What an address is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum AddressClass {
    Public,
    /// Loopback and private networks: only for hosts that the user names.
    Private,
    /// Link-local and cloud metadata, multicast, unspecified: never.
    Never,
}

pub(super) fn class(address: IpAddr) -> AddressClass {
    match address {
        IpAddr::V4(v4) => class_v4(v4),
        IpAddr::V6(v6) => class_v6(v6),
    }
}

fn class_v4(v4: Ipv4Addr) -> AddressClass {
    use AddressClass::{Never, Private, Public};
    match v4.octets() {
        // "This network", link-local (cloud metadata), multicast and reserved.
        [0, ..] | [169, 254, ..] | [224..=255, ..] => Never,
        // Metadata services of clouds that are not link-local.
        [100, 100, 100, 200] | [168, 63, 129, 16] => Never,
        [127 | 10, ..] | [192, 168, ..] | [172, 16..=31, ..] => Private,
        // Shared address space, IETF assignments, documentation, benchmarks.
        [100, 64..=127, ..] | [192, 0, 0 | 2, _] | [198, 18..=19, ..] => Private,
        [198, 51, 100, _] | [203, 0, 113, _] | [192, 88, 99, _] => Private,
        _ => Public,
    }
}

fn class_v6(v6: Ipv6Addr) -> AddressClass {
    use AddressClass::{Never, Private, Public};
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let embedded = |high: u16, low: u16| {
        let [w, x] = high.to_be_bytes();
        let [y, z] = low.to_be_bytes();
        class_v4(Ipv4Addr::new(w, x, y, z))
    };
    match (a, b, c, d, e, f, g, h) {
        (0, 0, 0, 0, 0, 0, 0, 0) => Never,
        (0, 0, 0, 0, 0, 0, 0, 1) => Private,
        // An IPv4 address inside: mapped, compatible, translated, NAT64, 6to4.
        (0, 0, 0, 0, 0, 0xffff | 0, ..) | (0, 0, 0, 0, 0xffff, 0, ..) => embedded(g, h),
        (0x64, 0xff9b, 0, 0, 0, 0, ..) => embedded(g, h),
        (0x64, 0xff9b, 1, ..) => Private,
        (0x2002, ..) => embedded(b, c),
        // AWS's metadata service.
        (0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254) => Never,
        // Teredo hides an address of its own choosing.
        (0x2001, 0, ..) => Never,
        (0x2001, 0x0db8, ..) | (0x0100, 0, 0, 0, ..) => Private,
        _ if a & 0xffc0 == 0xfe80 || a & 0xff00 == 0xff00 => Never,
        _ if a & 0xfe00 == 0xfc00 || a & 0xffc0 == 0xfec0 => Private,
        _ => Public,
    }
}

/// A host and port taken apart: the name as URLs have it, brackets kept.
pub(super) fn host_of(domain: &str) -> &str {
    match domain.strip_prefix('[').and_then(|rest| rest.find(']')) {
        Some(end) => &domain[..end + 2],
        None => domain.split(':').next().unwrap_or(domain),
    }
}

/// The address that a host name is, where it is one. The URL's own reading is
/// asked, so that `0x7f.1` or `2130706433` are the addresses that a connection
/// would go to.
fn literal(host: &str) -> Option<IpAddr> {
    let url = reqwest::Url::parse(&format!("http://{host}/")).ok()?;
    let host = url.host_str()?;
    host.trim_matches(['[', ']']).parse().ok()
}

impl Policy {
    /// Whether the user named that host (with its port, if it has one).
    fn named(&self, domain: &str) -> bool {
        let domain = domain.to_ascii_lowercase();
        self.allow.contains(&domain)
            || self.insecure.contains(&domain)
            || self.mirrors.values().flatten().any(|host| *host == domain)
            || self
                .token_hosts
                .values()
                .any(|hosts| hosts.contains(&domain))
    }

    /// Whether a registry may be asked.
    ///
    /// # Errors
    /// Why not.
    pub fn may_ask(&self, domain: &str) -> Result<(), NotContacted> {
        let no = |why: &str, can_be_allowed: bool| {
            Err(NotContacted {
                host: domain.to_owned(),
                why: why.to_owned(),
                can_be_allowed,
            })
        };
        let host = host_of(domain);
        let address = literal(host);
        if address.is_some_and(|address| class(address) == AddressClass::Never) {
            return no(
                "is a link-local or reserved address, which is never contacted",
                false,
            );
        }
        if self.named(domain) || public_registry(domain).is_some() {
            return Ok(());
        }
        let lower = host.to_ascii_lowercase();
        if address.is_some() {
            no("is an address, not a well-known public registry", true)
        } else if lower == "localhost" || lower.ends_with(".localhost") {
            no("is this machine, not a well-known public registry", true)
        } else if !lower.contains('.')
            || [".local", ".internal", ".lan", ".home.arpa", ".corp"]
                .iter()
                .any(|end| lower.ends_with(end))
        {
            no(
                "is a name of a private network, not a well-known public registry",
                true,
            )
        } else {
            no("is not a well-known public registry", true)
        }
    }

    /// Whether a URL on the way to an answer (a redirect's, a token service's)
    /// may be contacted. Names are checked again when they are resolved.
    ///
    /// # Errors
    /// Why not, in words.
    pub(super) fn may_follow(&self, url: &reqwest::Url) -> Result<(), String> {
        let host = url.host_str().ok_or("it has no host")?;
        let domain = domain_of(url);
        if !url.username().is_empty() || url.password().is_some() {
            return Err(format!(
                "its URL ({host}) has a user name or password in it"
            ));
        }
        match url.scheme() {
            "https" => {}
            "http" if self.insecure.contains(&domain) => {}
            "http" => {
                return Err(format!(
                    "{domain} would be spoken to in plain HTTP, which is not allowed"
                ));
            }
            other => return Err(format!("{other}: is no scheme of a registry")),
        }
        let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        match address.map(class) {
            Some(AddressClass::Never) => Err(format!("{host} is a link-local or reserved address")),
            Some(AddressClass::Private) if !self.named(&domain) => {
                Err(format!("{host} is a private address"))
            }
            _ => Ok(()),
        }
    }

    /// Whether the credentials of a registry may go to a token service.
    pub(super) fn trusts_token_host(&self, registry: &str, realm: &reqwest::Url) -> bool {
        let domain = domain_of(realm);
        let known = public_registry(registry).and_then(|row| row.credentials);
        let own = self.token_hosts.get(registry);
        known == Some(domain.as_str()) || own.is_some_and(|hosts| hosts.contains(&domain))
    }

    /// What the connections resolve names with.
    pub(super) fn resolver(&self) -> AddressFilter {
        let mut private: BTreeSet<String> = self.proxies.hosts().collect();
        let domains = self
            .allow
            .iter()
            .chain(&self.insecure)
            .chain(self.mirrors.values().flatten())
            .chain(self.token_hosts.values().flatten());
        private.extend(domains.map(|domain| host_of(domain).to_ascii_lowercase()));
        AddressFilter(Arc::new(Names {
            private,
            addresses: self.addresses.clone(),
        }))
    }
}

/// Host and port of a URL as references write it: no port where it is the
/// scheme's own.
pub(super) fn domain_of(url: &reqwest::Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

struct Names {
    /// Hosts whose addresses may be private.
    private: BTreeSet<String>,
    addresses: BTreeMap<String, Vec<SocketAddr>>,
}

/// Resolves names for the connections, and refuses addresses that are not to
/// be contacted: what was checked is what is connected to.
#[derive(Clone)]
pub(super) struct AddressFilter(Arc<Names>);

impl Resolve for AddressFilter {
    fn resolve(&self, name: Name) -> Resolving {
        let names = Arc::clone(&self.0);
        let host = name.as_str().to_ascii_lowercase();
        Box::pin(async move {
            let found: Vec<SocketAddr> = match names.addresses.get(&host) {
                Some(own) => own.clone(),
                None => tokio::net::lookup_host((host.as_str(), 0)).await?.collect(),
            };
            for address in &found {
                let ip = address.ip();
                let refused = match class(ip) {
                    AddressClass::Public => false,
                    AddressClass::Private => !names.private.contains(&host),
                    AddressClass::Never => true,
                };
                if refused {
                    return Err(RefusedAddress(host, ip).into());
                }
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// A name stands for an address that is not contacted.
#[derive(Debug)]
pub(super) struct RefusedAddress(pub String, pub IpAddr);

impl std::fmt::Display for RefusedAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(host, address) = self;
        match class(*address) {
            AddressClass::Never => write!(
                f,
                "{host} stands for {address}, a link-local or reserved address, which is never contacted"
            ),
            _ => write!(
                f,
                "{host} stands for {address}, a private address, and is not contacted"
            ),
        }
    }
}

impl std::error::Error for RefusedAddress {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_what_they_contain() {
        use AddressClass::{Never, Private, Public};
        for (text, expected) in [
            ("8.8.8.8", Public),
            ("127.0.0.1", Private),
            ("10.1.2.3", Private),
            ("172.16.0.1", Private),
            ("172.32.0.1", Public),
            ("192.168.1.1", Private),
            ("100.64.0.1", Private),
            ("169.254.169.254", Never),
            ("100.100.100.200", Never),
            ("0.0.0.0", Never),
            ("224.0.0.1", Never),
            ("255.255.255.255", Never),
            ("2606:4700::1", Public),
            ("::", Never),
            ("::1", Private),
            ("fe80::1", Never),
            ("fc00::1", Private),
            ("fd00:ec2::254", Never),
            ("ff02::1", Never),
            ("::ffff:169.254.169.254", Never),
            ("::ffff:10.0.0.1", Private),
            ("::ffff:8.8.8.8", Public),
            ("64:ff9b::a9fe:a9fe", Never),
            ("64:ff9b::7f00:1", Private),
            ("2002:a9fe:a9fe::1", Never),
            ("2001:0:1::1", Never),
            ("2001:db8::1", Private),
        ] {
            assert_eq!(class(text.parse().unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn only_known_hosts_are_asked_by_default() {
        let none = Policy::default();
        for host in [
            "docker.io",
            "ghcr.io",
            "quay.io",
            "mcr.microsoft.com",
            "public.ecr.aws",
        ] {
            assert_eq!(none.may_ask(host), Ok(()), "{host}");
        }
        for (host, part) in [
            ("127.0.0.1:5000", "is an address"),
            ("8.8.8.8", "is an address"),
            ("0x7f.1", "is an address"),
            ("2130706433:5000", "is an address"),
            ("[::1]:5000", "is an address"),
            ("localhost:5000", "is this machine"),
            ("registry:5000", "private network"),
            ("harbor.corp.internal", "private network"),
            (
                "registry.example.com",
                "is not a well-known public registry",
            ),
            (
                "docker.io.example.com",
                "is not a well-known public registry",
            ),
            ("docker.io:444", "is not a well-known public registry"),
        ] {
            let refused = none.may_ask(host).unwrap_err();
            assert!(refused.to_string().contains(part), "{refused}");
            assert!(refused.can_be_allowed);
        }
        let allow = |host: &str| Policy {
            allow: [host.to_owned()].into(),
            ..Policy::default()
        };
        assert_eq!(allow("localhost:5000").may_ask("localhost:5000"), Ok(()));
        assert!(allow("localhost:5000").may_ask("localhost:5001").is_err());
        for host in [
            "169.254.169.254",
            "[fe80::1]",
            "0.0.0.0",
            "2852039166",
            "[::ffff:a9fe:a9fe]:80",
        ] {
            let refused = allow(host).may_ask(host).unwrap_err();
            assert!(!refused.can_be_allowed, "{refused}");
            assert!(refused.to_string().contains("never contacted"), "{refused}");
        }
    }

    #[test]
    fn hosts_are_read_without_their_ports() {
        assert_eq!(host_of("a.b:5000"), "a.b");
        assert_eq!(host_of("[::1]:5000"), "[::1]");
        assert_eq!(host_of("[::1]"), "[::1]");
    }
}
