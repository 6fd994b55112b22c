//! The formats of Nix as pure values: hashes, store paths, content addresses, NAR, derivations, narinfo.
//!
//! Nothing here touches disk, network or the environment; what streams does so over a reader or writer that the
//! caller hands in. Bytes read through this crate may be hostile: every parser is bounded and answers with an
//! error, never with a panic.

pub mod content_address;
pub mod derivation;
pub mod hash;
pub mod nix32;
pub mod store_path;

pub use content_address::{ContentAddress, ContentAddressMethod};
pub use derivation::{Derivation, DerivationOutput, InputOutputs, StructuredAttrs};
pub use hash::{Hash, HashAlgo, HashError, HashFormat, Hasher};
pub use store_path::{References, StoreDir, StorePath, StorePathError};
