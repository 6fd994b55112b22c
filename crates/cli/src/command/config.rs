//! `nival config`: the settings in force.

use serde_json::{Map, Value, json};

use crate::features;
use crate::output::Output;
use crate::settings::{self, Settings};

pub(crate) fn run(output: Output, settings: &Settings, json: bool) {
    if json {
        output.line(to_json(settings).to_string());
        return;
    }
    let mut values = settings.show();
    values.extend(settings.show_accepted());
    values.retain(|(name, _)| features::of_setting(name).is_none_or(|feature| settings.has_feature(feature)));
    values.sort();
    for (name, value) in values {
        output.line(format!("{name} = {value}").trim_end());
    }
}

/// Every setting as C++ Nix 2.34 describes it in JSON; what changes nothing here has no description.
fn to_json(settings: &Settings) -> Value {
    let defined = settings.show().into_iter().zip(settings::DEFINITIONS);
    let defined = defined.map(|((name, value), known)| (name, value, known.default, known.description));
    let accepted = settings.show_accepted().zip(settings::accepted_defaults());
    let accepted = accepted.map(|((name, value), default)| (name, value, default, ""));
    let object: Map<String, Value> = defined
        .chain(accepted)
        .map(|(name, value, default, description)| {
            let described = json!({
                "aliases": settings::former_names(name),
                "defaultValue": shaped(name, default, default),
                "description": description.trim(),
                "documentDefault": !settings::DEPENDS_ON_MACHINE.contains(&name),
                "experimentalFeature": features::of_setting(name),
                "value": shaped(name, &value, default),
            });
            (name.to_owned(), described)
        })
        .collect();
    Value::Object(object)
}

/// A value in the form that its setting has.
fn shaped(name: &str, value: &str, default: &str) -> Value {
    let words = || value.split_whitespace();
    match name {
        "experimental-features" => features::in_order(words()).into(),
        "access-tokens" | "impure-env" => words()
            .filter_map(|word| word.split_once('='))
            .map(|(key, value)| (key.to_owned(), Value::from(value)))
            .collect(),
        "external-builders" => serde_json::from_str(value).unwrap_or_else(|_| json!([])),
        "sandbox-paths" => words().map(sandbox_path).collect(),
        _ if settings::OPTIONAL.contains(&name) && value.is_empty() => Value::Null,
        _ if settings::is_list(name) => words().collect(),
        _ => match value {
            "true" | "false" => json!(value == "true"),
            _ if default.parse::<u64>().is_ok() => value.parse::<u64>().map_or(value.into(), Value::from),
            _ => value.into(),
        },
    }
}

/// `inside=outside?` as a key and what is there.
fn sandbox_path(word: &str) -> (String, Value) {
    let path = word.strip_suffix('?');
    let (inside, outside) =
        path.unwrap_or(word).split_once('=').unwrap_or((path.unwrap_or(word), path.unwrap_or(word)));
    (inside.to_owned(), json!({ "optional": path.is_some(), "source": outside }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_their_form() {
        let table = [
            ("cores", "3", "0", json!(3)),
            ("show-trace", "true", "false", json!(true)),
            ("sandbox", "relaxed", "true", json!("relaxed")),
            ("max-jobs", "auto", "auto", json!("auto")),
            ("diff-hook", "", "", Value::Null),
            ("trusted-users", "root me", "root", json!(["root", "me"])),
            ("access-tokens", "a=b c=d=e", "", json!({ "a": "b", "c": "d=e" })),
            ("experimental-features", "fetch-tree flakes", "", json!(["flakes", "fetch-tree"])),
            ("sandbox-paths", "/a=/b?", "", json!({ "/a": { "optional": true, "source": "/b" } })),
        ];
        for (name, value, default, expected) in table {
            assert_eq!(shaped(name, value, default), expected, "{name}");
        }
    }

    #[test]
    fn every_setting_is_described() {
        let all = to_json(&Settings::default());
        assert_eq!(all["cores"]["aliases"], json!(["build-cores"]));
        assert_eq!(all["accept-flake-config"]["experimentalFeature"], json!("flakes"));
        assert_eq!(all["nix-path"]["documentDefault"], json!(false));
        assert_eq!(all["cores"]["description"].as_str().map(str::is_empty), Some(false));
    }
}
