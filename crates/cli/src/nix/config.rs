//! `nix config show`: the settings in force.

use super::flags::misuse;
use crate::command::config;
use crate::error::{CommandError, Result};
use crate::features;
use crate::output::Output;
use crate::settings::Settings;

pub(super) fn run(output: Output, settings: &Settings, words: &[String], json: bool) -> Result {
    match words {
        [] => Ok(()),
        [show] if show == "show" => {
            config::run(output, settings, json);
            Ok(())
        }
        [show, name] if show == "show" => {
            let mut all = settings.show().into_iter().chain(settings.show_accepted());
            let is_on = features::of_setting(name).is_none_or(|feature| settings.has_feature(feature));
            let (_, value) = all
                .find(|(known, _)| known == name && is_on)
                .ok_or_else(|| CommandError::failure(format!("could not find setting '{name}'")))?;
            output.line(value);
            Ok(())
        }
        [show, _, extra, ..] if show == "show" => Err(misuse(format!("unexpected argument '{extra}'"))),
        [check, ..] => Err(CommandError::failure(format!("'nix config {check}' is not there yet"))),
    }
}
