//! Build logs: lines for the one who watches, the last of them for the error, all of them for the log folder.
//!
//! Logs are kept as the reference keeps them (`libstore/build/derivation-building-goal.cc`, `log-store.cc`):
//! `<log folder>/drvs/ab/<rest of the derivation's base name>.bz2`, or without `.bz2`.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};

use bzip2::{Compression, read::MultiBzDecoder, write::BzEncoder};
use nival_formats::StorePath;

/// A longer line is cut: a builder may never write a line end.
const MAX_LINE: usize = 256 * 1024;

/// What became of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    /// Text for people.
    Text(String),
    /// `@nix {"action":"setPhase","phase":…}`: the build has come to this phase.
    Phase(String),
    /// Some other `@nix` message; shown to nobody, kept in the log.
    Message,
}

/// Cuts output into lines; a carriage return starts the line anew, as on a terminal.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    line: Vec<u8>,
    position: usize,
}

impl Lines {
    pub(crate) fn push(&mut self, mut data: &[u8], mut take: impl FnMut(Line)) {
        while let Some(&first) = data.first() {
            if first == b'\n' {
                take(self.finish_line());
                data = &data[1..];
            } else if first == b'\r' {
                self.position = 0;
                data = &data[1..];
            } else if self.position >= MAX_LINE {
                take(self.finish_line());
            } else {
                let end = data.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(data.len());
                let (text, rest) = data.split_at(end.min(MAX_LINE - self.position));
                let kept = (self.line.len() - self.position).min(text.len());
                self.line[self.position..self.position + kept].copy_from_slice(&text[..kept]);
                self.line.extend_from_slice(&text[kept..]);
                self.position += text.len();
                data = rest;
            }
        }
    }

    pub(crate) fn finish(&mut self, take: impl FnOnce(Line)) {
        if !self.line.is_empty() {
            take(self.finish_line());
        }
    }

    fn finish_line(&mut self) -> Line {
        self.line.truncate(self.position);
        self.position = 0;
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
        let message = line.strip_prefix("@nix ").and_then(|json| serde_json::from_str(json).ok());
        let Some(serde_json::Value::Object(message)) = message else { return Line::Text(line) };
        match (message.get("action"), message.get("phase")) {
            (Some(action), Some(phase)) if action == "setPhase" => {
                phase.as_str().map_or(Line::Message, |phase| Line::Phase(phase.to_owned()))
            }
            _ => Line::Message,
        }
    }
}

/// The last lines of a build.
#[derive(Debug)]
pub(crate) struct Tail {
    lines: VecDeque<String>,
    limit: usize,
}

impl Tail {
    pub(crate) fn new(limit: usize) -> Self {
        Self { lines: VecDeque::new(), limit }
    }

    pub(crate) fn push(&mut self, line: String) {
        self.lines.push_back(line);
        while self.lines.len() > self.limit {
            self.lines.pop_front();
        }
    }

    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines.into()
    }
}

/// How logs are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Not at all (`keep-build-log = false`).
    None,
    /// As they are (`compress-build-log = false`).
    Plain,
    /// Compressed.
    Bzip2,
}

/// The log of a running build.
pub(crate) struct LogFile {
    path: PathBuf,
    writer: Writer,
}

enum Writer {
    Plain(BufWriter<File>),
    Bzip2(Box<BzEncoder<BufWriter<File>>>),
}

impl LogFile {
    pub(crate) fn create(
        log_dir: &Path,
        derivation: &StorePath,
        format: LogFormat,
    ) -> io::Result<Option<Self>> {
        let plain = plain_path(log_dir, derivation);
        let compressed = with_suffix(&plain);
        let (path, stale) = match format {
            LogFormat::None => return Ok(None),
            LogFormat::Plain => (plain, compressed),
            LogFormat::Bzip2 => (compressed, plain),
        };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        // The log of an earlier build in the other format would be found first.
        let _ = fs::remove_file(stale);
        let file = BufWriter::new(File::create(&path)?);
        let writer = if format == LogFormat::Bzip2 {
            Writer::Bzip2(Box::new(BzEncoder::new(file, Compression::best())))
        } else {
            Writer::Plain(file)
        };
        Ok(Some(Self { path, writer }))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn write(&mut self, data: &[u8]) -> io::Result<()> {
        match &mut self.writer {
            Writer::Plain(file) => file.write_all(data),
            Writer::Bzip2(encoder) => encoder.write_all(data),
        }
    }

    pub(crate) fn finish(self) -> io::Result<()> {
        match self.writer {
            Writer::Plain(mut file) => file.flush(),
            Writer::Bzip2(encoder) => encoder.finish()?.flush(),
        }
    }
}

fn plain_path(log_dir: &Path, derivation: &StorePath) -> PathBuf {
    let (folder, rest) = derivation.as_str().split_at(2);
    log_dir.join("drvs").join(folder).join(rest)
}

fn with_suffix(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".bz2");
    name.into()
}

/// The kept log of a derivation, if there is one.
pub fn log(log_dir: &Path, derivation: &StorePath) -> io::Result<Option<Box<dyn Read + Send>>> {
    let path = plain_path(log_dir, derivation);
    let open = |path: &Path| match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    if let Some(file) = open(&path)? {
        return Ok(Some(Box::new(file)));
    }
    Ok(open(&with_suffix(&path))?.map(|file| Box::new(MultiBzDecoder::new(file)) as Box<dyn Read + Send>))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<Line> {
        let mut found = Vec::new();
        let mut cutter = Lines::default();
        for chunk in chunks {
            cutter.push(chunk, |line| found.push(line));
        }
        cutter.finish(|line| found.push(line));
        found
    }

    #[test]
    fn output_is_cut_into_lines() {
        let text = |line: &str| Line::Text(line.to_owned());
        let table: &[(&[&[u8]], Vec<Line>)] = &[
            (&[b""], vec![]),
            (&[b"a", b"b\nc"], vec![text("ab"), text("c")]),
            (&[b"\n\n"], vec![text(""), text("")]),
            (&[b"10%\r20%\rdone\n"], vec![text("done")]),
            (&[b"long line\rab\n"], vec![text("ab")]),
            (&[b"\xff\n"], vec![text("\u{fffd}")]),
            (
                &[b"@nix {\"action\":\"setPhase\",\"phase\":\"buildPhase\"}\n"],
                vec![Line::Phase("buildPhase".into())],
            ),
            (&[b"@nix {\"action\":\"msg\",\"level\":1}\n"], vec![Line::Message]),
            (&[b"@nix {broken\n@nix 1\n"], vec![text("@nix {broken"), text("@nix 1")]),
        ];
        for (chunks, expected) in table {
            assert_eq!(&lines(chunks), expected);
        }
        let endless = vec![b'x'; MAX_LINE * 2 + 10];
        let cut = lines(&[&endless]);
        assert_eq!(cut.len(), 3);
    }

    #[test]
    fn logs_are_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path: StorePath = "0123456789abcdfghijklmnpqrsvwxyz-x.drv".parse().unwrap();
        assert!(log(folder.path(), &path).unwrap().is_none());
        assert!(LogFile::create(folder.path(), &path, LogFormat::None).unwrap().is_none());
        for (format, name) in [
            (LogFormat::Bzip2, "drvs/01/23456789abcdfghijklmnpqrsvwxyz-x.drv.bz2"),
            (LogFormat::Plain, "drvs/01/23456789abcdfghijklmnpqrsvwxyz-x.drv"),
            (LogFormat::Bzip2, "drvs/01/23456789abcdfghijklmnpqrsvwxyz-x.drv.bz2"),
        ] {
            let contents = format!("{format:?}\n");
            let mut file = LogFile::create(folder.path(), &path, format).unwrap().unwrap();
            assert_eq!(file.path(), folder.path().join(name));
            file.write(contents.as_bytes()).unwrap();
            file.finish().unwrap();
            let mut text = String::new();
            log(folder.path(), &path).unwrap().unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, contents);
        }
    }
}
