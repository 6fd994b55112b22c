//! The command line of `nival`, defined once: parsing, `--help`, completions and the book come from here.

use clap::{Args, Parser, Subcommand};

use crate::context::Context;
use crate::error::{CommandError, Kind, Result};
use crate::settings::Settings;

/// The whole system as a function of text files: build, switch, undo.
#[derive(Debug, Parser)]
#[command(name = "nival", version, disable_help_subcommand = true, max_term_width = 100)]
pub struct Nival {
    /// Options that every command has.
    #[command(flatten)]
    pub common: CommonArguments,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command has.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct CommonArguments {
    /// Use the store below DIR (DIR/nix/store, seen at /nix/store), `daemon`-less; `dummy://` keeps nothing
    #[arg(long, global = true, value_name = "DIR")]
    pub store: Option<String>,
    /// Set a setting of nix.conf for this run
    #[arg(long = "option", global = true, num_args = 2, value_names = ["NAME", "VALUE"])]
    pub options: Vec<String>,
    /// Add experimental features for this run
    #[arg(long, global = true, value_name = "FEATURES")]
    pub extra_experimental_features: Vec<String>,
    /// Build this many derivations at the same time
    #[arg(short = 'j', long, global = true, value_name = "N")]
    pub max_jobs: Option<String>,
    /// Cores that one builder may use (0: all)
    #[arg(long, global = true, value_name = "N")]
    pub cores: Option<u64>,
    /// Seconds that one builder may take (0: no limit)
    #[arg(long, global = true, value_name = "SECONDS")]
    pub timeout: Option<u64>,
    /// Seconds that one builder may be silent (0: no limit)
    #[arg(long, global = true, value_name = "SECONDS")]
    pub max_silent_time: Option<u64>,
    /// Go on with other builds after one failed
    #[arg(short = 'k', long, global = true)]
    pub keep_going: bool,
    /// Keep the build folder of a failed build
    #[arg(short = 'K', long, global = true)]
    pub keep_failed: bool,
    /// Build without a sandbox: builders see and can change what you can
    #[arg(long, global = true)]
    pub no_sandbox: bool,
    /// Print every frame of an evaluation error
    #[arg(long, global = true)]
    pub show_trace: bool,
    /// Print the builders' whole output
    #[arg(short = 'L', long, global = true)]
    pub print_build_logs: bool,
    /// Say only warnings and errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

impl CommonArguments {
    /// Puts what the command line says over the settings.
    pub fn apply(&self, settings: &mut Settings) -> Result {
        let mut set = |name: &str, value: &str| match settings.apply(name, value) {
            Ok(None) => Ok(()),
            Ok(Some(problem)) | Err(problem) => {
                Err(CommandError::new(Kind::Usage, format!("--option {name}: {problem}")))
            }
        };
        for pair in self.options.chunks_exact(2) {
            set(&pair[0], &pair[1])?;
        }
        for features in &self.extra_experimental_features {
            set("extra-experimental-features", features)?;
        }
        if let Some(jobs) = &self.max_jobs {
            set("max-jobs", jobs)?;
        }
        let numbers =
            [("cores", self.cores), ("timeout", self.timeout), ("max-silent-time", self.max_silent_time)];
        for (name, value) in numbers {
            if let Some(value) = value {
                set(name, &value.to_string())?;
            }
        }
        let flags = [
            ("keep-going", "true", self.keep_going),
            ("keep-failed", "true", self.keep_failed),
            ("show-trace", "true", self.show_trace),
            ("sandbox", "false", self.no_sandbox),
        ];
        for (name, value, given) in flags {
            if given {
                set(name, value)?;
            }
        }
        Ok(())
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the settings in force
    Config {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// Parses the command line. `Err` carries clap's own text and exit code.
pub fn parse(context: &Context) -> std::result::Result<Nival, clap::Error> {
    Nival::try_parse_from(&context.arguments)
}
