//! The command line of `nival`, defined once: parsing, `--help`, completions and the book come from here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

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
    /// Use the store below DIR (DIR/nix/store, seen at /nix/store); `dummy://` keeps nothing
    #[arg(long, global = true, value_name = "DIR")]
    pub store: Option<String>,
    /// Set a setting of nix.conf for this run
    #[arg(long = "option", global = true, num_args = 2, value_names = ["NAME", "VALUE"])]
    pub options: Vec<String>,
    /// Set which experimental features are on for this run
    #[arg(long, global = true, value_name = "FEATURES")]
    pub experimental_features: Option<String>,
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
    /// Evaluate even if nothing changed since last time, and remember nothing of it
    #[arg(long, global = true)]
    pub no_eval_cache: bool,
    /// Take what was evaluated and fetched before for out of date
    #[arg(long, global = true)]
    pub refresh: bool,
    /// Print every frame of an evaluation error
    #[arg(long, global = true)]
    pub show_trace: bool,
    /// Print the builders' whole output
    #[arg(short = 'L', long, global = true)]
    pub print_build_logs: bool,
    /// Say only warnings and errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Say more of what evaluation does; may be said several times
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

impl CommonArguments {
    /// Puts what the command line says over the settings.
    pub fn apply(&self, settings: &mut Settings) -> Result {
        let mut set = |name: &str, value: &str| match settings.apply(name, value) {
            Ok(warnings) => match warnings.into_iter().next() {
                None => Ok(()),
                Some(problem) => Err(CommandError::new(Kind::Usage, format!("--option {name}: {problem}"))),
            },
            Err(problem) => Err(CommandError::new(Kind::Usage, format!("--option {name}: {problem}"))),
        };
        for pair in self.options.chunks_exact(2) {
            set(&pair[0], &pair[1])?;
        }
        if let Some(features) = &self.experimental_features {
            set("experimental-features", features)?;
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
            ("eval-cache", "false", self.no_eval_cache),
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
    /// Your home environment: files, packages and services as one revertible generation
    #[command(subcommand)]
    Home(HomeCommand),
    /// Evaluate an expression and print its value
    Eval(EvalArguments),
    /// Write the derivations of files into the store, or print what the files are, with the flags of `nix-instantiate`
    ///
    /// `nival instantiate --help` tells them.
    #[command(disable_help_flag = true)]
    Instantiate {
        /// Flags and files
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Evaluate line by line
    Repl(ReplArguments),
    /// Build derivations and print where their outputs are
    Build(BuildArguments),
    /// Delete what no generation, root or running program needs
    Gc(GcArguments),
    /// Run a command, or your shell, where the store is seen at /nix
    Enter(EnterArguments),
    /// Print the log of a build
    Log {
        /// A derivation or one of its outputs
        path: String,
    },
    /// Look at the machine, the store and the sandbox, and say what is off
    Doctor {
        /// Also check the hash of every path in the store
        #[arg(long)]
        check_contents: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Explain an error code, for example `nival explain E0001`
    Explain {
        /// The code as printed in the error; all are listed without one
        code: Option<String>,
    },
    /// Show the settings in force
    Config {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Hashes of files, and other notations of hashes
    #[command(subcommand)]
    Hash(HashCommand),
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// Where an expression comes from and how it is called.
#[derive(Debug, Clone, Default, Args)]
pub struct SourceArguments {
    /// The expression itself
    #[arg(long, value_name = "EXPR", conflicts_with = "file")]
    pub expr: Option<String>,
    /// The file that has the expression; a folder stands for its default.nix, `-` for standard input
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<String>,
    /// Pass an argument to functions, as an expression
    #[arg(long, num_args = 2, value_names = ["NAME", "EXPR"])]
    pub arg: Vec<String>,
    /// Pass an argument to functions, as a string
    #[arg(long, num_args = 2, value_names = ["NAME", "STRING"])]
    pub argstr: Vec<String>,
    /// Pass an argument to functions, as the contents of a file
    #[arg(long, num_args = 2, value_names = ["NAME", "FILE"])]
    pub arg_from_file: Vec<String>,
    /// Pass an argument to functions, as the contents of standard input
    #[arg(long, value_name = "NAME")]
    pub arg_from_stdin: Vec<String>,
    /// Look up `<name>` here first, as `name=path` or a folder
    #[arg(short = 'I', long, value_name = "PATH")]
    pub include: Vec<String>,
    /// Open a REPL where evaluation fails or comes to `builtins.break`
    #[arg(long)]
    pub debugger: bool,
    /// Allow what pure evaluation forbids (flakes)
    #[arg(long)]
    pub impure: bool,
}

/// `nival eval`.
#[derive(Debug, Default, Args)]
pub struct EvalArguments {
    /// Attribute path within the file or expression, or `FLAKE#ATTRIBUTE`
    pub installable: Option<String>,
    /// Where the expression comes from
    #[command(flatten)]
    pub source: SourceArguments,
    /// Print a string as it is
    #[arg(long, conflicts_with = "json")]
    pub raw: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Print JSON on several lines, as is done on a terminal
    #[arg(long, overrides_with = "no_pretty")]
    pub pretty: bool,
    /// Print JSON on one line
    #[arg(long, overrides_with = "pretty")]
    pub no_pretty: bool,
    /// Apply this function to the value first
    #[arg(long, value_name = "EXPR")]
    pub apply: Option<String>,
    /// Write a string to this file, or a set of strings to files in this folder, instead of printing
    #[arg(long, value_name = "PATH")]
    pub write_to: Option<PathBuf>,
    /// Write no derivations: their paths are computed only
    #[arg(long)]
    pub read_only: bool,
    /// Write anew what is in the store already, should its files be damaged
    #[arg(long)]
    pub repair: bool,
    /// Evaluate with this store instead of the one that is built in
    #[arg(long, value_name = "STORE")]
    pub eval_store: Option<String>,
    /// Tell where the time went: by option, module, derivation and file
    #[arg(long)]
    pub profile: bool,
}

/// `nival repl`.
#[derive(Debug, Default, Args)]
pub struct ReplArguments {
    /// Attribute paths within the file or expression, or flakes, whose attributes become variables
    pub installables: Vec<String>,
    /// Where the expression comes from
    #[command(flatten)]
    pub source: SourceArguments,
}

/// `nival build`.
#[derive(Debug, Args)]
pub struct BuildArguments {
    /// Attribute path within the file or expression, `FLAKE#ATTRIBUTE`, or a `.drv` path
    pub installable: Option<String>,
    /// Where the expression comes from
    #[command(flatten)]
    pub source: SourceArguments,
    /// Name of the link to the result
    #[arg(short, long, default_value = "result", value_name = "NAME")]
    pub out_link: PathBuf,
    /// Make no link to the result
    #[arg(long)]
    pub no_link: bool,
    /// Print the output paths
    #[arg(long)]
    pub print_out_paths: bool,
    /// Say what would be built and stop
    #[arg(long)]
    pub dry_run: bool,
}

/// `nival gc`.
#[derive(Debug, Args)]
pub struct GcArguments {
    /// Also delete old generations of every profile, but not the current ones
    #[arg(short = 'd', long)]
    pub delete_old: bool,
    /// Say what would be deleted and stop
    #[arg(long)]
    pub dry_run: bool,
    /// Stop after freeing this many bytes
    #[arg(long, value_name = "BYTES")]
    pub max_freed: Option<u64>,
}

/// `nival enter`.
#[derive(Debug, Args)]
pub struct EnterArguments {
    /// Use DIR as the home directory
    #[arg(long, value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// The command; your shell without one
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}

/// How a hash is made and written.
#[derive(Debug, Clone, Args)]
pub struct HashStyle {
    /// md5, sha1, sha256, sha512 or blake3
    #[arg(long, default_value = "sha256", value_name = "ALGORITHM")]
    pub algo: String,
    /// sri, base16, nix32 or base64
    #[arg(long, default_value = "sri", value_name = "NOTATION")]
    pub format: String,
}

/// `nival hash …`.
#[derive(Debug, Subcommand)]
pub enum HashCommand {
    /// Print the hashes of the contents of files
    File {
        /// How
        #[command(flatten)]
        style: HashStyle,
        /// The files
        paths: Vec<String>,
    },
    /// Print the hashes of files and folders as NARs, as the store has them
    Path {
        /// How
        #[command(flatten)]
        style: HashStyle,
        /// Take the contents of files, not a NAR
        #[arg(long)]
        flat: bool,
        /// The files and folders
        paths: Vec<String>,
    },
    /// Write hashes in another notation
    Convert {
        /// The algorithm of hashes that don't name theirs
        #[arg(long = "hash-algo", value_name = "ALGORITHM")]
        algo: Option<String>,
        /// Refuse hashes in another notation than this
        #[arg(long, value_name = "NOTATION")]
        from: Option<String>,
        /// sri, base16, nix32 or base64
        #[arg(long, default_value = "sri", value_name = "NOTATION")]
        to: String,
        /// The hashes
        hashes: Vec<String>,
    },
}

/// Which home is meant, and where it goes.
#[derive(Debug, Clone, Args)]
pub struct HomeTarget {
    /// A home.nix, a folder with a flake.nix (`DIR#NAME`), or nothing for the one in ~/.config/home-manager
    pub source: Option<String>,
    /// Work on this home directory instead of the declared one
    #[arg(long, value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// Declare this user name instead of the one in the file
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Move files that are in the way to FILE.EXT
    #[arg(short, long, value_name = "EXT")]
    pub backup_ext: Option<String>,
    /// Look up `<name>` here first, as `name=path` or a folder
    #[arg(short = 'I', value_name = "PATH")]
    pub include: Vec<String>,
}

/// The home directory that a command without a declaration works on.
#[derive(Debug, Clone, Args)]
pub struct HomePlace {
    /// Work on this home directory instead of yours
    #[arg(long, value_name = "DIR")]
    pub home: Option<PathBuf>,
}

/// `nival home …`.
#[derive(Debug, Subcommand)]
pub enum HomeCommand {
    /// Build the generation and print its path; nothing is activated
    Build {
        /// Which home
        #[command(flatten)]
        target: HomeTarget,
        /// Name of the link to the result
        #[arg(short, long, default_value = "result", value_name = "NAME")]
        out_link: PathBuf,
        /// Make no link to the result
        #[arg(long)]
        no_link: bool,
    },
    /// Print what a switch would change, and why
    Plan {
        /// Which home
        #[command(flatten)]
        target: HomeTarget,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Build, print the plan, apply it; `--generation N` goes to an earlier one
    Switch {
        /// Which home
        #[command(flatten)]
        target: HomeTarget,
        /// Go to this generation instead of building one
        #[arg(long, value_name = "N", conflicts_with = "source")]
        generation: Option<u64>,
        /// Wait for another switch to end instead of stopping
        #[arg(long)]
        wait: bool,
    },
    /// List the generations
    Generations {
        /// Where
        #[command(flatten)]
        place: HomePlace,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Go back to the generation before the current one
    Rollback {
        /// Where
        #[command(flatten)]
        place: HomePlace,
    },
    /// List the packages of the current generation
    Packages {
        /// Where
        #[command(flatten)]
        place: HomePlace,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Forget generations by number
    RemoveGenerations {
        /// Where
        #[command(flatten)]
        place: HomePlace,
        /// The numbers
        #[arg(required = true)]
        numbers: Vec<u64>,
    },
    /// Forget generations older than a time, for example `-30 days` or `2026-01-31`
    ExpireGenerations {
        /// Where
        #[command(flatten)]
        place: HomePlace,
        /// The time
        #[arg(allow_hyphen_values = true)]
        before: String,
    },
    /// Remove every file, link, unit and generation that Nival made in the home
    Uninstall {
        /// Where
        #[command(flatten)]
        place: HomePlace,
        /// Say what would be removed and stop
        #[arg(long)]
        dry_run: bool,
    },
    /// Activate a built generation (what its `activate` script calls)
    Activate {
        /// Where
        #[command(flatten)]
        place: HomePlace,
        /// The generation's store path
        generation: String,
        /// Move files that are in the way to FILE.EXT
        #[arg(short, long, value_name = "EXT")]
        backup_ext: Option<String>,
    },
}
