//! The file system that a container of an image sees.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use super::archive::Image;
use super::layer::{Contents, Kind, Object};

/// The most symbolic links on the way to one file, as in Linux.
const MAX_LINKS: usize = 40;

/// The files of all layers, the upper ones over the lower ones.
#[derive(Debug)]
pub struct Root<'a> {
    nodes: BTreeMap<&'a str, Node<'a>>,
}

/// What is at a path.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    /// What it is.
    pub kind: &'a Kind,
    /// The permission bits.
    pub mode: u32,
    /// Which layer it is of, counted from the lowest.
    pub layer: usize,
    /// It is another name of a file that is counted already.
    pub again: bool,
}

impl<'a> Root<'a> {
    /// The file system of an image.
    #[must_use]
    pub fn of(image: &'a Image) -> Self {
        let mut nodes: BTreeMap<&'a str, Node<'a>> = BTreeMap::new();
        for (at, layer) in image.layers.iter().enumerate() {
            for entry in &layer.entries {
                let path = entry.path.as_str();
                match &entry.kind {
                    Kind::Gone => {
                        nodes.remove(path);
                        empty(&mut nodes, path, at);
                    }
                    Kind::Emptied => empty(&mut nodes, path, at),
                    kind => {
                        let (kind, again) = match kind {
                            Kind::Hard(target) => match nodes.get(target.as_str()) {
                                Some(node) => (node.kind, true),
                                None => (kind, false),
                            },
                            kind => (kind, false),
                        };
                        let folder = matches!(kind, Kind::Folder);
                        let node = Node {
                            kind,
                            mode: entry.mode,
                            layer: at,
                            again,
                        };
                        let old = nodes.insert(path, node);
                        if !folder && old.is_some_and(|n| matches!(n.kind, Kind::Folder)) {
                            empty(&mut nodes, path, usize::MAX);
                        }
                    }
                }
            }
        }
        Self { nodes }
    }

    /// All of it, in path order; paths have no slash in front.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, Node<'a>)> + '_ {
        self.nodes.iter().map(|(&path, &node)| (path, node))
    }

    /// What is exactly at a path, links not followed.
    #[must_use]
    pub fn at(&self, path: &str) -> Option<Node<'a>> {
        self.nodes.get(path.trim_start_matches('/')).copied()
    }

    /// Where a path really leads, through links; without a slash in front.
    #[must_use]
    pub fn real(&self, path: &str) -> Option<String> {
        let mut ahead: Vec<String> = parts(path);
        let mut here: Vec<String> = Vec::new();
        let mut links = 0;
        while let Some(name) = ahead.pop() {
            if name == ".." {
                here.pop();
                continue;
            }
            here.push(name);
            let path = here.join("/");
            match self.nodes.get(path.as_str()).map(|node| node.kind) {
                Some(Kind::Link(target)) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return None;
                    }
                    here.pop();
                    if target.starts_with('/') {
                        here.clear();
                    }
                    ahead.extend(parts(target));
                }
                Some(_) => {}
                // A folder need not have an entry of its own.
                None if self.holds(&path) => {}
                None => return None,
            }
        }
        Some(here.join("/"))
    }

    /// Whether something is there, links followed. What the engine mounts
    /// over the image is there always.
    #[must_use]
    pub fn exists(&self, path: &str) -> bool {
        let top = path.trim_start_matches('/').split('/').next();
        matches!(top, Some("proc" | "sys" | "dev")) || self.real(path).is_some()
    }

    /// The real path of a program that can be executed.
    #[must_use]
    pub fn executable(&self, path: &str) -> Option<String> {
        let real = self.real(path)?;
        let node = self.nodes.get(real.as_str())?;
        (matches!(node.kind, Kind::File { .. }) && node.mode & 0o111 != 0).then_some(real)
    }

    /// Where a command is found, by PATH or by its own path.
    #[must_use]
    pub fn command(&self, name: &str, path: &[&str], workdir: &str) -> Option<String> {
        if name.contains('/') {
            let full = if name.starts_with('/') {
                name.to_owned()
            } else {
                format!("{workdir}/{name}")
            };
            return self.executable(&full);
        }
        path.iter()
            .find_map(|folder| self.executable(&format!("{folder}/{name}")))
    }

    /// Whether something lies below a folder.
    fn holds(&self, folder: &str) -> bool {
        let start = format!("{folder}/");
        let next = self.nodes.range::<str, _>(from(&start)).next();
        next.is_some_and(|(path, _)| path.starts_with(&start))
    }

    /// What lies below a folder, at any depth.
    pub fn below(&self, folder: &str) -> impl Iterator<Item = (&'a str, Node<'a>)> + '_ {
        let folder = folder.trim_matches('/').to_owned() + "/";
        let start = folder.clone();
        self.nodes
            .range::<str, _>(from(&start))
            .map(|(&path, &node)| (path, node))
            .take_while(move |(path, _)| path.starts_with(&folder))
            .collect::<Vec<_>>()
            .into_iter()
    }

    /// The text of one of the files whose text is kept.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<&'a str> {
        let real = self.real(path)?;
        match self.nodes.get(real.as_str())?.kind {
            Kind::File {
                what: Contents::Text(text),
                ..
            } => Some(text),
            _ => None,
        }
    }

    /// The ELF file at a real path.
    #[must_use]
    pub fn object(&self, real: &str) -> Option<&'a Object> {
        match self.nodes.get(real)?.kind {
            Kind::File {
                what: Contents::Elf(object),
                ..
            } => Some(object),
            _ => None,
        }
    }

    /// Whether a user of that name or number is there.
    #[must_use]
    pub fn user(&self, name: &str) -> bool {
        let user = name.split(':').next().unwrap_or_default();
        let numeric = !user.is_empty() && user.bytes().all(|b| b.is_ascii_digit());
        user.is_empty()
            || numeric
            || user == "root"
            || self.text("etc/passwd").is_some_and(|text| {
                text.lines()
                    .any(|line| line.split(':').next() == Some(user))
            })
    }

    /// The codename or version of its distribution, such as `bookworm`.
    #[must_use]
    pub fn release(&self) -> Option<String> {
        let text = self
            .text("etc/os-release")
            .or_else(|| self.text("usr/lib/os-release"))?;
        let value = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key));
            line.map(|value| value.trim_matches(['"', '\'']).to_owned())
        };
        value("VERSION_CODENAME=").or_else(|| value("VERSION_ID="))
    }

    /// The packages of dpkg by the path of each of their files, `/usr` of a
    /// merged tree left out.
    #[must_use]
    pub fn owners(&self) -> Owners<'a> {
        let mut by_path = HashMap::new();
        for (path, node) in self.below("var/lib/dpkg/info") {
            let Kind::File {
                what: Contents::Text(text),
                ..
            } = node.kind
            else {
                continue;
            };
            let name = path.rsplit('/').next().unwrap_or_default();
            let package = name.trim_end_matches(".list");
            let package = package.split(':').next().unwrap_or(package);
            for line in text.lines() {
                by_path.insert(unmerged(line), package);
            }
        }
        Owners(by_path)
    }
}

/// Which package owns a path.
#[derive(Debug)]
pub struct Owners<'a>(HashMap<&'a str, &'a str>);

impl<'a> Owners<'a> {
    /// The package that brings the file at a path.
    #[must_use]
    pub fn of(&self, path: &str) -> Option<&'a str> {
        let absolute = format!("/{}", path.trim_start_matches('/'));
        self.0.get(unmerged(&absolute)).copied()
    }
}

fn unmerged(path: &str) -> &str {
    for folder in ["/usr/lib", "/usr/bin/", "/usr/sbin/"] {
        if path.starts_with(folder) {
            return &path["/usr".len()..];
        }
    }
    path
}

fn empty(nodes: &mut BTreeMap<&str, Node<'_>>, folder: &str, layer: usize) {
    let start = format!("{folder}/");
    let below: Vec<String> = nodes
        .range::<str, _>(from(&start))
        .take_while(|(path, _)| path.starts_with(&start))
        .filter(|(_, node)| node.layer != layer)
        .map(|(path, _)| (*path).to_owned())
        .collect();
    for path in below {
        nodes.remove(path.as_str());
    }
}

/// From a path on.
fn from(start: &str) -> (Bound<&str>, Bound<&str>) {
    (Bound::Included(start), Bound::Unbounded)
}

/// The parts of a path, the last one first.
fn parts(path: &str) -> Vec<String> {
    let parts = path.split('/').rev();
    let parts = parts.filter(|part| !part.is_empty() && *part != ".");
    parts.map(str::to_owned).collect()
}
