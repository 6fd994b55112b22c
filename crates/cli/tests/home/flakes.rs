//! A folder with a `flake.nix` whose only input is the library in the binary.

use crate::stage::{Stage, declaration};

const FLAKE: &str = r#"{
  inputs.nival.url = "nival";
  outputs = { nival, ... }: {
    homeConfigurations.commander = nival.lib.homeManagerConfiguration { modules = [ ./home.nix ]; };
    homeConfigurations.somebody = nival.lib.homeManagerConfiguration {
      modules = [ ./home.nix { home.file.".whose".text = "somebody's\n"; } ];
    };
  };
}
"#;

#[test]
fn a_home_of_a_flake_by_name() {
    let stage = Stage::new();
    stage.write("config/flake.nix", FLAKE);
    let file = stage.write("config/home.nix", &declaration(r#"  home.file.".greeting".text = "flake\n";"#));
    let folder = stage.path("config").display().to_string();
    let reference = format!("{folder}#commander");
    // Reasons name the user's file, not its copy in the store.
    let place = format!("({file}:6)");
    stage.run(&["switch", &reference]).success().says(&["generation 1 is active", &place]);
    assert_eq!(stage.text(".greeting"), "flake\n");
    stage.run(&["switch", &reference]).success().says(&["nothing to do"]);

    // Without a name, it is the user's.
    stage.run(&["switch", &folder]).success();
    assert_eq!(stage.text(".whose"), "somebody's\n");

    let missing = format!("{folder}#admiral");
    stage.run(&["switch", &missing]).failure(1, &["no home named admiral", "commander, somebody"]);
    stage.assert_generations(&[1, 2], 2);
}

#[test]
fn a_home_of_a_user_on_this_machine() {
    let stage = Stage::new();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let here = format!("somebody@{}", host.trim());
    let flake = FLAKE.replace("homeConfigurations.commander", &format!("homeConfigurations.\"{here}\""));
    stage.write("config/flake.nix", &flake);
    stage.write("config/home.nix", &declaration(r#"  home.file.".greeting".text = "here\n";"#));
    let folder = stage.path("config").display().to_string();
    // The more exact name comes first.
    stage.run(&["switch", &folder]).success();
    assert!(stage.has(".greeting") && !stage.has(".whose"));
    stage.run(&["switch", &format!("{folder}#{here}")]).success().says(&["nothing to do"]);
}

#[test]
fn a_flake_with_an_input_that_must_be_fetched() {
    let stage = Stage::new();
    let flake = FLAKE.replace(
        "inputs.nival.url = \"nival\";",
        "inputs.nival.url = \"nival\"; inputs.weather.url = \"github:example/weather\";",
    );
    let flake = flake.replace("./home.nix {", "./home.nix inputs.weather.homeModules.default {");
    let flake = flake.replace("{ nival, ... }:", "{ nival, ... }@inputs:");
    stage.write("config/flake.nix", &flake);
    stage.write("config/home.nix", &declaration(""));
    let folder = stage.path("config").display().to_string();
    stage.run(&["switch", &folder]).failure(
        1,
        &["'github:example/weather' cannot be fetched yet", "the flake input 'weather'", "hint: "],
    );
    stage
        .run(&["switch", "github:example/home"])
        .failure(1, &["'github:example/home' cannot be fetched yet"]);
    assert_eq!(stage.entries(), [""; 0]);
}

#[test]
fn folders_without_a_home() {
    let stage = Stage::new();
    stage.write("config/flake.nix", "{ outputs = { self }: { }; }");
    let folder = stage.path("config").display().to_string();
    stage.run(&["switch", &folder]).failure(1, &["has no `homeConfigurations`"]);
    stage.write("config/flake.nix", "{ }");
    stage.run(&["switch", &folder]).failure(1, &["lacks attribute 'outputs'"]);
    stage.write("empty/read.me", "");
    let folder = stage.path("empty").display().to_string();
    stage.run(&["switch", &folder]).failure(1, &["there is no `flake.nix` or `home.nix` in"]);
    assert_eq!(stage.entries(), [""; 0]);
}
