//! Which store a command works on, and why.

use nival_formats::StoreDir;
use nival_store::StoreConfig;
use nival_store::placement::{Decision, Placement, Surroundings};

use crate::context::Context;
use crate::error::{CommandError, Kind, Result};

/// How addresses of stores begin in C++ Nix 2.34.
const SCHEMES: [&str; 12] = [
    "daemon",
    "dummy",
    "file",
    "http",
    "https",
    "local",
    "local-overlay",
    "mounted-ssh-ng",
    "s3",
    "ssh",
    "ssh-ng",
    "unix",
];

/// The store of one run.
pub(crate) enum StorePlace {
    /// `dummy://`: paths are computed and nothing is kept.
    Dummy(StoreDir),
    /// A store on this machine.
    Local {
        /// How to open it.
        config: Box<StoreConfig>,
        /// Where it is and why.
        decision: Decision,
        /// The `--store` that asked for it.
        asked: Option<String>,
    },
}

impl StorePlace {
    /// The name of a store, if it can be one (C++ Nix, `store-reference.cc`).
    pub(crate) fn checked(name: String) -> Result<String> {
        let base = name.split_once('?').map_or(&*name, |(base, _)| base);
        let is_name = matches!(base, "" | "auto" | "daemon" | "local") || base.contains(['/', ':']);
        if !is_name {
            return Err(CommandError::new(Kind::Usage, format!("Cannot parse Nix store '{name}'")));
        }
        match base.split_once("://") {
            Some((scheme, _)) if !SCHEMES.contains(&scheme) => {
                Err(CommandError::failure(format!("don't know how to open Nix store with scheme '{scheme}'")))
            }
            _ => Ok(name),
        }
    }

    /// Decides from `--store`, else `NIX_REMOTE`, else from what the user may write.
    pub(crate) fn decide(context: &Context, asked: Option<&str>) -> Result<Self> {
        let named = match (asked, context.variable("NIX_REMOTE")) {
            (Some(asked), _) => asked,
            (None, Some(remote)) => &Self::checked(remote.to_owned())?,
            (None, None) => "auto",
        };
        // `NAME?real=DIR&store=DIR…` names folders of its own (C++ Nix manual, "Local Store").
        let (name, query) = named.split_once('?').unwrap_or((named, ""));
        let parameter = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find_map(|(key, value)| (key == name).then_some(value))
        };
        let store_dir = parameter("store").or_else(|| context.variable("NIX_STORE_DIR"));
        let store_dir = StoreDir::new(store_dir.unwrap_or("/nix/store"));
        let explicit_root = match name {
            "dummy://" => return Ok(Self::Dummy(store_dir)),
            "" | "auto" | "local" | "local://" => parameter("root").map(|root| context.absolute(root)),
            name if name == "daemon" || name.contains("://") => {
                return Err(CommandError::failure(format!("the store '{name}' cannot be reached yet"))
                    .hint("a folder on this machine can be a store: `--store DIR`"));
            }
            name => Some(context.absolute(name)),
        };
        let variables = ["NIX_STORE_DIR", "NIX_STATE_DIR"];
        let decision =
            if explicit_root.is_none() && variables.iter().all(|name| context.variable(name).is_some()) {
                Decision { placement: Placement::System, reason: "the environment names its folders".into() }
            } else {
                Self::decide_root(context, explicit_root)?
            };
        let mut config = decision.placement.config();
        config.store_dir = store_dir;
        if decision.placement == Placement::System {
            let places = [
                ("NIX_STORE_DIR", &mut config.real_store_dir),
                ("NIX_STATE_DIR", &mut config.state_dir),
                ("NIX_LOG_DIR", &mut config.log_dir),
            ];
            for (variable, place) in places {
                if let Some(path) = context.variable(variable) {
                    *place = path.into();
                }
            }
        }
        let places = [
            ("real", &mut config.real_store_dir),
            ("state", &mut config.state_dir),
            ("log", &mut config.log_dir),
        ];
        for (name, place) in places {
            if let Some(path) = parameter(name) {
                *place = context.absolute(path);
            }
        }
        Ok(Self::Local { config: Box::new(config), decision, asked: asked.map(str::to_owned) })
    }

    fn decide_root(context: &Context, explicit_root: Option<std::path::PathBuf>) -> Result<Decision> {
        Placement::decide(&Surroundings {
            is_root: context.uid == 0,
            explicit_root,
            data_home: Some(context.xdg("XDG_DATA_HOME", ".local/share")),
            nix_dir: "/nix".into(),
        })
        .map_err(|error| CommandError::failure(&error).hint(error.hint()))
    }

    /// How to open the store; nothing for `dummy://`.
    pub(crate) fn config(&self) -> Option<&StoreConfig> {
        match self {
            Self::Dummy(_) => None,
            Self::Local { config, .. } => Some(config),
        }
    }

    /// The name of the store's folder.
    pub(crate) fn store_dir(&self) -> StoreDir {
        match self {
            Self::Dummy(store_dir) => store_dir.clone(),
            Self::Local { config, .. } => config.store_dir.clone(),
        }
    }

    /// Where the store is and why; nothing for `dummy://`.
    pub(crate) fn decision(&self) -> Option<&Decision> {
        match self {
            Self::Dummy(_) => None,
            Self::Local { decision, .. } => Some(decision),
        }
    }

    /// The folder that has to be entered to see the store at its name; nothing where it is seen anyway.
    pub(crate) fn root(&self) -> Option<&std::path::Path> {
        self.decision().and_then(|decision| decision.placement.root())
    }

    /// The options that name this store again, with a space in front; empty for the default one.
    pub(crate) fn arguments(&self) -> String {
        match self {
            Self::Local { asked: Some(asked), .. } => format!(" --store {asked}"),
            _ => String::new(),
        }
    }

    /// One line for people: where the store is, and why.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Dummy(_) => "none, paths are computed only".into(),
            Self::Local { config, decision, .. } => {
                let place = config.real_store_dir.display();
                match decision.placement {
                    Placement::System => format!("{place} ({})", decision.reason),
                    Placement::Chroot { .. } | Placement::Own { .. } => {
                        format!("{place}, seen at {} inside ({})", config.store_dir.as_str(), decision.reason)
                    }
                }
            }
        }
    }
}
