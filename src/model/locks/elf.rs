//! What an ELF file asks of the system that loads it.

use object::Endianness;
use object::elf::{DT_NEEDED, ET_DYN, ET_EXEC, FileHeader32, FileHeader64, PT_DYNAMIC, PT_INTERP};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};

/// The C library that a program or library is made for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Libc {
    /// It needs none: it is linked statically.
    None,
    /// GNU.
    Glibc,
    /// musl.
    Musl,
    /// A shared library that names neither.
    Untold,
}

/// What an ELF file asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Elf {
    /// The program that loads it.
    pub interpreter: Option<String>,
    /// The libraries that it needs.
    pub needed: Vec<String>,
    /// The newest version of glibc whose symbols it uses, as `(2, 34)`.
    pub glibc: Option<(u32, u32)>,
    /// Whether it is a program or library, not an object file.
    pub loadable: bool,
}

impl Elf {
    /// The C library that it is made for.
    #[must_use]
    pub fn libc(&self) -> Libc {
        let names = self.interpreter.iter().chain(&self.needed);
        let says = |what: &[&str]| {
            names
                .clone()
                .any(|name| what.iter().any(|sign| name.contains(sign)))
        };
        if says(&["ld-musl", "libc.musl"]) {
            Libc::Musl
        } else if self.glibc.is_some() || says(&["ld-linux", "libc.so.6", "ld64.so"]) {
            Libc::Glibc
        } else if self.interpreter.is_none() && self.needed.is_empty() {
            Libc::None
        } else {
            Libc::Untold
        }
    }
}

/// Whether the bytes start like an ELF file.
#[must_use]
pub fn is_elf(head: &[u8]) -> bool {
    head.starts_with(b"\x7fELF")
}

/// Reads a whole ELF file; `None` when it is damaged or none.
#[must_use]
pub fn read(data: &[u8]) -> Option<Elf> {
    if !is_elf(data) {
        return None;
    }
    match data.get(4)? {
        1 => of::<FileHeader32<Endianness>>(data),
        2 => of::<FileHeader64<Endianness>>(data),
        _ => None,
    }
}

fn of<H: FileHeader<Endian = Endianness>>(data: &[u8]) -> Option<Elf> {
    let header = H::parse(data).ok()?;
    let endian = header.endian().ok()?;
    let mut elf = Elf {
        interpreter: None,
        needed: Vec::new(),
        glibc: None,
        loadable: matches!(header.e_type(endian), ET_EXEC | ET_DYN),
    };
    let segments = header.program_headers(endian, data).ok()?;
    for segment in segments {
        if segment.p_type(endian) == PT_INTERP {
            let bytes = segment.data(endian, data).ok()?;
            let text = bytes.split(|b| *b == 0).next().unwrap_or_default();
            elf.interpreter = Some(String::from_utf8_lossy(text).into_owned());
        }
    }
    let dynamic = segments
        .iter()
        .find(|segment| segment.p_type(endian) == PT_DYNAMIC);
    let Some(dynamic) = dynamic else {
        return Some(elf);
    };
    let entries = dynamic.dynamic(endian, data).ok().flatten()?;
    // The strings lie at an address; the segment that maps it says where in
    // the file.
    let address = |tag: i64| {
        entries
            .iter()
            .find(|entry| entry.tag32(endian).map(i64::from) == Some(tag))
            .map(|entry| entry.d_val(endian).into())
    };
    let at: u64 = address(object::elf::DT_STRTAB)?;
    let size: u64 = address(object::elf::DT_STRSZ)?;
    let strings = segments
        .iter()
        .find_map(|segment| segment.data_range(endian, data, at, size).ok().flatten())?;
    let string = |offset: u64| -> Option<String> {
        let rest = strings.get(usize::try_from(offset).ok()?..)?;
        let text = rest.split(|b| *b == 0).next()?;
        Some(String::from_utf8_lossy(text).into_owned())
    };
    for entry in entries {
        if entry.tag32(endian).map(i64::from) == Some(DT_NEEDED) {
            elf.needed.extend(string(entry.d_val(endian).into()));
        }
    }
    // The names of the symbol versions that it needs lie among the strings.
    let versions = strings.split(|b| *b == 0).filter_map(|name| {
        let rest = std::str::from_utf8(name).ok()?.strip_prefix("GLIBC_")?;
        let mut numbers = rest.split('.').map(str::parse::<u32>);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    });
    elf.glibc = versions.max();
    Some(elf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_test_is_a_program_of_this_system() {
        // A file that is sure to be there, and is what the tests run.
        let own = std::env::current_exe()
            .ok()
            .and_then(|p| std::fs::read(p).ok());
        let elf = own.as_deref().and_then(read).expect("tests run on Linux");
        assert!(elf.loadable);
        if cfg!(target_env = "gnu") {
            assert_eq!(elf.libc(), Libc::Glibc);
            assert!(elf.interpreter.is_some_and(|i| i.contains("ld-")));
            assert!(elf.needed.iter().any(|n| n == "libc.so.6"));
            assert!(elf.glibc.is_some_and(|version| version >= (2, 17)));
        }
    }

    #[test]
    fn what_names_say_of_the_library() {
        let elf = |interpreter: Option<&str>, needed: &[&str], glibc| Elf {
            interpreter: interpreter.map(str::to_owned),
            needed: needed.iter().map(|n| (*n).to_owned()).collect(),
            glibc,
            loadable: true,
        };
        assert_eq!(elf(None, &[], None).libc(), Libc::None);
        let musl = elf(
            Some("/lib/ld-musl-x86_64.so.1"),
            &["libc.musl-x86_64.so.1"],
            None,
        );
        assert_eq!(musl.libc(), Libc::Musl);
        assert_eq!(elf(None, &["libc.so.6"], None).libc(), Libc::Glibc);
        assert_eq!(elf(None, &["libm.so"], Some((2, 4))).libc(), Libc::Glibc);
        assert_eq!(elf(None, &["libz.so.1"], None).libc(), Libc::Untold);
        assert_eq!(read(b"#!/bin/sh"), None);
        assert_eq!(read(b"\x7fELF\x02"), None);
    }
}
