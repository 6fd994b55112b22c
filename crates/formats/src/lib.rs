//! The formats of Nix as pure values: hashes, store paths, content addresses, NAR, derivations, narinfo.
//!
//! Nothing here touches disk, network or the environment; what streams does so over a reader or writer that the
//! caller hands in. Bytes read through this crate may be hostile: every parser is bounded and answers with an
//! error, never with a panic.
//!
//! ```
//! use nival_formats::{
//!     Derivation, DerivationOutput, HashModuloMemo, StoreDir, StorePath, derivation::DerivationError,
//! };
//!
//! let store = StoreDir::default();
//! let mut derivation = Derivation {
//!     name: "greeting".into(),
//!     system: "x86_64-linux".into(),
//!     builder: "/bin/sh".into(),
//!     ..Derivation::default()
//! };
//! derivation.outputs.insert("out".into(), DerivationOutput::Deferred);
//!
//! // Asked for each input derivation that the memo doesn't know; here there are none.
//! let mut read = |path: &StorePath| -> Result<Derivation, DerivationError> { unreachable!("{path} isn't used") };
//! derivation.fill_output_paths(&store, &HashModuloMemo::default(), &mut read)?;
//!
//! let (path, bytes) = derivation.to_file(&store)?;
//! assert_eq!(path.name(), "greeting.drv");
//! assert_eq!(Derivation::parse(&store, "greeting", &bytes)?, derivation);
//! # Ok::<(), DerivationError>(())
//! ```

pub mod content_address;
pub mod date;
pub mod derivation;
mod digits;
mod escape;
pub mod flake_ref;
pub mod hash;
pub mod input;
pub mod json;
pub mod lock_file;
pub mod nar;
pub mod narinfo;
pub mod nix32;
pub mod placeholder;
pub mod realisation;
pub mod store_path;
pub mod url;

pub use content_address::{ContentAddress, ContentAddressMethod};
pub use derivation::{
    Derivation, DerivationFile, DerivationKind, DerivationOutput, Draft, DraftAttrs, DraftFile, DraftInput,
    DraftOutput, HashModulo, HashModuloMemo, InputOutputs, PreparedDraft, StructuredAttrs,
};
pub use flake_ref::FlakeRef;
pub use hash::{Hash, HashAlgo, HashError, HashFormat, Hasher, HashingReader};
pub use input::{Input, InputAttrs};
pub use narinfo::{NarInfo, Signature};
pub use realisation::RealisationId;
pub use store_path::{References, StoreDir, StorePath, StorePathError};
