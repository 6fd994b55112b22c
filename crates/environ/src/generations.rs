//! Generations: list them, and remove those no longer wanted.

use std::path::PathBuf;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::lock::{Lock, WhenBusy};
use crate::manifest::Package;
use crate::undo;

/// A generation in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Its number.
    pub number: u64,
    /// When it was made.
    #[serde(serialize_with = "as_text")]
    pub date: Timestamp,
    /// Its store path.
    pub path: PathBuf,
    /// Whether it is the running one.
    pub current: bool,
}

fn as_text<S: serde::Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

/// All generations, the oldest first. A switch that was cut short is led back before.
pub fn list(context: &Context<'_>) -> Result<Vec<Listed>> {
    match undo::recover(context) {
        // A switch that is under way is no hindrance to looking.
        Ok(_) | Err(Error::Busy { .. }) => {}
        Err(error) => return Err(error),
    }
    let current = context.profile.current()?;
    let listed = context.profile.generations()?.into_iter().map(|generation| Listed {
        current: Some(generation.number) == current,
        number: generation.number,
        date: generation.created,
        path: generation.path,
    });
    Ok(listed.collect())
}

/// Removes generations; none is removed if one of them is the running one or isn't there.
pub fn remove(context: &Context<'_>, numbers: &[u64], when_busy: WhenBusy) -> Result<Vec<Listed>> {
    let _lock = Lock::take(context, when_busy)?;
    undo::recover_locked(context)?;
    let generations = list(context)?;
    let mut removed = Vec::new();
    for number in numbers {
        let found = generations.iter().find(|generation| generation.number == *number);
        let found = found.ok_or(Error::NoGeneration(*number))?;
        if found.current {
            return Err(Error::RemoveCurrent(*number));
        }
        if !removed.contains(found) {
            removed.push(found.clone());
        }
    }
    for generation in &removed {
        context.profile.remove(generation.number)?;
    }
    Ok(removed)
}

/// Removes every generation made before the age, but never the running one. See [`parse_age`].
pub fn expire(context: &Context<'_>, age: &str, when_busy: WhenBusy) -> Result<Vec<Listed>> {
    let limit = parse_age(age, context.now)?;
    let _lock = Lock::take(context, when_busy)?;
    undo::recover_locked(context)?;
    let old = |generation: &Listed| !generation.current && generation.date < limit;
    let expired: Vec<Listed> = list(context)?.into_iter().filter(old).collect();
    for generation in &expired {
        context.profile.remove(generation.number)?;
    }
    Ok(expired)
}

/// The packages of the running generation, by name.
pub fn packages(context: &Context<'_>) -> Result<Vec<Package>> {
    let running = context.profile.running()?.ok_or(Error::NoCurrent)?;
    crate::switch::packages(context, &running.path)
}

/// The time that an age means: `-30 days`, `30 days ago`, `30d`, or a date or time as in ISO 8601, in UTC where
/// it names no zone.
pub fn parse_age(age: &str, now: Timestamp) -> Result<Timestamp> {
    let wrong = || Error::Age(age.to_owned());
    let text = age.trim();
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    if let Ok(time) =
        text.parse::<DateTime>().or_else(|_| text.parse::<jiff::civil::Date>().map(DateTime::from))
    {
        return Ok(time.to_zoned(TimeZone::UTC).map_err(|_| wrong())?.timestamp());
    }
    let text = text.strip_prefix('-').unwrap_or(text).trim_start();
    let text = text.strip_suffix("ago").unwrap_or(text).trim();
    let digits = text.len() - text.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: i64 = number.parse().map_err(|_| wrong())?;
    const HOUR: i64 = 60 * 60;
    let seconds = match unit.trim() {
        "s" | "sec" | "second" | "seconds" => 1,
        "min" | "minute" | "minutes" => 60,
        "h" | "hour" | "hours" => HOUR,
        "d" | "day" | "days" => 24 * HOUR,
        "w" | "week" | "weeks" => 7 * 24 * HOUR,
        "month" | "months" => 30 * 24 * HOUR,
        "y" | "year" | "years" => 365 * 24 * HOUR,
        _ => return Err(wrong()),
    };
    let ago = number.checked_mul(seconds).ok_or_else(wrong)?;
    now.checked_sub(SignedDuration::from_secs(ago)).map_err(|_| wrong())
}
