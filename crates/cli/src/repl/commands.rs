//! The commands that start with a colon.

use nival_eval::debug::Resume;
use nival_eval::describe_type;

use super::{Answer, Problem, Repl, Step, debugger, documentation, editing};
use crate::evaluation::{file_argument, named_flake};
use crate::pager;

const HELP: &str = "\
The following commands are available:

  EXPR                        Show the value of an expression, one level deep
  NAME = EXPR                 Define a variable; `inherit` works too
  :a, :add EXPR               Make the attributes of a set variables
  :b EXPR                     Build a derivation
  :bl EXPR                    Build a derivation, with links to its outputs in
                              this folder that keep them from being collected
  :doc EXPR                   Tell what is known of a function or attribute
  :e, :edit EXPR              Open a file, function or package in $EDITOR
  :i EXPR                     Build a derivation and install it with nix-env
  :l, :load FILE              Make the attributes of a file variables
  :lf, :load-flake FLAKE      Make the outputs of a flake variables
  :ll, :last-loaded           Show which variables were added last
  :log EXPR                   Show what the builder of a derivation printed
  :p, :print EXPR             Show a value with all that is in it, and a string
                              as it is
  :q, :quit                   Leave
  :r, :reload                 Load all files and flakes again
  :sh EXPR                    Open nix-shell for a derivation
  :t EXPR                     Tell of what type a value is
  :te, :trace-enable [BOOL]   Show the whole trace of errors, or not
  :u EXPR                     Open nix-shell with a package in it
  :?, :help                   Show this
";

impl Repl<'_> {
    pub(super) fn command(&mut self, command: &str, argument: &str) -> Answer<Step> {
        if let Some(answer) = self.debug_command(command, argument) {
            return answer;
        }
        match command {
            ":?" | ":help" => {
                self.world.output.data(HELP);
                if self.stop.is_some() {
                    self.world.output.data(debugger::HELP);
                }
            }
            ":a" | ":add" => {
                let value = self.evaluate(argument)?;
                self.add_to_scope(value)?;
            }
            ":l" | ":load" => {
                self.evaluator.forget_files();
                self.load_file(argument)?;
            }
            ":lf" | ":load-flake" => self.load_flake(argument)?,
            ":ll" | ":last-loaded" => self.show_last_loaded()?,
            ":r" | ":reload" => self.reload()?,
            ":e" | ":edit" => {
                let value = self.evaluate(argument)?;
                editing::edit(self, value, argument)?;
                self.reload()?;
            }
            ":t" => self.world.output.line(describe_type(self.evaluate(argument)?)),
            ":p" | ":print" => {
                let value = self.evaluate(argument)?;
                match value.as_str() {
                    Some(text) => self.world.output.line(text.bytes()),
                    None => self.print(value, usize::MAX)?,
                }
            }
            ":b" => self.build(argument, false)?,
            ":bl" => self.build(argument, true)?,
            ":log" => self.show_log(argument)?,
            ":i" => self.install(argument)?,
            ":sh" => self.open_shell(argument)?,
            ":u" => self.open_shell_with(argument)?,
            ":doc" => self.document(argument)?,
            ":te" | ":trace-enable" => self.set_trace(command, argument)?,
            ":q" | ":quit" => return Ok(Step::Leave(Resume::Quit)),
            _ => return Err(Problem::message(format!("unknown command '{command}'"))),
        }
        Ok(Step::Again)
    }

    pub(super) fn load_file(&mut self, name: &str) -> Answer {
        self.files.retain(|file| file != name);
        self.files.push(name.to_owned());
        let path = file_argument(self.evaluator, &self.world.context, name)?;
        let value = self.evaluator.eval_file(&path)?;
        let value = self.evaluator.auto_call(&self.arguments, value)?;
        self.add_to_scope(value)
    }

    fn load_flake(&mut self, reference: &str) -> Answer {
        if reference.is_empty() {
            return Err(Problem::message(
                "cannot use ':load-flake' without a path specified. (Use '.' for the current working directory.)",
            ));
        }
        self.flakes.retain(|flake| flake != reference);
        self.flakes.push(reference.to_owned());
        let flake = named_flake(self.evaluator, self.world, reference)?;
        self.add_to_scope(flake)
    }

    fn reload(&mut self) -> Answer {
        self.evaluator.forget_files();
        self.variables = nival_eval::Variables::default();
        self.load_files_and_installables()?;
        for flake in std::mem::take(&mut self.flakes) {
            self.world.output.say(format!("Loading flake '{flake}'..."));
            self.load_flake(&flake)?;
        }
        Ok(())
    }

    fn show_last_loaded(&self) -> Answer {
        let loaded = self.last_loaded.ok_or_else(|| Problem::message("nothing has been loaded yet"))?;
        let mut names = Vec::new();
        for attr in loaded {
            names.extend_from_slice(attr.name.as_bytes());
            names.push(b'\n');
        }
        pager::show(self.world, &names);
        Ok(())
    }

    fn set_trace(&mut self, command: &str, argument: &str) -> Answer {
        let show = match argument {
            "" => !self.show_trace,
            "true" => true,
            "false" => false,
            _ => {
                return Err(Problem::message(format!("unexpected argument '{argument}' to {command}")));
            }
        };
        self.show_trace = show;
        self.evaluator.show_calls(show);
        self.world.output.line(if show { "showing error traces" } else { "not showing error traces" });
        Ok(())
    }

    fn document(&self, text: &str) -> Answer {
        if text.is_empty() {
            return Err(Problem::Incomplete);
        }
        let found = self.evaluator.document(&self.variables, text, &self.base)?;
        let found = found.ok_or_else(|| Problem::message("value does not have documentation"))?;
        self.world.output.line(documentation::render(self.world, &found));
        Ok(())
    }
}
