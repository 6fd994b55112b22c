//! The reference pages of the book are made from the definitions in the program, and are not stale.
//!
//! `NIVAL_UPDATE=1 cargo test -p nival-cli --test reference` writes them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command as Process, Output};

use clap::{Arg, Command, CommandFactory};
use nival_cli::{arguments::Nival, settings};
use nival_eval::builtins;
use nival_syntax::Code;
use serde_json::Value;

const HOW: &str = "NIVAL_UPDATE=1 cargo test -p nival-cli --test reference";

/// What `builtins.attrNames builtins` says in C++ Nix 2.34 without experimental features, but for `true`, `false`, `null`.
const BUILTINS_OF_NIX: &str = "abort add addDrvOutputDependencies addErrorContext all any appendContext attrNames \
    attrValues baseNameOf bitAnd bitOr bitXor break builtins catAttrs ceil compareVersions concatLists concatMap \
    concatStringsSep convertHash currentSystem currentTime deepSeq derivation derivationStrict dirOf div elem \
    elemAt fetchGit fetchMercurial fetchTarball fetchTree fetchurl filter filterSource findFile flakeRefToString \
    floor foldl' fromJSON fromTOML functionArgs genList genericClosure getAttr getContext getEnv getFlake groupBy \
    hasAttr hasContext hashFile hashString head import intersectAttrs isAttrs isBool isFloat isFunction isInt \
    isList isNull isPath isString langVersion length lessThan listToAttrs map mapAttrs match mul nixPath \
    nixVersion parseDrvName parseFlakeRef partition path pathExists placeholder readDir readFile readFileType \
    removeAttrs replaceStrings scopedImport seq sort split splitVersion storeDir storePath stringLength sub \
    substring tail throw toFile toJSON toPath toString toXML trace traceVerbose tryEval typeOf \
    unsafeDiscardOutputDependency unsafeDiscardStringContext unsafeGetAttrPos warn zipAttrsWith";

#[test]
fn commands() {
    let mut command = Nival::command();
    // One page for every terminal: what is not wrapped cannot be wrapped differently.
    command = command.term_width(0);
    command.build();
    let mut page = start("Commands");
    page.push_str("Standard output is data, standard error is talk. Exit code 2 is a command line that cannot be understood.\n");
    write_command(&mut page, &mut command, "nival");
    check_page("commands", &page);
}

#[test]
fn settings() {
    let mut page = start("Settings");
    page.push_str(
        "Written `name = value` in `nix.conf`; `extra-name` appends to a list. Later sources win: `$NIX_CONF_DIR/nix.conf` \
         (`/etc/nix` by default), the files of `$NIX_USER_CONF_FILES` or else `~/.config/nix/nix.conf`, `$NIX_CONFIG`, \
         the command line. Other settings of C++ Nix are accepted and change nothing.\n",
    );
    for setting in settings::DEFINITIONS {
        let default = if setting.default.is_empty() { " *empty*".into() } else { code(setting.default) };
        let description = joined(setting.description);
        write(&mut page, &format!("\n## `{}`\n\n{description}\n\nDefault:{default}\n", setting.name));
    }
    check_page("settings", &page);
}

#[test]
fn builtin_functions() {
    let mut page = start("Builtins");
    page.push_str(
        "Without a mark, a name is reached as `builtins.name`; *global* ones also by their name alone.\n",
    );
    let mut entries = Vec::new();
    for function in builtins::functions().filter(|function| !function.internal) {
        let mut heading = format!("`{}", function.name);
        for argument in function.arguments {
            write(&mut heading, &format!(" {argument}"));
        }
        heading.push('`');
        entries.push((function.name, heading, function.doc, function.global, function.feature));
    }
    for constant in builtins::constants().chain(builtins::impure_constants()) {
        entries.push((constant.name, format!("`{}`", constant.name), constant.doc, constant.global, None));
    }
    entries.sort_by_key(|entry| entry.0);
    for (_, heading, doc, global, feature) in entries {
        let mut marks = Vec::new();
        if global {
            marks.push("*global*".to_owned());
        }
        if let Some(feature) = feature {
            marks.push(format!("needs the experimental feature `{feature}`"));
        }
        let marks = if marks.is_empty() { String::new() } else { format!(" ({})", marks.join(", ")) };
        write(&mut page, &format!("\n## {heading}\n\n{}{marks}\n", escaped(doc.trim())));
    }
    check_page("builtins", &page);
}

#[test]
fn errors() {
    let mut page = start("Error codes");
    page.push_str("A number never gets another meaning. `nival explain E0001` prints the same text.\n");
    for code in Code::ALL {
        let explanation = escaped(code.explanation());
        write(&mut page, &format!("\n## {}: {}\n\n{explanation}\n", code.number(), code.slug()));
    }
    check_page("errors", &page);
}

#[test]
fn options() {
    let expression = r#"
        let nival = import <nival> { system = "x86_64-linux"; }; in
        (nival.home {
          modules = [ { home = { username = "user"; homeDirectory = "/home/user"; stateVersion = "24.05"; }; } ];
        }).optionsDoc
    "#;
    let output = evaluate(expression);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let options: Vec<Value> = serde_json::from_slice(&output.stdout).expect("a list in JSON");
    assert!(!options.is_empty(), "there are options");

    let mut page = start("Home options");
    page.push_str("What a `home.nix` may set. The names are Home Manager's.\n");
    for option in &options {
        let text = |field: &str| option[field].as_str().map(str::trim).filter(|text| !text.is_empty());
        write(&mut page, &format!("\n## `{}`\n", text("name").expect("an option has a name")));
        if let Some(description) = text("description") {
            write(&mut page, &format!("\n{}\n", escaped(description)));
        }
        let read_only = if option["readOnly"] == true { " (read-only)" } else { "" };
        if let Some(name) = text("type") {
            write(&mut page, &format!("\nType: {}{read_only}\n", escaped(name)));
        }
        for (label, field) in [("Default", "default"), ("Example", "example")] {
            if let Some(value) = text(field) {
                write(&mut page, &format!("\n{label}:{}\n", code(value)));
            }
        }
    }
    check_page("options", &page);
}

#[test]
fn status_of_builtins() {
    // The set itself isn't in the tables: it is made of them.
    let mut ours = BTreeSet::from(["builtins"]);
    ours.extend(builtins::functions().filter(|function| !function.internal).map(|function| function.name));
    let constants = builtins::constants().chain(builtins::impure_constants());
    ours.extend(constants.map(|constant| constant.name));
    let theirs: BTreeSet<&str> = BUILTINS_OF_NIX.split_whitespace().collect();

    let list = |names: Vec<&str>| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" ");
    let (there, missing): (Vec<&str>, Vec<&str>) = theirs.iter().partition(|name| ours.contains(*name));
    let (refusing, there): (Vec<&str>, Vec<&str>) = there.iter().partition(|name| only_refuses(name));
    let mut text = format!("\n- [x] {} of {}: {}\n", there.len(), theirs.len(), list(there));
    if !refusing.is_empty() {
        let count = refusing.len();
        write(
            &mut text,
            &format!("- [ ] {count} that refuse, since nothing is fetched yet: {}\n", list(refusing)),
        );
    }
    if !missing.is_empty() {
        write(&mut text, &format!("- [ ] {} missing: {}\n", missing.len(), list(missing)));
    }
    let further: Vec<&str> = ours.difference(&theirs).copied().collect();
    if !further.is_empty() {
        write(&mut text, &format!("- experimental or internal, beside these: {}\n", list(further)));
    }

    let page = std::fs::read_to_string(docs().join("status.md")).expect("docs/status.md");
    let (begin, end) = ("<!-- builtins -->\n", "\n<!-- /builtins -->");
    let (before, rest) = page.split_once(begin).expect("the first marker");
    let (_, after) = rest.split_once(end).expect("the second marker");
    check(&docs().join("status.md"), &format!("{before}{begin}{text}{end}{after}"));
}

fn evaluate(expression: &str) -> Output {
    Process::new(env!("CARGO_BIN_EXE_nival"))
        .args(["eval", "--store", "dummy://", "--json", "--expr", expression])
        .env_clear()
        .env("HOME", "/homeless")
        .output()
        .expect("the program runs")
}

/// A builtin that is there in name, because what it needs of the world is not.
fn only_refuses(name: &str) -> bool {
    name.starts_with("fetch") && {
        let output = evaluate(&format!("builtins.{name} \"file:///nowhere/x\""));
        String::from_utf8_lossy(&output.stderr).contains("cannot be fetched yet")
    }
}

/// The command, its own flags, and the commands below it.
fn write_command(page: &mut String, command: &mut Command, path: &str) {
    let usage = command.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").lines().map(str::trim).collect::<Vec<_>>().join("\n");
    write(page, &format!("\n## `{path}`\n\n"));
    if let Some(about) = command.get_about() {
        write(page, &format!("{}\n\n", escaped(&about.to_string())));
    }
    write(page, &format!("```text\n{usage}\n```\n"));

    let top = path == "nival";
    let arguments: Vec<&Arg> = command
        .get_arguments()
        .filter(|argument| top || !argument.is_global_set())
        .filter(|argument| !argument.is_hide_set() && argument.get_id() != "help")
        .collect();
    if !arguments.is_empty() {
        page.push_str(if top { "\nOptions of every command:\n\n" } else { "\n" });
    }
    for argument in arguments {
        write_argument(page, argument);
    }
    for below in command.get_subcommands_mut().filter(|below| !below.is_hide_set()) {
        let path = format!("{path} {}", below.get_name());
        write_command(page, below, &path);
    }
}

fn write_argument(page: &mut String, argument: &Arg) {
    let short = argument.get_short().filter(|_| argument.get_long().is_some());
    let short = short.map_or_else(String::new, |short| format!("`-{short}`, "));
    write(page, &format!("- {short}`{argument}`"));
    if let Some(help) = argument.get_help() {
        write(page, &format!(": {}", escaped(&help.to_string())));
    }
    let quoted =
        |values: Vec<String>| values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ");
    let takes_values = argument.get_action().takes_values();
    let choices: Vec<String> =
        argument.get_possible_values().iter().map(|v| v.get_name().to_owned()).collect();
    if takes_values && !choices.is_empty() {
        write(page, &format!("; one of {}", quoted(choices)));
    }
    let defaults: Vec<String> =
        argument.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    if takes_values && !defaults.is_empty() {
        write(page, &format!("; default {}", quoted(defaults)));
    }
    page.push('\n');
}

fn start(title: &str) -> String {
    format!("<!-- Written by `{HOW}`; changes belong into the definitions. -->\n\n# {title}\n\n")
}

fn write(page: &mut String, text: &str) {
    page.write_str(text).expect("a string takes all");
}

/// The lines of a doc comment as one paragraph.
fn joined(doc: &str) -> String {
    escaped(&doc.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" "))
}

/// Text for people, in which `<name>` is not a tag; `<https://…>` stays a link.
fn escaped(text: &str) -> String {
    let mut inside_code = false;
    let mut result = String::new();
    for (place, character) in text.char_indices() {
        inside_code ^= character == '`';
        if character == '<' && !inside_code && !text[place..].starts_with("<http") {
            result.push('\\');
        }
        result.push(character);
    }
    result
}

/// A value after a label: within the line if it is one, else a block.
fn code(text: &str) -> String {
    if text.contains('\n') {
        format!("\n\n```nix\n{text}\n```")
    } else if text.contains('`') {
        format!(" `` {text} ``")
    } else {
        format!(" `{text}`")
    }
}

fn docs() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

fn check_page(name: &str, page: &str) {
    check(&docs().join(format!("src/reference/{name}.md")), page);
}

/// The file has this text; it gets it if `NIVAL_UPDATE` is set.
fn check(file: &Path, expected: &str) {
    if std::env::var_os("NIVAL_UPDATE").is_some() {
        std::fs::write(file, expected).expect("the page can be written");
        return;
    }
    let found = std::fs::read_to_string(file).unwrap_or_default();
    if found == expected {
        return;
    }
    let (mut found, mut expected) = (found.lines(), expected.lines());
    for number in 1.. {
        let (is, should) = (found.next(), expected.next());
        assert!(
            is == should && is.is_some(),
            "{}:{number} is stale; `{HOW}` writes it anew\n is:        {}\n should be: {}",
            file.display(),
            is.unwrap_or("(end)"),
            should.unwrap_or("(end)"),
        );
    }
}
