//! Commands that build: `:b`, `:bl`, `:log`, `:i`, `:sh`, `:u`.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nival_build::WantedOutputs;
use nival_eval::Value;
use nival_formats::StorePath;
use nival_syntax::{Pos, Symbol};

use super::{Answer, Problem, Repl};
use crate::building::{self, Target};
use crate::error::{CommandError, reason};
use crate::pager;

impl Repl<'_> {
    /// The store derivation of a value, written to the store.
    fn derivation(&self, value: Value) -> Answer<StorePath> {
        if !self.evaluator.is_derivation(value)? {
            return Err(Problem::message(
                "expression does not evaluate to a derivation, so I can't build it",
            ));
        }
        if value.as_attrs().is_none_or(|attrs| attrs.get(Symbol::intern("name")).is_none()) {
            return Err(Problem::message("derivation name missing"));
        }
        let path = value.as_attrs().and_then(|attrs| attrs.get_attr(Symbol::DRV_PATH)).ok_or_else(|| {
            Problem::message("expression did not evaluate to a valid derivation (no 'drvPath' attribute)")
        })?;
        let frame = "while evaluating the 'drvPath' attribute of a derivation";
        let text = self.evaluator.force_string(path.value, Pos::NONE, frame)?;
        let path = self.world.store_dir().parse(&text.to_text()).map_err(CommandError::failure)?;
        self.world.write_derivations()?;
        Ok(path)
    }

    pub(super) fn build(&self, text: &str, make_links: bool) -> Answer {
        let derivation = self.derivation(self.evaluate(text)?)?;
        let target = Target { derivation: derivation.clone(), outputs: WantedOutputs::All };
        building::realise(self.world, &[target])?;
        let store = self.world.store()?;
        let output = self.world.output;
        output.line("\nThis derivation produced the following outputs:");
        for (name, path) in store.query_derivation_outputs(&derivation).map_err(CommandError::from)? {
            let shown = store.display(&path);
            if make_links {
                let link = format!("repl-result-{name}");
                let place = self.world.context.absolute(&link);
                store.add_permanent_root(&path, &place).map_err(CommandError::from)?;
                output.line(format!("  ./{link} -> {shown}"));
            } else {
                output.line(format!("  {name} -> {shown}"));
            }
        }
        Ok(())
    }

    pub(super) fn show_log(&self, text: &str) -> Answer {
        let derivation = self.derivation(self.evaluate(text)?)?;
        let store = self.world.store()?;
        let log = nival_build::log(&store.config().log_dir, &derivation)?;
        let mut log = log.ok_or_else(|| {
            Problem::message(format!("build log of '{}' is not available", store.display(&derivation)))
        })?;
        let mut text = Vec::new();
        log.read_to_end(&mut text)?;
        pager::show(self.world, &text);
        Ok(())
    }

    pub(super) fn install(&self, text: &str) -> Answer {
        let derivation = self.derivation(self.evaluate(text)?)?;
        self.call("nix-env", &["-i", &self.world.store_dir().display(&derivation)])
    }

    pub(super) fn open_shell(&self, text: &str) -> Answer {
        let derivation = self.derivation(self.evaluate(text)?)?;
        self.call("nix-shell", &[&self.world.store_dir().display(&derivation)])
    }

    pub(super) fn open_shell_with(&self, text: &str) -> Answer {
        let package = self.evaluate(text)?;
        let function = self.evaluate(
            // Errors show this text, and so it is laid out as that of C++ Nix.
            "drv: (import <nixpkgs> {}).runCommand \"shell\" { buildInputs = [ drv ]; } \"\"",
        )?;
        let shell = self.evaluator.call(function, &[package], Pos::NONE)?;
        let derivation = self.derivation(shell)?;
        self.call("nix-shell", &[&self.world.store_dir().display(&derivation)])
    }

    /// Runs this program under another of its names.
    fn call(&self, name: &str, arguments: &[&str]) -> Answer {
        let status = Command::new(&self.world.context.program)
            .arg0(name)
            .args(arguments)
            .status()
            .map_err(|error| Problem::message(format!("executing '{name}': {}", reason(&error))))?;
        if status.success() {
            Ok(())
        } else {
            Err(Problem::message(format!("program '{name}' failed with {status}")))
        }
    }
}
