//! An image as `docker save` writes it: its configuration and its layers.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::config::Config;
use super::layer::Layer;

/// A larger entry is no JSON document of an image.
const MAX_JSON: u64 = 8 << 20;

/// The version of what is kept in the cache; another one is not read.
const CACHE: &str = "1";

/// A built image.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its configuration.
    pub config: Config,
    /// Its layers, the lowest first.
    pub layers: Vec<Arc<Layer>>,
}

impl Image {
    /// The bytes of its layers' files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.layers.iter().map(|layer| layer.bytes).sum()
    }

    /// The same, compressed.
    #[must_use]
    pub fn compressed(&self) -> u64 {
        self.layers.iter().map(|layer| layer.compressed).sum()
    }
}

/// What is kept of images and layers between runs, by their contents' digests.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: Option<PathBuf>,
}

impl Cache {
    /// A cache in a folder, or none.
    #[must_use]
    pub fn new(folder: Option<&Path>) -> Self {
        Self {
            folder: folder.map(|folder| folder.join(format!("verify-{CACHE}"))),
        }
    }

    fn place(&self, kind: &str, digest: &str) -> Option<PathBuf> {
        let plain = digest.bytes().all(|b| b.is_ascii_hexdigit());
        let folder = self.folder.as_ref().filter(|_| plain)?;
        Some(folder.join(kind).join(digest))
    }

    /// The bytes kept under a digest.
    #[must_use]
    pub fn get(&self, kind: &str, digest: &str) -> Option<Vec<u8>> {
        std::fs::read(self.place(kind, digest)?).ok()
    }

    /// Keeps bytes. A cache that can't be written is only slower.
    pub fn put(&self, kind: &str, digest: &str, bytes: &[u8]) {
        let Some(place) = self.place(kind, digest) else {
            return;
        };
        let Some(folder) = place.parent() else { return };
        let written = std::fs::create_dir_all(folder).and_then(|()| {
            use std::io::Write as _;
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(bytes)?;
            file.persist(&place).map_err(|error| error.error)
        });
        drop(written);
    }

    fn layer(&self, digest: &str) -> Option<Layer> {
        let bytes = self.get("layers", digest)?;
        serde_json::from_reader(MultiGzDecoder::new(bytes.as_slice())).ok()
    }

    fn keep(&self, digest: &str, layer: &Layer) {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        if serde_json::to_writer(&mut gzip, layer).is_ok()
            && let Ok(bytes) = gzip.finish()
        {
            self.put("layers", digest, &bytes);
        }
    }

    /// The image with that identifier, where all of it is kept.
    #[must_use]
    pub fn image(&self, id: &str) -> Option<Image> {
        let config = Config::parse(&self.get("images", id)?).ok()?;
        let layers = config
            .diff_ids
            .iter()
            .map(|id| self.layer(id).map(Arc::new));
        let layers = layers.collect::<Option<Vec<_>>>()?;
        Some(Image { config, layers })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Manifest {
    config: String,
}

/// Sums up what is read.
struct Summed<R> {
    inner: R,
    sum: Sha256,
}

impl<R: Read> Read for Summed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.sum.update(&buffer[..n]);
        Ok(n)
    }
}

fn hex(sum: Sha256) -> String {
    use std::fmt::Write as _;
    sum.finalize().iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn bad(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

/// Reads an archive of `docker save`, old or new, as it comes. `id` is the
/// image's, under which its configuration is kept.
///
/// # Errors
/// It can't be read, or is no such archive.
pub fn read(archive: &mut dyn Read, id: &str, cache: &Cache) -> io::Result<Image> {
    let mut tar = tar::Archive::new(BufReader::with_capacity(1 << 20, archive));
    let mut documents: HashMap<String, Vec<u8>> = HashMap::new();
    let mut layers: HashMap<String, Arc<Layer>> = HashMap::new();
    for entry in tar.entries()? {
        let entry = entry?;
        if entry.header().entry_type() != tar::EntryType::Regular {
            continue;
        }
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let size = entry.size();
        // A blob's name in the OCI layout is its digest: of a layer that is
        // kept already nothing needs to be read.
        let blob = path.strip_prefix("blobs/sha256/");
        if let Some(layer) = blob.and_then(|digest| cache.layer(digest)) {
            layers.insert(blob.unwrap_or_default().to_owned(), Arc::new(layer));
            continue;
        }
        let mut start = BufReader::with_capacity(64 * 1024, entry);
        let head = start.fill_buf()?;
        let json = matches!(head.first(), Some(b'{' | b'['));
        if json && size <= MAX_JSON {
            let mut bytes = Vec::new();
            start.read_to_end(&mut bytes)?;
            documents.insert(path, bytes);
        } else if head.starts_with(&[0x1f, 0x8b]) {
            let (digest, layer) = layer(MultiGzDecoder::new(start), cache)?;
            layers.insert(digest, layer);
        } else if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            let plain = ruzstd::decoding::StreamingDecoder::new(start)
                .map_err(|error| bad(format!("{path}: {error}")))?;
            let (digest, layer) = layer(plain, cache)?;
            layers.insert(digest, layer);
        } else if size >= 512
            && (head.len() < 262
                || &head[257..262] == b"ustar"
                || head[..512.min(head.len())].iter().all(|&b| b == 0))
        {
            let (digest, layer) = layer(start, cache)?;
            layers.insert(digest, layer);
        }
    }
    let manifest = documents
        .get("manifest.json")
        .ok_or_else(|| bad("it has no manifest.json"))?;
    let manifest: Vec<Manifest> = serde_json::from_slice(manifest)?;
    let manifest = manifest.first().ok_or_else(|| bad("it names no image"))?;
    let bytes = documents
        .get(&manifest.config)
        .ok_or_else(|| bad("its configuration is missing"))?;
    let config = Config::parse(bytes)?;
    let found = config.diff_ids.iter().map(|digest| {
        layers
            .get(digest)
            .cloned()
            .or_else(|| cache.layer(digest).map(Arc::new))
            .ok_or_else(|| bad(format!("its layer {digest} is missing")))
    });
    let layers = found.collect::<io::Result<Vec<_>>>()?;
    cache.put("images", id, bytes);
    Ok(Image { config, layers })
}

/// Reads one layer; its digest is that of the plain archive.
fn layer(archive: impl Read, cache: &Cache) -> io::Result<(String, Arc<Layer>)> {
    let mut summed = Summed {
        inner: archive,
        sum: Sha256::new(),
    };
    let layer = Layer::read(&mut summed)?;
    io::copy(&mut summed, &mut io::sink())?;
    let digest = hex(summed.sum);
    cache.keep(&digest, &layer);
    Ok((digest, Arc::new(layer)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, body) in files {
            let mut header = tar::Header::new_ustar();
            header.set_mode(0o644);
            header.set_size(body.len() as u64);
            tar.append_data(&mut header, path, *body).expect("a file");
        }
        tar.into_inner().expect("an archive")
    }

    #[test]
    fn an_archive_is_read_with_plain_and_compressed_layers_and_then_kept() {
        let one = tar_of(&[("a", b"1")]);
        let two = tar_of(&[("b", b"22")]);
        let sum = |bytes: &[u8]| {
            let mut sum = Sha256::new();
            sum.update(bytes);
            hex(sum)
        };
        let config = format!(
            r#"{{"config":{{"Cmd":["x"]}},"rootfs":{{"type":"layers","diff_ids":["sha256:{}","sha256:{}"]}}}}"#,
            sum(&one),
            sum(&two)
        );
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gzip, &two).expect("compressed");
        let gzip = gzip.finish().expect("compressed");
        let archive = tar_of(&[
            (&format!("blobs/sha256/{}", sum(&one)), &one),
            ("blobs/sha256/00", &gzip),
            ("c.json", config.as_bytes()),
            ("manifest.json", br#"[{"Config":"c.json","Layers":[]}]"#),
        ]);
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::new(Some(folder.path()));
        assert!(cache.image("ab").is_none());
        let image = read(&mut archive.as_slice(), "ab", &cache).expect("it is read");
        assert_eq!(image.layers.len(), 2);
        assert_eq!(image.bytes(), 3);
        assert_eq!(image.config.cmd, Some(vec!["x".to_owned()]));
        let again = cache.image("ab").expect("it is kept");
        assert_eq!(again.layers, image.layers);
        let error = read(&mut tar_of(&[("x", b"y")]).as_slice(), "cd", &cache);
        assert!(error.is_err_and(|e| e.to_string().contains("manifest.json")));
    }
}
