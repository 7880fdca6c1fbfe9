//! When the lines of a file were written, by git.
//!
//! `git blame` of HEAD, not of the work tree: it compares objects of the
//! repository alone and runs no filter; `--no-textconv` keeps it from the
//! programs that attributes name.

use std::ffi::OsString;
use std::io::BufRead as _;
use std::path::Path;

use super::git::{git, root_of};
use crate::catalog::Date;

/// The most bytes of a line of git's answer.
const MAX_LINE: u64 = 1 << 20;

/// For each line of a file the day (UTC) of the commit that last changed it; None
/// for a line that is not in HEAD as it stands here.
///
/// # Errors
/// Why git can't say, in words.
pub fn days(path: &Path, bytes: &[u8]) -> Result<Vec<Option<Date>>, String> {
    let real = std::fs::canonicalize(path).map_err(|error| error.to_string())?;
    let root = root_of(&real).ok_or("it is not in a git repository")?;
    let below = real.strip_prefix(&root).unwrap_or(&real);
    let mut args = ["blame", "--no-textconv", "--line-porcelain", "HEAD", "--"]
        .map(OsString::from)
        .to_vec();
    args.push(below.as_os_str().to_owned());
    let mut committed: Vec<(Vec<u8>, Option<Date>)> = Vec::new();
    git(&root, &args, Vec::new(), |output| {
        let mut day = None;
        let mut line = Vec::new();
        loop {
            line.clear();
            if std::io::Read::take(&mut *output, MAX_LINE).read_until(b'\n', &mut line)? == 0 {
                break;
            }
            if let Some(text) = line.strip_prefix(b"\t") {
                committed.push((trimmed(text).to_vec(), day.take()));
            } else if let Some(time) = line.strip_prefix(b"committer-time ") {
                let seconds = str::from_utf8(time)
                    .ok()
                    .and_then(|text| text.trim().parse::<i64>().ok());
                day = seconds
                    .and_then(|seconds| i32::try_from(seconds.div_euclid(86_400)).ok())
                    .and_then(Date::from_days);
            }
        }
        // Without an answer git says why on its standard error.
        if committed.is_empty() && !bytes.is_empty() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    })?;
    Ok(matched(bytes, &committed))
}

fn trimmed(line: &[u8]) -> &[u8] {
    line.trim_ascii_end()
}

/// The days of the lines that are here as they are in HEAD: from the top down,
/// each line with the next one that reads the same.
fn matched(bytes: &[u8], committed: &[(Vec<u8>, Option<Date>)]) -> Vec<Option<Date>> {
    let mut from = 0;
    bytes
        .split(|byte| *byte == b'\n')
        .map(|line| {
            let line = trimmed(line);
            let at = from
                + committed[from..]
                    .iter()
                    .position(|(text, _)| text == line)?;
            from = at + 1;
            committed[at].1
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_were_added_since_have_no_day() {
        let day = Date::parse("2020-05-20");
        let of = |text: &str| (text.as_bytes().to_vec(), day);
        let committed = [of("FROM python:3"), of("RUN true")];
        assert_eq!(
            matched(b"FROM python:3\r\nENV A=1\nRUN true\n", &committed),
            [day, None, day, None]
        );
        assert_eq!(matched(b"FROM python:3.9\n", &committed), [None, None]);
    }
}
