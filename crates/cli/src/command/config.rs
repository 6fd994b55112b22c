//! `nival config`: the settings in force.

use crate::features;
use crate::output::Output;
use crate::settings::Settings;

pub(crate) fn run(output: Output, settings: &Settings, json: bool) {
    let mut values = settings.show();
    values.extend(settings.show_accepted());
    values.retain(|(name, _)| features::of_setting(name).is_none_or(|feature| settings.has_feature(feature)));
    values.sort();
    if json {
        let object: serde_json::Map<String, serde_json::Value> =
            values.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        output.line(serde_json::Value::Object(object).to_string());
    } else {
        for (name, value) in values {
            output.line(format!("{name} = {value}").trim_end());
        }
    }
}
