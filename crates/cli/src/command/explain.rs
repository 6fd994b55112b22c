//! `nival explain`: what an error code means and what to do.

use nival_syntax::Code;

use crate::error::{CommandError, Kind, Result};
use crate::output::Output;

pub(crate) fn run(output: Output, code: Option<&str>) -> Result {
    match code {
        None => {
            for code in Code::ALL {
                output.line(format!("{}  {}", code.number(), code.slug()));
            }
        }
        Some(text) => {
            let code = Code::find(text).ok_or_else(|| {
                CommandError::new(Kind::Usage, format!("there is no error code '{text}'"))
                    .hint("`nival explain` lists them all")
            })?;
            output.line(format!("{} {}\n\n{}", code.number(), code.slug(), code.explanation()));
        }
    }
    Ok(())
}
