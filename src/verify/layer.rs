//! What one layer of an image holds, read once from its tar archive.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use goblin::elf::Elf;
use serde::{Deserialize, Serialize};

/// A larger ELF file is taken as it is.
const MAX_ELF: u64 = 512 << 20;

/// A larger text of those that are kept is not read.
const MAX_TEXT: u64 = 4 << 20;

/// The start of a whiteout's name, and the name that hides all that was there.
const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";

/// A layer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Its entries, in their order.
    pub entries: Vec<Entry>,
    /// The bytes of its files.
    pub bytes: u64,
    /// The bytes of the archive with gzip at its fastest level.
    pub compressed: u64,
}

/// One entry of a layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The path from the root, without a slash in front.
    pub path: String,
    /// What is there.
    pub kind: Kind,
    /// The permission bits.
    pub mode: u32,
}

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A regular file.
    File {
        /// Its size in bytes.
        size: u64,
        /// What is known of its contents.
        what: Contents,
    },
    /// A folder.
    Folder,
    /// A symbolic link to this target.
    Link(String),
    /// Another name of the file at this path.
    Hard(String),
    /// A device, a pipe.
    Other,
    /// What was at this path before is gone.
    Gone,
    /// All that was below this path before is gone.
    Emptied,
}

/// What is known of a file's contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Contents {
    /// Nothing that matters here.
    Plain,
    /// A program or a library.
    Elf(Box<Object>),
    /// A script: what stands behind `#!`.
    Script(String),
    /// One of the files that say how the rest is to be read.
    Text(String),
}

/// An ELF file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Machine and word size, so that like is found with like.
    pub machine: (u16, bool),
    /// The program interpreter (the dynamic loader).
    pub interpreter: Option<String>,
    /// The libraries that it needs, as they are named in it.
    pub needed: Vec<String>,
    /// DT_RPATH, one folder each.
    pub rpath: Vec<String>,
    /// DT_RUNPATH, one folder each.
    pub runpath: Vec<String>,
    /// The newest `GLIBC_` version that it asks for.
    pub glibc: Option<(u32, u32)>,
    /// The newest `GLIBC_` version that it defines: it is the C library.
    pub defines_glibc: Option<(u32, u32)>,
}

/// Files whose text is kept.
fn kept(path: &str) -> bool {
    matches!(
        path,
        "etc/passwd" | "etc/group" | "etc/os-release" | "usr/lib/os-release" | "etc/ld.so.cache"
    ) || (path.starts_with("var/lib/dpkg/info/") && path.ends_with(".list"))
        || (path.starts_with("etc/ld-musl-") && path.ends_with(".path"))
        || matches!(path, "lib/apk/db/installed" | "usr/lib/apk/db/installed")
}

/// Counts what passes.
struct Count(u64);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads the tar archive of a layer and passes it through gzip to see what is
/// left of it.
struct Measured<R> {
    inner: R,
    gzip: GzEncoder<Count>,
}

impl<R: Read> Read for Measured<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.gzip.write_all(&buffer[..n])?;
        Ok(n)
    }
}

impl Layer {
    /// Reads an uncompressed tar archive to its end.
    ///
    /// # Errors
    /// It can't be read, or is no tar archive.
    pub fn read(archive: impl Read) -> io::Result<Self> {
        let measured = Measured {
            inner: archive,
            gzip: GzEncoder::new(Count(0), Compression::fast()),
        };
        let mut tar = tar::Archive::new(measured);
        let mut layer = Self::default();
        for entry in tar.entries()? {
            let mut entry = entry?;
            let path = clean(&String::from_utf8_lossy(&entry.path_bytes()));
            if path.is_empty() {
                continue;
            }
            let mode = entry.header().mode().unwrap_or(0) & 0o7777;
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
            if name == OPAQUE {
                layer.push(folder.to_owned(), Kind::Emptied, 0);
                continue;
            }
            if let Some(gone) = name.strip_prefix(WHITEOUT) {
                let gone = if folder.is_empty() {
                    gone.to_owned()
                } else {
                    format!("{folder}/{gone}")
                };
                layer.push(gone, Kind::Gone, 0);
                continue;
            }
            let target = |entry: &tar::Entry<'_, _>| {
                let bytes = entry.link_name_bytes().unwrap_or_default();
                String::from_utf8_lossy(&bytes).into_owned()
            };
            let kind = match entry.header().entry_type() {
                tar::EntryType::Directory => Kind::Folder,
                tar::EntryType::Symlink => Kind::Link(target(&entry)),
                tar::EntryType::Link => Kind::Hard(clean(&target(&entry))),
                tar::EntryType::Regular
                | tar::EntryType::Continuous
                | tar::EntryType::GNUSparse => {
                    let size = entry.size();
                    layer.bytes += size;
                    let what = contents(&path, size, &mut entry)?;
                    Kind::File { size, what }
                }
                _ => Kind::Other,
            };
            layer.push(path, kind, mode);
        }
        let mut measured = tar.into_inner();
        io::copy(&mut measured, &mut io::sink())?;
        layer.compressed = measured.gzip.finish()?.0;
        Ok(layer)
    }

    fn push(&mut self, path: String, kind: Kind, mode: u32) {
        self.entries.push(Entry { path, kind, mode });
    }
}

/// A path of an archive without `./`, `..`, and slashes around it.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn contents(path: &str, size: u64, from: &mut impl Read) -> io::Result<Contents> {
    if kept(path) && size <= MAX_TEXT {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes)?;
        return Ok(Contents::Text(text(path, &bytes)));
    }
    let mut start = [0; 256];
    let mut filled = 0;
    while filled < start.len() {
        match from.read(&mut start[filled..])? {
            0 => break,
            n => filled += n,
        }
    }
    let start = &start[..filled];
    if start.starts_with(b"\x7fELF") && size <= MAX_ELF {
        let mut bytes = start.to_vec();
        from.read_to_end(&mut bytes)?;
        return Ok(object(&bytes).map_or(Contents::Plain, |it| Contents::Elf(Box::new(it))));
    }
    if let Some(rest) = start.strip_prefix(b"#!") {
        let line = rest.split(|&b| b == b'\n').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line).trim().to_owned();
        return Ok(Contents::Script(line));
    }
    Ok(Contents::Plain)
}

/// The text to keep: of the loader's cache, a binary file, the paths in it.
fn text(path: &str, bytes: &[u8]) -> String {
    if path != "etc/ld.so.cache" {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let strings = bytes.split(|&b| b == 0);
    let paths = strings.filter(|s| s.starts_with(b"/") && s.iter().all(|b| (32..127).contains(b)));
    let paths: Vec<_> = paths.map(String::from_utf8_lossy).collect();
    paths.join("\n")
}

/// What an ELF file says of itself; `None` for one that is broken.
fn object(bytes: &[u8]) -> Option<Object> {
    let elf = Elf::parse(bytes).ok()?;
    let own = |list: &[&str]| list.iter().map(|&s| s.to_owned()).collect::<Vec<_>>();
    let folders = |list: &[&str]| -> Vec<String> {
        let folders = list.iter().flat_map(|paths| paths.split(':'));
        folders
            .filter(|f| !f.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let newest = |names: &mut dyn Iterator<Item = &str>| names.filter_map(glibc).max();
    let wanted = elf.verneed.as_ref().and_then(|needs| {
        let names = needs
            .iter()
            .flat_map(|need| need.iter().collect::<Vec<_>>());
        newest(&mut names.filter_map(|aux| elf.dynstrtab.get_at(aux.vna_name)))
    });
    let defined = elf.verdef.as_ref().and_then(|defs| {
        let names = defs.iter().flat_map(|def| def.iter().collect::<Vec<_>>());
        newest(&mut names.filter_map(|aux| elf.dynstrtab.get_at(aux.vda_name)))
    });
    Some(Object {
        machine: (elf.header.e_machine, elf.is_64),
        interpreter: elf.interpreter.map(str::to_owned),
        needed: own(&elf.libraries),
        rpath: folders(&elf.rpaths),
        runpath: folders(&elf.runpaths),
        glibc: wanted,
        defines_glibc: defined,
    })
}

/// `GLIBC_2.34` as numbers; private and odd names are no versions.
fn glibc(name: &str) -> Option<(u32, u32)> {
    let mut parts = name.strip_prefix("GLIBC_")?.split('.');
    let major = parts.next()?.parse().ok()?;
    let minor = parts.next()?.parse().ok()?;
    Some((major, minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A layer's archive with these files; a name that ends in `/` is a folder,
    /// a body `-> x` a symbolic link.
    pub(super) fn archive(files: &[(&str, &[u8], u32)]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, body, mode) in files {
            let mut header = tar::Header::new_gnu();
            header.set_mode(*mode);
            let link = body.strip_prefix(b"-> ");
            if let Some(target) = link {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                let target = String::from_utf8_lossy(target).into_owned();
                tar.append_link(&mut header, path, target).expect("a link");
                continue;
            }
            if path.ends_with('/') {
                header.set_entry_type(tar::EntryType::Directory);
            }
            header.set_size(body.len() as u64);
            tar.append_data(&mut header, path, *body).expect("a file");
        }
        tar.into_inner().expect("an archive")
    }

    #[test]
    fn entries_are_told_apart() {
        let bytes = archive(&[
            ("app/", b"", 0o755),
            ("app/run", b"#!/usr/bin/env python3\nprint()", 0o755),
            ("app/data", b"12345", 0o644),
            ("bin", b"-> usr/bin", 0o777),
            ("etc/passwd", b"root:x:0:0::/root:/bin/sh\n", 0o644),
            ("tmp/.wh.gone", b"", 0o644),
            ("var/.wh..wh..opq", b"", 0o644),
        ]);
        let layer = Layer::read(bytes.as_slice()).expect("it is read");
        let of = |path: &str| {
            let entry = layer.entries.iter().find(|e| e.path == path);
            entry.expect("it is there").kind.clone()
        };
        assert_eq!(of("app"), Kind::Folder);
        assert!(matches!(
            of("app/run"),
            Kind::File { what: Contents::Script(line), .. } if line == "/usr/bin/env python3"
        ));
        assert!(matches!(of("app/data"), Kind::File { size: 5, .. }));
        assert_eq!(of("bin"), Kind::Link("usr/bin".into()));
        assert!(matches!(
            of("etc/passwd"),
            Kind::File {
                what: Contents::Text(_),
                ..
            }
        ));
        assert_eq!(of("tmp/gone"), Kind::Gone);
        assert_eq!(of("var"), Kind::Emptied);
        assert!(layer.compressed > 0 && layer.compressed < bytes.len() as u64);
    }

    #[test]
    fn an_elf_file_tells_what_it_needs() {
        let own = std::env::current_exe().expect("this program");
        let bytes = std::fs::read(own).expect("it is read");
        let it = object(&bytes).expect("it is an ELF file");
        assert!(it.needed.iter().any(|n| n.starts_with("libc.so")), "{it:?}");
        assert!(it.interpreter.is_some());
        assert!(it.glibc.is_some_and(|v| v >= (2, 2)), "{it:?}");
        assert_eq!(glibc("GLIBC_2.34"), Some((2, 34)));
        assert_eq!(glibc("GLIBC_PRIVATE"), None);
    }
}
