//! Writing the files of valid paths anew, whatever has become of them.
//!
//! The new files are whole before they take the place of the old ones, so that the path is valid at every moment.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::PoisonError;

use nival_formats::StorePath;

use crate::add::Existing;
use crate::add::Spool;
use crate::batch::{Contents, Item};
use crate::database::Registration;
use crate::error::{IoContext as _, Result};
use crate::fault::fault_point;
use crate::lock::AfterUnlock;
use crate::path_info::PathInfo;
use crate::restore::restore_nar;
use crate::store::LocalStore;

impl LocalStore {
    /// Writes and registers what may be valid already. Its references must be valid.
    pub(crate) fn replace_item(&self, item: &Item) -> Result<()> {
        self.replace(&item.registration(), |place| match &item.contents {
            Contents::Text(text) => fs::write(place, text).at("write", place),
            Contents::Nar(nar) => restore_nar(nar.as_slice(), place),
        })
    }

    /// The same for what need not be in memory.
    pub(crate) fn replace_spooled(&self, info: PathInfo, spool: Spool<'_>) -> Result<StorePath> {
        let mut nar = spool.into_reader()?;
        let outputs = BTreeMap::new();
        self.replace(&Registration::new(&info, &outputs), |place| restore_nar(&mut nar, place))?;
        Ok(info.path)
    }

    fn replace(
        &self,
        registration: &Registration<'_>,
        write: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<()> {
        let path = &registration.info.path;
        self.require_writable("replace a path")?;
        self.add_temp_root(path)?;
        let _not_alone = self.adding.read().unwrap_or_else(PoisonError::into_inner);
        let mut locks = self.lock_paths([path])?;
        self.put_in_place(path, Existing::Replace, write)?;
        fault_point("before-register");
        self.database.register(std::slice::from_ref(registration))?;
        fault_point("after-register");
        locks.set_after_unlock(AfterUnlock::Delete);
        Ok(())
    }
}
