//! `builtin:fetchurl`: downloads `url` (http, https or file) as one file, or with `unpack` as the NAR it holds
//! (`.xz` or plain). `executable` sets that bit. Only for outputs with a fixed hash.

use std::fs::{self, File, Permissions};
use std::io::{self, BufReader, Read, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use nival_formats::derivation::DerivationKind;
use nival_formats::{ContentAddressMethod, DerivationOutput};
use ureq::tls::{PemItem, RootCerts, TlsConfig};

use super::{At as _, BuiltinError, Context};

/// As `download-attempts` of the reference.
const ATTEMPTS: u32 = 5;
/// As `connect-timeout` and `stalled-download-timeout` of the reference.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
const STALLED_TIMEOUT: Duration = Duration::from_mins(5);

pub(super) fn build(context: &Context<'_>) -> Result<(), BuiltinError> {
    if !matches!(context.derivation.kind(), Ok(DerivationKind::Fixed | DerivationKind::Impure)) {
        return Err(BuiltinError::failed("'builtin:fetchurl' must be a fixed-output or impure derivation"));
    }
    let url = context.text("url")?;
    for mirror in hashed_mirrors(context) {
        if fetch(context, &mirror, url).is_ok() {
            return Ok(());
        }
        context.check_cancelled()?;
    }
    fetch(context, url, url)
}

fn hashed_mirrors(context: &Context<'_>) -> Vec<String> {
    match context.derivation.outputs.get("out") {
        Some(DerivationOutput::CaFixed(address)) if address.method == ContentAddressMethod::Flat => {
            let (algo, hash) = (address.hash.algo(), address.hash.to_base16());
            let mirrors = context.options.hashed_mirrors.iter();
            mirrors.map(|mirror| format!("{}/{algo}/{hash}", mirror.trim_end_matches('/'))).collect()
        }
        _ => Vec::new(),
    }
}

fn fetch(context: &Context<'_>, from: &str, main_url: &str) -> Result<(), BuiltinError> {
    let out = context.out()?;
    let unpack = context.is_set("unpack");
    let mut partial = out.as_os_str().to_owned();
    partial.push(".part");
    let download = if unpack { Path::new(&partial) } else { out };

    if let Some(file) = from.strip_prefix("file://") {
        let file = percent_decode(file)
            .ok_or_else(|| BuiltinError::failed(format!("the URL '{from}' is malformed")))?;
        let mut source = File::open(&file).at("open", &file)?;
        copy(context, &mut source, download, from)?;
    } else {
        with_retries(context, from, || request(context, from, download))?;
    }
    if unpack {
        let file = BufReader::new(File::open(download).at("open", download)?);
        let unpacked = if main_url.ends_with(".xz") {
            let plain = BufReader::new(liblzma::bufread::XzDecoder::new_multi_decoder(file));
            nival_store::restore_nar(plain, out)
        } else {
            nival_store::restore_nar(file, out)
        };
        unpacked.map_err(|error| BuiltinError::failed(format!("cannot unpack '{from}': {error}")))?;
        fs::remove_file(download).at("remove", download)?;
    }
    if context.is_set("executable") {
        fs::set_permissions(out, Permissions::from_mode(0o755)).at("change the mode of", out)?;
    }
    Ok(())
}

/// A failed attempt, and whether another one may help.
struct Attempt {
    error: BuiltinError,
    transient: bool,
}

impl From<BuiltinError> for Attempt {
    fn from(error: BuiltinError) -> Self {
        Self { error, transient: false }
    }
}

fn with_retries(
    context: &Context<'_>,
    url: &str,
    mut attempt: impl FnMut() -> Result<(), Attempt>,
) -> Result<(), BuiltinError> {
    let mut pause = Duration::from_millis(250);
    for number in 1.. {
        match attempt() {
            Ok(()) => break,
            Err(failed) if failed.transient && number < ATTEMPTS => {
                let seconds = pause.as_secs_f32();
                (context.say)(&format!("warning: {}; retrying '{url}' in {seconds:.1} s", failed.error));
                let steps = pause.as_millis() / 50;
                for _ in 0..steps {
                    context.check_cancelled()?;
                    std::thread::sleep(Duration::from_millis(50));
                }
                pause *= 2;
            }
            Err(failed) => return Err(failed.error),
        }
    }
    Ok(())
}

fn request(context: &Context<'_>, url: &str, to: &Path) -> Result<(), Attempt> {
    let roots = match &context.options.ca_file {
        Some(file) => {
            let pem = fs::read(file).at("read", file)?;
            let certificates: Vec<_> = ureq::tls::parse_pem(&pem)
                .filter_map(
                    |item| if let Ok(PemItem::Certificate(found)) = item { Some(found) } else { None },
                )
                .collect();
            RootCerts::new_with_certs(&certificates)
        }
        None => RootCerts::PlatformVerifier,
    };
    let config = ureq::Agent::config_builder()
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_recv_response(Some(STALLED_TIMEOUT))
        .timeout_per_read(Some(STALLED_TIMEOUT))
        // The bytes as the server keeps them: the hash is of those.
        .accept_encoding("identity")
        .user_agent(concat!("nival/", env!("CARGO_PKG_VERSION")))
        .build();
    let response = ureq::Agent::new_with_config(config).get(url).call().map_err(|error| {
        let transient = match &error {
            ureq::Error::StatusCode(status) => *status >= 500 || [408, 429].contains(status),
            ureq::Error::BadUri(_) | ureq::Error::Tls(_) | ureq::Error::Rustls(_) => false,
            _ => true,
        };
        Attempt { error: BuiltinError::failed(format!("unable to download '{url}': {error}")), transient }
    })?;
    copy(context, &mut response.into_body().into_reader(), to, url)
        .map_err(|error| Attempt { transient: matches!(error, BuiltinError::Failed(_)), error })
}

fn copy(context: &Context<'_>, from: &mut dyn Read, to: &Path, url: &str) -> Result<(), BuiltinError> {
    let mut file = File::create(to).at("create", to)?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        context.check_cancelled()?;
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => file.write_all(&buffer[..count]).at("write", to)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(BuiltinError::failed(format!("unable to download '{url}': {error}"))),
        }
    }
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use std::io::BufRead as _;
    use std::net::TcpListener;

    use nival_formats::{ContentAddress, Derivation, Hash, HashAlgo, nar};

    use super::super::testing::Stage;
    use super::*;

    fn fixed() -> Derivation {
        let address =
            ContentAddress { method: ContentAddressMethod::Flat, hash: Hash::zero(HashAlgo::Sha256) };
        let outputs = [("out".to_owned(), DerivationOutput::CaFixed(address))].into();
        Derivation { builder: "builtin:fetchurl".into(), outputs, ..Derivation::default() }
    }

    /// Answers each connection with the next response; returns the address.
    fn serve(responses: Vec<&'static [u8]>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for response in responses {
                let (mut connection, _) = listener.accept().unwrap();
                let mut lines = BufReader::new(connection.try_clone().unwrap()).lines();
                while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
                connection.write_all(response).unwrap();
            }
        });
        address
    }

    #[test]
    fn files_are_fetched() {
        let stage = Stage::new();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a b");
        fs::write(&file, "contents").unwrap();
        let url = format!("file://{}/a%20b", folder.path().display());
        stage.run_derivation(fixed(), &[("url", &url)]).unwrap();
        assert_eq!(stage.list(), [": contents"]);
        stage.run_derivation(fixed(), &[("url", &url), ("executable", "1")]).unwrap();
        assert_eq!(stage.list(), ["*: contents"]);

        let mut archive = nar::Writer::new(Vec::new());
        archive.directory().unwrap();
        archive.entry(b"x").unwrap();
        archive.file_bytes(nar::Mode::Plain, b"in nar").unwrap();
        archive.end_directory().unwrap();
        let archive = archive.finish().unwrap();
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(&archive).unwrap();
        for (name, bytes) in [("t.nar", archive), ("t.nar.xz", xz.finish().unwrap())] {
            fs::write(folder.path().join(name), bytes).unwrap();
            let url = format!("file://{}/{name}", folder.path().display());
            stage.run_derivation(fixed(), &[("url", &url), ("unpack", "1")]).unwrap();
            assert_eq!(stage.list(), ["/", "/x: in nar"]);
        }
        let url = format!("file://{}/a%20b", folder.path().display());
        assert!(stage.run_derivation(fixed(), &[("url", &url), ("unpack", "1")]).is_err());
    }

    #[test]
    fn servers_that_stumble_are_asked_again() {
        let stage = Stage::new();
        let url = serve(vec![
            b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nshort",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
        ]);
        let said = stage.run_derivation(fixed(), &[("url", &url)]).unwrap();
        assert_eq!(said.len(), 2, "{said:?}");
        assert_eq!(stage.list(), [": hello"]);
    }

    #[test]
    fn what_cannot_be_fetched_is_an_error() {
        let stage = Stage::new();
        let missing =
            serve(vec![b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"]);
        for (url, error) in [
            ("file:///no/such/file", "/no/such/file"),
            ("file:///%zz", "malformed"),
            ("gopher://x", "unable to download"),
            (&missing, "404"),
        ] {
            let message = stage.run_derivation(fixed(), &[("url", url)]).unwrap_err();
            assert!(message.contains(error), "{message}");
        }
        let message = stage.run("builtin:fetchurl", &[("url", "file:///etc/passwd")]).unwrap_err();
        assert!(message.contains("fixed-output"), "{message}");
        assert_eq!(stage.run_derivation(fixed(), &[]).unwrap_err(), "attribute 'url' missing");
    }
}
