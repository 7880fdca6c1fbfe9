//! A registry that does what a test tells it: real TCP on loopback, plain or
//! TLS, one thread a connection, every request noted.

use std::collections::BTreeMap;
use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: String,
    /// How many requests came before it.
    pub number: usize,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub fn authorization(&self) -> Option<&str> {
        self.header("authorization")
    }

    pub fn is(&self, method: &str, part: &str) -> bool {
        self.method == method && self.target.contains(part)
    }
}

type Talk = Box<dyn FnOnce(&mut dyn Write) -> std::io::Result<()> + Send>;

/// What is sent back.
pub enum Reply {
    Full {
        status: u16,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    },
    /// Whatever is written; the connection is closed after it.
    Raw(Talk),
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self::Full {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        if let Self::Full { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.into()));
        }
        self
    }

    pub fn body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        if let Self::Full { body, .. } = &mut self {
            *body = bytes.into();
        }
        self
    }

    pub fn json(text: impl Into<Vec<u8>>) -> Self {
        Self::status(200)
            .with("Content-Type", "application/json")
            .body(text)
    }

    pub fn raw(talk: impl FnOnce(&mut dyn Write) -> std::io::Result<()> + Send + 'static) -> Self {
        Self::Raw(Box::new(talk))
    }
}

/// The server.
pub struct Fake {
    pub address: SocketAddr,
    pub tls: bool,
    log: Arc<Mutex<Vec<Request>>>,
    connections: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

type Handler = dyn Fn(&Request) -> Reply + Send + Sync;

impl Fake {
    pub fn start(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen("127.0.0.1:0", false, Arc::new(handler))
    }

    pub fn start_tls(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen("127.0.0.1:0", true, Arc::new(handler))
    }

    pub fn listen(at: &str, tls: bool, handler: Arc<Handler>) -> Self {
        let listener = TcpListener::bind(at).expect("loopback can be listened on");
        let fake = Self {
            address: listener.local_addr().expect("it has an address"),
            tls,
            log: Arc::default(),
            connections: Arc::default(),
            most: Arc::default(),
        };
        let log = Arc::clone(&fake.log);
        let connections = Arc::clone(&fake.connections);
        let now = Arc::new(AtomicUsize::new(0));
        let most = Arc::clone(&fake.most);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { break };
                connections.fetch_add(1, Ordering::SeqCst);
                let (log, handler) = (Arc::clone(&log), Arc::clone(&handler));
                let (now, most) = (Arc::clone(&now), Arc::clone(&most));
                std::thread::spawn(move || {
                    let _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
                    let _ = stream.set_nodelay(true);
                    if tls {
                        let session = rustls::ServerConnection::new(authority().server())
                            .expect("the configuration is good");
                        let stream = rustls::StreamOwned::new(session, stream);
                        serve(stream, &log, &*handler, &now, &most);
                    } else {
                        serve(stream, &log, &*handler, &now, &most);
                    }
                });
            }
        });
        fake
    }

    /// Its host as references name it.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    pub fn url(&self, path: &str) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.host())
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.log.lock().unwrap().clone()
    }

    pub fn count(&self, method: &str, part: &str) -> usize {
        self.requests()
            .iter()
            .filter(|r| r.is(method, part))
            .count()
    }

    /// Connections that were made, whatever came over them.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The most requests that were answered at one time.
    pub fn most_at_once(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

fn serve(
    stream: impl Read + Write,
    log: &Mutex<Vec<Request>>,
    handler: &Handler,
    now: &AtomicUsize,
    most: &AtomicUsize,
) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream, log) {
        let at_once = now.fetch_add(1, Ordering::SeqCst) + 1;
        most.fetch_max(at_once, Ordering::SeqCst);
        let reply = handler(&request);
        let out = stream.get_mut();
        let head = request.method == "HEAD";
        let done = match reply {
            Reply::Full {
                status,
                headers,
                body,
            } => {
                let mut text = format!("HTTP/1.1 {status} X\r\n");
                for (name, value) in &headers {
                    text.push_str(&format!("{name}: {value}\r\n"));
                }
                text.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
                let sent = out.write_all(text.as_bytes());
                let sent = sent.and_then(|()| if head { Ok(()) } else { out.write_all(&body) });
                sent.and_then(|()| out.flush()).is_err()
            }
            Reply::Raw(talk) => {
                let _ = talk(out);
                let _ = out.flush();
                true
            }
        };
        now.fetch_sub(1, Ordering::SeqCst);
        if done {
            break;
        }
    }
}

fn read(stream: &mut impl std::io::BufRead, log: &Mutex<Vec<Request>>) -> Option<Request> {
    let mut line = String::new();
    stream.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers
        .get("content-length")
        .and_then(|text: &String| text.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    let mut log = log.lock().unwrap();
    let request = Request {
        method,
        target,
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
        number: log.len(),
    };
    log.push(request.clone());
    Some(request)
}

/// A certificate authority of the tests' own.
pub struct Authority {
    pub pem: PathBuf,
    server: Arc<rustls::ServerConfig>,
    _folder: tempfile::TempDir,
}

impl Authority {
    fn server(&self) -> Arc<rustls::ServerConfig> {
        Arc::clone(&self.server)
    }
}

pub fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(|| {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "tests");
        let own = params.self_signed(&key).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let pem = folder.path().join("ca.pem");
        std::fs::write(&pem, own.pem()).unwrap();
        let issuer = rcgen::Issuer::new(params, key);
        let names = [
            "localhost",
            "127.0.0.1",
            "registry-1.docker.io",
            "auth.docker.io",
            "hub.docker.com",
        ];
        let leaf_key = rcgen::KeyPair::generate().unwrap();
        let leaf = rcgen::CertificateParams::new(names.map(str::to_owned))
            .unwrap()
            .signed_by(&leaf_key, &issuer)
            .unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .unwrap();
        Authority {
            pem,
            server: Arc::new(server),
            _folder: folder,
        }
    })
}

/// A proxy for HTTPS that leads every tunnel to one server. Its URL.
pub fn tunnel(to: SocketAddr) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(near) = stream else { break };
            std::thread::spawn(move || {
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && (&near).read(&mut byte).is_ok_and(|n| n > 0) {
                    head.push(byte[0]);
                }
                let Ok(far) = TcpStream::connect(to) else {
                    return;
                };
                let _ = (&near).write_all(b"HTTP/1.1 200 OK\r\n\r\n");
                std::thread::scope(|scope| {
                    scope.spawn(|| {
                        let _ = std::io::copy(&mut &near, &mut &far);
                        let _ = far.shutdown(std::net::Shutdown::Write);
                    });
                    let _ = std::io::copy(&mut &far, &mut &near);
                    let _ = near.shutdown(std::net::Shutdown::Write);
                });
            });
        }
    });
    url
}

/// A connection to nobody: a port that was free a moment ago.
pub fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// Whether something listens there; for tests of the tests.
pub fn answers(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_ok()
}
