//! Checks all `.drv` files of a directory: each must print as it was read, and have the file name and the output
//! paths that are computed from it.
//!
//! `cargo run --release -p nival-formats --example check_derivations -- /nix/store`

use std::{error::Error, fs, path::Path, time::Instant};

use nival_formats::{Derivation, HashModuloMemo, StoreDir, StorePath};

type AnyError = Box<dyn Error>;

/// `?` on a library error inside of the reading function.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failure(String);

impl From<nival_formats::derivation::DerivationError> for Failure {
    fn from(error: nival_formats::derivation::DerivationError) -> Self {
        Self(error.to_string())
    }
}

#[expect(clippy::print_stdout, reason = "an example that reports to its user")]
fn main() -> Result<(), AnyError> {
    let directory = std::env::args().nth(1).ok_or("usage: check_derivations DIRECTORY [LOGICAL_STORE]")?;
    let store = StoreDir::new(&std::env::args().nth(2).unwrap_or_else(|| "/nix/store".into()));
    let memo = HashModuloMemo::default();
    let (mut count, mut failed, start) = (0, 0, Instant::now());
    for entry in fs::read_dir(&directory)? {
        let name = entry?.file_name().into_string().map_err(|_| "file name isn't UTF-8")?;
        let Ok(path) = name.parse::<StorePath>() else { continue };
        if path.is_derivation() {
            count += 1;
            if let Err(error) = check(Path::new(&directory), &store, &path, &memo) {
                failed += 1;
                println!("{path}: {error}");
            }
        }
    }
    println!("{count} derivations, {failed} failed, {:?}", start.elapsed());
    if failed > 0 { Err("some derivations failed".into()) } else { Ok(()) }
}

fn check(
    directory: &Path,
    store: &StoreDir,
    path: &StorePath,
    memo: &HashModuloMemo,
) -> Result<(), AnyError> {
    let bytes = fs::read(directory.join(path.as_str()))?;
    let derivation = Derivation::parse(store, path.derivation_name()?, &bytes)?;
    let (computed, printed) = derivation.to_file(store)?;
    if printed != bytes {
        return Err("prints differently".into());
    }
    if computed != *path {
        return Err(format!("computed as {computed}").into());
    }
    if Derivation::from_json(&derivation.to_json()?)? != derivation {
        return Err("changes through JSON".into());
    }
    let mut read = |path: &StorePath| -> Result<Derivation, Failure> {
        let bytes = fs::read(directory.join(path.as_str())).map_err(|e| Failure(e.to_string()))?;
        let name = path.derivation_name().map_err(|e| Failure(e.to_string()))?;
        Ok(Derivation::parse(store, name, &bytes)?)
    };
    derivation.check_output_paths(store, memo, &mut read)?;
    Ok(())
}
